//! The services' enumerations.
//!
//! The same member is spelled differently from surface to surface and from page to page of the documentation
//! (contract section 6.1), and Microsoft adds members without notice. So each enumeration here
//! * has Microsoft Graph's spelling as its canonical name, which is what outputs carry;
//! * reads every documented spelling of every surface, whatever its case;
//! * keeps a member it does not know exactly as it came (`Unrecognized`), and never fails on one.
//!
//! What a person chooses from is stricter: [`Choice`] accepts known members only and lists them in its schema.

mod incident;
mod machine;
mod source;

pub use incident::{AlertStatus, Classification, Determination, IncidentStatus, NewStatus, Severity};
pub use machine::{IsolationType, MachineActionStatus, MachineActionType};
pub use source::{DetectionSource, ServiceSource};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use thiserror::Error;

/// What all enumerations of the services have in common.
pub trait Enumeration: Sized {
    /// What a member is called in messages: "incident status".
    const KIND: &'static str;
    /// The canonical names of the known members, in the order of the documentation.
    const MEMBERS: &'static [&'static str];

    /// Reads any spelling; what is not known is kept.
    fn read(text: &str) -> Self;
    /// The canonical name, which is Microsoft Graph's where Graph has the enumeration.
    fn name(&self) -> &str;
    /// The spelling that filters and updates on the Defender XDR surface want.
    fn defender_xdr(&self) -> &str;
    /// Whether the member is one of [`MEMBERS`](Self::MEMBERS).
    fn is_known(&self) -> bool;
}

/// Declares an enumeration: variants with their canonical and Defender XDR spellings, and further spellings that are
/// read as the same member.
macro_rules! enumeration {
    (
        $(#[$meta:meta])*
        $name:ident is $kind:literal {
            $($(#[$member_meta:meta])* $member:ident = $graph:literal / $xdr:literal $([$($also:literal),+])?,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$member_meta])* #[doc = concat!("`", $graph, "`")] $member,)*
            /// A member that this version does not know, as it came.
            Unrecognized(Box<str>),
        }

        impl $crate::enums::Enumeration for $name {
            const KIND: &'static str = $kind;
            const MEMBERS: &'static [&'static str] = &[$($graph),*];

            fn read(text: &str) -> Self {
                $(if text.eq_ignore_ascii_case($graph) || text.eq_ignore_ascii_case($xdr)
                    $($(|| text.eq_ignore_ascii_case($also))+)? { return Self::$member; })*
                Self::Unrecognized(text.into())
            }

            fn name(&self) -> &str {
                match self {
                    $(Self::$member => $graph,)*
                    Self::Unrecognized(text) => text,
                }
            }

            fn defender_xdr(&self) -> &str {
                match self {
                    $(Self::$member => $xdr,)*
                    Self::Unrecognized(text) => text,
                }
            }

            fn is_known(&self) -> bool {
                !matches!(self, Self::Unrecognized(_))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($crate::enums::Enumeration::name(self))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($crate::enums::Enumeration::name(self))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                Ok($crate::enums::Enumeration::read(&text))
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "examples": <Self as $crate::enums::Enumeration>::MEMBERS,
                })
            }
        }
    };
}
use enumeration;

/// A member that a person chose: one of the known members, in any documented spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Choice<T>(pub T);

/// A choice that is not a member.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a known {kind}; choose one of: {}", .members.join(", "))]
pub struct NotAMember {
    /// What was to be chosen.
    pub kind: &'static str,
    /// The members to choose from.
    pub members: &'static [&'static str],
}

impl<T: Enumeration> std::str::FromStr for Choice<T> {
    type Err = NotAMember;

    fn from_str(text: &str) -> Result<Self, NotAMember> {
        let member = T::read(text.trim());
        if member.is_known() { Ok(Self(member)) } else { Err(NotAMember { kind: T::KIND, members: T::MEMBERS }) }
    }
}

impl<T: Enumeration> fmt::Display for Choice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl<T: Enumeration> Serialize for Choice<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de, T: Enumeration> Deserialize<'de> for Choice<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl<T: Enumeration> JsonSchema for Choice<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::KIND.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "enum": T::MEMBERS})
    }
}

/// A value in the spelling of the member among `members` that it names in other case, else as it came. For
/// enumerations that nothing here decides on, only shows.
pub(crate) fn respell<'a>(members: &[&'static str], text: &'a str) -> &'a str {
    members.iter().find(|member| member.eq_ignore_ascii_case(text)).map_or(text, |member| *member)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_member_is_read() {
        for text in
            ["compromisedAccount", "compromisedUser", "CompromisedAccount", "CompromisedUser", "COMPROMISEDUSER"]
        {
            assert_eq!(Determination::read(text), Determination::CompromisedAccount, "{text}");
        }
        for text in ["notEnoughDataToValidate", "insufficientData", "NoEnoughDataToValidate", "InsufficientData"] {
            assert_eq!(Determination::read(text), Determination::NotEnoughDataToValidate, "{text}");
        }
        for text in ["notMalicious", "clean", "Clean", "NotMalicious"] {
            assert_eq!(Determination::read(text), Determination::NotMalicious, "{text}");
        }
        assert_eq!(Severity::read("UnSpecified"), Severity::Unknown);
        assert_eq!(ServiceSource::read("MicrosoftDefenderATP"), ServiceSource::MicrosoftDefenderForEndpoint);
        assert_eq!(DetectionSource::read("MCAS"), DetectionSource::CloudAppSecurity);
    }

    #[test]
    fn an_unknown_member_is_kept_as_it_came() {
        let read: IncidentStatus = serde_json::from_str(r#""OnTheMoon""#).unwrap();
        assert_eq!(read, IncidentStatus::Unrecognized("OnTheMoon".into()));
        assert_eq!(serde_json::to_string(&read).unwrap(), r#""OnTheMoon""#);
        assert_eq!(read.defender_xdr(), "OnTheMoon");
    }

    #[test]
    fn a_choice_is_a_known_member() {
        assert_eq!(serde_json::from_str::<Choice<Severity>>(r#""High""#).unwrap().0, Severity::High);
        let refusal = serde_json::from_str::<Choice<Severity>>(r#""grave""#).unwrap_err().to_string();
        assert!(refusal.contains("one of: unknown, informational, low, medium, high"), "{refusal}");
    }

    fn members_read_as_themselves<T: Enumeration + PartialEq + fmt::Debug>() {
        for member in T::MEMBERS {
            let read = T::read(member);
            assert_eq!(read.name(), *member);
            assert_eq!(T::read(read.defender_xdr()), read, "{member}");
        }
    }

    #[test]
    fn no_spelling_belongs_to_two_members() {
        members_read_as_themselves::<IncidentStatus>();
        members_read_as_themselves::<NewStatus>();
        members_read_as_themselves::<AlertStatus>();
        members_read_as_themselves::<Severity>();
        members_read_as_themselves::<Classification>();
        members_read_as_themselves::<Determination>();
        members_read_as_themselves::<ServiceSource>();
        members_read_as_themselves::<DetectionSource>();
        members_read_as_themselves::<MachineActionStatus>();
        members_read_as_themselves::<MachineActionType>();
        members_read_as_themselves::<IsolationType>();
    }
}
