//! The transport: one HTTP exchange in, one judged answer out.
//!
//! A [`Client`] takes a [`Request`], a deadline and a cancellation token, and gives back either a usable 2xx
//! [`Response`] or an [`Error`] that says three things: what went wrong ([`ErrorKind`]), whether the service may
//! have done the work ([`Disposition`]), and when it may be asked again. Everything that stands between those two
//! ends lives here, once: deadlines, caps, gzip, retries, client-side limits, proxies, trust, and the rule that
//! plain http is spoken to this machine only.
//!
//! How a request travels:
//!
//! 1. [`Client::send`] counts it against its limit class and waits for a free slot (module `limiter`).
//! 2. One attempt is made over the right `reqwest` client (`routes`): reached through a proxy or not, with TLS built
//!    on the first https request and not before.
//! 3. The answer is read to its end under caps, decompressed and checked (`exchange`, `body`, `json`).
//! 4. A failed attempt is tried again only where that is safe (`retry`), never past the deadline.
//!
//! What Microsoft's error bodies have in common is read by [`envelope`]; next links are checked by [`link`]. The
//! crate knows no API, no credential and no token: the caller sets the `Authorization` header.
//!
//! Nothing here writes a URL's query, a body, a token or a header's value to a log.

mod body;
mod client;
pub mod envelope;
mod error;
mod exchange;
mod flight;
mod json;
mod limiter;
pub mod link;
mod request;
mod retry;
mod retry_after;
mod routes;
mod settings;
mod text;
mod tls;

pub use client::Client;
pub use error::{Details, Disposition, Error, ErrorKind};
pub use request::{Expect, Policy, Request, Response};
pub use settings::{Caps, Proxy, Quota, Retry, Settings, Timeouts, Trust, Verification};
pub use text::clean;
