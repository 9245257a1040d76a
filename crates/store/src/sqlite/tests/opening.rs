//! What is refused when a store is opened, and that it is left as it is.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rusqlite::Connection;

use super::{OWNER, SqliteStore, news, opened, place};
use crate::{Store, StoreError};

fn refused(path: &Path) -> StoreError {
    SqliteStore::open(path, OWNER).map(|_| ()).unwrap_err()
}

#[track_caller]
fn corrupt(path: &Path) {
    let before = fs::read(path).unwrap();
    let error = refused(path);
    assert!(matches!(error, StoreError::Corrupt { .. }) && !error.passes(), "{error}");
    let said = error.to_string();
    for part in ["-wal", "-shm", "backup", "look-back"] {
        assert!(said.contains(part), "the remedy lacks {part}: {said}");
    }
    assert!(SqliteStore::read(path).is_err());
    assert!(SqliteStore::amend(path).is_err());
    assert_eq!(fs::read(path).unwrap(), before, "it was changed");
}

#[test]
fn garbage_is_no_store() {
    let garbage: [&[u8]; 4] = [b"x", &[0; 5000], b"SQLite format 3\0", &[0xff; 4096]];
    for bytes in garbage {
        let (_folder, path) = place();
        fs::write(&path, bytes).unwrap();
        if bytes.len() > 100 {
            corrupt(&path);
        } else {
            assert!(matches!(refused(&path), StoreError::Corrupt { .. }), "{bytes:?}");
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }
}

#[test]
fn a_database_of_another_program_is_no_store() {
    let (_folder, path) = place();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE seen (id); PRAGMA user_version = 1").unwrap();
    corrupt(&path);
}

#[test]
fn a_store_without_one_of_its_tables_is_damaged() {
    for table in ["identity", "ledger", "sinks", "cursors", "seen", "items", "outbox", "pending", "letters", "polls"] {
        let (_folder, path) = place();
        drop(opened(&path));
        let other = Connection::open(&path).unwrap();
        other
            .execute_batch(&format!("PRAGMA foreign_keys = OFF; DROP TABLE {table}; PRAGMA wal_checkpoint(TRUNCATE);"))
            .unwrap();
        drop(other);
        corrupt(&path);
    }
}

#[test]
fn a_file_cut_short_is_damaged() {
    let (_folder, path) = place();
    let (store, fence) = opened(&path);
    store.commit(&news("1", &"x".repeat(100_000)), fence).unwrap();
    drop(store);
    let whole = fs::read(&path).unwrap();
    for length in [whole.len() - 4096, whole.len() / 2, 4096, 100] {
        fs::write(&path, &whole[..length]).unwrap();
        corrupt(&path);
    }
    fs::write(&path, &whole).unwrap();
    opened(&path);
}

#[test]
fn an_empty_file_is_made_a_store_only_if_it_never_was_one() {
    let (_folder, path) = place();
    fs::write(&path, b"").unwrap();
    assert!(matches!(SqliteStore::read(&path), Err(StoreError::Missing { .. })));
    drop(opened(&path));
    fs::write(&path, b"").unwrap();
    assert!(matches!(refused(&path), StoreError::Corrupt { .. }), "its content went");
    fs::remove_file(&path).unwrap();
    drop(opened(&path));

    // A crash between the making of the file and that of its tables, after the store before it was moved away.
    fs::rename(&path, path.with_extension("old")).unwrap();
    let mut lock = super::super::Lock::take(&path).unwrap();
    lock.note(&path, false).unwrap();
    drop(lock);
    fs::write(&path, b"").unwrap();
    opened(&path);
}

#[test]
fn a_log_without_its_file_is_not_wiped_out() {
    let (_folder, path) = place();
    drop(opened(&path));
    let log = path.with_extension("db-wal");
    for empty in [false, true] {
        fs::remove_file(&path).unwrap();
        fs::write(&log, b"a log").unwrap();
        if empty {
            fs::write(&path, b"").unwrap();
        }
        assert!(matches!(refused(&path), StoreError::Corrupt { .. }));
        assert_eq!(fs::read(&log).unwrap(), b"a log");
        fs::write(&path, b"").unwrap();
    }
}

#[test]
fn a_crash_while_it_is_made_is_taken_back() {
    // SQLite's own journal of the making lies there, and a part of the new file.
    let (_folder, path) = place();
    fs::write(&path, b"").unwrap();
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN IMMEDIATE; CREATE TABLE identity (x);")
        .unwrap();
    for _ in 0..200 {
        connection.execute("INSERT INTO identity VALUES (randomblob(3000))", []).unwrap();
    }
    let (half, journal) = (fs::read(&path).unwrap(), fs::read(path.with_extension("db-journal")).unwrap());
    assert!(!half.is_empty() && !journal.is_empty());
    let (_folder, path) = place();
    fs::write(&path, half).unwrap();
    fs::write(path.with_extension("db-journal"), journal).unwrap();
    let (store, fence) = opened(&path);
    store.commit(&news("1", "{}"), fence).unwrap();
}

#[test]
fn links_are_not_followed() {
    let (folder, path) = place();
    let elsewhere = folder.path().join("elsewhere");
    fs::write(&elsewhere, b"mine").unwrap();
    for link in [path.clone(), path.with_extension("db.lock"), path.with_extension("db-wal")] {
        symlink(&elsewhere, &link).unwrap();
        let error = refused(&path);
        assert!(matches!(error, StoreError::Exposed { .. }), "{error}");
        fs::remove_file(&link).unwrap();
    }
    assert_eq!(fs::read(&elsewhere).unwrap(), b"mine");
    // A link in the way to the folder is the administrator's business.
    let way = folder.path().join("way");
    fs::create_dir(folder.path().join("real")).unwrap();
    symlink(folder.path().join("real"), &way).unwrap();
    opened(&way.join("contoso.db"));
    assert!(folder.path().join("real/contoso.db").exists());
}

#[test]
fn a_store_that_others_may_write_is_refused_with_the_remedy() {
    let (folder, path) = place();
    drop(opened(&path));
    let mode = |at: &Path, mode| fs::set_permissions(at, fs::Permissions::from_mode(mode)).unwrap();
    for open in [0o660, 0o606, 0o622] {
        mode(&path, open);
        let error = refused(&path);
        assert!(matches!(error, StoreError::Exposed { .. }) && error.to_string().contains("chmod 600"), "{error}");
        assert!(matches!(SqliteStore::amend(&path), Err(StoreError::Exposed { .. })));
    }
    mode(&path, 0o644);
    drop(opened(&path));
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600,
        "what others could read, they no longer can"
    );
    mode(folder.path(), 0o777);
    let error = refused(&path);
    assert!(matches!(error, StoreError::Exposed { .. }) && error.to_string().contains("chmod go-w"), "{error}");
    mode(folder.path(), 0o1777);
    drop(opened(&path));
    mode(folder.path(), 0o700);
}

#[test]
fn where_there_is_none_nothing_is_made_for_reading() {
    let (folder, _) = place();
    let path = folder.path().join("deep").join("contoso.db");
    assert!(matches!(SqliteStore::read(&path), Err(StoreError::Missing { .. })));
    assert!(matches!(SqliteStore::amend(&path), Err(StoreError::Missing { .. })));
    assert!(!folder.path().join("deep").exists());
}

#[test]
fn a_folder_that_cannot_be_made_is_said() {
    let (folder, _) = place();
    fs::write(folder.path().join("file"), b"").unwrap();
    let error = refused(&folder.path().join("file").join("contoso.db"));
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
}
