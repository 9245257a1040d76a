//! Sending a write whose answer may be lost.

use crate::incidents::Incident;
use sortie_sdk::{Answer, Error, Host, Outcome, Request, Result, kinds};
use std::time::Duration;

/// How long the service may take to show a write that it did.
const SETTLING: Duration = Duration::from_secs(2);

/// What came of a write.
pub(super) enum Sent {
    /// It was done. With the answer's body, unless the answer was lost and the write was seen by looking.
    Done(Option<Vec<u8>>),
    /// A dry run.
    Planned,
}

/// Sends a write. When its answer is lost, looks whether it was done before sending it once more.
///
/// # Errors
/// `unknown_outcome` when looking does not settle it; else what the host reports.
pub(super) fn send_looking<'a, 'run: 'a>(
    host: &'a Host<'run>,
    what: &str,
    request: impl Fn() -> Request<'a, 'run>,
    look: impl Fn() -> Result<bool>,
) -> Result<Sent> {
    let mut sent_again = false;
    loop {
        let lost = match request().send() {
            Ok(Answer::Answered(response)) => return Ok(Sent::Done(Some(response.body()?.into_owned()))),
            Ok(Answer::Planned) => return Ok(Sent::Planned),
            Err(error) if error.outcome() == Outcome::InDoubt && error.kind() != kinds::CANCELLED => error,
            Err(error) => return Err(error),
        };
        match seen(host, &look) {
            Ok(true) => {
                host.warn(format!("the answer to {what} was lost; looking showed that it was done"));
                return Ok(Sent::Done(None));
            }
            Ok(false) if !sent_again => sent_again = true,
            Ok(false) => return Err(unknown(lost, what, "it was sent twice, and looking did not show it")),
            Err(problem) => {
                return Err(unknown(
                    lost,
                    what,
                    &format!("looking whether it was done failed too: {}", problem.message()),
                ));
            }
        }
    }
}

/// Looks at once, and again after a while.
fn seen(host: &Host<'_>, look: impl Fn() -> Result<bool>) -> Result<bool> {
    if look()? {
        return Ok(true);
    }
    host.sleep(SETTLING)?;
    look()
}

fn unknown(lost: Error, what: &str, why: &str) -> Error {
    lost.with_kind(kinds::UNKNOWN_OUTCOME)
        .context(&format!("the answer to {what} was lost, and {why}"))
        .hint("look at the incident before running again")
}

/// How many of an incident's comments have this text.
pub(super) fn comment_count(incident: &Incident<'_>, text: &str) -> usize {
    incident
        .view()
        .comments()
        .iter()
        .filter(|comment| comment.comment().is_some_and(|found| found.trim() == text))
        .count()
}
