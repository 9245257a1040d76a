//! One run of one action: from an input to a reply.
//!
//! The action runs on a thread of its own, because it is synchronous and because a thread that hangs must not hold
//! up the runtime's own threads. This side waits for it, for the caller's cancellation and for the deadline. Past
//! either, the action's services answer `cancelled` and it has a short grace to return; after that the run is given
//! up, the thread is left behind, and [`Finished::stuck`] says that the process has to end.

use crate::action::Action;
use crate::core::Core;
use crate::failure::Failure;
use crate::input;
use crate::limits::Limits;
use crate::outcome::judge;
use crate::plan::PlannedCall;
use crate::services::{Invocation, Output, lock};
use crate::text::clean;
use serde::Serialize;
use serde_json::Value;
use sortie_abi::{Status, kinds};
use sortie_auth::Role;
use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The longest id that a caller may give, in bytes.
const MAX_ID: usize = 200;

/// The longest deadline: what lies beyond is not meant, and would overflow the clock.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Whether writes are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// They are.
    #[default]
    Run,
    /// They are recorded in [`Finished::plan`] and answered `planned`; reads are sent.
    Plan,
}

/// Takes the records of a run, one by one, on the action's thread. While it does not return the action waits.
pub trait RecordSink: Send {
    /// Takes one record: one JSON value in one line, without a line break at its end.
    ///
    /// # Errors
    /// Whatever keeps it from taking more; the run ends then.
    fn record(&mut self, json: &str) -> io::Result<()>;
}

/// Drops every record.
impl RecordSink for () {
    fn record(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps every record; for actions that emit few.
impl RecordSink for Arc<Mutex<Vec<String>>> {
    fn record(&mut self, json: &str) -> io::Result<()> {
        lock(self).push(json.to_owned());
        Ok(())
    }
}

/// Takes what an action says about its progress, one line of plain text at a time.
pub type Progress = Box<dyn Fn(&str) + Send + Sync>;

/// What is to be run.
pub struct Run {
    /// The action.
    pub action: Arc<Action>,
    /// Its input, a JSON object, as [`input::parse`] gives it.
    pub input: Value,
    /// Whether writes are sent.
    pub mode: Mode,
    /// Names this run in outputs and logs; made if none is given.
    pub run_id: Option<String>,
    /// The caller's id for the intent behind the run, the same when the caller tries again; the run's id if none is
    /// given.
    pub request_id: Option<String>,
    /// The deadline; the profile's if none is given. A span in the action's wait field is added to it.
    pub timeout: Option<Duration>,
    /// Ends the run sooner.
    pub cancel: CancellationToken,
    /// Takes the records.
    pub records: Box<dyn RecordSink>,
    /// Takes progress messages, if anybody looks.
    pub progress: Option<Progress>,
}

impl Run {
    /// A run of an action with an input; everything else as if nothing was said.
    pub fn new(action: Arc<Action>, input: Value) -> Self {
        Self {
            action,
            input,
            mode: Mode::Run,
            run_id: None,
            request_id: None,
            timeout: None,
            cancel: CancellationToken::new(),
            records: Box::new(()),
            progress: None,
        }
    }
}

/// How a run ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finished {
    /// The run's id.
    pub run_id: String,
    /// How many records the sink took.
    pub emitted: u64,
    /// How many calls were sent; what the transport tried again counts once.
    pub calls: u64,
    /// What a dry run would have done, in order.
    pub plan: Vec<PlannedCall>,
    /// The reply, one JSON object, or why there is none.
    pub outcome: Result<String, Failure>,
    /// A thread of the action did not return: the process has to end, and can.
    pub stuck: bool,
}

/// The context that an action sees.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    run_id: &'a str,
    request_id: &'a str,
    action: &'a str,
    surface: &'a str,
    mode: Mode,
    remaining_milliseconds: u64,
}

/// How the wait for an action's thread ended.
pub(crate) enum End {
    Returned(Status),
    /// The thread unwound or died.
    Died,
    /// It did not return in time.
    Hung,
}

/// Runs an action once.
pub(crate) async fn run(core: &Arc<Core>, slots: &Arc<Semaphore>, limits: Limits, run: Run) -> Finished {
    let run_id = run.run_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let refused = |failure: Failure| Finished {
        run_id: run_id.clone(),
        emitted: 0,
        calls: 0,
        plan: Vec::new(),
        outcome: Err(failure),
        stuck: false,
    };
    if let Err(failure) = ready(core, &run, &run_id) {
        return refused(failure);
    }
    let Run { action, input, mode, request_id, timeout, cancel, records, progress, .. } = run;
    let given = timeout.unwrap_or(core.profile.run_timeout).saturating_add(wait(&action, &input)).min(LONGEST);
    let deadline = Instant::now() + given;
    let permits = match permits(&action, slots, deadline, &cancel).await {
        Ok(permits) => permits,
        Err(failure) => return refused(failure),
    };
    let context = Context {
        run_id: &run_id,
        request_id: request_id.as_deref().unwrap_or(&run_id),
        action: action.name(),
        surface: &core.profile.incidents_api,
        mode,
        remaining_milliseconds: u64::try_from(given.as_millis()).unwrap_or(u64::MAX),
    };
    let context = match serde_json::to_string(&context) {
        Ok(context) => context,
        Err(error) => return refused(Failure::new(kinds::INTERNAL, error.to_string())),
    };
    let invocation = Arc::new(Invocation {
        core: Arc::clone(core),
        action: Arc::clone(&action),
        run_id: run_id.clone(),
        context,
        mode,
        deadline,
        cancel: cancel.child_token(),
        runtime: Handle::current(),
        limits,
        output: Output::new(records, &limits),
        plan: Mutex::default(),
        links: Mutex::default(),
        calls: AtomicU64::new(0),
        progress,
    });
    let end = match start(&invocation, input.to_string(), permits) {
        Ok(done) => wait_for(done, &invocation, deadline, limits.grace).await,
        Err(error) => return refused(Failure::new(kinds::INTERNAL, format!("no thread for the action: {error}"))),
    };
    let stuck = matches!(end, End::Hung);
    if stuck {
        action.set_stuck();
    }
    let outcome = judge(&end, &invocation, &input, &cancel, given);
    let plan = std::mem::take(&mut *lock(&invocation.plan));
    let calls = invocation.calls.load(Ordering::Relaxed);
    Finished { run_id, emitted: invocation.output.emitted(), calls, plan, outcome, stuck }
}

/// What can be said before anything is started.
fn ready(core: &Core, run: &Run, run_id: &str) -> Result<(), Failure> {
    for (what, id) in [("run id", Some(run_id)), ("request id", run.request_id.as_deref())] {
        if id.is_some_and(|id| id.is_empty() || id.len() > MAX_ID || id.contains(char::is_control)) {
            return Err(Failure::new(
                kinds::USAGE,
                format!("the {what} is empty, longer than {MAX_ID} bytes or contains control characters"),
            ));
        }
    }
    let manifest = &run.action.manifest;
    let surface = core.profile.incidents_api.as_str();
    if !manifest.surfaces.is_empty() && !manifest.surfaces.iter().any(|known| known == surface) {
        return Err(Failure::configuration(
            format!("{} cannot work on the incidents API `{surface}`", run.action.name()),
            format!(
                "choose one of {} with incidents_api or --incidents-api",
                clean(&manifest.surfaces.join(", "), 200)
            ),
        ));
    }
    if run.action.is_stuck() {
        return Err(Failure::new(
            kinds::HUNG,
            format!("an earlier run of {} did not return, so no other is started", run.action.name()),
        )
        .with_hint("restart the process"));
    }
    let classes: BTreeSet<&str> = manifest.calls_on(surface).map(|call| call.limit.as_str()).collect();
    for class in classes.into_iter().filter(|class| !core.profile.limits.contains_key(*class)) {
        let class = clean(class, 64);
        tracing::warn!(action = run.action.name(), class, "no client-side limit is known for this class of calls");
    }
    // An application that is not set up is said before anything is sent, not half-way through.
    let needed: BTreeSet<Role> = manifest
        .calls_on(surface)
        .filter(|call| run.mode == Mode::Run || !call.effect.writes())
        .map(|call| call.role)
        .collect();
    needed.into_iter().try_for_each(|role| core.profile.credential_settings(role).map(drop))
}

/// The span in the action's wait field. One that cannot be read adds nothing; the action will refuse it.
fn wait(action: &Action, input: &Value) -> Duration {
    let field = action.manifest.wait_field.as_deref();
    field.and_then(|field| input.get(field)?.as_str()).and_then(input::span).unwrap_or_default()
}

/// Waits until the caps let another run begin.
async fn permits(
    action: &Action,
    slots: &Arc<Semaphore>,
    deadline: Instant,
    cancel: &CancellationToken,
) -> Result<[OwnedSemaphorePermit; 2], Failure> {
    let both = async {
        let own = Arc::clone(&action.slots).acquire_owned().await;
        let shared = Arc::clone(slots).acquire_owned().await;
        Some([own.ok()?, shared.ok()?])
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Failure::new(kinds::CANCELLED, "the run was interrupted before it began")),
        both = both => both.ok_or_else(|| Failure::new(kinds::INTERNAL, "the host has ended")),
        () = sleep_until(deadline) => {
            Err(Failure::new(kinds::TIMEOUT, "the deadline passed while other runs took all places"))
        }
    }
}

/// Starts the action's thread. The permits stay with it, so that a thread that hangs keeps its place.
fn start(
    invocation: &Arc<Invocation>,
    input: String,
    permits: [OwnedSemaphorePermit; 2],
) -> io::Result<oneshot::Receiver<Option<Status>>> {
    let (sender, done) = oneshot::channel();
    let invocation = Arc::clone(invocation);
    std::thread::Builder::new().name(format!("action {}", invocation.action.name())).spawn(move || {
        let _permits = permits;
        let entry = invocation.action.entry;
        let status = catch_unwind(AssertUnwindSafe(|| entry.invoke(&*invocation, input.as_bytes()))).ok();
        // Let go first, so that the sink is gone when the run has returned.
        drop(invocation);
        let _ = sender.send(status);
    })?;
    Ok(done)
}

async fn wait_for(
    mut done: oneshot::Receiver<Option<Status>>,
    invocation: &Invocation,
    deadline: Instant,
    grace: Duration,
) -> End {
    let ended = |result: Result<Option<Status>, _>| match result {
        Ok(Some(status)) => End::Returned(status),
        Ok(None) | Err(_) => End::Died,
    };
    tokio::select! {
        biased;
        result = &mut done => return ended(result),
        () = invocation.cancel.cancelled() => {}
        () = sleep_until(deadline) => invocation.cancel.cancel(),
    }
    tokio::select! {
        biased;
        result = &mut done => ended(result),
        () = sleep(grace) => End::Hung,
    }
}
