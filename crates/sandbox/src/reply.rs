//! An answer before it is HTTP: status, headers, body, and whether the work that was asked for was done.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::render::piece::{self, Page};

/// What a body consists of. Its `Debug` shows no content: a body may hold a token.
#[derive(Clone)]
pub(crate) enum Content {
    /// Text that may be compressed on the way out.
    Text(Bytes),
    /// A page put together from items.
    Page(Page),
    /// Bytes sent exactly as they are; whoever made them set `Content-Encoding` where one is needed.
    Exact(Bytes),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(bytes) => write!(f, "Text({} bytes)", bytes.len()),
            Self::Page(page) => write!(f, "Page({} items)", page.items.len()),
            Self::Exact(bytes) => write!(f, "Exact({} bytes)", bytes.len()),
        }
    }
}

impl Content {
    /// The uncompressed bytes.
    pub(crate) fn text(&self) -> Bytes {
        match self {
            Self::Text(bytes) | Self::Exact(bytes) => bytes.clone(),
            Self::Page(page) => page.text().into(),
        }
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Headers, beside those that every answer has.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) content: Content,
    /// Whether the request changed something.
    pub(crate) worked: bool,
}

impl Reply {
    /// An answer with a JSON body.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::bytes(status, "application/json; charset=utf-8", serde_json::to_vec(body).unwrap_or_default())
    }

    /// An answer with any body.
    pub(crate) fn bytes(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            content: Content::Text(body.into()),
            worked: false,
        }
    }

    /// An answer with a page.
    pub(crate) fn page(page: Page) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())],
            content: Content::Page(page),
            worked: false,
        }
    }

    /// The same answer, marked as having changed something.
    pub(crate) fn worked(mut self) -> Self {
        self.worked = true;
        self
    }

    /// The same answer with one more header; an older one of that name goes.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.set_header(name, value);
        self
    }

    /// Sets a header in place.
    pub(crate) fn set_header(&mut self, name: &str, value: impl Into<String>) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_ascii_lowercase(), value.into()));
    }

    /// The bytes to send and whether they are gzip.
    pub(crate) fn encode(&self, gzip: bool, minimum: usize) -> (Bytes, bool) {
        match &self.content {
            Content::Exact(bytes) => (bytes.clone(), false),
            Content::Text(bytes) if gzip && bytes.len() >= minimum => (piece::gzip(bytes).into(), true),
            Content::Text(bytes) => (bytes.clone(), false),
            Content::Page(page) if gzip => (page.gzip().into(), true),
            Content::Page(page) => (page.text().into(), false),
        }
    }
}

/// A request that is refused. How it looks is a matter of the surface (contract section 3, "Error body").
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The error code.
    pub(crate) code: String,
    /// Free text.
    pub(crate) message: String,
    /// Headers to send with it.
    pub(crate) headers: Vec<(String, String)>,
}

impl Refusal {
    /// A refusal without headers.
    pub(crate) fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), headers: Vec::new() }
    }

    /// The same refusal with one more header.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The answer of Graph: ids and time stand in `innerError`.
    pub(crate) fn graph(self, request_id: &str, client_request_id: &str, now: Timestamp) -> Reply {
        let body = json!({ "error": {
            "code": self.code,
            "message": self.message,
            "innerError": {
                "date": now.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
                "request-id": request_id,
                "client-request-id": client_request_id,
            },
        }});
        Reply { headers: merged(self.headers), ..Reply::json(self.status, &body) }
    }

    /// The answer of Defender XDR and Defender for Endpoint: `target` is the tracking id.
    pub(crate) fn defender(self, request_id: &str) -> Reply {
        let body = json!({ "error": { "code": self.code, "message": self.message, "target": request_id } });
        Reply { headers: merged(self.headers), ..Reply::json(self.status, &body) }
    }
}

fn merged(mut headers: Vec<(String, String)>) -> Vec<(String, String)> {
    headers.push(("content-type".to_owned(), "application/json; charset=utf-8".to_owned()));
    headers
}
