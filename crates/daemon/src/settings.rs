//! What a daemon is told: data, without a secret in it.
//!
//! [`resolve()`] makes it from flags, the environment and `[profile.X.daemon]`, in that order, and keeps where each value was
//! said. What a step of the action takes is the action's to say: its schema names the filters and judges them.

mod input;
mod place;
mod quantity;
mod resolve;
mod sinks;
#[cfg(test)]
mod tests;

pub use quantity::{SPAN_FORMS, span};
pub use resolve::{Flags, Resolved, resolve, shown, store};
pub use sinks::from_specification;

use serde_json::{Map, Value};
use sortie_host::config::SecretSource;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What a daemon is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Names the tenant in records and idempotency keys: the profile's tenant id or domain.
    pub tenant: String,
    /// The members of the action's input that the profile and the flags set: filters, overlap, lookBack, ingestDelay, alerts, limit.
    /// Never mode or cursor.
    pub input: Map<String, Value>,
    /// The rest between two quiet polls. Shorter after news.
    pub interval: Duration,
    /// The rest between two sweeps.
    pub sweep_interval: Duration,
    /// How long versions are remembered. Never less than the look-back, the overlap and a day together: what is forgotten and
    /// read again would be new.
    pub retention: Duration,
    /// How long the history is kept.
    pub history_retention: Duration,
    /// How many records may wait in the outbox before reading pauses.
    pub outbox_records: u64,
    /// How many bytes may wait in the outbox before reading pauses.
    pub outbox_bytes: u64,
    /// The folder of the stores; the store's file is named after the profile.
    pub state_dir: PathBuf,
    /// Where health and metrics are served; nowhere if none.
    pub listen: Option<SocketAddr>,
    /// Where records go. Never empty.
    pub sinks: Vec<SinkSettings>,
    /// The names of the profile's sinks, where flags put others in their place.
    pub replaced_sinks: Option<Vec<String>>,
}

/// One sink.
#[derive(Clone, Debug)]
pub struct SinkSettings {
    /// Its name: under it the store keeps its progress.
    pub name: String,
    /// What it is.
    pub kind: SinkKind,
}

/// What a sink is.
#[derive(Clone, Debug)]
pub enum SinkKind {
    /// JSON Lines on standard output.
    Stdout,
    /// JSON Lines appended to a file.
    File(FileSettings),
    /// Each record posted to a URL.
    Webhook(WebhookSettings),
    /// A command run for each record.
    Exec(ExecSettings),
}

/// A file sink.
#[derive(Clone, Debug)]
pub struct FileSettings {
    /// The file.
    pub path: PathBuf,
    /// The size at which it is rotated; never if none.
    pub rotate_bytes: Option<u64>,
    /// How many rotated files are kept; the oldest goes first.
    pub keep: u32,
}

/// A webhook sink.
#[derive(Clone)]
pub struct WebhookSettings {
    /// Where to post: https, or http to this machine.
    pub url: String,
    /// The signing keys, newest first: one, or two while they are changed over. Unsigned if none.
    pub keys: Vec<SecretSource>,
    /// Further headers, such as an API key of the receiver: name, value.
    pub headers: Vec<(String, SecretSource)>,
    /// The deadline of one delivery.
    pub timeout: Duration,
    /// How many deliveries are under way at once; those of one item never.
    pub concurrency: usize,
}

// The path and the query of the address may hold a token, as those of many chat services do.
impl fmt::Debug for WebhookSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSettings")
            .field("url", &sinks::address(&self.url))
            .field("keys", &self.keys)
            .field("headers", &self.headers)
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .finish()
    }
}

/// An exec sink.
#[derive(Clone)]
pub struct ExecSettings {
    /// The program and its arguments. No shell.
    pub command: Vec<String>,
    /// Environment variables that it may see, besides PATH, HOME, LANG, TZ and the like.
    pub pass_environment: Vec<String>,
    /// The deadline of one command.
    pub timeout: Duration,
    /// How many commands run at once; those of one item never.
    pub concurrency: usize,
}

// Arguments may be as telling as a secret.
impl fmt::Debug for ExecSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecSettings")
            .field("command", &sinks::command(&self.command))
            .field("pass_environment", &self.pass_environment)
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .finish()
    }
}
