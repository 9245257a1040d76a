//! Telling the run's own arguments from an action's flags, without knowing the action.

use clap::{Arg, ArgAction};
use std::ffi::OsString;

/// What stands behind the action's name on the command line.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Split {
    /// The arguments that the run knows by itself, in order.
    pub(crate) own: Vec<OsString>,
    /// Everything else, in order: for this the action must be asked for its flags.
    pub(crate) foreign: Vec<OsString>,
    /// Whether `-h` or `--help` is there.
    pub(crate) help: bool,
}

/// Splits `rest`. `own` are the run's own arguments: one definition serves the parser and this.
pub(crate) fn split<'a>(rest: &[OsString], own: impl Iterator<Item = &'a Arg>) -> Split {
    let own: Vec<&Arg> = own.collect();
    let mut split = Split::default();
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        let Some(text) = word.to_str() else {
            split.foreign.push(word.clone());
            continue;
        };
        let (name, has_value) = match text.split_once('=') {
            Some((name, _)) => (name, true),
            None => (text, false),
        };
        if matches!(name, "--help" | "-h") {
            split.help = true;
            continue;
        }
        if text == "--" {
            // Behind the action's name nothing is positional, so that there is nothing to end.
            continue;
        }
        if own.iter().any(|argument| takes_value(argument) && is_attached(argument, text)) {
            split.own.push(word.clone());
            continue;
        }
        match own.iter().find(|argument| is_named(argument, name)) {
            Some(argument) => {
                split.own.push(word.clone());
                if takes_value(argument) && !has_value {
                    split.own.extend(words.next().cloned());
                }
            }
            None => match split.foreign.pop_if(|before| begins_less(text) && awaits(before)) {
                Some(mut flag) => {
                    flag.push("=");
                    flag.push(word);
                    split.foreign.push(flag);
                }
                None => split.foreign.push(word.clone()),
            },
        }
    }
    split
}

/// Whether a word is less than nothing, `-5` or `-5d`, and so a value: no flag is called like that. Whoever takes the
/// value says what is wrong with it.
fn begins_less(word: &str) -> bool {
    word.strip_prefix('-').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// Whether a word is a flag without its value.
fn awaits(word: &OsString) -> bool {
    word.to_str().is_some_and(|word| word.starts_with("--") && !word.contains('='))
}

fn is_named(argument: &Arg, name: &str) -> bool {
    if let Some(long) = name.strip_prefix("--") {
        return argument.get_long() == Some(long)
            || argument.get_all_aliases().is_some_and(|aliases| aliases.contains(&long));
    }
    let mut short = name.strip_prefix('-').unwrap_or_default().chars();
    matches!((short.next(), short.next()), (Some(letter), None) if argument.get_short() == Some(letter))
}

/// Whether a word is an option's letter with its value behind it: `-ojson`.
fn is_attached(argument: &Arg, word: &str) -> bool {
    let mut letters = word.strip_prefix('-').unwrap_or_default().chars();
    letters.next().is_some_and(|letter| letter != '-' && argument.get_short() == Some(letter))
        && letters.next().is_some_and(|next| next != '=')
}

fn takes_value(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Set | ArgAction::Append)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Split {
        let own =
            [Arg::new("output").long("output").short('o'), Arg::new("yes").long("yes").action(ArgAction::SetTrue)];
        split(&words.iter().map(OsString::from).collect::<Vec<_>>(), own.iter())
    }

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn only_the_runs_own_arguments_need_no_action() {
        for own in [&[][..], &["--yes"], &["--output", "json"], &["--output=json", "--yes"], &["-o", "--weird"]] {
            assert_eq!(of(own), Split { own: words(own), ..Split::default() }, "{own:?}");
        }
        assert!(of(&["--output"]).foreign.is_empty());
    }

    #[test]
    fn anything_else_is_the_actions() {
        for foreign in [&["--incident-id", "29"][..], &["29"], &["-x"], &["--created-after=-24h"], &["--yess"]] {
            assert_eq!(of(foreign).foreign, words(foreign), "{foreign:?}");
        }
        assert_eq!(of(&["--look-back", "-5d", "--yes"]).foreign, words(&["--look-back=-5d"]));
        assert_eq!(of(&["--a=b", "-5d"]).foreign, words(&["--a=b", "-5d"]));
        let mixed = of(&["--machine", "ws-042", "--yes", "--comment=x", "-o", "json"]);
        assert_eq!(
            mixed,
            Split {
                own: words(&["--yes", "-o", "json"]),
                foreign: words(&["--machine", "ws-042", "--comment=x"]),
                help: false
            }
        );
    }

    /// Once taken for an action's flag, it made the run leave its input unread and its format unheard.
    #[test]
    fn an_attached_value_is_the_runs_own() {
        assert_eq!(of(&["-ojson"]), Split { own: words(&["-ojson"]), ..Split::default() });
        assert_eq!(of(&["-o=json"]), Split { own: words(&["-o=json"]), ..Split::default() });
        assert_eq!(of(&["--"]), Split::default());
    }

    #[test]
    fn help_is_noticed_but_not_as_a_value() {
        assert!(of(&["--help"]).help);
        assert!(of(&["--machine", "x", "-h"]).help);
        assert!(!of(&["--output", "--help"]).help);
    }
}
