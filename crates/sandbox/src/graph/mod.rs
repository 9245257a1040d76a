//! Microsoft Graph v1.0 security: incidents, alerts_v2, comments (contract section 4).

mod alerts;
mod incidents;
mod patch;
mod query;

use crate::call::Call;
use crate::entra::Caller;
use crate::record::Api;
use crate::reply::{Refusal, Reply};
use crate::state::State;

const READ_INCIDENTS: &[&str] = &["SecurityIncident.Read.All", "SecurityIncident.ReadWrite.All"];
const WRITE_INCIDENTS: &[&str] = &["SecurityIncident.ReadWrite.All"];
const READ_ALERTS: &[&str] = &["SecurityAlert.Read.All", "SecurityAlert.ReadWrite.All"];
const WRITE_ALERTS: &[&str] = &["SecurityAlert.ReadWrite.All"];

/// Answers a request to `/graph/...`.
pub(crate) fn answer(state: &State, call: &Call, caller: &Caller) -> Result<Reply, Refusal> {
    let path: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    let allow = |roles| caller.require(Api::Graph, roles);
    match (call.method.as_str(), &path[..]) {
        ("GET", ["v1.0", "security", "incidents"]) => {
            allow(READ_INCIDENTS)?;
            incidents::list(state, call, caller)
        }
        ("GET", ["v1.0", "security", "incidents", id]) => {
            allow(READ_INCIDENTS)?;
            incidents::get(state, call, caller, id)
        }
        ("PATCH", ["v1.0", "security", "incidents", id]) => {
            allow(WRITE_INCIDENTS)?;
            patch::incident(state, call, caller, id)
        }
        ("POST", ["v1.0", "security", "incidents", id, "comments"]) => {
            allow(WRITE_INCIDENTS)?;
            patch::comment_incident(state, call, caller, id)
        }
        ("GET", ["v1.0", "security", "alerts_v2"]) => {
            allow(READ_ALERTS)?;
            alerts::list(state, call)
        }
        ("GET", ["v1.0", "security", "alerts_v2", id]) => {
            allow(READ_ALERTS)?;
            alerts::get(state, call, id)
        }
        ("PATCH", ["v1.0", "security", "alerts_v2", id]) => {
            allow(WRITE_ALERTS)?;
            patch::alert(state, call, id)
        }
        ("POST", ["v1.0", "security", "alerts_v2", id, "comments"]) => {
            allow(WRITE_ALERTS)?;
            patch::comment_alert(state, call, caller, id)
        }
        (
            _,
            ["v1.0", "security", "incidents" | "alerts_v2"]
            | ["v1.0", "security", "incidents" | "alerts_v2", _]
            | ["v1.0", "security", "incidents" | "alerts_v2", _, "comments"],
        ) => {
            Err(Refusal::new(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target."))
        }
        (_, ["v1.0", ..]) => Err(Refusal::new(
            400,
            "BadRequest",
            format!("Resource not found for the segment '{}'.", path.last().unwrap_or(&"")),
        )),
        _ => Err(Refusal::new(400, "BadRequest", "Invalid version: only v1.0 is served.")),
    }
}

/// The incident number that a path segment names; anything else is not found.
fn incident_id(id: &str) -> Result<u64, Refusal> {
    let plain = !id.is_empty() && id.len() <= 18 && id.bytes().all(|byte| byte.is_ascii_digit());
    id.parse().ok().filter(|_| plain).ok_or_else(|| missing("Incident", id))
}

/// 404.
fn missing(what: &str, id: &str) -> Refusal {
    Refusal::new(404, "NotFound", format!("{what} {id} was not found."))
}

/// Whether members after `unknownFutureValue` are shown.
fn open(call: &Call) -> bool {
    call.prefers("include-unknown-enum-members")
}

fn context(what: &str) -> String {
    format!("https://graph.microsoft.com/v1.0/$metadata#security/{what}")
}

/// 400.
fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "BadRequest", message)
}
