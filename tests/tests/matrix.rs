//! Each action, from stdin, from flags and with `--each`, on both surfaces, over http and https: exit 0, one JSON
//! document, valid against its committed schema. The matrix is made of what `sortie actions` lists.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use serde_json::Value;
use sortie_sandbox::Config;
use sortie_tests::{Output, Profile, World, root};
use std::fs;

/// The committed output schema of an action.
fn schema(action: &str) -> jsonschema::Validator {
    let path = root().join("schemas").join(action).join("output.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

fn assert_valid(what: &str, schema: &jsonschema::Validator, document: &Value) {
    let problems: Vec<String> =
        schema.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(problems.is_empty(), "{what}:\n{}\n{document:#}", problems.join("\n"));
}

/// An input as flags: kebab-case names, lists separated by commas, objects one level deep.
fn flags(input: &Value) -> Vec<String> {
    let mut flags = Vec::new();
    for (name, value) in input.as_object().unwrap() {
        match value {
            Value::Object(members) => {
                for (member, value) in members {
                    flags.push(format!("--{}-{}={}", kebab(name), kebab(member), plain(value)));
                }
            }
            other => flags.push(format!("--{}={}", kebab(name), plain(other))),
        }
    }
    flags
}

fn kebab(name: &str) -> String {
    name.chars()
        .flat_map(|letter| letter.is_uppercase().then_some('-').into_iter().chain(letter.to_lowercase()))
        .collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(elements) => elements.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn ran(what: &str, output: &Output) -> Value {
    assert_eq!(output.code, 0, "{what}:\n{}\n{}", output.stdout, output.stderr);
    output.json()
}

fn matrix(tls: bool) {
    let mut cells = 0;
    for surface in ["graph", "defender-xdr"] {
        let world = World::new(Config { tls, ..Config::default() });
        world.profile(&Profile { surface, ..Profile::default() });
        let listed = world.sortie(["actions", "--output", "jsonl"]).output();
        let actions: Vec<String> = listed.lines().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(actions, sortie_tests::actions(), "what is built is what stands in actions/");
        for action in &actions {
            let schema = schema(action);
            let manifest = world.sortie(["describe", action, "--output", "json"]).output().success();
            let input = manifest["examples"][0]["input"].clone();
            let what = |how: &str| format!("{action} {how} on {surface}, tls {tls}, {input}");

            let document = ran(&what("from stdin"), &world.run(action, &input));
            assert_valid(&what("from stdin"), &schema, &document);

            let mut arguments = vec!["run".to_owned(), action.clone()];
            arguments.extend(flags(&input));
            let document = ran(&what("from flags"), &world.sortie(arguments).output());
            assert_valid(&what("from flags"), &schema, &document);

            let twice = format!("{input}\n{input}\n");
            let output = world.sortie(["run", action, "--each"]).input(twice).output();
            assert_eq!(output.code, 0, "{}:\n{}\n{}", what("with --each"), output.stdout, output.stderr);
            let lines = output.lines();
            assert_eq!(lines.len(), 2, "{}", what("with --each"));
            for line in &lines {
                assert_valid(&what("with --each"), &schema, line);
            }
            cells += 3;
        }
    }
    assert_eq!(cells, 2 * 3 * sortie_tests::actions().len());
}

#[test]
fn every_action_runs_every_way_over_http() {
    matrix(false);
}

#[test]
fn every_action_runs_every_way_over_https() {
    matrix(true);
}

/// What an example promises is what the action gives, on the default tenant.
#[test]
fn examples_hold() {
    let world = World::new(Config::default());
    for action in sortie_tests::actions() {
        let manifest = world.sortie(["describe", &action, "--output", "json"]).output().success();
        let examples = manifest["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "{action} has no example");
        for example in examples {
            let output = world.run(&action, &example["input"]);
            let document = ran(&format!("{action}, example {}", example["title"]), &output);
            assert_contains(&format!("{action}, example {}", example["title"]), &document, &example["output"]);
        }
    }
}

/// Every member of `wanted` stands in `found`, lists element by element from the start.
fn assert_contains(what: &str, found: &Value, wanted: &Value) {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            for (name, value) in wanted {
                let found = found.get(name).unwrap_or_else(|| panic!("{what}: {name} is missing in {found:?}"));
                assert_contains(&format!("{what} {name}"), found, value);
            }
        }
        (Value::Array(found), Value::Array(wanted)) => {
            assert!(found.len() >= wanted.len(), "{what}: {found:?}");
            for (found, wanted) in found.iter().zip(wanted) {
                assert_contains(what, found, wanted);
            }
        }
        (found, wanted) => assert_eq!(found, wanted, "{what}"),
    }
}
