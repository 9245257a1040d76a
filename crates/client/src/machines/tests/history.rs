use super::super::history::{Decision, History, Wanted, decide, read};
use super::super::tag::Tag;
use super::{action, action_id, machine_id};
use jiff::Timestamp;
use serde_json::{Value, json};
use sortie_defender::enums::{IsolationType, MachineActionType};
use sortie_sdk::kinds;

fn now() -> Timestamp {
    "2026-03-10T12:00:00Z".parse().unwrap()
}

fn isolation(scope: IsolationType) -> Wanted {
    Wanted { kind: MachineActionType::Isolate, isolation_type: Some(scope) }
}

fn release() -> Wanted {
    Wanted { kind: MachineActionType::Unisolate, isolation_type: None }
}

fn tag() -> Tag {
    Tag::of("request-1", &machine_id("a").parse().unwrap(), &MachineActionType::Isolate, "Full")
}

fn tagged(mut action: Value) -> Value {
    action["requestorComment"] = json!(format!("why {}", tag().as_str()));
    action
}

fn with(mut action: Value, member: &str, value: Value) -> Value {
    action[member] = value;
    action
}

fn history(actions: &[Value]) -> History {
    let actions = actions.iter().map(|action| read(&action.to_string()).unwrap()).collect();
    History::of(actions, &machine_id("a").parse().unwrap())
}

/// What is decided about a full isolation, in short.
fn decided(wanted: &Wanted, actions: &[Value]) -> String {
    let last = |id: &str| id.trim_start_matches(&action_id(0)[..24]).trim_start_matches('0').to_owned();
    match decide(&history(actions), wanted, &tag(), now()) {
        Ok(Decision::Send(None)) => "send".into(),
        Ok(Decision::Send(Some(_))) => "send with a note".into(),
        Ok(Decision::InProgress(action)) => format!("in progress {}", last(action.id.as_str())),
        Ok(Decision::InEffect(action)) => format!("in effect {}", last(action.id.as_str())),
        Err(error) => error.kind().to_owned(),
    }
}

fn full(actions: &[Value]) -> String {
    decided(&isolation(IsolationType::Full), actions)
}

#[test]
fn nothing_before_is_a_clear_way() {
    assert_eq!(full(&[]), "send");
    assert_eq!(full(&[action(1, "RunAntiVirusScan", "Pending", 1, 1)]), "send");
    for status in ["Failed", "TimeOut", "Cancelled"] {
        assert_eq!(full(&[action(1, "Isolate", status, 1, 2)]), "send", "{status}");
        assert_eq!(full(&[action(1, "Unisolate", status, 1, 2)]), "send", "{status}");
    }
}

#[test]
fn the_same_under_way_is_returned_and_the_opposite_refused() {
    for status in ["Pending", "InProgress", "pending", "Queued"] {
        assert_eq!(full(&[action(1, "Isolate", status, 1, 2)]), "in progress 1", "{status}");
        assert_eq!(full(&[action(1, "Unisolate", status, 1, 2)]), kinds::CONFLICT, "{status}");
        assert_eq!(decided(&release(), &[action(1, "Isolate", status, 1, 2)]), kinds::CONFLICT, "{status}");
        assert_eq!(decided(&release(), &[action(1, "Unisolate", status, 1, 2)]), "in progress 1", "{status}");
    }
    // An isolation that hangs beside a release: nobody knows which ends last.
    let both = [action(1, "Isolate", "Pending", 1, 1), action(2, "Unisolate", "Pending", 2, 2)];
    assert_eq!(full(&both), kinds::CONFLICT);
    assert_eq!(decided(&release(), &both), kinds::CONFLICT);
}

#[test]
fn an_unknown_status_does_not_block_for_ever() {
    let old = with(action(1, "Unisolate", "Evaporated", 1, 2), "lastUpdateTimeUtc", json!("2026-02-10T10:00:00Z"));
    assert_eq!(full(&[old]), "send");
}

#[test]
fn what_completed_last_is_in_effect() {
    let isolated = action(1, "Isolate", "Succeeded", 1, 5);
    let released = action(2, "Unisolate", "Succeeded", 6, 9);
    assert_eq!(full(std::slice::from_ref(&isolated)), "in effect 1");
    assert_eq!(full(&[isolated.clone(), released.clone()]), "send");
    assert_eq!(decided(&release(), &[released.clone(), isolated.clone()]), "in effect 2");
    assert_eq!(decided(&release(), &[isolated]), "send");
    // The isolation was asked for first and completed last: the machine is isolated.
    let hung = action(1, "Isolate", "Succeeded", 1, 30);
    assert_eq!(full(&[hung.clone(), released.clone()]), "in effect 1");
    assert_eq!(decided(&release(), &[hung, released]), "send");
}

#[test]
fn two_opposite_ends_at_one_time_prove_nothing() {
    let both = [action(1, "Isolate", "Succeeded", 1, 5), action(2, "Unisolate", "Succeeded", 1, 5)];
    assert_eq!(full(&both), "send");
    assert_eq!(decided(&release(), &both), "send");
}

#[test]
fn times_are_compared_as_instants() {
    let earlier = with(action(1, "Isolate", "Succeeded", 1, 1), "lastUpdateTimeUtc", json!("2026-03-10T10:09:00.9Z"));
    let later =
        with(action(2, "Unisolate", "Succeeded", 1, 1), "lastUpdateTimeUtc", json!("2026-03-10T12:09:01+02:00"));
    assert_eq!(full(&[earlier, later]), "send");
}

#[test]
fn another_scope_is_another_isolation() {
    let selective = isolation(IsolationType::Selective);
    assert_eq!(decided(&selective, &[action(1, "Isolate", "Succeeded", 1, 2)]), "send with a note");
    assert_eq!(decided(&selective, &[action(1, "Isolate", "Pending", 1, 2)]), kinds::CONFLICT);
    // A scope that is not given, or not known, is no reason to ask for less than Full again.
    for scope in [Value::Null, json!(" "), json!("Something")] {
        let done = with(action(1, "Isolate", "Succeeded", 1, 2), "scope", scope);
        assert_eq!(decided(&selective, &[done]), "in effect 1");
    }
    for scope in [Value::Null, json!(""), json!("full")] {
        assert_eq!(full(&[with(action(1, "Isolate", "Succeeded", 1, 2), "scope", scope)]), "in effect 1");
    }
}

#[test]
fn a_containment_of_an_unmanaged_device_is_not_taken_for_a_full_isolation_nor_the_reverse() {
    let unmanaged = isolation(IsolationType::UnmanagedDevice);
    let contained = |status| with(action(1, "Isolate", status, 1, 2), "scope", json!("UnManagedDevice"));
    assert_eq!(full(&[contained("Succeeded")]), "send with a note");
    assert_eq!(full(&[contained("Pending")]), kinds::CONFLICT);
    assert_eq!(decided(&unmanaged, &[contained("Succeeded")]), "in effect 1");
    assert_eq!(decided(&unmanaged, &[contained("Pending")]), "in progress 1");
    assert_eq!(decided(&unmanaged, &[action(1, "Isolate", "Succeeded", 1, 2)]), "send with a note");
    assert_eq!(decided(&unmanaged, &[action(1, "Isolate", "Pending", 1, 2)]), kinds::CONFLICT);
}

#[test]
fn a_scope_that_nobody_knows_is_not_taken_for_full() {
    let odd = |status| with(action(1, "Isolate", status, 1, 2), "scope", json!("Something"));
    assert_eq!(full(&[odd("Succeeded")]), "send with a note");
    assert_eq!(full(&[odd("Pending")]), kinds::CONFLICT);
    assert_eq!(decided(&release(), &[odd("Succeeded")]), "send");
}

#[test]
fn the_requests_own_isolation_is_in_effect_whatever_scope_the_service_gives_it() {
    for scope in ["Selective", "Something"] {
        let own = with(tagged(action(1, "Isolate", "Succeeded", 1, 2)), "scope", json!(scope));
        assert_eq!(full(std::slice::from_ref(&own)), "in effect 1", "{scope}");
    }
}

#[test]
fn the_requests_own_action_is_never_repeated() {
    assert_eq!(full(&[tagged(action(1, "Isolate", "Pending", 1, 1))]), "in progress 1");
    assert_eq!(full(&[tagged(action(1, "Isolate", "Succeeded", 1, 1))]), "in effect 1");
    for status in ["Failed", "TimeOut", "Cancelled"] {
        let own = tagged(action(1, "Isolate", status, 1, 2));
        assert_eq!(full(std::slice::from_ref(&own)), kinds::FAILED, "{status}");
        assert_eq!(full(&[own.clone(), action(2, "Isolate", "Succeeded", 3, 4)]), "in effect 2", "{status}");
        assert_eq!(full(&[own, action(2, "Isolate", "Pending", 3, 4)]), "in progress 2", "{status}");
    }
    let undone = [tagged(action(1, "Isolate", "Succeeded", 1, 2)), action(2, "Unisolate", "Succeeded", 3, 4)];
    assert_eq!(full(&undone), kinds::CONFLICT);
    let contested = [tagged(action(1, "Isolate", "Succeeded", 1, 2)), action(2, "Unisolate", "Succeeded", 1, 2)];
    assert_eq!(full(&contested), kinds::CONFLICT);
}

#[test]
fn actions_of_other_machines_do_not_count() {
    assert_eq!(full(&[with(action(1, "Isolate", "Pending", 1, 1), "machineId", json!(machine_id("b")))]), "send");
    assert_eq!(full(&[with(action(1, "Isolate", "Pending", 1, 1), "machineId", Value::Null)]), "in progress 1");
    let upper = with(action(1, "Isolate", "Pending", 1, 1), "machineId", json!(machine_id("a").to_uppercase()));
    assert_eq!(full(&[upper]), "in progress 1");
}

#[test]
fn either_spelling_of_the_last_change_is_read_and_both_at_once() {
    let mut both = action(1, "Isolate", "Succeeded", 1, 2);
    both["lastUpdateDateTimeUtc"] = json!("2026-03-10T10:30:00Z");
    let read = read(&both.to_string()).unwrap();
    assert_eq!(read.last_update_date_time_utc.as_deref(), Some("2026-03-10T10:30:00Z"));
    assert_eq!(read.rest.get("relatedFileInfo"), Some(&Value::Null));
    assert!(super::super::history::read("{}").is_err());
}

#[test]
fn a_refusal_names_what_is_in_the_way() {
    let evil = with(action(1, "Unisolate", "Pending", 1, 2), "requestor", json!("eve\u{1b}[2J\u{202e}"));
    let error = decide(&history(&[evil]), &isolation(IsolationType::Full), &tag(), now()).unwrap_err();
    let text = format!("{error:?}");
    assert!(error.message().contains(&action_id(1)) && error.message().contains("eve[2J"), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}') && text.contains("get-machine-action"), "{text}");
}
