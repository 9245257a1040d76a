//! What a store should hold, as plain maps.
#![allow(unreachable_pub, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use sortie_store::{
    Backlog, Batch, DeadLetter, Handled, Known, Latest, Outgoing, PollNote, Quarantined, Queued, Resume, Settled,
    SinkBacklog, Version,
};

struct Waiting {
    outgoing: Outgoing,
    at: i64,
    sinks: BTreeSet<String>,
}

#[derive(Default)]
pub struct Model {
    seen: BTreeMap<(String, String), (Handled, i64)>,
    items: BTreeMap<String, Latest>,
    cursors: BTreeMap<String, (Option<String>, Option<i64>)>,
    outbox: BTreeMap<i64, Waiting>,
    letters: BTreeMap<i64, DeadLetter>,
    quarantine: BTreeMap<String, Quarantined>,
    polls: Vec<PollNote>,
    /// Deliveries before the first entry of the history.
    untold: u64,
    /// Every sink there ever was, in the order in which they came: name, whether it is configured, its place.
    sinks: Vec<(String, bool, Option<String>)>,
    sequence: i64,
    number: i64,
}

impl Model {
    pub fn commit(&mut self, batch: &Batch) {
        for seen in &batch.seen {
            let key = (seen.version.id.clone(), seen.version.fingerprint.clone());
            let queued = self.seen.get(&key).is_some_and(|(handled, _)| *handled == Handled::Queued);
            self.seen.insert(key, (if queued { Handled::Queued } else { seen.handled }, batch.now));
        }
        for latest in &batch.latest {
            self.items.insert(latest.id.clone(), latest.clone());
        }
        for outgoing in &batch.outgoing {
            if !self.outbox.values().any(|waiting| waiting.outgoing.key == outgoing.key) {
                let sinks = self.sinks.iter().filter(|sink| sink.1).map(|sink| sink.0.clone()).collect();
                self.enqueue(outgoing.clone(), batch.now, sinks);
            }
        }
        for id in &batch.readable {
            if !batch.quarantine.iter().any(|note| note.id == *id) {
                self.quarantine.remove(id);
            }
        }
        for note in &batch.quarantine {
            let held = self.quarantine.entry(note.id.clone()).or_insert_with(|| Quarantined {
                id: note.id.clone(),
                reason: String::new(),
                first_at: batch.now,
                last_at: 0,
                times: 0,
            });
            held.reason = note.reason.clone();
            held.last_at = batch.now;
            held.times += 1;
        }
        if let Some(moved) = &batch.cursor {
            let cursor = self.cursors.entry(moved.mode.clone()).or_default();
            cursor.0 = moved.cursor.clone();
            if moved.round_ended {
                cursor.1 = Some(batch.now);
            }
        }
        if let Some(mut poll) = batch.poll.clone() {
            poll.delivered += std::mem::take(&mut self.untold);
            self.polls.push(poll);
        }
    }

    fn enqueue(&mut self, outgoing: Outgoing, at: i64, sinks: BTreeSet<String>) {
        self.sequence += 1;
        self.outbox.insert(self.sequence, Waiting { outgoing, at, sinks });
    }

    pub fn settle(&mut self, sink: &str, settled: &Settled) {
        let delivered = settled.delivered.iter().filter(|sequence| self.take(sink, **sequence).is_some()).count();
        match self.polls.last_mut() {
            Some(poll) => poll.delivered += delivered as u64,
            None => self.untold += delivered as u64,
        }
        for refused in &settled.refused {
            if let Some(outgoing) = self.take(sink, refused.sequence) {
                self.bury(sink, outgoing, &refused.reason, refused.attempts, settled.now);
            }
        }
        if settled.place.is_some()
            && let Some(known) = self.sinks.iter_mut().find(|known| known.0 == sink)
        {
            known.2 = settled.place.clone();
        }
    }

    fn take(&mut self, sink: &str, sequence: i64) -> Option<Outgoing> {
        let waiting = self.outbox.get_mut(&sequence)?;
        let taken = waiting.sinks.remove(sink).then(|| waiting.outgoing.clone());
        if waiting.sinks.is_empty() {
            self.outbox.remove(&sequence);
        }
        taken
    }

    fn bury(&mut self, sink: &str, outgoing: Outgoing, reason: &str, attempts: u32, at: i64) {
        self.number += 1;
        let Outgoing { id, key, kind, record } = outgoing;
        let (number, sink, reason) = (self.number, sink.to_owned(), reason.to_owned());
        self.letters.insert(number, DeadLetter { number, sink, id, key, kind, reason, attempts, at, record });
    }

    pub fn set_sinks(&mut self, names: &[String], now: i64) -> u64 {
        for sink in &mut self.sinks {
            sink.1 = names.contains(&sink.0);
        }
        for name in names {
            if !self.sinks.iter().any(|sink| sink.0 == *name) {
                self.sinks.push((name.clone(), true, None));
            }
        }
        let gone: Vec<String> = self.sinks.iter().filter(|sink| !sink.1).map(|sink| sink.0.clone()).collect();
        let mut buried = 0;
        for sink in gone {
            for sequence in self.sequences(&sink) {
                let outgoing = self.take(&sink, sequence).unwrap();
                self.bury(&sink, outgoing, "the sink is no longer configured", 0, now);
                buried += 1;
            }
        }
        buried
    }

    pub fn retry(&mut self, numbers: &[i64], now: i64) -> u64 {
        let mut put_back = 0;
        for number in numbers {
            let Some(letter) = self.letters.get(number) else { continue };
            if !self.sinks.iter().any(|sink| sink.1 && sink.0 == letter.sink) {
                continue;
            }
            let DeadLetter { sink, id, key, kind, record, .. } = self.letters.remove(number).unwrap();
            self.enqueue(Outgoing { id, key, kind, record }, now, BTreeSet::from([sink]));
            put_back += 1;
        }
        put_back
    }

    pub fn drop_letters(&mut self, numbers: &[i64]) -> u64 {
        numbers.iter().filter(|number| self.letters.remove(number).is_some()).count() as u64
    }

    pub fn prune(&mut self, seen_before: i64, history_before: i64) {
        self.seen.retain(|_, seen| seen.1 >= seen_before);
        self.quarantine.retain(|_, held| held.last_at >= seen_before);
        self.polls.retain(|poll| poll.began_at >= history_before);
    }

    pub fn sequences(&self, sink: &str) -> Vec<i64> {
        self.outbox.iter().filter(|(_, waiting)| waiting.sinks.contains(sink)).map(|(sequence, _)| *sequence).collect()
    }

    pub fn due(&self, sink: &str) -> Vec<Queued> {
        self.sequences(sink)
            .into_iter()
            .map(|sequence| {
                let Outgoing { id, key, kind, record } = self.outbox[&sequence].outgoing.clone();
                Queued { sequence, id, key, kind, record }
            })
            .collect()
    }

    pub fn known(&self, version: &Version) -> Known {
        let key = (version.id.clone(), version.fingerprint.clone());
        let seen = self.seen.get(&key);
        Known {
            version: seen.map(|seen| seen.0),
            seen_at: seen.map_or(0, |seen| seen.1),
            latest: self.items.get(&version.id).cloned(),
        }
    }

    pub fn backlog(&self) -> Backlog {
        let sinks = self.sinks.iter().filter(|sink| sink.1).map(|sink| {
            let sequences = self.sequences(&sink.0);
            let oldest_at = sequences.first().map(|sequence| self.outbox[sequence].at);
            SinkBacklog { name: sink.0.clone(), records: sequences.len() as u64, oldest_at }
        });
        Backlog {
            records: self.outbox.len() as u64,
            bytes: self.outbox.values().map(|waiting| waiting.outgoing.record.len() as u64).sum(),
            sinks: sinks.collect(),
            dead_letters: self.letters.len() as u64,
            quarantined: self.quarantine.len() as u64,
        }
    }

    pub fn resume(&self) -> Resume {
        let mut resume = Resume::default();
        for (mode, (cursor, round)) in &self.cursors {
            resume.cursors.extend(cursor.clone().map(|cursor| (mode.clone(), cursor)));
            resume.rounds.extend(round.map(|round| (mode.clone(), round)));
        }
        resume
    }

    pub fn history(&self) -> Vec<PollNote> {
        self.polls.iter().rev().cloned().collect()
    }

    pub fn quarantined(&self) -> Vec<Quarantined> {
        self.quarantine.values().cloned().collect()
    }

    pub fn letters(&self) -> Vec<DeadLetter> {
        self.letters.values().cloned().collect()
    }

    pub fn place(&self, sink: &str) -> Option<String> {
        self.sinks.iter().find(|known| known.0 == sink).and_then(|known| known.2.clone())
    }
}
