//! What a run came to: from the way its thread ended, and what it left behind, to a reply or a failure.

use crate::failure::Failure;
use crate::input;
use crate::run::End;
use crate::services::Invocation;
use serde_json::Value;
use serde_json::value::RawValue;
use sortie_abi::{Status, kinds};
use std::io;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// From how the thread ended and what it left behind to the outcome of the run.
pub(crate) fn judge(
    end: &End,
    invocation: &Invocation,
    input: &Value,
    cancel: &CancellationToken,
    given: Duration,
) -> Result<String, Failure> {
    let name = invocation.action.name();
    let broken = invocation.output.take_failure().map(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::new(kinds::CANCELLED, "nobody reads the records any more"),
        _ => Failure::new(kinds::FAILED, format!("the records cannot be written: {error}")),
    });
    let over = || {
        if cancel.is_cancelled() {
            Failure::new(kinds::CANCELLED, "the run was interrupted")
        } else {
            Failure::new(kinds::TIMEOUT, format!("the deadline of {} s passed", given.as_secs_f64()))
                .with_hint("give more time with --timeout, or ask for less")
        }
    };
    if let Some(why) = broken {
        // What the action still had to say about its writes counts as much as a reader that went away.
        let failed = matches!(end, End::Returned(Status::FAILED));
        let reply = failed.then(|| invocation.output.take_reply()).flatten();
        let told = reply.and_then(|reply| told(&reply).ok());
        return Err(match told {
            Some(told) => ended(why, told),
            None => why,
        });
    }
    let status = match end {
        End::Returned(status) => *status,
        End::Died => return Err(Failure::new(kinds::PANIC, format!("{name} crashed")).with_hint(AUTHOR)),
        End::Hung if cancel.is_cancelled() => return Err(over()),
        End::Hung if invocation.output.is_writing() => {
            return Err(over().with_hint("whoever reads the records is too slow"));
        }
        End::Hung => {
            let message = format!("{name} did not return after its deadline of {} s", given.as_secs_f64());
            return Err(Failure::new(kinds::HUNG, message).with_hint(AUTHOR));
        }
    };
    let bad = |problem: &str| Failure::new(kinds::BAD_REPLY, format!("{name} {problem}")).with_hint(AUTHOR);
    let Some(reply) = invocation.output.take_reply() else {
        return Err(bad(&format!("replied with more than {} bytes", invocation.limits.reply_bytes)));
    };
    match status {
        Status::OK => object(reply).map_err(|problem| bad(&format!("replied with {problem}"))),
        Status::CANCELLED => Err(over()),
        Status::FAILED => match told(&reply) {
            Err(_) => Err(bad("failed without an error that can be read")),
            Ok(failure) if failure.kind == kinds::CANCELLED => Err(ended(over(), failure)),
            Ok(failure) if failure.kind == kinds::INVALID_INPUT => Err(complete(failure, invocation, input)),
            Ok(failure) => Err(failure),
        },
        Status(other) => Err(bad(&format!("returned the status {other}, which means nothing here"))),
    }
}

/// The error with which an action replied.
fn told(reply: &[u8]) -> serde_json::Result<Failure> {
    serde_json::from_slice::<&RawValue>(reply).and_then(Failure::from_action)
}

/// A run that was ended from outside, and what the action said when it was. Why the run ended is for the host to say;
/// what was done by then, and where to look, only the action knows. That a write may have been done, or that some were,
/// is more important than why the run ended.
fn ended(why: Failure, told: Failure) -> Failure {
    if told.kind == kinds::UNKNOWN_OUTCOME || told.kind == kinds::PARTIAL {
        return told;
    }
    let mut failure = why;
    if told.hint.is_some() {
        failure.hint.clone_from(&told.hint);
    }
    failure.done.clone_from(&told.done);
    failure
}

/// The reply as text, if it is one JSON object in UTF-8.
fn object(reply: Vec<u8>) -> Result<String, &'static str> {
    let text = String::from_utf8(reply).map_err(|_| "bytes that are not UTF-8")?;
    if text.trim().is_empty() {
        return Err("nothing, wanted a JSON object");
    }
    match serde_json::from_str::<&RawValue>(&text) {
        Ok(value) if value.get().starts_with('{') => Ok(text),
        Ok(_) => Err("JSON that is no object"),
        Err(_) => Err("something that is not one JSON document"),
    }
}

/// An input that the action refused, with every other reason that its schema knows.
fn complete(mut failure: Failure, invocation: &Invocation, input: &Value) -> Failure {
    let own = std::mem::take(&mut failure.violations);
    let merged = invocation
        .action
        .input_schema()
        .and_then(|schema| {
            input::merge(&schema, input, own.clone())
                .map_err(|problem| Failure::new(kinds::INCOMPATIBLE_ACTION, problem))
        })
        .unwrap_or_else(|problem| {
            tracing::warn!(action = invocation.action.name(), "the input schema is not usable: {}", problem.message);
            own
        });
    if merged.is_empty() {
        return failure;
    }
    let hint = failure.hint.take();
    let complete = Failure::invalid_input(merged);
    match hint {
        Some(hint) => complete.with_hint(hint),
        None => complete,
    }
}

/// What to do about an action that misbehaves.
const AUTHOR: &str = "report it to the action's author, with the run id";
