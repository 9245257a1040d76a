//! A command run for each record: a playbook of one's own.
//!
//! The record comes on stdin, as JSON and an end of line; there is no shell. Without the end of line it is not whole: the
//! daemon died while it wrote, and the record comes again. What the exit means:
//!
//! | exit | meaning |
//! | --- | --- |
//! | 0 | taken |
//! | 75 (`EX_TEMPFAIL`), time-out, ended by SIGHUP, SIGINT, SIGKILL or SIGTERM | not now: tried again |
//! | any other code, any other signal | a dead letter, with the last lines of stderr as the reason |
//! | cannot be started | nothing can be taken: everything waits |
//!
//! The four signals come from outside (a service manager that stops, memory that runs out), so they say nothing about
//! the record. A command is the leader of a process group of its own. At its deadline, and when the daemon stops and it
//! does not end by itself soon, the whole group gets SIGTERM, and SIGKILL if that does not end it within 2 s. What it exits
//! with after the SIGTERM is no answer: many programs end with 0 then, whatever they did.

use super::lanes::Carrier;
use super::window::Outcome;
use crate::settings::ExecSettings;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use sortie_host::{Failure, clean};
use sortie_store::Queued;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The exit code that asks to be tried again.
const TRY_AGAIN: i32 = 75;

/// The environment that every command sees.
const ENVIRONMENT: &[&str] = &["PATH", "HOME", "LANG", "TZ", "USER", "LOGNAME", "TMPDIR"];

/// How much of the end of stderr is kept.
const KEPT: usize = 2 << 10;

/// How long stderr is read after the command ended; something it left running may hold it open.
const AFTERWARDS: Duration = Duration::from_millis(200);

/// How long a command may take to end after SIGTERM, and how often it is looked whether it did.
const TO_END: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Signals that come from outside.
const FROM_OUTSIDE: &[Signal] = &[Signal::HUP, Signal::INT, Signal::KILL, Signal::TERM];

/// A command.
pub(super) struct Exec {
    program: String,
    arguments: Vec<String>,
    environment: Vec<(OsString, OsString)>,
    timeout: Duration,
    concurrency: usize,
}

impl Exec {
    pub(super) fn open(settings: &ExecSettings) -> Result<Self, Failure> {
        Self::with(settings, std::env::vars_os())
    }

    fn with(settings: &ExecSettings, environment: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, Failure> {
        let Some((program, arguments)) = settings.command.split_first().filter(|(program, _)| !program.is_empty())
        else {
            return Err(Failure::configuration("the command is empty", "name a program and its arguments"));
        };
        if settings.command.iter().any(|part| part.contains('\0')) {
            return Err(Failure::configuration("the command holds a zero byte", "take it out"));
        }
        let seen = |name: &str| {
            ENVIRONMENT.contains(&name)
                || name.starts_with("LC_")
                || settings.pass_environment.iter().any(|pass| pass == name)
        };
        let environment = environment.filter(|(name, _)| name.to_str().is_some_and(seen)).collect();
        Ok(Self {
            program: program.clone(),
            arguments: arguments.to_vec(),
            environment,
            timeout: settings.timeout,
            concurrency: settings.concurrency,
        })
    }

    fn command(&self, record: &Queued) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("SORTIE_EVENT_TYPE", record.kind.replace('\0', ""))
            .env("SORTIE_IDEMPOTENCY_KEY", record.key.replace('\0', ""))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0);
        command
    }
}

impl Carrier for Exec {
    fn concurrency(&self) -> usize {
        self.concurrency
    }

    async fn carry(&self, record: &Queued, urged: &CancellationToken) -> Outcome {
        let child = match self.command(record).spawn() {
            Ok(child) => child,
            Err(error) => {
                let reason = format!("{} cannot be started: {error}", clean(&self.program));
                return Outcome::Trouble { reason, after: None };
            }
        };
        crate::abort::at("sent");
        let mut group = Group(child);
        let input = group.0.stdin.take();
        let mut stderr = Tail::of(group.0.stderr.take());
        let feed = async {
            if let Some(mut input) = input {
                // A command need not read what it gets: a closed pipe is no failure.
                let _ = input.write_all(record.record.as_bytes()).await;
                let _ = input.write_all(b"\n").await;
            }
        };
        let run = async {
            tokio::select! {
                biased;
                ended = group.0.wait() => return ended,
                () = async { tokio::join!(feed, stderr.read()); } => {}
            }
            group.0.wait().await
        };
        let ended = tokio::select! {
            biased;
            ended = timeout(self.timeout, run) => ended.map_err(|_| {
                format!("did not end within {} s and was ended", self.timeout.as_secs_f64())
            }),
            () = urged.cancelled() => Err("was ended because the daemon stops".to_owned()),
        };
        let program = clean(&self.program);
        match ended {
            Err(how) => {
                group.end(&mut stderr).await;
                Outcome::Again { reason: format!("{program} {how}"), after: None }
            }
            Ok(Err(error)) => {
                Outcome::Again { reason: format!("{program} cannot be waited for: {error}"), after: None }
            }
            Ok(Ok(status)) if status.success() => Outcome::Taken,
            Ok(Ok(status)) => {
                let _ = timeout(AFTERWARDS, stderr.read()).await;
                judge(&program, status, &stderr.last_lines())
            }
        }
    }
}

/// What an exit other than 0 means.
fn judge(program: &str, status: ExitStatus, said: &str) -> Outcome {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    };
    let reason = if said.is_empty() { format!("{program} {how}") } else { format!("{program} {how}: {said}") };
    let outside = status.signal().is_some_and(|signal| FROM_OUTSIDE.iter().any(|other| other.as_raw() == signal));
    if status.code() == Some(TRY_AGAIN) || outside {
        Outcome::Again { reason, after: None }
    } else {
        Outcome::Refused { reason }
    }
}

/// A command and what it started, which end with this value unless the command has ended by itself.
struct Group(Child);

impl Group {
    /// Without an id it is reaped, and its number may be another's. Until then the number is its own.
    fn pid(&self) -> Option<Pid> {
        self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
    }

    /// Asks all of them to end, and sees to it that they do. The command is reaped only afterwards, so that the group's
    /// number stays its own. That the others have ended, too, shows on stderr, which they hold open.
    async fn end(&self, stderr: &mut Tail) {
        let Some(pid) = self.pid() else { return };
        let _ = kill_process_group(pid, Signal::TERM);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let leader = async {
            while matches!(waitid(WaitId::Pid(pid), options), Ok(None)) {
                sleep(LOOK_EVERY).await;
            }
        };
        let _ = timeout(TO_END, async { tokio::join!(leader, stderr.read()) }).await;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// The end of what a command writes on stderr. All of it is read, so that the command never waits for a reader.
struct Tail {
    stderr: Option<ChildStderr>,
    kept: Vec<u8>,
}

impl Tail {
    fn of(stderr: Option<ChildStderr>) -> Self {
        Self { stderr, kept: Vec::new() }
    }

    /// Reads to the end. What was read is kept when this is dropped before.
    async fn read(&mut self) {
        let mut piece = [0; 1 << 10];
        while let Some(stderr) = &mut self.stderr {
            match stderr.read(&mut piece).await {
                Ok(length) if length > 0 => {
                    self.kept.extend_from_slice(piece.get(..length).unwrap_or_default());
                    let beyond = self.kept.len().saturating_sub(KEPT);
                    self.kept.drain(..beyond);
                }
                _ => self.stderr = None,
            }
        }
    }

    /// The last lines, in one, cleaned.
    fn last_lines(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        let mut lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).rev().take(3).collect();
        lines.reverse();
        clean(&lines.join("; "))
    }
}

#[cfg(test)]
#[path = "exec_tests.rs"]
mod tests;
