//! What every courier works with: the store, with retries; the status; the signals.

use super::backoff::{self, TRIES_FINISHING};
use super::courier::Shared;
use crate::failure::store_failure;
use crate::status::SinkStatus;
use sortie_host::{Failure, kinds};
use sortie_store::{Queued, Settled, Store};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};
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
    counted: Arc<Mutex<Option<Instant>>>,
}

impl Desk {
    pub(super) fn new(name: &str, shared: Shared) -> Self {
        shared.status.change_sink(name, |_| {});
        Self { name: name.into(), shared, counted: Arc::default() }
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
        self.ask(what, move |store| store.settle(&name, &settled, fence)).await?;
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

    /// Counts what waits, unless that was done a moment ago.
    pub(super) async fn count_at_times(&self) {
        let counted = *self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.is_none_or(|counted| counted.elapsed() >= COUNT_EVERY) {
            self.count().await;
        }
    }

    /// Counts what waits.
    pub(super) async fn count(&self) {
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
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
        let mut news = false;
        self.status(|sink| {
            sink.retried += u64::from(repeated);
            if troubled {
                news = sink.error.is_none();
                sink.error = Some(reason.to_owned());
            }
        });
        if news {
            tracing::warn!(sink = self.name(), "the sink takes nothing, and is tried again: {reason}");
        } else {
            tracing::debug!(sink = self.name(), "not taken: {reason}");
        }
    }

    /// Notes that the sink takes records.
    pub(super) fn working(&self) {
        let mut news = false;
        self.status(|sink| news = sink.error.take().is_some());
        if news {
            tracing::info!(sink = self.name(), "the sink takes records again");
        }
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
                    if failed > 0 {
                        self.working();
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
            self.failing(&format!("{what}: {error}"), false, true);
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
