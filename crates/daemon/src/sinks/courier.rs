//! All couriers together.

use super::desk::{Desk, Ended};
use super::exec::Exec;
use super::file::FileSink;
use super::stdout::Stdout;
use super::webhook::Webhook;
use super::{lanes, stream};
use crate::settings::{SinkKind, SinkSettings};
use crate::status::Status;
use sortie_host::{Failure, Host, kinds};
use sortie_store::{Fence, Store};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The longest that stopping may take, whatever hangs.
const LONGEST_STOP: Duration = Duration::from_secs(3);

/// What couriers share with the driver.
#[derive(Clone)]
pub struct Shared {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The fence under which couriers write.
    pub fence: Fence,
    /// Where they say how they do.
    pub status: Arc<Status>,
    /// Changes after each commit that put records in the outbox, and after each poll. Every courier has its own view of
    /// it, so that none misses a change while it is busy.
    pub committed: watch::Receiver<u64>,
    /// Notified after each settling.
    pub settled: Arc<Notify>,
    /// Cancelled when nothing more will be committed: deliver what waits, try each failing thing three times, end.
    pub finish: CancellationToken,
    /// Cancelled when the daemon stops: begin nothing new, settle what is acknowledged within 3 s, end.
    pub stop: CancellationToken,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("fence", &self.fence).field("stop", &self.stop).finish_non_exhaustive()
    }
}

/// The couriers of a daemon, one a sink.
pub struct Couriers(Vec<(String, Sink)>);

enum Sink {
    Stdout(Stdout),
    File(FileSink),
    Webhook(Webhook),
    Exec(Exec),
}

impl Couriers {
    /// Makes the sinks ready: reads signing keys and header values, opens and locks files, checks URLs. Sends and writes
    /// nothing.
    ///
    /// # Errors
    /// Kind `configuration`, naming the sink, what is wrong, and the remedy.
    pub fn open(settings: &[SinkSettings], host: &Host) -> Result<Self, Failure> {
        let mut sinks: Vec<(String, Sink)> = Vec::with_capacity(settings.len());
        for SinkSettings { name, kind } in settings {
            if sinks.iter().any(|(other, _)| other == name) {
                let message = format!("two sinks are called {name}");
                return Err(Failure::configuration(message, "give each sink a name of its own"));
            }
            let sink = match kind {
                SinkKind::Stdout => Stdout::open().map(Sink::Stdout),
                SinkKind::File(settings) => FileSink::open(settings).map(Sink::File),
                SinkKind::Webhook(settings) => Webhook::open(settings, host).map(Sink::Webhook),
                SinkKind::Exec(settings) => Exec::open(settings).map(Sink::Exec),
            };
            let sink = sink.map_err(|mut failure| {
                failure.message = format!("the sink {name}: {}", failure.message);
                failure
            })?;
            sinks.push((name.clone(), sink));
        }
        Ok(Self(sinks))
    }

    /// The sinks' names.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Delivers until told to end. Needs a tokio runtime with time and I/O.
    ///
    /// # Errors
    /// `store_in_use` when a newer daemon took the store over; `store_unusable`; `sink_unavailable` when standard output is
    /// closed by its reader, or, after `finish`, when something still waits: the message names the sinks. Other sinks
    /// are ended as by `stop` before the error is returned.
    pub async fn run(self, shared: Shared) -> Result<(), Failure> {
        let names = self.names();
        let halt = shared.stop.child_token();
        let mut running = JoinSet::new();
        for (name, sink) in self.0 {
            let desk = Desk::new(&name, Shared { stop: halt.clone(), ..shared.clone() });
            running.spawn(async move {
                match sink {
                    Sink::Stdout(sink) => stream::run(desk, sink).await,
                    Sink::File(sink) => stream::run(desk, sink).await,
                    Sink::Webhook(sink) => lanes::run(desk, sink).await,
                    Sink::Exec(sink) => lanes::run(desk, sink).await,
                }
            });
        }
        let mut failed = None;
        let all = async {
            while let Some(ended) = running.join_next().await {
                match ended {
                    Ok(Ok(()) | Err(Ended::Stopped)) => {}
                    Ok(Err(Ended::Failed(failure))) => {
                        failed.get_or_insert(failure);
                        halt.cancel();
                    }
                    Err(_) => {
                        failed.get_or_insert_with(|| Failure::new(kinds::INTERNAL, "a courier crashed"));
                        halt.cancel();
                    }
                }
            }
        };
        tokio::select! {
            () = all => {}
            () = too_late(&halt) => {}
        }
        match failed {
            Some(failure) => Err(failure),
            None if shared.finish.is_cancelled() && !shared.stop.is_cancelled() => nothing_left(&names, &shared).await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Couriers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Couriers").field(&self.names()).finish()
    }
}

async fn too_late(halt: &CancellationToken) {
    halt.cancelled().await;
    tokio::time::sleep(LONGEST_STOP).await;
}

/// Whether every sink took all that waited for it.
async fn nothing_left(names: &[String], shared: &Shared) -> Result<(), Failure> {
    let mut left = Vec::new();
    for name in names {
        let (store, sink) = (Arc::clone(&shared.store), name.clone());
        let due = tokio::task::spawn_blocking(move || store.due(&sink, 0, 1, 1)).await;
        if !matches!(due, Ok(Ok(records)) if records.is_empty()) {
            let error = shared.status.snapshot().sinks.get(name).and_then(|sink| sink.error.clone());
            left.push(error.map_or_else(|| name.clone(), |error| format!("{name} ({error})")));
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    Err(Failure::new(kinds::SINK_UNAVAILABLE, format!("records still wait for: {}", left.join(", ")))
        .with_hint("nothing is lost: they are delivered by the next run that reaches the sink"))
}

#[cfg(test)]
#[path = "courier_tests.rs"]
mod tests;
