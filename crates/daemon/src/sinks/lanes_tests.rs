//! In virtual time: a day passes at once.

use super::super::testing::Rig;
use super::*;
use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::sleep;

/// A sink that answers as a test says, and remembers what it was sent.
struct Scripted<F> {
    answer: F,
    takes: Duration,
    sent: Arc<Mutex<Vec<(i64, String)>>>,
    concurrency: usize,
}

type Sent = Arc<Mutex<Vec<(i64, String)>>>;

impl<F: Fn(&Queued) -> Outcome + Send + Sync + 'static> Scripted<F> {
    fn new(answer: F) -> (Self, Sent) {
        let sent = Sent::default();
        (Self { answer, takes: Duration::from_millis(10), sent: Arc::clone(&sent), concurrency: 4 }, sent)
    }
}

impl<F: Fn(&Queued) -> Outcome + Send + Sync + 'static> Carrier for Scripted<F> {
    fn concurrency(&self) -> usize {
        self.concurrency
    }

    async fn carry(&self, record: &Queued, _: &CancellationToken) -> Outcome {
        self.sent.lock().unwrap().push((record.sequence, record.id.clone()));
        sleep(self.takes).await;
        (self.answer)(record)
    }
}

fn again() -> Outcome {
    Outcome::Again { reason: "busy".to_owned(), after: None }
}

fn sequences(sent: &Sent) -> Vec<i64> {
    sent.lock().unwrap().iter().map(|(sequence, _)| *sequence).collect()
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_dead_for_a_day_loses_nothing_and_is_not_hammered() {
    let rig = Rig::new();
    rig.store.put((0..600).map(|number| (format!("item{}", number % 50), format!("key{number}"))));
    let alive = Instant::now() + Duration::from_secs(86_400);
    let (sink, sent) = Scripted::new(move |_| {
        if Instant::now() < alive {
            return Outcome::Trouble { reason: "no connection".to_owned(), after: None };
        }
        Outcome::Taken
    });
    let courier = tokio::spawn(run(rig.desk(), sink));
    sleep(Duration::from_secs(3600)).await;
    let status = rig.status();
    assert_eq!((status.delivered, status.waiting, status.error.as_deref()), (0, 600, Some("no connection")));
    sleep(Duration::from_secs(82_800)).await;
    rig.until(|store| store.waiting.is_empty()).await;
    let late = Instant::now() - alive;
    assert!(late < Duration::from_secs(65), "{late:?}");
    let attempts = sent.lock().unwrap().len() - 600;
    // At 0.05 s to 60 s apart, 30 s on average.
    assert!((2_000..4_500).contains(&attempts), "{attempts}");
    let mut last = std::collections::HashMap::new();
    for (sequence, id) in sent.lock().unwrap().iter() {
        let before = last.insert(id.clone(), *sequence);
        assert!(before <= Some(*sequence), "{id}");
    }
    assert_eq!(rig.store.lock().delivered.iter().collect::<HashSet<_>>().len(), 600);
    rig.until_status(|status| (status.delivered, &status.error) == (600, &None)).await;
    assert_eq!(rig.status().retried, attempts as u64);
    rig.shared.stop.cancel();
    courier.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_bad_item_waits_alone_and_what_is_refused_becomes_a_dead_letter() {
    let rig = Rig::new();
    let items = ["bad", "a", "bad", "unwanted", "b", "unwanted", "c"];
    rig.store.put(items.iter().enumerate().map(|(at, id)| ((*id).to_owned(), format!("key{at}"))));
    let healed = Instant::now() + Duration::from_secs(600);
    let (sink, sent) = Scripted::new(move |record| match (record.id.as_str(), record.sequence) {
        ("bad", _) if Instant::now() < healed => again(),
        (_, 4) => Outcome::Refused { reason: "does not fit".to_owned() },
        _ => Outcome::Taken,
    });
    let courier = tokio::spawn(run(rig.desk(), sink));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(rig.store.lock().delivered.iter().copied().collect::<HashSet<_>>(), HashSet::from([2, 5, 6, 7]));
    assert_eq!(rig.store.lock().refused, [(4, "does not fit".to_owned(), 1)]);
    assert!(!sequences(&sent).contains(&3), "the item's next record waits");
    sleep(Duration::from_secs(600)).await;
    rig.until(|store| store.waiting.is_empty()).await;
    rig.until_status(|status| status.refused == 1).await;
    rig.shared.stop.cancel();
    courier.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_while_the_store_is_full_is_settled_later_and_not_sent_again() {
    let rig = Rig::new();
    rig.store.fill(3);
    let store = Arc::clone(&rig.store);
    let (sink, sent) = Scripted::new(move |_| {
        store.lock().failures = 12;
        Outcome::Taken
    });
    let courier = tokio::spawn(run(rig.desk(), sink));
    sleep(Duration::from_secs(2)).await;
    assert!(rig.status().error.unwrap().contains("disk is full"));
    rig.until(|store| store.waiting.is_empty()).await;
    assert_eq!(sequences(&sent), [1, 2, 3]);
    rig.until_status(|status| status.error.is_none()).await;
    rig.shared.stop.cancel();
    courier.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn while_the_store_cannot_be_written_nothing_new_is_sent() {
    let rig = Rig::new();
    rig.store.fill(200);
    let store = Arc::clone(&rig.store);
    let (sink, sent) = Scripted::new(move |record| {
        store.lock().stuck |= record.sequence == 8;
        if record.sequence > 4 { Outcome::Taken } else { again() }
    });
    let courier = tokio::spawn(run(rig.desk(), sink));
    sleep(Duration::from_secs(600)).await;
    let before = sequences(&sent).len();
    assert!(before < 20, "{before}");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(sequences(&sent).len(), before);
    let error = rig.status().error.unwrap();
    assert!(error.starts_with("what was delivered cannot be noted: "), "{error}");
    rig.store.lock().stuck = false;
    rig.until(|store| store.waiting.len() == 4).await;
    rig.shared.stop.cancel();
    courier.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_store_and_the_sink_have_troubles_of_their_own() {
    let rig = Rig::new();
    rig.store.fill(1);
    let reason = "no connection".to_owned();
    let (sink, _) = Scripted::new(move |_| Outcome::Trouble { reason: reason.clone(), after: None });
    let courier = tokio::spawn(run(rig.desk(), sink));
    rig.until_status(|status| status.error.as_deref() == Some("no connection")).await;
    rig.store.lock().failures = 3;
    rig.committed();
    rig.until_status(|status| status.error.as_deref().is_some_and(|error| error.contains("disk is full"))).await;
    rig.until_status(|status| !status.error.as_deref().is_some_and(|error| error.contains("disk is full"))).await;
    assert_eq!(rig.status().error.as_deref(), Some("no connection"), "still");
    rig.shared.stop.cancel();
    courier.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_refuses_everything_does_not_take_records_again() {
    let rig = Rig::new();
    rig.store.fill(300);
    let (sink, sent) = Scripted::new(|_| Outcome::Refused { reason: "no".to_owned() });
    let courier = tokio::spawn(run(rig.desk(), sink));
    while sequences(&sent).len() < 102 {
        sleep(Duration::from_millis(5)).await;
    }
    for _ in 0..20_000 {
        assert_eq!(rig.status().error.as_deref(), Some("it refuses everything; lately: no"));
        sleep(Duration::from_millis(5)).await;
    }
    rig.shared.stop.cancel();
    courier.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_refuses_one_record_answers_again() {
    let rig = Rig::new();
    rig.store.fill(1);
    let back = Instant::now() + Duration::from_secs(60);
    let (sink, _) = Scripted::new(move |_| {
        if Instant::now() < back {
            return Outcome::Trouble { reason: "no connection".to_owned(), after: None };
        }
        Outcome::Refused { reason: "no".to_owned() }
    });
    let courier = tokio::spawn(run(rig.desk(), sink));
    rig.until_status(|status| status.error.is_some()).await;
    rig.until(|store| store.waiting.is_empty()).await;
    assert_eq!(rig.status().error, None);
    rig.shared.stop.cancel();
    courier.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_committed_while_a_sink_is_left_alone_is_counted() {
    let rig = Rig::new();
    rig.store.fill(1);
    let after = Some(Duration::from_secs(3_000));
    let (sink, _) = Scripted::new(move |_| Outcome::Again { reason: "maintenance".to_owned(), after });
    let courier = tokio::spawn(run(rig.desk(), sink));
    rig.until_status(|status| status.retried == 1).await;
    // The second one within a second, when it is counted a little later; the third when there is no room to read.
    for (pause, waiting) in [(10, 301), (2_000, 601), (2_000, 901)] {
        rig.store.fill(300);
        rig.committed();
        sleep(Duration::from_millis(pause)).await;
        assert!(pause < 1_000 || rig.status().waiting == waiting, "{:?}", rig.status());
    }
    rig.shared.stop.cancel();
    courier.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_newer_daemon_ends_this_one() {
    let rig = Rig::new();
    rig.store.fill(1);
    rig.store.lock().fenced = true;
    let (sink, _) = Scripted::new(|_| Outcome::Taken);
    match run(rig.desk(), sink).await {
        Err(Ended::Failed(failure)) => assert_eq!(failure.kind, sortie_host::kinds::STORE_IN_USE),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_courier_sleeps_until_a_commit() {
    let rig = Rig::new();
    let (sink, sent) = Scripted::new(|_| Outcome::Taken);
    let courier = tokio::spawn(run(rig.desk(), sink));
    sleep(Duration::from_secs(1)).await;
    let asked = rig.store.lock().asked;
    sleep(Duration::from_secs(86_400)).await;
    assert_eq!(rig.store.lock().asked, asked, "nothing is done at intervals");
    rig.store.fill(2);
    rig.committed();
    rig.until(|store| store.waiting.is_empty()).await;
    assert_eq!(sequences(&sent), [1, 2]);
    rig.shared.stop.cancel();
    courier.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn stopping_settles_what_is_acknowledged_and_leaves_the_rest() {
    let rig = Rig::new();
    rig.store.fill(20);
    let (mut sink, sent) = Scripted::new(|record| match record.sequence {
        1 => Outcome::Taken,
        2 => Outcome::Refused { reason: "killed with everything else".to_owned() },
        _ => again(),
    });
    sink.takes = Duration::from_secs(1);
    let stop = rig.shared.stop.clone();
    let courier = tokio::spawn(run(rig.desk(), sink));
    sleep(Duration::from_millis(500)).await;
    let began = Instant::now();
    stop.cancel();
    courier.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(sequences(&sent), [1, 2, 3, 4], "nothing new was begun");
    assert_eq!(rig.store.lock().delivered, [1]);
    assert!(rig.store.lock().refused.is_empty(), "a refusal at the end may be the end's fault");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_sink_does_not_hold_the_end() {
    let rig = Rig::new();
    rig.store.fill(2);
    let (mut sink, _) = Scripted::new(|_| Outcome::Taken);
    sink.takes = Duration::from_secs(3600);
    let stop = rig.shared.stop.clone();
    let courier = tokio::spawn(run(rig.desk(), sink));
    sleep(Duration::from_millis(500)).await;
    let began = Instant::now();
    stop.cancel();
    courier.await.unwrap().unwrap();
    assert!(began.elapsed() <= Duration::from_secs(3));
    assert_eq!(rig.store.lock().waiting.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn finishing_delivers_what_waits_and_gives_up_what_fails() {
    let rig = Rig::new();
    rig.store.fill(400);
    let (sink, sent) = Scripted::new(|record| if record.sequence == 7 { again() } else { Outcome::Taken });
    rig.shared.finish.cancel();
    run(rig.desk(), sink).await.unwrap();
    assert_eq!(rig.store.lock().waiting.keys().copied().collect::<Vec<_>>(), [7]);
    assert_eq!(sequences(&sent).iter().filter(|sequence| **sequence == 7).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn finishing_in_the_middle_of_a_long_wait_does_not_wait_it_out() {
    let rig = Rig::new();
    rig.store.fill(50);
    let after = Some(Duration::from_secs(300));
    let (sink, _) = Scripted::new(move |_| Outcome::Again { reason: "maintenance".to_owned(), after });
    let finish = rig.shared.finish.clone();
    let courier = tokio::spawn(run(rig.desk(), sink));
    sleep(Duration::from_secs(100)).await;
    let began = Instant::now();
    finish.cancel();
    courier.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(rig.store.lock().waiting.len(), 50);
    assert_eq!(rig.status().error.as_deref(), Some("maintenance"));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_crashes_is_repeated() {
    let rig = Rig::new();
    rig.store.fill(2);
    let crashed = Mutex::new(false);
    let (sink, _) = Scripted::new(move |record| {
        if record.sequence == 1 && !std::mem::replace(&mut *crashed.lock().unwrap(), true) {
            // Not by panic!, so that the lock above is not poisoned by it.
            std::panic::resume_unwind(Box::new("crash"));
        }
        Outcome::Taken
    });
    let courier = tokio::spawn(run(rig.desk(), sink));
    rig.until(|store| store.waiting.is_empty()).await;
    rig.shared.stop.cancel();
    courier.await.unwrap().unwrap();
}
