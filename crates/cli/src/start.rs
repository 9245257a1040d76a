//! From the command line to a verb, and from its end to an exit code.

use crate::command_line::{CommandLine, Globals, Verb, default_format};
use crate::flags::Split;
use crate::logging;
use crate::output::Format;
use crate::report::{self, Ending, stopped, unwritable};
use crate::terminal::Color;
use crate::verbs::{
    actions, auth, check, completion, config, daemon, dead_letters, describe, help, history, run, sandbox, try_it,
};
use clap::ColorChoice;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use sortie_host::kinds;
use std::ffi::OsString;
use std::io::{self, Write};

/// Does what the command line says.
pub(crate) fn start(words: &[OsString]) -> u8 {
    let color = color_of(words);
    let parsed = match daemon::split_off(words) {
        Some((own, split)) => CommandLine::read(&own, choice(color)).map(|line| (line, split)),
        None => CommandLine::read(words, choice(color)).and_then(|line| run::complete(line, words, choice(color))),
    };
    match parsed {
        Ok((line, split)) => {
            let format = line.verb.format();
            dispatch(line.globals, line.verb, &split).unwrap_or_else(|stop| stopped(stop, format, color))
        }
        Err(error) => {
            let runs = words.iter().any(|word| word == "run");
            let format = if runs { asked_format(words).unwrap_or_else(default_format) } else { Format::Table };
            not_understood(&error, format)
        }
    }
}

fn dispatch(globals: Globals, verb: Verb, split: &Split) -> Ending {
    logging::begin(globals.log_level)?;
    match verb {
        Verb::Run(arguments) => run::run(&arguments, &globals, split),
        Verb::Daemon(arguments) => daemon::run(&arguments, &globals, split),
        Verb::History(arguments) => history::run(&arguments, &globals),
        Verb::DeadLetters(arguments) => dead_letters::run(&arguments, &globals),
        Verb::Actions(arguments) => actions::run(&arguments, &globals),
        Verb::Describe(arguments) => describe::run(&arguments, &globals),
        Verb::Check(arguments) => check::run(&arguments, &globals),
        Verb::Config(arguments) => config::run(&arguments, &globals),
        Verb::Auth(arguments) => auth::run(&arguments, &globals),
        Verb::Sandbox(arguments) => sandbox::run(&arguments),
        Verb::Try(arguments) => try_it::run(&arguments, &globals),
        Verb::Completion(arguments) => completion::run(&arguments),
        Verb::Help(arguments) => help::run(&arguments, globals.color),
    }
}

/// Help and version were asked for, or the command line is not valid. A program that runs an action reads the error
/// document on standard output; a person reads clap's words.
pub(crate) fn not_understood(error: &clap::Error, format: Format) -> u8 {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return match error.print() {
            Ok(()) => 0,
            Err(error) => unwritable(&error),
        };
    }
    if format != Format::Table {
        if let Err(error) = writeln!(io::stdout(), "{}", report::usage_document(&first_sentence(error), &remedy(error)))
        {
            return unwritable(&error);
        }
    } else {
        // Clap knows where its words go, and whether with colour.
        let _ = error.print();
    }
    kinds::exit_code(kinds::USAGE)
}

/// The argument that was probably meant, and where to read on.
fn remedy(error: &clap::Error) -> String {
    let near = match error.get(ContextKind::SuggestedArg).or_else(|| error.get(ContextKind::SuggestedValue)) {
        Some(ContextValue::String(near)) => Some(near.clone()),
        Some(ContextValue::Strings(near)) => near.first().cloned(),
        _ => None,
    };
    let meant = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
    format!("{meant}see `sortie run --help`, and `sortie run ACTION --help` for the flags of an action")
}

/// Clap's message without its heading, its tips and the usage that follow it.
fn first_sentence(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let lines: Vec<&str> = text.split("\n\n").next().unwrap_or_default().lines().map(str::trim).collect();
    lines.join(" ")
}

/// The colour that the command line asks for, looked for before it is understood: errors in it are coloured too.
fn color_of(words: &[OsString]) -> Color {
    match value_of(words, "--color") {
        Some("always") => Color::Always,
        Some("never") => Color::Never,
        _ => Color::Auto,
    }
}

fn choice(color: Color) -> ColorChoice {
    // Clap looks at NO_COLOR and TERM by itself.
    match color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    }
}

fn asked_format(words: &[OsString]) -> Option<Format> {
    let value = value_of(words, "--output").or_else(|| value_of(words, "-o"))?;
    clap::ValueEnum::from_str(value, false).ok()
}

fn value_of<'a>(words: &'a [OsString], name: &str) -> Option<&'a str> {
    let mut found = None;
    for (at, word) in words.iter().enumerate() {
        let Some(word) = word.to_str() else { continue };
        if word == name {
            found = words.get(at + 1).and_then(|value| value.to_str());
        } else if let Some(value) = word.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) {
            found = Some(value);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn colour_and_format_are_found_in_a_command_line_that_is_not_valid() {
        let line = words(&["sortie", "run", "--nonsense", "--color=never", "--output", "yaml"]);
        assert_eq!(color_of(&line), Color::Never);
        assert_eq!(asked_format(&line), Some(Format::Yaml));
        assert_eq!(asked_format(&words(&["sortie", "run", "-o"])), None);
    }

    #[test]
    fn the_message_is_one_sentence() {
        let error = CommandLine::command().try_get_matches_from(["sortie", "run", "--jobs", "x", "a"]).unwrap_err();
        let sentence = first_sentence(&error);
        assert!(
            sentence.contains("--jobs") && !sentence.contains('\n') && !sentence.starts_with("error"),
            "{sentence}"
        );
    }
}
