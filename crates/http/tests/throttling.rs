//! Being told to wait, and waiting without being told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use sortie_http::{Client, Disposition, ErrorKind, Quota, Settings};
use std::collections::BTreeMap;
use std::time::Duration;
use support::calls::{quick, read, send, soon, write};
use support::server::{Server, answer, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

fn throttled(header: Option<&str>, body: &str) -> Vec<support::server::Do> {
    let header = header.map(|value| format!("retry-after: {value}"));
    let headers: Vec<&str> = header.iter().map(String::as_str).collect();
    answer("429 Too Many Requests", &headers, body)
}

#[tokio::test]
async fn a_write_is_sent_again_after_a_refusal() {
    let server =
        Server::start(|number, _| if number < 2 { throttled(Some("0.3"), "") } else { json("201 Created", "{}") })
            .await;
    let start = Instant::now();
    let response = send(quick(), write(server.url("/"))).await.unwrap();
    assert_eq!((response.status, response.attempts), (201, 3));
    assert!(start.elapsed() >= Duration::from_millis(600), "{:?}", start.elapsed());
}

#[tokio::test]
async fn refusals_that_name_their_time_do_not_use_up_attempts() {
    let server =
        Server::start(|number, _| if number < 6 { throttled(Some("0.01"), "") } else { json("200 OK", "{}") }).await;
    assert_eq!(send(quick(), read(server.url("/"))).await.unwrap().attempts, 7);
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_answered_at_once() {
    let long_ahead = "Fri, 31 Dec 2100 23:59:59 GMT";
    let in_body = r#"{"error":{"code":"TooManyRequests","message":"New calls are possible in 1800 seconds"}}"#;
    for (header, body, seconds) in [
        (Some("120"), "", 120),
        (Some("120.75"), "", 120),
        (Some("1000000000"), "", 3600),
        (Some(long_ahead), "", 3600),
        (None, in_body, 1800),
        (Some("-5"), in_body, 1800),
    ] {
        for request in [read, write] {
            let server = Server::start(move |_, _| throttled(header, body)).await;
            let start = Instant::now();
            let error = send(quick(), request(server.url("/"))).await.unwrap_err();
            assert_eq!((error.kind, error.disposition), (ErrorKind::Throttled, Disposition::Answered), "{header:?}");
            assert_eq!(error.retry_after.map(|wait| wait.as_secs()), Some(seconds), "{header:?} {body}");
            assert_eq!((error.attempts, server.seen().len()), (1, 1));
            assert!(start.elapsed() < Duration::from_secs(2) && error.retryable());
        }
    }
}

#[tokio::test]
async fn a_refusal_that_names_no_time_is_repeated_a_few_times() {
    for header in [None, Some("soon"), Some("-1"), Some("0"), Some("")] {
        let server =
            Server::start(move |_, _| throttled(header, r#"{"error":{"message":"Please retry again later."}}"#)).await;
        let start = Instant::now();
        let error = send(quick(), read(server.url("/"))).await.unwrap_err();
        assert_eq!((error.kind, error.attempts), (ErrorKind::Throttled, 3), "{header:?}");
        assert!(start.elapsed() >= Duration::from_millis(500), "{header:?}");
    }
}

#[tokio::test]
async fn an_unavailable_service_may_name_its_time_too() {
    let unavailable = |number| {
        if number == 0 { answer("503 Service Unavailable", &["retry-after: 0.2"], "") } else { json("200 OK", "{}") }
    };
    let server = Server::start(move |number, _| unavailable(number)).await;
    let start = Instant::now();
    send(quick(), read(server.url("/"))).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(200));
}

fn limited(quotas: Vec<Quota>) -> Settings {
    Settings { limits: BTreeMap::from([("class".to_owned(), quotas)]), ..quick() }
}

#[tokio::test]
async fn clones_share_one_limit_and_the_deadline_counts() {
    let server = Server::start(|_, _| json("200 OK", "{}")).await;
    let client = Client::new(limited(vec![Quota::per_minute(2)]));
    let request = || {
        let mut request = read(server.url("/"));
        request.limit = Some("class".to_owned());
        request
    };
    let cancel = CancellationToken::new();
    client.clone().send(request(), soon(), &cancel).await.unwrap();
    client.clone().send(request(), soon(), &cancel).await.unwrap();
    let start = Instant::now();
    let error = client.send(request(), soon(), &cancel).await.unwrap_err();
    assert_eq!(
        (error.kind, error.disposition, error.attempts, error.status),
        (ErrorKind::Throttled, Disposition::NotSent, 0, None)
    );
    assert!(error.retry_after.unwrap() > Duration::from_secs(55), "{error:?}");
    assert!(error.message.contains("\"class\"") && start.elapsed() < Duration::from_secs(1), "{error}");
    // Another class, and none, go on.
    client.send(read(server.url("/")), soon(), &cancel).await.unwrap();
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_slot_that_comes_in_time_is_waited_for() {
    let server = Server::start(|_, _| json("200 OK", "{}")).await;
    let client = Client::new(limited(vec![Quota { requests: 1, per: Duration::from_millis(100) }]));
    let start = Instant::now();
    for _ in 0..3 {
        let mut request = read(server.url("/"));
        request.limit = Some("class".to_owned());
        client.send(request, soon(), &CancellationToken::new()).await.unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn one_refusal_stops_all_calls_of_its_class() {
    let server = Server::start(|_, _| throttled(Some("600"), "")).await;
    let client = Client::new(limited(vec![Quota::per_minute(1000)]));
    let send = async || {
        let mut request = read(server.url("/"));
        request.limit = Some("class".to_owned());
        client.send(request, soon(), &CancellationToken::new()).await.unwrap_err()
    };
    let first = send().await;
    assert_eq!((first.status, first.disposition), (Some(429), Disposition::Answered));
    let second = send().await;
    assert_eq!((second.kind, second.disposition, second.attempts), (ErrorKind::Throttled, Disposition::NotSent, 0));
    assert!(second.retry_after.unwrap() > Duration::from_secs(590));
    assert_eq!(server.seen().len(), 1);
}
