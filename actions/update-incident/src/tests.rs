use super::*;
use sortie_sdk::testing::{Ran, ScriptedHost};

fn incident(status: &str, comments: &[&str]) -> Value {
    let comments: Vec<Value> = comments
        .iter()
        .map(|text| json!({"comment": text, "createdByDisplayName": "x", "createdDateTime": "2026-01-01T00:00:00Z"}))
        .collect();
    json!({"id": "5", "status": status, "assignedTo": null, "classification": "unknown", "determination": "unknown", "customTags": ["a"],
        "displayName": "t", "comments": comments})
}

fn xdr(status: &str, comments: &[&str]) -> Value {
    let comments: Vec<Value> = comments
        .iter()
        .map(|text| json!({"comment": text, "createdBy": "x", "createdTime": "2026-01-01T00:00:00Z"}))
        .collect();
    json!({"incidentId": 5, "status": status, "assignedTo": null, "classification": "Unknown", "determination": "NotAvailable",
        "tags": ["a"], "incidentName": "t", "comments": comments, "alerts": []})
}

const GET: &sortie_sdk::prelude::Call = &endpoints::graph::GET_INCIDENT;
const PATCH: &Call = &endpoints::graph::UPDATE_INCIDENT;
const COMMENT: &Call = &endpoints::graph::COMMENT_INCIDENT;
const XDR_GET: &Call = &endpoints::defender_xdr::GET_INCIDENT;
const XDR_PATCH: &Call = &endpoints::defender_xdr::UPDATE_INCIDENT;

fn lost() -> Value {
    json!({"kind": "unavailable", "message": "the connection was reset", "retryable": true})
}

fn calls(ran: &Ran) -> Vec<&str> {
    ran.requests.iter().map(|request| request.call.as_str()).collect()
}

#[test]
fn only_what_changes_is_sent_and_shown_before_and_after() {
    let ran = ScriptedHost::new()
        .answer(GET, 200, incident("active", &[]))
        .answer(PATCH, 200, incident("resolved", &[]))
        .answer(COMMENT, 200, json!({"value": []}))
        .run::<UpdateIncident>(
            json!({"incidentId": 5, "status": "Resolved", "tags": {"add": ["a"]}, "comment": " done "}),
        );
    let output = ran.output();
    assert_eq!(output["incidentId"], "5");
    assert_eq!(output["before"], json!({"status": "active"}));
    assert_eq!(output["after"], json!({"status": "resolved"}));
    assert_eq!(output["changed"], json!(["status"]));
    assert_eq!((&output["comment"], &output["planned"]), (&json!("done"), &json!(false)));
    assert_eq!(ran.requests[1].body, json!({"status": "resolved"}));
    assert_eq!(ran.requests[1].head["headers"]["Prefer"], "include-unknown-enum-members");
    assert_eq!(ran.requests[2].body["comment"], "done");
    assert_eq!(output["warnings"], json!([]));
}

#[test]
fn nothing_to_change_sends_nothing() {
    let ran = ScriptedHost::new()
        .answer(GET, 200, incident("active", &[]))
        .run::<UpdateIncident>(json!({"incidentId": "5", "status": "active"}));
    assert_eq!(ran.output()["changed"], json!([]));
    assert_eq!(calls(&ran), ["graph.incidents.get"]);
}

#[test]
fn on_defender_xdr_one_call_carries_all() {
    let ran = ScriptedHost::new()
        .surface(Api::DEFENDER_XDR)
        .answer(XDR_GET, 200, xdr("Active", &[]))
        .answer(XDR_PATCH, 200, xdr("Resolved", &["done"]))
        .run::<UpdateIncident>(json!({"incidentId": "5", "status": "resolved", "comment": "done"}));
    assert_eq!(ran.output()["after"], json!({"status": "resolved"}));
    assert_eq!(ran.output()["surface"], "defender-xdr");
    assert_eq!(ran.requests[1].body, json!({"status": "Resolved", "comment": "done"}));
    assert_eq!(ran.requests.len(), 2);
}

#[test]
fn what_the_surface_does_not_have_is_refused_before_any_call() {
    let ran = ScriptedHost::new()
        .surface(Api::DEFENDER_XDR)
        .run::<UpdateIncident>(json!({"incidentId": "5", "status": "resolved", "summary": "x", "displayName": "y"}));
    assert_eq!(ran.error().kind(), kinds::INVALID_INPUT);
    let pointers: Vec<_> = ran.error().violations().iter().map(|violation| violation.pointer.as_str()).collect();
    assert_eq!(pointers, ["/displayName", "/summary"]);
    assert!(ran.requests.is_empty());
}

#[test]
fn a_bad_input_is_refused_with_every_reason() {
    let ran = ScriptedHost::new().run::<UpdateIncident>(json!({
        "incidentId": "../5", "status": "redirected", "classification": "falsePositive", "determination": "malware",
        "tags": {"set": ["a"], "add": ["b"]}, "colour": "red",
    }));
    let found: Vec<_> = ran.error().violations().iter().map(|violation| violation.pointer.as_str()).collect();
    for pointer in ["/incidentId", "/status", "/colour"] {
        assert!(found.contains(&pointer), "{pointer} in {found:?}");
    }
    assert!(ran.requests.is_empty());
    let ran = ScriptedHost::new().run::<UpdateIncident>(json!({
        "incidentId": "5", "classification": "falsePositive", "determination": "malware", "tags": {"set": ["a"], "add": ["b"]},
    }));
    let found: Vec<_> = ran.error().violations().iter().map(|violation| violation.pointer.as_str()).collect();
    assert_eq!(found, ["/tags/set", "/determination"]);
}

#[test]
fn a_merged_incident_is_a_conflict() {
    let mut merged = incident("redirected", &[]);
    merged["redirectIncidentId"] = json!("9");
    let ran = ScriptedHost::new()
        .answer(GET, 200, merged)
        .run::<UpdateIncident>(json!({"incidentId": "5", "status": "resolved"}));
    assert_eq!(ran.error().kind(), kinds::CONFLICT);
    assert!(ran.error().message().contains("incident 9"));
    assert_eq!(ran.requests.len(), 1);
}

#[test]
fn a_dry_run_plans_every_write_and_goes_on() {
    let ran = ScriptedHost::new()
        .plan()
        .answer(GET, 200, incident("active", &[]))
        .run::<UpdateIncident>(json!({"incidentId": "5", "status": "resolved", "comment": "done"}));
    assert_eq!(ran.output()["planned"], true);
    assert_eq!(ran.output()["after"], json!({"status": "resolved"}));
    assert_eq!(calls(&ran), ["graph.incidents.get", "graph.incidents.update", "graph.incidents.comment"]);
}

#[test]
fn a_lost_answer_is_looked_after() {
    // Done, though the answer was lost: nothing is sent again.
    let ran = ScriptedHost::new()
        .answer(GET, 200, incident("active", &[]))
        .fail(PATCH, "in_doubt", lost())
        .answer(GET, 200, incident("resolved", &[]))
        .answer(GET, 200, incident("resolved", &[]))
        .run::<UpdateIncident>(json!({"incidentId": "5", "status": "resolved"}));
    assert_eq!(ran.output()["after"], json!({"status": "resolved"}));
    assert_eq!(calls(&ran).iter().filter(|call| **call == "graph.incidents.update").count(), 1);
    assert_eq!(ran.output()["warnings"].as_array().unwrap().len(), 1);

    // Not done: sent once more.
    let ran = ScriptedHost::new()
        .answer(GET, 200, incident("active", &[]))
        .fail(PATCH, "in_doubt", lost())
        .answer(GET, 200, incident("active", &[]))
        .answer(GET, 200, incident("active", &[]))
        .answer(PATCH, 200, incident("resolved", &[]))
        .run::<UpdateIncident>(json!({"incidentId": "5", "status": "resolved"}));
    assert_eq!(ran.output()["after"], json!({"status": "resolved"}));
}

#[test]
fn a_comment_is_not_written_twice() {
    // The same words stood there before; one more of them means that the comment was written.
    let ran = ScriptedHost::new()
        .answer(GET, 200, incident("active", &["done"]))
        .fail(COMMENT, "in_doubt", lost())
        .answer(GET, 200, incident("active", &["done", "done"]))
        .run::<UpdateIncident>(json!({"incidentId": "5", "comment": "done"}));
    assert_eq!(ran.output()["comment"], "done");
    assert_eq!(calls(&ran).iter().filter(|call| **call == "graph.incidents.comment").count(), 1);

    // It may be shown late.
    let shown = [0, 0, 0, 1].map(|more| vec!["done"; 1 + more]);
    let ran = shown
        .iter()
        .fold(lost_comment(&["done"]), |host, comments| host.answer(GET, 200, incident("active", comments)))
        .run::<UpdateIncident>(json!({"incidentId": "5", "comment": "done"}));
    assert_eq!(ran.output()["comment"], "done");
}

/// A host on Graph that loses the answer to a comment.
fn lost_comment(before: &[&str]) -> ScriptedHost {
    ScriptedHost::new().answer(GET, 200, incident("active", before)).fail(COMMENT, "in_doubt", lost())
}

#[test]
fn a_comment_that_no_look_shows_is_unknown_and_not_sent_again() {
    let looks = |host, call: &Call, seen: Value| {
        (0..9).fold(host, |host: ScriptedHost, _| host.answer(call, 200, seen.clone()))
    };
    let ran = looks(lost_comment(&[]), GET, incident("active", &[]))
        .answer(COMMENT, 200, json!({"value": []}))
        .run::<UpdateIncident>(json!({"incidentId": "5", "comment": "done"}));
    let error = serde_json::to_value(ran.error()).unwrap();
    assert_eq!((&error["kind"], &error["retryable"]), (&json!(kinds::UNKNOWN_OUTCOME), &json!(false)));
    assert!(ran.error().message().contains("5 looks"), "{error}");
    assert_eq!(calls(&ran).iter().filter(|call| **call == "graph.incidents.comment").count(), 1);

    // One PATCH with both: the properties alone would be harmless, the comment is not.
    let host = ScriptedHost::new().surface(Api::DEFENDER_XDR).answer(XDR_GET, 200, xdr("Active", &["done"])).fail(
        XDR_PATCH,
        "in_doubt",
        lost(),
    );
    let ran = looks(host, XDR_GET, xdr("Resolved", &["done"]))
        .answer(XDR_PATCH, 200, xdr("Resolved", &["done", "done"]))
        .run::<UpdateIncident>(json!({"incidentId": "5", "status": "resolved", "comment": "done"}));
    assert_eq!(ran.error().kind(), kinds::UNKNOWN_OUTCOME);
    assert_eq!(
        calls(&ran).iter().filter(|call| **call == "defender-xdr.incidents.update").count(),
        1,
        "{:?}",
        calls(&ran)
    );
}

#[test]
fn a_second_try_that_is_refused_does_not_hide_the_doubt_about_the_first() {
    for (outcome, kind, status) in [
        ("answered", "throttled", 429),
        ("not_sent", "unavailable", 0),
        ("answered", "forbidden", 403),
        ("not_sent", "cancelled", 0),
    ] {
        let ran = (0..2)
            .fold(ScriptedHost::new().answer(GET, 200, incident("active", &[])), |host, _| {
                host.answer(GET, 200, incident("active", &[]))
            })
            .fail(PATCH, "in_doubt", lost())
            .fail(PATCH, outcome, json!({"kind": kind, "message": "not now", "retryable": true, "httpStatus": status}))
            .answer(GET, 200, incident("active", &[]))
            .answer(GET, 200, incident("active", &[]))
            .run::<UpdateIncident>(json!({"incidentId": "5", "status": "resolved"}));
        let error = serde_json::to_value(ran.error()).unwrap();
        assert_eq!((&error["kind"], &error["retryable"]), (&json!(kinds::UNKNOWN_OUTCOME), &json!(false)), "{error}");
        assert!(ran.error().message().contains("not now"), "{error}");
    }
    // The first one was carried out after all, only late.
    let ran = ScriptedHost::new()
        .answer(GET, 200, incident("active", &[]))
        .fail(PATCH, "in_doubt", lost())
        .answer(GET, 200, incident("active", &[]))
        .answer(GET, 200, incident("active", &[]))
        .fail(
            PATCH,
            "answered",
            json!({"kind": "throttled", "message": "not now", "retryable": true, "httpStatus": 429}),
        )
        .answer(GET, 200, incident("resolved", &[]))
        .answer(GET, 200, incident("resolved", &[]))
        .run::<UpdateIncident>(json!({"incidentId": "5", "status": "resolved"}));
    assert_eq!(ran.output()["after"], json!({"status": "resolved"}));
}

#[test]
fn the_incident_that_another_was_merged_into_is_not_changed_in_its_place() {
    for (surface, call, target) in [
        (Api::GRAPH, GET, json!({"id": "9", "status": "active"})),
        (Api::DEFENDER_XDR, XDR_GET, json!({"incidentId": 9, "status": "Active"})),
    ] {
        let ran = ScriptedHost::new()
            .surface(surface)
            .answer(call, 200, target)
            .run::<UpdateIncident>(json!({"incidentId": "5", "status": "resolved", "comment": "done"}));
        assert_eq!(ran.error().kind(), kinds::CONFLICT);
        assert_eq!(ran.error().message(), "incident 5 was merged into incident 9; update that one");
        assert_eq!(ran.requests.len(), 1);
    }
}

#[test]
fn the_comment_of_another_incident_does_not_settle_a_lost_answer() {
    let mut merged = incident("active", &["done"]);
    merged["id"] = json!("9");
    let ran = (0..5)
        .fold(lost_comment(&[]), |host, _| host.answer(GET, 200, merged.clone()))
        .run::<UpdateIncident>(json!({"incidentId": "5", "comment": "done"}));
    assert_eq!(ran.error().kind(), kinds::UNKNOWN_OUTCOME);
    assert!(ran.error().message().contains("merged into incident 9"), "{:?}", ran.error());
}

#[test]
fn a_comment_in_doubt_is_not_called_not_added() {
    let gone = json!({"kind": "cancelled", "message": "the run ended before this was sent"});
    for (outcome, answer, kind, said) in [
        ("in_doubt", lost(), kinds::UNKNOWN_OUTCOME, "it is not known whether the comment was added"),
        ("in_doubt", gone.clone(), kinds::UNKNOWN_OUTCOME, "it is not known whether the comment was added"),
        ("answered", gone.clone(), kinds::CANCELLED, "it is not known whether the comment was added"),
        ("not_sent", gone, kinds::CANCELLED, "but the comment was not added"),
        ("answered", json!({"kind": "forbidden", "message": "no"}), kinds::PARTIAL, "but the comment was not added"),
    ] {
        let ran = ScriptedHost::new()
            .answer(GET, 200, incident("active", &[]))
            .answer(PATCH, 200, incident("resolved", &[]))
            .fail(COMMENT, outcome, answer)
            .run::<UpdateIncident>(json!({"incidentId": "5", "status": "resolved", "comment": "done"}));
        assert_eq!(ran.error().kind(), kind, "{outcome}");
        assert!(ran.error().message().contains(said), "{:?}", ran.error());
        let error = serde_json::to_value(ran.error()).unwrap();
        assert_eq!(error["done"], json!(["status changed to \"resolved\""]), "{error}");
        if kind == kinds::CANCELLED {
            assert!(error["hint"].as_str().unwrap().contains(said), "{error}");
        }
    }
}

#[test]
fn what_looking_does_not_settle_is_unknown() {
    let ran = ScriptedHost::new()
        .answer(GET, 200, incident("active", &[]))
        .fail(PATCH, "in_doubt", lost())
        .fail(GET, "not_sent", lost())
        .run::<UpdateIncident>(json!({"incidentId": "5", "status": "resolved"}));
    assert_eq!(ran.error().kind(), kinds::UNKNOWN_OUTCOME);

    let ran = ScriptedHost::new()
        .answer(GET, 200, incident("active", &[]))
        .fail(PATCH, "in_doubt", lost())
        .answer(GET, 200, incident("active", &[]))
        .answer(GET, 200, incident("active", &[]))
        .fail(PATCH, "in_doubt", lost())
        .answer(GET, 200, incident("active", &[]))
        .answer(GET, 200, incident("active", &[]))
        .run::<UpdateIncident>(json!({"incidentId": "5", "status": "resolved"}));
    assert_eq!(ran.error().kind(), kinds::UNKNOWN_OUTCOME);
    assert_eq!(serde_json::to_value(ran.error()).unwrap()["retryable"], false);
}

#[test]
fn half_an_update_says_which_half_was_done() {
    let ran = ScriptedHost::new()
        .answer(GET, 200, incident("active", &[]))
        .answer(PATCH, 200, incident("resolved", &[]))
        .fail(
            COMMENT,
            "answered",
            json!({"kind": "forbidden", "message": "no", "retryable": false, "httpStatus": 403, "hint": "h"}),
        )
        .run::<UpdateIncident>(json!({"incidentId": "5", "status": "resolved", "comment": "done"}));
    let error = serde_json::to_value(ran.error()).unwrap();
    assert_eq!(error["kind"], kinds::PARTIAL);
    assert_eq!(error["done"], json!(["status changed to \"resolved\""]));
    assert_eq!((&error["httpStatus"], &error["hint"]), (&json!(403), &json!("h")));
}

#[test]
fn a_change_that_the_service_swallowed_is_said() {
    let ran = ScriptedHost::new()
        .answer(GET, 200, incident("active", &[]))
        .answer(PATCH, 200, incident("active", &[]))
        .run::<UpdateIncident>(json!({"incidentId": "5", "status": "resolved"}));
    assert_eq!(ran.output()["after"], json!({"status": "active"}));
    assert!(ran.output()["warnings"][0].as_str().unwrap().contains("status is \"active\""));
}

#[test]
fn the_manifest_declares_what_it_does() {
    let manifest = ScriptedHost::manifest::<UpdateIncident>("0.0.0");
    assert_eq!((&manifest["effect"], &manifest["idempotent"]), (&json!("write"), &json!(false)));
    let statuses = manifest["input"]["properties"]["status"]["enum"].as_array().unwrap();
    assert!(statuses.contains(&json!("inProgress")) && !statuses.contains(&json!("redirected")), "{statuses:?}");
    assert!(
        manifest["input"]["properties"]["determination"]["description"].as_str().unwrap().contains("falsePositive")
    );
}
