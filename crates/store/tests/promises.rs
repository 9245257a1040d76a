//! What the store promises to the daemon, one test for each promise.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use rusqlite::Connection;
use sortie_store::{
    Batch, CursorMove, Handled, QuarantineNote, Refused, Seen, Settled, SinkBacklog, SqliteStore, Store, StoreError,
};
use support::{OWNER, delivered, news, note, outgoing, place, step_end, strings, version, waiting};

#[test]
fn what_is_committed_is_there_after_opening_again() {
    let place = place();
    let (store, fence) = place.with_sinks(&["stdout"]);
    store.commit(&news(10, "1001", "f1"), fence).unwrap();
    store.commit(&step_end(11, "2026-01-01T00:00:00Z"), fence).unwrap();
    drop(store);

    let (store, _) = place.open();
    let resume = store.resume().unwrap();
    assert_eq!(resume.cursors, [("poll".to_owned(), "2026-01-01T00:00:00Z".to_owned())]);
    assert_eq!(resume.rounds, [("poll".to_owned(), 11)]);
    let known = store.known(&[version("1001", "f1"), version("1001", "f2"), version("7", "f1")]).unwrap();
    assert_eq!(known[0].version, Some(Handled::Queued));
    assert_eq!(known[0].latest.as_ref().unwrap().fingerprint, "f1");
    assert_eq!(known[1].version, None);
    assert_eq!(known[1].latest, known[0].latest);
    assert_eq!(known[2], sortie_store::Known::default());
    let due = store.due("stdout", 0, 10, 1000).unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].record, outgoing("1001", "f1").record);
    assert_eq!((due[0].key.as_str(), due[0].kind.as_str()), ("t/1001/f1", "incident.created"));
    assert_eq!(store.history(5).unwrap().len(), 1);
}

#[test]
fn a_cursor_that_begins_anew_is_none_and_keeps_its_round() {
    let place = place();
    let (store, fence) = place.open();
    store.commit(&step_end(11, "c1"), fence).unwrap();
    let moved = CursorMove { mode: "poll".to_owned(), cursor: None, round_ended: false };
    store.commit(&Batch { now: 12, cursor: Some(moved), ..Batch::default() }, fence).unwrap();
    let resume = store.resume().unwrap();
    assert!(resume.cursors.is_empty());
    assert_eq!(resume.rounds, [("poll".to_owned(), 11)]);
}

#[test]
fn a_version_that_was_queued_stays_so_and_one_passed_over_can_be_queued_later() {
    let place = place();
    let (store, fence) = place.open();
    let seen = |handled| Batch { now: 1, seen: vec![Seen { version: version("1", "f"), handled }], ..Batch::default() };
    let known = || store.known(&[version("1", "f")]).unwrap()[0].version;
    for (put, expected) in [
        (Handled::PassedOver, Handled::PassedOver),
        (Handled::Queued, Handled::Queued),
        (Handled::PassedOver, Handled::Queued),
    ] {
        store.commit(&seen(put), fence).unwrap();
        assert_eq!(known(), Some(expected));
    }
}

#[test]
fn a_key_that_is_in_the_outbox_is_not_put_there_again() {
    let place = place();
    let (store, fence) = place.with_sinks(&["stdout"]);
    let mut twice = news(1, "1", "f");
    twice.outgoing.push(outgoing("1", "f"));
    store.commit(&twice, fence).unwrap();
    store.commit(&news(2, "1", "f"), fence).unwrap();
    assert_eq!(store.backlog().unwrap().records, 1);
    assert_eq!(waiting(&store, "stdout").len(), 1);
}

#[test]
fn a_record_leaves_the_outbox_with_its_last_sink_and_its_number_never_comes_again() {
    let place = place();
    let (store, fence) = place.with_sinks(&["file", "stdout"]);
    store.commit(&news(5, "1", "a"), fence).unwrap();
    let first = waiting(&store, "file");
    store.settle("file", &delivered(6, &first), fence).unwrap();
    let backlog = store.backlog().unwrap();
    assert_eq!(backlog.records, 1);
    assert_eq!(backlog.bytes, outgoing("1", "a").record.len() as u64);
    assert_eq!(
        backlog.sinks,
        [
            SinkBacklog { name: "file".to_owned(), records: 0, oldest_at: None },
            SinkBacklog { name: "stdout".to_owned(), records: 1, oldest_at: Some(5) },
        ]
    );
    store.settle("stdout", &delivered(7, &first), fence).unwrap();
    // Settling again what was settled changes nothing.
    store.settle("stdout", &delivered(7, &first), fence).unwrap();
    assert_eq!((store.backlog().unwrap().records, store.backlog().unwrap().bytes), (0, 0));
    drop(store);

    let (store, fence) = place.open();
    store.commit(&news(8, "2", "a"), fence).unwrap();
    assert!(waiting(&store, "file") > first, "a courier tells records apart by their numbers");
}

#[test]
fn due_is_bounded_by_records_and_by_bytes_and_goes_on_after_a_number() {
    let place = place();
    let (store, fence) = place.with_sinks(&["stdout"]);
    for id in 0..10 {
        store.commit(&news(1, &id.to_string(), "f"), fence).unwrap();
    }
    let all = waiting(&store, "stdout");
    assert_eq!(all.len(), 10);
    assert!(all.is_sorted());
    let size = outgoing("0", "f").record.len();
    let take = |after, records, bytes| -> Vec<i64> {
        store.due("stdout", after, records, bytes).unwrap().into_iter().map(|queued| queued.sequence).collect()
    };
    assert_eq!(take(0, 3, usize::MAX), all[..3]);
    assert_eq!(take(all[2], 3, usize::MAX), all[3..6]);
    assert_eq!(take(0, 10, 2 * size + 1), all[..3], "the last one goes beyond the bytes");
    assert_eq!(take(0, 10, 1), all[..1], "one always comes, however large");
    assert!(store.due("nobody", 0, 10, 10).unwrap().is_empty());
    let keys = store.due_keys("stdout").unwrap();
    assert_eq!(keys.len(), 10);
    assert_eq!(keys[0], (all[0], "t/0/f".to_owned()));
}

#[test]
fn records_for_nobody_are_refused_rather_than_lost() {
    let place = place();
    let (store, fence) = place.open();
    let refused = store.commit(&news(1, "1", "f"), fence).unwrap_err();
    assert!(matches!(refused, StoreError::Failed { .. }), "{refused}");
    assert_eq!(store.known(&[version("1", "f")]).unwrap()[0].version, None);
    store.set_sinks(&strings(&["stdout"]), 1, fence).unwrap();
    store.commit(&news(1, "1", "f"), fence).unwrap();
}

#[test]
fn what_waits_for_a_sink_that_is_gone_becomes_dead_letters() {
    let place = place();
    let (store, fence) = place.with_sinks(&["file", "webhook"]);
    let mut many = Batch { now: 1, ..Batch::default() };
    many.outgoing.extend((0..1203).map(|id| outgoing(&id.to_string(), "f")));
    store.commit(&many, fence).unwrap();
    let place_of_webhook = Settled { now: 2, place: Some("42".to_owned()), ..Settled::default() };
    store.settle("webhook", &place_of_webhook, fence).unwrap();
    assert_eq!(store.set_sinks(&strings(&["file"]), 3, fence).unwrap(), 1203);
    assert_eq!(store.set_sinks(&strings(&["file"]), 3, fence).unwrap(), 0);
    let backlog = store.backlog().unwrap();
    assert_eq!((backlog.records, backlog.dead_letters), (1203, 1203));
    assert_eq!(backlog.sinks.len(), 1);
    let letters = store.dead_letters(Some("webhook"), 0, 5000).unwrap();
    assert_eq!(letters.len(), 1203);
    assert_eq!(letters[7].record, outgoing("7", "f").record);
    assert!(store.dead_letters(Some("file"), 0, 10).unwrap().is_empty());

    // Nobody would take them now; when the sink is back they can be put back, and it goes on at its place.
    assert_eq!(store.retry_dead_letters(&[letters[0].number], 4).unwrap(), 0);
    store.set_sinks(&strings(&["file", "webhook"]), 5, fence).unwrap();
    assert_eq!(store.place("webhook").unwrap().as_deref(), Some("42"));
    assert_eq!(store.retry_dead_letters(&[letters[0].number], 6).unwrap(), 1);
    assert_eq!(store.due("webhook", 0, 10, 10_000).unwrap()[0].record, outgoing("0", "f").record);
}

#[test]
fn dead_letters_are_put_back_behind_everything_under_new_numbers_by_another_program() {
    let place = place();
    let (store, fence) = place.with_sinks(&["file", "webhook"]);
    for id in ["1", "2"] {
        store.commit(&news(1, id, "f"), fence).unwrap();
    }
    let due = waiting(&store, "webhook");
    let refused = Refused { sequence: due[0], reason: "410 Gone".to_owned(), attempts: 3 };
    let settled = Settled { now: 9, refused: vec![refused.clone(), refused], ..Settled::default() };
    store.settle("webhook", &settled, fence).unwrap();
    assert_eq!(waiting(&store, "webhook"), due[1..], "the others go on");
    assert_eq!(waiting(&store, "file"), due, "and so do the other sinks");

    let beside = SqliteStore::amend(&place.path).unwrap();
    let letters = beside.dead_letters(None, 0, 10).unwrap();
    assert_eq!(letters.len(), 1, "refused twice, it is one");
    assert_eq!((letters[0].reason.as_str(), letters[0].attempts, letters[0].at), ("410 Gone", 3, 9));
    assert_eq!(beside.retry_dead_letters(&[letters[0].number, 999], 20).unwrap(), 1);
    assert_eq!(beside.retry_dead_letters(&[letters[0].number], 20).unwrap(), 0);

    let now = waiting(&store, "webhook");
    assert_eq!(now.len(), 2);
    assert!(now[1] > due[1]);
    let backlog = store.backlog().unwrap();
    assert_eq!((backlog.records, backlog.dead_letters), (3, 0), "the daemon sees what was changed beside it");
    store.settle("webhook", &delivered(21, &now), fence).unwrap();
    store.settle("file", &delivered(21, &due), fence).unwrap();
    let backlog = store.backlog().unwrap();
    assert_eq!((backlog.records, backlog.bytes), (0, 0));
}

#[test]
fn dropped_dead_letters_are_gone_and_their_numbers_too() {
    let place = place();
    let (store, fence) = place.with_sinks(&["webhook"]);
    let refuse = |id: &str| {
        store.commit(&news(1, id, "f"), fence).unwrap();
        let sequence = waiting(&store, "webhook")[0];
        let refused = vec![Refused { sequence, reason: "400".to_owned(), attempts: 1 }];
        store.settle("webhook", &Settled { now: 2, refused, ..Settled::default() }, fence).unwrap();
        store.dead_letters(None, 0, 10).unwrap().last().unwrap().number
    };
    let first = refuse("1");
    assert_eq!(store.drop_dead_letters(&[first]).unwrap(), 1);
    assert_eq!(store.drop_dead_letters(&[first]).unwrap(), 0);
    assert_ne!(refuse("2"), first, "a number that a person noted never means another letter");
    assert_eq!(store.backlog().unwrap().dead_letters, 1);
}

#[test]
fn the_quarantine_counts_and_is_left_when_an_item_can_be_read() {
    let place = place();
    let (store, fence) = place.open();
    let batch = |now, notes: &[&str], readable: &[&str]| Batch {
        now,
        quarantine: notes.iter().map(|id| note(id, &format!("at {now}"))).collect(),
        readable: strings(readable),
        ..Batch::default()
    };
    store.commit(&batch(1, &["7", ""], &["8"]), fence).unwrap();
    store.commit(&batch(2, &["7"], &[]), fence).unwrap();
    let held = store.quarantined().unwrap();
    assert_eq!(held.len(), 2);
    assert_eq!((held[1].id.as_str(), held[1].reason.as_str()), ("7", "at 2"));
    assert_eq!((held[1].first_at, held[1].last_at, held[1].times), (1, 2, 2));
    assert_eq!(store.backlog().unwrap().quarantined, 2);
    store.commit(&batch(3, &["9"], &["7", "9"]), fence).unwrap();
    let held: Vec<String> = store.quarantined().unwrap().into_iter().map(|item| item.id).collect();
    assert_eq!(held, ["", "9"], "what is noted in the same batch stays");
}

#[test]
fn pruning_forgets_what_is_old_and_keeps_what_waits() {
    let place = place();
    let (store, fence) = place.with_sinks(&["stdout"]);
    let mut many = Batch { now: 100, ..Batch::default() };
    for id in 0..1200 {
        let mut batch = news(100, &format!("old{id}"), "f");
        many.seen.append(&mut batch.seen);
        many.latest.append(&mut batch.latest);
    }
    store.commit(&many, fence).unwrap();
    store.commit(&news(100, "waits", "f"), fence).unwrap();
    store.commit(&step_end(100, "c"), fence).unwrap();
    store.commit(&news(200, "young", "f"), fence).unwrap();
    // A version that was noted again lately is remembered.
    store.commit(&news(100, "again", "f"), fence).unwrap();
    let again = Seen { version: version("again", "f"), handled: Handled::Queued };
    store.commit(&Batch { now: 200, seen: vec![again], ..Batch::default() }, fence).unwrap();
    store.commit(&step_end(200, "c"), fence).unwrap();

    let mut pieces = 1;
    while store.prune(150, 150, fence).unwrap() {
        pieces += 1;
    }
    assert!((3..10).contains(&pieces), "{pieces} pieces");
    let known = |id: &str, fingerprint: &str| store.known(&[version(id, fingerprint)]).unwrap().remove(0);
    assert_eq!((known("old7", "f").version, known("old7", "f").seen_at), (None, 0));
    // That there is such an item is known for good.
    assert_eq!(known("old7", "f").latest.unwrap().fingerprint, "f");
    assert_eq!(known("young", "f").version, Some(Handled::Queued));
    assert!(known("young", "f").latest.is_some());
    assert_eq!((known("again", "f").version, known("again", "f").seen_at), (Some(Handled::Queued), 200));
    assert_eq!(store.due("stdout", 0, 10, 10_000).unwrap()[0].id, "waits");
    assert_eq!(store.history(10).unwrap().len(), 1);
    assert_eq!(store.resume().unwrap().cursors.len(), 1);
}

#[test]
fn the_history_is_newest_first() {
    let place = place();
    let (store, fence) = place.open();
    for now in 1..=5 {
        store.commit(&step_end(now, "c"), fence).unwrap();
    }
    let began: Vec<i64> = store.history(3).unwrap().into_iter().map(|note| note.began_at).collect();
    assert_eq!(began, [5, 4, 3]);
}

#[test]
fn a_write_under_an_older_fence_changes_nothing() {
    let place = place();
    let (stale, old) = place.with_sinks(&["stdout"]);
    // As if the lock file had been removed under a daemon that goes on.
    std::fs::remove_file(place.path.with_extension("db.lock")).unwrap();
    let (newer, fence) = place.open();
    assert!(matches!(stale.commit(&news(1, "1", "f"), old), Err(StoreError::Fenced { .. })));
    assert!(matches!(stale.settle("stdout", &delivered(1, &[1]), old), Err(StoreError::Fenced { .. })));
    assert!(matches!(stale.set_sinks(&[], 1, old), Err(StoreError::Fenced { .. })));
    assert!(matches!(stale.prune(1, 1, old), Err(StoreError::Fenced { .. })));
    assert_eq!(newer.backlog().unwrap().records, 0);
    newer.commit(&news(1, "1", "f"), fence).unwrap();
}

#[test]
fn a_second_daemon_is_refused_at_once_and_told_who_has_the_store() {
    let place = place();
    let (store, _) = place.open();
    let began = std::time::Instant::now();
    let refused = SqliteStore::open(&place.path, OWNER).unwrap_err();
    assert!(began.elapsed() < std::time::Duration::from_secs(2), "it does not wait for it");
    let StoreError::InUse { process, .. } = &refused else { panic!("{refused}") };
    assert_eq!(*process, Some(std::process::id()));
    assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
    drop(store);
    place.open();
}

#[test]
fn readers_beside_a_daemon_see_what_is_new_and_hold_it_up_never() {
    let place = place();
    let (store, fence) = place.with_sinks(&["stdout"]);
    let reader = SqliteStore::read(&place.path).unwrap();
    // A reader in the middle of its reading, for as long as this test goes on.
    let held = Connection::open(&place.path).unwrap();
    held.execute_batch("BEGIN; SELECT count(*) FROM polls;").unwrap();
    for now in 1..=3 {
        store.commit(&step_end(now, "c"), fence).unwrap();
        assert_eq!(reader.history(10).unwrap().len(), usize::try_from(now).unwrap());
    }
    assert!(matches!(reader.drop_dead_letters(&[1]), Err(StoreError::ReadOnly { .. })));
    drop(store);
    assert_eq!(reader.history(10).unwrap().len(), 3);
    drop((reader, held));
    assert_eq!(SqliteStore::read(&place.path).unwrap().history(10).unwrap().len(), 3, "and without a daemon");
}

#[test]
fn a_store_belongs_to_its_action_and_tenant() {
    let place = place();
    drop(place.open());
    let foreign = SqliteStore::open(&place.path, "incidents-daemon@another").unwrap_err();
    let StoreError::Foreign { found, wanted, .. } = &foreign else { panic!("{foreign}") };
    assert_eq!((found.as_str(), wanted.as_str()), (OWNER, "incidents-daemon@another"));
}

#[test]
fn threads_share_it() {
    let place = place();
    let (store, fence) = place.with_sinks(&["stdout"]);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for id in 0..20 {
                    store.commit(&news(1, &format!("{thread}-{id}"), "f"), fence).unwrap();
                    let due = store.due("stdout", 0, 5, 1000).unwrap();
                    let taken: Vec<i64> = due.iter().map(|queued| queued.sequence).collect();
                    store.settle("stdout", &delivered(2, &taken), fence).unwrap();
                }
            });
        }
    });
    assert_eq!(store.backlog().unwrap().records, 0);
}

#[test]
fn what_no_sweep_finds_any_more_leaves_the_quarantine() {
    let place = place();
    let (store, fence) = place.open();
    for (now, id) in [(100, ""), (100, "gone"), (200, "still")] {
        let quarantine = vec![QuarantineNote { id: id.to_owned(), reason: "why".to_owned() }];
        store.commit(&Batch { now, quarantine, ..Batch::default() }, fence).unwrap();
    }
    store.commit(&Batch { now: 300, quarantine_before: Some(150), ..Batch::default() }, fence).unwrap();
    let left: Vec<String> = store.quarantined().unwrap().into_iter().map(|item| item.id).collect();
    assert_eq!((left, store.backlog().unwrap().quarantined), (vec!["still".to_owned()], 1));
}

#[test]
fn deliveries_are_counted_with_the_newest_entry_of_the_history() {
    let place = place();
    let (store, fence) = place.with_sinks(&["a", "b"]);
    store.commit(&news(1, "x", "f"), fence).unwrap();
    store.commit(&step_end(1, "c"), fence).unwrap();
    let settle = |sink: &str| {
        let delivered = store.due(sink, 0, 10, 10_000).unwrap().iter().map(|record| record.sequence).collect();
        store.settle(sink, &Settled { now: 2, delivered, ..Settled::default() }, fence).unwrap();
    };
    settle("a");
    store.commit(&step_end(2, "c"), fence).unwrap();
    settle("b");
    let delivered: Vec<u64> = store.history(10).unwrap().into_iter().map(|note| note.delivered).collect();
    assert_eq!(delivered, [1, 1]);
}
