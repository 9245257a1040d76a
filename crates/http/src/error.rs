//! Why there is no usable answer, and what that means for the work asked for.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// What became of a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The service answered, and its answer says that the work was not done.
    Answered,
    /// The service did not get the request, or refused it unread: the work was surely not done.
    NotSent,
    /// The service may have got the request, and what it did is not known: the connection broke, a deadline passed, or
    /// the answer (a 5xx to a write, an unreadable 2xx) does not say.
    InDoubt,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The URL is one that is never asked: plain http beyond this machine, user information, another scheme.
    BlockedUrl,
    /// The settings cannot be used: a proxy's URL, the trusted certificates. Nothing was sent.
    Configuration,
    /// The host's certificate was not accepted. Nothing was sent.
    Certificate,
    /// The service cannot be reached, or keeps answering 408 or 5xx.
    Unavailable,
    /// A deadline passed: of the attempt, or of the whole request.
    Timeout,
    /// Too many requests: the service said so (429), or the client-side limit leaves no slot before the deadline.
    Throttled,
    /// The answer is not what the API promises: cut short, not JSON, a redirect.
    BadResponse,
    /// The answer is 206: parts of it are missing.
    Partial,
    /// The answer is larger than the caps allow.
    TooLarge,
    /// The caller gave up.
    Cancelled,
    /// Any other status that is not a success: 400, 401, 403, 404, 409 and their like.
    Status(u16),
}

impl ErrorKind {
    /// Whether the same request may succeed at another time.
    pub const fn retryable(self) -> bool {
        matches!(self, Self::Unavailable | Self::Timeout | Self::Throttled | Self::Partial)
    }
}

/// Why there is no usable answer: [`Details`], boxed, and read through the dot.
#[derive(Clone, thiserror::Error)]
#[error("{}", .0.message)]
pub struct Error(Box<Details>);

/// What is known about a failure.
#[derive(Clone)]
#[non_exhaustive]
pub struct Details {
    /// What went wrong.
    pub kind: ErrorKind,
    /// Whether the work may have been done.
    pub disposition: Disposition,
    /// The status, when the service answered with one.
    pub status: Option<u16>,
    /// Microsoft's error code from the body: `ResourceNotFound`, `invalid_client`.
    pub code: Option<String>,
    /// For the analyst: one line without control characters, without query, body or token.
    pub message: String,
    /// The service's id of the request.
    pub request_id: Option<String>,
    /// The id the transport gave the request.
    pub client_request_id: Option<String>,
    /// How long to wait before asking again, as far as it is known.
    pub retry_after: Option<Duration>,
    /// The `WWW-Authenticate` header of a 401.
    pub challenge: Option<String>,
    /// How often the request was sent.
    pub attempts: u32,
    /// The body of the service's answer, at most 64 KiB, for callers that know more of its shape. Foreign text: it
    /// is in no message and no log.
    pub body: Vec<u8>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, disposition: Disposition, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            kind,
            disposition,
            status: None,
            code: None,
            message: message.into(),
            request_id: None,
            client_request_id: None,
            retry_after: None,
            challenge: None,
            attempts: 0,
            body: Vec::new(),
        }))
    }

    /// The details, to take apart.
    pub fn into_details(self) -> Details {
        *self.0
    }

    /// Whether the same request may succeed at another time. It says nothing about whether that is safe: see
    /// [`Details::disposition`].
    pub fn retryable(&self) -> bool {
        self.kind.retryable()
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

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("disposition", &self.disposition)
            .field("status", &self.status)
            .field("code", &self.code)
            .field("message", &self.message)
            .field("request_id", &self.request_id)
            .field("client_request_id", &self.client_request_id)
            .field("retry_after", &self.retry_after)
            .field("challenge", &self.challenge.as_ref().map(|_| ".."))
            .field("attempts", &self.attempts)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}
