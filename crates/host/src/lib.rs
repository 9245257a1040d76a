//! The runtime that finds, verifies, loads, validates and runs actions. The command line, the daemon and later
//! servers are thin faces of it.
//!
//! # The model
//!
//! [`config::resolve`] turns flags, environment and a profile into a [`config::Profile`]: data, without a secret in
//! it. [`Host::new`] makes a host for the profile, which does nothing yet. [`Host::load`] opens one action, after
//! the trust check ([`catalog`]), and reads what it declares ([`manifest`]). [`Host::run`] runs it once with an
//! input ([`input::parse`]):
//!
//! ```text
//!   caller ── Run ──▶ Host::run ── thread ──▶ action (a shared library)
//!                        ▲                       │ request, emit, reply, log, sleep, ...
//!                        │                       ▼
//!                     Finished ◀─────────── services: declared calls only, plan, token per role,
//!                                           transport, records to the sink, the reply
//! ```
//!
//! The library asks for everything it wants from the outside. A request names a call that the manifest declares;
//! from that declaration the host knows the API, the credential that signs it, whether a dry run may send it, what
//! may be tried again and which limit counts it. So an action can neither reach another host nor see a token.
//!
//! Everything that goes wrong, anywhere, is a [`Failure`]: the error document of the process contract.
//!
//! # What a caller has to know
//!
//! - [`Host::run`] needs a tokio runtime with time and I/O, current-thread or multi-thread; the action runs on a
//!   thread of its own and waits for the runtime.
//! - A library shares the process: it is trusted code, checked for where it comes from, not for what it does. A
//!   thread that hangs cannot be ended; [`Finished::stuck`] says that the process has to.
//! - Nothing is done ahead: no folder is listed, no secret read, no connection made before something needs it.

mod action;
pub mod catalog;
pub mod check;
pub mod config;
mod core;
pub mod escape;
pub mod failure;
mod host;
pub mod input;
mod limits;
mod loader;
pub mod manifest;
mod outcome;
mod plan;
mod receiver;
mod refusal;
mod run;
mod services;
mod text;

pub use action::Action;
pub use failure::{Failure, Violation};
pub use host::Host;
pub use limits::Limits;
pub use loader::LoadError;
pub use manifest::Manifest;
pub use plan::PlannedCall;
pub use receiver::{Answer, Receiver};
pub use run::{Finished, Mode, Progress, RecordSink, Run};
// What a face needs of the crates below, so that it depends on this one alone.
pub use sortie_abi::kinds;
pub use sortie_auth::{Api, Call, Effect, Method, Permission, Role, Secret};
pub use sortie_http::clean;
pub use tokio_util::sync::CancellationToken;
