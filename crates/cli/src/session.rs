//! A configured host, on the real tenant or on one made up inside this process.
//!
//! The made-up tenant is used when `--sandbox` says so and never otherwise: whoever has no credentials is told how to
//! configure them.

use crate::command_line::Globals;
use crate::report::usage;
use crate::verbs::sandbox::profile_text;
use sortie_host::Failure;
use sortie_host::Host;
use sortie_host::config::{ConfigText, Environment, Overrides, Resolved, resolve};
use sortie_host::kinds;
use sortie_sandbox::{Config, Sandbox};
use std::path::PathBuf;
use std::sync::Arc;

/// How many incidents the tenant inside this process has.
const INCIDENTS: usize = 60;

/// How many machines the tenant inside this process has.
const MACHINES: usize = 25;

/// A host, and the tenant it works on when that is made up.
pub(crate) struct Session {
    /// The host.
    pub(crate) host: Arc<Host>,
    /// What people call the tenant: the profile's label, else its name.
    pub(crate) tenant: String,
    // Serves until the session ends.
    _sandbox: Option<Sandbox>,
}

impl Session {
    /// Resolves the configuration that the command line names and makes a host for it. Nothing is loaded, no secret is
    /// read.
    pub(crate) fn open(globals: &Globals) -> Result<Self, Failure> {
        let (sandbox, resolved) = configuration(globals)?;
        let profile = resolved.profile;
        let tenant = profile
            .label
            .as_ref()
            .or(profile.name.as_ref())
            .or(profile.tenant.as_ref())
            .cloned()
            .unwrap_or_else(|| "(no profile)".to_owned());
        Ok(Self { host: Arc::new(Host::new(profile)), tenant, _sandbox: sandbox })
    }
}

/// The resolved configuration; with `--sandbox`, that of a tenant started here, which serves while it is held.
pub(crate) fn configuration(globals: &Globals) -> Result<(Option<Sandbox>, Resolved), Failure> {
    configuration_of(globals, 0.0, "")
}

/// The same, where the tenant started here makes so many changes a second by itself, and its profile says more than how
/// to reach it.
pub(crate) fn configuration_of(
    globals: &Globals,
    rate: f64,
    more: &str,
) -> Result<(Option<Sandbox>, Resolved), Failure> {
    let process = Environment::process();
    if !globals.sandbox {
        return Ok((None, resolve(&globals.overrides(), &process)?));
    }
    if globals.profile.is_some() || globals.config.is_some() {
        return Err(usage("--sandbox goes with neither --profile nor --config", "it brings a profile of its own"));
    }
    let sandbox = Sandbox::start(Config { incidents: INCIDENTS, machines: MACHINES, rate, ..Config::default() })
        .map_err(|error| Failure::new(kinds::CONFIGURATION, format!("the sandbox cannot start: {error}")))?;
    let text = profile_text(&sandbox, None, false) + more;
    // Nothing of the real tenant may leak in: of the environment only what does not concern it is kept.
    let mut overrides =
        Overrides { config_text: Some(ConfigText { name: "--sandbox".to_owned(), text }), ..globals.overrides() };
    if overrides.actions_dir.is_none() {
        overrides.actions_dir = process.get("SORTIE_ACTIONS_DIR")?.map(PathBuf::from);
    }
    if overrides.incidents_api.is_none() {
        overrides.incidents_api = process.get("SORTIE_INCIDENTS_API")?;
    }
    let resolved = resolve(&overrides, &Environment::empty())?;
    Ok((Some(sandbox), resolved))
}
