//! What a courier with lanes has in hand, and which of it may be sent next.
//!
//! Records of one item form a lane: only the first is ever sent, and the next one only when that is settled. Lanes do
//! not wait for each other, unless the sink as a whole seems to be down. Then one record at a time is tried, at growing
//! intervals, until the sink takes one.
//!
//! No I/O and no clock of its own: the time is an argument.

use super::backoff::{self, LONGEST_FINISHING, LONGEST_STATED, LONGEST_STATED_FINISHING, TRIES_FINISHING};
use sortie_store::{Queued, Refused, Settled};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The most that is in hand: records, bytes.
const RECORDS: usize = 256;
const BYTES: usize = 8 << 20;

/// The most of one item that is in hand, so that an item that waits long leaves room for the others.
const OF_ONE_ITEM: usize = 16;

/// So many failures in a row, of different items, mean that it is not the items.
const DOWN_AFTER: u32 = 3;

/// So many refusals in a row, with nothing taken between, mean that perhaps it is not the records.
const DOUBTFUL_AFTER: u32 = 100;

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The sink took the record.
    Taken,
    /// It did not, and may do so later; perhaps it says when.
    Again { reason: String, after: Option<Duration> },
    /// It takes nothing in its present state, whatever the record.
    Trouble { reason: String, after: Option<Duration> },
    /// It will never take this record.
    Refused { reason: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    UnderWay,
    /// Acknowledged or refused, and not yet settled.
    Done,
    /// Not tried any more in this run.
    GivenUp,
}

struct Entry {
    record: Arc<Queued>,
    state: State,
    attempts: u32,
    /// Attempts since the daemon is about to end.
    tries: u32,
    not_before: Option<Instant>,
    /// The attempt under way is one that finds out whether the sink is back.
    probe: bool,
}

/// What is in hand.
#[derive(Default)]
pub(super) struct Window {
    entries: BTreeMap<i64, Entry>,
    bytes: usize,
    /// Up to here the outbox was read.
    after: i64,
    /// Whether there was nothing behind that.
    exhausted: bool,
    /// Items with more records than are in hand, and the first of those.
    parked: HashMap<String, i64>,
    /// What is to be settled.
    done: Settled,
    /// Failures in a row, and the items they were of, as far as it matters.
    failures: u32,
    failing: HashSet<String>,
    /// The sink as a whole takes nothing.
    down: bool,
    refusals: u32,
    /// Nothing is sent before: to spare a sink that is down.
    quiet_until: Option<Instant>,
    /// Nothing is sent before: the sink asked for it.
    stated_until: Option<Instant>,
    finishing: bool,
    /// Probes of a sink that is down since the daemon is about to end.
    tries: u32,
    /// Nothing is sent any more in this run.
    given_up: bool,
}

impl Window {
    /// What to read next from the outbox, if there is room: after which number, records, bytes.
    pub(super) fn wants(&mut self) -> Option<(i64, usize, usize)> {
        if self.entries.is_empty() && self.parked.is_empty() {
            self.after = 0;
        }
        let room = self.entries.len() <= RECORDS / 2 && self.bytes <= BYTES / 2;
        (room && !self.exhausted && !self.given_up)
            .then(|| (self.after, RECORDS - self.entries.len(), BYTES - self.bytes))
    }

    /// Takes what was read.
    pub(super) fn take(&mut self, records: Vec<Queued>) {
        self.exhausted = records.is_empty();
        let mut of_item: HashMap<String, usize> = HashMap::new();
        for entry in self.entries.values() {
            *of_item.entry(entry.record.id.clone()).or_default() += 1;
        }
        for record in records {
            let sequence = record.sequence;
            self.after = self.after.max(sequence);
            if self.entries.contains_key(&sequence) {
                continue;
            }
            let count = of_item.entry(record.id.clone()).or_default();
            // What is parked is parked to its end, or the order would be lost.
            if *count >= OF_ONE_ITEM || self.parked.contains_key(&record.id) {
                self.parked.entry(record.id).or_insert(sequence);
                continue;
            }
            *count += 1;
            self.bytes += record.record.len();
            let (record, state) = (Arc::new(record), State::Waiting);
            self.entries
                .insert(sequence, Entry { record, state, attempts: 0, tries: 0, not_before: None, probe: false });
        }
    }

    /// There may be more in the outbox.
    pub(super) fn look_again(&mut self) {
        self.exhausted = false;
    }

    /// Nothing more will be committed: from now on each thing that fails is tried a few times.
    pub(super) fn finish(&mut self, now: Instant) {
        self.finishing = true;
        let latest = now + LONGEST_FINISHING;
        self.quiet_until = self.quiet_until.map(|until| until.min(latest));
        if self.stated_until.is_some_and(|until| until > now + LONGEST_STATED_FINISHING) {
            self.give_up();
        }
        for entry in self.entries.values_mut() {
            entry.not_before = entry.not_before.map(|until| until.min(latest));
        }
    }

    /// The first records of all lanes, as far as they wait, with their numbers.
    fn heads(&self) -> impl Iterator<Item = (i64, &Entry)> {
        let mut seen = HashSet::new();
        self.entries
            .iter()
            .filter(move |(_, entry)| seen.insert(entry.record.id.as_str()))
            .filter(|(_, entry)| entry.state == State::Waiting)
            .map(|(sequence, entry)| (*sequence, entry))
    }

    fn any(&self, state: State) -> bool {
        self.entries.values().any(|entry| entry.state == state)
    }

    /// Nothing is sent before.
    fn quiet(&self) -> Option<Instant> {
        self.quiet_until.max(self.stated_until)
    }

    /// Whether the sink seems to take nothing at all.
    pub(super) fn is_troubled(&self) -> bool {
        self.one_at_a_time() || self.failures >= DOWN_AFTER
    }

    fn one_at_a_time(&self) -> bool {
        self.down || self.refusals >= DOUBTFUL_AFTER
    }

    /// The record to send now, if there is one; it counts as under way from here on.
    pub(super) fn next(&mut self, now: Instant) -> Option<Arc<Queued>> {
        if self.quiet().is_some_and(|until| until > now) {
            return None;
        }
        let sequence = if self.one_at_a_time() {
            if self.any(State::UnderWay) {
                return None;
            }
            // The one that was tried least: an item that is never taken must not stand for the sink.
            self.heads().min_by_key(|(sequence, entry)| (entry.attempts, *sequence)).map(|(sequence, _)| sequence)
        } else {
            let ready = |entry: &Entry| entry.not_before.is_none_or(|until| until <= now);
            self.heads().find(|(_, entry)| ready(entry)).map(|(sequence, _)| sequence)
        }?;
        let probe = self.one_at_a_time();
        let entry = self.entries.get_mut(&sequence)?;
        entry.probe = probe;
        entry.state = State::UnderWay;
        entry.attempts += 1;
        Some(Arc::clone(&entry.record))
    }

    /// When [`Self::next`] may have something that it has not now, if only time has to pass for it.
    pub(super) fn wake(&self) -> Option<Instant> {
        if self.one_at_a_time() {
            let idle = !self.any(State::UnderWay) && self.heads().next().is_some();
            return Some(self.quiet().unwrap_or(Instant::now())).filter(|_| idle);
        }
        let earliest = self.heads().map(|(_, entry)| entry.not_before).min()?;
        self.quiet().max(earliest)
    }

    /// Whether nothing of what is in hand will move without something new.
    pub(super) fn is_stuck(&self) -> bool {
        self.heads().next().is_none() && !self.any(State::UnderWay) && !self.any(State::Done)
    }

    /// Takes note of an attempt. Gives the reason, if it was a failure.
    pub(super) fn note(&mut self, sequence: i64, outcome: Outcome, now: Instant) -> Option<String> {
        let entry = self.entries.get_mut(&sequence)?;
        let probe = entry.probe;
        match outcome {
            Outcome::Taken => {
                entry.state = State::Done;
                self.done.delivered.push(sequence);
                self.refusals = 0;
                self.healthy();
                None
            }
            Outcome::Refused { reason } => {
                entry.state = State::Done;
                self.done.refused.push(Refused { sequence, reason: reason.clone(), attempts: entry.attempts });
                let tries = self.tries;
                self.healthy();
                self.refusals = self.refusals.saturating_add(1);
                if self.refusals < DOUBTFUL_AFTER {
                    return None;
                }
                self.tries = tries;
                self.rest(now, backoff::wait(self.refusals - DOUBTFUL_AFTER + 1), probe);
                Some(format!("it refuses everything; lately: {reason}"))
            }
            Outcome::Again { reason, after } => {
                self.fail(sequence, after, false, now);
                Some(reason)
            }
            Outcome::Trouble { reason, after } => {
                self.fail(sequence, after, true, now);
                Some(reason)
            }
        }
    }

    /// The sink answers: what waits because it did not need not wait longer.
    fn healthy(&mut self) {
        if self.down {
            for entry in self.entries.values_mut() {
                entry.not_before = None;
            }
        }
        self.down = false;
        self.quiet_until = None;
        self.failures = 0;
        self.failing.clear();
        self.tries = 0;
    }

    fn fail(&mut self, sequence: i64, after: Option<Duration>, trouble: bool, now: Instant) {
        let finishing = self.finishing;
        self.failures = self.failures.saturating_add(1);
        let Some(entry) = self.entries.get_mut(&sequence) else { return };
        let probe = entry.probe;
        entry.state = State::Waiting;
        let own = if finishing {
            backoff::wait(entry.attempts).min(LONGEST_FINISHING)
        } else {
            backoff::wait(entry.attempts)
        };
        entry.not_before = Some(now + own);
        entry.tries += u32::from(finishing);
        if self.given_up || entry.tries >= TRIES_FINISHING {
            entry.state = State::GivenUp;
        }
        if self.failing.len() < 2 {
            self.failing.insert(entry.record.id.clone());
        }
        self.down |= trouble || (self.failures >= DOWN_AFTER && self.failing.len() >= 2);
        if let Some(after) = after {
            self.stated_until = self.stated_until.max(Some(now + after.min(LONGEST_STATED)));
            if finishing && after > LONGEST_STATED_FINISHING {
                self.give_up();
            }
        }
        if self.down || after.is_some() {
            let wait = if self.down { backoff::wait(self.failures) } else { Duration::ZERO };
            self.rest(now, wait, probe);
        }
    }

    /// Sends nothing for a while, unless that is so already for longer. While the daemon is about to end, a sink that
    /// has to be left alone again and again is given up.
    fn rest(&mut self, now: Instant, wait: Duration, probe: bool) {
        let wait = if self.finishing { wait.min(LONGEST_FINISHING) } else { wait };
        self.quiet_until = self.quiet_until.max(Some(now + wait));
        self.tries += u32::from(self.finishing && probe);
        if self.tries >= TRIES_FINISHING {
            self.give_up();
        }
    }

    /// Sends nothing any more.
    fn give_up(&mut self) {
        self.given_up = true;
        for entry in self.entries.values_mut().filter(|entry| entry.state == State::Waiting) {
            entry.state = State::GivenUp;
        }
    }

    /// What is to be settled now, if there is something.
    pub(super) fn settle(&mut self) -> Option<Settled> {
        let some = !self.done.delivered.is_empty() || !self.done.refused.is_empty();
        some.then(|| std::mem::take(&mut self.done))
    }

    /// Lets go of what was settled.
    pub(super) fn settled(&mut self, settled: &Settled) {
        let mut items = HashSet::new();
        let refused = settled.refused.iter().map(|refused| refused.sequence);
        for sequence in settled.delivered.iter().copied().chain(refused) {
            if let Some(entry) = self.entries.remove(&sequence) {
                self.bytes -= entry.record.record.len();
                items.insert(entry.record.id.clone());
            }
        }
        if self.parked.is_empty() {
            return;
        }
        for item in items {
            let left = self.entries.values().filter(|entry| entry.record.id == item).count();
            if left <= OF_ONE_ITEM / 2
                && let Some(first) = self.parked.remove(&item)
            {
                // Read again from there on; what is in hand or parked is passed over.
                self.after = self.after.min(first - 1);
                self.exhausted = false;
            }
        }
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
