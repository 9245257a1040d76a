//! Certificates and proxies: who is believed, and which way requests go.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use sortie_http::{Disposition, ErrorKind, Proxy, Settings, Trust, Verification};
use std::process::Command;
use std::sync::Arc;
use support::calls::{quick, read, send, write};
use support::server::{Server, answer, json};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use url::Url;

/// An authority (PEM) and the TLS settings of a server with a certificate of its for this name.
fn authority(name: &str) -> (Vec<u8>, Arc<ServerConfig>) {
    let key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new([]).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_certificate = root.self_signed(&key).unwrap();
    let issuer = Issuer::new(root, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    (root_certificate.pem().into_bytes(), Arc::new(config))
}

fn https(server: &Server) -> Url {
    Url::parse(&format!("https://{}/", server.address)).unwrap()
}

#[tokio::test]
async fn a_trusted_certificate_is_accepted_and_another_is_not() {
    let (ours, tls) = authority("127.0.0.1");
    let (theirs, _) = authority("127.0.0.1");
    let server = Server::start_tls(tls, |_, _| json("200 OK", "{}")).await;
    let trusting = |pem: &[u8]| Settings { trust: Trust::Pem(pem.to_vec()), ..quick() };
    assert_eq!(send(trusting(&ours), read(https(&server))).await.unwrap().body, b"{}");

    let error = send(trusting(&theirs), write(https(&server))).await.unwrap_err();
    assert_eq!(
        (error.kind, error.disposition, error.attempts),
        (ErrorKind::Certificate, Disposition::NotSent, 1),
        "{error}"
    );
    assert!(error.message.contains("the certificate of 127.0.0.1 is not accepted"), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_certificate_for_another_host_is_not_accepted() {
    let (ours, tls) = authority("graph.example");
    let server = Server::start_tls(tls, |_, _| json("200 OK", "{}")).await;
    let error = send(Settings { trust: Trust::Pem(ours), ..quick() }, read(https(&server))).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Certificate, "{error}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn verification_can_be_switched_off_for_this_machine() {
    let (_, tls) = authority("graph.example");
    let server = Server::start_tls(tls, |_, _| json("200 OK", "{}")).await;
    for verification in [Verification::OffForLoopback, Verification::OffEverywhere] {
        send(Settings { verification, ..quick() }, read(https(&server))).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_got_nothing() {
    let (ours, _) = authority("127.0.0.1");
    let server = Server::start(|_, _| json("200 OK", "{}")).await;
    let settings = Settings { trust: Trust::Pem(ours), ..quick() };
    // It waits for the end of a request's head, which a TLS greeting does not have.
    let mut settings = settings;
    settings.timeouts.connect = std::time::Duration::from_millis(200);
    settings.retry.attempts = 1;
    let error = send(settings, write(https(&server))).await.unwrap_err();
    assert_eq!(error.disposition, Disposition::NotSent, "{error}");
    assert!(matches!(error.kind, ErrorKind::Timeout | ErrorKind::Unavailable), "{error}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn trusted_certificates_that_cannot_be_read_are_a_matter_of_configuration() {
    let settings = Settings { trust: Trust::Pem(b"nonsense".to_vec()), ..quick() };
    let error = send(settings.clone(), read(Url::parse("https://127.0.0.1:1/").unwrap())).await.unwrap_err();
    assert_eq!((error.kind, error.disposition), (ErrorKind::Configuration, Disposition::NotSent));
    // Plain http on this machine does without.
    let server = Server::start(|_, _| json("200 OK", "{}")).await;
    send(settings, read(server.url("/"))).await.unwrap();
}

#[tokio::test]
async fn a_proxy_tunnels_to_others_and_is_not_asked_for_this_machine() {
    let proxy = Server::start(|_, _| answer("502 Bad Gateway", &[], "")).await;
    let server = Server::start(|_, _| json("200 OK", "{}")).await;
    let settings = || {
        let mut url = proxy.url("/");
        url.set_username("user").unwrap();
        url.set_password(Some("hunter2")).unwrap();
        let (pem, _) = authority("x.example");
        Settings { proxy: Proxy::Url(url), trust: Trust::Pem(pem), ..quick() }
    };
    send(settings(), read(server.url("/"))).await.unwrap();
    assert_eq!(proxy.connections(), 0);

    let mut request = write(Url::parse("https://graph.example/v1.0/x?secret=canary").unwrap());
    request.headers.insert("authorization", "Bearer canary".parse().unwrap());
    let mut once = settings();
    once.retry.attempts = 1;
    let error = send(once, request).await.unwrap_err();
    assert_eq!((error.kind, error.disposition), (ErrorKind::Unavailable, Disposition::NotSent), "{error}");
    let seen = &proxy.seen()[0];
    assert_eq!(seen.line, "CONNECT graph.example:443 HTTP/1.1");
    assert_eq!(seen.header("proxy-authorization"), Some("Basic dXNlcjpodW50ZXIy"));
    assert!(!seen.head.contains("canary"), "{}", seen.head);
    let said = format!("{error:?} {error}");
    assert!(!said.contains("hunter2") && !said.contains("canary"), "{said}");
}

/// The environment belongs to a whole process, so a second one is started with the variables set.
#[tokio::test(flavor = "multi_thread")]
async fn the_environments_proxies_are_used_for_others_only() {
    let proxy = Server::start(|_, _| answer("502 Bad Gateway", &[], "")).await;
    let server = Server::start(|_, _| json("200 OK", "{}")).await;
    let (address, target) = (format!("http://{}", proxy.address), server.url("/").to_string());
    let (folder, _) = authority("x.example");
    let roots = std::env::temp_dir().join(format!("sortie-http-roots-{}.pem", std::process::id()));
    std::fs::write(&roots, folder).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "inside_a_proxied_environment", "--ignored", "--nocapture"])
        .env("SORTIE_TEST_TARGET", target)
        .env("SSL_CERT_FILE", &roots)
        .env("NO_PROXY", "inside.example")
        .env_remove("no_proxy");
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(name, &address);
    }
    let output = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
    std::fs::remove_file(&roots).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    let lines: Vec<_> = proxy.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines, ["CONNECT graph.example:443 HTTP/1.1"]);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
#[ignore = "runs in the process that the test above starts"]
async fn inside_a_proxied_environment() {
    let target = Url::parse(&std::env::var("SORTIE_TEST_TARGET").unwrap()).unwrap();
    let mut settings = quick();
    settings.retry.attempts = 1;
    send(settings.clone(), read(target)).await.unwrap();
    for host in ["graph.example", "inside.example"] {
        let error = send(settings.clone(), read(Url::parse(&format!("https://{host}/")).unwrap())).await.unwrap_err();
        assert_eq!(error.disposition, Disposition::NotSent, "{error}");
    }
}
