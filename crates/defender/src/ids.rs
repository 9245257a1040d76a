//! Identifiers, each a type of its own.
//!
//! An id is checked where it enters, so that nothing hostile (a path, a quote, an encoded slash) ever reaches a URL
//! or a filter, and an incident's id cannot be passed where a machine's is wanted.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Text that is not an id of the wanted kind. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not {wanted}")]
pub struct InvalidId {
    /// The kind that was wanted and what it looks like.
    pub wanted: &'static str,
}

/// The id of an incident: a whole number from 1, the same on both surfaces. Graph writes it as text, Defender XDR as a
/// number (contract section 6.2); both are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IncidentId(u64);

impl IncidentId {
    const WANTED: InvalidId =
        InvalidId { wanted: "an incident id (a whole number from 1, of at most 19 digits, such as 2972395)" };
    /// The largest id: nineteen digits, which every JSON reader with 64-bit integers holds.
    const LARGEST: u64 = i64::MAX as u64;

    /// An id by its number; `None` for 0 and for numbers beyond 63 bits.
    pub const fn new(number: u64) -> Option<Self> {
        if number == 0 || number > Self::LARGEST { None } else { Some(Self(number)) }
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for IncidentId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let text = text.trim();
        // u64's own reader would take a plus sign and leading zeros.
        if !text.bytes().all(|byte| byte.is_ascii_digit()) || text.starts_with('0') {
            return Err(Self::WANTED);
        }
        text.parse().ok().and_then(Self::new).ok_or(Self::WANTED)
    }
}

/// As text, the canonical form.
impl Serialize for IncidentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IncidentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = IncidentId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an incident id, as text or as a number")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<IncidentId, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<IncidentId, E> {
                IncidentId::new(number).ok_or_else(|| E::custom(IncidentId::WANTED))
            }

            fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<IncidentId, E> {
                Err(E::custom(IncidentId::WANTED))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for IncidentId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "IncidentId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "pattern": "^[1-9][0-9]{0,18}$",
            "minimum": 1,
            "maximum": Self::LARGEST,
        })
    }
}

/// Declares an id that is text of one shape.
macro_rules! text_id {
    (
        $(#[$meta:meta])*
        $name:ident wants $wanted:literal, pattern $pattern:literal, read by $read:path
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// The id as it stands in paths and filters.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                $read(text.trim()).map(|text| Self(text.into())).ok_or(InvalidId { wanted: $wanted })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern})
            }
        }
    };
}

text_id! {
    /// The id of a machine in Defender for Endpoint: 40 hexadecimal digits, kept in lower case (contract section 7.3).
    MachineId wants "a machine id (40 hexadecimal digits)", pattern "^[0-9A-Fa-f]{40}$", read by machine_id
}

text_id! {
    /// The id of a machine action: a GUID, kept in lower case (contract section 7.1).
    MachineActionId wants "a machine action id (a GUID such as 5382f7ea-7557-4ab7-9782-d50480024a4e)",
    pattern "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$", read by guid
}

text_id! {
    /// The id of an alert. Its shape differs from product to product (`da637…_-961444813`, a GUID, `ca` and a GUID), so
    /// only the characters are checked: ASCII letters and digits, `_`, `-`, `.` and `:`, at most 128 of them.
    AlertId wants "an alert id (letters, digits, '_', '-', '.' and ':', beginning with a letter or digit)",
    pattern "^[0-9A-Za-z][0-9A-Za-z_.:-]{0,127}$", read by alert_id
}

fn machine_id(text: &str) -> Option<String> {
    (text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_ascii_lowercase())
}

fn guid(text: &str) -> Option<String> {
    let groups = text.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    let digits = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    (groups && digits).then(|| text.to_ascii_lowercase())
}

fn alert_id(text: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    let begins = text.starts_with(|first: char| first.is_ascii_alphanumeric());
    (begins && text.len() <= 128 && text.bytes().all(fits)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What no id may ever be.
    const HOSTILE: &[&str] = &[
        "",
        " ",
        ".",
        "..",
        "../machines",
        "1/2",
        "1\\2",
        "%2f",
        "1%2e%2e",
        "1'",
        "1 or 1 eq 1",
        "1\n",
        "1?a=b",
        "1#",
        "-1",
        "+1",
        "0",
        "007",
        "1.0",
        "1e3",
        "0x1f",
        "٣",
        "१",
        "18446744073709551616",
        "9223372036854775808",
        "null",
        "１",
    ];

    #[test]
    fn an_incident_id_is_read_from_either_surface() {
        for json in ["\"924521\"", "924521", "\" 924521 \""] {
            assert_eq!(serde_json::from_str::<IncidentId>(json).unwrap().number(), 924_521, "{json}");
        }
        assert_eq!(serde_json::to_string(&IncidentId(7)).unwrap(), "\"7\"");
        for json in ["0", "-1", "1.5", "1e3", "null", "true", "[1]", "{}", "9223372036854775808", "\"\""] {
            assert!(serde_json::from_str::<IncidentId>(json).is_err(), "{json}");
        }
        assert_eq!("9223372036854775807".parse::<IncidentId>().unwrap().number(), i64::MAX as u64);
    }

    #[test]
    fn hostile_forms_are_refused_without_being_repeated() {
        for text in HOSTILE {
            // A trailing line break is white space, which is trimmed.
            let one = text.trim() == "1";
            assert_eq!(text.parse::<IncidentId>().is_ok(), one, "{text:?}");
            assert!(text.parse::<MachineId>().is_err(), "{text:?}");
            assert!(text.parse::<MachineActionId>().is_err(), "{text:?}");
        }
        for text in ["../a", "a/b", "a%2fb", "a'b", "a b", "a\u{202e}b", ".a", "-a", "é", &"a".repeat(129)] {
            let error = text.parse::<AlertId>().unwrap_err().to_string();
            assert!(!error.contains(text), "{error}");
        }
    }

    #[test]
    fn documented_forms_are_read() {
        for text in [
            "da637551227677560813_-961444813",
            "caD70CFEE2-1F54-32DB-9988-3A868A1EBFAC",
            "faf8edc936-85f8-a603-b800-08d8525cf099",
        ] {
            assert_eq!(text.parse::<AlertId>().unwrap().as_str(), text);
        }
        let id: MachineId = "1E5BC9D7E413DDD7902C2932E418702B84D0CC07".parse().unwrap();
        assert_eq!(id.as_str(), "1e5bc9d7e413ddd7902c2932e418702b84d0cc07");
        let id: MachineActionId = serde_json::from_str("\"5382F7EA-7557-4ab7-9782-d50480024a4e\"").unwrap();
        assert_eq!(id.as_str(), "5382f7ea-7557-4ab7-9782-d50480024a4e");
        assert!("5382f7ea7557-4ab7-9782-d50480024a4e-".parse::<MachineActionId>().is_err());
    }
}
