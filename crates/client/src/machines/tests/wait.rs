use super::super::{get, until_final};
use super::{action, action_id};
use sortie_defender::endpoints::defender_endpoint::GET_MACHINE_ACTION;
use sortie_defender::ids::MachineActionId;
use sortie_defender::machine::MachineAction;
use sortie_sdk::prelude::*;
use sortie_sdk::testing::{Ran, ScriptedHost};

#[derive(Deserialize, JsonSchema)]
struct Input {
    id: MachineActionId,
    wait: Span,
}

struct Probe;

impl Action for Probe {
    type Input = Input;
    type Output = MachineAction;

    fn manifest() -> Manifest {
        Manifest::new("probe", Kind::ENRICHMENT).call(&GET_MACHINE_ACTION)
    }

    fn run(host: &Host<'_>, input: Input) -> Result<MachineAction> {
        let action = get(host, &input.id)?;
        until_final(host, action, input.wait)
    }
}

fn wait(host: ScriptedHost, wait: &str) -> Ran {
    host.run::<Probe>(json!({ "id": action_id(1), "wait": wait }))
}

fn answers(statuses: &[&str]) -> ScriptedHost {
    statuses.iter().fold(ScriptedHost::new(), |host, status| {
        host.answer(&GET_MACHINE_ACTION, 200, action(1, "Isolate", status, 1, 2))
    })
}

fn error(kind: &str, status: u16) -> Value {
    json!({ "kind": kind, "message": "trouble", "httpStatus": status })
}

#[test]
fn every_final_status_ends_the_wait() {
    for status in ["Succeeded", "Failed", "TimeOut", "Cancelled"] {
        let ran = wait(answers(&["Pending", "InProgress", status]), "10m");
        assert_eq!(ran.output()["status"], status);
        assert_eq!(ran.requests.len(), 3);
    }
    assert_eq!(wait(answers(&["Succeeded"]), "10m").requests.len(), 1);
}

#[test]
fn looks_become_rarer_and_the_last_one_is_made_when_the_time_is_up() {
    // Looks at 0, 2, 5, 9.5, 16.25, 26.375, 41.375, 56.375 and 60 seconds.
    let ran = wait(answers(&["Pending"; 20]), "60s");
    assert_eq!(ran.requests.len(), 9);
    let error = ran.error();
    assert_eq!(error.kind(), kinds::TIMEOUT);
    assert!(error.message().contains(&action_id(1)) && error.message().contains("Pending"), "{error}");
    assert!(ran.log.iter().any(|line| line.contains("26 s of 60 s")), "{:?}", ran.log);
}

#[test]
fn an_unknown_status_is_waited_for() {
    assert_eq!(wait(answers(&["Brewing", "Succeeded"]), "1m").output()["status"], "Succeeded");
}

#[test]
fn a_look_that_fails_for_a_passing_reason_is_made_again() {
    let host = answers(&["Pending"])
        .fail(&GET_MACHINE_ACTION, "answered", error("unavailable", 503))
        .fail(&GET_MACHINE_ACTION, "answered", error("not_found", 404))
        .answer(&GET_MACHINE_ACTION, 200, action(1, "Isolate", "Succeeded", 1, 2));
    assert_eq!(wait(host, "1m").output()["status"], "Succeeded");
}

#[test]
fn trouble_that_lasts_is_named_when_the_time_is_up() {
    let host = answers(&["Pending"]).fail(&GET_MACHINE_ACTION, "answered", error("unavailable", 503));
    let ran = wait(host, "2s");
    assert_eq!(ran.error().kind(), kinds::TIMEOUT);
    assert!(ran.error().message().contains("trouble"), "{:?}", ran.error());
}

#[test]
fn a_look_that_fails_for_good_ends_the_wait() {
    let host = answers(&["Pending"]).fail(&GET_MACHINE_ACTION, "answered", error("forbidden", 403));
    assert_eq!(wait(host, "1m").error().kind(), kinds::FORBIDDEN);
    let late = (0..6).fold(ScriptedHost::new(), |host, _| {
        host.answer(&GET_MACHINE_ACTION, 200, action(1, "Isolate", "Pending", 1, 2))
    });
    let ran = wait(late.fail(&GET_MACHINE_ACTION, "answered", error("not_found", 404)), "5m");
    assert_eq!(ran.error().kind(), kinds::NOT_FOUND);
}

#[test]
fn another_action_than_the_one_asked_for_is_not_taken() {
    let host = ScriptedHost::new().answer(&GET_MACHINE_ACTION, 200, action(2, "Isolate", "Succeeded", 1, 2));
    assert_eq!(wait(host, "1m").error().kind(), kinds::BAD_RESPONSE);
}

#[test]
fn an_answer_that_is_no_machine_action_is_a_bad_response() {
    for body in [&b"{}"[..], b"[]", b"\xff", b"{\"id\":\"17\",\"type\":\"Isolate\",\"status\":\"Pending\"}"] {
        let ran = wait(ScriptedHost::new().answer_bytes(&GET_MACHINE_ACTION, 200, body), "1m");
        assert_eq!(ran.error().kind(), kinds::BAD_RESPONSE);
    }
}
