//! `sortie history`: what the daemon's polls did, and what it could not read. Works beside a running daemon.

use crate::command_line::{Globals, Output};
use crate::output::{Format, Shape, show};
use crate::report::{self, Ending, usage};
use crate::session::configuration;
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use sortie_daemon::{settings, store_failure};
use sortie_host::Failure;
use sortie_host::config::Environment;
use sortie_host::manifest::Column;
use sortie_store::{PollNote, Quarantined, SqliteStore, Store};
use std::path::PathBuf;

/// What to show.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The most polls to show, the newest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
    /// Which store.
    #[command(flatten)]
    place: Place,
    /// The form of the output.
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Where the store is.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// The folder of the store [env: SORTIE_STATE_DIR]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl Place {
    /// The store of the profile.
    pub(crate) fn store(&self, globals: &Globals) -> Result<PathBuf, Failure> {
        if globals.sandbox && self.state_dir.is_none() {
            return Err(usage(
                "the state of a made-up tenant is deleted with it",
                "name the folder that its daemon was given with --state-dir",
            ));
        }
        // The tenant that is made up for this has the name of the one before, and so its store.
        let (_sandbox, resolved) = configuration(globals)?;
        let environment = if globals.sandbox { Environment::empty() } else { Environment::process() };
        settings::store(self.state_dir.clone(), &resolved, &environment)
    }
}

/// Prints the newest polls.
pub(crate) fn run(arguments: &Arguments, globals: &Globals) -> Ending {
    let path = arguments.place.store(globals)?;
    let store = SqliteStore::read(&path).map_err(|error| store_failure(&error))?;
    let at_most = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    let polls = store.history(at_most).map_err(|error| store_failure(&error))?;
    let quarantined = store.quarantined().map_err(|error| store_failure(&error))?;
    let records: Vec<Value> = polls.iter().map(poll).collect();
    let reply = json!({ "quarantined": quarantined.iter().map(item).collect::<Vec<_>>() });
    let columns = [
        ("Time", "/beganAt"),
        ("Mode", "/mode"),
        ("Took (ms)", "/milliseconds"),
        ("Fetched", "/fetched"),
        ("New", "/new"),
        ("Changed", "/changed"),
        ("Passed over", "/passedOver"),
        ("Quarantined", "/quarantined"),
        ("Delivered", "/delivered"),
        ("Calls", "/calls"),
        ("Error", "/error"),
    ]
    .map(|(title, path)| Column { title: title.to_owned(), path: path.to_owned() });
    let shape = Shape { list: Some("polls"), columns: columns.into(), blocks: false };
    show(shape, &records, &reply, arguments.output, globals)?;
    if arguments.output.format() == Format::Table {
        let unreadable = |item: &Quarantined| {
            let id = if item.id.is_empty() { "without an id" } else { &item.id };
            format!("{id} cannot be read, {} times since {}: {}", item.times, time(item.first_at), item.reason)
        };
        report::warn(&quarantined.iter().map(unreadable).collect::<Vec<_>>(), globals.color);
    }
    Ok(0)
}

/// A time of the store as RFC 3339 in UTC.
pub(crate) fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

fn poll(note: &PollNote) -> Value {
    let mut poll = json!(note);
    poll["beganAt"] = json!(time(note.began_at));
    poll
}

fn item(quarantined: &Quarantined) -> Value {
    let mut item = json!(quarantined);
    item["firstAt"] = json!(time(quarantined.first_at));
    item["lastAt"] = json!(time(quarantined.last_at));
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc() {
        assert_eq!(time(1_773_144_000), "2026-03-10T12:00:00Z");
        assert_eq!(time(i64::MAX), i64::MAX.to_string());
        let shown = poll(&PollNote { mode: "poll".into(), began_at: 0, passed_over: 3, ..PollNote::default() });
        assert_eq!((shown["beganAt"].as_str(), shown["passedOver"].as_u64()), (Some("1970-01-01T00:00:00Z"), Some(3)));
    }
}
