//! Connections that fail, answers that do not come, deadlines and cancellation: what is repeated, what is not, and
//! what is said about the work.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use bytes::Bytes;
use sortie_http::{Client, Disposition, ErrorKind, Settings, Timeouts};
use std::sync::Arc;
use std::time::Duration;
use support::calls::{quick, read, send, soon, write};
use support::server::{Do, Server, answer, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

/// A port that refuses connections.
fn closed() -> Url {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap()
}

fn hurried(change: impl FnOnce(&mut Timeouts)) -> Settings {
    let mut settings = quick();
    change(&mut settings.timeouts);
    settings
}

#[tokio::test]
async fn a_refused_connection_means_nothing_was_sent() {
    for request in [read(closed()), write(closed())] {
        let error = send(quick(), request).await.unwrap_err();
        assert_eq!(
            (error.kind, error.disposition, error.attempts),
            (ErrorKind::Unavailable, Disposition::NotSent, 3),
            "{error}"
        );
        assert!(error.message.starts_with("no connection to 127.0.0.1: ") && error.retryable(), "{error}");
    }
}

#[tokio::test]
async fn a_name_that_is_not_found_means_nothing_was_sent() {
    let settings = Settings { proxy: sortie_http::Proxy::None, ..quick() };
    let error = send(settings, write(Url::parse("https://host.invalid/x?secret=canary").unwrap())).await.unwrap_err();
    assert_eq!((error.kind, error.disposition), (ErrorKind::Unavailable, Disposition::NotSent), "{error}");
    assert!(error.message.contains("host.invalid") && !error.message.contains("canary"), "{error}");
}

#[tokio::test]
async fn a_host_that_does_not_accept_in_time_means_nothing_was_sent() {
    // A full backlog: the kernel answers no further connection.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(address)).await {
        filling.push(stream.unwrap());
    }
    let mut settings = hurried(|timeouts| timeouts.connect = Duration::from_millis(100));
    settings.retry.attempts = 1;
    let error = send(settings, write(Url::parse(&format!("http://{address}/")).unwrap())).await.unwrap_err();
    assert_eq!((error.kind, error.disposition), (ErrorKind::Timeout, Disposition::NotSent), "{error}");
}

#[tokio::test]
async fn a_write_is_sent_again_when_nothing_was_sent() {
    // The port is closed for the first attempts and open for the last.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let opening = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let listener = TcpListener::bind(address).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = [0; 2000];
        let length = stream.read(&mut seen).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}")
            .await
            .unwrap();
        seen[..length].to_vec()
    });
    let mut settings = quick();
    settings.retry.attempts = 10_000;
    let response = send(settings, write(Url::parse(&format!("http://{address}/")).unwrap())).await.unwrap();
    assert_eq!(response.status, 201);
    assert!(response.attempts > 1);
    assert!(opening.await.unwrap().ends_with(br#"{"Comment":"x"}"#));
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_leaves_doubt() {
    for end in [Do::Close, Do::Reset] {
        let ending = end.clone();
        let server = Server::start(move |_, _| vec![ending.clone()]).await;
        let error = send(quick(), write(server.url("/"))).await.unwrap_err();
        assert_eq!((error.kind, error.disposition), (ErrorKind::Unavailable, Disposition::InDoubt), "{end:?} {error}");
        assert_eq!(server.seen().len(), 1, "{end:?}");

        let error = send(quick(), read(server.url("/"))).await.unwrap_err();
        assert_eq!((error.kind, error.attempts), (ErrorKind::Unavailable, 3), "{end:?} {error}");
    }
}

#[tokio::test]
async fn a_write_without_a_body_is_never_assumed_unsent() {
    let server = Server::start(|_, _| vec![Do::Reset]).await;
    let mut request = write(server.url("/"));
    request.body = Bytes::new();
    let error = send(quick(), request).await.unwrap_err();
    assert_eq!((error.disposition, error.attempts), (Disposition::InDoubt, 1), "{error}");
    assert_eq!(server.seen()[0].header("content-length"), Some("0"));
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_a_write_nothing() {
    // Each connection serves one request and is closed once it is idle.
    let server = Server::start(|_, _| [json("200 OK", "{}"), vec![Do::Close]].concat()).await;
    let client = Client::new(quick());
    for round in 1..=5 {
        let response = client.send(write(server.url("/")), soon(), &CancellationToken::new()).await.unwrap();
        assert_eq!(response.attempts, 1);
        assert_eq!(server.seen().len(), round);
        // The close has to arrive before the connection is taken again.
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

#[tokio::test]
async fn server_errors_are_repeated_for_reads_and_leave_doubt_for_writes() {
    for status in [
        "500 Internal Server Error",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "504 Gateway Timeout",
        "408 Request Timeout",
    ] {
        let server =
            Server::start(move |number, _| if number == 0 { answer(status, &[], "") } else { json("200 OK", "{}") })
                .await;
        assert_eq!(send(quick(), read(server.url("/"))).await.unwrap().attempts, 2, "{status}");

        let server = Server::start(move |_, _| answer(status, &[], "")).await;
        let error = send(quick(), read(server.url("/"))).await.unwrap_err();
        assert_eq!((error.kind, error.attempts), (ErrorKind::Unavailable, 3), "{status}");
        assert_eq!(error.status.unwrap().to_string(), status[..3]);

        let error = send(quick(), write(server.url("/"))).await.unwrap_err();
        assert_eq!(
            (error.kind, error.disposition, error.attempts),
            (ErrorKind::Unavailable, Disposition::InDoubt, 1),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_header_that_does_not_come_is_not_waited_for() {
    let drip =
        || b"HTTP/1.1 200 OK\r\n".iter().flat_map(|byte| [Do::Send(vec![*byte]), Do::Wait(Duration::from_millis(50))]);
    for script in [vec![Do::Wait(Duration::from_secs(60))], drip().collect()] {
        let server = Server::start(move |_, _| script.clone()).await;
        let settings = || hurried(|timeouts| timeouts.header = Duration::from_millis(150));
        let start = Instant::now();
        let error = send(settings(), write(server.url("/"))).await.unwrap_err();
        assert_eq!((error.kind, error.disposition), (ErrorKind::Timeout, Disposition::InDoubt), "{error}");
        let error = send(settings(), read(server.url("/"))).await.unwrap_err();
        assert_eq!((error.kind, error.attempts), (ErrorKind::Timeout, 3), "{error}");
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_body_that_stalls_or_drips_is_not_waited_for() {
    let head = Do::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n".to_vec());
    let stall = vec![head.clone(), Do::Send(b"[1".to_vec()), Do::Wait(Duration::from_secs(60))];
    let server = Server::start(move |_, _| stall.clone()).await;
    let settings = hurried(|timeouts| timeouts.idle_read = Duration::from_millis(100));
    let error = send(settings, read(server.url("/"))).await.unwrap_err();
    assert_eq!((error.kind, error.attempts), (ErrorKind::Timeout, 3), "{error}");

    // A byte now and then keeps the idle time, and the total ends it.
    let drip = std::iter::once(head)
        .chain((0..1000).flat_map(|_| [Do::Send(b" ".to_vec()), Do::Wait(Duration::from_millis(20))]))
        .collect::<Vec<_>>();
    let server = Server::start(move |_, _| drip.clone()).await;
    let settings = hurried(|timeouts| timeouts.total = Duration::from_millis(200));
    let start = Instant::now();
    let error = send(settings, read(server.url("/"))).await.unwrap_err();
    assert_eq!((error.kind, error.attempts), (ErrorKind::Timeout, 3), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn the_callers_deadline_ends_everything() {
    let server = Server::start(|_, _| vec![Do::Wait(Duration::from_secs(60))]).await;
    let client = Client::new(quick());
    let cancel = CancellationToken::new();
    let until = Instant::now() + Duration::from_millis(100);
    let error = client.send(write(server.url("/")), until, &cancel).await.unwrap_err();
    assert_eq!(
        (error.kind, error.disposition, error.attempts),
        (ErrorKind::Timeout, Disposition::InDoubt, 1),
        "{error}"
    );
    let error =
        client.send(write(server.url("/")), Instant::now() - Duration::from_secs(1), &cancel).await.unwrap_err();
    assert_eq!(
        (error.kind, error.disposition, error.attempts),
        (ErrorKind::Timeout, Disposition::NotSent, 0),
        "{error}"
    );
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_deadline_while_nothing_is_under_way_leaves_no_doubt() {
    let mut settings = quick();
    settings.retry.first = Duration::from_millis(20);
    settings.retry.max_delay = Duration::from_millis(20);
    settings.retry.attempts = 1_000_000;
    let until = Instant::now() + Duration::from_millis(200);
    let error = Client::new(settings).send(write(closed()), until, &CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.disposition, Disposition::NotSent, "{error}");
    assert!(matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Timeout) && error.attempts > 1, "{error}");
}

#[tokio::test]
async fn cancellation_says_what_it_leaves_behind() {
    let server = Server::start(|_, _| vec![Do::Wait(Duration::from_secs(60))]).await;
    let client = Client::new(quick());
    let cancel = CancellationToken::new();
    let sending = tokio::spawn({
        let (client, request, cancel) = (client.clone(), write(server.url("/")), cancel.clone());
        async move { client.send(request, soon(), &cancel).await }
    });
    while server.seen().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cancel.cancel();
    let start = Instant::now();
    let error = sending.await.unwrap().unwrap_err();
    assert_eq!((error.kind, error.disposition), (ErrorKind::Cancelled, Disposition::InDoubt), "{error}");
    assert!(start.elapsed() < Duration::from_millis(100));

    let error = client.send(write(server.url("/")), soon(), &cancel).await.unwrap_err();
    assert_eq!((error.kind, error.disposition), (ErrorKind::Cancelled, Disposition::NotSent), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_request_is_read_is_not_taken_for_more_than_it_is() {
    // Accepted and reset at once: whether bytes left before that is a race, and the answer must be right either way.
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let resetting = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_zero_linger().unwrap();
        }
    });
    for _ in 0..20 {
        let error = send(quick(), write(url.clone())).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        match error.disposition {
            Disposition::InDoubt => {}
            Disposition::NotSent => assert_eq!(error.attempts, 3),
            Disposition::Answered => panic!("{error}"),
        }
    }
    resetting.abort();
}
