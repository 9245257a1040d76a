//! `schemas/`: generated from the built actions, committed, and equal to what the actions say today.
//!
//! `SORTIE_BLESS=1 cargo test -p sortie-tests --test schemas` writes them anew.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use serde_json::{Map, Value, json};
use sortie_abi::kinds;
use sortie_tests::{World, actions, golden, root};

fn manifest(world: &World, action: &str) -> Value {
    world.sortie(["describe", action, "--output", "json"]).output().success()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

#[test]
fn schemas_are_what_the_actions_say() {
    let world = World::small();
    for action in actions() {
        let mut manifest = manifest(&world, &action);
        let folder = root().join("schemas").join(&action);
        golden::assert_file(&folder.join("input.json"), &pretty(&manifest["input"]));
        golden::assert_file(&folder.join("output.json"), &pretty(&manifest["output"]));
        if let Some(members) = manifest.as_object_mut() {
            // The schemas stand in files of their own; what built the library differs from machine to machine.
            for member in ["input", "output", "built"] {
                members.remove(member);
            }
        }
        golden::assert_file(&folder.join("manifest.json"), &pretty(&manifest));
    }
}

#[test]
fn schemas_are_valid_schemas_and_every_field_is_described() {
    let world = World::small();
    for action in actions() {
        let manifest = manifest(&world, &action);
        for part in ["input", "output"] {
            jsonschema::meta::validate(&manifest[part]).unwrap_or_else(|problem| panic!("{action} {part}: {problem}"));
        }
        assert_eq!(manifest["input"]["additionalProperties"], json!(false), "{action} takes unknown fields");
        for (name, field) in manifest["input"]["properties"].as_object().unwrap_or(&Map::new()) {
            assert!(
                field["description"].as_str().is_some_and(|text| text.len() > 10),
                "{action}: {name} is not described"
            );
        }
    }
}

/// The error document of the process contract, with its kinds and their exit codes.
#[test]
fn the_error_schema_lists_every_kind() {
    let names: Vec<&str> = kinds::ALL.iter().map(|kind| kind.name).collect();
    let codes: Map<String, Value> = kinds::ALL.iter().map(|kind| (kind.name.into(), json!(kind.exit_code))).collect();
    let text = |description: &str| json!({ "type": "string", "description": description });
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What `sortie run` prints when it fails",
        "type": "object",
        "required": ["error"],
        "properties": { "error": {
            "type": "object",
            "required": ["kind", "message", "retryable"],
            "properties": {
                "kind": { "type": "string", "examples": names, "description": "What happened; see x-exit-codes. An action may name kinds of its own, which exit with 1." },
                "message": text("For the analyst."),
                "hint": text("What to do about it."),
                "retryable": { "type": "boolean", "description": "Whether the same call may succeed later without anybody changing anything." },
                "retryAfterSeconds": { "type": "number", "minimum": 0, "description": "How long to wait before trying again." },
                "httpStatus": { "type": "integer", "description": "What the service answered." },
                "requestId": text("Microsoft's id of the failed request."),
                "code": text("Microsoft's error code."),
                "violations": { "type": "array", "description": "Every reason why the input was refused.", "items": {
                    "type": "object",
                    "required": ["pointer", "message"],
                    "properties": {
                        "pointer": text("A JSON pointer into the input; empty for the input as a whole."),
                        "message": text("What is wrong and what would be right."),
                    },
                } },
                "done": { "type": "array", "items": { "type": "string" }, "description": "What was done before the failure." },
            },
        } },
        "x-exit-codes": codes,
    });
    golden::assert_file(&root().join("schemas/error.json"), &pretty(&schema));
}

/// The manifest's own shape, for those who write an action in another language.
fn manifest_schema() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let names =
        |description: &str| json!({ "type": "array", "items": { "type": "string" }, "description": description });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What an action's `describe` replies with",
        "description": "Members that are not listed here are ignored, so that a newer action still loads.",
        "type": "object",
        "required": ["manifest", "name", "version", "title", "description", "kind", "effect", "idempotent", "calls", "input", "output"],
        "properties": {
            "manifest": { "const": 1, "description": "The version of this shape." },
            "name": { "type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "description": "What the action is called, by its folder, its library and its users." },
            "version": text("The action's own version."),
            "title": text("A name for people."),
            "description": text("What it does, in a sentence or two."),
            "kind": { "type": "string", "examples": ["Daemon", "Enrichment", "Containment", "Correction", "Notification"], "description": "What it is for, in the terms that SOAR platforms share." },
            "effect": { "enum": ["read", "write", "destructive"], "description": "The strongest effect among its calls." },
            "idempotent": { "type": "boolean", "description": "Whether running it twice is the same as running it once." },
            "reversedBy": text("The action that undoes it."),
            "surfaces": names("The APIs between which a profile chooses."),
            "streams": { "type": "boolean", "description": "Whether results are emitted one by one, and stand in the output's `records`." },
            "waitField": text("The input field whose span is added to the deadline."),
            "columns": { "type": "array", "description": "Table columns.", "items": {
                "type": "object", "required": ["title", "path"],
                "properties": { "title": text("The heading."), "path": text("A JSON pointer into the output, or into each record.") },
            } },
            "calls": { "type": "array", "description": "Every API call it may make; one that is not declared is refused.", "items": {
                "type": "object",
                "required": ["id", "api", "method", "path", "effect", "role", "permissions", "limit"],
                "properties": {
                    "id": text("The name by which a request refers to it."),
                    "api": { "type": "string", "examples": ["graph", "defender-xdr", "defender-endpoint"] },
                    "method": { "enum": ["GET", "POST", "PATCH", "PUT", "DELETE"] },
                    "path": text("The path below the API's base URL, parameters in braces, each one whole segment."),
                    "effect": { "enum": ["read", "write", "destructive"] },
                    "role": { "enum": ["base", "remediation"] },
                    "permissions": names("Application permissions of which any one is enough, least privileged first."),
                    "limit": text("The rate limit that it counts against."),
                },
            } },
            "examples": { "type": "array", "description": "Inputs, and what the output must contain.", "items": {
                "type": "object", "required": ["title", "input", "output"],
                "properties": { "title": text("What it shows."), "input": { "type": "object" }, "output": { "type": "object" } },
            } },
            "input": { "type": "object", "description": "The JSON Schema of the input." },
            "output": { "type": "object", "description": "The JSON Schema of the output." },
            "built": { "type": "object", "description": "What built the library: reported, never a reason to refuse." },
        },
    })
}

#[test]
fn every_manifest_has_the_published_shape() {
    let schema = manifest_schema();
    golden::assert_file(&root().join("schemas/manifest.json"), &pretty(&schema));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let world = World::small();
    for action in actions() {
        let manifest = manifest(&world, &action);
        let problems: Vec<String> = validator.iter_errors(&manifest).map(|problem| problem.to_string()).collect();
        assert!(problems.is_empty(), "{action}: {problems:?}");
    }
}
