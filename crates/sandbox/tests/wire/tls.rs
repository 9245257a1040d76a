use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use sortie_sandbox::{Config, Sandbox};

use super::client::ask;

#[test]
fn https_is_served_with_a_certificate_of_its_own_authority() {
    let sandbox = Sandbox::start(Config { tls: true, incidents: 2, ..Config::default() }).unwrap();
    assert!(sandbox.origin().starts_with("https://127.0.0.1:"));
    let mut roots = RootCertStore::empty();
    roots
        .add(rustls::pki_types::CertificateDer::from_pem_slice(sandbox.ca_pem().unwrap().as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    for name in ["127.0.0.1", "localhost"] {
        let connection = ClientConnection::new(Arc::new(config.clone()), ServerName::try_from(name).unwrap()).unwrap();
        let mut stream = StreamOwned::new(connection, TcpStream::connect(sandbox.address()).unwrap());
        let answer = ask("GET", &sandbox.control_url()).send_over(&mut stream);
        assert_eq!((answer.status, answer.json()["incidents"].as_u64()), (200, Some(2)));
    }
}

#[tokio::test]
async fn it_starts_and_stops_inside_asynchronous_code() {
    let sandbox = Sandbox::start(Config { incidents: 1, machines: 777, ..Config::default() }).unwrap();
    let url = sandbox.control_url();
    assert_eq!(ask("GET", &url).send().json()["machines"], 777);
    let address = sandbox.address();
    drop(sandbox);
    // Another test may have been given the same port meanwhile; it has another tenant.
    assert!(TcpStream::connect(address).is_err() || ask("GET", &url).send().json()["machines"] != 777);
}
