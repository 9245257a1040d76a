//! Tables for people.
//!
//! Text from the service is foreign: everything that a terminal would obey or a reader would not see is written
//! out before it enters a cell. A list is laid out some rows at a time, so that it can be written as it comes and
//! memory does not grow with it.

use crate::escape::visible;
use comfy_table::{ColumnConstraint, ContentArrangement, Row, Table, Width, presets};
use serde_json::Value;
use sortie_host::manifest::Column;
use std::borrow::Cow;
use std::io::{self, Write};

/// The rows that are laid out together.
const BATCH: usize = 50;

/// The blanks between two columns.
const GAP: u16 = 2;

/// No column is made narrower than this, unless its content is.
const NARROW: u16 = 8;

/// The most characters shown of one value: a table is for looking, not for reading a file.
const LONGEST: usize = 2_000;

/// How tables look on this output.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// The columns of the terminal; `None`: as wide as it gets.
    pub(crate) width: Option<u16>,
    /// Whether headings are bold.
    pub(crate) bold: bool,
}

/// A table that is written while its rows come in.
#[derive(Debug)]
pub(crate) struct Rows {
    look: Look,
    columns: Vec<Column>,
    waiting: Vec<Vec<String>>,
    /// The width that each column's content has wanted so far.
    wanted: Vec<u16>,
}

impl Rows {
    /// A table with the given columns; without any, the scalar members of the first record are the columns.
    pub(crate) fn new(columns: Vec<Column>, look: Look) -> Self {
        Self { look, columns, waiting: Vec::new(), wanted: Vec::new() }
    }

    /// Adds one record, JSON text.
    pub(crate) fn push(&mut self, record: &str, out: &mut dyn Write) -> io::Result<()> {
        let record: Value = serde_json::from_str(record)?;
        if self.columns.is_empty() {
            self.columns = scalar_columns(&record);
        }
        let row = self.columns.iter().map(|column| cell(record.pointer(&column.path)).into_owned()).collect();
        self.waiting.push(row);
        if self.waiting.len() >= BATCH { self.flush(out) } else { Ok(()) }
    }

    /// Writes what is still waiting.
    pub(crate) fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.waiting);
        let first = self.wanted.is_empty();
        let header = vec![self.columns.iter().map(|column| visible(&column.title).to_uppercase()).collect()];
        // Later rows may want more room, but none is taken away again.
        let wanted = wanted_widths(header.iter().filter(|_| first).chain(&rows));
        self.wanted.resize(wanted.len().max(self.wanted.len()), 0);
        for (known, wanted) in self.wanted.iter_mut().zip(wanted) {
            *known = wanted.max(*known);
        }
        let widths = fit(self.wanted.clone(), self.look.width);
        if first {
            for line in lay_out(header, &widths, self.look.width.is_some()).lines() {
                put_bold(out, &line, self.look.bold)?;
            }
        }
        lay_out(rows, &widths, self.look.width.is_some()).lines().try_for_each(|line| put(out, &line))
    }
}

/// Writes names and values, one pair a line.
pub(crate) fn pairs(pairs: Vec<(String, String)>, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<Vec<String>> =
        pairs.into_iter().map(|(name, value)| vec![visible(&name).into_owned(), value]).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let widths = fit(wanted_widths(rows.iter()), look.width);
    lay_out(rows, &widths, look.width.is_some()).lines().try_for_each(|line| put(out, &line))
}

/// The names and values of one JSON document: the given columns, or all its scalar members, however deep.
pub(crate) fn pairs_of(document: &str, columns: &[Column]) -> io::Result<Vec<(String, String)>> {
    let document: Value = serde_json::from_str(document)?;
    if columns.is_empty() {
        let mut pairs = Vec::new();
        collect(&document, &mut String::new(), &mut pairs);
        return Ok(pairs);
    }
    Ok(columns.iter().map(|column| (column.title.clone(), cell(document.pointer(&column.path)).into_owned())).collect())
}

fn collect(value: &Value, name: &mut String, pairs: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let before = name.len();
                if before > 0 {
                    name.push('.');
                }
                name.push_str(key);
                collect(member, name, pairs);
                name.truncate(before);
            }
        }
        Value::Null => {}
        Value::Array(items) if items.is_empty() => {}
        other => pairs.push((name.clone(), cell(Some(other)).into_owned())),
    }
}

fn scalar_columns(record: &Value) -> Vec<Column> {
    let Some(members) = record.as_object() else {
        return vec![Column { title: "value".to_owned(), path: String::new() }];
    };
    members
        .iter()
        .filter(|(_, value)| !value.is_object() && !value.is_array())
        .map(|(name, _)| Column {
            title: name.clone(),
            path: format!("/{}", name.replace('~', "~0").replace('/', "~1")),
        })
        .collect()
}

/// What stands in a cell.
pub(crate) fn cell(value: Option<&Value>) -> Cow<'static, str> {
    let text = match value {
        None | Some(Value::Null) => return Cow::Borrowed(""),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(", ")
        }
        Some(Value::Array(items)) => format!("{} items", items.len()),
        Some(other) => other.to_string(),
    };
    let cut = match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    };
    Cow::Owned(visible(&cut).into_owned())
}

/// The width that the content of each column wants.
fn wanted_widths<'a>(rows: impl Iterator<Item = &'a Vec<String>>) -> Vec<u16> {
    let mut table = Table::new();
    for row in rows {
        table.add_row(row);
    }
    table.column_max_content_widths()
}

/// Cuts widths down from the widest until all fit.
fn fit(mut widths: Vec<u16>, limit: Option<u16>) -> Vec<u16> {
    let Some(limit) = limit else { return widths };
    let gaps = GAP.saturating_mul(u16::try_from(widths.len().saturating_sub(1)).unwrap_or(u16::MAX));
    let room = u32::from(limit.saturating_sub(gaps));
    while widths.iter().copied().map(u32::from).sum::<u32>() > room {
        let Some(widest) = widths.iter_mut().max().filter(|width| **width > NARROW) else { break };
        *widest -= 1;
    }
    widths
}

fn lay_out(rows: Vec<Vec<String>>, widths: &[u16], fixed: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    for row in rows {
        table.add_row(Row::from(row));
    }
    let last = widths.len().saturating_sub(1);
    for (at, width) in widths.iter().enumerate() {
        let Some(column) = table.column_mut(at) else { continue };
        let gap = if at == last { 0 } else { GAP };
        column.set_padding((0, gap));
        // The constraint counts the padding too.
        let width = Width::Fixed(width.saturating_add(gap).max(1));
        column.set_constraint(if fixed {
            ColumnConstraint::Absolute(width)
        } else {
            ColumnConstraint::LowerBoundary(width)
        });
    }
    table
}

fn put(out: &mut dyn Write, line: &str) -> io::Result<()> {
    out.write_all(line.trim_end().as_bytes())?;
    out.write_all(b"\n")
}

fn put_bold(out: &mut dyn Write, line: &str, bold: bool) -> io::Result<()> {
    if bold { put(out, &format!("\u{1b}[1m{}\u{1b}[0m", line.trim_end())) } else { put(out, line) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn column(title: &str, path: &str) -> Column {
        Column { title: title.into(), path: path.into() }
    }

    fn list(columns: Vec<Column>, look: Look, records: &[Value]) -> String {
        let mut out = Vec::new();
        let mut rows = Rows::new(columns, look);
        for record in records {
            rows.push(&record.to_string(), &mut out).unwrap();
        }
        rows.flush(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_line_up_and_foreign_text_is_written_out() {
        let text = list(
            vec![column("Id", "/id"), column("Title", "/displayName"), column("Tags", "/customTags")],
            Look::default(),
            &[
                json!({"id": "1", "displayName": "invoice\u{202e}fdp.exe\n\u{1b}[2J", "customTags": ["a", "b"]}),
                json!({"id": "29", "displayName": null, "customTags": []}),
            ],
        );
        assert_eq!(
            text,
            "ID  TITLE                              TAGS\n\
             1   invoice\\u{202e}fdp.exe\\n\\u{1b}[2J  a, b\n\
             29\n"
        );
    }

    #[test]
    fn without_columns_the_scalar_members_are_shown() {
        let text = list(vec![], Look::default(), &[json!({"a/b": 1, "deep": {"x": 1}, "ok": true})]);
        assert_eq!(text, "A/B  OK\n1    true\n");
    }

    #[test]
    fn nothing_is_wider_than_the_terminal() {
        let records: Vec<Value> = (0..120)
            .map(|n| json!({"id": n, "title": "a long title that goes on and on ".repeat(4), "status": "inProgress"}))
            .collect();
        let columns = vec![column("Id", "/id"), column("Title", "/title"), column("Status", "/status")];
        let text = list(columns, Look { width: Some(60), bold: false }, &records);
        for line in text.lines() {
            assert!(line.chars().count() <= 60, "{line:?}");
        }
        assert_eq!(text.lines().filter(|line| line.starts_with("ID ")).count(), 1);
        assert_eq!(text.lines().filter(|line| line.ends_with("inProgress")).count(), 120);
        assert!(text.lines().any(|line| line.starts_with("119 ")));
    }

    #[test]
    fn later_batches_keep_the_widths_of_the_first() {
        let records: Vec<Value> =
            (0..60).map(|n| json!({"a": if n < 50 { "x".repeat(10) } else { "y".to_owned() }, "b": "end"})).collect();
        let text = list(vec![], Look::default(), &records);
        let at: Vec<usize> = text.lines().skip(1).filter_map(|line| line.find("end")).collect();
        assert_eq!(at.len(), 60);
        assert!(at.iter().all(|place| *place == 12), "{at:?}");
    }

    #[test]
    fn a_document_is_shown_as_names_and_values() {
        let document = json!({"incidentId": "29", "before": {"status": "active"}, "after": {"tags": ["a"]}, "none": null, "warnings": []});
        let mut out = Vec::new();
        pairs(pairs_of(&document.to_string(), &[]).unwrap(), Look::default(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "after.tags     a\nbefore.status  active\nincidentId     29\n");
        let chosen = pairs_of(&document.to_string(), &[column("Status", "/before/status")]).unwrap();
        assert_eq!(chosen, [("Status".to_owned(), "active".to_owned())]);
    }

    #[test]
    fn a_cell_has_an_end() {
        let shown = cell(Some(&json!("é".repeat(5_000))));
        assert_eq!(shown.chars().count(), LONGEST + 1);
        assert_eq!(cell(Some(&json!([{"a": 1}, {}]))), "2 items");
        assert_eq!(cell(Some(&json!({"a": "\u{200b}"}))), "{\"a\":\"\\u{200b}\"}");
    }
}
