//! How each fault is done: what is answered instead of the work, and what becomes of an answer after it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::call::Call;
use crate::clock::{self, http_date};
use crate::entra;
use crate::fault::{Fault, NextLink, RetryAfter};
use crate::lock;
use crate::record::Api;
use crate::render::piece;
use crate::reply::{Content, Refusal, Reply};
use crate::serve::{Ids, json_of, refuse, set_text};
use crate::state::State;
use crate::switches::XdrRetry;
use crate::wire::Plan;

/// What happens instead of the work.
#[derive(Debug)]
pub(crate) enum Before {
    /// This is answered.
    Answer(Reply),
    /// The connection is reset.
    Reset,
}

/// The name of a fault, for the record.
pub(crate) fn name(fault: &Fault) -> String {
    match serde_json::to_value(fault) {
        Ok(Value::String(name)) => name,
        Ok(Value::Object(map)) => map.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}

/// Faults that come before the work.
pub(crate) fn before(state: &State, call: &Call, fault: &Fault, ids: &Ids) -> Option<Before> {
    Some(Before::Answer(match fault {
        Fault::Throttled { retry_after } => throttled(call, retry_after, &ids.request),
        Fault::Status { status, code, message, headers } => {
            let code = code.clone().unwrap_or_else(|| code_of(*status).to_owned());
            let message = message.clone().unwrap_or_else(|| "The request could not be processed.".to_owned());
            let mut reply = match call.api {
                Api::Entra => entra::error_body(
                    *status,
                    "temporarily_unavailable",
                    90033,
                    &message,
                    call.now,
                    &ids.request,
                    &ids.client,
                ),
                Api::Identity => Reply::json(*status, &json!({ "error": code, "error_description": message })),
                _ => refuse(call, ids, Refusal::new(*status, code, message)),
            };
            for (name, value) in headers {
                reply.set_header(name, value.clone());
            }
            reply
        }
        Fault::Body { status, content_type, text } => Reply::bytes(*status, content_type, text.clone()),
        Fault::Redirect { status, location } => {
            Reply::bytes(*status, "text/html", "<html>moved</html>").header("location", location.clone())
        }
        Fault::InsufficientClaims => refuse(call, ids, entra::challenge(call.api, call.now)),
        Fault::Html => Reply::bytes(
            200,
            "text/html; charset=utf-8",
            "<!DOCTYPE html><html><head><title>Sign in to your account</title></head><body>Sign in</body></html>",
        ),
        // The work of the second is begun where the request ends.
        Fault::ResetBefore | Fault::WorkLate { .. } => return Some(Before::Reset),
        Fault::ExpireTokens => {
            lock(&state.directory).revoke_all();
            return None;
        }
        _ => return None,
    }))
}

fn code_of(status: u16) -> &'static str {
    match status {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        408 => "RequestTimeout",
        409 => "Conflict",
        412 => "PreconditionFailed",
        423 => "Locked",
        429 => "TooManyRequests",
        502 => "BadGateway",
        503 => "ServiceUnavailable",
        504 => "GatewayTimeout",
        _ => "InternalServerError",
    }
}

/// The 429 of a surface whose limit is exceeded; `wait` in seconds, in the form that this surface documents.
pub(crate) fn throttled_for(call: &Call, wait: f64, request_id: &str) -> Reply {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a wait is at most an hour")]
    let whole = wait.ceil() as u64;
    let retry_after = match call.api {
        Api::Graph => RetryAfter::Fraction(wait),
        Api::DefenderXdr => RetryAfter::BodyTime(whole),
        _ => RetryAfter::Seconds(whole),
    };
    throttled(call, &retry_after, request_id)
}

/// A 429 with that form of `Retry-After`.
fn throttled(call: &Call, retry_after: &RetryAfter, request_id: &str) -> Reply {
    let later = |seconds: u64| clock::add(call.now, Duration::from_secs(seconds));
    let header = match retry_after {
        RetryAfter::Seconds(seconds) => Some(seconds.to_string()),
        RetryAfter::Fraction(seconds) => Some(format!("{seconds:.3}")),
        RetryAfter::Date(seconds) => Some(http_date(later(*seconds))),
        RetryAfter::Absurd => Some("1000000000".to_owned()),
        RetryAfter::Negative => Some("-5".to_owned()),
        RetryAfter::Garbage => Some("soon, we hope".to_owned()),
        RetryAfter::BodyTime(seconds) if call.switches.xdr_retry == XdrRetry::Header => Some(seconds.to_string()),
        RetryAfter::Missing | RetryAfter::BodyTime(_) => None,
    };
    let mut error = json!({ "code": "TooManyRequests", "message": "Please retry again later." });
    match call.api {
        Api::Graph => {
            error["innerError"] = json!({
                "code": "429",
                "date": call.now.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
                "message": "Please retry after",
                "request-id": request_id,
                "status": "429",
            });
        }
        _ => error["target"] = request_id.into(),
    }
    if let RetryAfter::BodyTime(seconds) = retry_after {
        let time = clock::text(later(*seconds));
        match call.switches.xdr_retry {
            XdrRetry::TimeInMessage | XdrRetry::Header => {
                error["message"] =
                    format!("The limit of calls was exceeded. New calls can be made after {time}.").into()
            }
            XdrRetry::SecondsInMessage => {
                error["message"] = format!("The limit of calls was exceeded. Try again in {seconds} seconds.").into()
            }
            XdrRetry::TimeInField => error["retryAfter"] = time.into(),
        }
    }
    let mut reply = if call.api == Api::Entra {
        entra::error_body(
            429,
            "temporarily_unavailable",
            90055,
            "Tenant was throttled because there are too many incoming requests.",
            call.now,
            request_id,
            request_id,
        )
    } else {
        Reply::json(429, &json!({ "error": error }))
    };
    if let Some(header) = header {
        reply.set_header("retry-after", header);
    }
    reply
}

/// Faults that come after the work: they change the answer, or what the connection does with it.
pub(crate) fn after(state: &State, call: &Call, fault: &Fault, reply: &mut Reply) -> Plan {
    match fault {
        Fault::ResetAfter => return Plan::ResetNow,
        Fault::ResetMidBody { bytes } => return Plan::ResetBody(*bytes),
        Fault::Truncated { bytes } => return Plan::Cut(*bytes),
        Fault::Stall { bytes } => return Plan::Stall(*bytes),
        Fault::DripHeader { interval_ms } => {
            return Plan::Drip { body_only: false, interval: Duration::from_millis(*interval_ms) };
        }
        Fault::DripBody { interval_ms } => {
            return Plan::Drip { body_only: true, interval: Duration::from_millis(*interval_ms) };
        }
        Fault::Empty => set_text(reply, ""),
        Fault::ByteOrderMark => {
            let text = reply.content.text();
            set_text(reply, [b"\xef\xbb\xbf".as_slice(), &text].concat());
        }
        Fault::NotANumber => insert(reply, br#""score":NaN,"#),
        Fault::DuplicateKeys => insert(reply, br#""@odata.context":"first","@odata.context":"second","#),
        Fault::InvalidUtf8 => insert(reply, b"\"broken\":\"\xff\xfe\xc0\",".as_slice()),
        Fault::Oversized { bytes } => {
            let mut text = reply.content.text().to_vec();
            let missing = bytes.saturating_sub(text.len());
            text.extend(std::iter::repeat_n(b' ', missing));
            set_text(reply, text);
        }
        Fault::GzipBomb { bytes } => {
            reply.content = Content::Exact(piece::bomb(*bytes).into());
            reply.set_header("content-encoding", "gzip");
        }
        Fault::DeepNesting { depth } => {
            let nested = [b"{\"value\":".to_vec(), vec![b'['; *depth], vec![b']'; *depth], b"}".to_vec()].concat();
            set_text(reply, nested);
        }
        Fault::HugeHeaders { bytes } => {
            for number in 0..bytes.div_ceil(4_096) {
                reply.headers.push((format!("x-padding-{number}"), "p".repeat(4_096)));
            }
        }
        Fault::NextLink { link } => next_link(state, call, link, reply),
        Fault::Partial { warning } => {
            reply.status = 206;
            reply.set_header("warning", format!("199 - \"{warning}\""));
        }
        _ => {}
    }
    Plan::None
}

/// Puts bytes right after the opening brace of a JSON object.
fn insert(reply: &mut Reply, bytes: &[u8]) {
    let text = reply.content.text();
    if let Some(rest) = text.strip_prefix(b"{") {
        set_text(reply, [b"{".as_slice(), bytes, rest].concat());
    }
}

fn next_link(state: &State, call: &Call, fault: &NextLink, reply: &mut Reply) {
    let Some(Value::Object(mut body)) = json_of(reply) else { return };
    let own = if call.query.is_empty() {
        format!("{}{}", state.origin, call.path)
    } else {
        format!("{}{}?{}", state.origin, call.path, call.query)
    };
    let present = body.get("@odata.nextLink").and_then(Value::as_str).unwrap_or(&own).to_owned();
    let rest = present.strip_prefix(&state.origin).unwrap_or_default().to_owned();
    let (scheme, host) = state.origin.split_once("://").unwrap_or(("http", ""));
    let link = match fault {
        NextLink::LoopSelf => own.into(),
        NextLink::LoopFirst => crate::odata::next_link(&state.origin, call, "").trim_end_matches(['&', '?']).into(),
        NextLink::Endless => {
            let number = lock(&state.records).count(None);
            format!("{own}{}page={number}", if call.query.is_empty() { '?' } else { '&' }).into()
        }
        NextLink::Foreign(url) => url.as_str().into(),
        NextLink::Scheme => format!("{}://{host}{rest}", if scheme == "https" { "http" } else { "https" }).into(),
        NextLink::Port => {
            let (name, port) = host.rsplit_once(':').unwrap_or((host, "80"));
            let port: u16 = port.parse().unwrap_or(80);
            format!("{scheme}://{name}:{}{rest}", if port == u16::MAX { 1 } else { port + 1 }).into()
        }
        NextLink::Userinfo => format!("{scheme}://user:password@{host}{rest}").into(),
        NextLink::PathPrefix => format!("{scheme}://{host}/elsewhere{rest}").into(),
        NextLink::Missing => Value::Null,
        NextLink::Empty => "".into(),
        NextLink::Number => 7.into(),
        NextLink::Garbage => "::not a url::".into(),
    };
    if link.is_null() {
        body.remove("@odata.nextLink");
    } else {
        body.insert("@odata.nextLink".to_owned(), link);
    }
    set_text(reply, Value::Object(body).to_string());
}
