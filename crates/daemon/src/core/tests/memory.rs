//! A store in memory: what was committed survives the daemon's death, and nothing else does.

use sortie_store::{Batch, Handled, Known, Latest, Outgoing, Resume, Version};
use std::collections::{BTreeMap, HashMap};

#[derive(Default)]
pub(super) struct Memory {
    seen: HashMap<Version, (Handled, i64)>,
    latest: HashMap<String, Latest>,
    cursors: BTreeMap<String, String>,
    rounds: BTreeMap<String, i64>,
    /// Everything that was ever put into the outbox, in order.
    pub(super) outbox: Vec<Outgoing>,
    /// De-duplication is broken: nothing is remembered.
    forgetful: bool,
    /// The outbox is broken: every so many records one is lost.
    leak: Option<usize>,
    offered: usize,
}

impl Memory {
    pub(super) fn new(forgetful: bool, leak: Option<usize>) -> Self {
        Self { forgetful, leak, ..Self::default() }
    }

    pub(super) fn known(&self, version: &Version) -> Known {
        let seen = self.seen.get(version).copied();
        Known {
            version: seen.map(|(handled, _)| handled),
            seen_at: seen.map_or(0, |(_, at)| at),
            latest: self.latest.get(&version.id).cloned(),
        }
    }

    pub(super) fn commit(&mut self, batch: &Batch) {
        if !self.forgetful {
            for seen in &batch.seen {
                let entry = self.seen.entry(seen.version.clone()).or_insert((seen.handled, batch.now));
                entry.1 = batch.now;
                if seen.handled == Handled::Queued {
                    entry.0 = Handled::Queued;
                }
            }
            self.latest.extend(batch.latest.iter().map(|latest| (latest.id.clone(), latest.clone())));
        }
        for record in &batch.outgoing {
            self.offered += 1;
            if self.leak.is_some_and(|leak| self.offered.is_multiple_of(leak)) {
                continue;
            }
            self.outbox.push(record.clone());
        }
        if let Some(to) = &batch.cursor {
            match &to.cursor {
                Some(cursor) => self.cursors.insert(to.mode.clone(), cursor.clone()),
                None => self.cursors.remove(&to.mode),
            };
            if to.round_ended {
                self.rounds.insert(to.mode.clone(), batch.now);
            }
        }
    }

    pub(super) fn resume(&self) -> Resume {
        Resume {
            cursors: self.cursors.iter().map(|(mode, cursor)| (mode.clone(), cursor.clone())).collect(),
            rounds: self.rounds.iter().map(|(mode, at)| (mode.clone(), *at)).collect(),
        }
    }
}
