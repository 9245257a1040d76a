//! `update-incident`: changes an incident's status, assignee, verdict, tags and texts, and comments on it.
//!
//! The incident is read first; only what differs is sent; the output shows what was before and what is after.

mod input;

#[cfg(test)]
mod tests;

pub use input::Input;

use sortie_client::incidents::{self, Updated};
use sortie_defender::endpoints;
use sortie_sdk::prelude::*;

/// The action.
#[derive(Debug)]
pub struct UpdateIncident;

impl Action for UpdateIncident {
    type Input = Input;
    type Output = Updated;

    fn manifest() -> Manifest {
        Manifest::new("update-incident", Kind::NOTIFICATION)
            .title("Update incident")
            .description(
                "Changes an incident's status, assignee, classification with determination, tags, title, summary and resolving \
                 comment, and adds a comment. Only what changes is sent; the output shows it before and after.",
            )
            .effect(Effect::Write)
            // A comment that is given is added by every run.
            .not_idempotent()
            .surfaces(&[Api::GRAPH, Api::DEFENDER_XDR])
            .column("Id", "/incidentId")
            .column("Changed", "/changed")
            .column("Before", "/before")
            .column("After", "/after")
            .column("Comment", "/comment")
            .call(&endpoints::graph::GET_INCIDENT)
            .call(&endpoints::graph::UPDATE_INCIDENT)
            .call(&endpoints::graph::COMMENT_INCIDENT)
            .call(&endpoints::defender_xdr::GET_INCIDENT)
            .call(&endpoints::defender_xdr::UPDATE_INCIDENT)
            .example(
                "Take an incident",
                json!({"incidentId": "1001", "status": "inProgress", "assignedTo": "analyst@contoso.com"}),
                json!({"incidentId": "1001"}),
            )
            .example(
                "Close an incident",
                json!({
                    "incidentId": "1001", "status": "resolved", "classification": "truePositive", "determination": "malware",
                    "tags": {"add": ["closed by playbook"]}, "comment": "Cleaned and closed.",
                }),
                json!({"incidentId": "1001", "comment": "Cleaned and closed."}),
            )
    }

    fn check(input: &Input, _: Timestamp) -> Vec<Violation> {
        input.changes().violations()
    }

    fn run(host: &Host<'_>, input: Input) -> Result<Updated> {
        incidents::update(host, incidents::surface(host)?, input.incident_id, &input.changes())
    }
}

sortie_sdk::export!(UpdateIncident);
