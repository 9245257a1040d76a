//! How an application proves who it is.
//!
//! A credential is data: the host resolves it (reads files and the environment, which this crate never does) and hands it
//! to the token client. A profile has one per [`Role`](crate::Role), or one for both.

use crate::Secret;
use std::fmt;
use std::path::PathBuf;

/// How an application proves who it is.
#[derive(Clone)]
#[non_exhaustive]
pub enum Credential {
    /// A client secret.
    ClientSecret {
        /// The application (client) id.
        client_id: String,
        /// The secret's value, not its id.
        secret: Secret,
    },
    /// A certificate with its private key; Microsoft recommends it over a secret.
    Certificate {
        /// The application (client) id.
        client_id: String,
        /// PEM text: the private key (unencrypted, RSA of 2048 to 4096 bits) and the certificate, with or without
        /// the rest of its chain, in any order.
        pem: Secret,
        /// Send the chain with each assertion (`x5c`), for applications that trust a subject name and issuer.
        send_chain: bool,
    },
    /// A token of another identity provider, kept fresh in a file by the platform (workload identity federation).
    FederatedTokenFile {
        /// The application (client) id.
        client_id: String,
        /// The file; read anew for each token request.
        path: PathBuf,
    },
    /// The identity of the Azure resource that this process runs on.
    ManagedIdentity {
        /// Who issues its tokens.
        host: ManagedIdentityHost,
        /// Which of several identities; none for the system-assigned one.
        identity: Option<Identity>,
    },
}

/// Who issues a managed identity's tokens.
#[derive(Clone)]
#[non_exhaustive]
pub enum ManagedIdentityHost {
    /// The instance metadata service of a virtual machine.
    Imds {
        /// Its URL without path, `http://169.254.169.254` unless another one is given (for tests).
        endpoint: Option<String>,
    },
    /// App Service, Functions, Container Apps.
    AppService {
        /// The value of `IDENTITY_ENDPOINT`.
        endpoint: String,
        /// The value of `IDENTITY_HEADER`.
        header: Secret,
    },
}

/// Which identity of a resource that has several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// By its client id.
    ClientId(String),
    /// By its object (principal) id.
    ObjectId(String),
    /// By its Azure resource id.
    ResourceId(String),
}

impl Credential {
    /// What kind it is, in the words of a profile.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ClientSecret { .. } => "client secret",
            Self::Certificate { .. } => "certificate",
            Self::FederatedTokenFile { .. } => "federated token",
            Self::ManagedIdentity { .. } => "managed identity",
        }
    }

    /// The application (client) id, as far as the credential names one.
    pub fn client_id(&self) -> Option<&str> {
        match self {
            Self::ClientSecret { client_id, .. }
            | Self::Certificate { client_id, .. }
            | Self::FederatedTokenFile { client_id, .. } => Some(client_id),
            Self::ManagedIdentity { identity: Some(Identity::ClientId(client_id)), .. } => Some(client_id),
            Self::ManagedIdentity { .. } => None,
        }
    }
}

// By hand, so that a new field is shown only when somebody decides that it may be.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Credential");
        shown.field("kind", &self.kind());
        match self {
            Self::ClientSecret { client_id, .. } => shown.field("client_id", client_id),
            Self::Certificate { client_id, send_chain, .. } => {
                shown.field("client_id", client_id).field("send_chain", send_chain)
            }
            Self::FederatedTokenFile { client_id, path } => shown.field("client_id", client_id).field("path", path),
            Self::ManagedIdentity { host, identity } => shown.field("host", host).field("identity", identity),
        };
        shown.finish_non_exhaustive()
    }
}

impl fmt::Debug for ManagedIdentityHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Imds { endpoint } => f.debug_struct("Imds").field("endpoint", endpoint).finish(),
            Self::AppService { endpoint, .. } => {
                f.debug_struct("AppService").field("endpoint", endpoint).finish_non_exhaustive()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_shows_its_secret() {
        let canary = || Secret::new("canary-7f3a");
        let credentials = [
            Credential::ClientSecret { client_id: "app".into(), secret: canary() },
            Credential::Certificate { client_id: "app".into(), pem: canary(), send_chain: true },
            Credential::FederatedTokenFile { client_id: "app".into(), path: "/run/token".into() },
            Credential::ManagedIdentity {
                host: ManagedIdentityHost::AppService { endpoint: "http://127.0.0.1:1/".into(), header: canary() },
                identity: Some(Identity::ClientId("app".into())),
            },
        ];
        for credential in credentials {
            let shown = format!("{credential:?} {credential:#?}");
            assert!(!shown.contains("canary"), "{shown}");
            assert!(shown.contains(credential.kind()) && shown.contains("app"), "{shown}");
            assert_eq!(credential.client_id(), Some("app"));
        }
    }
}
