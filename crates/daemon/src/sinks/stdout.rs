//! Standard output: JSON Lines for programs, one short line a record for a person.
//!
//! A record is many kilobytes of JSON, in which nobody finds anything on a terminal. So a terminal gets a line that says what
//! became of what (`glance`), and everything else, a pipe or a file, gets the records.
//!
//! What the reader's pipe took is delivered; there is no other acknowledgement. A reader that is gone ends the daemon,
//! as it ends every program of a pipeline; what it did not take waits for the next start. A file takes whole lines; where
//! the last one of a crash is torn nevertheless, the next start ends it first, so that no record is glued to its rest.

use super::glance;
use super::stream::{Stream, Trouble};
use sortie_host::{Failure, kinds};
use sortie_store::Queued;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Seek, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;
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
    /// Whether a person reads it.
    person: bool,
    /// It is a file: nobody reads at the other end, and one write takes all.
    is_file: bool,
    /// The file's last line lacks its end.
    unended: bool,
    /// How much of the batch under way is out, in bytes of its records.
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
        let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
        let unended = is_file && is_unended(&file);
        Self { person: file.is_terminal(), is_file, unended, file, out: Arc::default() }
    }

    /// Writes all of some bytes; says after each piece how many there are out.
    fn put(&mut self, bytes: &[u8], mut out: usize, mut note: impl FnMut(usize)) -> Result<(), Trouble> {
        let most = if self.is_file { bytes.len() } else { PIECE };
        while let Some(piece) = bytes.get(out..bytes.len().min(out + most)).filter(|piece| !piece.is_empty()) {
            match self.file.write(piece) {
                Ok(taken) if taken > 0 => {
                    out += taken;
                    note(out);
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
        Ok(())
    }

    /// Shows the records one by one. One whose line broke off is shown again: a person is not confused by that.
    fn show(&mut self, batch: &[Queued]) -> Result<(), Trouble> {
        let progress = Arc::clone(&self.out);
        let mut end = 0;
        for record in batch {
            end += record.record.len() + 1;
            if end > progress.load(Ordering::Acquire) {
                self.put(glance::line(&record.record).as_bytes(), 0, |_| {})?;
                progress.store(end, Ordering::Release);
            }
        }
        Ok(())
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
        if self.person {
            self.show(batch)?;
        } else {
            if self.unended {
                self.put(b"\n", 0, |_| {})?;
                self.unended = false;
            }
            // After an error the batch goes on where it broke off: a reader sees no line twice and none torn.
            let progress = Arc::clone(&self.out);
            self.put(&lines(batch), progress.load(Ordering::Acquire), |out| progress.store(out, Ordering::Release))?;
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

/// Whether what is written to a file next would not begin a line. What cannot be read, for it is open for writing alone and
/// for this user not to be opened otherwise, is taken as unended: an empty line does less harm than two records in one.
fn is_unended(file: &File) -> bool {
    let append = rustix::fs::fcntl_getfl(file).is_ok_and(|flags| flags.contains(rustix::fs::OFlags::APPEND));
    let mut file = file;
    let at = if append { file.metadata().map(|metadata| metadata.len()) } else { file.stream_position() };
    let Some(last) = at.unwrap_or_default().checked_sub(1) else { return false };
    let mut byte = [0];
    let read = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .and_then(|readable| readable.read_exact_at(&mut byte, last));
    read.is_err() || byte != *b"\n"
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

    /// A terminal: its far end, where a person sits, and the sink on it.
    fn terminal() -> (File, Stdout) {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&far).unwrap();
        unlockpt(&far).unwrap();
        let name = ptsname(&far, Vec::new()).unwrap();
        let near = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        (far.into(), Stdout::over(near))
    }

    #[tokio::test]
    async fn a_person_gets_one_line_a_record() {
        let rig = Rig::new();
        rig.store.fill(3);
        let (far, sink) = terminal();
        rig.shared.finish.cancel();
        stream::run(rig.desk(), sink).await.unwrap();
        assert_eq!(rig.store.lock().delivered, [1, 2, 3]);
        let mut seen = io::BufReader::new(far);
        for number in 1..=3 {
            let mut line = String::new();
            io::BufRead::read_line(&mut seen, &mut line).unwrap();
            assert_eq!(line.trim_end(), format!("-  incident.created  item{number}"));
        }
    }

    #[test]
    fn what_was_shown_before_trouble_is_not_shown_again() {
        let rig = Rig::new();
        rig.store.fill(3);
        let batch: Vec<Queued> = rig.store.lock().waiting.values().cloned().collect();
        let (far, mut sink) = terminal();
        sink.out.store(batch[0].record.len() + 1, Ordering::Release);
        sink.write(&batch).unwrap();
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(far), &mut line).unwrap();
        assert_eq!(line.trim_end(), "-  incident.created  item2");
        assert_eq!(sink.out.load(Ordering::Acquire), 0);
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

    #[test]
    fn a_file_gets_whole_lines_behind_whatever_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let rig = Rig::new();
        rig.store.fill(1);
        let batch: Vec<Queued> = rig.store.lock().waiting.values().cloned().collect();
        let line = batch[0].record.clone() + "\n";
        for (before, gap) in [("", ""), ("{\"torn\":", "\n"), ("{}\n", "")] {
            for append in [true, false] {
                std::fs::write(&path, before).unwrap();
                // As a shell's `>>`, and as `>` behind what others wrote.
                let mut file = File::options().append(append).write(true).open(&path).unwrap();
                file.seek(io::SeekFrom::Start(if append { 0 } else { before.len() as u64 })).unwrap();
                let mut sink = Stdout::over(file);
                sink.write(&batch).unwrap();
                sink.write(&batch).unwrap();
                assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{before}{gap}{line}{line}"), "{append}");
            }
        }
    }
}
