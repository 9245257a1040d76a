//! What an action gets from the host while it runs once.
//!
//! An [`Invocation`] answers every service of the boundary for one run. It lives as long as the action's thread
//! may still use it, also after the run was given up. The services are called on the action's threads, so they
//! block there; whatever waits, waits on the runtime of whoever started the run and ends when the run is cancelled.
//!
//! - [`exchange`]: one declared call becomes one HTTP exchange, or an entry of the plan;
//! - [`links`]: the next links that an action may follow;
//! - [`url`]: from a call and its parameters to a URL;
//! - [`output`]: records and the reply, checked and capped;
//! - [`fan`]: several exchanges at once;
//! - [`log`]: log lines.

mod exchange;
pub(crate) mod fan;
mod links;
pub(crate) mod log;
mod output;
pub(crate) mod url;

pub(crate) use output::Output;

use crate::action::Action;
use crate::core::{Core, Until};
use crate::limits::Limits;
use crate::plan::PlannedCall;
use crate::run::{Mode, Progress};
use crate::text::{SHOWN, clean};
use links::Links;
use sortie_abi::Level;
use sortie_abi::host::{Answer, Services, Stop};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One run of one action.
pub(crate) struct Invocation {
    pub(crate) core: Arc<Core>,
    pub(crate) action: Arc<Action>,
    pub(crate) run_id: String,
    /// The context document.
    pub(crate) context: String,
    pub(crate) mode: Mode,
    pub(crate) deadline: Instant,
    /// Cancelled when the caller gives up or the deadline passes.
    pub(crate) cancel: CancellationToken,
    pub(crate) runtime: Handle,
    pub(crate) limits: Limits,
    pub(crate) output: Output,
    pub(crate) plan: Mutex<Vec<PlannedCall>>,
    pub(crate) links: Mutex<Links>,
    /// Calls sent so far.
    pub(crate) calls: AtomicU64,
    pub(crate) progress: Option<Progress>,
}

/// A lock that a panic elsewhere does not spoil: what it guards is whole between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since 1970-01-01T00:00:00Z.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Invocation {
    fn until(&self) -> Until<'_> {
        Until { deadline: self.deadline, cancel: &self.cancel }
    }

    fn ended(&self) -> bool {
        self.cancel.is_cancelled() || Instant::now() >= self.deadline
    }

    fn go_on(&self) -> Result<(), Stop> {
        if self.ended() { Err(Stop::Cancelled) } else { Ok(()) }
    }
}

impl Services for Invocation {
    fn invocation(&self) -> &str {
        &self.context
    }

    fn request(&self, head: &str, body: &[u8]) -> Result<Answer, Stop> {
        let request = exchange::Asked::read(head, body)?;
        self.runtime.block_on(self.exchange(request)).map(|answered| answered.answer)
    }

    fn request_many(&self, requests: &[(&str, &[u8])]) -> Result<Vec<Answer>, Stop> {
        let requests =
            requests.iter().map(|(head, body)| exchange::Asked::read(head, body)).collect::<Result<Vec<_>, Stop>>()?;
        let exchanges = requests.into_iter().map(|request| self.exchange(request)).collect();
        exchange::batch(self.runtime.block_on(fan::bounded(exchanges, self.limits.fan_out())))
    }

    fn emit(&self, record: &str) -> Result<(), Stop> {
        self.go_on()?;
        self.output.emit(record).inspect_err(|stop| {
            // Nobody takes the records any more: the run is over.
            if *stop == Stop::Cancelled {
                self.cancel.cancel();
            }
        })
    }

    fn reply(&self, chunk: &[u8]) -> Result<(), Stop> {
        self.output.reply(chunk)
    }

    fn log(&self, level: Level, message: &str, fields: &str) {
        log::write(self.action.name(), &self.run_id, level, message, fields);
    }

    fn progress(&self, message: &str) {
        if let Some(progress) = &self.progress {
            progress(&clean(message, SHOWN));
        }
    }

    fn sleep(&self, time: Duration) -> Result<(), Stop> {
        self.go_on()?;
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => Err(Stop::Cancelled),
                () = tokio::time::sleep_until(self.deadline) => Err(Stop::Cancelled),
                () = tokio::time::sleep(time) => Ok(()),
            }
        })
    }

    fn cancelled(&self) -> bool {
        self.ended()
    }

    fn now(&self) -> i64 {
        now()
    }
}
