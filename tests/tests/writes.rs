//! Writes: rehearsed exactly, safe to repeat, and never done twice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use serde_json::{Value, json};
use sortie_sandbox::{Config, Outcome, RequestRecord};
use sortie_tests::{Profile, World};
use std::time::{Duration, Instant};

/// Machine actions end as soon as they begin.
fn at_once(world: &World) {
    let outcome = Outcome { pending_ms: 0, running_ms: 0, ..Outcome::default() };
    world.sandbox.control().set_outcome(None, outcome);
}

/// Machine actions stay pending.
fn never(world: &World) {
    let outcome = Outcome { pending_ms: 3_600_000, ..Outcome::default() };
    world.sandbox.control().set_outcome(None, outcome);
}

fn machine(world: &World) -> String {
    world.sandbox.control().machines()[4].id.clone()
}

/// The writes that the sandbox received.
fn received(world: &World) -> Vec<RequestRecord> {
    world
        .sandbox
        .control()
        .records()
        .into_iter()
        .filter(|request| request.method != "GET" && !request.path.starts_with("/login"))
        .collect()
}

/// The inputs of each action that writes.
fn writing(world: &World) -> Vec<(&'static str, Value)> {
    vec![
        (
            "update-incident",
            json!({"incidentId": "1001", "status": "inProgress", "assignedTo": "analyst@contoso.com", "classification": "truePositive",
                   "determination": "malware", "tags": {"add": ["planned"]}, "comment": "planned and done"}),
        ),
        (
            "isolate-machine",
            json!({"machine": machine(world), "comment": "planned and done", "isolationType": "Selective", "wait": "1m"}),
        ),
        (
            "release-machine",
            json!({"machine": world.sandbox.control().machines()[5].id, "comment": "planned and done"}),
        ),
    ]
}

#[test]
fn a_dry_run_plans_exactly_what_a_run_sends() {
    for surface in ["graph", "defender-xdr"] {
        let world = World::small();
        world.profile(&Profile { surface, ..Profile::default() });
        for (action, input) in writing(&world) {
            let control = world.sandbox.control();
            control.clear_records();
            let plan = world
                .sortie(["run", action, "--dry-run", "--request-id", "plan"])
                .input(input.to_string())
                .output()
                .success();
            assert!(received(&world).is_empty(), "{action}: a dry run wrote");

            at_once(&world);
            let output = world.sortie(["run", action, "--request-id", "plan"]).input(input.to_string()).output();
            assert_eq!(output.code, 0, "{action}: {}", output.stdout);
            let planned: Vec<(String, String, Value)> = plan["plan"]
                .as_array()
                .unwrap()
                .iter()
                .map(|call| {
                    for member in ["role", "permissions", "target"] {
                        assert!(!call[member].is_null(), "{action}: {member} is missing in {call:#}");
                    }
                    let url = call["url"].as_str().unwrap().replacen(world.sandbox.origin(), "", 1);
                    (call["method"].as_str().unwrap().to_owned(), url, call["body"].clone())
                })
                .collect();
            let sent: Vec<(String, String, Value)> = received(&world)
                .into_iter()
                .map(|request| (request.method, request.path, request.json.unwrap_or(Value::Null)))
                .collect();
            assert!(!planned.is_empty(), "{action}: nothing was planned");
            assert_eq!(planned, sent, "{action} on {surface}");
        }
    }
}

#[test]
fn a_plan_says_how_to_undo_an_isolation() {
    let world = World::small();
    let input = json!({"machine": machine(&world), "comment": "why"});
    let plan = world.sortie(["run", "isolate-machine", "--dry-run"]).input(input.to_string()).output().success();
    assert!(plan["plan"][0]["undo"].as_str().unwrap().contains("release-machine"), "{plan:#}");
    assert_eq!(plan["plan"][0]["role"], "remediation");
}

/// Nobody else gives back the pending action (MicrosoftDocs/microsoft-365-docs 5903).
#[test]
fn docs_5903_isolating_again_returns_the_pending_action() {
    let world = World::small();
    never(&world);
    let input = json!({"machine": machine(&world), "comment": "why"});
    let first = world.run("isolate-machine", &input).success();
    assert_ne!(first["alreadyInProgress"], true);
    let again = world.run("isolate-machine", &input).success();
    assert_eq!(again["alreadyInProgress"], true, "{again:#}");
    assert_eq!(again["machineAction"]["id"], first["machineAction"]["id"]);
    assert_eq!(received(&world).len(), 1);
}

#[test]
fn isolating_what_is_isolated_says_so() {
    let world = World::small();
    at_once(&world);
    let input = json!({"machine": machine(&world), "comment": "why", "wait": "1m"});
    let first = world.run("isolate-machine", &input).success();
    assert_eq!(first["machineAction"]["status"], "Succeeded");
    let again = world.run("isolate-machine", &input).success();
    assert_eq!(again["alreadyInEffect"], true, "{again:#}");
    assert_eq!(received(&world).len(), 1);
}

#[test]
fn releasing_while_the_isolation_is_pending_is_a_conflict() {
    let world = World::small();
    never(&world);
    world.run("isolate-machine", &json!({"machine": machine(&world), "comment": "why"})).success();
    let error = world.run("release-machine", &json!({"machine": machine(&world), "comment": "why not"})).failure(1);
    assert_eq!(error["kind"], "conflict");
    assert_eq!(received(&world).len(), 1);
}

#[test]
fn a_device_name_that_two_machines_share_is_refused_with_both() {
    let world = World::new(Config::default());
    let machines = world.sandbox.control().machines();
    let name = machines[0].computer_dns_name.clone();
    assert_eq!(machines[1].computer_dns_name, name, "the default tenant has two machines of one name");
    let error = world.run("isolate-machine", &json!({"machine": name, "comment": "why"})).failure(1);
    assert_eq!(error["kind"], "conflict");
    for machine in &machines[..2] {
        assert!(error.to_string().contains(&machine.id), "{error:#}");
    }
    assert!(received(&world).is_empty());
}

/// Killed after the request was sent and run again with the same request id: the machine is isolated once.
#[test]
fn a_run_that_was_killed_after_sending_is_found_by_the_next() {
    let world = World::small();
    never(&world);
    let machine = machine(&world);
    let input = json!({"machine": machine, "comment": "why"});
    // The service works and answers late, so that there is a moment between the two.
    world.sandbox.control().fault(
        sortie_sandbox::Rule::once(sortie_sandbox::Fault::Delay { milliseconds: 20_000 })
            .method("POST")
            .api(sortie_sandbox::Api::DefenderEndpoint),
    );
    let run = world.sortie(["run", "isolate-machine", "--request-id", "incident-77"]).input(input.to_string());
    let mut child = run.spawn();
    let begun = Instant::now();
    while received(&world).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the request never came");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let again = world
        .sortie(["run", "isolate-machine", "--request-id", "incident-77"])
        .input(input.to_string())
        .output()
        .success();
    assert_eq!(again["machineAction"]["machineId"], machine);
    let isolations = world.sandbox.control().isolations(&machine);
    assert_eq!(isolations, 1, "isolated {isolations} times");
}

#[test]
fn an_update_sends_only_what_changes() {
    for surface in ["graph", "defender-xdr"] {
        let world = World::small();
        world.profile(&Profile { surface, ..Profile::default() });
        let input = json!({"incidentId": "1001", "tags": {"add": ["one", "two"]}});
        let first = world.run("update-incident", &input).success();
        assert!(first["after"]["customTags"].as_array().unwrap().contains(&json!("two")), "{first:#}");
        let again = world.run("update-incident", &input).success();
        assert_eq!(received(&world).len(), 1, "{surface}: what is already so was sent again: {again:#}");
        let removed =
            world.run("update-incident", &json!({"incidentId": "1001", "tags": {"remove": ["one"]}})).success();
        assert!(!removed["after"]["customTags"].as_array().unwrap().contains(&json!("one")), "{removed:#}");
        let body = received(&world).last().unwrap().json.clone().unwrap();
        assert_eq!(body.as_object().unwrap().len(), 1, "{surface}: {body}");
    }
}

#[test]
fn the_second_process_asks_for_no_token() {
    let world = World::small();
    for _ in 0..3 {
        world.run("get-incident", &json!({"incidentId": "1001"})).success();
    }
    let tokens = world.sandbox.control().records().iter().filter(|request| request.path.starts_with("/login")).count();
    assert_eq!(tokens, 1);
    let logout = world.sortie(["auth", "logout"]).output();
    assert_eq!(logout.code, 0, "{}", logout.stderr);
    world.run("get-incident", &json!({"incidentId": "1001"})).success();
    let tokens = world.sandbox.control().records().iter().filter(|request| request.path.starts_with("/login")).count();
    assert_eq!(tokens, 2);
}

#[test]
fn reading_never_asks_for_the_remediation_application() {
    let world = World::small();
    for (action, input) in [
        ("get-incident", json!({"incidentId": "1001"})),
        ("search-incidents", json!({})),
        ("incidents-daemon", json!({"mode": "poll"})),
    ] {
        world.run(action, &input).success();
    }
    for request in world.sandbox.control().records() {
        for seen in &request.secrets {
            assert_eq!(seen.application.as_deref(), Some("base"), "{}", request.line());
        }
    }
}
