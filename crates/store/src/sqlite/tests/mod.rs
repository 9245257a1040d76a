//! Tests of the store that need to look inside.

mod failing;
mod large;
mod migrating;
mod opening;

use std::path::PathBuf;

use super::{SqliteStore, locked};
use crate::{Batch, Fence, Handled, Latest, Outgoing, Seen, Store, Version};

const OWNER: &str = "incidents-daemon@tenant";

/// A folder of its own, and the path of a store in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    // In memory where the system has such, because these tests would mostly wait for syncs.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().join("contoso.db");
    (folder, path)
}

fn opened(path: &std::path::Path) -> (SqliteStore, Fence) {
    let (store, fence) = SqliteStore::open(path, OWNER).unwrap();
    store.set_sinks(&["stdout".to_owned()], 1, fence).unwrap();
    (store, fence)
}

/// What a new version brings.
fn news(id: &str, record: &str) -> Batch {
    let version = Version { id: id.to_owned(), fingerprint: "f".to_owned() };
    Batch {
        now: 1,
        seen: vec![Seen { version, handled: Handled::Queued }],
        latest: vec![Latest { id: id.to_owned(), fingerprint: "f".to_owned(), summary: "{}".to_owned() }],
        outgoing: vec![Outgoing {
            id: id.to_owned(),
            key: format!("t/{id}/f"),
            kind: "incident.created".to_owned(),
            record: record.to_owned(),
        }],
        ..Batch::default()
    }
}

/// Runs SQL on the connection that writes.
fn sql(store: &SqliteStore, sql: &str) {
    locked(store.writer.as_ref().unwrap()).execute_batch(sql).unwrap();
}
