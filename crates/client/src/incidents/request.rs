//! What every request about incidents has in common.

use jiff::Timestamp;
use sortie_auth::{Api, Call};
use sortie_defender::endpoints;
use sortie_defender::ids::IncidentId;
use sortie_defender::page::JsonError;
use sortie_defender::surface::Surface;
use sortie_sdk::{Error, Host, Request, Response, Result, kinds};

/// Without this header Graph shows members that were added later as `unknownFutureValue` (contract section 3).
const PREFER: &str = "include-unknown-enum-members";

/// The surface that the run's profile chose.
///
/// # Errors
/// Kind `configuration` when the profile names another API.
pub fn surface(host: &Host<'_>) -> Result<Surface> {
    let name = &host.context().surface;
    if *name == Api::GRAPH {
        return Ok(Surface::Graph);
    }
    if *name == Api::DEFENDER_XDR {
        return Ok(Surface::DefenderXdr);
    }
    Err(Error::new(kinds::CONFIGURATION, format!("incidents cannot be read from the API {name}"))
        .hint("set incidents_api to \"graph\" or \"defender-xdr\" in the profile"))
}

/// A request with the surface's headers.
pub(crate) fn begin<'a, 'run>(host: &'a Host<'run>, surface: Surface, call: &Call) -> Request<'a, 'run> {
    with_headers(host.request(call), surface)
}

pub(crate) fn with_headers<'a, 'run>(request: Request<'a, 'run>, surface: Surface) -> Request<'a, 'run> {
    match surface {
        Surface::Graph => request.header("Prefer", PREFER),
        Surface::DefenderXdr => request,
    }
}

/// A request for one incident.
pub(crate) fn one<'a, 'run>(host: &'a Host<'run>, surface: Surface, id: IncidentId, alerts: bool) -> Request<'a, 'run> {
    let request = begin(host, surface, get_call(surface)).path("incidentId", id);
    if alerts && surface == Surface::Graph { request.query("$expand", "alerts") } else { request }
}

pub(crate) fn list_call(surface: Surface) -> &'static Call {
    match surface {
        Surface::Graph => &endpoints::graph::LIST_INCIDENTS,
        Surface::DefenderXdr => &endpoints::defender_xdr::LIST_INCIDENTS,
    }
}

pub(crate) fn get_call(surface: Surface) -> &'static Call {
    match surface {
        Surface::Graph => &endpoints::graph::GET_INCIDENT,
        Surface::DefenderXdr => &endpoints::defender_xdr::GET_INCIDENT,
    }
}

/// The service's own clock when it answered.
pub fn server_time(response: &Response<'_, '_>) -> Option<Timestamp> {
    let date = response.header("date")?;
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()
}

/// An answer that is not the JSON it should be.
pub(crate) fn unreadable(error: JsonError) -> Error {
    Error::new(kinds::BAD_RESPONSE, format!("the service's answer is not usable: {error}"))
}
