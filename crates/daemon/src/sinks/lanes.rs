//! Sinks that take one record at a time: webhooks and commands. Several are under way side by side, those of one item
//! never; see the window (`window`) for what is sent when.

use super::desk::{Desk, Ended, GRACE};
use super::window::{Outcome, Window};
use sortie_store::{Queued, Settled};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};

/// A sink that takes one record at a time.
pub(super) trait Carrier: Send + Sync + 'static {
    /// How many may be under way at once.
    fn concurrency(&self) -> usize;

    /// One attempt. Dropping it ends it.
    fn carry(&self, record: &Queued) -> impl Future<Output = Outcome> + Send;
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
            if let Some((after, records, bytes)) = self.window.wants() {
                self.window.take(self.desk.due(after, records, bytes).await?);
                self.desk.count_at_times().await;
                continue;
            }
            let now = Instant::now();
            while self.under_way.len() < self.concurrency
                && let Some(record) = self.window.next(now)
            {
                let carrier = Arc::clone(&self.carrier);
                let sequence = record.sequence;
                let task = self.under_way.spawn(async move { carrier.carry(&record).await });
                self.carried.insert(task.id(), sequence);
            }
            if self.settling.is_none() && self.window.is_stuck() {
                self.desk.count().await;
                if finishing {
                    return Ok(());
                }
            }
            // Waiting for a time only makes sense where there is a lane free for it.
            let wake = self.window.wake().filter(|_| self.under_way.len() < self.concurrency);
            tokio::select! {
                () = stop.cancelled() => {}
                () = finish.cancelled(), if !finishing => {}
                () = commits.next() => self.window.look_again(),
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
        match &outcome {
            Outcome::Taken => {
                crate::abort::at("acknowledged");
                self.desk.working();
            }
            Outcome::Refused { reason } => {
                crate::abort::at("acknowledged");
                tracing::warn!(
                    sink = self.desk.name(),
                    "a record is refused for good, and becomes a dead letter: {reason}"
                );
                self.desk.working();
            }
            Outcome::Again { .. } | Outcome::Trouble { .. } => {}
        }
        let refused = matches!(outcome, Outcome::Refused { .. });
        if let Some(reason) = self.window.note(sequence, outcome, Instant::now()) {
            self.desk.failing(&reason, !refused, self.window.is_troubled());
        }
    }

    /// Waits a little for what is under way, and settles what came of it.
    async fn end(&mut self) -> Result<(), Ended> {
        let deadline = Instant::now() + GRACE;
        while let Ok(Some(ended)) = timeout_at(deadline, self.under_way.join_next_with_id()).await {
            self.note(ended);
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
