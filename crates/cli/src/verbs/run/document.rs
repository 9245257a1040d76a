//! The document that a run takes its input from: standard input or a file.

use crate::report::{unusable, usage};
use crate::terminal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Map, Value};
use sortie_host::Failure;
use sortie_host::input;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// How long standard input may stay silent before a person is told what is waited for.
const SILENCE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// Where a document comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Nowhere: nothing asks for a document, or standard input is a terminal.
    None,
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf, File),
}

impl Source {
    /// The source that the command line names; a file is opened at once. With `enough` there is an input without a
    /// document, and standard input is left alone: a pipe that somebody merely passed on, and never closes, must not
    /// be waited for.
    pub(crate) fn find(input: Option<&Path>, enough: bool) -> Result<Self, Failure> {
        match input {
            Some(path) if path != Path::new("-") => match File::open(path) {
                Ok(file) => Ok(Self::File(path.to_owned(), file)),
                Err(error) => Err(usage(
                    format!("--input {}: {error}", path.display()),
                    "name a file that can be read, or - for standard input",
                )),
            },
            Some(_) => Ok(Self::Stdin),
            // A terminal is read only when that was asked for in words.
            None if enough || io::stdin().is_terminal() => Ok(Self::None),
            None => Ok(Self::Stdin),
        }
    }

    /// Reads one input. Nothing at all is no document: `None`.
    pub(crate) fn read(self) -> Result<Option<Map<String, Value>>, Failure> {
        let bytes = match self {
            Self::None => return Ok(None),
            Self::Stdin => {
                tell_if_silent();
                capped(io::stdin().lock()).map_err(|error| unusable("standard input cannot be read", &error))?
            }
            Self::File(path, file) => {
                capped(file).map_err(|error| unusable(format!("{} cannot be read", path.display()), &error))?
            }
        };
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        object(input::parse(&bytes)?).map(Some)
    }
}

/// The members of a parsed input; the host parses objects only.
pub(crate) fn object(value: Value) -> Result<Map<String, Value>, Failure> {
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(Failure::invalid_input(Vec::new())),
    }
}

/// One byte more than an input may have, so that a longer one is noticed and nothing else is kept.
fn capped(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(input::MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A pipe that nobody writes to and nobody closes would be waited for in silence.
fn tell_if_silent() {
    if !io::stderr().is_terminal() {
        return;
    }
    let stdin = io::stdin();
    let ready = poll(&mut [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)], Some(&SILENCE));
    if matches!(ready, Ok(0)) {
        terminal::tell("waiting for an input on standard input; < /dev/null says that there is none");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn read(content: &[u8]) -> Result<Option<Map<String, Value>>, Failure> {
        Source::find(Some(file(content).path()), false).and_then(Source::read)
    }

    #[test]
    fn a_file_is_one_input_and_nothing_is_none() {
        assert_eq!(read(b" {\"a\": \" x \"}\n").unwrap().unwrap().get("a").unwrap(), "x");
        assert_eq!(read(b"").unwrap(), None);
        assert_eq!(read(b" \n\t").unwrap(), None);
        assert_eq!(read(b"[]").unwrap_err().exit_code(), 65);
        assert_eq!(read(b"{} {}").unwrap_err().exit_code(), 65);
    }

    #[test]
    fn where_there_is_an_input_without_a_document_only_words_ask_for_one() {
        assert!(matches!(Source::find(None, true).unwrap(), Source::None));
        assert!(matches!(Source::find(Some(Path::new("-")), true).unwrap(), Source::Stdin));
        let file = file(b"{\"a\":1}");
        assert!(Source::find(Some(file.path()), true).unwrap().read().unwrap().is_some());
    }

    #[test]
    fn more_than_the_most_is_refused() {
        let mut content = b"{\"a\":\"".to_vec();
        content.resize(input::MAX_BYTES + 100, b'x');
        content.extend_from_slice(b"\"}");
        assert_eq!(read(&content).unwrap_err().exit_code(), 65);
    }

    #[test]
    fn a_file_that_is_not_there_is_a_mistake_of_the_command_line() {
        let failure = Source::find(Some(Path::new("/nonexistent/input.json")), false).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
    }
}
