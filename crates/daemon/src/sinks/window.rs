//! What a courier with lanes has in hand, and which of it may be sent next.
//!
//! Records of one item form a lane: only the first is ever sent, and the next one only when that is settled. Lanes do
//! not wait for each other, unless the sink as a whole seems to be down. Then one record at a time is tried, at growing
//! intervals, until the sink takes one. A lane whose record was not taken is put aside (`aside`) until that is due again.
//!
//! Some items may fail for ever while the sink is sound. So an item speaks for the sink only when it fails for the first
//! time, what was tried least goes first, and what failed before gets at most half of the time.
//!
//! No I/O and no clock of its own: the time is an argument.

use super::aside::{Aside, Due, Lane};
use super::backoff::{self, LONGEST_FINISHING, LONGEST_STATED, LONGEST_STATED_FINISHING, TRIES_FINISHING};
use sortie_store::{Queued, Refused, Settled};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The most that is in hand: records, bytes of what was not tried yet.
const RECORDS: usize = 256;
const BYTES: usize = 8 << 20;

/// The most of one item that is in hand, so that an item that waits long leaves room for the others.
const OF_ONE_ITEM: usize = 16;

/// So many items in a row whose first attempt fails mean that it is perhaps not the items.
const DOWN_AFTER: u32 = 3;

/// Up to so many items are tried, one shortly after the other, before it is believed that it is not the items.
const SUSPECTED: u32 = 20;

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
}

struct Entry {
    record: Arc<Queued>,
    state: State,
    attempts: u32,
    /// Attempts since the daemon is about to end.
    tries: u32,
    /// It was put aside, and read again.
    again: bool,
    /// The attempt under way is one that finds out whether the sink is back.
    probe: bool,
    /// When the attempt under way began.
    began: Option<Instant>,
}

/// What to read from the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want {
    /// After which number, at most so many records, and no more than one beyond so many bytes.
    pub(super) after: i64,
    pub(super) records: usize,
    pub(super) bytes: usize,
    /// It is the first record of a lane that was put aside.
    lane: Option<Due>,
}

/// What is in hand.
#[derive(Default)]
pub(super) struct Window {
    entries: BTreeMap<i64, Entry>,
    /// What is not, although it was read: what failed, and items with too many records.
    aside: Aside,
    /// Up to here the outbox was read.
    after: i64,
    /// Whether there was nothing behind that.
    exhausted: bool,
    /// What is to be settled.
    done: Settled,
    /// Failures in a row that may be the sink's: of items that never failed before, and all while it is down.
    failures: u32,
    /// Failures in a row, whatever they say.
    unbroken: u32,
    /// Failures in a row of probes.
    probes: u32,
    /// The sink as a whole takes nothing.
    down: bool,
    /// It is the sink itself that says so; else it may still be the items.
    certain: bool,
    /// Items in a row whose first attempt failed.
    suspects: u32,
    refusals: u32,
    /// Nothing is sent before: to spare a sink that is down.
    quiet_until: Option<Instant>,
    /// The same for what was never tried, while it may be the items.
    soon: Option<Instant>,
    /// Nothing is sent before: the sink asked for it.
    stated_until: Option<Instant>,
    /// What failed before is not tried before, while there is something else.
    others_until: Option<Instant>,
    finishing: bool,
    /// Probes of a sink that is down since the daemon is about to end.
    tries: u32,
    /// Nothing is sent any more in this run.
    given_up: bool,
}

impl Window {
    /// What to read next from the outbox, if something is needed and there is room.
    pub(super) fn wants(&mut self, now: Instant) -> Option<Want> {
        if self.given_up {
            return None;
        }
        if self.entries.is_empty() && self.aside.is_empty() {
            self.after = 0;
        }
        if let Some(due) = self.lane_due(now) {
            return Some(Want { after: due.1 - 1, records: 1, bytes: 1, lane: Some(due) });
        }
        let untried = self.entries.values().filter(|entry| entry.state == State::Waiting && !entry.again);
        let bytes: usize = untried.map(|entry| entry.record.record.len()).sum();
        let room = self.entries.len() <= RECORDS / 2 && bytes <= BYTES / 2;
        (room && !self.exhausted).then(|| Want {
            after: self.after,
            records: RECORDS - self.entries.len(),
            bytes: BYTES - bytes,
            lane: None,
        })
    }

    /// The lane put aside whose first record is to be read again now, one at a time.
    fn lane_due(&self, now: Instant) -> Option<Due> {
        let (due, lane) = self.aside.next()?;
        let read = self.entries.values().any(|entry| entry.again && entry.state == State::Waiting);
        if read || self.quiet().is_some_and(|until| until > now) {
            return None;
        }
        let wanted = if self.one_at_a_time() {
            !self.any(State::UnderWay) && self.heads().next().is_none()
        } else {
            due.0.is_none_or(|until| until <= now) && (lane.attempts == 0 || self.may_try_again(now))
        };
        wanted.then_some(due)
    }

    /// Takes what was read.
    pub(super) fn take(&mut self, want: Want, records: Vec<Queued>) {
        match want.lane {
            Some(due) => self.take_again(due, records),
            None => self.take_new(records),
        }
    }

    fn take_again(&mut self, due: Due, records: Vec<Queued>) {
        let Some(first) = self.aside.take(due) else { return };
        match records.into_iter().find(|record| record.sequence == first.sequence) {
            Some(record) => self.insert(record, first.attempts, first.tries, true),
            // It is not in the outbox any more.
            None => self.aside.left(&first.id),
        }
    }

    fn take_new(&mut self, records: Vec<Queued>) {
        self.exhausted = records.is_empty();
        let mut of_item: HashMap<String, usize> = HashMap::new();
        for entry in self.entries.values() {
            *of_item.entry(entry.record.id.clone()).or_default() += 1;
        }
        for record in records {
            let sequence = record.sequence;
            self.after = self.after.max(sequence);
            // What is aside stays so to its end, or the order would be lost.
            if self.entries.contains_key(&sequence) || self.aside.add(&record.id, sequence) {
                continue;
            }
            let count = of_item.entry(record.id.clone()).or_default();
            if *count >= OF_ONE_ITEM {
                self.aside.overflow(record.id, sequence);
                continue;
            }
            *count += 1;
            self.insert(record, 0, 0, false);
        }
    }

    fn insert(&mut self, record: Queued, attempts: u32, tries: u32, again: bool) {
        let (sequence, record, state) = (record.sequence, Arc::new(record), State::Waiting);
        self.entries.insert(sequence, Entry { record, state, attempts, tries, again, probe: false, began: None });
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
            self.given_up = true;
        }
        self.aside.hasten(|lane| lane.not_before.map(|until| until.min(latest)));
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
        let suspected = self.down && !self.certain && self.suspects <= SUSPECTED;
        let other = suspected && self.heads().any(|(_, entry)| entry.attempts == 0);
        if other { self.soon } else { self.quiet_until }.max(self.stated_until)
    }

    /// Whether the sink seems to take nothing at all.
    pub(super) fn is_troubled(&self) -> bool {
        self.one_at_a_time() || self.unbroken >= DOWN_AFTER
    }

    fn one_at_a_time(&self) -> bool {
        self.down || self.refusals >= DOUBTFUL_AFTER
    }

    /// Whether something that failed before may be tried. While something untried waits, that is so for one record at a
    /// time, and for no more than half of the time.
    fn may_try_again(&self, now: Instant) -> bool {
        let tried = |entry: &Entry| entry.state == State::UnderWay && entry.attempts > 1;
        let turn = self.others_until.is_none_or(|until| until <= now) && !self.entries.values().any(tried);
        turn || self.heads().all(|(_, entry)| entry.attempts > 0)
    }

    /// The record to send now, if there is one; it counts as under way from here on.
    pub(super) fn next(&mut self, now: Instant) -> Option<Arc<Queued>> {
        if self.given_up || self.quiet().is_some_and(|until| until > now) {
            return None;
        }
        let probe = self.one_at_a_time();
        if probe && self.any(State::UnderWay) {
            return None;
        }
        // The one that was tried least: an item that is never taken must not stand for the sink.
        let least = self.heads().min_by_key(|(sequence, entry)| (entry.attempts, *sequence)).map(|(least, _)| least)?;
        let again = self.heads().find(|(_, entry)| entry.attempts > 0).map(|(again, _)| again);
        let sequence = again.filter(|_| !probe && self.may_try_again(now)).unwrap_or(least);
        let entry = self.entries.get_mut(&sequence)?;
        entry.probe = probe;
        entry.began = Some(now);
        entry.state = State::UnderWay;
        entry.attempts += 1;
        Some(Arc::clone(&entry.record))
    }

    /// When [`Self::wants`] or [`Self::next`] may have something that they have not now, if only time has to pass for it.
    pub(super) fn wake(&self) -> Option<Instant> {
        let ready = self.heads().next().is_some();
        let lane = self.aside.next().map(|(due, _)| due.0);
        if self.given_up || (!ready && lane.is_none()) {
            return None;
        }
        if self.one_at_a_time() {
            return self.quiet().filter(|_| !self.any(State::UnderWay));
        }
        self.quiet().max(lane.flatten().filter(|_| !ready))
    }

    /// Whether nothing of what is in hand or aside will move without something new.
    pub(super) fn is_stuck(&self) -> bool {
        let waits = !self.given_up && (self.heads().next().is_some() || self.aside.next().is_some());
        !waits && !self.any(State::UnderWay) && !self.any(State::Done)
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

    /// The sink answers: what waits because it did not need not wait longer. What failed more than once may be what the sink
    /// cannot take, and keeps its own wait.
    fn healthy(&mut self) {
        if self.down {
            self.aside.hasten(|lane| lane.not_before.filter(|_| lane.attempts > 1));
        }
        (self.down, self.certain) = (false, false);
        self.quiet_until = None;
        (self.failures, self.suspects, self.unbroken, self.probes, self.tries) = (0, 0, 0, 0, 0);
    }

    fn fail(&mut self, sequence: i64, after: Option<Duration>, trouble: bool, now: Instant) {
        let Some(entry) = self.entries.remove(&sequence) else { return };
        let (probe, first) = (entry.probe, entry.attempts == 1);
        if first || trouble || self.down {
            self.failures = self.failures.saturating_add(1);
        }
        self.suspects = self.suspects.saturating_add(u32::from(first));
        self.unbroken = self.unbroken.saturating_add(1);
        self.probes = self.probes.saturating_add(u32::from(probe));
        self.down |= trouble || self.failures >= DOWN_AFTER;
        self.certain |= trouble || (self.down && after.is_some());
        if !first && !probe {
            self.others_until = entry.began.map(|began| now + now.saturating_duration_since(began));
        }

        let mut wait = backoff::wait(entry.attempts);
        if self.finishing {
            wait = wait.min(LONGEST_FINISHING);
        }
        let after = after.map(|after| after.min(LONGEST_STATED));
        let too_long = self.finishing && after.is_some_and(|after| after > LONGEST_STATED_FINISHING);
        let tries = entry.tries + u32::from(self.finishing);
        let mut given_up = tries >= TRIES_FINISHING;
        if let Some(after) = after {
            // What is said when something is tried again and again is perhaps said of that alone.
            if first || self.down {
                self.stated_until = self.stated_until.max(Some(now + after));
                self.given_up |= too_long;
            } else {
                wait = wait.max(after);
                given_up |= too_long;
            }
        }
        if self.down {
            // While it may be the items, others are tried soon.
            self.soon = Some(now + backoff::short());
            let tells = !first || self.certain || self.suspects > SUSPECTED;
            self.rest(now, backoff::wait(self.probes + 1), probe && tells);
        }
        self.put_aside(&entry, Lane { tries, given_up, not_before: Some(now + wait), ..Lane::default() });
    }

    /// Puts a record that failed and all behind it in its lane aside.
    fn put_aside(&mut self, entry: &Entry, mut lane: Lane) {
        let id = &entry.record.id;
        lane.attempts = entry.attempts;
        lane.sequences.push_back(entry.record.sequence);
        self.entries.retain(|sequence, other| {
            let behind = other.record.id == *id;
            if behind {
                lane.sequences.push_back(*sequence);
            }
            !behind
        });
        self.aside.put(id.clone(), lane);
    }

    /// Sends nothing for a while, unless that is so already for longer. While the daemon is about to end, a sink that
    /// has to be left alone again and again is given up.
    fn rest(&mut self, now: Instant, wait: Duration, probe: bool) {
        let wait = if self.finishing { wait.min(LONGEST_FINISHING) } else { wait };
        self.quiet_until = self.quiet_until.max(Some(now + wait));
        self.tries += u32::from(self.finishing && probe);
        self.given_up |= self.tries >= TRIES_FINISHING;
    }

    /// What is to be settled now, if there is something.
    pub(super) fn settle(&mut self) -> Option<Settled> {
        let some = !self.done.delivered.is_empty() || !self.done.refused.is_empty();
        some.then(|| std::mem::take(&mut self.done))
    }

    /// Lets go of what was settled.
    pub(super) fn settled(&mut self, settled: &Settled) {
        let refused = settled.refused.iter().map(|refused| refused.sequence);
        let mut items = HashSet::new();
        for sequence in settled.delivered.iter().copied().chain(refused) {
            items.extend(self.entries.remove(&sequence).map(|entry| entry.record.id.clone()));
        }
        if self.aside.is_empty() {
            return;
        }
        for entry in self.entries.values() {
            items.remove(&entry.record.id);
        }
        for item in items {
            self.aside.left(&item);
        }
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
