//! Posting to a receiver that a person configured, such as a webhook.
//!
//! A [`Receiver`] is one URL with the profile's way to reach it: its proxy, its trusted certificates, its connect
//! deadline. Plain http is spoken to this machine only, redirects are not followed, and nothing is repeated: what an
//! answer means, and when to try again, is for the caller to decide. Neither the URL's path and query nor any
//! header's value enters a message; what the receiver answers is cleaned, rid of all of these and of their parts that
//! could be a token, and cut.

use crate::config::SecretSource;
use crate::failure::Failure;
use crate::host::Host;
use crate::text::{clean, quote};
use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use sortie_auth::Secret;
use sortie_http::{Caps, Client, ErrorKind, Expect, Policy, Request};
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

/// The largest part of an answer that is read.
const ANSWER_BYTES: usize = 8 << 10;

/// The longest pause in an answer's body.
const LONGEST_SILENCE: Duration = Duration::from_secs(1);

/// By how much the deadline of the whole lies behind the transport's own, which knows whether there was a status.
const SLACK: Duration = Duration::from_millis(500);

/// The shortest part of a header's value, a path or a query that counts as a secret by itself, in bytes.
const SHORTEST_SECRET: usize = 8;

/// The headers that are the delivery's own.
const OWN_HEADERS: [HeaderName; 10] =
    [CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT];

/// How much of an answer a message repeats, in characters.
const REPEATED: usize = 200;

/// One URL that is posted to.
pub struct Receiver {
    client: Client,
    url: Url,
    headers: HeaderMap,
    /// What it is not to say back, the longest first.
    secrets: Vec<Secret>,
    timeout: Duration,
}

/// What a receiver answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status; none when no answer came.
    pub status: Option<u16>,
    /// Whether none came because the deadline passed.
    pub timed_out: bool,
    /// How long the receiver wants not to be asked again, at most an hour.
    pub retry_after: Option<Duration>,
    /// For a person: the host, the status and the beginning of what it said, or why no answer came. One clean line.
    pub message: String,
}

impl Host {
    /// Reads a secret from where the configuration says, with the checks that hold for credentials. `what` names it in
    /// messages. May block: on files, and on a program.
    ///
    /// # Errors
    /// Kind `configuration`, naming the place and never the secret.
    pub fn read_secret(&self, source: &SecretSource, what: &str) -> Result<Secret, Failure> {
        crate::config::read_secret(source, what, &self.profile().environment)
    }

    /// A receiver at a URL, which gets these headers with each request, and has so long to answer. The trusted
    /// certificates are read and the proxy is set up at once.
    ///
    /// # Errors
    /// Kind `configuration`: a URL that is neither https nor http to this machine, or holds user information; a header
    /// that cannot be sent; a CA file or proxy that cannot be used.
    pub fn receiver(&self, url: &str, headers: Vec<(String, Secret)>, timeout: Duration) -> Result<Receiver, Failure> {
        let hint = "write https://HOST/PATH; http is for this machine only (127.0.0.1, ::1, localhost)";
        let url = Url::parse(url)
            .map_err(|error| Failure::configuration(format!("the receiver's URL is not one: {error}"), hint))?;
        let mut settings = self.core().http()?.settings().clone();
        settings.timeouts.connect = settings.timeouts.connect.min(timeout);
        settings.timeouts.header = timeout;
        // The status says it all: a body that does not come is not waited for.
        settings.timeouts.idle_read = timeout.min(LONGEST_SILENCE);
        settings.timeouts.total = timeout;
        settings.caps = Caps { compressed_bytes: ANSWER_BYTES, body_bytes: ANSWER_BYTES, ..settings.caps };
        settings.limits.clear();
        let client = Client::new(settings);
        client.prepare(&url).map_err(|error| Failure::configuration(&error.message, hint))?;
        let mut secrets = parts(&url);
        let mut receiver = Receiver { client, url, headers: HeaderMap::new(), secrets: Vec::new(), timeout };
        receiver.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            let header = HeaderName::from_bytes(name.as_bytes())
                .ok()
                .filter(|name| !OWN_HEADERS.contains(name))
                .ok_or_else(|| {
                    Failure::configuration(
                        format!("a receiver cannot be sent the header {}", quote(&name)),
                        "name another",
                    )
                })?;
            let mut content = HeaderValue::from_str(value.expose()).map_err(|_| {
                Failure::configuration(
                    format!("the value of the header {} holds characters that no header can", quote(&name)),
                    "keep it to one line of printable characters",
                )
            })?;
            content.set_sensitive(true);
            receiver.headers.insert(header, content);
            // Of `Bearer TOKEN` the token alone is a secret, too. What is very short is a word rather than one.
            let words = value.expose().split_whitespace().filter(|word| word.len() >= SHORTEST_SECRET);
            secrets.extend(words.chain([value.expose()]).map(str::to_owned));
        }
        secrets.retain(|secret| !secret.is_empty());
        secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        receiver.secrets = secrets.into_iter().map(Secret::new).collect();
        Ok(receiver)
    }
}

/// What of a URL a receiver may say back and nobody else is to see: path and query, their parts that could be a token, and
/// all of that decoded.
fn parts(url: &Url) -> Vec<String> {
    let (path, query) = (url.path(), url.query().unwrap_or_default());
    let values = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    let long = path.split('/').chain(values).filter(|part| part.len() >= SHORTEST_SECRET);
    // A path of nothing but a slash is no secret, and would be found everywhere.
    let whole = [path, query].into_iter().filter(|part| part.len() > 1);
    let mut parts: Vec<String> = whole.chain(long).map(str::to_owned).collect();
    for part in parts.clone() {
        parts.push(decoded(&part, false));
        parts.push(decoded(&part, true));
    }
    parts
}

/// A text without its percent-encoding; with `form`, as in a form's fields.
fn decoded(text: &str, form: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        let hex = behind.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            None if form && *first == b'+' => bytes.push(b' '),
            None => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Receiver {
    /// Whether this header is set by every delivery itself, so that [`Host::receiver`] refuses it.
    pub fn sets(name: &str) -> bool {
        HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| OWN_HEADERS.contains(&name))
    }

    /// The receiver's host, which may be shown.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Posts a JSON body once, with these headers besides those of every request.
    pub async fn post(&self, headers: &[(&'static str, String)], body: Bytes) -> Answer {
        let mut request = Request::new("deliver", Method::POST, self.url.clone(), Policy::Once);
        request.expect = Expect::Any;
        request.headers = self.headers.clone();
        for (name, value) in headers {
            match HeaderValue::from_str(value) {
                Ok(value) => request.headers.insert(*name, value),
                Err(_) => {
                    let message = format!("the header {name} of this request holds characters that no header can");
                    return Answer { status: None, timed_out: false, retry_after: None, message };
                }
            };
        }
        request.body = body;
        let sent = self.client.send(request, Instant::now() + self.timeout + SLACK, &CancellationToken::new()).await;
        match sent {
            Ok(response) => Answer {
                status: Some(response.status),
                timed_out: false,
                retry_after: None,
                message: format!("{} answered {}", self.host(), response.status),
            },
            Err(error) => Answer {
                status: error.status,
                timed_out: error.kind == ErrorKind::Timeout,
                retry_after: error.retry_after,
                message: match error.status {
                    // What it says is foreign text, which may repeat what it was sent; of a redirect only the target's
                    // host is told, and without an answer nothing is foreign.
                    Some(status) if !(300..400).contains(&status) => self.refusal(status, &error.body),
                    Some(_) => self.without_secrets(error.message.clone()),
                    None => error.message.clone(),
                },
            },
        }
    }

    fn refusal(&self, status: u16, body: &[u8]) -> String {
        let name = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
        let mut message = format!("{} answered {status} {name}", self.host()).trim_end().to_owned();
        if let Some(said) = self.repeated(body) {
            message.push_str(": ");
            message.push_str(&said);
        }
        message
    }

    /// The beginning of an answer, if it says anything.
    fn repeated(&self, body: &[u8]) -> Option<String> {
        // Cleaned first, because nothing invisible may hide a secret; and cut last, so that no half of one is left. (The
        // transport gives an answer that is too long no body at all.)
        let text = self.without_secrets(clean(&String::from_utf8_lossy(body), usize::MAX));
        Some(clean(&text, REPEATED)).filter(|text| !text.is_empty())
    }

    fn without_secrets(&self, mut text: String) -> String {
        for secret in &self.secrets {
            if text.contains(secret.expose()) {
                text = text.replace(secret.expose(), "[secret]");
            }
        }
        text
    }
}

// The URL's path and the headers may be secrets.
impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("host", &self.host()).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
