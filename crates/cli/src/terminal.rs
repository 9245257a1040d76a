//! What the three standard streams are connected to, and what follows from it: colour, width, questions.

use clap::ValueEnum;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

/// The columns of a terminal that does not say how many it has.
const USUAL_WIDTH: u16 = 80;

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is `dumb`.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether a stream gets colour.
    pub(crate) fn on(self, stream: &impl IsTerminal) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => stream.is_terminal() && environment_allows(|name| std::env::var_os(name)),
        }
    }
}

/// NO_COLOR counts when it is set and not empty (no-color.org).
fn environment_allows(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> bool {
    variable("NO_COLOR").is_none_or(|value| value.is_empty()) && variable("TERM").is_none_or(|value| value != "dumb")
}

/// Whether a person looks at standard output.
pub(crate) fn shows_data() -> bool {
    io::stdout().is_terminal()
}

/// Whether the process belongs to somebody's terminal, which may be closed: standard input or standard error is one.
pub(crate) fn has_person() -> bool {
    io::stdin().is_terminal() || io::stderr().is_terminal()
}

/// The columns of the terminal that standard output is connected to; `None` if it is none.
pub(crate) fn width() -> Option<u16> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stdout.as_fd()).ok();
    Some(size.map(|size| size.ws_col).filter(|columns| *columns > 0).unwrap_or(USUAL_WIDTH))
}

/// Standard output as a plain file, written in large pieces: data must not be flushed line by line.
///
/// # Errors
/// When the process was started without a standard output.
pub(crate) fn data_output() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Whether a line that is written over again stands on standard error.
static LIVE: AtomicBool = AtomicBool::new(false);

/// Back to the beginning of the line, and nothing in it.
const CLEAR: &[u8] = b"\r\x1b[2K";

/// The columns of the terminal that standard error is connected to; `None` if it is none.
pub(crate) fn live_width() -> Option<u16> {
    let stderr = io::stderr();
    if !stderr.is_terminal() || !environment_allows(|name| std::env::var_os(name).filter(|_| name == "TERM")) {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stderr.as_fd()).ok();
    Some(size.map(|size| size.ws_col).filter(|columns| *columns > 0).unwrap_or(USUAL_WIDTH))
}

/// Writes a line to standard error that the next one, and anything else written there, takes the place of.
pub(crate) fn tell_live(text: &str) {
    let mut stderr = io::stderr().lock();
    LIVE.store(true, Ordering::Relaxed);
    let _ = stderr.write_all(CLEAR).and_then(|()| stderr.write_all(text.as_bytes())).and_then(|()| stderr.flush());
}

/// Takes such a line away, if there is one.
pub(crate) fn clear_live(stderr: &mut impl Write) {
    if LIVE.swap(false, Ordering::Relaxed) {
        let _ = stderr.write_all(CLEAR);
    }
}

/// Writes words for a person to standard error. There is nowhere left to report a failure to.
pub(crate) fn tell(text: &str) {
    let mut stderr = io::stderr().lock();
    clear_live(&mut stderr);
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.write_all(b"\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_can_forbid_colour() {
        let with = |pairs: &'static [(&str, &str)]| {
            environment_allows(move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
        };
        assert!(with(&[]));
        assert!(with(&[("NO_COLOR", ""), ("TERM", "xterm")]));
        assert!(!with(&[("NO_COLOR", "1")]));
        assert!(!with(&[("TERM", "dumb")]));
    }

    #[test]
    fn an_answer_overrides_the_stream() {
        let file = tempfile::tempfile().unwrap();
        assert!(Color::Always.on(&file));
        assert!(!Color::Never.on(&file));
        assert!(!Color::Auto.on(&file));
    }
}
