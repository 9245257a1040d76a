//! `get-incident`: one incident, with its alerts and their evidence; a merged one leads to where it went.

#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sortie_client::incidents::{self, IncidentRecord};
use sortie_defender::endpoints;
use sortie_defender::ids::IncidentId;
use sortie_sdk::prelude::*;

/// Which incident.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    /// The incident's id: a whole number, as the portal and every list show it.
    pub incident_id: IncidentId,
    /// Whether the incident comes with its alerts and their evidence. Default: true.
    #[serde(default = "yes")]
    pub alerts: bool,
}

fn yes() -> bool {
    true
}

/// The incident.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The incident, with everything the service says about it.
    #[schemars(with = "IncidentRecord")]
    pub incident: Box<RawValue>,
    /// The ids that led here, because the incident that was asked for was merged into another one; the one asked for comes
    /// first. Empty when this is the one.
    pub redirected_from: Vec<IncidentId>,
}

/// The action.
#[derive(Debug)]
pub struct GetIncident;

impl Action for GetIncident {
    type Input = Input;
    type Output = Output;

    fn manifest() -> Manifest {
        Manifest::new("get-incident", Kind::ENRICHMENT)
            .title("Get incident")
            .description(
                "Reads one incident, with its alerts and their evidence. An incident that was merged into another one leads to \
                 that one, and the output says so.",
            )
            .surfaces(&[Api::GRAPH, Api::DEFENDER_XDR])
            .column("Id", "/incident/id")
            .column("Severity", "/incident/severity")
            .column("Status", "/incident/status")
            .column("Updated", "/incident/lastUpdateDateTime")
            .column("Assigned to", "/incident/assignedTo")
            .column("Title", "/incident/displayName")
            .call(&endpoints::graph::GET_INCIDENT)
            .call(&endpoints::defender_xdr::GET_INCIDENT)
            .example("An incident with its alerts", json!({"incidentId": "1001"}), json!({"incident": {"id": "1001"}}))
            .example("An incident alone", json!({"incidentId": "1001", "alerts": false}), json!({"incident": {"id": "1001"}}))
    }

    fn run(host: &Host<'_>, input: Input) -> Result<Output> {
        let got = incidents::get(host, incidents::surface(host)?, input.incident_id, input.alerts)?;
        Ok(Output { incident: got.incident, redirected_from: got.redirected_from })
    }
}

sortie_sdk::export!(GetIncident);
