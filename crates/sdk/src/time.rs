//! Times and spans as people write them.
//!
//! A [`Time`] is absolute or relative to the moment of the run; [`Time::at`] settles it. Everything ends in UTC.

use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, SpanRelativeTo, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The earliest and the latest absolute time that is taken for meant, in seconds: 1970-01-01 and 2100-01-01.
const MEANT: std::ops::Range<i64> = 0..4_102_444_800;

/// Smaller numbers are not taken for seconds: `20260131` and `2026` are dates that lack their dashes.
const SECONDS_FROM: u64 = 100_000_000;

/// Numbers from here on are milliseconds since 1970, smaller ones seconds.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// The longest span that is taken for meant.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

const FORMS: &str = "write RFC 3339 (2026-01-31T08:00:00Z), RFC 2822, YYYY-MM-DD[ HH:MM[:SS]] (UTC), seconds or \
                     milliseconds since 1970, or a relative time (-24h, 3 days ago)";

/// A point in time: RFC 3339, RFC 2822, `YYYY-MM-DD[ HH:MM[:SS]]` in UTC, seconds or milliseconds since 1970, or
/// relative to the run: `-24h`, `3 days ago`, `now`.
#[derive(Clone, Copy, Debug)]
pub struct Time(Meaning);

#[derive(Clone, Copy, Debug)]
enum Meaning {
    Absolute(Timestamp),
    Relative(jiff::Span),
}

impl Time {
    /// The instant, for a run at `now`. A relative time that leads out of range ends at the range's end.
    pub fn at(&self, now: Timestamp) -> Timestamp {
        match self.0 {
            Meaning::Absolute(instant) => instant,
            Meaning::Relative(span) => {
                now.to_zoned(TimeZone::UTC).saturating_add(span).timestamp().max(Timestamp::UNIX_EPOCH)
            }
        }
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(number) = text.parse::<i64>() {
            return from_number(number);
        }
        if let Some(instant) = absolute(text) {
            return instant.ok_or_else(out_of_range).and_then(meant);
        }
        if text.eq_ignore_ascii_case("now") {
            return Ok(Self(Meaning::Relative(jiff::Span::new())));
        }
        match text.parse::<jiff::Span>() {
            Ok(span) if span.is_negative() || span.is_zero() => Ok(Self(Meaning::Relative(span))),
            Ok(_) => Err(format!("{} lies in the future: write -{text} or {text} ago", quoted(text))),
            Err(_) => Err(format!("{} is not a time: {FORMS}", quoted(text))),
        }
    }
}

/// An absolute time, if the text has one of the forms; `Some(None)` when it is too far away to be represented.
fn absolute(text: &str) -> Option<Option<Timestamp>> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(Some(instant));
    }
    if let Ok(civil) = text.parse::<DateTime>() {
        return Some(civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp()));
    }
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok().map(Some)
}

fn from_number(number: i64) -> Result<Time, String> {
    if number.unsigned_abs() < SECONDS_FROM {
        return Err(format!("{number} is too small for a time since 1970: {FORMS}"));
    }
    let instant = if number.unsigned_abs() >= MILLISECONDS_FROM.unsigned_abs() {
        Timestamp::from_millisecond(number)
    } else {
        Timestamp::from_second(number)
    };
    instant.map_err(|_| out_of_range()).and_then(meant)
}

fn meant(instant: Timestamp) -> Result<Time, String> {
    if MEANT.contains(&instant.as_second()) { Ok(Time(Meaning::Absolute(instant))) } else { Err(out_of_range()) }
}

fn out_of_range() -> String {
    "lies outside 1970-01-01 to 2100-01-01".into()
}

/// Foreign text for a message: short, without control characters.
fn quoted(text: &str) -> String {
    let shown: String = text.chars().filter(|character| !character.is_control()).take(40).collect();
    format!("\"{shown}\"")
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimeVisitor;

        impl Visitor<'_> for TimeVisitor {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Time, E> {
                from_number(number).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Time, E> {
                i64::try_from(number).map_err(|_| out_of_range()).and_then(from_number).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(TimeVisitor)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "format": "sortie-time" })
    }
}

/// A length of time: `90s`, `10m`, `1h30m`, `2 days`; at most 7 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(Duration);

impl Span {
    /// The length.
    pub fn duration(&self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let refused = || format!("{} is not a span: write a number with a unit, such as 90s, 10m or 2h", quoted(text));
        let span: jiff::Span = text.parse().map_err(|_| refused())?;
        let length: SignedDuration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| refused())?;
        match Duration::try_from(length) {
            Ok(length) if length <= LONGEST => Ok(Self(length)),
            Ok(_) => Err("is longer than 7 days".into()),
            Err(_) => Err("is negative: leave the sign out".into()),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "sortie-span" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> String {
        let now = "2026-03-10T12:00:00Z".parse().unwrap();
        text.parse::<Time>().unwrap().at(now).to_string()
    }

    #[test]
    fn every_form_ends_in_utc() {
        for (text, wanted) in [
            ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00Z"),
            ("2026-01-31T08:00:00.1234567+02:00", "2026-01-31T06:00:00.1234567Z"),
            ("Sat, 31 Jan 2026 08:00:00 +0100", "2026-01-31T07:00:00Z"),
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31 08:15", "2026-01-31T08:15:00Z"),
            ("2026-01-31 08:15:30", "2026-01-31T08:15:30Z"),
            ("1767225600", "2026-01-01T00:00:00Z"),
            ("1767225600000", "2026-01-01T00:00:00Z"),
            ("-24h", "2026-03-09T12:00:00Z"),
            ("3 days ago", "2026-03-07T12:00:00Z"),
            ("1 month ago", "2026-02-10T12:00:00Z"),
            (" now ", "2026-03-10T12:00:00Z"),
        ] {
            assert_eq!(at(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_number_is_seconds_or_milliseconds() {
        let now = Timestamp::UNIX_EPOCH;
        for number in ["1767225600", "1767225600000"] {
            let time: Time = serde_json::from_str(number).unwrap();
            assert_eq!(time.at(now).to_string(), "2026-01-01T00:00:00Z");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_remedy() {
        for (text, part) in [
            ("9999-12-31", "outside 1970-01-01 to 2100-01-01"),
            ("1969-12-31T23:59:59Z", "outside 1970"),
            ("99999999999999999", "outside"),
            ("24h", "write -24h"),
            ("20260131", "too small"),
            ("2026", "too small"),
            ("yesterday", "is not a time"),
            ("", "is not a time"),
            ("2026-13-01", "is not a time"),
        ] {
            let message = text.parse::<Time>().unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn spans_are_positive_and_short() {
        assert_eq!("10m".parse::<Span>().unwrap().duration(), Duration::from_secs(600));
        assert_eq!("1h30m".parse::<Span>().unwrap().duration(), Duration::from_secs(5400));
        assert_eq!("2 days".parse::<Span>().unwrap().duration(), Duration::from_secs(172_800));
        for (text, part) in
            [("-10m", "negative"), ("8 days", "longer"), ("ten", "not a span"), ("1 month", "not a span")]
        {
            let message = text.parse::<Span>().unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,60}") {
            let _ = text.parse::<Time>();
            let _ = text.parse::<Span>();
        }

        #[test]
        fn an_instant_survives_its_own_text(second in MEANT, nanosecond in 0..1_000_000_000_i32) {
            let instant = Timestamp::new(second, nanosecond).unwrap();
            prop_assert_eq!(instant.to_string().parse::<Time>().unwrap().at(Timestamp::UNIX_EPOCH), instant);
        }
    }
}
