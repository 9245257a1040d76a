//! The same incident on both surfaces, and what Microsoft printed, found again in what the actions give.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use serde_json::{Value, json};
use sortie_sandbox::Config;
use sortie_tests::{Profile, World, contract, golden, root};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// What differs, as `what kind: names`: one line for all members of one place that differ in the same way.
type Differences = BTreeMap<String, BTreeSet<String>>;

fn note(found: &mut Differences, place: &str, name: &str) {
    found.entry(place.into()).or_default().insert(name.into());
}

/// Where two documents differ; `[]` stands for any element.
fn differences(path: &str, left: &Value, right: &Value, found: &mut Differences) {
    match (left, right) {
        (Value::Object(graph), Value::Object(xdr)) => {
            for name in graph.keys().chain(xdr.keys()).collect::<BTreeSet<_>>() {
                match (graph.get(name), xdr.get(name)) {
                    (Some(graph), Some(xdr)) if is_container(graph) && is_container(xdr) => {
                        differences(&format!("{path}.{name}"), graph, xdr, found);
                    }
                    (Some(graph), Some(xdr)) if graph != xdr => note(found, &format!("{path}, another value"), name),
                    (Some(_), Some(_)) => {}
                    (Some(_), None) => note(found, &format!("{path}, graph only"), name),
                    (None, _) => note(found, &format!("{path}, defender-xdr only"), name),
                }
            }
        }
        (Value::Array(graph), Value::Array(xdr)) if graph.len() == xdr.len() => {
            for (graph, xdr) in graph.iter().zip(xdr) {
                differences(&format!("{path}[]"), graph, xdr, found);
            }
        }
        (graph, xdr) if graph != xdr => note(found, &format!("{path}, another value"), "(itself)"),
        _ => {}
    }
}

fn is_container(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

/// Takes the evidence out of an incident: the surfaces order and select it differently.
fn take_evidence(incident: &mut Value) -> Vec<Value> {
    let mut evidence = Vec::new();
    for alert in incident["alerts"].as_array_mut().into_iter().flatten() {
        if let Some(Value::Array(list)) = alert.as_object_mut().and_then(|alert| alert.remove("evidence")) {
            evidence.extend(list);
        }
    }
    evidence
}

fn kind(evidence: &Value) -> &str {
    evidence["@odata.type"].as_str().unwrap_or("?").rsplit('.').next().unwrap_or("?")
}

/// Whether everything that Defender XDR says of a piece of evidence is what Graph says of it.
fn agrees(graph: &Value, xdr: &Value) -> bool {
    match (graph, xdr) {
        (Value::Object(graph), Value::Object(xdr)) => xdr.iter().all(|(name, value)| {
            value.is_null() || name == "defenderXdr" || graph.get(name).is_some_and(|graph| agrees(graph, value))
        }),
        (graph, xdr) => graph == xdr,
    }
}

#[test]
fn both_surfaces_give_the_same_incident_but_for_a_known_list() {
    let world = World::new(Config::default());
    let ids = world.sandbox.control().incident_ids();
    let input: String = ids.iter().map(|id| format!("{{\"incidentId\":\"{id}\"}}\n")).collect();
    let mut sides = Vec::new();
    let limits = "limits = { graph-security = [\"100000/min\"], defender-xdr-incidents = [\"100000/min\"] }\n";
    for surface in ["graph", "defender-xdr"] {
        world.profile(&Profile { surface, lines: limits.into(), ..Profile::default() });
        let output = world.sortie(["run", "get-incident", "--each"]).input(input.clone()).output();
        assert_eq!(
            output.code,
            0,
            "{}",
            output.stdout.lines().find(|line| line.contains("\"error\"")).unwrap_or_default()
        );
        sides.push(output.lines());
    }
    assert_eq!((sides[0].len(), sides[1].len()), (ids.len(), ids.len()));
    let mut found = Differences::new();
    for (graph, xdr) in sides[0].iter().zip(&sides[1]) {
        let (mut graph, mut xdr) = (graph["incident"].clone(), xdr["incident"].clone());
        let (graph_evidence, xdr_evidence) = (take_evidence(&mut graph), take_evidence(&mut xdr));
        differences("incident", &graph, &xdr, &mut found);
        for evidence in &xdr_evidence {
            let place = format!("evidence, {}", kind(evidence));
            match graph_evidence.iter().find(|graph| agrees(graph, evidence)) {
                Some(graph) => differences(&place, graph, evidence, &mut found),
                None => note(&mut found, "evidence of which graph says something else or nothing", kind(evidence)),
            }
        }
        for evidence in &graph_evidence {
            if !xdr_evidence.iter().any(|xdr| kind(xdr) == kind(evidence)) {
                note(&mut found, "evidence types that defender-xdr does not have", kind(evidence));
            }
        }
    }
    let mut text = String::from(
        "# Where the same incident differs between the two surfaces, over the sandbox's default tenant. Graph carries more; \n\
         # what only Defender XDR carries stands under `defenderXdr`. Written by tests/surfaces.rs with SORTIE_BLESS=1.\n",
    );
    for (place, names) in &found {
        text.push_str(&format!("{place}: {}\n", names.iter().cloned().collect::<Vec<_>>().join(", ")));
    }
    golden::assert_file(&root().join("tests/surface-differences.txt"), &text);
}

/// A sample body, the action that must show it, and what it is asked.
struct Sample {
    file: &'static str,
    surface: &'static str,
    action: &'static str,
    input: Value,
    /// Where the sample stands in the output, member by member, if the action passes it through; else its values are
    /// counted, because they come under other names.
    place: Option<&'static str>,
}

fn samples() -> Vec<Sample> {
    let sample = |file, surface, action, input, place| Sample { file, surface, action, input, place };
    let poll = || json!({"mode": "poll", "lookBack": "366d"});
    let machine = || json!({"machine": "1e5bc9d7e413ddd7902c2932e418702b84d0cc07", "comment": "a sample"});
    vec![
        sample("graph_incident_get.json", "graph", "get-incident", json!({"incidentId": "2972395"}), Some("/incident")),
        sample("graph_incidents_list.json", "graph", "search-incidents", json!({"alerts": false}), Some("/records")),
        sample(
            "graph_incidents_list_expand_alerts.json",
            "graph",
            "search-incidents",
            json!({"alerts": true}),
            Some("/records"),
        ),
        sample("graph_incidents_list_expand_alerts.json", "graph", "incidents-daemon", poll(), Some("/records/0/body")),
        sample("xdr_incident_get.json", "defender-xdr", "get-incident", json!({"incidentId": "924521"}), None),
        sample("xdr_incidents_list.json", "defender-xdr", "search-incidents", json!({"alerts": true}), None),
        sample("xdr_incidents_list.json", "defender-xdr", "incidents-daemon", poll(), None),
        sample(
            "mde_machineaction_get.json",
            "graph",
            "get-machine-action",
            json!({"machineActionId": "5382f7ea-7557-4ab7-9782-d50480024a4e"}),
            Some("/machineAction"),
        ),
        sample("mde_machine_get.json", "graph", "isolate-machine", machine(), Some("/machine")),
        sample(
            "mde_machines_list.json",
            "graph",
            "isolate-machine",
            json!({"machine": "mymachine1.contoso.com", "comment": "a sample"}),
            Some("/machine"),
        ),
    ]
}

fn leaves(path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| leaves(&format!("{path}.{name}"), value, found))
        }
        Value::Array(elements) => elements.iter().for_each(|value| leaves(&format!("{path}[]"), value, found)),
        Value::Null => {}
        leaf => found.push((path.into(), leaf.clone())),
    }
}

/// A leaf for counting: numbers and texts of the same digits are the same, and so are two spellings that differ in
/// case only, as Graph's and Defender XDR's enum members do.
fn spelled(leaf: &Value) -> String {
    match leaf {
        Value::String(text) => text.to_lowercase(),
        other => other.to_string(),
    }
}

/// The leaves of a sample that the output lacks.
fn lost(sample: &Sample, body: &Value, output: &Value) -> Vec<String> {
    let mut wanted = Vec::new();
    leaves("", body, &mut wanted);
    wanted.retain(|(path, _)| path != ".@odata.context");
    let mut given = Vec::new();
    match sample.place {
        // Passed through: the same path, and as often.
        Some(place) => {
            let place = output.pointer(place).unwrap_or_else(|| panic!("{place} in {output:#}"));
            let (list, one) = (body["value"].is_array(), !place.is_array());
            leaves(
                if !list {
                    ""
                } else if one {
                    ".value[]"
                } else {
                    ".value"
                },
                place,
                &mut given,
            );
            let mut rest = given;
            wanted.retain(|leaf| match rest.iter().position(|other| other == leaf) {
                Some(at) => {
                    rest.swap_remove(at);
                    false
                }
                None => true,
            });
        }
        // Under other names: the same value, as often.
        None => {
            leaves("", output, &mut given);
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            for (_, leaf) in &given {
                *counts.entry(spelled(leaf)).or_default() += 1;
            }
            wanted.retain(|(_, leaf)| match counts.get_mut(&spelled(leaf)) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    false
                }
                _ => true,
            });
        }
    }
    wanted.iter().map(|(path, leaf)| format!("{} {} {path} {}", sample.file, sample.action, spelled(leaf))).collect()
}

/// Leaves of the samples that do not come again, with the reason: `FILE ACTION PATH VALUE # reason`.
fn exceptions() -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("tests/sample-exceptions.txt")).unwrap();
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (what, reason) = line.split_once(" # ").unwrap_or_else(|| panic!("no reason in: {line}"));
            (what.trim().to_owned(), reason.trim().to_owned())
        })
        .collect()
}

#[test]
fn every_leaf_of_what_microsoft_printed_comes_again() {
    let Some(contract) = contract() else {
        eprintln!("SKIPPED: the samples of Microsoft's documentation are not here");
        return;
    };
    let exceptions = exceptions();
    let mut used = BTreeSet::new();
    let mut missing = Vec::new();
    for sample in samples() {
        let text = fs::read_to_string(contract.join("samples").join(sample.file)).unwrap();
        let body: Value = serde_json::from_str(&text).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(sample.file), text).unwrap();
        let world = World::new(Config { bodies: Some(folder.path().into()), ..Config::default() });
        world.profile(&Profile { surface: sample.surface, ..Profile::default() });
        let mut run = world.sortie(["run", sample.action]).input(sample.input.to_string());
        if sample.action == "isolate-machine" {
            run = run.argument("--dry-run");
        }
        for line in lost(&sample, &body, &run.output().success()) {
            match exceptions.iter().find(|(what, _)| *what == line) {
                Some((what, _)) => drop(used.insert(what.clone())),
                None => missing.push(line),
            }
        }
    }
    assert!(missing.is_empty(), "leaves that are lost:\n{}", missing.join("\n"));
    for (what, _) in &exceptions {
        assert!(used.contains(what), "an exception that is none: {what}");
    }
}
