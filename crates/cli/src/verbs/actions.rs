//! `sortie actions`: what is in the actions folder. `sortie actions lock`: accept it as it is.

use crate::command_line::{Globals, Output};
use crate::output::{Shape, show};
use crate::report::Ending;
use crate::session::Session;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use sortie_host::manifest::Column;
use sortie_host::{Action, Failure, Permission};
use std::collections::BTreeSet;

/// What to do with the actions.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The form of the output.
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(subcommand)]
    task: Option<Task>,
}

/// What to do instead of listing.
#[derive(Debug, Subcommand)]
enum Task {
    /// Accept every library as it is now: write actions.lock; others are refused from then on
    Lock,
}

/// Lists or locks.
pub(crate) fn run(arguments: &Arguments, globals: &Globals) -> Ending {
    let session = Session::open(globals)?;
    match arguments.task {
        None => list(&session, arguments, globals),
        Some(Task::Lock) => lock(&session, arguments, globals),
    }
}

/// Every action, the broken ones too: one of them does not hide the others.
fn list(session: &Session, arguments: &Arguments, globals: &Globals) -> Ending {
    let catalog = session.host.catalog()?;
    let locked = catalog.lock_file().exists();
    let surface = &session.host.profile().incidents_api;
    let mut first_failure = None;
    let mut usable = 0;
    let mut records = Vec::new();
    for name in session.host.names()? {
        records.push(match session.host.load(&name) {
            Ok(action) => {
                usable += 1;
                entry(&action, surface, locked)
            }
            Err(failure) => {
                let entry = broken(&name, &catalog.file(&name)?.display().to_string(), &failure);
                first_failure.get_or_insert(failure);
                entry
            }
        });
    }
    if records.is_empty() {
        return Err(no_actions(&catalog.folder().display().to_string()).into());
    }
    let reply = json!({ "folder": catalog.folder().display().to_string(), "locked": locked });
    show(
        Shape { list: Some("actions"), columns: columns(first_failure.is_some()), blocks: false },
        &records,
        &reply,
        arguments.output,
        globals,
    )?;
    Ok(if usable > 0 { 0 } else { first_failure.map_or(0, |failure| failure.exit_code()) })
}

fn columns(some_are_broken: bool) -> Vec<Column> {
    let columns = [
        ("Name", "/name"),
        ("Kind", "/kind"),
        ("Effect", "/effect"),
        ("Permissions", "/permissions"),
        ("Problem", "/error/message"),
    ];
    let shown = if some_are_broken { &columns[..] } else { &columns[..columns.len() - 1] };
    shown.iter().map(|(title, path)| Column { title: (*title).to_owned(), path: (*path).to_owned() }).collect()
}

/// What there is when the folder holds nothing.
pub(crate) fn no_actions(folder: &str) -> Failure {
    Failure::configuration(
        format!("{folder} holds no actions"),
        "in a build tree `cargo build --workspace` (or with --release) makes them; else name their folder with --actions-dir",
    )
}

fn entry(action: &Action, surface: &str, locked: bool) -> Value {
    let manifest = action.manifest();
    // The least that will do for each call on the chosen surface.
    let permissions: BTreeSet<&str> =
        manifest.calls_on(surface).filter_map(|call| call.permissions.first()).map(Permission::as_str).collect();
    json!({
        "name": manifest.name,
        "title": manifest.title,
        "version": manifest.version,
        "kind": manifest.kind,
        "effect": manifest.effect,
        "surfaces": manifest.surfaces,
        "streams": manifest.streams,
        "permissions": permissions,
        "library": action.path().display().to_string(),
        "locked": locked,
    })
}

fn broken(name: &str, library: &str, failure: &Failure) -> Value {
    json!({ "name": name, "library": library, "error": failure })
}

fn lock(session: &Session, arguments: &Arguments, globals: &Globals) -> Ending {
    let catalog = session.host.catalog()?;
    let accepted = catalog.lock()?;
    let records: Vec<Value> = accepted.iter().map(|accepted| json!(accepted)).collect();
    let columns = [("Action", "/action"), ("SHA-256", "/sha256"), ("Changed", "/changed")]
        .map(|(title, path)| Column { title: title.to_owned(), path: path.to_owned() });
    let shape = Shape { list: Some("accepted"), columns: columns.into(), blocks: false };
    let reply = json!({ "lock": catalog.lock_file().display().to_string() });
    show(shape, &records, &reply, arguments.output, globals)?;
    Ok(0)
}
