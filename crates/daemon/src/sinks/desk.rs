//! What every courier works with: the store, with retries; the status; the signals.

use super::backoff::{self, TRIES_FINISHING};
use super::courier::Shared;
use crate::failure::store_failure;
use crate::status::SinkStatus;
use sortie_host::{Failure, kinds};
use sortie_store::{Queued, Settled, Store};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// How often what waits is counted while much is going on.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// How long what is under way when the daemon stops is waited for. Leaves time for settling what came of it.
pub(super) const GRACE: Duration = Duration::from_millis(2_200);

/// Why a courier ended before everything was delivered.
#[derive(Debug)]
pub(super) enum Ended {
    /// It was told to.
    Stopped,
    /// It cannot go on, and neither can the daemon.
    Failed(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What a courier works with. Cheap to clone.
#[derive(Clone)]
pub(super) struct Desk {
    name: Arc<str>,
    shared: Shared,
    counting: Arc<Mutex<Counting>>,
    errors: Arc<Mutex<Errors>>,
    /// What was delivered cannot be noted at the moment.
    unsettled: Arc<AtomicBool>,
}

/// When what waits was last counted, and whether there was a reason to count it since.
#[derive(Clone, Copy, Default)]
struct Counting {
    last: Option<Instant>,
    late: bool,
}

/// What keeps records from being delivered: the sink, the store.
#[derive(Default)]
struct Errors {
    sink: Option<String>,
    store: Option<String>,
}

impl Desk {
    pub(super) fn new(name: &str, shared: Shared) -> Self {
        shared.status.change_sink(name, |_| {});
        Self { name: name.into(), shared, counting: Arc::default(), errors: Arc::default(), unsettled: Arc::default() }
    }

    /// The sink's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Cancelled when the daemon stops.
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.shared.stop
    }

    /// Cancelled when nothing more will be committed.
    pub(super) fn finish(&self) -> &CancellationToken {
        &self.shared.finish
    }

    /// Tells of commits, each once.
    pub(super) fn commits(&self) -> Commits {
        Commits(self.shared.committed.clone())
    }

    /// What waits for the sink, oldest first.
    pub(super) async fn due(&self, after: i64, records: usize, bytes: usize) -> Result<Vec<Queued>, Ended> {
        let name = Arc::clone(&self.name);
        self.ask("what waits cannot be read", move |store| store.due(&name, after, records, bytes)).await
    }

    /// The numbers and keys of all that waits for the sink.
    pub(super) async fn due_keys(&self) -> Result<Vec<(i64, String)>, Ended> {
        let name = Arc::clone(&self.name);
        self.ask("what waits cannot be read", move |store| store.due_keys(&name)).await
    }

    /// The sink's place.
    pub(super) async fn place(&self) -> Result<Option<String>, Ended> {
        let name = Arc::clone(&self.name);
        self.ask("the sink's place cannot be read", move |store| store.place(&name)).await
    }

    /// Settles, and counts.
    pub(super) async fn settle(&self, mut settled: Settled) -> Result<(), Ended> {
        settled.now = jiff::Timestamp::now().as_second();
        let (delivered, refused) = (settled.delivered.len() as u64, settled.refused.len() as u64);
        let (name, fence) = (Arc::clone(&self.name), self.shared.fence);
        let what = "what was delivered cannot be noted";
        let unsettled = Arc::clone(&self.unsettled);
        self.ask(what, move |store| {
            let result = store.settle(&name, &settled, fence);
            unsettled.store(result.is_err(), Ordering::Release);
            result
        })
        .await?;
        crate::abort::at("settled");
        self.status(|sink| {
            sink.delivered += delivered;
            sink.refused += refused;
            sink.waiting = sink.waiting.saturating_sub(delivered + refused);
        });
        self.shared.settled.notify_one();
        self.count_at_times().await;
        Ok(())
    }

    /// Whether settling failed when it was last tried, and is tried again.
    pub(super) fn cannot_settle(&self) -> bool {
        self.unsettled.load(Ordering::Acquire)
    }

    /// Counts what waits, unless that was done a moment ago: then [`Self::count_late`] does it.
    pub(super) async fn count_at_times(&self) {
        let late = {
            let mut counting = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
            counting.late = counting.last.is_some_and(|last| last.elapsed() < COUNT_EVERY);
            counting.late
        };
        if !late {
            self.count().await;
        }
    }

    /// Waits until what is still to be counted may be, and counts it. Waits for ever if there is nothing.
    pub(super) async fn count_late(&self) {
        let counting = *self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        match counting.last.filter(|_| counting.late) {
            Some(last) => {
                sleep_until(last + COUNT_EVERY).await;
                self.count().await;
            }
            None => std::future::pending().await,
        }
    }

    /// Counts what waits after each commit, for as long as it is waited for.
    pub(super) async fn keep_counting(&self) -> Infallible {
        let mut commits = self.commits();
        loop {
            tokio::select! {
                () = commits.next() => self.count_at_times().await,
                () = self.count_late() => {}
            }
        }
    }

    /// Counts what waits.
    pub(super) async fn count(&self) {
        *self.counting.lock().unwrap_or_else(PoisonError::into_inner) =
            Counting { last: Some(Instant::now()), late: false };
        let store = Arc::clone(&self.shared.store);
        // A store that cannot be read says so elsewhere; the figures stay as they were.
        let Ok(Ok(backlog)) = tokio::task::spawn_blocking(move || store.backlog()).await else { return };
        self.shared.status.note(|status| {
            status.waiting = (backlog.records, backlog.bytes);
            status.dead_letters = backlog.dead_letters;
            status.quarantined = backlog.quarantined;
            let waiting = backlog.sinks.iter().find(|sink| *sink.name == *self.name).map_or(0, |sink| sink.records);
            status.sinks.entry(self.name.to_string()).or_default().waiting = waiting;
        });
    }

    /// Notes an attempt that failed: whether it will be repeated, and whether the sink seems to take nothing at all.
    pub(super) fn failing(&self, reason: &str, repeated: bool, troubled: bool) {
        self.status(|sink| sink.retried += u64::from(repeated));
        let news = self.change(|errors| {
            let before = if troubled { errors.sink.replace(reason.to_owned()) } else { None };
            troubled && before.is_none()
        });
        if news {
            tracing::warn!(sink = self.name(), "the sink takes nothing, and is tried again: {reason}");
        } else {
            tracing::debug!(sink = self.name(), "not taken: {reason}");
        }
    }

    /// Notes that the sink takes records.
    pub(super) fn working(&self) {
        if self.change(|errors| errors.sink.take().is_some()) {
            tracing::info!(sink = self.name(), "the sink takes records again");
        }
    }

    /// Changes what keeps records from being delivered. The status says it; the store comes first, because without it
    /// the sink is not even tried.
    fn change(&self, change: impl FnOnce(&mut Errors) -> bool) -> bool {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let news = change(&mut errors);
        self.status(|sink| sink.error = errors.store.clone().or_else(|| errors.sink.clone()));
        news
    }

    /// Changes what the status says about the sink.
    pub(super) fn status(&self, change: impl FnOnce(&mut SinkStatus)) {
        self.shared.status.change_sink(&self.name, change);
    }

    /// Asks the store, again and again while its trouble can pass. While the daemon is about to end, a few times; when it
    /// stops, once more.
    async fn ask<T: Send + 'static>(
        &self,
        what: &str,
        question: impl Fn(&dyn Store) -> sortie_store::Result<T> + Send + Sync + 'static,
    ) -> Result<T, Ended> {
        let question = Arc::new(question);
        let mut failed = 0;
        loop {
            let last = self.stop().is_cancelled();
            let finishing = self.finish().is_cancelled();
            let (store, asked) = (Arc::clone(&self.shared.store), Arc::clone(&question));
            let answer = tokio::task::spawn_blocking(move || asked(&*store)).await;
            let error = match answer {
                Ok(Ok(answer)) => {
                    if failed > 0 && self.change(|errors| errors.store.take().is_some()) {
                        tracing::info!(sink = self.name(), "the store works again");
                    }
                    return Ok(answer);
                }
                Ok(Err(error)) => error,
                Err(_) => return Err(Failure::new(kinds::INTERNAL, "the store crashed").into()),
            };
            failed += 1;
            if !error.passes() || (finishing && failed >= TRIES_FINISHING) {
                return Err(store_failure(&error).into());
            }
            let reason = format!("{what}: {error}");
            if self.change(|errors| errors.store.replace(reason.clone()).is_none()) {
                tracing::warn!(sink = self.name(), "nothing is delivered until the store works again: {reason}");
            }
            if last {
                return Err(Ended::Stopped);
            }
            tokio::select! {
                () = self.stop().cancelled() => {}
                () = sleep(backoff::wait(failed)) => {}
            }
        }
    }
}

/// Tells of commits.
pub(super) struct Commits(tokio::sync::watch::Receiver<u64>);

impl Commits {
    /// Waits for the next commit; those that were made meanwhile are told once.
    pub(super) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // Who commits is gone; only the end can follow.
            std::future::pending::<()>().await;
        }
    }
}
