//! `--each`: line N of the output answers line N of the input, however the runs overtake each other.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use serde_json::{Value, json};
use sortie_sandbox::{Api, Fault, Rule};
use sortie_tests::{Profile, World};
use std::fmt::Write as _;

/// Lines of the input.
const LINES: usize = 300;

const NO_LIMITS: &str = "limits = { graph-security = [\"100000/min\"] }\n";

#[test]
fn answers_keep_the_order_of_the_lines() {
    let world = World::small();
    world.profile(&Profile { lines: NO_LIMITS.into(), ..Profile::default() });
    let known = world.sandbox.control().incident_ids();
    // Some answers come late, some very late: whoever answers first is not the next line.
    for (rate, milliseconds) in [(0.1, 120), (0.3, 25)] {
        world.sandbox.control().fault(Rule::new(Fault::Delay { milliseconds }).api(Api::Graph).rate(rate));
    }
    let mut input = String::new();
    let mut wanted = Vec::new();
    for number in 0..LINES {
        let (line, answer) = match number % 10 {
            3 => (json!({"incidentId": "999999"}).to_string(), "not_found".to_owned()),
            6 => (json!({"incidentId": format!("x{number}")}).to_string(), "invalid_input".to_owned()),
            8 => (format!("nonsense {number}"), "invalid_input".to_owned()),
            _ => {
                let id = known[number * 7 % known.len()];
                (json!({"incidentId": id, "alerts": false}).to_string(), id.to_string())
            }
        };
        let _ = writeln!(input, "{line}");
        wanted.push(answer);
    }
    let output = world.sortie(["run", "get-incident", "--each", "--jobs", "16"]).input(input).output();
    // The first line that fails is one that is not found.
    assert_eq!(output.code, 1, "{}", output.stderr);
    let answers = output.lines();
    let found: Vec<&str> = answers
        .iter()
        .map(|answer| {
            let said = answer["incident"]["id"].as_str().or_else(|| answer["error"]["kind"].as_str());
            said.unwrap_or_else(|| panic!("{answer:#}"))
        })
        .collect();
    assert_eq!(found, wanted);
    let runs: std::collections::BTreeSet<&str> = answers.iter().filter_map(|answer| answer["runId"].as_str()).collect();
    assert!(runs.len() > LINES / 2, "each run has an id of its own");
    assert!(world.sandbox.control().fault_hits() > 50, "the answers did take different times");
    let asked = world.sandbox.control().records().iter().filter(|record| record.path.starts_with("/login")).count();
    assert_eq!(asked, 1, "all runs share one token");
}

#[test]
fn answers_come_while_later_lines_are_still_to_be_written() {
    use std::io::{BufRead, BufReader, Write};
    let world = World::small();
    let mut child = world.sortie(["run", "get-incident", "--each"]).command().spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for id in ["1001", "1002", "1003"] {
        writeln!(stdin, "{}", json!({"incidentId": id, "alerts": false})).unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["incident"]["id"], id);
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
