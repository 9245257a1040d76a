//! What verbs other than `run` print: a document that is known whole.

use super::{Ended, Look, Printer, Shape, Style};
use crate::command_line::{Globals, Output};
use crate::terminal;
use serde_json::Value;
use std::io::{self, BufWriter};

/// Prints what a verb found: the elements of a list, and the members beside it.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn show(
    shape: Shape,
    records: &[Value],
    reply: &Value,
    output: Output,
    globals: &Globals,
) -> io::Result<()> {
    show_text(shape, records, &reply.to_string(), output, globals)
}

/// The same, for a document that is JSON text already.
///
/// # Errors
/// As [`show`].
pub(crate) fn show_text(
    shape: Shape,
    records: &[Value],
    reply: &str,
    output: Output,
    globals: &Globals,
) -> io::Result<()> {
    let width = terminal::width();
    let look = Look { width, bold: globals.color.on(&io::stdout()) };
    let style = Style { format: output.format(), person: width.is_some(), look };
    let mut printer = Printer::new(BufWriter::new(terminal::data_output()?), shape, style, None);
    for record in records {
        printer.record(&record.to_string())?;
    }
    match printer.success(reply) {
        Ok(()) => Ok(()),
        Err(Ended::Output(error)) => Err(error),
        // There is no query.
        Err(Ended::Query(reason)) => Err(io::Error::other(reason)),
    }
}
