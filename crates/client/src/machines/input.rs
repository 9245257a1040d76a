//! What the machine actions take: checked where it enters, so that nothing hostile reaches a filter or a body.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sortie_defender::ids::MachineId;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Text that is not what a field wants. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidInput(&'static str);

impl fmt::Display for InvalidInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidInput {}

/// Which machine: its id in Defender for Endpoint (40 hexadecimal digits) or its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MachineReference {
    /// The id.
    Id(MachineId),
    /// The DNS name, whole (`ws-042.contoso.com`) or its first part alone (`ws-042`).
    Name(Box<str>),
}

impl MachineReference {
    const WANTED: InvalidInput = InvalidInput(
        "is not a machine: give its id (40 hexadecimal digits) or its DNS name (letters, digits, '-' and '_', in \
         parts joined by '.', at most 255 characters)",
    );
    const LONGEST: usize = 255;
    /// Letters and digits of any script: Windows and its DNS allow them in names.
    const PATTERN: &str = r"^[\p{L}\p{N}_-]+(\.[\p{L}\p{N}_-]+)*$";
}

impl FromStr for MachineReference {
    type Err = InvalidInput;

    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        let text = text.trim();
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let fits = |character: char| character.is_alphanumeric() || matches!(character, '-' | '_');
        let named = text.split('.').all(|part| !part.is_empty() && part.chars().all(fits));
        if named && text.chars().count() <= Self::LONGEST { Ok(Self::Name(text.into())) } else { Err(Self::WANTED) }
    }
}

impl fmt::Display for MachineReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Why a machine action is asked for; the service keeps it and shows it in the portal. Never empty, at most
/// [`Comment::LONGEST`] characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment(Box<str>);

impl Comment {
    /// The longest comment. The service's own limit is not documented; this leaves room for the tag that is appended.
    pub const LONGEST: usize = 1000;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Comment {
    type Err = InvalidInput;

    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidInput("is empty: say why, for whoever reads the machine's history"));
        }
        if text.chars().count() > Self::LONGEST {
            return Err(InvalidInput("is longer than 1000 characters"));
        }
        if text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\r' | '\t')) {
            return Err(InvalidInput("holds control characters: only line breaks and tabs are taken"));
        }
        Ok(Self(text.into()))
    }
}

/// The caller's own id for a machine action, kept by the service for correlation. One line of at most
/// [`ExternalId::LONGEST`] characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalId(Box<str>);

impl ExternalId {
    /// The longest id. The service's own limit is not documented.
    pub const LONGEST: usize = 256;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ExternalId {
    type Err = InvalidInput;

    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        let text = text.trim();
        let fits = !text.is_empty() && text.chars().count() <= Self::LONGEST && !text.chars().any(char::is_control);
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(InvalidInput("is not an external id: give one line of 1 to 256 characters"))
        }
    }
}

/// Text in JSON, read by `FromStr`, with the schema that says the same.
macro_rules! text_in_json {
    ($name:ident, $write:expr, $schema:tt) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let write: fn(&Self) -> String = $write;
                serializer.serialize_str(&write(self))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
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
                json_schema!($schema)
            }
        }
    };
}

text_in_json!(MachineReference, ToString::to_string, {
    "type": "string", "minLength": 1, "maxLength": MachineReference::LONGEST, "pattern": MachineReference::PATTERN,
});
text_in_json!(Comment, |comment| comment.0.to_string(), {
    "type": "string", "minLength": 1, "maxLength": Comment::LONGEST,
});
text_in_json!(ExternalId, |id| id.0.to_string(), {
    "type": "string", "minLength": 1, "maxLength": ExternalId::LONGEST,
});

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_is_told_from_a_name() {
        let id = "1E5BC9D7E413DDD7902C2932E418702B84D0CC07";
        let MachineReference::Id(read) = id.parse().unwrap() else { panic!("read as a name") };
        assert_eq!(read.as_str(), id.to_ascii_lowercase());
        for name in ["ws-042", " ws-042.contoso.com ", "WS_042", "büro-3.contoso.com", "1e5bc9d7", "10.0.0.4"] {
            let MachineReference::Name(read) = name.parse().unwrap() else { panic!("{name} read as an id") };
            assert_eq!(&*read, name.trim());
        }
    }

    #[test]
    fn hostile_names_are_refused_without_being_repeated() {
        for text in [
            "",
            " ",
            ".",
            "..",
            "../machines",
            "a/b",
            "a\\b",
            "a%2fb",
            "%2e%2e",
            "a'b",
            "a' or 1 eq 1",
            "a b",
            "a\nb",
            "a?b",
            "a#b",
            ".a",
            "a.",
            "a..b",
            "a\u{202e}b",
            "a\u{0}b",
            "a;b",
            "(a)",
            "a,b",
            "$a",
            "@a",
            &"a".repeat(256),
        ] {
            let error = text.parse::<MachineReference>().unwrap_err().to_string();
            assert!(text.trim().len() < 3 || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_comment_says_something() {
        assert_eq!("  why\nnot ".parse::<Comment>().unwrap().as_str(), "why\nnot");
        assert!("é".repeat(1000).parse::<Comment>().is_ok());
        for text in ["", " \n\t ", "a\u{1b}[31m", &"é".repeat(1001)] {
            assert!(text.parse::<Comment>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_external_id_is_one_line() {
        assert_eq!(" INC-7 ".parse::<ExternalId>().unwrap().as_str(), "INC-7");
        for text in ["", "a\nb", &"a".repeat(257)] {
            assert!(text.parse::<ExternalId>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_for_a_name_cannot_steer_anything(text in "\\PC{0,40}|[a-z0-9./%'\\\\ -]{0,20}") {
            if let Ok(MachineReference::Name(name)) = text.parse() {
                prop_assert!(!name.is_empty() && !name.starts_with('.') && !name.contains(".."));
                prop_assert!(name.chars().all(|character| character.is_alphanumeric() || "-_.".contains(character)));
            }
            let _ = text.parse::<Comment>();
            let _ = text.parse::<ExternalId>();
        }
    }
}
