//! Lanes put aside: their records stay in the outbox, and only numbers are in memory.
//!
//! A lane is put aside when its first record was not taken, and as far as it has more records than fit in hand. So an item
//! that is never taken, however large, keeps no room from the others. What is put aside is read again one record at a
//! time: the first of its lane, when it is due.

use std::collections::{BTreeMap, HashMap, VecDeque};
use tokio::time::Instant;

/// When the first record of a lane may be tried again, at once if none, and its number.
pub(super) type Due = (Option<Instant>, i64);

/// A lane put aside.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// The numbers of its records, as far as the outbox was read.
    pub(super) sequences: VecDeque<i64>,
    /// How often the first was tried, and how often of that since the daemon is about to end.
    pub(super) attempts: u32,
    pub(super) tries: u32,
    /// The first is not tried before.
    pub(super) not_before: Option<Instant>,
    /// It is not tried any more in this run.
    pub(super) given_up: bool,
}

impl Lane {
    fn due(&self) -> Option<Due> {
        self.sequences.front().filter(|_| !self.given_up).map(|first| (self.not_before, *first))
    }
}

/// The first record of a lane, to be read again.
pub(super) struct First {
    pub(super) id: String,
    pub(super) sequence: i64,
    pub(super) attempts: u32,
    pub(super) tries: u32,
}

/// All lanes put aside, by their item.
#[derive(Default)]
pub(super) struct Aside {
    lanes: HashMap<String, Lane>,
    /// Those of which nothing is in hand.
    queue: BTreeMap<Due, String>,
}

impl Aside {
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Adds a record to its lane, if that is put aside.
    pub(super) fn add(&mut self, id: &str, sequence: i64) -> bool {
        let Some(lane) = self.lanes.get_mut(id) else { return false };
        if lane.sequences.back().is_none_or(|last| *last < sequence) {
            lane.sequences.push_back(sequence);
        }
        true
    }

    /// Puts aside what of a lane does not fit in hand.
    pub(super) fn overflow(&mut self, id: String, sequence: i64) {
        self.lanes.entry(id).or_default().sequences.push_back(sequence);
    }

    /// Puts a lane aside wholly, before what of it is aside already.
    pub(super) fn put(&mut self, id: String, mut lane: Lane) {
        if let Some(rest) = self.lanes.remove(&id) {
            lane.sequences.extend(rest.sequences);
        }
        if let Some(due) = lane.due() {
            self.queue.insert(due, id.clone());
        }
        self.lanes.insert(id, lane);
    }

    /// Nothing of this item is in hand any more.
    pub(super) fn left(&mut self, id: &str) {
        if let Some(due) = self.lanes.get(id).and_then(Lane::due) {
            self.queue.insert(due, id.to_owned());
        }
    }

    /// The lane that is due first, of those of which nothing is in hand.
    pub(super) fn next(&self) -> Option<(Due, &Lane)> {
        let (due, id) = self.queue.first_key_value()?;
        self.lanes.get(id).map(|lane| (*due, lane))
    }

    /// Takes the first record of a lane out.
    pub(super) fn take(&mut self, due: Due) -> Option<First> {
        let id = self.queue.remove(&due)?;
        let lane = self.lanes.get_mut(&id)?;
        let first =
            First { sequence: lane.sequences.pop_front()?, attempts: lane.attempts, tries: lane.tries, id: id.clone() };
        if lane.sequences.is_empty() {
            self.lanes.remove(&id);
        } else {
            // The next one was never tried.
            *lane = Lane { sequences: std::mem::take(&mut lane.sequences), ..Lane::default() };
        }
        Some(first)
    }

    /// Changes until when the lanes wait.
    pub(super) fn hasten(&mut self, until: impl Fn(&Lane) -> Option<Instant>) {
        for (due, id) in std::mem::take(&mut self.queue) {
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            lane.not_before = until(lane);
            self.queue.insert((lane.not_before, due.1), id);
        }
    }
}
