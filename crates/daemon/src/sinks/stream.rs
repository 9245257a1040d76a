//! Sinks that take batches, in the order of the outbox: standard output and files.
//!
//! One batch is under way at a time; when the sink acknowledged it, it is settled, and the next one is taken from the
//! front of what is due. The sink lives on a thread of its own, because its writes may block.

use super::backoff::{self, LONGEST_FINISHING, TRIES_FINISHING};
use super::desk::{Desk, Ended, GRACE};
use super::worker::Worker;
use sortie_host::{Failure, kinds};
use sortie_store::{Queued, Settled};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// A sink that takes batches. Its calls may block.
pub(super) trait Stream: Send + 'static {
    /// The largest batch: records, bytes.
    fn limits(&self) -> (usize, usize);

    /// How many bytes of the batch under way are taken, lines with their ends, for a sink that takes them for good one by
    /// one.
    fn progress(&self) -> Option<Arc<AtomicUsize>> {
        None
    }

    /// Whether the sink can tell what it took before.
    fn remembers(&self) -> bool {
        false
    }

    /// Begins again at a place, with what is due; gives what of that the sink has already, and the place as it is.
    fn begin(&mut self, _place: Option<&str>, _due: &[(i64, String)]) -> Result<Settled, Trouble> {
        Ok(Settled::default())
    }

    /// Takes a batch, wholly, for good; gives the new place. After an error the same batch comes again.
    fn write(&mut self, batch: &[Queued]) -> Result<Option<String>, Trouble>;
}

/// Why a sink did not take a batch.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Something that can pass.
    Passing(String),
    /// The sink is about to go on at another place, which has to be noted before.
    Moved(String),
    /// The daemon has to end.
    Fatal(Failure),
}

/// Delivers to a stream until told to end.
pub(super) async fn run<S: Stream>(desk: Desk, sink: S) -> Result<(), Ended> {
    let (records, bytes) = sink.limits();
    let (progress, remembers) = (sink.progress(), sink.remembers());
    let worker = Worker::start(sink)
        .map_err(|error| Failure::new(kinds::INTERNAL, format!("no thread for the sink {}: {error}", desk.name())))?;
    let courier = Courier { desk, worker, progress };
    if remembers && !courier.begin().await? {
        return Ok(());
    }
    let desk = &courier.desk;
    let mut commits = desk.commits();
    while !desk.stop().is_cancelled() {
        // Asked before the store is: what was committed before the end was announced must be seen.
        let finishing = desk.finish().is_cancelled();
        let batch = desk.due(0, records, bytes).await?;
        if batch.is_empty() {
            desk.count().await;
            if finishing {
                return Ok(());
            }
            tokio::select! {
                () = desk.stop().cancelled() => {}
                () = desk.finish().cancelled() => {}
                () = commits.next() => {}
            }
        } else if !courier.deliver(Arc::new(batch)).await? {
            return Ok(());
        }
    }
    Ok(())
}

struct Courier<S> {
    desk: Desk,
    worker: Worker<S>,
    progress: Option<Arc<AtomicUsize>>,
}

impl<S: Stream> Courier<S> {
    /// Finds out what the sink has already. False when it was given up.
    async fn begin(&self) -> Result<bool, Ended> {
        let place = self.desk.place().await?;
        let due = Arc::new(self.desk.due_keys().await?);
        let begun = self
            .insist(|| {
                let (place, due) = (place.clone(), Arc::clone(&due));
                self.worker.run(move |sink| sink.begin(place.as_deref(), &due))
            })
            .await?;
        let Some(settled) = begun else { return Ok(false) };
        if !settled.delivered.is_empty() {
            let records = settled.delivered.len();
            tracing::info!(sink = self.desk.name(), records, "the sink has these already from before");
        }
        if !settled.delivered.is_empty() || settled.place.is_some() {
            self.desk.settle(settled).await?;
        }
        Ok(true)
    }

    /// Delivers and settles a batch. False when it was given up.
    async fn deliver(&self, batch: Arc<Vec<Queued>>) -> Result<bool, Ended> {
        let work = self.insist(|| {
            let batch = Arc::clone(&batch);
            self.worker.run(move |sink| sink.write(&batch))
        });
        let settled = tokio::select! {
            biased;
            written = work => match written? {
                None => return Ok(false),
                Some(place) => {
                    let delivered = batch.iter().map(|record| record.sequence).collect();
                    Settled { delivered, place, ..Settled::default() }
                }
            },
            never = self.desk.keep_counting() => match never {},
            () = grace(self.desk.stop()) => {
                // The write hangs. What of it is out is out.
                let out = self.progress.as_ref().map_or(0, |progress| progress.load(Ordering::Acquire));
                let mut end = 0;
                let whole = batch.iter().take_while(|record| { end += record.record.len() + 1; end <= out });
                let delivered: Vec<i64> = whole.map(|record| record.sequence).collect();
                if delivered.is_empty() {
                    return Err(Ended::Stopped);
                }
                Settled { delivered, ..Settled::default() }
            }
        };
        self.desk.settle(settled).await?;
        Ok(true)
    }

    /// Does something until it succeeds; while the daemon is about to end, a few times. None when given up.
    async fn insist<T, F>(&self, mut work: impl FnMut() -> F) -> Result<Option<T>, Ended>
    where
        F: Future<Output = Option<Result<T, Trouble>>>,
    {
        let (mut failed, mut tries) = (0, 0);
        loop {
            let finishing = self.desk.finish().is_cancelled();
            let reason = match work().await {
                Some(Ok(done)) => {
                    self.desk.working();
                    return Ok(Some(done));
                }
                Some(Err(Trouble::Moved(place))) => {
                    self.desk.settle(Settled { place: Some(place), ..Settled::default() }).await?;
                    continue;
                }
                Some(Err(Trouble::Passing(reason))) => reason,
                Some(Err(Trouble::Fatal(failure))) => return Err(failure.into()),
                None => return Err(Failure::new(kinds::INTERNAL, "a sink crashed").into()),
            };
            failed += 1;
            self.desk.failing(&reason, true, true);
            self.desk.count_at_times().await;
            if self.desk.stop().is_cancelled() {
                return Err(Ended::Stopped);
            }
            tries += u32::from(finishing);
            if tries >= TRIES_FINISHING {
                return Ok(None);
            }
            let wait = backoff::wait(failed);
            tokio::select! {
                () = self.desk.stop().cancelled() => return Err(Ended::Stopped),
                () = self.desk.finish().cancelled(), if !finishing => {}
                () = sleep(if finishing { wait.min(LONGEST_FINISHING) } else { wait }) => {}
            }
        }
    }
}

async fn grace(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(GRACE).await;
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
