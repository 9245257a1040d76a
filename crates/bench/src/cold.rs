//! One cold call: from the start of the process to its end, with the token in the cache.

use crate::measure::pairs;
use crate::tenant::Tenant;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;

pub(crate) fn measure(binary: &Path, count: usize, tls: bool) -> Result<()> {
    let tenant = Tenant::start(binary, 200, tls)?;
    let listed = tenant.sortie(&["run", "search-incidents", "--limit", "1", "--output", "json"]).output()?;
    let listed: Value = serde_json::from_slice(&listed.stdout).context("the first incident")?;
    let id = listed["records"][0]["id"].as_str().context("an incident's id")?.to_owned();
    let url = format!("{}/security/incidents/{id}?$expand=alerts", tenant.graph);
    let input = tenant.folder().join("input.json");
    std::fs::write(&input, format!("{{\"incidentId\":\"{id}\"}}"))?;
    let input = input.to_str().context("a path")?.to_owned();
    // The first call fetches the token and leaves it in the cache, for both sides to begin alike.
    let first = tenant.sortie(&["run", "get-incident", "--input", &input]).output()?;
    ensure!(first.status.success(), "get-incident failed: {}", String::from_utf8_lossy(&first.stdout));
    let scheme = if tls { "https" } else { "http" };
    pairs(
        &format!("cold get-incident over {scheme}"),
        count,
        || tenant.sortie(&["run", "get-incident", "--input", &input]),
        "curl",
        || {
            let mut curl = tenant.download();
            curl.args(["-o", "/dev/null"]).arg(&url);
            curl
        },
    )
}
