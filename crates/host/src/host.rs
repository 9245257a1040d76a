//! The runtime for one profile.

use crate::action::Action;
use crate::catalog::trust::{TrustError, TrustedFolder};
use crate::catalog::{self, Catalog};
use crate::check::{self, Report};
use crate::config::Profile;
use crate::core::Core;
use crate::failure::Failure;
use crate::limits::Limits;
use crate::loader;
use crate::run::{self, Finished, Run};
use crate::services::lock;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Finds, loads and runs actions for one profile. Making one is cheap: folders are read, libraries opened, secrets
/// read and connections made when something needs them. Runs share connections, limits and tokens.
pub struct Host {
    core: Arc<Core>,
    limits: Limits,
    slots: Arc<Semaphore>,
    catalog: OnceLock<Catalog>,
    actions: Mutex<HashMap<String, Arc<Action>>>,
}

impl Host {
    /// A host for a profile, with the default limits.
    pub fn new(profile: Profile) -> Self {
        Self::with_limits(profile, Limits::default())
    }

    /// A host with limits of its own.
    pub fn with_limits(profile: Profile, limits: Limits) -> Self {
        Self {
            core: Arc::new(Core::new(profile)),
            limits,
            slots: Arc::new(Semaphore::new(limits.runs.clamp(1, Semaphore::MAX_PERMITS))),
            catalog: OnceLock::new(),
            actions: Mutex::default(),
        }
    }

    /// The profile.
    pub fn profile(&self) -> &Profile {
        &self.core.profile
    }

    /// What all runs share.
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// The folder of actions.
    ///
    /// # Errors
    /// Kind `configuration`, when no folder is named and the system does not say where the program is.
    pub fn catalog(&self) -> Result<&Catalog, Failure> {
        if let Some(catalog) = self.catalog.get() {
            return Ok(catalog);
        }
        let catalog = match &self.core.profile.actions_dir {
            Some(folder) => Catalog::at(folder),
            None => Catalog::beside_program()?,
        };
        Ok(self.catalog.get_or_init(|| catalog))
    }

    /// The names of all actions, in alphabetical order. Reads the folder and opens nothing.
    ///
    /// # Errors
    /// Kind `configuration`, when the folder cannot be read.
    pub fn names(&self) -> Result<Vec<String>, Failure> {
        self.catalog()?.names()
    }

    /// Opens an action: the one library of that name, after the trust check. An action that is open already is
    /// returned as it is.
    ///
    /// # Errors
    /// Kinds `action_not_found`, `untrusted_action`, `incompatible_action`, `panic`, `hung`.
    pub fn load(&self, name: &str) -> Result<Arc<Action>, Failure> {
        if let Some(action) = lock(&self.actions).get(name) {
            return Ok(Arc::clone(action));
        }
        let catalog = self.catalog()?;
        let Some(file) = catalog::library_file_name(name) else { return Err(catalog.not_found(name)) };
        let trusted = match TrustedFolder::open(catalog.folder()).and_then(|folder| folder.library(&file)) {
            Ok(trusted) => trusted,
            Err(TrustError::Missing(_)) => return Err(catalog.not_found(name)),
            Err(error) => return Err(error.into()),
        };
        let path = trusted.path.clone();
        let (entry, manifest) = loader::load(trusted, name)?;
        let slots = self.limits.runs_per_action.clamp(1, Semaphore::MAX_PERMITS);
        let action = Arc::new(Action::new(manifest, entry, path, slots));
        Ok(Arc::clone(lock(&self.actions).entry(name.to_owned()).or_insert(action)))
    }

    /// Runs an action once. Must be called on a tokio runtime with time and I/O; the action itself runs on a thread of
    /// its own.
    pub async fn run(&self, run: Run) -> Finished {
        run::run(&self.core, &self.slots, self.limits, run).await
    }

    /// Obtains every token that the actions need, makes one cheap call per API, and says for each action what it needs
    /// and what is missing.
    pub async fn check(&self, actions: &[Arc<Action>], timeout: Duration, cancel: &CancellationToken) -> Report {
        check::check(&self.core, actions, timeout, cancel).await
    }

    /// Deletes every cached token, and says how many there were.
    ///
    /// # Errors
    /// Kind `configuration`, when the cache folder cannot be read or written.
    pub fn logout(&self) -> Result<usize, Failure> {
        self.core.logout()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("profile", &self.core.profile)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
