//! The outbox: what waits for which sink, and what becomes of it.

use rusqlite::{Connection, OptionalExtension};

use super::Fault;
use super::books::{Books, Sink, less};
use super::commit::{await_sink, delivered, enqueue};
use super::row::{int, put, text, verified};
use crate::{Backlog, DeadLetter, Outgoing, Queued, Refused, Settled, SinkBacklog};

/// How many records leave the outbox in one transaction when their sink is gone.
const PIECE: usize = 500;

/// Why records of a sink that is no longer configured are dead letters.
const SINK_GONE: &str = "the sink is no longer configured";

/// The columns of the outbox.
const OUTBOX: &str = "o.sequence, o.id, o.key, o.letter, o.kind, o.at, o.size, o.record, o.checksum";

/// Says which sinks there are; answers whether records wait for one that is not among them.
pub(super) fn set_sinks(books: &mut Books, names: &[String]) -> bool {
    for sink in &mut books.sinks {
        sink.active = names.contains(&sink.name);
    }
    for name in names {
        if !books.sinks.iter().any(|sink| sink.name == *name) {
            let number = books.sinks.iter().map(|sink| sink.number).max().unwrap_or(0) + 1;
            books.sinks.push(Sink { number, name: name.clone(), active: true, place: None, waiting: 0 });
        }
    }
    books.sinks.iter().any(|sink| !sink.active && sink.waiting > 0)
}

/// Makes dead letters of some of what waits for sinks that are gone; answers of how many.
pub(super) fn bury(connection: &Connection, books: &mut Books, now: i64) -> Result<u64, Fault> {
    let Some(index) = books.sinks.iter().position(|sink| !sink.active && sink.waiting > 0) else { return Ok(0) };
    let number = books.sinks.get(index).map_or(0, |sink| sink.number);
    let mut statement =
        connection.prepare_cached("SELECT sequence FROM pending WHERE sink = ?1 ORDER BY sequence LIMIT ?2")?;
    let waiting: Vec<i64> = statement.query_map((number, PIECE as i64), |row| row.get(0))?.collect::<Result<_, _>>()?;
    if waiting.is_empty() {
        return Err(Fault::Corrupt("records that are counted as waiting are not there".to_owned()));
    }
    for sequence in &waiting {
        let refused = Refused { sequence: *sequence, reason: SINK_GONE.to_owned(), attempts: 0 };
        refuse(connection, books, index, &refused, now)?;
    }
    Ok(waiting.len() as u64)
}

/// What waits for a sink.
pub(super) fn due(
    connection: &Connection,
    sink: &str,
    after: i64,
    records: usize,
    bytes: usize,
) -> Result<Vec<Queued>, Fault> {
    let Some(number) = number(connection, sink)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT p.sink, p.sequence, p.checksum, {OUTBOX} FROM pending AS p LEFT JOIN outbox AS o ON o.sequence = p.sequence
            WHERE p.sink = ?1 AND p.sequence > ?2 ORDER BY p.sequence LIMIT ?3"
    ))?;
    let limit = i64::try_from(records).unwrap_or(i64::MAX);
    let mut rows = statement.query((number, after, limit))?;
    let mut due = Vec::new();
    let mut taken = 0;
    while let Some(row) = rows.next()? {
        verified(row, 0, 3)?;
        if row.get::<_, Option<i64>>(3)?.is_none() {
            return Err(missing(row.get(1)?));
        }
        verified(row, 3, 9)?;
        let queued = Queued {
            sequence: row.get(3)?,
            id: row.get(4)?,
            key: row.get(5)?,
            kind: row.get(7)?,
            record: row.get(10)?,
        };
        taken += queued.record.len();
        due.push(queued);
        if taken >= bytes {
            break;
        }
    }
    Ok(due)
}

fn missing(sequence: i64) -> Fault {
    Fault::Corrupt(format!("record {sequence} waits for a sink and is not there"))
}

fn number(connection: &Connection, sink: &str) -> Result<Option<i64>, Fault> {
    Ok(Sink::all(connection)?.into_iter().find(|known| known.name == sink).map(|known| known.number))
}

/// The keys of what waits for a sink. The records' checksums are left for [`due`]: they are in the records' pages.
pub(super) fn due_keys(connection: &Connection, sink: &str) -> Result<Vec<(i64, String)>, Fault> {
    let Some(number) = number(connection, sink)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(
        "SELECT p.sink, p.sequence, p.checksum, o.key FROM pending AS p LEFT JOIN outbox AS o ON o.sequence = p.sequence
            WHERE p.sink = ?1 ORDER BY p.sequence",
    )?;
    let mut rows = statement.query([number])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        verified(row, 0, 3)?;
        let sequence = row.get(1)?;
        keys.push((sequence, row.get::<_, Option<String>>(3)?.ok_or_else(|| missing(sequence))?));
    }
    Ok(keys)
}

/// What a sink took and what it refused.
pub(super) fn settle(connection: &Connection, books: &mut Books, name: &str, settled: &Settled) -> Result<(), Fault> {
    let index = books.sink(name)?;
    let mut deliveries = 0;
    for sequence in &settled.delivered {
        if no_longer_awaits(connection, books, index, *sequence)? {
            discard(connection, books, *sequence)?;
            deliveries += 1;
        }
    }
    if deliveries > 0 {
        delivered(connection, books, deliveries)?;
    }
    for refused in &settled.refused {
        refuse(connection, books, index, refused, settled.now)?;
    }
    if let (Some(place), Some(sink)) = (&settled.place, books.sinks.get_mut(index)) {
        sink.place = Some(place.clone());
    }
    Ok(())
}

/// Ends the waiting of a record for a sink; answers whether it did wait. One that was settled before does not.
fn no_longer_awaits(connection: &Connection, books: &mut Books, index: usize, sequence: i64) -> Result<bool, Fault> {
    let Some(sink) = books.sinks.get_mut(index) else { return Ok(false) };
    let mut delete = connection.prepare_cached("DELETE FROM pending WHERE sink = ?1 AND sequence = ?2")?;
    if delete.execute((sink.number, sequence))? == 0 {
        return Ok(false);
    }
    less(&mut sink.waiting, 1)?;
    Ok(true)
}

/// Removes a record from the outbox if no sink is left that waits for it.
fn discard(connection: &Connection, books: &mut Books, sequence: i64) -> Result<(), Fault> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM outbox WHERE sequence = ?1 AND NOT EXISTS (
            SELECT 1 FROM sinks AS s CROSS JOIN pending AS p WHERE p.sink = s.number AND p.sequence = ?1) RETURNING size",
    )?;
    let size: Option<i64> = delete.query_row([sequence], |row| row.get(0)).optional()?;
    if let Some(size) = size {
        less(&mut books.ledger.records, 1)?;
        less(&mut books.ledger.bytes, size.cast_unsigned())?;
    }
    Ok(())
}

/// Makes a dead letter of a record.
fn refuse(connection: &Connection, books: &mut Books, index: usize, refused: &Refused, now: i64) -> Result<(), Fault> {
    if !no_longer_awaits(connection, books, index, refused.sequence)? {
        return Ok(());
    }
    let name = books.sinks.get(index).map(|sink| sink.name.clone()).unwrap_or_default();
    let mut statement =
        connection.prepare_cached(&format!("SELECT {OUTBOX} FROM outbox AS o WHERE o.sequence = ?1"))?;
    let mut rows = statement.query([refused.sequence])?;
    let Some(row) = rows.next()? else { return Err(missing(refused.sequence)) };
    verified(row, 0, 9)?;
    let number = books.next_letter();
    put(
        connection,
        "INSERT INTO letters VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        &[
            int(number),
            text(&name),
            row.get_ref(1)?,
            row.get_ref(2)?,
            row.get_ref(4)?,
            text(&refused.reason),
            int(i64::from(refused.attempts)),
            int(now),
            row.get_ref(7)?,
        ],
    )?;
    drop(rows);
    books.ledger.letters += 1;
    discard(connection, books, refused.sequence)
}

/// How much waits.
pub(super) fn backlog(connection: &Connection) -> Result<Backlog, Fault> {
    let Books { ledger, sinks, .. } = Books::load(connection)?;
    let mut oldest = connection
        .prepare_cached("SELECT at FROM outbox WHERE sequence = (SELECT min(sequence) FROM pending WHERE sink = ?1)")?;
    let mut backlog = Backlog {
        records: ledger.records,
        bytes: ledger.bytes,
        sinks: Vec::new(),
        dead_letters: ledger.letters,
        quarantined: ledger.quarantined,
    };
    for sink in sinks.into_iter().filter(|sink| sink.active || sink.waiting > 0) {
        let oldest_at = oldest.query_row([sink.number], |row| row.get(0)).optional()?;
        backlog.sinks.push(SinkBacklog { name: sink.name, records: sink.waiting, oldest_at });
    }
    Ok(backlog)
}

const LETTERS: &str = "number, sink, id, key, kind, reason, attempts, at, record, checksum";

fn letter(row: &rusqlite::Row<'_>) -> rusqlite::Result<DeadLetter> {
    verified(row, 0, 10)?;
    Ok(DeadLetter {
        number: row.get(0)?,
        sink: row.get(1)?,
        id: row.get(2)?,
        key: row.get(3)?,
        kind: row.get(4)?,
        reason: row.get(5)?,
        attempts: row.get(6)?,
        at: row.get(7)?,
        record: row.get(8)?,
    })
}

/// The dead letters.
pub(super) fn dead_letters(
    connection: &Connection,
    sink: Option<&str>,
    after: i64,
    at_most: usize,
) -> Result<Vec<DeadLetter>, Fault> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {LETTERS} FROM letters WHERE number > ?1 AND (?2 IS NULL OR sink = ?2) ORDER BY number LIMIT ?3"
    ))?;
    let limit = i64::try_from(at_most).unwrap_or(i64::MAX);
    let rows = statement.query_map((after, sink, limit), letter)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Puts dead letters of configured sinks back into the outbox, each under a new number.
pub(super) fn retry(connection: &Connection, books: &mut Books, numbers: &[i64], now: i64) -> Result<u64, Fault> {
    let mut select = connection.prepare_cached(&format!("SELECT {LETTERS} FROM letters WHERE number = ?1"))?;
    let mut put_back = 0;
    for number in numbers {
        let Some(letter) = select.query_row([number], letter).optional()? else { continue };
        // Nobody would take it; it stays where a person sees it.
        let Some(index) = books.sinks.iter().position(|sink| sink.active && sink.name == letter.sink) else { continue };
        let DeadLetter { id, key, kind, record, .. } = letter;
        let sequence = enqueue(connection, books, &Outgoing { id, key, kind, record }, *number, now)?;
        await_sink(connection, books, index, sequence)?;
        put_back += discard_letters(connection, books, &[*number])?;
    }
    Ok(put_back)
}

/// Deletes dead letters.
pub(super) fn discard_letters(connection: &Connection, books: &mut Books, numbers: &[i64]) -> Result<u64, Fault> {
    let mut delete = connection.prepare_cached("DELETE FROM letters WHERE number = ?1")?;
    let mut deleted = 0;
    for number in numbers {
        deleted += delete.execute([number])? as u64;
    }
    less(&mut books.ledger.letters, deleted)?;
    Ok(deleted)
}
