//! What stands on standard output: data, and nothing else.
//!
//! A run ends in exactly one JSON document, success or not. A list is written while it comes, so a [`Printer`] is
//! told of each record, then of the end:
//!
//! ```text
//! record*  success(reply)            {"records":[..],<members of the reply>}
//! record*  failure(failure)          {"records":[..],"error":{..}}, or {"error":{..}} when no record came before
//!          success(reply)            the reply, for what is not a list
//! ```
//!
//! The other formats say the same: `jsonl` one record a line and the error document as the last line, `yaml` the
//! same document as YAML, `table` a page for people (whose errors and warnings go to standard error, in words). A
//! query is applied to the whole document, or with `jsonl` to each record.

mod json;
mod query;
mod show;
mod table;
#[cfg(test)]
mod tests;
mod yaml;

pub(crate) use query::{Ended, Query};
pub(crate) use show::{show, show_text};
pub(crate) use table::{Look, Rows, pairs, pairs_of};

use clap::ValueEnum;
use json::{Rewriter, members};
use sortie_host::Failure;
use sortie_host::manifest::Column;
use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;

/// In which form data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON document
    Json,
    /// One JSON document a line: the records of a list, else the whole result
    Jsonl,
    /// A page for people
    Table,
    /// One YAML document
    Yaml,
}

/// What the document is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    /// The member that holds the list; `None` if the document is no list.
    pub(crate) list: Option<&'static str>,
    /// The columns of the table; empty: all scalar members.
    pub(crate) columns: Vec<Column>,
    /// Whether the table shows each element of the list as a table of its own, names and values.
    pub(crate) blocks: bool,
}

/// For whom it is printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// The form.
    pub(crate) format: Format,
    /// Whether a person reads it: JSON is indented, and what deceives is written out.
    pub(crate) person: bool,
    /// How tables look.
    pub(crate) look: Look,
}

/// Composes one run's output.
pub(crate) struct Printer<W> {
    out: W,
    shape: Shape,
    style: Style,
    query: Option<Arc<Query>>,
    /// The records written (or kept) so far.
    count: u64,
    rows: Option<Rows>,
    rewriter: Rewriter,
    /// The document so far, when it is needed whole.
    kept: String,
    /// Why the query could not be applied to a record.
    query_failure: Option<String>,
}

impl<W: Write> Printer<W> {
    /// A printer for one run.
    pub(crate) fn new(out: W, shape: Shape, style: Style, query: Option<Arc<Query>>) -> Self {
        let indented = style.person && style.format == Format::Json && query.is_none();
        let rows = (style.format == Format::Table).then(|| Rows::new(shape.columns.clone(), style.look));
        Self {
            out,
            shape,
            style,
            query,
            count: 0,
            rows,
            rewriter: if indented { Rewriter::indented() } else { Rewriter::on_one_line() },
            kept: String::new(),
            query_failure: None,
        }
    }

    /// Writes one record of a list.
    ///
    /// # Errors
    /// When the output cannot be written. When the query cannot be applied, too; see [`Printer::query_failure`].
    pub(crate) fn record(&mut self, record: &str) -> io::Result<()> {
        let first = self.count == 0;
        self.count += 1;
        let list = self.shape.list.unwrap_or("records");
        match (self.style.format, &self.query) {
            (Format::Jsonl, Some(_)) => match self.answer(record) {
                Ok(()) => Ok(()),
                Err(Ended::Output(error)) => Err(error),
                Err(Ended::Query(reason)) => {
                    self.query_failure = Some(reason);
                    Err(io::Error::other("the query failed"))
                }
            },
            (Format::Jsonl, None) => self.line(record),
            (_, Some(_)) => {
                self.kept.push_str(if first { "" } else { "," });
                self.kept.push_str(record);
                Ok(())
            }
            (Format::Json, None) => {
                if first {
                    self.json(&format!("{{\"{list}\":["))?;
                } else {
                    self.json(",")?;
                }
                self.json(record)
            }
            (Format::Yaml, None) => {
                if first {
                    self.text(&format!("{list}:\n"))?;
                }
                self.text(&yaml::element(record)?)
            }
            (Format::Table, None) if self.shape.blocks => {
                if !first {
                    self.out.write_all(b"\n")?;
                }
                let mut pairs = table::pairs_of(record, &self.shape.columns)?;
                pairs.retain(|(_, value)| !value.is_empty());
                table::pairs(pairs, self.style.look, &mut self.out)
            }
            (Format::Table, None) => match &mut self.rows {
                Some(rows) => rows.push(record, &mut self.out),
                None => Ok(()),
            },
        }
    }

    /// Ends the output of a run that succeeded; `reply` is one JSON object.
    ///
    /// # Errors
    /// When the output cannot be written, or the query cannot be applied to the document.
    pub(crate) fn success(&mut self, reply: &str) -> Result<(), Ended> {
        let reply = &*one_line(reply);
        let Some(list) = self.shape.list else {
            self.single(reply)?;
            return Ok(self.out.flush()?);
        };
        match (self.style.format, &self.query) {
            (Format::Jsonl, _) => {}
            (_, Some(_)) => {
                let kept = std::mem::take(&mut self.kept);
                let members = members(reply);
                let comma = if members.is_empty() { "" } else { "," };
                self.answer(&format!("{{\"{list}\":[{kept}]{comma}{members}}}"))?;
            }
            (Format::Json, None) => {
                if self.count == 0 {
                    self.json(&format!("{{\"{list}\":["))?;
                }
                self.json("]")?;
                self.close(members(reply))?;
            }
            (Format::Yaml, None) => {
                if self.count == 0 {
                    self.text(&format!("{list}: []\n"))?;
                }
                let rest = yaml::members(reply)?;
                self.text(&rest)?;
            }
            (Format::Table, None) => self.flush_rows()?,
        }
        Ok(self.out.flush()?)
    }

    /// Ends the output of a run that failed. With `table` the caller tells the failure to the person.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(crate) fn failure(&mut self, failure: &Failure, run_id: Option<&str>) -> io::Result<()> {
        let document = error_document(failure, run_id);
        let begun = self.count > 0 && self.query.is_none();
        match self.style.format {
            Format::Json if begun => {
                self.json("]")?;
                self.close(members(&document))?;
            }
            Format::Json => {
                self.json(&document)?;
                self.out.write_all(b"\n")?;
            }
            Format::Jsonl => self.line(&document)?,
            Format::Yaml => self.text(&yaml::document(&document)?)?,
            Format::Table => self.flush_rows()?,
        }
        self.out.flush()
    }

    /// Why the query could not be applied to a record, if that ended the run.
    pub(crate) fn query_failure(&self) -> Option<&str> {
        self.query_failure.as_deref()
    }

    /// Sends on what has been written so far. A table keeps rows back until it knows its widths.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn single(&mut self, reply: &str) -> Result<(), Ended> {
        match (self.style.format, &self.query) {
            (_, Some(_)) => self.answer(reply)?,
            (Format::Json, None) => {
                self.json(reply)?;
                self.out.write_all(b"\n")?;
            }
            (Format::Jsonl, None) => self.line(reply)?,
            (Format::Yaml, None) => {
                let text = yaml::document(reply)?;
                self.text(&text)?;
            }
            (Format::Table, None) => {
                table::pairs(table::pairs_of(reply, &self.shape.columns)?, self.style.look, &mut self.out)?;
            }
        }
        Ok(())
    }

    /// Writes what the query makes of a document: one JSON document a line, or one YAML document each.
    fn answer(&mut self, document: &str) -> Result<(), Ended> {
        let Some(query) = self.query.clone() else { return Ok(()) };
        query.run(document, |output| {
            if self.style.format == Format::Yaml {
                let text = yaml::document(output)?;
                self.out.write_all(b"---\n")?;
                self.text(&text)
            } else {
                self.line(output)
            }
        })
    }

    fn flush_rows(&mut self) -> io::Result<()> {
        match &mut self.rows {
            Some(rows) => rows.flush(&mut self.out),
            None => Ok(()),
        }
    }

    fn close(&mut self, members: &str) -> io::Result<()> {
        if !members.is_empty() {
            self.json(",")?;
            self.json(members)?;
        }
        self.json("}")?;
        self.out.write_all(b"\n")
    }

    fn line(&mut self, json: &str) -> io::Result<()> {
        self.json(json)?;
        self.out.write_all(b"\n")
    }

    /// JSON text as it came, or rewritten for a person.
    fn json(&mut self, text: &str) -> io::Result<()> {
        if !self.style.person {
            return self.out.write_all(text.as_bytes());
        }
        let mut rewritten = String::with_capacity(text.len() + text.len() / 4);
        self.rewriter.put(text, &mut rewritten);
        self.out.write_all(rewritten.as_bytes())
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        if self.style.person {
            return self.out.write_all(crate::escape::visible_lines(text).as_bytes());
        }
        self.out.write_all(text.as_bytes())
    }
}

/// JSON on one line: line breaks stand between its tokens only.
fn one_line(json: &str) -> Cow<'_, str> {
    let breaks = |character| matches!(character, '\n' | '\r');
    if json.contains(breaks) { Cow::Owned(json.replace(breaks, " ")) } else { Cow::Borrowed(json) }
}

/// The error document, with the run it belongs to when one had begun.
pub(crate) fn error_document(failure: &Failure, run_id: Option<&str>) -> String {
    let document = failure.document();
    match run_id {
        Some(run_id) => {
            format!("{{{},\"runId\":{}}}", members(&document), serde_json::Value::from(run_id))
        }
        None => document,
    }
}
