//! Why there is no token.

use serde::Deserialize;
use sortie_auth::diagnosis;
use sortie_http::clean;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;
use url::form_urlencoded;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The credential was refused, or cannot be used at all: wrong, expired, unreadable, not registered.
    InvalidCredential,
    /// The settings are wrong: authority, tenant, audience, trusted certificates, cache.
    Configuration,
    /// The credential is right and a policy or a missing consent stands in the way.
    Forbidden,
    /// Too many token requests.
    Throttled,
    /// The authority cannot be reached or has a problem.
    Unavailable,
    /// A deadline passed.
    Timeout,
    /// The answer is not what a token endpoint sends.
    BadResponse,
    /// The caller gave up.
    Cancelled,
}

impl ErrorKind {
    /// Whether the same request may succeed at another time without anybody changing anything.
    pub const fn retryable(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable | Self::Timeout | Self::BadResponse)
    }
}

/// The longest id or error name that is kept.
const LONGEST_ID: usize = 128;

/// Why there is no token: [`Details`], boxed, and read through the dot.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub struct Error(Box<Details>);

/// What is known about a refusal. None of it is secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Details {
    /// What went wrong; decided by `status` and `error` alone.
    pub kind: ErrorKind,
    /// For the analyst: one line without secrets.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// The `error` member of the answer: `invalid_client`.
    pub error: Option<String>,
    /// The `suberror` member of the answer.
    pub suberror: Option<String>,
    /// The AADSTS numbers of the answer.
    pub codes: Vec<u32>,
    /// Entra's id of the request, for a support case.
    pub trace_id: Option<String>,
    /// The id that ties requests together.
    pub correlation_id: Option<String>,
    /// When Entra refused, in its words.
    pub timestamp: Option<String>,
    /// How long to wait before asking again, as far as it is known.
    pub retry_after: Option<Duration>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            kind,
            message: message.into(),
            hint: None,
            status: None,
            error: None,
            suberror: None,
            codes: Vec::new(),
            trace_id: None,
            correlation_id: None,
            timestamp: None,
            retry_after: None,
        }))
    }

    /// The details, to take apart.
    pub fn into_details(self) -> Details {
        *self.0
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether the same request may succeed at another time.
    pub fn retryable(&self) -> bool {
        self.kind.retryable()
    }

    /// What the transport's error means for a token. `subject` is who was refused ("the client secret of application
    /// X"); `secrets` are taken out of whatever the other side says.
    pub(crate) fn from_http(error: &sortie_http::Error, subject: &dyn fmt::Display, secrets: &[&str]) -> Self {
        use sortie_http::ErrorKind as Http;
        let said = Refusal::parse(&error.body);
        let oauth = said.error.as_deref().unwrap_or_default();
        let kind = match error.kind {
            Http::Status(status) => by_status(status, oauth),
            Http::Throttled => ErrorKind::Throttled,
            Http::Unavailable => ErrorKind::Unavailable,
            Http::Timeout => ErrorKind::Timeout,
            Http::Cancelled => ErrorKind::Cancelled,
            Http::BlockedUrl | Http::Configuration | Http::Certificate => ErrorKind::Configuration,
            _ => ErrorKind::BadResponse,
        };
        // Scrubbed before it is shortened: half a secret is one, too.
        let line = |text: &str| Some(clean(&scrub(text, secrets))).filter(|line| !line.is_empty());
        let description = said.error_description.as_deref().and_then(|text| line(text.lines().next()?));
        let message = match (error.status, description.or_else(|| line(oauth))) {
            (Some(_), Some(line)) => format!("{subject} was refused: {line}"),
            // Of what else a body says nothing is repeated: nobody knows what it is.
            (Some(status), None) if !(200..400).contains(&status) => {
                format!("no token: the token endpoint answered {status} without a reason")
            }
            _ => format!("no token: {}", error.message),
        };
        let codes = said.codes();
        let hint = diagnosis::entra(&codes).map(|advice| advice.hint.to_owned()).or_else(|| match error.kind {
            Http::Certificate => Some("If a proxy opens TLS here, name its CA certificates in the profile.".to_owned()),
            _ => None,
        });
        let short = |text: Option<String>| text.and_then(|text| line(&text)).filter(|text| text.len() <= LONGEST_ID);
        let mut refused = Self::new(kind, message);
        refused.hint = hint;
        refused.status = error.status;
        refused.error = short(said.error);
        refused.suberror = short(said.suberror);
        refused.codes = codes;
        refused.trace_id = short(said.trace_id).or_else(|| short(error.request_id.clone()));
        refused.correlation_id = short(said.correlation_id).or_else(|| error.client_request_id.clone());
        refused.timestamp = short(said.timestamp);
        refused.retry_after = error.retry_after;
        refused
    }
}

impl Deref for Error {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl DerefMut for Error {
    fn deref_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

fn by_status(status: u16, error: &str) -> ErrorKind {
    match (status, error) {
        (_, "invalid_client" | "unauthorized_client" | "invalid_grant") => ErrorKind::InvalidCredential,
        (_, "invalid_request" | "invalid_scope" | "invalid_resource" | "invalid_target" | "unsupported_grant_type") => {
            ErrorKind::Configuration
        }
        (_, "access_denied" | "consent_required" | "interaction_required") => ErrorKind::Forbidden,
        (_, "temporarily_unavailable" | "server_error") => ErrorKind::Unavailable,
        (401, _) => ErrorKind::InvalidCredential,
        (403, _) => ErrorKind::Forbidden,
        _ => ErrorKind::Configuration,
    }
}

/// Takes every occurrence of a secret out of a text, plain or as it stands in a form: an authority that echoes what
/// it was sent must not make this program repeat it.
pub(crate) fn scrub(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    // Less is no secret, and occurs everywhere.
    for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
        let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        text = text.replace(secret, "[secret]").replace(&encoded, "[secret]");
    }
    text
}

/// The error body of a token endpoint (contract section 2), everything optional.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default, deserialize_with = "lenient")]
    error: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    suberror: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    error_description: Option<String>,
    #[serde(default)]
    error_codes: serde_json::Value,
    #[serde(default, deserialize_with = "lenient")]
    trace_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    correlation_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    timestamp: Option<String>,
}

/// A string, or nothing where something else stands.
fn lenient<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    })
}

impl Refusal {
    fn parse(body: &[u8]) -> Self {
        serde_json::from_slice(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)).unwrap_or_default()
    }

    /// The numbers of `error_codes`, or else the one that the description begins with.
    fn codes(&self) -> Vec<u32> {
        let listed: Vec<u32> = self
            .error_codes
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()))
            .filter_map(|code| u32::try_from(code).ok())
            .collect();
        if !listed.is_empty() {
            return listed;
        }
        let number = self.error_description.as_deref().and_then(|text| {
            let digits = text.trim_start().strip_prefix("AADSTS")?;
            digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        });
        number.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(status: u16, body: &str) -> Error {
        let mut error = Refusal::parse(body.as_bytes());
        let kind = by_status(status, error.error.as_deref().unwrap_or_default());
        let mut refused = Error::new(kind, "x");
        refused.codes = error.codes();
        refused.error = error.error.take();
        refused
    }

    #[test]
    fn status_and_error_decide_and_numbers_do_not() {
        for (status, error, kind) in [
            (401, "invalid_client", ErrorKind::InvalidCredential),
            (400, "invalid_client", ErrorKind::InvalidCredential),
            (400, "unauthorized_client", ErrorKind::InvalidCredential),
            (400, "invalid_request", ErrorKind::Configuration),
            (400, "invalid_scope", ErrorKind::Configuration),
            (400, "interaction_required", ErrorKind::Forbidden),
            (400, "temporarily_unavailable", ErrorKind::Unavailable),
            (401, "", ErrorKind::InvalidCredential),
            (403, "", ErrorKind::Forbidden),
            (400, "something_new", ErrorKind::Configuration),
        ] {
            for code in [7_000_215, 90002, 1] {
                let body = format!(r#"{{"error":"{error}","error_codes":[{code}]}}"#);
                assert_eq!(refused(status, &body).kind, kind, "{status} {error}");
            }
        }
    }

    #[test]
    fn numbers_are_found_wherever_they_stand() {
        assert_eq!(refused(400, r#"{"error_codes":[7000215,"50012"]}"#).codes, [7_000_215, 50012]);
        assert_eq!(refused(400, r#"{"error_description":"AADSTS90002: Tenant"}"#).codes, [90002]);
        assert_eq!(refused(400, r#"{"error_codes":"x","error_description":"AADSTS: none"}"#).codes, [0; 0]);
        assert_eq!(refused(400, r#"{"error":{"code":"Odd"},"error_codes":[-1]}"#).codes, [0; 0]);
    }

    #[test]
    fn an_echoed_secret_is_taken_out() {
        assert_eq!(scrub("you sent hunter2!", &["hunter2", ""]), "you sent [secret]!");
        assert_eq!(scrub("s=a%2Bb%25&x", &["a+b%"]), "s=[secret]&x");
    }

    proptest! {
        #[test]
        fn no_body_makes_it_fall_over(body in prop::collection::vec(any::<u8>(), 0..200)) {
            Refusal::parse(&body).codes();
        }
    }
}
