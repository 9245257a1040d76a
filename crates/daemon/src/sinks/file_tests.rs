use super::super::stream;
use super::super::testing::{Memory, Rig};
use super::*;
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use tempfile::TempDir;

fn settings(folder: &TempDir) -> FileSettings {
    FileSettings { path: folder.path().join("out.jsonl"), rotate_bytes: None, keep: 3 }
}

fn queued(numbers: impl IntoIterator<Item = i64>) -> Vec<Queued> {
    let record = |sequence| {
        let (id, key) = (format!("{sequence}"), format!("t/{sequence}/f"));
        let record = format!(r#"{{"type":"incident.created","idempotencyKey":"{key}","id":"{id}","incident":{{}}}}"#);
        Queued { sequence, id, key, kind: "incident.created".to_owned(), record }
    };
    numbers.into_iter().map(record).collect()
}

fn due(batch: &[Queued]) -> Vec<(i64, String)> {
    batch.iter().map(|record| (record.sequence, record.key.clone())).collect()
}

/// The keys in all files of a sink, oldest first; every line must be whole.
fn keys(path: &Path) -> Vec<String> {
    let rotated = (1..=9).rev().map(|number| rotation::rotated(path, number));
    let files = rotated.chain([path.to_owned()]).filter_map(|path| fs::read_to_string(path).ok());
    files
        .flat_map(|text| {
            assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
            text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect::<Vec<_>>()
        })
        .map(|record| record["idempotencyKey"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Writes as the courier does; gives the place.
fn put(sink: &mut FileSink, batch: &[Queued]) -> String {
    match sink.write(batch) {
        Err(Trouble::Moved(_)) => sink.write(batch),
        written => written,
    }
    .unwrap()
    .unwrap()
}

fn wanted(numbers: impl IntoIterator<Item = i64>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("t/{number}/f")).collect()
}

#[test]
fn what_was_written_before_a_crash_is_settled_and_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    let mut sink = FileSink::open(&settings).unwrap();
    sink.begin(None, &[]).unwrap();
    let place = put(&mut sink, &queued(1..=3));
    let unsettled = queued(4..=6);
    put(&mut sink, &unsettled);
    // The crash comes in the middle of the next batch.
    sink.open.file.write_all(&lines(&queued([7]))[..40]).unwrap();
    drop(sink);

    for place in [None, Some("nonsense"), Some(place.as_str())] {
        let copy = tempfile::tempdir().unwrap();
        let path = copy.path().join("out.jsonl");
        fs::copy(&settings.path, &path).unwrap();
        // A copy has another inode, so with a place only the original knows where it stands.
        let at = if place.is_some_and(|place| place.starts_with('{')) { &settings.path } else { &path };
        let mut sink = FileSink::open(&FileSettings { path: at.clone(), ..settings.clone() }).unwrap();
        let open = queued(4..=8);
        let settled = sink.begin(place, &due(&open)).unwrap();
        assert_eq!(settled.delivered, [4, 5, 6], "{place:?}");
        put(&mut sink, &queued(7..=8));
        assert_eq!(keys(at), wanted(1..=8), "{place:?}");
    }
}

#[test]
fn the_file_is_for_its_owner_alone_and_for_one_sink_alone() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    let sink = FileSink::open(&settings).unwrap();
    assert_eq!(fs::metadata(&settings.path).unwrap().permissions().mode() & 0o777, 0o600);
    let failure = FileSink::open(&settings).map(drop).unwrap_err();
    assert_eq!(failure.exit_code(), 78);
    assert!(failure.message.contains("another daemon"), "{failure}");
    drop(sink);
    let missing = FileSettings { path: folder.path().join("no/out"), ..settings };
    let failure = FileSink::open(&missing).map(drop).unwrap_err();
    assert!(failure.message.contains("does not exist"), "{failure}");
}

#[test]
fn a_file_of_somebody_else_keeps_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    fs::write(&settings.path, "{\"note\":1}\n{\"no end\":2}").unwrap();
    let mut sink = FileSink::open(&settings).unwrap();
    sink.begin(None, &due(&queued([1]))).unwrap();
    put(&mut sink, &queued([1]));
    assert_eq!(keys(&settings.path), ["", "", "t/1/f"]);
}

#[test]
fn a_file_that_is_moved_deleted_or_emptied_by_others_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    let moved = rotation::rotated(&settings.path, 1);
    let mut sink = FileSink::open(&settings).unwrap();
    sink.begin(None, &[]).unwrap();
    put(&mut sink, &queued([1]));
    fs::rename(&settings.path, &moved).unwrap();
    put(&mut sink, &queued([2]));
    assert_eq!(keys(&settings.path), wanted([1, 2]));
    fs::remove_file(&settings.path).unwrap();
    put(&mut sink, &queued([3]));
    assert_eq!(keys(&settings.path), wanted([1, 3]));
    fs::OpenOptions::new().write(true).open(&settings.path).unwrap().set_len(0).unwrap();
    let place = put(&mut sink, &queued([4]));
    assert_eq!(keys(&settings.path), wanted([1, 4]));

    // Moved while the daemon is down, with a batch in it that was not settled.
    put(&mut sink, &queued([5, 6]));
    drop(sink);
    fs::rename(&settings.path, rotation::rotated(&settings.path, 2)).unwrap();
    let mut sink = FileSink::open(&settings).unwrap();
    let settled = sink.begin(Some(&place), &due(&queued(5..=7))).unwrap();
    assert_eq!(settled.delivered, [5, 6]);
}

#[test]
fn it_rotates_itself_and_a_crash_at_any_point_of_that_loses_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&folder);
    settings.rotate_bytes = Some(200);
    let mut sink = FileSink::open(&settings).unwrap();
    sink.begin(None, &[]).unwrap();
    let mut place = String::new();
    for number in 1..=6 {
        place = put(&mut sink, &queued([number]));
    }
    assert!(fs::metadata(&settings.path).unwrap().len() <= 200);
    assert!(rotation::rotated(&settings.path, 1).exists() && rotation::rotated(&settings.path, 2).exists());
    assert_eq!(keys(&settings.path), wanted(1..=6));

    // A crash after the rename and before the new file.
    drop(sink);
    rotation::rotate(&settings.path, 3).unwrap();
    let mut sink = FileSink::open(&settings).unwrap();
    assert_eq!(sink.begin(Some(&place), &due(&queued([7]))).unwrap().delivered, [] as [i64; 0]);
    // And one after a batch in the new file that was not settled.
    put(&mut sink, &queued([7]));
    drop(sink);
    let mut sink = FileSink::open(&settings).unwrap();
    assert_eq!(sink.begin(Some(&place), &due(&queued([7, 8]))).unwrap().delivered, [7]);
    put(&mut sink, &queued([8]));
    let found = keys(&settings.path);
    assert_eq!(found, wanted(9 - found.len() as i64..=8), "the newest of what is kept, each once");
}

#[test]
fn without_any_to_keep_the_old_file_goes() {
    let folder = tempfile::tempdir().unwrap();
    let settings = FileSettings { rotate_bytes: Some(200), keep: 0, ..settings(&folder) };
    let mut sink = FileSink::open(&settings).unwrap();
    sink.begin(None, &[]).unwrap();
    let before = fs::metadata(&settings.path).unwrap().ino();
    for number in 1..=3 {
        put(&mut sink, &queued([number]));
    }
    assert_ne!(fs::metadata(&settings.path).unwrap().ino(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(keys(&settings.path), wanted([3]));
}

#[test]
fn a_full_disk_leaves_no_torn_line_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    let mut sink = FileSink::open(&settings).unwrap();
    sink.begin(None, &[]).unwrap();
    put(&mut sink, &queued([1]));
    // Half a batch came out before the disk was full, and not even cutting it off succeeded then.
    sink.open.unsound = true;
    sink.open.file.write_all(&lines(&queued(2..=3))[..130]).unwrap();
    put(&mut sink, &queued(2..=3));
    assert_eq!(keys(&settings.path), wanted(1..=3));

    // A device that is always full.
    let length = sink.open.length;
    let sound = std::mem::replace(&mut sink.open.file, fs::OpenOptions::new().append(true).open("/dev/full").unwrap());
    let error = sink.open.append(b"x").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    sink.open.file = sound;
    (sink.open.length, sink.open.unsound) = (length, true);
    put(&mut sink, &queued([4]));
    assert_eq!(keys(&settings.path), wanted(1..=4));
}

/// What a courier does with a batch, up to the settling: the place that the store has then.
fn written(sink: &mut FileSink, batch: &[Queued], place: &mut String) {
    while let Err(trouble) = sink.write(batch) {
        match trouble {
            Trouble::Moved(new) => *place = new,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn emptied_under_a_running_daemon_a_crash_repeats_and_tears_nothing() {
    // More behind the emptying than before, less, and as much as puts the old place on a line's end.
    for count in [1, 2, 3, 40] {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&folder);
        let mut sink = FileSink::open(&settings).unwrap();
        sink.begin(None, &[]).unwrap();
        // Records of the same length as those behind.
        let mut place = put(&mut sink, &queued(80..=81));
        // As `copytruncate` does.
        File::options().write(true).open(&settings.path).unwrap().set_len(0).unwrap();
        let batch = queued(10..10 + count);
        written(&mut sink, &batch, &mut place);
        drop(sink);
        let mut sink = FileSink::open(&settings).unwrap();
        let all = queued(10..=60);
        let settled = sink.begin(Some(&place), &due(&all)).unwrap();
        assert_eq!(settled.delivered, (10..10 + count).collect::<Vec<_>>(), "{count}");
        put(&mut sink, &queued(10 + count..=60));
        assert_eq!(keys(&settings.path), wanted(10..=60), "{count}");
    }
}

#[test]
fn a_place_in_the_middle_of_a_line_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    let mut sink = FileSink::open(&settings).unwrap();
    sink.begin(None, &[]).unwrap();
    put(&mut sink, &queued(1..=4));
    let inode = fs::metadata(&settings.path).unwrap().ino();
    drop(sink);
    let mut sink = FileSink::open(&settings).unwrap();
    let place = serde_json::to_string(&Place { inode, length: 100 }).unwrap();
    let settled = sink.begin(Some(&place), &due(&queued(1..=5))).unwrap();
    assert_eq!(settled.delivered, [1, 2, 3, 4]);
    put(&mut sink, &queued([5]));
    assert_eq!(keys(&settings.path), wanted(1..=5));
}

#[test]
fn what_others_add_without_an_end_of_line_is_ended_first() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    let mut sink = FileSink::open(&settings).unwrap();
    sink.begin(None, &[]).unwrap();
    put(&mut sink, &queued([1]));
    File::options().append(true).open(&settings.path).unwrap().write_all(b"{\"note\":1}").unwrap();
    put(&mut sink, &queued([2]));
    assert_eq!(keys(&settings.path), ["t/1/f", "", "t/2/f"]);
}

#[test]
fn deleted_while_a_batch_is_written_it_is_written_again_and_moved_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    let mut sink = FileSink::open(&settings).unwrap();
    sink.begin(None, &[]).unwrap();
    put(&mut sink, &queued([1]));
    let batch = lines(&queued([2]));
    sink.prepare(batch.len()).unwrap();
    fs::remove_file(&settings.path).unwrap();
    assert!(matches!(sink.put(&batch), Err(Trouble::Moved(_))));
    put(&mut sink, &queued([2]));
    assert_eq!(keys(&settings.path), wanted([2]));

    let batch = lines(&queued([3]));
    sink.prepare(batch.len()).unwrap();
    fs::rename(&settings.path, rotation::rotated(&settings.path, 1)).unwrap();
    sink.put(&batch).unwrap();
    put(&mut sink, &queued([4]));
    assert_eq!(keys(&settings.path), wanted(2..=4));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// Crashes at any byte, settled or not, with rotation by the sink and by others in between: what the files hold in the
    /// end is every record once, in order.
    #[test]
    fn every_record_once_whatever_happens(
        rounds in prop::collection::vec((1_i64..6, any::<bool>(), 0_usize..500, 0_u8..4), 1..12),
        rotate in prop::option::of(200_u64..600),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let settings = FileSettings { rotate_bytes: rotate, keep: 200, ..settings(&folder) };
        let store = Memory::default();
        let (mut next, mut moved) = (1, 1_000);
        let settle = |delivered: Vec<i64>, place| {
            sortie_store::Store::settle(&store, "sink", &Settled { delivered, place, ..Settled::default() }, sortie_store::Fence::new(1)).unwrap();
        };
        for (count, settled, torn, other) in rounds {
            store.fill(count);
            next += count;
            let mut sink = FileSink::open(&settings).unwrap();
            let place = store.lock().place.clone();
            let keys: Vec<_> = store.lock().waiting.values().map(|record| (record.sequence, record.key.clone())).collect();
            let begun = sink.begin(place.as_deref(), &keys).unwrap();
            settle(begun.delivered, begun.place);
            let batch: Vec<Queued> = store.lock().waiting.values().cloned().collect();
            if let [first, rest @ ..] = batch.as_slice() {
                let first = std::slice::from_ref(first);
                let mut written = sink.write(first);
                if let Err(Trouble::Moved(place)) = written {
                    settle(Vec::new(), Some(place));
                    written = sink.write(first);
                }
                if settled {
                    settle(vec![first[0].sequence], written.unwrap());
                }
                let torn = torn.min(lines(rest).len());
                sink.open.file.write_all(&lines(rest)[..torn]).unwrap();
            }
            drop(sink);
            if other == 0 {
                moved += 1;
                fs::rename(&settings.path, rotation::rotated(&settings.path, moved)).unwrap();
            }
        }
        let mut sink = FileSink::open(&settings).unwrap();
        let place = store.lock().place.clone();
        let keys: Vec<_> = store.lock().waiting.values().map(|record| (record.sequence, record.key.clone())).collect();
        let begun = sink.begin(place.as_deref(), &keys).unwrap();
        settle(begun.delivered, begun.place);
        let batch: Vec<Queued> = store.lock().waiting.values().cloned().collect();
        if !batch.is_empty() {
            put(&mut sink, &batch);
        }

        let mut found = Vec::new();
        for entry in fs::read_dir(folder.path()).unwrap() {
            // Whole lines only: a torn one at the end of a file that was moved away stays there.
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            found.extend(text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["incident"]["n"].as_i64().unwrap()
            }));
        }
        found.sort_unstable();
        prop_assert_eq!(found, (1..next).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn with_its_courier_it_goes_on_where_it_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    let store = Arc::new(Memory::default());
    store.fill(1_200);
    let rig = Rig::over(Arc::clone(&store));
    let courier = tokio::spawn(stream::run(rig.desk(), FileSink::open(&settings).unwrap()));
    rig.until(|store| !store.delivered.is_empty()).await;
    courier.abort();
    let _ = courier.await;
    // The thread may still be writing a batch; the lock says when it is done.
    let sink = loop {
        match FileSink::open(&settings) {
            Ok(sink) => break sink,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
        }
    };
    let rig = Rig::over(store);
    rig.shared.finish.cancel();
    stream::run(rig.desk(), sink).await.unwrap();
    let found = fs::read_to_string(&settings.path).unwrap();
    let numbers: Vec<i64> = found
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["incident"]["n"].as_i64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=1_200).collect::<Vec<_>>());
}
