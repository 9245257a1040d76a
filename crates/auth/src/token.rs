//! An access token, and the little that may be read from it.

use crate::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use std::time::SystemTime;

/// A token for one audience.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// What goes after `Bearer `.
    pub secret: Secret,
    /// From then on it is refused.
    pub expires_on: SystemTime,
    /// From then on a new one is worth asking for; before `expires_on`.
    pub refresh_on: SystemTime,
}

impl AccessToken {
    /// The application permissions granted to the application, as the token lists them.
    ///
    /// For diagnosis only. A token is opaque to the client that asked for it: `None` when it cannot be read, an empty
    /// list when it can and grants nothing (such tokens are issued; the API then answers 403).
    pub fn roles(&self) -> Option<Vec<String>> {
        #[derive(Deserialize)]
        struct Claims {
            #[serde(default)]
            roles: Vec<String>,
        }
        let payload = self.secret.expose().split('.').nth(1)?;
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        Some(serde_json::from_slice::<Claims>(&payload).ok()?.roles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(text: &str) -> AccessToken {
        AccessToken {
            secret: Secret::new(text),
            expires_on: SystemTime::UNIX_EPOCH,
            refresh_on: SystemTime::UNIX_EPOCH,
        }
    }

    fn with_claims(claims: &str) -> AccessToken {
        token(&format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims)))
    }

    #[test]
    fn roles_are_read_where_there_are_any() {
        let token = with_claims(r#"{"aud":"x","roles":["Machine.Isolate","Machine.Read.All"],"exp":1}"#);
        assert_eq!(token.roles().unwrap(), ["Machine.Isolate", "Machine.Read.All"]);
        assert_eq!(with_claims(r#"{"aud":"x"}"#).roles().unwrap(), [""; 0]);
        assert!(!format!("{token:?}").contains("e30"), "{token:?}");
    }

    #[test]
    fn an_opaque_token_has_none() {
        for text in ["", "opaque", "a.b", "a.!.c", "e30.bm90IGpzb24.x", "e30.eyJyb2xlcyI6MX0.x"] {
            assert_eq!(token(text).roles(), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_token_makes_it_fall_over(text in any::<String>()) {
            let _ = token(&text).roles();
        }
    }
}
