//! A byte that changed on the disk: a store says so, or is fully right. It is never wrong without a word.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::path::Path;

use sortie_store::{
    Backlog, Batch, CursorMove, DeadLetter, Handled, Known, PollNote, Quarantined, Queued, Refused, Result, Resume,
    Seen, Settled, SqliteStore, Store, StoreError, Version,
};
use support::{OWNER, delivered, folder, news, note, place, step_end, version, waiting};

/// Everything that can be read from a store.
#[derive(Debug, PartialEq)]
struct Everything {
    resume: Resume,
    known: Vec<Known>,
    due: Vec<Vec<Queued>>,
    keys: Vec<(i64, String)>,
    places: Vec<Option<String>>,
    backlog: Backlog,
    history: Vec<PollNote>,
    quarantined: Vec<Quarantined>,
    letters: Vec<DeadLetter>,
}

const SINKS: [&str; 2] = ["file", "webhook"];

fn versions() -> Vec<Version> {
    let mut all: Vec<Version> = (0..60).map(|id| version(&id.to_string(), "f")).collect();
    all.extend([version("passed", "f"), version("never", "f")]);
    all
}

fn everything(store: &SqliteStore) -> Result<Everything> {
    Ok(Everything {
        resume: store.resume()?,
        known: store.known(&versions())?,
        due: SINKS.iter().map(|sink| store.due(sink, 0, 1000, usize::MAX)).collect::<Result<_>>()?,
        keys: store.due_keys("file")?,
        places: SINKS.iter().map(|sink| store.place(sink)).collect::<Result<_>>()?,
        backlog: store.backlog()?,
        history: store.history(1000)?,
        quarantined: store.quarantined()?,
        letters: store.dead_letters(None, 0, 1000)?,
    })
}

/// Opens it as the daemon does, reads everything, writes a little, and lets go of it.
fn live(path: &Path) -> Result<Everything> {
    let (store, fence) = SqliteStore::open(path, OWNER)?;
    let all = everything(&store)?;
    store.commit(&step_end(99, "later"), fence)?;
    store.prune(0, 0, fence)?;
    Ok(all)
}

/// A store with something in every table, carried over into its file.
fn populate(path: &Path) {
    let (store, fence) = SqliteStore::open(path, OWNER).unwrap();
    store.set_sinks(&support::strings(&SINKS), 1, fence).unwrap();
    for id in 0..60 {
        let mut batch = news(id, &id.to_string(), "f");
        batch.outgoing[0].record =
            format!("{{\"id\":\"{id}\",\"body\":\"{}\"}}", "é".repeat(if id == 7 { 3000 } else { 20 }));
        store.commit(&batch, fence).unwrap();
    }
    let passed = Seen { version: version("passed", "f"), handled: Handled::PassedOver };
    let sweep = CursorMove { mode: "sweep".to_owned(), cursor: Some("{\"page\":3}".to_owned()), round_ended: false };
    let quarantine = vec![note("q1", "not a number"), note("", "no id")];
    store
        .commit(&Batch { now: 70, seen: vec![passed], cursor: Some(sweep), quarantine, ..Batch::default() }, fence)
        .unwrap();
    for now in 71..80 {
        store.commit(&step_end(now, "2026-01-01T00:00:00Z"), fence).unwrap();
    }
    let due = waiting(&store, "webhook");
    store.settle("webhook", &delivered(81, &due[..20]), fence).unwrap();
    let refused = vec![Refused { sequence: due[20], reason: "410".to_owned(), attempts: 2 }];
    let settled = Settled { now: 82, refused, place: Some("17".to_owned()), ..Settled::default() };
    store.settle("webhook", &settled, fence).unwrap();
    store.settle("file", &delivered(83, &due[..10]), fence).unwrap();
}

#[test]
fn a_flipped_byte_is_said_or_harmless() {
    let place = place();
    populate(&place.path);
    let whole = fs::read(&place.path).unwrap();
    let right = live(&place.path).unwrap();
    assert_eq!(right.due[0].len(), 50);

    // All of the header, and places all over the rest; only few among the bytes that are nothing, of which there are most.
    let used: Vec<usize> = (100..whole.len()).filter(|position| whole[*position] != 0 || position % 50 == 0).collect();
    let positions = (0..100).chain((0..400).map(|nth| used[nth * used.len() / 400]));
    let (mut said, mut harmless) = (0, 0);
    for (nth, position) in positions.enumerate() {
        let by = if nth % 2 == 0 { 0xff_u8 } else { 1 << (nth / 2 % 8) };
        let mut bytes = whole.clone();
        bytes[position] ^= by;
        let folder = folder();
        let path = folder.path().join("contoso.db");
        fs::write(&path, &bytes).unwrap();
        match live(&path) {
            Ok(all) => {
                assert_eq!(all, right, "byte {position} ^ {by:#x} is wrong without a word");
                harmless += 1;
            }
            Err(error) => {
                assert!(
                    matches!(
                        error,
                        StoreError::Corrupt { .. } | StoreError::Newer { .. } | StoreError::ReadOnly { .. }
                    ),
                    "{error}"
                );
                said += 1;
            }
        }
    }
    assert!(said > 250, "{said} said, {harmless} harmless");
}

#[test]
fn a_damaged_log_leaves_an_earlier_state_that_is_whole() {
    let place = place();
    let folder = folder();
    let copy = folder.path().join("contoso.db");
    let (store, fence) = place.with_sinks(&["stdout"]);
    for id in 0..20 {
        let mut batch = news(id, &id.to_string(), "f");
        batch.cursor = Some(CursorMove { mode: "poll".to_owned(), cursor: Some(id.to_string()), round_ended: true });
        store.commit(&batch, fence).unwrap();
    }
    let (file, log) = (fs::read(&place.path).unwrap(), fs::read(place.path.with_extension("db-wal")).unwrap());
    assert!(log.len() > 10_000);
    for nth in 0..60 {
        let mut log = log.clone();
        let position = nth * (log.len() / 60) + nth * 13 % (log.len() / 60);
        log[position] ^= 0x40;
        fs::write(&copy, &file).unwrap();
        fs::write(copy.with_extension("db-wal"), &log).unwrap();
        let _ = fs::remove_file(copy.with_extension("db-shm"));
        let (store, _) = SqliteStore::open(&copy, OWNER).unwrap();
        let cursor = store.resume().unwrap().cursors.first().map_or(-1, |(_, cursor)| cursor.parse::<i64>().unwrap());
        assert_eq!(
            store.backlog().unwrap().records,
            (cursor + 1).cast_unsigned(),
            "the cursor stands for what is there"
        );
        for id in 0..20 {
            let known = store.known(&[version(&id.to_string(), "f")]).unwrap().remove(0);
            assert_eq!(known.version.is_some(), id <= cursor);
        }
    }
}
