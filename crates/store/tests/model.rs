//! Random work on a store, beside a model of plain maps: they always say the same.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/model.rs"]
mod model_of;
mod support;

use model_of::Model;
use proptest::prelude::*;
use proptest::sample::Index;
use sortie_store::{Batch, CursorMove, Fence, Handled, PollNote, Refused, Seen, Settled, SqliteStore, Store, Version};
use support::{news, note, outgoing, place, strings, version};

const SINKS: [&str; 3] = ["exec", "file", "webhook"];
const IDS: usize = 6;
const FINGERPRINTS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Work {
    Commit {
        versions: Vec<(usize, usize, bool)>,
        quarantine: Vec<usize>,
        readable: Vec<usize>,
        end: Option<(bool, bool)>,
    },
    Settle {
        sink: usize,
        chosen: Vec<Index>,
        refuse: Vec<bool>,
        place: bool,
    },
    Sinks(Vec<bool>),
    Retry(Vec<Index>, bool),
    Drop(Index),
    Prune {
        age: i64,
    },
    Again,
}

fn work() -> impl Strategy<Value = Work> {
    let versions = prop::collection::vec((0..IDS, 0..FINGERPRINTS.len(), prop::bool::weighted(0.8)), 0..6);
    let ids = || prop::collection::vec(0..IDS, 0..2);
    let commit = (versions, ids(), ids(), any::<Option<(bool, bool)>>())
        .prop_map(|(versions, quarantine, readable, end)| Work::Commit { versions, quarantine, readable, end });
    let chosen = || prop::collection::vec(any::<Index>(), 0..6);
    let settle = (0..SINKS.len(), chosen(), prop::collection::vec(prop::bool::weighted(0.3), 6), any::<bool>())
        .prop_map(|(sink, chosen, refuse, place)| Work::Settle { sink, chosen, refuse, place });
    prop_oneof![
        8 => commit,
        8 => settle,
        1 => prop::collection::vec(any::<bool>(), SINKS.len()).prop_map(Work::Sinks),
        2 => (chosen(), any::<bool>()).prop_map(|(chosen, beside)| Work::Retry(chosen, beside)),
        1 => any::<Index>().prop_map(Work::Drop),
        1 => (0..20_i64).prop_map(|age| Work::Prune { age }),
        1 => Just(Work::Again),
    ]
}

fn batch(
    now: i64,
    versions: &[(usize, usize, bool)],
    quarantine: &[usize],
    readable: &[usize],
    end: Option<(bool, bool)>,
) -> Batch {
    let mut batch = Batch { now, ..Batch::default() };
    for (id, fingerprint, wanted) in versions {
        let (id, fingerprint) = (id.to_string(), FINGERPRINTS[*fingerprint]);
        if *wanted {
            let mut one = news(now, &id, fingerprint);
            batch.seen.append(&mut one.seen);
            batch.latest.append(&mut one.latest);
            batch.outgoing.push(outgoing(&id, fingerprint));
        } else {
            batch.seen.push(Seen { version: version(&id, fingerprint), handled: Handled::PassedOver });
        }
    }
    batch.quarantine = quarantine.iter().map(|id| note(&id.to_string(), &format!("at {now}"))).collect();
    batch.readable = readable.iter().map(ToString::to_string).collect();
    if let Some((round_ended, some)) = end {
        let mode = if some { "poll" } else { "sweep" }.to_owned();
        let cursor = (now % 3 != 0).then(|| now.to_string());
        batch.cursor = Some(CursorMove { mode: mode.clone(), cursor, round_ended });
        let error = (!round_ended).then(|| "unreachable: no answer".to_owned());
        batch.poll = Some(PollNote { mode, began_at: now, fetched: 7, error, ..PollNote::default() });
    }
    batch
}

fn same(store: &SqliteStore, model: &Model) {
    let versions: Vec<Version> =
        (0..IDS).flat_map(|id| FINGERPRINTS.map(|fingerprint| version(&id.to_string(), fingerprint))).collect();
    let known: Vec<_> = versions.iter().map(|version| model.known(version)).collect();
    assert_eq!(store.known(&versions).unwrap(), known);
    assert_eq!(store.resume().unwrap(), model.resume());
    assert_eq!(store.backlog().unwrap(), model.backlog());
    assert_eq!(store.history(1000).unwrap(), model.history());
    assert_eq!(store.quarantined().unwrap(), model.quarantined());
    assert_eq!(store.dead_letters(None, 0, 1000).unwrap(), model.letters());
    for sink in SINKS {
        let due = model.due(sink);
        let keys: Vec<_> = due.iter().map(|queued| (queued.sequence, queued.key.clone())).collect();
        assert_eq!(store.due_keys(sink).unwrap(), keys);
        assert_eq!(store.due(sink, 0, 1000, usize::MAX).unwrap(), due);
        assert_eq!(store.place(sink).unwrap(), model.place(sink));
    }
}

/// Does one piece of work on both.
fn both(path: &std::path::Path, store: &SqliteStore, fence: Fence, model: &mut Model, now: i64, work: Work) {
    match work {
        Work::Commit { versions, quarantine, readable, end } => {
            let batch = batch(now, &versions, &quarantine, &readable, end);
            store.commit(&batch, fence).unwrap();
            model.commit(&batch);
        }
        Work::Settle { sink, chosen, refuse, place } => {
            let sink = SINKS[sink];
            // Of everything there is, whether it waits for this sink or not.
            let some: Vec<i64> = chosen.iter().map(|index| 1 + index.index(60) as i64).collect();
            let waiting = model.sequences(sink);
            let mut settled = Settled { now, place: place.then(|| now.to_string()), ..Settled::default() };
            for (nth, (index, any)) in chosen.iter().zip(some).enumerate() {
                let sequence = if waiting.is_empty() { any } else { waiting[index.index(waiting.len())] };
                if refuse[nth] {
                    settled.refused.push(Refused { sequence, reason: format!("at {now}"), attempts: 2 });
                } else {
                    settled.delivered.push(sequence);
                }
            }
            store.settle(sink, &settled, fence).unwrap();
            model.settle(sink, &settled);
        }
        Work::Sinks(mut on) => {
            on[0] |= on.iter().all(|on| !on);
            let names: Vec<&str> = SINKS.iter().zip(&on).filter(|(_, on)| **on).map(|(sink, _)| *sink).collect();
            let names = strings(&names);
            assert_eq!(store.set_sinks(&names, now, fence).unwrap(), model.set_sinks(&names, now));
        }
        Work::Retry(chosen, beside) => {
            let numbers: Vec<i64> = chosen.iter().map(|index| 1 + index.index(20) as i64).collect();
            let other = beside.then(|| SqliteStore::amend(path).unwrap());
            let put_back = other.as_ref().unwrap_or(store).retry_dead_letters(&numbers, now).unwrap();
            assert_eq!(put_back, model.retry(&numbers, now));
        }
        Work::Drop(index) => {
            let numbers = [1 + index.index(20) as i64];
            assert_eq!(store.drop_dead_letters(&numbers).unwrap(), model.drop_letters(&numbers));
        }
        Work::Prune { age } => {
            while store.prune(now - age, now - age / 2, fence).unwrap() {}
            model.prune(now - age, now - age / 2);
        }
        Work::Again => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_store_is_what_the_model_says(works in prop::collection::vec(work(), 1..40)) {
        let place = place();
        let (mut store, mut fence) = place.with_sinks(&SINKS);
        let mut model = Model::default();
        model.set_sinks(&strings(&SINKS), 1);
        for (now, work) in (10..).zip(works) {
            if matches!(work, Work::Again) {
                drop(store);
                // This also checks all counts against the rows.
                (store, fence) = place.open();
            }
            both(&place.path, &store, fence, &mut model, now, work);
            same(&store, &model);
        }
        drop(store);
        same(&place.open().0, &model);
    }
}
