//! What went wrong, in the one shape that the whole house uses.
//!
//! A [`Failure`] is the error document of the process contract: a kind (from [`sortie_abi::kinds`]), a message for
//! the analyst, and what a playbook needs in order to decide (retryable or not, after how long, which exit code).
//! The kind is decided where the facts are: by the transport from a status, by the token client from Entra's
//! error, by the loader from a table. Nothing here, and nothing after this, reads a message to find out.
//!
//! Every text that enters is cleaned: foreign text loses control characters and is cut.

use crate::text::{SHOWN, clean};
use serde::{Deserialize, Serialize};
use sortie_abi::kinds;
use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// The most violations that one failure lists; a hostile input must not grow the answer without end.
pub(crate) const MAX_VIOLATIONS: usize = 200;

/// One reason why an input was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// A JSON pointer (RFC 6901) into the input; empty for the input as a whole.
    pub pointer: String,
    /// What is wrong there and what would be right.
    pub message: String,
}

impl Violation {
    /// A violation at a JSON pointer. The message is cleaned and cut.
    pub fn new(pointer: impl Into<String>, message: impl AsRef<str>) -> Self {
        Self { pointer: clean(&pointer.into(), SHOWN), message: clean(message.as_ref(), 400) }
    }
}

/// An error document: see the table in `sortie_abi::kinds` for the kinds and their exit codes. Its members are those
/// of [`Details`], which it stands in front of so that a `Result` stays small.
#[derive(Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Failure(Box<Details>);

/// The members of a [`Failure`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Details {
    /// One of `sortie_abi::kinds::ALL`, or a newer one that an action brought.
    pub kind: Cow<'static, str>,
    /// What happened, for the analyst.
    pub message: String,
    /// The remedy: the missing permission, the expired secret, the setting to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Whether the same call may succeed later without anybody changing anything.
    pub retryable: bool,
    /// How long to wait before trying again.
    #[serde(rename = "retryAfterSeconds", skip_serializing_if = "Option::is_none", serialize_with = "seconds")]
    pub retry_after: Option<Duration>,
    /// The status of the answer that failed, if one came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// Microsoft's id of the failed request, for a support case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Microsoft's own error code, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Every reason why the input was refused; empty for other kinds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
    /// What was done before the failure, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<String>,
}

impl Failure {
    /// A failure of a kind. Whether it is retryable follows from the kind.
    pub fn new(kind: impl Into<Cow<'static, str>>, message: impl AsRef<str>) -> Self {
        let kind = kind.into();
        let retryable = kinds::find(&kind).is_some_and(|row| row.retryable);
        Self(Box::new(Details {
            kind,
            message: clean(message.as_ref(), SHOWN),
            hint: None,
            retryable,
            retry_after: None,
            http_status: None,
            request_id: None,
            code: None,
            violations: Vec::new(),
            done: Vec::new(),
        }))
    }

    /// A failure of kind `configuration`, with its remedy.
    pub fn configuration(message: impl AsRef<str>, hint: impl AsRef<str>) -> Self {
        Self::new(kinds::CONFIGURATION, message).with_hint(hint)
    }

    /// A failure of kind `invalid_input`, with every reason.
    pub fn invalid_input(violations: Vec<Violation>) -> Self {
        let message = match violations.as_slice() {
            [] => "the input was refused".to_owned(),
            [only] if only.pointer.is_empty() => only.message.clone(),
            [only] => format!("{}: {}", only.pointer, only.message),
            many => format!("the input was refused for {} reasons; see violations", many.len()),
        };
        let mut failure = Self::new(kinds::INVALID_INPUT, message);
        failure.violations = violations;
        failure.violations.truncate(MAX_VIOLATIONS);
        failure
    }

    /// The same failure with a remedy.
    #[must_use]
    pub fn with_hint(mut self, hint: impl AsRef<str>) -> Self {
        self.hint = Some(clean(hint.as_ref(), SHOWN)).filter(|hint| !hint.is_empty());
        self
    }

    /// The exit code of the command line for this failure.
    pub fn exit_code(&self) -> u8 {
        kinds::exit_code(&self.kind)
    }

    /// The whole error document, `{"error":{...}}`, as one line of JSON.
    pub fn document(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            error: &'a Failure,
        }
        serde_json::to_string(&Document { error: self })
            .unwrap_or_else(|_| r#"{"error":{"kind":"internal","message":"","retryable":false}}"#.to_owned())
    }

    /// Reads the error document with which an action replied. Members that are missing or of another type are
    /// made good as far as possible: a broken error must not hide that there was one.
    pub(crate) fn from_action(reply: &serde_json::value::RawValue) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Told {
            kind: String,
            #[serde(default)]
            message: String,
            hint: Option<String>,
            retryable: Option<bool>,
            retry_after_seconds: Option<f64>,
            http_status: Option<u16>,
            request_id: Option<String>,
            code: Option<String>,
            #[serde(default)]
            violations: Vec<Violation>,
            #[serde(default)]
            done: Vec<String>,
        }
        let told: Told = serde_json::from_str(reply.get())?;
        let mut failure = Self::new(clean(&told.kind, 64), &told.message);
        if let Some(hint) = told.hint {
            failure = failure.with_hint(hint);
        }
        failure.retryable = told.retryable.unwrap_or(failure.retryable);
        failure.retry_after = told.retry_after_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        failure.http_status = told.http_status;
        failure.request_id = told.request_id.map(|id| clean(&id, 128));
        failure.code = told.code.map(|code| clean(&code, 128));
        failure.violations = told
            .violations
            .into_iter()
            .take(MAX_VIOLATIONS)
            .map(|violation| Violation::new(violation.pointer, violation.message))
            .collect();
        failure.done = told.done.iter().take(MAX_VIOLATIONS).map(|done| clean(done, SHOWN)).collect();
        Ok(failure)
    }
}

impl Deref for Failure {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl DerefMut for Failure {
    fn deref_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// Whole seconds as an integer, else with their fraction.
fn seconds<S: serde::Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        None => serializer.serialize_none(),
        Some(time) if time.subsec_nanos() == 0 => serializer.serialize_u64(time.as_secs()),
        Some(time) => serializer.serialize_f64((time.as_secs_f64() * 1000.0).round() / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_document_has_the_published_members_only_where_they_say_something() {
        let mut failure = Failure::new(kinds::THROTTLED, "slow down").with_hint("wait");
        failure.retry_after = Some(Duration::from_secs(7));
        failure.http_status = Some(429);
        let document: serde_json::Value = serde_json::from_str(&failure.document()).unwrap();
        assert_eq!(
            document,
            json!({"error": {"kind": "throttled", "message": "slow down", "hint": "wait", "retryable": true,
                "retryAfterSeconds": 7, "httpStatus": 429}})
        );
        assert_eq!(failure.exit_code(), 75);
    }

    #[test]
    fn every_kind_takes_retryable_and_exit_code_from_the_one_table() {
        for row in kinds::ALL {
            let failure = Failure::new(row.name, "x");
            assert_eq!((failure.retryable, failure.exit_code()), (row.retryable, row.exit_code), "{}", row.name);
        }
        assert_eq!(Failure::new("something_new", "x").exit_code(), 1);
    }

    #[test]
    fn an_actions_error_is_read_and_cleaned() {
        let raw = serde_json::value::RawValue::from_string(
            r#"{"kind":"not_found","message":"no\u001b[31m incident\n29","retryAfterSeconds":1.5,"extra":1,
                "violations":[{"pointer":"/a","message":"b"}],"done":["x"]}"#
                .to_owned(),
        )
        .unwrap();
        let failure = Failure::from_action(&raw).unwrap();
        assert_eq!(failure.message, "no [31m incident 29");
        assert_eq!(failure.retry_after, Some(Duration::from_millis(1500)));
        assert_eq!(failure.violations, [Violation::new("/a", "b")]);
        assert_eq!(failure.done, ["x"]);
        assert!(!failure.retryable);
    }

    #[test]
    fn an_absurd_wait_from_an_action_is_dropped_instead_of_panicking() {
        for seconds in ["-1", "1e300"] {
            let raw = format!(r#"{{"kind":"throttled","retryAfterSeconds":{seconds}}}"#);
            let raw = serde_json::value::RawValue::from_string(raw).unwrap();
            assert_eq!(Failure::from_action(&raw).unwrap().retry_after, None, "{seconds}");
        }
    }

    #[test]
    fn one_violation_is_the_message_and_many_are_counted() {
        let one = Failure::invalid_input(vec![Violation::new("/status", "unknown")]);
        assert_eq!(one.message, "/status: unknown");
        let many = Failure::invalid_input(vec![Violation::new("", "a"); 500]);
        assert_eq!(many.violations.len(), MAX_VIOLATIONS);
        assert_eq!(many.exit_code(), 65);
    }
}
