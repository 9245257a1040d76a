//! Listing every incident with its alerts, beside one keep-alive curl that downloads the same pages.

use crate::measure::pairs;
use crate::tenant::Tenant;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn measure(binary: &Path, incidents: usize, count: usize) -> Result<()> {
    let tenant = Tenant::start(binary, incidents, false)?;
    let pages = pages(&tenant)?;
    pairs(
        &format!("listing {incidents} incidents with alerts, as JSON Lines"),
        count,
        || tenant.sortie(&["run", "search-incidents", "--alerts", "--output", "jsonl", "--timeout", "1h"]),
        "curl",
        || {
            let mut curl = tenant.curl();
            curl.arg("--config").arg(&pages);
            curl
        },
    )
}

/// A curl configuration that names every page of the listing, found by walking it once.
fn pages(tenant: &Tenant) -> Result<PathBuf> {
    let mut config = String::from("silent\nfail\ncompressed\n");
    let _ = writeln!(config, "header = \"{}\"", tenant.authorization());
    let _ = writeln!(config, "header = \"Prefer: include-unknown-enum-members\"");
    let mut next = format!("{}/security/incidents?$top=50&$expand=alerts", tenant.graph);
    for _ in 0..1_000_000 {
        let _ = writeln!(config, "url = \"{next}\"\noutput = \"/dev/null\"");
        let page: Value = serde_json::from_slice(&tenant.fetch(&next)?).with_context(|| next.clone())?;
        match page["@odata.nextLink"].as_str() {
            Some(link) => next = link.to_owned(),
            None => {
                let path = tenant.folder().join("pages.curl");
                fs::write(&path, config)?;
                return Ok(path);
            }
        }
    }
    bail!("the listing has no end")
}
