//! What counts as an answer, and what becomes of everything else.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use flate2::{Compression, write::GzEncoder};
use sortie_http::{Caps, Client, Disposition, ErrorKind, Expect, Policy, Settings};
use std::io::Write;
use support::calls::{quick, read, send, soon, write};
use support::server::{Do, Server, answer, json};
use tokio_util::sync::CancellationToken;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_plain_answer_comes_through_with_its_ids() {
    let server = Server::start(|_, _| answer("200 OK", &["request-id: 0f-1", "x-extra: y"], r#"{"value":[]}"#)).await;
    let mut request = read(server.url("/graph/v1.0/security/incidents?$top=50"));
    request.headers.insert("authorization", "Bearer abc".parse().unwrap());
    let response = send(quick(), request).await.unwrap();
    assert_eq!((response.status, response.attempts, response.body.as_slice()), (200, 1, &br#"{"value":[]}"#[..]));
    assert_eq!(response.request_id.as_deref(), Some("0f-1"));
    assert_eq!(response.headers.get("x-extra").unwrap(), "y");
    let seen = &server.seen()[0];
    assert_eq!(seen.line, "GET /graph/v1.0/security/incidents?$top=50 HTTP/1.1");
    assert_eq!(seen.header("authorization"), Some("Bearer abc"));
    assert_eq!(seen.header("accept-encoding"), Some("gzip"));
    assert_eq!(seen.header("client-request-id"), Some(response.client_request_id.as_str()));
    assert!(seen.header("user-agent").unwrap().starts_with("sortie/"));
    assert_eq!(seen.header("content-length"), None);
}

#[tokio::test]
async fn a_gzip_answer_is_decompressed_and_a_connection_is_kept() {
    let document = format!(r#"{{"value":["{}"]}}"#, "incident ".repeat(5000));
    let packed = gzip(document.as_bytes());
    let server = Server::start(move |_, _| answer("200 OK", &["content-encoding: gzip"], &packed)).await;
    let client = Client::new(quick());
    for _ in 0..5 {
        let response = client.send(read(server.url("/")), soon(), &CancellationToken::new()).await.unwrap();
        assert_eq!(response.body, document.as_bytes());
    }
    assert_eq!((server.seen().len(), server.connections()), (5, 1));
}

#[tokio::test]
async fn a_chunked_answer_is_put_together() {
    let server = Server::start(|_, _| {
        vec![Do::Send(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n".to_vec(),
        )]
    })
    .await;
    assert_eq!(send(quick(), read(server.url("/"))).await.unwrap().body, br#"{"a":1}"#);
}

#[tokio::test]
async fn nothing_is_an_answer_where_nothing_is_promised() {
    for status in ["204 No Content", "202 Accepted"] {
        let server = Server::start(move |_, _| answer(status, &[], "")).await;
        assert!(send(quick(), write(server.url("/"))).await.unwrap().body.is_empty());
    }
    let server = Server::start(|_, _| answer("200 OK", &["content-type: text/plain"], "not JSON")).await;
    let mut request = read(server.url("/"));
    request.expect = Expect::Any;
    assert_eq!(send(quick(), request).await.unwrap().body, b"not JSON");
}

#[tokio::test]
async fn a_byte_order_mark_is_taken_off() {
    let server = Server::start(|_, _| json("200 OK", "\u{feff}{\"a\":1}")).await;
    assert_eq!(send(quick(), read(server.url("/"))).await.unwrap().body, br#"{"a":1}"#);
}

/// Answers with status 200 that are none.
fn broken_answers() -> Vec<(&'static str, Vec<Do>)> {
    let cut_gzip = gzip(br#"{"value":[1,2,3]}"#);
    let cut_gzip = &cut_gzip[..cut_gzip.len() - 6];
    let raw = |text: &str| vec![Do::Send(text.as_bytes().to_vec()), Do::Close];
    vec![
        ("empty", json("200 OK", "")),
        ("blank", json("200 OK", " \r\n ")),
        ("login page", answer("200 OK", &["content-type: text/html"], "<!DOCTYPE html><html>Sign in</html>")),
        ("text", json("200 OK", "Service Unavailable")),
        ("NaN", json("200 OK", r#"{"a":NaN}"#)),
        ("JSON that ends early", json("200 OK", r#"{"value":[{"id":"1"}"#)),
        ("two documents", json("200 OK", "{}{}")),
        ("not UTF-8", json("200 OK", b"{\"a\":\"\xff\xfe\"}")),
        ("UTF-16", json("200 OK", b"\xff\xfe{\x00}\x00")),
        ("shorter than announced", raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"a\":1}")),
        ("chunks without an end", raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\n")),
        (
            "reset in the middle",
            vec![Do::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"a\":1".to_vec()), Do::Reset],
        ),
        ("cut gzip", answer("200 OK", &["content-encoding: gzip"], cut_gzip)),
        ("no gzip", answer("200 OK", &["content-encoding: gzip"], "{\"a\":1}")),
        ("another encoding", answer("200 OK", &["content-encoding: br"], "{\"a\":1}")),
    ]
}

#[tokio::test]
async fn a_broken_answer_to_a_read_is_asked_for_again() {
    for (name, broken) in broken_answers() {
        let server =
            Server::start(move |number, _| if number < 2 { broken.clone() } else { json("200 OK", "{}") }).await;
        let response = send(quick(), read(server.url("/"))).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((response.attempts, response.body.as_slice()), (3, &b"{}"[..]), "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_stays_broken_is_an_error() {
    for (name, broken) in broken_answers() {
        let server = Server::start(move |_, _| broken.clone()).await;
        let error = send(quick(), read(server.url("/"))).await.unwrap_err();
        assert_eq!(
            (error.kind, error.attempts, error.status),
            (ErrorKind::BadResponse, 3, Some(200)),
            "{name}: {error}"
        );
        assert!(error.message.starts_with("the answer of 127.0.0.1 is"), "{error}");
    }
}

#[tokio::test]
async fn a_broken_answer_to_a_write_leaves_doubt_and_is_not_asked_for_again() {
    for (name, broken) in broken_answers() {
        let server = Server::start(move |_, _| broken.clone()).await;
        let error = send(quick(), write(server.url("/"))).await.unwrap_err();
        assert_eq!((error.kind, error.disposition), (ErrorKind::BadResponse, Disposition::InDoubt), "{name}: {error}");
        assert_eq!(server.seen().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_part_is_not_the_whole() {
    let partial =
        || answer("206 Partial Content", &["warning: 199 - \"Vendor/Provider/504/10000\""], r#"{"value":[]}"#);
    let server = Server::start(move |_, _| partial()).await;
    let error = send(quick(), read(server.url("/"))).await.unwrap_err();
    assert_eq!((error.kind, error.status, error.attempts), (ErrorKind::Partial, Some(206), 3));
    assert!(error.message.contains("Vendor/Provider/504"), "{error}");
    let error = send(quick(), write(server.url("/"))).await.unwrap_err();
    assert_eq!((error.kind, error.disposition, error.attempts), (ErrorKind::Partial, Disposition::InDoubt, 1));
}

#[tokio::test]
async fn redirects_are_errors_and_nobody_follows_them() {
    let other = Server::start(|_, _| json("200 OK", "{}")).await;
    let target = format!("location: {}", other.url("/stolen"));
    let server = Server::start(move |_, _| answer("302 Found", &[&target], "")).await;
    for request in [read(server.url("/")), write(server.url("/"))] {
        let error = send(quick(), request).await.unwrap_err();
        assert_eq!((error.kind, error.disposition, error.attempts), (ErrorKind::BadResponse, Disposition::Answered, 1));
        assert!(error.message.contains("302, a redirect to 127.0.0.1"), "{error}");
    }
    assert_eq!((server.seen().len(), other.connections()), (2, 0));
}

#[tokio::test]
async fn a_refusal_is_read_and_not_repeated() {
    let id = "0f0e0d0c-0b0a-4090-8070-605040302010";
    let body = format!(
        r#"{{"error":{{"code":"ResourceNotFound","message":"Machine 1\u001b[31m was not found","target":"{id}"}}}}"#
    );
    let server = Server::start(move |_, _| json("404 Not Found", &body)).await;
    let error = send(quick(), read(server.url("/api/machines/1?secret=canary"))).await.unwrap_err();
    assert_eq!((error.kind, error.disposition, error.attempts), (ErrorKind::Status(404), Disposition::Answered, 1));
    assert_eq!(error.message, "127.0.0.1 answered 404 Not Found (ResourceNotFound): Machine 1 [31m was not found");
    assert_eq!((error.code.as_deref(), error.request_id.as_deref()), (Some("ResourceNotFound"), Some(id)));
    assert!(error.body.starts_with(b"{\"error\"") && !error.retryable());
    assert!(!format!("{error:?}").contains("canary"));
}

#[tokio::test]
async fn a_refusal_without_a_body_still_says_what_it_is() {
    let challenge = r#"www-authenticate: Bearer error="insufficient_claims", claims="e30""#;
    let server = Server::start(move |_, _| answer("401 Unauthorized", &[challenge, "x-ms-request-id: 0f-2"], "")).await;
    let error = send(quick(), write(server.url("/"))).await.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Status(401), "127.0.0.1 answered 401 Unauthorized"));
    assert!(error.challenge.as_deref().unwrap().contains("claims=\"e30\""));
    assert_eq!(error.request_id.as_deref(), Some("0f-2"));
}

#[tokio::test]
async fn an_error_body_that_never_ends_does_not_hide_the_status() {
    let server = Server::start(|_, _| {
        vec![Do::Send(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 100\r\n\r\n{\"error\"".to_vec()), Do::Close]
    })
    .await;
    assert_eq!(send(quick(), read(server.url("/"))).await.unwrap_err().kind, ErrorKind::Status(403));
}

#[tokio::test]
async fn what_is_too_large_is_dropped_and_not_asked_for_again() {
    let caps =
        Caps { body_bytes: 10_000, compressed_bytes: 10_000, header_bytes: 2_000, json_depth: 10, ..Caps::default() };
    let settings = || Settings { caps, ..quick() };
    let long_header = format!("x-long: {}", "y".repeat(3_000));
    let endless_head: Vec<u8> = [b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &vec![b'y'; 600_000]].concat();
    let many: Vec<u8> =
        [b"HTTP/1.1 200 OK\r\n".as_slice(), &b"x: y\r\n".repeat(500), b"content-length: 2\r\n\r\n{}"].concat();
    let cases = [
        ("announced", json("200 OK", format!("[\"{}\"]", "x".repeat(20_000)))),
        (
            "unannounced",
            vec![Do::Send([b"HTTP/1.1 200 OK\r\n\r\n[\"".as_slice(), &vec![b'x'; 20_000]].concat()), Do::Close],
        ),
        ("decompressed", answer("200 OK", &["content-encoding: gzip"], gzip(&vec![b' '; 100_000]))),
        ("header", answer("200 OK", &[&long_header], "{}")),
        ("endless header", vec![Do::Send(endless_head)]),
        ("many headers", vec![Do::Send(many)]),
        ("depth", json("200 OK", format!("{}{}", "[".repeat(11), "]".repeat(11)))),
    ];
    for (name, script) in cases {
        let server = Server::start(move |_, _| script.clone()).await;
        let error = send(settings(), read(server.url("/"))).await.unwrap_err();
        assert_eq!((error.kind, error.attempts), (ErrorKind::TooLarge, 1), "{name}: {error}");
    }
}

#[tokio::test]
async fn once_is_once() {
    let server = Server::start(|_, _| json("503 Service Unavailable", "{}")).await;
    let mut request = read(server.url("/"));
    request.policy = Policy::Once;
    assert_eq!(send(quick(), request).await.unwrap_err().attempts, 1);
}
