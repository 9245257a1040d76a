//! What the three standard streams are connected to, and what follows from it: colour, width, questions.

use clap::ValueEnum;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

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

/// Writes words for a person to standard error. There is nowhere left to report a failure to.
pub(crate) fn tell(text: &str) {
    let mut stderr = io::stderr().lock();
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
