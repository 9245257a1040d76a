//! The pages of a listing, for curl.

use crate::tenant::Tenant;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

/// A curl configuration that names every page of the listing, found by walking it once. `output` says where a page goes, by its
/// number.
pub(crate) fn pages(tenant: &Tenant, mut output: impl FnMut(usize) -> PathBuf) -> Result<PathBuf> {
    let mut config = String::from("silent\nfail\ncompressed\n");
    let _ = writeln!(config, "header = \"{}\"", tenant.authorization());
    let _ = writeln!(config, "header = \"Prefer: include-unknown-enum-members\"");
    let mut next = format!("{}/security/incidents?$top=50&$expand=alerts", tenant.graph);
    for number in 0..1_000_000 {
        let _ = writeln!(config, "url = \"{next}\"\noutput = \"{}\"", output(number).display());
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
