//! The JWT with which an application proves that it holds its certificate's key (contract section 2): PS256, the
//! certificate named by `x5t#S256`, ten minutes long, with an id of its own each time.

use crate::certificate::Signer;
use crate::error::Error;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use uuid::Uuid;
use zeroize::Zeroizing;

/// How long an assertion is good for.
const LIFE: Duration = Duration::from_secs(600);

/// A fresh assertion of `client_id` for the token endpoint `audience`.
pub(crate) fn sign(
    signer: &Signer,
    client_id: &str,
    audience: &str,
    send_chain: bool,
    now: SystemTime,
) -> Result<Zeroizing<String>, Error> {
    let own = signer.chain().next().unwrap_or_default();
    let mut header = json!({
        "alg": "PS256",
        "typ": "JWT",
        "x5t#S256": URL_SAFE_NO_PAD.encode(digest(&SHA256, own)),
    });
    if send_chain {
        // RFC 7515: each certificate as base64 (not base64url) of its DER.
        header["x5c"] = signer.chain().map(|certificate| STANDARD.encode(certificate)).collect();
    }
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let claims = json!({
        "aud": audience,
        "iss": client_id,
        "sub": client_id,
        "jti": Uuid::new_v4().to_string(),
        "iat": now.as_secs(),
        "nbf": now.as_secs(),
        "exp": (now + LIFE).as_secs(),
    });
    let mut assertion = Zeroizing::new(String::with_capacity(2048));
    URL_SAFE_NO_PAD.encode_string(header.to_string(), &mut assertion);
    assertion.push('.');
    URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut assertion);
    let signature = signer.sign(assertion.as_bytes())?;
    assertion.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut assertion);
    Ok(assertion)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::tests::{APPLICATION, verify};
    use serde_json::Value;

    fn parts(assertion: &str) -> (Value, Value) {
        let mut parts = assertion.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
        let mut next = || serde_json::from_slice(&parts.next().unwrap()).unwrap();
        (next(), next())
    }

    #[test]
    fn an_assertion_is_what_entra_documents() {
        let signer = Signer::new(APPLICATION).unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let endpoint = "https://login.example/t/oauth2/v2.0/token";
        let assertion = sign(&signer, "app", endpoint, false, now).unwrap();
        let (header, claims) = parts(&assertion);
        // The thumbprint is what openssl prints for the same file.
        let thumbprint = "ANMtIpd7YFr7GTJdxvNc2o3mdZOwgqgiFv7JvxBRmrU";
        assert_eq!(header, json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint}));
        let (aud, iss, sub) = (&claims["aud"], &claims["iss"], &claims["sub"]);
        assert_eq!((aud, iss, sub), (&json!(endpoint), &json!("app"), &json!("app")));
        assert_eq!(
            (&claims["nbf"], &claims["iat"], &claims["exp"]),
            (&json!(1_700_000_000), &json!(1_700_000_000), &json!(1_700_000_600))
        );
        let (signed, signature) = assertion.rsplit_once('.').unwrap();
        let own = signer.chain().next().unwrap();
        verify(own, signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap());
        let (_, again) = parts(&sign(&signer, "app", endpoint, false, now).unwrap());
        assert_ne!(claims["jti"], again["jti"]);
    }

    #[test]
    fn the_chain_is_sent_as_der_own_first() {
        let signer = Signer::new(APPLICATION).unwrap();
        let assertion = sign(&signer, "app", "x", true, SystemTime::now()).unwrap();
        let (header, _) = parts(&assertion);
        let sent: Vec<Vec<u8>> = header["x5c"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| STANDARD.decode(one.as_str().unwrap()).unwrap())
            .collect();
        assert!(sent.iter().map(Vec::as_slice).eq(signer.chain()));
        assert_eq!(sent.len(), 2);
    }
}
