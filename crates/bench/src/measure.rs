//! Running two commands in turn and telling what each cost.

use anyhow::{Result, ensure};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use wait4::Wait4;

/// What one run of a command cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    wall: Duration,
    processor: Duration,
    /// Peak resident memory in bytes.
    memory: u64,
}

/// Runs a command to its end; its output is thrown away.
fn run(command: &mut Command) -> Result<Cost> {
    let begun = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()?;
    let used = child.wait4()?;
    let wall = begun.elapsed();
    ensure!(used.status.success(), "{command:?} ended with {}", used.status);
    Ok(Cost { wall, processor: used.rusage.utime + used.rusage.stime, memory: used.rusage.maxrss })
}

/// Runs the two in turn, after one run of each that does not count, and prints a row a figure.
pub(crate) fn pairs(
    title: &str,
    count: usize,
    mut ours: impl FnMut() -> Command,
    other: &str,
    mut theirs: impl FnMut() -> Command,
) -> Result<()> {
    run(&mut ours())?;
    run(&mut theirs())?;
    let mut costs = Vec::with_capacity(count);
    for _ in 0..count {
        costs.push((run(&mut ours())?, run(&mut theirs())?));
    }
    say(&format!("\n{title} ({count} pairs, medians)"));
    say(&format!("{:12} {:>12} {:>12} {:>16}", "", "sortie", other, "ratio (min-max)"));
    row("wall ms", &costs, |cost| cost.wall.as_secs_f64() * 1e3);
    row("CPU ms", &costs, |cost| cost.processor.as_secs_f64() * 1e3);
    row("peak MB", &costs, |cost| cost.memory as f64 / 1e6);
    Ok(())
}

fn row(name: &str, costs: &[(Cost, Cost)], figure: impl Fn(&Cost) -> f64) {
    let ours = median(costs.iter().map(|(ours, _)| figure(ours)));
    let theirs = median(costs.iter().map(|(_, theirs)| figure(theirs)));
    let ratios: Vec<f64> = costs.iter().map(|(ours, theirs)| figure(ours) / figure(theirs)).collect();
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    let middle = median(ratios.iter().copied());
    say(&format!("{name:12} {ours:>12.2} {theirs:>12.2} {middle:>7.2} ({least:.2}-{most:.2})"));
}

/// The middle one of some figures.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints a line of the report.
#[expect(clippy::print_stdout, reason = "the report is what this program is for")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
