//! Reading a machine action, and waiting until it has ended.

use super::history::{self, status};
use super::shown;
use sortie_defender::endpoints::defender_endpoint::GET_MACHINE_ACTION;
use sortie_defender::enums::Enumeration;
use sortie_defender::ids::MachineActionId;
use sortie_defender::machine::MachineAction;
use sortie_sdk::{Error, Host, Response, Result, Span, kinds};
use std::time::Duration;

/// The pause before the first look; each further one is half as long again.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How long after the beginning a 404 is taken for an action that the service has not yet published.
const UNPUBLISHED: Duration = Duration::from_secs(30);

/// Reads a machine action.
///
/// # Errors
/// `not_found` when there is none of that id; else what the host reports.
pub fn get(host: &Host<'_>, id: &MachineActionId) -> Result<MachineAction> {
    let answer =
        host.request(&GET_MACHINE_ACTION).path("machineActionId", id).send().map_err(|error| match error.kind() {
            kinds::NOT_FOUND => error
                .context(&format!("no machine action has the id {id}"))
                .hint("Check the id and the tenant. Machine actions are kept for the service's retention period only."),
            _ => error.context("reading the machine action"),
        })?;
    let action = action_in(&answer.response()?)?;
    if action.id == *id {
        Ok(action)
    } else {
        Err(Error::new(kinds::BAD_RESPONSE, format!("asked for machine action {id}, the service sent {}", action.id)))
    }
}

/// The machine action that an answer holds.
pub(super) fn action_in(response: &Response<'_, '_>) -> Result<MachineAction> {
    let body = response.body()?;
    std::str::from_utf8(&body)
        .map_err(|problem| problem.to_string())
        .and_then(|text| history::read(text).map_err(|problem| problem.to_string()))
        .map_err(|problem| Error::new(kinds::BAD_RESPONSE, format!("the service's answer: {problem}")))
}

/// Waits until an action has ended, whatever its end. Looks after 2 seconds, then ever more rarely, at least every 15;
/// a look that fails for a passing reason is made again at the next turn.
///
/// # Errors
/// `timeout` when the action has not ended after `wait`; what the host reports when a look fails for good.
pub fn until_final(host: &Host<'_>, action: MachineAction, wait: Span) -> Result<MachineAction> {
    let wait = wait.duration();
    let start = host.now();
    let passed = || Duration::try_from(host.now().duration_since(start)).unwrap_or_default();
    let mut action = action;
    let mut pause = FIRST_PAUSE;
    let mut trouble: Option<Error> = None;
    while !action.status.is_final() {
        let waited = passed();
        let Some(left) = wait.checked_sub(waited).filter(|left| !left.is_zero()) else {
            return Err(not_ended(&action, wait, trouble));
        };
        host.progress(&format!("{}, {} s of {} s waited", stands(&action), waited.as_secs(), wait.as_secs()));
        host.sleep(pause.min(left))?;
        pause = (pause + pause / 2).min(LONGEST_PAUSE);
        match get(host, &action.id) {
            Ok(newer) => (action, trouble) = (newer, None),
            Err(error) if passing(&error, passed()) => trouble = Some(error),
            Err(error) => return Err(error),
        }
    }
    host.progress(&stands(&action));
    Ok(action)
}

/// Whether the next look may succeed where this one failed.
fn passing(error: &Error, waited: Duration) -> bool {
    let retryable = kinds::find(error.kind()).is_some_and(|kind| kind.retryable);
    retryable || (error.http_status() == Some(404) && waited < UNPUBLISHED)
}

fn not_ended(action: &MachineAction, wait: Duration, trouble: Option<Error>) -> Error {
    let trouble = trouble.map(|error| format!("; the last look failed: {}", error.message())).unwrap_or_default();
    Error::new(kinds::TIMEOUT, format!("{} after {} s{trouble}", stands(action), wait.as_secs())).hint(format!(
        "The service goes on with it. Ask again with get-machine-action, machineActionId {} and a longer wait.",
        action.id
    ))
}

/// How an action stands, in words.
fn stands(action: &MachineAction) -> String {
    let of = action.computer_dns_name.as_deref().map(|name| format!(" of {}", shown(name))).unwrap_or_default();
    format!("{}{of}, machine action {}, is {}", shown(action.kind.name()), action.id, status(action))
}
