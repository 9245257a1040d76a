//! The counts and numbers that every write changes, read at its begin and written at its end.
//!
//! They stand in the file, not in memory, so that `dead-letters` beside a running daemon changes them for both.

use rusqlite::Connection;

use super::Fault;
use super::row::{count, int, maybe, put, text, verified};

/// The one row of the table `ledger`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ledger {
    /// The newest fence.
    pub(super) epoch: i64,
    /// The number of the next record.
    pub(super) next_sequence: i64,
    /// The number of the next dead letter.
    pub(super) next_letter: i64,
    /// Records in the outbox.
    pub(super) records: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Dead letters.
    pub(super) letters: u64,
    /// Items in the quarantine.
    pub(super) quarantined: u64,
    /// Deliveries that came before the history had an entry to tell them.
    pub(super) untold: u64,
}

impl Ledger {
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare_cached(
            "SELECT one, epoch, next_sequence, next_letter, records, bytes, letters, quarantined, untold, checksum FROM ledger",
        )?;
        statement.query_row([], |row| {
            verified(row, 0, 10)?;
            Ok(Self {
                epoch: row.get(1)?,
                next_sequence: row.get(2)?,
                next_letter: row.get(3)?,
                records: row.get::<_, i64>(4)?.cast_unsigned(),
                bytes: row.get::<_, i64>(5)?.cast_unsigned(),
                letters: row.get::<_, i64>(6)?.cast_unsigned(),
                quarantined: row.get::<_, i64>(7)?.cast_unsigned(),
                untold: row.get::<_, i64>(8)?.cast_unsigned(),
            })
        })
    }

    fn save(&self, connection: &Connection) -> rusqlite::Result<usize> {
        put(
            connection,
            "UPDATE ledger SET epoch = ?2, next_sequence = ?3, next_letter = ?4, records = ?5, bytes = ?6, letters = ?7,
                quarantined = ?8, untold = ?9, checksum = ?10 WHERE one = ?1",
            &[
                int(1),
                int(self.epoch),
                int(self.next_sequence),
                int(self.next_letter),
                count(self.records),
                count(self.bytes),
                count(self.letters),
                count(self.quarantined),
                count(self.untold),
            ],
        )
    }
}

/// A row of the table `sinks`. One that is no longer configured stays, with its place, for when it comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sink {
    pub(super) number: i64,
    pub(super) name: String,
    /// Whether records that are committed now wait for it.
    pub(super) active: bool,
    /// What it gave with what it settled last.
    pub(super) place: Option<String>,
    /// How many records wait for it.
    pub(super) waiting: u64,
}

impl Sink {
    pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Self>> {
        let mut statement = connection
            .prepare_cached("SELECT number, name, active, place, waiting, checksum FROM sinks ORDER BY number")?;
        let rows = statement.query_map([], |row| {
            verified(row, 0, 6)?;
            Ok(Self {
                number: row.get(0)?,
                name: row.get(1)?,
                active: row.get(2)?,
                place: row.get(3)?,
                waiting: row.get::<_, i64>(4)?.cast_unsigned(),
            })
        })?;
        rows.collect()
    }

    fn save(&self, connection: &Connection) -> rusqlite::Result<usize> {
        put(
            connection,
            "INSERT INTO sinks VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (number) DO UPDATE SET
                active = excluded.active, place = excluded.place, waiting = excluded.waiting, checksum = excluded.checksum",
            &[
                int(self.number),
                text(&self.name),
                int(i64::from(self.active)),
                maybe(self.place.as_deref()),
                count(self.waiting),
            ],
        )
    }
}

/// Both, while a write goes on.
pub(super) struct Books {
    pub(super) ledger: Ledger,
    pub(super) sinks: Vec<Sink>,
    before: (Ledger, Vec<Sink>),
}

impl Books {
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let before = (Ledger::load(connection)?, Sink::all(connection)?);
        Ok(Self { ledger: before.0.clone(), sinks: before.1.clone(), before })
    }

    /// Writes what changed.
    pub(super) fn save(&self, connection: &Connection) -> rusqlite::Result<()> {
        if self.ledger != self.before.0 {
            self.ledger.save(connection)?;
        }
        for sink in self.sinks.iter().filter(|sink| !self.before.1.contains(sink)) {
            sink.save(connection)?;
        }
        Ok(())
    }

    /// The place of a sink in the list.
    pub(super) fn sink(&self, name: &str) -> Result<usize, Fault> {
        let found = self.sinks.iter().position(|sink| sink.name == name);
        found.ok_or_else(|| Fault::Failed(format!("it knows no sink named {name}")))
    }

    /// Gives out the number of the next record.
    pub(super) fn next_sequence(&mut self) -> i64 {
        let sequence = self.ledger.next_sequence;
        self.ledger.next_sequence += 1;
        sequence
    }

    /// Gives out the number of the next dead letter.
    pub(super) fn next_letter(&mut self) -> i64 {
        let number = self.ledger.next_letter;
        self.ledger.next_letter += 1;
        number
    }
}

/// Takes from a count what was counted into it before.
pub(super) fn less(count: &mut u64, by: u64) -> Result<(), Fault> {
    *count = count.checked_sub(by).ok_or_else(|| Fault::Corrupt("it counts less than it holds".to_owned()))?;
    Ok(())
}
