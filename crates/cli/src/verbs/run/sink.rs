//! Where a run's records go: straight to the output, on the action's own thread.

use crate::output::{Printer, Query, Shape, Style};
use sortie_host::RecordSink;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Records are passed on in large pieces, but none waits longer than this for the next one.
const PATIENCE: Duration = Duration::from_millis(100);

/// The size of those pieces, in bytes.
const PIECE: usize = 64 * 1024;

/// The output, and what went wrong with it.
pub(crate) struct Output<W: Write> {
    pub(crate) printer: Printer<BufWriter<W>>,
    pub(crate) broken: Option<io::Error>,
    flushed: Instant,
}

/// The output of one run, shared between the action's thread and whoever prints the end.
pub(crate) struct Shared<W: Write = File>(Arc<Mutex<Output<W>>>);

impl<W: Write> Shared<W> {
    /// An output to which nothing has been written.
    pub(crate) fn new(out: W, shape: Shape, style: Style, query: Option<Arc<Query>>) -> Self {
        let printer = Printer::new(BufWriter::with_capacity(PIECE, out), shape, style, query);
        Self(Arc::new(Mutex::new(Output { printer, broken: None, flushed: Instant::now() })))
    }

    /// The output, to be finished. If a thread hangs it may hold the output: `None` then.
    pub(crate) fn take(&self, stuck: bool) -> Option<MutexGuard<'_, Output<W>>> {
        if stuck { self.0.try_lock().ok() } else { Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)) }
    }
}

/// Writes each record as it comes.
pub(crate) struct Sink<W: Write>(Arc<Mutex<Output<W>>>);

impl<W: Write> Sink<W> {
    /// A sink for an output.
    pub(crate) fn new(shared: &Shared<W>) -> Self {
        Self(Arc::clone(&shared.0))
    }
}

impl<W: Write + Send> RecordSink for Sink<W> {
    fn record(&mut self, json: &str) -> io::Result<()> {
        let mut output = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut result = output.printer.record(json);
        if result.is_ok() && output.flushed.elapsed() >= PATIENCE {
            result = output.printer.flush();
            output.flushed = Instant::now();
        }
        result.map_err(|error| {
            // The host is told the kind; what happened stays here.
            let told = io::Error::from(error.kind());
            if output.printer.query_failure().is_none() {
                output.broken = Some(error);
            }
            told
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Format, Look};

    /// A reader that goes away after some bytes.
    struct Leaving(usize);

    impl Write for Leaving {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.checked_sub(bytes.len()) {
                Some(left) => {
                    self.0 = left;
                    Ok(bytes.len())
                }
                None => Err(io::ErrorKind::BrokenPipe.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn style() -> Style {
        Style { format: Format::Jsonl, person: false, look: Look::default() }
    }

    #[test]
    fn a_reader_that_leaves_ends_the_records() {
        let shape = Shape { list: Some("records"), ..Shape::default() };
        let shared = Shared::new(Leaving(3 * PIECE), shape, style(), None);
        let mut sink = Sink::new(&shared);
        let record = format!("{{\"a\":\"{}\"}}", "x".repeat(1_000));
        let ended = (0..1_000).find_map(|_| sink.record(&record).err());
        assert_eq!(ended.map(|error| error.kind()), Some(io::ErrorKind::BrokenPipe));
        assert!(shared.take(false).unwrap().broken.is_some());
    }

    #[test]
    fn a_failing_query_is_not_a_broken_output() {
        let shape = Shape { list: Some("records"), ..Shape::default() };
        let query = Query::compile(".a.b").map_err(|failure| failure.message.clone()).unwrap();
        let shared = Shared::new(Vec::new(), shape, style(), Some(Arc::new(query)));
        assert!(Sink::new(&shared).record("{\"a\":1}").is_err());
        let output = shared.take(false).unwrap();
        assert!(output.printer.query_failure().is_some() && output.broken.is_none());
    }

    #[test]
    fn an_output_that_a_hanging_thread_holds_is_given_up() {
        let shared = Shared::new(Vec::new(), Shape::default(), style(), None);
        let held = shared.take(false);
        assert!(shared.take(true).is_none());
        drop(held);
        assert!(shared.take(true).is_some());
    }
}
