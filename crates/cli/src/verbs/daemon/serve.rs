//! The loop between its opening and its end: signals, the service manager, health, the live line.

use super::live::Live;
use super::temporary::Temporary;
use crate::report::{Ending, unusable};
use crate::signals::INTERRUPTED;
use crate::terminal;
use serde_json::{Map, Value};
use sortie_daemon::Daemon;
use sortie_daemon::health::Health;
use sortie_daemon::notify::Notifier;
use sortie_daemon::settings::{Resolved, Settings};
use sortie_daemon::sinks::Couriers;
use sortie_daemon::status::Status;
use sortie_host::config::Setting;
use sortie_host::{Action, CancellationToken, Failure, Host};
use sortie_store::{Fence, Store};
use std::sync::Arc;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Everything that the loop works with, opened.
pub(super) struct Parts {
    pub(super) host: Arc<Host>,
    pub(super) action: Arc<Action>,
    pub(super) store: Arc<dyn Store>,
    pub(super) fence: Fence,
    pub(super) settings: Settings,
    pub(super) couriers: Couriers,
    pub(super) health: Option<Health>,
    pub(super) once: bool,
}

/// Runs the loop to its end. The runtime has one thread: nearly always there is nothing to do, and the action has a
/// thread of its own.
pub(super) fn serve(parts: Parts, again: Option<Again>, temporary: &mut Option<Temporary>) -> Ending {
    let runtime = Builder::new_current_thread()
        .max_blocking_threads(8)
        .enable_all()
        .build()
        .map_err(|error| unusable("no runtime", &error))?;
    let ended = runtime.block_on(until_the_end(parts, again, temporary));
    // A thread that hangs is not waited for.
    runtime.shutdown_background();
    ended.map(|()| 0).map_err(Into::into)
}

async fn until_the_end(
    parts: Parts,
    mut again: Option<Again>,
    temporary: &mut Option<Temporary>,
) -> Result<(), Failure> {
    let caught = |kind| signal(kind).map_err(|error| unusable("signals", &error));
    let mut terminate = caught(SignalKind::terminate())?;
    let mut interrupt = caught(SignalKind::interrupt())?;
    let mut hangup = caught(SignalKind::hangup())?;
    // Asked now: afterwards there may be none any more.
    let on_terminal = terminal::has_person();
    let Parts { host, action, store, fence, settings, couriers, health, once } = parts;
    let status = Arc::new(Status::new(settings.interval.as_secs_f64()));
    let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
    if let Some(health) = health {
        tokio::spawn(health.serve(Arc::clone(&status), ended.clone()));
    }
    if let Some(notifier) = Notifier::from_environment() {
        tokio::spawn(notifier.run(Arc::clone(&status), stop.clone(), ended.clone()));
    }
    if let Some(live) = Live::on_terminal(&settings.sinks) {
        tokio::spawn(live.run(Arc::clone(&status), ended.clone()));
    }
    let (inputs, reload) = mpsc::channel(1);
    let daemon = Daemon { host, action, store, fence, settings, couriers, status, reload, stop: stop.clone(), once };
    let mut work = std::pin::pin!(daemon.run());
    let result = loop {
        tokio::select! {
            biased;
            result = &mut work => break result,
            // Comes more than once when a terminal is closed, so it never ends the process by itself.
            _ = hangup.recv() => if on_terminal { stop.cancel() } else { read_again(&mut again, &inputs) },
            _ = terminate.recv() => end(&stop, temporary),
            _ = interrupt.recv() => end(&stop, temporary),
        }
    };
    ended.cancel();
    terminal::clear_live(&mut std::io::stderr());
    result
}

/// The first signal ends the loop in good order, a second one the process.
fn end(stop: &CancellationToken, temporary: &mut Option<Temporary>) {
    if stop.is_cancelled() {
        terminal::clear_live(&mut std::io::stderr());
        temporary.take();
        std::process::exit(INTERRUPTED.into());
    }
    stop.cancel();
}

/// Reads the configuration once more.
type Read = Box<dyn Fn() -> Result<Resolved, Failure>>;

/// The settings as they are, and how to read them anew.
pub(super) struct Again {
    read: Read,
    /// What the loop does at the moment.
    known: Vec<Setting>,
    input: Map<String, Value>,
}

impl Again {
    pub(super) fn new(told: Resolved, read: impl Fn() -> Result<Resolved, Failure> + 'static) -> Self {
        Self { read: Box::new(read), known: told.shown, input: told.settings.input }
    }

    /// The new input if there is one, and what to say.
    fn look(&mut self) -> (Option<Map<String, Value>>, Vec<String>) {
        let told = match (self.read)() {
            Ok(told) => told,
            Err(failure) => {
                let hint = failure.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
                let words = format!("reload: the settings stay as they were: {}{hint}", failure.message);
                return (None, vec![words]);
            }
        };
        let mut said = Vec::new();
        let mut later = Vec::new();
        for (name, from, to) in changes(&self.known, &told.shown) {
            if at_once(&name) {
                said.push(format!("reload: {name}: {from} -> {to}"));
            } else {
                later.push(format!("reload: {name}: {from} -> {to}, from the next start on"));
            }
        }
        // What only counts from the next start on is said again until then.
        self.known.retain(|setting| !at_once(&setting.name));
        self.known.extend(told.shown.into_iter().filter(|setting| at_once(&setting.name)));
        said.append(&mut later);
        if said.is_empty() {
            said.push("reload: nothing has changed".to_owned());
        }
        let changed = told.settings.input != self.input;
        self.input.clone_from(&told.settings.input);
        (changed.then_some(told.settings.input), said)
    }
}

/// Whether a setting is a member of the step's input, which each step is given anew.
fn at_once(name: &str) -> bool {
    let key = name.strip_prefix("daemon.").unwrap_or(name);
    key.starts_with("filters.") || matches!(key, "look_back" | "overlap" | "ingest_delay" | "alerts" | "limit")
}

/// What is different: name, before, after.
fn changes(before: &[Setting], after: &[Setting]) -> Vec<(String, String, String)> {
    let value = |settings: &[Setting], name: &str| {
        settings.iter().find(|setting| setting.name == name).map_or("nothing", |setting| &setting.value).to_owned()
    };
    let mut names: Vec<&str> = before.iter().chain(after).map(|setting| setting.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| (name.to_owned(), value(before, name), value(after, name)))
        .filter(|(_, from, to)| from != to)
        .collect()
}

fn read_again(again: &mut Option<Again>, inputs: &mpsc::Sender<Map<String, Value>>) {
    let Some(again) = again else {
        terminal::tell("reload: a made-up tenant's settings do not change");
        return;
    };
    let (input, said) = again.look();
    for line in said {
        terminal::tell(&crate::escape::visible(&line));
    }
    if let Some(input) = input {
        // Full only while the loop has not yet taken the one before; then that one waits, and this one after it.
        let inputs = inputs.clone();
        tokio::spawn(async move { drop(inputs.send(input).await) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sortie_host::config::{ConfigText, Environment, Overrides, resolve};
    use std::cell::RefCell;
    use std::rc::Rc;

    fn told(text: &str) -> Result<Resolved, Failure> {
        let text = format!("[profile.p]\ntenant = 'contoso.com'\n[profile.p.daemon]\n{text}");
        let config_text = Some(ConfigText { name: "config.toml".to_owned(), text });
        let profile = resolve(&Overrides { config_text, ..Overrides::default() }, &Environment::empty())?;
        let schema = serde_json::json!({"properties": {"severity": {"type": "array"}, "lookBack": {}}});
        let flags = sortie_daemon::settings::Flags { state_dir: Some("/s".into()), ..Default::default() };
        sortie_daemon::settings::resolve(&flags, &profile, &Environment::empty(), &schema)
    }

    #[test]
    fn what_changed_is_said_and_what_is_broken_changes_nothing() {
        let text = Rc::new(RefCell::new("interval = '5s'\n[profile.p.daemon.filters]\nseverity = ['low']".to_owned()));
        let read = Rc::clone(&text);
        let mut again = Again::new(told(&text.borrow()).unwrap(), move || told(&read.borrow()));
        assert_eq!(again.look(), (None, vec!["reload: nothing has changed".to_owned()]));

        *text.borrow_mut() =
            "interval = '5s'\nlook_back = '48h'\n[profile.p.daemon.filters]\nseverity = ['high']".into();
        let (input, said) = again.look();
        assert_eq!(input.unwrap()["severity"], serde_json::json!(["high"]));
        assert_eq!(said, ["reload: daemon.filters.severity: low -> high", "reload: daemon.look_back: 24h -> 48h"]);

        *text.borrow_mut() = "intervall = '5s'".into();
        let (input, said) = again.look();
        assert_eq!(input, None);
        assert!(said[0].contains("stay as they were") && said[0].contains("did you mean `interval`?"), "{said:?}");

        *text.borrow_mut() =
            "interval = '9s'\nlook_back = '48h'\n[profile.p.daemon.filters]\nseverity = ['high']".into();
        for _ in 0..2 {
            let (input, said) = again.look();
            assert_eq!(input, None);
            assert_eq!(said, ["reload: daemon.interval: 5s -> 9s, from the next start on"]);
        }
    }
}
