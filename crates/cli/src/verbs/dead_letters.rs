//! `sortie dead-letters`: the records that a sink refused for good. Works beside a running daemon.

use super::history::{Place, time};
use crate::command_line::{Globals, Output};
use crate::output::{Format, Look, Printer, Shape, Style, show};
use crate::report::{Ending, Stop, usage};
use crate::terminal;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};
use sortie_daemon::store_failure;
use sortie_host::manifest::Column;
use sortie_host::{Failure, kinds};
use sortie_store::{DeadLetter, SqliteStore, Store};
use std::io::{self, BufWriter};

/// How many are read, retried or dropped at once: their records may be large, and a daemon writes meanwhile.
const BATCH: usize = 200;

/// What to do with them.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

/// What to do with them.
#[derive(Debug, Subcommand)]
enum Task {
    /// Show them, the oldest first; with --output json and jsonl each with its record
    List(List),
    /// Put them back behind everything that waits for their sink
    Retry(Selection),
    /// Delete them
    Drop(Selection),
}

/// Which to show.
#[derive(Debug, Args)]
struct List {
    /// Those of one sink only
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    output: Output,
}

/// Which to retry or drop.
#[derive(Debug, Args)]
struct Selection {
    /// Their numbers, as `list` shows them
    #[arg(value_name = "NUMBER", conflicts_with_all = ["sink", "all"])]
    numbers: Vec<i64>,
    /// All of one sink
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
    /// All, or with --sink all of that sink
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    output: Output,
}

impl Arguments {
    /// The form of the output.
    pub(crate) fn format(&self) -> Format {
        match &self.task {
            Task::List(list) => list.output.format(),
            Task::Retry(selection) | Task::Drop(selection) => selection.output.format(),
        }
    }
}

/// Does it.
pub(crate) fn run(arguments: &Arguments, globals: &Globals) -> Ending {
    match &arguments.task {
        Task::List(list) => show_all(list, globals),
        Task::Retry(selection) => {
            let now = Timestamp::now().as_second();
            settle(selection, globals, "retried", |store, numbers| store.retry_dead_letters(numbers, now))
        }
        Task::Drop(selection) => {
            settle(selection, globals, "dropped", |store, numbers| store.drop_dead_letters(numbers))
        }
    }
}

fn show_all(list: &List, globals: &Globals) -> Ending {
    let store = SqliteStore::read(&list.place.store(globals)?).map_err(|error| store_failure(&error))?;
    let columns = [
        ("Number", "/number"),
        ("Sink", "/sink"),
        ("Type", "/type"),
        ("Id", "/id"),
        ("Reason", "/reason"),
        ("Attempts", "/attempts"),
        ("At", "/at"),
    ]
    .map(|(title, path)| Column { title: title.to_owned(), path: path.to_owned() });
    let width = terminal::width();
    let look = Look { width, bold: globals.color.on(&io::stdout()) };
    let style = Style { format: list.output.format(), person: width.is_some(), look };
    let shape = Shape { list: Some("deadLetters"), columns: columns.into(), blocks: false };
    // Written as they are read: there may be many, with whole incidents in them.
    let mut printer = Printer::new(BufWriter::new(terminal::data_output()?), shape, style, None);
    let ended = each(&store, list.sink.as_deref(), |letters| {
        letters.iter().try_for_each(|letter| printer.record(&document(letter).to_string())).map_err(Stop::from)
    });
    match ended {
        Ok(()) => printer.success("{}").map(|()| 0).map_err(|ended| match ended {
            crate::output::Ended::Output(error) => error.into(),
            crate::output::Ended::Query(reason) => io::Error::other(reason).into(),
        }),
        Err(stop) => Err(stop),
    }
}

/// Hands over all letters of a sink, or of every sink, batch by batch.
fn each(
    store: &dyn Store,
    sink: Option<&str>,
    mut take: impl FnMut(&[DeadLetter]) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut after = 0;
    loop {
        let letters = store.dead_letters(sink, after, BATCH).map_err(|error| store_failure(&error))?;
        let Some(last) = letters.last() else { return Ok(()) };
        after = last.number;
        take(&letters)?;
    }
}

fn document(letter: &DeadLetter) -> Value {
    let mut document = json!(letter);
    document["at"] = json!(time(letter.at));
    // Written by the daemon, so it is JSON; if not, it is shown as the text it is.
    document["record"] = serde_json::from_str(&letter.record).unwrap_or_else(|_| json!(letter.record));
    document
}

fn settle(
    selection: &Selection,
    globals: &Globals,
    done: &str,
    work: impl Fn(&dyn Store, &[i64]) -> sortie_store::Result<u64>,
) -> Ending {
    if selection.numbers.is_empty() && selection.sink.is_none() && !selection.all {
        let hint = "give their numbers, --sink NAME or --all; `sortie dead-letters list` shows them";
        return Err(usage("it is not said which dead letters", hint).into());
    }
    let store = SqliteStore::amend(&selection.place.store(globals)?).map_err(|error| store_failure(&error))?;
    let mut count = 0;
    if selection.numbers.is_empty() {
        // Those that there are now: what becomes one meanwhile was not meant.
        let mut numbers = Vec::new();
        each(&store, selection.sink.as_deref(), |letters| {
            numbers.extend(letters.iter().map(|letter| letter.number));
            Ok(())
        })?;
        for numbers in numbers.chunks(BATCH) {
            count += work(&store, numbers).map_err(|error| store_failure(&error))?;
        }
    } else {
        let mut numbers = selection.numbers.clone();
        numbers.sort_unstable();
        numbers.dedup();
        count = work(&store, &numbers).map_err(|error| store_failure(&error))?;
        if count == 0 {
            return Err(Failure::new(kinds::NOT_FOUND, "there are no dead letters of these numbers")
                .with_hint("`sortie dead-letters list` shows them")
                .into());
        }
    }
    show(Shape::default(), &[], &json!({ done: count }), selection.output, globals)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::CommandLine;
    use clap::Parser;

    #[test]
    fn numbers_and_sinks_are_two_ways_to_say_which() {
        for (line, right) in [
            (&["list", "--sink", "soar"][..], true),
            (&["retry", "3", "4"], true),
            (&["drop", "--sink", "soar"], true),
            (&["drop", "--all"], true),
            (&["retry", "3", "--all"], false),
            (&["retry", "3", "--sink", "x"], false),
            (&["drop", "x"], false),
            (&[], false),
        ] {
            let words = ["sortie", "dead-letters"].iter().chain(line);
            assert_eq!(CommandLine::try_parse_from(words).is_ok(), right, "{line:?}");
        }
    }

    #[test]
    fn a_letter_is_shown_with_its_record() {
        let letter = DeadLetter {
            number: 1,
            sink: "soar".into(),
            id: "1001".into(),
            key: "t/1001/f".into(),
            kind: "incident.created".into(),
            reason: "answered 400".into(),
            attempts: 1,
            at: 0,
            record: r#"{"type":"incident.created","id":"1001"}"#.into(),
        };
        let shown = document(&letter);
        assert_eq!(shown["record"]["id"], "1001");
        assert_eq!(
            (shown["at"].as_str(), shown["type"].as_str()),
            (Some("1970-01-01T00:00:00Z"), Some("incident.created"))
        );
        assert_eq!(document(&DeadLetter { record: "torn".into(), ..letter })["record"], "torn");
    }
}
