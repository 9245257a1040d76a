//! One step of the walk: an action is run, and what it did is told in a few lines.

use crate::escape::visible;
use crate::flags::Flag;
use crate::output::{Look, Rows, pairs, pairs_of};
use crate::page;
use crate::report::Stop;
use crate::verbs::run::flags_of;
use serde_json::Value;
use sortie_host::manifest::Column;
use sortie_host::{Action, CancellationToken, Failure, Host, Run, kinds};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// The most records and members that a step shows.
const SHOWN: usize = 5;

/// What to do.
pub(super) struct Step {
    pub(super) title: &'static str,
    pub(super) action: &'static str,
    pub(super) input: Value,
}

/// The walk so far.
pub(super) struct Walk<'a, W> {
    host: &'a Host,
    cancel: CancellationToken,
    look: Look,
    out: &'a mut W,
    steps: usize,
}

impl<'a, W: Write> Walk<'a, W> {
    pub(super) fn new(host: &'a Host, cancel: CancellationToken, look: Look, out: &'a mut W) -> Self {
        Self { host, cancel, look, out, steps: 0 }
    }

    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Runs the action, tells what it did, and returns its records (of an action that has none: its reply).
    pub(super) async fn step(&mut self, step: Step) -> Result<Vec<Value>, Stop> {
        self.steps += 1;
        let action = self.host.load(step.action)?;
        let flags = flags_of(&action)?;
        self.announce(&step, &flags)?;
        let records = Arc::new(Mutex::new(Vec::new()));
        let mut run = Run::new(Arc::clone(&action), step.input);
        run.cancel = self.cancel.clone();
        run.records = Box::new(Arc::clone(&records));
        let reply = self.host.run(run).await.outcome?;
        let records = std::mem::take(&mut *records.lock().unwrap_or_else(PoisonError::into_inner));
        self.tell(&action, &records, &reply)?;
        let texts = if action.manifest().streams { records } else { vec![reply] };
        texts.iter().map(|text| Ok(serde_json::from_str(text).map_err(unreadable)?)).collect()
    }

    fn announce(&mut self, step: &Step, flags: &[Flag]) -> io::Result<()> {
        let (bold, plain) = if self.look.bold { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
        writeln!(self.out, "{bold}{}. {}{plain}", self.steps, step.title)?;
        writeln!(self.out, "   $ {}\n", visible(&page::command(step.action, flags, &step.input, "--sandbox")))?;
        self.out.flush()
    }

    fn tell(&mut self, action: &Action, records: &[String], reply: &str) -> io::Result<()> {
        let manifest = action.manifest();
        let look = Look { width: self.look.width.map(|width| width.saturating_sub(3)), ..self.look };
        let mut text = Vec::new();
        if manifest.streams {
            let columns: Vec<Column> = manifest.columns.clone();
            let mut rows = Rows::new(columns, look);
            for record in records.iter().take(SHOWN) {
                rows.push(record, &mut text)?;
            }
            rows.flush(&mut text)?;
            if let Some(more) = records.len().checked_sub(SHOWN).filter(|more| *more > 0) {
                writeln!(text, "... and {more} more")?;
            }
        }
        let mut facts = pairs_of(reply, if manifest.streams { &[] } else { &manifest.columns })?;
        facts.retain(|(name, value)| !value.is_empty() && name != "runId" && !(manifest.streams && value.len() > 60));
        facts.truncate(2 * SHOWN);
        pairs(facts, look, &mut text)?;
        for line in String::from_utf8_lossy(&text).lines() {
            writeln!(self.out, "   {line}")?;
        }
        writeln!(self.out)?;
        self.out.flush()
    }
}

fn unreadable(error: serde_json::Error) -> Failure {
    Failure::new(kinds::BAD_REPLY, format!("what the action answered cannot be read: {error}"))
}

/// The first text that stands under a name, however deep.
pub(super) fn first_text(value: &Value, name: &str) -> Option<String> {
    match value {
        Value::Object(members) => match members.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            _ => members.values().find_map(|member| first_text(member, name)),
        },
        Value::Array(items) => items.iter().find_map(|item| first_text(item, name)),
        _ => None,
    }
}
