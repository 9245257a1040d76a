//! Where an input comes from, and that nothing is waited for that nobody asked for.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use serde_json::Value;
use sortie_tests::{Output, World};
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Runs a command whose standard input is a pipe that holds some text and is never closed.
fn with_open_pipe(world: &World, arguments: &[&str], text: &str) -> Output {
    let mut child = world.sortie(arguments.iter().copied()).command().spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(text.as_bytes()).unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(30) {
            child.kill().unwrap();
            panic!("{arguments:?} waits for its standard input");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    drop(pipe);
    Output {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn id(document: &Value) -> &str {
    document["incident"]["id"].as_str().unwrap_or_else(|| panic!("{document:#}"))
}

#[test]
fn with_flags_a_pipe_that_stays_open_is_not_waited_for() {
    let world = World::small();
    let flags = ["run", "get-incident", "--incident-id", "1001", "--no-alerts"];
    assert_eq!(id(&with_open_pipe(&world, &flags, "").success()), "1001");
    // What stands in it is not looked at either.
    assert_eq!(
        id(&with_open_pipe(&world, &flags, "{\"incidentId\": \"1002\", \"alerts\": nonsense").success()),
        "1001"
    );
}

#[test]
fn with_flags_a_document_is_read_where_it_is_asked_for_and_flags_go_over_it() {
    let world = World::small();
    let document = r#"{"incidentId": "1002", "alerts": false}"#;
    let file = world.folder().join("input.json");
    std::fs::write(&file, document).unwrap();
    for from in ["-", file.to_str().unwrap()] {
        let run = world.sortie(["run", "get-incident", "--input", from]).input(document);
        let read = run.output().success();
        assert_eq!(id(&read), "1002", "{from}");
        assert!(read["incident"].get("alerts").is_none(), "{from}: {read:#}");
        let over = run.argument("--incident-id").argument("1003").output().success();
        assert_eq!(id(&over), "1003", "{from}");
        assert!(over["incident"].get("alerts").is_none(), "{from}: {over:#}");
    }
    let refused = world.sortie(["run", "get-incident", "--input", "-", "--no-alerts"]).input("nonsense").output();
    assert_eq!(refused.failure(65)["kind"], "invalid_input");
}

#[test]
fn each_asks_for_lines_and_flags_go_over_every_one() {
    let world = World::small();
    let run = world.sortie(["run", "get-incident", "--each", "--no-alerts"]);
    let output = run.input("{\"incidentId\": \"1001\"}\n{\"incidentId\": \"1002\", \"alerts\": true}\n").output();
    assert_eq!(output.code, 0, "{output:?}");
    let lines = output.lines();
    assert_eq!(lines.iter().map(id).collect::<Vec<_>>(), ["1001", "1002"]);
    assert!(lines.iter().all(|line| line["incident"].get("alerts").is_none()));
}

/// A scheduler has nothing to say: `sortie run incidents-daemon < /dev/null`.
#[test]
fn nothing_is_an_empty_input_where_the_action_needs_nothing() {
    let world = World::small();
    for input in ["", " \n"] {
        let polled = world.sortie(["run", "incidents-daemon"]).input(input).output().success();
        assert!(polled["runId"].is_string(), "{polled:#}");
    }
    let mut command = world.sortie(["run", "incidents-daemon"]).command();
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    world.sandbox.control().clear_records();
    for action in ["get-incident", "isolate-machine"] {
        let error = world.sortie(["run", action]).output().failure(65);
        assert_eq!(error["kind"], "invalid_input");
        assert!(error["message"].as_str().unwrap().contains("no input"), "{error:#}");
    }
    // A file that was named and holds nothing is a mistake.
    let file = world.folder().join("empty.json");
    std::fs::write(&file, "").unwrap();
    let error = world.sortie(["run", "search-incidents", "--input", file.to_str().unwrap()]).output().failure(65);
    assert_eq!(error["kind"], "invalid_input");
    assert!(world.sandbox.control().records().is_empty());
}
