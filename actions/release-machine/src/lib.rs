//! The action release-machine: lets an isolated machine back onto the network.
//!
//! What makes it safe to repeat stands in `sortie_client::machines`; here is what it takes and declares.

#[cfg(test)]
mod tests;

use sortie_client::machines::{self, Changed, Comment, MachineReference};
use sortie_defender::endpoints::defender_endpoint::{
    GET_MACHINE, GET_MACHINE_ACTION, LIST_MACHINE_ACTIONS, LIST_MACHINES, RELEASE_MACHINE,
};
use sortie_sdk::prelude::*;

/// Which machine is let back, and why.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    /// The machine: its id in Defender for Endpoint (40 hexadecimal digits) or its DNS name, whole (ws-042.contoso.com)
    /// or its first part alone (ws-042). A name that several machines bear is refused, and they are listed.
    pub machine: MachineReference,
    /// Why, for whoever reads the machine's history in the portal; at most 1000 characters. A short tag is appended,
    /// by which the request is recognized if its answer is lost.
    pub comment: Comment,
    /// Wait this long, such as 10m, for the machine action to end; the run's deadline grows by it. Without it the run
    /// ends as soon as the service has accepted the machine action.
    #[serde(default)]
    pub wait: Option<Span>,
}

/// The action.
pub struct ReleaseMachine;

impl Action for ReleaseMachine {
    type Input = Input;
    type Output = Changed;

    fn manifest() -> Manifest {
        Manifest::new("release-machine", Kind::CORRECTION)
            .title("Release machine")
            .description(
                "Lets an isolated machine back onto the network. Safe to repeat: a release that is under way or in \
                 effect is returned instead of a second one, and an isolation that is under way is a conflict.",
            )
            // Whoever is still on the machine gets the network back with it: that deserves the same question.
            .effect(Effect::Destructive)
            .reversed_by("isolate-machine")
            .wait_field("wait")
            .column("Machine", "/machine/computerDnsName")
            .column("Machine id", "/machine/id")
            .column("Outcome", "/outcome")
            .column("Machine action", "/machineAction/id")
            .column("Already in progress", "/alreadyInProgress")
            .column("Already in effect", "/alreadyInEffect")
            .call(&GET_MACHINE)
            .call(&LIST_MACHINES)
            .call(&LIST_MACHINE_ACTIONS)
            .call(&RELEASE_MACHINE)
            .call(&GET_MACHINE_ACTION)
            .example(
                "Let a machine back and wait for it",
                json!({ "machine": "lt-sales-005.corp.contoso.com", "comment": "Cleaned and checked, incident 29", "wait": "5m" }),
                json!({
                    "machine": { "computerDnsName": "lt-sales-005.corp.contoso.com" },
                    "machineAction": { "type": "Unisolate", "status": "Succeeded" },
                    "outcome": "succeeded", "alreadyInProgress": false, "alreadyInEffect": false, "planned": false,
                }),
            )
    }

    fn run(host: &Host<'_>, input: Input) -> Result<Changed> {
        let machine = machines::find(host, &input.machine)?;
        machines::release(host, machine, &input.comment, input.wait)
    }
}

sortie_sdk::export!(ReleaseMachine);
