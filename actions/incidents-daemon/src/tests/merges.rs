//! Incidents that were merged into others.

use super::*;

/// Incidents merged into others, as (id, target).
fn merged(pairs: impl IntoIterator<Item = (u32, u32)>) -> Vec<Value> {
    let one = |(id, target): (u32, u32)| {
        let mut merged = incident(id, 30);
        merged["redirectIncidentId"] = json!(target.to_string());
        merged
    };
    pairs.into_iter().map(one).collect()
}

fn failure(kind: &str, status: u16) -> Value {
    json!({"kind": kind, "message": "too many alerts", "httpStatus": status})
}

#[test]
fn a_merge_is_followed_while_it_is_news() {
    let mut merged = incident(1, 30);
    merged["status"] = json!("redirected");
    merged["redirectIncidentId"] = json!("77");
    let cursor = json!({"cursor": "1,poll,2026-03-10T11:00:00Z"});
    let ran =
        host(std::slice::from_ref(&merged)).answer(GET, 200, incident(77, 600)).run::<IncidentsDaemon>(cursor.clone());
    assert_eq!(ids(&ran), ["1", "77"]);
    assert_eq!((&ran.records[0]["state"], &ran.records[0]["mergedInto"]), (&json!("redirected"), &json!("77")));
    assert_eq!(ran.output()["calls"], 2);
    // The target's own time does not move the watermark back.
    assert_eq!(ran.output()["nextCursor"], "1,poll,2026-03-10T11:30:00Z");
    // When the target is in the window, or the merge is old news, it costs no call.
    let ran = host(&[merged.clone(), incident(77, 20)]).run::<IncidentsDaemon>(cursor);
    assert_eq!(ids(&ran), ["1", "77"]);
    assert_eq!(ran.requests.len(), 1);
    let ran = host(&[merged]).run::<IncidentsDaemon>(json!({"cursor": "1,poll,2026-03-10T11:30:00Z"}));
    assert_eq!(ran.requests.len(), 1);
}

#[test]
fn a_merge_into_something_unseen_does_not_stop_the_step() {
    let mut merged = incident(1, 30);
    merged["redirectIncidentId"] = json!("77");
    let ran = host(&[merged])
        .fail(GET, "answered", json!({"kind": "not_found", "message": "no", "httpStatus": 404}))
        .run::<IncidentsDaemon>(json!({}));
    assert_eq!(ids(&ran), ["1"]);
    assert!(ran.output()["warnings"][0].as_str().unwrap().contains("77"));
}

#[test]
fn one_bad_merge_target_does_not_stop_the_daemon() {
    // Its alerts fail for ever; it comes without them.
    let two = merged([(1, 77), (2, 88)]);
    let mut bare = incident(77, 600);
    bare.as_object_mut().unwrap().remove("alerts");
    for bad in [failure("unavailable", 500), failure("response_too_large", 200)] {
        let ran = host(&two)
            .fail(GET, "answered", bad)
            .answer(GET, 200, incident(88, 600))
            .answer(GET, 200, bare.clone())
            .run::<IncidentsDaemon>(json!({}));
        assert_eq!(ids(&ran), ["1", "2", "77", "88"]);
        assert_eq!(ran.records[2]["quarantine"]["id"], "77");
        assert_eq!(ran.records[2]["body"], bare);
        assert_eq!(ran.records[3].get("quarantine"), None);
        assert_eq!((&ran.output()["calls"], &ran.output()["quarantined"]), (&json!(4), &json!(1)));
        assert_eq!((ran.requests[1].query("$expand"), ran.requests[3].query("$expand")), (Some("alerts"), None));
    }
}

#[test]
fn a_merge_target_that_cannot_be_read_at_all_leaves_a_note_with_its_id() {
    let two = merged([(1, 77), (2, 88)]);
    // Not an incident, with and without its alerts.
    let ran = host(&two)
        .answer(GET, 200, json!(["surprise"]))
        .answer(GET, 200, incident(88, 600))
        .answer(GET, 200, json!(null))
        .run::<IncidentsDaemon>(json!({}));
    assert_eq!(ids(&ran), ["1", "2", "77", "88"]);
    let note = &ran.records[2];
    assert_eq!((&note["quarantine"]["id"], &note["body"]), (&json!("77"), &Value::Null));
    assert!(note["quarantine"]["reason"].as_str().unwrap().starts_with("unreadable: "), "{note}");
    // Where there is no smaller form to ask for, no call is spent on it.
    let xdr = json!({"incidentId": 1, "redirectIncidentId": 77, "lastUpdateTime": "2026-03-10T11:50:00Z"});
    let ran = ScriptedHost::new()
        .surface(Api::DEFENDER_XDR)
        .answer(XDR_LIST, 200, json!({"value": [xdr]}))
        .fail(&endpoints::defender_xdr::GET_INCIDENT, "answered", failure("unavailable", 500))
        .run::<IncidentsDaemon>(json!({}));
    assert_eq!(ids(&ran), ["1", "77"]);
    assert_eq!(ran.requests.len(), 2);
}

#[test]
fn a_service_that_fails_fails_the_step_and_not_the_targets() {
    let two = merged([(1, 77)]);
    let ran = host(&two).fail(GET, "answered", failure("throttled", 429)).run::<IncidentsDaemon>(json!({}));
    assert_eq!(ran.error().kind(), kinds::THROTTLED);
    let ran = host(&two).fail(GET, "not_sent", failure("unavailable", 500)).run::<IncidentsDaemon>(json!({}));
    assert_eq!(ran.error().kind(), kinds::UNAVAILABLE);
    // One after the other, with and without alerts: it is not the incidents.
    let many = merged((1..=6).map(|id| (id, 100 + id)));
    let broken = (0..12).fold(host(&many), |host, _| host.fail(GET, "answered", failure("unavailable", 500)));
    assert_eq!(broken.run::<IncidentsDaemon>(json!({})).error().kind(), kinds::UNAVAILABLE);
}

#[test]
fn hundreds_of_merges_in_one_step_are_all_followed() {
    let pages = (0..6).fold(ScriptedHost::new(), |host, page| {
        let next = merged((1..=45).map(|id| (page * 45 + id, 1_000 + page * 45 + id)));
        host.answer(LIST, 200, json!({"value": next, "@odata.nextLink": format!("https://x.test/{page}")}))
    });
    let pages = pages.answer(LIST, 200, json!({"value": []}));
    let ran = (1..=270).fold(pages, |host, id| host.answer(GET, 200, incident(1_000 + id, 600)));
    let ran = ran.run::<IncidentsDaemon>(json!({}));
    assert_eq!(ran.output()["returned"], 540);
    let handed_over: std::collections::BTreeSet<&str> = ids(&ran).into_iter().collect();
    assert!((1..=270).all(|id| handed_over.contains((1_000 + id).to_string().as_str())));
    assert_eq!(ran.output().get("warnings").and_then(|warnings| warnings.get(0)), None);
}

#[test]
fn merges_that_lead_on_for_ever_end() {
    let chain =
        (77..200).fold(host(&merged([(1, 77)])), |host, id| host.answer(GET, 200, merged([(id, id + 1)]).remove(0)));
    let ran = chain.run::<IncidentsDaemon>(json!({}));
    assert_eq!(ran.records.len(), 11);
    assert!(ran.output()["warnings"][0].as_str().unwrap().contains("lead on to 87"), "{}", ran.output());
}
