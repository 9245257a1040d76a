//! What goes in and what comes out.

use bytes::Bytes;
use http::{HeaderMap, Method};
use std::fmt;
use url::Url;

/// Which failures may be answered by sending the request again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It changes nothing: sent again after 408, 429, 5xx, connection faults and broken answers.
    Read,
    /// It changes something: sent again only when the first surely did nothing (429, nothing sent).
    Write,
    /// Never sent again.
    Once,
}

/// What a 2xx answer must look like to be called an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// A complete JSON document; nothing at all with 202, 204 and 205. A byte order mark is taken off.
    #[default]
    Json,
    /// Anything, taken as it comes.
    Any,
}

/// One request, as often as it takes.
#[derive(Clone)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// Where it goes: https, or http on this machine. Never with user information.
    pub url: Url,
    /// Sent as they are. `Authorization` is treated as a secret. `Accept` and `Content-Type` are JSON where they are
    /// missing; `Host`, `User-Agent`, `Accept-Encoding` and `client-request-id` are the transport's.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// Which failures are retried.
    pub policy: Policy,
    /// What the answer must look like.
    pub expect: Expect,
    /// The limit class it counts against (a key of [`Settings::limits`](crate::Settings::limits)).
    pub limit: Option<String>,
    /// What the request is called in logs and messages: the id of the call, never a URL.
    pub label: String,
    /// It goes to a managed-identity host, which speaks plain http on a link-local address and is reached without
    /// proxy.
    pub managed_identity: bool,
}

impl Request {
    /// A read (`GET`) of a JSON document.
    pub fn get(label: impl Into<String>, url: Url) -> Self {
        Self::new(label, Method::GET, url, Policy::Read)
    }

    /// A request without headers and body.
    pub fn new(label: impl Into<String>, method: Method, url: Url, policy: Policy) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            policy,
            expect: Expect::Json,
            limit: None,
            label: label.into(),
            managed_identity: false,
        }
    }
}

// Headers and body may hold secrets, and so may a query (download links): none of them is shown.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("label", &self.label)
            .field("method", &self.method)
            .field("host", &self.url.host_str().unwrap_or_default())
            .field("policy", &self.policy)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A usable answer: a 2xx other than 206, read to its end and checked.
#[derive(Clone)]
pub struct Response {
    /// The status, 200 to 299 without 206.
    pub status: u16,
    /// The headers as they came. `Content-Length` and `Content-Encoding` speak of the bytes on the wire.
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Vec<u8>,
    /// How often the request was sent, this time included.
    pub attempts: u32,
    /// The service's id of the request (`request-id`, `x-ms-request-id`), for a support case.
    pub request_id: Option<String>,
    /// The id the transport gave the request (`client-request-id`).
    pub client_request_id: String,
}

// The body may be a token.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .field("attempts", &self.attempts)
            .field("request_id", &self.request_id)
            .field("client_request_id", &self.client_request_id)
            .finish_non_exhaustive()
    }
}
