//! Writes that fail, and the writes after them.

use std::time::Duration;

use rusqlite::Connection;

use super::{locked, news, opened, place, sql};
use crate::{CursorMove, Store, StoreError, Version};

#[test]
fn a_full_disk_changes_nothing_and_passes() {
    let (_folder, path) = place();
    let (store, fence) = opened(&path);
    let cursor =
        |to: &str| Some(CursorMove { mode: "poll".to_owned(), cursor: Some(to.to_owned()), round_ended: true });
    store.commit(&crate::Batch { cursor: cursor("before"), ..Default::default() }, fence).unwrap();
    let mut large = news("1", &"x".repeat(1 << 20));
    large.cursor = cursor("after");
    sql(&store, "PRAGMA max_page_count = 40");
    for _ in 0..3 {
        let full = store.commit(&large, fence).unwrap_err();
        assert!(matches!(full, StoreError::Full { .. }) && full.passes(), "{full}");
        assert_eq!(store.resume().unwrap().cursors[0].1, "before", "the cursor is not ahead of what it stands for");
        let version = Version { id: "1".to_owned(), fingerprint: "f".to_owned() };
        assert_eq!(store.known(&[version]).unwrap()[0].version, None);
        assert_eq!(store.backlog().unwrap().records, 0);
    }
    // What is small still goes on.
    store.commit(&crate::Batch { cursor: cursor("small"), ..Default::default() }, fence).unwrap();
    sql(&store, "PRAGMA max_page_count = 100000");
    store.commit(&large, fence).unwrap();
    assert_eq!(store.resume().unwrap().cursors[0].1, "after");
    let due = store.due("stdout", 0, 1, 1).unwrap();
    assert_eq!((due[0].sequence, due[0].record.len()), (1, 1 << 20), "no number was used up");
}

#[test]
fn a_store_that_another_program_keeps_locked_fails_and_passes() {
    let (_folder, path) = place();
    let (store, fence) = opened(&path);
    locked(store.writer.as_ref().unwrap()).busy_timeout(Duration::from_millis(20)).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let busy = store.commit(&news("1", "{}"), fence).unwrap_err();
    assert!(matches!(busy, StoreError::Failed { .. }) && busy.passes(), "{busy}");
    assert_eq!(store.backlog().unwrap().records, 0, "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    store.commit(&news("1", "{}"), fence).unwrap();
}

#[test]
fn a_transaction_that_was_left_open_is_rolled_back_by_the_next() {
    let (_folder, path) = place();
    let (store, fence) = opened(&path);
    sql(&store, "BEGIN IMMEDIATE; DELETE FROM sinks;");
    store.commit(&news("1", "{}"), fence).unwrap();
    assert_eq!(store.backlog().unwrap().sinks[0].records, 1);
}

#[test]
fn a_changed_value_is_refused_wherever_it_is_read() {
    let changes = [
        ("UPDATE cursors SET cursor = 'b'", "cursor"),
        ("UPDATE seen SET handled = 0", "seen"),
        ("UPDATE items SET summary = '[]'", "item"),
        ("UPDATE outbox SET record = '[]'", "record"),
        ("DELETE FROM outbox", "record that is gone"),
        ("UPDATE pending SET sequence = 9", "waiting record"),
        ("UPDATE ledger SET next_sequence = 1", "numbers"),
        ("UPDATE sinks SET waiting = 7", "counts"),
    ];
    for (change, what) in changes {
        let (_folder, path) = place();
        let (store, fence) = opened(&path);
        let mut batch = news("1", "{}");
        batch.cursor = Some(CursorMove { mode: "poll".to_owned(), cursor: Some("a".to_owned()), round_ended: true });
        store.commit(&batch, fence).unwrap();
        sql(&store, change);
        let version = Version { id: "1".to_owned(), fingerprint: "f".to_owned() };
        let errors: Vec<StoreError> = [
            store.resume().err(),
            store.known(&[version]).err(),
            store.due("stdout", 0, 10, 10).err(),
            store.backlog().err(),
        ]
        .into_iter()
        .flatten()
        .collect();
        assert!(!errors.is_empty(), "{what}");
        assert!(
            errors.iter().all(|error| matches!(error, StoreError::Corrupt { .. }) && !error.passes()),
            "{errors:?}"
        );
        drop(store);
        let again = super::SqliteStore::open(&path, super::OWNER).unwrap_err();
        assert!(matches!(again, StoreError::Corrupt { .. }), "{what}: {again}");
    }
}

#[test]
fn counts_that_do_not_match_the_rows_are_noticed_at_the_next_start() {
    for change in
        ["DELETE FROM pending", "DELETE FROM letters", "DELETE FROM quarantine", "DELETE FROM outbox WHERE id = '2'"]
    {
        let (_folder, path) = place();
        let (store, fence) = opened(&path);
        let mut batch = news("1", "{}");
        batch.quarantine.push(crate::QuarantineNote { id: "9".to_owned(), reason: "r".to_owned() });
        store.commit(&batch, fence).unwrap();
        store.commit(&news("2", "{}"), fence).unwrap();
        let refused = vec![crate::Refused { sequence: 1, reason: "r".to_owned(), attempts: 1 }];
        store.settle("stdout", &crate::Settled { now: 1, refused, ..Default::default() }, fence).unwrap();
        sql(&store, change);
        drop(store);
        let again = super::SqliteStore::open(&path, super::OWNER).unwrap_err();
        assert!(matches!(again, StoreError::Corrupt { .. }), "{change}: {again}");
    }
}
