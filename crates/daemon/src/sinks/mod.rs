//! Where records go.
//!
//! # The model
//!
//! ```text
//!   store ── due ──▶ courier ── stream: stdout, file    (batches, in the order of the outbox)
//!     ▲                 │   └── lanes:  webhook, exec   (one record each, side by side, in order for each item)
//!     └──── settle ─────┘
//! ```
//!
//! Each sink has a courier of its own ([`Couriers::run`]), with its own progress in the store: a sink that is down
//! holds no other one. A courier takes what is due, hands it to its sink, and settles what the sink acknowledged; what it
//! did not settle waits in the store, whatever happens to the process. A record is tried for as long as the daemon runs:
//! only a sink's own word that it will never take it makes a dead letter of it.
//!
//! Nothing is done at intervals. A courier wakes when records were committed, when a sink answers, or when a wait
//! after a failure is over.

mod aside;
mod backoff;
mod courier;
mod desk;
mod exec;
mod file;
mod glance;
mod lanes;
mod rotation;
mod scan;
mod signature;
mod stdout;
mod stream;
#[cfg(test)]
mod testing;
mod webhook;
mod window;
mod worker;

pub use courier::{Couriers, Shared};
pub(crate) use webhook::is_own_header;
