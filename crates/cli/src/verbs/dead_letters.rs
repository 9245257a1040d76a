//! `sortie dead-letters`: the records that a sink refused for good. Works beside a running daemon.

use super::history::{Place, time};
use crate::command_line::{Globals, Output};
use crate::output::{Format, Look, Printer, Shape, Style, show};
use crate::report::{self, Ending, Stop, usage};
use crate::terminal;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};
use sortie_daemon::store_failure;
use sortie_host::manifest::Column;
use sortie_host::{Failure, kinds};
use sortie_store::{DeadLetter, SqliteStore, Store};
use std::collections::BTreeSet;
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
    /// Put them back behind everything that waits for their sink; those of a sink that is not configured stay
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
        Task::Retry(selection) => retry(selection, globals),
        Task::Drop(selection) => discard(selection, globals),
    }
}

fn show_all(list: &List, globals: &Globals) -> Ending {
    let store = SqliteStore::read(&list.place.store(globals)?).map_err(|error| store_failure(&error))?;
    check(&store, list.sink.as_deref())?;
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

/// Refuses the name of a sink that the store has never heard of, which is misspelt most likely.
fn check(store: &dyn Store, sink: Option<&str>) -> Result<(), Stop> {
    let Some(sink) = sink else { return Ok(()) };
    let mut known = active(store)?;
    if known.contains(sink) || store.dead_letters(Some(sink), 0, 1).map_err(|error| store_failure(&error))?.len() == 1 {
        return Ok(());
    }
    each(store, None, |letters| {
        known.extend(letters.iter().map(|letter| letter.sink.clone()));
        Ok(())
    })?;
    let hint = if known.is_empty() {
        "this store knows no sinks yet".to_owned()
    } else {
        format!("known are {}", join(&known))
    };
    Err(Failure::new(kinds::NOT_FOUND, format!("there is no sink {sink} in this store")).with_hint(hint).into())
}

/// The sinks that the daemon was started with last.
fn active(store: &dyn Store) -> Result<BTreeSet<String>, Failure> {
    let backlog = store.backlog().map_err(|error| store_failure(&error))?;
    Ok(backlog.sinks.into_iter().map(|sink| sink.name).collect())
}

fn join(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// What is selected: a number, and whose it is.
struct Selected {
    number: i64,
    sink: String,
}

/// The letters that are selected, those that there are now: what becomes one meanwhile was not meant.
fn selected(store: &dyn Store, selection: &Selection) -> Result<Vec<Selected>, Stop> {
    let mut selected = Vec::new();
    if selection.numbers.is_empty() {
        check(store, selection.sink.as_deref())?;
        each(store, selection.sink.as_deref(), |letters| {
            selected.extend(letters.iter().map(|letter| Selected { number: letter.number, sink: letter.sink.clone() }));
            Ok(())
        })?;
        return Ok(selected);
    }
    let mut numbers = selection.numbers.clone();
    numbers.sort_unstable();
    numbers.dedup();
    for number in numbers {
        let found = store.dead_letters(None, number.saturating_sub(1), 1).map_err(|error| store_failure(&error))?;
        let found = found.into_iter().find(|letter| letter.number == number);
        selected.extend(found.map(|letter| Selected { number, sink: letter.sink }));
    }
    if selected.is_empty() {
        return Err(Failure::new(kinds::NOT_FOUND, "there are no dead letters of these numbers")
            .with_hint("`sortie dead-letters list` shows them")
            .into());
    }
    Ok(selected)
}

fn open(selection: &Selection, globals: &Globals) -> Result<SqliteStore, Stop> {
    if selection.numbers.is_empty() && selection.sink.is_none() && !selection.all {
        let hint = "give their numbers, --sink NAME or --all; `sortie dead-letters list` shows them";
        return Err(usage("it is not said which dead letters", hint).into());
    }
    Ok(SqliteStore::amend(&selection.place.store(globals)?).map_err(|error| store_failure(&error))?)
}

/// Does something with letters, batch by batch; says with how many it was done.
fn settle(letters: &[Selected], work: impl Fn(&[i64]) -> sortie_store::Result<u64>) -> Result<u64, Stop> {
    let numbers: Vec<i64> = letters.iter().map(|letter| letter.number).collect();
    let mut count = 0;
    for numbers in numbers.chunks(BATCH) {
        count += work(numbers).map_err(|error| store_failure(&error))?;
    }
    Ok(count)
}

/// Puts letters back. Those of a sink that nobody delivers to stay, and are told of.
fn retry(selection: &Selection, globals: &Globals) -> Ending {
    let store = open(selection, globals)?;
    let letters = selected(&store, selection)?;
    let now = Timestamp::now().as_second();
    let retried = settle(&letters, |numbers| store.retry_dead_letters(numbers, now))?;
    let active = active(&store)?;
    let left: Vec<&Selected> = letters.iter().filter(|letter| !active.contains(&letter.sink)).collect();
    let sinks = left.iter().map(|letter| letter.sink.clone()).collect();
    let why = format!("{} stayed: the daemon's last start had no sink {}", left.len(), join(&sinks));
    let hint = "configure the sink, start the daemon, and retry";
    if retried == 0 && !letters.is_empty() {
        let why = if left.is_empty() { "somebody else was faster" } else { &why };
        return Err(Failure::new(kinds::CONFLICT, format!("nothing was put back; {why}")).with_hint(hint).into());
    }
    let warnings = if left.is_empty() { Vec::new() } else { vec![format!("{why}; {hint}")] };
    let reply = json!({ "retried": retried, "stayed": left.len(), "warnings": warnings });
    show(Shape::default(), &[], &reply, selection.output, globals)?;
    if selection.output.format() == Format::Table {
        report::warn(&warnings, globals.color);
    }
    Ok(0)
}

fn discard(selection: &Selection, globals: &Globals) -> Ending {
    let store = open(selection, globals)?;
    let letters = selected(&store, selection)?;
    let dropped = settle(&letters, |numbers| store.drop_dead_letters(numbers))?;
    show(Shape::default(), &[], &json!({ "dropped": dropped }), selection.output, globals)?;
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
