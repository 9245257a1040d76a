//! Listing every incident with its alerts, beside one keep-alive curl that downloads the same pages.

use crate::measure::pairs;
use crate::pages::pages;
use crate::tenant::Tenant;
use anyhow::Result;
use std::path::Path;

pub(crate) fn measure(binary: &Path, incidents: usize, count: usize) -> Result<()> {
    let tenant = Tenant::start(binary, incidents, false)?;
    let pages = pages(&tenant, |_| "/dev/null".into())?;
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
