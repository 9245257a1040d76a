//! What went wrong elsewhere on the same interfaces, in public: each case by the project and the number under which it can be
//! read, as a test that this daemon passes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use serde_json::{Value, json};
use sortie_sandbox::{AlertDraft, Api, Continuation, Fault, IncidentDraft, Newest, NextLink, Rule};
use sortie_tests::daemon::{Driver, SURFACES, Setup, add, ago, empty, id_of, listings, reads_from, side_by_side};
use sortie_tests::receiver::Receiver;
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// The filter moved to `gt` the newest time of a full page: what had the same time and did not fit was never asked for.
#[test]
fn elastic_integrations_20234_equal_timestamps_at_a_full_page() {
    side_by_side(&SURFACES, |&surface| {
        for newest in [Newest::Created, Newest::Updated] {
            let world = empty();
            let control = world.sandbox.control();
            control.switch(|switches| switches.newest = newest);
            let ids = control.add_incidents(120, ago(&control, 60)).unwrap();
            let driver = Driver::new(&world, Setup::on(surface));
            let _running = driver.start();
            driver.assert_each_once(&ids);
        }
    });
}

/// The same, where a step reads fewer incidents than one instant holds.
#[test]
fn elastic_integrations_20348_one_instant_holds_more_than_a_step() {
    let world = empty();
    let control = world.sandbox.control();
    let ids = control.add_incidents(120, ago(&control, 60)).unwrap();
    let driver = Driver::new(&world, Setup::on("graph"));
    let _running = driver.start_with(driver.command(&["--limit", "30"]));
    driver.assert_each_once(&ids);
}

/// Pages by `$skip`: writes between pages shift them, and beyond a depth of 500 the service answers 400 for ever.
#[test]
fn elastic_integrations_20234_offsets_shift_and_end_at_500() {
    let world = empty();
    let control = world.sandbox.control();
    control.switch(|switches| {
        switches.graph_next_links = false;
        switches.graph_continuation = Continuation::Offset;
        switches.newest = Newest::Updated;
    });
    let mut ids: Vec<u64> = (0..620).map(|number| add(&control, 90_000 - number * 100)).collect();
    let driver = Driver::new(&world, Setup::on("graph").set("sweep_interval", "1s"));
    let ended = Arc::new(AtomicBool::new(false));
    let writer = {
        let (control, ended, ids) = (control.clone(), Arc::clone(&ended), ids.clone());
        // Between any two pages something new comes and something old moves to the top.
        thread::spawn(move || {
            let (mut seen, mut more) = (0, Vec::new());
            while !ended.load(Ordering::SeqCst) {
                let count = listings(&control).len();
                if count > seen && more.len() < 40 {
                    more.push(add(&control, 0));
                    let tags = Some(vec![format!("moved {count}")]);
                    let draft = IncidentDraft { custom_tags: tags, ..IncidentDraft::default() };
                    control.edit_incident(ids[(count * 37) % ids.len()], &draft).unwrap();
                }
                seen = count;
                thread::sleep(Duration::from_millis(1));
            }
            more
        })
    };
    let _running = driver.start();
    driver.until("forty writes between pages", || listings(&control).len() > 41);
    ended.store(true, Ordering::SeqCst);
    ids.extend(writer.join().unwrap());
    driver.until("delivery of every incident", || {
        driver.ids().into_iter().collect::<BTreeSet<_>>().is_superset(&ids.iter().copied().collect())
    });
    // Each once as created; and never the same version twice.
    let records = driver.records();
    let created = records.iter().filter(|record| record["type"] == "incident.created").count();
    assert_eq!(created, ids.len());
    let keys: BTreeSet<&str> = records.iter().filter_map(|record| record["idempotencyKey"].as_str()).collect();
    assert_eq!(keys.len(), records.len());
}

/// `$expand=alerts` answered 500 for ever on a large tenant, and the cursor never moved.
#[test]
fn elastic_integrations_18144_and_18277_alerts_that_cannot_be_expanded() {
    let world = empty();
    let control = world.sandbox.control();
    let ids: Vec<u64> = (0..120).map(|number| add(&control, 90 * (120 - number))).collect();
    let poisoned = ids[33];
    control.switch(|switches| switches.expand_failure_hits_single = true);
    control.fail_expand(poisoned, true);
    let driver = Driver::new(&world, Setup::on("graph").set("sweep_interval", "1s"));
    let _running = driver.start();
    driver.until_records(120);
    let in_part: Vec<Value> = driver.records().into_iter().filter(|record| !record["quarantine"].is_null()).collect();
    assert_eq!(in_part.iter().map(id_of).collect::<Vec<_>>(), [poisoned], "{in_part:#?}");
    // What comes after it flows too: the cursor moved.
    let after = add(&control, 0);
    driver.until("delivery of an incident that came later", || driver.ids().contains(&after));
    // Once it can be read, it comes whole.
    control.fail_expand(poisoned, false);
    driver.until("delivery of the whole incident", || {
        let records = driver.records();
        records.iter().any(|record| id_of(record) == poisoned && record["incident"]["alerts"].is_array())
    });
    assert_eq!(driver.kinds(poisoned), ["incident.created", "incident.updated"]);
}

/// The cursor did not advance: one alert was indexed 287 times in 30 hours.
#[test]
fn elastic_integrations_21461_a_thousand_polls_deliver_one_incident_once() {
    let world = empty();
    let control = world.sandbox.control();
    let id = add(&control, 60);
    let driver = Driver::new(&world, Setup::on("graph").set("interval", "1ms"));
    let _running = driver.start();
    driver.until("a thousand polls", || control.request_count(Some(Api::Graph)) >= 1_000);
    assert_eq!(driver.ids(), [id]);
}

/// The last element of an unsorted page was taken for the newest.
#[test]
fn elastic_integrations_6477_the_last_of_a_page_is_not_the_newest() {
    side_by_side(&SURFACES, |&surface| {
        let world = empty();
        let control = world.sandbox.control();
        control.switch(|switches| switches.newest = Newest::Created);
        // Created in one order, updated in the other: the newest update stands last.
        let ids: Vec<u64> = (0..60)
            .map(|number| {
                let (created, updated) = (ago(&control, 9_000 - number * 100), ago(&control, 2_000 + number * 100));
                let (created, updated) = (Some(created.min(updated)), Some(updated));
                control.add_incident(&IncidentDraft { created, updated, ..IncidentDraft::default() }).unwrap()
            })
            .collect();
        let newest = ago(&control, 2_000);
        let driver = Driver::new(&world, Setup::on(surface));
        let _running = driver.start();
        driver.assert_each_once(&ids);
        let last = listings(&control).pop().unwrap();
        let from = reads_from(&last).unwrap();
        let overlap = newest.duration_since(from).as_secs();
        assert!((590..=610).contains(&overlap), "the poll reads from {from}: {}", last.query);
    });
}

/// With the update time in the identity each update became a document; without it updates vanished.
#[test]
fn elastic_integrations_8231_and_9050_an_update_is_neither_lost_nor_a_new_incident() {
    side_by_side(&SURFACES, |&surface| {
        let world = empty();
        let control = world.sandbox.control();
        let id = add(&control, 60);
        let driver = Driver::new(&world, Setup::on(surface));
        let _running = driver.start();
        driver.until_records(1);
        for (number, status) in [(2, "inProgress"), (3, "resolved")] {
            let draft = IncidentDraft { status: Some(status.into()), ..IncidentDraft::default() };
            control.edit_incident(id, &draft).unwrap();
            driver.until_records(number);
        }
        driver.until_requests(4);
        assert_eq!(driver.kinds(id), ["incident.created", "incident.updated", "incident.resolved"]);
        let records = driver.records();
        assert_eq!(records[2]["changes"]["status"], json!({"from": "inProgress", "to": "resolved"}));
        assert_eq!(records.iter().map(|record| &record["idempotencyKey"]).collect::<Vec<_>>().len(), 3);
    });
}

/// A longer look-back created every incident once more.
#[test]
fn demisto_content_44282_a_longer_look_back_repeats_nothing() {
    let world = empty();
    let control = world.sandbox.control();
    let young = [add(&control, 60), add(&control, 120)];
    let old = [add(&control, 4 * 3_600), add(&control, 5 * 3_600)];
    let mut driver = Driver::new(&world, Setup::on("graph").set("look_back", "5m").set("sweep_interval", "500ms"));
    let running = driver.start();
    driver.assert_each_once(&young);
    assert!(running.stop().0.success());
    driver.setup = driver.setup.clone().set("look_back", "500m");
    driver.write(|_| {});
    let _running = driver.start();
    // What the longer window brings is new; what was delivered is not.
    driver.assert_each_once(&[young, old].concat());
}

/// Three nodes ran the same sensor, and each incident came three times.
#[test]
fn stackstorm_5923_three_daemons_deliver_once() {
    let world = empty();
    let control = world.sandbox.control();
    let ids = control.add_incidents(20, ago(&control, 60)).unwrap();
    let driver = Driver::new(&world, Setup::on("graph"));
    let mut first = driver.start();
    driver.until_records(1);
    for _ in 0..2 {
        let refused = driver.once(&[]);
        assert_eq!(refused.code, 75, "{}", refused.stderr);
        assert!(refused.stderr.contains("store_in_use"), "{}", refused.stderr);
        assert_eq!(refused.stdout, "");
    }
    driver.assert_each_once(&ids);
    assert!(first.runs());
}

/// The first poll's events were lost.
#[test]
fn stackstorm_3393_nothing_of_the_first_poll_is_lost() {
    let world = empty();
    let control = world.sandbox.control();
    let ids: Vec<u64> = (0..30).map(|number| add(&control, number)).collect();
    let driver = Driver::new(&world, Setup::on("graph"));
    // The first one dies in its first poll.
    let mut command = driver.command(&[]);
    command.env("SORTIE_ABORT_AT", "fetched:1");
    driver.start_with(command).wait();
    let _running = driver.start();
    driver.assert_each_once(&ids);
}

/// A sensor that lost its connection for a moment hung for ever.
#[test]
fn stackstorm_6097_a_service_that_was_gone_for_a_while() {
    let world = empty();
    let control = world.sandbox.control();
    let first = add(&control, 60);
    let driver = Driver::new(&world, Setup::on("graph"));
    let _running = driver.start();
    driver.until_records(1);
    control.fault(Rule::new(Fault::ResetBefore));
    let second = add(&control, 0);
    let before = control.request_count(None);
    driver.until("attempts while the service is gone", || control.request_count(None) >= before + 6);
    control.clear_faults();
    driver.assert_each_once(&[first, second]);
}

/// The link to the next page named another host, and the bearer token went there.
#[test]
fn policy_weaver_112_erpl_web_183_and_sim_5442_a_next_link_to_another_host() {
    side_by_side(&SURFACES, |&surface| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&seen);
        thread::spawn(move || {
            for _ in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        let world = empty();
        let control = world.sandbox.control();
        control.switch(|switches| switches.xdr_next_links = true);
        let ids = control.add_incidents(150, ago(&control, 60)).unwrap();
        let link = NextLink::Foreign(format!("http://{address}/graph/v1.0/security/incidents?$skiptoken=x"));
        control.fault(Rule::new(Fault::NextLink { link }));
        let driver = Driver::new(&world, Setup::on(surface));
        let _running = driver.start();
        driver.until("a word about the link", || {
            driver.log().contains("another host") || driver.log().contains("next link")
        });
        driver.until_requests(2);
        assert_eq!(seen.load(Ordering::SeqCst), 0, "the other host was asked");
        control.clear_faults();
        driver.assert_each_once(&ids);
        assert_eq!(seen.load(Ordering::SeqCst), 0, "the other host was asked");
    });
}

/// `time > last`: an incident that comes later with the time of the newest one was never fetched.
#[test]
fn demisto_content_45413_a_later_incident_with_the_time_of_the_newest() {
    side_by_side(&SURFACES, |&surface| {
        let world = empty();
        let control = world.sandbox.control();
        let time = ago(&control, 60);
        let mut ids = control.add_incidents(3, time).unwrap();
        // Not even an overlap is needed for that.
        let driver = Driver::new(&world, Setup::on(surface).set("overlap", "0s"));
        let _running = driver.start();
        driver.until_records(3);
        driver.until_requests(2);
        ids.extend(control.add_incidents(2, time).unwrap());
        driver.assert_each_once(&ids);
    });
}

/// Fetching one at a time returned the same one for ever.
#[test]
fn demisto_content_26506_one_incident_a_step() {
    let world = empty();
    let control = world.sandbox.control();
    let ids: Vec<u64> = (0..6).map(|number| add(&control, 600 - number * 100)).collect();
    let driver = Driver::new(&world, Setup::on("graph"));
    let _running = driver.start_with(driver.command(&["--limit", "1"]));
    driver.assert_each_once(&ids);
}

/// The position was saved before what it stood for was sent.
#[test]
fn demisto_content_26207_the_position_is_not_ahead_of_delivery() {
    let world = empty();
    let control = world.sandbox.control();
    let ids = control.add_incidents(10, ago(&control, 60)).unwrap();
    let hook = Receiver::new();
    hook.set_down(true);
    let driver = Driver::new(&world, Setup { hook: Some(hook.url()), ..Setup::on("graph") });
    let running = driver.start();
    driver.until_records(10);
    driver.until("attempts to deliver", || hook.turned_away() > 2);
    running.kill();
    hook.set_down(false);
    let _running = driver.start();
    driver.until("delivery to the webhook", || hook.taken().len() >= 10);
    driver.assert_each_once(&ids);
    let taken: BTreeSet<u64> = hook.taken().iter().map(id_of).collect();
    assert_eq!(taken, ids.into_iter().collect());
}

/// An incident that was merged into another came empty, and the other did not come.
#[test]
fn demisto_content_25841_and_opencti_connectors_4220_merged_incidents() {
    side_by_side(&SURFACES, |&surface| {
        let world = empty();
        let control = world.sandbox.control();
        // The target lies before the look-back: only the merge leads to it.
        let (source, target) = (add(&control, 60), add(&control, 30 * 86_400));
        let driver = Driver::new(&world, Setup::on(surface).set("look_back", "24h"));
        let _running = driver.start();
        driver.assert_each_once(&[source]);
        let moved = control.incident(source).unwrap()["alerts"].as_array().unwrap().len();
        let had = control.incident(target).unwrap()["alerts"].as_array().unwrap().len();
        control.merge(source, target).unwrap();
        driver.until_records(3);
        driver.until_requests(3);
        assert_eq!(driver.kinds(source), ["incident.created", "incident.merged"]);
        assert_eq!(driver.kinds(target), ["incident.created"]);
        let records: BTreeMap<u64, Value> =
            driver.records().into_iter().map(|record| (id_of(&record), record)).collect();
        assert_eq!(records[&source]["mergedInto"], target.to_string());
        assert_eq!(records[&target]["incident"]["alerts"].as_array().unwrap().len(), moved + had);
    });
}

/// Each update of an incident brought all its alerts again as if they were new.
#[test]
fn opencti_connectors_4335_an_update_says_what_is_new() {
    let world = empty();
    let control = world.sandbox.control();
    let id = add(&control, 60);
    let driver = Driver::new(&world, Setup::on("graph").set("sweep_interval", "300ms"));
    let _running = driver.start();
    driver.until_records(1);
    let now = Some(control.clock());
    let alert = control.add_alert(id, &AlertDraft { created: now, updated: now, ..AlertDraft::default() }).unwrap();
    driver.until_records(2);
    let records = driver.records();
    assert_eq!(records[1]["type"], "incident.updated");
    assert_eq!(records[1]["changes"]["alertIds"], json!({"added": [alert], "removed": []}));
    assert_eq!(records[1]["changes"].get("status"), None);
}

/// An alert without a device and without an address stopped the connector.
#[test]
fn opencti_connectors_3652_an_alert_without_evidence() {
    side_by_side(&SURFACES, |&surface| {
        let world = empty();
        let control = world.sandbox.control();
        let draft = IncidentDraft {
            alerts: Some(vec![AlertDraft { evidence: Some(Vec::new()), ..AlertDraft::default() }]),
            ..IncidentDraft::default()
        };
        let bare = control.add_incident(&draft).unwrap();
        let none = control.add_incident(&IncidentDraft { alerts: Some(Vec::new()), ..draft }).unwrap();
        let driver = Driver::new(&world, Setup::on(surface));
        let _running = driver.start();
        driver.assert_each_once(&[bare, none]);
        assert!(driver.records().iter().all(|record| record["quarantine"].is_null()));
    });
}

/// Incidents that are months old came as new.
#[test]
fn azure_sentinel_6945_what_is_older_than_the_look_back_does_not_come() {
    let world = empty();
    let control = world.sandbox.control();
    let young = add(&control, 60);
    add(&control, 80 * 86_400);
    let driver = Driver::new(&world, Setup::on("graph").set("look_back", "24h").set("sweep_interval", "300ms"));
    let running = driver.start();
    driver.assert_each_once(&[young]);
    running.kill();
    let _running = driver.start();
    driver.assert_each_once(&[young]);
}

/// A list without next links ended with its first page; so did two others that only ever read one.
#[test]
fn microsoft_365_docs_8489_a_list_without_next_links() {
    side_by_side(&SURFACES, |&surface| {
        let world = empty();
        let control = world.sandbox.control();
        control.switch(|switches| switches.graph_next_links = false);
        let ids: Vec<u64> = (0..250).map(|number| add(&control, 90 * (250 - number))).collect();
        let driver = Driver::new(&world, Setup::on(surface));
        let _running = driver.start();
        driver.assert_each_once(&ids);
    });
}

/// What the service showed late, with an earlier time, was never fetched.
#[test]
fn airbyte_31963_and_15628_what_becomes_visible_late() {
    side_by_side(&SURFACES, |&surface| {
        let world = empty();
        let control = world.sandbox.control();
        let mut ids = vec![add(&control, 1)];
        let driver = Driver::new(&world, Setup::on(surface));
        let _running = driver.start();
        driver.until_records(1);
        // Within the overlap of ten minutes; the sweep of this daemon is an hour away.
        ids.extend([add(&control, 9 * 60), add(&control, 60)]);
        driver.assert_each_once(&ids);
    });
}

/// A token expired in the middle of a long run, and the run failed.
#[test]
fn defender_reporting_51_tokens_expire_in_a_long_run() {
    let world = empty();
    let control = world.sandbox.control();
    let ids = control.add_incidents(200, ago(&control, 60)).unwrap();
    let driver = Driver::new(&world, Setup::on("graph"));
    control.fault(Rule::new(Fault::ExpireTokens).api(Api::Graph).skip(2).times(1));
    let _running = driver.start();
    driver.assert_each_once(&ids);
    control.expire_tokens();
    let later = add(&control, 0);
    driver.assert_each_once(&[ids, vec![later]].concat());
    assert!(driver.history().iter().all(|entry| entry["error"].is_null()), "{:#?}", driver.history());
}
