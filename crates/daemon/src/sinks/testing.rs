//! A store in memory and what tests of couriers share.

use super::courier::Shared;
use super::desk::Desk;
use crate::status::{SinkStatus, Status};
use sortie_store::{
    Backlog, Batch, DeadLetter, Fence, Known, PollNote, Quarantined, Queued, Result, Resume, Settled, SinkBacklog,
    Store, StoreError, Version,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// An outbox in memory, for one sink.
#[derive(Default)]
pub(super) struct Memory(Mutex<Inner>);

#[derive(Default)]
pub(super) struct Inner {
    pub(super) waiting: BTreeMap<i64, Queued>,
    pub(super) delivered: Vec<i64>,
    pub(super) refused: Vec<(i64, String, u32)>,
    pub(super) place: Option<String>,
    /// So many calls fail before one succeeds again.
    pub(super) failures: usize,
    /// The next call that writes finds a newer daemon.
    pub(super) fenced: bool,
    pub(super) settles: usize,
    /// Settling fails.
    pub(super) stuck: bool,
    pub(super) asked: usize,
    next: i64,
}

impl Memory {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Puts records into the outbox: item, key.
    pub(super) fn put(&self, records: impl IntoIterator<Item = (String, String)>) {
        let mut inner = self.lock();
        for (id, key) in records {
            inner.next += 1;
            let sequence = inner.next;
            let kind = "incident.created".to_owned();
            let record =
                format!(r#"{{"type":"{kind}","idempotencyKey":"{key}","id":"{id}","incident":{{"n":{sequence}}}}}"#);
            inner.waiting.insert(sequence, Queued { sequence, id, key, kind, record });
        }
    }

    /// Puts so many records of as many items into the outbox.
    pub(super) fn fill(&self, count: i64) {
        let next = self.lock().next;
        self.put((next + 1..=next + count).map(|number| (format!("item{number}"), format!("t/item{number}/f"))));
    }

    fn call(&self) -> Result<MutexGuard<'_, Inner>> {
        let mut inner = self.lock();
        inner.asked += 1;
        if inner.failures > 0 {
            inner.failures -= 1;
            return Err(StoreError::Full { path: "memory".into() });
        }
        Ok(inner)
    }
}

impl Store for Memory {
    fn resume(&self) -> Result<Resume> {
        Ok(Resume::default())
    }

    fn known(&self, versions: &[Version]) -> Result<Vec<Known>> {
        Ok(vec![Known::default(); versions.len()])
    }

    fn commit(&self, _: &Batch, _: Fence) -> Result<()> {
        Ok(())
    }

    fn set_sinks(&self, _: &[String], _: i64, _: Fence) -> Result<u64> {
        Ok(0)
    }

    fn due(&self, _: &str, after: i64, records: usize, bytes: usize) -> Result<Vec<Queued>> {
        let inner = self.call()?;
        let mut total = 0;
        let due = inner.waiting.range(after + 1..).map(|(_, record)| record.clone()).take(records);
        Ok(due
            .take_while(|record| {
                let before = total;
                total += record.record.len();
                before < bytes
            })
            .collect())
    }

    fn due_keys(&self, _: &str) -> Result<Vec<(i64, String)>> {
        Ok(self.call()?.waiting.values().map(|record| (record.sequence, record.key.clone())).collect())
    }

    fn settle(&self, _: &str, settled: &Settled, _: Fence) -> Result<()> {
        if self.lock().fenced {
            return Err(StoreError::Fenced { path: "memory".into() });
        }
        let mut inner = self.call()?;
        if inner.stuck {
            return Err(StoreError::Full { path: "memory".into() });
        }
        inner.settles += 1;
        for sequence in &settled.delivered {
            assert!(inner.waiting.remove(sequence).is_some(), "{sequence} was settled twice");
            inner.delivered.push(*sequence);
        }
        for refused in &settled.refused {
            assert!(inner.waiting.remove(&refused.sequence).is_some());
            inner.refused.push((refused.sequence, refused.reason.clone(), refused.attempts));
        }
        if let Some(place) = &settled.place {
            inner.place = Some(place.clone());
        }
        Ok(())
    }

    fn place(&self, _: &str) -> Result<Option<String>> {
        Ok(self.call()?.place.clone())
    }

    fn backlog(&self) -> Result<Backlog> {
        let inner = self.lock();
        let records = inner.waiting.len() as u64;
        let sinks = vec![SinkBacklog { name: "sink".to_owned(), records, oldest_at: None }];
        Ok(Backlog { records, sinks, ..Backlog::default() })
    }

    fn prune(&self, _: i64, _: i64, _: Fence) -> Result<bool> {
        Ok(false)
    }

    fn history(&self, _: usize) -> Result<Vec<PollNote>> {
        Ok(Vec::new())
    }

    fn quarantined(&self) -> Result<Vec<Quarantined>> {
        Ok(Vec::new())
    }

    fn dead_letters(&self, _: Option<&str>, _: i64, _: usize) -> Result<Vec<DeadLetter>> {
        Ok(Vec::new())
    }

    fn retry_dead_letters(&self, _: &[i64], _: i64) -> Result<u64> {
        Ok(0)
    }

    fn drop_dead_letters(&self, _: &[i64]) -> Result<u64> {
        Ok(0)
    }
}

/// A courier's surroundings.
pub(super) struct Rig {
    pub(super) store: Arc<Memory>,
    pub(super) commits: watch::Sender<u64>,
    pub(super) shared: Shared,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::over(Arc::default())
    }

    pub(super) fn over(store: Arc<Memory>) -> Self {
        let (commits, committed) = watch::channel(0);
        let shared = Shared {
            store: Arc::clone(&store) as Arc<dyn Store>,
            fence: Fence::new(1),
            status: Arc::new(Status::new(30.0)),
            committed,
            settled: Arc::new(Notify::new()),
            finish: CancellationToken::new(),
            stop: CancellationToken::new(),
        };
        Self { store, commits, shared }
    }

    pub(super) fn desk(&self) -> Desk {
        Desk::new("sink", self.shared.clone())
    }

    /// Tells of a commit.
    pub(super) fn committed(&self) {
        self.commits.send_modify(|commits| *commits += 1);
    }

    pub(super) fn status(&self) -> SinkStatus {
        self.shared.status.snapshot().sinks.get("sink").cloned().unwrap_or_default()
    }

    /// Waits until something holds.
    pub(super) async fn until(&self, holds: impl Fn(&Inner) -> bool) {
        loop {
            if holds(&self.store.lock()) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Waits until the status says something, which it does a moment after the store.
    pub(super) async fn until_status(&self, holds: impl Fn(&SinkStatus) -> bool) {
        while !holds(&self.status()) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}
