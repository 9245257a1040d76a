//! `incidents-daemon`: one bounded step of watching the tenant's incidents.
//!
//! # The model
//!
//! A step takes a cursor and gives records and the next cursor; the loop around it keeps both and decides what is new. In mode
//! `poll` a step reads the incidents that were last updated since the watermark, less an overlap, and moves the watermark to the
//! newest update that the service itself showed. In mode `sweep` it reads the whole look-back window again, to prove
//! that nothing was missed and to find alerts that changed without their incident.
//!
//! A window that holds more incidents than a step may read is cut into slices of update time, which are read
//! oldest first; the watermark moves when the last slice was read to its end. So the cursor never runs ahead of what was read, and a
//! step that fails is simply run again with the same cursor.

mod cursor;
mod input;
mod merges;
mod record;
mod run;
mod step;
mod watched;

#[cfg(test)]
mod tests;

pub use input::{Input, Mode};
pub use record::Record;
pub use run::Output;
pub use watched::Watched;

use sortie_defender::endpoints;
use sortie_sdk::prelude::*;

/// The action.
#[derive(Debug)]
pub struct IncidentsDaemon;

impl Action for IncidentsDaemon {
    type Input = Input;
    type Output = Output;

    fn manifest() -> Manifest {
        Manifest::new("incidents-daemon", Kind::DAEMON)
            .title("Watch incidents")
            .description(
                "Reads the incidents that changed since the cursor, with their alerts, and answers the next cursor: one step of \
                 a daemon, also runnable by hand. The same version of an incident may come in several steps, under the same \
                 fingerprint; none is left out.",
            )
            .surfaces(&[Api::GRAPH, Api::DEFENDER_XDR])
            .streams::<Record>()
            .column("Id", "/id")
            .column("State", "/state")
            .column("Updated", "/time")
            .column("Merged into", "/mergedInto")
            .column("Title", "/body/displayName")
            .call(&endpoints::graph::LIST_INCIDENTS)
            .call(&endpoints::graph::GET_INCIDENT)
            .call(&endpoints::defender_xdr::LIST_INCIDENTS)
            .call(&endpoints::defender_xdr::GET_INCIDENT)
            .example("The first step: what changed in the last day", json!({}), json!({"more": false}))
            .example(
                "Only grave incidents count",
                json!({"lookBack": "7 days", "severity": ["high"], "alerts": false}),
                json!({"mode": "poll"}),
            )
    }

    fn check(input: &Input, _: Timestamp) -> Vec<Violation> {
        input.violations()
    }

    fn run(host: &Host<'_>, input: Input) -> Result<Output> {
        run::run(host, &input)
    }
}

sortie_sdk::export!(IncidentsDaemon);
