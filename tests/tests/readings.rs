//! Where Microsoft's documentation is silent or contradicts itself the sandbox has a switch, and the actions are right
//! under every reading: what is listed is whole, what is read is found, what is written is done once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use serde_json::{Value, json};
use sortie_sandbox::{
    CommentKeys, Config, Continuation, Duplicate, GraphSpelling, Newest, Pairs, Switches, TopRule, Undocumented,
    XdrSpelling,
};
use sortie_tests::{Profile, World};
use std::collections::BTreeSet;

const INCIDENTS: usize = 130;

/// A reading: its name and how the switches differ from the default.
type Reading = (&'static str, fn(&mut Switches));

const READINGS: &[Reading] = &[
    ("the default", |_| {}),
    ("no gzip", |switches| switches.gzip = false),
    ("newest by update", |switches| switches.newest = Newest::Updated),
    ("functions in filters", |switches| switches.filter_functions = true),
    ("credential errors with 401", |switches| switches.credential_error_status = 401),
    ("times of tokens as text", |switches| switches.identity_text_times = true),
    ("ext_expires_in", |switches| switches.token_ext_expires_in = true),
    ("refresh_in", |switches| switches.token_refresh_in = Some(1800)),
    ("a larger page is clamped to 50", |switches| switches.graph_top = TopRule::Clamp50),
    ("a larger page is clamped to 1000", |switches| switches.graph_top = TopRule::Clamp1000),
    ("no next links on Graph", |switches| switches.graph_next_links = false),
    ("next links count", |switches| switches.graph_continuation = Continuation::Offset),
    ("undocumented options are refused", |switches| {
        switches.graph_orderby = Undocumented::Refuse;
        switches.graph_select = Undocumented::Refuse;
        switches.graph_other_options = Undocumented::Refuse;
        switches.xdr_other_options = Undocumented::Refuse;
        switches.endpoint_other_options = Undocumented::Refuse;
    }),
    ("Graph as its pages spell it", |switches| switches.graph_spelling = GraphSpelling::Pages),
    ("Graph in Pascal case", |switches| switches.graph_spelling = GraphSpelling::Pascal),
    ("comments as the examples print them", |switches| switches.graph_comment_keys = CommentKeys::Examples),
    ("tags instead of customTags", |switches| switches.graph_tags_key = true),
    ("a short @odata.type", |switches| switches.graph_short_odata_type = true),
    ("enum members in their case only", |switches| switches.graph_patch_any_case = false),
    ("pairs by the table", |switches| {
        switches.graph_pairs = Pairs::Table;
        switches.xdr_pairs = Pairs::Table;
    }),
    ("merged incidents cannot be updated", |switches| switches.refuse_redirected_update = true),
    ("next links on Defender XDR", |switches| switches.xdr_next_links = true),
    ("Defender XDR as its update page spells it", |switches| switches.xdr_spelling = XdrSpelling::Update),
    ("deviceId on Defender XDR", |switches| switches.xdr_device_id_key = true),
    ("createTime on Defender XDR", |switches| switches.xdr_create_time_key = true),
    ("no classification is null", |switches| switches.xdr_null_classification = true),
    ("alerts are Active", |switches| switches.xdr_alert_active = true),
    ("next links on Defender for Endpoint", |switches| switches.endpoint_next_links = true),
    ("a second isolation returns the first", |switches| switches.isolate_duplicate = Duplicate::ReturnPending),
    ("a second isolation is a second one", |switches| switches.isolate_duplicate = Duplicate::Second),
    ("another code for a duplicate", |switches| switches.duplicate_code = "BadRequest".into()),
    ("isolating what is isolated is refused", |switches| switches.refuse_isolated = true),
    ("the opposite is refused", |switches| switches.refuse_opposite = true),
    ("the isolation type is required", |switches| switches.isolation_type_required = true),
    ("lastUpdateTimeUtc in lists", |switches| switches.list_last_update_time = true),
];

#[test]
fn the_actions_are_right_under_every_reading() {
    for (name, change) in READINGS {
        let mut switches = Switches::default();
        change(&mut switches);
        let world = World::new(Config { incidents: INCIDENTS, machines: 9, switches, ..Config::default() });
        for surface in ["graph", "defender-xdr"] {
            world.profile(&Profile { surface, ..Profile::default() });
            assert_incidents(&world, &format!("{name}, {surface}"));
        }
        assert_machines(&world, name);
    }
}

/// The output of a run that must succeed.
fn done(world: &World, what: &str, action: &str, input: &Value) -> Value {
    let output = world.run(action, input);
    assert_eq!(
        output.code,
        0,
        "{what}: {action} {input}: {}\n{}",
        output.stdout.chars().take(800).collect::<String>(),
        output.stderr
    );
    output.json()
}

fn assert_incidents(world: &World, what: &str) {
    let listed = done(world, what, "search-incidents", &json!({ "alerts": false }));
    let ids: BTreeSet<&str> =
        listed["records"].as_array().unwrap().iter().map(|record| record["id"].as_str().unwrap()).collect();
    let issued: BTreeSet<String> = world.sandbox.control().incident_ids().iter().map(ToString::to_string).collect();
    assert_eq!(ids, issued.iter().map(String::as_str).collect(), "{what}");
    assert_eq!(listed["records"].as_array().unwrap().len(), INCIDENTS, "{what}: some came twice");

    let found = done(world, what, "get-incident", &json!({ "incidentId": "1002" }));
    assert_eq!(found["incident"]["id"], "1002", "{what}");
    assert!(!found["incident"]["alerts"].as_array().unwrap().is_empty(), "{what}");

    let tag = format!("read on {}", found["surface"].as_str().unwrap());
    let changes = json!({
        "incidentId": "1003", "tags": { "add": [tag] }, "classification": "falsePositive", "determination": "notMalicious",
        "comment": tag,
    });
    let changed = done(world, what, "update-incident", &changes);
    assert!(changed["after"]["customTags"].as_array().unwrap().contains(&json!(tag)), "{what}: {changed:#}");
    let canonical = world.sandbox.control().incident(1003).unwrap();
    assert!(canonical.to_string().contains(&tag), "{what}: the tag did not arrive");

    let polled = done(world, what, "incidents-daemon", &json!({ "mode": "poll", "lookBack": "365d" }));
    assert_eq!(polled["records"].as_array().unwrap().len(), INCIDENTS, "{what}: the daemon's step");
}

fn assert_machines(world: &World, what: &str) {
    let control = world.sandbox.control();
    let machine = control.machines()[3].id.clone();
    let name = control.machines()[3].computer_dns_name.clone();
    let isolate = json!({ "machine": name, "comment": "every reading", "isolationType": "Full" });
    let first = done(world, what, "isolate-machine", &isolate);
    let again = done(world, what, "isolate-machine", &isolate);
    assert_eq!(first["machineAction"]["id"], again["machineAction"]["id"], "{what}");
    control.finish_actions();
    assert!(control.isolated(&machine), "{what}: not isolated");
    let still = done(world, what, "isolate-machine", &isolate);
    assert_eq!(still["alreadyInEffect"], true, "{what}: {still:#}");
    assert_eq!(control.isolations(&machine), 1, "{what}: isolated more than once");
    done(world, what, "release-machine", &json!({ "machine": machine, "comment": "every reading" }));
    control.finish_actions();
    assert!(!control.isolated(&machine), "{what}: not released");
}
