//! The sortie command: a thin face of the host.
//!
//! Reading the command line, asking and printing happen here; finding, checking and running actions happen in
//! `sortie_host`. One file a verb stands in [`verbs`]. Standard output carries data only, and whatever fails ends
//! as an error document with the exit code of its kind.

mod command_line;
mod exit_codes;
mod flags;
mod logging;
mod output;
mod page;
mod prompt;
mod report;
mod session;
mod signals;
mod start;
mod terminal;
mod verbs;

// Every verb shows foreign text through it.
use sortie_host::escape;
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(start::start(&std::env::args_os().collect::<Vec<_>>()))
}
