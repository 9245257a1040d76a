//! `sortie help`: a verb's help, or the table of exit codes.

use crate::command_line::CommandLine;
use crate::exit_codes;
use crate::report::{Ending, usage};
use crate::terminal::Color;
use clap::{Args, CommandFactory};
use std::io::{self, Write};

/// The topic that is no verb.
const EXIT_CODES: &str = "exit-codes";

/// On what.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A verb, such as `run` or `config show`, or `exit-codes`
    #[arg(value_name = "TOPIC")]
    topic: Vec<String>,
}

/// Prints the help.
pub(crate) fn run(arguments: &Arguments, color: Color) -> Ending {
    let mut stdout = io::stdout().lock();
    if arguments.topic == [EXIT_CODES] {
        stdout.write_all(exit_codes::page().as_bytes())?;
        return Ok(0);
    }
    let mut command = CommandLine::command();
    command.build();
    let mut found = &mut command;
    for name in &arguments.topic {
        found = found.find_subcommand_mut(name).ok_or_else(|| {
            usage(
                format!("there is no help on {}", arguments.topic.join(" ")),
                format!(
                    "`sortie help` lists the verbs; `sortie help {EXIT_CODES}` is the table of exit codes; \
                         `sortie run ACTION --help` is about an action"
                ),
            )
        })?;
    }
    let text = found.render_long_help();
    if color.on(&io::stdout()) {
        write!(stdout, "{}", text.ansi())?;
    } else {
        write!(stdout, "{text}")?;
    }
    Ok(0)
}
