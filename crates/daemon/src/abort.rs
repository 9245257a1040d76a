//! Dying at a named step, for tests of what a crash leaves behind. Exists in debug builds only.
//!
//! `SORTIE_ABORT_AT=committed:3` ends the process, as `kill -9` would, when the step `committed` is reached for the third time.

/// The steps on a record's way, in their order: `fetched` (handed over by the action), `decided` (what is news is known, nothing is
/// durable), `committed`, `sent` (handed to a sink), `acknowledged` (the sink took it), `settled`.
#[cfg(debug_assertions)]
pub(crate) fn at(step: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static REACHED: AtomicU64 = AtomicU64::new(0);
    let wanted = WANTED.get_or_init(|| {
        let told = std::env::var("SORTIE_ABORT_AT").ok()?;
        let (step, time) = told.split_once(':').unwrap_or((&told, "1"));
        Some((step.to_owned(), time.parse().unwrap_or(1)))
    });
    if let Some((wanted, time)) = wanted
        && wanted == step
        && REACHED.fetch_add(1, Ordering::Relaxed) + 1 == *time
    {
        // No clean-up of any kind, as when the power fails.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::process::abort();
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub(crate) fn at(_: &str) {}
