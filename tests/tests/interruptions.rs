//! Interruptions: a run that is ended says what was done by then, and a second interruption ends the process at once.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use serde_json::json;
use sortie_sandbox::{Fault, Outcome, Rule};
use sortie_tests::{Output, World, libraries};
use std::fs;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a condition.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn interrupt(child: &Child) {
    let sent = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
    assert!(sent.success());
}

fn ended(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    Output {
        code: output.status.code().unwrap_or_else(|| panic!("it ended by a signal: {}", output.status)),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn asked(world: &World, method: &str, part: &str) -> bool {
    world.sandbox.control().records().iter().any(|record| record.method == method && record.path.contains(part))
}

#[test]
fn an_isolation_that_is_waited_for_says_that_it_was_started() {
    let world = World::small();
    let control = world.sandbox.control();
    control.set_outcome(None, Outcome { pending_ms: 3_600_000, ..Outcome::default() });
    let machine = control.machines()[4].id.clone();
    let input = json!({"machine": machine, "comment": "why", "wait": "10m"});
    let child = world.sortie(["run", "isolate-machine"]).input(input.to_string()).spawn();
    until("the first look at the machine action", || asked(&world, "GET", "/machineactions/"));
    interrupt(&child);
    let error = ended(child).failure(130);
    assert_eq!(error["kind"], "cancelled");
    let records = control.records();
    let id = records.iter().find_map(|record| record.path.split("/machineactions/").nth(1)).unwrap();
    assert_eq!(error["done"], json!([format!("machine action {id} (Isolate) was started")]));
    assert!(error["hint"].as_str().unwrap().contains(id), "{error:#}");
}

#[test]
fn a_write_whose_answer_is_still_to_come_is_an_unknown_outcome() {
    let world = World::small();
    let control = world.sandbox.control();
    let machine = control.machines()[4].id.clone();
    for (action, method, input) in [
        ("isolate-machine", "POST", json!({"machine": machine, "comment": "why"})),
        ("update-incident", "PATCH", json!({"incidentId": "1001", "tags": {"add": ["one"]}})),
        ("update-incident", "POST", json!({"incidentId": "1001", "comment": "only a comment"})),
    ] {
        control.clear_records();
        control.clear_faults();
        let path = if action == "isolate-machine" { "/mde" } else { "/graph" };
        control.fault(Rule::once(Fault::Delay { milliseconds: 30_000 }).method(method).path(path));
        let child = world.sortie(["run", action]).input(input.to_string()).spawn();
        until("the write", || asked(&world, method, path));
        interrupt(&child);
        let error = ended(child).failure(1);
        assert_eq!(error["kind"], "unknown_outcome", "{action}: {error:#}");
        assert_eq!(error["retryable"], false, "{action}: {error:#}");
        assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{action}: {error:#}");
    }
}

#[test]
fn what_was_changed_before_the_interruption_is_listed() {
    let world = World::small();
    let control = world.sandbox.control();
    control.fault(Rule::once(Fault::Delay { milliseconds: 30_000 }).method("POST").path("/graph"));
    let input = json!({"incidentId": "1001", "tags": {"add": ["one"]}, "comment": "and a comment"});
    let child = world.sortie(["run", "update-incident"]).input(input.to_string()).spawn();
    until("the comment", || asked(&world, "POST", "/graph"));
    interrupt(&child);
    let error = ended(child).failure(1);
    assert_eq!(error["kind"], "unknown_outcome", "{error:#}");
    assert!(error["done"][0].as_str().unwrap().contains("customTags"), "{error:#}");
}

/// Starts an action that never returns, and waits until it runs.
#[cfg(target_os = "linux")]
fn hanging(world: &World) -> Child {
    let actions = world.folder().join("actions");
    fs::create_dir(&actions).unwrap();
    libraries::misbehaving("hangs", &actions);
    let child = world.sortie(["run", "hangs", "--actions-dir", actions.to_str().unwrap()]).input("{}").spawn();
    let threads = format!("/proc/{}/task", child.id());
    until("the action", || {
        let mut threads = fs::read_dir(&threads).into_iter().flatten().flatten();
        threads.any(|thread| fs::read_to_string(thread.path().join("comm")).is_ok_and(|name| name == "action hangs\n"))
    });
    child
}

#[test]
#[cfg(target_os = "linux")]
fn one_interruption_gives_an_action_that_hangs_a_moment_and_answers() {
    let world = World::small();
    let child = hanging(&world);
    interrupt(&child);
    assert_eq!(ended(child).failure(130)["kind"], "cancelled");
}

#[test]
#[cfg(target_os = "linux")]
fn a_second_interruption_ends_the_process_at_once() {
    let world = World::small();
    let mut child = hanging(&world);
    // Two that come close together are one to the system, so they go on until the process has ended. Were the second
    // one not heard, the run would end by itself, with a document.
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < PATIENCE, "it goes on");
        interrupt(&child);
        std::thread::sleep(Duration::from_millis(100));
    }
    let output = ended(child);
    assert_eq!((output.code, output.stdout.as_str()), (130, ""), "{}", output.stderr);
}

#[test]
fn a_write_that_was_not_sent_is_not_in_doubt() {
    let world = World::small();
    // The token of the application that writes comes late.
    world.sandbox.control().fault(Rule::new(Fault::Delay { milliseconds: 30_000 }).path("/login").skip(1));
    let machine = world.sandbox.control().machines()[4].id.clone();
    let input = json!({"machine": machine, "comment": "why"});
    let child = world.sortie(["run", "isolate-machine"]).input(input.to_string()).spawn();
    let tokens = || {
        let records = world.sandbox.control().records();
        records.iter().filter(|record| record.path.starts_with("/login")).count()
    };
    until("the second token", || tokens() == 2);
    interrupt(&child);
    let error = ended(child).failure(130);
    assert_eq!(error["kind"], "cancelled", "{error:#}");
    assert!(!asked(&world, "POST", "/mde"));
}
