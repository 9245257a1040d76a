//! How the daemon is doing: one place that the driver and the couriers write and health, metrics and the live line read.

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How the daemon is doing, shared.
#[derive(Debug)]
pub struct Status(Mutex<Snapshot>);

/// How the daemon is doing.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it began.
    pub began: Instant,
    /// When the loop last showed that it goes on.
    pub moved: Instant,
    /// How long the loop may go on without showing it: its present rest or step, with room to spare.
    pub patience: Duration,
    /// What it does now, in a few words.
    pub doing: &'static str,
    /// When a poll last ended well, and by which clock reading.
    pub last_success: Option<(Instant, Timestamp)>,
    /// The error of the last poll, while no later one ended well: kind, message.
    pub error: Option<(String, String)>,
    /// When a sweep last ended well since the daemon began.
    pub last_sweep: Option<(Instant, Timestamp)>,
    /// The error of the last sweep, while no later one ended well: kind, message.
    pub sweep_error: Option<(String, String)>,
    /// The store cannot be written: why.
    pub store_error: Option<String>,
    /// Reading pauses because the outbox is full.
    pub outbox_full: bool,
    /// Reading failed in a way that only a person can mend (credentials, permissions, configuration).
    pub needs_help: bool,
    /// The service's clock less this machine's, in seconds, as last seen.
    pub clock_skew: Option<f64>,
    /// How far the newest record committed was behind the service's clock when it was committed, in seconds.
    pub lag: Option<f64>,
    /// The rest between two quiet polls, in seconds.
    pub interval: f64,
    /// Counts since the daemon began.
    pub counts: Counts,
    /// Records waiting in the outbox, and their bytes.
    pub waiting: (u64, u64),
    /// Items in the quarantine.
    pub quarantined: u64,
    /// Dead letters in the store.
    pub dead_letters: u64,
    /// The sinks.
    pub sinks: BTreeMap<String, SinkStatus>,
}

/// Counts since the daemon began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Polls that ended well.
    pub polls: u64,
    /// Sweeps that ended well.
    pub sweeps: u64,
    /// Polls and sweeps that failed.
    pub failures: u64,
    /// Calls to the service.
    pub calls: u64,
    /// Items read.
    pub fetched: u64,
    /// Records committed as created.
    pub new: u64,
    /// Records committed as anything else.
    pub changed: u64,
    /// Versions passed over by the filters.
    pub passed_over: u64,
}

/// How a sink is doing.
#[derive(Clone, Debug, Default)]
pub struct SinkStatus {
    /// Records it took since the daemon began.
    pub delivered: u64,
    /// Attempts that it did not take and that will be repeated.
    pub retried: u64,
    /// Records it refused for good.
    pub refused: u64,
    /// Records that wait for it.
    pub waiting: u64,
    /// Why it takes nothing at the moment.
    pub error: Option<String>,
}

impl Snapshot {
    /// How long the loop has stood still for no reason; `None` while it goes on.
    pub fn still(&self) -> Option<Duration> {
        let still = self.moved.elapsed();
        (still > self.patience).then_some(still)
    }
}

impl Status {
    /// The status of a daemon that just began.
    pub fn new(interval: f64) -> Self {
        Self(Mutex::new(Snapshot {
            began: Instant::now(),
            moved: Instant::now(),
            patience: Duration::from_secs(60),
            doing: "starting",
            last_success: None,
            error: None,
            last_sweep: None,
            sweep_error: None,
            store_error: None,
            outbox_full: false,
            needs_help: false,
            clock_skew: None,
            lag: None,
            interval,
            counts: Counts::default(),
            waiting: (0, 0),
            quarantined: 0,
            dead_letters: 0,
            sinks: BTreeMap::new(),
        }))
    }

    /// A copy of it.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().clone()
    }

    /// Changes it, which shows that the loop goes on.
    pub fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut snapshot = self.lock();
        change(&mut snapshot);
        snapshot.moved = Instant::now();
    }

    /// Changes it from beside the loop, which shows nothing about the loop.
    pub fn note(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.lock());
    }

    /// Changes what it says about a sink.
    pub fn change_sink(&self, name: &str, change: impl FnOnce(&mut SinkStatus)) {
        change(self.lock().sinks.entry(name.to_owned()).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
