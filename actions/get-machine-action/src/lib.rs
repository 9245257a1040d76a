//! The action get-machine-action: how far a machine action has come.

#[cfg(test)]
mod tests;

use sortie_client::machines::{self, Outcome};
use sortie_defender::endpoints::defender_endpoint::GET_MACHINE_ACTION;
use sortie_defender::ids::MachineActionId;
use sortie_defender::machine::MachineAction;
use sortie_sdk::prelude::*;

/// Which machine action, and how long to wait for its end.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    /// The id of the machine action, a GUID, as isolate-machine and release-machine give it.
    pub machine_action_id: MachineActionId,
    /// Wait this long, such as 10m, for the machine action to end; the run's deadline grows by it. Without it the
    /// machine action is read once, however far it has come.
    #[serde(default)]
    pub wait: Option<Span>,
}

/// The machine action.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The machine action, as the service describes it.
    pub machine_action: MachineAction,
    /// How far it has come. That it failed is an outcome like another here: reading it succeeded.
    pub outcome: Outcome,
}

/// The action.
pub struct GetMachineAction;

impl Action for GetMachineAction {
    type Input = Input;
    type Output = Output;

    fn manifest() -> Manifest {
        Manifest::new("get-machine-action", Kind::ENRICHMENT)
            .title("Get machine action")
            .description("Reads a machine action, such as an isolation, and waits for its end if asked to.")
            .wait_field("wait")
            .column("Machine action", "/machineAction/id")
            .column("Type", "/machineAction/type")
            .column("Outcome", "/outcome")
            .column("Machine", "/machineAction/computerDnsName")
            .column("Requestor", "/machineAction/requestor")
            .column("Created", "/machineAction/creationDateTimeUtc")
            .column("Last update", "/machineAction/lastUpdateDateTimeUtc")
            .call(&GET_MACHINE_ACTION)
            .example(
                "A scan that has ended",
                json!({"machineActionId": "5a4db0c5-0000-4000-8000-00000000a5ca"}),
                json!({"outcome": "succeeded", "machineAction": {"type": "RunAntiVirusScan", "status": "Succeeded"}}),
            )
    }

    fn run(host: &Host<'_>, input: Input) -> Result<Output> {
        let read = machines::get(host, &input.machine_action_id)?;
        let machine_action = match input.wait {
            Some(wait) if !wait.duration().is_zero() && !host.planning() => machines::until_final(host, read, wait)?,
            _ => read,
        };
        Ok(Output { outcome: Outcome::from(&machine_action.status), machine_action })
    }
}

sortie_sdk::export!(GetMachineAction);
