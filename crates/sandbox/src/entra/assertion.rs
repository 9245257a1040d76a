//! Client assertions: signed JWTs that stand in for a secret (contract section 2, "certificate" and "federated").

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::{digest, signature};
use serde_json::{Map, Value};

use super::der::{self, KeyKind, PublicKey};
use crate::Error;
use crate::application::Application;

/// The keys of an application, read when it is registered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registered {
    certificates: Vec<Certificate>,
    federated: Vec<PublicKey>,
}

#[derive(Debug, Clone)]
struct Certificate {
    /// base64url of the SHA-1 of the DER.
    x5t: String,
    /// base64url of the SHA-256 of the DER.
    x5t_s256: String,
    key: PublicKey,
}

impl Registered {
    /// Reads the certificates and keys of an application.
    pub(crate) fn read(application: &Application) -> Result<Self, Error> {
        let wrong = |reason: &str| Error::Application { name: application.name.clone(), reason: reason.to_owned() };
        let mut registered = Self::default();
        for text in &application.certificates {
            let der = der::pem(text, "CERTIFICATE").ok_or_else(|| wrong("a certificate is not PEM"))?;
            let key = der::certificate_key(&der).ok_or_else(|| wrong("a certificate cannot be read"))?;
            if key.kind != KeyKind::Rsa {
                return Err(wrong("a certificate has no RSA key"));
            }
            let hash = |algorithm| URL_SAFE_NO_PAD.encode(digest::digest(algorithm, &der));
            registered.certificates.push(Certificate {
                x5t: hash(&digest::SHA1_FOR_LEGACY_USE_ONLY),
                x5t_s256: hash(&digest::SHA256),
                key,
            });
        }
        for credential in &application.federated {
            let key = der::pem_key(&credential.public_key_pem)
                .ok_or_else(|| wrong("a federated credential's key cannot be read"))?;
            registered.federated.push(key);
        }
        Ok(registered)
    }
}

/// Why an assertion is refused: AADSTS number and text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) u32, pub(super) String);

fn refused<T>(code: u32, text: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(code, text.into()))
}

/// What an assertion is judged against.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    pub(super) application: &'a Application,
    pub(super) registered: &'a Registered,
    /// The token endpoint as it was called.
    pub(super) endpoint: &'a str,
    pub(super) now: Timestamp,
    /// Whether RS256 and `x5t` are accepted.
    pub(super) rs256: bool,
}

/// An accepted assertion.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// Its id, which must not come again; federated ones need none.
    pub(super) id: Option<String>,
    pub(super) expires: i64,
}

/// How far clocks may differ, seconds.
const SKEW: i64 = 300;

impl Judge<'_> {
    /// Judges an assertion.
    pub(super) fn check(&self, assertion: &str) -> Result<Accepted, Refused> {
        let parts: Vec<&str> = assertion.split('.').collect();
        let [head, claims, sign] = parts[..] else {
            return refused(50027, "JWT token is invalid or malformed.");
        };
        let (Some(header), Some(body), Ok(mac)) = (object(head), object(claims), URL_SAFE_NO_PAD.decode(sign)) else {
            return refused(50027, "JWT token is invalid or malformed.");
        };
        let signed = &assertion.as_bytes()[..head.len() + 1 + claims.len()];
        let text =
            |map: &Map<String, Value>, key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let issuer = text(&body, "iss");
        let federated =
            self.application.federated.iter().zip(&self.registered.federated).find(|(known, _)| known.issuer == issuer);
        let algorithm = text(&header, "alg");
        let id = if let Some((credential, key)) = federated {
            if text(&body, "sub") != credential.subject {
                return refused(
                    700_213,
                    format!(
                        "No matching federated identity record found for presented assertion subject '{}'.",
                        text(&body, "sub")
                    ),
                );
            }
            if text(&body, "aud") != credential.audience {
                return refused(
                    700_212,
                    format!(
                        "No matching federated identity record found for presented assertion audience '{}'.",
                        text(&body, "aud")
                    ),
                );
            }
            verify(key, &algorithm, true, signed, &mac)?;
            None
        } else if issuer == self.application.client_id {
            let certificate = self.certificate(&header)?;
            verify(&certificate.key, &algorithm, self.rs256, signed, &mac)?;
            if text(&body, "sub") != self.application.client_id {
                return refused(
                    700_021,
                    "Client assertion application identifier doesn't match 'client_id' parameter.",
                );
            }
            if text(&body, "aud") != self.endpoint {
                return refused(
                    50027,
                    "JWT token is invalid or malformed: the audience claim does not name this token endpoint.",
                );
            }
            let id = text(&body, "jti");
            if id.is_empty() {
                return refused(50027, "JWT token is invalid or malformed: 'jti' is missing.");
            }
            Some(id)
        } else if self.application.federated.is_empty() {
            return refused(700_021, "Client assertion application identifier doesn't match 'client_id' parameter.");
        } else {
            return refused(
                700_211,
                format!("No matching federated identity record found for presented assertion issuer '{issuer}'."),
            );
        };
        let now = self.now.as_second();
        let Some(expires) = body.get("exp").and_then(Value::as_i64) else {
            return refused(50027, "JWT token is invalid or malformed: 'exp' is missing.");
        };
        let begins = body.get("nbf").and_then(Value::as_i64).unwrap_or(now);
        if now > expires + SKEW || now < begins - SKEW || expires <= begins {
            return refused(
                700_024,
                format!(
                    "Client assertion is not within its valid time range. Current time: {now}, assertion valid from {begins}, expiry time {expires}."
                ),
            );
        }
        Ok(Accepted { id, expires })
    }

    fn certificate(&self, header: &Map<String, Value>) -> Result<&Certificate, Refused> {
        let unknown = || {
            Refused(700_027, "Client assertion failed signature validation. The certificate with identifier used to sign the client assertion is not registered on application.".to_owned())
        };
        let text = |key: &str| header.get(key).and_then(Value::as_str);
        match (text("x5t#S256"), text("x5t")) {
            (Some(thumbprint), _) => self.registered.certificates.iter().find(|known| known.x5t_s256 == thumbprint),
            (None, Some(thumbprint)) if self.rs256 => {
                self.registered.certificates.iter().find(|known| known.x5t == thumbprint)
            }
            _ => None,
        }
        .ok_or_else(unknown)
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(map)) => Some(map),
        _ => None,
    }
}

fn verify(key: &PublicKey, algorithm: &str, rs256: bool, signed: &[u8], mac: &[u8]) -> Result<(), Refused> {
    let scheme: &dyn signature::VerificationAlgorithm = match (key.kind, algorithm) {
        (KeyKind::Rsa, "PS256") => &signature::RSA_PSS_2048_8192_SHA256,
        (KeyKind::Rsa, "RS256") if rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        (KeyKind::P256, "ES256") => &signature::ECDSA_P256_SHA256_FIXED,
        _ => {
            return refused(
                700_027,
                format!("Client assertion failed signature validation: algorithm '{algorithm}' is not accepted."),
            );
        }
    };
    signature::UnparsedPublicKey::new(scheme, &key.bytes)
        .verify(signed, mac)
        .map_err(|_| Refused(700_027, "Client assertion failed signature validation.".to_owned()))
}
