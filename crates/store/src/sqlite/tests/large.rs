//! A store that is too large to be checked completely when it is opened. Here every store counts as large.

use super::super::schema::STEPS;
use super::{OWNER, SqliteStore, news, opened, place, sql};
use crate::{Fence, Result, Store, StoreError};

fn open_as_large(path: &std::path::Path) -> Result<(SqliteStore, Fence)> {
    SqliteStore::open_with(path, OWNER, STEPS, Some(0))
}

fn filled(path: &std::path::Path, many: usize) -> SqliteStore {
    let (store, fence) = opened(path);
    let mut batch = crate::Batch::default();
    for id in 0..many {
        let mut one = news(&format!("{id:05}"), "{}");
        batch.seen.append(&mut one.seen);
        batch.latest.append(&mut one.latest);
        batch.outgoing.append(&mut one.outgoing);
    }
    store.commit(&batch, fence).unwrap();
    store
}

#[test]
fn what_was_not_checked_at_the_start_is_checked_while_it_prunes() {
    let (_folder, path) = place();
    drop(filled(&path, 4500));
    let (store, fence) = open_as_large(&path).unwrap();
    let mut pieces = 1;
    while store.prune(0, 0, fence).unwrap() {
        pieces += 1;
    }
    assert!(pieces > 8, "{pieces}");
    assert!(!store.prune(0, 0, fence).unwrap(), "once is enough");
    assert_eq!(store.backlog().unwrap().records, 4500);
}

#[test]
fn a_changed_row_that_nobody_reads_is_found_while_it_prunes() {
    for change in [
        "UPDATE seen SET fingerprint = 'g' WHERE id = '04321'",
        "UPDATE items SET summary = '[]' WHERE id = '00007'",
        "UPDATE outbox SET record = '[]' WHERE sequence = 2500",
        "UPDATE pending SET sequence = 9999 WHERE sequence = 4500",
    ] {
        let (_folder, path) = place();
        let store = filled(&path, 4500);
        sql(&store, change);
        drop(store);
        let (store, fence) = open_as_large(&path).unwrap();
        let error = loop {
            match store.prune(0, 0, fence) {
                Ok(more) => assert!(more, "{change} was not found"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, StoreError::Corrupt { .. }), "{change}: {error}");
    }
}

#[test]
fn a_changed_row_of_a_small_table_is_found_at_the_start() {
    for change in ["UPDATE sinks SET waiting = 1", "UPDATE ledger SET epoch = 7", "UPDATE identity SET owner = 'x'"] {
        let (_folder, path) = place();
        let store = filled(&path, 10);
        sql(&store, change);
        drop(store);
        let error = open_as_large(&path).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{change}: {error}");
    }
}

#[test]
fn what_an_outage_filled_is_given_back_to_the_disk() {
    let (_folder, path) = place();
    let (store, fence) = opened(&path);
    store.commit(&news("1", &"x".repeat(30 << 20)), fence).unwrap();
    store.settle("stdout", &crate::Settled { now: 1, delivered: vec![1], ..Default::default() }, fence).unwrap();
    while store.prune(0, 0, fence).unwrap() {}
    drop(store);
    let left = std::fs::metadata(&path).unwrap().len();
    assert!(left < 20 << 20, "{left}");
    assert_eq!(opened(&path).0.backlog().unwrap().records, 0);
}

/// Everything the daemon works with.
fn everything(store: &SqliteStore) -> Result<(crate::Resume, Vec<crate::Known>, Vec<crate::Queued>, crate::Backlog)> {
    let versions: Vec<_> =
        (0..3000).map(|id| crate::Version { id: format!("{id:05}"), fingerprint: "f".to_owned() }).collect();
    Ok((store.resume()?, store.known(&versions)?, store.due("stdout", 0, 9999, usize::MAX)?, store.backlog()?))
}

#[test]
fn a_flipped_byte_is_said_or_harmless_once_it_was_checked() {
    let (_folder, path) = place();
    drop(filled(&path, 3000));
    let whole = std::fs::read(&path).unwrap();
    let right = everything(&open_as_large(&path).unwrap().0).unwrap();
    assert_eq!(right.2.len(), 3000);
    let used: Vec<usize> = (100..whole.len()).filter(|position| whole[*position] != 0).collect();
    let mut said = 0;
    for nth in 0..50 {
        let position = used[nth * used.len() / 50 + nth % 7];
        let mut bytes = whole.clone();
        bytes[position] ^= if nth % 2 == 0 { 0xff } else { 1 << (nth / 2 % 8) };
        let (_folder, path) = place();
        std::fs::write(&path, bytes).unwrap();
        let live = || {
            let (store, fence) = open_as_large(&path)?;
            while store.prune(0, 0, fence)? {}
            everything(&store)
        };
        match live() {
            Ok(all) => assert!(all == right, "byte {position} is wrong without a word"),
            Err(error) => {
                assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
                said += 1;
            }
        }
    }
    assert!(said > 12, "{said}");
}
