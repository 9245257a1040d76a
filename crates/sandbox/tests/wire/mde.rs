use std::time::Duration;

use serde_json::{Value, json};
use sortie_sandbox::{Duplicate, MachineDraft, Outcome};

use super::client::{Answer, Rig, small};

fn isolate(rig: &Rig, machine: &str) -> Answer {
    rig.mde("POST", &format!("/machines/{machine}/isolate"))
        .json(&json!({"Comment": "because", "IsolationType": "Selective"}))
        .send()
}

fn release(rig: &Rig, machine: &str) -> Answer {
    rig.mde("POST", &format!("/machines/{machine}/unisolate")).json(&json!({"Comment": "clean"})).send()
}

#[test]
fn machines_are_listed_and_found_by_id_or_name() {
    let rig = small();
    let machines = rig.sandbox.control().machines();
    assert_eq!(
        rig.mde("GET", "/machines").send().ids(),
        machines.iter().map(|machine| machine.id.clone()).collect::<Vec<_>>()
    );
    assert_eq!(rig.mde("GET", "/machines?$top=3&$skip=6").send().ids().len(), 2);
    let shared: Vec<_> = machines
        .iter()
        .filter(|machine| machine.computer_dns_name == machines[0].computer_dns_name)
        .map(|machine| machine.id.clone())
        .collect();
    assert_eq!(shared.len(), 2);
    let filter = format!("/machines?$filter=computerDnsName%20eq%20'{}'", machines[0].computer_dns_name);
    assert_eq!(rig.mde("GET", &filter).send().ids(), shared);
    assert_eq!(
        rig.mde("GET", &format!("/machines/{}", machines[3].id)).send().json()["computerDnsName"],
        machines[3].computer_dns_name.as_str()
    );
    assert_eq!(
        rig.mde("GET", &format!("/machines/{}", machines[3].computer_dns_name)).send().json()["id"],
        machines[3].id.as_str()
    );
    assert_eq!(rig.mde("GET", "/machines/nowhere").send().code(), "ResourceNotFound");
    for query in [
        "$top=10001",
        "$filter=osBuild%20eq%201",
        "$filter=ComputerDnsName%20eq%20'x'",
        "$orderby=id",
        "$filter=startswith(computerDnsName,'ws')",
    ] {
        assert_eq!(rig.mde("GET", &format!("/machines?{query}")).send().status, 400, "{query}");
    }
    let tagged = rig
        .sandbox
        .control()
        .put_machine(&MachineDraft { machine_tags: Some(vec!["o'clock".to_owned()]), ..MachineDraft::default() });
    assert_eq!(rig.mde("GET", "/machines?$filter=machineTags/any(t:t%20eq%20'o''clock')").send().ids(), [tagged]);
}

#[test]
fn no_machines_is_404_unless_switched() {
    let rig = small();
    let nothing = "/machines?$filter=computerDnsName%20eq%20'none'";
    assert_eq!(rig.mde("GET", nothing).send().status, 404);
    rig.sandbox.control().switch(|switches| switches.machines_empty_is_404 = false);
    assert_eq!(rig.mde("GET", nothing).send().json()["value"], json!([]));
}

#[test]
fn isolation_is_queued_runs_and_ends() {
    let rig = small();
    let control = rig.sandbox.control();
    let machine = control.machines()[2].id.clone();
    control.set_outcome(None, Outcome { pending_ms: 1_000, running_ms: 2_000, status: "Succeeded".to_owned() });
    let answer = isolate(&rig, &machine);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let action = answer.json();
    assert_eq!(
        (
            action["type"].as_str(),
            action["status"].as_str(),
            action["scope"].as_str(),
            action["requestorComment"].as_str()
        ),
        (Some("Isolate"), Some("Pending"), Some("Selective"), Some("because"))
    );
    let path = format!("/machineactions/{}", action["id"].as_str().unwrap());
    let status = || rig.mde("GET", &path).send().json()["status"].clone();
    control.advance(Duration::from_millis(1_500));
    assert_eq!(status(), "InProgress");
    assert!(!control.isolated(&machine));
    control.advance(Duration::from_millis(1_500));
    assert_eq!(status(), "Succeeded");
    assert!(control.isolated(&machine));
    assert_eq!(rig.mde("GET", &path).send().json()["lastUpdateDateTimeUtc"], "2026-03-01T12:00:03Z");
    assert_eq!(release(&rig, &machine).status, 201);
    control.finish_actions();
    assert!(!control.isolated(&machine));
    assert_eq!(control.isolations(&machine), 1);
}

#[test]
fn bodies_are_read_by_exact_key_and_value() {
    let rig = small();
    let machine = rig.sandbox.control().machines()[2].id.clone();
    let post = |body: &Value| rig.mde("POST", &format!("/machines/{machine}/isolate")).json(body).send();
    for (body, code) in [
        (json!({"comment": "x", "IsolationType": "Full"}), "MissingRequiredParameter"),
        (json!({"IsolationType": "Full"}), "MissingRequiredParameter"),
        (json!({"Comment": "", "IsolationType": "Full"}), "MissingRequiredParameter"),
        (json!({"Comment": 5}), "InvalidRequestBody"),
        (json!({"Comment": "x", "isolationType": "Full"}), "InvalidRequestBody"),
        (json!({"Comment": "x", "IsolationType": "full"}), "InvalidInput"),
        (json!({"Comment": "x", "IsolationType": "Everything"}), "InvalidInput"),
        (json!([]), "InvalidRequestBody"),
    ] {
        let answer = post(&body);
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{body}");
    }
    assert_eq!(rig.sandbox.control().isolations(&machine), 0);
    assert_eq!(post(&json!({"Comment": "x", "externalID": "case-7"})).json()["externalID"], "case-7");
    assert_eq!(rig.sandbox.control().actions().last().unwrap().scope.as_deref(), Some("Full"));
    assert_eq!(isolate(&rig, "0000").code(), "ResourceNotFound");
    assert_eq!(
        rig.mde("POST", &format!("/machines/{machine}/Isolate")).json(&json!({"Comment": "x"})).send().status,
        404
    );
}

#[test]
fn repeats_follow_their_switch() {
    let rig = small();
    let control = rig.sandbox.control();
    let machine = control.machines()[2].id.clone();
    let first = isolate(&rig, &machine).json()["id"].clone();
    let refused = isolate(&rig, &machine);
    assert_eq!(
        (refused.status, refused.json()["error"]["message"].as_str()),
        (400, Some("Action is already in progress"))
    );
    control.switch(|switches| switches.isolate_duplicate = Duplicate::ReturnPending);
    let same = isolate(&rig, &machine);
    assert_eq!((same.status, same.json()["id"].clone()), (201, first.clone()));
    assert_eq!(control.isolations(&machine), 1);
    control.switch(|switches| switches.isolate_duplicate = Duplicate::Second);
    assert_ne!(isolate(&rig, &machine).json()["id"], first);
    assert_eq!(release(&rig, &machine).status, 201, "an opposite action is accepted");
    assert_eq!(release(&rig, &machine).status, 400);
    control.finish_actions();
    assert_eq!(release(&rig, &machine).status, 201);
    control.finish_actions();
    control.switch(|switches| {
        switches.refuse_not_isolated = true;
        switches.refuse_opposite = true;
    });
    assert_eq!(release(&rig, &machine).code(), "InvalidInput");
    isolate(&rig, &machine);
    control.switch(|switches| switches.refuse_not_isolated = false);
    assert_eq!(release(&rig, &machine).status, 400);
    control.finish_actions();
    control.switch(|switches| switches.refuse_isolated = true);
    assert_eq!(isolate(&rig, &machine).code(), "InvalidInput");
}

#[test]
fn a_late_isolate_beats_an_earlier_release() {
    let rig = small();
    let control = rig.sandbox.control();
    let machine = control.machines()[2].id.clone();
    let slow = isolate(&rig, &machine).json()["id"].as_str().unwrap().to_owned();
    control.set_action_outcome(&slow, Outcome { pending_ms: 60_000, ..Outcome::default() }).unwrap();
    release(&rig, &machine);
    control.advance(Duration::from_secs(10));
    assert!(!control.isolated(&machine));
    control.finish_actions();
    assert!(control.isolated(&machine));
}

#[test]
fn actions_are_listed_filtered_and_cancelled() {
    let rig = small();
    let control = rig.sandbox.control();
    let machines = control.machines();
    control.set_outcome(Some(&machines[3].id), Outcome { pending_ms: 0, running_ms: 0, status: "Failed".to_owned() });
    let id = isolate(&rig, &machines[2].id).json()["id"].as_str().unwrap().to_owned();
    isolate(&rig, &machines[3].id);
    let list = |filter: &str| rig.mde("GET", &format!("/machineactions?$filter={}", filter.replace(' ', "%20"))).send();
    assert_eq!(
        list(&format!("machineId eq '{}' and type eq 'Isolate'", machines[2].id)).ids(),
        std::slice::from_ref(&id)
    );
    assert_eq!(list("status eq 'Pending'").ids(), std::slice::from_ref(&id));
    assert_eq!(list("status eq 'Failed'").ids().len(), 1);
    assert_eq!(list("creationDateTimeUtc ge 2026-03-01T12:00:00Z").ids().len(), 2);
    assert_eq!(list("status eq 'Done'").status, 400);
    assert_eq!(list("scope eq 'Full'").status, 400);
    let shown = list("status eq 'Pending'").json();
    assert!(
        shown["value"][0].get("lastUpdateTimeUtc").is_some()
            && shown["value"][0].get("lastUpdateDateTimeUtc").is_none()
    );
    let cancel =
        |id: &str| rig.mde("POST", &format!("/machineactions/{id}/cancel")).json(&json!({"Comment": "stop"})).send();
    let cancelled = cancel(&id);
    assert_eq!((cancelled.status, cancelled.json()["status"].as_str()), (200, Some("Cancelled")));
    assert_eq!(cancelled.json()["cancellationComment"], "stop");
    assert_eq!(cancel(&id).status, 400, "final actions stay");
    assert_eq!(cancel("0").status, 404);
    assert_eq!(rig.mde("GET", "/machineactions/0").send().code(), "ResourceNotFound");
}
