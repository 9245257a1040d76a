//! What the tests of the store share.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::path::PathBuf;

use sortie_store::{
    Batch, CursorMove, Fence, Handled, Latest, Outgoing, PollNote, QuarantineNote, Seen, Settled, SqliteStore, Store,
    Version,
};

pub const OWNER: &str = "incidents-daemon@00000000-0000-0000-0000-00000000000a";

/// A folder of its own, and the path of a store in it.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub path: PathBuf,
}

/// A folder in memory where the system has such, because these tests would mostly wait for syncs.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub fn place() -> Place {
    let folder = folder();
    let path = folder.path().join("state").join("contoso.db");
    Place { folder, path }
}

impl Place {
    pub fn open(&self) -> (SqliteStore, Fence) {
        SqliteStore::open(&self.path, OWNER).unwrap()
    }

    /// Opened, with sinks.
    pub fn with_sinks(&self, names: &[&str]) -> (SqliteStore, Fence) {
        let (store, fence) = self.open();
        store.set_sinks(&strings(names), 1, fence).unwrap();
        (store, fence)
    }
}

pub fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub fn version(id: &str, fingerprint: &str) -> Version {
    Version { id: id.to_owned(), fingerprint: fingerprint.to_owned() }
}

pub fn outgoing(id: &str, fingerprint: &str) -> Outgoing {
    Outgoing {
        id: id.to_owned(),
        key: format!("t/{id}/{fingerprint}"),
        kind: "incident.created".to_owned(),
        record: format!("{{\"id\":\"{id}\",\"fingerprint\":\"{fingerprint}\"}}"),
    }
}

/// Everything one new version brings.
pub fn news(now: i64, id: &str, fingerprint: &str) -> Batch {
    Batch {
        now,
        seen: vec![Seen { version: version(id, fingerprint), handled: Handled::Queued }],
        latest: vec![Latest {
            id: id.to_owned(),
            fingerprint: fingerprint.to_owned(),
            summary: format!("{{\"status\":\"active\",\"of\":\"{fingerprint}\"}}"),
        }],
        outgoing: vec![outgoing(id, fingerprint)],
        ..Batch::default()
    }
}

/// The end of a step: a cursor and an entry of the history.
pub fn step_end(now: i64, cursor: &str) -> Batch {
    Batch {
        now,
        cursor: Some(CursorMove { mode: "poll".to_owned(), cursor: Some(cursor.to_owned()), round_ended: true }),
        poll: Some(PollNote { mode: "poll".to_owned(), began_at: now, fetched: 3, calls: 1, ..PollNote::default() }),
        ..Batch::default()
    }
}

pub fn note(id: &str, reason: &str) -> QuarantineNote {
    QuarantineNote { id: id.to_owned(), reason: reason.to_owned() }
}

pub fn delivered(now: i64, sequences: &[i64]) -> Settled {
    Settled { now, delivered: sequences.to_vec(), ..Settled::default() }
}

/// The sequence numbers that wait for a sink.
pub fn waiting(store: &SqliteStore, sink: &str) -> Vec<i64> {
    store.due(sink, 0, usize::MAX, usize::MAX).unwrap().into_iter().map(|queued| queued.sequence).collect()
}
