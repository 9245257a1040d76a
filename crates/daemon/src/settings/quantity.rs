//! Spans and sizes, as people write them.

use jiff::SpanRelativeTo;
use std::time::Duration;

/// How a span is written.
pub const SPAN_FORMS: &str = "write a number with a unit, such as 30s, 10m, 2h or \"7 days\"";

/// How a size is written.
pub(super) const SIZE_FORMS: &str = "write bytes, or a number with a unit, such as \"100 MB\" or \"1 GiB\"";

/// Factors of the units of a size, in bytes.
const UNITS: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
];

/// A length of time: `30s`, `1h30m`, `7 days`. Days have 24 hours; months and years have no length.
pub fn span(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.trim().parse().ok()?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(length).ok()
}

/// A span as it is written, in its largest whole unit.
pub(super) fn span_text(span: Duration) -> String {
    let milliseconds = span.as_millis();
    for (unit, length) in [(" days", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if milliseconds >= length && milliseconds.is_multiple_of(length) {
            let text = format!("{}{unit}", milliseconds / length);
            return if text == "1 days" { "24h".to_owned() } else { text };
        }
    }
    format!("{milliseconds}ms")
}

/// A number of bytes: `512`, `100 MB` (powers of ten), `1 GiB` (powers of two).
pub(super) fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len()));
    let unit = unit.trim();
    let factor = match UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) {
        Some((_, factor)) => *factor,
        None if unit.is_empty() || unit.eq_ignore_ascii_case("B") => 1,
        None => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// A size as it is written, in its largest whole unit.
pub(super) fn size_text(bytes: u64) -> String {
    match UNITS.iter().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{} {unit}", bytes / factor),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_have_a_unit_and_a_length() {
        for (text, seconds) in
            [("30s", 30), (" 1h30m ", 5_400), ("7 days", 604_800), ("400 days", 34_560_000), ("0s", 0)]
        {
            assert_eq!(span(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "30", "soon", "-5m", "1 month", "1 year"] {
            assert_eq!(span(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_have_a_unit_or_none() {
        for (text, bytes) in
            [("512", 512), ("100 MB", 100_000_000), ("1gib", 1 << 30), ("2KiB", 2_048), (" 7 B ", 7), ("0", 0)]
        {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "MB", "1.5 GB", "-1", "1 XB", "99999999999999 TB", "1 GB of data"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(milliseconds in 0..u64::from(u32::MAX) * 100, bytes in any::<u64>()) {
            let length = Duration::from_millis(milliseconds);
            prop_assert_eq!(span(&span_text(length)), Some(length));
            prop_assert_eq!(size(&size_text(bytes)), Some(bytes));
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,40}") {
            let _ = (span(&text), size(&text));
        }
    }
}
