//! Sinks that take one record at a time: webhooks and commands. Several are under way side by side, those of one item
//! never; see the window (`window`) for what is sent when.

use super::desk::{Desk, Ended, GRACE};
use super::window::{Outcome, Window};
use sortie_store::{Queued, Settled};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

/// How long what is under way when the daemon stops is left to end by itself; the rest of [`GRACE`] it is urged to.
const UNDISTURBED: Duration = Duration::from_secs(1);

/// A sink that takes one record at a time.
pub(super) trait Carrier: Send + Sync + 'static {
    /// How many may be under way at once.
    fn concurrency(&self) -> usize;

    /// One attempt. It is to come to an end when `urged` is cancelled; dropping it ends it at once.
    fn carry(&self, record: &Queued, urged: &CancellationToken) -> impl Future<Output = Outcome> + Send;
}

type Settling = Pin<Box<dyn Future<Output = (Settled, Result<(), Ended>)> + Send>>;

/// Delivers over lanes until told to end.
pub(super) async fn run<C: Carrier>(desk: Desk, carrier: C) -> Result<(), Ended> {
    let mut lanes = Lanes {
        concurrency: carrier.concurrency().max(1),
        carrier: Arc::new(carrier),
        desk,
        window: Window::default(),
        under_way: JoinSet::new(),
        carried: HashMap::new(),
        settling: None,
        urged: CancellationToken::new(),
    };
    match lanes.run().await {
        Err(Ended::Failed(failure)) => Err(Ended::Failed(failure)),
        Ok(()) | Err(Ended::Stopped) => lanes.end().await,
    }
}

struct Lanes<C> {
    desk: Desk,
    carrier: Arc<C>,
    concurrency: usize,
    window: Window,
    under_way: JoinSet<Outcome>,
    /// Which task carries which record.
    carried: HashMap<Id, i64>,
    settling: Option<Settling>,
    /// Cancelled when what is under way is to come to an end.
    urged: CancellationToken,
}

impl<C: Carrier> Lanes<C> {
    async fn run(&mut self) -> Result<(), Ended> {
        let mut commits = self.desk.commits();
        let (stop, finish) = (self.desk.stop().clone(), self.desk.finish().clone());
        let mut finishing = false;
        while !stop.is_cancelled() {
            if finish.is_cancelled() && !finishing {
                // Looked at before the outbox is: what was committed before the end was announced must be seen.
                finishing = true;
                self.window.finish(Instant::now());
                self.window.look_again();
            }
            if self.settling.is_none()
                && let Some(settled) = self.window.settle()
            {
                self.settling = Some(settling(self.desk.clone(), settled));
            }
            let now = Instant::now();
            if let Some(want) = self.window.wants(now) {
                let records = self.desk.due(want.after, want.records, want.bytes).await?;
                self.window.take(want, records);
                self.desk.count_at_times().await;
                continue;
            }
            // What the store cannot note would be sent again after a crash: it must not become more and more.
            let free = self.under_way.len() < self.concurrency && !self.desk.cannot_settle();
            if free && let Some(record) = self.window.next(now) {
                let (carrier, urged) = (Arc::clone(&self.carrier), self.urged.clone());
                let sequence = record.sequence;
                let task = self.under_way.spawn(async move { carrier.carry(&record, &urged).await });
                self.carried.insert(task.id(), sequence);
                continue;
            }
            if self.settling.is_none() && self.window.is_stuck() {
                self.desk.count().await;
                if finishing {
                    return Ok(());
                }
            }
            // Waiting for a time only makes sense where there is a lane free for it.
            let wake = self.window.wake().filter(|_| free);
            tokio::select! {
                () = stop.cancelled() => {}
                () = finish.cancelled(), if !finishing => {}
                () = commits.next() => {
                    self.window.look_again();
                    self.desk.count_at_times().await;
                }
                () = self.desk.count_late() => {}
                Some(ended) = self.under_way.join_next_with_id() => {
                    self.note(ended);
                    if self.window.is_troubled() {
                        self.desk.count_at_times().await;
                    }
                }
                (settled, result) = come(&mut self.settling), if self.settling.is_some() => {
                    self.settling = None;
                    result?;
                    self.window.settled(&settled);
                }
                () = sleep_until(wake.unwrap_or(now)), if wake.is_some() => {}
            }
        }
        Ok(())
    }

    fn note(&mut self, ended: Result<(Id, Outcome), JoinError>) {
        let (task, outcome) = ended.unwrap_or_else(|error| {
            let reason = "the attempt to deliver crashed".to_owned();
            (error.id(), Outcome::Again { reason, after: None })
        });
        let Some(sequence) = self.carried.remove(&task) else { return };
        if matches!(outcome, Outcome::Refused { .. }) && self.desk.stop().is_cancelled() {
            // What ends because everything ends says nothing about the record.
            return;
        }
        let taken = outcome == Outcome::Taken;
        let mut repeated = true;
        match &outcome {
            Outcome::Taken => crate::abort::at("acknowledged"),
            Outcome::Refused { reason } => {
                crate::abort::at("acknowledged");
                repeated = false;
                tracing::warn!(
                    sink = self.desk.name(),
                    "a record is refused for good, and becomes a dead letter: {reason}"
                );
            }
            Outcome::Again { .. } | Outcome::Trouble { .. } => {}
        }
        let failed = self.window.note(sequence, outcome, Instant::now());
        if let Some(reason) = failed {
            self.desk.failing(&reason, repeated, self.window.is_troubled());
        } else if taken || !self.window.is_troubled() {
            self.desk.working();
        }
    }

    /// Waits a little for what is under way, and settles what came of it.
    async fn end(&mut self) -> Result<(), Ended> {
        let began = Instant::now();
        for until in [began + UNDISTURBED, began + GRACE] {
            while let Ok(Some(ended)) = timeout_at(until, self.under_way.join_next_with_id()).await {
                self.note(ended);
            }
            self.urged.cancel();
        }
        self.under_way.abort_all();
        if let Some(settling) = &mut self.settling {
            let (_, result) = settling.await;
            self.settling = None;
            result?;
        }
        match self.window.settle() {
            Some(settled) => self.desk.settle(settled).await,
            None => Ok(()),
        }
    }
}

fn settling(desk: Desk, settled: Settled) -> Settling {
    Box::pin(async move {
        let result = desk.settle(settled.clone()).await;
        (settled, result)
    })
}

async fn come(settling: &mut Option<Settling>) -> (Settled, Result<(), Ended>) {
    match settling {
        Some(settling) => settling.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
