//! Whether a store is whole.
//!
//! A small store is checked completely when it is opened: SQLite's own structure, the checksum of every row, and that the
//! counts are those of the rows. That takes longer the larger a store is, and a daemon must poll soon after its
//! start; so of a large one only the small tables are checked then, and [`Scrub`] reads the rest in pieces, in
//! the times in which the daemon prunes. What is read in the meantime is verified row by row as it is read.

use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, TransactionBehavior, params_from_iter};

use super::Fault;
use super::books::{Ledger, Sink};
use super::row::verified;

/// Up to which size, in bytes, a store is checked completely when it is opened.
const COMPLETELY: i64 = 16 << 20;

/// How many rows a piece of a [`Scrub`] has.
const PIECE: usize = 2000;

/// A table: its name, its key, and how many columns it has.
struct Table {
    name: &'static str,
    key: &'static [&'static str],
    columns: usize,
}

const fn table(name: &'static str, key: &'static [&'static str], columns: usize) -> Table {
    Table { name, key, columns }
}

/// Tables that stay small whatever the store has seen.
const SMALL: &[Table] = &[
    table("identity", &["one"], 5),
    table("ledger", &["one"], 10),
    table("sinks", &["number"], 6),
    table("cursors", &["mode"], 4),
    table("quarantine", &["id"], 6),
];

/// Tables that grow.
const LARGE: &[Table] = &[
    table("outbox", &["sequence"], 9),
    table("pending", &["sink", "sequence"], 3),
    table("letters", &["number"], 10),
    table("items", &["id"], 5),
    table("seen", &["id", "fingerprint"], 5),
    table("polls", &["number"], 13),
];

/// Checks a store that was just opened; answers what is left to be checked.
pub(super) fn at_start(connection: &Connection, completely_up_to: Option<i64>) -> Result<Option<Scrub>, Fault> {
    // One transaction: a person may change dead letters at the same time.
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Deferred)?;
    let number = |pragma: &str| transaction.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let used = number("page_count")?.saturating_sub(number("freelist_count")?);
    let small = used.saturating_mul(number("page_size")?) <= completely_up_to.unwrap_or(COMPLETELY);
    for table in SMALL {
        if !small {
            structure(&transaction, "quick_check", Some(table.name))?;
        }
        rows(&transaction, table)?;
    }
    if small {
        structure(&transaction, "integrity_check", None)?;
        for table in LARGE {
            rows(&transaction, table)?;
        }
        counts(&transaction)?;
    }
    Ok((!small).then(Scrub::default))
}

/// SQLite's own check of its pages.
fn structure(connection: &Connection, check: &str, table: Option<&str>) -> Result<(), Fault> {
    let mut problem: Option<String> = None;
    let mut take = |row: &rusqlite::Row<'_>| {
        let line: String = row.get(0)?;
        if line != "ok" && problem.is_none() {
            problem = Some(line);
        }
        Ok(())
    };
    match table {
        Some(table) => connection.pragma(None, check, table, &mut take)?,
        None => connection.pragma_query(None, check, &mut take)?,
    }
    // Its first line names where it looked, and the next one what it found: one line is enough in a message.
    problem.map_or(Ok(()), |problem| Err(Fault::Corrupt(problem.replace('\n', " "))))
}

/// The checksums of all rows of a table.
fn rows(connection: &Connection, table: &Table) -> Result<(), Fault> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {}", table.name))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        verified(row, 0, table.columns)?;
    }
    Ok(())
}

/// Whether what is counted is there, and what belongs together is together.
fn counts(connection: &Connection) -> Result<(), Fault> {
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned);
    let same = |what: &str, counted: u64, there: u64| {
        if counted == there { Ok(()) } else { Err(Fault::Corrupt(format!("{what}: {counted} counted, {there} there"))) }
    };
    let ledger = Ledger::load(connection)?;
    same("records", ledger.records, count("SELECT count(*) FROM outbox")?)?;
    same("bytes of records", ledger.bytes, count("SELECT coalesce(sum(octet_length(record)), 0) FROM outbox")?)?;
    same("dead letters", ledger.letters, count("SELECT count(*) FROM letters")?)?;
    same("items in the quarantine", ledger.quarantined, count("SELECT count(*) FROM quarantine")?)?;
    for sink in Sink::all(connection)? {
        let sql = format!("SELECT count(*) FROM pending WHERE sink = {}", sink.number);
        same("records that wait for a sink", sink.waiting, count(&sql)?)?;
    }
    let none = |what: &str, sql: &str| same(what, 0, count(sql)?);
    none("waiting for no sink", "SELECT count(*) FROM pending WHERE sink NOT IN (SELECT number FROM sinks)")?;
    none("waiting and gone", "SELECT count(*) FROM pending WHERE sequence NOT IN (SELECT sequence FROM outbox)")?;
    none(
        "records that nobody waits for",
        "SELECT count(*) FROM outbox WHERE sequence NOT IN (SELECT sequence FROM pending)",
    )?;
    let beyond = |what: &str, next: i64, sql: &str| none(what, &format!("{sql} {next}"));
    beyond("numbers that come again", ledger.next_sequence, "SELECT count(*) FROM outbox WHERE sequence >=")?;
    beyond("dead letters whose numbers come again", ledger.next_letter, "SELECT count(*) FROM letters WHERE number >=")
}

/// The check of the large tables, in pieces: the checksum of each row, in the order of the keys.
#[derive(Debug, Default)]
pub(super) struct Scrub {
    table: usize,
    after: Vec<Value>,
}

impl Scrub {
    /// Checks a piece; answers whether there is more.
    pub(super) fn piece(&mut self, connection: &Connection) -> Result<bool, Fault> {
        let Some(table) = LARGE.get(self.table) else { return Ok(false) };
        let keys = table.key.join(", ");
        let beyond = match self.after.len() {
            0 => String::new(),
            1 => format!("WHERE {keys} > ?1"),
            _ => format!("WHERE ({keys}) > (?1, ?2)"),
        };
        let select = format!("SELECT *, {keys} FROM {} {beyond} ORDER BY {keys} LIMIT {PIECE}", table.name);
        let mut statement = connection.prepare_cached(&select)?;
        let mut rows = statement.query(params_from_iter(&self.after))?;
        let mut read = 0;
        let mut last = Vec::new();
        while let Some(row) = rows.next()? {
            verified(row, 0, table.columns)?;
            let key: Vec<Value> =
                (0..table.key.len()).map(|key| row.get(table.columns + key)).collect::<Result<_, _>>()?;
            if !last.is_empty() && !ordered(&last, &key) {
                return Err(Fault::Corrupt(format!("the rows of {} are out of order", table.name)));
            }
            last = key;
            read += 1;
        }
        if read < PIECE {
            self.table += 1;
            self.after.clear();
        } else {
            self.after = last;
        }
        Ok(self.table < LARGE.len())
    }
}

/// Whether a key stands before another one.
fn ordered(first: &[Value], second: &[Value]) -> bool {
    for pair in first.iter().zip(second) {
        let order = match pair {
            (Value::Integer(first), Value::Integer(second)) => first.cmp(second),
            (Value::Text(first), Value::Text(second)) => first.as_bytes().cmp(second.as_bytes()),
            _ => return false,
        };
        if order.is_ne() {
            return order.is_lt();
        }
    }
    false
}
