use super::super::testing::Rig;
use super::*;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// A stream that answers as a test says.
struct Scripted {
    answers: Arc<Mutex<Vec<Result<(), Trouble>>>>,
    written: Arc<Mutex<Vec<i64>>>,
}

fn scripted(answers: impl IntoIterator<Item = Result<(), Trouble>>) -> (Scripted, Arc<Mutex<Vec<i64>>>) {
    let mut answers: Vec<_> = answers.into_iter().collect();
    answers.reverse();
    let written = Arc::default();
    (Scripted { answers: Arc::new(Mutex::new(answers)), written: Arc::clone(&written) }, written)
}

fn full() -> Result<(), Trouble> {
    Err(Trouble::Passing("disk full".to_owned()))
}

impl Stream for Scripted {
    fn limits(&self) -> (usize, usize) {
        (10, 1 << 20)
    }

    fn write(&mut self, batch: &[Queued]) -> Result<Option<String>, Trouble> {
        self.answers.lock().unwrap().pop().unwrap_or(Ok(()))?;
        self.written.lock().unwrap().extend(batch.iter().map(|record| record.sequence));
        Ok(Some(format!("place{}", batch.len())))
    }
}

#[tokio::test]
async fn batches_are_settled_in_order_with_the_place() {
    let rig = Rig::new();
    rig.store.fill(25);
    let (sink, written) = scripted([full()]);
    let stop = rig.shared.stop.clone();
    let courier = tokio::spawn(run(rig.desk(), sink));
    rig.until(|store| store.waiting.is_empty()).await;
    assert_eq!(*written.lock().unwrap(), (1..=25).collect::<Vec<_>>());
    assert_eq!(rig.store.lock().delivered, (1..=25).collect::<Vec<_>>());
    assert_eq!(rig.store.lock().place.as_deref(), Some("place5"));
    assert_eq!(rig.store.lock().settles, 3);
    rig.until_status(|status| (status.delivered, status.retried, &status.error) == (25, 1, &None)).await;
    rig.store.fill(1);
    rig.committed();
    rig.until(|store| store.delivered.len() == 26).await;
    stop.cancel();
    courier.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_store_that_cannot_note_does_not_make_it_write_twice() {
    let rig = Rig::new();
    rig.store.fill(3);
    let (sink, written) = scripted([]);
    let courier = tokio::spawn(run(rig.desk(), sink));
    rig.until(|store| store.waiting.is_empty()).await;
    rig.store.fill(3);
    rig.store.lock().failures = 1;
    rig.committed();
    rig.until(|store| store.waiting.is_empty()).await;
    assert_eq!(*written.lock().unwrap(), [1, 2, 3, 4, 5, 6]);
    rig.shared.stop.cancel();
    courier.await.unwrap().unwrap();
}

#[tokio::test]
async fn stopping_in_a_wait_ends_at_once() {
    let rig = Rig::new();
    rig.store.fill(1);
    let (sink, _) = scripted((0..1_000).map(|_| full()));
    let courier = tokio::spawn(run(rig.desk(), sink));
    rig.until_status(|status| status.retried >= 2).await;
    let began = Instant::now();
    rig.shared.stop.cancel();
    assert!(matches!(courier.await.unwrap(), Err(Ended::Stopped)));
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(rig.store.lock().waiting.len(), 1);
}

#[tokio::test]
async fn finishing_tries_three_times() {
    let rig = Rig::new();
    rig.store.fill(1);
    rig.shared.finish.cancel();
    let (sink, _) = scripted((0..1_000).map(|_| full()));
    run(rig.desk(), sink).await.unwrap();
    assert_eq!(rig.status().retried, 3);
    let (sink, _) = scripted([full(), full()]);
    run(rig.desk(), sink).await.unwrap();
    assert!(rig.store.lock().waiting.is_empty());
}
