//! Tests of the manifest's reading and checks.

use super::*;
use serde_json::{Value, json};

/// A small valid manifest of an action `probe`.
pub(crate) fn probe() -> Value {
    json!({
        "manifest": 1, "name": "probe", "version": "0.1.0", "title": "Probe", "description": "For tests.",
        "kind": "Enrichment", "effect": "read", "idempotent": true, "surfaces": ["graph", "defender-xdr"],
        "streams": false, "waitField": "wait", "columns": [{"title": "Id", "path": "/id"}],
        "calls": [
            {"id": "graph.incidents.get", "api": "graph", "method": "GET", "path": "/security/incidents/{incidentId}",
             "effect": "read", "role": "base", "permissions": ["SecurityIncident.Read.All"], "limit": "graph-security"},
            {"id": "graph.incidents.list", "api": "graph", "method": "GET", "path": "/security/incidents",
             "effect": "read", "role": "base", "permissions": ["SecurityIncident.Read.All"], "limit": "graph-security"},
            {"id": "xdr.incidents.list", "api": "defender-xdr", "method": "GET", "path": "/incidents",
             "effect": "read", "role": "base", "permissions": ["Incident.Read.All"], "limit": "defender-xdr-incidents"}
        ],
        "examples": [{"title": "one", "input": {"incidentId": "29"}, "output": {}}],
        "input": {"type": "object", "properties": {"incidentId": {"type": "string"}}},
        "output": {"type": "object"}, "built": {"sdk": "0.1.0"}
    })
}

fn parse(manifest: &Value) -> Result<Manifest, ManifestError> {
    Manifest::parse(&manifest.to_string(), "probe")
}

#[test]
fn a_manifest_survives_and_unknown_members_are_ignored() {
    let mut told = probe();
    told["fromTheFuture"] = json!({"a": 1});
    told["calls"][0]["fromTheFuture"] = json!(true);
    told["kind"] = json!("Oracle");
    let manifest = parse(&told).unwrap();
    assert_eq!(manifest.kind, "Oracle");
    let again = serde_json::to_value(&manifest).unwrap();
    let mut expected = probe();
    expected["kind"] = json!("Oracle");
    assert_eq!(again, expected);
}

#[test]
fn missing_members_are_named_all_at_once() {
    let mut told = probe();
    let members = told.as_object_mut().unwrap();
    for name in ["manifest", "title", "effect", "input", "calls"] {
        members.remove(name);
    }
    let error = parse(&told).unwrap_err().to_string();
    for name in ["manifest", "title", "effect", "input", "calls"] {
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn the_name_must_be_the_files() {
    let error = Manifest::parse(&probe().to_string(), "other").unwrap_err();
    assert_eq!(error, ManifestError::Name { wanted: "other".into(), found: "probe".into() });
}

#[test]
fn a_newer_manifest_is_refused_by_its_version() {
    let mut told = probe();
    told["manifest"] = json!(2);
    assert_eq!(parse(&told).unwrap_err(), ManifestError::Version(2));
}

#[test]
fn a_call_may_not_do_more_than_the_action_says() {
    let mut told = probe();
    told["calls"][0]["effect"] = json!("destructive");
    let error = parse(&told).unwrap_err().to_string();
    assert!(error.contains("destructive") && error.contains("read"), "{error}");
}

#[test]
fn ids_are_unique() {
    let mut told = probe();
    told["calls"][1]["id"] = told["calls"][0]["id"].clone();
    assert!(parse(&told).unwrap_err().to_string().contains("twice"));
}

#[test]
fn templates_that_could_lead_elsewhere_are_refused() {
    for path in [
        "",
        "incidents",
        "//evil.example",
        "/a//b",
        "/a/../b",
        "/./a",
        "/a?x=1",
        "/a#x",
        "/a%2fb",
        "/a\\b",
        "/a b",
        "/{}",
        "/{a b}",
        "/{a}/{a}",
        "/x{a}",
        "/{a}x",
        "/a/",
        "/a\n",
    ] {
        let mut told = probe();
        told["calls"][0]["path"] = json!(path);
        assert!(matches!(parse(&told), Err(ManifestError::Call { .. })), "{path:?}");
    }
    for path in ["/machines/{machineId}/isolate", "/security/alerts_v2", "/x/microsoft.graph.f(a='b')", "/$batch"] {
        let mut told = probe();
        told["calls"][0]["path"] = json!(path);
        assert!(parse(&told).is_ok(), "{path:?}");
    }
}

#[test]
fn only_the_chosen_surface_counts() {
    let manifest = parse(&probe()).unwrap();
    let on = |surface| manifest.calls_on(surface).map(|call| call.id.to_string()).collect::<Vec<_>>();
    assert_eq!(on("graph"), ["graph.incidents.get", "graph.incidents.list"]);
    assert_eq!(on("defender-xdr"), ["xdr.incidents.list"]);
    assert_eq!(manifest.roles_on("graph"), BTreeSet::from([Role::Base]));
}
