//! `search-incidents`: lists the tenant's incidents that fulfil conditions, one record each.
//!
//! The server decides what it can; the rest is decided here, and the output says how many incidents were read for it. The
//! listing is read to its end or to the limit, in constant memory: an incident goes out as its page arrives.

mod input;
mod run;

#[cfg(test)]
mod tests;

pub use input::Input;
pub use run::Output;

use sortie_client::incidents::IncidentRecord;
use sortie_defender::endpoints;
use sortie_sdk::prelude::*;

/// The action.
#[derive(Debug)]
pub struct SearchIncidents;

impl Action for SearchIncidents {
    type Input = Input;
    type Output = Output;

    fn manifest() -> Manifest {
        Manifest::new("search-incidents", Kind::ENRICHMENT)
            .title("Search incidents")
            .description(
                "Lists the incidents that fulfil all given conditions, newest first as the service orders them, each once. \
                 Reads every page unless a limit is given.",
            )
            .surfaces(&[Api::GRAPH, Api::DEFENDER_XDR])
            .streams::<IncidentRecord>()
            .column("Id", "/id")
            .column("Severity", "/severity")
            .column("Status", "/status")
            .column("Updated", "/lastUpdateDateTime")
            .column("Assigned to", "/assignedTo")
            .column("Title", "/displayName")
            .call(&endpoints::graph::LIST_INCIDENTS)
            .call(&endpoints::graph::GET_INCIDENT)
            .call(&endpoints::defender_xdr::LIST_INCIDENTS)
            .call(&endpoints::defender_xdr::GET_INCIDENT)
            .example("One open incident", json!({"status": ["active"], "limit": 1}), json!({"returned": 1}))
            .example(
                "Grave incidents that a product raised, with their alerts",
                json!({"severity": ["high"], "serviceSource": ["microsoftDefenderForEndpoint"], "alerts": true, "limit": 1}),
                json!({"decidedHere": ["serviceSource"]}),
            )
    }

    fn check(input: &Input, now: Timestamp) -> Vec<Violation> {
        input.violations(now)
    }

    fn run(host: &Host<'_>, input: Input) -> Result<Output> {
        run::run(host, &input)
    }
}

sortie_sdk::export!(SearchIncidents);
