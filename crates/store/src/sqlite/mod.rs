//! The store in one SQLite file.
//!
//! # The model
//!
//! A daemon that runs has two connections: one that writes, and one that reads beside it, so that a courier never waits
//! for the sync of somebody else's commit. Every write is one transaction: it reads the [`books`], checks the
//! fence against them, changes rows, and writes the books back. So nothing is counted in memory, and what
//! `dead-letters` changes beside a running daemon is seen at once.
//!
//! What a crash leaves is a log that SQLite reads again at the next opening: everything that [`Store::commit`] returned
//! from, and nothing of what it did not. SQLite takes a log whose end is damaged for one that ends earlier: then the
//! state is an earlier one, whole, and what came after it is read and delivered again.
//!
//! A byte that changed on the disk is noticed by a checksum in each row ([`row`]), by SQLite's own structure, and by
//! comparing the schema; see [`check`] for when. What no row can notice is that it is not found: in a large store a
//! damaged key of a seen version, before the scrub meets it, costs one delivery more, under the same idempotency key.

mod books;
mod check;
mod commit;
mod connect;
mod delivery;
mod fault;
mod files;
mod prune;
mod reading;
mod row;
mod schema;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use self::books::Books;
use self::check::Scrub;
use self::connect::{Access, connect, use_log};
use self::files::{Found, Lock};
use crate::{
    Backlog, Batch, DeadLetter, Fence, Known, PollNote, Quarantined, Queued, Result, Resume, Settled, Store,
    StoreError, Version,
};

/// What stops a piece of work on the tables.
enum Fault {
    /// SQLite says so.
    Sqlite(rusqlite::Error),
    /// What was read cannot be.
    Corrupt(String),
    /// It cannot be done.
    Failed(String),
    /// A newer daemon took over.
    Fenced,
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Fault {
    fn at(self, path: &Path) -> StoreError {
        match self {
            Self::Sqlite(error) => fault::of_sqlite(path, &error),
            Self::Corrupt(problem) => fault::corrupt(path, problem),
            Self::Failed(problem) => fault::failed(path, problem),
            Self::Fenced => StoreError::Fenced { path: path.into() },
        }
    }
}

/// The state of one daemon in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    // In this order they are dropped: the last connection carries the log over, which one for reading cannot, and the lock
    // ends when nothing is open any more.
    reader: Mutex<Connection>,
    writer: Option<Mutex<Connection>>,
    scrub: Mutex<Option<Scrub>>,
    _lock: Option<Lock>,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What a mutex guards, even when a thread panicked with it: an open transaction is rolled back before the next one.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SqliteStore {
    /// Opens a store for a daemon, or makes it, and keeps every other daemon out for as long as this lives.
    ///
    /// `owner` names the action and the tenant. It is bound to the store when that is made. The folder gets mode 0700 if it
    /// is made here; the store's files get 0600, whatever the umask. A store that was not written to its end is made to be
    /// as after its last commit; one of an older schema is brought up to date.
    ///
    /// # Errors
    /// [`StoreError::InUse`] at once when another daemon has it; [`StoreError::Newer`], [`StoreError::Foreign`],
    /// [`StoreError::Corrupt`] and [`StoreError::Exposed`] when it cannot be used as it is, which it then stays;
    /// [`StoreError::Full`], [`StoreError::ReadOnly`] and [`StoreError::Failed`] as they say.
    pub fn open(path: &Path, owner: &str) -> Result<(Self, Fence)> {
        Self::open_with(path, owner, schema::STEPS, None)
    }

    fn open_with(path: &Path, owner: &str, steps: &[&str], completely_up_to: Option<i64>) -> Result<(Self, Fence)> {
        files::make_folder(path)?;
        let path = files::resolve(path)?;
        files::inspect(&path)?;
        let mut lock = Lock::take(&path)?;
        let found = files::inspect(&path)?;
        if found != Found::Something {
            files::nothing_to_lose(&path, found, &lock)?;
            // The one before was moved away: from here on an empty file is a new one on its way.
            lock.note(&path, false)?;
            files::make_file(&path)?;
        }
        files::tighten(&path)?;
        let writer = connect(&path, Access::Write)?;
        if schema::pages(&writer, &path)? == 0 {
            // Also what a crash left on the way to making it, after SQLite took that back.
            if files::inspect(&path)? == Found::Something {
                return Err(fault::corrupt(&path, "it is no database"));
            }
            files::nothing_to_lose(&path, Found::Empty, &lock)?;
            schema::create(&writer, &path, owner, steps)?;
        }
        let (found, version) = schema::recognise(&writer, &path, steps)?;
        if found != owner {
            return Err(StoreError::Foreign { path, found, wanted: owner.to_owned() });
        }
        schema::migrate(&writer, &path, owner, version, steps)?;
        use_log(&writer).map_err(|error| fault::of_sqlite(&path, &error))?;
        let scrub = check::at_start(&writer, completely_up_to).map_err(|fault| fault.at(&path))?;
        lock.note(&path, true)?;
        let reader = connect(&path, Access::Read)?;
        let store = Self {
            writer: Some(Mutex::new(writer)),
            reader: Mutex::new(reader),
            scrub: Mutex::new(scrub),
            _lock: Some(lock),
            path,
        };
        let fence = store.write(None, |_, books| {
            books.ledger.epoch += 1;
            Ok(Fence(books.ledger.epoch))
        })?;
        Ok((store, fence))
    }

    /// Opens a store to look at it, beside a daemon that runs or without one.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is none; see [`SqliteStore::open`] for the others. What writes is refused with
    /// [`StoreError::ReadOnly`].
    pub fn read(path: &Path) -> Result<Self> {
        let path = Self::existing(path)?;
        let reader = Self::beside(&path, Access::Read)?;
        Ok(Self { path, writer: None, reader: Mutex::new(reader), scrub: Mutex::new(None), _lock: None })
    }

    /// Opens a store to retry or drop dead letters, beside a daemon that runs or without one.
    ///
    /// # Errors
    /// As [`SqliteStore::read`], and [`StoreError::Exposed`].
    pub fn amend(path: &Path) -> Result<Self> {
        let path = Self::existing(path)?;
        files::inspect(&path)?;
        let writer = Self::beside(&path, Access::Write)?;
        use_log(&writer).map_err(|error| fault::of_sqlite(&path, &error))?;
        let reader = Self::beside(&path, Access::Read)?;
        Ok(Self {
            path,
            writer: Some(Mutex::new(writer)),
            reader: Mutex::new(reader),
            scrub: Mutex::new(None),
            _lock: None,
        })
    }

    fn existing(path: &Path) -> Result<PathBuf> {
        let path = files::resolve(path)?;
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.len() > 0 => Ok(path),
            Ok(_) => Err(StoreError::Missing { path }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(StoreError::Missing { path }),
            Err(error) => Err(fault::of_io(&path, "it cannot be looked at", &error)),
        }
    }

    /// A connection beside that of a daemon, which alone brings a store up to date.
    fn beside(path: &Path, access: Access) -> Result<Connection> {
        let connection = connect(path, access)?;
        let (_, version) = schema::recognise(&connection, path, schema::STEPS)?;
        let known = schema::newest(schema::STEPS);
        if version < known {
            return Err(StoreError::Older { path: path.into(), found: version, known });
        }
        Ok(connection)
    }

    /// Runs a write in one transaction, under a fence if one is given. Nothing of it stays when it fails, and the
    /// connection can be used again.
    fn write<T>(
        &self,
        fence: Option<Fence>,
        work: impl FnOnce(&Connection, &mut Books) -> std::result::Result<T, Fault>,
    ) -> Result<T> {
        let Some(writer) = &self.writer else {
            let problem = "it was opened for reading".to_owned();
            return Err(StoreError::ReadOnly { path: self.path.clone(), problem });
        };
        let connection = locked(writer);
        let run = || {
            if !connection.is_autocommit() {
                connection.execute_batch("ROLLBACK")?;
            }
            // Immediate: the fence is read when nobody else can write any more.
            let transaction = Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
            let mut books = Books::load(&transaction)?;
            if fence.is_some_and(|fence| fence.0 != books.ledger.epoch) {
                return Err(Fault::Fenced);
            }
            let done = work(&transaction, &mut books)?;
            books.save(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        run().map_err(|fault| fault.at(&self.path))
    }

    /// Runs a reading that sees one state, and holds up nobody who writes.
    fn look<T>(&self, work: impl FnOnce(&Connection) -> std::result::Result<T, Fault>) -> Result<T> {
        let connection = locked(&self.reader);
        let run = || {
            let transaction = Transaction::new_unchecked(&connection, TransactionBehavior::Deferred)?;
            work(&transaction)
        };
        run().map_err(|fault| fault.at(&self.path))
    }
}

impl Store for SqliteStore {
    fn resume(&self) -> Result<Resume> {
        self.look(reading::resume)
    }

    fn known(&self, versions: &[Version]) -> Result<Vec<Known>> {
        self.look(|connection| reading::known(connection, versions))
    }

    /// One transaction, which ends with one sync of the log.
    fn commit(&self, batch: &Batch, fence: Fence) -> Result<()> {
        self.write(Some(fence), |connection, books| commit::all(connection, books, batch))
    }

    fn set_sinks(&self, names: &[String], now: i64, fence: Fence) -> Result<u64> {
        let mut more = self.write(Some(fence), |_, books| Ok(delivery::set_sinks(books, names)))?;
        let mut buried = 0;
        // In pieces, so that the log stays small; a crash on the way leaves the rest to the next call.
        while more {
            let piece = self.write(Some(fence), |connection, books| delivery::bury(connection, books, now))?;
            more = piece > 0;
            buried += piece;
        }
        Ok(buried)
    }

    fn due(&self, sink: &str, after: i64, records: usize, bytes: usize) -> Result<Vec<Queued>> {
        self.look(|connection| delivery::due(connection, sink, after, records, bytes))
    }

    fn due_keys(&self, sink: &str) -> Result<Vec<(i64, String)>> {
        self.look(|connection| delivery::due_keys(connection, sink))
    }

    fn settle(&self, sink: &str, settled: &Settled, fence: Fence) -> Result<()> {
        self.write(Some(fence), |connection, books| delivery::settle(connection, books, sink, settled))
    }

    fn place(&self, sink: &str) -> Result<Option<String>> {
        self.look(|connection| reading::place(connection, sink))
    }

    fn backlog(&self) -> Result<Backlog> {
        self.look(delivery::backlog)
    }

    fn prune(&self, seen_before: i64, history_before: i64, fence: Fence) -> Result<bool> {
        let more =
            self.write(Some(fence), |connection, books| prune::piece(connection, books, seen_before, history_before))?;
        let mut scrub = locked(&self.scrub);
        let unchecked = match scrub.as_mut() {
            Some(left) => self.look(|connection| left.piece(connection))?,
            None => false,
        };
        if !unchecked {
            *scrub = None;
        }
        Ok(more || unchecked)
    }

    fn history(&self, at_most: usize) -> Result<Vec<PollNote>> {
        self.look(|connection| reading::history(connection, at_most))
    }

    fn quarantined(&self) -> Result<Vec<Quarantined>> {
        self.look(reading::quarantined)
    }

    fn dead_letters(&self, sink: Option<&str>, after: i64, at_most: usize) -> Result<Vec<DeadLetter>> {
        self.look(|connection| delivery::dead_letters(connection, sink, after, at_most))
    }

    fn retry_dead_letters(&self, numbers: &[i64], now: i64) -> Result<u64> {
        self.write(None, |connection, books| delivery::retry(connection, books, numbers, now))
    }

    fn drop_dead_letters(&self, numbers: &[i64]) -> Result<u64> {
        self.write(None, |connection, books| delivery::discard_letters(connection, books, numbers))
    }
}
