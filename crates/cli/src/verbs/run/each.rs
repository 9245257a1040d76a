//! `--each`: one input a line, some of them running at once, one answer a line in the order of the inputs.
//!
//! All runs share one host: its connections, limits and tokens. Lines are read by a thread of their own, and no
//! further ahead than there is room, so memory does not grow with the number of lines.

use super::document::{Source, object};
use super::{Job, conclude, query_failed, runtime, shape};
use crate::flags::merge;
use crate::output::{Ended, Format, Look, Printer, Query, Shape, Style, error_document};
use crate::report::{Ending, Stop, unusable, unwritable};
use crate::signals::Interruptions;
use crate::terminal;
use serde_json::{Map, Value};
use sortie_host::input::{self, MAX_BYTES};
use sortie_host::{CancellationToken, Finished, kinds};
use sortie_host::{Failure, Violation};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, LocalSet};

/// How many run at once when nothing says otherwise.
const JOBS: u8 = 4;

/// For each that runs, how many may wait behind it: finished ones for their turn to be printed, others for their
/// turn to run.
const WAITING: usize = 4;

/// One line of the input: its number, counted from 1, and what stands on it.
type Line = (u64, Result<Map<String, Value>, Failure>);

/// An answer, on one line, with the exit code of its run.
struct Answer {
    text: Vec<u8>,
    code: u8,
    stuck: bool,
}

/// Runs every line. `over` goes over each input.
pub(crate) fn run(mut job: Job<'_>, source: Source, over: Map<String, Value>) -> Ending {
    let reader: Box<dyn Read + Send> = match source {
        Source::None => {
            return Err(
                crate::report::usage("--each reads one input a line", "name a file with --input, or pipe").into()
            );
        }
        Source::Stdin => Box::new(io::stdin()),
        Source::File(_, file) => Box::new(file),
    };
    job.ask(&over)?;
    let jobs = usize::from(job.options.jobs.unwrap_or(JOBS));
    let query = job.query.take();
    let runtime = runtime()?;
    let (send, lines) = mpsc::channel(1);
    std::thread::Builder::new()
        .name("input".to_owned())
        .spawn(move || read_lines(BufReader::new(reader), |line| send.blocking_send(line).is_ok()))
        .map_err(|error| unusable("no thread for the input", &error))?;
    let ending = runtime.block_on(LocalSet::new().run_until(async {
        let mut interruptions = Interruptions::catch().map_err(|error| unusable("signals", &error))?;
        let cancel = CancellationToken::new();
        let each = Each { job, query, over, cancel: cancel.clone(), slots: Arc::new(Semaphore::new(jobs)) };
        let out = BufWriter::new(terminal::data_output()?);
        interruptions.guard(&cancel, each.all(lines, out, jobs.saturating_mul(1 + WAITING))).await
    }));
    // A thread that hangs, or one that still reads, is not waited for.
    runtime.shutdown_background();
    ending
}

struct Each<'a> {
    job: Job<'a>,
    query: Option<Arc<Query>>,
    over: Map<String, Value>,
    cancel: CancellationToken,
    slots: Arc<Semaphore>,
}

impl Each<'_> {
    /// Starts runs as lines come and prints answers as their turn comes. Returns the first failure's exit code.
    async fn all(&self, mut lines: mpsc::Receiver<Line>, mut out: BufWriter<File>, room: usize) -> Ending {
        let mut turns: VecDeque<JoinHandle<Answer>> = VecDeque::new();
        let mut more = true;
        let mut first_failure = None;
        while more || !turns.is_empty() {
            tokio::select! {
                biased;
                answer = next(&mut turns), if !turns.is_empty() => {
                    let answer = answer?;
                    if answer.code != 0 {
                        first_failure.get_or_insert(answer.code);
                    }
                    // What is ready together is written together, but nothing waits for a line that is still to come.
                    let flush = !turns.front().is_some_and(JoinHandle::is_finished);
                    let written = out.write_all(&answer.text).and_then(|()| if flush { out.flush() } else { Ok(()) });
                    if let Err(error) = written {
                        let code = self.unread(answer, turns).await?;
                        return Ok(first_failure.or(code).unwrap_or(unwritable(&error)));
                    }
                    if answer.stuck {
                        // A thread that hangs cannot be ended; the process has to, and says so by its exit code.
                        self.cancel.cancel();
                        more = false;
                    }
                }
                () = self.cancel.cancelled(), if more => more = false,
                line = lines.recv(), if more && turns.len() < room => match line {
                    Some((number, input)) => turns.push_back(self.start(number, input)),
                    None => more = false,
                },
            }
        }
        if self.cancel.is_cancelled() {
            first_failure.get_or_insert(kinds::exit_code(kinds::CANCELLED));
        }
        Ok(first_failure.unwrap_or(0))
    }

    /// Nobody reads on: stops what has not begun, waits for what has, and tells of every write that was or may have
    /// been done, for what is done must not be done unheard. Returns the first failure's exit code.
    async fn unread(&self, answer: Answer, mut turns: VecDeque<JoinHandle<Answer>>) -> Result<Option<u8>, Stop> {
        self.cancel.cancel();
        let cancelled = kinds::exit_code(kinds::CANCELLED);
        let mut first_failure = None;
        let mut next_answer = Some(answer);
        while let Some(answer) = next_answer {
            if answer.code != cancelled && self.job.action.manifest().effect.writes() {
                terminal::tell(String::from_utf8_lossy(&answer.text).trim_end());
            }
            if answer.code != 0 && answer.code != cancelled {
                first_failure.get_or_insert(answer.code);
            }
            next_answer = if turns.is_empty() || answer.stuck { None } else { Some(next(&mut turns).await?) };
        }
        Ok(first_failure)
    }

    fn start(&self, number: u64, input: Result<Map<String, Value>, Failure>) -> JoinHandle<Answer> {
        let prepared = input.map(|mut input| {
            merge(&mut input, self.over.clone());
            let records = Arc::new(Mutex::new(Vec::new()));
            let mut run = self.job.run_of(input, &self.cancel);
            if !self.job.options.dry_run {
                run.records = Box::new(Arc::clone(&records));
            }
            run.request_id = run.request_id.map(|id| format!("{id}-{number}"));
            (run, records)
        });
        let shape = shape(self.job.action.manifest(), self.job.options.dry_run);
        let query = self.query.clone();
        let host = Arc::clone(&self.job.session.host);
        let slots = Arc::clone(&self.slots);
        tokio::task::spawn_local(async move {
            let (run, records) = match prepared {
                Ok(prepared) => prepared,
                Err(failure) => return refused(&failure, None),
            };
            let _slot = slots.acquire_owned().await.ok();
            let finished = host.run(run).await;
            let records = std::mem::take(&mut *records.lock().unwrap_or_else(PoisonError::into_inner));
            if query.is_none() {
                return answer(&records, &finished, shape, query);
            }
            // A query may take as long as it likes, and an interruption must be heard meanwhile.
            let answered = tokio::task::spawn_blocking(move || answer(&records, &finished, shape, query));
            answered.await.unwrap_or_else(|error| {
                refused(&Failure::new(kinds::INTERNAL, format!("a query was lost: {error}")), None)
            })
        })
    }
}

/// The answer whose turn it is. Giving up the wait loses nothing.
async fn next(turns: &mut VecDeque<JoinHandle<Answer>>) -> Result<Answer, Stop> {
    let Some(turn) = turns.front_mut() else { return std::future::pending().await };
    let answer = turn.await;
    turns.pop_front();
    answer.map_err(|error| Failure::new(kinds::INTERNAL, format!("a run was lost: {error}")).into())
}

/// The answer to an input that was not run, or whose result cannot be shown.
fn refused(failure: &Failure, run_id: Option<&str>) -> Answer {
    Answer {
        text: format!("{}\n", error_document(failure, run_id)).into_bytes(),
        code: failure.exit_code(),
        stuck: false,
    }
}

/// The answer of one run: its document or, with a query, what the query makes of it.
fn answer(records: &[String], finished: &Finished, shape: Shape, query: Option<Arc<Query>>) -> Answer {
    let mut text = Vec::new();
    let style = Style { format: Format::Json, person: false, look: Look::default() };
    let mut printer = Printer::new(&mut text, shape, style, query);
    let printed = records.iter().try_for_each(|record| printer.record(record)).map_err(Ended::from);
    let failure = match printed.and_then(|()| conclude(&mut printer, finished)) {
        Ok(()) => {
            let code = finished.outcome.as_ref().err().map_or(0, Failure::exit_code);
            return Answer { text, code, stuck: finished.stuck };
        }
        Err(Ended::Query(reason)) => query_failed(&reason, &finished.run_id),
        Err(Ended::Output(error)) => Failure::new(kinds::INTERNAL, format!("the result cannot be shown: {error}")),
    };
    Answer { stuck: finished.stuck, ..refused(&failure, Some(&finished.run_id)) }
}

/// Reads lines until the end or until nobody wants more. Blank ones are skipped, but counted.
fn read_lines(mut from: impl BufRead, mut give: impl FnMut(Line) -> bool) {
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        // One more than an input may have, and the line feed.
        let read = from.by_ref().take(MAX_BYTES as u64 + 2).read_until(b'\n', &mut bytes);
        let input = match read {
            Ok(0) => return,
            Ok(_) if bytes.last() != Some(&b'\n') && bytes.len() > MAX_BYTES => {
                let rest = skip_line(&mut from);
                let refused =
                    Violation::new("", format!("the line is longer than the {MAX_BYTES} bytes that are taken"));
                if rest.is_err() {
                    give((number, Err(Failure::invalid_input(vec![refused]))));
                    return;
                }
                Err(Failure::invalid_input(vec![refused]))
            }
            Ok(_) if bytes.iter().all(u8::is_ascii_whitespace) => continue,
            Ok(_) => input::parse(&bytes).and_then(object),
            Err(error) => {
                give((number, Err(unusable("the input cannot be read", &error))));
                return;
            }
        };
        if !give((number, input)) {
            return;
        }
    }
}

/// Passes over the rest of a line without keeping it.
fn skip_line(from: &mut impl BufRead) -> io::Result<()> {
    loop {
        let available = from.fill_buf()?;
        let (used, done) = match available.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (available.len(), available.is_empty()),
        };
        from.consume(used);
        if done {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<(u64, Result<Value, u8>)> {
        let mut found = Vec::new();
        read_lines(BufReader::with_capacity(16, text), |(number, input)| {
            found.push((number, input.map(Value::Object).map_err(|failure| failure.exit_code())));
            true
        });
        found
    }

    #[test]
    fn each_line_is_one_input_and_blank_ones_only_count() {
        let found = lines(b"{\"a\":1}\n\n  \r\n{\"a\":2}\r\nnonsense\n{\"a\":3}");
        assert_eq!(
            found,
            [
                (1, Ok(serde_json::json!({"a": 1}))),
                (4, Ok(serde_json::json!({"a": 2}))),
                (5, Err(65)),
                (6, Ok(serde_json::json!({"a": 3}))),
            ]
        );
    }

    #[test]
    fn a_line_without_end_is_refused_and_the_next_one_read() {
        let mut text = b"{\"a\":\"".to_vec();
        text.resize(3 * MAX_BYTES, b'x');
        text.extend_from_slice(b"\"}\n{\"b\":1}\n");
        assert_eq!(lines(&text), [(1, Err(65)), (2, Ok(serde_json::json!({"b": 1})))]);
    }

    #[test]
    fn nobody_reads_further_than_wanted() {
        let mut count = 0;
        read_lines(&b"{}\n{}\n{}\n"[..], |_| {
            count += 1;
            false
        });
        assert_eq!(count, 1);
    }
}
