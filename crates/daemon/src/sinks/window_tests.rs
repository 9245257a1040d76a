use super::super::testing::Memory;
use super::*;
use proptest::prelude::*;
use sortie_store::Store;

fn again() -> Outcome {
    Outcome::Again { reason: "busy".to_owned(), after: None }
}

fn refused() -> Outcome {
    Outcome::Refused { reason: "no".to_owned() }
}

fn filled(items: &[&str]) -> (Memory, Window) {
    let store = Memory::default();
    store.put(items.iter().enumerate().map(|(at, item)| ((*item).to_owned(), format!("key{at}"))));
    let mut window = Window::default();
    fetch(&store, &mut window, Instant::now());
    (store, window)
}

fn fetch(store: &Memory, window: &mut Window, now: Instant) {
    while let Some(want) = window.wants(now) {
        window.take(want, store.due("sink", want.after, want.records, want.bytes).unwrap());
    }
}

fn settle(store: &Memory, window: &mut Window) {
    if let Some(settled) = window.settle() {
        store.settle("sink", &settled, sortie_store::Fence::new(1)).unwrap();
        window.settled(&settled);
    }
}

fn next(store: &Memory, window: &mut Window, now: Instant) -> Option<Arc<Queued>> {
    fetch(store, window, now);
    window.next(now)
}

fn send(store: &Memory, window: &mut Window, now: Instant) -> Vec<i64> {
    std::iter::from_fn(|| next(store, window, now)).map(|record| record.sequence).collect()
}

/// Lets a sink with so many lanes, which takes 10 ms for each record, answer for a while; gives when the last record that
/// was taken was taken.
fn serve(
    store: &Memory,
    window: &mut Window,
    began: Instant,
    lanes: usize,
    lasts: Duration,
    answer: impl Fn(&Queued) -> Outcome,
) -> Duration {
    let (mut now, mut taken) = (began, Duration::ZERO);
    while now < began + lasts {
        let sent: Vec<_> = (0..lanes).map_while(|_| next(store, window, now)).collect();
        now += Duration::from_millis(10);
        for record in sent {
            let outcome = answer(&record);
            if outcome == Outcome::Taken {
                taken = now - began;
            }
            window.note(record.sequence, outcome, now);
        }
        settle(store, window);
    }
    taken
}

#[test]
fn items_that_always_fail_hold_no_others() {
    // At the front, in between, at the end.
    for bad in [(1..=10).collect::<Vec<i64>>(), (1..=10).map(|number| number * 50).collect(), (501..=510).collect()] {
        let now = Instant::now();
        let (store, mut window) = filled(&[]);
        store.fill(510);
        window.look_again();
        let answer = |record: &Queued| if bad.contains(&record.sequence) { again() } else { Outcome::Taken };
        let taken = serve(&store, &mut window, now, 4, Duration::from_secs(60), answer);
        assert_eq!(store.lock().waiting.keys().copied().collect::<Vec<_>>(), bad);
        assert!(taken < Duration::from_secs(10), "{taken:?}");

        // And what comes later is not held by what still fails.
        store.fill(20);
        window.look_again();
        let taken = serve(&store, &mut window, now + Duration::from_secs(60), 4, Duration::from_secs(5), answer);
        assert_eq!(store.lock().waiting.len(), 10);
        assert!(taken < Duration::from_secs(1), "{taken:?}");
    }
}

#[test]
fn however_much_fails_what_is_behind_it_is_read() {
    let now = Instant::now();
    let (store, mut window) = filled(&[]);
    // More lanes than are ever in hand, and one of them larger than everything in hand may be. They begin to fail one by
    // one, between others that are taken.
    store.put((0..600).map(|number| {
        let kind = if number % 2 == 0 { "bad" } else { "good" };
        (format!("{kind}{number}"), format!("key{number}"))
    }));
    store.lock().waiting.get_mut(&1).unwrap().record = "x".repeat(BYTES + 1);
    window.look_again();
    let answer = |record: &Queued| if record.id.starts_with("bad") { again() } else { Outcome::Taken };
    serve(&store, &mut window, now, 4, Duration::from_secs(100), answer);
    assert_eq!(store.lock().waiting.len(), 300);
    store.fill(600);
    window.look_again();
    let now = now + Duration::from_secs(100);
    let taken = serve(&store, &mut window, now, 4, Duration::from_secs(20), answer);
    assert_eq!(store.lock().waiting.len(), 300);
    assert!(taken < Duration::from_secs(15), "{taken:?}");
    assert!(window.entries.len() < RECORDS / 2, "only what is under way is kept of what fails");

    // Healed, all of it flows.
    serve(&store, &mut window, now + Duration::from_secs(20), 4, Duration::from_secs(120), |_| Outcome::Taken);
    assert!(store.lock().waiting.is_empty() && window.aside.is_empty());
}

#[test]
fn what_fails_slowly_gets_half_of_the_time_at_most() {
    let mut now = Instant::now();
    let (store, mut window) = filled(&["bad"]);
    assert_eq!(send(&store, &mut window, now), [1]);
    window.note(1, again(), now);
    now = window.wake().unwrap();
    assert_eq!(send(&store, &mut window, now), [1]);
    store.fill(2);
    window.look_again();
    assert_eq!(send(&store, &mut window, now), [2, 3]);
    now += Duration::from_secs(60);
    window.note(1, again(), now);
    store.fill(100);
    window.look_again();
    let mut others = 0;
    let began = now;
    while let Some(record) = next(&store, &mut window, now).filter(|record| record.sequence != 1) {
        window.note(record.sequence, Outcome::Taken, now);
        settle(&store, &mut window);
        others += 1;
        now += Duration::from_secs(1);
    }
    assert_eq!(others, 60);
    assert_eq!(now, began + Duration::from_secs(60));
}

#[test]
fn records_of_one_item_wait_for_each_other_until_settled() {
    let now = Instant::now();
    let (store, mut window) = filled(&["a", "b", "a", "c", "b"]);
    assert_eq!(send(&store, &mut window, now), [1, 2, 4]);
    window.note(1, Outcome::Taken, now);
    assert_eq!(send(&store, &mut window, now), [] as [i64; 0], "1 is not settled");
    settle(&store, &mut window);
    assert_eq!(send(&store, &mut window, now), [3]);
    window.note(2, again(), now);
    assert_eq!(send(&store, &mut window, now), [] as [i64; 0], "2 rests, and 5 waits for it");
    let later = window.wake().unwrap();
    assert_eq!(send(&store, &mut window, later), [2]);
}

#[test]
fn failures_of_several_items_make_it_probe_one_at_a_time() {
    let now = Instant::now();
    let (store, mut window) = filled(&["a", "b", "c", "d"]);
    assert_eq!(send(&store, &mut window, now).len(), 4);
    for sequence in [1, 2, 3, 4] {
        window.note(sequence, again(), now);
    }
    assert!(window.is_troubled());
    assert_eq!(send(&store, &mut window, now), [] as [i64; 0]);
    let mut later = window.wake().unwrap();
    assert!(later > now);
    let first = send(&store, &mut window, later);
    assert_eq!(first.len(), 1);
    assert_eq!(window.wake(), None, "the probe's answer comes first");
    let mut other = first.clone();
    while other == first {
        window.note(other[0], again(), later);
        later = window.wake().unwrap();
        other = send(&store, &mut window, later);
        assert_eq!(other.len(), 1, "others have their turn");
    }
    window.note(other[0], Outcome::Taken, later);
    settle(&store, &mut window);
    assert!(!window.is_troubled());
    let rest: Vec<i64> = (1..=4).filter(|sequence| ![first[0], other[0]].contains(sequence)).collect();
    let sent = send(&store, &mut window, later);
    assert!(sent.starts_with(&rest), "what failed once does not wait longer: {sent:?}");
}

#[test]
fn one_item_that_always_fails_does_not_stand_for_the_sink() {
    let mut now = Instant::now();
    let (store, mut window) = filled(&["a"]);
    for _ in 0..20 {
        assert_eq!(send(&store, &mut window, now), [1]);
        window.note(1, again(), now);
        now = window.wake().unwrap();
    }
    store.put(["b", "c", "d"].map(|item| (item.to_owned(), item.to_owned())));
    window.look_again();
    let before = now - Duration::from_millis(1);
    assert_eq!(send(&store, &mut window, before), [2, 3, 4], "at once, and side by side");
}

#[test]
fn trouble_and_a_stated_wait_hold_for_the_whole_sink() {
    let now = Instant::now();
    let (store, mut window) = filled(&["a", "b", "c"]);
    assert_eq!(next(&store, &mut window, now).unwrap().sequence, 1);
    assert_eq!(next(&store, &mut window, now).unwrap().sequence, 2);
    let after = Some(Duration::from_secs(30));
    window.note(1, Outcome::Again { reason: "slow down".to_owned(), after }, now);
    window.note(2, Outcome::Taken, now);
    assert_eq!(
        send(&store, &mut window, now + Duration::from_secs(29)),
        [] as [i64; 0],
        "although it took one meanwhile"
    );
    assert_eq!(window.wake(), Some(now + Duration::from_secs(30)));
    let later = now + Duration::from_secs(30);
    assert_eq!(next(&store, &mut window, later).unwrap().sequence, 1);
    let absurd = Some(Duration::from_secs(1_000_000_000));
    window.note(1, Outcome::Trouble { reason: "no key".to_owned(), after: absurd }, later);
    assert!(window.is_troubled());
    assert_eq!(window.wake(), Some(later + LONGEST_STATED));
}

#[test]
fn a_sink_that_refuses_everything_is_slowed_down() {
    let now = Instant::now();
    let (store, mut window) = filled(&[]);
    store.fill(300);
    window.look_again();
    fetch(&store, &mut window, now);
    let mut refusals = 0;
    while let Some(record) = next(&store, &mut window, now) {
        window.note(record.sequence, refused(), now);
        settle(&store, &mut window);
        refusals += 1;
    }
    assert_eq!(refusals, DOUBTFUL_AFTER);
    let later = window.wake().unwrap();
    let probe = next(&store, &mut window, later).unwrap().sequence;
    assert_eq!(next(&store, &mut window, later), None);
    window.note(probe, Outcome::Taken, later);
    settle(&store, &mut window);
    assert!(send(&store, &mut window, later).len() > 100, "at full speed again");
}

#[test]
fn an_item_with_many_records_leaves_room_for_others_and_keeps_its_order() {
    let mut now = Instant::now();
    let store = Memory::default();
    store.put((0..1_000).map(|number| ("stuck".to_owned(), format!("s{number}"))));
    store.put((0..300).map(|number| (format!("free{number}"), format!("f{number}"))));
    let mut window = Window::default();
    fetch(&store, &mut window, now);
    let mut order = Vec::new();
    let mut blocked = true;
    while !store.lock().waiting.is_empty() {
        match next(&store, &mut window, now) {
            Some(record) if record.id == "stuck" && blocked => {
                window.note(record.sequence, again(), now);
            }
            Some(record) => {
                order.push(record.sequence);
                window.note(record.sequence, Outcome::Taken, now);
                settle(&store, &mut window);
            }
            None if order.len() == 300 => {
                blocked = false;
                now += Duration::from_secs(60);
            }
            None => now = window.wake().unwrap(),
        }
        assert!(window.entries.len() <= RECORDS);
    }
    assert!(order[..300].iter().all(|sequence| *sequence > 1_000), "others flow");
    assert_eq!(order[300..], (1..=1_000).collect::<Vec<_>>(), "in their order, each once");
}

#[test]
fn about_to_end_each_failing_thing_is_tried_three_times() {
    let mut now = Instant::now();
    let (store, mut window) = filled(&["bad", "good", "bad", "fine"]);
    window.finish(now);
    let mut tried = Vec::new();
    loop {
        while let Some(record) = next(&store, &mut window, now) {
            tried.push(record.sequence);
            let outcome = if record.id == "bad" { again() } else { Outcome::Taken };
            window.note(record.sequence, outcome, now);
            settle(&store, &mut window);
        }
        match window.wake() {
            Some(wake) => {
                assert!(wake <= now + LONGEST_FINISHING);
                now = wake;
            }
            None => break,
        }
    }
    assert!(window.is_stuck());
    assert_eq!(tried.iter().filter(|sequence| **sequence == 1).count(), 3);
    assert_eq!(store.lock().delivered, [2, 4]);
}

#[test]
fn about_to_end_a_sink_that_is_down_is_given_up() {
    let mut now = Instant::now();
    let (store, mut window) = filled(&["a", "b", "c", "d", "e"]);
    window.finish(now);
    let mut tried = 0;
    loop {
        while let Some(record) = next(&store, &mut window, now) {
            tried += 1;
            let reason = "no connection".to_owned();
            window.note(record.sequence, Outcome::Trouble { reason, after: Some(Duration::from_secs(1)) }, now);
        }
        match window.wake() {
            Some(wake) => now = wake,
            None => break,
        }
    }
    assert_eq!(tried, 1 + 3, "one that finds it down, and three probes");
    assert!(window.is_stuck());
    window.look_again();
    assert_eq!(window.wants(now), None);
}

#[test]
fn about_to_end_a_sink_that_asks_for_long_is_given_up_at_once() {
    let now = Instant::now();
    let (store, mut window) = filled(&["a", "b"]);
    window.finish(now);
    let first = next(&store, &mut window, now).unwrap().sequence;
    let after = Some(Duration::from_secs(60));
    window.note(first, Outcome::Again { reason: "maintenance".to_owned(), after }, now);
    assert!(window.is_stuck());

    let (store, mut window) = filled(&["a", "b"]);
    let first = next(&store, &mut window, now).unwrap().sequence;
    window.note(first, Outcome::Again { reason: "maintenance".to_owned(), after }, now);
    assert!(!window.is_stuck());
    window.finish(now);
    assert!(window.is_stuck());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever the sink answers and however the answers are mixed: each record is settled once, and those of one item
    /// reach the sink in their order, none before the one before it is settled.
    #[test]
    fn order_is_kept_and_nothing_is_lost(
        items in prop::collection::vec(0_usize..6, 0..400),
        answers in prop::collection::vec((0_u8..10, 0_usize..4), 0..600),
    ) {
        let store = Memory::default();
        store.put(items.iter().enumerate().map(|(at, item)| (format!("item{item}"), format!("key{at}"))));
        let mut window = Window::default();
        let mut now = Instant::now();
        fetch(&store, &mut window, now);
        let mut under_way: Vec<Arc<Queued>> = Vec::new();
        let mut last: HashMap<String, i64> = HashMap::new();
        let mut answers = answers.into_iter();
        while !store.lock().waiting.is_empty() {
            while under_way.len() < 4 && let Some(record) = next(&store, &mut window, now) {
                let waiting: Vec<i64> = store.lock().waiting.values()
                    .filter(|other| other.id == record.id).map(|other| other.sequence).collect();
                prop_assert_eq!(waiting.first(), Some(&record.sequence), "the oldest unsettled of its item");
                let before = last.insert(record.id.clone(), record.sequence);
                prop_assert!(before <= Some(record.sequence));
                under_way.push(record);
            }
            if under_way.is_empty() {
                let wake = window.wake();
                prop_assert!(wake.is_some(), "nothing is forgotten");
                now = now.max(wake.unwrap());
                continue;
            }
            let (answer, which) = answers.next().unwrap_or((0, 0));
            let record = under_way.remove(which % under_way.len());
            let reason = String::new();
            let outcome = match answer {
                0..=4 => Outcome::Taken,
                5 => Outcome::Refused { reason },
                6 => Outcome::Again { reason, after: Some(Duration::from_secs(3)) },
                7 => Outcome::Trouble { reason, after: None },
                _ => Outcome::Again { reason, after: None },
            };
            window.note(record.sequence, outcome, now);
            settle(&store, &mut window);
        }
        prop_assert!(window.entries.is_empty() && window.aside.is_empty());
    }
}
