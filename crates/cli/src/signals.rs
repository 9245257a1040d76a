//! Interruptions: the first one cancels, the second one ends the process at once.

use sortie_host::CancellationToken;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code of a process that was interrupted.
pub(crate) const INTERRUPTED: u8 = 130;

/// Ctrl-C, SIGTERM and the end of the terminal, caught from here on.
pub(crate) struct Interruptions {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Interruptions {
    /// Begins to catch. Needs a runtime.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }

    /// Does some work to its end; an interruption cancels it, a second one ends the process.
    pub(crate) async fn guard<T>(&mut self, cancel: &CancellationToken, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                result = &mut work => return result,
                () = self.next() => {
                    if cancel.is_cancelled() {
                        std::process::exit(INTERRUPTED.into());
                    }
                    cancel.cancel();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interruption_cancels_and_the_work_still_ends_in_order() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ended = runtime.block_on(async {
            let mut interruptions = Interruptions::catch().unwrap();
            let cancel = CancellationToken::new();
            let watched = cancel.clone();
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::HUP).unwrap();
            interruptions
                .guard(&cancel, async move {
                    watched.cancelled().await;
                    "in order"
                })
                .await
        });
        assert_eq!(ended, "in order");
    }
}
