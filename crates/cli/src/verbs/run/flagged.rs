//! What needs the action's schema: its flags and its help.

use crate::command_line::Globals;
use crate::flags::{Flag, arguments, flags, input};
use crate::page;
use crate::report::Ending;
use crate::terminal::Color;
use clap::{Arg, ArgAction, Args, Command};
use serde_json::{Map, Value};
use sortie_host::Action;
use sortie_host::Failure;
use sortie_host::kinds;
use std::ffi::OsString;
use std::io::{self, Write};

use super::Options;

/// Why words behind an action's name are not an input.
#[derive(Debug)]
pub(crate) enum Refused {
    /// They are not the action's flags.
    Words(Box<clap::Error>),
    /// The action's schema is not usable.
    Action(Failure),
}

/// The run's own arguments, as they may stand behind an action's name.
pub(crate) fn own_command() -> Command {
    Globals::augment_args(Options::augment_args(Command::new("run")))
}

/// The flags of an action.
pub(crate) fn flags_of(action: &Action) -> Result<Vec<Flag>, Failure> {
    let own = own_command();
    let taken = |name: &str| {
        matches!(name, "help" | "version") || own.get_arguments().any(|argument| argument.get_long() == Some(name))
    };
    Ok(flags(&action.input_schema()?, &taken))
}

/// The input that an action's flags describe.
pub(crate) fn read(action: &Action, words: &[OsString]) -> Result<Map<String, Value>, Refused> {
    let flags = flags_of(action).map_err(Refused::Action)?;
    let matches = command(action, &flags)
        .no_binary_name(true)
        .try_get_matches_from(words)
        .map_err(|error| Refused::Words(Box::new(error)))?;
    Ok(input(&flags, &matches))
}

fn command(action: &Action, flags: &[Flag]) -> Command {
    let name = action.name().to_owned();
    let command = Command::new(name.clone())
        .bin_name(format!("sortie run {name}"))
        .max_term_width(100)
        .args(arguments(flags))
        .disable_help_flag(true)
        .arg(
            Arg::new("help")
                .long("help")
                .short('h')
                .help("Print this help")
                .action(ArgAction::Help)
                .help_heading("Run options")
                .display_order(1000),
        )
        .override_usage(format!("sortie run {name} [FLAGS] [OPTIONS] [< INPUT.json]"));
    let globals = Globals::augment_args(Command::new("globals"));
    // They are the same everywhere; here they only have to be known, for suggestions.
    Options::augment_args(command).args(globals.get_arguments().cloned().map(|argument| argument.hide(true)))
}

/// Prints an action's help: asked for on standard output, else on standard error with the exit code of a mistake.
pub(crate) fn help(action: &Action, color: Color, asked: bool) -> Ending {
    let flags = flags_of(action)?;
    let manifest = action.manifest();
    let mut command = command(action, &flags).about(page::heading(manifest)).after_help(format!(
        "{}\n{}",
        page::needs(manifest),
        page::examples(manifest, &flags)
    ));
    let text = command.render_help();
    let colored = if asked { color.on(&io::stdout()) } else { color.on(&io::stderr()) };
    let text = if colored { text.ansi().to_string() } else { text.to_string() };
    if asked {
        io::stdout().lock().write_all(text.as_bytes())?;
        return Ok(0);
    }
    crate::terminal::tell(text.trim_end());
    Ok(kinds::exit_code(kinds::USAGE))
}
