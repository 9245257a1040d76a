//! Times as the services write them.
//!
//! Every surface writes ISO 8601 in UTC with zero to seven (and anywhere more) fractional digits of varying length
//! (contract section 3), so times are compared as instants, never as text.

use jiff::{Timestamp, civil};

/// The resolution of the services' own times: 100 nanoseconds.
const TICK: i128 = 100;

/// Reads a time written by a service. A missing zone is UTC, digits beyond nanoseconds are cut.
pub fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let cut = cut_fraction(text);
    let text = cut.as_deref().unwrap_or(text);
    match text.parse::<Timestamp>() {
        Ok(time) => Some(time),
        Err(_) => {
            text.parse::<civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
        }
    }
}

/// The text with at most nine fractional digits, when it has more.
fn cut_fraction(text: &str) -> Option<String> {
    let (whole, rest) = text.split_once('.')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits <= 9 {
        return None;
    }
    Some(format!("{whole}.{}{}", rest.get(..9)?, rest.get(digits..)?))
}

/// The latest instant the services can express that is not after `time`.
pub(crate) fn floor(time: Timestamp) -> Timestamp {
    let nanoseconds = time.as_nanosecond();
    Timestamp::from_nanosecond(nanoseconds - nanoseconds.rem_euclid(TICK)).unwrap_or(time)
}

/// The earliest instant the services can express that is not before `time`.
pub(crate) fn ceil(time: Timestamp) -> Timestamp {
    let nanoseconds = time.as_nanosecond();
    Timestamp::from_nanosecond(nanoseconds + (-nanoseconds).rem_euclid(TICK)).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn any_number_of_digits_and_either_zone() {
        for (text, same) in [
            ("2020-09-06T14:46:57Z", "2020-09-06T14:46:57Z"),
            ("2020-09-06T14:46:57.29Z", "2020-09-06T14:46:57.290Z"),
            ("2020-09-06T14:46:57.0733333Z", "2020-09-06T14:46:57.0733333Z"),
            ("2020-09-06T14:46:57.0733333+00:00", "2020-09-06T14:46:57.0733333Z"),
            ("2020-09-06T16:46:57+02:00", "2020-09-06T14:46:57Z"),
            ("2020-09-06T14:46:57.07333331234567Z", "2020-09-06T14:46:57.073333312Z"),
            ("2020-09-06T14:46:57.29", "2020-09-06T14:46:57.29Z"),
            (" 2020-09-06T14:46:57Z ", "2020-09-06T14:46:57Z"),
        ] {
            assert_eq!(parse(text), Some(instant(same)), "{text}");
        }
        for text in ["", "yesterday", "2020-13-01T00:00:00Z", "2020-09-06T14:46:57.é1234567890Z", "."] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn rounding_to_the_services_resolution() {
        let between = instant("2020-01-01T00:00:00.123456789Z");
        assert_eq!(floor(between), instant("2020-01-01T00:00:00.1234567Z"));
        assert_eq!(ceil(between), instant("2020-01-01T00:00:00.1234568Z"));
        let exact = instant("1960-01-01T00:00:00.1234567Z");
        assert_eq!((floor(exact), ceil(exact)), (exact, exact));
    }
}
