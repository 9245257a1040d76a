use super::*;
use sortie_sdk::testing::ScriptedHost;

mod refusal;

const LIST: &Call = &endpoints::graph::LIST_INCIDENTS;
const XDR_LIST: &Call = &endpoints::defender_xdr::LIST_INCIDENTS;

fn page(incidents: &[Value]) -> Value {
    json!({"value": incidents})
}

fn incident(id: u32, title: &str) -> Value {
    json!({"id": id.to_string(), "displayName": title, "severity": "high", "createdDateTime": "2026-01-01T00:00:00Z", "customTags": ["Red"]})
}

#[test]
fn matches_are_passed_through_as_they_come() {
    let found = [incident(2, "Ransomware"), incident(1, "x")];
    let ran = ScriptedHost::new().answer(LIST, 200, page(&found)).run::<SearchIncidents>(json!({
        "createdAfter": "2026-01-01", "updatedBefore": "-1h", "status": ["active", "InProgress"], "severity": ["high"],
        "assignedTo": "unassigned", "classification": ["unknown"], "determination": ["compromisedUser"],
    }));
    assert_eq!(ran.records, found);
    let output = ran.output();
    assert_eq!(
        (&output["read"], &output["returned"], &output["limited"], &output["calls"]),
        (&json!(2), &json!(2), &json!(false), &json!(1))
    );
    assert_eq!(output["decidedHere"], json!([]));
    assert_eq!(
        ran.requests[0].query("$filter"),
        Some(
            "createdDateTime ge 2026-01-01T00:00:00Z and lastUpdateDateTime lt 2026-03-10T11:00:00Z and (status eq 'active' or \
             status eq 'inProgress') and severity eq 'high' and assignedTo eq null and classification eq 'unknown' and determination \
             eq 'compromisedAccount'"
        )
    );
    assert_eq!((ran.requests[0].query("$top"), ran.requests[0].query("$expand")), (Some("50"), None));
}

#[test]
fn what_the_service_cannot_decide_is_decided_here_and_said() {
    let found = [incident(2, "Ransomware"), incident(1, "x")];
    let ran = ScriptedHost::new()
        .answer(LIST, 200, page(&found))
        .run::<SearchIncidents>(json!({"title": "WARE", "tags": ["red"]}));
    assert_eq!(ran.records, found[..1]);
    let output = ran.output();
    assert_eq!((&output["read"], &output["returned"]), (&json!(2), &json!(1)));
    assert_eq!(output["decidedHere"], json!(["tags", "title"]));
}

#[test]
fn alerts_read_for_a_condition_are_not_returned_unless_asked_for() {
    let mut with_alerts = incident(1, "x");
    with_alerts["alerts"] = json!([{"id": "a", "serviceSource": "microsoftDefenderForEndpoint"}]);
    with_alerts["alerts@odata.context"] = json!("y");
    for (alerts, wanted) in [(false, incident(1, "x")), (true, with_alerts.clone())] {
        let ran = ScriptedHost::new()
            .answer(LIST, 200, page(&[with_alerts.clone(), incident(2, "no alerts")]))
            .run::<SearchIncidents>(json!({"serviceSource": ["microsoftDefenderForEndpoint"], "alerts": alerts}));
        assert_eq!(ran.records, [wanted]);
        assert_eq!(ran.requests[0].query("$expand"), Some("alerts"));
    }
}

#[test]
fn on_defender_xdr_the_records_have_graphs_shape() {
    let body = json!({"value": [
        {"incidentId": 3, "incidentName": "a", "severity": "High", "status": "Active", "alerts": [{"alertId": "x"}]},
        {"incidentId": 4, "incidentName": "b", "severity": "Low", "status": "Active", "alerts": []},
    ]});
    let ran = ScriptedHost::new()
        .surface(Api::DEFENDER_XDR)
        .answer(XDR_LIST, 200, body)
        .run::<SearchIncidents>(json!({"severity": ["high"], "status": ["active"], "limit": 5}));
    assert_eq!(
        ran.records,
        [
            json!({"@odata.type": "#microsoft.graph.security.incident", "id": "3", "displayName": "a", "severity": "high", "status": "active"})
        ]
    );
    assert_eq!(ran.requests[0].query("$filter"), Some("status eq 'Active'"));
    // Severity is decided here, so the limit says nothing about how many must be read.
    assert_eq!(ran.requests[0].query("$top"), Some("100"));
    assert_eq!(ran.output()["decidedHere"], json!(["severity"]));
}

#[test]
fn a_limit_ends_the_search() {
    let found = [incident(1, "x"), incident(2, "x"), incident(3, "x")];
    let ran = ScriptedHost::new().answer(LIST, 200, page(&found)).run::<SearchIncidents>(json!({"limit": 2}));
    assert_eq!(ran.records.len(), 2);
    assert_eq!(ran.output()["limited"], true);
    assert_eq!(ran.requests[0].query("$top"), Some("2"));
}

#[test]
fn an_incident_resolved_meanwhile_takes_no_neighbour_with_it() {
    let some = |ids: std::ops::RangeInclusive<u32>| {
        let one = |id| json!({"incidentId": id, "createdTime": "2026-01-01T00:00:00Z", "lastUpdateTime": "2026-01-02T00:00:00Z"});
        json!({"value": ids.rev().map(one).collect::<Vec<_>>()})
    };
    // 150 active ones; one of the first page is resolved before the second is read, so that incident 50 moves up to the first.
    let ran = ScriptedHost::new()
        .surface(Api::DEFENDER_XDR)
        .answer(XDR_LIST, 200, some(51..=150))
        .answer(XDR_LIST, 200, some(1..=49))
        .answer(XDR_LIST, 200, some(50..=149))
        .answer(XDR_LIST, 200, some(1..=50))
        .answer(XDR_LIST, 200, page(&[]))
        .run::<SearchIncidents>(json!({"status": ["active"]}));
    assert_eq!(ran.output()["returned"], 150);
    assert!(ran.records.iter().any(|record| record["id"] == "50"));
    let asked: Vec<_> = ran.requests.iter().map(|request| request.query("$skip")).collect();
    assert_eq!(asked, [None, Some("99"), None, Some("99"), None]);
    let since = "status eq 'Active' and lastUpdateTime ge 2026-03-10T11:59:58Z";
    assert_eq!(ran.requests[4].query("$filter"), Some(since));
    assert_eq!(ran.output().get("warnings").and_then(|warnings| warnings.get(0)), None);
}

#[test]
fn what_is_not_an_incident_is_left_out_and_said() {
    let ran = ScriptedHost::new()
        .answer(LIST, 200, json!({"value": [null, incident(1, "x"), "y"]}))
        .run::<SearchIncidents>(json!({}));
    assert_eq!(ran.records, [incident(1, "x")]);
    assert_eq!(ran.output()["read"], 3);
    assert!(ran.output()["warnings"][0].as_str().unwrap().contains("not an incident"));
}

#[test]
fn a_pretty_printed_answer_still_gives_one_line_each() {
    let body = serde_json::to_vec_pretty(&page(&[incident(1, "two\nlines")])).unwrap();
    let ran = ScriptedHost::new().answer_bytes(LIST, 200, &body).run::<SearchIncidents>(json!({}));
    assert_eq!(ran.records, [incident(1, "two\nlines")]);
}

#[test]
fn every_violation_at_once_and_no_request() {
    let ran = ScriptedHost::new().run::<SearchIncidents>(json!({
        "createdAfter": "2026-02-01", "createdBefore": "2026-01-01", "updatedAfter": "9999-01-01", "status": ["open"],
        "limit": 0, "title": " ", "tags": [""], "colour": 1,
    }));
    let found: Vec<_> = ran.error().violations().iter().map(|violation| violation.pointer.as_str()).collect();
    for pointer in ["/updatedAfter", "/status/0", "/colour", "/createdBefore", "/limit", "/title", "/tags/0"] {
        assert!(found.contains(&pointer), "{pointer} in {found:?}");
    }
    assert_eq!(found.len(), 7);
    assert!(ran.requests.is_empty());
}
