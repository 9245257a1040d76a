//! The sandbox over real connections, driven by a client that knows nothing but HTTP/1.1.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod client;
mod contract;
mod control;
mod entra;
mod faults;
mod graph;
mod mde;
mod tls;
mod xdr;
