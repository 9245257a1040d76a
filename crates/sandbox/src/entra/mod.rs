//! The directory: applications, the tokens issued to them, the token endpoint and the managed-identity endpoints (contract section 2).

mod assertion;
mod der;
mod directory;
mod endpoint;
mod identity;

pub(crate) use assertion::Registered;
pub(crate) use directory::{Caller, Directory, challenge, fingerprint};
pub(crate) use endpoint::{Realm, basic, error_body, redact, token};
pub(crate) use identity::{app_service, metadata};
