//! What systemd is told: sd_notify(3), one datagram for each message. Nothing is sent where nobody listens.
//!
//! `READY=1` says that the store and the sinks are open and the loop runs; whether the tenant answers is for `/readyz` and
//! the status line, because a tenant that is down is no reason to be started again. `WATCHDOG=1` is sent at half the
//! interval that systemd asks for, while the loop moves.

use crate::status::{Snapshot, Status};
use sortie_host::CancellationToken;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often the status line is brought up to date where no watchdog asks more often.
const PACE: Duration = Duration::from_secs(10);

/// The longest status line, in characters.
const LONGEST: usize = 400;

/// The service manager's socket.
#[derive(Debug)]
pub struct Notifier {
    socket: UnixDatagram,
    address: SocketAddr,
    /// How long the manager waits for a sign of life, if it does.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// The service manager of this process: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`. `None` if there is none.
    pub fn from_environment() -> Option<Self> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let number = |name: &str| variable(name).and_then(|value| value.to_str()?.trim().parse::<u64>().ok());
        let for_us = variable("WATCHDOG_PID").is_none() || number("WATCHDOG_PID") == Some(std::process::id().into());
        let watchdog = number("WATCHDOG_USEC").filter(|length| *length > 0 && for_us).map(Duration::from_micros);
        match Self::to(&variable("NOTIFY_SOCKET")?, watchdog) {
            Ok(notifier) => Some(notifier),
            Err(error) => {
                tracing::warn!(%error, "the service manager's socket cannot be used");
                None
            }
        }
    }

    /// A socket by its path, or by its name in the abstract namespace after an `@`.
    fn to(name: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', abstracted @ ..] => SocketAddr::from_abstract_name(abstracted)?,
            _ => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not hold the loop up.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address, watchdog })
    }

    /// Tells how the daemon is doing, from the beginning of the loop until it has ended; `stop` is cancelled when it begins
    /// to end. Must be called on a tokio runtime with time.
    pub async fn run(self, status: Arc<Status>, stop: CancellationToken, ended: CancellationToken) {
        let mut said = line(&status.snapshot());
        self.send(&format!("READY=1\nSTATUS={said}"));
        let pace = self.watchdog.map_or(PACE, |length| (length / 2).min(PACE));
        let mut ticks = tokio::time::interval(pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopping = false;
        loop {
            tokio::select! {
                biased;
                () = ended.cancelled() => break,
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.send("STOPPING=1\nSTATUS=ending");
                }
                _ = ticks.tick() => self.tick(&status.snapshot(), &mut said, stopping),
            }
        }
        if !stopping {
            self.send("STOPPING=1\nSTATUS=ended");
        }
    }

    fn tick(&self, status: &Snapshot, said: &mut String, stopping: bool) {
        let mut message = String::new();
        if self.watchdog.is_some() && status.still().is_none() {
            message.push_str("WATCHDOG=1\n");
        }
        let line = line(status);
        if !stopping && line != *said {
            message.push_str("STATUS=");
            message.push_str(&line);
            *said = line;
        }
        if !message.is_empty() {
            self.send(message.trim_end());
        }
    }

    fn send(&self, message: &str) {
        if let Err(error) = self.socket.send_to_addr(message.as_bytes(), &self.address) {
            tracing::debug!(%error, "the service manager was not told");
        }
    }
}

/// How the daemon is doing, in one line. No number in it changes by the second, so that a quiet daemon says nothing.
fn line(status: &Snapshot) -> String {
    let mut line = match (&status.store_error, &status.error) {
        (Some(error), _) => format!("the store cannot be written: {error}"),
        (None, Some((kind, message))) => format!("failing: {kind}: {message}"),
        (None, None) if status.outbox_full => "reading pauses: the outbox is full".to_owned(),
        (None, None) if status.last_success.is_none() => "starting".to_owned(),
        (None, None) => "running".to_owned(),
    };
    let counts = &status.counts;
    line.push_str(&format!("; {} new, {} changed, {} waiting", counts.new, counts.changed, status.waiting.0));
    line.chars().map(|character| if character.is_control() { ' ' } else { character }).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Manager {
        socket: tokio::net::UnixDatagram,
        _folder: tempfile::TempDir,
        path: std::path::PathBuf,
    }

    impl Manager {
        fn listen() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("notify");
            Self { socket: tokio::net::UnixDatagram::bind(&path).unwrap(), _folder: folder, path }
        }

        async fn next(&self) -> String {
            let mut message = [0; 4_096];
            let received = tokio::time::timeout(Duration::from_secs(10), self.socket.recv(&mut message)).await;
            String::from_utf8(message[..received.unwrap().unwrap()].to_vec()).unwrap()
        }

        /// The next message that holds a text.
        async fn next_with(&self, text: &str) -> String {
            loop {
                let message = self.next().await;
                if message.contains(text) {
                    return message;
                }
            }
        }
    }

    #[tokio::test]
    async fn the_manager_hears_the_beginning_the_life_and_the_end() {
        let manager = Manager::listen();
        let notifier = Notifier::to(manager.path.as_os_str(), Some(Duration::from_millis(20))).unwrap();
        let (status, stop, ended) = (Arc::new(Status::new(30.0)), CancellationToken::new(), CancellationToken::new());
        let task = tokio::spawn(notifier.run(Arc::clone(&status), stop.clone(), ended.clone()));
        assert_eq!(manager.next().await, "READY=1\nSTATUS=starting; 0 new, 0 changed, 0 waiting");
        assert_eq!(manager.next().await, "WATCHDOG=1");
        status.change(|status| {
            status.last_success = Some((std::time::Instant::now(), jiff::Timestamp::now()));
            status.error = Some(("forbidden".into(), "no\nWATCHDOG=1".into()));
        });
        let message = manager.next_with("forbidden").await;
        assert_eq!(
            message.lines().last(),
            Some("STATUS=failing: forbidden: no WATCHDOG=1; 0 new, 0 changed, 0 waiting")
        );
        stop.cancel();
        assert_eq!(manager.next_with("STOPPING").await, "STOPPING=1\nSTATUS=ending");
        // Ending takes its time too, and is alive.
        assert_eq!(manager.next_with("WATCHDOG").await, "WATCHDOG=1");
        ended.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_loop_that_hangs_gives_no_sign_of_life() {
        let manager = Manager::listen();
        let notifier = Notifier::to(manager.path.as_os_str(), Some(Duration::from_secs(60))).unwrap();
        let status = Status::new(30.0);
        status.change(|status| status.patience = Duration::ZERO);
        let mut said = line(&status.snapshot());
        notifier.tick(&status.snapshot(), &mut said, false);
        status.change(|status| status.patience = Duration::from_secs(60));
        notifier.send("after");
        assert_eq!(manager.next().await, "after", "nothing came before");
        notifier.tick(&status.snapshot(), &mut said, false);
        assert_eq!(manager.next().await, "WATCHDOG=1");
    }

    #[tokio::test]
    async fn a_name_in_the_abstract_namespace_is_one() {
        let name = format!("sortie-notify-{}", std::process::id());
        let listening = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Notifier::to(OsStr::new(&format!("@{name}")), None).unwrap().send("READY=1");
        let mut message = [0; 16];
        assert_eq!(listening.recv(&mut message).unwrap(), 7);
    }

    #[test]
    fn a_manager_that_is_gone_is_no_trouble() {
        let notifier = Notifier::to(OsStr::new("/nonexistent/socket"), None).unwrap();
        notifier.send("READY=1");
    }
}
