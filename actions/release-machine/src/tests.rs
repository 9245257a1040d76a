//! The course of a release, over a scripted host. It is the course of an isolation with the roles exchanged; what both
//! share is tested in depth there.

use super::*;
use sortie_sdk::testing::{Ran, ScriptedHost};

const MACHINE: &str = "000000000000000000000000000000000000000a";

fn id(last: u32) -> String {
    format!("5382f7ea-7557-4ab7-9782-{last:012}")
}

fn action(last: u32, kind: &str, status: &str, minute: u32, comment: &str) -> Value {
    json!({
        "id": id(last), "type": kind, "scope": null, "requestorComment": comment, "status": status, "machineId": MACHINE,
        "creationDateTimeUtc": format!("2026-03-10T11:{minute:02}:00Z"),
        "lastUpdateTimeUtc": format!("2026-03-10T11:{minute:02}:30Z"),
    })
}

fn host(lists: &[&[Value]]) -> ScriptedHost {
    let machine = json!({ "id": MACHINE, "computerDnsName": "ws-042.contoso.com" });
    lists.iter().fold(ScriptedHost::new().answer(&GET_MACHINE, 200, machine), |host, actions| {
        host.answer(&LIST_MACHINE_ACTIONS, 200, json!({ "value": actions }))
    })
}

fn run(host: ScriptedHost) -> Ran {
    host.run::<ReleaseMachine>(json!({ "machine": MACHINE, "comment": "clean", "wait": "1m" }))
}

fn posts(ran: &Ran) -> usize {
    ran.requests.iter().filter(|request| request.call == RELEASE_MACHINE.id).count()
}

/// The comment that goes out, tag included.
fn comment() -> String {
    let ran = run(host(&[&[]]).plan());
    ran.requests.last().unwrap().body["Comment"].as_str().unwrap().to_owned()
}

fn lost() -> Value {
    json!({ "kind": "timeout", "message": "no answer in time", "retryable": true })
}

#[test]
fn an_isolated_machine_is_released() {
    let host = host(&[&[action(1, "Isolate", "Succeeded", 5, "x")]])
        .answer(&RELEASE_MACHINE, 201, action(2, "Unisolate", "Pending", 9, &comment()))
        .answer(&GET_MACHINE_ACTION, 200, action(2, "Unisolate", "Succeeded", 10, &comment()));
    let ran = run(host);
    let sent = ran.requests.iter().find(|request| request.call == RELEASE_MACHINE.id).unwrap();
    assert_eq!(sent.body, json!({ "Comment": comment() }));
    assert!(comment().starts_with("clean [sortie "));
    assert_eq!(ran.output()["outcome"], "succeeded");
    assert_eq!(ran.output()["machineAction"]["lastUpdateDateTimeUtc"], "2026-03-10T11:10:30Z");
}

#[test]
fn a_machine_without_a_history_is_released_all_the_same() {
    // It may have been isolated before the service's memory begins.
    let ran = run(host(&[&[]]).answer(&RELEASE_MACHINE, 201, action(2, "Unisolate", "Succeeded", 9, &comment())));
    assert_eq!(ran.output()["alreadyInEffect"], false);
    assert_eq!(posts(&ran), 1);
}

#[test]
fn a_release_under_way_or_in_effect_is_returned() {
    let host_with_pending = host(&[&[action(1, "Unisolate", "InProgress", 5, "x")]]).answer(
        &GET_MACHINE_ACTION,
        200,
        action(1, "Unisolate", "Succeeded", 6, "x"),
    );
    let ran = run(host_with_pending);
    assert_eq!((posts(&ran), &ran.output()["alreadyInProgress"]), (0, &json!(true)));
    let ran = run(host(&[&[action(2, "Unisolate", "Succeeded", 9, "x"), action(1, "Isolate", "Succeeded", 5, "x")]]));
    assert_eq!((posts(&ran), &ran.output()["alreadyInEffect"]), (0, &json!(true)));
}

#[test]
fn an_isolation_under_way_is_a_conflict() {
    let ran = run(host(&[&[action(1, "Isolate", "Pending", 5, "x")]]));
    assert_eq!((posts(&ran), ran.error().kind()), (0, kinds::CONFLICT));
    assert!(ran.error().message().contains("cannot release"), "{:?}", ran.error());
}

#[test]
fn an_isolation_that_completed_after_a_release_is_released() {
    // Asked for first, completed last: the machine is isolated although the release is the newer request.
    let mut hung = action(1, "Isolate", "Succeeded", 5, "x");
    hung["lastUpdateTimeUtc"] = json!("2026-03-10T11:50:00Z");
    let history = [action(2, "Unisolate", "Succeeded", 9, "x"), hung];
    let ran = run(host(&[&history]).answer(&RELEASE_MACHINE, 201, action(3, "Unisolate", "Succeeded", 55, &comment())));
    assert_eq!(posts(&ran), 1);
}

#[test]
fn a_lost_answer_is_found_or_unknown() {
    let found = [action(2, "Unisolate", "Succeeded", 9, &comment())];
    let ran = run(host(&[&[], &found]).fail(&RELEASE_MACHINE, "in_doubt", lost()));
    assert_eq!((posts(&ran), &ran.output()["machineAction"]["id"]), (1, &json!(id(2))));
    let ran = run(host(&[&[], &[], &[], &[], &[], &[]]).fail(&RELEASE_MACHINE, "in_doubt", lost()));
    assert_eq!((posts(&ran), ran.error().kind()), (1, kinds::UNKNOWN_OUTCOME));
}

#[test]
fn a_refused_duplicate_is_the_release_under_way() {
    let refused =
        json!({ "kind": "failed", "message": "Action is already in progress", "httpStatus": 400, "code": "X" });
    let pending = [action(1, "Unisolate", "Pending", 5, "x")];
    let ran = run(host(&[&[], &pending]).fail(&RELEASE_MACHINE, "answered", refused).answer(
        &GET_MACHINE_ACTION,
        200,
        action(1, "Unisolate", "Succeeded", 6, "x"),
    ));
    assert_eq!((posts(&ran), &ran.output()["alreadyInProgress"]), (1, &json!(true)));
}

#[test]
fn a_wait_that_is_interrupted_says_which_release_was_started() {
    let ran = run(host(&[&[]]).answer(&RELEASE_MACHINE, 201, action(2, "Unisolate", "Pending", 9, &comment())).fail(
        &GET_MACHINE_ACTION,
        "not_sent",
        json!({ "kind": "cancelled", "message": "the run was cancelled" }),
    ));
    let error = serde_json::to_value(ran.error()).unwrap();
    assert_eq!(error["kind"], kinds::CANCELLED);
    assert_eq!(error["done"], json!([format!("machine action {} (Unisolate) was started", id(2))]));
    assert!(error["hint"].as_str().unwrap().contains(&id(2)), "{error}");
}

#[test]
fn a_dry_run_plans() {
    let ran = run(host(&[&[action(1, "Isolate", "Succeeded", 5, "x")]]).plan());
    assert_eq!(ran.output()["planned"], true);
    assert_eq!(ran.output()["outcome"], "planned");
}

#[test]
fn the_manifest_declares_what_the_host_needs() {
    let manifest = ScriptedHost::manifest::<ReleaseMachine>("0.1.0");
    assert_eq!(manifest["kind"], "Correction");
    assert_eq!(manifest["effect"], "destructive");
    assert_eq!(manifest["reversedBy"], "isolate-machine");
    assert_eq!(manifest["waitField"], "wait");
    let names: Vec<_> = manifest["input"]["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["comment", "machine", "wait"]);
    assert_eq!(manifest["input"]["required"], json!(["machine", "comment"]));
}
