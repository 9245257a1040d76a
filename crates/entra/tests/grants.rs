//! Each credential on the wire, and what comes of each answer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use sortie_auth::{Credential, Identity, ManagedIdentityHost, Secret};
use sortie_entra::{ErrorKind, TokenClient, TokenSettings};
use std::time::Duration;
use support::server::{Do, Server, answer, json};
use support::{
    GRAPH, TENANT, assertion, certificate, client, entra, granted, http, refused, secret, settings, soon, text, token,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_secret_is_sent_as_documented() {
    let server = entra().await;
    assert_eq!(text(&client(&server), &secret(" a+b&c=%\u{20ac}\n")).await, "token-0");
    let seen = &server.seen()[0];
    assert_eq!(seen.line, format!("POST /login/{TENANT}/oauth2/v2.0/token HTTP/1.1"));
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert!(seen.header("client-request-id").is_some());
    for (field, value) in [
        ("client_id", "app-1"),
        ("client_secret", "a+b&c=%\u{20ac}"),
        ("scope", "https://graph.microsoft.com/.default"),
        ("grant_type", "client_credentials"),
    ] {
        assert_eq!(seen.field(field).as_deref(), Some(value));
    }
    assert_eq!(seen.field("claims"), None);
}

#[tokio::test]
async fn an_assertion_names_the_endpoint_it_is_for() {
    let server = entra().await;
    text(&client(&server), &certificate()).await;
    let other = TokenSettings { assertion_audience: Some("https://login.example/x".into()), ..settings(&server) };
    text(&TokenClient::new(http(), other), &certificate()).await;
    let seen = server.seen();
    let endpoint = server.url(&format!("/login/{TENANT}/oauth2/v2.0/token")).to_string();
    assert_eq!(assertion(&seen[0], 1)["aud"], endpoint.as_str());
    assert_eq!(assertion(&seen[1], 1)["aud"], "https://login.example/x");
    assert_eq!(assertion(&seen[0], 0)["alg"], "PS256");
    assert_eq!(seen[0].field("client_secret"), None);
    let kind = seen[0].field("client_assertion_type").unwrap();
    assert_eq!(kind, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
}

#[tokio::test]
async fn an_assertion_that_may_be_used_up_is_made_anew() {
    let server = Server::start(|number, _| match number {
        0 => vec![Do::Reset],
        1 => answer("503 Service Unavailable", &[], ""),
        _ => granted(number),
    })
    .await;
    assert_eq!(text(&client(&server), &certificate()).await, "token-2");
    let ids: std::collections::BTreeSet<_> =
        server.seen().iter().map(|seen| assertion(seen, 1)["jti"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 3);

    let server = Server::start(|_, _| answer("503 Service Unavailable", &[], "")).await;
    let error = token(&client(&server), &certificate()).await.unwrap_err();
    assert_eq!((error.kind, server.seen().len()), (ErrorKind::Unavailable, 3));
}

#[tokio::test]
async fn a_federated_token_is_read_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let credential = Credential::FederatedTokenFile { client_id: "app-1".into(), path: path.clone() };
    let server = Server::start(|number, _| {
        json("200 OK", format!(r#"{{"expires_in":3600,"refresh_in":0,"access_token":"token-{number}"}}"#))
    })
    .await;
    let client = client(&server);

    let error = token(&client, &credential).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidCredential);
    assert!(error.message.contains(path.to_str().unwrap()), "{error}");
    assert!(server.seen().is_empty());

    let client = support::client(&server);
    for (round, federated) in ["e30.e30.first", "e30.e30.second"].into_iter().enumerate() {
        std::fs::write(&path, format!("{federated}\n")).unwrap();
        assert_eq!(text(&client, &credential).await, format!("token-{round}"));
        assert_eq!(server.seen()[round].field("client_assertion").as_deref(), Some(federated));
    }

    for nonsense in ["", "two.parts", "a b.c.d", &"x".repeat(100_000)] {
        std::fs::write(&path, nonsense).unwrap();
        let error = token(&support::client(&server), &credential).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidCredential, "{error}");
    }
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn entras_refusals_are_read_whole() {
    for (status, error, code, kind, hint) in [
        ("401 Unauthorized", "invalid_client", 7_000_215, ErrorKind::InvalidCredential, "not the secret's id"),
        ("401 Unauthorized", "invalid_client", 7_000_222, ErrorKind::InvalidCredential, "expired"),
        ("401 Unauthorized", "invalid_client", 700_027, ErrorKind::InvalidCredential, "certificate"),
        ("400 Bad Request", "unauthorized_client", 700_016, ErrorKind::InvalidCredential, "client id"),
        ("400 Bad Request", "invalid_request", 90_002, ErrorKind::Configuration, "tenant"),
        ("400 Bad Request", "invalid_request", 900_382, ErrorKind::Configuration, "national cloud"),
        ("400 Bad Request", "invalid_scope", 70_011, ErrorKind::Configuration, "audience"),
        ("400 Bad Request", "invalid_resource", 500_011, ErrorKind::Configuration, "not provisioned"),
        ("400 Bad Request", "access_denied", 53_003, ErrorKind::Forbidden, "Conditional Access"),
    ] {
        let server = Server::start(move |_, _| refused(status, error, code, "It is so.")).await;
        let failure = token(&client(&server), &secret("canary")).await.unwrap_err();
        assert_eq!((failure.kind, failure.codes.as_slice()), (kind, &[code][..]), "{failure:?}");
        assert!(failure.hint.as_deref().unwrap().contains(hint), "{failure:?}");
        assert_eq!(
            failure.message,
            format!("the client secret of application app-1 was refused: AADSTS{code}: It is so.")
        );
        assert_eq!(failure.status.unwrap().to_string(), status[..3]);
        assert_eq!(
            (failure.error.as_deref(), failure.trace_id.as_deref(), failure.correlation_id.as_deref()),
            (Some(error), Some("t-1"), Some("c-1"))
        );
        assert_eq!(failure.timestamp.as_deref(), Some("2026-11-21 12:00:00Z"));
        assert_eq!(server.seen().len(), 1);
        assert!(!failure.retryable());
    }
}

#[tokio::test]
async fn the_contracts_samples_are_understood() {
    let folder = std::env::var_os("SORTIE_CONTRACT_DIR")
        .map_or_else(|| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/contract"), Into::into);
    let sample = |name: &str| std::fs::read(folder.join("samples").join(name)).ok();
    let (Some(granted), Some(extended), Some(refusal)) = (
        sample("entra_token_success.json"),
        sample("entra_token_success_ext.json"),
        sample("entra_token_error_invalid_scope.json"),
    ) else {
        println!("skipped: no contract folder");
        return;
    };
    let server = Server::start(move |_, _| json("200 OK", &granted)).await;
    assert!(text(&client(&server), &secret("x")).await.starts_with("eyJ"));
    // Shortened by its printer: no token looks like that.
    let server = Server::start(move |_, _| json("200 OK", &extended)).await;
    assert_eq!(token(&client(&server), &secret("x")).await.unwrap_err().kind, ErrorKind::BadResponse);
    let server = Server::start(move |_, _| json("400 Bad Request", &refusal)).await;
    let error = token(&client(&server), &secret("x")).await.unwrap_err();
    assert_eq!((error.kind, error.codes.as_slice()), (ErrorKind::Configuration, &[70_011][..]));
    assert!(error.trace_id.is_some() && error.correlation_id.is_some() && error.hint.is_some());
    assert!(!error.message.contains("Trace ID"), "{error}");
}

#[tokio::test]
async fn an_authority_that_echoes_a_secret_is_not_repeated() {
    let server =
        Server::start(|_, _| refused("401 Unauthorized", "invalid_client", 1, "You sent canary-secret here.")).await;
    let failure = token(&client(&server), &secret("canary-secret")).await.unwrap_err();
    assert!(!format!("{failure} {failure:?}").contains("canary"), "{failure:?}");
    assert!(failure.message.contains("You sent [secret] here."), "{failure}");
}

#[tokio::test]
async fn passing_problems_pass() {
    let server = Server::start(|number, _| match number {
        0 => answer("500 Internal Server Error", &[], "<html>"),
        1 => vec![Do::Reset],
        _ => granted(number),
    })
    .await;
    assert_eq!(text(&client(&server), &secret("x")).await, "token-2");
    let server = Server::start(|_, _| json("200 OK", r#"{"token_type":"Bearer"}"#)).await;
    let error = token(&client(&server), &secret("x")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadResponse, "{error}");
    let gone = { entra().await.url("/login") };
    let client = TokenClient::new(
        http(),
        TokenSettings { authority: gone.to_string(), tenant: TENANT.into(), ..TokenSettings::default() },
    );
    let error = token(&client, &secret("x")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_secret_follows_no_redirect() {
    let thief = entra().await;
    let target = format!("location: {}", thief.url("/"));
    let server = Server::start(move |_, _| answer("307 Temporary Redirect", &[&target], "")).await;
    let error = token(&client(&server), &secret("canary")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadResponse, "{error}");
    assert_eq!(thief.connections(), 0);
}

#[tokio::test]
async fn settings_that_cannot_be_used_send_nothing() {
    let server = entra().await;
    let with = |authority: &str, tenant: &str| {
        TokenClient::new(
            http(),
            TokenSettings { authority: authority.into(), tenant: tenant.into(), ..TokenSettings::default() },
        )
    };
    let authority = server.url("/login").to_string();
    for client in
        [with("", TENANT), with("http://login.example", TENANT), with(&authority, "common"), with(&authority, "")]
    {
        let error = token(&client, &secret("x")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
        assert!(error.hint.is_some());
    }
    for audience in ["", "https://graph.microsoft.com/.default", "https://a https://b"] {
        let error =
            client(&server).token(&secret("x"), audience, None, soon(), &CancellationToken::new()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
    }
    let error = token(&client(&server), &secret(" ")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidCredential, "{error}");
    assert_eq!(server.connections(), 0);
}

fn imds(server: &Server, identity: Option<Identity>) -> Credential {
    let endpoint = Some(server.url("/identity").to_string());
    Credential::ManagedIdentity { host: ManagedIdentityHost::Imds { endpoint }, identity }
}

/// Managed identities need neither authority nor tenant.
fn nowhere() -> TokenClient {
    TokenClient::new(http(), TokenSettings::default())
}

fn managed(number: usize) -> Vec<Do> {
    json(
        "200 OK",
        format!(
            r#"{{"access_token":"token-{number}","expires_in":"86399","expires_on":"9999999999","token_type":"Bearer"}}"#
        ),
    )
}

#[tokio::test]
async fn imds_is_asked_as_documented() {
    let server = Server::start(|number, _| managed(number)).await;
    let client = nowhere();
    for (identity, parameter) in [
        (None, ""),
        (Some(Identity::ClientId("c d".into())), "&client_id=c+d"),
        (Some(Identity::ObjectId("o".into())), "&object_id=o"),
        (Some(Identity::ResourceId("/a/b".into())), "&msi_res_id=%2Fa%2Fb"),
    ] {
        text(&client, &imds(&server, identity)).await;
        let seen = server.seen().pop().unwrap();
        let path = "/identity/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fgraph.microsoft.com";
        assert_eq!(seen.line, format!("GET {path}{parameter} HTTP/1.1"));
        assert_eq!(seen.header("metadata"), Some("true"));
        assert_eq!(seen.header("x-forwarded-for"), None);
    }
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn app_service_is_asked_as_documented() {
    let server = Server::start(|number, _| managed(number)).await;
    for (identity, parameter) in [
        (None, ""),
        (Some(Identity::ClientId("c".into())), "&client_id=c"),
        (Some(Identity::ObjectId("o".into())), "&principal_id=o"),
        (Some(Identity::ResourceId("r".into())), "&mi_res_id=r"),
    ] {
        let host = ManagedIdentityHost::AppService {
            endpoint: server.url("/msi/token").to_string(),
            header: Secret::new("canary-header"),
        };
        text(&nowhere(), &Credential::ManagedIdentity { host, identity }).await;
        let seen = server.seen().pop().unwrap();
        let path = "/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fgraph.microsoft.com";
        assert_eq!(seen.line, format!("GET {path}{parameter} HTTP/1.1"));
        assert_eq!(seen.header("x-identity-header"), Some("canary-header"));
    }
}

#[tokio::test]
async fn imds_is_given_time_to_start() {
    let server = Server::start(|number, _| match number {
        0 => json("404 Not Found", "{}"),
        1 => json("429 Too Many Requests", "{}"),
        2 => json("500 Internal Server Error", "{}"),
        _ => managed(number),
    })
    .await;
    assert_eq!(text(&nowhere(), &imds(&server, None)).await, "token-3");

    // While it is being updated, up to a minute is worth waiting; not beyond the deadline.
    let server = Server::start(|_, _| json("410 Gone", "{}")).await;
    let start = Instant::now();
    let until = start + Duration::from_secs(5);
    let error = nowhere().token(&imds(&server, None), GRAPH, None, until, &CancellationToken::new()).await.unwrap_err();
    assert_eq!((error.kind, server.seen().len()), (ErrorKind::Unavailable, 1), "{error}");
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_resource_without_identity_says_so() {
    let server = Server::start(|_, _| {
        json("400 Bad Request", r#"{"error":"invalid_request","error_description":"Identity not found"}"#)
    })
    .await;
    let error = token(&nowhere(), &imds(&server, None)).await.unwrap_err();
    assert_eq!((error.kind, server.seen().len()), (ErrorKind::InvalidCredential, 1));
    assert!(
        error.message.contains("Identity not found") && error.hint.as_deref().unwrap().contains("assign"),
        "{error:?}"
    );
    let gone = imds(&entra().await, None);
    let error = token(&nowhere(), &gone).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.hint.as_deref().unwrap().contains("does not run on an Azure resource"), "{error:?}");
}

#[tokio::test]
async fn a_managed_identity_host_is_near() {
    for endpoint in ["http://metadata.example", "http://10.0.0.1", "not a URL", "ftp://127.0.0.1"] {
        let host = ManagedIdentityHost::Imds { endpoint: Some(endpoint.into()) };
        let error = token(&nowhere(), &Credential::ManagedIdentity { host, identity: None }).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration, "{endpoint}: {error}");
    }
}
