//! What the boundary itself costs: the load of a library, and one call of a host service.

use crate::measure::{median, say};
use anyhow::{Context, Result};
use sortie_abi::Level;
use sortie_abi::host::{Answer, Services, Stop, lend};
use sortie_host::config::{ConfigText, Environment, Overrides, resolve};
use sortie_host::{Failure, Host};
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

const CALLS: u32 = 1_000_000;
const ROUNDS: usize = 11;
const LOADS: usize = 21;

/// A host whose services do nothing, so that only the boundary is left to measure.
struct Nothing;

impl Services for Nothing {
    fn invocation(&self) -> &str {
        "{}"
    }
    fn request(&self, _: &str, _: &[u8]) -> Result<Answer, Stop> {
        Ok(Answer::default())
    }
    fn request_many(&self, _: &[(&str, &[u8])]) -> Result<Vec<Answer>, Stop> {
        Ok(Vec::new())
    }
    fn emit(&self, record: &str) -> Result<(), Stop> {
        black_box(record);
        Ok(())
    }
    fn reply(&self, chunk: &[u8]) -> Result<(), Stop> {
        black_box(chunk);
        Ok(())
    }
    fn log(&self, _: Level, _: &str, _: &str) {}
    fn progress(&self, _: &str) {}
    fn sleep(&self, _: Duration) -> Result<(), Stop> {
        Ok(())
    }
    fn cancelled(&self) -> bool {
        false
    }
    fn now(&self) -> i64 {
        0
    }
}

pub(crate) fn measure(binary: &Path) -> Result<()> {
    load(binary)?;
    calls();
    Ok(())
}

/// The time until a library that was never opened before is checked, open and understood.
fn load(binary: &Path) -> Result<()> {
    let built = binary.parent().context("the binary's folder")?;
    say(&format!("\nload of a library: check, open and describe (median of {LOADS} copies)"));
    for action in ["get-incident", "search-incidents", "isolate-machine"] {
        let name = format!("libaction_{}.so", action.replace('-', "_"));
        let mut times = Vec::new();
        for _ in 0..LOADS {
            // Each copy is another file, so that the dynamic linker cannot recognise it.
            let folder = tempfile::tempdir()?;
            fs::copy(built.join(&name), folder.path().join(&name))?;
            let overrides = Overrides {
                config_text: Some(ConfigText { name: "bench".into(), text: String::new() }),
                actions_dir: Some(folder.path().into()),
                ..Overrides::default()
            };
            let host = Host::new(resolve(&overrides, &Environment::empty()).map_err(failed)?.profile);
            let begun = Instant::now();
            host.load(action).map_err(failed)?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        say(&format!("{action:28} {:>10.3} ms", median(times.into_iter())));
    }
    Ok(())
}

fn failed(failure: Failure) -> anyhow::Error {
    anyhow::anyhow!("{}: {}", failure.kind, failure.message)
}

fn calls() {
    say(&format!("\nthe boundary (medians of {ROUNDS} rounds of {CALLS} calls)"));
    let record = "x".repeat(16 * 1024);
    for (name, record) in [("emit, 2 bytes", "{}"), ("emit, 16 KiB", record.as_str())] {
        let nanoseconds = median((0..ROUNDS).map(|_| {
            lend(&Nothing, |host| {
                let begun = Instant::now();
                for _ in 0..CALLS {
                    let _ = black_box(host.emit(black_box(record)));
                }
                begun.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
            })
            .unwrap_or(f64::NAN)
        }));
        say(&format!("{name:28} {nanoseconds:>10.1} ns a call"));
    }
    let nanoseconds = median((0..ROUNDS).map(|_| {
        lend(&Nothing, |host| {
            let begun = Instant::now();
            for _ in 0..CALLS / 10 {
                let _ = black_box(host.request("{}", b"").map(|open| open.head().map(str::len)));
            }
            begun.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS / 10)
        })
        .unwrap_or(f64::NAN)
    }));
    say(&format!("{:28} {nanoseconds:>10.1} ns a call", "request, head and release"));
}
