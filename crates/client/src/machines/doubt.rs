//! After a request whose answer was lost: looking, never sending again.
//!
//! The list of machine actions is the only witness, and how soon it shows a new action is not documented. So it is
//! looked at several times. An action with the request's tag, whatever its status, is the one that was begun. No such
//! action proves nothing: the request may have been lost, or its action may not be listed yet.

use super::change::Begun;
use super::history::{self, Decision, History, Wanted};
use super::tag::Tag;
use sortie_defender::machine::Machine;
use sortie_sdk::{Error, Host, Result, kinds};
use std::time::Duration;

/// The pauses before each look after a lost answer: five looks in a quarter of a minute.
const PAUSES: [u64; 5] = [0, 1, 2, 4, 8];

/// The pauses before each look after a refusal that may mean a duplicate, which was there before.
const PAUSES_AFTER_REFUSAL: [u64; 2] = [0, 1];

/// Codes of refusals that surely do not mean a duplicate (contract sections 3 and 7.1). The code that does is not
/// documented, so every other one is looked into.
const OTHER_REFUSALS: [&str; 5] = [
    "InvalidRequestBody",
    "MissingRequiredParameter",
    "InvalidParameter",
    "OsPlatformNotSupported",
    "ClientVersionNotSupported",
];

/// Whether a refusal may mean that the same action is under way already.
pub(super) fn may_be_duplicate(error: &Error) -> bool {
    matches!(error.http_status(), Some(400 | 409)) && !error.code().is_some_and(|code| OTHER_REFUSALS.contains(&code))
}

/// After a refusal: the action that is under way already, or the refusal.
pub(super) fn after_refusal(
    host: &Host<'_>,
    machine: &Machine,
    wanted: &Wanted,
    tag: &Tag,
    refusal: Error,
) -> Result<Begun> {
    for pause in PAUSES_AFTER_REFUSAL {
        host.sleep(Duration::from_secs(pause))?;
        // The refusal is what the reader needs; a failing look adds nothing to it.
        let Ok(history) = History::read(host, &machine.id) else { break };
        match history::decide(&history, wanted, tag, host.now())? {
            // The request itself, carried out and then refused as its own duplicate: something between us sent it twice.
            Decision::InProgress(action) if tag.marks(action.requestor_comment.as_deref()) => {
                return Ok(Begun::Now(action));
            }
            Decision::InProgress(action) => return Ok(Begun::Earlier(action)),
            Decision::InEffect(action) => return Ok(Begun::InEffect(action)),
            Decision::Send(_) => {}
        }
    }
    Err(refusal)
}

/// After a lost answer: the action that was begun all the same.
///
/// # Errors
/// `unknown_outcome` when no look shows it.
pub(super) fn settle(host: &Host<'_>, machine: &Machine, wanted: &Wanted, tag: &Tag, lost: Error) -> Result<Begun> {
    let mut looks = 0;
    let mut newest: Option<History> = None;
    let mut trouble: Option<Error> = None;
    for pause in PAUSES {
        if let Err(error) = host.sleep(Duration::from_secs(pause)) {
            trouble = Some(error);
            break;
        }
        match History::read(host, &machine.id) {
            Ok(history) => {
                if let Some(action) = history.tagged(wanted, tag) {
                    host.warn(format!(
                        "The answer to the request to {} the machine was lost; machine action {} is the one it began.",
                        wanted.verb(),
                        action.id
                    ));
                    return Ok(Begun::Now(action.clone()));
                }
                (looks, newest, trouble) = (looks + 1, Some(history), None);
            }
            Err(error) => {
                let cancelled = error.kind() == kinds::CANCELLED;
                trouble = Some(error);
                if cancelled {
                    break;
                }
            }
        }
    }
    if let Some(history) = newest
        && let Ok(Decision::InProgress(action)) = history::decide(&history, wanted, tag, host.now())
    {
        host.warn(format!(
            "The answer to the request to {} the machine was lost and no machine action carries its tag; machine \
             action {}, asked for by somebody else, does the same.",
            wanted.verb(),
            action.id
        ));
        return Ok(Begun::Earlier(action));
    }
    Err(unknown(machine, wanted, tag, lost, looks, trouble))
}

/// Nobody knows whether the request was carried out.
pub(super) fn unknown(
    machine: &Machine,
    wanted: &Wanted,
    tag: &Tag,
    lost: Error,
    looks: u32,
    trouble: Option<Error>,
) -> Error {
    let seen = match looks {
        0 => "the machine's actions could not be read afterwards".to_owned(),
        1 => "one look at the machine's actions afterwards shows no trace of it".to_owned(),
        _ => format!("{looks} looks at the machine's actions afterwards show no trace of it"),
    };
    let trouble = trouble.map(|error| format!(" (the last look failed: {})", error.message())).unwrap_or_default();
    lost.with_kind(kinds::UNKNOWN_OUTCOME)
        .context(&format!(
            "the request to {} machine {} was sent and its answer was lost; {seen}{trouble}",
            wanted.verb(),
            machine.id
        ))
        .hint(format!(
            "Look in the action center of the Defender portal for a comment that ends with {}. If it is not there \
             after some minutes, run again with the same --request-id: an action that shows up late is then found \
             and not repeated.",
            tag.as_str()
        ))
}
