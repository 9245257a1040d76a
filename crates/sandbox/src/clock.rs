//! The sandbox's clock. Everything that has a time (tokens, incidents, machine actions, throttling, the `Date` header) reads this one clock, so that a
//! test moves the whole tenant by moving it.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::lock;

/// Nanoseconds in one tick; the services write times in ticks of 100 ns (contract section 3, "Times": up to 7 fractional digits).
const TICK: i128 = 100;

/// A clock that runs from a given start, or stands still.
#[derive(Debug)]
pub(crate) struct Clock(Mutex<Reading>);

#[derive(Debug, Clone, Copy)]
struct Reading {
    base: Timestamp,
    /// When `base` was true; `None` while the clock stands still.
    since: Option<Instant>,
}

impl Reading {
    fn now(self) -> Timestamp {
        let elapsed = self.since.map_or(Duration::ZERO, |since| since.elapsed());
        floor(add(self.base, elapsed))
    }
}

impl Clock {
    /// A clock that starts at `start` (the machine's time if `None`) and runs unless `still`.
    pub(crate) fn new(start: Option<Timestamp>, still: bool) -> Self {
        let base = floor(start.unwrap_or_else(Timestamp::now));
        Self(Mutex::new(Reading { base, since: (!still).then(Instant::now) }))
    }

    /// The time now, in whole ticks.
    pub(crate) fn now(&self) -> Timestamp {
        lock(&self.0).now()
    }

    /// Moves the clock to `time`; it goes on running or standing as before.
    pub(crate) fn set(&self, time: Timestamp) {
        let mut reading = lock(&self.0);
        reading.base = floor(time);
        reading.since = reading.since.map(|_| Instant::now());
    }

    /// Moves the clock by `span`.
    pub(crate) fn advance(&self, span: Duration) {
        let mut reading = lock(&self.0);
        reading.base = add(reading.base, span);
    }

    /// Stops the clock (`true`) or lets it run (`false`).
    pub(crate) fn hold(&self, still: bool) {
        let mut reading = lock(&self.0);
        reading.base = reading.now();
        reading.since = (!still).then(Instant::now);
    }
}

/// `time + span`, kept inside the range a timestamp can have.
pub(crate) fn add(time: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    time.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// `time - span`, kept inside the range a timestamp can have.
pub(crate) fn sub(time: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    time.checked_sub(span).unwrap_or(Timestamp::MIN)
}

/// The whole tick at or before `time`.
pub(crate) fn floor(time: Timestamp) -> Timestamp {
    let nanos = time.as_nanosecond();
    Timestamp::from_nanosecond(nanos - nanos.rem_euclid(TICK)).unwrap_or(time)
}

/// Writes a time as the services do: UTC, `Z`, and as many fractional digits as are not trailing zeros (at most seven).
pub(crate) fn text(time: Timestamp) -> String {
    floor(time).to_string()
}

/// The form of the HTTP `Date` and `Retry-After` headers.
pub(crate) fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_still_clock_moves_only_when_moved() {
        let clock = Clock::new(Some(at("2026-03-01T12:00:00Z")), true);
        assert_eq!(clock.now(), at("2026-03-01T12:00:00Z"));
        clock.advance(Duration::from_secs(90));
        assert_eq!(clock.now(), at("2026-03-01T12:01:30Z"));
        clock.set(at("2020-01-01T00:00:00Z"));
        assert_eq!(clock.now(), at("2020-01-01T00:00:00Z"));
    }

    #[test]
    fn a_running_clock_runs_and_can_be_held() {
        let clock = Clock::new(Some(at("2026-03-01T12:00:00Z")), false);
        let first = clock.now();
        while clock.now() == first {
            std::thread::yield_now();
        }
        clock.hold(true);
        assert_eq!(clock.now(), clock.now());
    }

    #[test]
    fn times_have_no_trailing_zeros_and_at_most_seven_digits() {
        assert_eq!(text(at("2026-03-01T12:00:00.123456789Z")), "2026-03-01T12:00:00.1234567Z");
        assert_eq!(text(at("2026-03-01T12:00:00.290Z")), "2026-03-01T12:00:00.29Z");
        assert_eq!(text(at("2026-03-01T12:00:00Z")), "2026-03-01T12:00:00Z");
        assert_eq!(http_date(at("2026-03-01T12:00:00.5Z")), "Sun, 01 Mar 2026 12:00:00 GMT");
    }
}
