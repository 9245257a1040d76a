//! What the sandbox sends against what was documented: every member of a documented body must be one that the sandbox sends too.
//! Runs only where the contract folder is present.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};
use sortie_sandbox::{CommentKeys, Config, IncidentDraft};

use super::client::{rig, small};

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SORTIE_CONTRACT_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/contract"), PathBuf::from);
    if folder.join("samples").is_dir() {
        Some(folder)
    } else {
        println!("SKIPPED: no contract folder at {}", folder.display());
        None
    }
}

/// Paths of all members, array positions and evidence types folded.
fn paths(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            let kind = map
                .get("@odata.type")
                .and_then(Value::as_str)
                .filter(|kind| kind.ends_with("Evidence"))
                .unwrap_or_default();
            for (key, value) in map {
                let path = format!("{at}{kind}/{key}");
                found.insert(path.clone());
                paths(value, &path, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|item| paths(item, &format!("{at}[]"), found)),
        _ => {}
    }
}

fn all(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    paths(value, "", &mut found);
    found
}

#[test]
fn documented_members_are_sent() {
    let Some(folder) = folder() else { return };
    let rig = small();
    let control = rig.sandbox.control();
    control
        .add_incident(&IncidentDraft {
            comments: vec!["c".to_owned()],
            custom_tags: Some(vec!["t".to_owned()]),
            ..IncidentDraft::default()
        })
        .unwrap();
    let machine = control.machines()[2].id.clone();
    rig.mde("POST", &format!("/machines/{machine}/isolate"))
        .json(&json!({"Comment": "x", "IsolationType": "Full"}))
        .send();
    let action = control.actions()[0].id.clone();
    let sample = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(folder.join("samples").join(name)).unwrap()).unwrap()
    };
    let check = |name: &str, sent: &BTreeSet<String>, excused: &[&str]| {
        let missing: Vec<String> = all(&sample(name))
            .into_iter()
            .filter(|path| !sent.contains(path) && !excused.contains(&path.as_str()))
            .collect();
        assert!(missing.is_empty(), "{name}: {missing:#?}");
    };
    let graph = |path: &str| all(&rig.graph("GET", path).send().json());
    for (keys, tags) in [(CommentKeys::Examples, false), (CommentKeys::Examples, true)] {
        control.switch(|switches| {
            switches.graph_comment_keys = keys;
            switches.graph_tags_key = tags;
            switches.graph_top = sortie_sandbox::TopRule::Clamp1000;
        });
        let list = graph("/security/incidents?$expand=alerts&$top=200");
        check(if tags { "graph_incidents_list_expand_alerts.json" } else { "graph_incidents_list.json" }, &list, &[]);
        if !tags {
            let ids = control.incident_ids();
            let single: BTreeSet<String> =
                ids.iter().rev().take(40).flat_map(|id| graph(&format!("/security/incidents/{id}"))).collect();
            check("graph_incident_get.json", &single, &[]);
        }
    }
    control.switch(|switches| switches.graph_comment_keys = CommentKeys::Csdl);
    check("graph_alerts_v2_list.json", &graph("/security/alerts_v2?$top=300"), &[]);
    let xdr = all(&rig.xdr("GET", "/incidents?$top=100").send().json());
    check("xdr_incidents_list.json", &xdr, &[]);
    check("mde_machines_list.json", &all(&rig.mde("GET", "/machines").send().json()), &[]);
    check("mde_machines_filter_riskscore.json", &all(&rig.mde("GET", "/machines").send().json()), &[]);
    check("mde_machine_get.json", &all(&rig.mde("GET", &format!("/machines/{machine}")).send().json()), &[]);
    check("mde_machineaction_get.json", &all(&rig.mde("GET", &format!("/machineactions/{action}")).send().json()), &[]);
    check(
        "mde_machineactions_list.json",
        &all(&rig.mde("GET", "/machineactions").send().json()),
        &["/value[]/relatedFileInfo/fileIdentifier", "/value[]/relatedFileInfo/fileIdentifierType"],
    );
    let error = all(&rig.mde("GET", "/machines/none").send().json());
    check("mde_error_resourcenotfound.json", &error, &[]);
    let comment = rig.graph("POST", "/security/incidents/1001/comments").json(&json!({"comment": "x"})).send().json();
    check("graph_incident_comment_create.json", &all(&comment), &[]);
    let denied = rig.ask_token(rig.sandbox.base_application(), "x").json();
    check("entra_token_error_invalid_scope.json", &all(&denied), &[]);
}

#[test]
fn documented_requests_are_accepted() {
    let Some(folder) = folder() else { return };
    let rig = small();
    let sample = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(folder.join("samples").join(name)).unwrap()).unwrap()
    };
    let machine = rig.sandbox.control().machines()[2].id.clone();
    let ok = |answer: super::client::Answer, status: u16| assert_eq!(answer.status, status, "{}", answer.text());
    ok(rig.graph("PATCH", "/security/incidents/1001").json(&sample("graph_incident_update_request.json")).send(), 200);
    ok(
        rig.graph("POST", "/security/incidents/1001/comments")
            .json(&sample("graph_comment_create_request.json"))
            .send(),
        200,
    );
    ok(rig.xdr("PATCH", "/incidents/1001").json(&sample("xdr_incident_update_request.json")).send(), 200);
    let action =
        rig.mde("POST", &format!("/machines/{machine}/isolate")).json(&sample("mde_isolate_request.json")).send();
    let id = action.json()["id"].as_str().unwrap().to_owned();
    ok(action, 201);
    ok(
        rig.mde("POST", &format!("/machineactions/{id}/cancel"))
            .json(&sample("mde_machineaction_cancel_request.json"))
            .send(),
        200,
    );
    ok(
        rig.mde("POST", &format!("/machines/{machine}/unisolate")).json(&sample("mde_unisolate_request.json")).send(),
        201,
    );
    ok(
        rig.mde("POST", &format!("/machines/{machine}/runAntiVirusScan"))
            .json(&sample("mde_runantivirusscan_request.json"))
            .send(),
        201,
    );
}

#[test]
fn declared_properties_and_enum_members_are_known() {
    let Some(folder) = folder() else { return };
    let csdl = std::fs::read_to_string(folder.join("csdl/security.csdl.xml")).unwrap();
    let rig = rig(Config { incidents: 150, ..Config::default() });
    let control = rig.sandbox.control();
    let mut kinds = std::collections::BTreeMap::<String, BTreeSet<String>>::new();
    let mut collect = |value: &Value| gather(value, &mut kinds);
    for id in control.incident_ids() {
        collect(&control.incident(id).unwrap());
    }
    let mut checked = 0;
    for block in csdl.split("<ComplexType ").chain(csdl.split("<EntityType ")).skip(1) {
        let name = block.split("Name=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let block =
            block.split("</ComplexType>").next().unwrap_or_default().split("</EntityType>").next().unwrap_or_default();
        let key = format!("#microsoft.graph.security.{name}");
        let Some(sent) = kinds.get(&key) else {
            assert!(!name.ends_with("Evidence") || name == "alertEvidence", "no {name} was sent");
            continue;
        };
        for property in block.split("Property Name=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(sent.contains(property), "{name}.{property} is not sent");
        }
        checked += 1;
    }
    assert!(checked >= 50, "{checked}");
}

/// Members seen, by `@odata.type`.
fn gather(value: &Value, kinds: &mut std::collections::BTreeMap<String, BTreeSet<String>>) {
    match value {
        Value::Object(map) => {
            if let Some(kind) = map.get("@odata.type").and_then(Value::as_str) {
                kinds.entry(kind.to_owned()).or_default().extend(map.keys().cloned());
            }
            map.values().for_each(|value| gather(value, kinds));
        }
        Value::Array(list) => list.iter().for_each(|value| gather(value, kinds)),
        _ => {}
    }
}
