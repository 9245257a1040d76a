//! Where a step left off, as one plain word.
//!
//! A cursor holds only times that the service showed (and, before it showed any, where the first look-back began). It is text without
//! spaces or quotes, so that it survives a shell, a file and a playbook's variable.

use crate::Mode;
use jiff::{SignedDuration, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The version of the text's own shape.
const VERSION: &str = "1";

/// Where a step left off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    mode: Mode,
    /// Everything that the service shows as updated before this was handed over.
    watermark: Timestamp,
    slice: Option<Slice>,
}

/// The part of a window that is to be read next, where one step could not read all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The earliest update time, included.
    pub from: Timestamp,
    /// How much time to read; to the window's open end where none.
    pub width: Option<SignedDuration>,
    /// The newest update time that was seen in the window so far.
    pub highest: Timestamp,
    /// Up to here the window was found to hold more than a step may read; none where nothing says so.
    pub crowded_until: Option<Timestamp>,
}

impl Cursor {
    /// A cursor between windows.
    pub fn at(mode: Mode, watermark: Timestamp) -> Self {
        Self { mode, watermark, slice: None }
    }

    /// A cursor within a window.
    pub fn within(mode: Mode, watermark: Timestamp, slice: Slice) -> Self {
        Self { mode, watermark, slice: Some(slice) }
    }

    /// The mode it belongs to.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Everything that the service shows as updated before this was handed over.
    pub fn watermark(&self) -> Timestamp {
        self.watermark
    }

    /// What is to be read next of the window, if it was not read to its end.
    pub fn slice(&self) -> Option<Slice> {
        self.slice
    }
}

/// `1,poll,<watermark>` or `1,poll,<watermark>,<from>,<width in nanoseconds or ->,<highest>`, and `,<crowded until>` where that is
/// known.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            Mode::Poll => "poll",
            Mode::Sweep => "sweep",
        };
        write!(f, "{VERSION},{mode},{}", self.watermark)?;
        if let Some(slice) = self.slice {
            write!(f, ",{},", slice.from)?;
            match slice.width {
                Some(width) => write!(f, "{}", width.as_nanos())?,
                None => f.write_str("-")?,
            }
            write!(f, ",{}", slice.highest)?;
            if let Some(crowded_until) = slice.crowded_until {
                write!(f, ",{crowded_until}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const PROBLEM: &str =
            "is not a cursor: give the nextCursor of an earlier step, or leave it out to begin one look-back ago";
        let time = |text: &str| text.parse::<Timestamp>().map_err(|_| PROBLEM);
        let parts: Vec<&str> = text.trim().split(',').collect();
        let (mode, watermark, slice) = match parts.as_slice() {
            [VERSION, mode, watermark] => (mode, watermark, None),
            [VERSION, mode, watermark, from, width, highest, crowded @ ..] if crowded.len() < 2 => {
                let width = match *width {
                    "-" => None,
                    nanoseconds => Some(
                        nanoseconds
                            .parse::<i64>()
                            .ok()
                            .filter(|width| *width > 0)
                            .map(SignedDuration::from_nanos)
                            .ok_or(PROBLEM)?,
                    ),
                };
                let crowded_until = crowded.first().map(|text| time(text)).transpose()?;
                (mode, watermark, Some(Slice { from: time(from)?, width, highest: time(highest)?, crowded_until }))
            }
            _ => return Err(PROBLEM),
        };
        let mode = match *mode {
            "poll" => Mode::Poll,
            "sweep" => Mode::Sweep,
            _ => return Err(PROBLEM),
        };
        Ok(Self { mode, watermark: time(watermark)?, slice })
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Cursor {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Cursor".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 200 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_a_plain_word_and_comes_back() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let slice = Slice {
            from: time("2026-01-01T00:00:00Z"),
            width: Some(SignedDuration::from_mins(5)),
            highest: time("2026-01-02T00:00:00.1234567Z"),
            crowded_until: None,
        };
        for cursor in [
            Cursor::at(Mode::Poll, time("2026-01-01T00:00:00.5Z")),
            Cursor::within(Mode::Sweep, time("2026-01-01T00:00:00Z"), slice),
            Cursor::within(Mode::Poll, time("2026-01-01T00:00:00Z"), Slice { width: None, ..slice }),
            Cursor::within(
                Mode::Poll,
                time("2026-01-01T00:00:00Z"),
                Slice { crowded_until: Some(time("2026-02-01T00:00:00Z")), ..slice },
            ),
        ] {
            let text = cursor.to_string();
            assert_eq!(text.parse(), Ok(cursor), "{text}");
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && !b"'\"\\$`".contains(&byte)), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "1",
            "2,poll,2026-01-01T00:00:00Z",
            "1,walk,2026-01-01T00:00:00Z",
            "1,poll,now",
            "1,poll,2026-01-01T00:00:00Z,x,-,y",
            "1,poll,2026-01-01T00:00:00Z,2026-01-01T00:00:00Z,-5,2026-01-01T00:00:00Z",
        ] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }
}
