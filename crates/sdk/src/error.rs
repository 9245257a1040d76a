//! The error of an action: the document that crosses the boundary.

use serde::{Deserialize, Serialize};
use sortie_abi::kinds;
use std::fmt;

/// The result of an action's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is known about a request that did not get a usable answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The service answered, and the error is that answer.
    #[default]
    Answered,
    /// Nothing was sent, or the service surely did nothing.
    NotSent,
    /// The request may have been done: look before sending it again.
    InDoubt,
}

/// One reason why an input is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// A JSON pointer to the field, empty for the input as a whole.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Violation {
    /// A violation of one field.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }
}

/// Why an action did not reach its goal.
#[derive(Clone, PartialEq)]
pub struct Error(Box<Document>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    kind: String,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(default)]
    retryable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    violations: Vec<Violation>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    done: Vec<String>,
    #[serde(skip)]
    outcome: Outcome,
}

impl Error {
    /// An error of one of the [`kinds`]. Whether it is worth trying again follows from the kind.
    pub fn new(kind: &str, message: impl Into<String>) -> Self {
        Self(Box::new(Document {
            kind: kind.into(),
            message: message.into(),
            hint: None,
            retryable: kinds::find(kind).is_some_and(|kind| kind.retryable),
            retry_after_seconds: None,
            http_status: None,
            request_id: None,
            code: None,
            violations: Vec::new(),
            done: Vec::new(),
            outcome: Outcome::Answered,
        }))
    }

    /// An input that is refused for the given reasons.
    pub fn invalid_input(violations: Vec<Violation>) -> Self {
        let message = match violations.as_slice() {
            [one] if one.pointer.is_empty() => one.message.clone(),
            [one] => format!("{}: {}", one.pointer, one.message),
            several => format!("the input has {} violations", several.len()),
        };
        let mut error = Self::new(kinds::INVALID_INPUT, message);
        error.0.violations = violations;
        error
    }

    /// The error in an answer head, for the SDK.
    pub(crate) fn from_head(error: serde_json::Value, outcome: Outcome) -> Self {
        let mut document: Document = serde_json::from_value(error).unwrap_or_else(|problem| {
            *Self::new(kinds::INTERNAL, format!("the host's error could not be read: {problem}")).0
        });
        document.outcome = outcome;
        Self(Box::new(document))
    }

    pub(crate) fn in_doubt(mut self) -> Self {
        self.0.outcome = Outcome::InDoubt;
        self
    }

    /// Adds what the reader can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds what was done before the failure, so that nobody has to guess.
    #[must_use]
    pub fn done(mut self, step: impl Into<String>) -> Self {
        self.0.done.push(step.into());
        self
    }

    /// The same failure under another kind: what the service said stays.
    #[must_use]
    pub fn with_kind(mut self, kind: &str) -> Self {
        self.0.kind = kind.into();
        self.0.retryable = kinds::find(kind).is_some_and(|kind| kind.retryable);
        self
    }

    /// The same failure with words in front of its message.
    #[must_use]
    pub fn context(mut self, context: &str) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// The kind, one of [`kinds::ALL`] or a text of the action's own.
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// The message for the analyst.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The HTTP status, if a service answered.
    pub fn http_status(&self) -> Option<u16> {
        self.0.http_status
    }

    /// The service's own error code, if it gave one. Its message is free text and never a reason to branch.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Why an input was refused.
    pub fn violations(&self) -> &[Violation] {
        &self.0.violations
    }

    /// What is known about the request behind this error.
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }
}

impl Serialize for Error {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind, self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_the_document_of_the_boundary() {
        let error = Error::new(kinds::THROTTLED, "later").hint("wait").done("status changed");
        let text = serde_json::to_value(&error).unwrap();
        assert_eq!(
            text,
            serde_json::json!({"kind": "throttled", "message": "later", "hint": "wait", "retryable": true, "done": ["status changed"]})
        );
        assert_eq!(Error::from_head(text, Outcome::Answered), error);
    }

    #[test]
    fn a_single_violation_is_the_message() {
        let error = Error::invalid_input(vec![Violation::new("/incidentId", "is empty")]);
        assert_eq!(error.message(), "/incidentId: is empty");
        assert_eq!(error.violations().len(), 1);
    }
}
