//! The Entra token client: a credential and an audience in, an access token out.
//!
//! [`TokenClient::token`] answers from the first of these that can:
//!
//! 1. **Memory.** One slot per (authority, tenant, application, credential, audience). A hundred concurrent callers make one
//!    request: the first one asks, the others wait for its answer, be it a token or a refusal.
//! 2. **Disk**, for client secrets and certificates: one encrypted file per slot, readable only with the credential
//!    itself, so that the next process saves the round trip. Whatever is odd about a file makes it a miss.
//! 3. **The token endpoint**: `client_credentials` with a secret, a signed assertion (PS256, `x5t#S256`) or a federated
//!    token; or a managed identity's host.
//!
//! A token is renewed ahead of its end; when that fails the old one serves until it really ends. Refusals are remembered
//! for a while, so that a wrong secret does not become a storm of requests.
//!
//! What Entra says when it refuses is kept whole in [`Error`]. What the program does about it follows from the status and the
//! `error` member; the AADSTS numbers only choose the hint.
//!
//! This crate reads no environment variable and no configuration. The one file it reads besides its cache is a federated
//! token file. Secrets are overwritten when they are dropped; copies inside the HTTP and TLS libraries are out of its
//! reach.

mod assertion;
mod authority;
mod certificate;
mod client;
mod der;
mod disk;
mod error;
mod grant;
mod key;
mod managed;
mod pem;
mod seal;
mod slot;
mod wanted;

pub use client::{Refresh, TokenClient, TokenSettings};
pub use disk::logout;
pub use error::{Details, Error, ErrorKind};
