//! One step of the action: its records on their way into the store, and how it ended.

use crate::abort;
use crate::collector::{Collector, Piece, Rest};
use crate::core::{End, Event, Looked, Mode, Trouble};
use crate::driver::{Driver, Next, blocking};
use crate::record::Record;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use sortie_host::{Failure, Run, kinds};
use sortie_store::Version;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long one step may take: as long as a large tenant's whole look-back does within the service's limits. What
/// was read of it is kept whatever happens, but the cursor moves at its end.
const LONGEST_STEP: Duration = Duration::from_secs(3 * 3_600);

/// The longest pause within a step that is none of hanging: the service's limits count calls by the hour.
const LONGEST_PAUSE: Duration = Duration::from_secs(65 * 60);

/// How long a step waits for room in the outbox before it is given up.
const HOLD: Duration = Duration::from_secs(30);

/// The least that the limit of a step shrinks to when steps fail.
const LEAST_LIMIT: u64 = 1_000;

/// The limit of a sweep's step: polls have their turn between two of them.
const SWEEP_LIMIT: u64 = 5_000;

/// The members of the action's reply that the loop understands.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    next_cursor: Option<String>,
    more: bool,
    #[serde(default)]
    read: u64,
    server_time: Option<Timestamp>,
}

impl Driver {
    /// Runs one step of the action.
    pub(crate) async fn read(
        &mut self,
        mode: Mode,
        cursor: Option<String>,
        failures: u32,
    ) -> Result<Option<Next>, Failure> {
        self.status.change(|status| {
            status.patience = LONGEST_PAUSE;
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
        if let Some(told) = input.get("limit").and_then(Value::as_u64).or(self.limit) {
            let most = if mode == Mode::Sweep { told.min(SWEEP_LIMIT) } else { told };
            input.insert("limit".to_owned(), (most >> failures.min(16)).max(told.min(LEAST_LIMIT)).into());
        }
        let (collector, rest, mut pieces) = Collector::new();
        let mut run = Run::new(Arc::clone(&self.action), Value::Object(input));
        run.cancel = self.stop.child_token();
        run.timeout = Some(self.host.profile().run_timeout.max(LONGEST_STEP));
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
                        if next.is_none() && !self.room_soon().await? {
                            let trouble = Trouble { text: "the outbox is full".to_owned(), ..Trouble::default() };
                            next = self.turn(Event::NotCommitted(trouble)).await?;
                        }
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
            Ok(reply) => self.ended(mode, began, &reply, finished.calls, &rest).await,
            Err(failure) => self.failed(mode, failure, finished.calls, &rest).await,
        }
    }

    /// Waits a little for room in the outbox while a step is under way. False when there is none.
    async fn room_soon(&mut self) -> Result<bool, Failure> {
        let deadline = Instant::now() + HOLD;
        // With `once` nobody waits for a sink that is down.
        while self.full && !self.once && !self.stop.is_cancelled() {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = room(&self.settled) => self.look_for_room().await?,
            }
        }
        Ok(true)
    }

    /// Records on their way; what is next only if they could not be made durable.
    async fn take(&mut self, records: Vec<String>) -> Result<Option<Next>, Failure> {
        if records.is_empty() {
            return Ok(None);
        }
        // Something comes in: the loop goes on, also where nothing of it is news.
        self.status.change(|_| {});
        match self.look_up(records).await? {
            Ok(looked) => self.turn(Event::Records(looked)).await,
            Err(trouble) => self.turn(Event::NotCommitted(trouble)).await,
        }
    }

    /// Puts what the store knows beside each record.
    async fn look_up(&mut self, lines: Vec<String>) -> Result<Result<Vec<Looked>, Trouble>, Failure> {
        abort::at("fetched");
        let store = Arc::clone(&self.store);
        let mut records = Vec::with_capacity(lines.len());
        for line in lines {
            match Record::parse(&line) {
                Ok(record) => records.push(record),
                Err(error) => {
                    let message = format!("{} handed over something that is no record: {error}", self.action.name());
                    tracing::error!("{message}");
                    let failure = Failure::new(kinds::BAD_REPLY, &message);
                    self.status.change(|status| status.error = Some((failure.kind.to_string(), message.clone())));
                    self.last_failure = Some(failure);
                    return Ok(Err(Trouble { text: message, needs_help: true, ..Trouble::default() }));
                }
            }
        }
        let looked = blocking(move || {
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

    async fn ended(
        &mut self,
        mode: Mode,
        began: Timestamp,
        reply: &str,
        calls: u64,
        rest: &Rest,
    ) -> Result<Option<Next>, Failure> {
        let reply: Reply = match serde_json::from_str(reply) {
            Ok(reply) => reply,
            Err(error) => {
                let message = format!("{} answered with what is no step's end: {error}", self.action.name());
                return self.failed(mode, Failure::new(kinds::BAD_REPLY, message), calls, rest).await;
            }
        };
        if let Some(server) = reply.server_time {
            self.skew = server.duration_since(began);
        }
        let looked = match self.look_up(rest.take()).await? {
            Ok(looked) => looked,
            Err(trouble) => return self.turn(Event::NotCommitted(trouble)).await,
        };
        let end = End { cursor: reply.next_cursor, more: reply.more, read: reply.read, calls };
        let next = self.turn(Event::Ended(looked, end)).await?;
        if self.status.snapshot().store_error.is_none() {
            self.fresh = false;
            self.last_failure = None;
            self.before = None;
            let skew = self.skew.as_secs_f64();
            let now = (std::time::Instant::now(), Timestamp::now());
            self.status.change(|status| {
                status.clock_skew = Some(skew);
                status.counts.calls += calls;
                status.counts.fetched += reply.read;
                match mode {
                    Mode::Poll => {
                        status.counts.polls += 1;
                        (status.error, status.needs_help) = (None, false);
                        status.last_success = Some(now);
                    }
                    Mode::Sweep => {
                        status.counts.sweeps += 1;
                        status.sweep_error = None;
                        status.last_sweep = Some(now);
                    }
                }
            });
        }
        Ok(next)
    }

    async fn failed(&mut self, mode: Mode, failure: Failure, calls: u64, rest: &Rest) -> Result<Option<Next>, Failure> {
        // What came before the failure is as good as any other record.
        if let Some(next) = self.take(rest.take()).await? {
            return Ok(Some(next));
        }
        // What a service answers once it may not answer again; what a person told stays as it is.
        let needs_help = matches!(failure.exit_code(), 2 | 65 | 77 | 78);
        let refused = failure.kind == kinds::INVALID_INPUT;
        if refused && let Some(before) = self.before.take() {
            tracing::error!("the new filters are refused, and those before stay: {}", failure.message);
            self.settings.input = before;
            return self.turn(Event::Failed(Trouble { text: failure.message.clone(), ..Trouble::default() })).await;
        }
        let never = self.status.snapshot().last_success.is_none();
        if needs_help && !self.once && (self.fresh || (refused && never)) {
            return Err(failure);
        }
        let text = format!("{}: {}", failure.kind, failure.message);
        tracing::warn!(mode = mode.name(), kind = %failure.kind, hint = failure.hint, "{}", failure.message);
        self.status.change(|status| {
            status.counts.failures += 1;
            status.counts.calls += calls;
            let error = Some((failure.kind.to_string(), failure.message.clone()));
            match mode {
                Mode::Poll => (status.error, status.needs_help) = (error, needs_help),
                Mode::Sweep => status.sweep_error = error,
            }
        });
        let trouble = Trouble { text, retry_after: failure.retry_after, needs_help, calls };
        self.last_failure = Some(failure);
        self.turn(Event::Failed(trouble)).await
    }
}

/// Something was delivered; or it is time to look whether it was, without being told.
pub(crate) async fn room(settled: &Notify) {
    let _ = tokio::time::timeout(Duration::from_secs(5), settled.notified()).await;
}
