use serde_json::json;
use sortie_sandbox::{AlertDraft, Continuation, GraphSpelling, IncidentDraft, Newest, TopRule, Undocumented};

use super::client::{Rig, ask, small};

/// Follows next links from a first URL; returns the ids and the number of pages.
fn all(rig: &Rig, path: &str) -> (Vec<String>, usize) {
    let token = rig.base(super::client::GRAPH);
    let (mut ids, mut pages, mut url) = (Vec::new(), 0, Some(format!("{}{path}", rig.sandbox.graph())));
    while let Some(next) = url {
        let answer = ask("GET", &next).bearer(&token).send();
        assert_eq!(answer.status, 200, "{}", answer.text());
        ids.extend(answer.ids());
        pages += 1;
        url = answer.next_link();
        assert!(pages < 50);
    }
    (ids, pages)
}

#[test]
fn pages_hold_fifty_and_show_every_incident_once() {
    let rig = small();
    let (ids, pages) = all(&rig, "/security/incidents");
    let mut expected: Vec<String> = rig.sandbox.control().incident_ids().iter().rev().map(u64::to_string).collect();
    assert_eq!((ids.clone(), pages), (expected.clone(), 3));
    let (by_seven, pages) = all(&rig, "/security/incidents?$top=7&%24expand=alerts");
    assert_eq!((by_seven, pages), (ids, 18));
    rig.sandbox.control().switch(|switches| switches.graph_next_links = false);
    expected.truncate(50);
    assert_eq!(all(&rig, "/security/incidents"), (expected, 1));
}

#[test]
fn top_and_skip_have_limits() {
    let rig = small();
    for (path, status) in [
        ("?$top=50", 200),
        ("?$top=51", 400),
        ("?$skip=500", 200),
        ("?$skip=501", 400),
        ("?$top=-1", 400),
        ("?$top=x", 400),
        ("?$top=1&$top=2", 400),
    ] {
        assert_eq!(rig.graph("GET", &format!("/security/incidents{path}")).send().status, status, "{path}");
    }
    rig.sandbox.control().switch(|switches| switches.graph_top = TopRule::Clamp1000);
    assert_eq!(rig.graph("GET", "/security/incidents?$top=5000").send().ids().len(), 120);
    rig.sandbox.control().switch(|switches| switches.graph_top = TopRule::Clamp50);
    assert_eq!(rig.graph("GET", "/security/incidents?$top=5000").send().ids().len(), 50);
    assert_eq!(rig.graph("GET", "/security/incidents?$skip=110").send().ids().len(), 10);
}

#[test]
fn filters_do_what_they_say_and_only_what_is_documented() {
    let rig = small();
    let control = rig.sandbox.control();
    let incidents: Vec<_> = control.incident_ids().iter().map(|id| control.incident(*id).unwrap()).collect();
    let high =
        incidents.iter().filter(|incident| incident["severity"] == "high" && incident["status"] != "resolved").count();
    let (ids, _) = all(&rig, "/security/incidents?$filter=severity%20eq%20'high'%20and%20status%20ne%20'resolved'");
    assert!(high > 0 && ids.len() == high, "{high}");
    let (none, _) = all(&rig, "/security/incidents?$filter=assignedTo+eq+null");
    assert_eq!(none.len(), incidents.iter().filter(|incident| incident["assignedTo"].is_null()).count());
    let edge = incidents[60]["lastUpdateDateTime"].as_str().unwrap();
    let count = |operator: &str| {
        all(&rig, &format!("/security/incidents?$filter=lastUpdateDateTime%20{operator}%20{edge}")).0.len()
    };
    assert_eq!(count("ge") + count("lt"), 120);
    assert_eq!(count("ge") - count("gt"), 1);
    for filter in [
        "status in ('active')",
        "displayName eq 'x'",
        "status eq 'Active'",
        "severity eq high",
        "id eq '1001'",
        "startswith(assignedTo,'s')",
        "lastUpdateDateTime ge 2026-03-01T00:00:00+01:00",
    ] {
        // The last one is refused because a bare plus sign in a query is a space.
        let answer = rig.graph("GET", &format!("/security/incidents?$filter={}", filter.replace(' ', "%20"))).send();
        assert_eq!((answer.status, answer.code().as_str()), (400, "BadRequest"), "{filter}");
        assert!(answer.json()["error"]["innerError"]["request-id"].is_string());
        assert_eq!(answer.json()["error"]["innerError"]["request-id"].as_str(), answer.header("request-id"));
    }
    let encoded = "lastUpdateDateTime%20ge%202026-03-01T00:00:00%2B01:00";
    assert_eq!(rig.graph("GET", &format!("/security/incidents?$filter={encoded}")).send().status, 200);
}

#[test]
fn expand_count_select_and_orderby() {
    let rig = small();
    let plain = rig.graph("GET", "/security/incidents?$top=2&$count=true").send().json();
    assert_eq!(plain["@odata.count"], 120);
    assert!(plain["value"][0].get("alerts").is_none());
    let next = rig.graph("GET", "/security/incidents?$top=2&$count=true").send().next_link().unwrap();
    let second = ask("GET", &next).bearer(&rig.base(super::client::GRAPH)).send().json();
    assert!(second.get("@odata.count").is_none(), "the count stands on the first page only");
    let expanded = rig.graph("GET", "/security/incidents?$top=2&$expand=alerts").send().json();
    let alert = &expanded["value"][0]["alerts"][0];
    assert!(alert["evidence"][0]["@odata.type"].as_str().unwrap().starts_with("#microsoft.graph.security."));
    for query in [
        "$expand=comments",
        "$expand=alerts($select=id)",
        "$search=%22x%22",
        "$apply=x",
        "$orderby=severity",
        "$select=nothing",
        "$count=yes",
        "$skiptoken=zzz",
    ] {
        assert_eq!(rig.graph("GET", &format!("/security/incidents?{query}")).send().status, 400, "{query}");
    }
    let selected = rig.graph("GET", "/security/incidents?$top=1&$select=id,status").send().json();
    assert_eq!(selected["value"][0].as_object().unwrap().len(), 3);
    let (ascending, _) = all(&rig, "/security/incidents?$orderby=lastUpdateDateTime%20asc&$top=33");
    let control = rig.sandbox.control();
    let mut versions = control.versions();
    versions.sort_by_key(|version| (version.last_update, version.id));
    assert_eq!(ascending, versions.iter().map(|version| version.id.to_string()).collect::<Vec<_>>());
    control.switch(|switches| {
        switches.graph_orderby = Undocumented::Refuse;
        switches.graph_other_options = Undocumented::Ignore;
    });
    assert_eq!(rig.graph("GET", "/security/incidents?$orderby=createdDateTime").send().status, 400);
    assert_eq!(rig.graph("GET", "/security/incidents?$search=%22x%22").send().status, 200);
}

#[test]
fn late_enum_members_come_only_when_preferred() {
    let rig = small();
    let id = rig
        .sandbox
        .control()
        .add_incident(&IncidentDraft { status: Some("awaitingAction".to_owned()), ..IncidentDraft::default() })
        .unwrap();
    let path = format!("/security/incidents/{id}");
    assert_eq!(rig.graph("GET", &path).send().json()["status"], "unknownFutureValue");
    let prefer = |value: &str| rig.graph("GET", &path).header("Prefer", value).send().json()["status"].clone();
    assert_eq!(prefer("include-unknown-enum-members"), "awaitingAction");
    assert_eq!(prefer("odata.maxpagesize=5, include-unknown-enum-members"), "awaitingAction");
    // In lists too, where bodies are kept between requests.
    let list = |prefer: bool| {
        let mut request = rig.graph("GET", "/security/incidents?$top=1").header("Accept-Encoding", "gzip");
        if prefer {
            request = request.header("Prefer", "include-unknown-enum-members");
        }
        request.send().json()["value"][0]["status"].clone()
    };
    assert_eq!(
        (list(false), list(true), list(false)),
        ("unknownFutureValue".into(), "awaitingAction".into(), "unknownFutureValue".into())
    );
}

#[test]
fn updates_change_what_they_name_and_nothing_else() {
    let rig = small();
    let control = rig.sandbox.control();
    let id = *control.incident_ids().last().unwrap();
    let path = format!("/security/incidents/{id}");
    let before = control.incident(id).unwrap();
    control.advance(std::time::Duration::from_secs(60));
    let answer = rig.graph("PATCH", &path).json(&json!({"status": "resolved", "classification": "TruePositive", "determination": "malware", "assignedTo": "a@contoso.com", "customTags": ["x", "y"]})).send();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let after = control.incident(id).unwrap();
    for (key, value) in [
        ("status", json!("resolved")),
        ("classification", json!("truePositive")),
        ("determination", json!("malware")),
        ("assignedTo", json!("a@contoso.com")),
        ("customTags", json!(["x", "y"])),
        ("lastUpdateDateTime", json!("2026-03-01T12:01:00Z")),
    ] {
        assert_eq!(after[key], value, "{key}");
    }
    for key in ["displayName", "severity", "createdDateTime", "alerts", "description", "comments"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    assert_eq!(answer.json()["customTags"], json!(["x", "y"]));
    assert!(answer.json().get("alerts").is_none());
    assert_eq!(rig.graph("PATCH", &path).json(&json!({"assignedTo": null})).send().json()["assignedTo"], json!(null));
    let xdr = control.incident_xdr(id).unwrap();
    assert_eq!((xdr["status"].as_str(), xdr["determination"].as_str()), (Some("Resolved"), Some("Malware")));
}

#[test]
fn updates_are_refused_whole() {
    let rig = small();
    let control = rig.sandbox.control();
    let id = *control.incident_ids().last().unwrap();
    let path = format!("/security/incidents/{id}");
    let before = control.incident(id);
    for body in [
        json!({"status": "closed"}),
        json!({"status": "awaitingAction"}),
        json!({"status": 4}),
        json!({"status": "resolved", "tags": ["x"]}),
        json!({"customTags": "x"}),
        json!({"customTags": [1]}),
        json!({"severity": "low"}),
        json!({"comments": []}),
        json!({"determination": "compromisedUser"}),
        json!({"assignedTo": 7}),
        json!(["status"]),
    ] {
        let answer = rig.graph("PATCH", &path).json(&body).send();
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
    }
    assert_eq!(rig.graph("PATCH", &path).header("Content-Type", "text/plain").send().status, 400);
    assert_eq!(control.incident(id), before);
    assert!(control.records().iter().all(|record| record.method != "PATCH" || !record.worked));
    control.switch(|switches| switches.graph_patch_texts = false);
    assert_eq!(rig.graph("PATCH", &path).json(&json!({"summary": "x"})).send().status, 400);
    for id in ["1", "9999999999", "abc", "%2e%2e%2fmachines", "1001%2F..", "01001x"] {
        assert_eq!(rig.graph("GET", &format!("/security/incidents/{id}")).send().status, 404, "{id}");
    }
}

#[test]
fn comments_are_added_and_all_come_back() {
    let rig = small();
    let id = rig.sandbox.control().add_incident(&IncidentDraft::default()).unwrap();
    let path = format!("/security/incidents/{id}/comments");
    let body = json!({"@odata.type": "microsoft.graph.security.alertComment", "comment": "first"});
    assert_eq!(rig.graph("POST", &path).json(&body).send().status, 200);
    let answer = rig.graph("POST", &path).json(&json!({"comment": "second"})).send();
    let texts: Vec<_> =
        answer.json()["value"].as_array().unwrap().iter().map(|comment| comment["comment"].clone()).collect();
    assert_eq!(texts, ["first", "second"]);
    assert!(answer.json()["value"][0]["createdByDisplayName"].as_str().unwrap().contains("base"));
    for body in [
        json!({}),
        json!({"comment": ""}),
        json!({"comment": 1}),
        json!({"text": "x"}),
        json!({"@odata.type": "x", "comment": "x"}),
    ] {
        assert_eq!(rig.graph("POST", &path).json(&body).send().status, 400, "{body}");
    }
    rig.sandbox.control().switch(|switches| switches.comment_needs_type = true);
    assert_eq!(rig.graph("POST", &path).json(&json!({"comment": "x"})).send().status, 400);
}

#[test]
fn merged_incidents_redirect_and_lose_their_alerts() {
    let rig = small();
    let control = rig.sandbox.control();
    let [a, b, c] = [0; 3].map(|_| control.add_incident(&IncidentDraft::default()).unwrap());
    let alert = control.add_alert(a, &AlertDraft { title: Some("moved".to_owned()), ..AlertDraft::default() }).unwrap();
    control.merge(a, b).unwrap();
    control.merge(b, c).unwrap();
    let get = |id: u64| rig.graph("GET", &format!("/security/incidents/{id}?$expand=alerts")).send().json();
    assert_eq!(
        (get(a)["status"].as_str(), get(a)["redirectIncidentId"].as_str().unwrap().parse()),
        (Some("redirected"), Ok(b))
    );
    assert_eq!(get(a)["alerts"], json!([]));
    assert!(
        get(c)["alerts"]
            .as_array()
            .unwrap()
            .iter()
            .any(|moved| moved["id"] == alert.as_str() && moved["incidentId"].as_str() == Some(c.to_string().as_str()))
    );
    let moved = rig.graph("GET", &format!("/security/alerts_v2/{alert}")).send();
    assert_eq!((moved.status, moved.json()["incidentId"].as_str().map(str::to_owned)), (200, Some(c.to_string())));
    assert_eq!(control.incident_xdr(a).unwrap()["redirectIncidentId"], b);
    assert_eq!(
        rig.graph("PATCH", &format!("/security/incidents/{a}")).json(&json!({"assignedTo": "x"})).send().status,
        200
    );
    control.switch(|switches| switches.refuse_redirected_update = true);
    assert_eq!(
        rig.graph("PATCH", &format!("/security/incidents/{a}")).json(&json!({"assignedTo": "y"})).send().status,
        409
    );
    control.merge(c, a).unwrap();
    assert_eq!(get(c)["redirectIncidentId"], a.to_string(), "cycles can be made");
}

#[test]
fn alerts_are_listed_changed_and_commented() {
    let rig = small();
    let (ids, _) = all(&rig, "/security/alerts_v2");
    let unique: std::collections::BTreeSet<_> = ids.iter().collect();
    assert!(ids.len() > 200 && unique.len() == ids.len());
    let (endpoint, _) = all(&rig, "/security/alerts_v2?$filter=serviceSource%20eq%20'microsoftDefenderForEndpoint'");
    assert!(!endpoint.is_empty() && endpoint.len() < ids.len());
    let path = format!("/security/alerts_v2/{}", ids[0]);
    let one = rig.graph("GET", &path).send().json();
    assert_eq!(one["id"], ids[0].as_str());
    let incident: u64 = one["incidentId"].as_str().unwrap().parse().unwrap();
    let before = rig.sandbox.control().incident(incident).unwrap()["lastUpdateDateTime"].clone();
    rig.sandbox.control().advance(std::time::Duration::from_secs(5));
    let changed = rig.graph("PATCH", &path).json(&json!({"status": "inProgress", "assignedTo": "x", "classification": "truePositive", "determination": "malware"})).send();
    assert_eq!(
        (changed.status, changed.json()["status"].as_str().map(str::to_owned)),
        (200, Some("inProgress".to_owned()))
    );
    assert_eq!(
        rig.sandbox.control().incident(incident).unwrap()["lastUpdateDateTime"],
        before,
        "an alert's change does not move its incident"
    );
    assert_eq!(rig.graph("PATCH", &path).json(&json!({"customTags": []})).send().status, 400);
    let commented = rig.graph("POST", &format!("{path}/comments")).json(&json!({"comment": "c"})).send().json();
    assert_eq!(commented["value"][0]["comment"], "c");
    assert_eq!(rig.graph("GET", "/security/alerts_v2/da1_-1").send().status, 404);
    assert_eq!(rig.graph("GET", "/security/alerts_v2?$expand=evidence").send().status, 400);
    rig.sandbox.control().switch(|switches| switches.graph_alert_next_links = false);
    assert_eq!(all(&rig, "/security/alerts_v2?$top=50").1, 1);
}

#[test]
fn continuations_by_key_are_not_shifted_and_by_offset_are() {
    for (continuation, repeated) in [(Continuation::Key, false), (Continuation::Offset, true)] {
        let rig = small();
        let control = rig.sandbox.control();
        control.switch(|switches| switches.graph_continuation = continuation);
        let first = rig.graph("GET", "/security/incidents?$top=10").send();
        control.add_incident(&IncidentDraft::default()).unwrap();
        let second = ask("GET", &first.next_link().unwrap()).bearer(&rig.base(super::client::GRAPH)).send();
        assert_eq!(first.ids().last() == second.ids().first(), repeated);
    }
}

#[test]
fn one_timestamp_over_many_pages_loses_nothing() {
    let rig = small();
    let made = rig.sandbox.control().add_incidents(300, "2026-03-01T11:00:00Z".parse().unwrap()).unwrap();
    let (mut ids, _) = all(&rig, "/security/incidents?$filter=createdDateTime%20eq%202026-03-01T11:00:00Z&$top=37");
    ids.sort();
    assert_eq!(ids, made.iter().map(u64::to_string).collect::<Vec<_>>());
}

#[test]
fn compressed_answers_are_the_plain_ones() {
    let rig = small();
    for path in ["/security/incidents?$expand=alerts", "/security/incidents/1003?$expand=alerts", "/security/alerts_v2"]
    {
        let request = || rig.graph("GET", path);
        let plain = request().send();
        assert_eq!(plain.header("content-encoding"), None);
        for _ in 0..2 {
            let packed = request().header("Accept-Encoding", "br, gzip;q=0.8").send();
            assert_eq!(packed.header("content-encoding"), Some("gzip"));
            assert!(packed.body.len() < plain.body.len() && packed.json() == plain.json());
        }
        assert_eq!(request().header("Accept-Encoding", "gzip;q=0").send().header("content-encoding"), None);
        assert_eq!(request().send().json(), plain.json());
    }
}

#[test]
fn spellings_and_orders_are_switches() {
    let rig = small();
    let control = rig.sandbox.control();
    let id = control
        .add_incident(&IncidentDraft {
            classification: Some("truePositive".to_owned()),
            determination: Some("compromisedAccount".to_owned()),
            comments: vec!["c".to_owned()],
            custom_tags: Some(vec!["t".to_owned()]),
            ..IncidentDraft::default()
        })
        .unwrap();
    let get = || rig.graph("GET", &format!("/security/incidents/{id}")).header("Accept-Encoding", "gzip").send().json();
    assert_eq!(get()["determination"], "compromisedAccount");
    control.switch(|switches| {
        switches.graph_spelling = GraphSpelling::Pages;
        switches.graph_tags_key = true;
        switches.graph_comment_keys = sortie_sandbox::CommentKeys::Examples;
        switches.graph_short_odata_type = true;
    });
    let shown = get();
    assert_eq!((shown["determination"].as_str(), shown["tags"][0].as_str()), (Some("compromisedUser"), Some("t")));
    assert!(shown["comments"][0]["createdTime"].is_string() && shown.get("customTags").is_none());
    assert_eq!(shown["@odata.type"], "#microsoft.graph.incident");
    control.switch(|switches| switches.graph_spelling = GraphSpelling::Pascal);
    assert_eq!((get()["status"].as_str(), get()["classification"].as_str()), (Some("Active"), Some("TruePositive")));
    control.switch(|switches| switches.newest = Newest::Updated);
    let old = control.incident_ids()[0];
    control.advance(std::time::Duration::from_secs(1));
    control.edit_incident(old, &IncidentDraft::default()).unwrap();
    assert_eq!(rig.graph("GET", "/security/incidents?$top=1").send().ids(), [old.to_string()]);
}

#[test]
fn one_incident_can_spoil_every_list_that_expands_it() {
    let rig = small();
    let control = rig.sandbox.control();
    let id = *control.incident_ids().last().unwrap();
    control.fail_expand(id, true);
    assert_eq!(rig.graph("GET", "/security/incidents?$top=5&$expand=alerts").send().status, 500);
    assert_eq!(rig.graph("GET", "/security/incidents?$top=5").send().status, 200);
    assert_eq!(rig.graph("GET", "/security/incidents?$top=5&$expand=alerts&$skip=1").send().status, 200);
    assert_eq!(rig.graph("GET", &format!("/security/incidents/{id}?$expand=alerts")).send().status, 200);
    control.switch(|switches| switches.expand_failure_hits_single = true);
    assert_eq!(rig.graph("GET", &format!("/security/incidents/{id}?$expand=alerts")).send().status, 500);
}

#[test]
fn unknown_paths_and_methods_are_refused() {
    let rig = small();
    for (method, path, status) in [
        ("GET", "/security/incident", 400),
        ("DELETE", "/security/incidents/1001", 405),
        ("POST", "/security/incidents", 405),
        ("GET", "/security/incidents/1001/alerts", 400),
        ("GET", "/security/incidents/", 404),
    ] {
        assert_eq!(rig.graph(method, path).send().status, status, "{method} {path}");
    }
    let base = rig.sandbox.origin().to_owned();
    assert_eq!(
        ask("GET", &format!("{base}/graph/beta/security/incidents"))
            .bearer(&rig.base(super::client::GRAPH))
            .send()
            .status,
        400
    );
    assert_eq!(ask("GET", &format!("{base}/elsewhere")).send().status, 404);
}
