//! What goes wrong on the other side: the right kind, the right exit code, a hint where there is a remedy, writes
//! done at most once, and no secret anywhere.
//!
//! Every row runs at the most talkative log level with secrets made for it, and is searched for them afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use serde_json::{Value, json};
use sortie_sandbox::{Api, Fault, NextLink, RetryAfter, Rule, XdrRetry};
use sortie_tests::Output;
use sortie_tests::canary::Canaries;
use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn get() -> Value {
    json!({ "incidentId": "1001" })
}

/// Reads one incident and asserts how it failed.
fn assert_fails(canaries: &Canaries, code: i32, kind: &str) -> Value {
    let error = canaries.run("get-incident", get()).failure(code);
    assert_eq!(error["kind"], kind, "{error:#}");
    error
}

fn assert_hint(error: &Value, part: &str) {
    let hint = error["hint"].as_str().unwrap_or_default();
    assert!(hint.to_lowercase().contains(&part.to_lowercase()), "`{part}` in the hint of {error:#}");
}

mod credentials {
    use super::*;

    #[test]
    fn a_wrong_secret() {
        let canaries = Canaries::new();
        canaries.profile(|profile| profile.base_secret = Some("canary-base-7f3a9c41d2-mistyped".into()));
        let error = assert_fails(&canaries, 78, "invalid_credential");
        assert_hint(&error, "secret");
        assert!(error.to_string().contains("7000215"), "{error:#}");
    }

    #[test]
    fn an_expired_secret() {
        let canaries =
            Canaries::with(|config| config.base.secrets[0].expires = Some("2020-01-01T00:00:00Z".parse().unwrap()));
        let error = assert_fails(&canaries, 78, "invalid_credential");
        assert_hint(&error, "expired");
        assert!(canaries.received("base"), "the sandbox never saw the canary");
    }

    #[test]
    fn an_unknown_tenant() {
        let canaries = Canaries::new();
        canaries.profile(|profile| profile.tenant = Some("11111111-2222-3333-4444-555555555555".into()));
        let error = canaries.run("get-incident", get()).failure(78);
        assert_hint(&error, "tenant");
    }

    #[test]
    fn a_missing_permission_is_named() {
        let canaries = Canaries::with(|config| config.base.permissions.graph = vec!["SecurityAlert.Read.All".into()]);
        let error = assert_fails(&canaries, 77, "forbidden");
        assert_hint(&error, "SecurityIncident.Read.All");
        assert_eq!(error["httpStatus"], 403);
    }

    #[test]
    fn a_missing_remediation_permission_is_named() {
        let canaries =
            Canaries::with(|config| config.remediation.permissions.defender_endpoint = vec!["Machine.Read.All".into()]);
        let machine = canaries.world.sandbox.control().machines()[2].id.clone();
        let error = canaries.run("isolate-machine", json!({"machine": machine, "comment": "why"})).failure(77);
        assert_eq!(error["kind"], "forbidden");
        assert_hint(&error, "Machine.Isolate");
        assert!(canaries.received("remediation"));
    }

    #[test]
    fn a_token_that_expires_in_the_middle_of_a_listing_is_renewed() {
        let canaries = Canaries::new();
        canaries.fault(Rule::once(Fault::ExpireTokens).api(Api::Graph).skip(1));
        let document = canaries.run("search-incidents", json!({})).success();
        assert_eq!(document["records"].as_array().unwrap().len(), 120);
        assert!(canaries.received("base"));
    }

    /// The challenge stands until a token comes that was asked for with its claims.
    #[test]
    fn a_claims_challenge_is_answered() {
        let canaries = Canaries::new();
        canaries.world.sandbox.control().challenge(Api::Graph, true);
        canaries.run("get-incident", get()).success();
        let tokens = canaries.world.sandbox.control().records_of(Api::Entra);
        assert!(tokens.last().unwrap().body.contains("claims"), "{}", tokens.last().unwrap().body);
    }

    /// What others on the machine can see of a running process.
    #[test]
    fn the_arguments_of_a_running_process_hold_no_secret() {
        let canaries = Canaries::new();
        canaries.fault(Rule::once(Fault::Delay { milliseconds: 1500 }).api(Api::Graph));
        let mut child = canaries.world.sortie(["run", "get-incident"]).input(get().to_string()).spawn();
        while canaries.world.sandbox.control().records_of(Api::Graph).is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let arguments = fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
        assert!(child.wait().unwrap().success());
        let arguments = String::from_utf8_lossy(&arguments).into_owned();
        assert!(arguments.contains("get-incident") && !arguments.contains("canary"), "{arguments}");
    }

    #[test]
    fn the_token_endpoint_is_down() {
        let canaries = Canaries::new();
        canaries.fault(Rule::new(Fault::status(503)).api(Api::Entra));
        assert_fails(&canaries, 69, "unavailable");
    }
}

mod answers {
    use super::*;

    #[test]
    fn an_incident_that_does_not_exist() {
        let canaries = Canaries::new();
        for surface in ["graph", "defender-xdr"] {
            canaries.profile(|profile| profile.surface = surface);
            let error = canaries.run("get-incident", json!({"incidentId": "987654321"})).failure(1);
            assert_eq!(error["kind"], "not_found", "{error:#}");
            assert_eq!(error["httpStatus"], 404);
            assert!(error["requestId"].is_string(), "{error:#}");
        }
    }

    #[test]
    fn a_conflict() {
        let canaries = Canaries::new();
        canaries.fault(Rule::new(Fault::status(409)).api(Api::Graph).method("PATCH"));
        let error = canaries
            .run("update-incident", json!({"incidentId": "1001", "assignedTo": "somebody@contoso.com"}))
            .failure(1);
        assert_eq!(error["kind"], "conflict");
    }

    /// Each form of `Retry-After` is waited for and never shortened; what is no form is waited for as if there were none.
    #[test]
    fn throttling_in_every_form() {
        for (form, least) in [
            (RetryAfter::Seconds(1), 1.0),
            (RetryAfter::Fraction(0.7), 0.7),
            // A date has whole seconds, so up to one of them may have passed.
            (RetryAfter::Date(3), 2.0),
            (RetryAfter::Missing, 0.0),
            (RetryAfter::Negative, 0.0),
            (RetryAfter::Garbage, 0.0),
        ] {
            let canaries = Canaries::new();
            canaries.fault(Rule::once(Fault::Throttled { retry_after: form.clone() }).api(Api::Graph));
            assert_waited(&canaries, least, &format!("{form:?}"));
        }
        for retry in [XdrRetry::TimeInMessage, XdrRetry::SecondsInMessage, XdrRetry::TimeInField, XdrRetry::Header] {
            let canaries = Canaries::with(|config| config.switches.xdr_retry = retry);
            canaries.profile(|profile| profile.surface = "defender-xdr");
            canaries.fault(Rule::once(Fault::Throttled { retry_after: RetryAfter::BodyTime(3) }).api(Api::DefenderXdr));
            assert_waited(&canaries, 2.0, &format!("{retry:?}"));
        }
    }

    fn assert_waited(canaries: &Canaries, least: f64, what: &str) {
        let begun = Instant::now();
        canaries.run("get-incident", get()).success();
        let waited = begun.elapsed().as_secs_f64();
        assert!(waited >= least, "{what}: asked again after {waited} s");
    }

    #[test]
    fn a_wait_beyond_the_deadline_is_not_begun() {
        let canaries = Canaries::new();
        canaries.fault(Rule::new(Fault::Throttled { retry_after: RetryAfter::Absurd }).api(Api::Graph));
        let begun = Instant::now();
        let error = assert_fails(&canaries, 75, "throttled");
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert_eq!(error["retryable"], true);
        assert!(error["retryAfterSeconds"].as_f64().unwrap() > 600.0, "{error:#}");
    }

    #[test]
    fn a_service_that_fails_once_is_asked_again() {
        for status in [408, 500, 502, 503, 504] {
            let canaries = Canaries::new();
            canaries.fault(Rule::once(Fault::status(status)).api(Api::Graph));
            canaries.run("get-incident", get()).success();
        }
    }

    #[test]
    fn a_service_that_keeps_failing() {
        let canaries = Canaries::new();
        canaries.fault(Rule::new(Fault::status(503)).api(Api::Graph));
        let error = assert_fails(&canaries, 69, "unavailable");
        assert_eq!(error["httpStatus"], 503);
        assert_eq!(error["retryable"], true);
    }

    #[test]
    fn answers_that_cannot_be_used_are_asked_for_again_and_then_said() {
        for fault in [
            Fault::Truncated { bytes: 40 },
            Fault::ResetMidBody { bytes: 40 },
            Fault::Html,
            Fault::Empty,
            Fault::NotANumber,
            Fault::InvalidUtf8,
        ] {
            let canaries = Canaries::new();
            canaries.fault(Rule::once(fault.clone()).api(Api::Graph));
            canaries.run("get-incident", get()).success();
            canaries.fault(Rule::new(fault.clone()).api(Api::Graph));
            let error = canaries.run("get-incident", get()).failure(69);
            assert!(["bad_response", "unavailable"].contains(&error["kind"].as_str().unwrap()), "{fault:?}: {error:#}");
        }
    }

    #[test]
    fn answers_that_are_too_much() {
        for fault in [
            Fault::GzipBomb { bytes: 256 << 20 },
            Fault::Oversized { bytes: 80 << 20 },
            Fault::DeepNesting { depth: 100_000 },
            Fault::HugeHeaders { bytes: 4 << 20 },
        ] {
            let canaries = Canaries::new();
            canaries.fault(Rule::new(fault.clone()).api(Api::Graph));
            let output = canaries.run("get-incident", get());
            assert_eq!(output.code, 69, "{fault:?}: {}", output.stdout);
        }
    }

    #[test]
    fn a_byte_order_mark_does_no_harm() {
        let canaries = Canaries::new();
        canaries.fault(Rule::new(Fault::ByteOrderMark).api(Api::Graph));
        canaries.run("get-incident", get()).success();
    }

    #[test]
    fn part_of_an_answer_is_not_the_answer() {
        let canaries = Canaries::new();
        canaries.fault(Rule::new(Fault::Partial { warning: "Contoso/Provider/503/10".into() }).api(Api::Graph));
        let output = canaries.run("search-incidents", json!({}));
        assert_eq!(output.code, 69, "{}", output.stdout);
    }

    #[test]
    fn a_redirect_is_not_followed() {
        let (server, seen) = listener();
        let canaries = Canaries::new();
        canaries
            .fault(Rule::new(Fault::Redirect { status: 302, location: format!("{server}/elsewhere") }).api(Api::Graph));
        let output = canaries.run("get-incident", get());
        assert_eq!(output.code, 69, "{}", output.stdout);
        assert_eq!(seen.load(Ordering::SeqCst), 0, "the redirect was followed");
    }

    #[test]
    fn slow_answers_end() {
        for fault in
            [Fault::DripBody { interval_ms: 400 }, Fault::DripHeader { interval_ms: 400 }, Fault::Stall { bytes: 20 }]
        {
            let canaries = Canaries::new();
            canaries.fault(Rule::new(fault.clone()).api(Api::Graph));
            let begun = Instant::now();
            let run =
                canaries.world.sortie(["run", "get-incident", "--timeout", "6s"]).input(get().to_string()).output();
            assert!([69, 75].contains(&run.code), "{fault:?}: {}", run.stdout);
            assert!(begun.elapsed() < Duration::from_secs(30), "{fault:?} took {:?}", begun.elapsed());
        }
    }
}

mod links {
    use super::*;

    #[test]
    fn a_next_link_to_another_host_is_not_followed() {
        let (server, seen) = listener();
        let canaries = Canaries::new();
        let link = NextLink::Foreign(format!("{server}/graph/v1.0/security/incidents?$skiptoken=x"));
        canaries.fault(Rule::new(Fault::NextLink { link }).api(Api::Graph));
        let output = canaries.run("search-incidents", json!({}));
        assert_eq!(output.code, 69, "{}", output.stdout);
        assert_eq!(seen.load(Ordering::SeqCst), 0, "another server was asked");
    }

    #[test]
    fn a_next_link_that_is_not_of_the_api_is_not_followed() {
        for link in [NextLink::Scheme, NextLink::Port, NextLink::Userinfo, NextLink::PathPrefix, NextLink::Garbage] {
            let canaries = Canaries::new();
            canaries.fault(Rule::new(Fault::NextLink { link: link.clone() }).api(Api::Graph));
            let output = canaries.run("search-incidents", json!({}));
            assert_eq!(output.code, 69, "{link:?}: {}", output.stdout);
            // What came before stands in the document, which says that it broke.
            let document = output.json();
            assert_eq!(document["records"].as_array().unwrap().len(), 50, "{link:?}");
            assert!(document["error"]["kind"].is_string());
        }
    }

    #[test]
    fn next_links_that_go_round_end() {
        for link in [NextLink::LoopSelf, NextLink::LoopFirst] {
            let canaries = Canaries::new();
            canaries.fault(Rule::new(Fault::NextLink { link: link.clone() }).api(Api::Graph));
            let output = canaries.run("search-incidents", json!({}));
            assert_eq!(output.code, 69, "{link:?}: {}", output.stdout);
            assert_eq!(output.json()["error"]["kind"], "bad_response");
        }
    }

    #[test]
    fn a_missing_next_link_loses_nothing() {
        let canaries = Canaries::new();
        canaries.fault(Rule::once(Fault::NextLink { link: NextLink::Missing }).api(Api::Graph));
        let document = canaries.run("search-incidents", json!({})).success();
        assert_eq!(document["records"].as_array().unwrap().len(), 120);
    }

    /// The list moves by three between two pages: what is pushed onto the next page comes once.
    #[test]
    fn a_shifted_page_loses_and_repeats_nothing() {
        let canaries = Canaries::new();
        canaries.fault(Rule::once(Fault::ShiftedPage { by: -3 }).api(Api::Graph).skip(1));
        let document = canaries.run("search-incidents", json!({})).success();
        assert_eq!(ids(&document).len(), 120);
    }

    /// A page that comes again leads back to where the listing was: that ends it, with what came and why.
    #[test]
    fn a_page_that_comes_again_is_said_and_repeats_nothing() {
        let canaries = Canaries::new();
        canaries.fault(Rule::once(Fault::DuplicatePage).api(Api::Graph).skip(1));
        let output = canaries.run("search-incidents", json!({}));
        let document = output.json();
        if output.code == 0 {
            assert_eq!(ids(&document).len(), 120);
        } else {
            assert_eq!((output.code, &document["error"]["kind"]), (69, &json!("bad_response")));
            assert!(ids(&document).len() >= 50);
        }
    }

    /// By offset, a page that comes again stands where another was: the listing is read once more, and comes whole.
    #[test]
    fn a_page_by_offset_that_comes_again_hides_no_other() {
        let canaries = Canaries::with(|config| config.incidents = 230);
        canaries.profile(|profile| profile.surface = "defender-xdr");
        canaries.fault(Rule::once(Fault::DuplicatePage).api(Api::DefenderXdr).skip(1));
        let document = canaries.run("search-incidents", json!({})).success();
        assert_eq!(ids(&document).len(), 230);
    }

    /// The ids of a list's records, of which none may stand twice.
    fn ids(document: &Value) -> Vec<&str> {
        let mut ids: Vec<&str> =
            document["records"].as_array().unwrap().iter().map(|record| record["id"].as_str().unwrap()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "some came twice");
        ids
    }
}

mod writes {
    use super::*;

    /// The work of a write whose answer is lost is done at most once, and the run says what it knows.
    #[test]
    fn a_lost_answer_does_not_isolate_twice() {
        for fault in [
            Fault::ResetAfter,
            Fault::ResetBefore,
            Fault::status(500),
            Fault::status(504),
            Fault::Truncated { bytes: 5 },
        ] {
            let canaries = Canaries::new();
            let machine = canaries.world.sandbox.control().machines()[2].id.clone();
            canaries.fault(Rule::once(fault.clone()).api(Api::DefenderEndpoint).method("POST"));
            let output = canaries.run("isolate-machine", json!({"machine": machine, "comment": "why"}));
            let done = isolations(&canaries, &machine);
            assert_known(&format!("{fault:?}: {}", output.stdout), &output, done);
            if fault == Fault::ResetAfter {
                assert_eq!((output.code, done), (0, 1), "the isolation was not found: {}", output.stdout);
            }
        }
    }

    #[test]
    fn a_write_that_was_throttled_is_sent_again() {
        let canaries = Canaries::new();
        let machine = canaries.world.sandbox.control().machines()[2].id.clone();
        canaries.fault(
            Rule::once(Fault::Throttled { retry_after: RetryAfter::Seconds(1) })
                .api(Api::DefenderEndpoint)
                .method("POST"),
        );
        canaries.run("isolate-machine", json!({"machine": machine, "comment": "why"})).success();
        assert_eq!(isolations(&canaries, &machine), 1);
    }

    #[test]
    fn a_lost_answer_does_not_comment_twice() {
        for surface in ["graph", "defender-xdr"] {
            for fault in [Fault::ResetAfter, Fault::ResetBefore, Fault::status(503)] {
                let canaries = Canaries::new();
                canaries.profile(|profile| profile.surface = surface);
                let (api, method) = if surface == "graph" { (Api::Graph, "POST") } else { (Api::DefenderXdr, "PATCH") };
                canaries.fault(Rule::once(fault.clone()).api(api).method(method));
                let output = canaries.run("update-incident", json!({"incidentId": "1001", "comment": "said once"}));
                let sent = canaries.world.sandbox.control().records();
                let done = sent
                    .iter()
                    .filter(|request| request.method == method && request.api == api && request.worked)
                    .count();
                let what = format!("{surface} {fault:?}: {}", output.stdout);
                assert_known(&what, &output, done);
            }
        }
    }

    /// The service works on after the connection is gone: what the first looks do not show is no reason to send again.
    #[test]
    fn a_comment_that_is_made_late_is_not_made_twice() {
        for (surface, api, method) in [("graph", Api::Graph, "POST"), ("defender-xdr", Api::DefenderXdr, "PATCH")] {
            let canaries = Canaries::new();
            canaries.profile(|profile| profile.surface = surface);
            canaries.fault(Rule::once(Fault::WorkLate { milliseconds: 4_000 }).api(api).method(method));
            canaries.run("update-incident", json!({"incidentId": "1001", "comment": "said once"})).success();
            let records = canaries.world.sandbox.control().records();
            let sent: Vec<bool> = records
                .iter()
                .filter(|request| request.method == method && request.api == api)
                .map(|request| request.worked)
                .collect();
            assert_eq!(sent, [true], "{surface}");
        }
    }

    /// The work was done at most once, and a run that says less than success says no more than it knows.
    fn assert_known(what: &str, output: &Output, done: usize) {
        assert!(done <= 1, "done {done} times: {what}");
        match output.code {
            0 => assert_eq!(done, 1, "success without the work: {what}"),
            1 => {
                let kind = output.json()["error"]["kind"].clone();
                assert!(kind == "unknown_outcome" || (kind == "partial" && done == 0), "{what}");
            }
            69 => assert_eq!(done, 0, "retryable although done: {what}"),
            _ => panic!("{what}"),
        }
    }

    #[test]
    fn a_lost_answer_does_not_release_twice() {
        for fault in [Fault::ResetAfter, Fault::ResetBefore, Fault::status(503)] {
            let canaries = Canaries::new();
            let control = canaries.world.sandbox.control();
            let machine = control.machines()[2].id.clone();
            canaries.fault(Rule::once(fault.clone()).api(Api::DefenderEndpoint).method("POST"));
            let output = canaries.run("release-machine", json!({"machine": machine, "comment": "why"}));
            let done = control.actions().iter().filter(|action| action.r#type == "Unisolate").count();
            assert_known(&format!("{fault:?}: {}", output.stdout), &output, done);
        }
    }

    #[test]
    fn a_lost_answer_to_a_status_is_settled_by_looking() {
        for surface in ["graph", "defender-xdr"] {
            for fault in [Fault::ResetAfter, Fault::ResetBefore] {
                let canaries = Canaries::new();
                canaries.profile(|profile| profile.surface = surface);
                canaries.fault(Rule::once(fault.clone()).method("PATCH"));
                let document = canaries
                    .run("update-incident", json!({"incidentId": "1001", "assignedTo": "new@contoso.com"}))
                    .success();
                assert_eq!(document["after"]["assignedTo"], "new@contoso.com", "{surface} {fault:?}");
            }
        }
    }

    fn isolations(canaries: &Canaries, machine: &str) -> usize {
        canaries.world.sandbox.control().isolations(machine)
    }
}

/// A server that counts who comes.
fn listener() -> (String, std::sync::Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 1024]);
        }
    });
    (url, seen)
}
