//! `sortie auth logout`: forgets the access tokens that are kept between runs.

use crate::command_line::{Globals, Output};
use crate::output::{Shape, show};
use crate::report::Ending;
use crate::session::Session;
use clap::{Args, Subcommand};
use serde_json::json;

/// What to do.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

/// What to do with the tokens.
#[derive(Debug, Subcommand)]
enum Task {
    /// Delete every cached access token of this user
    Logout(Output),
}

/// Deletes them and says how many there were.
pub(crate) fn run(arguments: &Arguments, globals: &Globals) -> Ending {
    let Task::Logout(output) = &arguments.task;
    let forgotten = Session::open(globals)?.host.logout()?;
    show(Shape::default(), &[], &json!({ "forgotten": forgotten }), *output, globals)?;
    Ok(0)
}

impl Arguments {
    /// The form of the output.
    pub(crate) fn format(&self) -> crate::output::Format {
        let Task::Logout(output) = &self.task;
        output.format()
    }
}
