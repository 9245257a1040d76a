//! Trust: which certificates are believed, and the TLS configuration made from that.
//!
//! The provider (ring) is passed by hand; no process-wide default is installed. The system's store is read straight
//! from its bundle: one file, parsed once, at the first https request. That is much cheaper than reading the
//! directory of the same certificates beside it, and a run that is served from plain http pays nothing.

use crate::settings::{Trust, Verification};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where Linux distributions, the BSDs and macOS keep their bundle.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
    "/usr/local/etc/ssl/cert.pem",
];

/// Where they keep single certificates, for systems without a bundle.
const FOLDERS: &[&str] = &["/etc/ssl/certs", "/etc/pki/tls/certs"];

/// The TLS configuration for hosts that are checked as `verification` says. The error is for the analyst.
pub(crate) fn config(trust: &Trust, verification: Verification) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    if verification == Verification::Full {
        let roots = match trust {
            Trust::System => system_roots()?,
            Trust::Pem(pem) => pem_roots(pem, "the trusted certificates")?,
        };
        return Ok(builder(provider)?.with_root_certificates(roots).with_no_client_auth());
    }
    tracing::warn!("TLS certificates are not verified: whoever stands between can read and change everything");
    let verifier = Unverified(provider.signature_verification_algorithms);
    Ok(builder(provider)?.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// A configuration that trusts nobody, for clients that only speak plain http.
pub(crate) fn nobody() -> Result<ClientConfig, String> {
    Ok(builder(Arc::new(ring::default_provider()))?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

fn builder(
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))
}

fn pem_roots(pem: &[u8], what: &str) -> Result<RootCertStore, String> {
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        certificates.push(certificate.map_err(|error| format!("{what} are not valid PEM: {error}"))?);
    }
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(certificates);
    match (added, ignored) {
        (0, 0) => Err(format!("{what} hold no certificate (no BEGIN CERTIFICATE line)")),
        (0, _) => Err(format!("{what} hold no certificate that can be read")),
        _ => Ok(roots),
    }
}

fn system_roots() -> Result<RootCertStore, String> {
    let from_environment = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(file) = from_environment("SSL_CERT_FILE") {
        let pem = std::fs::read(&file).map_err(|error| format!("SSL_CERT_FILE {}: {error}", file.display()))?;
        return pem_roots(&pem, "the certificates of SSL_CERT_FILE");
    }
    if let Some(folders) = from_environment("SSL_CERT_DIR") {
        return folder_roots(std::env::split_paths(&folders));
    }
    for bundle in BUNDLES {
        if let Ok(pem) = std::fs::read(bundle)
            && let Ok(roots) = pem_roots(&pem, bundle)
        {
            return Ok(roots);
        }
    }
    folder_roots(FOLDERS.iter().map(PathBuf::from))
}

fn folder_roots(folders: impl Iterator<Item = PathBuf>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for folder in folders {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_certificate(path)) {
            let Ok(pem) = std::fs::read(&path) else { continue };
            let certificates = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
            roots.add_parsable_certificates(certificates);
        }
    }
    if roots.is_empty() {
        return Err("this system has no certificate store: install its CA certificates, or name a CA file".into());
    }
    Ok(roots)
}

fn is_certificate(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    matches!(extension, "pem" | "crt" | "cer")
        || (!extension.is_empty() && extension.bytes().all(|b| b.is_ascii_digit()))
}

/// Believes every certificate, yet still checks that the other side holds its key.
#[derive(Debug)]
struct Unverified(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_without_certificates_is_refused_with_a_reason() {
        for (pem, why) in [
            ("", "no certificate (no BEGIN"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "can be read"),
            ("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", "not valid PEM"),
        ] {
            let error = config(&Trust::Pem(pem.into()), Verification::Full).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_folder_of_certificates_is_a_store_too() {
        let folder = std::env::temp_dir().join(format!("sortie-http-roots-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let none = folder_roots([folder.clone()].into_iter()).unwrap_err();
        assert!(none.contains("no certificate store"), "{none}");
        let certificate = rcgen::generate_simple_self_signed(["root.example".to_owned()]).unwrap();
        std::fs::write(folder.join("0123abcd.0"), certificate.cert.pem()).unwrap();
        std::fs::write(folder.join("README"), "not a certificate").unwrap();
        let roots = folder_roots([folder.clone()].into_iter()).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(roots.len(), 1);
    }
}
