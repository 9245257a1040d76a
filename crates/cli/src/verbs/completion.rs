//! `sortie completion`: the script that completes verbs and options in a shell.

use crate::command_line::CommandLine;
use crate::report::Ending;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::io::{self, Write};

/// Which shell.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The shell: bash, zsh, fish, elvish or powershell
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(arguments: &Arguments) -> Ending {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut CommandLine::command(), "sortie", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(0)
}
