//! Reading and waiting, over a scripted host.

use super::*;
use sortie_sdk::testing::{Ran, ScriptedHost};

const ID: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";

fn action(status: &str) -> Value {
    json!({
        "@odata.context": "https://api.example/$metadata#MachineActions/$entity", "id": ID, "type": "RunAntiVirusScan",
        "scope": "Quick", "requestor": "analyst@contoso.com", "requestorComment": "scan it", "status": status,
        "machineId": "000000000000000000000000000000000000000a", "computerDnsName": "ws-042.contoso.com",
        "creationDateTimeUtc": "2026-03-10T11:00:00.1234567Z", "lastUpdateDateTimeUtc": "2026-03-10T11:01:00Z",
        "relatedFileInfo": { "fileIdentifier": "a0c6", "fileIdentifierType": "Sha1" }, "commands": [],
    })
}

fn run(statuses: &[&str], input: Value) -> Ran {
    statuses
        .iter()
        .fold(ScriptedHost::new(), |host, status| host.answer(&GET_MACHINE_ACTION, 200, action(status)))
        .run::<GetMachineAction>(input)
}

#[test]
fn an_action_of_any_type_is_read_and_nothing_is_lost() {
    let ran = run(&["InProgress"], json!({ "machineActionId": ID.to_uppercase() }));
    assert_eq!(ran.requests[0].head["path"]["machineActionId"], ID);
    let output = ran.output();
    assert_eq!(output["outcome"], "inProgress");
    for (member, value) in action("InProgress").as_object().unwrap() {
        assert_eq!(&output["machineAction"][member], value);
    }
}

#[test]
fn every_status_is_an_outcome_and_a_failure_is_one_too() {
    for (status, outcome) in [
        ("Pending", "pending"),
        ("Succeeded", "succeeded"),
        ("Failed", "failed"),
        ("TimeOut", "timeOut"),
        ("Cancelled", "cancelled"),
        ("Evaporated", "unknown"),
    ] {
        let ran = run(&[status], json!({ "machineActionId": ID }));
        assert_eq!(ran.output()["outcome"], outcome);
        assert_eq!(ran.output()["machineAction"]["status"], status);
    }
    assert_eq!(
        run(&["Pending", "Failed"], json!({ "machineActionId": ID, "wait": "1m" })).output()["outcome"],
        "failed"
    );
}

#[test]
fn waiting_ends_with_the_action_or_with_the_time() {
    let ran = run(&["Pending", "InProgress", "Succeeded"], json!({ "machineActionId": ID, "wait": "1m" }));
    assert_eq!(ran.output()["outcome"], "succeeded");
    assert_eq!(ran.requests.len(), 3);
    let ran = run(&["Pending"; 5], json!({ "machineActionId": ID, "wait": "5s" }));
    assert_eq!(ran.error().kind(), kinds::TIMEOUT);
    assert!(ran.error().message().contains(ID), "{:?}", ran.error());
}

#[test]
fn an_unknown_id_is_not_found() {
    let missing = json!({ "kind": "not_found", "message": "none", "httpStatus": 404, "code": "ResourceNotFound" });
    let ran = ScriptedHost::new()
        .fail(&GET_MACHINE_ACTION, "answered", missing)
        .run::<GetMachineAction>(json!({ "machineActionId": ID, "wait": "1m" }));
    assert_eq!(ran.error().kind(), kinds::NOT_FOUND);
    assert_eq!(ran.requests.len(), 1);
}

#[test]
fn hostile_ids_send_nothing() {
    for id in ["", "..", "../machines", "%2f", "5382f7ea-7557-4ab7-9782-d50480024a4e/cancel", "5382f7ea"] {
        let ran = ScriptedHost::new().run::<GetMachineAction>(json!({ "machineActionId": id }));
        assert_eq!(ran.error().violations()[0].pointer, "/machineActionId", "{id}");
        assert!(ran.requests.is_empty());
    }
}

#[test]
fn the_manifest_declares_what_the_host_needs() {
    let manifest = ScriptedHost::manifest::<GetMachineAction>("0.1.0");
    assert_eq!((&manifest["kind"], &manifest["effect"]), (&json!("Enrichment"), &json!("read")));
    assert_eq!(manifest["waitField"], "wait");
    let names: Vec<_> = manifest["input"]["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["machineActionId", "wait"]);
}
