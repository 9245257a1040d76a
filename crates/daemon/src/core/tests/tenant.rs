//! A tenant and a daemon action in memory: incidents that change, and steps that read them as the action does.

use super::Mode;
use crate::record::Record;
use jiff::Timestamp;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// How far a poll reads back, and within which what comes late is still found by one.
pub(super) const OVERLAP: i64 = 600;

/// What a sweep reads, and the first poll.
const LOOK_BACK: i64 = 86_400;

/// Chance from a seed (splitmix64).
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// True in one of so many cases.
    pub(super) fn one_in(&mut self, cases: u64) -> bool {
        self.below(cases) == 0
    }
}

/// One version of an incident.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Issued {
    pub(super) time: i64,
    /// Distinguishes versions of one time: alerts that changed without their incident.
    pub(super) content: u64,
    pub(super) resolved: bool,
    pub(super) merged: Option<u64>,
    pub(super) matched: bool,
    /// When the service begins to show it.
    shown: i64,
}

impl Issued {
    pub(super) fn fingerprint(&self) -> String {
        format!("{}-{}", self.time, self.content)
    }
}

#[derive(Default)]
pub(super) struct Tenant {
    pub(super) now: i64,
    contents: u64,
    /// Alerts never change without their incident.
    tells_all: bool,
    /// Every version of every incident, oldest first.
    pub(super) incidents: BTreeMap<u64, Vec<Issued>>,
}

impl Tenant {
    pub(super) fn new(now: i64, tells_all: bool) -> Self {
        Self { now, tells_all, ..Self::default() }
    }

    /// Something happens. What comes late comes within the overlap.
    pub(super) fn change(&mut self, chance: &mut Chance) {
        self.contents += 1;
        let known = self.incidents.len() as u64;
        let late = if chance.one_in(5) { 60 + i64::try_from(chance.below(500)).unwrap_or(0) } else { 0 };
        let mut version = Issued {
            // Often several at the same instant.
            time: self.now - self.now % 7,
            content: self.contents,
            resolved: false,
            merged: None,
            matched: !chance.one_in(6),
            shown: self.now + late,
        };
        if known == 0 || chance.one_in(3) {
            self.incidents.insert(1001 + known, vec![version]);
            return;
        }
        let id = 1001 + chance.below(known);
        let Some(versions) = self.incidents.get_mut(&id) else { return };
        let Some(before) = versions.last().cloned() else { return };
        version.matched = before.matched || version.matched;
        version.time = version.time.max(before.time + 1);
        version.shown = version.shown.max(before.shown).max(version.time);
        version.resolved = before.resolved || chance.one_in(4);
        version.merged = before.merged;
        if known > 1 && before.merged.is_none() && chance.one_in(8) {
            version.merged = Some(1001 + (id - 1001 + 1) % known);
        }
        if chance.one_in(6) && !self.tells_all {
            // An alert changed, and the incident does not tell.
            version = Issued { content: version.content, shown: version.shown, ..before };
        }
        versions.push(version);
    }

    /// What the service shows of an incident; sometimes what it showed a moment ago.
    fn shown(&self, versions: &[Issued], stale: bool) -> Option<Issued> {
        let mut shown: Vec<&Issued> = versions.iter().filter(|version| version.shown <= self.now).collect();
        let fresh = shown.last().is_some_and(|version| self.now - version.shown.max(version.time) < 300);
        if stale && fresh && shown.len() > 1 {
            shown.pop();
        }
        shown.last().map(|version| (*version).clone())
    }

    /// One step of the action: its records, and how it ends.
    pub(super) fn read(
        &self,
        mode: Mode,
        cursor: Option<&str>,
        overlap: i64,
        chance: &mut Chance,
        faults: bool,
    ) -> (Vec<Record>, Option<String>) {
        let watermark = cursor.and_then(|cursor| cursor.parse::<i64>().ok()).filter(|_| mode == Mode::Poll);
        let from = watermark.map_or(self.now - LOOK_BACK, |watermark| watermark - overlap);
        let mut records = Vec::new();
        let mut highest = watermark.unwrap_or(from);
        for (id, versions) in &self.incidents {
            let stale = faults && chance.one_in(20);
            let Some(version) = self.shown(versions, stale).filter(|version| version.time >= from) else { continue };
            highest = highest.max(version.time.min(self.now));
            records.push(record(*id, &version));
            if faults && chance.one_in(10) {
                records.push(record(*id, &version));
            }
        }
        for at in (1..records.len()).rev() {
            let other = usize::try_from(chance.below(at as u64 + 1)).unwrap_or(0);
            records.swap(at, other);
        }
        (records, (mode == Mode::Poll).then(|| highest.to_string()))
    }
}

pub(super) fn instant(time: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + time).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn record(id: u64, version: &Issued) -> Record {
    let raw = |json: &str| RawValue::from_string(json.to_owned()).ok();
    Record {
        resource: "incident".to_owned(),
        id: Some(id.to_string()),
        time: Some(instant(version.time).to_string()),
        fingerprint: Some(version.fingerprint()),
        state: Some(if version.resolved { "resolved" } else { "active" }.to_owned()),
        merged_into: version.merged.map(|id| id.to_string()),
        matched: version.matched,
        quarantine: None,
        watched: raw(if version.resolved { r#"{"status":"resolved"}"# } else { r#"{"status":"active"}"# }),
        body: raw("{}"),
    }
}
