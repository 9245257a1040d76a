//! The polling loop around a daemon action, and delivery to sinks.
//!
//! # The model
//!
//! ```text
//!   action ─ records ─▶ driver ─ events ─▶ core: step(state, event) -> effects
//!                         │                        │ commit(batch), read(mode, cursor), wait
//!                         ▼                        ▼
//!                       store  ◀───────── one transaction: seen + outbox + cursor + history
//!                         │
//!                         ▼ due, settle
//!                      couriers, one a sink: stdout, file, webhook, exec
//! ```
//!
//! A daemon action reads one bounded step and hands over records, each a version of an item. The [`core`] decides,
//! without I/O, what is news and what to do next; the driver does it. What is news is committed with the cursor, and
//! only then delivered: a courier for each sink drains what waits for it, at its own pace, and settles it when the sink
//! acknowledged. So a crash at any moment loses nothing, and repeats at most what a sink took in the moment before, under
//! the same idempotency key.
//!
//! Nothing here knows incidents: the action says which members of an item are watched, and what its resource is called.

mod abort;
mod collector;
pub mod core;
mod daemon;
mod driver;
pub mod event;
mod failure;
pub mod health;
pub mod metrics;
pub mod notify;
mod reading;
pub mod record;
pub mod settings;
pub mod sinks;
pub mod status;

pub use daemon::Daemon;
pub use failure::store_failure;
