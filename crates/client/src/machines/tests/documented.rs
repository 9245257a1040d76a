//! What Microsoft prints is read, and every leaf of it is written out again.

use super::super::history::read;
use serde_json::{Value, from_str, to_value};
use sortie_defender::machine::Machine;
use std::path::PathBuf;

/// A documented body; none where the contract is not at hand.
fn documented(name: &str) -> Option<String> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/contract");
    let folder = std::env::var_os("SORTIE_CONTRACT_DIR").map_or_else(beside, PathBuf::from);
    let text = std::fs::read_to_string(folder.join("samples").join(name)).ok();
    if text.is_none() {
        println!("skipped: no contract with {name} at hand");
    }
    text
}

/// The records of a body: the elements of its list, or itself.
fn records(body: &str) -> Vec<Value> {
    let body: Value = from_str(body).unwrap();
    match body.get("value") {
        Some(Value::Array(records)) => records.clone(),
        _ => vec![body],
    }
}

/// Every member stands in the output, but for the one whose two spellings become one.
fn assert_kept(record: &Value, written: &Value) {
    for (name, value) in record.as_object().unwrap() {
        let name = if name == "lastUpdateTimeUtc" { "lastUpdateDateTimeUtc" } else { name };
        assert_eq!(&written[name], value, "{name}");
    }
}

#[test]
fn documented_machines_are_kept_whole() {
    for name in ["mde_machine_get.json", "mde_machines_list.json", "mde_machines_filter_riskscore.json"] {
        let Some(body) = documented(name) else { continue };
        for record in records(&body) {
            let machine: Machine = from_str(&record.to_string()).unwrap();
            assert_kept(&record, &to_value(&machine).unwrap());
        }
    }
}

#[test]
fn documented_machine_actions_are_kept_whole() {
    for name in ["mde_machineaction_get.json", "mde_machineaction_resource.json", "mde_machineactions_list.json"] {
        let Some(body) = documented(name) else { continue };
        for record in records(&body) {
            let action = read(&record.to_string()).unwrap();
            assert!(action.created().is_some() && action.updated() > action.created(), "{name}");
            assert_kept(&record, &to_value(&action).unwrap());
        }
    }
}
