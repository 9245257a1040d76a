//! `sortie check` with a permission missing: which action needs which permission of which application, and exit 77.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use serde_json::Value;
use sortie_sandbox::{Application, Config};
use sortie_tests::World;

/// A world in which the application that contains machines may do everything but isolate them.
fn without_isolation() -> World {
    let mut remediation = Application::remediation();
    remediation.permissions.defender_endpoint.retain(|permission| permission != "Machine.Isolate");
    World::new(Config { incidents: 5, machines: 5, remediation, ..Config::default() })
}

#[test]
fn a_missing_permission_is_named_with_its_action_and_its_application() {
    let world = without_isolation();
    let output = world.sortie(["check"]).output();
    let error = output.failure(77);
    assert_eq!(error["kind"], "forbidden");
    let told = format!("{} {}", error["message"], error["hint"]);
    for part in ["isolate-machine", "release-machine", "Machine.Isolate", "remediation", "defender-endpoint"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert!(!told.contains("get-incident"), "{told}");
    let report = output.json();
    assert_eq!(report["ready"], false);
    let mut missing = Vec::new();
    for action in report["actions"].as_array().unwrap() {
        for call in action["calls"].as_array().unwrap().iter().filter(|call| call["granted"] == "no") {
            assert_eq!((&call["role"], &call["permissions"][0]), (&"remediation".into(), &"Machine.Isolate".into()));
            missing.push(action["action"].as_str().unwrap());
        }
        let ready = action["calls"].as_array().unwrap().iter().all(|call| call["granted"] == "yes");
        assert_eq!(action["ready"], Value::Bool(ready), "{action:#}");
    }
    assert_eq!(missing, ["isolate-machine", "release-machine"]);
}

#[test]
fn a_person_reads_the_same_in_a_table() {
    let world = without_isolation();
    let output = world.sortie(["check", "isolate-machine", "--output", "table"]).output();
    assert_eq!(output.code, 77, "{}", output.stderr);
    let row =
        output.stdout.lines().find(|line| line.contains("MISSING")).unwrap_or_else(|| panic!("{}", output.stdout));
    for part in ["isolate-machine", "remediation", "Machine.Isolate"] {
        assert!(row.contains(part), "{part} in {row}");
    }
    assert!(output.stdout.contains("Not ready: isolate-machine"), "{}", output.stdout);
    assert!(output.stderr.contains("Machine.Isolate") && output.stderr.contains("hint: grant"), "{}", output.stderr);
}

#[test]
fn actions_that_lack_nothing_are_ready_all_the_same() {
    let world = without_isolation();
    let report = world.sortie(["check", "get-incident", "search-incidents"]).output().success();
    assert_eq!(report["ready"], true, "{report:#}");
    assert!(report.get("error").is_none());
}

#[test]
fn an_application_that_may_nothing_is_refused_by_the_service_too() {
    let mut base = Application::base();
    base.permissions.graph.clear();
    let world = World::new(Config { incidents: 5, machines: 5, base, ..Config::default() });
    let error = world.sortie(["check", "get-incident"]).output().failure(77);
    let told = format!("{} {}", error["message"], error["hint"]);
    assert!(told.contains("SecurityIncident.Read.All") && told.contains("base"), "{told}");
}
