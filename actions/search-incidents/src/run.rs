//! What the action does and gives.

use crate::Input;
use schemars::JsonSchema;
use serde::Serialize;
use sortie_client::incidents::{Incident, Item, Listing, list, surface};
use sortie_sdk::prelude::*;
use std::borrow::Cow;
use std::ops::ControlFlow;

/// The end of the list; the incidents themselves stand in `records`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// How many incidents were read from the service.
    pub read: u64,
    /// How many of them fulfil the conditions and were returned.
    pub returned: u64,
    /// Whether the limit ended the search, so that there may be more.
    pub limited: bool,
    /// The conditions that the service cannot filter by and that were decided after reading.
    pub decided_here: Vec<&'static str>,
    /// How many calls the search took.
    pub calls: u64,
}

pub(crate) fn run(host: &Host<'_>, input: &Input) -> Result<Output> {
    let surface = surface(host)?;
    let query = input.query(host.now());
    let decided_here = query.decided_here(surface);
    let limit = input.limit.unwrap_or(u64::MAX);
    let listing = Listing {
        surface,
        filter: query.filter(surface),
        alerts: input.alerts || query.needs_alerts(),
        // Only where every incident read is returned does the limit tell how many must be read.
        at_most: input.limit.filter(|_| decided_here.is_empty()),
    };
    let mut returned = 0;
    let totals = list(host, &listing, &mut |item, _| {
        let incident = match item {
            Item::Incident(incident) => incident,
            Item::Quarantined { incident, reason } => {
                let which = incident.as_ref().map_or("of unknown id".into(), name);
                let what = if incident.is_some() { "comes without its alerts" } else { "is missing" };
                host.warn(format!("incident {which} {what}, because it could not be read: {}", reason.message()));
                match incident {
                    Some(incident) => incident,
                    None => return Ok(ControlFlow::Continue(())),
                }
            }
        };
        if accepts(&query, surface, &incident, host) {
            match host.emit_json(&incident.to_graph(input.alerts)) {
                Ok(()) => returned += 1,
                Err(error) if error.kind() == kinds::RESPONSE_TOO_LARGE => {
                    host.warn(format!("incident {} matches and is missing: {}", name(&incident), error.message()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(if returned >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(Output { read: totals.read, returned, limited: totals.stopped, decided_here, calls: totals.calls })
}

/// The incident's id, for a warning.
fn name<'a>(incident: &Incident<'a>) -> Cow<'a, str> {
    incident.view().id_text().unwrap_or("of unknown id".into())
}

fn accepts(
    query: &sortie_client::incidents::Query,
    surface: sortie_defender::surface::Surface,
    incident: &Incident<'_>,
    host: &Host<'_>,
) -> bool {
    if !incident.is_object() {
        host.warn("the service listed something that is not an incident; it is left out");
        return false;
    }
    query.accepts(surface, incident)
}
