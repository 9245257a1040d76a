//! The query options of a list, and where a page begins and ends.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use crate::call::{Call, whole_number};
use crate::filter::{self, Expression, Field, Tolerance};
use crate::reply::Refusal;
use crate::switches::Switches;
use crate::tenant::list::{Key, Order};

/// Refuses an option given twice, and reads the rest; names without `$` are passed over, as the services do.
pub(crate) fn options(call: &Call) -> Result<Vec<(&str, &str)>, Refusal> {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (name, value) in &call.options {
        if !name.starts_with('$') {
            continue;
        }
        if seen.iter().any(|(known, _)| known == name) {
            return Err(Refusal::new(
                400,
                "BadRequest",
                format!("Query option '{name}' was specified more than once, but it must be specified at most once."),
            ));
        }
        seen.push((name, value));
    }
    Ok(seen)
}

/// The tolerances that the switches give.
pub(crate) fn tolerance(switches: &Switches) -> Tolerance {
    Tolerance { enum_any_case: switches.filter_enum_any_case, functions: switches.filter_functions }
}

/// Reads `$filter`; a refusal is 400.
pub(crate) fn read_filter(text: &str, fields: &[Field], switches: &Switches) -> Result<Expression, Refusal> {
    filter::parse(text, fields, tolerance(switches))
        .map_err(|error| Refusal::new(400, "BadRequest", format!("Invalid filter clause: {error}")))
}

/// Reads a whole-number option.
pub(crate) fn number(name: &str, value: &str) -> Result<usize, Refusal> {
    whole_number(name, value).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
}

/// Where a continuation goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// After that entry.
    After(Key),
    /// After so many entries.
    Offset(usize),
}

impl Token {
    /// The opaque text of it.
    pub(crate) fn write(&self) -> String {
        let text = match self {
            Self::After(key) => format!("k.{}.{}.{}", key.time.as_nanosecond(), key.id, key.place),
            Self::Offset(offset) => format!("o.{offset}"),
        };
        let sum = checksum(&text);
        URL_SAFE_NO_PAD.encode(format!("{text}.{sum}"))
    }

    /// Reads it back; what was not written here is refused.
    pub(crate) fn read(text: &str) -> Result<Self, Refusal> {
        Self::parse(text).ok_or_else(|| Refusal::new(400, "BadRequest", "Skip token is not valid."))
    }

    fn parse(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (text, sum) = text.rsplit_once('.')?;
        if checksum(text).to_string() != sum {
            return None;
        }
        let parts: Vec<&str> = text.split('.').collect();
        Some(match parts[..] {
            ["k", time, id, place] => Self::After(Key {
                time: Timestamp::from_nanosecond(time.parse().ok()?).ok()?,
                id: id.parse().ok()?,
                place: place.parse().ok()?,
            }),
            ["o", offset] => Self::Offset(offset.parse().ok()?),
            _ => return None,
        })
    }

    /// How many entries of that list are behind it.
    pub(crate) fn start(&self, list: &[Key], order: Order) -> usize {
        match self {
            Self::After(key) => order.after(list, key),
            Self::Offset(offset) => *offset,
        }
    }
}

/// FNV-1a: enough to refuse a token that somebody put together or cut off.
fn checksum(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |sum: u32, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The URL of a next page: the same query without `$skip` and `$skiptoken`, and with `option` at its end.
pub(crate) fn next_link(origin: &str, call: &Call, option: &str) -> String {
    let mut url = format!("{origin}{}?", call.path);
    for pair in call.query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or_default();
        let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
        if name != "$skip" && name != "$skiptoken" {
            url.push_str(pair);
            url.push('&');
        }
    }
    url + option
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_back_and_forgeries_refused() {
        let key = Key { time: "2026-03-01T12:00:00.1234567Z".parse().unwrap(), id: 7, place: 2 };
        for token in [Token::After(key), Token::Offset(150)] {
            assert_eq!(Token::read(&token.write()).unwrap(), token);
        }
        for text in ["", "150", "bzo5", "%%%", &URL_SAFE_NO_PAD.encode("o.150.1")] {
            assert!(Token::read(text).is_err(), "{text}");
        }
        let whole = Token::Offset(150).write();
        assert!(Token::read(&whole[..whole.len() - 1]).is_err());
    }
}
