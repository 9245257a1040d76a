//! What is sent and received in secret stays out of every log, error and debug text, at every level and in every
//! library below.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use sortie_http::{Client, Proxy, Settings, Trust};
use std::io::Write;
use std::sync::{Arc, Mutex};
use support::calls::{quick, read, soon, write};
use support::server::{Do, Server, answer, json};
use tokio_util::sync::CancellationToken;
use url::Url;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// For the libraries that log through `log`.
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
async fn canaries_are_seen_by_the_server_only() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).init();
    log::set_logger(Box::leak(Box::new(log.clone()))).unwrap();
    log::set_max_level(log::LevelFilter::Trace);

    let server = Server::start(|number, seen| match number % 8 {
        0 => answer("200 OK", &["x-secret: canary-header-back"], r#"{"access_token":"canary-body-back"}"#),
        1 => json("403 Forbidden", r#"{"error":{"code":"Forbidden","message":"No."},"token":"canary-body-back"}"#),
        2 => answer("302 Found", &["location: https://elsewhere.example/?sig=canary-sas"], ""),
        3 => json("200 OK", r#"{"access_token":"canary-body-back"#),
        4 => vec![Do::Reset],
        5 => answer("401 Unauthorized", &["www-authenticate: Bearer claims=\"canary-claims\""], ""),
        6 => {
            // A service that repeats the token, and the second time only half of it is left.
            let token = seen.header("authorization").unwrap().replace("Bearer ", "");
            let message = format!("{token} is wrong {}{token}", "x".repeat(470));
            json("400 Bad Request", format!(r#"{{"error":{{"code":"{token}","message":"{message}"}}}}"#))
        }
        _ => answer("429 Too Many Requests", &["retry-after: 5000"], "canary-body-back"),
    })
    .await;
    let dead_proxy = Url::parse("http://user:canary-proxy@127.0.0.1:1/").unwrap();
    let pem = rcgen::generate_simple_self_signed(["x.example".to_owned()]).unwrap().cert.pem().into_bytes();
    let client = Client::new(Settings { proxy: Proxy::Url(dead_proxy), trust: Trust::Pem(pem), ..quick() });
    let mut shown = format!("{client:?}");
    let mut targets = vec![server.url("/download?sig=canary-query"); 16];
    targets.push(Url::parse("https://graph.example/?sig=canary-query").unwrap());
    targets.push(Url::parse("http://user:canary-user@127.0.0.1/?sig=canary-query").unwrap());
    for (number, target) in targets.into_iter().enumerate() {
        let mut request = if number % 2 == 0 { read(target) } else { write(target) };
        request
            .headers
            .insert("authorization", "Bearer canary-token-that-is-longer-than-a-few-characters".parse().unwrap());
        if number % 2 == 1 {
            request.body = r#"{"client_secret":"canary-body"}"#.into();
        }
        shown.push_str(&format!("{request:?}"));
        match client.send(request, soon(), &CancellationToken::new()).await {
            Ok(response) => shown.push_str(&format!("{response:?}")),
            Err(error) => {
                shown.push_str(&format!("{error} {error:?} {error:#?} {:?}", std::error::Error::source(&error)));
            }
        }
    }

    let sent = format!("{:?}", server.seen());
    assert!(sent.contains("canary-token") && sent.contains("canary-query"), "the server got the canaries");
    let logged = log.text();
    assert!(
        logged.contains("client_request_id") && logged.contains("reqwest"),
        "both kinds of log are caught: {logged}"
    );
    for text in [&logged, &shown] {
        let found: Vec<_> = text.lines().filter(|line| line.contains("canary")).collect();
        assert!(found.is_empty(), "{found:#?}");
    }
}
