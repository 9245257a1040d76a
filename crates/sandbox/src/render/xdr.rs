//! Incidents in the words of the Defender XDR API: PascalCase values, numeric ids, alerts always inline, devices and flat entities (contract section 6).

use serde_json::{Map, Value, json};

use super::graph::{force, object};
use crate::clock::text;
use crate::switches::{Switches, XdrSpelling};
use crate::tenant::World;
use crate::tenant::incident::{Alert, Comment, Incident};
use crate::tenant::words::{self, pascal};

/// An incident with its alerts.
pub(crate) fn incident(incident: &Incident, world: &World, switches: &Switches) -> Value {
    let details = incident.details(world);
    let (classification, determination) = verdict(incident.classification, incident.determination, switches);
    let unclassified = incident.classification == "unknown" && switches.xdr_null_classification;
    let alerts: Vec<Value> = incident.alerts(world, true).iter().map(|one| alert(one, incident.id, switches)).collect();
    let mut map = object(json!({
        "incidentId": incident.id,
        "redirectIncidentId": incident.redirect,
        "incidentName": details.display_name,
        "createdTime": text(incident.created),
        "lastUpdateTime": text(incident.updated),
        "assignedTo": incident.assigned_to.as_deref(),
        "classification": if unclassified { Value::Null } else { classification.into() },
        "determination": if unclassified { Value::Null } else { determination.into() },
        "status": status(incident.status),
        "severity": if incident.severity == "unknown" { "UnSpecified".to_owned() } else { pascal(incident.severity) },
        "tags": details.custom_tags,
        "comments": details.comments.iter().map(|one| comment(one, switches)).collect::<Vec<_>>(),
        "alerts": alerts,
    }));
    force(&mut map, incident.forced.as_deref());
    Value::Object(map)
}

/// The status in this surface's words; it knows no `awaitingAction`, which is shown as work in progress.
pub(crate) fn status(status: &str) -> String {
    if status == "awaitingAction" { "InProgress".to_owned() } else { pascal(status) }
}

fn verdict(classification: &str, determination: &str, switches: &Switches) -> (String, String) {
    let determination = match switches.xdr_spelling {
        XdrSpelling::Resource => words::xdr_resource(determination),
        XdrSpelling::Update => words::xdr_update(determination),
    };
    (pascal(classification), determination)
}

fn comment(comment: &Comment, switches: &Switches) -> Value {
    let time = if switches.xdr_create_time_key { "createTime" } else { "createdTime" };
    json!({ "comment": comment.text, "createdBy": comment.author, time: text(comment.created) })
}

fn alert(alert: &Alert, incident: u64, switches: &Switches) -> Value {
    let state = if alert.status == "inProgress" && switches.xdr_alert_active {
        "Active".to_owned()
    } else {
        pascal(&alert.status)
    };
    let classified = alert.classification != "unknown";
    let (classification, determination) = verdict(&alert.classification, &alert.determination, switches);
    let device = alert.evidence.iter().find_map(|piece| piece.get("mdeDeviceId")).cloned().unwrap_or_default();
    json!({
        "alertId": alert.id,
        "incidentId": incident,
        "serviceSource": words::xdr_service(&alert.service_source),
        "creationTime": text(alert.created),
        "lastUpdatedTime": text(alert.updated),
        "resolvedTime": alert.resolved.map(text),
        "firstActivity": text(alert.first_activity),
        "lastActivity": text(alert.last_activity),
        "title": alert.title,
        "description": alert.description,
        "category": alert.category,
        "status": state,
        "severity": pascal(&alert.severity),
        "investigationId": null,
        "investigationState": pascal(&alert.investigation_state),
        "classification": classified.then_some(classification),
        "determination": classified.then_some(determination),
        "detectionSource": words::xdr_detection(&alert.detection_source),
        "assignedTo": alert.assigned_to,
        "actorName": alert.actor,
        "threatFamilyName": alert.family,
        "mitreTechniques": alert.techniques,
        "devices": alert.evidence.iter().filter_map(|piece| self::device(piece, switches)).collect::<Vec<_>>(),
        "entities": alert.evidence.iter().filter_map(|piece| entity(piece, &device)).collect::<Vec<_>>(),
    })
}

fn kind(evidence: &Value) -> &str {
    let name = evidence.get("@odata.type").and_then(Value::as_str).unwrap_or_default();
    name.strip_prefix("#microsoft.graph.security.").and_then(|name| name.strip_suffix("Evidence")).unwrap_or_default()
}

fn device(evidence: &Value, switches: &Switches) -> Option<Value> {
    if kind(evidence) != "device" {
        return None;
    }
    let take = |key: &str| evidence.get(key).cloned().unwrap_or_default();
    let word = |key: &str| evidence.get(key).and_then(Value::as_str).map(pascal);
    let id = if switches.xdr_device_id_key { "DeviceId" } else { "mdatpDeviceId" };
    Some(json!({
        id: take("mdeDeviceId"),
        "aadDeviceId": take("azureAdDeviceId"),
        "deviceDnsName": take("deviceDnsName"),
        "osPlatform": take("osPlatform"),
        "version": take("version"),
        "osProcessor": "x64",
        "osBuild": take("osBuild"),
        "healthStatus": word("healthStatus"),
        "riskScore": word("riskScore"),
        "rbacGroupName": take("rbacGroupName"),
        "rbacGroupId": take("rbacGroupId"),
        "firstSeen": take("firstSeenDateTime"),
    }))
}

/// Every member of an entity record. All are always present, most are null.
const ENTITY: &[&str] = &[
    "sha1",
    "sha256",
    "fileName",
    "filePath",
    "processId",
    "processCommandLine",
    "processCreationTime",
    "parentProcessId",
    "parentProcessCreationTime",
    "ipAddress",
    "url",
    "accountName",
    "domainName",
    "userSid",
    "aadUserId",
    "userPrincipalName",
    "mailboxDisplayName",
    "mailboxAddress",
    "clusterBy",
    "sender",
    "recipient",
    "subject",
    "deliveryAction",
    "securityGroupId",
    "securityGroupName",
    "registryHive",
    "registryKey",
    "registryValueType",
    "registryValue",
    "deviceId",
];

/// The members that an evidence type fills: (entity member, pointer into the evidence).
fn mapping(kind: &str) -> Option<(&'static str, &'static [(&'static str, &'static str)])> {
    const ACCOUNT: &[(&str, &str)] = &[
        ("accountName", "/userAccount/accountName"),
        ("domainName", "/userAccount/domainName"),
        ("userSid", "/userAccount/userSid"),
        ("aadUserId", "/userAccount/azureAdUserId"),
        ("userPrincipalName", "/userAccount/userPrincipalName"),
    ];
    const PROCESS: &[(&str, &str)] = &[
        ("sha1", "/imageFile/sha1"),
        ("sha256", "/imageFile/sha256"),
        ("fileName", "/imageFile/fileName"),
        ("filePath", "/imageFile/filePath"),
        ("processId", "/processId"),
        ("processCommandLine", "/processCommandLine"),
        ("processCreationTime", "/processCreationDateTime"),
        ("parentProcessId", "/parentProcessId"),
        ("parentProcessCreationTime", "/parentProcessCreationDateTime"),
        ("accountName", "/userAccount/accountName"),
        ("domainName", "/userAccount/domainName"),
        ("userSid", "/userAccount/userSid"),
        ("aadUserId", "/userAccount/azureAdUserId"),
        ("userPrincipalName", "/userAccount/userPrincipalName"),
    ];
    Some(match kind {
        "user" => ("User", ACCOUNT),
        "ip" => ("Ip", &[("ipAddress", "/ipAddress")]),
        "url" => ("Url", &[("url", "/url")]),
        "file" => (
            "File",
            &[
                ("sha1", "/fileDetails/sha1"),
                ("sha256", "/fileDetails/sha256"),
                ("fileName", "/fileDetails/fileName"),
                ("filePath", "/fileDetails/filePath"),
            ],
        ),
        "fileHash" => ("File", &[("sha256", "/value")]),
        "process" => ("Process", PROCESS),
        "mailbox" => (
            "MailBox",
            &[
                ("userPrincipalName", "/upn"),
                ("mailboxDisplayName", "/displayName"),
                ("mailboxAddress", "/primaryAddress"),
            ],
        ),
        "analyzedMessage" => (
            "MailMessage",
            &[
                ("userPrincipalName", "/recipientEmailAddress"),
                ("sender", "/p2Sender/emailAddress"),
                ("recipient", "/recipientEmailAddress"),
                ("subject", "/subject"),
                ("deliveryAction", "/deliveryAction"),
            ],
        ),
        "submissionMail" => {
            ("MailMessage", &[("sender", "/sender"), ("recipient", "/recipient"), ("subject", "/subject")])
        }
        "mailCluster" => ("MailCluster", &[("clusterBy", "/clusterBy")]),
        "registryKey" => ("Registry", &[("registryHive", "/registryHive"), ("registryKey", "/registryKey")]),
        "registryValue" => (
            "Registry",
            &[
                ("registryHive", "/registryHive"),
                ("registryKey", "/registryKey"),
                ("registryValueType", "/registryValueType"),
                ("registryValue", "/registryValue"),
            ],
        ),
        "securityGroup" => {
            ("SecurityGroup", &[("securityGroupId", "/securityGroupId"), ("securityGroupName", "/displayName")])
        }
        _ => return None,
    })
}

/// Evidence as an entity record; types that this surface does not know are left out.
fn entity(evidence: &Value, device: &Value) -> Option<Value> {
    let (name, filled) = mapping(kind(evidence))?;
    let mut map: Map<String, Value> = ENTITY.iter().map(|key| ((*key).to_owned(), Value::Null)).collect();
    map.insert("entityType".to_owned(), name.into());
    for (key, pointer) in filled {
        map.insert((*key).to_owned(), evidence.pointer(pointer).cloned().unwrap_or_default());
    }
    if matches!(name, "File" | "Process" | "Registry") {
        map.insert("deviceId".to_owned(), evidence.get("mdeDeviceId").cloned().unwrap_or_else(|| device.clone()));
    }
    Some(Value::Object(map))
}
