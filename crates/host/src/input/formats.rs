//! The two text formats of the house's own in input schemas: `sortie-time` and `sortie-span`.
//!
//! Actions settle times and spans themselves, with better messages. The host knows the formats for two reasons: a
//! schema check must not miss a bad date next to four other mistakes, and the span in an action's wait field
//! extends the run's deadline before the action is asked.

use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use jiff::{SpanRelativeTo, Timestamp};
use std::time::Duration;

/// The name of the format of times.
pub(super) const TIME: &str = "sortie-time";

/// The name of the format of spans.
pub(super) const SPAN: &str = "sortie-span";

/// What a person can write for a time.
pub(super) const TIME_FORMS: &str = "write RFC 3339 (2026-01-31T08:00:00Z), RFC 2822, YYYY-MM-DD[ HH:MM[:SS]] (UTC), \
     seconds or milliseconds since 1970, or a relative time (-24h, 3 days ago), between 1970 and 2100";

/// What a person can write for a span.
pub(super) const SPAN_FORMS: &str = "write a number with a unit, such as 90s, 10m or 2h, at most 7 days";

/// 1970-01-01 to 2100-01-01, in seconds: outside of it nothing was meant.
const MEANT: std::ops::Range<i64> = 0..4_102_444_800;

/// Smaller numbers are dates that lack their dashes.
const SECONDS_FROM: u64 = 100_000_000;

/// Numbers from here on are milliseconds.
const MILLISECONDS_FROM: u64 = 100_000_000_000;

/// The longest span.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Whether the text is a time in one of the accepted forms.
pub(super) fn is_time(text: &str) -> bool {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        if number.unsigned_abs() < SECONDS_FROM {
            return false;
        }
        let instant = if number.unsigned_abs() >= MILLISECONDS_FROM {
            Timestamp::from_millisecond(number)
        } else {
            Timestamp::from_second(number)
        };
        return instant.is_ok_and(meant);
    }
    if let Some(instant) = absolute(text) {
        return meant(instant);
    }
    text.eq_ignore_ascii_case("now")
        || text.parse::<jiff::Span>().is_ok_and(|span| span.is_negative() || span.is_zero())
}

fn meant(instant: Timestamp) -> bool {
    MEANT.contains(&instant.as_second())
}

fn absolute(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>()
        .ok()
        .or_else(|| text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp()))
        .or_else(|| rfc2822::DateTimeParser::new().parse_timestamp(text).ok())
}

/// The length of a span, if the text is one: `90s`, `10m`, `1h30m`, `2 days`; at most 7 days.
pub(crate) fn span(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.trim().parse().ok()?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(length).ok().filter(|length| *length <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_told_from_other_text() {
        for text in [
            "2026-01-31T08:00:00Z",
            "2026-01-31T08:00:00.1234567+02:00",
            "Sat, 31 Jan 2026 08:00:00 +0100",
            "2026-01-31",
            "2026-01-31 08:15",
            "2026-01-31 08:15:30",
            "1767225600",
            "1767225600000",
            "-24h",
            "3 days ago",
            "now",
            " NOW ",
        ] {
            assert!(is_time(text), "{text}");
        }
        for text in ["", "yesterday", "9999-12-31", "1969-12-31T23:59:59Z", "24h", "2026-13-01", "99999999999999999"] {
            assert!(!is_time(text), "{text}");
        }
    }

    #[test]
    fn spans_are_positive_and_short() {
        assert_eq!(span("10m"), Some(Duration::from_secs(600)));
        assert_eq!(span("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(span("2 days"), Some(Duration::from_secs(172_800)));
        for text in ["", "ten", "-10m", "8 days", "1 month"] {
            assert_eq!(span(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,60}") {
            let _ = is_time(&text);
            let _ = span(&text);
        }
    }
}
