//! Machines and machine actions in the words of Defender for Endpoint (contract section 7).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::graph::object;
use crate::clock::text;
use crate::tenant::machine::{Action, Machine};

/// A machine.
pub(crate) fn machine(machine: &Machine) -> Value {
    json!({
        "id": machine.id,
        "computerDnsName": machine.computer_dns_name,
        "firstSeen": text(machine.first_seen),
        "lastSeen": text(machine.last_seen),
        "osPlatform": machine.os_platform,
        "version": machine.version,
        "osProcessor": machine.os_processor,
        "osArchitecture": machine.os_architecture,
        "osBuild": machine.os_build,
        "lastIpAddress": machine.last_ip_address,
        "lastExternalIpAddress": machine.last_external_ip_address,
        "healthStatus": machine.health_status,
        "onboardingStatus": machine.onboarding_status,
        "deviceValue": machine.device_value,
        "rbacGroupId": machine.rbac_group_id,
        "rbacGroupName": machine.rbac_group_name,
        "riskScore": machine.risk_score,
        "exposureLevel": machine.exposure_level,
        "isAadJoined": machine.is_aad_joined,
        "aadDeviceId": machine.aad_device_id,
        "machineTags": machine.machine_tags,
        "ipAddresses": [{
            "ipAddress": machine.last_ip_address,
            "macAddress": machine.mac_address,
            "operationalStatus": "Up",
        }],
    })
}

/// A machine action at `now`. `last_update` is the key of its last change, which differs between pages.
pub(crate) fn action(action: &Action, now: Timestamp, last_update: &str) -> Value {
    let (status, changed) = action.status(now);
    let mut map = object(json!({
        "id": action.id,
        "type": action.kind,
        "title": null,
        "scope": action.scope,
        "requestor": action.requestor,
        "requestorComment": action.comment,
        "requestSource": "PublicApi",
        "externalID": action.external_id,
        "commands": [],
        "status": status,
        "machineId": action.machine_id,
        "computerDnsName": action.computer_dns_name,
        "creationDateTimeUtc": text(action.created),
        "cancellationRequestor": action.cancelled.as_ref().map(|cancelled| &cancelled.requestor),
        "cancellationComment": action.cancelled.as_ref().map(|cancelled| &cancelled.comment),
        "cancellationDateTimeUtc": action.cancelled.as_ref().map(|cancelled| text(cancelled.time)),
        "relatedFileInfo": null,
    }));
    map.insert(last_update.to_owned(), text(changed).into());
    Value::Object(map)
}
