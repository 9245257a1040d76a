//! The embedded state of a daemon.
//!
//! # The model
//!
//! An *item* is what the daemon watches (an incident), named by its id. A *version* of it is named by a fingerprint. The store keeps
//! which versions were seen and which version of an item was last handed on; records that wait for their sinks (the outbox); where
//! reading left off, a cursor a mode; records that a sink refused for good (dead letters); items that could not be read
//! (the quarantine); and what each poll did (the history).
//!
//! [`Store::commit`] takes everything that one piece of reading brought as one [`Batch`], and either all of it is
//! durable when it returns or none of it is. So the cursor never runs ahead of what it stands for. A daemon that
//! opens a store for writing gets a [`Fence`] that is newer than all before it; a write under an older one is refused.
//! No transaction, connection or statement leaks out, so that an engine over a network can take this trait's place.
//!
//! [`SqliteStore`] is the engine in one file on a local disk. Its path is all that is to be configured.

mod error;
mod sqlite;
mod types;

pub use error::StoreError;
pub use sqlite::SqliteStore;
pub use types::{
    Backlog, Batch, CursorMove, DeadLetter, Fence, Handled, Known, Latest, Outgoing, PollNote, QuarantineNote,
    Quarantined, Queued, Refused, Resume, Seen, Settled, SinkBacklog, Version,
};

/// What a store's work gives.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The state of one daemon. All calls block; none holds anything when it returns.
pub trait Store: Send + Sync {
    /// Where reading left off, and what the daemon has to know when it begins.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn resume(&self) -> Result<Resume>;

    /// What is known of each of these versions and its item, in the same order.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn known(&self, versions: &[Version]) -> Result<Vec<Known>>;

    /// Makes all of a batch durable, or none of it. A record waits for each sink that [`Store::set_sinks`] named last.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when a newer daemon took over; [`StoreError::Failed`] for records when no sink was named, because
    /// nobody would take them; see [`StoreError`] for the others.
    fn commit(&self, batch: &Batch, fence: Fence) -> Result<()>;

    /// Names the sinks that every record committed from now on waits for. What waits for a sink that is not among
    /// them becomes dead letters, because nobody will take it; how many did is answered.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn set_sinks(&self, names: &[String], now: i64, fence: Fence) -> Result<u64>;

    /// What waits for a sink, oldest first, after a sequence number; at most so many records, and no more than one that
    /// goes beyond so many bytes.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn due(&self, sink: &str, after: i64, records: usize, bytes: usize) -> Result<Vec<Queued>>;

    /// The sequence numbers and idempotency keys of everything that waits for a sink, oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn due_keys(&self, sink: &str) -> Result<Vec<(i64, String)>>;

    /// Takes note, in one transaction, of what a sink took, of what it refused for good, and of the sink's own place. What
    /// does not wait for the sink, because it was settled before, is passed over.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when a newer daemon took over; see [`StoreError`] for the others.
    fn settle(&self, sink: &str, settled: &Settled, fence: Fence) -> Result<()>;

    /// The place that a sink last gave to [`Store::settle`].
    ///
    /// # Errors
    /// See [`StoreError`].
    fn place(&self, sink: &str) -> Result<Option<String>>;

    /// How much waits.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn backlog(&self) -> Result<Backlog>;

    /// Forgets versions and history entries from before these times (seconds since 1970). What still waits in the outbox is
    /// kept whatever its age, and items with their latest version are kept for good. Works in small pieces, and answers whether
    /// there is more; also a check of a large store, which its opening left to do, goes on here in pieces.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when a newer daemon took over; see [`StoreError`] for the others.
    fn prune(&self, seen_before: i64, history_before: i64, fence: Fence) -> Result<bool>;

    /// The newest history entries, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn history(&self, at_most: usize) -> Result<Vec<PollNote>>;

    /// The items that cannot be read, by id.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn quarantined(&self) -> Result<Vec<Quarantined>>;

    /// The dead letters, oldest first, after a number; of one sink if one is named.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn dead_letters(&self, sink: Option<&str>, after: i64, at_most: usize) -> Result<Vec<DeadLetter>>;

    /// Puts dead letters back into the outbox, behind everything that waits; answers how many there were. One whose sink is
    /// no longer configured stays, and is not counted. Needs no fence: a person may do so while a daemon runs.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn retry_dead_letters(&self, numbers: &[i64], now: i64) -> Result<u64>;

    /// Deletes dead letters; answers how many there were. Needs no fence.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn drop_dead_letters(&self, numbers: &[i64]) -> Result<u64>;
}
