//! How much a host lets its actions do. Defaults for a process of its own; a server may tighten them.

use std::time::Duration;

/// The most requests of one `request_many` that are ever in flight at once.
const WIDEST: usize = 16;

/// How much a host lets its actions do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Runs at once, over all actions. Default 32.
    pub runs: usize,
    /// Runs of one action at once. Default 16.
    pub runs_per_action: usize,
    /// Requests of one `request_many` in flight at once. Default 4, at most 16.
    pub requests_at_once: usize,
    /// How long a run may go on after it was cancelled or its deadline passed, before it counts as hung. Default 2 s.
    pub grace: Duration,
    /// The largest record, in bytes. Default 32 MiB.
    pub record_bytes: usize,
    /// The largest reply, in bytes. Default 64 MiB.
    pub reply_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            runs: 32,
            runs_per_action: 16,
            requests_at_once: 4,
            grace: Duration::from_secs(2),
            record_bytes: 32 << 20,
            reply_bytes: 64 << 20,
        }
    }
}

impl Limits {
    /// The fan-out within its bounds.
    pub(crate) fn fan_out(&self) -> usize {
        self.requests_at_once.clamp(1, WIDEST)
    }
}
