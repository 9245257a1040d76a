//! How long to wait: between polls, and after what failed.
//!
//! After news the next poll comes sooner, down to a third of the interval, and each quiet poll doubles the rest again, up to the
//! interval. Every wait is shortened by chance, so that daemons that began together do not stay together.

use super::{Moment, Trouble, millis};
use std::time::Duration;

/// The longest wait after failures that pass by themselves: an outage's end is noticed this soon.
const LONGEST: Moment = 60_000;

/// The longest wait after failures that need a person.
const LONGEST_FOR_HELP: Moment = 5 * 60_000;

/// The longest wait that the service is granted when it asks for one.
const LONGEST_ASKED: Moment = 60 * 60_000;

/// What is told about time.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The rest between two quiet polls.
    pub interval: Duration,
    /// The rest between two sweeps.
    pub sweep_interval: Duration,
    /// How long versions are remembered.
    pub retention: Duration,
    /// Everything due is done once, then the daemon ends.
    pub once: bool,
}

/// The present pace.
#[derive(Clone, Debug)]
pub struct Pace {
    rest: Moment,
    chance: u64,
}

impl Pace {
    /// The pace of a daemon that begins.
    pub fn new(policy: &Policy, seed: u64) -> Self {
        Self { rest: millis(policy.interval), chance: seed | 1 }
    }

    /// The rest after a poll that ended well.
    pub(super) fn after(&mut self, policy: &Policy, news: bool) -> Moment {
        let most = millis(policy.interval).max(1);
        self.rest = if news { most / 3 } else { self.rest.saturating_mul(2) }.clamp(1, most);
        self.shortened(self.rest, 10)
    }

    /// The rest after a failure, of so many in a row.
    pub(super) fn back_off(&mut self, policy: &Policy, failures: u32, trouble: &Trouble) -> Moment {
        let most = if trouble.needs_help { LONGEST_FOR_HELP } else { LONGEST };
        let most = most.min(millis(policy.interval).saturating_mul(10)).max(1);
        let doubled = 1000u64.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(most);
        let asked = trouble.retry_after.map_or(0, |asked| millis(asked).min(LONGEST_ASKED));
        asked.saturating_add(self.shortened(doubled, 50))
    }

    /// A length, shortened by chance by at most so many hundredths.
    fn shortened(&mut self, length: Moment, hundredths: u64) -> Moment {
        // xorshift64: chance enough to keep daemons apart.
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        length - length.saturating_mul(self.chance % 1000 * hundredths) / 100_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let seconds = Duration::from_secs;
        Policy { interval: seconds(30), sweep_interval: seconds(3600), retention: seconds(1 << 30), once: false }
    }

    #[test]
    fn news_quicken_the_pace_and_quiet_slows_it_to_the_interval() {
        let mut pace = Pace::new(&policy(), 7);
        let rests: Vec<Moment> =
            [false, true, true, false, false, false].map(|news| pace.after(&policy(), news)).to_vec();
        for (rest, most) in rests.iter().zip([30_000, 10_000, 10_000, 20_000, 30_000, 30_000]) {
            assert!(*rest <= most && *rest >= most * 9 / 10, "{rests:?}");
        }
    }

    #[test]
    fn failures_back_off_and_the_services_wish_is_granted_first() {
        let mut pace = Pace::new(&policy(), 7);
        let trouble = Trouble::default();
        for (failures, most) in [(1, 1000), (2, 2000), (7, 60_000), (4_000_000_000, 60_000)] {
            let wait = pace.back_off(&policy(), failures, &trouble);
            assert!(wait <= most && wait >= most / 2, "{failures}: {wait}");
        }
        let asked = Trouble { retry_after: Some(Duration::from_secs(120)), ..Trouble::default() };
        assert!(pace.back_off(&policy(), 1, &asked) >= 120_000);
        let absurd = Trouble { retry_after: Some(Duration::from_secs(1_000_000_000)), ..Trouble::default() };
        assert!(pace.back_off(&policy(), 1, &absurd) <= LONGEST_ASKED + 1000);
    }

    #[test]
    fn daemons_that_began_together_part() {
        let waits: std::collections::BTreeSet<Moment> =
            (0..20u64).map(|seed| Pace::new(&policy(), seed * 2 + 12_345).after(&policy(), false)).collect();
        assert!(waits.len() > 15, "{waits:?}");
    }
}
