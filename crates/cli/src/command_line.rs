//! The command line as data. What each verb takes stands with the verb.

use crate::logging::Level;
use crate::output::Format;
use crate::terminal::{self, Color};
use crate::verbs::{
    actions, auth, check, completion, config, daemon, dead_letters, describe, help, history, run, sandbox, try_it,
};
use clap::{Args, ColorChoice, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use sortie_host::config::Overrides;
use std::ffi::OsStr;
use std::path::PathBuf;

/// Response and enrichment actions for Microsoft Defender XDR.
#[derive(Debug, Parser)]
#[command(
    name = "sortie",
    version,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "New here? `sortie try` walks through the main job on a made-up tenant.\n\
                  Exit codes: `sortie help exit-codes`."
)]
pub(crate) struct CommandLine {
    /// What every verb takes.
    #[command(flatten)]
    pub(crate) globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

impl CommandLine {
    /// Understands a command line. Playbooks start `sortie run` by the thousand, so for it no other verb is defined.
    /// What is not understood like that is read again with all of them, which help and errors have to know.
    pub(crate) fn read<S: AsRef<OsStr>>(words: &[S], color: ColorChoice) -> Result<Self, clap::Error> {
        let words = || words.iter().map(AsRef::as_ref);
        if words().nth(1) == Some(OsStr::new("run"))
            && let Ok(matches) = only_run().try_get_matches_from(words())
        {
            return Self::from_arg_matches(&matches);
        }
        Self::from_arg_matches(&Self::command().color(color).try_get_matches_from(words())?)
    }
}

/// The command line with one verb, without help.
fn only_run() -> Command {
    let run = run::Arguments::augment_args(Command::new("run")).disable_help_flag(true);
    Globals::augment_args(Command::new("sortie"))
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .subcommand(run)
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run an action
    Run(run::Arguments),
    /// Hand on every new and changed incident, once, until it is told to stop
    Daemon(daemon::Arguments),
    /// Show what the daemon's polls did
    History(history::Arguments),
    /// List, retry or drop the records that a sink refused for good
    DeadLetters(dead_letters::Arguments),
    /// List the actions
    Actions(actions::Arguments),
    /// Show what an action does, takes and needs
    Describe(describe::Arguments),
    /// Check credentials, permissions and reachability
    Check(check::Arguments),
    /// Show the configuration and where each value came from
    Config(config::Arguments),
    /// Forget cached tokens
    Auth(auth::Arguments),
    /// Serve a made-up tenant on this machine
    Sandbox(sandbox::Arguments),
    /// Walk through the main job on a made-up tenant, in seconds
    #[command(name = "try")]
    Try(try_it::Arguments),
    /// Print a completion script
    Completion(completion::Arguments),
    /// Help on a verb, or the table of exit codes
    Help(help::Arguments),
}

/// What every verb takes.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Globals {
    /// The profile to use [env: SORTIE_PROFILE]
    #[arg(long, value_name = "NAME", global = true, help_heading = "Global options")]
    pub(crate) profile: Option<String>,
    /// The configuration file [env: SORTIE_CONFIG]
    #[arg(long, value_name = "FILE", global = true, help_heading = "Global options")]
    pub(crate) config: Option<PathBuf>,
    /// The folder of action libraries [env: SORTIE_ACTIONS_DIR]
    #[arg(long, value_name = "DIR", global = true, help_heading = "Global options")]
    pub(crate) actions_dir: Option<PathBuf>,
    /// Where incidents are read from: graph or defender-xdr [env: SORTIE_INCIDENTS_API]
    #[arg(long, value_name = "API", global = true, help_heading = "Global options")]
    pub(crate) incidents_api: Option<String>,
    /// Use a made-up tenant inside this process; no configuration is read, nothing leaves the machine
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) sandbox: bool,
    /// How much to log on standard error [env: SORTIE_LOG] [default: warn]
    #[arg(long, value_name = "LEVEL", global = true, help_heading = "Global options")]
    pub(crate) log_level: Option<Level>,
    /// When to colour
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto", help_heading = "Global options")]
    pub(crate) color: Color,
}

impl Globals {
    /// What the flags override in the configuration.
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            profile: self.profile.clone(),
            config_file: self.config.clone(),
            actions_dir: self.actions_dir.clone(),
            incidents_api: self.incidents_api.clone(),
            ..Overrides::default()
        }
    }
}

/// The form of a verb's output.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct Output {
    /// The form of the output [default: table on a terminal, else json]
    #[arg(long, short, value_name = "FORMAT")]
    pub(crate) output: Option<Format>,
}

impl Output {
    /// The form to use.
    pub(crate) fn format(self) -> Format {
        self.output.unwrap_or_else(default_format)
    }
}

/// The table on a terminal, else JSON.
pub(crate) fn default_format() -> Format {
    if terminal::shows_data() { Format::Table } else { Format::Json }
}

impl Verb {
    /// The form of the verb's output; `None` if it prints only words.
    pub(crate) fn format(&self) -> Option<Format> {
        match self {
            Self::Run(arguments) => Some(arguments.format()),
            Self::Daemon(arguments) => arguments.format(),
            Self::History(arguments) => Some(arguments.output.format()),
            Self::DeadLetters(arguments) => Some(arguments.format()),
            Self::Actions(arguments) => Some(arguments.output.format()),
            Self::Describe(arguments) => Some(arguments.output.format()),
            Self::Check(arguments) => Some(arguments.output.format()),
            Self::Config(arguments) => Some(arguments.format()),
            Self::Auth(arguments) => Some(arguments.format()),
            Self::Sandbox(_) | Self::Try(_) | Self::Completion(_) | Self::Help(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn an_actions_flags_are_left_for_later() {
        let line = ["sortie", "--profile", "x", "run", "--dry-run", "get-incident", "--incident-id", "29", "--yes"];
        let parsed = CommandLine::try_parse_from(line).unwrap();
        assert_eq!(parsed.globals.profile.as_deref(), Some("x"));
        let Verb::Run(arguments) = parsed.verb else { panic!("not a run") };
        assert!(arguments.options.dry_run);
        assert_eq!(arguments.words(), ["get-incident", "--incident-id", "29", "--yes"]);
    }

    #[test]
    fn run_is_read_as_if_every_verb_were_defined() {
        for line in [
            &["run", "get-incident"][..],
            &["run"],
            &["run", "--output", "yaml", "--dry-run", "--profile", "x", "get-incident", "--incident-id", "29", "--yes"],
            &["run", "--color=never", "--each", "--jobs", "3", "--timeout", "2m", "x", "--", "-y"],
            &["run", "--sandbox", "--incidents-api", "defender-xdr", "x", "--help"],
            // Not understood, and help: the words are those of the whole command line.
            &["run", "--help"],
            &["run", "-h"],
            &["run", "--version", "x"],
            &["run", "--jobs", "x", "a"],
            &["run", "--bogus", "a"],
            &["run", "--output", "json", "--output", "yaml", "a"],
        ] {
            let words: Vec<&str> = ["sortie"].iter().chain(line).copied().collect();
            let shown = |read: Result<CommandLine, clap::Error>| match read {
                Ok(line) => format!("{line:?}"),
                Err(error) => error.render().to_string(),
            };
            let whole = CommandLine::try_parse_from(&words);
            assert_eq!(shown(CommandLine::read(&words, ColorChoice::Never)), shown(whole), "{line:?}");
        }
    }

    #[test]
    fn there_is_no_silent_verb() {
        assert!(CommandLine::try_parse_from(["sortie"]).is_err());
        assert!(CommandLine::try_parse_from(["sortie", "launch"]).is_err());
    }
}
