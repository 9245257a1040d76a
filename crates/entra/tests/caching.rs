//! When the token endpoint is asked, and when it is not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use sortie_auth::{Credential, ManagedIdentityHost};
use sortie_entra::{ErrorKind, Refresh, TokenClient, TokenSettings, logout};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use support::server::{Do, Server, answer, json};
use support::{GRAPH, cached, certificate, client, entra, granted, http, refused, secret, settings, soon, text, token};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_hundred_callers_make_one_request() {
    let server = Server::start(|number, _| [vec![Do::Wait(Duration::from_millis(50))], granted(number)].concat()).await;
    let client = client(&server);
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { text(&client, &secret("x")).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "token-0");
    }
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_hundred_callers_share_a_refusal_too() {
    for (status, error, kind) in [
        ("401 Unauthorized", "invalid_client", ErrorKind::InvalidCredential),
        ("501 Not Implemented", "x", ErrorKind::Unavailable),
    ] {
        let refusal = refused(status, error, 1, "No.");
        let server =
            Server::start(move |_, _| [vec![Do::Wait(Duration::from_millis(50))], refusal.clone()].concat()).await;
        let client = client(&server);
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { token(&client, &secret("x")).await.unwrap_err().kind })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), kind);
        }
        // One caller's attempts.
        assert_eq!(server.seen().len(), if kind == ErrorKind::Unavailable { 3 } else { 1 });
    }
}

#[tokio::test]
async fn each_audience_application_and_secret_has_its_own_token() {
    let server = entra().await;
    let client = client(&server);
    let other = Credential::ClientSecret { client_id: "app-2".into(), secret: sortie_auth::Secret::new("x") };
    assert_eq!(text(&client, &secret("x")).await, "token-0");
    assert_eq!(text(&client, &secret("y")).await, "token-1");
    assert_eq!(text(&client, &other).await, "token-2");
    let cancel = CancellationToken::new();
    let xdr = client.token(&secret("x"), "https://api.security.microsoft.com", None, soon(), &cancel).await.unwrap();
    assert_eq!(xdr.secret.expose(), "token-3");
    assert_eq!(text(&client, &secret("x")).await, "token-0");
}

#[tokio::test]
async fn a_slow_audience_does_not_hold_up_another() {
    let server = Server::start(|number, seen| {
        let slow = seen.field("scope").unwrap().contains("slow");
        [vec![Do::Wait(Duration::from_secs(if slow { 60 } else { 0 }))], granted(number)].concat()
    })
    .await;
    let client = client(&server);
    let slow = tokio::spawn({
        let client = client.clone();
        async move {
            let _ = client.token(&secret("x"), "https://slow", None, soon(), &CancellationToken::new()).await;
        }
    });
    while server.seen().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(text(&client, &secret("x")).await, "token-1");
    // Who waits for the slow one is bound by a deadline and may give up.
    let cancel = CancellationToken::new();
    let until = Instant::now() + Duration::from_millis(50);
    let error = client.token(&secret("x"), "https://slow", None, until, &cancel).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout);
    cancel.cancel();
    let error = client.token(&secret("x"), "https://slow", None, soon(), &cancel).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled);
    assert_eq!(server.seen().len(), 2);
    slow.abort();
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_the_request_to_the_next() {
    let server =
        Server::start(|number, _| if number == 0 { vec![Do::Wait(Duration::from_secs(60))] } else { granted(number) })
            .await;
    let client = client(&server);
    let until = Instant::now() + Duration::from_millis(50);
    let error = client.token(&secret("x"), GRAPH, None, until, &CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout);
    assert_eq!(text(&client, &secret("x")).await, "token-1");
}

/// Tokens that are due for renewal at once.
fn aging(number: usize) -> Vec<Do> {
    json("200 OK", format!(r#"{{"expires_in":3600,"refresh_in":0,"access_token":"token-{number}"}}"#))
}

#[tokio::test]
async fn an_aging_token_is_renewed_and_serves_when_it_cannot_be() {
    let server = Server::start(|number, _| match number {
        0 | 1 => aging(number),
        _ => refused("401 Unauthorized", "invalid_client", 7_000_222, "Expired."),
    })
    .await;
    let client = client(&server);
    assert_eq!(text(&client, &secret("x")).await, "token-0");
    assert_eq!(text(&client, &secret("x")).await, "token-1");
    // The renewal fails: the old one serves, and for a while nobody asks again.
    for _ in 0..20 {
        assert_eq!(text(&client, &secret("x")).await, "token-1");
    }
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn in_the_background_nobody_waits_for_a_renewal() {
    let server = Server::start(|number, _| match number {
        0 => aging(number),
        1 => [vec![Do::Wait(Duration::from_millis(200))], granted(number)].concat(),
        _ => granted(number),
    })
    .await;
    let client = TokenClient::new(http(), TokenSettings { refresh: Refresh::Background, ..settings(&server) });
    assert_eq!(text(&client, &secret("x")).await, "token-0");
    let start = Instant::now();
    for _ in 0..50 {
        assert_eq!(text(&client, &secret("x")).await, "token-0");
    }
    assert!(start.elapsed() < Duration::from_millis(150));
    while text(&client, &secret("x")).await == "token-0" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!((text(&client, &secret("x")).await.as_str(), server.seen().len()), ("token-1", 2));
}

#[tokio::test]
async fn being_throttled_is_remembered() {
    let server = Server::start(|_, _| answer("429 Too Many Requests", &["retry-after: 300"], "")).await;
    let client = client(&server);
    for _ in 0..3 {
        let error = token(&client, &secret("x")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Throttled);
        let wait = error.retry_after.unwrap();
        assert!(wait > Duration::from_secs(295) && wait <= Duration::from_secs(300), "{wait:?}");
    }
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_rejected_token_is_replaced_once() {
    let server = entra().await;
    let folder = tempfile::tempdir().unwrap();
    let client = cached(&server, &folder.path().join("cache"));
    let old = token(&client, &secret("x")).await.unwrap();
    for _ in 0..10 {
        // Ten calls were refused with the same token: the first replaces it, the others find the new one.
        client.forget(&secret("x"), GRAPH, &old);
        assert_eq!(text(&client, &secret("x")).await, "token-1");
    }
    assert_eq!(server.seen().len(), 2);
    // The next process finds the new one, too.
    assert_eq!(text(&cached(&server, &folder.path().join("cache")), &secret("x")).await, "token-1");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn claims_pass_over_both_caches() {
    let server = entra().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("cache");
    let client = cached(&server, &folder);
    let cancel = CancellationToken::new();
    assert_eq!(text(&client, &secret("x")).await, "token-0");
    let claims = r#"{"access_token":{"nbf":{"essential":true,"value":"1"}}}"#;
    let challenged = client.token(&secret("x"), GRAPH, Some(claims), soon(), &cancel).await.unwrap();
    assert_eq!(challenged.secret.expose(), "token-1");
    assert_eq!(server.seen()[1].field("claims").as_deref(), Some(claims));
    // It replaces the old one in memory, and is not on disk.
    assert_eq!(text(&client, &secret("x")).await, "token-1");
    assert_eq!(text(&cached(&server, &folder), &secret("x")).await, "token-2");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_hundred_challenged_callers_make_one_request() {
    let server = Server::start(|number, _| [vec![Do::Wait(Duration::from_millis(50))], granted(number)].concat()).await;
    let client = client(&server);
    text(&client, &secret("x")).await;
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let cancel = CancellationToken::new();
                client.token(&secret("x"), GRAPH, Some("{}"), soon(), &cancel).await.unwrap().secret.expose().to_owned()
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "token-1");
    }
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn the_next_process_makes_no_request() {
    for credential in [secret("canary-secret"), certificate()] {
        let server = Server::start(|_, _| json("200 OK", r#"{"expires_in":3599,"access_token":"canary-token"}"#)).await;
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("cache");
        for _ in 0..3 {
            assert_eq!(text(&cached(&server, &folder), &credential).await, "canary-token");
        }
        assert_eq!(server.seen().len(), 1);
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            let bytes = std::fs::read(entry.path()).unwrap();
            assert!(!bytes.windows(6).any(|window| window == b"canary"), "{}", entry.path().display());
        }
        assert_eq!(logout(&folder).unwrap(), 1);
        text(&cached(&server, &folder), &credential).await;
        assert_eq!(server.seen().len(), 2);
    }
}

#[tokio::test]
async fn a_replaced_secret_does_not_find_its_predecessors_token() {
    let server = entra().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("cache");
    assert_eq!(text(&cached(&server, &folder), &secret("old")).await, "token-0");
    assert_eq!(text(&cached(&server, &folder), &secret("new")).await, "token-1");
    assert_eq!(text(&cached(&server, &folder), &secret("new")).await, "token-1");
    // And leaves nothing behind that nobody will ever open.
    assert_eq!(logout(&folder).unwrap(), 1);
}

#[tokio::test]
async fn processes_that_start_together_make_one_request() {
    let server =
        Server::start(|number, _| [vec![Do::Wait(Duration::from_millis(100))], granted(number)].concat()).await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("cache");
    let tasks: Vec<_> = (0..5)
        .map(|_| {
            let client = cached(&server, &folder);
            tokio::spawn(async move { text(&client, &secret("x")).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "token-0");
    }
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_cache_folder_that_cannot_be_used_costs_only_the_cache() {
    let server = entra().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    for (round, unusable) in [folder.path(), file.as_path(), "/proc/nowhere".as_ref()].into_iter().enumerate() {
        assert_eq!(text(&cached(&server, unusable), &secret("x")).await, format!("token-{round}"));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn tokens_of_rotating_identities_are_not_kept_on_disk() {
    let server = entra().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("federated");
    std::fs::write(&path, "e30.e30.x").unwrap();
    let endpoint = Some(server.url("").to_string());
    let cache = folder.path().join("cache");
    for credential in [
        Credential::FederatedTokenFile { client_id: "app-1".into(), path },
        Credential::ManagedIdentity { host: ManagedIdentityHost::Imds { endpoint }, identity: None },
    ] {
        text(&cached(&server, &cache), &credential).await;
    }
    assert!(!cache.exists());
}
