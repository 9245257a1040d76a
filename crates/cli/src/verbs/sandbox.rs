//! `sortie sandbox`: a made-up tenant on this machine, until Ctrl-C.
//!
//! Standard output gets a ready profile and nothing else, so that it can be saved; how to use it stands on standard
//! error.

use crate::report::{Ending, unusable, usage};
use crate::signals::Interruptions;
use crate::terminal;
use clap::Args;
use rustix::fs::{Mode, OFlags};
use sortie_host::Failure;
use sortie_host::kinds;
use sortie_sandbox::{Config, Sandbox, Switches};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use tokio::runtime::Builder;

/// How the tenant is set up.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where to listen; loopback only, port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    listen: SocketAddr,
    /// Where all data comes from: the same seed makes the same tenant
    #[arg(long, value_name = "N", default_value_t = Config::default().seed)]
    seed: u64,
    /// How many incidents the tenant has at the start
    #[arg(long, value_name = "N", default_value_t = Config::default().incidents)]
    incidents: usize,
    /// How many machines the tenant has
    #[arg(long, value_name = "N", default_value_t = Config::default().machines)]
    machines: usize,
    /// Changes a second that the tenant makes by itself; 0 keeps it still
    #[arg(long, value_name = "RATE", default_value_t = Config::default().rate)]
    rate: f64,
    /// Serve https, with a certificate made for this
    #[arg(long)]
    tls: bool,
    /// Answer from the recorded bodies in this folder instead of the tenant's own data
    #[arg(long, value_name = "DIR")]
    bodies: Option<PathBuf>,
    /// Do not enforce the documented rate limits
    #[arg(long)]
    no_throttle: bool,
    /// Write the profile to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    profile_out: Option<PathBuf>,
    /// Where to write the certificate of the authority, with --tls [default: beside --profile-out]
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca_out: Option<PathBuf>,
}

/// Serves until interrupted.
pub(crate) fn run(arguments: &Arguments) -> Ending {
    if !arguments.rate.is_finite() || arguments.rate < 0.0 {
        return Err(usage("--rate is not a number of changes a second", "give 0 or more").into());
    }
    let ca_file = ca_file(arguments)?;
    let sandbox = Sandbox::start(Config {
        seed: arguments.seed,
        incidents: arguments.incidents,
        machines: arguments.machines,
        rate: arguments.rate,
        tls: arguments.tls,
        listen: arguments.listen,
        bodies: arguments.bodies.clone(),
        switches: Switches { throttle: !arguments.no_throttle, ..Switches::default() },
        ..Config::default()
    })
    .map_err(|error| Failure::new(kinds::CONFIGURATION, format!("the sandbox cannot start: {error}")))?;
    if let (Some(path), Some(pem)) = (&ca_file, sandbox.ca_pem()) {
        write_file(path, pem)?;
    }
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| unusable("no runtime", &error))?;
    runtime.block_on(async {
        // Before anything is said: whoever reads it may end this at once.
        let mut interruptions = Interruptions::catch().map_err(|error| unusable("signals", &error))?;
        let text = profile_text(&sandbox, ca_file.as_deref(), true);
        match &arguments.profile_out {
            Some(path) => write_file(path, &text)?,
            None => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(text.as_bytes())?;
                stdout.flush()?;
            }
        }
        terminal::tell(&instructions(&sandbox, arguments.profile_out.as_deref()));
        interruptions.next().await;
        Ok(0)
    })
}

/// Where the authority's certificate goes.
fn ca_file(arguments: &Arguments) -> Result<Option<PathBuf>, Failure> {
    if !arguments.tls {
        return Ok(None);
    }
    let path = match (&arguments.ca_out, &arguments.profile_out) {
        (Some(path), _) => path.clone(),
        (None, Some(profile)) => profile.with_extension("ca.pem"),
        (None, None) => {
            return Err(usage(
                "--tls needs a file for the certificate of its authority",
                "name it with --ca-out, or name --profile-out",
            ));
        }
    };
    std::path::absolute(&path).map(Some).map_err(|error| unusable(path.display().to_string(), &error))
}

/// Writes a file that only its owner can read, without following a link.
fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
        .map_err(io::Error::from)
        .and_then(|file| File::from(file).write_all(text.as_bytes()))
        .map_err(|error| unusable(format!("{} cannot be written", path.display()), &error))
}

/// A configuration file with one profile, ready to be used. The secrets in it are the sandbox's own and open nothing
/// else.
pub(crate) fn profile_text(sandbox: &Sandbox, ca_file: Option<&Path>, token_cache: bool) -> String {
    let mut text = String::new();
    let applications = [("base", sandbox.base_application()), ("remediation", sandbox.remediation_application())];
    let apis = [
        ("graph", sandbox.graph()),
        ("defender-xdr", sandbox.defender_xdr()),
        ("defender-endpoint", sandbox.defender_endpoint()),
    ];
    // Writing to a String cannot fail.
    let _ = writeln!(text, "default_profile = \"sandbox\"\n\n[profile.sandbox]");
    let _ = writeln!(text, "label = \"sandbox, a made-up tenant\"");
    let _ = writeln!(text, "tenant = {}", toml_text(sandbox.tenant_id()));
    let _ = writeln!(text, "authority = {}", toml_text(&sandbox.authority()));
    if let Some(path) = ca_file {
        let _ = writeln!(text, "ca_file = {}", toml_text(&path.display().to_string()));
    }
    if !token_cache {
        let _ = writeln!(text, "token_cache = false");
    }
    for (name, base_url) in apis {
        let _ = writeln!(text, "\n[profile.sandbox.apis.{name}]\nbase_url = {}", toml_text(&base_url));
    }
    for (role, application) in applications {
        let _ = writeln!(
            text,
            "\n[profile.sandbox.{role}]\nclient_id = {}\nclient_secret = {{ value = {} }}",
            toml_text(&application.client_id),
            toml_text(application.secret())
        );
    }
    text
}

/// A basic TOML string. JSON's escapes are TOML's, but for the characters that JSON may leave raw.
fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn instructions(sandbox: &Sandbox, profile: Option<&Path>) -> String {
    let file = profile.map_or_else(|| "FILE".to_owned(), |path| path.display().to_string());
    let save = if profile.is_some() { "" } else { "Save the text on standard output as FILE (mode 600), then:\n" };
    format!(
        "A made-up tenant is served at {origin}\n{save}\
         \x20 sortie --config {file} run search-incidents\n\
         Control API: {control}\n\
         It forgets everything when it ends. Ctrl-C ends it.",
        origin = sandbox.origin(),
        control = sandbox.control_url(),
        file = crate::flags::quoted(&file),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use sortie_host::config::{ConfigText, Environment, Overrides, resolve};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_profile_is_complete_and_accepted() {
        let sandbox = Sandbox::start(Config { incidents: 1, machines: 1, ..Config::default() }).unwrap();
        let text = profile_text(&sandbox, None, false);
        let overrides =
            Overrides { config_text: Some(ConfigText { name: "test".into(), text }), ..Overrides::default() };
        let profile = resolve(&overrides, &Environment::empty()).unwrap().profile;
        assert_eq!(profile.name.as_deref(), Some("sandbox"));
        assert_eq!(profile.tenant.as_deref(), Some(sandbox.tenant_id()));
        for (name, url) in [
            ("graph", sandbox.graph()),
            ("defender-xdr", sandbox.defender_xdr()),
            ("defender-endpoint", sandbox.defender_endpoint()),
        ] {
            assert_eq!(profile.apis[name].base_url.as_str(), url);
        }
        assert!(profile.base.is_some() && profile.remediation.is_some());
    }

    #[test]
    fn toml_texts_are_quoted() {
        for text in ["plain", "a\"b\\c", "tab\there", "line\nfeed", "\u{7f}\u{1b}", "ü"] {
            let parsed: toml::Table = toml::from_str(&format!("x = {}", toml_text(text))).unwrap();
            assert_eq!(parsed["x"].as_str(), Some(text));
        }
    }

    #[test]
    fn files_are_private_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.toml");
        write_file(&path, "x").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(write_file(&link, "y").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "x");
    }
}
