//! What the host and every action agree on about identity.
//!
//! An action *declares* the calls it may make ([`Call`]); the host decides, from the same declaration, which
//! credential signs each call, which permission a refusal is about and which limiter counts it. This crate holds
//! those shared words and nothing that does I/O: clouds and their hosts ([`Cloud`]), API names, permissions, credential
//! roles, credentials ([`Credential`]), secrets and tokens ([`Secret`], [`AccessToken`]), and the reading of a refusal
//! ([`diagnosis`]).

mod call;
mod cloud;
mod credential;
pub mod diagnosis;
mod secret;
mod token;

pub use call::{Api, Call, Effect, LimitClass, Method, Permission, Role};
pub use cloud::{ApiHost, Cloud};
pub use credential::{Credential, Identity, ManagedIdentityHost};
pub use secret::Secret;
pub use token::AccessToken;
