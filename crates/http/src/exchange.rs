//! One attempt: the request goes out, the answer is read to its end and judged.

use crate::body::{self, Reader};
use crate::error::{Disposition, Error, ErrorKind};
use crate::flight::Flight;
use crate::request::{Expect, Policy, Request, Response};
use crate::settings::{Caps, Settings};
use crate::text::clean;
use crate::{envelope, json, retry_after};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION,
    WARNING, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use memchr::memmem;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout_at};

const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");

/// The largest part of an error's body that is kept.
const ERROR_BODY: usize = 64 << 10;

/// Sends a request once. The answer's `attempts` and `client_request_id` are left for the caller.
pub(crate) async fn exchange(
    client: &reqwest::Client,
    settings: &Settings,
    request: &Request,
    client_request_id: &HeaderValue,
    flight: &Flight,
) -> Result<Response, Error> {
    let started = Instant::now();
    let total = started + settings.timeouts.total;
    let outgoing = outgoing(request, client_request_id, flight);
    flight.start(request);
    let answer = timeout_at(total.min(started + settings.timeouts.header), client.execute(outgoing)).await;
    let result = match answer {
        Err(_) => Err(Error::new(
            ErrorKind::Timeout,
            flight.disposition(),
            format!("{} did not answer within {}", host(request), span(settings.timeouts.header)),
        )),
        Ok(Err(error)) => Err(not_answered(request, &error, flight)),
        Ok(Ok(answer)) => judge(answer, settings, request, total).await,
    };
    flight.end();
    result
}

fn outgoing(request: &Request, client_request_id: &HeaderValue, flight: &Flight) -> reqwest::Request {
    let mut outgoing = reqwest::Request::new(request.method.clone(), request.url.clone());
    let headers = outgoing.headers_mut();
    *headers = request.headers.clone();
    if let Some(authorization) = headers.get_mut(AUTHORIZATION) {
        authorization.set_sensitive(true);
    }
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(CLIENT_REQUEST_ID, client_request_id.clone());
    if request.expect == Expect::Json {
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
    }
    if !request.body.is_empty() {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        *outgoing.body_mut() = Some(reqwest::Body::wrap(flight.body(request)));
    } else if matches!(request.method, Method::POST | Method::PATCH | Method::PUT) {
        // These say how long their body is even when there is none; some services insist.
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    outgoing
}

/// No header came back: why, and may the work have been done?
fn not_answered(request: &Request, error: &reqwest::Error, flight: &Flight) -> Error {
    let disposition = if error.is_connect() { Disposition::NotSent } else { flight.disposition() };
    let host = host(request);
    let causes = Causes::of(error);
    if let Some(tls) = causes.tls {
        let (kind, message) = match tls {
            rustls::Error::InvalidCertificate(why) => {
                (ErrorKind::Certificate, format!("the certificate of {host} is not accepted: {why}"))
            }
            other => (ErrorKind::Unavailable, format!("no TLS connection to {host}: {other}")),
        };
        return Error::new(kind, disposition, clean(&message));
    }
    if causes.head_too_large {
        return Error::new(ErrorKind::TooLarge, disposition, format!("the header of {host}'s answer is too large"));
    }
    if error.is_timeout() {
        return Error::new(ErrorKind::Timeout, disposition, format!("no connection to {host} in time"));
    }
    let what = if error.is_connect() { "no connection to" } else { "the connection broke before the answer of" };
    Error::new(ErrorKind::Unavailable, disposition, clean(&format!("{what} {host}: {}", causes.root)))
}

/// What stands behind a client's error.
struct Causes<'a> {
    tls: Option<&'a rustls::Error>,
    head_too_large: bool,
    root: String,
}

impl<'a> Causes<'a> {
    fn of(error: &'a reqwest::Error) -> Self {
        let mut causes = Causes { tls: None, head_too_large: false, root: "the request failed".to_owned() };
        let mut next = std::error::Error::source(error);
        while let Some(cause) = next {
            let cause = carried(cause);
            causes.root = cause.to_string();
            causes.tls = causes.tls.or_else(|| cause.downcast_ref());
            causes.head_too_large |= cause.downcast_ref().is_some_and(hyper::Error::is_parse_too_large);
            next = cause.source();
        }
        causes
    }
}

/// What an `io::Error` carries, which is not among its sources: it stands in for it.
fn carried<'a>(mut error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    while let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        error = inner;
    }
    error
}

/// A header came back: is there a usable answer behind it?
async fn judge(
    answer: reqwest::Response,
    settings: &Settings,
    request: &Request,
    total: Instant,
) -> Result<Response, Error> {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let request_id = request_id(&headers);
    let result = if status.is_success() && status != StatusCode::PARTIAL_CONTENT {
        usable(answer, settings, request, total).await
    } else {
        let body = without_token(error_body(answer, settings, total).await, request);
        Err(refused(request, status, &headers, body))
    };
    match result {
        Ok(body) => Ok(Response {
            status: status.as_u16(),
            headers,
            body,
            attempts: 0,
            request_id,
            client_request_id: String::new(),
        }),
        Err(mut error) => {
            error.status = Some(status.as_u16());
            error.request_id = error.request_id.take().or(request_id);
            Err(error)
        }
    }
}

/// The body of a 2xx, whole and as promised.
async fn usable(
    answer: reqwest::Response,
    settings: &Settings,
    request: &Request,
    total: Instant,
) -> Result<Vec<u8>, Error> {
    // Of a write, an answer that cannot be read leaves open what was done.
    let disposition = unclear(request.policy);
    let host = host(request);
    let status = answer.status();
    let flawed = |kind, what: &str| Error::new(kind, disposition, format!("the answer of {host} {what}"));

    if header_bytes(answer.headers()) > settings.caps.header_bytes {
        return Err(flawed(ErrorKind::TooLarge, "is too large: its header"));
    }
    let mut body = read(answer, &settings.caps, settings.timeouts.idle_read, total).await.map_err(|cut| match cut {
        Cut::Timeout => flawed(ErrorKind::Timeout, "stopped before its end"),
        Cut::Connection => flawed(ErrorKind::BadResponse, "is cut short: the connection ended before it"),
        Cut::Flaw(body::Flaw::TooLarge(what)) => flawed(ErrorKind::TooLarge, &format!("is too large: {what}")),
        Cut::Flaw(body::Flaw::Broken(what)) => flawed(ErrorKind::BadResponse, &format!("is damaged: {what}")),
    })?;

    if request.expect == Expect::Json && !(body.is_empty() && may_be_empty(status)) {
        if body.starts_with(b"\xef\xbb\xbf") {
            body.drain(..3);
        }
        json::check(&body, settings.caps.json_depth).map_err(|flaw| match flaw {
            json::Flaw::Empty => flawed(ErrorKind::BadResponse, "is empty where JSON is promised"),
            json::Flaw::NotUtf8 => flawed(ErrorKind::BadResponse, "is not UTF-8"),
            json::Flaw::NotJson => flawed(ErrorKind::BadResponse, "is not JSON"),
            json::Flaw::CutShort => flawed(ErrorKind::BadResponse, "is JSON that ends too early"),
            json::Flaw::TooDeep => flawed(ErrorKind::TooLarge, "is nested too deeply"),
        })?;
    }
    Ok(body)
}

fn may_be_empty(status: StatusCode) -> bool {
    matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT)
}

/// What a status other than a full success means.
fn refused(request: &Request, status: StatusCode, headers: &HeaderMap, body: Vec<u8>) -> Error {
    let host = host(request);
    let said = envelope::parse(&body);
    let code = status.as_u16();
    let name = status.canonical_reason().map(|name| format!(" {name}")).unwrap_or_default();
    let mut message = match (&said.code, &said.message) {
        (Some(error), Some(message)) => format!("{host} answered {code}{name} ({error}): {message}"),
        (Some(error), None) => format!("{host} answered {code}{name} ({error})"),
        (None, Some(message)) => format!("{host} answered {code}{name}: {message}"),
        (None, None) => format!("{host} answered {code}{name}"),
    };
    let (kind, disposition) = match status {
        StatusCode::PARTIAL_CONTENT => {
            let warning = headers.get(WARNING).and_then(|warning| warning.to_str().ok()).map(clean);
            message =
                format!("{host} answered with a part only (206): {}", warning.as_deref().unwrap_or("no reason given"));
            (ErrorKind::Partial, unclear(request.policy))
        }
        StatusCode::TOO_MANY_REQUESTS => (ErrorKind::Throttled, Disposition::Answered),
        // A gateway answers 5xx when it does not know either.
        StatusCode::REQUEST_TIMEOUT => (ErrorKind::Unavailable, unclear(request.policy)),
        status if status.is_server_error() => (ErrorKind::Unavailable, unclear(request.policy)),
        status if status.is_redirection() => {
            let target = headers.get(LOCATION).and_then(|target| request.url.join(target.to_str().ok()?).ok());
            let target = target.as_ref().and_then(url::Url::host_str).unwrap_or("nowhere");
            message = clean(&format!("{host} answered {code}, a redirect to {target}, which is not followed"));
            (ErrorKind::BadResponse, Disposition::Answered)
        }
        _ => (ErrorKind::Status(code), Disposition::Answered),
    };
    let retry_after = match kind {
        ErrorKind::Throttled => retry_after::wait(headers, &body, SystemTime::now()),
        ErrorKind::Unavailable => retry_after::wait(headers, b"", SystemTime::now()),
        _ => None,
    };
    let challenge = headers.get(WWW_AUTHENTICATE).and_then(|challenge| challenge.to_str().ok()).map(ToOwned::to_owned);
    let mut error = Error::new(kind, disposition, message);
    error.code = said.code;
    error.request_id = said.request_id;
    error.retry_after = retry_after;
    error.challenge = challenge;
    error.body = body;
    error
}

/// Why a body did not come to its end.
enum Cut {
    Timeout,
    Connection,
    Flaw(body::Flaw),
}

async fn read(mut answer: reqwest::Response, caps: &Caps, idle: Duration, total: Instant) -> Result<Vec<u8>, Cut> {
    let length = answer.content_length();
    let encoding = answer.headers().get(CONTENT_ENCODING).and_then(|encoding| encoding.to_str().ok());
    let mut reader = Reader::new(caps, encoding, length).map_err(Cut::Flaw)?;
    loop {
        let until = total.min(Instant::now() + idle);
        match timeout_at(until, answer.chunk()).await {
            Err(_) => return Err(Cut::Timeout),
            Ok(Err(_)) => return Err(Cut::Connection),
            Ok(Ok(None)) => return reader.finish().map_err(Cut::Flaw),
            Ok(Ok(Some(piece))) => reader.push(&piece).map_err(Cut::Flaw)?,
        }
    }
}

/// The body of an error, as far as it can be read: the status alone is answer enough.
async fn error_body(answer: reqwest::Response, settings: &Settings, total: Instant) -> Vec<u8> {
    let caps = Caps { compressed_bytes: ERROR_BODY, body_bytes: ERROR_BODY, ..settings.caps };
    read(answer, &caps, settings.timeouts.idle_read, total).await.unwrap_or_default()
}

/// The body without the token that was sent: a service that echoes it must not make this program repeat it.
fn without_token(body: Vec<u8>, request: &Request) -> Vec<u8> {
    let header = request.headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let Some(token) = header.and_then(|header| header.split_whitespace().last()) else { return body };
    let finder = memmem::Finder::new(token);
    let Some(first) = finder.find(&body) else { return body };
    let (mut clean, mut rest) = (Vec::with_capacity(body.len()), body.as_slice());
    let mut at = Some(first);
    while let Some((before, found)) = at.and_then(|at| rest.split_at_checked(at)) {
        clean.extend_from_slice(before);
        clean.extend_from_slice(b"[token]");
        rest = found.get(token.len()..).unwrap_or_default();
        at = finder.find(rest);
    }
    clean.extend_from_slice(rest);
    clean
}

fn unclear(policy: Policy) -> Disposition {
    match policy {
        Policy::Read => Disposition::Answered,
        Policy::Write | Policy::Once => Disposition::InDoubt,
    }
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    let header = headers.get("request-id").or_else(|| headers.get("x-ms-request-id"))?;
    // An id is short; whatever else stands there is not repeated.
    Some(clean(header.to_str().ok()?)).filter(|id| !id.is_empty() && id.len() <= 128)
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

pub(crate) fn host(request: &Request) -> &str {
    request.url.host_str().unwrap_or_default()
}

/// A span as a reader says it.
pub(crate) fn span(span: Duration) -> String {
    if span < Duration::from_secs(1) { format!("{} ms", span.as_millis()) } else { format!("{} s", span.as_secs()) }
}
