//! The course of an isolation, over a scripted host.

use super::*;
use sortie_sdk::testing::{Ran, ScriptedHost, Sent};

const MACHINE: &str = "000000000000000000000000000000000000000a";

fn id(last: u32) -> String {
    format!("5382f7ea-7557-4ab7-9782-{last:012}")
}

fn machine() -> Value {
    json!({ "id": MACHINE, "computerDnsName": "ws-042.contoso.com", "osPlatform": "Windows11", "rbacGroupId": 140 })
}

/// A machine action that changed at the given minute.
fn action(last: u32, kind: &str, status: &str, minute: u32, comment: &str) -> Value {
    json!({
        "id": id(last), "type": kind, "scope": "Full", "requestor": "analyst@contoso.com", "requestorComment": comment,
        "status": status, "machineId": MACHINE, "creationDateTimeUtc": format!("2026-03-10T11:{minute:02}:00.5Z"),
        "lastUpdateDateTimeUtc": format!("2026-03-10T11:{minute:02}:30Z"), "errorHResult": 0,
    })
}

/// An action of this very request.
fn own(last: u32, status: &str, minute: u32) -> Value {
    action(last, "Isolate", status, minute, &format!("why {}", tag("request-1")))
}

fn list(actions: &[Value]) -> Value {
    json!({ "value": actions })
}

/// A host that knows the machine and gives these lists of its actions, one after the other.
fn host(lists: &[&[Value]]) -> ScriptedHost {
    lists.iter().fold(ScriptedHost::new().answer(&GET_MACHINE, 200, machine()), |host, actions| {
        host.answer(&LIST_MACHINE_ACTIONS, 200, list(actions))
    })
}

fn run(host: ScriptedHost) -> Ran {
    with(host, json!({}))
}

/// A run with further members in its input.
fn with(host: ScriptedHost, more: Value) -> Ran {
    let mut input = json!({ "machine": MACHINE, "comment": "why" });
    for (name, value) in more.as_object().into_iter().flatten() {
        input[name] = value.clone();
    }
    host.run::<IsolateMachine>(input)
}

fn posts(ran: &Ran) -> Vec<&Sent> {
    ran.requests.iter().filter(|request| request.call == ISOLATE_MACHINE.id).collect()
}

fn warned(ran: &Ran, part: &str) -> bool {
    ran.output()["warnings"].as_array().unwrap().iter().any(|warning| warning.as_str().unwrap().contains(part))
}

/// The tag that a run with the given request id puts into the comment.
fn tag(request_id: &str) -> String {
    let host =
        host(&[&[]]).request_id(request_id).answer(&ISOLATE_MACHINE, 201, action(1, "Isolate", "Pending", 1, "x"));
    let ran = run(host);
    posts(&ran)[0].body["Comment"].as_str().unwrap().strip_prefix("why ").unwrap().to_owned()
}

fn lost() -> Value {
    json!({ "kind": "unavailable", "message": "connection reset", "retryable": true })
}

fn refused(code: &str) -> Value {
    json!({ "kind": "failed", "message": "Action is already in progress", "httpStatus": 400, "code": code, "requestId": "r-9" })
}

#[test]
fn it_is_sent_once_and_says_what_was_begun() {
    let answer = action(1, "Isolate", "Pending", 5, &format!("why {}", tag("request-1")));
    let ran = run(host(&[&[]]).answer(&ISOLATE_MACHINE, 201, answer));
    let calls: Vec<_> = ran.requests.iter().map(|request| request.call.as_str()).collect();
    assert_eq!(calls, [&*GET_MACHINE.id, &*LIST_MACHINE_ACTIONS.id, &*ISOLATE_MACHINE.id]);
    assert_eq!(ran.requests[1].query("$filter"), Some(&*format!("machineId eq '{MACHINE}'")));
    assert_eq!(posts(&ran)[0].head["path"]["machineId"], MACHINE);
    assert_eq!(posts(&ran)[0].body, json!({ "Comment": format!("why {}", tag("request-1")), "IsolationType": "Full" }));
    let output = ran.output();
    assert_eq!(output["machineAction"]["id"], id(1));
    assert_eq!(output["machineAction"]["errorHResult"], 0);
    assert_eq!(output["machine"]["rbacGroupId"], 140);
    assert_eq!(output["outcome"], "pending");
    assert_eq!(output["warnings"], json!([]));
    for flag in ["alreadyInProgress", "alreadyInEffect", "planned"] {
        assert_eq!(output[flag], false, "{flag}");
    }
}

#[test]
fn the_tag_follows_the_request_id() {
    assert_eq!(tag("request-1"), tag("request-1"));
    assert_ne!(tag("request-1"), tag("request-2"));
    assert!(tag("request-1").starts_with("[sortie ") && tag("request-1").len() == 25);
}

#[test]
fn type_and_external_id_are_sent_as_the_service_spells_them() {
    let mut answer = own(1, "Pending", 5);
    answer["externalID"] = json!("INC-7");
    let more = json!({ "isolationType": "unmanageddevice", "externalId": "INC-7" });
    let ran = with(host(&[&[]]).answer(&ISOLATE_MACHINE, 201, answer.clone()), more);
    assert_eq!(posts(&ran)[0].body["IsolationType"], "UnManagedDevice");
    assert_eq!(posts(&ran)[0].body["externalID"], "INC-7");
    assert_eq!(ran.output()["machineAction"]["externalID"], "INC-7");
    // An answer with another comment is another's action: nothing to say about the external id.
    assert_eq!(ran.output()["alreadyInProgress"], true);
    answer["requestorComment"] = Value::Null;
    answer["externalID"] = Value::Null;
    let ran = with(host(&[&[]]).answer(&ISOLATE_MACHINE, 201, answer), json!({ "externalId": "INC-7" }));
    assert!(warned(&ran, "external id"), "{ran:?}");
}

#[test]
fn a_pending_isolation_is_returned() {
    for status in ["Pending", "InProgress"] {
        let ran = run(host(&[&[action(1, "Isolate", status, 5, "earlier")]]));
        assert!(posts(&ran).is_empty());
        assert_eq!(ran.output()["alreadyInProgress"], true);
        assert_eq!(ran.output()["machineAction"]["id"], id(1));
    }
}

#[test]
fn an_isolation_in_effect_is_returned() {
    let ran = run(host(&[&[
        action(2, "Isolate", "Succeeded", 5, "earlier"),
        action(1, "Unisolate", "Succeeded", 3, "before that"),
    ]]));
    assert!(posts(&ran).is_empty());
    assert_eq!(ran.output()["alreadyInEffect"], true);
    assert_eq!(ran.output()["outcome"], "succeeded");
    assert_eq!(ran.output()["machineAction"]["id"], id(2));
}

#[test]
fn a_pending_release_is_a_conflict() {
    let ran = run(host(&[&[action(1, "Unisolate", "Pending", 5, "let it go")]]));
    assert!(posts(&ran).is_empty());
    assert_eq!(ran.error().kind(), kinds::CONFLICT);
    assert!(ran.error().message().contains(&id(1)), "{:?}", ran.error());
}

#[test]
fn a_machine_released_since_is_isolated_again() {
    let ran = run(host(&[&[
        action(2, "Unisolate", "Succeeded", 9, "released"),
        action(1, "Isolate", "Succeeded", 5, "earlier"),
    ]])
    .answer(&ISOLATE_MACHINE, 201, own(3, "Pending", 20)));
    assert_eq!(posts(&ran).len(), 1);
    assert_eq!(ran.output()["alreadyInEffect"], false);
}

#[test]
fn another_scope_in_effect_is_said_and_asked_for_all_the_same() {
    let mut answer = action(2, "Isolate", "Pending", 20, "x");
    answer["requestorComment"] = Value::Null;
    let host = host(&[&[action(1, "Isolate", "Succeeded", 5, "earlier")]]).answer(&ISOLATE_MACHINE, 201, answer);
    let ran = with(host, json!({ "isolationType": "Selective" }));
    assert_eq!(posts(&ran)[0].body["IsolationType"], "Selective");
    assert!(warned(&ran, "isolated already, with scope Full"), "{ran:?}");
}

#[test]
fn a_contained_device_in_effect_is_not_taken_for_isolated() {
    let mut contained = action(1, "Isolate", "Succeeded", 5, "earlier");
    contained["scope"] = json!("UnManagedDevice");
    let ran = run(host(&[&[contained]]).answer(&ISOLATE_MACHINE, 201, own(2, "Pending", 20)));
    assert_eq!(posts(&ran).len(), 1);
    assert_eq!(ran.output()["alreadyInEffect"], false);
    assert!(warned(&ran, "isolated already, with scope UnManagedDevice"), "{ran:?}");
}

#[test]
fn a_failed_look_sends_nothing() {
    let host = ScriptedHost::new().answer(&GET_MACHINE, 200, machine()).fail(&LIST_MACHINE_ACTIONS, "answered", lost());
    let ran = run(host);
    assert!(posts(&ran).is_empty());
    assert_eq!(ran.error().kind(), kinds::UNAVAILABLE);
}

#[test]
fn the_history_is_read_to_its_end() {
    let fill: Vec<Value> = (10..1010).map(|at| action(at, "RunAntiVirusScan", "Succeeded", 1, "scan")).collect();
    let ran = run(host(&[&fill, &[action(1, "Isolate", "Pending", 5, "earlier")]]));
    assert_eq!(ran.output()["machineAction"]["id"], id(1));
    assert_eq!(ran.requests[2].query("$skip"), Some("1000"));
    let mut first = list(&[]);
    first["@odata.nextLink"] = json!("https://api.example/machineactions?$skip=1");
    let host = ScriptedHost::new()
        .answer(&GET_MACHINE, 200, machine())
        .answer(&LIST_MACHINE_ACTIONS, 200, first)
        .answer(&LIST_MACHINE_ACTIONS, 200, list(&[action(1, "Isolate", "Pending", 5, "earlier")]));
    assert_eq!(run(host).output()["alreadyInProgress"], true);
}

#[test]
fn a_record_of_another_kind_that_cannot_be_read_does_not_stop_a_containment() {
    let broken = json!({ "id": 17, "type": "RunAntiVirusScan" });
    let elsewhere = json!({ "id": 17, "type": "Unisolate", "machineId": "b".repeat(40) });
    let ran = run(host(&[&[broken, elsewhere]]).answer(&ISOLATE_MACHINE, 201, own(1, "Pending", 5)));
    assert_eq!(ran.output()["warnings"], json!([]));
    assert_eq!(posts(&ran).len(), 1);
}

#[test]
fn an_isolation_or_release_that_cannot_be_read_is_not_passed_over() {
    let with = |mut action: Value, member: &str, value: Value| {
        action[member] = value;
        action
    };
    for record in [
        with(action(1, "Unisolate", "Pending", 5, "let it go"), "status", Value::Null),
        with(own(1, "Pending", 5), "id", json!("not-a-guid")),
        json!({ "type": "isolate" }),
        with(own(1, "Pending", 5), "type", Value::Null),
        json!("text"),
    ] {
        let ran = run(host(&[std::slice::from_ref(&record)]));
        assert_eq!(ran.error().kind(), kinds::BAD_RESPONSE, "{record}");
        assert!(posts(&ran).is_empty(), "{record}");
    }
    // Nor after a lost answer: what cannot be read may be this very request's.
    let broken = [with(own(1, "Pending", 5), "id", json!("not-a-guid"))];
    let lists: [&[Value]; 6] = [&[], &broken, &broken, &broken, &broken, &broken];
    let ran = run(host(&lists).fail(&ISOLATE_MACHINE, "in_doubt", lost()));
    assert_eq!(ran.error().kind(), kinds::UNKNOWN_OUTCOME);
    assert_eq!(posts(&ran).len(), 1);
}

#[test]
fn run_again_after_a_crash_it_isolates_no_second_time() {
    for (status, flag) in
        [("Pending", "alreadyInProgress"), ("InProgress", "alreadyInProgress"), ("Succeeded", "alreadyInEffect")]
    {
        let ran = run(host(&[&[own(1, status, 5)]]));
        assert!(posts(&ran).is_empty(), "{status}");
        assert_eq!(ran.output()[flag], true, "{status}");
        assert_eq!(ran.output()["machineAction"]["id"], id(1), "{status}");
    }
    for status in ["Failed", "TimeOut", "Cancelled"] {
        let ran = run(host(&[&[own(1, status, 5)]]));
        assert!(posts(&ran).is_empty(), "{status}");
        assert_eq!(ran.error().kind(), kinds::FAILED, "{status}");
        // The same failure of another request is no reason not to try.
        let again = run(host(&[&[own(1, status, 5)]]).request_id("request-2").answer(
            &ISOLATE_MACHINE,
            201,
            own(2, "Pending", 9),
        ));
        assert_eq!(posts(&again).len(), 1, "{status}");
    }
    let undone = run(host(&[&[action(2, "Unisolate", "Succeeded", 9, "released"), own(1, "Succeeded", 5)]]));
    assert!(posts(&undone).is_empty());
    assert_eq!(undone.error().kind(), kinds::CONFLICT);
}

#[test]
fn a_lost_answer_is_found_by_its_tag_in_any_status() {
    for (status, outcome) in [("Pending", "pending"), ("InProgress", "inProgress"), ("Succeeded", "succeeded")] {
        let ran = run(host(&[&[], &[], &[own(1, status, 5)]]).fail(&ISOLATE_MACHINE, "in_doubt", lost()));
        assert_eq!(posts(&ran).len(), 1, "{status}");
        assert_eq!(ran.output()["machineAction"]["id"], id(1), "{status}");
        assert_eq!(ran.output()["outcome"], outcome);
        assert_eq!(ran.output()["alreadyInProgress"], false, "{status}");
        assert!(warned(&ran, "was lost"), "{status}");
    }
    let ran = run(host(&[&[], &[own(1, "Failed", 5)]]).fail(&ISOLATE_MACHINE, "in_doubt", lost()));
    assert_eq!(ran.error().kind(), kinds::FAILED);
}

#[test]
fn a_lost_answer_without_a_trace_is_an_unknown_outcome_and_not_sent_again() {
    let ran = run(host(&[&[], &[], &[], &[], &[], &[]]).fail(&ISOLATE_MACHINE, "in_doubt", lost()));
    assert_eq!(posts(&ran).len(), 1);
    assert_eq!(ran.requests.iter().filter(|request| request.call == LIST_MACHINE_ACTIONS.id).count(), 6);
    let error = serde_json::to_value(ran.error()).unwrap();
    assert_eq!(error["kind"], kinds::UNKNOWN_OUTCOME);
    assert_eq!(error["retryable"], false);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("5 looks") && message.contains("connection reset"), "{message}");
    assert!(error["hint"].as_str().unwrap().contains(&tag("request-1")), "{error}");
}

#[test]
fn a_lost_answer_that_cannot_be_looked_into_is_an_unknown_outcome() {
    let host = (0..5).fold(host(&[&[]]).fail(&ISOLATE_MACHINE, "in_doubt", lost()), |host, _| {
        host.fail(
            &LIST_MACHINE_ACTIONS,
            "answered",
            json!({ "kind": "unavailable", "message": "still down", "httpStatus": 503 }),
        )
    });
    let ran = run(host);
    assert_eq!(ran.error().kind(), kinds::UNKNOWN_OUTCOME);
    assert!(ran.error().message().contains("could not be read afterwards (the last look failed"), "{:?}", ran.error());
    assert_eq!(posts(&ran).len(), 1);
}

#[test]
fn after_a_lost_answer_anothers_isolation_counts_and_is_named() {
    let others = [action(7, "Isolate", "Pending", 5, "somebody else's")];
    let ran = run(host(&[&[], &[], &others, &others, &others, &others]).fail(&ISOLATE_MACHINE, "in_doubt", lost()));
    assert_eq!(ran.output()["alreadyInProgress"], true);
    assert_eq!(ran.output()["machineAction"]["id"], id(7));
    assert!(warned(&ran, "no machine action carries its tag"), "{ran:?}");
}

#[test]
fn an_answer_that_cannot_be_read_is_a_lost_answer() {
    for body in [&b"{}"[..], b"[1]", b"\xff"] {
        let host = host(&[&[], &[own(1, "Pending", 5)]]).answer_bytes(&ISOLATE_MACHINE, 201, body);
        assert_eq!(run(host).output()["machineAction"]["id"], id(1));
    }
    let other = action(9, "RunAntiVirusScan", "Pending", 5, "scan");
    let ran = run(host(&[&[], &[own(1, "Pending", 5)]]).answer(&ISOLATE_MACHINE, 201, other));
    assert_eq!(ran.output()["machineAction"]["id"], id(1));
}

#[test]
fn what_was_not_sent_is_reported_as_it_is() {
    let refused = json!({ "kind": "unavailable", "message": "connection refused", "retryable": true });
    let ran = run(host(&[&[]]).fail(&ISOLATE_MACHINE, "not_sent", refused));
    assert_eq!(ran.error().kind(), kinds::UNAVAILABLE);
    assert_eq!(ran.requests.len(), 3);
}

#[test]
fn a_cancellation_between_sending_and_answering_is_an_unknown_outcome() {
    for outcome in ["answered", "in_doubt"] {
        let gone = json!({ "kind": "cancelled", "message": "the run was cancelled" });
        let ran = run(host(&[&[], &[], &[], &[], &[], &[]]).fail(&ISOLATE_MACHINE, outcome, gone));
        assert_eq!(ran.error().kind(), kinds::UNKNOWN_OUTCOME, "{outcome}");
    }
}

#[test]
fn a_refused_duplicate_is_the_action_that_is_under_way() {
    for code in ["ActiveRequestAlreadyExists", "BadRequest", "SomethingNew"] {
        let pending = [action(1, "Isolate", "Pending", 5, "a moment ago")];
        let ran = run(host(&[&[], &pending]).fail(&ISOLATE_MACHINE, "answered", refused(code)));
        assert_eq!(ran.output()["alreadyInProgress"], true, "{code}");
        assert_eq!(ran.output()["machineAction"]["id"], id(1));
    }
    // It may take a moment to be listed.
    let pending = [action(1, "Isolate", "Pending", 5, "a moment ago")];
    let ran = run(host(&[&[], &[], &pending]).fail(&ISOLATE_MACHINE, "answered", refused("BadRequest")));
    assert_eq!(ran.output()["alreadyInProgress"], true);
}

#[test]
fn a_refused_duplicate_of_the_opposite_is_a_conflict() {
    let release = [action(1, "Unisolate", "Pending", 5, "a moment ago")];
    let ran = run(host(&[&[], &release]).fail(&ISOLATE_MACHINE, "answered", refused("BadRequest")));
    assert_eq!(ran.error().kind(), kinds::CONFLICT);
}

#[test]
fn another_refusal_stays_what_it_is() {
    let ran = run(host(&[&[], &[], &[]]).fail(&ISOLATE_MACHINE, "answered", refused("SomethingNew")));
    assert_eq!(ran.error().code(), Some("SomethingNew"));
    assert_eq!(ran.error().http_status(), Some(400));
    assert_eq!(posts(&ran).len(), 1);
    // These codes cannot mean a duplicate: nobody looks.
    let ran = run(host(&[&[]]).fail(&ISOLATE_MACHINE, "answered", refused("OsPlatformNotSupported")));
    assert_eq!(ran.requests.len(), 3);
    let forbidden = json!({ "kind": "forbidden", "message": "no", "httpStatus": 403, "hint": "Machine.Isolate" });
    let ran = run(host(&[&[]]).fail(&ISOLATE_MACHINE, "answered", forbidden));
    assert_eq!(ran.error().kind(), kinds::FORBIDDEN);
    assert_eq!(ran.requests.len(), 3);
}

#[test]
fn the_service_may_answer_with_the_pending_action_itself() {
    let ran = run(host(&[&[]]).answer(&ISOLATE_MACHINE, 201, action(1, "Isolate", "Pending", 5, "somebody else's")));
    assert_eq!(ran.output()["alreadyInProgress"], true);
}

#[test]
fn waiting_ends_with_the_machine_action() {
    let host = host(&[&[]])
        .answer(&ISOLATE_MACHINE, 201, own(1, "Pending", 5))
        .answer(&GET_MACHINE_ACTION, 200, own(1, "InProgress", 6))
        .answer(&GET_MACHINE_ACTION, 200, own(1, "Succeeded", 7));
    let ran = with(host, json!({ "wait": "10m" }));
    assert_eq!(ran.output()["outcome"], "succeeded");
    assert!(ran.log.iter().any(|line| line.starts_with("progress Isolate")), "{:?}", ran.log);
}

#[test]
fn waiting_for_an_earlier_isolation_works_the_same() {
    let host = host(&[&[action(1, "Isolate", "Pending", 5, "earlier")]]).answer(
        &GET_MACHINE_ACTION,
        200,
        action(1, "Isolate", "Succeeded", 7, "earlier"),
    );
    let ran = with(host, json!({ "wait": "10m" }));
    assert_eq!(ran.output()["outcome"], "succeeded");
    assert_eq!(ran.output()["alreadyInProgress"], true);
    assert_eq!(ran.output()["alreadyInEffect"], false);
}

#[test]
fn a_machine_action_that_does_not_succeed_is_a_failure_that_names_it() {
    for status in ["Failed", "TimeOut", "Cancelled"] {
        let host = host(&[&[]]).answer(&ISOLATE_MACHINE, 201, own(1, "Pending", 5)).answer(
            &GET_MACHINE_ACTION,
            200,
            own(1, status, 7),
        );
        let ran = with(host, json!({ "wait": "10m" }));
        assert_eq!(ran.error().kind(), kinds::FAILED, "{status}");
        assert!(ran.error().message().contains(&id(1)) && ran.error().message().contains(status), "{:?}", ran.error());
    }
}

#[test]
fn when_the_wait_is_over_the_caller_knows_what_goes_on() {
    let host = (0..9).fold(host(&[&[]]).answer(&ISOLATE_MACHINE, 201, own(1, "Pending", 5)), |host, _| {
        host.answer(&GET_MACHINE_ACTION, 200, own(1, "Pending", 5))
    });
    let ran = with(host, json!({ "wait": "20s" }));
    let error = serde_json::to_value(ran.error()).unwrap();
    assert_eq!(error["kind"], kinds::TIMEOUT);
    assert!(error["message"].as_str().unwrap().contains(&id(1)), "{error}");
    assert!(error["done"][0].as_str().unwrap().contains(&id(1)), "{error}");
}

#[test]
fn a_wait_that_is_interrupted_says_what_was_started_and_what_was_there_before() {
    let gone = json!({ "kind": "cancelled", "message": "the run was cancelled" });
    let started = host(&[&[]]).answer(&ISOLATE_MACHINE, 201, own(1, "Pending", 5));
    let before = host(&[&[action(1, "Isolate", "Pending", 5, "somebody else's")]]);
    for (host, how) in [(started, "was started"), (before, "was under way already")] {
        let ran = with(host.fail(&GET_MACHINE_ACTION, "not_sent", gone.clone()), json!({ "wait": "10m" }));
        let error = serde_json::to_value(ran.error()).unwrap();
        assert_eq!(error["kind"], kinds::CANCELLED);
        assert_eq!(error["done"], json!([format!("machine action {} (Isolate) {how}", id(1))]));
        assert!(error["hint"].as_str().unwrap().contains(&format!("get-machine-action, machineActionId {}", id(1))));
    }
}

#[test]
fn no_wait_or_a_wait_of_nothing_returns_at_once() {
    let ran = with(host(&[&[]]).answer(&ISOLATE_MACHINE, 201, own(1, "Pending", 5)), json!({ "wait": "0s" }));
    assert_eq!(ran.output()["outcome"], "pending");
    assert_eq!(ran.requests.len(), 3);
}

#[test]
fn a_dry_run_plans_and_does_not_wait() {
    let ran = with(host(&[&[]]).plan(), json!({ "wait": "10m" }));
    assert_eq!(posts(&ran).len(), 1);
    let output = ran.output();
    assert_eq!((&output["planned"], &output["outcome"]), (&json!(true), &json!("planned")));
    assert!(output.get("machineAction").is_none());
    assert_eq!(ran.requests.len(), 3);
    // Where there is nothing to do, nothing is planned.
    let ran = with(host(&[&[action(1, "Isolate", "Pending", 5, "earlier")]]).plan(), json!({ "wait": "10m" }));
    assert_eq!(ran.output()["planned"], false);
    assert!(posts(&ran).is_empty());
    assert_eq!(ran.requests.len(), 2);
}

#[test]
fn every_violation_is_reported_and_nothing_is_sent() {
    let input = json!({ "machine": "../machines", "comment": " ", "isolationType": "Partial", "externalId": "", "wait": "-1m", "x": 1 });
    let ran = ScriptedHost::new().run::<IsolateMachine>(input);
    let pointers: Vec<_> = ran.error().violations().iter().map(|violation| violation.pointer.as_str()).collect();
    for wanted in ["/comment", "/externalId", "/isolationType", "/machine", "/wait", "/x"] {
        assert!(pointers.contains(&wanted), "{wanted} in {pointers:?}");
    }
    assert!(ran.requests.is_empty());
}

#[test]
fn the_manifest_declares_what_the_host_needs() {
    let manifest = ScriptedHost::manifest::<IsolateMachine>("0.1.0");
    assert_eq!(manifest["kind"], "Containment");
    assert_eq!(manifest["effect"], "destructive");
    assert_eq!(manifest["idempotent"], true);
    assert_eq!(manifest["reversedBy"], "release-machine");
    assert_eq!(manifest["waitField"], "wait");
    let input = &manifest["input"]["properties"];
    let names: Vec<_> = input.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["comment", "externalId", "isolationType", "machine", "wait"]);
    assert_eq!(input["isolationType"]["default"], "Full");
    assert_eq!(input["isolationType"]["enum"], json!(["Full", "Selective", "UnManagedDevice"]));
    assert_eq!(manifest["input"]["required"], json!(["machine", "comment"]));
    for call in manifest["calls"].as_array().unwrap() {
        let isolates = call["id"] == *ISOLATE_MACHINE.id;
        assert_eq!(call["role"], if isolates { "remediation" } else { "base" }, "{call}");
    }
    let output = &manifest["output"]["properties"];
    assert!(output["machineAction"]["properties"]["status"]["type"] == "string", "{output}");
}
