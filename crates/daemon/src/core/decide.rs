//! What is news: each record against what is known of its item.
//!
//! A version is news when it was never seen, or was seen and passed over by filters that want it now. Not delivered all the same is
//! a version that is older than the one last delivered (a stale answer, unless a sweep finds it long after), and one
//! that could only be read in part when all of it was delivered already.

use crate::event::{self, Change, Summary};
use crate::record::Record;
use jiff::{SignedDuration, Timestamp};
use sortie_store::{Batch, Handled, Known, Latest, Outgoing, QuarantineNote, Seen, Version};
use std::collections::{HashMap, HashSet};

use super::Mode;

/// How far ahead of the service's clock a date may be before it counts as no date: clocks differ a little, the year 9999 is wrong.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// How long after a version its service shows it everywhere: an older one that is still found then is no stale answer.
const CONVERGED: SignedDuration = SignedDuration::from_mins(15);

/// A record, and what the store knows of it.
#[derive(Debug)]
pub struct Looked {
    /// The record.
    pub record: Record,
    /// What is known of its version and item.
    pub known: Known,
}

/// What was decided about some records, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records looked at.
    pub records: u64,
    /// Put into the outbox for the first time.
    pub new: u64,
    /// Put into the outbox again, for they changed.
    pub changed: u64,
    /// Seen for the first time and passed over by the filters.
    pub passed_over: u64,
    /// Carried a note about what could not be read.
    pub quarantined: u64,
    /// Held back because a newer version was delivered.
    pub stale: u64,
    /// The newest date among what was put into the outbox.
    pub newest: Option<Timestamp>,
}

impl Tally {
    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.new += other.new;
        self.changed += other.changed;
        self.passed_over += other.passed_over;
        self.quarantined += other.quarantined;
        self.stale += other.stale;
        self.newest = self.newest.max(other.newest);
    }
}

/// What does not change while records are decided about.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// Names the tenant in keys.
    pub tenant: &'a str,
    /// What is being read.
    pub mode: Mode,
    /// The service's time, as far as it is known.
    pub server_now: Timestamp,
    /// The same, in seconds since 1970.
    pub now: i64,
    /// A version that was last noted before is noted anew, so that it is not forgotten while the service still shows it.
    pub renew_before: i64,
}

/// Decides about some records, as one batch.
pub fn decide(ground: Ground<'_>, mut looked: Vec<Looked>) -> (Batch, Tally) {
    let mut deciding = Deciding {
        ground,
        batch: Batch { now: ground.now, ..Batch::default() },
        tally: Tally::default(),
        latest: HashMap::new(),
        queued: HashSet::new(),
        in_doubt: HashSet::new(),
    };
    // The service's order says nothing; ours is by date, so that versions of one item come in theirs.
    looked.sort_by_cached_key(|looked| deciding.date(&looked.record).unwrap_or(ground.server_now));
    for Looked { record, known } in looked {
        deciding.take(&record, known);
    }
    deciding.done()
}

struct Deciding<'a> {
    ground: Ground<'a>,
    batch: Batch,
    tally: Tally,
    /// What was decided about items within this batch, and stands over what the store knows.
    latest: HashMap<String, (String, Summary)>,
    queued: HashSet<Version>,
    /// Items that a later record of this batch could not read.
    in_doubt: HashSet<String>,
}

impl Deciding<'_> {
    /// The date by which versions of an item are ordered; none where the service's lies in the future, or is none.
    fn date(&self, record: &Record) -> Option<Timestamp> {
        let told = record.time.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
        let latest = self.ground.server_now.checked_add(AHEAD).unwrap_or(Timestamp::MAX);
        told.filter(|told| *told <= latest)
    }

    fn take(&mut self, record: &Record, known: Known) {
        self.tally.records += 1;
        if let Some(note) = &record.quarantine {
            self.tally.quarantined += 1;
            let id = record.id.clone().unwrap_or_default();
            self.in_doubt.insert(id.clone());
            self.batch.quarantine.push(QuarantineNote { id, reason: note.reason.clone() });
        }
        let (Some(id), Some(fingerprint)) = (&record.id, &record.fingerprint) else { return };
        if record.quarantine.is_none() {
            self.batch.readable.push(id.clone());
        }
        let version = Version { id: id.clone(), fingerprint: fingerprint.clone() };
        // A version that was forgotten is still known as its item's latest.
        let latest = known.latest.as_ref().is_some_and(|latest| latest.fingerprint == version.fingerprint);
        let known_as = if latest { Some(Handled::Queued) } else { known.version };
        if let Some(handled) = known_as.filter(|_| known.seen_at < self.ground.renew_before) {
            self.batch.seen.push(Seen { version: version.clone(), handled });
        }
        if known_as == Some(Handled::Queued) || self.queued.contains(&version) {
            return;
        }
        let previous = match self.latest.get(id) {
            Some((_, summary)) => Some(summary.clone()),
            // A summary that cannot be read still says that the item was delivered.
            None => known.latest.as_ref().map(|latest| serde_json::from_str(&latest.summary).unwrap_or_default()),
        };
        if !record.matched {
            if known.version.is_none() {
                self.tally.passed_over += 1;
                self.batch.seen.push(Seen { version, handled: Handled::PassedOver });
            }
            return;
        }
        // Without a date it counts as newer than what was delivered: what seems to lie in the future may be this machine's clock.
        let now = self.ground.server_now;
        let date =
            self.date(record).unwrap_or_else(|| previous.as_ref().map_or(now, |previous| now.max(previous.time)));
        if let Some(previous) = &previous {
            let converged = self.ground.server_now.duration_since(previous.time) > CONVERGED;
            if date < previous.time && !(self.ground.mode == Mode::Sweep && converged) {
                // Not taken for seen either: if it is no stale answer, a later sweep will find it too.
                self.tally.stale += 1;
                return;
            }
            if record.quarantine.is_some() && date <= previous.time {
                return;
            }
        }
        self.queue(record, version, previous.as_ref(), date);
    }

    fn queue(&mut self, record: &Record, version: Version, previous: Option<&Summary>, date: Timestamp) {
        let summary = Summary::after(previous, record, date);
        let (change, changes) = match previous {
            None => (Change::Created, serde_json::Map::new()),
            Some(previous) => (previous.change(record), previous.changes(&summary)),
        };
        let key = event::key(self.ground.tenant, &version.id, &version.fingerprint);
        let Ok(line) = event::line(self.ground.tenant, &key, change, &changes, record) else { return };
        match change {
            Change::Created => self.tally.new += 1,
            _ => self.tally.changed += 1,
        }
        self.tally.newest = self.tally.newest.max(Some(date));
        self.batch.outgoing.push(Outgoing {
            id: version.id.clone(),
            key,
            kind: format!("{}.{}", record.resource, change.name()),
            record: line,
        });
        self.batch.seen.push(Seen { version: version.clone(), handled: Handled::Queued });
        self.latest.insert(version.id.clone(), (version.fingerprint.clone(), summary));
        self.queued.insert(version);
    }

    fn done(mut self) -> (Batch, Tally) {
        for (id, (fingerprint, summary)) in self.latest {
            // A summary is a plain object of texts and values: it has a JSON form.
            let summary = serde_json::to_string(&summary).unwrap_or_default();
            self.batch.latest.push(Latest { id, fingerprint, summary });
        }
        self.batch.latest.sort_by(|one, other| one.id.cmp(&other.id));
        let in_doubt = self.in_doubt;
        self.batch.readable.retain(|id| !in_doubt.contains(id));
        (self.batch, self.tally)
    }
}
