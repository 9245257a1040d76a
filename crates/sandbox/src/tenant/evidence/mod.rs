//! Evidence of every type that the CSDL knows, nested ones included, in Graph's shape (which is the tenant's own shape).
//!
//! One function makes one piece of evidence from a [`Scene`]: the device, account, file and addresses that an alert is about, so that the pieces of one
//! alert speak of the same things.

mod cloud;
mod device;
mod kubernetes;
mod mail;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::chance::{Chance, Stream};
use super::machine::Identity;
use crate::clock::text;

/// An evidence type, by the name that follows `#microsoft.graph.security.` and precedes `Evidence`.
pub(crate) type Kind = &'static str;

/// Every evidence type of the CSDL.
pub(crate) const KINDS: &[Kind] = &[
    "activeDirectoryDomain",
    "aiAgent",
    "amazonResource",
    "analyzedMessage",
    "azureResource",
    "blob",
    "blobContainer",
    "cloudApplication",
    "cloudLogonRequest",
    "cloudLogonSession",
    "container",
    "containerImage",
    "containerRegistry",
    "device",
    "dns",
    "file",
    "fileHash",
    "gitHubOrganization",
    "gitHubRepo",
    "gitHubUser",
    "googleCloudResource",
    "hostLogonSession",
    "ioTDevice",
    "ip",
    "kubernetesCluster",
    "kubernetesController",
    "kubernetesNamespace",
    "kubernetesPod",
    "kubernetesSecret",
    "kubernetesService",
    "kubernetesServiceAccount",
    "mailCluster",
    "mailbox",
    "mailboxConfiguration",
    "malware",
    "networkConnection",
    "nic",
    "oauthApplication",
    "process",
    "registryKey",
    "registryValue",
    "sasToken",
    "securityGroup",
    "servicePrincipal",
    "submissionMail",
    "teamsMessage",
    "url",
    "user",
];

/// FNV-1a of a name: the number of its stream of chance.
fn fold(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What an alert is about.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    /// The tenant's seed.
    pub(crate) seed: u64,
    /// The tenant id.
    pub(crate) tenant_id: &'a str,
    /// The device.
    pub(crate) device: Identity,
    /// The account, without domain.
    pub(crate) account: String,
    /// The file that the alert is about.
    pub(crate) file: &'static str,
    /// The command line that the alert is about.
    pub(crate) command: &'static str,
    /// A remote host.
    pub(crate) host: &'static str,
    /// When the evidence was seen.
    pub(crate) time: Timestamp,
    /// The rest is chance.
    pub(crate) chance: Chance,
}

impl Scene<'_> {
    /// The account's user principal name.
    fn upn(&self) -> String {
        format!("{}@contoso.com", self.account)
    }

    /// Evidence of a kind: what all kinds have in common, and `own` on top.
    fn make(&mut self, kind: Kind, role: &str, own: Value) -> Value {
        let chance = &mut self.chance;
        let verdict = chance.pick(&["suspicious", "malicious", "unknown", "noThreatsFound", "suspicious"]);
        let remediation = chance.pick(&[
            "none",
            "none",
            "remediated",
            "prevented",
            "blocked",
            "active",
            "pendingApproval",
            "notFound",
        ]);
        // The kind's own members are the larger part, so the common ones are put in among them.
        let mut map = match own {
            Value::Object(own) => own,
            _ => Map::new(),
        };
        map.insert("@odata.type".to_owned(), format!("#microsoft.graph.security.{kind}Evidence").into());
        map.insert("createdDateTime".to_owned(), text(self.time).into());
        map.insert("verdict".to_owned(), verdict.into());
        map.insert("remediationStatus".to_owned(), remediation.into());
        let details = (remediation == "remediated").then_some("Entity was remediated by an automated investigation.");
        map.insert("remediationStatusDetails".to_owned(), details.into());
        let list = |word: &str| Value::Array(if word.is_empty() { Vec::new() } else { vec![word.into()] });
        map.insert("roles".to_owned(), list(role));
        map.insert("detailedRoles".to_owned(), list(if role == "compromised" { "Main device" } else { "" }));
        map.insert("tags".to_owned(), list(""));
        Value::Object(map)
    }

    /// The account. One account has one set of ids, in whichever alert it comes.
    fn user_account(&self) -> Value {
        let mut chance = Chance::new(self.seed, Stream::Account, fold(&self.account));
        json!({
            "accountName": self.account,
            "domainName": "contoso",
            "userSid": format!("S-1-5-21-1004336348-1177238915-682003330-{}", 1_000 + chance.below(9_000)),
            "azureAdUserId": chance.guid(),
            "userPrincipalName": self.upn(),
            "displayName": super::names::display_name(&self.account),
            "activeDirectoryObjectGuid": chance.guid(),
            "tenantId": self.tenant_id,
            "resourceAccessEvents": [],
        })
    }

    /// The hashes of a file: SHA-1, SHA-256, MD5. One file name has one set.
    fn hashes(&self, file: &str) -> [String; 3] {
        let mut chance = Chance::new(self.seed, Stream::File, fold(file));
        [chance.hex(40), chance.hex(64), chance.hex(32)]
    }

    /// One piece of evidence.
    pub(crate) fn evidence(&mut self, kind: Kind) -> Value {
        device::make(self, kind)
            .or_else(|| mail::make(self, kind))
            .or_else(|| cloud::make(self, kind))
            .or_else(|| kubernetes::make(self, kind))
            .unwrap_or_else(|| self.make("url", "", json!({ "url": format!("https://{}/", self.host) })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_made_under_its_own_name() {
        for (number, kind) in KINDS.iter().enumerate() {
            let mut scene = Scene {
                seed: 1,
                tenant_id: "t",
                device: Identity::seeded(1, 3),
                account: "finance07".to_owned(),
                file: "invoice.exe",
                command: "invoice.exe -q",
                host: "fabrikam.example",
                time: Timestamp::UNIX_EPOCH,
                chance: Chance::new(1, Stream::Alert(0), number as u64),
            };
            let made = scene.evidence(kind);
            assert_eq!(made["@odata.type"], format!("#microsoft.graph.security.{kind}Evidence"));
            for key in ["createdDateTime", "verdict", "remediationStatus", "roles", "detailedRoles", "tags"] {
                assert!(made.get(key).is_some(), "{kind} {key}");
            }
            assert!(made.as_object().is_some_and(|map| map.len() > 8), "{kind} has properties of its own");
        }
    }
}
