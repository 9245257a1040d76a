//! The command line of `sortie daemon`: its own flags, and those that the action's schema makes.

use super::{ACTION, Arguments};
use crate::command_line::{CommandLine, Globals};
use crate::flags::{Flag, Split, arguments, flags, input, split};
use crate::report::Ending;
use crate::session::configuration;
use clap::{Arg, Args, Command, CommandFactory};
use serde_json::{Map, Value};
use sortie_host::{Action, Failure, Host};
use std::ffi::OsString;
use std::io::{self, Write};
use std::sync::Arc;

/// The verb.
const VERB: &str = "daemon";

/// Members of the action's input that the loop sets itself.
const LOOPS_OWN: [&str; 2] = ["mode", "cursor"];

/// Why words are not an input.
#[derive(Debug)]
pub(crate) enum Refused {
    /// They are not the action's flags.
    Words(Box<clap::Error>),
    /// The action's schema is not usable.
    Action(Failure),
}

/// If the verb is the daemon: the command line without what only the action can understand, and that.
pub(crate) fn split_off(words: &[OsString]) -> Option<(Vec<OsString>, Split)> {
    let at = words.iter().position(|word| word == VERB)?;
    let (before, rest) = words.split_at(at + 1);
    // It is the verb, and no value or topic that is called so, if the words up to it are a command line.
    let verb = Globals::augment_args(Command::new("sortie"))
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .subcommand(Command::new(VERB).disable_help_flag(true));
    verb.try_get_matches_from(before).ok()?;
    let split = split(rest, own_command().get_arguments());
    Some((before.iter().chain(&split.own).cloned().collect(), split))
}

/// The daemon's own arguments.
fn own_command() -> Command {
    Globals::augment_args(Arguments::augment_args(Command::new(VERB)))
}

/// The action's flags, without those of the members that the loop sets.
fn flags_of(action: &Action) -> Result<Vec<Flag>, Failure> {
    let own = own_command();
    let taken = |name: &str| {
        matches!(name, "help" | "version") || own.get_arguments().any(|argument| argument.get_long() == Some(name))
    };
    let mut flags = flags(&action.input_schema()?, &taken);
    flags.retain(|flag| !flag.path.first().is_some_and(|member| LOOPS_OWN.contains(&member.as_str())));
    Ok(flags)
}

/// The input that the words say.
pub(super) fn read(action: &Action, words: &[OsString]) -> Result<Map<String, Value>, Refused> {
    if words.is_empty() {
        return Ok(Map::new());
    }
    let flags = flags_of(action).map_err(Refused::Action)?;
    let hidden = |argument: &Arg| argument.clone().hide(true);
    let own = own_command();
    // The daemon's own are known here for suggestions only; each has been read already.
    let command = Command::new(VERB)
        .bin_name("sortie daemon")
        .no_binary_name(true)
        .args(arguments(&flags))
        .args(own.get_arguments().map(hidden))
        .override_usage("sortie daemon [OPTIONS] [FLAGS OF incidents-daemon]");
    let matches = command.try_get_matches_from(words).map_err(|error| Refused::Words(Box::new(error)))?;
    Ok(input(&flags, &matches))
}

/// Prints the help; with the action's flags, where the action can be asked.
pub(super) fn help(globals: &Globals) -> Ending {
    let mut whole = CommandLine::command();
    whole.build();
    let Some(command) = whole.find_subcommand_mut(VERB) else { return Ok(0) };
    // Help is for those who have no configuration yet, too.
    let flags = action(globals).and_then(|action| flags_of(&action)).unwrap_or_default();
    let mut command =
        command.clone().args(arguments(&flags).into_iter().map(|flag| flag.help_heading("Which incidents")));
    let text = command.render_help();
    let mut stdout = io::stdout().lock();
    if globals.color.on(&io::stdout()) {
        write!(stdout, "{}", text.ansi())?;
    } else {
        write!(stdout, "{text}")?;
    }
    Ok(0)
}

fn action(globals: &Globals) -> Result<Arc<Action>, Failure> {
    // No tenant is made up for a page of help.
    let globals = Globals { sandbox: false, ..globals.clone() };
    let (_, resolved) = configuration(&globals)?;
    Host::new(resolved.profile).load(ACTION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::Verb;
    use clap::ColorChoice;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn split_line(line: &[&str]) -> Option<(Vec<OsString>, Split)> {
        split_off(&words(line))
    }

    #[test]
    fn the_verb_is_found_and_nothing_that_is_only_called_so() {
        for line in [
            &["sortie", "help", "daemon"][..],
            &["sortie", "--profile", "daemon", "actions"],
            &["sortie", "run", "daemon"],
            &["sortie", "--bogus", "daemon"],
            &["sortie"],
        ] {
            assert!(split_line(line).is_none(), "{line:?}");
        }
        assert!(split_line(&["sortie", "--profile", "x", "daemon"]).is_some());
    }

    #[test]
    fn own_flags_and_the_actions_may_stand_in_any_order() {
        let (own, split) = split_line(&[
            "sortie",
            "--color=never",
            "daemon",
            "--severity",
            "high",
            "--once",
            "--interval",
            "5s",
            "--title-exclude=x",
            "--sink",
            "file:/a",
            "--sandbox",
            "--rate",
            "5",
            "--no-alerts",
        ])
        .unwrap();
        assert_eq!(split.foreign, words(&["--severity", "high", "--title-exclude=x", "--no-alerts"]));
        let line = CommandLine::read(&own, ColorChoice::Never).unwrap();
        let Verb::Daemon(arguments) = &line.verb else { panic!("not the daemon") };
        assert!(arguments.once && line.globals.sandbox);
        assert_eq!(arguments.rate, Some(5.0));
        assert_eq!(arguments.sink.len(), 1);
        assert!(split_line(&["sortie", "daemon", "--severity", "high", "-h"]).unwrap().1.help);
    }

    #[test]
    fn own_flags_are_checked() {
        for wrong in [&["--interval", "soon"][..], &["--sink", "smtp:x"], &["--listen", "0.0.0.0:80"], &["-o", "json"]]
        {
            let line: Vec<&str> = ["sortie", "daemon"].iter().chain(wrong).copied().collect();
            let (own, _) = split_line(&line).unwrap();
            assert!(CommandLine::read(&own, ColorChoice::Never).is_err(), "{wrong:?}");
        }
    }
}
