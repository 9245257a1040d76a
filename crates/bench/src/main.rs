//! Measurements, side by side in one run.
//!
//! Every row compares sortie with something that does the same work with less: `curl` for what goes over the
//! wire, nothing at all for what stays inside. The two sides take turns, so that a machine that slows down slows
//! both, and what is printed is the median of the pairs and the ratio of each pair.

mod boundary;
mod cold;
mod listing;
mod measure;
mod tenant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use std::env;
use std::path::PathBuf;

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
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum What {
    /// One cold `get-incident`, token cached.
    Cold,
    /// Listings with alerts, 1,000 incidents and many.
    Listing,
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
