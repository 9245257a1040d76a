//! Whether and when a failed attempt is made again.

use crate::error::{Disposition, Error, ErrorKind};
use crate::request::Policy;
use crate::settings::Retry;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The shortest wait after a refusal (429), whatever the service says.
const SHORTEST_AFTER_REFUSAL: Duration = Duration::from_millis(250);

/// What comes after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The failure stands.
    GiveUp,
    /// Another attempt after this wait; whether the failed one counts against the number of attempts.
    Again { wait: Duration, counts: bool },
}

/// What comes after the `failed`-th counted attempt. `random` lies in `0.0..1.0`.
pub(crate) fn next(policy: Policy, error: &Error, failed: u32, retry: &Retry, random: f64) -> Next {
    if !may_be_repeated(policy, error) {
        return Next::GiveUp;
    }
    let stated = error.retry_after.filter(|wait| !wait.is_zero());
    // A service that names its time is not failing: only the deadline ends that.
    let counts = !(error.kind == ErrorKind::Throttled && stated.is_some());
    if counts && failed >= retry.attempts {
        return Next::GiveUp;
    }
    let backoff = retry.longest_wait(failed).mul_f64(random);
    let wait = match stated {
        // Never earlier than told; a little later, and not everybody at once.
        Some(stated) => stated.saturating_add(backoff.min(stated.max(retry.first) / 4)),
        None => backoff,
    };
    let shortest = if error.kind == ErrorKind::Throttled { SHORTEST_AFTER_REFUSAL } else { Duration::ZERO };
    Next::Again { wait: wait.max(shortest), counts }
}

fn may_be_repeated(policy: Policy, error: &Error) -> bool {
    let passing = match error.kind {
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Throttled | ErrorKind::Partial => true,
        // A broken answer may come whole the next time; a redirect stays one.
        ErrorKind::BadResponse => !error.status.is_some_and(|status| (300..400).contains(&status)),
        ErrorKind::BlockedUrl
        | ErrorKind::Configuration
        | ErrorKind::Certificate
        | ErrorKind::TooLarge
        | ErrorKind::Cancelled
        | ErrorKind::Status(_) => false,
    };
    let safe = match policy {
        Policy::Read => true,
        Policy::Write => error.kind == ErrorKind::Throttled || error.disposition == Disposition::NotSent,
        Policy::Once => false,
    };
    passing && safe
}

/// A random number in `0.0..1.0`, good enough to spread waits.
pub(crate) fn random() -> f64 {
    // Every RandomState is keyed differently; hashing nothing with it gives 64 bits that nobody else has.
    let bits = RandomState::new().hash_one(0_u8) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(kind: ErrorKind, disposition: Disposition) -> Error {
        Error::new(kind, disposition, "x")
    }

    fn throttled(wait: Option<f64>) -> Error {
        let mut error = error(ErrorKind::Throttled, Disposition::Answered);
        error.retry_after = wait.map(Duration::from_secs_f64);
        error
    }

    #[test]
    fn reads_are_repeated_after_what_passes() {
        let retry = Retry::default();
        let again = |error: &Error| next(Policy::Read, error, 1, &retry, 0.5) != Next::GiveUp;
        for kind in [
            ErrorKind::Unavailable,
            ErrorKind::Timeout,
            ErrorKind::Throttled,
            ErrorKind::Partial,
            ErrorKind::BadResponse,
        ] {
            assert!(again(&error(kind, Disposition::InDoubt)), "{kind:?}");
        }
        for kind in [
            ErrorKind::TooLarge,
            ErrorKind::Certificate,
            ErrorKind::Configuration,
            ErrorKind::BlockedUrl,
            ErrorKind::Cancelled,
            ErrorKind::Status(404),
        ] {
            assert!(!again(&error(kind, Disposition::Answered)), "{kind:?}");
        }
        let mut redirect = error(ErrorKind::BadResponse, Disposition::Answered);
        redirect.status = Some(302);
        assert!(!again(&redirect));
    }

    #[test]
    fn writes_are_repeated_only_if_nothing_was_done() {
        let retry = Retry::default();
        let again = |policy, error: &Error| next(policy, error, 1, &retry, 0.5) != Next::GiveUp;
        assert!(again(Policy::Write, &throttled(None)));
        assert!(again(Policy::Write, &error(ErrorKind::Unavailable, Disposition::NotSent)));
        assert!(again(Policy::Write, &error(ErrorKind::Timeout, Disposition::NotSent)));
        for kind in [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::BadResponse, ErrorKind::Partial] {
            assert!(!again(Policy::Write, &error(kind, Disposition::InDoubt)), "{kind:?}");
        }
        assert!(!again(Policy::Once, &throttled(None)));
        assert!(!again(Policy::Once, &error(ErrorKind::Unavailable, Disposition::NotSent)));
    }

    #[test]
    fn attempts_are_counted_but_for_refusals_that_name_a_time() {
        let retry = Retry { attempts: 3, ..Retry::default() };
        let down = error(ErrorKind::Unavailable, Disposition::NotSent);
        assert_ne!(next(Policy::Read, &down, 2, &retry, 0.5), Next::GiveUp);
        assert_eq!(next(Policy::Read, &down, 3, &retry, 0.5), Next::GiveUp);
        assert_eq!(next(Policy::Read, &throttled(None), 3, &retry, 0.5), Next::GiveUp);
        assert_eq!(next(Policy::Read, &throttled(Some(0.0)), 3, &retry, 0.5), Next::GiveUp);
        assert!(matches!(next(Policy::Read, &throttled(Some(2.0)), 3, &retry, 0.5), Next::Again { counts: false, .. }));
    }

    proptest! {
        #[test]
        fn waits_stay_within_their_bounds(failed in 1_u32..60, random in 0.0_f64..1.0, stated in prop::option::of(0.001_f64..3600.0)) {
            let retry = Retry { attempts: 100, ..Retry::default() };
            let Next::Again { wait, .. } = next(Policy::Read, &throttled(stated), failed, &retry, random) else {
                return Err(TestCaseError::fail("gave up"));
            };
            prop_assert!(wait >= SHORTEST_AFTER_REFUSAL);
            match stated {
                Some(stated) => {
                    prop_assert!(wait >= Duration::from_secs_f64(stated));
                    prop_assert!(wait <= Duration::from_secs_f64(stated * 1.25 + 0.5));
                }
                None => prop_assert!(wait <= retry.max_delay),
            }
        }

        #[test]
        fn random_is_a_fraction(_ in 0..50) {
            prop_assert!((0.0..1.0).contains(&random()));
        }
    }

    #[test]
    fn random_differs() {
        let draws: Vec<f64> = (0..20).map(|_| random()).collect();
        assert!(draws.iter().any(|draw| (draw - draws[0]).abs() > 0.01), "{draws:?}");
    }
}
