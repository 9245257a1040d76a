//! What is looked up, and what is shown.

use rusqlite::{Connection, OptionalExtension};

use super::Fault;
use super::commit::known_version;
use super::row::verified;
use crate::{Known, Latest, PollNote, Quarantined, Resume, Version};

/// Where reading left off.
pub(super) fn resume(connection: &Connection) -> Result<Resume, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT mode, cursor, round_at, checksum FROM cursors ORDER BY mode")?;
    let mut rows = statement.query([])?;
    let mut resume = Resume::default();
    while let Some(row) = rows.next()? {
        verified(row, 0, 4)?;
        let mode: String = row.get(0)?;
        if let Some(cursor) = row.get(1)? {
            resume.cursors.push((mode.clone(), cursor));
        }
        if let Some(at) = row.get(2)? {
            resume.rounds.push((mode, at));
        }
    }
    Ok(resume)
}

/// What is known of versions and their items.
pub(super) fn known(connection: &Connection, versions: &[Version]) -> Result<Vec<Known>, Fault> {
    let mut item =
        connection.prepare_cached("SELECT id, fingerprint, summary, at, checksum FROM items WHERE id = ?1")?;
    versions
        .iter()
        .map(|asked| {
            let latest = item
                .query_row([&asked.id], |row| {
                    verified(row, 0, 5)?;
                    Ok(Latest { id: row.get(0)?, fingerprint: row.get(1)?, summary: row.get(2)? })
                })
                .optional()?;
            let version = known_version(connection, &asked.id, &asked.fingerprint)?;
            let seen_at = version.map_or(0, |(_, at)| at);
            Ok(Known { version: version.map(|(handled, _)| handled), seen_at, latest })
        })
        .collect()
}

/// The place of a sink.
pub(super) fn place(connection: &Connection, sink: &str) -> Result<Option<String>, Fault> {
    Ok(super::books::Sink::all(connection)?.into_iter().find(|known| known.name == sink).and_then(|known| known.place))
}

/// The newest history entries.
pub(super) fn history(connection: &Connection, at_most: usize) -> Result<Vec<PollNote>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT number, mode, began_at, milliseconds, fetched, new, changed, passed_over, quarantined, delivered, calls,
            error, checksum FROM polls ORDER BY number DESC LIMIT ?1",
    )?;
    let rows = statement.query_map([i64::try_from(at_most).unwrap_or(i64::MAX)], |row| {
        verified(row, 0, 13)?;
        let count = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        Ok(PollNote {
            mode: row.get(1)?,
            began_at: row.get(2)?,
            milliseconds: count(3)?,
            fetched: count(4)?,
            new: count(5)?,
            changed: count(6)?,
            passed_over: count(7)?,
            quarantined: count(8)?,
            delivered: count(9)?,
            calls: count(10)?,
            error: row.get(11)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The quarantine.
pub(super) fn quarantined(connection: &Connection) -> Result<Vec<Quarantined>, Fault> {
    let mut statement = connection
        .prepare_cached("SELECT id, reason, first_at, last_at, times, checksum FROM quarantine ORDER BY id")?;
    let rows = statement.query_map([], |row| {
        verified(row, 0, 6)?;
        Ok(Quarantined {
            id: row.get(0)?,
            reason: row.get(1)?,
            first_at: row.get(2)?,
            last_at: row.get(3)?,
            times: row.get::<_, i64>(4)?.cast_unsigned(),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
