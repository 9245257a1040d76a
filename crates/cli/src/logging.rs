//! Logs: to standard error, of this project's own crates only, with foreign text written out.
//!
//! Other crates are never heard, whatever the level: a transport at TRACE would print headers, and headers hold
//! tokens.

use crate::escape::visible;
use crate::report::usage;
use crate::terminal::clear_live;
use clap::ValueEnum;
use sortie_host::Failure;
use std::io::{self, Write};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;

/// The variable that names the level when the flag does not.
const VARIABLE: &str = "SORTIE_LOG";

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// Nothing
    Off,
    /// What failed
    Error,
    /// And what deserves attention
    Warn,
    /// And what was done
    Info,
    /// And how it was done
    Debug,
    /// And every exchange
    Trace,
}

/// Begins to log at the level of the flag, else of SORTIE_LOG, else at `warn`.
///
/// # Errors
/// Kind `usage`, when the variable holds no level.
pub(crate) fn begin(flag: Option<Level>) -> Result<(), Failure> {
    let level = match flag {
        Some(level) => level,
        None => from_variable(std::env::var_os(VARIABLE).as_deref().map(|value| value.to_string_lossy()).as_deref())?,
    };
    let filter = match level {
        Level::Off => return Ok(()),
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let lines = fmt::layer().with_ansi(false).with_writer(|| Line(io::stderr()));
    let subscriber = tracing_subscriber::registry().with(Targets::new().with_target("sortie", filter)).with(lines);
    // Fails only where something logs already, and then that goes on.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

fn from_variable(value: Option<&str>) -> Result<Level, Failure> {
    match value.map(str::trim) {
        None | Some("") => Ok(Level::Warn),
        Some(value) => Level::from_str(value, true).map_err(|_| {
            usage(format!("{VARIABLE}={} is no level", visible(value)), "it is off, error, warn, info, debug or trace")
        }),
    }
}

/// Writes one event a line. The formatter hands over each event whole.
struct Line<W>(W);

impl<W: Write> Write for Line<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut line = visible(text.trim_end_matches('\n')).into_owned();
        line.push('\n');
        clear_live(&mut self.0);
        self.0.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_and_harmless() {
        let mut out = Vec::new();
        let event = b"WARN title=\"\x1b[2J\nINFO forged\xe2\x80\xae\"\n";
        assert_eq!(Line(&mut out).write(event).unwrap(), event.len());
        assert_eq!(String::from_utf8(out).unwrap(), "WARN title=\"\\u{1b}[2J\\nINFO forged\\u{202e}\"\n");
    }

    #[test]
    fn the_variable_names_a_level() {
        assert_eq!(from_variable(None).unwrap(), Level::Warn);
        assert_eq!(from_variable(Some(" Debug ")).unwrap(), Level::Debug);
        assert_eq!(from_variable(Some("loud")).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn other_crates_are_not_heard() {
        let filter = Targets::new().with_target("sortie", LevelFilter::TRACE);
        assert!(filter.would_enable("sortie_host::run", &tracing::Level::TRACE));
        assert!(!filter.would_enable("reqwest::connect", &tracing::Level::ERROR));
    }
}
