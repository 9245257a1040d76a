//! The end of a run: what is printed, what a person is told besides, and the exit code.

use super::sink::Shared;
use super::{PLAN, RECORDS};
use crate::output::{Ended, Format, Printer};
use crate::report::{self, unwritable};
use crate::terminal::{self, Color};
use serde_json::Value;
use sortie_host::{Failure, Finished, kinds};
use std::io::{self, IsTerminal};

/// How the end of a run is printed.
#[derive(Clone, Copy)]
pub(super) struct Telling {
    pub(super) format: Format,
    pub(super) list: Option<&'static str>,
    pub(super) queried: bool,
    pub(super) color: Color,
}

/// Prints how a run ended, and returns its exit code.
pub(super) fn finish(shared: &Shared, mut finished: Finished, telling: Telling) -> u8 {
    // A thread that hangs in the middle of printing keeps the output for itself.
    let Some(mut output) = shared.take(finished.stuck) else {
        return finished.outcome.err().map_or(1, |failure| failure.exit_code());
    };
    if let Some(error) = output.broken.take() {
        let code = unwritable(&error);
        // A write that may have been done, or was, counts more than a reader that went away.
        return match &finished.outcome {
            Err(failure) if failure.kind == kinds::UNKNOWN_OUTCOME || failure.kind == kinds::PARTIAL => {
                report::tell(failure, Some(&finished.run_id), telling.color);
                failure.exit_code()
            }
            _ => code,
        };
    }
    if let Some(reason) = output.printer.query_failure() {
        finished.outcome = Err(query_failed(reason, &finished.run_id));
    }
    let failure = match (conclude(&mut output.printer, &finished), &finished.outcome) {
        (Err(Ended::Output(error)), outcome) => {
            // The run's own failure counts more than a reader that went away.
            let code = unwritable(&error);
            return outcome.as_ref().err().map_or(code, Failure::exit_code);
        }
        (Err(Ended::Query(reason)), _) => {
            let failure = query_failed(&reason, &finished.run_id);
            if let Err(error) = output.printer.failure(&failure, Some(&finished.run_id)) {
                return unwritable(&error);
            }
            failure
        }
        (Ok(()), Err(failure)) => failure.clone(),
        (Ok(()), Ok(reply)) => {
            remark(&finished, reply, telling);
            return 0;
        }
    };
    if telling.format == Format::Table {
        report::tell(&failure, Some(&finished.run_id), telling.color);
    }
    failure.exit_code()
}

/// What a person should know and the output does not show.
fn remark(finished: &Finished, reply: &str, telling: Telling) {
    let lines = telling.format == Format::Jsonl && telling.list.is_some();
    if telling.format == Format::Table || lines || telling.queried {
        report::warn(&warnings(reply), telling.color);
    }
    if telling.format != Format::Table || telling.queried || !io::stderr().is_terminal() {
        return;
    }
    match telling.list {
        Some(PLAN) if finished.plan.is_empty() => terminal::tell("nothing would be sent"),
        Some(RECORDS) if finished.emitted == 1 => terminal::tell("1 record"),
        Some(RECORDS) => terminal::tell(&format!("{} records", finished.emitted)),
        _ => {}
    }
}

/// Ends a run's output: the plan if there is one, then the reply's members or the error.
pub(super) fn conclude<W: io::Write>(printer: &mut Printer<W>, finished: &Finished) -> Result<(), Ended> {
    for planned in &finished.plan {
        let planned = serde_json::to_string(planned).map_err(io::Error::other)?;
        printer.record(&planned)?;
    }
    match &finished.outcome {
        Ok(reply) => printer.success(reply),
        Err(failure) => Ok(printer.failure(failure, Some(&finished.run_id))?),
    }
}

pub(super) fn query_failed(reason: &str, run_id: &str) -> Failure {
    let mut failure = Failure::new(kinds::FAILED, format!("the query cannot be applied to the result: {reason}"))
        .with_hint("the action itself did its work; run a reading action again without --query to see the result");
    failure.done.push(format!("the action ran (run id {run_id})"));
    failure
}

/// The warnings in a reply.
fn warnings(reply: &str) -> Vec<String> {
    let reply: Value = serde_json::from_str(reply).unwrap_or_default();
    let warnings = reply.get("warnings").and_then(Value::as_array);
    warnings.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_found_in_a_reply() {
        assert_eq!(warnings(r#"{"warnings":["a",1,"b"]}"#), ["a", "b"]);
        assert!(warnings("nonsense").is_empty());
    }
}
