//! Bad input: exit 65, every reason at once, and not one request, not even for a token.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use serde_json::{Value, json};
use sortie_tests::World;

/// An input that must be refused: the action, the text on stdin, and the pointers that must be named.
struct Row {
    name: &'static str,
    action: &'static str,
    input: String,
    pointers: &'static [&'static str],
}

fn row(name: &'static str, action: &'static str, input: Value, pointers: &'static [&'static str]) -> Row {
    Row { name, action, input: input.to_string(), pointers }
}

fn text(name: &'static str, input: impl Into<String>) -> Row {
    Row { name, action: "get-incident", input: input.into(), pointers: &[""] }
}

const MACHINE: &str = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";

fn table() -> Vec<Row> {
    let long = "x".repeat(10 << 20);
    vec![
        row("a required field is missing", "get-incident", json!({}), &["/incidentId"]),
        row("a field that does not exist", "get-incident", json!({"incidentId": "1", "colour": "red"}), &["/colour"]),
        row("a name in the wrong case", "get-incident", json!({"IncidentId": "1"}), &["/incidentId", "/IncidentId"]),
        row("a flag's name instead of the field's", "get-incident", json!({"incident-id": "1"}), &["/incident-id"]),
        row("a wrong type", "get-incident", json!({"incidentId": ["1"]}), &["/incidentId"]),
        row("null for a required field", "get-incident", json!({"incidentId": null}), &["/incidentId"]),
        row("a negative id", "get-incident", json!({"incidentId": -1}), &["/incidentId"]),
        row("a fraction as an id", "get-incident", json!({"incidentId": 1.5}), &["/incidentId"]),
        row("a boolean as an id", "get-incident", json!({"incidentId": true}), &["/incidentId"]),
        row(
            "an id that climbs out of its path",
            "get-incident",
            json!({"incidentId": "../machines"}),
            &["/incidentId"],
        ),
        row("an encoded slash", "get-incident", json!({"incidentId": "1%2f..%2fmachines"}), &["/incidentId"]),
        row("a slash", "get-incident", json!({"incidentId": "1/comments"}), &["/incidentId"]),
        row("a backslash", "get-incident", json!({"incidentId": "1\\comments"}), &["/incidentId"]),
        row("a query in an id", "get-incident", json!({"incidentId": "1?$expand=alerts"}), &["/incidentId"]),
        row("a fragment in an id", "get-incident", json!({"incidentId": "1#"}), &["/incidentId"]),
        row("a line break in an id", "get-incident", json!({"incidentId": "1\r\nHost: evil"}), &["/incidentId"]),
        row("a NUL in an id", "get-incident", json!({"incidentId": "1\u{0}"}), &["/incidentId"]),
        row("digits of another script", "get-incident", json!({"incidentId": "١٢"}), &["/incidentId"]),
        row(
            "an id that is too large",
            "get-incident",
            json!({"incidentId": "99999999999999999999999"}),
            &["/incidentId"],
        ),
        row("an empty id", "get-incident", json!({"incidentId": ""}), &["/incidentId"]),
        row("white space only", "get-incident", json!({"incidentId": "   "}), &["/incidentId"]),
        row("text for a boolean", "get-incident", json!({"incidentId": "1", "alerts": "yes"}), &["/alerts"]),
        row("the year 9999", "search-incidents", json!({"createdAfter": "9999-12-31"}), &["/createdAfter"]),
        row(
            "a month that does not exist",
            "search-incidents",
            json!({"createdAfter": "2026-13-01"}),
            &["/createdAfter"],
        ),
        row("a time in words", "search-incidents", json!({"updatedAfter": "yesterday"}), &["/updatedAfter"]),
        row("a span without a sign", "search-incidents", json!({"updatedAfter": "24h"}), &["/updatedAfter"]),
        row(
            "a range that ends before it begins",
            "search-incidents",
            json!({"createdAfter": "2026-02-01", "createdBefore": "2026-01-01"}),
            &["/createdBefore"],
        ),
        row("a status that does not exist", "search-incidents", json!({"status": ["open"]}), &["/status/0"]),
        row(
            "one bad element among good ones",
            "search-incidents",
            json!({"severity": ["high", "huge"]}),
            &["/severity/1"],
        ),
        row("text for a list", "search-incidents", json!({"tags": {"a": 1}}), &["/tags"]),
        row("a limit of nothing", "search-incidents", json!({"limit": 0}), &["/limit"]),
        row("a negative limit", "search-incidents", json!({"limit": -5}), &["/limit"]),
        row("a limit in words", "search-incidents", json!({"limit": "many"}), &["/limit"]),
        row("nothing to change", "update-incident", json!({"incidentId": "1"}), &[""]),
        row(
            "a determination of another classification",
            "update-incident",
            json!({"incidentId": "1", "classification": "falsePositive", "determination": "malware"}),
            &["/determination"],
        ),
        row(
            "tags that are set and added",
            "update-incident",
            json!({"incidentId": "1", "tags": {"set": ["a"], "add": ["b"]}}),
            &["/tags/set"],
        ),
        row("an empty comment", "update-incident", json!({"incidentId": "1", "comment": "  "}), &["/comment"]),
        row(
            "a status that only Microsoft sets",
            "update-incident",
            json!({"incidentId": "1", "status": "redirected"}),
            &["/status"],
        ),
        row("isolating without a comment", "isolate-machine", json!({"machine": MACHINE}), &["/comment"]),
        row("isolating nothing", "isolate-machine", json!({"machine": "", "comment": "why"}), &["/machine"]),
        row(
            "an isolation that does not exist",
            "isolate-machine",
            json!({"machine": MACHINE, "comment": "why", "isolationType": "Complete"}),
            &["/isolationType"],
        ),
        row(
            "a wait without a unit",
            "isolate-machine",
            json!({"machine": MACHINE, "comment": "why", "wait": "600"}),
            &["/wait"],
        ),
        row(
            "a machine that climbs out of its path",
            "isolate-machine",
            json!({"machine": "../machineactions", "comment": "why"}),
            &["/machine"],
        ),
        row(
            "a machine with a quote",
            "release-machine",
            json!({"machine": "a' or 'b", "comment": "why"}),
            &["/machine"],
        ),
        row(
            "an action id that is no GUID",
            "get-machine-action",
            json!({"machineActionId": "5"}),
            &["/machineActionId"],
        ),
        row(
            "five reasons",
            "update-incident",
            json!({"incidentId": "../1", "status": "open", "classification": 7, "comment": "", "colour": "red"}),
            &["/incidentId", "/status", "/classification", "/comment", "/colour"],
        ),
        text("a text of 10 MB", json!({ "incidentId": long }).to_string()),
        text("nothing", ""),
        text("not JSON", "incidentId: 1"),
        text("a list", "[1]"),
        text("a text", "\"1\""),
        text("cut short", "{\"incidentId\": \"1\""),
        text("two documents", "{\"incidentId\": \"1\"} {\"incidentId\": \"2\"}"),
        Row {
            name: "one name twice",
            action: "get-incident",
            input: "{\"incidentId\": \"1\", \"incidentId\": \"2\"}".into(),
            pointers: &["/incidentId"],
        },
        text("a comment in the JSON", "{\"incidentId\": \"1\" /* the first */}"),
        text("a depth that nobody means", format!("{{\"incidentId\": {}1{}}}", "[".repeat(5000), "]".repeat(5000))),
    ]
}

#[test]
fn bad_input_is_refused_before_anything_is_sent() {
    let world = World::small();
    let table = table();
    assert!(table.len() >= 40);
    let mut failures = Vec::new();
    for row in &table {
        let output = world.sortie(["run", row.action]).input(row.input.clone()).output();
        let mut fail = |what: String| {
            failures.push(format!("{}: {what}\n  {}", row.name, output.stdout.chars().take(600).collect::<String>()))
        };
        if output.code != 65 {
            fail(format!("exit code {}", output.code));
            continue;
        }
        let error = &output.json()["error"];
        if error["kind"] != "invalid_input" || error["retryable"] != false {
            fail("not invalid_input".into());
        }
        let violations = error["violations"].as_array().cloned().unwrap_or_default();
        let found: Vec<&str> = violations.iter().filter_map(|violation| violation["pointer"].as_str()).collect();
        for wanted in row.pointers {
            if !found.contains(wanted) {
                fail(format!("{wanted:?} is not among {found:?}"));
            }
        }
        for violation in &violations {
            let message = violation["message"].as_str().unwrap_or_default();
            if message.is_empty() || message.len() > 600 || message.chars().any(char::is_control) {
                fail(format!("a message that helps nobody: {message:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {} rows:\n{}", failures.len(), table.len(), failures.join("\n"));
    assert_eq!(world.sandbox.control().records().len(), 0, "a refused input caused a request");
}

#[test]
fn five_reasons_get_five_pointers() {
    let world = World::small();
    let input = json!({"incidentId": "../1", "status": "open", "classification": 7, "comment": "", "colour": "red"});
    let error = world.run("update-incident", &input).failure(65);
    let violations = error["violations"].as_array().unwrap();
    assert_eq!(violations.len(), 5, "{error:#}");
}

/// A field that the chosen surface does not have is refused before any call.
#[test]
fn a_field_of_the_other_surface_is_refused_before_any_call() {
    let world = World::small();
    world.profile(&sortie_tests::Profile { surface: "defender-xdr", ..Default::default() });
    for (field, value) in [("displayName", "x"), ("summary", "x"), ("resolvingComment", "x")] {
        let error = world.run("update-incident", &json!({"incidentId": "1", field: value})).failure(65);
        assert_eq!(error["violations"][0]["pointer"], format!("/{field}"), "{error:#}");
    }
    assert_eq!(world.sandbox.control().records().len(), 0);
}
