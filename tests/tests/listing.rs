//! Lists come whole: none missing, none twice, in the calls they need and no more.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use serde_json::{Value, json};
use sortie_sandbox::{Api, Config, Switches};
use sortie_tests::{Profile, World};
use std::collections::BTreeSet;

/// No listing in these tests may wait for the service's rate limit.
const NO_LIMITS: &str = "limits = { graph-security = [\"100000/min\"], defender-xdr-incidents = [\"100000/min\"], defender-endpoint = [\"100000/min\"] }\n";

fn world(incidents: usize, surface: &'static str, switches: Switches) -> World {
    let world = World::new(Config { incidents, machines: 4, switches, ..Config::default() });
    world.profile(&Profile { surface, lines: NO_LIMITS.into(), ..Profile::default() });
    world
}

/// Lists everything; the ids, and how many list calls it took.
fn list(world: &World, input: &Value) -> (Vec<String>, usize) {
    let control = world.sandbox.control();
    control.clear_records();
    let output = world.sortie(["run", "search-incidents", "--output", "jsonl"]).input(input.to_string()).output();
    assert_eq!(output.code, 0, "{}\n{}", output.stdout.chars().take(500).collect::<String>(), output.stderr);
    let ids = output.lines().iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect();
    let calls = control.records().iter().filter(|request| request.api != Api::Entra).count();
    (ids, calls)
}

fn assert_whole(world: &World, ids: &[String]) {
    let listed: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(listed.len(), ids.len(), "some came twice");
    let issued: BTreeSet<String> = world.sandbox.control().incident_ids().iter().map(ToString::to_string).collect();
    let missing: Vec<&String> = issued.iter().filter(|id| !listed.contains(id.as_str())).collect();
    assert!(missing.is_empty(), "{} are missing, such as {:?}", missing.len(), missing.first());
    assert_eq!(listed.len(), issued.len());
}

#[test]
fn a_whole_tenant_is_listed_in_the_calls_it_needs() {
    for incidents in [2499, 2500, 2501] {
        for (surface, page) in [("graph", 50), ("defender-xdr", 100)] {
            let world = world(incidents, surface, Switches::default());
            let (ids, calls) = list(&world, &json!({}));
            assert_whole(&world, &ids);
            // One more where only an empty page proves the end: after a full one.
            let needed = incidents.div_ceil(page) + usize::from(incidents % page == 0);
            assert!(calls <= needed, "{incidents} on {surface} took {calls} calls, {needed} are enough");
        }
    }
}

#[test]
fn a_whole_tenant_is_listed_without_next_links() {
    for incidents in [49, 50, 51, 2501] {
        let world = world(incidents, "graph", Switches { graph_next_links: false, ..Switches::default() });
        let (ids, _) = list(&world, &json!({ "alerts": false }));
        assert_whole(&world, &ids);
    }
}

#[test]
fn a_whole_tenant_is_listed_with_next_links_on_defender_xdr() {
    let world = world(1001, "defender-xdr", Switches { xdr_next_links: true, ..Switches::default() });
    let (ids, calls) = list(&world, &json!({}));
    assert_whole(&world, &ids);
    assert!(calls <= 11, "{calls}");
}

/// Elastic's connector moved its time filter past the newest record and lost what shared its timestamp.
#[test]
fn elastic_20234_equal_timestamps_at_a_page_edge_are_not_lost() {
    for next_links in [true, false] {
        for (surface, input) in
            [("graph", json!({})), ("defender-xdr", json!({})), ("graph", json!({"updatedAfter": "2026-01-01"}))]
        {
            let world = world(40, surface, Switches { graph_next_links: next_links, ..Switches::default() });
            world.sandbox.control().add_incidents(300, "2026-02-03T04:05:06.7Z".parse().unwrap()).unwrap();
            let (ids, _) = list(&world, &input);
            if input == json!({}) {
                assert_whole(&world, &ids);
            }
            assert!(ids.len() >= 300, "{} of 300 on {surface}, next links {next_links}", ids.len());
        }
    }
}

#[test]
fn a_limit_ends_the_listing_early() {
    let world = world(500, "graph", Switches::default());
    let (ids, calls) = list(&world, &json!({ "limit": 60 }));
    assert_eq!((ids.len(), calls), (60, 2));
}

/// What the server cannot filter is filtered here, and both surfaces find the same.
#[test]
fn filters_mean_the_same_on_both_surfaces() {
    let filters = [
        json!({ "severity": ["high"] }),
        json!({ "severity": ["low", "medium"], "status": ["active"] }),
        json!({ "status": ["resolved"] }),
        json!({ "serviceSource": ["microsoftDefenderForEndpoint"] }),
        json!({ "title": "on one endpoint" }),
        json!({ "classification": ["truePositive"] }),
        json!({ "determination": ["malware"] }),
        json!({ "createdAfter": "-30d" }),
        json!({ "updatedBefore": "-2d", "alerts": false }),
    ];
    let world = world(400, "graph", Switches::default());
    let mut found = Vec::new();
    for surface in ["graph", "defender-xdr"] {
        world.profile(&Profile { surface, lines: NO_LIMITS.into(), ..Profile::default() });
        let results: Vec<BTreeSet<String>> =
            filters.iter().map(|filter| list(&world, filter).0.into_iter().collect()).collect();
        found.push(results);
    }
    for (at, filter) in filters.iter().enumerate() {
        assert_eq!(found[0][at], found[1][at], "{filter}");
    }
    assert!(
        found[0].iter().filter(|ids| !ids.is_empty()).count() >= 6,
        "the filters find too little to prove anything"
    );
}

#[test]
fn a_list_says_how_many_were_read() {
    let world = world(200, "defender-xdr", Switches::default());
    let document = world.run("search-incidents", &json!({ "severity": ["high"] })).success();
    assert_eq!(document["read"], 200);
    assert!(document["records"].as_array().unwrap().len() < 200);
}

#[test]
fn an_empty_tenant_is_an_empty_list() {
    for surface in ["graph", "defender-xdr"] {
        let world = world(0, surface, Switches::default());
        assert_eq!(world.run("search-incidents", &json!({})).success()["records"], json!([]));
    }
}

/// Elastic's connector stalled for ever on one incident whose alerts the server could not expand.
#[test]
fn elastic_18144_one_incident_that_cannot_be_expanded_does_not_stop_the_list() {
    let world = world(120, "graph", Switches::default());
    let poison = world.sandbox.control().incident_ids()[60];
    world.sandbox.control().fail_expand(poison, true);
    let document = world.run("search-incidents", &json!({ "alerts": true })).success();
    assert_eq!(document["records"].as_array().unwrap().len(), 120);
}
