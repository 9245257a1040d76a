//! The tables, and how a store gets from one version of them to the next.
//!
//! The version stands in SQLite's `user_version`, and a second time in the table `identity` beside a digest of the
//! schema's text. A step that was released is never edited; a new one goes to the end of [`STEPS`]. One that changes the
//! columns of a table makes the table anew, because a row's checksum covers its columns in their order.
//!
//! A store is made, and brought up to date, in one transaction: a crash on the way leaves what was there before.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::fault::{corrupt, of_sqlite, while_opening};
use super::row::{Sum, int, put, text, verified};
use crate::{Result, StoreError};

/// Marks the file as a store of sortie: "srti".
const APPLICATION_ID: i64 = 0x7372_7469;

/// What leads from each version to the next; the first makes version 1.
///
/// `seen` and `items` are looked up by their texts with every page that is read, and so are kept in the order of
/// those. `pending` says which record of the `outbox` waits for which sink. `ledger` holds the counts that would
/// be slow to take anew, and the numbers that are given out next: none is ever given twice.
pub(super) const STEPS: &[&str] = &["
CREATE TABLE identity (
    one INTEGER PRIMARY KEY CHECK (one = 1), owner TEXT NOT NULL, version INTEGER NOT NULL, digest INTEGER NOT NULL,
    checksum INTEGER NOT NULL) STRICT;
CREATE TABLE ledger (
    one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, next_sequence INTEGER NOT NULL,
    next_letter INTEGER NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL, letters INTEGER NOT NULL,
    quarantined INTEGER NOT NULL, untold INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT;
CREATE TABLE sinks (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, active INTEGER NOT NULL, place TEXT,
    waiting INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT;
CREATE TABLE cursors (
    mode TEXT PRIMARY KEY, cursor TEXT, round_at INTEGER, checksum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE seen (
    id TEXT NOT NULL, fingerprint TEXT NOT NULL, handled INTEGER NOT NULL, at INTEGER NOT NULL,
    checksum INTEGER NOT NULL, PRIMARY KEY (id, fingerprint)) STRICT, WITHOUT ROWID;
CREATE INDEX seen_at ON seen (at);
CREATE TABLE items (
    id TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, summary TEXT NOT NULL, at INTEGER NOT NULL,
    checksum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY, id TEXT NOT NULL, key TEXT NOT NULL, letter INTEGER NOT NULL, kind TEXT NOT NULL,
    at INTEGER NOT NULL, size INTEGER NOT NULL, record TEXT NOT NULL, checksum INTEGER NOT NULL,
    UNIQUE (key, letter)) STRICT;
CREATE TABLE pending (
    sink INTEGER NOT NULL REFERENCES sinks (number), sequence INTEGER NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (sink, sequence)) STRICT, WITHOUT ROWID;
CREATE TABLE letters (
    number INTEGER PRIMARY KEY, sink TEXT NOT NULL, id TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL,
    reason TEXT NOT NULL, attempts INTEGER NOT NULL, at INTEGER NOT NULL, record TEXT NOT NULL,
    checksum INTEGER NOT NULL) STRICT;
CREATE TABLE quarantine (
    id TEXT PRIMARY KEY, reason TEXT NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
    times INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE polls (
    number INTEGER PRIMARY KEY, mode TEXT NOT NULL, began_at INTEGER NOT NULL, milliseconds INTEGER NOT NULL,
    fetched INTEGER NOT NULL, new INTEGER NOT NULL, changed INTEGER NOT NULL, passed_over INTEGER NOT NULL,
    quarantined INTEGER NOT NULL, delivered INTEGER NOT NULL, calls INTEGER NOT NULL, error TEXT,
    checksum INTEGER NOT NULL) STRICT;
CREATE INDEX polls_began_at ON polls (began_at);
"];

const PUT_IDENTITY: &str = "INSERT INTO identity VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (one) DO UPDATE SET version = excluded.version, digest = excluded.digest, checksum = excluded.checksum";

/// The version that a list of steps leads to.
pub(super) fn newest(steps: &[&str]) -> i64 {
    i64::try_from(steps.len()).unwrap_or(i64::MAX)
}

/// Makes the tables in a file that has none.
pub(super) fn create(connection: &Connection, path: &Path, owner: &str, steps: &[&str]) -> Result<()> {
    let run = || {
        // Deferred, because only an empty file takes `auto_vacuum`, and by itself that would already be written. It lets
        // prune give back to the disk what a long outage filled.
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Deferred)?;
        transaction.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        advance(&transaction, owner, steps, 0)?;
        put(
            &transaction,
            "INSERT INTO ledger VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            &[int(1), int(0), int(1), int(1), int(0), int(0), int(0), int(0), int(0)],
        )?;
        transaction.commit()
    };
    run().map_err(|error| of_sqlite(path, &error))
}

/// Takes the steps that a store of this version still needs.
fn advance(transaction: &Transaction<'_>, owner: &str, steps: &[&str], from: usize) -> rusqlite::Result<()> {
    for step in steps.iter().skip(from) {
        transaction.execute_batch(step)?;
    }
    let version = newest(steps);
    transaction.pragma_update(None, "user_version", version)?;
    let digest = digest(transaction)?;
    put(transaction, PUT_IDENTITY, &[int(1), text(owner), int(version), int(digest)])?;
    Ok(())
}

/// What a file says about itself.
struct Identity {
    owner: String,
    version: i64,
    digest: i64,
}

fn identity(connection: &Connection) -> rusqlite::Result<Identity> {
    connection.query_row("SELECT one, owner, version, digest, checksum FROM identity", [], |row| {
        verified(row, 0, 5)?;
        Ok(Identity { owner: row.get(1)?, version: row.get(2)?, digest: row.get(3)? })
    })
}

/// A digest of the schema's text. What `ANALYZE` leaves is not part of it.
fn digest(connection: &Connection) -> rusqlite::Result<i64> {
    let mut statement = connection.prepare(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\' ORDER BY type, name",
    )?;
    let mut rows = statement.query([])?;
    let mut sum = Sum::new();
    while let Some(row) = rows.next()? {
        for column in 0..4 {
            sum.value(row.get_ref(column)?);
        }
    }
    Ok(sum.finish())
}

/// How many pages a file has: none, if nothing was ever written to it.
pub(super) fn pages(connection: &Connection, path: &Path) -> Result<i64> {
    let pages = connection.pragma_query_value(None, "page_count", |row| row.get(0));
    pages.map_err(|error| while_opening(path, &error))
}

/// Looks at a file without changing it: whether it is a store, of a version that these steps know, whole as far as that
/// can be said from the schema. Answers whose it is, and its version.
pub(super) fn recognise(connection: &Connection, path: &Path, steps: &[&str]) -> Result<(String, i64)> {
    let (application, version) = header(connection).map_err(|error| while_opening(path, &error))?;
    if application != APPLICATION_ID {
        return Err(corrupt(path, "it is a database of another program"));
    }
    if version > newest(steps) {
        return Err(StoreError::Newer { path: path.into(), found: version, known: newest(steps) });
    }
    let identity = identity(connection).map_err(|error| while_opening(path, &error))?;
    let digest = digest(connection).map_err(|error| while_opening(path, &error))?;
    if version < 1 || identity.version != version || identity.digest != digest {
        return Err(corrupt(path, "its tables are not those of its version"));
    }
    Ok((identity.owner, version))
}

fn header(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((pragma("application_id")?, pragma("user_version")?))
}

/// Brings a store of an older version up to date.
pub(super) fn migrate(connection: &Connection, path: &Path, owner: &str, from: i64, steps: &[&str]) -> Result<()> {
    let Some(from) = usize::try_from(from).ok().filter(|from| *from < steps.len()) else { return Ok(()) };
    let run = || {
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        advance(&transaction, owner, steps, from)?;
        transaction.commit()
    };
    run().map_err(|error| of_sqlite(path, &error))
}
