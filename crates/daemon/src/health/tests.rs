#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use std::net::Ipv4Addr;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn here() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

struct Served {
    address: SocketAddr,
    status: Arc<Status>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn served() -> Served {
    let health = Health::bind(here()).unwrap();
    let address = health.address().unwrap();
    let (status, stop) = (Arc::new(Status::new(30.0)), CancellationToken::new());
    let task = tokio::spawn(health.serve(Arc::clone(&status), stop.clone()));
    Served { address, status, stop, task }
}

impl Served {
    /// The status, the head and the body of the answer.
    async fn ask(&self, method: &str, path: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_ascii_lowercase(), body.to_owned())
    }

    async fn ready(&self) -> (u16, serde_json::Value) {
        let (code, head, body) = self.ask("GET", "/readyz").await;
        assert!(head.contains("content-type: application/json"), "{head}");
        (code, serde_json::from_str(&body).unwrap())
    }
}

#[test]
fn only_this_machine_is_served() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9180"] {
        assert_eq!(Health::bind(address.parse().unwrap()).unwrap_err().exit_code(), 78, "{address}");
    }
    let taken = Health::bind(here()).unwrap();
    let failure = Health::bind(taken.address().unwrap()).unwrap_err();
    assert!(failure.exit_code() == 78 && failure.hint.is_some());
}

#[tokio::test]
async fn ready_says_every_reason_why_not() {
    let served = served();
    let (code, body) = served.ready().await;
    assert_eq!((code, body["ready"].as_bool()), (503, Some(false)));
    assert!(body["reasons"][0].as_str().unwrap().contains("no poll"), "{body}");

    let success =
        |ago: u64| Some((Instant::now().checked_sub(Duration::from_secs(ago)).unwrap(), jiff::Timestamp::now()));
    served.status.change(|status| status.last_success = success(0));
    assert_eq!(served.ready().await.0, 200);

    served.status.change(|status| {
        // Three intervals and the grace are 150 s.
        status.last_success = success(151);
        status.store_error = Some("the disk is full".into());
        status.outbox_full = true;
        status.needs_help = true;
        status.error = Some(("forbidden".into(), "no".into()));
    });
    served.status.change_sink("soar", |sink| sink.error = Some("answered 503".into()));
    let (code, body) = served.ready().await;
    assert_eq!((code, body["reasons"].as_array().unwrap().len()), (503, 4), "{body}");
    assert_eq!(body["error"]["kind"], "forbidden");
    assert_eq!(
        (body["sinks"]["soar"]["up"].as_bool(), body["sinks"]["soar"]["error"].as_str()),
        (Some(false), Some("answered 503"))
    );

    served.status.change(|status| {
        status.last_success = success(149);
        (status.store_error, status.outbox_full, status.needs_help) = (None, false, false);
    });
    assert_eq!(served.ready().await.0, 200, "a sink that is down does not stop the reading");
    served.status.change(|status| (status.last_success, status.error) = (success(3_600), None));
    assert_eq!(served.ready().await.0, 200, "a long step that brings something in goes on");
}

#[tokio::test]
async fn alive_is_a_loop_that_moves() {
    let served = served();
    assert_eq!(served.ask("GET", "/healthz").await.0, 200);
    served.status.change(|status| status.patience = Duration::ZERO);
    let (code, _, body) = served.ask("GET", "/healthz").await;
    assert!(code == 503 && body.contains("has not moved"), "{body}");
    assert!(served.ready().await.1["reasons"].to_string().contains("has not moved"));
    served.status.change(|status| status.patience = Duration::from_secs(60));
    assert_eq!(served.ask("GET", "/healthz").await.0, 200);
}

#[tokio::test]
async fn a_sweep_that_fails_is_said_and_does_not_stop_the_polls() {
    let served = served();
    served.status.change(|status| {
        status.last_success = Some((Instant::now(), jiff::Timestamp::UNIX_EPOCH));
        status.sweep_error = Some(("unavailable".into(), "no".into()));
    });
    let (code, document) = served.ready().await;
    assert_eq!((code, document["sweepError"]["kind"].as_str()), (200, Some("unavailable")), "{document}");
}

#[tokio::test]
async fn metrics_have_their_type_and_their_format() {
    let served = served();
    let (code, head, body) = served.ask("GET", "/metrics").await;
    assert_eq!(code, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(crate::metrics::tests::parse(&body).contains_key("sortie_polls_total"));
    let (code, _, body) = served.ask("HEAD", "/metrics").await;
    assert_eq!((code, body.as_str()), (200, ""));
}

#[tokio::test]
async fn anything_else_is_refused_and_changes_nothing() {
    let served = served();
    for (method, path, wanted) in [
        ("POST", "/healthz", 405),
        ("DELETE", "/metrics", 405),
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/../etc/passwd", 404),
        ("POST", "/reload", 404),
    ] {
        let (code, head, _) = served.ask(method, path).await;
        assert_eq!(code, wanted, "{method} {path}");
        assert_eq!(head.contains("allow: get, head"), wanted == 405, "{head}");
    }
    // A head that is too long, and one that is no HTTP at all.
    for request in [format!("GET /healthz HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(2 * HEAD)), "hello\r\n\r\n".to_owned()]
    {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(served.ask("GET", "/healthz").await.0, 200);
}

#[tokio::test]
async fn it_ends_when_it_is_told_to_and_idle_clients_do_not_hold_it() {
    let served = served();
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    assert_eq!(served.ask("GET", "/healthz").await.0, 200);
    served.stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), served.task).await.unwrap().unwrap();
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0, "it is closed");
    assert!(TcpStream::connect(served.address).await.is_err());
}
