//! What to read next and where that leaves the cursor: the step without its input and output.

use crate::Mode;
use crate::cursor::{Cursor, Slice};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// The services' resolution: the narrowest slice.
const TICK: SignedDuration = SignedDuration::from_nanos(100);

/// How much wider the next part may be than one in which nothing happened.
const GROWTH: u64 = 1024;

/// The widest part: as long as the longest look-back.
const WIDEST: SignedDuration = SignedDuration::from_hours(366 * 24);

/// One step's part of a window of update times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    mode: Mode,
    watermark: Timestamp,
    /// The earliest update time to read, included.
    pub(crate) from: Timestamp,
    /// The latest update time to read, not included; none at the window's open end.
    pub(crate) until: Option<Timestamp>,
    width: Option<SignedDuration>,
    highest: Timestamp,
    crowded_until: Option<Timestamp>,
    /// Whether all of it must be read, whatever the limit, because it cannot be cut.
    pub(crate) whole: bool,
}

/// What was seen while reading.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The newest update time.
    highest: Option<Timestamp>,
    /// The oldest update time of what was left for a later poll.
    too_fresh: Option<Timestamp>,
    /// Update times, a bounded sample.
    sample: Vec<Timestamp>,
    count: u64,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    /// The cursor of the next step; none after a sweep, which begins anew.
    pub(crate) cursor: Option<Cursor>,
    /// Whether the window was not read to its end.
    pub(crate) more: bool,
}

impl Seen {
    /// Takes note of an update time.
    pub(crate) fn note(&mut self, updated: Timestamp) {
        self.highest = self.highest.max(Some(updated));
        self.sample(updated);
    }

    /// Takes note of an update time that a later poll must see, for its incident was not handed over.
    pub(crate) fn leave(&mut self, updated: Timestamp) {
        self.too_fresh = Some(self.too_fresh.map_or(updated, |oldest| oldest.min(updated)));
        self.sample(updated);
    }

    fn sample(&mut self, updated: Timestamp) {
        self.count += 1;
        // Every incident of a small window, and an even sample of a large one.
        if self.count.is_multiple_of(self.count / 2048 + 1) {
            self.sample.push(updated);
        }
    }
}

impl Plan {
    /// The first step of a window, or the next one within it.
    pub(crate) fn new(
        mode: Mode,
        cursor: Option<Cursor>,
        overlap: Duration,
        look_back: Duration,
        now: Timestamp,
    ) -> Self {
        let Some(cursor) = cursor else {
            let from = back(now, look_back);
            return Self::open(mode, from);
        };
        let watermark = cursor.watermark();
        match cursor.slice() {
            Some(slice) => {
                let until = slice.width.and_then(|width| slice.from.checked_add(width).ok());
                // A single instant, or nothing but dates in the future.
                let whole = slice.width.map_or(slice.from > now, |width| width <= TICK);
                let Slice { from, width, highest, crowded_until } = slice;
                Self { from, until, width, highest, crowded_until, whole, ..Self::open(mode, watermark) }
            }
            None => Self { from: back(watermark, overlap), ..Self::open(mode, watermark) },
        }
    }

    /// A window from its watermark to its open end.
    fn open(mode: Mode, watermark: Timestamp) -> Self {
        Self {
            mode,
            watermark,
            from: watermark,
            until: None,
            width: None,
            highest: watermark,
            crowded_until: None,
            whole: false,
        }
    }

    /// Whether an incident updated then is news to this window, and not part of its overlap.
    pub(crate) fn is_news(&self, updated: Option<Timestamp>) -> bool {
        updated.is_none_or(|updated| updated > self.watermark)
    }

    /// The cursor after the part was read to its end.
    ///
    /// `server_now` is the service's own time when it was first asked. No watermark lies after it: an incident that was read
    /// early and changed again while the rest was read is then within the next window, and a date in the future moves nothing.
    /// Nor does one lie after an incident that was left for later: whatever else was seen and however short the overlap, the
    /// next poll reads it again. What is newer than it is too fresh as well, so that a poll in parts ends with its part.
    pub(crate) fn done(&self, seen: &Seen, limit: u64, server_now: Timestamp) -> Next {
        let highest = self.highest.max(seen.highest.unwrap_or(self.highest).min(server_now));
        if let (Mode::Poll, Some(oldest)) = (self.mode, seen.too_fresh) {
            let before = oldest.checked_sub(TICK).unwrap_or(oldest);
            return Next { cursor: Some(Cursor::at(self.mode, highest.max(self.watermark).min(before))), more: false };
        }
        if let (Some(until), Some(width)) = (self.until, self.width)
            && until <= server_now
        {
            let slice = Slice {
                from: until,
                width: Some(self.next_width(until, width, seen, limit)),
                highest,
                crowded_until: self.crowd(until),
            };
            return Next { cursor: Some(Cursor::within(self.mode, self.watermark, slice)), more: true };
        }
        if let Some(until) = self.until {
            // The part ended after the service's now; what is left of the window is open, and begins no later than now: what
            // happens from here on is not behind it.
            let from = until.min(server_now).max(self.from);
            let slice = Slice { from, width: None, highest, crowded_until: None };
            return Next { cursor: Some(Cursor::within(self.mode, self.watermark, slice)), more: true };
        }
        let cursor = (self.mode == Mode::Poll).then(|| Cursor::at(self.mode, highest.max(self.watermark)));
        Next { cursor, more: false }
    }

    /// How wide the next part is. Within a crowd, by what this one left of the limit: half of what remains after a part in which
    /// little happened, else as wide as this one. Beyond it, as much wider as this one left of the limit: where little
    /// happened, the end is soon reached.
    fn next_width(&self, until: Timestamp, width: SignedDuration, seen: &Seen, limit: u64) -> SignedDuration {
        match self.crowd(until) {
            Some(crowded_until) if seen.count.saturating_mul(4) < limit => {
                (crowded_until.duration_since(until) / 2).max(TICK)
            }
            Some(_) => width,
            None => {
                let growth = limit.checked_div(seen.count).unwrap_or(GROWTH).clamp(1, GROWTH);
                let wider = i32::try_from(growth).ok().and_then(|growth| width.checked_mul(growth));
                wider.unwrap_or(WIDEST).min(WIDEST)
            }
        }
    }

    /// The end of the crowd that a part after this time is still in.
    fn crowd(&self, until: Timestamp) -> Option<Timestamp> {
        self.crowded_until.filter(|crowded_until| *crowded_until > until)
    }

    /// The cursor after the part turned out to hold more than one step reads: the same beginning, a nearer end.
    pub(crate) fn cut(&self, seen: &Seen, server_now: Timestamp) -> Next {
        let end = self.until.unwrap_or_else(|| seen.highest.unwrap_or(server_now).min(server_now).max(self.from));
        let half = end.duration_since(self.from).max(TICK) / 2;
        let mut sample: Vec<SignedDuration> = seen.sample.iter().map(|at| at.duration_since(self.from)).collect();
        sample.sort_unstable();
        let quarter = |number: usize| sample.get(sample.len() * number / 4).copied().unwrap_or(half);
        let width = if quarter(1) == quarter(3) {
            // A crowd at one instant: what is before it first; then it, as the narrowest part there is.
            quarter(2)
        } else {
            // Half of what was seen, but never less than halving, so that the cutting soon ends.
            quarter(2).min(half)
        };
        let width = width.max(TICK);
        let crowded_until = Some(self.crowded_until.map_or(end, |known| known.max(end)));
        let slice = Slice { from: self.from, width: Some(width), highest: self.highest, crowded_until };
        Next { cursor: Some(Cursor::within(self.mode, self.watermark, slice)), more: true }
    }
}

fn back(from: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    from.checked_sub(by).unwrap_or(Timestamp::UNIX_EPOCH).max(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const DAY: Duration = Duration::from_secs(86_400);
    const OVERLAP: Duration = Duration::from_secs(600);

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_quiet_poll_keeps_its_watermark() {
        let cursor = Cursor::at(Mode::Poll, second(1_000_000));
        let plan = Plan::new(Mode::Poll, Some(cursor), OVERLAP, DAY, second(2_000_000));
        assert_eq!((plan.from, plan.until), (second(999_400), None));
        assert_eq!(plan.done(&Seen::default(), 10, second(2_000_000)), Next { cursor: Some(cursor), more: false });
    }

    #[test]
    fn a_date_in_the_future_does_not_move_the_watermark_there() {
        let plan = Plan::new(Mode::Poll, None, OVERLAP, DAY, second(1_000_000));
        let mut seen = Seen::default();
        seen.note("9999-01-01T00:00:00Z".parse().unwrap());
        let next = plan.done(&seen, 10, second(1_000_000)).cursor.unwrap();
        assert_eq!(next.watermark(), second(1_000_000));
    }

    #[test]
    fn what_was_left_for_later_holds_the_watermark_in_every_part_of_a_window() {
        let now = second(1_000_000);
        let mut seen = Seen::default();
        seen.note(second(999_000));
        seen.leave(second(999_800));
        seen.leave(second(999_700));
        seen.note("9999-01-01T00:00:00Z".parse().unwrap());
        let before = second(999_700) - TICK;
        let slice = Slice {
            from: second(990_000),
            width: Some(SignedDuration::from_secs(9_900)),
            highest: second(0),
            crowded_until: None,
        };
        let watermark = second(980_000);
        for cursor in [
            Cursor::at(Mode::Poll, watermark),
            Cursor::within(Mode::Poll, watermark, slice),
            Cursor::within(Mode::Poll, watermark, Slice { width: None, ..slice }),
            // A watermark that ran ahead, when the delay was shorter, comes back.
            Cursor::at(Mode::Poll, second(999_900)),
        ] {
            let plan = Plan::new(Mode::Poll, Some(cursor), Duration::ZERO, DAY, now);
            let next = plan.done(&seen, 10, now);
            assert_eq!(next, Next { cursor: Some(Cursor::at(Mode::Poll, before)), more: false }, "{cursor}");
        }
        // A sweep has no watermark to hold: its parts go on.
        let plan = Plan::new(Mode::Sweep, Some(Cursor::within(Mode::Sweep, watermark, slice)), OVERLAP, DAY, now);
        assert!(plan.done(&seen, 10, now).more);
    }

    #[test]
    fn a_sweep_has_no_cursor_when_it_is_done() {
        let plan = Plan::new(Mode::Sweep, None, OVERLAP, DAY, second(1_000_000));
        assert_eq!(plan.from, second(1_000_000 - 86_400));
        assert_eq!(plan.done(&Seen::default(), 10, second(1_000_000)), Next { cursor: None, more: false });
    }

    #[test]
    fn however_wide_a_part_grows_its_cursor_can_be_read() {
        let slice = Slice {
            from: second(0),
            width: Some(SignedDuration::from_hours(200 * 24)),
            highest: second(0),
            crowded_until: None,
        };
        let plan = Plan::new(Mode::Poll, Some(Cursor::within(Mode::Poll, second(0), slice)), OVERLAP, DAY, second(0));
        let next = plan.done(&Seen::default(), 10, second(1_700_000_000)).cursor.unwrap();
        assert_eq!(next.slice().unwrap().width, Some(WIDEST));
        assert_eq!(next.to_string().parse(), Ok(next));
    }

    /// Runs steps over update times until there is no more; answers the times read and the number of steps.
    fn run(times: &[i64], limit: usize, newest_first: bool) -> (BTreeSet<usize>, usize, Timestamp) {
        let now = second(1_000_000);
        let (mut cursor, mut read, mut steps) = (None, BTreeSet::new(), 0);
        loop {
            steps += 1;
            assert!(steps < 5_000, "no end");
            let plan = Plan::new(Mode::Poll, cursor, OVERLAP, DAY, now);
            let mut part: Vec<(usize, Timestamp)> = times.iter().map(|at| second(*at)).enumerate().collect();
            part.retain(|(_, at)| *at >= plan.from && plan.until.is_none_or(|until| *at < until));
            part.sort_by_key(|(id, at)| if newest_first { (-at.as_second(), *id) } else { (at.as_second(), *id) });
            let mut seen = Seen::default();
            let whole = part.len() <= limit || plan.whole;
            for (id, at) in part.iter().take(if whole { usize::MAX } else { limit }) {
                read.insert(*id);
                seen.note(*at);
            }
            let next = if whole { plan.done(&seen, limit as u64, now) } else { plan.cut(&seen, now) };
            cursor = next.cursor;
            if !next.more {
                return (read, steps, cursor.unwrap().watermark());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn steps_read_the_whole_window(
            times in prop::collection::vec(prop_oneof![913_600..1_000_000i64, 999_000..999_010i64], 0..120),
            limit in 1..40usize, newest_first in any::<bool>(),
        ) {
            let (read, _, watermark) = run(&times, limit, newest_first);
            prop_assert_eq!(read.len(), times.len());
            prop_assert_eq!(watermark, times.iter().max().map_or(second(913_600), |at| second(*at)));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Time passes between steps, little or much, and incidents appear in it.
        #[test]
        fn what_appears_between_steps_is_read(
            times in prop::collection::vec(913_600..1_000_000i64, 0..60),
            passing in prop::collection::vec((0..90_000i64, 0..4usize), 1..30),
            limit in 1..30usize, newest_first in any::<bool>(),
        ) {
            let mut times = times;
            let (mut cursor, mut read, mut now) = (None, BTreeSet::new(), 1_000_000);
            let mut passing = passing.into_iter();
            for _ in 0..5_000 {
                let plan = Plan::new(Mode::Poll, cursor, OVERLAP, DAY, second(now));
                let mut part: Vec<(usize, Timestamp)> = times.iter().map(|at| second(*at)).enumerate().collect();
                part.retain(|(_, at)| *at >= plan.from && plan.until.is_none_or(|until| *at < until));
                part.sort_by_key(|(id, at)| if newest_first { (-at.as_second(), *id) } else { (at.as_second(), *id) });
                let whole = part.len() <= limit || plan.whole;
                let mut seen = Seen::default();
                for (id, at) in part.iter().take(if whole { usize::MAX } else { limit }) {
                    read.insert(*id);
                    seen.note(*at);
                }
                let next = if whole { plan.done(&seen, limit as u64, second(now)) } else { plan.cut(&seen, second(now)) };
                cursor = next.cursor;
                match passing.next() {
                    Some((length, incidents)) => {
                        times.extend((1..=incidents as i64).map(|part| now + length * part / (incidents as i64)));
                        now += length;
                    }
                    None if !next.more => break,
                    None => {}
                }
            }
            prop_assert_eq!(read.len(), times.len());
        }
    }

    /// Lost once: a part that ended in the future left the cursor there, and what happened before that time was behind it.
    #[test]
    fn a_part_that_ends_in_the_future_leaves_nothing_behind() {
        let now = second(1_000_000);
        let slice = Slice {
            from: second(999_000),
            width: Some(SignedDuration::from_hours(48)),
            highest: second(999_000),
            crowded_until: None,
        };
        let cursor = Cursor::within(Mode::Poll, second(900_000), slice);
        let plan = Plan::new(Mode::Poll, Some(cursor), OVERLAP, DAY, now);
        let next = plan.done(&Seen::default(), 10, now).cursor.unwrap();
        let later = Plan::new(Mode::Poll, Some(next), OVERLAP, DAY, second(1_100_000));
        assert!(later.from <= now && later.until.is_none(), "{later:?}");
    }

    /// A window whose incidents all lie near its end, read in parts: few are read twice.
    #[test]
    fn a_crowd_at_the_end_of_a_long_window_is_found_without_reading_it_again_and_again() {
        let times: Vec<i64> = (0..20_000).map(|id| 980_000 + id).collect();
        let (read, steps, _) = run(&times, 5_000, true);
        assert_eq!(read.len(), times.len());
        assert!(steps < 40, "{steps} steps");
    }

    #[test]
    fn a_crowd_does_not_take_for_ever() {
        let minute: Vec<i64> = (0..20_000).map(|id| 999_000 + id % 60).collect();
        let instant: Vec<i64> = (0..500).map(|id| if id < 400 { 950_000 } else { 950_000 + id }).collect();
        let spread: Vec<i64> = (0..20_000).map(|id| 913_600 + id * 4).collect();
        for (times, limit, most) in [(minute, 1_000, 150), (instant, 50, 60), (spread, 1_000, 150)] {
            for newest_first in [true, false] {
                let (read, steps, _) = run(&times, limit, newest_first);
                assert_eq!(read.len(), times.len());
                assert!(steps < most, "{steps} steps");
            }
        }
    }
}
