//! The question before a destructive action.
//!
//! It is asked only where somebody can answer: when standard input and standard error are a terminal. A playbook is
//! never asked; it decided when it was written.

use crate::escape::visible;
use crate::output::{Look, pairs};
use crate::terminal;
use serde_json::{Map, Value};
use sortie_host::Failure;
use sortie_host::Manifest;
use sortie_host::kinds;
use std::io::{self, BufRead, IsTerminal, Write};

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 1_000;

/// Whether there is somebody to ask.
pub(crate) fn somebody_is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks on standard error, and reads the answer from standard input.
///
/// # Errors
/// Kind `declined`, unless the answer is yes.
pub(crate) fn confirm(manifest: &Manifest, input: &Map<String, Value>, profile: &str) -> Result<(), Failure> {
    let mut question = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = put_question(&mut question, manifest, input, profile);
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(&question);
    let _ = stderr.flush();
    drop(stderr);
    let mut answer = String::new();
    let read = io::stdin().lock().take_line(&mut answer);
    if read.is_ok() && means_yes(&answer) {
        return Ok(());
    }
    if !answer.ends_with('\n') {
        terminal::tell("");
    }
    Err(Failure::new(kinds::DECLINED, format!("{} was not run: the answer was not yes", manifest.name))
        .with_hint("nothing was changed; --yes answers ahead"))
}

/// Reads one line of bounded length.
trait TakeLine {
    fn take_line(self, line: &mut String) -> io::Result<usize>;
}

impl<R: BufRead> TakeLine for R {
    fn take_line(self, line: &mut String) -> io::Result<usize> {
        io::Read::take(self, LONGEST_ANSWER).read_line(line)
    }
}

fn means_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

fn put_question(out: &mut Vec<u8>, manifest: &Manifest, input: &Map<String, Value>, profile: &str) -> io::Result<()> {
    writeln!(out, "{} is a destructive action: {}", visible(&manifest.name), visible(&manifest.title))?;
    let mut facts = vec![("profile".to_owned(), visible(profile).into_owned())];
    for (name, value) in input {
        let value = match value {
            Value::String(text) => visible(text).into_owned(),
            other => visible(&other.to_string()).into_owned(),
        };
        facts.push((name.clone(), value));
    }
    if let Some(reverse) = &manifest.reversed_by {
        facts.push(("reversed by".to_owned(), visible(reverse).into_owned()));
    }
    let mut table = Vec::new();
    pairs(facts, Look::default(), &mut table)?;
    for line in String::from_utf8_lossy(&table).lines() {
        writeln!(out, "  {line}")?;
    }
    write!(out, "Go on? [y/N] ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_yes_is_yes() {
        for answer in ["y\n", "Y", " yes \r\n", "YES"] {
            assert!(means_yes(answer), "{answer:?}");
        }
        for answer in ["", "\n", "n", "no", "yess", "ja", "y y"] {
            assert!(!means_yes(answer), "{answer:?}");
        }
    }

    #[test]
    fn the_question_names_the_action_the_target_and_the_tenant() {
        let manifest = Manifest::parse(
            &json!({
                "manifest": 1, "name": "isolate-machine", "version": "1.0.0", "title": "Isolate machine",
                "description": "", "kind": "Containment", "effect": "destructive", "idempotent": true,
                "reversedBy": "release-machine", "surfaces": [], "streams": false, "columns": [], "calls": [],
                "examples": [], "input": {}, "output": {}
            })
            .to_string(),
            "isolate-machine",
        )
        .unwrap();
        let input = json!({"machine": "ws-042\u{202e}", "comment": "incident 29"});
        let mut out = Vec::new();
        put_question(&mut out, &manifest, input.as_object().unwrap(), "Contoso production").unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "isolate-machine is a destructive action: Isolate machine\n\
             \u{20} profile      Contoso production\n\
             \u{20} comment      incident 29\n\
             \u{20} machine      ws-042\\u{202e}\n\
             \u{20} reversed by  release-machine\n\
             Go on? [y/N] "
        );
    }

    #[test]
    fn an_answer_has_an_end() {
        let mut answer = String::new();
        io::Cursor::new(vec![b'y'; 5_000]).take_line(&mut answer).unwrap();
        assert_eq!(answer.len() as u64, LONGEST_ANSWER);
        assert!(!means_yes(&answer));
    }
}
