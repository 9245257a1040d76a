//! `sortie daemon`: the loop around `incidents-daemon`, from the command line to its end.
//!
//! What the loop does is `sortie_daemon`'s. Here its settings are put together, its store and sinks are opened in an
//! order that says what is wrong before anything is asked of the tenant, and signals are heard.

mod live;
mod serve;
mod temporary;
mod words;

use crate::command_line::Globals;
use crate::flags::Split;
use crate::output::Format;
use crate::report::{Ending, Stop, usage};
use crate::session::configuration_of;
use crate::start;
use crate::verbs::config;
use clap::Args;
use serde_json::{Map, Value};
use serve::{Again, Parts};
use sortie_daemon::settings::{self, Flags, Resolved, SinkKind, SinkSettings};
use sortie_daemon::sinks::Couriers;
use sortie_daemon::{health::Health, store_failure};
use sortie_host::config::{Environment, Origin, resolve};
use sortie_host::{Action, Failure, Host};
use sortie_store::SqliteStore;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use temporary::Temporary;
pub(crate) use words::split_off;

/// The action of the loop.
const ACTION: &str = "incidents-daemon";

/// What the made-up tenant's profile says besides: somebody looks at it, and its calls cost nothing.
const LIVELY: &str = "\n[profile.sandbox.daemon]\ninterval = \"2s\"\n";

/// How the daemon runs.
#[derive(Debug, Args)]
#[command(
    override_usage = "sortie daemon [OPTIONS] [FLAGS OF incidents-daemon]",
    after_help = "Which incidents are handed on is said by the flags of the action incidents-daemon (`sortie daemon\n\
                  --help` lists them where the action is installed), or in [profile.NAME.daemon.filters].\n\n\
                  SINK is stdout, file:PATH, webhook:URL or exec:COMMAND; a webhook that signs what it posts needs\n\
                  signing_keys, and so a profile. Standard output gets records if a sink is stdout, and nothing else:\n\
                  one line of JSON each, or a few words each on a terminal. Logs and errors go to standard error.\n\n\
                  SIGTERM and SIGINT end it in good order. SIGHUP reads the filters again; for a daemon started on a\n\
                  terminal it means that the terminal is closed, and ends it in good order."
)]
pub(crate) struct Arguments {
    /// Hand on what is due, deliver it, and end; for schedulers
    #[arg(long)]
    once: bool,
    /// Print each setting and where it came from, and end; of secrets only where they are read from
    #[arg(long)]
    show_config: bool,
    /// The form of --show-config [default: table on a terminal, else json]
    #[arg(long, short, value_name = "FORMAT", requires = "show_config")]
    output: Option<Format>,
    /// The folder of the store [env: SORTIE_STATE_DIR]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The rest between two quiet polls [default: 30s]
    #[arg(long, value_name = "SPAN", value_parser = span, allow_hyphen_values = true)]
    interval: Option<Duration>,
    /// The rest between two readings of the whole look-back [default: 1h]
    #[arg(long, value_name = "SPAN", value_parser = span, allow_hyphen_values = true)]
    sweep_interval: Option<Duration>,
    /// Serve /healthz, /readyz and /metrics there; loopback only
    #[arg(long, value_name = "ADDRESS", value_parser = loopback)]
    listen: Option<SocketAddr>,
    /// Where records go; may be repeated, and replaces the profile's sinks. Its webhooks are not signed: signing keys
    /// stand in a profile [default: stdout]
    #[arg(long, value_name = "SINK", value_parser = settings::from_specification)]
    sink: Vec<SinkKind>,
    /// Changes a second that the made-up tenant makes by itself, with --sandbox [default: 0]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    rate: Option<f64>,
}

impl Arguments {
    /// The form of the output; records have none.
    pub(crate) fn format(&self) -> Option<Format> {
        let output = crate::command_line::Output { output: self.output };
        self.show_config.then(|| output.format())
    }

    fn flags(&self, input: Map<String, Value>) -> Flags {
        Flags {
            state_dir: self.state_dir.clone(),
            interval: self.interval,
            sweep_interval: self.sweep_interval,
            listen: self.listen,
            sinks: self.sink.clone(),
            input,
        }
    }
}

fn span(text: &str) -> Result<Duration, String> {
    settings::span(text).filter(|length| !length.is_zero()).ok_or_else(|| settings::SPAN_FORMS.to_owned())
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "write it like 127.0.0.1:9180".to_owned())?;
    if address.ip().is_loopback() { Ok(address) } else { Err("it is served on this machine only".to_owned()) }
}

/// Runs until it is told to stop. `split` says what stands on the command line besides the daemon's own flags.
pub(crate) fn run(arguments: &Arguments, globals: &Globals, split: &Split) -> Ending {
    if split.help {
        return words::help(globals);
    }
    let rate = rate(arguments, globals)?;
    let (sandbox, mut profile) = configuration_of(globals, rate, LIVELY)?;
    let environment = if globals.sandbox { Environment::empty() } else { Environment::process() };
    let host = Arc::new(Host::new(profile.profile.clone()));
    let action = host.load(ACTION)?;
    let input = match words::read(&action, &split.foreign) {
        Ok(input) => input,
        Err(words::Refused::Words(error)) => return Ok(start::not_understood(&error, Format::Table)),
        Err(words::Refused::Action(failure)) => return Err(failure.into()),
    };
    let mut flags = arguments.flags(input);
    // Nobody needs the state of a tenant that is gone afterwards.
    let mut temporary = None;
    let ephemeral = globals.sandbox && flags.state_dir.is_none();
    if ephemeral && arguments.show_config {
        flags.state_dir = Some(std::env::temp_dir());
    } else if ephemeral {
        let folder = Temporary::make()?;
        flags.state_dir = Some(folder.path().to_owned());
        temporary = Some(folder);
    }
    let schema = action.input_schema()?;
    let mut told = settings::resolve(&flags, &profile, &environment, &schema)?;
    if arguments.show_config {
        for setting in told.shown.iter_mut().filter(|setting| ephemeral && setting.name == "daemon.state_dir") {
            "a temporary folder, deleted at the end".clone_into(&mut setting.value);
            setting.origin = Origin::Flag("--sandbox".into());
        }
        profile.settings.extend(told.shown);
        let output = crate::command_line::Output { output: arguments.output };
        return config::print(&profile.settings, output, globals);
    }
    let again = (!globals.sandbox).then(|| {
        let (globals, flags, told) = (globals.clone(), flags.clone(), told.clone());
        Again::new(told, move || {
            let profile = resolve(&globals.overrides(), &Environment::process())?;
            settings::resolve(&flags, &profile, &Environment::process(), &schema)
        })
    });
    let parts = open(host, action, told, arguments.once)?;
    let code = serve::serve(parts, again, &mut temporary);
    drop(sandbox);
    code
}

/// How fast the made-up tenant changes.
fn rate(arguments: &Arguments, globals: &Globals) -> Result<f64, Failure> {
    match arguments.rate {
        None => Ok(0.0),
        Some(_) if !globals.sandbox => {
            Err(usage("--rate says how fast a made-up tenant changes", "add --sandbox or leave it out"))
        }
        Some(rate) if rate.is_finite() && rate >= 0.0 => Ok(rate),
        Some(_) => Err(usage("--rate is not a number of changes a second", "give 0 or more")),
    }
}

/// Opens what the loop works with. The store comes first: that another daemon has it explains everything that would go
/// wrong after it.
fn open(host: Arc<Host>, action: Arc<Action>, told: Resolved, once: bool) -> Result<Parts, Stop> {
    let owner = format!("{ACTION}@{}", told.settings.tenant);
    let (store, fence) = SqliteStore::open(&told.store, &owner).map_err(|error| store_failure(&error))?;
    let couriers = Couriers::open(&told.settings.sinks, &host)?;
    let health = told.settings.listen.map(Health::bind).transpose()?;
    for name in unsigned(&told.settings.sinks) {
        let set = match &host.profile().name {
            Some(profile) if told.settings.replaced_sinks.is_none() => {
                format!("[profile.{profile}.daemon.sinks.{name}]")
            }
            _ => "[profile.NAME.daemon.sinks.NAME]".to_owned(),
        };
        tracing::warn!(
            sink = name,
            "what is posted is not signed, so anybody can post the like: set signing_keys in {set}"
        );
    }
    Ok(Parts { host, action, store: Arc::new(store), fence, settings: told.settings, couriers, health, once })
}

/// The webhooks without signing keys.
fn unsigned(sinks: &[SinkSettings]) -> impl Iterator<Item = &str> {
    let unsigned = |sink: &&SinkSettings| matches!(&sink.kind, SinkKind::Webhook(webhook) if webhook.keys.is_empty());
    sinks.iter().filter(unsigned).map(|sink| sink.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sortie_host::config::SecretSource;

    #[test]
    fn a_webhook_without_keys_is_noticed() {
        let sink = |name: &str, specification: &str| SinkSettings {
            name: name.to_owned(),
            kind: settings::from_specification(specification).unwrap(),
        };
        let mut sinks = vec![sink("a", "stdout"), sink("b", "webhook:https://x"), sink("c", "webhook:https://y")];
        if let SinkKind::Webhook(webhook) = &mut sinks[1].kind {
            webhook.keys.push(SecretSource::Environment("KEY".into()));
        }
        assert_eq!(unsigned(&sinks).collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn spans_and_addresses_are_checked_by_the_command_line() {
        assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(span("100ms"), Ok(Duration::from_millis(100)));
        for wrong in ["", "0s", "5", "soon", "-1m"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
        assert!(loopback("127.0.0.1:0").is_ok() && loopback("[::1]:9180").is_ok());
        for wrong in ["9180", "0.0.0.0:1", "example.com:80", "[::]:1", "10.0.0.1:9180"] {
            assert!(loopback(wrong).is_err(), "{wrong}");
        }
    }
}
