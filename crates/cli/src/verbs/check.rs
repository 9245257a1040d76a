//! `sortie check`: what works and what is missing, before an incident needs it.

use crate::command_line::{Globals, Output};
use crate::escape::visible;
use crate::output::{Format, Look, Rows, Shape, show};
use crate::report::{self, Ending, unusable};
use crate::session::Session;
use crate::signals::Interruptions;
use crate::terminal;
use clap::Args;
use serde_json::{Value, json};
use sortie_host::check::{Granted, Report};
use sortie_host::manifest::Column;
use sortie_host::{Action, CancellationToken, Failure, Permission, kinds};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Builder;

/// How long a check may take, unless the profile gives a run less.
const LONGEST: Duration = Duration::from_secs(60);

/// What to check.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The actions to check [default: all]
    #[arg(value_name = "ACTION")]
    actions: Vec<String>,
    /// The form of the output.
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Checks, prints what was found, and returns the exit code of the first thing that is missing.
pub(crate) fn run(arguments: &Arguments, globals: &Globals) -> Ending {
    let session = Session::open(globals)?;
    let (actions, unusable_actions) = actions(&session, &arguments.actions)?;
    let timeout = session.host.profile().run_timeout.min(LONGEST);
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| unusable("no runtime", &error))?;
    let report = runtime.block_on(async {
        let mut interruptions = Interruptions::catch().map_err(|error| unusable("signals", &error))?;
        let cancel = CancellationToken::new();
        let report = interruptions.guard(&cancel, session.host.check(&actions, timeout, &cancel)).await;
        if cancel.is_cancelled() {
            return Err(Failure::new(kinds::CANCELLED, "the check was interrupted"));
        }
        Ok(report)
    });
    runtime.shutdown_background();
    let report = report?;
    let failure = unusable_actions.first().cloned().or_else(|| report.failure());
    if arguments.output.format() == Format::Table {
        print(&report, globals)?;
        for failure in unusable_actions.iter().chain(report.failure().iter()) {
            report::tell(failure, None, globals.color);
        }
    } else {
        let mut document = json!(report);
        document["ready"] = json!(failure.is_none());
        if let Some(failure) = &failure {
            document["error"] = json!(failure);
        }
        show(Shape::default(), &[], &document, arguments.output, globals)?;
    }
    Ok(failure.map_or(0, |failure| failure.exit_code()))
}

/// The actions that are named, or all; those that cannot be opened are told apart when nobody named them.
fn actions(session: &Session, named: &[String]) -> Result<(Vec<Arc<Action>>, Vec<Failure>), Failure> {
    if !named.is_empty() {
        let found = named.iter().map(|name| session.host.load(name)).collect::<Result<_, _>>()?;
        return Ok((found, Vec::new()));
    }
    let (mut found, mut broken) = (Vec::new(), Vec::new());
    for name in session.host.names()? {
        match session.host.load(&name) {
            Ok(action) => found.push(action),
            Err(failure) => broken.push(failure),
        }
    }
    if found.is_empty() && broken.is_empty() {
        return Err(super::actions::no_actions(&session.host.catalog()?.folder().display().to_string()));
    }
    Ok((found, broken))
}

/// Three tables: tokens, APIs, actions.
fn print(report: &Report, globals: &Globals) -> io::Result<()> {
    let look = Look { width: terminal::width(), bold: globals.color.on(&io::stdout()) };
    let mut out = BufWriter::new(terminal::data_output()?);
    let tokens = report.tokens.iter().map(|token| {
        let outcome = match (&token.error, &token.grants) {
            (Some(failure), _) => failure.message.clone(),
            (None, Some(grants)) if grants.is_empty() => "no permissions".to_owned(),
            (None, Some(grants)) => grants.join(", "),
            (None, None) => "permissions cannot be read".to_owned(),
        };
        json!({ "Application": token.role, "API": token.api, "Token": outcome })
    });
    table(&["Application", "API", "Token"], tokens, look, &mut out)?;
    let apis = report.apis.iter().map(|api| {
        let outcome = match (&api.error, &api.call) {
            (Some(failure), _) => failure.message.clone(),
            (None, None) => "not called: no action has a call that suits".to_owned(),
            (None, Some(_)) => "answered".to_owned(),
        };
        let time = api.milliseconds.map(|time| format!("{time} ms"));
        json!({ "API": api.api, "Call": api.call, "Answer": outcome, "Time": time })
    });
    out.write_all(b"\n")?;
    table(&["API", "Call", "Answer", "Time"], apis, look, &mut out)?;
    let actions = report.actions.iter().flat_map(|action| {
        action.calls.iter().map(|call| {
            let permissions: Vec<&str> = call.permissions.iter().map(Permission::as_str).collect();
            let granted = match call.granted {
                Granted::Yes => "yes",
                Granted::No => "MISSING",
                Granted::Unknown => "unknown",
                Granted::NoToken => "no token",
            };
            json!({ "Action": action.action, "Call": call.call, "Application": call.role,
                "Permission": permissions.join(" or "), "Granted": granted })
        })
    });
    out.write_all(b"\n")?;
    table(&["Action", "Call", "Application", "Permission", "Granted"], actions, look, &mut out)?;
    let ready = report.actions.iter().filter(|action| action.ready).count();
    writeln!(out, "\n{ready} of {} actions are ready.", report.actions.len())?;
    for action in report.actions.iter().filter(|action| !action.ready) {
        writeln!(out, "Not ready: {}", visible(&action.action))?;
    }
    out.flush()
}

fn table(titles: &[&str], rows: impl Iterator<Item = Value>, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let columns = titles.iter().map(|title| Column { title: (*title).to_owned(), path: format!("/{title}") }).collect();
    let mut table = Rows::new(columns, look);
    for row in rows {
        table.push(&row.to_string(), out)?;
    }
    table.flush(out)
}
