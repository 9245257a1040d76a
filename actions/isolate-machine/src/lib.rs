//! The action isolate-machine: cuts a machine off the network.
//!
//! What makes it safe to repeat stands in `sortie_client::machines`; here is what it takes and declares.

#[cfg(test)]
mod tests;

use sortie_client::machines::{self, Changed, Comment, ExternalId, MachineReference};
use sortie_defender::endpoints::defender_endpoint::{
    GET_MACHINE, GET_MACHINE_ACTION, ISOLATE_MACHINE, LIST_MACHINE_ACTIONS, LIST_MACHINES,
};
use sortie_defender::enums::{Choice, IsolationType};
use sortie_sdk::prelude::*;

/// Which machine is cut off, how, and why.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    /// The machine: its id in Defender for Endpoint (40 hexadecimal digits) or its DNS name, whole (ws-042.contoso.com)
    /// or its first part alone (ws-042). A name that several machines bear is refused, and they are listed.
    pub machine: MachineReference,
    /// Why, for whoever reads the machine's history in the portal; at most 1000 characters. A short tag is appended,
    /// by which the request is recognized if its answer is lost.
    pub comment: Comment,
    /// Full cuts off everything but the Defender service; Selective cuts off a limited set of applications
    /// only; UnManagedDevice contains a machine without Defender: managed machines are told to shun it.
    #[serde(default = "full")]
    pub isolation_type: Choice<IsolationType>,
    /// An id of your own for the machine action, kept by the service to find it again.
    #[serde(default)]
    pub external_id: Option<ExternalId>,
    /// Wait this long, such as 10m, for the machine action to end; the run's deadline grows by it. Without it the run
    /// ends as soon as the service has accepted the machine action.
    #[serde(default)]
    pub wait: Option<Span>,
}

fn full() -> Choice<IsolationType> {
    Choice(IsolationType::Full)
}

/// The action.
pub struct IsolateMachine;

impl Action for IsolateMachine {
    type Input = Input;
    type Output = Changed;

    fn manifest() -> Manifest {
        Manifest::new("isolate-machine", Kind::CONTAINMENT)
            .title("Isolate machine")
            .description(
                "Cuts a machine off the network, except from the Defender service. Safe to repeat: an isolation that is \
                 under way or in effect is returned instead of a second one, and a release that is under way is a \
                 conflict.",
            )
            .effect(Effect::Destructive)
            .reversed_by("release-machine")
            .wait_field("wait")
            .column("Machine", "/machine/computerDnsName")
            .column("Machine id", "/machine/id")
            .column("Outcome", "/outcome")
            .column("Scope", "/machineAction/scope")
            .column("Machine action", "/machineAction/id")
            .column("Already in progress", "/alreadyInProgress")
            .column("Already in effect", "/alreadyInEffect")
            .call(&GET_MACHINE)
            .call(&LIST_MACHINES)
            .call(&LIST_MACHINE_ACTIONS)
            .call(&ISOLATE_MACHINE)
            .call(&GET_MACHINE_ACTION)
            .example(
                "Isolate a machine and wait for it",
                json!({ "machine": "ws-014.corp.contoso.com", "comment": "Ransomware, incident 29", "wait": "5m" }),
                json!({
                    "machine": { "computerDnsName": "ws-014.corp.contoso.com" },
                    "machineAction": { "type": "Isolate", "scope": "Full", "status": "Succeeded" },
                    "outcome": "succeeded", "alreadyInProgress": false, "alreadyInEffect": false, "planned": false,
                }),
            )
    }

    fn run(host: &Host<'_>, input: Input) -> Result<Changed> {
        let machine = machines::find(host, &input.machine)?;
        machines::isolate(host, machine, input.isolation_type.0, &input.comment, input.external_id.as_ref(), input.wait)
    }
}

sortie_sdk::export!(IsolateMachine);
