//! The application registrations of the tenant: who may ask for a token, with which credential, and which application permissions the token then lists.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;

/// An application (service principal) registered in the tenant.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Application {
    /// A name for people and for [`crate::RequestRecord`]; unique in the tenant.
    pub name: String,
    /// The application (client) id, a GUID; unique in the tenant.
    pub client_id: String,
    /// The client secrets that are valid or were valid once.
    #[serde(default)]
    pub secrets: Vec<ClientSecret>,
    /// Registered certificates, each one PEM text with a `CERTIFICATE` block. RSA keys only, as Entra demands.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// Federated identity credentials.
    #[serde(default)]
    pub federated: Vec<FederatedCredential>,
    /// Set when the application is a managed identity of the machine the client runs on.
    #[serde(default)]
    pub managed_identity: Option<ManagedIdentity>,
    /// The granted application permissions.
    #[serde(default)]
    pub permissions: Permissions,
    /// A disabled application gets AADSTS7000112.
    #[serde(default)]
    pub disabled: bool,
}

impl Application {
    /// The value of the first secret, or empty text when the application has none.
    #[must_use]
    pub fn secret(&self) -> &str {
        self.secrets.first().map_or("", |secret| secret.value.as_str())
    }

    /// The default application of the base role: reads and updates incidents and alerts, reads machines.
    #[must_use]
    pub fn base() -> Self {
        Self {
            name: "base".to_owned(),
            client_id: "5a4db0c5-0000-4000-8000-00000000ba5e".to_owned(),
            secrets: vec![ClientSecret::new("sandbox-base-secret")],
            managed_identity: Some(ManagedIdentity {
                object_id: "5a4db0c5-0000-4000-8000-0000000ba5e1".to_owned(),
                resource_id: "/subscriptions/5a4db0c5-0000-4000-8000-000000000000/resourceGroups/sandbox/providers/Microsoft.ManagedIdentity/userAssignedIdentities/base"
                    .to_owned(),
                system_assigned: true,
            }),
            permissions: Permissions {
                graph: words(&["SecurityIncident.ReadWrite.All", "SecurityAlert.ReadWrite.All"]),
                defender_xdr: words(&["Incident.ReadWrite.All"]),
                defender_endpoint: words(&["Machine.Read.All"]),
            },
            ..Self::default()
        }
    }

    /// The default application of the remediation role: contains and corrects machines, and reads what it needs to know for that.
    #[must_use]
    pub fn remediation() -> Self {
        Self {
            name: "remediation".to_owned(),
            client_id: "5a4db0c5-0000-4000-8000-0000000004ed".to_owned(),
            secrets: vec![ClientSecret::new("sandbox-remediation-secret")],
            managed_identity: Some(ManagedIdentity {
                object_id: "5a4db0c5-0000-4000-8000-000000004ed1".to_owned(),
                resource_id: "/subscriptions/5a4db0c5-0000-4000-8000-000000000000/resourceGroups/sandbox/providers/Microsoft.ManagedIdentity/userAssignedIdentities/remediation"
                    .to_owned(),
                system_assigned: false,
            }),
            permissions: Permissions {
                defender_endpoint: words(&[
                    "Machine.Read.All",
                    "Machine.Isolate",
                    "Machine.Scan",
                    "Machine.RestrictExecution",
                    "Machine.CollectForensics",
                ]),
                ..Permissions::default()
            },
            ..Self::default()
        }
    }
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

/// One client secret. Its value never appears in `Debug`.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientSecret {
    /// The secret itself.
    pub value: String,
    /// When it expires by the sandbox's clock; an expired secret gets AADSTS7000222.
    #[serde(default)]
    pub expires: Option<Timestamp>,
}

impl ClientSecret {
    /// A secret that does not expire.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self { value: value.into(), expires: None }
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSecret").field("value", &"[redacted]").field("expires", &self.expires).finish()
    }
}

/// Another identity provider's tokens that are accepted as this application's assertion (contract section 2, "federated").
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FederatedCredential {
    /// The `iss` claim that must match exactly.
    pub issuer: String,
    /// The `sub` claim that must match exactly.
    pub subject: String,
    /// The `aud` claim that must match exactly; usually `api://AzureADTokenExchange`.
    pub audience: String,
    /// The issuer's signing key: PEM text with a `PUBLIC KEY` or `CERTIFICATE` block; RSA (RS256, PS256) or P-256 (ES256).
    pub public_key_pem: String,
}

/// How a managed identity is named to the instance metadata service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManagedIdentity {
    /// The service principal's object id (query `object_id` or `principal_id`).
    pub object_id: String,
    /// The Azure resource id (query `msi_res_id` or `mi_res_id`).
    pub resource_id: String,
    /// Whether it is the identity that a request without any id gets.
    #[serde(default)]
    pub system_assigned: bool,
}

/// Granted application permissions, by the API that owns them (contract section 1.1).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Permissions {
    /// Of Microsoft Graph.
    pub graph: Vec<String>,
    /// Of Microsoft Threat Protection (the Defender XDR API).
    pub defender_xdr: Vec<String>,
    /// Of WindowsDefenderATP (the Defender for Endpoint API).
    pub defender_endpoint: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let text = format!("{:?}", Application::base());
        assert!(text.contains("5a4db0c5-0000-4000-8000-00000000ba5e"));
        assert!(!text.contains("sandbox-base-secret"));
    }
}
