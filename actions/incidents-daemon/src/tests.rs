use super::*;
use sortie_sdk::testing::{Ran, ScriptedHost};

mod host;
mod merges;

const LIST: &Call = &endpoints::graph::LIST_INCIDENTS;
const GET: &Call = &endpoints::graph::GET_INCIDENT;
const XDR_LIST: &Call = &endpoints::defender_xdr::LIST_INCIDENTS;

/// An incident that was updated so many minutes before noon, the scripted now.
fn incident(id: u32, minutes: i32) -> Value {
    let updated = format!("2026-03-10T{:02}:{:02}:00Z", 11 - (minutes - 1) / 60, 59 - (minutes - 1) % 60);
    json!({"id": id.to_string(), "displayName": format!("title {id}"), "severity": "high", "status": "active", "createdDateTime": "2026-03-01T00:00:00Z",
        "lastUpdateDateTime": updated, "alerts": [{"id": "a", "serviceSource": "microsoftSentinel", "mitreTechniques": ["T1059.001"]}]})
}

fn host(incidents: &[Value]) -> ScriptedHost {
    ScriptedHost::new().answer(LIST, 200, json!({"value": incidents}))
}

fn ids(ran: &Ran) -> Vec<&str> {
    ran.records.iter().filter_map(|record| record["id"].as_str()).collect()
}

#[test]
fn the_first_step_reads_one_look_back() {
    let ran = host(&[incident(2, 10), incident(1, 30)]).run::<IncidentsDaemon>(json!({}));
    assert_eq!(ran.requests[0].query("$filter"), Some("lastUpdateDateTime ge 2026-03-09T12:00:00Z"));
    assert_eq!(ran.requests[0].query("$expand"), Some("alerts"));
    let output = ran.output();
    assert_eq!(output["nextCursor"], "1,poll,2026-03-10T11:50:00Z");
    assert_eq!(
        (&output["more"], &output["read"], &output["returned"], &output["matched"]),
        (&json!(false), &json!(2), &json!(2), &json!(2))
    );
    assert_eq!(output["serverTime"], "2026-03-10T12:00:00Z");
    let record = &ran.records[0];
    assert_eq!(
        (&record["id"], &record["time"], &record["state"]),
        (&json!("2"), &json!("2026-03-10T11:50:00Z"), &json!("active"))
    );
    assert_eq!(
        (&record["mergedInto"], &record["matched"], record.get("quarantine")),
        (&Value::Null, &json!(true), None)
    );
    assert_eq!(record["body"], incident(2, 10));
    assert_eq!(record["resource"], "incident");
    assert_eq!(
        record["watched"],
        json!({"title": "title 2", "status": "active", "severity": "high", "assignedTo": null, "classification": "unknown",
            "determination": "unknown", "tags": [], "commentCount": 0, "alertIds": ["a"]})
    );
}

#[test]
fn a_quiet_poll_is_one_call_and_keeps_the_cursor() {
    let cursor = "1,poll,2026-03-10T11:50:00Z";
    let ran = host(&[incident(2, 10)]).run::<IncidentsDaemon>(json!({"cursor": cursor}));
    assert_eq!(ran.requests.len(), 1);
    assert_eq!(ran.requests[0].query("$filter"), Some("lastUpdateDateTime ge 2026-03-10T11:40:00Z"));
    assert_eq!(ran.output()["nextCursor"], cursor);
    let again = host(&[incident(2, 10)]).run::<IncidentsDaemon>(json!({"cursor": cursor}));
    assert_eq!(ran.records[0]["fingerprint"], again.records[0]["fingerprint"]);
    // Nothing at all keeps it too.
    assert_eq!(host(&[]).run::<IncidentsDaemon>(json!({"cursor": cursor})).output()["nextCursor"], cursor);
}

#[test]
fn the_newest_update_moves_the_watermark_wherever_it_stands() {
    let shuffled = [incident(1, 30), incident(2, 10), incident(3, 20)];
    let ran = host(&shuffled).run::<IncidentsDaemon>(json!({"cursor": "1,poll,2026-03-10T11:00:00Z", "overlap": "5m"}));
    assert_eq!(ran.output()["nextCursor"], "1,poll,2026-03-10T11:50:00Z");
    assert_eq!(ran.requests[0].query("$filter"), Some("lastUpdateDateTime ge 2026-03-10T10:55:00Z"));
}

#[test]
fn a_date_in_the_future_does_not_poison_the_cursor() {
    let mut future = incident(9, 1);
    future["lastUpdateDateTime"] = json!("9998-01-01T00:00:00Z");
    let ran = host(&[future, incident(1, 30)]).run::<IncidentsDaemon>(json!({"cursor": "1,poll,2026-03-10T11:00:00Z"}));
    assert_eq!(ids(&ran), ["9", "1"]);
    assert_eq!(ran.output()["nextCursor"], "1,poll,2026-03-10T12:00:00Z");
}

#[test]
fn filters_mark_and_do_not_hide() {
    let mut low = incident(3, 5);
    low["severity"] = json!("low");
    let mut noise = incident(4, 6);
    noise["displayName"] = json!("Weekly TEST of alarms");
    let ran = host(&[low, noise, incident(5, 7)]).run::<IncidentsDaemon>(json!({
        "severity": ["high"], "titleExclude": ["(?i)^weekly .*test"], "mitreTechnique": ["T1059"], "serviceSource": ["microsoftSentinel"],
    }));
    let matched: Vec<_> = ran.records.iter().map(|record| record["matched"].as_bool().unwrap()).collect();
    assert_eq!(matched, [false, false, true]);
    assert_eq!(ran.output()["matched"], 1);
}

#[test]
fn what_is_too_fresh_comes_later() {
    let ran = host(&[incident(2, 3), incident(1, 30)]).run::<IncidentsDaemon>(json!({"ingestDelay": "10m"}));
    assert_eq!(ids(&ran), ["1"]);
    assert_eq!(ran.output()["nextCursor"], "1,poll,2026-03-10T11:30:00Z");
}

#[test]
fn what_is_too_fresh_is_not_passed_over_by_the_watermark() {
    // Longer than the overlap: once past it, the incident of five minutes ago would never be read again.
    let delays = json!({"ingestDelay": "10m", "overlap": "1m", "cursor": "1,poll,2026-03-10T11:00:00Z"});
    let mut future = incident(9, 1);
    future["lastUpdateDateTime"] = json!("9998-01-01T00:00:00Z");
    // The service's Date has whole seconds, so that this one seems to lie ahead of it.
    let mut just_now = incident(8, 1);
    just_now["lastUpdateDateTime"] = json!("2026-03-10T12:00:00.4Z");
    let ran = host(&[future, just_now, incident(2, 5), incident(1, 30)]).run::<IncidentsDaemon>(delays.clone());
    assert_eq!(ids(&ran), ["9", "1"]);
    assert_eq!(ran.output()["nextCursor"], "1,poll,2026-03-10T11:54:59.9999999Z");
    // A later step, when it has waited long enough.
    let mut later = delays;
    later["cursor"] = ran.output()["nextCursor"].clone();
    later["ingestDelay"] = json!("4m");
    let ran = host(&[incident(2, 5)]).run::<IncidentsDaemon>(later);
    assert_eq!(ran.requests[0].query("$filter"), Some("lastUpdateDateTime ge 2026-03-10T11:53:59.9999999Z"));
    assert_eq!(ids(&ran), ["2"]);
}

#[test]
fn what_is_too_fresh_holds_the_watermark_of_a_window_in_parts() {
    // The last hour in parts; this one holds the incident of five minutes ago.
    let cursor = "1,poll,2026-03-10T11:00:00Z,2026-03-10T11:50:00Z,540000000000,2026-03-10T11:49:00Z";
    let ran = host(&[incident(2, 5), incident(1, 10)])
        .run::<IncidentsDaemon>(json!({"cursor": cursor, "ingestDelay": "8m", "overlap": "1m"}));
    assert_eq!(ids(&ran), ["1"]);
    assert_eq!(
        (&ran.output()["nextCursor"], &ran.output()["more"]),
        (&json!("1,poll,2026-03-10T11:50:00Z"), &json!(false))
    );
}

#[test]
fn poison_is_quarantined_and_its_neighbours_flow() {
    let ran = host(&[
        json!({"displayName": "no id"}),
        json!(null),
        json!({"id": "abc", "status": 5, "surprise": {}}),
        incident(1, 5),
    ])
    .run::<IncidentsDaemon>(json!({}));
    assert_eq!(ran.output()["quarantined"], 2);
    assert_eq!(ran.records[0]["quarantine"], json!({"id": null, "reason": "the record has no readable id"}));
    assert_eq!(ran.records[0]["body"], json!({"displayName": "no id"}));
    assert_eq!(ids(&ran), ["abc", "1"]);
}

#[test]
fn an_incident_whose_alerts_fail_is_handed_over_with_a_note() {
    let failure = json!({"kind": "unavailable", "message": "the service said 500", "httpStatus": 500});
    let mut bare = incident(1, 5);
    bare.as_object_mut().unwrap().remove("alerts");
    let mut host =
        ScriptedHost::new().fail(LIST, "answered", failure.clone()).answer(LIST, 200, json!({"value": [bare]}));
    for _ in 0..3 {
        host = host.fail(LIST, "answered", failure.clone());
    }
    let ran = host
        .answer(LIST, 200, json!({"value": [bare, incident(2, 6)]}))
        .fail(GET, "answered", failure)
        .answer(GET, 200, incident(2, 6))
        .run::<IncidentsDaemon>(json!({}));
    assert_eq!(ids(&ran), ["1", "2"], "{:?}", ran.result);
    assert_eq!(ran.records[0]["quarantine"]["id"], "1");
    assert_eq!(ran.records[1].get("quarantine"), None);
    assert_eq!(ran.output()["quarantined"], 1);
}

#[test]
fn a_window_beyond_the_limit_is_cut_and_finished_in_steps() {
    let many: Vec<Value> = (1..=50).map(|id| incident(id, id as i32)).collect();
    let ran = host(&many).run::<IncidentsDaemon>(json!({"limit": 20, "lookBack": "1h"}));
    assert_eq!((ran.records.len(), &ran.output()["more"]), (20, &json!(true)));
    let cursor = ran.output()["nextCursor"].as_str().unwrap().to_owned();
    // The watermark has not moved, and the next step reads a part from the same beginning.
    assert!(cursor.starts_with("1,poll,2026-03-10T11:00:00Z,2026-03-10T11:00:00Z,"), "{cursor}");
    let ran = host(&many[40..]).run::<IncidentsDaemon>(json!({"limit": 20, "cursor": cursor}));
    let filter = ran.requests[0].query("$filter").unwrap();
    assert!(
        filter.starts_with("lastUpdateDateTime ge 2026-03-10T11:00:00Z and lastUpdateDateTime lt 2026-03-10T11:"),
        "{filter}"
    );
    assert_eq!((ran.records.len(), &ran.output()["more"]), (10, &json!(true)));
}

#[test]
fn a_sweep_reads_the_look_back_and_begins_anew() {
    let ran = host(&[incident(1, 5)]).run::<IncidentsDaemon>(json!({"mode": "sweep", "lookBack": "7 days"}));
    assert_eq!(ran.requests[0].query("$filter"), Some("lastUpdateDateTime ge 2026-03-03T12:00:00Z"));
    assert_eq!(
        (&ran.output()["nextCursor"], &ran.output()["more"], &ran.output()["mode"]),
        (&Value::Null, &json!(false), &json!("sweep"))
    );
}

#[test]
fn both_surfaces_hand_over_the_same_version() {
    let xdr = json!({"incidentId": 2, "incidentName": "title 2", "severity": "High", "status": "Active", "createdTime": "2026-03-01T00:00:00Z",
        "lastUpdateTime": "2026-03-10T11:50:00Z", "alerts": [{"alertId": "a", "serviceSource": "MicrosoftSentinel"}]});
    let by_xdr = ScriptedHost::new()
        .surface(Api::DEFENDER_XDR)
        .answer(XDR_LIST, 200, json!({"value": [xdr]}))
        .run::<IncidentsDaemon>(json!({}));
    let by_graph = host(&[incident(2, 10)]).run::<IncidentsDaemon>(json!({}));
    assert_eq!(by_xdr.records[0]["fingerprint"], by_graph.records[0]["fingerprint"]);
    assert_eq!(by_xdr.records[0]["body"]["displayName"], "title 2");
    assert_eq!(by_xdr.output()["nextCursor"], by_graph.output()["nextCursor"]);
}

#[test]
fn a_failed_page_fails_the_step() {
    let ran = ScriptedHost::new()
        .fail(LIST, "answered", json!({"kind": "throttled", "message": "later", "retryable": true, "httpStatus": 429, "retryAfterSeconds": 30}))
        .run::<IncidentsDaemon>(json!({"cursor": "1,poll,2026-03-10T11:00:00Z"}));
    assert_eq!(ran.error().kind(), kinds::THROTTLED);
}

#[test]
fn bad_inputs_are_refused_before_any_call() {
    for (input, pointer) in [
        (json!({"cursor": "1,sweep,2026-03-10T11:00:00Z"}), "/cursor"),
        (json!({"cursor": "yesterday"}), "/cursor"),
        (json!({"limit": 0}), "/limit"),
        (json!({"alerts": false, "serviceSource": ["microsoftSentinel"]}), "/serviceSource"),
        (json!({"titleExclude": ["("]}), "/titleExclude/0"),
        (json!({"titleExclude": [""]}), "/titleExclude/0"),
        (json!({"lookBack": "2 years"}), "/lookBack"),
        (json!({"lookBack": "-1h"}), "/lookBack"),
        (json!({"overlap": "soon"}), "/overlap"),
        (json!({"mode": "stroll"}), "/mode"),
        (json!({"colour": 1}), "/colour"),
    ] {
        let ran = ScriptedHost::new().run::<IncidentsDaemon>(input.clone());
        assert_eq!(ran.error().violations()[0].pointer, pointer, "{input}");
        assert!(ran.requests.is_empty());
    }
}
