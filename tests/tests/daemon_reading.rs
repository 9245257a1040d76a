//! What can go wrong between the service and the daemon: whatever it is, nothing is lost, nothing comes twice, and the
//! daemon goes on by itself when the cause has gone.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use serde_json::{Value, json};
use sortie_sandbox::{Api, Config, Continuation, Fault, IncidentDraft, Newest, NextLink, RetryAfter, Rule, Timestamp};
use sortie_tests::World;
use sortie_tests::daemon::{Driver, SURFACES, Setup, add, ago, empty, id_of, listings, reads_from, side_by_side};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A tenant of so many incidents of the last two hours, all of different times.
fn tenant(count: u64) -> (World, Vec<u64>) {
    let world = empty();
    let control = world.sandbox.control();
    let ids = (0..count).map(|number| add(&control, 90 * (count - number))).collect();
    (world, ids)
}

/// Each of these faults hits the second page of the first poll, on the one surface or the other; what should have been
/// delivered is.
fn survives(faults: &[Fault], times: u64) {
    let numbered: Vec<(usize, &Fault)> = faults.iter().enumerate().collect();
    side_by_side(&numbered, |(number, fault)| {
        let (surface, api) = [("graph", Api::Graph), ("defender-xdr", Api::DefenderXdr)][number % 2];
        let (world, ids) = tenant(130);
        let control = world.sandbox.control();
        control.fault(Rule::new(Fault::clone(fault)).api(api).skip(1).times(times));
        // Only a sweep can notice a page that was left out without a word.
        let driver = Driver::new(&world, Setup::on(surface).set("sweep_interval", "1s"));
        let _running = driver.start();
        driver.until(&format!("delivery in spite of {fault:?}"), || driver.lines().len() >= ids.len());
        driver.assert_each_once(&ids);
        assert_eq!(control.fault_hits(), times, "{fault:?} on {surface}");
    });
}

/// Case 4. A refusal says when to come back, in any form; nothing is asked earlier, and what is absurd does not stop the daemon for ever.
#[test]
fn throttling_in_every_form_is_waited_for() {
    let forms = [
        (RetryAfter::Seconds(2), 2.0),
        (RetryAfter::Fraction(1.3), 1.3),
        (RetryAfter::Date(3), 2.0),
        (RetryAfter::Missing, 0.0),
        (RetryAfter::Negative, 0.0),
        (RetryAfter::Garbage, 0.0),
    ];
    side_by_side(&forms, |(form, least)| {
        let (world, ids) = tenant(20);
        let control = world.sandbox.control();
        control.fault(Rule::once(Fault::Throttled { retry_after: form.clone() }).api(Api::Graph));
        let driver = Driver::new(&world, Setup::default());
        let _running = driver.start();
        driver.assert_each_once(&ids);
        let requests = listings(&control);
        assert_eq!(requests[0].status, Some(429));
        let waited = requests[1].time.duration_since(requests[0].time).as_secs_f64();
        assert!(waited >= *least, "{form:?}: asked again after {waited} s");
    });
}

/// Case 4. A wait of thirty years is cut short: nobody can mean that.
#[test]
fn an_absurd_wait_is_not_obeyed_to_the_letter_nor_ignored() {
    let (world, ids) = tenant(5);
    let control = world.sandbox.control();
    control.fault(Rule::once(Fault::Throttled { retry_after: RetryAfter::Absurd }).api(Api::Graph));
    let driver = Driver::new(&world, Setup { listen: true, ..Setup::default() });
    let running = driver.start();
    driver.until("the refusal", || listings(&control).len() == 1);
    driver.until("not ready", || driver.ready().is_some_and(|(status, _)| status == 503));
    assert_eq!(listings(&control).len(), 1, "it was asked again at once");
    // A person who restarts it is not held up by what was said to the one before.
    assert!(running.stop().0.success());
    let _running = driver.start();
    driver.assert_each_once(&ids);
}

/// Case 5. The documented limits hold: what waits is read within them, and the service never has to refuse.
#[test]
fn the_limits_of_the_service_are_kept_while_catching_up() {
    let (world, ids) = tenant(900);
    let control = world.sandbox.control();
    control.switch(|switches| switches.throttle = true);
    let driver = Driver::new(&world, Setup { limits: true, ..Setup::on("defender-xdr").set("interval", "1s") });
    let _running = driver.start();
    driver.assert_each_once(&ids);
    let refused = control.records().iter().filter(|request| request.status == Some(429)).count();
    assert_eq!(refused, 0);
}

/// Case 5. A storm of refusals is not answered with a storm of requests.
#[test]
fn a_storm_of_refusals() {
    let (world, ids) = tenant(20);
    let control = world.sandbox.control();
    control.fault(Rule::new(Fault::Throttled { retry_after: RetryAfter::Missing }).api(Api::Graph));
    let driver = Driver::new(&world, Setup::default());
    let _running = driver.start();
    let begun = Instant::now();
    driver.until("some refusals", || listings(&control).len() >= 8);
    let took = begun.elapsed().as_secs_f64();
    assert!(took > 2.0, "8 requests in {took} s");
    control.clear_faults();
    driver.assert_each_once(&ids);
}

/// Case 6. Errors of the service, for a while.
#[test]
fn a_service_that_fails_for_a_while() {
    survives(&[500, 502, 503, 504, 408].map(Fault::status), 2);
}

/// Case 6. Errors of the service until somebody mends it; the daemon says so, and needs no restart.
#[test]
fn a_service_that_fails_until_it_is_mended() {
    side_by_side(&[400, 401, 403, 404, 500, 503], |status| {
        let (world, mut ids) = tenant(20);
        let control = world.sandbox.control();
        let driver = Driver::new(&world, Setup { listen: true, ..Setup::default() });
        let _running = driver.start();
        driver.assert_each_once(&ids);
        control.fault(Rule::new(Fault::status(*status)).api(Api::Graph));
        ids.push(add(&control, 0));
        driver.until(&format!("a word about {status}"), || driver.fails());
        driver.until_requests(2);
        control.clear_faults();
        driver.assert_each_once(&ids);
        driver.until("all well again", || !driver.fails() && driver.ready().is_some_and(|(code, _)| code == 200));
    });
}

/// Case 6. The first poll of all: what only a person can mend is said at once, and whatever passes is waited for.
#[test]
fn a_first_poll_that_fails() {
    let passing = [Fault::status(503), Fault::HugeHeaders { bytes: 2 << 20 }, Fault::GzipBomb { bytes: 100 << 20 }];
    side_by_side(&passing, |fault| {
        let (world, ids) = tenant(5);
        world.sandbox.control().fault(Rule::new(fault.clone()).api(Api::Graph).times(2));
        let driver = Driver::new(&world, Setup::default());
        let _running = driver.start();
        driver.assert_each_once(&ids);
    });
    for status in [401, 403] {
        let (world, _) = tenant(5);
        world.sandbox.control().fault(Rule::new(Fault::status(status)).api(Api::Graph));
        let driver = Driver::new(&world, Setup::default());
        let code = driver.start().wait().code();
        assert!([Some(77), Some(78)].contains(&code), "{status}: {code:?}: {}", driver.log());
    }
}

/// Case 7. Answers that are no answers.
#[test]
fn bodies_that_are_no_list_of_incidents() {
    let (world, ids) = tenant(20);
    let control = world.sandbox.control();
    let json = "application/json";
    let bodies = [
        (json, ""),
        (json, " "),
        (json, "null"),
        (json, "[]"),
        (json, "{}"),
        (json, "{\"value\":null}"),
        (json, "{\"value\":{}}"),
        (json, "{\"value\":\"\"}"),
        (json, "{\"value\":7}"),
        (json, "{\"value\":["),
        (json, "{\"value\":[{}"),
        (json, "{\"value\":[}]}"),
        (json, "{\"value\":[{\"id\":\"1\"}"),
        (json, "{\"value\" []}"),
        (json, "{value:[]}"),
        (json, "{'value':[]}"),
        (json, "\"value\""),
        (json, "true"),
        (json, "0"),
        (json, "{\"value\":[],}"),
        (json, "{\"value\":[]} trailing"),
        (json, "{\"Value\":[]}"),
        (json, "\u{0}"),
        (json, "{\"value\":[NaN]}"),
        (json, "{\"value\":[\"\\ud800\"]}"),
        (json, "{\"error\":{\"code\":\"x\",\"message\":\"y\"}}"),
        ("text/html", "<html>Sign in</html>"),
        ("text/plain", "OK"),
        ("application/xml", "<value/>"),
        ("", "{\"value\":"),
    ];
    for (content_type, text) in bodies {
        let fault = Fault::Body { status: 200, content_type: content_type.into(), text: text.into() };
        control.fault(Rule::once(fault).api(Api::Graph));
    }
    let driver = Driver::new(&world, Setup::default());
    let _running = driver.start();
    driver.until("all of the bodies", || control.fault_hits() == bodies.len() as u64);
    driver.assert_each_once(&ids);
    // The cursor stood still: what is read after all of it begins where the first request began.
    let requests = listings(&control);
    let first = reads_from(&requests[0]).unwrap();
    let moved = |time: Timestamp| time.duration_since(first).as_secs();
    assert!(
        requests.iter().take(bodies.len()).all(|request| reads_from(request).is_some_and(|time| moved(time) < 600))
    );
}

/// Case 7. Answers that broke on the way, or are more than anybody should read.
#[test]
fn answers_that_are_broken_or_too_much() {
    survives(
        &[
            Fault::Html,
            Fault::Empty,
            Fault::NotANumber,
            Fault::InvalidUtf8,
            Fault::ByteOrderMark,
            Fault::DuplicateKeys,
            Fault::Truncated { bytes: 700 },
            Fault::DeepNesting { depth: 50_000 },
            Fault::HugeHeaders { bytes: 2 << 20 },
            Fault::GzipBomb { bytes: 100 << 20 },
            Fault::Partial { warning: "Contoso/Provider/503/10".into() },
        ],
        1,
    );
}

/// Case 8. Answers that never end.
#[test]
fn answers_that_drip_or_stall() {
    survives(
        &[Fault::Stall { bytes: 700 }, Fault::DripBody { interval_ms: 300 }, Fault::DripHeader { interval_ms: 300 }],
        1,
    );
}

/// Case 9. Connections that end.
#[test]
fn connections_that_are_reset() {
    survives(&[Fault::ResetBefore, Fault::ResetAfter, Fault::ResetMidBody { bytes: 700 }], 2);
}

/// Case 10. Tokens that end, challenges, and a token endpoint that is down.
#[test]
fn tokens_that_end_and_cannot_be_renewed_at_once() {
    survives(&[Fault::ExpireTokens, Fault::InsufficientClaims, Fault::status(401)], 1);
    let (world, ids) = tenant(20);
    let control = world.sandbox.control();
    control.fault(Rule::new(Fault::status(503)).api(Api::Entra).times(6));
    let driver = Driver::new(&world, Setup::default());
    let _running = driver.start();
    driver.assert_each_once(&ids);
}

/// Case 11. Next links that go round, lead nowhere or are missing.
#[test]
fn next_links_that_do_not_lead_on() {
    let links = [
        NextLink::LoopSelf,
        NextLink::LoopFirst,
        NextLink::Endless,
        NextLink::Missing,
        NextLink::Empty,
        NextLink::Number,
        NextLink::Garbage,
        NextLink::Scheme,
        NextLink::Port,
        NextLink::Userinfo,
        NextLink::PathPrefix,
    ];
    side_by_side(&links, |link| {
        let (world, ids) = tenant(130);
        let control = world.sandbox.control();
        control.fault(Rule::new(Fault::NextLink { link: link.clone() }).api(Api::Graph).times(5));
        let driver = Driver::new(&world, Setup::default());
        let _running = driver.start();
        driver.until(&format!("delivery in spite of {link:?}"), || driver.lines().len() >= ids.len());
        driver.assert_each_once(&ids);
    });
}

/// Case 12. Pages that come twice, overlap, or leave something out; in any order.
#[test]
fn pages_that_repeat_shift_and_overlap() {
    survives(&[Fault::DuplicatePage, Fault::ShiftedPage { by: 20 }, Fault::ShiftedPage { by: -20 }], 1);
    side_by_side(&[Newest::Created, Newest::Updated], |&newest| {
        let (world, ids) = tenant(300);
        world.sandbox.control().switch(|switches| {
            switches.newest = newest;
            switches.graph_continuation = Continuation::Offset;
        });
        let driver = Driver::new(&world, Setup::default());
        let _running = driver.start();
        driver.assert_each_once(&ids);
    });
}

/// Case 13. One instant in every spelling is one instant.
#[test]
fn times_in_every_spelling() {
    let world = empty();
    let control = world.sandbox.control();
    let spellings = [
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00.000Z",
        "2026-03-01T12:00:00.0000000Z",
        "2026-03-01T12:00:00+00:00",
    ];
    let set = |spelling: &str| {
        json!({"lastUpdateDateTime": spelling, "lastUpdateTime": spelling}).as_object().unwrap().clone()
    };
    let time = Some(ago(&control, 60));
    let draft = IncidentDraft { created: time, updated: time, set: set(spellings[0]), ..IncidentDraft::default() };
    let ids: Vec<u64> = (0..3).map(|_| control.add_incident(&draft).unwrap()).collect();
    let driver = Driver::new(&world, Setup::default().set("sweep_interval", "100ms"));
    let _running = driver.start();
    for spelling in spellings {
        let draft = IncidentDraft { keep_updated: true, set: set(spelling), ..IncidentDraft::default() };
        control.edit_incident(ids[0], &draft).unwrap();
        driver.assert_each_once(&ids);
    }
}

/// Case 14. What the service shows late: within the overlap the next poll brings it, beyond it the sweep does.
#[test]
fn late_arrivals_within_and_beyond_the_overlap() {
    let (world, mut ids) = tenant(5);
    let control = world.sandbox.control();
    ids.push(add(&control, 0));
    let driver = Driver::new(&world, Setup::default().set("overlap", "5m").set("sweep_interval", "2s"));
    let _running = driver.start();
    driver.assert_each_once(&ids);
    ids.push(add(&control, 4 * 60));
    driver.assert_each_once(&ids);
    ids.push(add(&control, 20 * 86_400));
    driver.assert_each_once(&ids);
}

/// Case 15. The service's clock is hours away from this machine's, or goes back a little: only its own dates count.
#[test]
fn clocks_that_disagree() {
    let clocks = [(-3, "Pacific/Kiritimati"), (3, "America/New_York"), (-24 * 200, "UTC")];
    side_by_side(&clocks, |&(hours, zone)| {
        let now = sortie_sandbox::Timestamp::now();
        let clock = now.checked_add(sortie_sandbox::SignedDuration::from_hours(hours)).unwrap();
        let mut world = World::new(Config { incidents: 0, clock: Some(clock), ..Config::default() });
        world.set("TZ", zone);
        let control = world.sandbox.control();
        let mut ids: Vec<u64> = (0..10).map(|number| add(&control, number * 600)).collect();
        let driver = Driver::new(&world, Setup::default().set("look_back", "3h"));
        let _running = driver.start();
        driver.assert_each_once(&ids);
        ids.push(add(&control, 0));
        driver.assert_each_once(&ids);
        control.set_clock(ago(&control, 300));
        ids.push(add(&control, 0));
        driver.assert_each_once(&ids);
    });
}

/// Case 15. A `Date` that is wrong for one answer.
#[test]
fn a_date_header_that_is_wrong() {
    survives(&[Fault::DateSkew { seconds: 86_400 }, Fault::DateSkew { seconds: -86_400 }], 2);
}

/// Case 16. A date in the far future is delivered, and does not take the cursor there.
#[test]
fn an_incident_of_the_year_9998() {
    side_by_side(&SURFACES, |&surface| {
        let (world, mut ids) = tenant(3);
        let control = world.sandbox.control();
        let updated = Some("9998-12-31T23:59:59Z".parse().unwrap());
        ids.push(control.add_incident(&IncidentDraft { updated, ..IncidentDraft::default() }).unwrap());
        let driver = Driver::new(&world, Setup::on(surface));
        let running = driver.start();
        driver.assert_each_once(&ids);
        ids.push(add(&control, 0));
        driver.assert_each_once(&ids);
        running.kill();
        let _running = driver.start();
        ids.push(add(&control, 0));
        driver.assert_each_once(&ids);
    });
}

/// Case 17. Records that are not as they should be come as they are, or are set aside with a word; their neighbours flow.
#[test]
fn poisoned_records_do_not_hold_up_their_neighbours() {
    side_by_side(&SURFACES, |&surface| {
        let (world, mut ids) = tenant(3);
        let control = world.sandbox.control();
        let poison = |draft: IncidentDraft| control.add_incident(&draft).unwrap();
        let set =
            |members: Value| IncidentDraft { set: members.as_object().unwrap().clone(), ..IncidentDraft::default() };
        ids.extend([
            poison(set(
                json!({"severity": "catastrophic", "Severity": 7, "status": "Sleeping", "surprise": {"a": [1, {}]}}),
            )),
            poison(set(
                json!({"comments": "none", "tags": 5, "customTags": 5, "displayName": null, "incidentName": null}),
            )),
            poison(set(json!({"alerts": [null, 5, "x", {"id": 5, "alertId": 5}]}))),
            poison(IncidentDraft { padding: 3 << 20, ..IncidentDraft::default() }),
        ]);
        let nameless = poison(set(json!({"id": {"a": 1}, "incidentId": {"a": 1}})));
        let words = poison(set(json!({"id": "not-a-number", "incidentId": "not-a-number"})));
        let driver = Driver::new(&world, Setup::on(surface));
        let _running = driver.start();
        let known = || -> BTreeSet<u64> {
            driver.records().iter().filter_map(|record| record["id"].as_str()?.parse().ok()).collect()
        };
        driver.until("delivery of the neighbours", || known().is_superset(&ids.iter().copied().collect()));
        assert!(!known().contains(&nameless) && !known().contains(&words));
        ids.push(add(&control, 0));
        driver.until("delivery of what comes after", || known().contains(ids.last().unwrap()));
        driver.until_requests(4);
        let keys: BTreeSet<String> =
            driver.records().iter().map(|record| record["idempotencyKey"].to_string()).collect();
        assert_eq!(keys.len(), driver.lines().len(), "something came twice");
        // What could not even be named is counted where people look.
        let history = driver.history();
        assert!(history.iter().any(|entry| entry["quarantined"].as_u64() > Some(0)), "{history:#?}");
    });
}

/// Case 17. One incident larger than any answer may be: its neighbours come, and it is set aside with a word.
#[test]
fn an_incident_that_is_larger_than_anything_may_be() {
    let (world, ids) = tenant(8);
    let control = world.sandbox.control();
    let huge = control.add_incident(&IncidentDraft { padding: 80 << 20, ..IncidentDraft::default() }).unwrap();
    let driver = Driver::new(&world, Setup::default().set("interval", "1s"));
    let _running = driver.start();
    let delivered = || -> BTreeSet<u64> {
        driver.records().iter().filter(|record| record["quarantine"].is_null()).map(id_of).collect()
    };
    driver.until("delivery of the neighbours", || delivered() == ids.iter().copied().collect());
    driver.until("a note about the large one", || {
        driver.history().iter().any(|entry| entry["quarantined"].as_u64() > Some(0))
    });
    assert!(!delivered().contains(&huge));
}

/// A poll in which nothing changed costs one call.
#[test]
fn a_quiet_poll_is_one_call() {
    side_by_side(&SURFACES, |&surface| {
        let world = empty();
        let control = world.sandbox.control();
        let ids: Vec<u64> = (0..300).map(|number| add(&control, 100_000 - number * 300)).collect();
        let driver = Driver::new(&world, Setup::on(surface));
        let running = driver.start();
        driver.assert_each_once(&ids);
        assert!(running.stop().0.success());
        let quiet: Vec<Value> = driver.history().into_iter().filter(|entry| entry["fetched"] != 300).collect();
        assert!(!quiet.is_empty());
        assert!(quiet.iter().all(|entry| entry["calls"] == 1 && entry["mode"] == "poll"), "{quiet:#?}");
        let calls: u64 = driver.history().iter().map(|entry| entry["calls"].as_u64().unwrap()).sum();
        assert!(calls.abs_diff(listings(&control).len() as u64) <= 1, "{calls} calls told");
    });
}

/// An incident that keeps changing is delivered in its order, and one that was read in pieces is not torn.
#[test]
fn an_incident_that_changes_while_it_is_read() {
    let (world, ids) = tenant(120);
    let control = world.sandbox.control();
    let driver = Driver::new(&world, Setup::default().set("interval", "10ms"));
    let _running = driver.start();
    for number in 0..40_u32 {
        let draft = IncidentDraft { comments: vec![format!("{number}")], ..IncidentDraft::default() };
        control.edit_incident(ids[usize::try_from(number % 3).unwrap()], &draft).unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(number % 7)));
    }
    let finals: Vec<Value> = ids[..3].iter().map(|id| control.incident(*id).unwrap()).collect();
    for (id, last) in ids.iter().zip(finals) {
        let of = || driver.records().into_iter().filter(|record| id_of(record) == *id).collect::<Vec<_>>();
        driver.until("delivery of the last version", || {
            of().last().is_some_and(|record| record["incident"]["lastUpdateDateTime"] == last["lastUpdateDateTime"])
        });
        let times: Vec<String> = of().iter().map(|record| record["time"].to_string()).collect();
        assert!(times.is_sorted(), "{times:?}");
        assert_eq!(
            of().last().unwrap()["incident"]["comments"].as_array().unwrap().len(),
            last["comments"].as_array().unwrap().len()
        );
    }
}
