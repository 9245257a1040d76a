//! Does what the core says: runs steps, writes batches, waits. All of the daemon's I/O but the sinks'.

use crate::abort;
use crate::collector::{Collector, Piece, Rest};
use crate::core::{Effect, End, Event, Looked, Mode, Policy, State, Trouble, When, step};
use crate::failure::store_failure;
use crate::record::Record;
use crate::settings::Settings;
use crate::sinks::{Couriers, Shared};
use crate::status::Status;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};
use sortie_host::{Action, CancellationToken, Failure, Host, Run, kinds};
use sortie_store::{Backlog, Batch, Fence, Store, StoreError, Version};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// How long the couriers may take to end when the daemon is told to. Together with the action's own grace it stays under
/// the five seconds that a service manager is promised.
const FAREWELL: Duration = Duration::from_millis(3_500);

/// How much longer than it should the loop may stand still before it counts as hanging.
const SLACK: Duration = Duration::from_secs(60);

/// How often what is too old is deleted.
const PRUNING: Duration = Duration::from_secs(3_600);

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
        let policy = Policy { interval: settings.interval, sweep_interval: settings.sweep_interval, once };
        let fresh = resume.cursors.is_empty() && resume.rounds.is_empty();
        let state = State::new(settings.tenant.clone(), policy, seed(), &resume, now());
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
            fresh,
            delivered: 0,
            pruned: None,
            last_failure: None,
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

/// What the core wants next that takes time.
enum Next {
    Read(Mode, Option<String>),
    Wait(Option<u64>),
    Finish,
}

struct Driver {
    host: Arc<Host>,
    action: Arc<Action>,
    store: Arc<dyn Store>,
    fence: Fence,
    settings: Settings,
    status: Arc<Status>,
    reload: Option<mpsc::Receiver<Map<String, Value>>>,
    stop: CancellationToken,
    once: bool,
    committed: watch::Sender<u64>,
    settled: Arc<Notify>,
    /// Always there between turns.
    state: Option<State>,
    began: Instant,
    /// The service's clock less this machine's.
    skew: SignedDuration,
    full: bool,
    /// Nothing was ever read into this store.
    fresh: bool,
    /// Deliveries that the history knows of.
    delivered: u64,
    pruned: Option<Instant>,
    last_failure: Option<Failure>,
    /// What could not be read and was told of already: id and reason.
    reported: HashSet<(String, String)>,
}

/// How much of what could not be read is told of only once.
const REPORTED: usize = 1_000;

/// The members of the action's reply that the loop understands.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    next_cursor: Option<String>,
    more: bool,
    #[serde(default)]
    read: u64,
    #[serde(default)]
    calls: u64,
    server_time: Option<Timestamp>,
}

impl Driver {
    async fn go(&mut self) -> Result<(), Failure> {
        self.look_for_room().await?;
        let mut next = self.turn(Event::Tick).await?;
        loop {
            next = match next {
                Some(Next::Read(mode, cursor)) => self.read(mode, cursor).await?,
                Some(Next::Wait(until)) => self.wait(until).await?,
                Some(Next::Finish) => break,
                // A turn between two steps always says what is next.
                None => self.turn(Event::Tick).await?,
            };
        }
        match self.last_failure.take() {
            Some(failure) if self.once && !self.stop.is_cancelled() => Err(failure),
            _ => Ok(()),
        }
    }

    fn when(&self) -> When {
        let calendar = Timestamp::now();
        let moment = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let server_now = calendar.checked_add(self.skew).unwrap_or(calendar);
        When { moment, now: calendar.as_second(), server_now }
    }

    /// One event, and every effect that it has, down to what takes time.
    async fn turn(&mut self, event: Event) -> Result<Option<Next>, Failure> {
        let mut events = VecDeque::from([event]);
        let mut next = None;
        while let Some(event) = events.pop_front() {
            let Some(state) = self.state.take() else {
                return Err(Failure::new(kinds::INTERNAL, "the core has no state"));
            };
            let (state, effects) = step(state, event, self.when());
            self.state = Some(state);
            for effect in effects {
                match effect {
                    Effect::Commit(batch) => {
                        let written = self.commit(*batch).await?;
                        events.extend([Event::Room(!self.full), written]);
                    }
                    Effect::Read { mode, cursor } => next = Some(Next::Read(mode, cursor)),
                    Effect::Wait(until) => next = Some(Next::Wait(until)),
                    Effect::Finish => next = Some(Next::Finish),
                    // Whoever reads sees that its records were not taken.
                    Effect::Abandon => {}
                }
            }
        }
        Ok(next)
    }

    /// Writes a batch; the event says how that went.
    async fn commit(&mut self, mut batch: Batch) -> Result<Event, Failure> {
        abort::at("decided");
        let delivered = self.status.snapshot().sinks.values().map(|sink| sink.delivered).sum::<u64>();
        if let Some(poll) = &mut batch.poll {
            poll.delivered = delivered.saturating_sub(self.delivered);
        }
        let told = batch.poll.is_some();
        let news = !batch.outgoing.is_empty();
        let tally = self.state.as_ref().map(State::decided).unwrap_or_default();
        // A piece that brought nothing is no commit.
        let empty = Batch { now: batch.now, ..Batch::default() };
        if batch == empty {
            return Ok(Event::Committed);
        }
        for note in &batch.quarantine {
            if self.reported.len() < REPORTED && self.reported.insert((note.id.clone(), note.reason.clone())) {
                tracing::warn!(
                    id = note.id,
                    "something could not be read as it should, and is tried again: {}",
                    note.reason
                );
            }
        }
        let (store, fence) = (Arc::clone(&self.store), self.fence);
        match blocking(move || store.commit(&batch, fence)).await {
            Ok(()) => {
                abort::at("committed");
                if told {
                    self.delivered = delivered;
                }
                let server_now = self.when().server_now;
                self.status.change(|status| {
                    status.store_error = None;
                    if news {
                        status.counts.new += tally.new;
                        status.counts.changed += tally.changed;
                        status.lag =
                            tally.newest.map(|newest| server_now.duration_since(newest).as_secs_f64().max(0.0));
                    }
                    status.counts.passed_over += tally.passed_over;
                });
                if news || told {
                    self.committed.send_modify(|commits| *commits += 1);
                }
                if news {
                    self.look_for_room().await?;
                }
                Ok(Event::Committed)
            }
            Err(error) => self.store_trouble(error).map(Event::NotCommitted),
        }
    }

    /// A store error: trouble that can pass, or the end.
    fn store_trouble(&self, error: StoreError) -> Result<Trouble, Failure> {
        if !error.passes() {
            return Err(store_failure(&error));
        }
        let text = error.to_string();
        tracing::error!(error = text, "the store cannot be written; nothing is lost, reading waits");
        self.status.change(|status| status.store_error = Some(text.clone()));
        Ok(Trouble { text, ..Trouble::default() })
    }

    /// Looks whether the outbox has room.
    async fn look_for_room(&mut self) -> Result<(), Failure> {
        let store = Arc::clone(&self.store);
        let backlog = match blocking(move || store.backlog()).await {
            Ok(backlog) => backlog,
            Err(error) => return self.store_trouble(error).map(drop),
        };
        self.full = backlog.records >= self.settings.outbox_records || backlog.bytes >= self.settings.outbox_bytes;
        let Backlog { records, bytes, dead_letters, quarantined, .. } = backlog;
        let full = self.full;
        self.status.change(|status| {
            status.waiting = (records, bytes);
            status.dead_letters = dead_letters;
            status.quarantined = quarantined;
            if full && !status.outbox_full {
                tracing::warn!(records, bytes, "the outbox is full: reading pauses until the sinks took some of it");
            }
            status.outbox_full = full;
        });
        Ok(())
    }

    /// Waits for whatever comes first.
    async fn wait(&mut self, until: Option<u64>) -> Result<Option<Next>, Failure> {
        self.prune().await?;
        self.status
            .change(|status| status.doing = if status.outbox_full { "waiting for the sinks" } else { "waiting" });
        let until = until.map(|moment| self.began + Duration::from_millis(moment));
        let event = tokio::select! {
            biased;
            () = self.stop.cancelled() => Event::Stop,
            input = told(&mut self.reload) => {
                self.settings.input = input;
                Event::Retold
            }
            () = room(&self.settled), if self.full => {
                self.look_for_room().await?;
                Event::Room(!self.full)
            }
            () = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            } => Event::Tick,
        };
        self.turn(event).await
    }

    /// Deletes what is too old, now and then.
    async fn prune(&mut self) -> Result<(), Failure> {
        if self.pruned.is_some_and(|at| at.elapsed() < PRUNING) {
            return Ok(());
        }
        self.pruned = Some(Instant::now());
        let before = |age: Duration| now().saturating_sub(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        let (seen, history) = (before(self.settings.retention), before(self.settings.history_retention));
        loop {
            let (store, fence) = (Arc::clone(&self.store), self.fence);
            match blocking(move || store.prune(seen, history, fence)).await {
                Ok(true) if !self.stop.is_cancelled() => {}
                Ok(_) => return Ok(()),
                Err(error) => return self.store_trouble(error).map(drop),
            }
        }
    }

    /// Runs one step of the action.
    async fn read(&mut self, mode: Mode, cursor: Option<String>) -> Result<Option<Next>, Failure> {
        let patience = self.host.profile().run_timeout.saturating_add(SLACK);
        self.status.change(|status| {
            status.patience = patience;
            status.doing = match mode {
                Mode::Poll => "polling",
                Mode::Sweep => "sweeping",
            }
        });
        let mut input = self.settings.input.clone();
        input.insert("mode".to_owned(), mode.name().into());
        if let Some(cursor) = cursor {
            input.insert("cursor".to_owned(), cursor.into());
        }
        let (collector, rest, mut pieces) = Collector::new();
        let mut run = Run::new(Arc::clone(&self.action), Value::Object(input));
        run.cancel = self.stop.child_token();
        run.records = Box::new(collector);
        let host = Arc::clone(&self.host);
        let began = Timestamp::now();
        let mut running = std::pin::pin!(host.run(run));
        let mut next = None;
        let finished = loop {
            tokio::select! {
                biased;
                finished = &mut running => break finished,
                Some(piece) = pieces.recv() => {
                    let Piece { records, durable } = piece;
                    // One that is not durable is dropped with `durable`, which ends the action's step.
                    if next.is_none() {
                        next = self.take(records).await?;
                        if next.is_none() {
                            let _ = durable.send(());
                        }
                    }
                }
            }
        };
        if finished.stuck {
            let failure = finished.outcome.err();
            return Err(failure.unwrap_or_else(|| Failure::new(kinds::HUNG, "a thread of the action did not return")));
        }
        if self.stop.is_cancelled() {
            return self.turn(Event::Stop).await;
        }
        if next.is_some() {
            return Ok(next);
        }
        match finished.outcome {
            Ok(reply) => self.ended(mode, began, &reply, &rest).await,
            Err(failure) => self.failed(mode, failure, &rest).await,
        }
    }

    /// Records on their way; what is next only if they could not be made durable.
    async fn take(&mut self, records: Vec<String>) -> Result<Option<Next>, Failure> {
        if records.is_empty() {
            return Ok(None);
        }
        match self.look_up(records).await? {
            Ok(looked) => self.turn(Event::Records(looked)).await,
            Err(trouble) => self.turn(Event::NotCommitted(trouble)).await,
        }
    }

    /// Puts what the store knows beside each record.
    async fn look_up(&self, lines: Vec<String>) -> Result<Result<Vec<Looked>, Trouble>, Failure> {
        abort::at("fetched");
        let store = Arc::clone(&self.store);
        let looked = blocking(move || {
            let mut records = Vec::with_capacity(lines.len());
            for line in lines {
                match Record::parse(&line) {
                    Ok(record) => records.push(record),
                    // The host checked that it is JSON; that it is no record is the action's fault.
                    Err(error) => tracing::error!(%error, "the action handed over something that is no record"),
                }
            }
            let version = |record: &Record| Version {
                id: record.id.clone().unwrap_or_default(),
                fingerprint: record.fingerprint.clone().unwrap_or_default(),
            };
            let versions: Vec<Version> = records.iter().map(version).collect();
            let known = store.known(&versions)?;
            Ok(records.into_iter().zip(known).map(|(record, known)| Looked { record, known }).collect())
        });
        match looked.await {
            Ok(looked) => Ok(Ok(looked)),
            Err(error) => self.store_trouble(error).map(Err),
        }
    }

    async fn ended(&mut self, mode: Mode, began: Timestamp, reply: &str, rest: &Rest) -> Result<Option<Next>, Failure> {
        let reply: Reply = match serde_json::from_str(reply) {
            Ok(reply) => reply,
            Err(error) => {
                let message = format!("{} answered with what is no step's end: {error}", self.action.name());
                return self.failed(mode, Failure::new(kinds::BAD_REPLY, message), rest).await;
            }
        };
        if let Some(server) = reply.server_time {
            self.skew = server.duration_since(began);
        }
        let looked = match self.look_up(rest.take()).await? {
            Ok(looked) => looked,
            Err(trouble) => return self.turn(Event::NotCommitted(trouble)).await,
        };
        let end = End { cursor: reply.next_cursor, more: reply.more, read: reply.read, calls: reply.calls };
        let next = self.turn(Event::Ended(looked, end)).await?;
        if self.status.snapshot().store_error.is_none() {
            self.fresh = false;
            self.last_failure = None;
            let skew = self.skew.as_secs_f64();
            self.status.change(|status| {
                status.error = None;
                status.needs_help = false;
                status.clock_skew = Some(skew);
                status.last_success = Some((std::time::Instant::now(), Timestamp::now()));
                status.counts.calls += reply.calls;
                status.counts.fetched += reply.read;
                match mode {
                    Mode::Poll => status.counts.polls += 1,
                    Mode::Sweep => status.counts.sweeps += 1,
                }
            });
        }
        Ok(next)
    }

    async fn failed(&mut self, mode: Mode, failure: Failure, rest: &Rest) -> Result<Option<Next>, Failure> {
        // What came before the failure is as good as any other record.
        if let Some(next) = self.take(rest.take()).await? {
            return Ok(Some(next));
        }
        let needs_help = !failure.retryable;
        if needs_help && self.fresh && !self.once {
            return Err(failure);
        }
        let text = format!("{}: {}", failure.kind, failure.message);
        tracing::warn!(mode = mode.name(), kind = %failure.kind, hint = failure.hint, "{}", failure.message);
        self.status.change(|status| {
            status.counts.failures += 1;
            status.error = Some((failure.kind.to_string(), failure.message.clone()));
            status.needs_help = needs_help;
        });
        let trouble = Trouble { text, retry_after: failure.retry_after, needs_help };
        self.last_failure = Some(failure);
        self.turn(Event::Failed(trouble)).await
    }
}

/// Something was delivered; or it is time to look whether it was, without being told.
async fn room(settled: &Notify) {
    let _ = tokio::time::timeout(Duration::from_secs(5), settled.notified()).await;
}

/// The next input that was told; never, where nobody tells.
async fn told(reload: &mut Option<mpsc::Receiver<Map<String, Value>>>) -> Map<String, Value> {
    if let Some(receiver) = reload {
        if let Some(input) = receiver.recv().await {
            return input;
        }
        *reload = None;
    }
    std::future::pending().await
}

/// Does blocking work of the store.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> sortie_store::Result<T> + Send + 'static,
) -> sortie_store::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        // The runtime ends, or the store panicked: neither leaves anything half done.
        Err(error) => Err(StoreError::Failed { path: std::path::PathBuf::new(), problem: error.to_string() }),
    }
}

fn now() -> i64 {
    Timestamp::now().as_second()
}

/// Chance, to keep daemons apart.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
