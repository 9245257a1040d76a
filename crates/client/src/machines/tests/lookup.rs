use super::super::{MachineReference, find};
use super::machine_id;
use sortie_defender::endpoints::defender_endpoint::{GET_MACHINE, LIST_MACHINES};
use sortie_defender::machine::Machine;
use sortie_sdk::prelude::*;
use sortie_sdk::testing::{Ran, ScriptedHost};

#[derive(Deserialize, JsonSchema)]
struct Input {
    machine: MachineReference,
}

struct Probe;

impl Action for Probe {
    type Input = Input;
    type Output = Machine;

    fn manifest() -> Manifest {
        Manifest::new("probe", Kind::ENRICHMENT).call(&GET_MACHINE).call(&LIST_MACHINES)
    }

    fn run(host: &Host<'_>, input: Input) -> Result<Machine> {
        find(host, &input.machine)
    }
}

fn machine(last: &str, name: &str) -> Value {
    json!({
        "id": machine_id(last), "computerDnsName": name, "osPlatform": "Windows11", "healthStatus": "Active",
        "lastSeen": "2026-03-09T08:00:00.123Z", "rbacGroupId": 140, "somethingNew": { "a": [1] },
    })
}

fn list(machines: &[Value]) -> Value {
    json!({ "@odata.context": "https://x/$metadata#Machines", "value": machines })
}

fn not_found() -> Value {
    json!({ "kind": "not_found", "message": "No machines", "httpStatus": 404, "code": "ResourceNotFound" })
}

fn refused() -> Value {
    json!({ "kind": "failed", "message": "Bad filter", "httpStatus": 400, "code": "BadRequest" })
}

fn look(host: ScriptedHost, machine: &str) -> Ran {
    host.run::<Probe>(json!({ "machine": machine }))
}

fn filters(ran: &Ran) -> Vec<&str> {
    ran.requests.iter().filter_map(|request| request.query("$filter")).collect()
}

#[test]
fn an_id_is_read_directly_and_nothing_is_lost() {
    let host = ScriptedHost::new().answer(&GET_MACHINE, 200, machine("a", "ws-042.contoso.com"));
    let ran = look(host, &machine_id("A"));
    assert_eq!(ran.requests.len(), 1);
    assert_eq!(ran.requests[0].head["path"]["machineId"], machine_id("a"));
    let output = ran.output();
    for (member, value) in machine("a", "ws-042.contoso.com").as_object().unwrap() {
        assert_eq!(&output[member], value);
    }
}

#[test]
fn an_id_that_does_not_exist_is_not_found() {
    let ran = look(ScriptedHost::new().fail(&GET_MACHINE, "answered", not_found()), &machine_id("a"));
    assert_eq!(ran.error().kind(), kinds::NOT_FOUND);
    assert!(ran.error().message().contains(&machine_id("a")), "{:?}", ran.error());
}

#[test]
fn another_machine_than_the_one_asked_for_is_not_taken() {
    let host = ScriptedHost::new().answer(&GET_MACHINE, 200, machine("b", "ws-042.contoso.com"));
    assert_eq!(look(host, &machine_id("a")).error().kind(), kinds::BAD_RESPONSE);
}

#[test]
fn a_whole_name_takes_one_call() {
    let host = ScriptedHost::new().answer(&LIST_MACHINES, 200, list(&[machine("a", "ws-042.contoso.com")]));
    let ran = look(host, "ws-042.contoso.com");
    assert_eq!(ran.output()["id"], machine_id("a"));
    assert_eq!(filters(&ran), ["computerDnsName eq 'ws-042.contoso.com'"]);
}

#[test]
fn capitals_make_no_difference() {
    let host = ScriptedHost::new().fail(&LIST_MACHINES, "answered", not_found()).answer(
        &LIST_MACHINES,
        200,
        list(&[machine("a", "Ws-042.Contoso.com")]),
    );
    let ran = look(host, "WS-042.contoso.com");
    assert_eq!(ran.output()["id"], machine_id("a"));
    assert_eq!(filters(&ran), ["computerDnsName eq 'ws-042.contoso.com'", "computerDnsName eq 'WS-042.contoso.com'"]);
}

#[test]
fn a_first_part_alone_stands_for_every_name_that_begins_with_it() {
    let host = ScriptedHost::new().fail(&LIST_MACHINES, "answered", not_found()).answer(
        &LIST_MACHINES,
        200,
        list(&[machine("a", "ws-042.contoso.com")]),
    );
    let ran = look(host, "ws-042");
    assert_eq!(ran.output()["id"], machine_id("a"));
    assert_eq!(filters(&ran), ["computerDnsName eq 'ws-042'", "startswith(computerDnsName,'ws-042.')"]);
}

#[test]
fn an_ambiguous_name_is_refused_with_its_bearers() {
    let both = list(&[machine("a", "ws-042.contoso.com"), machine("b", "ws-042.contoso.com")]);
    let ran = look(ScriptedHost::new().answer(&LIST_MACHINES, 200, both), "ws-042.contoso.com");
    let error = ran.error();
    assert_eq!(error.kind(), kinds::CONFLICT);
    for part in [&machine_id("a"), &machine_id("b"), "Active", "Windows11", "2026-03-09T08:00:00.123Z"] {
        assert!(error.message().contains(part), "{part} in {error}");
    }
}

#[test]
fn a_first_part_that_two_domains_share_is_refused() {
    // One bears the short name itself, the other a whole one: both are called so.
    let host = ScriptedHost::new().answer(&LIST_MACHINES, 200, list(&[machine("a", "ws-042")])).answer(
        &LIST_MACHINES,
        200,
        list(&[machine("b", "ws-042.fabrikam.com")]),
    );
    assert_eq!(look(host, "ws-042").error().kind(), kinds::CONFLICT);
}

#[test]
fn the_same_machine_twice_is_one() {
    let one = machine("a", "ws-042.contoso.com");
    let host = ScriptedHost::new().answer(&LIST_MACHINES, 200, list(&[one.clone(), one.clone()])).answer(
        &LIST_MACHINES,
        200,
        list(&[one]),
    );
    assert_eq!(look(host, "WS-042.contoso.com").output()["id"], machine_id("a"));
}

#[test]
fn many_candidates_are_cut() {
    let many: Vec<Value> = (10..25).map(|last| machine(&last.to_string(), "ws-042.contoso.com")).collect();
    let ran = look(ScriptedHost::new().answer(&LIST_MACHINES, 200, list(&many)), "ws-042.contoso.com");
    assert!(ran.error().message().starts_with("15 machines") && ran.error().message().ends_with("and 5 more"));
}

#[test]
fn no_machine_is_not_found_whichever_way_the_service_says_it() {
    for host in [
        ScriptedHost::new().fail(&LIST_MACHINES, "answered", not_found()),
        ScriptedHost::new().answer(&LIST_MACHINES, 200, list(&[])),
    ] {
        let ran = look(host, "ws-042.contoso.com");
        assert_eq!(ran.error().kind(), kinds::NOT_FOUND);
        assert!(format!("{:?}", ran.error()).contains("40 hexadecimal digits"));
    }
}

/// A host whose service answers a whole name without filtering, and then with these pages of the inventory.
fn without_filters(first: &[Value], inventory: &[&[Value]]) -> ScriptedHost {
    let host = ScriptedHost::new().answer(&LIST_MACHINES, 200, list(first));
    inventory.iter().fold(host, |host, page| host.answer(&LIST_MACHINES, 200, list(page)))
}

#[test]
fn one_match_beside_other_machines_is_not_taken_for_the_only_one() {
    let (other, one, two) =
        (machine("b", "dc-01.contoso.com"), machine("a", "ws-042.contoso.com"), machine("c", "ws-042.contoso.com"));
    let first = [other.clone(), one.clone()];
    let ran = look(without_filters(&first, &[&first, &[two], &[]]), "ws-042.contoso.com");
    assert_eq!(ran.error().kind(), kinds::CONFLICT, "the second one stood on a later page");
    let ran = look(without_filters(&first, &[&first, &[]]), "ws-042.contoso.com");
    assert_eq!(ran.output()["id"], machine_id("a"));
    assert_eq!(filters(&ran).len(), 1);
    assert_eq!(ran.requests.len(), 3);
    // An answer that goes on is only a part of the answer.
    let mut part = list(std::slice::from_ref(&one));
    part["@odata.nextLink"] = json!("https://api.example/machines?$skip=1");
    let host = ScriptedHost::new()
        .answer(&LIST_MACHINES, 200, part)
        .answer(&LIST_MACHINES, 200, list(&[one, machine("c", "ws-042.contoso.com")]))
        .answer(&LIST_MACHINES, 200, list(&[]));
    assert_eq!(look(host, "ws-042.contoso.com").error().kind(), kinds::CONFLICT);
}

#[test]
fn a_service_that_ignores_the_filter_is_not_believed() {
    let others = [machine("b", "dc-01.contoso.com")];
    let ran = look(without_filters(&others, &[&others, &[]]), "ws-042.contoso.com");
    assert_eq!(ran.error().kind(), kinds::NOT_FOUND);
    let ran =
        look(without_filters(&others, &[&others, &[machine("a", "ws-042.contoso.com")], &[]]), "ws-042.contoso.com");
    assert_eq!(ran.output()["id"], machine_id("a"));
    // Two bearers are two, whatever else stands in the list: nothing more is read.
    let both = [others[0].clone(), machine("a", "ws-042.contoso.com"), machine("c", "ws-042.contoso.com")];
    let ran = look(without_filters(&both, &[]), "ws-042.contoso.com");
    assert_eq!((ran.error().kind(), ran.requests.len()), (kinds::CONFLICT, 1));
}

#[test]
fn other_failures_pass_through() {
    let throttled = json!({ "kind": "throttled", "message": "slow down", "httpStatus": 429, "retryAfterSeconds": 7.0 });
    let ran = look(ScriptedHost::new().fail(&LIST_MACHINES, "answered", throttled), "ws-042.contoso.com");
    assert_eq!(ran.error().kind(), kinds::THROTTLED);
    let ran = look(ScriptedHost::new().fail(&LIST_MACHINES, "answered", refused()), "ws-042.contoso.com");
    assert_eq!((ran.error().kind(), ran.requests.len()), (kinds::FAILED, 1));
}

/// A host whose service does not know `startswith`.
fn without_functions() -> ScriptedHost {
    ScriptedHost::new().fail(&LIST_MACHINES, "answered", not_found()).fail(&LIST_MACHINES, "answered", refused())
}

#[test]
fn without_functions_the_whole_inventory_proves_it() {
    let first: Vec<Value> = (0..3).map(|at| machine(&format!("c{at}"), &format!("srv-{at}.contoso.com"))).collect();
    let host = without_functions()
        .answer(&LIST_MACHINES, 200, list(&first))
        .answer(&LIST_MACHINES, 200, list(&[machine("a", "WS-042.contoso.com"), machine("b", "ws-0421.contoso.com")]))
        .fail(&LIST_MACHINES, "answered", not_found());
    let ran = look(host, "ws-042");
    assert_eq!(ran.output()["id"], machine_id("a"));
    let skips: Vec<_> = ran.requests[2..].iter().map(|request| request.query("$skip")).collect();
    assert_eq!(skips, [None, Some("3"), Some("5")]);
}

#[test]
fn a_name_that_the_inventory_lacks_is_not_found_and_no_fault_of_the_service() {
    let host = without_functions().answer(&LIST_MACHINES, 200, list(&[machine("a", "srv-1.contoso.com")])).answer(
        &LIST_MACHINES,
        200,
        list(&[]),
    );
    assert_eq!(look(host, "ws-042").error().kind(), kinds::NOT_FOUND);
}

#[test]
fn the_inventory_shows_an_ambiguity_on_a_later_page() {
    let host = without_functions()
        .answer(&LIST_MACHINES, 200, list(&[machine("a", "ws-042.contoso.com")]))
        .answer(&LIST_MACHINES, 200, list(&[machine("b", "ws-042.fabrikam.com")]))
        .answer(&LIST_MACHINES, 200, list(&[]));
    assert_eq!(look(host, "ws-042").error().kind(), kinds::CONFLICT);
}

#[test]
fn a_next_link_of_the_inventory_is_followed() {
    let mut first = list(&[machine("c", "srv-1.contoso.com")]);
    first["@odata.nextLink"] = json!("https://api.example/machines?$skip=1");
    let host = without_functions()
        .answer(&LIST_MACHINES, 200, first)
        .answer(&LIST_MACHINES, 200, list(&[machine("a", "ws-042.contoso.com")]))
        .answer(&LIST_MACHINES, 200, list(&[]));
    let ran = look(host, "ws-042");
    assert_eq!(ran.output()["id"], machine_id("a"));
    assert_eq!(ran.requests[3].head["link"], "https://api.example/machines?$skip=1");
}

#[test]
fn an_inventory_that_repeats_itself_settles_nothing() {
    let page = list(&[machine("a", "ws-042.contoso.com")]);
    let host = without_functions().answer(&LIST_MACHINES, 200, page.clone()).answer(&LIST_MACHINES, 200, page);
    assert_eq!(look(host, "ws-042").error().kind(), kinds::BAD_RESPONSE);
}

#[test]
fn a_bearer_that_cannot_be_read_is_not_passed_over() {
    let broken = json!({ "id": "17", "computerDnsName": "ws-042.contoso.com" });
    let host = ScriptedHost::new().answer(&LIST_MACHINES, 200, list(&[broken, machine("a", "ws-042.contoso.com")]));
    assert_eq!(look(host, "ws-042.contoso.com").error().kind(), kinds::BAD_RESPONSE);
}

#[test]
fn hostile_references_send_nothing() {
    for text in ["../machines", "a%2fb", "x' or 1 eq 1", "", " ", "a/b", ".."] {
        let ran = look(ScriptedHost::new(), text);
        assert_eq!(ran.error().kind(), kinds::INVALID_INPUT, "{text:?}");
        assert_eq!(ran.error().violations()[0].pointer, "/machine", "{text:?}");
        assert!(ran.requests.is_empty(), "{text:?}");
    }
}
