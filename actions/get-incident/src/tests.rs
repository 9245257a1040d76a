use super::*;
use sortie_sdk::testing::{Ran, ScriptedHost};

const GET: &Call = &endpoints::graph::GET_INCIDENT;
const XDR_GET: &Call = &endpoints::defender_xdr::GET_INCIDENT;

fn incident(id: &str, redirect: Value) -> Value {
    json!({"id": id, "displayName": "t", "redirectIncidentId": redirect, "novelty": {"a": [1]}, "alerts": [{"id": "a1"}]})
}

fn warnings(ran: &Ran) -> Vec<&str> {
    ran.output()["warnings"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

#[test]
fn an_incident_comes_as_the_service_sent_it() {
    let ran =
        ScriptedHost::new().answer(GET, 200, incident("5", Value::Null)).run::<GetIncident>(json!({"incidentId": 5}));
    assert_eq!(ran.output()["incident"], incident("5", Value::Null));
    assert_eq!(ran.output()["redirectedFrom"], json!([]));
    assert_eq!(ran.requests[0].query("$expand"), Some("alerts"));
    assert_eq!(ran.requests[0].head["path"], json!({"incidentId": "5"}));
    assert_eq!(ran.requests[0].head["headers"], json!({"Prefer": "include-unknown-enum-members"}));
}

#[test]
fn alerts_are_left_out_on_request() {
    let ran = ScriptedHost::new()
        .answer(GET, 200, json!({"id": "5"}))
        .run::<GetIncident>(json!({"incidentId": "5", "alerts": false}));
    assert_eq!(ran.requests[0].query("$expand"), None);
    let body = json!({"incidentId": 5, "incidentName": "t", "alerts": [{"alertId": "a"}]});
    let ran = ScriptedHost::new()
        .surface(Api::DEFENDER_XDR)
        .answer(XDR_GET, 200, body)
        .run::<GetIncident>(json!({"incidentId": "5", "alerts": false}));
    assert_eq!(
        ran.output()["incident"],
        json!({"@odata.type": "#microsoft.graph.security.incident", "id": "5", "displayName": "t"})
    );
}

#[test]
fn both_surfaces_have_one_shape() {
    let body = json!({"incidentId": 5, "incidentName": "t", "status": "InProgress", "alerts": [{"alertId": "a", "entities": []}]});
    let ran = ScriptedHost::new()
        .surface(Api::DEFENDER_XDR)
        .answer(XDR_GET, 200, body)
        .run::<GetIncident>(json!({"incidentId": "5"}));
    let incident = &ran.output()["incident"];
    assert_eq!(
        (&incident["id"], &incident["status"], &incident["alerts"][0]["id"]),
        (&json!("5"), &json!("inProgress"), &json!("a"))
    );
    assert_eq!(ran.requests[0].head.get("headers"), None);
}

#[test]
fn a_merged_incident_leads_to_where_it_went() {
    let ran = ScriptedHost::new()
        .answer(GET, 200, incident("5", json!("6")))
        .answer(GET, 200, incident("6", json!(7)))
        .answer(GET, 200, incident("7", Value::Null))
        .run::<GetIncident>(json!({"incidentId": "5"}));
    assert_eq!(ran.output()["incident"]["id"], "7");
    assert_eq!(ran.output()["redirectedFrom"], json!(["5", "6"]));
    assert_eq!(warnings(&ran), ["incident 5 was merged: 5 -> 6 -> 7"]);
}

#[test]
fn merges_in_a_circle_end() {
    let ran = ScriptedHost::new()
        .answer(GET, 200, incident("5", json!("6")))
        .answer(GET, 200, incident("6", json!("5")))
        .run::<GetIncident>(json!({"incidentId": "5"}));
    assert_eq!(ran.output()["incident"]["id"], "5");
    assert!(warnings(&ran)[0].contains("circle"));
    let endless = (6..30).fold(ScriptedHost::new().answer(GET, 200, incident("5", json!("6"))), |host, id| {
        host.answer(GET, 200, incident(&id.to_string(), json!((id + 1).to_string())))
    });
    let ran = endless.run::<GetIncident>(json!({"incidentId": "5"}));
    assert_eq!(ran.requests.len(), 11);
}

#[test]
fn a_merge_into_something_unseen_is_said() {
    let ran = ScriptedHost::new()
        .answer(GET, 200, incident("5", json!("6")))
        .fail(GET, "answered", json!({"kind": "not_found", "message": "no", "httpStatus": 404}))
        .run::<GetIncident>(json!({"incidentId": "5"}));
    assert_eq!(ran.output()["incident"]["id"], "5");
    assert!(warnings(&ran)[0].contains("merged into 6"));
}

#[test]
fn the_services_refusal_passes_through() {
    let ran = ScriptedHost::new()
        .fail(GET, "answered", json!({"kind": "not_found", "message": "no such incident", "httpStatus": 404}))
        .run::<GetIncident>(json!({"incidentId": "5"}));
    assert_eq!((ran.error().kind(), ran.error().http_status()), (kinds::NOT_FOUND, Some(404)));
}

#[test]
fn an_answer_that_is_no_incident_is_refused() {
    for body in [&b"<html></html>"[..], b"[]", b"{}", b"{\"id\":\"5\"", b"", b"{\"value\":[]}"] {
        let ran = ScriptedHost::new().answer_bytes(GET, 200, body).run::<GetIncident>(json!({"incidentId": "5"}));
        assert_eq!(ran.error().kind(), kinds::BAD_RESPONSE, "{:?}", String::from_utf8_lossy(body));
    }
}

#[test]
fn hostile_ids_send_nothing() {
    for id in
        [json!("../machines"), json!("5%2f"), json!("5'"), json!(""), json!(0), json!(-1), json!(1.5), Value::Null]
    {
        let ran = ScriptedHost::new().run::<GetIncident>(json!({"incidentId": id}));
        assert_eq!(ran.error().violations()[0].pointer, "/incidentId", "{id}");
        assert!(ran.requests.is_empty());
    }
}
