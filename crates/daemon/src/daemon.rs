//! A daemon from its beginning to its end: the sinks named, what the store remembers, reading and delivering side by side.

use crate::core::{Policy, State};
use crate::driver::{Driver, blocking, now};
use crate::failure::store_failure;
use crate::settings::Settings;
use crate::sinks::{Couriers, Shared};
use crate::status::Status;
use jiff::SignedDuration;
use serde_json::{Map, Value};
use sortie_host::{Action, CancellationToken, Failure, Host, kinds};
use sortie_store::{Backlog, Batch, CursorMove, Fence, SinkBacklog, Store};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

/// How long the couriers may take to end when the daemon is told to. Together with the action's own grace it stays under
/// the five seconds that a service manager is promised.
const FAREWELL: Duration = Duration::from_millis(3_500);

/// Under this name the store keeps what the last daemon was told to read, beside the cursors.
const TOLD: &str = "told";

/// A daemon, ready to run.
pub struct Daemon {
    /// Runs the action.
    pub host: Arc<Host>,
    /// The action, of kind `daemon`.
    pub action: Arc<Action>,
    /// The state.
    pub store: Arc<dyn Store>,
    /// This daemon's fence in it.
    pub fence: Fence,
    /// What it was told.
    pub settings: Settings,
    /// The sinks, opened.
    pub couriers: Couriers,
    /// Where it says how it is doing.
    pub status: Arc<Status>,
    /// New inputs, when the filters are told anew.
    pub reload: mpsc::Receiver<Map<String, Value>>,
    /// Ends it in good order.
    pub stop: CancellationToken,
    /// Do everything that is due once, deliver it, end.
    pub once: bool,
}

impl Daemon {
    /// Runs until it is told to stop; with `once`, until everything due was read and delivered.
    ///
    /// # Errors
    /// What cannot go on: the first step of a new store fails in a way that needs a person, a newer daemon took the store over, a
    /// thread hangs, or standard output has no reader. With `once`, whatever kept it from reading or delivering.
    pub async fn run(self) -> Result<(), Failure> {
        let Self { host, action, store, fence, settings, couriers, status, reload, stop, once } = self;
        let names = couriers.names();
        let backlog = {
            let store = Arc::clone(&store);
            blocking(move || store.backlog()).await.map_err(|error| store_failure(&error))?
        };
        if let Some(usual) = &settings.replaced_sinks {
            would_leave_behind(&names, usual, &backlog)?;
        }
        if backlog.dead_letters > 0 {
            tracing::warn!(records = backlog.dead_letters, "there are dead letters; see `sortie dead-letters list`");
        }
        let orphaned = {
            let (store, names) = (Arc::clone(&store), names.clone());
            blocking(move || store.set_sinks(&names, now(), fence)).await.map_err(|error| store_failure(&error))?
        };
        if orphaned > 0 {
            tracing::warn!(
                records = orphaned,
                "sinks are configured no more; what waited for them is now dead letters"
            );
        }
        let resume = {
            let store = Arc::clone(&store);
            blocking(move || store.resume()).await.map_err(|error| store_failure(&error))?
        };
        let policy = Policy {
            interval: settings.interval,
            sweep_interval: settings.sweep_interval,
            retention: settings.retention,
            once,
        };
        let fresh = resume.rounds.is_empty() && resume.cursors.iter().all(|(name, _)| name == TOLD);
        let input = Value::Object(settings.input.clone()).to_string();
        let told = resume.cursors.iter().find(|(name, _)| name == TOLD).map(|(_, input)| input.as_str());
        let retold = told.is_some_and(|told| told != input);
        let state = State::new(settings.tenant.clone(), policy, seed(), &resume, now(), retold);
        if told != Some(input.as_str()) {
            let cursor = Some(CursorMove { mode: TOLD.to_owned(), cursor: Some(input), round_ended: false });
            let (store, batch) = (Arc::clone(&store), Batch { now: now(), cursor, ..Batch::default() });
            blocking(move || store.commit(&batch, fence)).await.map_err(|error| store_failure(&error))?;
        }
        let (committed, seen) = watch::channel(0);
        let shared = Shared {
            store: Arc::clone(&store),
            fence,
            status: Arc::clone(&status),
            committed: seen,
            settled: Arc::new(Notify::new()),
            finish: CancellationToken::new(),
            stop: stop.child_token(),
        };
        let settled = Arc::clone(&shared.settled);
        let (finish, halt) = (shared.finish.clone(), shared.stop.clone());
        let mut delivering = std::pin::pin!(couriers.run(shared));
        let limit = action.input_schema()?.pointer("/properties/limit/default").and_then(Value::as_u64);
        let mut driver = Driver {
            host,
            action,
            store,
            fence,
            settings,
            status,
            reload: Some(reload),
            stop,
            once,
            committed,
            settled,
            state: Some(state),
            began: Instant::now(),
            skew: SignedDuration::ZERO,
            full: false,
            limit,
            fresh,
            pruned: None,
            last_failure: None,
            before: None,
            reported: HashSet::new(),
        };
        let (status, stop) = (Arc::clone(&driver.status), driver.stop.clone());
        let mut reading = std::pin::pin!(driver.go());
        let mut delivered = None;
        let read = loop {
            tokio::select! {
                read = &mut reading => break read,
                ended = &mut delivering, if delivered.is_none() => {
                    // Told to stop, the couriers may be done before the reading is.
                    if !stop.is_cancelled() {
                        ended?;
                        return Err(Failure::new(kinds::INTERNAL, "the delivery ended although nobody told it to"));
                    }
                    delivered = Some(ended);
                }
            }
        };
        status.change(|status| status.doing = "ending");
        if let Some(delivered) = delivered {
            return read.and(delivered);
        }
        if once && !stop.is_cancelled() {
            finish.cancel();
            let delivered = delivering.await;
            return read.and(delivered);
        }
        halt.cancel();
        match tokio::time::timeout(FAREWELL, delivering).await {
            Ok(delivered) => read.and(delivered),
            // What they hold is settled nowhere, so it is delivered again.
            Err(_) => read,
        }
    }
}

/// Refuses sinks that were named for this run alone where the usual ones would miss something: what waits for them, or what this
/// run reads.
fn would_leave_behind(names: &[String], usual: &[String], backlog: &Backlog) -> Result<(), Failure> {
    let left_out =
        |sink: &&SinkBacklog| !names.contains(&sink.name) && (sink.records > 0 || usual.contains(&sink.name));
    let Some(sink) = backlog.sinks.iter().find(left_out) else { return Ok(()) };
    Err(Failure::configuration(
        format!(
            "this store delivers to the sink {}, for which {} records wait; with --sink it would miss what this run reads",
            sink.name, sink.records
        ),
        "leave --sink out, or give this run a store of its own with --state-dir",
    ))
}

/// Chance, to keep daemons apart.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
