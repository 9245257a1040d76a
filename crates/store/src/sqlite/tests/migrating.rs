//! From one version of the schema to the next.

use rusqlite::Connection;

use super::super::schema::STEPS;
use super::{OWNER, SqliteStore, news, place};
use crate::{Result, Store, StoreError, Version};

/// A later version: a table more, and a table made anew with a column more.
const LATER: &str = "
CREATE TABLE notes (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
INSERT INTO notes (text) SELECT id FROM seen;
";

fn with_steps(path: &std::path::Path, steps: &[&str]) -> Result<SqliteStore> {
    SqliteStore::open_with(path, OWNER, steps, None).map(|(store, _)| store)
}

/// A store of the first version with something in it.
fn first(path: &std::path::Path) {
    let (store, fence) = SqliteStore::open_with(path, OWNER, &STEPS[..1], None).unwrap();
    store.set_sinks(&["stdout".to_owned()], 1, fence).unwrap();
    store.commit(&news("1", "{}"), fence).unwrap();
}

fn version_of(path: &std::path::Path) -> i64 {
    Connection::open(path).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

fn all_is_there(store: &SqliteStore) {
    let version = Version { id: "1".to_owned(), fingerprint: "f".to_owned() };
    assert!(store.known(&[version]).unwrap()[0].version.is_some());
    assert_eq!(store.due("stdout", 0, 10, 10).unwrap().len(), 1);
}

#[test]
fn an_older_store_is_brought_up_to_date_with_everything_in_it() {
    let (_folder, path) = place();
    first(&path);
    let steps = [STEPS[0], LATER];
    for _ in 0..2 {
        let store = with_steps(&path, &steps).unwrap();
        all_is_there(&store);
        drop(store);
        assert_eq!(version_of(&path), 2);
    }
    let notes: i64 =
        Connection::open(&path).unwrap().query_row("SELECT count(*) FROM notes", [], |row| row.get(0)).unwrap();
    assert_eq!(notes, 1, "the step ran once");
}

#[test]
fn a_newer_store_is_refused_and_left_as_it_is() {
    let (_folder, path) = place();
    drop(with_steps(&path, &[STEPS[0], LATER]).unwrap());
    let before = std::fs::read(&path).unwrap();
    for refused in [
        with_steps(&path, &STEPS[..1]).unwrap_err(),
        SqliteStore::read(&path).unwrap_err(),
        SqliteStore::amend(&path).unwrap_err(),
    ] {
        let StoreError::Newer { found, known, .. } = refused else { panic!("{refused}") };
        assert_eq!((found, known), (2, 1));
    }
    assert_eq!(before, std::fs::read(&path).unwrap());
}

#[test]
fn a_step_that_fails_leaves_the_version_before() {
    let (_folder, path) = place();
    first(&path);
    let failing = ["CREATE TABLE half (done INTEGER) STRICT; INSERT INTO nowhere VALUES (1);", "CREATE TABLE seen (x)"];
    for step in failing {
        assert!(with_steps(&path, &[STEPS[0], step]).is_err());
        assert_eq!(version_of(&path), 1);
        all_is_there(&with_steps(&path, &STEPS[..1]).unwrap());
    }
}

#[test]
fn a_version_number_that_was_changed_does_not_repeat_a_step() {
    let (_folder, path) = place();
    drop(with_steps(&path, &[STEPS[0], LATER]).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 1).unwrap();
    let refused = with_steps(&path, &[STEPS[0], LATER]).unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused}");
}

#[test]
fn a_making_that_was_cut_off_is_made_again() {
    let (_folder, path) = place();
    assert!(with_steps(&path, &["CREATE TABLE identity (x) STRICT"]).is_err(), "it fails on the way");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0, "and nothing of it stays");
    all_is_there(&{
        first(&path);
        with_steps(&path, STEPS).unwrap()
    });
}
