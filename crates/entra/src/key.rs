//! Which token is which: everything that makes two token requests different goes into the name of a slot.

use ring::digest::{Context, SHA256};
use sortie_auth::{Credential, Identity, ManagedIdentityHost};
use std::fmt::Write;

/// The two names of a slot. Both are hashes: nothing can be read from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// In memory: with the credential, so that a replaced secret never finds its predecessor's token.
    pub(crate) memory: [u8; 32],
    /// On disk: without it. A replaced secret overwrites the file it can no longer open, and no hash of a secret
    /// stands in a directory listing.
    public: [u8; 32],
}

impl Key {
    pub(crate) fn new(endpoint: &str, credential: &Credential, audience: &str) -> Self {
        let client_id = credential.client_id().unwrap_or_default();
        let mut public = Context::new(&SHA256);
        for field in [endpoint, credential.kind(), client_id, audience] {
            add(&mut public, field.as_bytes());
        }
        let mut memory = public.clone();
        match credential {
            Credential::ClientSecret { secret, .. } => add(&mut memory, secret.expose().as_bytes()),
            Credential::Certificate { pem, send_chain, .. } => {
                add(&mut memory, pem.expose().as_bytes());
                add(&mut memory, &[u8::from(*send_chain)]);
            }
            Credential::FederatedTokenFile { path, .. } => add(&mut memory, path.as_os_str().as_encoded_bytes()),
            Credential::ManagedIdentity { host, identity } => {
                match host {
                    ManagedIdentityHost::Imds { endpoint } => {
                        add(&mut memory, endpoint.as_deref().unwrap_or_default().as_bytes());
                    }
                    ManagedIdentityHost::AppService { endpoint, header } => {
                        add(&mut memory, endpoint.as_bytes());
                        add(&mut memory, header.expose().as_bytes());
                    }
                    _ => {}
                }
                match identity {
                    None => {}
                    Some(Identity::ClientId(id)) => add(&mut memory, format!("client {id}").as_bytes()),
                    Some(Identity::ObjectId(id)) => add(&mut memory, format!("object {id}").as_bytes()),
                    Some(Identity::ResourceId(id)) => add(&mut memory, format!("resource {id}").as_bytes()),
                }
            }
            _ => {}
        }
        Self { memory: finish(memory), public: finish(public) }
    }

    /// The name on disk, without extension: 64 hexadecimal digits.
    pub(crate) fn file(&self) -> String {
        self.public.iter().fold(String::with_capacity(64), |mut name, byte| {
            let _ = write!(name, "{byte:02x}");
            name
        })
    }
}

/// Each field with its length before it, so that no two lists of fields run together into the same bytes.
fn add(context: &mut Context, field: &[u8]) {
    context.update(&(field.len() as u64).to_le_bytes());
    context.update(field);
}

fn finish(context: Context) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use sortie_auth::Secret;

    fn secret(client_id: &str, secret: &str) -> Credential {
        Credential::ClientSecret { client_id: client_id.into(), secret: Secret::new(secret) }
    }

    #[test]
    fn whatever_differs_makes_another_slot() {
        let imds =
            |identity| Credential::ManagedIdentity { host: ManagedIdentityHost::Imds { endpoint: None }, identity };
        let certificate = |pem: &str, send_chain| Credential::Certificate {
            client_id: "app".into(),
            pem: Secret::new(pem),
            send_chain,
        };
        let keys = [
            Key::new("https://a/t", &secret("app", "one"), "https://graph"),
            Key::new("https://b/t", &secret("app", "one"), "https://graph"),
            Key::new("https://a/t", &secret("app", "two"), "https://graph"),
            Key::new("https://a/t", &secret("ap", "pone"), "https://graph"),
            Key::new("https://a/t", &secret("app", "one"), "https://other"),
            Key::new("https://a/t", &certificate("one", false), "https://graph"),
            Key::new("https://a/t", &certificate("one", true), "https://graph"),
            Key::new(
                "https://a/t",
                &Credential::FederatedTokenFile { client_id: "app".into(), path: "one".into() },
                "https://graph",
            ),
            Key::new("https://a/t", &imds(None), "https://graph"),
            Key::new("https://a/t", &imds(Some(Identity::ObjectId("app".into()))), "https://graph"),
            Key::new("https://a/t", &imds(Some(Identity::ResourceId("app".into()))), "https://graph"),
        ];
        for (at, one) in keys.iter().enumerate() {
            for other in &keys[at + 1..] {
                assert_ne!(one.memory, other.memory);
            }
        }
        // A replaced secret keeps its file.
        assert_eq!(keys[0].file(), keys[2].file());
        assert_ne!(keys[0].file(), keys[4].file());
        assert_eq!(keys[0].file().len(), 64);
    }
}
