//! What goes in and out of a store. Times are seconds since 1970, by the clock of this machine.

/// One version of one item.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// The item's id.
    pub id: String,
    /// The version's fingerprint.
    pub fingerprint: String,
}

/// How far a version got when it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It was put into the outbox.
    Queued,
    /// It was seen, and not wanted by the filters of that time.
    PassedOver,
}

/// What is known of a version and its item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Whether this version was seen, and what became of it.
    pub version: Option<Handled>,
    /// When it was last noted as seen; 0 if never. What is met again long after is noted anew, or it would be forgotten.
    pub seen_at: i64,
    /// The version of the item that was last put into the outbox.
    pub latest: Option<Latest>,
}

/// The version of an item that was last put into the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// The item's id.
    pub id: String,
    /// The version's fingerprint.
    pub fingerprint: String,
    /// What the daemon compares the next version with; its own text.
    pub summary: String,
}

/// A version that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which.
    pub version: Version,
    /// What became of it. One that was queued once stays so.
    pub handled: Handled,
}

/// A record for the sinks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The item it is about; records of one item reach a sink in the order of their commits.
    pub id: String,
    /// The idempotency key. A key that is in the store's outbox already is not put there again.
    pub key: String,
    /// The type, such as `incident.created`.
    pub kind: String,
    /// The record itself, one JSON object in one line.
    pub record: String,
}

/// An item that could not be read as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineNote {
    /// Its id; empty where not even that could be read.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// An item in the quarantine.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantined {
    /// Its id; empty where not even that could be read.
    pub id: String,
    /// Why, as last seen.
    pub reason: String,
    /// When that was first seen.
    pub first_at: i64,
    /// When that was last seen.
    pub last_at: i64,
    /// How often that was seen.
    pub times: u64,
}

/// Where a mode's reading leaves off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorMove {
    /// The mode, such as `poll`.
    pub mode: String,
    /// The cursor; none where the mode begins anew.
    pub cursor: Option<String>,
    /// Whether a round of the mode was read to its end by this.
    pub round_ended: bool,
}

/// What a poll did: one entry of the history.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PollNote {
    /// The mode, such as `poll` or `sweep`.
    pub mode: String,
    /// When it began.
    pub began_at: i64,
    /// How long it took.
    pub milliseconds: u64,
    /// How many items were read.
    pub fetched: u64,
    /// How many of them were new, and put into the outbox.
    pub new: u64,
    /// How many of them were known and had changed, and were put into the outbox.
    pub changed: u64,
    /// How many of them were seen for the first time and passed over by the filters.
    pub passed_over: u64,
    /// How many items carry a note about what could not be read.
    pub quarantined: u64,
    /// How many deliveries the sinks acknowledged between this entry and the next one. Counted as they are settled.
    pub delivered: u64,
    /// How many calls it took.
    pub calls: u64,
    /// The error's kind and message, if it failed.
    pub error: Option<String>,
}

/// Everything that one piece of reading brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Now.
    pub now: i64,
    /// The versions seen.
    pub seen: Vec<Seen>,
    /// The items whose latest version changed.
    pub latest: Vec<Latest>,
    /// The records for the sinks, in their order.
    pub outgoing: Vec<Outgoing>,
    /// The items that could not be read.
    pub quarantine: Vec<QuarantineNote>,
    /// The ids of items that were read as they should be; they leave the quarantine.
    pub readable: Vec<String>,
    /// Items that were last found unreadable before this time leave the quarantine.
    pub quarantine_before: Option<i64>,
    /// The cursor's move, at the end of a step.
    pub cursor: Option<CursorMove>,
    /// The history's entry, at the end of a step.
    pub poll: Option<PollNote>,
}

/// Where reading left off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// Each mode's cursor, if it has one: mode, cursor.
    pub cursors: Vec<(String, String)>,
    /// When a round of each mode last ended: mode, time.
    pub rounds: Vec<(String, i64)>,
}

/// Which daemon writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence(pub(crate) i64);

impl Fence {
    /// The fence of this number, for engines other than this crate's.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }
}

/// A record that waits for a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Its number, in the order of commits.
    pub sequence: i64,
    /// The item it is about.
    pub id: String,
    /// The idempotency key.
    pub key: String,
    /// The type.
    pub kind: String,
    /// The record itself.
    pub record: String,
}

/// What became of records at a sink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Now.
    pub now: i64,
    /// The sequence numbers of what it took.
    pub delivered: Vec<i64>,
    /// What it refused for good; they become dead letters.
    pub refused: Vec<Refused>,
    /// The sink's own place, if it changed: what it has to know when it begins again.
    pub place: Option<String>,
}

/// A record that a sink refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The record's number.
    pub sequence: i64,
    /// Why.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
}

/// A record that a sink refused for good.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Its number among the dead letters.
    pub number: i64,
    /// The sink.
    pub sink: String,
    /// The item it is about.
    pub id: String,
    /// The idempotency key.
    #[serde(rename = "idempotencyKey")]
    pub key: String,
    /// The type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Why.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up.
    pub at: i64,
    /// The record itself.
    #[serde(skip)]
    pub record: String,
}

/// How much waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Records that wait for at least one sink.
    pub records: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Each sink's share, by name.
    pub sinks: Vec<SinkBacklog>,
    /// Dead letters.
    pub dead_letters: u64,
    /// Items in the quarantine.
    pub quarantined: u64,
}

/// What waits for one sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkBacklog {
    /// Its name.
    pub name: String,
    /// Records.
    pub records: u64,
    /// When the oldest of them was committed.
    pub oldest_at: Option<i64>,
}
