//! A tenant of one test: a server in the place of Entra, and the credentials that it knows.

#![allow(dead_code, reason = "each test file uses a part")]

#[path = "../../../http/tests/support/server.rs"]
pub(crate) mod server;

use server::{Do, Seen, Server, json};
use sortie_auth::{AccessToken, Credential, Secret};
use sortie_entra::{Error, TokenClient, TokenSettings};
use sortie_http::{Client, Retry, Settings, Timeouts};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) const TENANT: &str = "00000000-1111-2222-3333-444444444444";
pub(crate) const GRAPH: &str = "https://graph.microsoft.com";
pub(crate) const APPLICATION: &str = include_str!("../fixtures/application.pem");

pub(crate) fn http() -> Client {
    Client::new(Settings {
        retry: Retry { attempts: 3, first: Duration::from_millis(2), max_delay: Duration::from_millis(5) },
        timeouts: Timeouts { header: Duration::from_secs(10), ..Timeouts::default() },
        ..Settings::default()
    })
}

pub(crate) fn settings(server: &Server) -> TokenSettings {
    TokenSettings { authority: server.url("/login").to_string(), tenant: TENANT.to_owned(), ..TokenSettings::default() }
}

pub(crate) fn client(server: &Server) -> TokenClient {
    TokenClient::new(http(), settings(server))
}

pub(crate) fn cached(server: &Server, folder: &Path) -> TokenClient {
    TokenClient::new(http(), TokenSettings { cache: Some(folder.to_owned()), ..settings(server) })
}

pub(crate) fn secret(secret: &str) -> Credential {
    Credential::ClientSecret { client_id: "app-1".into(), secret: Secret::new(secret) }
}

pub(crate) fn certificate() -> Credential {
    Credential::Certificate { client_id: "app-1".into(), pem: Secret::new(APPLICATION), send_chain: false }
}

/// The answer with the token `token-<number>`.
pub(crate) fn granted(number: usize) -> Vec<Do> {
    json("200 OK", format!(r#"{{"token_type":"Bearer","expires_in":3599,"access_token":"token-{number}"}}"#))
}

/// A refusal in Entra's form.
pub(crate) fn refused(status: &str, error: &str, code: u32, text: &str) -> Vec<Do> {
    json(
        status,
        serde_json::json!({
            "error": error,
            "error_description": format!("AADSTS{code}: {text}\r\nTrace ID: t-1\r\nCorrelation ID: c-1\r\nTimestamp: now"),
            "error_codes": [code],
            "timestamp": "2026-11-21 12:00:00Z",
            "trace_id": "t-1",
            "correlation_id": "c-1",
        })
        .to_string(),
    )
}

pub(crate) async fn entra() -> Server {
    Server::start(|number, _| granted(number)).await
}

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// A token for Graph.
pub(crate) async fn token(client: &TokenClient, credential: &Credential) -> Result<AccessToken, Error> {
    client.token(credential, GRAPH, None, soon(), &CancellationToken::new()).await
}

pub(crate) async fn text(client: &TokenClient, credential: &Credential) -> String {
    token(client, credential).await.unwrap().secret.expose().to_owned()
}

/// A part of the assertion that a request carried, decoded.
pub(crate) fn assertion(seen: &Seen, part: usize) -> serde_json::Value {
    use base64::Engine;
    let assertion = seen.field("client_assertion").unwrap();
    let part = assertion.split('.').nth(part).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
