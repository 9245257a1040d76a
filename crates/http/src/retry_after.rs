//! When a service says it may be asked again.
//!
//! Graph sends `Retry-After` as a fraction of seconds (the documented sample is `2.128`), Defender for Endpoint as whole
//! seconds, proxies in between as an HTTP date. Defender XDR documents that "the body indicates the time", without
//! a format, so the body's message is searched for what a time or a span usually looks like. Whatever is found is
//! held against the answer's own `Date`, not against this machine's clock, and clamped to an hour.

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest wait that is believed.
pub(crate) const LONGEST: Duration = Duration::from_secs(3600);

/// How long to wait, by the answer's header or else by its body; `None` where neither says something usable.
pub(crate) fn wait(headers: &HeaderMap, body: &[u8], now: SystemTime) -> Option<Duration> {
    let now = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok()).unwrap_or(now);
    let header = headers.get(RETRY_AFTER).and_then(|value| in_header(value.to_str().ok()?, now));
    header.or_else(|| in_body(body, now)).map(|wait| wait.min(LONGEST))
}

fn in_header(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return in_seconds(seconds);
    }
    // A date that has passed is an answer too: now.
    let date = httpdate::parse_http_date(value).ok().or_else(|| find_instant(value))?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// Negative and non-numbers say nothing; what does not fit a `Duration` is the longest.
fn in_seconds(seconds: f64) -> Option<Duration> {
    (seconds >= 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST))
}

/// How much of a body is searched.
const SEARCHED: usize = 4096;

fn in_body(body: &[u8], now: SystemTime) -> Option<Duration> {
    let text = String::from_utf8_lossy(body.get(..SEARCHED).unwrap_or(body));
    if let Some(wait) = find_span(&text) {
        return Some(wait);
    }
    // A time in the past is when the refusal was made (Graph's `innerError.date`), not when it ends.
    find_instant_after(&text, now)?.duration_since(now).ok()
}

/// `N seconds`, `N minutes`.
fn find_span(text: &str) -> Option<Duration> {
    let mut words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).filter(|word| !word.is_empty());
    let mut before = words.next()?;
    for word in words {
        let unit = match word.trim_end_matches('.').to_ascii_lowercase().as_str() {
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "min" | "mins" | "minute" | "minutes" => 60.0,
            _ => 0.0,
        };
        if unit > 0.0
            && let Ok(number) = before.parse::<f64>()
        {
            return in_seconds(number * unit);
        }
        before = word;
    }
    None
}

/// The first ISO 8601 time in a text.
fn find_instant(text: &str) -> Option<SystemTime> {
    instants(text).next()
}

/// The latest ISO 8601 time in a text that lies after `now`.
fn find_instant_after(text: &str, now: SystemTime) -> Option<SystemTime> {
    instants(text).filter(|time| *time > now).max()
}

fn instants(text: &str) -> impl Iterator<Item = SystemTime> {
    let bytes = text.as_bytes();
    (0..bytes.len())
        .filter(|&start| start == 0 || !bytes.get(start - 1).is_some_and(u8::is_ascii_digit))
        .filter_map(|start| parse_instant(bytes.get(start..)?))
}

/// `YYYY-MM-DD`, `T` or a space, `HH:MM:SS`, an optional fraction, and `Z`, an offset, or nothing (UTC).
fn parse_instant(text: &[u8]) -> Option<SystemTime> {
    let number = |from: usize, length: usize| -> Option<i64> {
        text.get(from..from + length)?
            .iter()
            .try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
    };
    let is = |at: usize, allowed: &[u8]| text.get(at).is_some_and(|byte| allowed.contains(byte));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 24 || minute > 59 || second > 60 {
        return None;
    }
    let mut end = 19;
    if is(end, b".") {
        end += 1;
        while text.get(end).is_some_and(u8::is_ascii_digit) {
            end += 1;
        }
    }
    let offset = match text.get(end) {
        Some(sign @ (b'+' | b'-')) if is(end + 3, b":") => {
            let minutes = number(end + 1, 2)? * 60 + number(end + 4, 2)?;
            if *sign == b'+' { minutes } else { -minutes }
        }
        _ => 0,
    };
    let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset * 60;
    // A fraction only ever makes the wait longer: a started second counts whole.
    let started = i64::from(end > 19);
    UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds + started).ok()?))
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar: years run from March, so that the leap day is the last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let from_march = (month + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    /// 2026-11-21T12:00:00Z
    const NOON: u64 = 1_795_262_400;

    fn noon() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOON)
    }

    fn header(value: &str) -> Option<f64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        wait(&headers, b"", noon()).map(|wait| wait.as_secs_f64())
    }

    fn body(text: &str) -> Option<f64> {
        wait(&HeaderMap::new(), text.as_bytes(), noon()).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn every_form_of_the_header() {
        assert_eq!(header("17"), Some(17.0));
        assert_eq!(header(" 2.128 "), Some(2.128));
        assert_eq!(header("0"), Some(0.0));
        assert_eq!(header("Sat, 21 Nov 2026 12:00:30 GMT"), Some(30.0));
        assert_eq!(header("Sat, 21 Nov 2026 11:00:00 GMT"), Some(0.0));
        assert_eq!(header("2026-11-21T12:00:05Z"), Some(5.0));
        assert_eq!(header("-5"), None);
        assert_eq!(header("soon"), None);
        assert_eq!(header("NaN"), None);
        assert_eq!(header(""), None);
        assert_eq!(header("1000000000"), Some(3600.0));
        assert_eq!(header("1e300"), Some(3600.0));
        assert_eq!(header("inf"), Some(3600.0));
        assert_eq!(header("Fri, 31 Dec 9999 23:59:59 GMT"), Some(3600.0));
    }

    #[test]
    fn a_date_is_held_against_the_date_of_the_answer() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("Sat, 21 Nov 2026 12:00:30 GMT"));
        headers.insert(DATE, HeaderValue::from_static("Sat, 21 Nov 2026 12:00:00 GMT"));
        let hour_ahead = noon() + Duration::from_secs(3600);
        assert_eq!(wait(&headers, b"", hour_ahead), Some(Duration::from_secs(30)));
    }

    #[test]
    fn the_time_in_a_body() {
        assert_eq!(body(r#"{"error":{"message":"You can make new calls at 2026-11-21T12:00:20Z."}}"#), Some(20.0));
        assert_eq!(body("again at 2026-11-21 12:00:20.5 please"), Some(21.0));
        assert_eq!(body("after 2026-11-21T13:00:20+01:00"), Some(20.0));
        assert_eq!(body("Try again in 45 seconds."), Some(45.0));
        assert_eq!(body("wait 2 minutes"), Some(120.0));
        assert_eq!(body("retry in 1.5 sec"), Some(1.5));
        assert_eq!(body("Please retry again later."), None);
        assert_eq!(body(r#"{"innerError":{"date":"2026-11-21T11:59:59","code":"429"}}"#), None);
        assert_eq!(body("at 2026-99-99T12:00:20Z"), None);
    }

    #[test]
    fn the_header_goes_before_the_body() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("3"));
        assert_eq!(wait(&headers, b"in 45 seconds", noon()), Some(Duration::from_secs(3)));
        headers.insert(RETRY_AFTER, HeaderValue::from_static("whenever"));
        assert_eq!(wait(&headers, b"in 45 seconds", noon()), Some(Duration::from_secs(45)));
    }

    #[test]
    fn leap_days_are_counted() {
        assert_eq!(days_since_epoch(1970, 1, 1), 0);
        assert_eq!(days_since_epoch(2000, 3, 1), 11_017);
        assert_eq!(days_since_epoch(2026, 11, 21) * 86_400 + 43_200, NOON.cast_signed());
    }

    proptest! {
        #[test]
        fn any_text_gives_at_most_an_hour(text in any::<String>()) {
            if let Some(wait) = wait(&HeaderMap::new(), text.as_bytes(), noon()) {
                prop_assert!(wait <= LONGEST);
            }
        }

        #[test]
        fn a_time_is_found_as_it_was_written(ahead in 1_u64..3600, before in "[ -~]{0,20}[^0-9.]") {
            let time = noon() + Duration::from_secs(ahead);
            let (hours, minutes, seconds) = (12 + ahead / 3600, ahead / 60 % 60, ahead % 60);
            let text = format!("2026-11-21T{hours:02}:{minutes:02}:{seconds:02}Z");
            prop_assert_eq!(find_instant(&text), Some(time));
            prop_assert_eq!(parse_instant(format!("{text}{before}").as_bytes()), Some(time));
        }
    }
}
