//! `sortie run ACTION`: one run, or one a line.
//!
//! The usual call, a document on standard input and no flags of the action, does nothing that it does not need: the
//! action's schema is not even parsed. Flags of the action, and its help, come from the schema (see
//! [`crate::flags`]).

mod document;
mod each;
mod finish;
mod flagged;
mod sink;

use crate::command_line::{CommandLine, Globals, Verb, default_format};
use crate::flags::{Split, merge, split};
use crate::output::{Format, Look, Query, Shape, Style};
use crate::prompt;
use crate::report::{Ending, unusable, usage};
use crate::session::Session;
use crate::signals::{INTERRUPTED, Interruptions};
use crate::start;
use crate::terminal;
use clap::{Args, ColorChoice, Subcommand};
use document::Source;
use finish::{Telling, conclude, finish, query_failed};
pub(crate) use flagged::flags_of;
use jiff::SpanRelativeTo;
use serde_json::{Map, Value};
use sink::{Shared, Sink};
use sortie_host::manifest::Column;
use sortie_host::{Action, CancellationToken, Effect, Failure, Manifest, Mode, Progress, Run, Violation};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// A reply larger than what a pipe takes at once may have to wait for its reader; an interruption must end that.
const PIPE: usize = 60_000;

/// The member that holds the records of a list.
const RECORDS: &str = "records";

/// The member that holds what a dry run would have sent.
const PLAN: &str = "plan";

/// What to run, and how.
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    override_usage = "sortie run [OPTIONS] ACTION [FLAGS OF THE ACTION]",
    after_help = "ACTION is one of `sortie actions`; `sortie run ACTION --help` shows its flags.\n\n\
                  The input is one JSON object on standard input or in --input FILE, or flags of the action. With\n\
                  flags, standard input is read only if --input - (or --each) asks for it; the flags are then put\n\
                  over the object's members. Empty standard input is {}, where the action needs nothing.\n\n\
                  Standard output gets exactly one JSON document (or table), success or not. The exit code follows\n\
                  from the kind of the error: `sortie help exit-codes`."
)]
pub(crate) struct Arguments {
    /// The options.
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    action: Option<Named>,
}

/// An action's name, and every word after it.
#[derive(Debug, Subcommand)]
enum Named {
    #[command(external_subcommand)]
    Action(Vec<OsString>),
}

/// How to run an action. They may stand before or behind the action's name.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Options {
    /// Read the input from a file; - is standard input
    #[arg(long, value_name = "FILE", help_heading = "Run options")]
    pub(crate) input: Option<PathBuf>,
    /// Read one input a line, run them all, answer one line each, in order
    #[arg(long, help_heading = "Run options")]
    pub(crate) each: bool,
    /// How many run at once, with --each [default: 4]
    #[arg(long, value_name = "N", help_heading = "Run options",
          value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) jobs: Option<u8>,
    /// The form of the output [default: table on a terminal, else json]
    #[arg(long, short, value_name = "FORMAT", help_heading = "Run options")]
    pub(crate) output: Option<Format>,
    /// Print what this jq query makes of the document, or with jsonl of each record; texts stay JSON, in quotes
    #[arg(long, value_name = "JQ", help_heading = "Run options")]
    pub(crate) query: Option<String>,
    /// Change nothing: print the writes that would be sent; reads are sent
    #[arg(long, help_heading = "Run options")]
    pub(crate) dry_run: bool,
    /// Do not ask before a destructive action
    #[arg(long, help_heading = "Run options")]
    pub(crate) yes: bool,
    /// Your name for this intent; use the same one when trying again, so that nothing is done twice
    #[arg(long, value_name = "ID", help_heading = "Run options")]
    pub(crate) request_id: Option<String>,
    /// The deadline of the run, such as 90s or 10m [default: the profile's]
    #[arg(long, value_name = "SPAN", value_parser = span, help_heading = "Run options")]
    pub(crate) timeout: Option<Duration>,
}

impl Options {
    fn format(&self) -> Format {
        match self.output {
            Some(format) => format,
            None if self.each => Format::Jsonl,
            None => default_format(),
        }
    }

    fn mode(&self) -> Mode {
        if self.dry_run { Mode::Plan } else { Mode::Run }
    }
}

impl Arguments {
    /// The form of the output.
    pub(crate) fn format(&self) -> Format {
        self.options.format()
    }

    /// The action's name and the words after it.
    pub(crate) fn words(&self) -> &[OsString] {
        match &self.action {
            Some(Named::Action(words)) => words,
            None => &[],
        }
    }
}

/// A length of time, as the actions' spans are written.
fn span(text: &str) -> Result<Duration, String> {
    let span: Option<jiff::Span> = text.trim().parse().ok();
    span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok())
        .and_then(|length| Duration::try_from(length).ok())
        .filter(|length| !length.is_zero())
        .ok_or_else(|| "write a number with a unit, such as 90s, 10m or 2h".to_owned())
}

/// Takes the run's own arguments behind the action's name into account: they are moved before it, and the line is
/// read again. What is left is the action's.
pub(crate) fn complete(
    line: CommandLine,
    words: &[OsString],
    color: ColorChoice,
) -> Result<(CommandLine, Split), clap::Error> {
    let Verb::Run(arguments) = &line.verb else { return Ok((line, Split::default())) };
    let Some((_, rest)) = arguments.words().split_first().filter(|(_, rest)| !rest.is_empty()) else {
        return Ok((line, Split::default()));
    };
    let own = flagged::own_command();
    let split = split(rest, own.get_arguments());
    if split.own.is_empty() {
        return Ok((line, split));
    }
    let action_at = words.len() - arguments.words().len();
    let (before, from_action) = words.split_at(action_at);
    let reordered: Vec<&OsString> = before.iter().chain(&split.own).chain(from_action.first()).collect();
    let line = CommandLine::read(&reordered, color)?;
    // An option whose value is missing takes the action's name for it; read by themselves, the options say so.
    let whole = matches!(&line.verb, Verb::Run(arguments) if arguments.words().len() == 1);
    if !whole {
        own.no_binary_name(true).try_get_matches_from(&split.own)?;
    }
    Ok((line, split))
}

/// Runs the action. `rest` says what else stands behind its name.
pub(crate) fn run(arguments: &Arguments, globals: &Globals, split: &Split) -> Ending {
    let options = &arguments.options;
    let Some(name) = arguments.words().first() else {
        return Err(usage("no action is named", "`sortie actions` lists them").into());
    };
    let name = name.to_str().ok_or_else(|| usage("the action's name is not UTF-8", "`sortie actions` lists them"))?;
    let query = options.query.as_deref().map(Query::compile).transpose()?.map(Arc::new);
    if options.jobs.is_some() && !options.each {
        return Err(usage("--jobs says how many run at once with --each", "add --each or leave it out").into());
    }
    if options.each && matches!(options.format(), Format::Table | Format::Yaml) {
        return Err(usage("--each answers one line each: json or jsonl", "leave --output out").into());
    }
    let source = Source::find(options.input.as_deref(), !split.foreign.is_empty() && !options.each)?;
    let nothing_said = split.foreign.is_empty() && matches!(source, Source::None);
    let session = Session::open(globals)?;
    let action = session.host.load(name)?;
    if split.help || nothing_said {
        return flagged::help(&action, globals.color, split.help);
    }
    // Only flags of the action need its schema.
    let over = match split.foreign.as_slice() {
        [] => None,
        words => match flagged::read(&action, words) {
            Ok(over) => Some(over),
            Err(flagged::Refused::Words(error)) => return Ok(start::not_understood(&error, options.format())),
            Err(flagged::Refused::Action(failure)) => return Err(failure.into()),
        },
    };
    let job = Job { session, action, options, query, globals };
    if options.each { each::run(job, source, over.unwrap_or_default()) } else { job.once(source, over) }
}

/// The input of a run that was given none: nothing, where the action needs nothing. A scheduler has nothing to say, and
/// gives no terminal either.
fn nothing(action: &Action) -> Result<Map<String, Value>, Failure> {
    // Looked at here and, for flags, nowhere else. What the schema says beyond this is the action's to judge, as with
    // any document.
    let schema = action.input_schema()?;
    let required = schema.get("required").and_then(Value::as_array);
    if required.is_none_or(Vec::is_empty) { Ok(Map::new()) } else { Err(no_document()) }
}

fn no_document() -> Failure {
    let nothing = "there is no input: standard input or the file holds nothing";
    Failure::invalid_input(vec![Violation::new("", nothing)])
        .with_hint("give one JSON object, {} if nothing is to be said, or flags: see `sortie run ACTION --help`")
}

/// One call of `sortie run`, ready to go.
pub(crate) struct Job<'a> {
    session: Session,
    action: Arc<Action>,
    options: &'a Options,
    query: Option<Arc<Query>>,
    globals: &'a Globals,
}

impl Job<'_> {
    /// Asks before a destructive action, where somebody is there to answer.
    fn ask(&self, input: &Map<String, Value>) -> Result<(), Failure> {
        let manifest = self.action.manifest();
        let asks = manifest.effect == Effect::Destructive && !self.options.yes && !self.options.dry_run;
        if !asks || !prompt::somebody_is_there() {
            return Ok(());
        }
        prompt::confirm(manifest, input, &self.session.tenant)
    }

    /// What a run of this job looks like, without its sink.
    fn run_of(&self, input: Map<String, Value>, cancel: &CancellationToken) -> Run {
        let mut run = Run::new(Arc::clone(&self.action), Value::Object(input));
        run.mode = self.options.mode();
        run.request_id.clone_from(&self.options.request_id);
        run.timeout = self.options.timeout;
        run.cancel = cancel.clone();
        run.progress = progress();
        run
    }

    /// One run.
    fn once(mut self, source: Source, over: Option<Map<String, Value>>) -> Ending {
        let from_stdin = matches!(source, Source::Stdin);
        let input = match (source.read()?, over) {
            (None, None) if from_stdin => nothing(&self.action)?,
            (None, None) => return Err(no_document().into()),
            (document, over) => {
                let mut input = document.unwrap_or_default();
                merge(&mut input, over.unwrap_or_default());
                input
            }
        };
        self.ask(&input)?;
        let format = self.options.format();
        let plan = self.options.dry_run;
        let width = terminal::width();
        let look = Look { width, bold: self.globals.color.on(&io::stdout()) };
        let style = Style { format, person: width.is_some(), look };
        let shape = shape(self.action.manifest(), plan);
        let telling = Telling { format, list: shape.list, queried: self.query.is_some(), color: self.globals.color };
        let shared = Shared::new(terminal::data_output()?, shape, style, self.query.take());
        let runtime = runtime()?;
        let ending = runtime.block_on(async {
            let mut interruptions = Interruptions::catch().map_err(|error| unusable("signals", &error))?;
            let cancel = CancellationToken::new();
            let mut run = self.run_of(input, &cancel);
            if !plan {
                run.records = Box::new(Sink::new(&shared));
            }
            let finished = interruptions.guard(&cancel, self.session.host.run(run)).await;
            let large = finished.outcome.as_ref().is_ok_and(|reply| reply.len() > PIPE);
            if !telling.queried && !large {
                return Ok(finish(&shared, finished, telling));
            }
            // A query may take long, and a reader too: an interruption ends the process in the middle of it.
            let printing = tokio::task::spawn_blocking(move || finish(&shared, finished, telling));
            tokio::select! {
                code = printing => Ok(code.unwrap_or(1)),
                () = interruptions.next() => std::process::exit(INTERRUPTED.into()),
            }
        });
        // A thread that hangs is not waited for.
        runtime.shutdown_background();
        ending
    }
}

/// The runtime of a run: one thread, because the action has its own.
fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread().enable_all().build().map_err(|error| unusable("no runtime", &error))
}

/// Progress goes to a person, as lines of their own.
fn progress() -> Option<Progress> {
    if !io::stderr().is_terminal() {
        return None;
    }
    Some(Box::new(|text| terminal::tell(&crate::escape::visible(text))))
}

/// What the output of an action is made of.
fn shape(manifest: &Manifest, plan: bool) -> Shape {
    if plan {
        let column = |title: &str, path: &str| Column { title: title.to_owned(), path: path.to_owned() };
        return Shape {
            list: Some(PLAN),
            columns: vec![
                column("Method", "/method"),
                column("URL", "/url"),
                column("Body", "/body"),
                column("Target", "/target"),
                column("Role", "/role"),
                column("Permission", "/permissions"),
                column("Effect", "/effect"),
                column("Undo", "/undo"),
            ],
            blocks: true,
        };
    }
    let list = manifest.streams.then_some(RECORDS);
    Shape { list, columns: manifest.columns.clone(), blocks: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Color;
    use clap::Parser;

    fn completed(words: &[&str]) -> Result<(CommandLine, Split), clap::Error> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        complete(CommandLine::try_parse_from(&words)?, &words, ColorChoice::Never)
    }

    fn options(line: &CommandLine) -> &Options {
        let Verb::Run(arguments) = &line.verb else { panic!("not a run") };
        &arguments.options
    }

    #[test]
    fn own_arguments_count_wherever_they_stand() {
        let (line, split) = completed(&[
            "sortie",
            "--profile",
            "x",
            "run",
            "--dry-run",
            "isolate-machine",
            "--machine",
            "ws-042",
            "--yes",
            "--timeout=2m",
            "--comment=a b",
            "--color",
            "never",
            "--sandbox",
        ])
        .unwrap();
        let run = options(&line);
        assert!(run.dry_run && run.yes, "what stands before the name must survive");
        assert_eq!(run.timeout, Some(Duration::from_secs(120)));
        assert!(line.globals.sandbox && line.globals.color == Color::Never);
        assert_eq!(line.globals.profile.as_deref(), Some("x"));
        assert_eq!(split.foreign, ["--machine", "ws-042", "--comment=a b"].map(OsString::from));
        assert!(!split.help);
    }

    #[test]
    fn own_arguments_are_checked_wherever_they_stand() {
        assert!(completed(&["sortie", "run", "a", "--jobs", "0"]).is_err());
        assert!(completed(&["sortie", "run", "a", "--output", "xml"]).is_err());
        assert!(completed(&["sortie", "run", "--output", "json", "a", "--output", "yaml"]).is_err());
        assert!(completed(&["sortie", "run", "a", "--input"]).is_err());
        assert!(completed(&["sortie", "run", "a", "--help", "--machine"]).unwrap().1.help);
    }

    #[test]
    fn the_usual_call_is_read_once() {
        let (line, split) = completed(&["sortie", "run", "get-incident"]).unwrap();
        assert_eq!(split, Split::default());
        assert_eq!(options(&line).format(), default_format());
        let (line, _) = completed(&["sortie", "run", "get-incident", "--each"]).unwrap();
        assert_eq!(options(&line).format(), Format::Jsonl);
    }

    #[test]
    fn spans_have_a_unit() {
        assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(span(" 1h30m "), Ok(Duration::from_secs(5_400)));
        assert_eq!(span("2 days"), Ok(Duration::from_secs(172_800)));
        for wrong in ["", "10", "-5m", "0s", "soon", "1 month"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
