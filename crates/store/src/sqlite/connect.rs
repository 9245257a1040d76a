//! A connection to the file, set up.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::fault::while_opening;
use crate::Result;

/// How long a connection waits for another one that writes. `dead-letters` beside a daemon holds the file for milliseconds.
const BUSY: Duration = Duration::from_secs(5);

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Reading and writing.
    Write,
    /// Reading.
    Read,
}

/// Opens the file, which has to exist.
///
/// - `synchronous = FULL`: in WAL mode each commit ends with one sync of the log, so that it outlives a power failure.
/// - `cache_size`: bounds the memory, whatever the size of the file.
/// - `wal_autocheckpoint`: 16 MB of log before it is carried over into the file, which costs two syncs more; after
///   a log grew beyond 64 MB (a reader held it up), it is cut to that.
/// - `cell_size_check`, `trusted_schema`: a damaged or foreign file is noticed rather than believed.
pub(super) fn connect(path: &Path, access: Access) -> Result<Connection> {
    set_up(path, access).map_err(|error| while_opening(path, &error))
}

fn set_up(path: &Path, access: Access) -> rusqlite::Result<Connection> {
    let way = match access {
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let flags = way | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(48);
    connection.execute_batch(
        "PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;
         PRAGMA synchronous = FULL; PRAGMA cache_size = -4096;",
    )?;
    Ok(connection)
}

/// Switches the file to a write-ahead log, which lets readers go on beside a writer. To be called on a file that is known
/// to be a store: it writes.
pub(super) fn use_log(connection: &Connection) -> rusqlite::Result<()> {
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        // Without shared memory (some network file systems) there is no log, and readers would block the daemon.
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some("its file system does not support a write-ahead log; use a local disk".to_owned()),
        ));
    }
    connection.execute_batch("PRAGMA wal_autocheckpoint = 4096; PRAGMA journal_size_limit = 67108864;")
}
