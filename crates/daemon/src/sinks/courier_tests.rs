//! All couriers over a real store.

use super::*;
use crate::settings::{ExecSettings, FileSettings};
use sortie_host::config::{self, Environment, Overrides};
use sortie_store::{Batch, Outgoing, SqliteStore};
use std::fs;
use std::path::PathBuf;
use std::time::Instant;
use tempfile::TempDir;

struct Rig {
    folder: TempDir,
    shared: Shared,
    commits: watch::Sender<u64>,
    _store: Arc<SqliteStore>,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, fence) = SqliteStore::open(&folder.path().join("state/test.db"), "test@tenant").unwrap();
        let store = Arc::new(store);
        let (commits, committed) = watch::channel(0);
        let shared = Shared {
            store: Arc::clone(&store) as Arc<dyn Store>,
            fence,
            status: Arc::new(Status::new(30.0)),
            committed,
            settled: Arc::new(Notify::new()),
            finish: CancellationToken::new(),
            stop: CancellationToken::new(),
        };
        Self { folder, shared, commits, _store: store }
    }

    fn file(&self) -> SinkSettings {
        let path = self.path();
        SinkSettings {
            name: "file".to_owned(),
            kind: SinkKind::File(FileSettings { path, rotate_bytes: None, keep: 5 }),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("out.jsonl")
    }

    fn open(&self, settings: &[SinkSettings]) -> Couriers {
        let overrides = Overrides::default();
        let profile = config::resolve(&overrides, &Environment::empty()).unwrap().profile;
        let couriers = Couriers::open(settings, &Host::new(profile)).unwrap();
        self.shared.store.set_sinks(&couriers.names(), 1, self.shared.fence).unwrap();
        couriers
    }

    fn commit(&self, numbers: std::ops::Range<i64>) {
        let outgoing = numbers.map(|number| {
            let (id, key) = (number.to_string(), format!("t/{number}/f"));
            let record =
                format!(r#"{{"type":"incident.created","idempotencyKey":"{key}","id":"{id}","incident":{{}}}}"#);
            Outgoing { id, key, kind: "incident.created".to_owned(), record }
        });
        let batch = Batch { now: 1, outgoing: outgoing.collect(), ..Batch::default() };
        self.shared.store.commit(&batch, self.shared.fence).unwrap();
        self.commits.send_modify(|commits| *commits += 1);
    }

    fn waiting(&self, sink: &str) -> usize {
        self.shared.store.due(sink, 0, 10_000, 1 << 30).unwrap().len()
    }

    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn exec(name: &str, command: &[&str]) -> SinkSettings {
    let kind = SinkKind::Exec(ExecSettings {
        command: command.iter().map(|part| (*part).to_owned()).collect(),
        pass_environment: Vec::new(),
        timeout: Duration::from_secs(20),
        concurrency: 2,
    });
    SinkSettings { name: name.to_owned(), kind }
}

#[tokio::test]
async fn a_dead_sink_holds_no_other_one() {
    let rig = Rig::new();
    let couriers = rig.open(&[exec("dead", &["/nowhere/playbook"]), rig.file(), exec("good", &["/bin/true"])]);
    let running = tokio::spawn(couriers.run(rig.shared.clone()));
    rig.commit(0..20);
    rig.until(|rig| rig.waiting("file") + rig.waiting("good") == 0).await;
    rig.commit(20..25);
    rig.until(|rig| rig.waiting("file") + rig.waiting("good") == 0).await;
    assert_eq!(rig.waiting("dead"), 25);
    assert_eq!(fs::read_to_string(rig.path()).unwrap().lines().count(), 25);
    rig.until(|rig| {
        let status = rig.shared.status.snapshot();
        let dead = status.sinks["dead"].error.as_deref().is_some_and(|error| error.contains("cannot be started"));
        let (file, good) = (&status.sinks["file"], &status.sinks["good"]);
        dead && (file.delivered, good.delivered) == (25, 25) && file.error.is_none() && good.error.is_none()
    })
    .await;
    let began = Instant::now();
    rig.shared.stop.cancel();
    running.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn finishing_delivers_everything_or_names_who_did_not_take_it() {
    let rig = Rig::new();
    let refuses = ["/bin/sh", "-c", "echo no >&2; exit 1"];
    let couriers = rig.open(&[rig.file(), exec("refuses", &refuses)]);
    rig.commit(0..30);
    rig.shared.finish.cancel();
    couriers.run(rig.shared.clone()).await.unwrap();
    assert_eq!(rig.waiting("file") + rig.waiting("refuses"), 0);
    let letters = rig.shared.store.dead_letters(Some("refuses"), 0, 100).unwrap();
    assert_eq!(letters.len(), 30);
    assert_eq!((letters[0].reason.as_str(), letters[0].attempts), ("/bin/sh ended with 1: no", 1));

    let rig = Rig::new();
    let couriers = rig.open(&[rig.file(), exec("busy", &["/bin/sh", "-c", "exit 75"])]);
    rig.commit(0..30);
    rig.shared.finish.cancel();
    let failure = couriers.run(rig.shared.clone()).await.unwrap_err();
    assert_eq!(failure.kind, kinds::SINK_UNAVAILABLE);
    assert!(failure.message.contains("busy (/bin/sh ended with 75)"), "{failure}");
    assert!(!failure.message.contains("file"), "{failure}");
    assert_eq!((rig.waiting("file"), rig.waiting("busy")), (0, 30));
}

#[tokio::test]
async fn a_newer_daemon_on_the_store_ends_all() {
    let rig = Rig::new();
    let couriers = rig.open(&[rig.file(), exec("good", &["/bin/true"])]);
    rig.commit(0..3);
    let mut shared = rig.shared.clone();
    shared.fence = Fence::new(0);
    let failure = couriers.run(shared).await.unwrap_err();
    assert_eq!(failure.kind, kinds::STORE_IN_USE);
    assert_eq!(rig.waiting("file"), 3);
}

#[test]
fn what_is_wrong_with_a_sink_is_said_with_its_name() {
    let profile = config::resolve(&Overrides::default(), &Environment::empty()).unwrap().profile;
    let host = Host::new(profile);
    let missing = FileSettings { path: "/nowhere/out".into(), rotate_bytes: None, keep: 5 };
    let settings = SinkSettings { name: "archive".to_owned(), kind: SinkKind::File(missing) };
    let failure = Couriers::open(std::slice::from_ref(&settings), &host).unwrap_err();
    assert!(failure.message.starts_with("the sink archive: "), "{failure}");
    let twice = [exec("a", &["/bin/true"]), exec("a", &["/bin/true"])];
    assert!(Couriers::open(&twice, &host).unwrap_err().message.contains("two sinks are called a"));
}
