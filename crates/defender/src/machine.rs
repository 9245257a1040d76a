//! Machines and machine actions of Defender for Endpoint, as far as sortie decides by them. Everything else that the
//! service sends is kept in `rest` and written out again.

use crate::enums::{MachineActionStatus, MachineActionType};
use crate::ids::{MachineActionId, MachineId};
use crate::time;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A machine (contract section 7.3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// The id: 40 hexadecimal digits, the same as an alert's `mdeDeviceId`.
    pub id: MachineId,
    /// The DNS name, where the machine has one. Not unique: a machine that is onboarded again has a new id.
    #[serde(default)]
    pub computer_dns_name: Option<String>,
    /// The operating system.
    #[serde(default)]
    pub os_platform: Option<String>,
    /// When it last sent a full report, about once a day.
    #[serde(default)]
    pub last_seen: Option<String>,
    /// Whether its sensor works: Active, Inactive, ImpairedCommunication, NoSensorData, ...
    #[serde(default)]
    pub health_status: Option<String>,
    /// Whether it is managed by Defender: Onboarded, CanBeOnboarded, Unsupported, InsufficientInfo.
    #[serde(default)]
    pub onboarding_status: Option<String>,
    /// Everything else the service said.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// An action on a machine, which goes on after the request that began it (contract section 7.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachineAction {
    /// The id: a GUID.
    pub id: MachineActionId,
    /// What it does: Isolate, Unisolate, RunAntiVirusScan, ...
    #[serde(rename = "type")]
    pub kind: MachineActionType,
    /// How much of the machine it concerns; of an isolation: Full or Selective.
    #[serde(default)]
    pub scope: Option<String>,
    /// Pending, InProgress, Succeeded, Failed, TimeOut or Cancelled; the last four are final.
    pub status: MachineActionStatus,
    /// The machine's id.
    #[serde(default)]
    pub machine_id: Option<MachineId>,
    /// The machine's DNS name.
    #[serde(default)]
    pub computer_dns_name: Option<String>,
    /// Who asked for it.
    #[serde(default)]
    pub requestor: Option<String>,
    /// What they wrote about it.
    #[serde(default)]
    pub requestor_comment: Option<String>,
    /// The caller's own id for it.
    #[serde(default, rename = "externalID", alias = "externalId")]
    pub external_id: Option<String>,
    /// When it was asked for.
    #[serde(default)]
    pub creation_date_time_utc: Option<String>,
    /// When it last changed; the list spells the property `lastUpdateTimeUtc`.
    #[serde(default, alias = "lastUpdateTimeUtc")]
    pub last_update_date_time_utc: Option<String>,
    /// Everything else the service said.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl MachineAction {
    /// When it was asked for.
    pub fn created(&self) -> Option<Timestamp> {
        self.creation_date_time_utc.as_deref().and_then(time::parse)
    }

    /// When it last changed.
    pub fn updated(&self) -> Option<Timestamp> {
        self.last_update_date_time_utc.as_deref().and_then(time::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_action_keeps_what_nobody_reads() {
        let wire = json!({
            "id": "11111111-2222-3333-4444-555555555555", "type": "Isolate", "scope": "Full", "status": "Evaporated",
            "machineId": "00000000000000000000000000000000000000aa", "requestor": "a@b.test", "requestorComment": "c",
            "externalID": "e-1", "creationDateTimeUtc": "2026-01-02T03:04:05.1234567Z", "lastUpdateTimeUtc": "2026-01-02T03:04:06Z",
            "errorHResult": 5, "relatedFileInfo": null, "computerDnsName": null,
        });
        let action: MachineAction = serde_json::from_value(wire).unwrap();
        assert_eq!(action.status, MachineActionStatus::Unrecognized("Evaporated".into()));
        assert!(!action.status.is_final());
        assert!(action.created() < action.updated());
        let written = serde_json::to_value(&action).unwrap();
        assert_eq!(written["errorHResult"], 5);
        assert_eq!(written["status"], "Evaporated");
        assert_eq!(written["externalID"], "e-1");
        assert_eq!(written["lastUpdateDateTimeUtc"], "2026-01-02T03:04:06Z");
    }

    #[test]
    fn a_machine_needs_an_id_only() {
        let id = "00000000000000000000000000000000000000aa";
        let machine: Machine = serde_json::from_value(json!({"id": id, "rbacGroupId": 140})).unwrap();
        assert_eq!(machine.rest["rbacGroupId"], 140);
        assert!(serde_json::from_value::<Machine>(json!({"id": "../x"})).is_err());
    }
}
