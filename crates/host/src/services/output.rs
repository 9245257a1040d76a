//! What an action hands back: records, one by one, and the reply.

use super::lock;
use crate::limits::Limits;
use crate::run::RecordSink;
use memchr::memchr2;
use serde::de::IgnoredAny;
use sortie_abi::host::Stop;
use std::borrow::Cow;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The records that went through and the reply so far.
pub(crate) struct Output {
    sink: Mutex<Box<dyn RecordSink>>,
    emitted: AtomicU64,
    /// The sink is being written to right now, which may take as long as its reader likes.
    writing: AtomicBool,
    failed: Mutex<Option<io::Error>>,
    reply: Mutex<Option<Vec<u8>>>,
    record_bytes: usize,
    reply_bytes: usize,
}

impl Output {
    pub(crate) fn new(sink: Box<dyn RecordSink>, limits: &Limits) -> Self {
        Self {
            sink: Mutex::new(sink),
            emitted: AtomicU64::new(0),
            writing: AtomicBool::new(false),
            failed: Mutex::new(None),
            reply: Mutex::new(Some(Vec::new())),
            record_bytes: limits.record_bytes,
            reply_bytes: limits.reply_bytes,
        }
    }

    /// Passes a record on as it is: one JSON value, in one line.
    pub(crate) fn emit(&self, record: &str) -> Result<(), Stop> {
        if record.len() > self.record_bytes {
            return Err(Stop::Refused);
        }
        if serde_json::from_str::<IgnoredAny>(record).is_err() {
            return Err(Stop::Failed);
        }
        let record = one_line(record);
        let mut sink = lock(&self.sink);
        if lock(&self.failed).is_some() {
            return Err(Stop::Cancelled);
        }
        self.writing.store(true, Ordering::Relaxed);
        let taken = sink.record(&record);
        self.writing.store(false, Ordering::Relaxed);
        match taken {
            Ok(()) => {
                self.emitted.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                *lock(&self.failed) = Some(error);
                Err(Stop::Cancelled)
            }
        }
    }

    /// Appends to the reply.
    pub(crate) fn reply(&self, chunk: &[u8]) -> Result<(), Stop> {
        let mut reply = lock(&self.reply);
        match reply.as_mut() {
            Some(bytes) if bytes.len().saturating_add(chunk.len()) <= self.reply_bytes => {
                bytes.extend_from_slice(chunk);
                Ok(())
            }
            _ => {
                *reply = None;
                Err(Stop::Refused)
            }
        }
    }

    /// How many records the sink took.
    pub(crate) fn emitted(&self) -> u64 {
        self.emitted.load(Ordering::Relaxed)
    }

    /// Whether the sink is being written to at this moment.
    pub(crate) fn is_writing(&self) -> bool {
        self.writing.load(Ordering::Relaxed)
    }

    /// Why the sink took no more records, if so.
    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        lock(&self.failed).take()
    }

    /// The reply; `None` if it was larger than the cap.
    pub(crate) fn take_reply(&self) -> Option<Vec<u8>> {
        lock(&self.reply).take()
    }
}

/// The record without line breaks. In valid JSON they stand between tokens only, so a blank does as well.
fn one_line(record: &str) -> Cow<'_, str> {
    if memchr2(b'\n', b'\r', record.as_bytes()).is_none() {
        return Cow::Borrowed(record);
    }
    Cow::Owned(record.replace(['\n', '\r'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<String>>>, usize);

    impl RecordSink for Kept {
        fn record(&mut self, json: &str) -> io::Result<()> {
            let mut kept = lock(&self.0);
            if self.1 > 0 && kept.len() == self.1 {
                return Err(io::Error::from(io::ErrorKind::BrokenPipe));
            }
            kept.push(json.to_owned());
            Ok(())
        }
    }

    fn output(sink: &Kept) -> Output {
        Output::new(Box::new(sink.clone()), &Limits { record_bytes: 64, reply_bytes: 16, ..Limits::default() })
    }

    #[test]
    fn a_record_is_one_json_value_in_one_line() {
        let sink = Kept::default();
        let output = output(&sink);
        output.emit("{\"a\": 1}").unwrap();
        output.emit("{\n \"a\":\r\n \"x\\ny\"}").unwrap();
        for bad in ["", "{", "{} {}", "{\"a\":\"\n\"}", "nul", "{a:1}"] {
            assert_eq!(output.emit(bad), Err(Stop::Failed), "{bad}");
        }
        assert_eq!(output.emit(&format!("{{\"a\":\"{}\"}}", "x".repeat(64))), Err(Stop::Refused));
        assert_eq!(*lock(&sink.0), ["{\"a\": 1}", "{  \"a\":   \"x\\ny\"}"]);
        assert_eq!(output.emitted(), 2);
    }

    #[test]
    fn a_sink_that_takes_no_more_ends_the_records() {
        let output = output(&Kept(Arc::default(), 1));
        output.emit("{}").unwrap();
        assert_eq!(output.emit("{}"), Err(Stop::Cancelled));
        assert_eq!(output.emit("{}"), Err(Stop::Cancelled));
        assert_eq!(output.emitted(), 1);
        assert_eq!(output.take_failure().unwrap().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_reply_beyond_the_cap_is_dropped_for_good() {
        let output = output(&Kept::default());
        output.reply(b"0123456789").unwrap();
        assert_eq!(output.reply(b"0123456789"), Err(Stop::Refused));
        assert_eq!(output.reply(b"0"), Err(Stop::Refused));
        assert_eq!(output.take_reply(), None);
    }
}
