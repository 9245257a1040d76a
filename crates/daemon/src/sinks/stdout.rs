//! JSON Lines on standard output.
//!
//! What the reader's pipe took is delivered; there is no other acknowledgement. A reader that is gone ends the daemon,
//! as it ends every program of a pipeline; what it did not take waits for the next start.

use super::stream::{Stream, Trouble};
use sortie_host::{Failure, kinds};
use sortie_store::Queued;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The largest batch. Small, because what is in it is repeated after a crash.
const RECORDS: usize = 200;
const BYTES: usize = 1 << 20;

/// The largest single write. A pipe takes so much wholly or not at all (`PIPE_BUF`), so it is always known what is out.
const PIECE: usize = 4 << 10;

/// How long a descriptor that somebody else made non-blocking is left alone when it is full.
const FULL: Duration = Duration::from_millis(20);

/// Standard output, or what a test gives for it.
pub(super) struct Stdout {
    file: File,
    /// How much of the batch under way is out.
    out: Arc<AtomicUsize>,
}

impl Stdout {
    pub(super) fn open() -> Result<Self, Failure> {
        // A descriptor of its own: without a buffer, and without a lock that a stuck write would hold.
        let file = io::stdout().as_fd().try_clone_to_owned().map_err(|error| {
            Failure::configuration(format!("standard output cannot be used: {error}"), "open it, or name another sink")
        })?;
        Ok(Self::over(file.into()))
    }

    pub(super) fn over(file: File) -> Self {
        Self { file, out: Arc::default() }
    }
}

impl Stream for Stdout {
    fn limits(&self) -> (usize, usize) {
        (RECORDS, BYTES)
    }

    fn progress(&self) -> Option<Arc<AtomicUsize>> {
        Some(Arc::clone(&self.out))
    }

    fn write(&mut self, batch: &[Queued]) -> Result<Option<String>, Trouble> {
        let lines = lines(batch);
        // After an error the batch goes on where it broke off: a reader sees no line twice and none torn.
        let mut out = self.out.load(Ordering::Acquire);
        while let Some(piece) = lines.get(out..lines.len().min(out + PIECE)).filter(|piece| !piece.is_empty()) {
            match self.file.write(piece) {
                Ok(taken) if taken > 0 => {
                    out += taken;
                    self.out.store(out, Ordering::Release);
                }
                Ok(_) => return Err(Trouble::Passing("standard output takes nothing".to_owned())),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => std::thread::sleep(FULL),
                    ErrorKind::BrokenPipe => {
                        return Err(Trouble::Fatal(
                            Failure::new(kinds::SINK_UNAVAILABLE, "nobody reads standard output any more")
                                .with_hint("what was not read is delivered by the next start"),
                        ));
                    }
                    _ => return Err(Trouble::Passing(format!("standard output cannot be written: {error}"))),
                },
            }
        }
        crate::abort::at("sent");
        let flushed = self.file.flush();
        if let Err(error) = flushed {
            return Err(Trouble::Passing(format!("standard output cannot be written: {error}")));
        }
        crate::abort::at("acknowledged");
        self.out.store(0, Ordering::Release);
        Ok(None)
    }
}

/// The records, one a line.
pub(super) fn lines(batch: &[Queued]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(batch.iter().map(|record| record.record.len() + 1).sum());
    for record in batch {
        lines.extend_from_slice(record.record.as_bytes());
        lines.push(b'\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::desk::Ended;
    use super::super::stream;
    use super::super::testing::Rig;
    use super::*;
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::time::Instant;

    fn pipe() -> (File, Stdout) {
        let (reader, writer) = io::pipe().unwrap();
        (OwnedFd::from(reader).into(), Stdout::over(OwnedFd::from(writer).into()))
    }

    #[tokio::test]
    async fn records_come_out_one_a_line() {
        let rig = Rig::new();
        rig.store.fill(3);
        let wanted: Vec<String> = rig.store.lock().waiting.values().map(|record| record.record.clone()).collect();
        let (mut reader, sink) = pipe();
        rig.shared.finish.cancel();
        stream::run(rig.desk(), sink).await.unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, wanted.join("\n") + "\n");
        assert_eq!(rig.store.lock().delivered, [1, 2, 3]);
    }

    #[tokio::test]
    async fn a_reader_that_is_gone_ends_the_daemon_and_loses_nothing() {
        let rig = Rig::new();
        rig.store.fill(3);
        let (reader, sink) = pipe();
        drop(reader);
        match stream::run(rig.desk(), sink).await {
            Err(Ended::Failed(failure)) => assert_eq!(failure.kind, kinds::SINK_UNAVAILABLE),
            other => panic!("{other:?}"),
        }
        assert_eq!(rig.store.lock().waiting.len(), 3);
    }

    #[tokio::test]
    async fn a_reader_that_sleeps_does_not_hold_the_end() {
        let rig = Rig::new();
        // More than a pipe holds.
        rig.store.fill(2_000);
        let (mut reader, sink) = pipe();
        let courier = tokio::spawn(stream::run(rig.desk(), sink));
        let out = {
            let rig = &rig;
            async move {
                loop {
                    let before = rig.store.lock().delivered.len();
                    tokio::time::sleep(Duration::from_millis(150)).await;
                    let now = rig.store.lock().delivered.len();
                    if now > 0 && now == before {
                        return now;
                    }
                }
            }
        }
        .await;
        let began = Instant::now();
        rig.shared.stop.cancel();
        let _ = courier.await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        // What the pipe took wholly is delivered, also of the batch that hung.
        let delivered = rig.store.lock().delivered.len();
        assert!(delivered > out, "{delivered} of {out}");
        let mut taken = vec![0; 1 << 20];
        let length = reader.read(&mut taken).unwrap();
        let lines = taken[..length].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(lines, delivered);
    }
}
