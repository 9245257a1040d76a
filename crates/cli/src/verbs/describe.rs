//! `sortie describe ACTION`: what an action does, takes, needs and answers.

use super::run::flags_of;
use crate::command_line::{Globals, Output};
use crate::escape::visible;
use crate::flags::Flag;
use crate::output::{Format, Look, Shape, pairs, show_text};
use crate::page;
use crate::report::Ending;
use crate::session::Session;
use crate::terminal;
use clap::Args;
use serde_json::Value;
use sortie_host::{Action, Failure, kinds};
use std::io::{self, BufWriter, Write};

/// Which action.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The action
    #[arg(value_name = "ACTION")]
    action: String,
    /// The form of the output: a page (table), or the whole manifest.
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Prints the page or the manifest.
pub(crate) fn run(arguments: &Arguments, globals: &Globals) -> Ending {
    let session = Session::open(globals)?;
    let action = session.host.load(&arguments.action)?;
    if arguments.output.format() == Format::Table {
        let look = Look { width: terminal::width(), bold: globals.color.on(&io::stdout()) };
        let mut out = BufWriter::new(terminal::data_output()?);
        print(&action, &flags_of(&action)?, &action.output_schema()?, look, &mut out)?;
        out.flush()?;
        return Ok(0);
    }
    let manifest = serde_json::to_string(action.manifest())
        .map_err(|error| Failure::new(kinds::INTERNAL, format!("the manifest cannot be written: {error}")))?;
    show_text(Shape::default(), &[], &manifest, arguments.output, globals)?;
    Ok(0)
}

fn print(action: &Action, flags: &[Flag], output: &Value, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let manifest = action.manifest();
    let bold = |text: &str| if look.bold { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() };
    let head = format!("{} {}, {}", visible(&manifest.name), visible(&manifest.version), visible(&manifest.kind));
    writeln!(out, "{}\n{}\n\n{}", bold(&head), page::heading(manifest), page::needs(manifest))?;

    writeln!(out, "{}", bold("Calls"))?;
    let calls = manifest.calls.iter().map(|call| {
        let signed = format!("{} ({}, {} application)", call.path, call.api, call.role);
        (format!("  {}", call.method), visible(&signed).into_owned())
    });
    pairs(calls.collect(), look, out)?;

    writeln!(out, "\n{}", bold("Input"))?;
    let inputs = flags.iter().map(|flag| {
        let required = if flag.required { " (required)" } else { "" };
        (format!("  {} (--{})", flag.path.join("."), flag.name), format!("{}{required}", visible(&flag.help)))
    });
    pairs(inputs.collect(), look, out)?;

    writeln!(out, "\n{}", bold("Output"))?;
    pairs(members(output), look, out)?;

    let examples = page::examples(manifest, flags);
    if !examples.is_empty() {
        writeln!(out, "\n{}", examples.trim_end())?;
    }
    writeln!(out, "\nLibrary: {}", visible(&action.path().display().to_string()))
}

/// The members of an object, as its schema describes them.
fn members(schema: &Value) -> Vec<(String, String)> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .map(|(name, property)| {
            let description = property.get("description").and_then(Value::as_str).unwrap_or_default();
            (format!("  {name}"), visible(description).into_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_members_of_an_output_are_described() {
        let schema =
            json!({"properties": {"runId": {"type": "string", "description": "Names\u{202e} it."}, "x": true}});
        assert_eq!(
            members(&schema),
            [("  runId".to_owned(), "Names\\u{202e} it.".to_owned()), ("  x".to_owned(), String::new())]
        );
        assert!(members(&json!(true)).is_empty());
    }
}
