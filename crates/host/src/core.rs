//! What all runs of one profile share: the transport, the token client, the credentials. Each is made when the
//! first request needs it.

use crate::config::{Profile, Proof, SecretSource, TokenCache};
use crate::failure::Failure;
use sortie_abi::kinds;
use sortie_auth::{AccessToken, Credential, Role};
use sortie_entra::{TokenClient, TokenSettings};
use sortie_http::{Settings, Trust};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tokio::sync::{OnceCell, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// What all runs of one profile share.
pub(crate) struct Core {
    pub(crate) profile: Profile,
    http: OnceLock<sortie_http::Client>,
    tokens: OnceLock<TokenClient>,
    base: OnceCell<Arc<Credential>>,
    remediation: OnceCell<Arc<Credential>>,
}

/// The deadline of what is being done, and the token that ends it sooner.
#[derive(Clone, Copy)]
pub(crate) struct Until<'a> {
    pub(crate) deadline: Instant,
    pub(crate) cancel: &'a CancellationToken,
}

impl Core {
    pub(crate) fn new(profile: Profile) -> Self {
        Self {
            profile,
            http: OnceLock::new(),
            tokens: OnceLock::new(),
            base: OnceCell::new(),
            remediation: OnceCell::new(),
        }
    }

    /// The transport. The first call reads the CA file, if the profile names one.
    pub(crate) fn http(&self) -> Result<&sortie_http::Client, Failure> {
        if let Some(client) = self.http.get() {
            return Ok(client);
        }
        let profile = &self.profile;
        let trust = match &profile.ca_file {
            None => Trust::System,
            Some(path) => Trust::Pem(std::fs::read(path).map_err(|error| {
                Failure::configuration(
                    format!("the CA file {} cannot be read: {error}", path.display()),
                    "correct ca_file in the profile",
                )
            })?),
        };
        let settings = Settings {
            timeouts: profile.timeouts,
            proxy: profile.proxy.clone(),
            trust,
            verification: profile.verification,
            limits: profile.limits.clone(),
            ..Settings::default()
        };
        Ok(self.http.get_or_init(|| sortie_http::Client::new(settings)))
    }

    fn tokens(&self) -> Result<&TokenClient, Failure> {
        if let Some(client) = self.tokens.get() {
            return Ok(client);
        }
        let http = self.http()?.clone();
        let profile = &self.profile;
        let settings = TokenSettings {
            authority: profile.authority.as_ref().map(ToString::to_string).unwrap_or_default(),
            tenant: profile.tenant.clone().unwrap_or_default(),
            cache: self.cache_folder()?,
            ..TokenSettings::default()
        };
        Ok(self.tokens.get_or_init(|| TokenClient::new(http, settings)))
    }

    /// Where tokens are kept between runs, if they are.
    fn cache_folder(&self) -> Result<Option<PathBuf>, Failure> {
        match &self.profile.token_cache {
            TokenCache::Off => Ok(None),
            TokenCache::Folder(folder) => Ok(Some(folder.clone())),
            TokenCache::On => self.usual_cache_folder(),
        }
    }

    /// Where tokens are kept unless the profile says otherwise: the user's runtime folder, else the user's cache
    /// folder. Never a folder that is shared with other users.
    fn usual_cache_folder(&self) -> Result<Option<PathBuf>, Failure> {
        let absolute = |name: &str| {
            Ok::<_, Failure>(self.profile.environment.get(name)?.map(PathBuf::from).filter(|path| path.is_absolute()))
        };
        // The variable may survive a change of user, its folder does not.
        let parent = match absolute("XDG_RUNTIME_DIR")?.filter(|folder| folder.is_dir()) {
            Some(folder) => Some(folder),
            None => match absolute("XDG_CACHE_HOME")? {
                Some(folder) => Some(folder),
                None => absolute("HOME")?.map(|home| home.join(".cache")),
            },
        };
        Ok(parent.map(|parent| parent.join("sortie")))
    }

    /// Deletes every cached token. A profile that keeps none may still have kept some before.
    pub(crate) fn logout(&self) -> Result<usize, Failure> {
        let folder = match &self.profile.token_cache {
            TokenCache::Folder(folder) => Some(folder.clone()),
            TokenCache::On | TokenCache::Off => self.usual_cache_folder()?,
        };
        let Some(folder) = folder else { return Ok(0) };
        sortie_entra::logout(&folder).map_err(|error| {
            Failure::new(kinds::CONFIGURATION, format!("the token cache {}: {error}", folder.display()))
                .with_hint("correct the folder's owner and permissions, or delete it")
        })
    }

    /// The credential that signs the calls of a role; its secret is read by the first call.
    async fn credential(&self, role: Role) -> Result<&Arc<Credential>, Failure> {
        let role = self.profile.signing_role(role);
        let cell = match role {
            Role::Base => &self.base,
            Role::Remediation => &self.remediation,
        };
        cell.get_or_try_init(|| async {
            let settings = self.profile.credential_settings(role)?;
            let managed = matches!(settings.proof, Proof::ManagedIdentity(_));
            if self.profile.tenant.is_none() && !managed {
                return Err(Failure::configuration(
                    "no tenant is configured",
                    "set tenant in the profile, or AZURE_TENANT_ID, to the tenant's id or domain",
                ));
            }
            if self.profile.authority.is_none() && !managed {
                return Err(Failure::configuration(
                    "the custom cloud has no login authority",
                    "set authority in the profile, or AZURE_AUTHORITY_HOST",
                ));
            }
            let credential = if matches!(settings.proof, Proof::ClientSecret(SecretSource::Command(_))) {
                // A program takes its time; meanwhile the runtime has other things to do, and may even end.
                let (sender, read) = oneshot::channel();
                let profile = self.profile.clone();
                std::thread::Builder::new()
                    .name("secret".to_owned())
                    .spawn(move || drop(sender.send(profile.credential(role))))
                    .map_err(|error| Failure::new(kinds::INTERNAL, format!("no thread for a secret: {error}")))?;
                read.await.map_err(|_| Failure::new(kinds::INTERNAL, "reading a secret crashed"))??
            } else {
                self.profile.credential(role)?
            };
            Ok(Arc::new(credential))
        })
        .await
    }

    /// As [`Self::credential`], but not longer than there is time: a program may be asked for the secret.
    async fn credential_in_time(&self, role: Role, until: Until<'_>) -> Result<&Arc<Credential>, Failure> {
        tokio::select! {
            biased;
            credential = self.credential(role) => credential,
            () = until.cancel.cancelled() => Err(Failure::new(kinds::CANCELLED, "the run was interrupted")),
            () = sleep_until(until.deadline) => {
                Err(Failure::new(kinds::TIMEOUT, format!("the deadline passed while reading the {role} secret")))
            }
        }
    }

    /// A token of a role for an audience.
    pub(crate) async fn token(
        &self,
        role: Role,
        audience: &str,
        claims: Option<&str>,
        until: Until<'_>,
    ) -> Result<AccessToken, Failure> {
        let credential = self.credential_in_time(role, until).await?;
        let token = self.tokens()?.token(credential, audience, claims, until.deadline, until.cancel).await;
        token.map_err(Failure::from)
    }

    /// Drops a token that an API did not accept.
    pub(crate) async fn forget(&self, role: Role, audience: &str, rejected: &AccessToken) {
        if let (Ok(credential), Ok(tokens)) = (self.credential(role).await, self.tokens()) {
            tokens.forget(credential, audience, rejected);
        }
    }
}
