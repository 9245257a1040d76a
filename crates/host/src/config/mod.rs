//! The configuration: which tenant, which applications, how to reach them.
//!
//! Each value is looked for in this order: flag, environment variable, profile, what the profile's cloud implies,
//! default. [`resolve()`] does so once and keeps, for `sortie config show`, where each value came from. It reads no
//! secret: a credential says where its secret will be read from, and that happens when its role signs its first
//! call.
//!
//! A profile is a table `[profile.NAME]` in one TOML file. Every key is checked; an unknown one is refused with
//! the one that was probably meant. [`EXAMPLE`] shows all of them:
//!
//! ```toml
#![doc = include_str!("../../config.example.toml")]
//! ```

mod applications;
mod credential;
mod environment;
mod file;
mod origin;
mod parse;
mod profile;
mod resolve;
mod secret;
mod section;
mod transport;

pub use credential::{CredentialSettings, IdentitySelector, Proof, Remediation, SecretSource};
pub use environment::Environment;
pub use origin::{Origin, Setting};
pub use profile::{ApiSettings, Profile, TokenCache};
pub use resolve::resolve;
pub(crate) use secret::secret as read_secret;
pub use section::{Section, Unread};

use std::path::PathBuf;
use std::time::Duration;

/// A configuration file with every key, explained. It is read by a test, so it is right.
pub const EXAMPLE: &str = include_str!("../../config.example.toml");

/// What the command line says; each of it beats the environment and the profile.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--profile`: the profile's name.
    pub profile: Option<String>,
    /// `--config`: the configuration file. It must exist.
    pub config_file: Option<PathBuf>,
    /// Configuration text that stands in for the file, with the name to show for it. No file is read then.
    pub config_text: Option<ConfigText>,
    /// `--actions-dir`: the folder of actions.
    pub actions_dir: Option<PathBuf>,
    /// `--incidents-api`: `graph` or `defender-xdr`.
    pub incidents_api: Option<String>,
    /// `--timeout`: the deadline of a run.
    pub timeout: Option<Duration>,
}

/// Configuration text that was made instead of read, such as the ready profile of a sandbox.
#[derive(Clone)]
pub struct ConfigText {
    /// What it is called in messages and origins.
    pub name: String,
    /// TOML, as in a file.
    pub text: String,
}

// The text may hold a secret for a service on this machine.
impl std::fmt::Debug for ConfigText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigText").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A resolved configuration.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The values.
    pub profile: Profile,
    /// Each value with where it came from, in the order of a profile; secrets only by their place.
    pub settings: Vec<Setting>,
    /// `[profile.NAME.daemon]`, if there is one: the daemon's own, which understands its keys.
    pub daemon: Option<Unread>,
}
