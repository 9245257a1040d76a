//! `sortie config show`: each value of the configuration and where it came from.

use crate::command_line::{Globals, Output};
use crate::output::{Format, Shape, show};
use crate::report::Ending;
use crate::session::configuration;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use sortie_daemon::settings;
use sortie_host::config::Setting;
use sortie_host::manifest::Column;

/// What to do.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
enum Task {
    /// Print each value and where it came from; of secrets only where they are read from
    Show(Output),
}

impl Arguments {
    /// The form of the output.
    pub(crate) fn format(&self) -> Format {
        let Task::Show(output) = &self.task;
        output.format()
    }
}

/// Prints them.
pub(crate) fn run(arguments: &Arguments, globals: &Globals) -> Ending {
    let Task::Show(output) = &arguments.task;
    let (_sandbox, resolved) = configuration(globals)?;
    let mut settings = resolved.settings.clone();
    settings.extend(settings::shown(&resolved)?);
    print(&settings, *output, globals)
}

/// Prints settings with their origins.
pub(crate) fn print(settings: &[Setting], output: Output, globals: &Globals) -> Ending {
    let records: Vec<Value> = settings.iter().map(|setting| json!(setting)).collect();
    let columns = [("Setting", "/name"), ("Value", "/value"), ("From", "/origin")]
        .map(|(title, path)| Column { title: title.to_owned(), path: path.to_owned() });
    let shape = Shape { list: Some("settings"), columns: columns.into(), blocks: false };
    show(shape, &records, &json!({}), output, globals)?;
    Ok(0)
}
