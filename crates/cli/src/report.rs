//! How a verb ends when it does not succeed, and how a person is told.

use crate::escape::{visible, visible_lines};
use crate::output::{Format, Look, Printer, Shape, Style, error_document};
use crate::terminal::{self, Color};
use sortie_host::Failure;
use sortie_host::kinds;
use std::fmt::Write as _;
use std::io::{self, ErrorKind};

/// Why a verb stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Something failed; the document says what.
    Failure(Failure),
    /// Standard output cannot be written.
    Output(io::Error),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// What a verb returns: its exit code.
pub(crate) type Ending = Result<u8, Stop>;

/// Kind `usage`: the command line asks for something that does not go together.
pub(crate) fn usage(message: impl AsRef<str>, hint: impl AsRef<str>) -> Failure {
    Failure::new(kinds::USAGE, message).with_hint(hint)
}

/// Kind `configuration`: something of this machine cannot be read or written.
pub(crate) fn unusable(what: impl AsRef<str>, error: &io::Error) -> Failure {
    Failure::new(kinds::CONFIGURATION, format!("{}: {error}", what.as_ref()))
}

/// Reports why a verb stopped and returns the exit code. A format other than the table gets the error document on
/// standard output, everything else words on standard error.
pub(crate) fn stopped(stop: Stop, format: Option<Format>, color: Color) -> u8 {
    match stop {
        Stop::Output(error) => unwritable(&error),
        Stop::Failure(failure) => {
            let code = failure.exit_code();
            match format {
                None | Some(Format::Table) => tell(&failure, None, color),
                Some(format) => {
                    if let Err(error) = print(&failure, format) {
                        tell(&failure, None, color);
                        unwritable(&error);
                    }
                }
            }
            code
        }
    }
}

/// The exit code when standard output cannot be written. A reader that went away is no failure.
pub(crate) fn unwritable(error: &io::Error) -> u8 {
    if error.kind() == ErrorKind::BrokenPipe {
        return 0;
    }
    terminal::tell(&format!("error: standard output cannot be written: {error}"));
    1
}

fn print(failure: &Failure, format: Format) -> io::Result<()> {
    let style = Style { format, person: terminal::shows_data(), look: Look::default() };
    Printer::new(terminal::data_output()?, Shape::default(), style, None).failure(failure, None)
}

/// Tells a failure to a person, and the run it belongs to when one had begun.
pub(crate) fn tell(failure: &Failure, run_id: Option<&str>, color: Color) {
    terminal::tell(words(failure, run_id, color.on(&io::stderr())).trim_end());
}

/// Tells warnings to a person.
pub(crate) fn warn(warnings: &[String], color: Color) {
    if warnings.is_empty() {
        return;
    }
    let head = if color.on(&io::stderr()) { "\u{1b}[1;33mwarning:\u{1b}[0m" } else { "warning:" };
    for warning in warnings {
        terminal::tell(&format!("{head} {}", visible(warning)));
    }
}

/// A failure in words, on several lines.
fn words(failure: &Failure, run_id: Option<&str>, color: bool) -> String {
    let mut text = String::new();
    let (red, bold, plain) = if color { ("\u{1b}[1;31m", "\u{1b}[1m", "\u{1b}[0m") } else { ("", "", "") };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{red}error:{plain} {}", visible_lines(&failure.message));
    if failure.violations.len() > 1 {
        for violation in &failure.violations {
            let pointer = if violation.pointer.is_empty() { "input" } else { &violation.pointer };
            let _ = writeln!(text, "  {}: {}", visible(pointer), visible(&violation.message));
        }
    }
    for done in &failure.done {
        let _ = writeln!(text, "  {bold}done:{plain} {}", visible(done));
    }
    if let Some(hint) = &failure.hint {
        let _ = writeln!(text, "  {bold}hint:{plain} {}", visible_lines(hint));
    }
    if let Some(wait) = failure.retry_after {
        let _ = writeln!(text, "  {bold}try again after:{plain} {} s", wait.as_secs_f64().ceil());
    }
    let mut facts = vec![format!("kind {}", visible(&failure.kind))];
    facts.extend(failure.http_status.map(|status| format!("HTTP status {status}")));
    facts.extend(failure.code.as_deref().map(|code| format!("code {}", visible(code))));
    facts.extend(failure.request_id.as_deref().map(|id| format!("Microsoft's request id {}", visible(id))));
    facts.extend(run_id.map(|id| format!("run id {}", visible(id))));
    let _ = writeln!(text, "  ({})", facts.join(", "));
    text
}

/// What a program gets when the command line itself could not be understood.
pub(crate) fn usage_document(message: &str, hint: &str) -> String {
    error_document(&usage(message, hint), None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sortie_host::Violation;
    use std::time::Duration;

    #[test]
    fn a_person_reads_what_happened_and_what_to_do() {
        let mut failure =
            Failure::invalid_input(vec![Violation::new("/status", "unknown"), Violation::new("", "too much")])
                .with_hint("look it up");
        failure.violations[0].message.push('\u{202e}');
        failure.done = vec!["status changed".into()];
        failure.retry_after = Some(Duration::from_millis(1500));
        failure.http_status = Some(400);
        let text = words(&failure, Some("r"), false);
        assert_eq!(
            text.lines().skip(1).collect::<Vec<_>>(),
            [
                "  /status: unknown\\u{202e}",
                "  input: too much",
                "  done: status changed",
                "  hint: look it up",
                "  try again after: 2 s",
                "  (kind invalid_input, HTTP status 400, run id r)"
            ]
        );
        assert!(!text.contains('\u{1b}'));
        assert!(words(&failure, None, true).starts_with("\u{1b}[1;31merror:"));
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        assert_eq!(unwritable(&io::Error::from(ErrorKind::BrokenPipe)), 0);
        assert_eq!(unwritable(&io::Error::other("disk full")), 1);
    }
}
