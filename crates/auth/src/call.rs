//! The declaration of one API call.
//!
//! A [`Call`] is data, usually a `const` in an endpoint catalogue. It travels inside an action's manifest as JSON,
//! so every part of it is an open, typed name: an action for an API that this crate has never heard of needs no
//! change here.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// Declares an open set of names: a string with a type of its own, and constants for the members known today.
macro_rules! open_name {
    ($(#[$meta:meta])* $name:ident { $($(#[$member_meta:meta])* $member:ident = $text:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Cow<'static, str>);

        impl $name {
            $($(#[$member_meta])* pub const $member: Self = Self::named($text);)*

            /// A member by its text, for constants.
            pub const fn named(text: &'static str) -> Self {
                Self(Cow::Borrowed(text))
            }

            /// A member by its text, owned.
            pub fn new(text: impl Into<String>) -> Self {
                Self(Cow::Owned(text.into()))
            }

            /// The text, as it stands in a manifest.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

open_name! {
    /// The name of an API: the key under which a profile keeps its base URL and its audience.
    Api {
        /// Microsoft Graph v1.0, base `https://graph.microsoft.com/v1.0` in the public cloud.
        GRAPH = "graph",
        /// Microsoft Defender XDR, base `https://api.security.microsoft.com/api` in the public cloud.
        DEFENDER_XDR = "defender-xdr",
        /// Microsoft Defender for Endpoint, base `https://api.securitycenter.microsoft.com/api` in the public cloud.
        DEFENDER_ENDPOINT = "defender-endpoint",
    }
}

open_name! {
    /// An application permission (an app role), spelled as the Entra portal spells it, for example
    /// `SecurityIncident.Read.All`. Which service it belongs to follows from the call's [`Api`].
    Permission {}
}

open_name! {
    /// The rate limit that a call counts against. Calls of one class share one budget per profile.
    LimitClass {}
}

/// Which of a profile's two applications signs a call. Neither ever stands in for the other in silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads, and updates of incidents and alerts.
    Base,
    /// Containment and correction: isolating a machine, disabling a user.
    Remediation,
}

impl Role {
    /// The name as it stands in a manifest and in a profile.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Remediation => "remediation",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a call does to the tenant. It decides what a dry run intercepts and what may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Changes nothing, whatever its method (a hunting query is a POST that reads).
    Read,
    /// Changes records: status, tags, comments.
    Write,
    /// Changes the state of a machine or an account.
    Destructive,
}

impl Effect {
    /// Whether a dry run answers the call itself instead of sending it.
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Read)
    }
}

/// The HTTP method of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// PATCH
    Patch,
    /// PUT
    Put,
    /// DELETE
    Delete,
}

impl Method {
    /// The method as it is sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One API call that an action may make, declared in its manifest. A call that is not declared is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Call {
    /// The name a request uses to refer to this declaration, unique within one manifest: `graph.incidents.list`.
    pub id: Cow<'static, str>,
    /// The API it goes to; the profile knows the base URL and the audience.
    pub api: Api,
    /// The HTTP method.
    pub method: Method,
    /// The path below the API's base URL, with parameters in braces, each exactly one segment:
    /// `/security/incidents/{incidentId}`.
    pub path: Cow<'static, str>,
    /// What it does to the tenant.
    pub effect: Effect,
    /// The application that signs it.
    pub role: Role,
    /// The application permissions of which any single one is enough, least privileged first.
    pub permissions: Cow<'static, [Permission]>,
    /// The budget it counts against.
    pub limit: LimitClass,
}

impl Call {
    /// The names of the path's parameters, in order.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Call = Call {
        id: Cow::Borrowed("graph.incidents.get"),
        api: Api::GRAPH,
        method: Method::Get,
        path: Cow::Borrowed("/security/incidents/{incidentId}"),
        effect: Effect::Read,
        role: Role::Base,
        permissions: Cow::Borrowed(&[Permission::named("SecurityIncident.Read.All")]),
        limit: LimitClass::named("graph-security"),
    };

    #[test]
    fn a_call_survives_the_manifest() {
        let text = serde_json::to_string(&GET).unwrap();
        assert_eq!(serde_json::from_str::<Call>(&text).unwrap(), GET);
        assert!(text.contains(r#""method":"GET""#), "{text}");
    }

    #[test]
    fn parameters_are_whole_segments() {
        assert_eq!(GET.parameters().collect::<Vec<_>>(), ["incidentId"]);
    }
}
