//! Where each value of a configuration came from.

use serde::Serialize;
use std::borrow::Cow;
use std::fmt;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line.
    Flag(Cow<'static, str>),
    /// An environment variable.
    Environment(&'static str),
    /// A profile of a configuration file.
    Profile {
        /// The profile's name.
        profile: String,
        /// The file.
        file: String,
    },
    /// What the profile's cloud implies.
    Cloud(String),
    /// Nothing says otherwise.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Profile { profile, file } => write!(f, "profile {profile} in {file}"),
            Self::Cloud(cloud) => write!(f, "cloud {cloud}"),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One value of a resolved configuration, fit to be shown: a secret is never among them, only where it is read
/// from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The key, as it stands in a profile: `base.client_id`.
    pub name: String,
    /// The value as text.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}
