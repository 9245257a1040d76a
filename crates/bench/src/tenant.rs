//! A sandbox as a process of its own, and both sides' way to it.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{fs, thread};
use tempfile::TempDir;

/// A running sandbox with a profile for sortie and a token for curl.
pub(crate) struct Tenant {
    server: Child,
    home: TempDir,
    binary: PathBuf,
    /// The Graph base URL.
    pub(crate) graph: String,
    /// A bearer token for Graph.
    token: String,
}

impl Tenant {
    /// Starts a sandbox without throttling.
    pub(crate) fn start(binary: &Path, incidents: usize, tls: bool) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("sortie-bench-").tempdir()?;
        let config = home.path().join("config/sortie/config.toml");
        fs::create_dir_all(home.path().join("config/sortie"))?;
        let mut command = Command::new(binary);
        command.args(["sandbox", "--no-throttle", "--incidents", &incidents.to_string(), "--profile-out"]);
        command.arg(&config).env("HOME", home.path());
        if tls {
            command.arg("--tls");
        }
        let mut server = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        // The first line says that it listens; the rest is read away so that the server never waits for us.
        let mut lines = BufReader::new(server.stderr.take().context("the sandbox's stderr")?).lines();
        while !config.exists() || fs::metadata(&config)?.len() == 0 {
            if lines.next().is_none() {
                bail!("the sandbox ended: {:?}", server.wait()?);
            }
        }
        thread::spawn(move || lines.count());
        let profile = fs::read_to_string(&config)?;
        // The limits of the service would be all that a listing measures.
        fs::write(&config, unlimited(&profile))?;
        let value = |name: &str| value(&profile, name).with_context(|| format!("{name} in the sandbox's profile"));
        let mut tenant = Self { server, home, binary: binary.to_owned(), graph: String::new(), token: String::new() };
        tenant.graph =
            section(&profile, "apis.graph").and_then(|text| self::value(text, "base_url")).context("the Graph URL")?;
        let body = format!(
            "grant_type=client_credentials&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default&client_id={}&client_secret={}",
            value("client_id")?,
            secret(&profile).context("the secret in the sandbox's profile")?,
        );
        let url = format!("{}/{}/oauth2/v2.0/token", value("authority")?, value("tenant")?);
        let answer = tenant.curl().args(["-s", "-d", &body, &url]).output()?;
        let answer: Value = serde_json::from_slice(&answer.stdout).context("the token answer")?;
        tenant.token = answer["access_token"].as_str().context("a token")?.to_owned();
        Ok(tenant)
    }

    /// A curl that trusts the sandbox.
    pub(crate) fn curl(&self) -> Command {
        let mut command = Command::new("curl");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let ca = self.ca();
        if ca.exists() {
            command.arg("--cacert").arg(ca);
        }
        command
    }

    /// A shell script, whose own name takes the place of its first argument.
    pub(crate) fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.args(["-c", script, "sh"]);
        command
    }

    /// A curl that is signed in and silent.
    pub(crate) fn download(&self) -> Command {
        let mut command = self.curl();
        command.args(["-sf", "--compressed", "-H"]).arg(self.authorization());
        command.args(["-H", "Prefer: include-unknown-enum-members"]);
        command
    }

    /// The body behind a URL.
    pub(crate) fn fetch(&self, url: &str) -> Result<Vec<u8>> {
        let output = self.download().arg(url).output()?;
        ensure!(output.status.success(), "curl {url} ended with {}", output.status);
        Ok(output.stdout)
    }

    /// The authorization header.
    pub(crate) fn authorization(&self) -> String {
        format!("Authorization: Bearer {}", self.token)
    }

    /// A sortie that is configured for the sandbox.
    pub(crate) fn sortie(&self, arguments: &[&str]) -> Command {
        let home = self.home.path();
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", home)
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_CACHE_HOME", home.join("cache"));
        command
    }

    /// A folder for files.
    pub(crate) fn folder(&self) -> &Path {
        self.home.path()
    }

    fn ca(&self) -> PathBuf {
        let profile = fs::read_to_string(self.home.path().join("config/sortie/config.toml")).unwrap_or_default();
        value(&profile, "ca_file").map_or_else(|| self.home.path().join("no-ca"), PathBuf::from)
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The first `name = "value"` in a profile.
fn value(profile: &str, name: &str) -> Option<String> {
    profile.lines().find_map(|line| {
        let rest = line.trim().strip_prefix(name)?.trim_start().strip_prefix('=')?;
        Some(rest.trim().trim_matches('"').to_owned())
    })
}

/// The text from the heading of a table on.
fn section<'a>(profile: &'a str, table: &str) -> Option<&'a str> {
    profile.split_once(&format!(".{table}]")).map(|(_, rest)| rest)
}

fn secret(profile: &str) -> Option<String> {
    let (_, rest) = profile.split_once("client_secret")?;
    rest.split('"').nth(1).map(str::to_owned)
}

/// The profile with limits that no listing reaches.
fn unlimited(profile: &str) -> String {
    let mut text = String::new();
    let mut name = None;
    for line in profile.lines() {
        if name.is_none() && line.starts_with("[profile.") {
            name = line.trim_start_matches("[profile.").split([']', '.']).next().map(str::to_owned);
        }
        text.push_str(line);
        text.push('\n');
    }
    let name = name.unwrap_or_else(|| "sandbox".into());
    text.push_str(&format!("\n[profile.{name}.limits]\ngraph-security = [\"1000000/min\"]\n"));
    text
}
