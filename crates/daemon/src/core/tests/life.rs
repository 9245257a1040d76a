//! One life: a tenant, a daemon and everything that goes wrong between them.

use super::memory::Memory;
use super::tenant::{Chance, OVERLAP, Tenant, instant};
use super::*;
use sortie_store::{Known, Version};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What is broken on purpose, to see whether it is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Nothing,
    /// The store forgets what was seen.
    Deduplication,
    /// Nothing sweeps. Where alerts never change without their incident, polls alone find everything.
    Sweep,
    /// Polls read back by nothing, and nothing sweeps.
    Overlap,
    /// The outbox loses records.
    Outbox,
}

impl Broken {
    fn nothing_sweeps(self) -> bool {
        matches!(self, Self::Sweep | Self::Overlap)
    }
}

pub(super) struct Life {
    chance: Chance,
    broken: Broken,
    tenant: Tenant,
    store: Memory,
    moment: Moment,
    /// When the daemon that lives now began.
    born: Moment,
    faults: bool,
}

/// How a daemon's life ended.
#[derive(PartialEq)]
enum Ended {
    Died,
    Quiet,
}

impl Life {
    pub(super) fn new(seed: u64, broken: Broken) -> Self {
        let store = Memory::new(broken == Broken::Deduplication, (broken == Broken::Outbox).then_some(7));
        let tenant = Tenant::new(200_000, broken.nothing_sweeps());
        Self { chance: Chance(seed), broken, tenant, store, moment: 0, born: 0, faults: true }
    }

    /// Lives, and answers what the oracle finds wrong.
    pub(super) fn run(mut self) -> Vec<String> {
        for _ in 0..self.chance.below(12) {
            self.tenant.change(&mut self.chance);
        }
        for _ in 0..4 {
            let turns = 20 + self.chance.below(40);
            let _ = self.daemon(turns);
        }
        self.faults = false;
        // What was to come late is there now, and one more sweep is due.
        self.pass(700);
        self.pass(3_700);
        let quiet = self.daemon(400) == Ended::Quiet;
        let mut wrong = self.oracle();
        if !quiet {
            wrong.push("the daemon never came to rest".to_owned());
        }
        wrong
    }

    fn pass(&mut self, seconds: u64) {
        self.moment += seconds * 1000;
        self.tenant.now += i64::try_from(seconds).unwrap_or(0);
    }

    fn when(&self) -> When {
        When { moment: self.moment - self.born, now: self.tenant.now, server_now: instant(self.tenant.now) }
    }

    /// One process: from what the store remembers to its death, or until nothing more is due.
    fn daemon(&mut self, turns: u64) -> Ended {
        self.born = self.moment;
        let sweep = if self.broken.nothing_sweeps() { 1 << 40 } else { 3_600 };
        let policy = Policy {
            interval: Duration::from_secs(30),
            sweep_interval: Duration::from_secs(sweep),
            retention: Duration::from_secs(1 << 30),
            once: !self.faults,
        };
        let mut resume = self.store.resume();
        if self.broken.nothing_sweeps() {
            resume.rounds.push(("sweep".to_owned(), self.tenant.now));
        }
        let mut state = State::new("contoso", policy, self.chance.next(), &resume, self.tenant.now, false);
        let mut events = VecDeque::from([Event::Tick]);
        for _ in 0..turns {
            let Some(mut event) = events.pop_front() else { return Ended::Died };
            if let Event::Records(looked) | Event::Ended(looked, _) = &mut event {
                self.look_up(looked);
            }
            let (next, effects) = step(state, event, self.when());
            state = next;
            for effect in effects {
                // Death between any two effects.
                if self.faults && self.chance.one_in(60) {
                    return Ended::Died;
                }
                match effect {
                    Effect::Commit(batch) => events.push_front(self.commit(&batch)),
                    Effect::Read { mode, cursor, .. } => events.extend(self.read(mode, cursor.as_deref())),
                    Effect::Wait(until) => events.push_back(self.wait(until)),
                    // Everything that the step still had to say is said to nobody.
                    Effect::Abandon => events.clear(),
                    Effect::Finish => return Ended::Quiet,
                }
            }
        }
        Ended::Died
    }

    /// What is known when a piece is decided about, and not before.
    fn look_up(&self, looked: &mut [Looked]) {
        for one in looked {
            if let (Some(id), Some(fingerprint)) = (&one.record.id, &one.record.fingerprint) {
                one.known = self.store.known(&Version { id: id.clone(), fingerprint: fingerprint.clone() });
            }
        }
    }

    fn commit(&mut self, batch: &Batch) -> Event {
        if self.faults && self.chance.one_in(15) {
            return Event::NotCommitted(Trouble::default());
        }
        self.store.commit(batch);
        Event::Committed
    }

    /// What one step of the action reports.
    fn read(&mut self, mode: Mode, cursor: Option<&str>) -> Vec<Event> {
        let overlap = if self.broken == Broken::Overlap { 0 } else { OVERLAP };
        let (mut records, cursor) = self.tenant.read(mode, cursor, overlap, &mut self.chance, self.faults);
        let fails = self.faults && self.chance.one_in(6);
        if fails {
            records.truncate(usize::try_from(self.chance.below(records.len() as u64 + 1)).unwrap_or(0));
        }
        let read = records.len() as u64;
        let looked = records.into_iter().map(|record| Looked { record, known: Known::default() });
        let size = 1 + usize::try_from(self.chance.below(5)).unwrap_or(0);
        let mut pieces: VecDeque<Vec<Looked>> = VecDeque::new();
        for one in looked {
            match pieces.back_mut() {
                Some(piece) if piece.len() < size => piece.push(one),
                _ => pieces.push_back(vec![one]),
            }
        }
        let last = pieces.pop_back().unwrap_or_default();
        let mut events: Vec<Event> = Vec::new();
        for piece in pieces {
            events.push(Event::Records(piece));
        }
        events.push(if fails {
            Event::Failed(Trouble::default())
        } else {
            Event::Ended(last, End { cursor, more: false, read, calls: 1 })
        });
        events
    }

    /// The tenant goes on while the daemon waits.
    fn wait(&mut self, until: Option<Moment>) -> Event {
        let ends = until.map_or(self.moment + 1_000, |until| self.born + until);
        let seconds = ends.saturating_sub(self.moment).div_ceil(1000).max(1);
        self.pass(seconds);
        if self.faults {
            for _ in 0..self.chance.below(3) {
                self.tenant.change(&mut self.chance);
            }
            if self.chance.one_in(12) {
                return Event::Room(self.chance.one_in(2));
            }
            if until.is_none() {
                return Event::Room(true);
            }
        }
        Event::Tick
    }

    /// What is wrong with what was delivered.
    fn oracle(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut delivered: BTreeMap<u64, Vec<(String, String)>> = BTreeMap::new();
        let mut keys = BTreeSet::new();
        for record in &self.store.outbox {
            if !keys.insert(&record.key) {
                wrong.push(format!("{} was delivered twice", record.key));
            }
            let id = record.id.parse().unwrap_or(0);
            let fingerprint = record.key.rsplit('/').next().unwrap_or_default().to_owned();
            delivered.entry(id).or_default().push((record.kind.clone(), fingerprint));
        }
        for (id, all) in &delivered {
            let issued = self.tenant.incidents.get(id).map(Vec::as_slice).unwrap_or_default();
            let mut before = None;
            for (at, (kind, fingerprint)) in all.iter().enumerate() {
                let Some(version) = issued.iter().position(|version| version.fingerprint() == *fingerprint) else {
                    wrong.push(format!("{id}: {fingerprint} was never issued"));
                    continue;
                };
                if (kind == "incident.created") != (at == 0) {
                    wrong.push(format!("{id}: delivery {at} is {kind}"));
                }
                let time = issued[version].time;
                if before.is_some_and(|before| before > time) {
                    wrong.push(format!("{id}: {fingerprint} came after a newer version"));
                }
                before = Some(time);
            }
        }
        for (id, issued) in &self.tenant.incidents {
            let Some(last) = issued.last().filter(|last| last.matched) else { continue };
            let fingerprint = last.fingerprint();
            if !delivered.get(id).is_some_and(|all| all.iter().any(|(_, got)| *got == fingerprint)) {
                wrong.push(format!("{id}: its final version {fingerprint} was never delivered"));
            }
        }
        wrong
    }
}
