//! How long to wait after a failure.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The upper bound of the first wait.
const FIRST: Duration = Duration::from_secs(1);

/// The upper bound of every wait.
const LONGEST: Duration = Duration::from_secs(60);

/// The lower bound of every wait: jitter must not make a loop without rests.
const SHORTEST: Duration = Duration::from_millis(50);

/// The longest wait that a receiver may ask for.
pub(super) const LONGEST_STATED: Duration = Duration::from_secs(3_600);

/// The upper bound of every wait while the daemon is about to end.
pub(super) const LONGEST_FINISHING: Duration = Duration::from_secs(2);

/// The longest wait that a receiver may ask for while the daemon is about to end; one that asks for more is given up.
pub(super) const LONGEST_STATED_FINISHING: Duration = Duration::from_secs(5);

/// How often a thing that fails is tried while the daemon is about to end.
pub(super) const TRIES_FINISHING: u32 = 3;

/// The wait after the `failed`-th failure in a row: random between nearly nothing and an upper bound that doubles from 1 s
/// to 60 s, so that daemons that failed together do not come back together.
pub(super) fn wait(failed: u32) -> Duration {
    let bound = FIRST.saturating_mul(1 << failed.saturating_sub(1).min(10)).min(LONGEST);
    bound.mul_f64(random()).max(SHORTEST)
}

/// The wait between attempts that tell whether it is the sink or the items: random, at most a quarter of a second.
pub(super) fn short() -> Duration {
    (FIRST / 4).mul_f64(random()).max(SHORTEST)
}

/// A number in `0.0..1.0`.
fn random() -> f64 {
    // Every RandomState is keyed differently; hashing nothing with it gives bits that nobody else has.
    let bits = u32::try_from(RandomState::new().hash_one(0_u8) >> 32).unwrap_or_default();
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_are_never_nothing() {
        for (failed, bound) in [(0, 1), (1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (u32::MAX, 60)] {
            for _ in 0..200 {
                let wait = wait(failed);
                assert!(wait >= SHORTEST && wait <= Duration::from_secs(bound), "{failed}: {wait:?}");
            }
        }
        let longest = (0..200).map(|_| wait(20)).max();
        assert!(longest > Some(Duration::from_secs(40)), "{longest:?}");
    }
}
