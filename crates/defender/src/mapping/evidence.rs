//! The rules for devices and entities, which Graph knows as the evidence of an alert.
//!
//! Defender XDR sends devices apart and every other entity as one flat record with the fields of all kinds, mostly
//! null (contract section 6.2). `entityType` decides which Graph evidence type a record becomes; devices come first.

use super::{How, Nulls, ObjectWriter, Rule, keep, nested, push_json, push_string, rule, same, write_object};
use crate::enums::respell;
use crate::page::{elements, members, string};
use std::borrow::Cow;

macro_rules! spelling {
    ($name:ident: $($member:literal),+) => {
        fn $name(text: &str) -> Cow<'_, str> {
            Cow::Borrowed(respell(&[$($member),+], text))
        }
    };
}

spelling!(health: "active", "inactive", "impairedCommunication", "noSensorData", "noSensorDataImpairedCommunication", "unknown");
spelling!(risk: "none", "informational", "low", "medium", "high");
spelling!(onboarding: "insufficientInfo", "onboarded", "canBeOnboarded", "unsupported");
spelling!(antivirus: "notReporting", "disabled", "notUpdated", "updated", "unknown", "notSupported");
spelling!(verdict: "unknown", "suspicious", "malicious", "noThreatsFound");
spelling!(remediation: "none", "remediated", "prevented", "blocked", "notFound", "active", "pendingApproval", "declined",
    "unremediated", "running", "partiallyRemediated");
spelling!(detection: "detected", "blocked", "prevented");

/// What every kind of evidence has, should the surface send it.
macro_rules! with_common {
    ($($rule:expr),* $(,)?) => {
        &[
            keep("evidenceCreationTime", "createdDateTime"),
            rule("verdict", "verdict", How::Spell(verdict)),
            rule("remediationStatus", "remediationStatus", How::Spell(remediation)),
            same("remediationStatusDetails"),
            same("roles"),
            same("detailedRoles"),
            same("tags"),
            $($rule),*
        ]
    };
}

const DEVICE: &[Rule] = with_common![
    keep("firstSeen", "firstSeenDateTime"),
    keep("mdatpDeviceId", "mdeDeviceId"),
    keep("deviceId", "mdeDeviceId"),
    keep("DeviceId", "mdeDeviceId"),
    keep("aadDeviceId", "azureAdDeviceId"),
    same("deviceDnsName"),
    same("hostName"),
    same("ntDomain"),
    same("dnsDomain"),
    same("osPlatform"),
    same("osBuild"),
    same("version"),
    rule("healthStatus", "healthStatus", How::Spell(health)),
    rule("riskScore", "riskScore", How::Spell(risk)),
    same("rbacGroupId"),
    same("rbacGroupName"),
    rule("onboardingStatus", "onboardingStatus", How::Spell(onboarding)),
    rule("defenderAvStatus", "defenderAvStatus", How::Spell(antivirus)),
    same("lastIpAddress"),
    same("lastExternalIpAddress"),
    same("ipInterfaces"),
    same("loggedOnUsers"),
    same("vmMetadata"),
];

const USER: &[Rule] = with_common![
    nested("accountName", "userAccount", "accountName"),
    nested("domainName", "userAccount", "domainName"),
    nested("userSid", "userAccount", "userSid"),
    nested("aadUserId", "userAccount", "azureAdUserId"),
    nested("userPrincipalName", "userAccount", "userPrincipalName"),
];

const IP: &[Rule] = with_common![same("ipAddress")];

const URL: &[Rule] = with_common![same("url")];

const FILE: &[Rule] = with_common![
    rule("detectionStatus", "detectionStatus", How::Spell(detection)),
    keep("deviceId", "mdeDeviceId"),
    nested("sha1", "fileDetails", "sha1"),
    nested("sha256", "fileDetails", "sha256"),
    nested("fileName", "fileDetails", "fileName"),
    nested("filePath", "fileDetails", "filePath"),
];

const PROCESS: &[Rule] = with_common![
    rule("detectionStatus", "detectionStatus", How::Spell(detection)),
    keep("deviceId", "mdeDeviceId"),
    same("processId"),
    same("processCommandLine"),
    keep("processCreationTime", "processCreationDateTime"),
    same("parentProcessId"),
    keep("parentProcessCreationTime", "parentProcessCreationDateTime"),
    nested("sha1", "imageFile", "sha1"),
    nested("sha256", "imageFile", "sha256"),
    nested("fileName", "imageFile", "fileName"),
    nested("filePath", "imageFile", "filePath"),
    nested("accountName", "userAccount", "accountName"),
    nested("domainName", "userAccount", "domainName"),
    nested("userSid", "userAccount", "userSid"),
    nested("aadUserId", "userAccount", "azureAdUserId"),
    nested("userPrincipalName", "userAccount", "userPrincipalName"),
];

const MAILBOX: &[Rule] = with_common![
    keep("mailboxAddress", "primaryAddress"),
    keep("mailboxDisplayName", "displayName"),
    keep("userPrincipalName", "upn"),
    nested("accountName", "userAccount", "accountName"),
    nested("domainName", "userAccount", "domainName"),
    nested("userSid", "userAccount", "userSid"),
    nested("aadUserId", "userAccount", "azureAdUserId"),
];

const MAIL_MESSAGE: &[Rule] = with_common![
    nested("sender", "p2Sender", "emailAddress"),
    keep("recipient", "recipientEmailAddress"),
    same("subject"),
    same("deliveryAction"),
];

const MAIL_CLUSTER: &[Rule] = with_common![same("clusterBy")];

const REGISTRY_KEY: &[Rule] = with_common![same("registryHive"), same("registryKey")];

const REGISTRY_VALUE: &[Rule] = with_common![
    same("registryHive"),
    same("registryKey"),
    same("registryValue"),
    same("registryValueName"),
    same("registryValueType"),
    keep("deviceId", "mdeDeviceId"),
];

const SECURITY_GROUP: &[Rule] = with_common![same("securityGroupId"), keep("securityGroupName", "displayName")];

/// The Graph type of an entity, by its `entityType` on the wire, and its rules.
fn kind(entity_type: &str, has_registry_value: bool) -> Option<(&'static str, &'static [Rule])> {
    const KINDS: &[(&str, &str, &[Rule])] = &[
        ("User", "#microsoft.graph.security.userEvidence", USER),
        ("Ip", "#microsoft.graph.security.ipEvidence", IP),
        ("Url", "#microsoft.graph.security.urlEvidence", URL),
        ("File", "#microsoft.graph.security.fileEvidence", FILE),
        ("Process", "#microsoft.graph.security.processEvidence", PROCESS),
        ("MailBox", "#microsoft.graph.security.mailboxEvidence", MAILBOX),
        ("MailMessage", "#microsoft.graph.security.analyzedMessageEvidence", MAIL_MESSAGE),
        ("MailCluster", "#microsoft.graph.security.mailClusterEvidence", MAIL_CLUSTER),
        ("SecurityGroup", "#microsoft.graph.security.securityGroupEvidence", SECURITY_GROUP),
    ];
    if entity_type.eq_ignore_ascii_case("Registry") {
        return Some(if has_registry_value {
            ("#microsoft.graph.security.registryValueEvidence", REGISTRY_VALUE)
        } else {
            ("#microsoft.graph.security.registryKeyEvidence", REGISTRY_KEY)
        });
    }
    let (_, kind, rules) = KINDS.iter().find(|(name, ..)| name.eq_ignore_ascii_case(entity_type))?;
    Some((kind, rules))
}

/// Writes the evidence of an alert from its devices and its entities, both JSON arrays.
pub(super) fn write(out: &mut String, devices: &str, entities: &str) {
    out.push('[');
    let mut first = true;
    let mut comma = |out: &mut String| {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
    };
    for device in elements(devices) {
        comma(out);
        if device.starts_with('{') {
            write_object(out, device, "#microsoft.graph.security.deviceEvidence", DEVICE, Nulls::Keep);
        } else {
            push_json(out, device);
        }
    }
    for entity in elements(entities) {
        comma(out);
        if entity.starts_with('{') {
            write_entity(out, entity);
        } else {
            push_json(out, entity);
        }
    }
    out.push(']');
}

fn write_entity(out: &mut String, entity: &str) {
    let members = members(entity);
    let value = |name: &str| members.iter().rev().find(|(candidate, _)| *candidate == name).map(|(_, value)| *value);
    let entity_type = value("entityType").and_then(string);
    let has_registry_value = ["registryValue", "registryValueType", "registryValueName"]
        .iter()
        .any(|name| value(name).is_some_and(|value| value != "null"));
    match entity_type.as_deref().and_then(|entity_type| kind(entity_type, has_registry_value)) {
        // The entity's type is said by the evidence's type; only for registry entries and unknown ones is it kept.
        Some((kind, rules)) => {
            let entity = crate::page::without(entity, |name| name == "entityType");
            write_object(out, &entity, kind, rules, Nulls::Drop);
        }
        None => write_unknown(out, entity),
    }
}

/// An entity of a type that Graph has no evidence type for: the base type, and everything as it came.
fn write_unknown(out: &mut String, entity: &str) {
    let mut writer = ObjectWriter::begin(out);
    writer.member("@odata.type", |out| push_string(out, "#microsoft.graph.security.alertEvidence"));
    writer.member(super::REST, |out| push_json(out, entity));
    writer.end();
}
