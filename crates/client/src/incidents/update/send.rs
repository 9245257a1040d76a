//! Sending a write whose answer may be lost.

use crate::incidents::Incident;
use sortie_sdk::{Answer, Error, Host, Outcome, Request, Result, kinds};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// The pauses, in seconds, before each look after a lost answer. How soon an incident shows a change is not documented.
const PAUSES: [u64; 2] = [0, 2];

/// The pauses where a comment was sent: five looks in a quarter of a minute, for there is no second try after them.
const PAUSES_AFTER_COMMENT: [u64; 5] = [0, 1, 2, 4, 8];

/// What a write carries, which decides whether it may be sent a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carries {
    /// Only properties: setting them twice is setting them once.
    Properties,
    /// A comment too: a service that is still at work, or that shows it late, would be given a second one.
    Comment,
}

/// What came of a write.
pub(super) enum Sent {
    /// It was done. With the answer's body, unless the answer was lost and the write was seen by looking.
    Done(Option<Vec<u8>>),
    /// A dry run.
    Planned,
}

/// Sends a write. When its answer is lost, looks whether it was done. What was not seen is sent once more if it
/// [carries](Carries) only properties; with a comment, it is never sent again.
///
/// # Errors
/// `unknown_outcome` when looking does not settle it, and for whatever goes wrong after it was sent again: that says nothing
/// about the first time. Else what the host reports.
pub(super) fn send_looking<'a, 'run: 'a>(
    host: &'a Host<'run>,
    what: &str,
    carries: Carries,
    request: impl Fn() -> Request<'a, 'run>,
    look: impl Fn() -> Result<bool>,
) -> Result<Sent> {
    let send = || -> Result<Sent> {
        match request().send()? {
            // A 2xx is the promise; without its body the incident is read again.
            Answer::Answered(response) => Ok(Sent::Done(response.body().ok().map(Cow::into_owned))),
            Answer::Planned => Ok(Sent::Planned),
        }
    };
    let seen = || {
        host.warn(format!("the answer to {what} was lost; looking showed that it was done"));
        Ok(Sent::Done(None))
    };
    let lost = match send() {
        Err(error) if error.outcome() == Outcome::InDoubt => error,
        sent => return sent,
    };
    let looked = Looked::after(host, carries, &look);
    if looked.seen {
        return seen();
    }
    if carries == Carries::Comment || looked.trouble.is_some() {
        return Err(unknown(lost, what, &looked.to_string()));
    }
    let again = match send() {
        Err(error) => error,
        sent => return sent,
    };
    let looked = Looked::after(host, carries, &look);
    if looked.seen {
        return seen();
    }
    Err(unknown(again, what, &format!("it was sent once more, without success, and {looked}")))
}

/// What looking at the incident showed.
struct Looked {
    seen: bool,
    /// Looks that showed an incident without the change.
    looks: u32,
    /// Why the last look showed nothing.
    trouble: Option<Error>,
}

impl Looked {
    /// Looks until the change is seen or the pauses are used up. A look that fails does not end it, unless the run is over.
    fn after(host: &Host<'_>, carries: Carries, look: impl Fn() -> Result<bool>) -> Self {
        let pauses: &[u64] = match carries {
            Carries::Properties => &PAUSES,
            Carries::Comment => &PAUSES_AFTER_COMMENT,
        };
        let mut looked = Self { seen: false, looks: 0, trouble: None };
        for pause in pauses {
            match host.sleep(Duration::from_secs(*pause)).and_then(|()| look()) {
                Ok(true) => return Self { seen: true, ..looked },
                Ok(false) => (looked.looks, looked.trouble) = (looked.looks + 1, None),
                Err(error) => {
                    let over = error.kind() == kinds::CANCELLED;
                    looked.trouble = Some(error);
                    if over {
                        break;
                    }
                }
            }
        }
        looked
    }
}

impl fmt::Display for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.looks {
            0 => f.write_str("the incident could not be looked at afterwards")?,
            1 => f.write_str("one look at the incident afterwards does not show it")?,
            looks => write!(f, "{looks} looks at the incident afterwards do not show it")?,
        }
        match &self.trouble {
            Some(error) => write!(f, " (the last look failed: {})", error.message()),
            None => Ok(()),
        }
    }
}

fn unknown(error: Error, what: &str, why: &str) -> Error {
    error
        .with_kind(kinds::UNKNOWN_OUTCOME)
        .context(&format!("the answer to {what} was lost; {why}"))
        .hint("it may have been done, or be done yet: look at the incident before running again")
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
