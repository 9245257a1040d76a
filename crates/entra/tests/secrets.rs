//! What proves who we are, and what we are given for it, stays out of every log, error, debug text and file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use sortie_auth::{Credential, ManagedIdentityHost, Secret};
use std::io::Write;
use std::sync::{Arc, Mutex};
use support::server::{Do, Server, answer, json};
use support::{APPLICATION, GRAPH, cached, certificate, refused, secret, soon, token};
use tokio_util::sync::CancellationToken;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let _ = writeln!(self.clone(), "{} {} {}", record.level(), record.target(), record.args());
    }

    fn flush(&self) {}
}

#[tokio::test]
async fn canaries_are_seen_by_the_authority_only() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).init();
    log::set_logger(Box::leak(Box::new(log.clone()))).unwrap();
    log::set_max_level(log::LevelFilter::Trace);

    let folder = tempfile::tempdir().unwrap();
    let federated = folder.path().join("federated");
    std::fs::write(&federated, "e30.e30.canary-federated").unwrap();
    let cache = folder.path().join("cache");
    let mut shown = String::new();
    let mut sent = String::new();
    let answers: [fn(&support::server::Seen) -> Vec<Do>; 6] = [
        |_| json("200 OK", r#"{"expires_in":3599,"access_token":"canary-token"}"#),
        |_| json("200 OK", r#"{"access_token":"canary-token"}"#),
        // An authority that echoes all it was sent.
        |seen| refused("401 Unauthorized", "invalid_client", 7_000_215, &echo(seen)),
        |seen| answer("500 Internal Server Error", &[], echo(seen)),
        |_| answer("302 Found", &["location: https://x.example/?token=canary-token"], ""),
        |_| vec![Do::Reset],
    ];
    for answered in answers {
        let server = Server::start(move |_, seen| answered(seen)).await;
        let client = cached(&server, &cache);
        let host = ManagedIdentityHost::AppService {
            endpoint: server.url("/msi/token").to_string(),
            header: Secret::new("canary-header"),
        };
        for credential in [
            secret("canary-secret"),
            certificate(),
            Credential::FederatedTokenFile { client_id: "app-1".into(), path: federated.clone() },
            Credential::ManagedIdentity { host, identity: None },
        ] {
            shown.push_str(&format!("{client:?} {credential:?}"));
            for _ in 0..2 {
                match token(&client, &credential).await {
                    Ok(token) => shown.push_str(&format!("{token:?}")),
                    Err(error) => shown.push_str(&format!("{error} {error:?} {error:#?}")),
                }
            }
            let claims = Some(r#"{"x":"canary-claims"}"#);
            let _ = client.token(&credential, GRAPH, claims, soon(), &CancellationToken::new()).await;
        }
        for seen in server.seen() {
            sent.push_str(&seen.head);
            sent.push_str(&String::from_utf8_lossy(&seen.body));
        }
    }

    for canary in ["canary-secret", "canary-federated", "canary-header", "canary-claims"] {
        assert!(sent.contains(canary), "{canary} was sent");
    }
    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(logged.contains("client_request_id") && logged.contains("reqwest"), "both kinds of log are caught");
    let mut kept = String::new();
    for entry in std::fs::read_dir(&cache).unwrap() {
        kept.push_str(&String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()));
    }
    // A line from the middle of the private key.
    let key_line = APPLICATION.lines().nth(9).unwrap();
    for text in [&logged, &shown, &kept] {
        let found: Vec<_> = text.lines().filter(|line| line.contains("canary") || line.contains(key_line)).collect();
        assert!(found.is_empty(), "{found:#?}");
        assert!(!text.contains("eyJhbGciOi"), "an assertion");
    }
}

/// What was sent in secret, decoded.
fn echo(seen: &support::server::Seen) -> String {
    let fields = ["client_secret", "client_assertion"].into_iter().filter_map(|name| seen.field(name));
    let header = seen.header("x-identity-header").map(ToOwned::to_owned);
    fields.chain(header).collect()
}
