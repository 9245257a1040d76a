//! One line that says how the daemon is doing, on a terminal where nothing else is written.

use crate::escape::visible;
use crate::terminal;
use sortie_daemon::settings::{SinkKind, SinkSettings};
use sortie_daemon::status::{Snapshot, Status};
use sortie_host::CancellationToken;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often the line is written again.
const PACE: Duration = Duration::from_secs(1);

/// The line.
pub(super) struct Live(());

impl Live {
    /// The line, if standard error is a terminal that no records are written to.
    pub(super) fn on_terminal(sinks: &[SinkSettings]) -> Option<Self> {
        let records_here = terminal::shows_data() && sinks.iter().any(|sink| matches!(sink.kind, SinkKind::Stdout));
        (!records_here && terminal::live_width().is_some()).then_some(Self(()))
    }

    /// Writes it until the daemon has ended.
    pub(super) async fn run(self, status: Arc<Status>, ended: CancellationToken) {
        let mut ticks = tokio::time::interval(PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while ended.run_until_cancelled(ticks.tick()).await.is_some() {
            // The width is asked for each time: windows are made larger and smaller.
            let Some(width) = terminal::live_width() else { return };
            terminal::tell_live(&cut(&line(&status.snapshot()), width));
        }
    }
}

/// How the daemon is doing, in one line.
fn line(status: &Snapshot) -> String {
    let counts = status.counts;
    let mut line = format!(
        "{}: {} polls, {} new, {} changed, {} waiting",
        status.doing,
        counts.polls + counts.sweeps,
        counts.new,
        counts.changed,
        status.waiting.0
    );
    // Writing to a String cannot fail.
    for (number, what) in [(status.quarantined, "quarantined"), (status.dead_letters, "dead letters")] {
        if number > 0 {
            let _ = write!(line, ", {number} {what}");
        }
    }
    if let Some((at, _)) = status.last_success {
        let _ = write!(line, "; last poll {} s ago", at.elapsed().as_secs());
    }
    let broken = status.sinks.iter().find_map(|(name, sink)| Some((name, sink.error.as_ref()?)));
    if let Some(error) = &status.store_error {
        let _ = write!(line, "; STORE: {error}");
    } else if let Some((kind, message)) = &status.error {
        let _ = write!(line, "; FAILING: {kind}: {message}");
    } else if let Some((kind, message)) = &status.sweep_error {
        let _ = write!(line, "; SWEEP FAILING: {kind}: {message}");
    } else if let Some((name, error)) = broken {
        let _ = write!(line, "; SINK {name}: {error}");
    } else if status.outbox_full {
        line.push_str("; PAUSED: the outbox is full");
    }
    visible(&line).into_owned()
}

/// At most so many columns, so that the line stays one.
fn cut(line: &str, width: u16) -> String {
    let most = usize::from(width).saturating_sub(1);
    if line.chars().count() <= most {
        return line.to_owned();
    }
    line.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_matters_and_stays_one_harmless_line() {
        let status = Status::new(30.0);
        assert_eq!(line(&status.snapshot()), "starting: 0 polls, 0 new, 0 changed, 0 waiting");
        status.change(|status| {
            status.doing = "resting";
            status.counts.polls = 3;
            status.dead_letters = 2;
            status.error = Some(("unavailable".into(), "no\n\u{1b}[31mroute".into()));
        });
        let text = line(&status.snapshot());
        assert_eq!(
            text,
            "resting: 3 polls, 0 new, 0 changed, 0 waiting, 2 dead letters; FAILING: unavailable: no\\n\\u{1b}[31mroute"
        );
        assert_eq!(cut(&text, 20), "resting: 3 polls, …");
        assert_eq!(cut("short", 6), "short");
    }
}
