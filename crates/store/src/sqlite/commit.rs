//! What a piece of reading brings, into the tables.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension};

use super::Fault;
use super::books::{Books, less};
use super::row::{count, int, maybe, put, text, verified};
use crate::{Batch, CursorMove, Handled, Latest, Outgoing, PollNote, QuarantineNote, Seen};

/// How [`Handled`] stands in a row.
pub(super) fn handled_number(handled: Handled) -> i64 {
    match handled {
        Handled::Queued => 1,
        Handled::PassedOver => 0,
    }
}

/// [`Handled`] from a row.
pub(super) fn handled_from(number: i64) -> Result<Handled, Fault> {
    match number {
        1 => Ok(Handled::Queued),
        0 => Ok(Handled::PassedOver),
        other => Err(Fault::Corrupt(format!("a version was handled in a way ({other}) that does not exist"))),
    }
}

/// Everything of a batch.
pub(super) fn all(connection: &Connection, books: &mut Books, batch: &Batch) -> Result<(), Fault> {
    for version in &batch.seen {
        seen(connection, version, batch.now)?;
    }
    for item in &batch.latest {
        latest(connection, item, batch.now)?;
    }
    for record in &batch.outgoing {
        outgoing(connection, books, record, batch.now)?;
    }
    readable(connection, books, batch)?;
    for note in &batch.quarantine {
        quarantine(connection, books, note, batch.now)?;
    }
    if let Some(before) = batch.quarantine_before {
        let mut delete = connection.prepare_cached("DELETE FROM quarantine WHERE last_at < ?1")?;
        less(&mut books.ledger.quarantined, delete.execute([before])? as u64)?;
    }
    if let Some(moved) = &batch.cursor {
        cursor(connection, moved, batch.now)?;
    }
    if let Some(note) = &batch.poll {
        poll(connection, books, note)?;
    }
    Ok(())
}

fn seen(connection: &Connection, seen: &Seen, now: i64) -> Result<(), Fault> {
    let (id, fingerprint) = (text(&seen.version.id), text(&seen.version.fingerprint));
    let values = [id, fingerprint, int(handled_number(seen.handled)), int(now)];
    if put(connection, "INSERT INTO seen VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING", &values)? == 1 {
        return Ok(());
    }
    let before = known_version(connection, &seen.version.id, &seen.version.fingerprint)?;
    let queued = before.is_some_and(|(handled, _)| handled == Handled::Queued);
    let handled = if queued { Handled::Queued } else { seen.handled };
    put(
        connection,
        "UPDATE seen SET handled = ?3, at = ?4, checksum = ?5 WHERE id = ?1 AND fingerprint = ?2",
        &[id, fingerprint, int(handled_number(handled)), int(now)],
    )?;
    Ok(())
}

/// What became of a version, and when it was last noted, if it was seen.
pub(super) fn known_version(
    connection: &Connection,
    id: &str,
    fingerprint: &str,
) -> Result<Option<(Handled, i64)>, Fault> {
    let mut statement = connection
        .prepare_cached("SELECT id, fingerprint, handled, at, checksum FROM seen WHERE id = ?1 AND fingerprint = ?2")?;
    let found: Option<(i64, i64)> = statement
        .query_row((id, fingerprint), |row| {
            verified(row, 0, 5)?;
            Ok((row.get(2)?, row.get(3)?))
        })
        .optional()?;
    found.map(|(number, at)| Ok((handled_from(number)?, at))).transpose()
}

fn latest(connection: &Connection, latest: &Latest, now: i64) -> Result<(), Fault> {
    put(
        connection,
        "INSERT INTO items VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE SET
            fingerprint = excluded.fingerprint, summary = excluded.summary, at = excluded.at, checksum = excluded.checksum",
        &[text(&latest.id), text(&latest.fingerprint), text(&latest.summary), int(now)],
    )?;
    Ok(())
}

fn outgoing(connection: &Connection, books: &mut Books, outgoing: &Outgoing, now: i64) -> Result<(), Fault> {
    let there = connection.prepare_cached("SELECT 1 FROM outbox WHERE key = ?1")?.exists([&outgoing.key])?;
    if there {
        return Ok(());
    }
    let active: Vec<usize> =
        books.sinks.iter().enumerate().filter(|(_, sink)| sink.active).map(|(index, _)| index).collect();
    if active.is_empty() {
        // Kept for nobody, it would be lost without a word.
        return Err(Fault::Failed("it was told of no sink that its records wait for".to_owned()));
    }
    let sequence = enqueue(connection, books, outgoing, 0, now)?;
    for index in active {
        await_sink(connection, books, index, sequence)?;
    }
    Ok(())
}

/// Puts a record into the outbox; `letter` is the dead letter it was, or 0.
pub(super) fn enqueue(
    connection: &Connection,
    books: &mut Books,
    record: &Outgoing,
    letter: i64,
    now: i64,
) -> Result<i64, Fault> {
    let sequence = books.next_sequence();
    let size = record.record.len() as u64;
    put(
        connection,
        "INSERT INTO outbox VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        &[
            int(sequence),
            text(&record.id),
            text(&record.key),
            int(letter),
            text(&record.kind),
            int(now),
            count(size),
            text(&record.record),
        ],
    )?;
    books.ledger.records += 1;
    books.ledger.bytes += size;
    Ok(sequence)
}

/// Lets a record of the outbox wait for a sink.
pub(super) fn await_sink(connection: &Connection, books: &mut Books, index: usize, sequence: i64) -> Result<(), Fault> {
    if let Some(sink) = books.sinks.get_mut(index) {
        put(connection, "INSERT INTO pending VALUES (?1, ?2, ?3)", &[int(sink.number), int(sequence)])?;
        sink.waiting += 1;
    }
    Ok(())
}

fn readable(connection: &Connection, books: &mut Books, batch: &Batch) -> Result<(), Fault> {
    if books.ledger.quarantined == 0 || batch.readable.is_empty() {
        return Ok(());
    }
    let noted: HashSet<&str> = batch.quarantine.iter().map(|note| note.id.as_str()).collect();
    let mut delete = connection.prepare_cached("DELETE FROM quarantine WHERE id = ?1")?;
    for id in batch.readable.iter().filter(|id| !noted.contains(id.as_str())) {
        less(&mut books.ledger.quarantined, delete.execute([id])? as u64)?;
    }
    Ok(())
}

fn quarantine(connection: &Connection, books: &mut Books, note: &QuarantineNote, now: i64) -> Result<(), Fault> {
    let mut statement = connection
        .prepare_cached("SELECT id, reason, first_at, last_at, times, checksum FROM quarantine WHERE id = ?1")?;
    let before: Option<(i64, i64)> = statement
        .query_row([&note.id], |row| {
            verified(row, 0, 6)?;
            Ok((row.get(2)?, row.get(4)?))
        })
        .optional()?;
    if before.is_none() {
        books.ledger.quarantined += 1;
    }
    let (first_at, times) = before.unwrap_or((now, 0));
    put(
        connection,
        "INSERT INTO quarantine VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO UPDATE SET
            reason = excluded.reason, last_at = excluded.last_at, times = excluded.times, checksum = excluded.checksum",
        &[text(&note.id), text(&note.reason), int(first_at), int(now), int(times.saturating_add(1))],
    )?;
    Ok(())
}

fn cursor(connection: &Connection, moved: &CursorMove, now: i64) -> Result<(), Fault> {
    let mut statement =
        connection.prepare_cached("SELECT mode, cursor, round_at, checksum FROM cursors WHERE mode = ?1")?;
    let before: Option<i64> = statement
        .query_row([&moved.mode], |row| {
            verified(row, 0, 4)?;
            row.get(2)
        })
        .optional()?
        .flatten();
    let round = if moved.round_ended { Some(now) } else { before };
    put(
        connection,
        "INSERT INTO cursors VALUES (?1, ?2, ?3, ?4) ON CONFLICT (mode) DO UPDATE SET
            cursor = excluded.cursor, round_at = excluded.round_at, checksum = excluded.checksum",
        &[text(&moved.mode), maybe(moved.cursor.as_deref()), round.map_or(rusqlite::types::ValueRef::Null, int)],
    )?;
    Ok(())
}

const PUT_POLL: &str = "INSERT OR REPLACE INTO polls VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

fn poll(connection: &Connection, books: &mut Books, note: &PollNote) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached("SELECT max(number) FROM polls")?;
    let last: Option<i64> = statement.query_row([], |row| row.get(0))?;
    put(
        connection,
        PUT_POLL,
        &[
            int(last.unwrap_or(0) + 1),
            text(&note.mode),
            int(note.began_at),
            count(note.milliseconds),
            count(note.fetched),
            count(note.new),
            count(note.changed),
            count(note.passed_over),
            count(note.quarantined),
            count(note.delivered + std::mem::take(&mut books.ledger.untold)),
            count(note.calls),
            maybe(note.error.as_deref()),
        ],
    )?;
    Ok(())
}

/// Adds deliveries to the newest entry of the history; to the first one that comes where there is none.
pub(super) fn delivered(connection: &Connection, books: &mut Books, deliveries: u64) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT number, mode, began_at, milliseconds, fetched, new, changed, passed_over, quarantined, delivered, calls,
            error, checksum FROM polls ORDER BY number DESC LIMIT 1",
    )?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else {
        books.ledger.untold += deliveries;
        return Ok(());
    };
    verified(row, 0, 13)?;
    let mut values = (0..12).map(|column| row.get_ref(column)).collect::<rusqlite::Result<Vec<_>>>()?;
    if let Some(value) = values.get_mut(9) {
        *value = count(row.get::<_, i64>(9)?.cast_unsigned().saturating_add(deliveries));
    }
    put(connection, PUT_POLL, &values)?;
    Ok(())
}
