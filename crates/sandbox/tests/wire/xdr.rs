use serde_json::{Value, json};
use sortie_sandbox::{IncidentDraft, Pairs, Undocumented, XdrSpelling};

use super::client::small;

#[test]
fn lists_page_by_skip_and_show_the_same_tenant() {
    let rig = small();
    let first = rig.xdr("GET", "/incidents").send();
    assert_eq!((first.ids().len(), first.next_link()), (100, None));
    let second = rig.xdr("GET", "/incidents?$top=100&$skip=100").send();
    let ids: Vec<String> = first.ids().into_iter().chain(second.ids()).collect();
    assert_eq!(ids, rig.sandbox.control().incident_ids().iter().rev().map(u64::to_string).collect::<Vec<_>>());
    assert_eq!(rig.xdr("GET", "/incidents?$skip=100000").send().ids().len(), 0);
    rig.sandbox.control().switch(|switches| switches.xdr_next_links = true);
    let linked = rig.xdr("GET", "/incidents?$top=50").send().next_link().unwrap();
    assert!(linked.ends_with("$skip=50"), "{linked}");
}

#[test]
fn only_four_properties_filter() {
    let rig = small();
    for filter in [
        "status eq 'Active'",
        "assignedTo eq 'soc-tier1@contoso.com'",
        "createdTime ge 2026-02-20T00:00:00Z",
        "lastUpdateTime+ge+2026-02-20T00:00:00Z",
    ] {
        let answer = rig.xdr("GET", &format!("/incidents?$filter={}", filter.replace(' ', "%20"))).send();
        assert_eq!(answer.status, 200, "{filter}: {}", answer.text());
        assert!(!answer.ids().is_empty() && answer.ids().len() < 120, "{filter}");
    }
    for filter in [
        "severity eq 'High'",
        "status eq 'active'",
        "lastUpdateDateTime ge 2026-02-20T00:00:00Z",
        "incidentId eq 1001",
        "Status eq 'Active'",
    ] {
        let answer = rig.xdr("GET", &format!("/incidents?$filter={}", filter.replace(' ', "%20"))).send();
        assert_eq!((answer.status, answer.code().as_str()), (400, "ODataError"), "{filter}");
        assert_eq!(answer.json()["error"]["target"].as_str(), answer.header("request-id"));
    }
    for query in ["$top=101", "$orderby=createdTime", "$select=status", "$expand=alerts", "$count=true", "$skip=-1"] {
        assert_eq!(rig.xdr("GET", &format!("/incidents?{query}")).send().status, 400, "{query}");
    }
    rig.sandbox.control().switch(|switches| switches.xdr_other_options = Undocumented::Ignore);
    assert_eq!(rig.xdr("GET", "/incidents?$orderby=createdTime").send().status, 200);
}

#[test]
fn records_are_flat_and_whole() {
    let rig = small();
    let list = rig.xdr("GET", "/incidents").send().json();
    let (mut entities, mut devices, mut types) = (0, 0, std::collections::BTreeSet::new());
    for incident in list["value"].as_array().unwrap() {
        assert!(incident["incidentId"].is_u64());
        for alert in incident["alerts"].as_array().unwrap() {
            assert_eq!(alert["incidentId"], incident["incidentId"]);
            for entity in alert["entities"].as_array().unwrap() {
                assert_eq!(entity.as_object().unwrap().len(), 31);
                types.insert(entity["entityType"].as_str().unwrap().to_owned());
                entities += 1;
            }
            devices += alert["devices"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|device| device["osBuild"].is_i64() && device["mdatpDeviceId"].as_str().unwrap().len() == 40)
                .count();
        }
    }
    assert!(entities > 300 && devices > 50, "{entities} {devices}");
    for wanted in
        ["User", "Ip", "Url", "File", "Process", "MailBox", "MailMessage", "MailCluster", "Registry", "SecurityGroup"]
    {
        assert!(types.contains(wanted), "{wanted}");
    }
}

#[test]
fn updates_follow_the_update_page() {
    let rig = small();
    let control = rig.sandbox.control();
    let id = control.add_incident(&IncidentDraft::default()).unwrap();
    let path = format!("/incidents/{id}");
    let patch = |body: Value| rig.xdr("PATCH", &path).json(&body).send();
    let answer = patch(
        json!({"status": "Resolved", "assignedTo": "x@contoso.com", "classification": "TruePositive", "determination": "CompromisedAccount", "tags": ["a", "b"], "comment": "note"}),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let shown = answer.json();
    assert_eq!(shown["determination"], "CompromisedUser", "read as the resource page spells it");
    assert_eq!((shown["comments"][0]["comment"].as_str(), shown["tags"].clone()), (Some("note"), json!(["a", "b"])));
    assert_eq!(control.incident(id).unwrap()["determination"], "compromisedAccount");
    for body in [
        json!({"status": "resolved"}),
        json!({"status": "AwaitingAction"}),
        json!({"Status": "Resolved"}),
        json!({"tags": "a"}),
        json!({"determination": "CompromisedUser", "classification": "TruePositive"}),
        json!({"classification": "Unknown"}),
        json!({"customTags": ["a"]}),
        json!({"comments": ["a"]}),
        json!({"severity": "Low"}),
        json!({"comment": 1}),
    ] {
        let answer = patch(body.clone());
        assert_eq!((answer.status, answer.code().as_str()), (400, "InvalidRequestBody"), "{body}");
    }
    let mismatch = json!({"classification": "FalsePositive", "determination": "Malware"});
    assert_eq!(patch(mismatch.clone()).code(), "InvalidInput");
    control.switch(|switches| switches.xdr_pairs = Pairs::Any);
    assert_eq!(patch(mismatch).status, 200);
    control.switch(|switches| switches.xdr_pairs = Pairs::TruePositiveOnly);
    assert_eq!(patch(json!({"classification": "FalsePositive", "determination": "Clean"})).status, 400);
}

#[test]
fn ids_are_numbers_and_spellings_are_switches() {
    let rig = small();
    let control = rig.sandbox.control();
    assert_eq!(
        (rig.xdr("GET", "/incidents/1").send().code().as_str(), rig.xdr("GET", "/incidents/x").send().status),
        ("ResourceNotFound", 400)
    );
    let id = control
        .add_incident(&IncidentDraft {
            classification: Some("falsePositive".to_owned()),
            determination: Some("notEnoughDataToValidate".to_owned()),
            ..IncidentDraft::default()
        })
        .unwrap();
    let get = |id: u64| rig.xdr("GET", &format!("/incidents/{id}")).send().json();
    assert_eq!(get(id)["determination"], "InsufficientData");
    control.switch(|switches| {
        switches.xdr_spelling = XdrSpelling::Update;
        switches.xdr_null_classification = true;
    });
    assert_eq!(get(id)["determination"], "NoEnoughDataToValidate");
    let plain = control.add_incident(&IncidentDraft::default()).unwrap();
    assert_eq!(get(plain)["classification"], Value::Null);
    control.switch(|switches| switches.xdr_null_classification = false);
    assert_eq!(
        (get(plain)["classification"].as_str(), get(plain)["determination"].as_str()),
        (Some("Unknown"), Some("NotAvailable"))
    );
}
