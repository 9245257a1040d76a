//! Does what the core says: turns events into effects, writes batches, waits. One step of reading is `reading`'s.

use crate::abort;
use crate::core::{Effect, Event, Mode, State, Trouble, When, step};
use crate::failure::store_failure;
use crate::reading::room;
use crate::settings::Settings;
use crate::status::Status;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use sortie_host::{Action, CancellationToken, Failure, Host, kinds};
use sortie_store::{Backlog, Batch, Fence, Store, StoreError};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// How much longer than it should the loop may stand still before it counts as hanging.
const SLACK: Duration = Duration::from_secs(60);

/// How much is deleted and checked by a daemon that ends at once.
const PIECES_ONCE: usize = 100;

/// How often what is too old is deleted.
const PRUNING: Duration = Duration::from_secs(3_600);

/// What the core wants next that takes time.
pub(crate) enum Next {
    Read(Mode, Option<String>, u32),
    Wait(Option<u64>),
    Finish,
}

pub(crate) struct Driver {
    pub(crate) host: Arc<Host>,
    pub(crate) action: Arc<Action>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) fence: Fence,
    pub(crate) settings: Settings,
    pub(crate) status: Arc<Status>,
    pub(crate) reload: Option<mpsc::Receiver<Map<String, Value>>>,
    pub(crate) stop: CancellationToken,
    pub(crate) once: bool,
    pub(crate) committed: watch::Sender<u64>,
    pub(crate) settled: Arc<Notify>,
    /// Always there between turns.
    pub(crate) state: Option<State>,
    pub(crate) began: Instant,
    /// The service's clock less this machine's.
    pub(crate) skew: SignedDuration,
    pub(crate) full: bool,
    /// The action's own limit of a step, if it has one.
    pub(crate) limit: Option<u64>,
    /// Nothing was ever read into this store.
    pub(crate) fresh: bool,
    pub(crate) pruned: Option<Instant>,
    pub(crate) last_failure: Option<Failure>,
    /// The input before the one that was told last, until that proves right.
    pub(crate) before: Option<Map<String, Value>>,
    /// What could not be read and was told of already: id and reason.
    pub(crate) reported: HashSet<(String, String)>,
}

/// How much of what could not be read is told of only once.
const REPORTED: usize = 1_000;

impl Driver {
    pub(crate) async fn go(&mut self) -> Result<(), Failure> {
        self.look_for_room().await?;
        let mut next = self.turn(Event::Room(!self.full)).await?;
        loop {
            // Told in the middle of many steps, it counts from the next one on.
            if let Some(input) = self.reload.as_mut().and_then(|reload| reload.try_recv().ok()) {
                self.retold(input);
                // Between two steps it may change what is next; once a step was chosen it does not.
                next = self.turn(Event::Retold).await?.or(next);
            }
            next = match next {
                Some(Next::Read(mode, cursor, failures)) => self.read(mode, cursor, failures).await?,
                Some(Next::Wait(until)) => self.wait(until).await?,
                Some(Next::Finish) => {
                    if self.once {
                        self.prune().await?;
                    }
                    break;
                }
                None => return Err(Failure::new(kinds::INTERNAL, "the core does not say what is next")),
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
        When { moment, now: server_now.as_second(), server_now }
    }

    /// One event, and every effect that it has, down to what takes time.
    pub(crate) async fn turn(&mut self, event: Event) -> Result<Option<Next>, Failure> {
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
                    Effect::Read { mode, cursor, failures } => next = Some(Next::Read(mode, cursor, failures)),
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
    async fn commit(&mut self, batch: Batch) -> Result<Event, Failure> {
        abort::at("decided");
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
    pub(crate) fn store_trouble(&mut self, error: StoreError) -> Result<Trouble, Failure> {
        if !error.passes() {
            return Err(store_failure(&error));
        }
        let text = error.to_string();
        tracing::error!(error = text, "the store cannot be written; nothing is lost, reading waits");
        self.status.change(|status| status.store_error = Some(text.clone()));
        self.last_failure = Some(store_failure(&error));
        Ok(Trouble { text, ..Trouble::default() })
    }

    /// Looks whether the outbox has room.
    pub(crate) async fn look_for_room(&mut self) -> Result<(), Failure> {
        let store = Arc::clone(&self.store);
        let backlog = match blocking(move || store.backlog()).await {
            Ok(backlog) => backlog,
            Err(error) => return self.store_trouble(error).map(drop),
        };
        // Once full, it has room again when a fifth of it is free: not for one record at a time.
        let bound = |most: u64| if self.full { most / 5 * 4 } else { most };
        self.full = backlog.records >= bound(self.settings.outbox_records).max(1)
            || backlog.bytes >= bound(self.settings.outbox_bytes).max(1);
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

    fn retold(&mut self, input: Map<String, Value>) {
        self.before = Some(std::mem::replace(&mut self.settings.input, input));
    }

    /// Waits for whatever comes first.
    async fn wait(&mut self, until: Option<u64>) -> Result<Option<Next>, Failure> {
        self.prune().await?;
        let until = until.map(|moment| self.began + Duration::from_millis(moment));
        self.status.change(|status| {
            status.doing = if status.outbox_full { "waiting for the sinks" } else { "waiting" };
            status.patience = until.map_or(SLACK, |until| until.duration_since(Instant::now()).saturating_add(SLACK));
        });
        let event = tokio::select! {
            biased;
            () = self.stop.cancelled() => Event::Stop,
            input = told(&mut self.reload) => {
                self.retold(input);
                Event::Retold
            }
            () = room(&self.settled), if self.full => {
                // Which also shows that the loop goes on.
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
        // Not before a step told the service's time.
        if self.pruned.is_some_and(|at| at.elapsed() < PRUNING) || self.status.snapshot().last_success.is_none() {
            return Ok(());
        }
        self.pruned = Some(Instant::now());
        // By the service's clock: this machine's may be wrong by years.
        let now = self.when().now;
        let before = |age: Duration| now.saturating_sub(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        let (seen, history) = (before(self.settings.retention), before(self.settings.history_retention));
        for _ in 0..if self.once { PIECES_ONCE } else { usize::MAX } {
            let (store, fence) = (Arc::clone(&self.store), self.fence);
            match blocking(move || store.prune(seen, history, fence)).await {
                Ok(true) if !self.stop.is_cancelled() => {}
                Ok(_) => return Ok(()),
                Err(error) => return self.store_trouble(error).map(drop),
            }
        }
        Ok(())
    }
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
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> sortie_store::Result<T> + Send + 'static,
) -> sortie_store::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        // The runtime ends, or the store panicked: neither leaves anything half done.
        Err(error) => Err(StoreError::Failed { path: std::path::PathBuf::new(), problem: error.to_string() }),
    }
}

pub(crate) fn now() -> i64 {
    Timestamp::now().as_second()
}
