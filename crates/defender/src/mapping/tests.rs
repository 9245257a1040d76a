use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

fn mapped(incident: Value) -> Value {
    let text = to_graph(&incident.to_string(), true);
    assert!(!text.contains('\n'), "{text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn an_incident_gets_graphs_names_and_spellings() {
    let incident = json!({
        "incidentId": 31, "redirectIncidentId": 30, "incidentName": "Two \"quoted\" words", "createdTime": "2026-01-02T03:04:05.6Z",
        "lastUpdateTime": "2026-01-02T03:04:06Z", "assignedTo": null, "classification": "Unknown", "determination": "NotAvailable",
        "status": "InProgress", "severity": "UnSpecified", "tags": ["a"], "rank": {"new": [1]},
        "comments": [{"comment": "c", "createdBy": "w", "createTime": "2026-01-02T03:04:05Z", "mood": "good"}, 5],
    });
    assert_eq!(
        mapped(incident),
        json!({
            "@odata.type": "#microsoft.graph.security.incident", "id": "31", "redirectIncidentId": "30",
            "displayName": "Two \"quoted\" words", "createdDateTime": "2026-01-02T03:04:05.6Z",
            "lastUpdateDateTime": "2026-01-02T03:04:06Z", "assignedTo": null, "classification": "unknown",
            "determination": "unknown", "status": "inProgress", "severity": "unknown", "customTags": ["a"],
            "comments": [
                {"comment": "c", "createdByDisplayName": "w", "createdDateTime": "2026-01-02T03:04:05Z", "defenderXdr": {"mood": "good"}},
                5
            ],
            "defenderXdr": {"rank": {"new": [1]}},
        })
    );
}

#[test]
fn an_alert_has_its_devices_and_entities_as_evidence() {
    let alert = json!({
        "alertId": "a1", "incidentId": 31, "classification": null, "determination": "Malware", "serviceSource": "MicrosoftDefenderATP", "detectionSource": "NewEngine",
        "creationTime": "2026-01-01T00:00:00Z", "lastUpdatedTime": "2026-01-01T00:00:01Z", "actorName": "X",
        "investigationId": null, "investigationState": "UnsupportedOs", "status": "New",
        "devices": [{"mdatpDeviceId": "m", "deviceId": "other", "osProcessor": "x64", "riskScore": "High", "firstSeen": "2025-01-01T00:00:00Z"}],
        "entities": [
            {"entityType": "Process", "processId": 7, "sha1": "s", "fileName": null, "accountName": null, "deviceId": "m", "url": null},
            {"entityType": "Registry", "registryHive": "H", "registryKey": "K", "registryValue": null, "deviceId": "m"},
            {"entityType": "Registry", "registryHive": "H", "registryKey": "K", "registryValue": "V"},
            {"entityType": "Toaster", "slots": 2, "sha1": null},
            {"entityType": "User", "accountName": "u", "aadUserId": "g", "ipAddress": "203.0.113.9", "sha1": null},
            "odd",
        ],
    });
    assert_eq!(
        mapped(json!({"incidentId": 31, "alerts": [alert]}))["alerts"][0],
        json!({
            "@odata.type": "#microsoft.graph.security.alert", "id": "a1", "incidentId": "31",
            "classification": "unknown", "determination": "malware",
            "serviceSource": "microsoftDefenderForEndpoint", "detectionSource": "NewEngine", "status": "new",
            "createdDateTime": "2026-01-01T00:00:00Z", "lastUpdateDateTime": "2026-01-01T00:00:01Z",
            "actorDisplayName": "X", "investigationState": "unsupportedOs", "defenderXdr": {"investigationId": null},
            "evidence": [
                {"@odata.type": "#microsoft.graph.security.deviceEvidence", "mdeDeviceId": "m", "riskScore": "high",
                 "firstSeenDateTime": "2025-01-01T00:00:00Z", "defenderXdr": {"deviceId": "other", "osProcessor": "x64"}},
                {"@odata.type": "#microsoft.graph.security.processEvidence", "processId": 7, "mdeDeviceId": "m",
                 "imageFile": {"sha1": "s", "fileName": null}},
                {"@odata.type": "#microsoft.graph.security.registryKeyEvidence", "registryHive": "H", "registryKey": "K",
                 "defenderXdr": {"deviceId": "m"}},
                {"@odata.type": "#microsoft.graph.security.registryValueEvidence", "registryHive": "H", "registryKey": "K", "registryValue": "V"},
                {"@odata.type": "#microsoft.graph.security.alertEvidence", "defenderXdr": {"entityType": "Toaster", "slots": 2, "sha1": null}},
                {"@odata.type": "#microsoft.graph.security.userEvidence", "userAccount": {"accountName": "u", "azureAdUserId": "g"},
                 "defenderXdr": {"ipAddress": "203.0.113.9"}},
                "odd",
            ],
        })
    );
}

#[test]
fn mail_entities_keep_every_address() {
    let entities = json!([
        {"entityType": "MailMessage", "sender": "s@x.test", "recipient": "r@y.test", "subject": "hello", "userPrincipalName": "u@y.test"},
        {"entityType": "MailBox", "mailboxAddress": "r@y.test", "mailboxDisplayName": "R", "userPrincipalName": "u@y.test"},
        {"entityType": "MailCluster", "clusterBy": "Subject"},
        {"entityType": "SecurityGroup", "securityGroupId": "g", "securityGroupName": "n"},
    ]);
    assert_eq!(
        mapped(json!({"alerts": [{"entities": entities}]}))["alerts"][0]["evidence"],
        json!([
            {"@odata.type": "#microsoft.graph.security.analyzedMessageEvidence", "p2Sender": {"emailAddress": "s@x.test"},
             "recipientEmailAddress": "r@y.test", "subject": "hello", "defenderXdr": {"userPrincipalName": "u@y.test"}},
            {"@odata.type": "#microsoft.graph.security.mailboxEvidence", "primaryAddress": "r@y.test", "displayName": "R", "upn": "u@y.test"},
            {"@odata.type": "#microsoft.graph.security.mailClusterEvidence", "clusterBy": "Subject"},
            {"@odata.type": "#microsoft.graph.security.securityGroupEvidence", "securityGroupId": "g", "displayName": "n"},
        ])
    );
}

#[test]
fn alerts_are_left_out_unless_asked_for() {
    let text = to_graph(r#"{"incidentId":1,"alerts":[{"alertId":"a"}]}"#, false);
    assert_eq!(text, r##"{"@odata.type":"#microsoft.graph.security.incident","id":"1"}"##);
}

#[test]
fn what_is_not_an_incident_comes_back() {
    for text in ["null", "[1]", "\"x\""] {
        assert_eq!(to_graph(text, true), text);
    }
}

/// Every leaf of a document with its path, array indices as `*`.
fn leaves(value: &Value, path: &str, out: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| leaves(value, &format!("{path}/{name}"), out));
        }
        Value::Array(elements) => elements.iter().for_each(|value| leaves(value, &format!("{path}/*"), out)),
        leaf => out.push((path.to_owned(), leaf.clone())),
    }
}

/// A leaf as text: ids are numbers on one surface and text on the other.
fn as_text(leaf: &Value) -> String {
    leaf.as_str().map_or_else(|| leaf.to_string(), str::to_owned)
}

/// The committed exception for a leaf that is not found again word for word.
fn exception(path: &str, leaf: &Value) -> Option<&'static str> {
    static EXCEPTIONS: std::sync::LazyLock<Vec<BTreeMap<String, String>>> =
        std::sync::LazyLock::new(|| serde_json::from_str(include_str!("../../mapping-exceptions.json")).unwrap());
    EXCEPTIONS.iter().find_map(|exception| {
        let pattern = exception["path"].as_str();
        let hit = pattern == path
            || pattern
                .strip_suffix("/*")
                .zip(path.rsplit_once('/'))
                .is_some_and(|(pattern, (path, _))| pattern == path);
        let applies = match exception["what"].as_str() {
            "null" => leaf.is_null(),
            "respelled" => leaf.is_string() || leaf.is_null(),
            "implied" => true,
            other => panic!("unknown exception {other}"),
        };
        (hit && applies && exception["reason"].len() > 20).then_some(exception["what"].as_str())
    })
}

/// Fails on any leaf of the incident that neither stands in the output nor is a committed exception.
fn assert_nothing_lost(incident: &Value) {
    let output = mapped(incident.clone());
    let (mut before, mut after) = (Vec::new(), Vec::new());
    leaves(incident, "", &mut before);
    leaves(&output, "", &mut after);
    let mut left: BTreeMap<String, usize> = BTreeMap::new();
    for (_, leaf) in &after {
        *left.entry(as_text(leaf)).or_default() += 1;
    }
    for (path, leaf) in before.iter().filter(|(path, leaf)| exception(path, leaf).is_none()) {
        let count = left.entry(as_text(leaf)).or_default();
        assert!(*count > 0, "{path} = {leaf} is lost: {output}");
        *count -= 1;
    }
}

#[test]
fn nothing_of_the_documented_examples_is_lost() {
    let folder = std::env::var_os("SORTIE_CONTRACT_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/contract")), PathBuf::from);
    let read = |name: &str| std::fs::read(folder.join("samples").join(name)).ok();
    let (Some(get), Some(list)) = (read("xdr_incident_get.json"), read("xdr_incidents_list.json")) else {
        println!("skipped: no documented examples at {}", folder.display());
        return;
    };
    assert_nothing_lost(&serde_json::from_slice(&get).unwrap());
    let page = crate::page::split::<()>(&list).unwrap();
    assert!(!page.records.is_empty());
    for record in page.records {
        assert_nothing_lost(&serde_json::from_str(record.text).unwrap());
    }
}

/// A member name: documented ones of every level, and others.
fn name() -> impl Strategy<Value = String> {
    let documented = vec![
        "incidentId",
        "redirectIncidentId",
        "createdTime",
        "createTime",
        "createdBy",
        "comment",
        "tags",
        "alertId",
        "actorName",
        "mdatpDeviceId",
        "deviceId",
        "DeviceId",
        "osProcessor",
        "sha1",
        "userPrincipalName",
        "registryValue",
        "sender",
        "id",
        "displayName",
        "incidentName",
        "createdDateTime",
        "defenderXdr",
        "@odata.type",
        "evidence",
    ];
    prop_oneof![prop::sample::select(documented).prop_map(str::to_owned), "[a-zA-Z@. é\"\\\\]{1,6}"]
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        Just(Value::Null)
    ]
}

fn object(extra: BoxedStrategy<Vec<(String, Value)>>) -> BoxedStrategy<Value> {
    (prop::collection::btree_map(name(), leaf(), 0..8), extra)
        .prop_map(|(members, extra)| Value::Object(members.into_iter().chain(extra).collect()))
        .boxed()
}

fn incident() -> impl Strategy<Value = Value> {
    let entity_type = prop::sample::select(vec![
        "User",
        "Ip",
        "Url",
        "File",
        "Process",
        "MailBox",
        "MailMessage",
        "MailCluster",
        "Registry",
        "SecurityGroup",
        "Toaster",
    ]);
    let entity = object(entity_type.prop_map(|kind| vec![("entityType".to_owned(), kind.into())]).boxed());
    let device = object(Just(Vec::new()).boxed());
    let parts = (
        prop::collection::vec(device.clone(), 0..3),
        prop::collection::vec(entity, 0..4),
        prop::collection::vec(device, 0..2),
    );
    let alert = object(
        parts
            .prop_map(|(devices, entities, comments)| {
                vec![
                    ("devices".to_owned(), devices.into()),
                    ("entities".to_owned(), entities.into()),
                    ("comments".to_owned(), comments.into()),
                ]
            })
            .boxed(),
    );
    object(
        prop::collection::vec(alert, 0..3).prop_map(|alerts| vec![("alerts".to_owned(), Value::from(alerts))]).boxed(),
    )
}

proptest! {
    #[test]
    fn nothing_is_lost_of_any_incident(incident in incident()) {
        assert_nothing_lost(&incident);
    }
}
