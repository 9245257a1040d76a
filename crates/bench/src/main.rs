//! Measurements, side by side in one run.
//!
//! Every row compares sortie with something that does the same work with less: `curl` for what goes over the
//! wire, nothing at all for what stays inside. The two sides take turns, so that a machine that slows down slows
//! both, and what is printed is the median of the pairs and the ratio of each pair.

mod boundary;
mod cold;
mod daemon;
mod listing;
mod measure;
mod pages;
mod tenant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use std::env;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Parser)]
#[command(about = "Measures sortie beside curl, against the sandbox.")]
struct Arguments {
    /// What to measure; everything when none is named.
    #[arg(value_enum)]
    what: Vec<What>,
    /// Pairs of cold calls.
    #[arg(long, default_value_t = 41)]
    pairs: usize,
    /// Pairs of listings.
    #[arg(long, default_value_t = 5)]
    listings: usize,
    /// Incidents of the long listing.
    #[arg(long, default_value_t = 100_000)]
    incidents: usize,
    /// Incidents of the daemon's ingest.
    #[arg(long, default_value_t = 20_000)]
    ingest: usize,
    /// Versions that the daemon's store knows when its memory is measured.
    #[arg(long, default_value_t = 1_000_000)]
    seen: u64,
    /// Polls over which the daemon's memory is measured.
    #[arg(long, default_value_t = 10_000)]
    polls: u64,
    /// Seconds for which a daemon at rest is watched.
    #[arg(long, default_value_t = 120)]
    rest: u64,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum What {
    /// One cold `get-incident`, token cached.
    Cold,
    /// Listings with alerts, 1,000 incidents and many.
    Listing,
    /// The daemon: ingest, rest, memory.
    Daemon,
    /// Host calls and the load of a library.
    Boundary,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let wanted = |what| arguments.what.is_empty() || arguments.what.contains(&what);
    let binary = binary()?;
    if wanted(What::Cold) {
        cold::measure(&binary, arguments.pairs, false)?;
        cold::measure(&binary, arguments.pairs, true)?;
    }
    if wanted(What::Listing) {
        listing::measure(&binary, 1000, arguments.listings)?;
        listing::measure(&binary, arguments.incidents, arguments.listings)?;
    }
    if wanted(What::Daemon) {
        daemon::ingest(&binary, arguments.ingest, arguments.listings)?;
        daemon::syncs(&binary)?;
        daemon::rest(&binary, Duration::from_secs(arguments.rest))?;
        daemon::memory(&binary, arguments.seen, arguments.polls)?;
    }
    // Last: the libraries stay open, and a child's peak memory counts what its parent had when it was started.
    if wanted(What::Boundary) {
        boundary::measure(&binary)?;
    }
    Ok(())
}

/// The binary beside this one.
fn binary() -> Result<PathBuf> {
    let path = env::current_exe()?.with_file_name("sortie");
    ensure!(path.exists(), "{} is missing: run `cargo build --release` first", path.display());
    ensure!(!cfg!(debug_assertions), "measure a release build: cargo run --release -p sortie-bench");
    path.canonicalize().context("the binary's path")
}
