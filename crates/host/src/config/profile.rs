//! A resolved profile: everything a [`crate::Host`] is made from, as data.

use super::credential::{CredentialSettings, Remediation, variables};
use super::environment::Environment;
use super::secret;
use crate::failure::Failure;
use sortie_auth::{Api, Credential, Role};
use sortie_http::{Proxy, Quota, Timeouts, Verification};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Where one API is, and for whom its tokens are. Two settings, because the host is not the audience (contract
/// section 1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiSettings {
    /// The base URL, to which the paths of calls are appended; without a slash at the end.
    pub base_url: Url,
    /// The resource that a token is requested for, without `/.default`.
    pub audience: String,
    /// The audience is what the cloud's preset assumes, not what Microsoft documents.
    pub assumed: bool,
}

/// Where access tokens are kept between runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenCache {
    /// In the user's runtime or cache folder, encrypted.
    On,
    /// Nowhere.
    Off,
    /// In this folder, encrypted.
    Folder(PathBuf),
}

/// A resolved profile. Holds no secret: credentials say where theirs is read from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Profile {
    /// Its name; none when everything comes from the environment and the defaults.
    pub name: Option<String>,
    /// What people call the tenant.
    pub label: Option<String>,
    /// The tenant's id or domain.
    pub tenant: Option<String>,
    /// The cloud it starts from: `public`, `gcc`, `gcc-high`, `dod`, `china`, `custom`.
    pub cloud: String,
    /// The login authority without the tenant; none only in the custom cloud.
    pub authority: Option<Url>,
    /// The APIs, by name.
    pub apis: BTreeMap<String, ApiSettings>,
    /// The API that incidents are read from: `graph` or `defender-xdr`.
    pub incidents_api: String,
    /// The client-side limits, by limit class.
    pub limits: BTreeMap<String, Vec<Quota>>,
    /// The deadlines of one attempt.
    pub timeouts: Timeouts,
    /// The deadline of a run, unless the run says otherwise.
    pub run_timeout: Duration,
    /// How hosts other than this machine are reached.
    pub proxy: Proxy,
    /// PEM certificates that replace the system's store.
    pub ca_file: Option<PathBuf>,
    /// Whether certificates are checked.
    pub verification: Verification,
    /// The folder of actions; none for the one beside the program.
    pub actions_dir: Option<PathBuf>,
    /// Where access tokens are kept between runs.
    pub token_cache: TokenCache,
    /// The application that reads, and updates incidents and alerts.
    pub base: Option<CredentialSettings>,
    /// The application that contains and corrects.
    pub remediation: Option<Remediation>,
    /// Where secrets in variables are read from.
    pub(crate) environment: Environment,
}

impl Profile {
    /// Where an API is.
    ///
    /// # Errors
    /// Kind `configuration`, when neither the profile nor its cloud says so.
    pub fn api(&self, api: &Api) -> Result<&ApiSettings, Failure> {
        self.apis.get(api.as_str()).ok_or_else(|| {
            let name = crate::text::clean(api.as_str(), 64);
            Failure::configuration(
                format!("nothing says where the API `{name}` is in the cloud `{}`", self.cloud),
                format!("set base_url and audience in [profile.{}.apis.{name}]", self.shown_name()),
            )
        })
    }

    /// What signs the calls of a role. Neither role ever stands in for the other, unless the profile says
    /// `remediation = "same"`.
    ///
    /// # Errors
    /// Kind `configuration`, naming the ways to set the role up.
    pub fn credential_settings(&self, role: Role) -> Result<&CredentialSettings, Failure> {
        let settings = match (role, &self.remediation) {
            (Role::Base, _) | (Role::Remediation, Some(Remediation::Same)) => self.base.as_ref(),
            (Role::Remediation, Some(Remediation::Own(settings))) => Some(settings),
            (Role::Remediation, None) if self.base.is_none() => None,
            (Role::Remediation, None) => {
                return Err(Failure::configuration(
                    "this needs the remediation application, which is not configured",
                    format!(
                        "set [profile.{name}.remediation] or {}, or say remediation = \"same\" in [profile.{name}] \
                         (or SORTIE_REMEDIATION=same) if the base application may do this too",
                        variables(Role::Remediation).client_id,
                        name = self.shown_name()
                    ),
                ));
            }
        };
        settings.ok_or_else(|| {
            Failure::configuration(
                "no credentials are configured",
                "write a profile ($XDG_CONFIG_HOME/sortie/config.toml, see README), or set AZURE_TENANT_ID, \
                 AZURE_CLIENT_ID and AZURE_CLIENT_SECRET (or AZURE_CLIENT_CERTIFICATE_PATH, \
                 AZURE_FEDERATED_TOKEN_FILE), or try things on a made-up tenant with --sandbox",
            )
        })
    }

    /// The role whose application signs the calls of `role`: with `remediation = "same"` always the base.
    pub(crate) fn signing_role(&self, role: Role) -> Role {
        match (role, &self.remediation) {
            (Role::Remediation, Some(Remediation::Same)) => Role::Base,
            (role, _) => role,
        }
    }

    /// Reads the credential of a role, secret included. May block.
    pub(crate) fn credential(&self, role: Role) -> Result<Credential, Failure> {
        secret::resolve(self.credential_settings(role)?, role, &self.environment)
    }

    pub(crate) fn shown_name(&self) -> &str {
        self.name.as_deref().unwrap_or("NAME")
    }
}
