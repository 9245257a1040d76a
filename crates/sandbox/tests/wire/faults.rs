use std::time::{Duration, Instant};

use serde_json::json;
use sortie_sandbox::{Api, Fault, NextLink, RetryAfter, Rule, XdrRetry};

use super::client::{GRAPH, Rig, ask, small};

const LIST: &str = "/security/incidents?$top=5";

/// Hits the next Graph request and sends one.
fn hit(rig: &Rig, fault: Fault) -> super::client::Ask {
    let request = rig.graph("GET", LIST);
    rig.sandbox.control().fault_next(Api::Graph, 1, fault);
    request
}

#[test]
fn each_form_of_retry_after() {
    let rig = small();
    for (form, header) in [
        (RetryAfter::Seconds(7), Some("7")),
        (RetryAfter::Fraction(2.128), Some("2.128")),
        (RetryAfter::Date(90), Some("Sun, 01 Mar 2026 12:01:30 GMT")),
        (RetryAfter::Missing, None),
        (RetryAfter::Absurd, Some("1000000000")),
        (RetryAfter::Negative, Some("-5")),
        (RetryAfter::Garbage, Some("soon, we hope")),
    ] {
        let answer = hit(&rig, Fault::Throttled { retry_after: form }).send();
        assert_eq!(
            (answer.status, answer.header("retry-after"), answer.code().as_str()),
            (429, header, "TooManyRequests")
        );
        assert_eq!(answer.json()["error"]["innerError"]["status"], "429");
    }
    let control = rig.sandbox.control();
    let xdr = |form: XdrRetry| {
        control.switch(|switches| switches.xdr_retry = form);
        let request = rig.xdr("GET", "/incidents");
        control.fault_next(Api::DefenderXdr, 1, Fault::Throttled { retry_after: RetryAfter::BodyTime(30) });
        request.send()
    };
    assert!(xdr(XdrRetry::TimeInMessage).text().contains("2026-03-01T12:00:30Z"));
    assert!(xdr(XdrRetry::SecondsInMessage).text().contains("30 seconds"));
    assert_eq!(xdr(XdrRetry::TimeInField).json()["error"]["retryAfter"], "2026-03-01T12:00:30Z");
    assert_eq!(xdr(XdrRetry::Header).header("retry-after"), Some("30"));
}

#[test]
fn statuses_and_bodies() {
    let rig = small();
    for status in [400, 408, 409, 500, 502, 503, 504] {
        assert_eq!(hit(&rig, Fault::status(status)).send().status, status);
    }
    let html = hit(&rig, Fault::Html).send();
    assert!(html.status == 200 && html.text().starts_with("<!DOCTYPE"));
    assert_eq!(hit(&rig, Fault::Empty).send().body, b"");
    assert!(hit(&rig, Fault::ByteOrderMark).send().body.starts_with(b"\xef\xbb\xbf{"));
    assert!(hit(&rig, Fault::NotANumber).send().text().contains(":NaN,"));
    assert_eq!(hit(&rig, Fault::DuplicateKeys).send().text().matches("@odata.context\"").count(), 3);
    assert!(String::from_utf8(hit(&rig, Fault::InvalidUtf8).send().body).is_err());
    assert_eq!(hit(&rig, Fault::Oversized { bytes: 3_000_000 }).send().body.len(), 3_000_000);
    let bomb = hit(&rig, Fault::GzipBomb { bytes: 5_000_000 }).send();
    assert!(bomb.body.len() < 20_000 && bomb.text().len() == 5_000_000);
    assert!(hit(&rig, Fault::DeepNesting { depth: 5_000 }).send().text().contains(&"[".repeat(5_000)));
    let partial = hit(&rig, Fault::Partial { warning: "Microsoft/Sandbox/504/9000".to_owned() }).send();
    assert_eq!((partial.status, partial.header("warning")), (206, Some("199 - \"Microsoft/Sandbox/504/9000\"")));
    let moved = hit(&rig, Fault::Redirect { status: 302, location: "http://127.0.0.1:1/".to_owned() }).send();
    assert_eq!((moved.status, moved.header("location")), (302, Some("http://127.0.0.1:1/")));
    let huge = hit(&rig, Fault::HugeHeaders { bytes: 200_000 }).send();
    assert!(huge.headers.iter().map(|(_, value)| value.len()).sum::<usize>() >= 200_000);
    let skewed = hit(&rig, Fault::DateSkew { seconds: 3_600 }).send();
    assert_eq!(skewed.header("date"), Some("Sun, 01 Mar 2026 13:00:00 GMT"));
    let custom =
        hit(&rig, Fault::Body { status: 418, content_type: "text/plain".to_owned(), text: "tea".to_owned() }).send();
    assert_eq!((custom.status, custom.text().as_str()), (418, "tea"));
    let challenge = hit(&rig, Fault::InsufficientClaims).send();
    assert!(challenge.status == 401 && challenge.header("www-authenticate").unwrap().contains("insufficient_claims"));
}

#[test]
fn connections_break_where_they_are_told_to() {
    let rig = small();
    assert!(hit(&rig, Fault::ResetBefore).try_send().is_none());
    let cut = hit(&rig, Fault::Truncated { bytes: 100 }).send();
    assert!(!cut.whole && cut.body.len() == 100, "{}", cut.body.len());
    let reset = hit(&rig, Fault::ResetMidBody { bytes: 50 }).try_send();
    assert!(reset.is_none_or(|answer| !answer.whole));
    let (stalled, late) = hit(&rig, Fault::Stall { bytes: 64 }).send_within(Duration::from_secs(2));
    assert!(late && stalled.is_some_and(|answer| answer.body.len() == 64));
    let begin = Instant::now();
    let request = rig.graph("GET", "/security/incidents/1");
    rig.sandbox.control().fault_next(Api::Graph, 1, Fault::DripBody { interval_ms: 2 });
    let dripped = request.send();
    assert!(dripped.whole && begin.elapsed() >= Duration::from_millis(2 * dripped.body.len() as u64 / 2));
    let (dripped, late) = hit(&rig, Fault::DripHeader { interval_ms: 400 }).send_within(Duration::from_millis(300));
    assert!(dripped.is_none() && late);
    let begin = Instant::now();
    assert_eq!(hit(&rig, Fault::Delay { milliseconds: 150 }).send().status, 200);
    assert!(begin.elapsed() >= Duration::from_millis(150));
}

#[test]
fn resets_tell_whether_the_work_was_done() {
    let rig = small();
    let control = rig.sandbox.control();
    let machine = control.machines()[2].id.clone();
    for (fault, done) in [(Fault::ResetBefore, 0), (Fault::ResetAfter, 1)] {
        let request = rig
            .mde("POST", &format!("/machines/{machine}/isolate"))
            .json(&json!({"Comment": "x", "IsolationType": "Full"}));
        control.fault(Rule::once(fault).method("POST").path("/mde/api/machines"));
        assert!(request.try_send().is_none());
        assert_eq!(control.isolations(&machine), done);
        let record = control.records_of(Api::DefenderEndpoint).pop().unwrap();
        assert_eq!((record.status, record.worked), (None, done == 1));
        assert!(record.fault.unwrap().starts_with("reset"));
    }
}

#[test]
fn work_that_is_done_late_is_done_once() {
    let rig = small();
    let control = rig.sandbox.control();
    let machine = control.machines()[2].id.clone();
    let request = rig
        .mde("POST", &format!("/machines/{machine}/isolate"))
        .json(&json!({"Comment": "x", "IsolationType": "Full"}));
    control.fault(Rule::once(Fault::WorkLate { milliseconds: 300 }).method("POST").path("/mde/api/machines"));
    let begin = Instant::now();
    assert!(request.try_send().is_none());
    let worked = || control.records_of(Api::DefenderEndpoint).pop().unwrap().worked;
    while !worked() {
        assert!(begin.elapsed() < Duration::from_secs(30), "it is never done");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert_eq!(control.isolations(&machine), 1);
    let record = control.records_of(Api::DefenderEndpoint).pop().unwrap();
    assert_eq!((record.status, record.fault.as_deref()), (None, Some("workLate")));
}

#[test]
fn next_links_go_wrong() {
    let rig = small();
    let origin = rig.sandbox.origin().to_owned();
    let link =
        |fault: NextLink| hit(&rig, Fault::NextLink { link: fault }).send().json().get("@odata.nextLink").cloned();
    let own = format!("{}{LIST}", rig.sandbox.graph());
    assert_eq!(link(NextLink::LoopSelf), Some(own.clone().into()));
    assert_eq!(link(NextLink::LoopFirst), Some(own.clone().into()));
    assert_ne!(link(NextLink::Endless), link(NextLink::Endless));
    assert_eq!(
        link(NextLink::Foreign("https://attacker.example/x".to_owned())),
        Some("https://attacker.example/x".into())
    );
    assert!(link(NextLink::Scheme).unwrap().as_str().unwrap().starts_with("https://127.0.0.1"));
    assert!(link(NextLink::Userinfo).unwrap().as_str().unwrap().contains("user:password@"));
    assert!(link(NextLink::PathPrefix).unwrap().as_str().unwrap().starts_with(&format!("{origin}/elsewhere/graph")));
    assert!(!link(NextLink::Port).unwrap().as_str().unwrap().starts_with(&origin));
    assert_eq!(
        (link(NextLink::Missing), link(NextLink::Empty), link(NextLink::Number)),
        (None, Some("".into()), Some(7.into()))
    );
}

#[test]
fn pages_repeat_and_shift() {
    let rig = small();
    let token = rig.base(GRAPH);
    let first = rig.graph("GET", LIST).send();
    let second = |fault: Option<Fault>| {
        if let Some(fault) = fault {
            rig.sandbox.control().fault_next(Api::Graph, 1, fault);
        }
        ask("GET", &first.next_link().unwrap()).bearer(&token).send().ids()
    };
    let plain = second(None);
    assert_eq!(second(Some(Fault::DuplicatePage)), first.ids());
    assert_eq!(second(Some(Fault::ShiftedPage { by: -2 }))[2..], plain[..3]);
    assert_eq!(second(Some(Fault::ShiftedPage { by: 2 }))[..3], plain[2..]);
}

#[test]
fn tokens_expire_in_the_middle() {
    let rig = small();
    let request = rig.graph("GET", LIST);
    rig.sandbox.control().fault(Rule::new(Fault::ExpireTokens).api(Api::Graph).at(2));
    assert_eq!((request.send().status, request.send().status, request.send().status), (200, 401, 401));
    assert_eq!(rig.graph("GET", LIST).send().status, 200);
    assert_eq!(rig.sandbox.control().fault_hits(), 1);
    rig.sandbox.control().clear_faults();
    rig.sandbox.control().fault_next(Api::Entra, 1, Fault::status(503));
    let token = rig.ask_token(rig.sandbox.base_application(), GRAPH);
    assert_eq!((token.status, token.json()["error"].as_str()), (503, Some("temporarily_unavailable")));
}
