//! One request from its first byte to its answer: which part it goes to, which fault hits it, who asks, what is answered, what is recorded.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::call::{Call, Shift, segments};
use crate::clock::{self, http_date};
use crate::entra::{self, Realm, fingerprint};
use crate::fault::Fault;
use crate::record::{Api, Authorization, RequestRecord, SecretSeen};
use crate::reply::{Content, Refusal, Reply};
use crate::state::State;
use crate::wire::Plan;
use crate::{control, graph, lock, mde, spoil, xdr};

/// A request before it is looked at.
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
}

/// An answer ready for the wire.
pub(crate) struct Served {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    pub(crate) plan: Plan,
    pub(crate) delay: Option<Duration>,
}

/// The ids that an answer carries.
#[derive(Debug)]
pub(crate) struct Ids {
    pub(crate) request: String,
    pub(crate) client: String,
}

/// How much of a body the record keeps.
const KEPT: usize = 64 << 10;

/// Answers a request.
pub(crate) fn serve(state: &State, head: Head, body: Bytes) -> Served {
    let now = state.clock.now();
    let switches = state.switches();
    let api = Api::of(&head.path);
    let fault = lock(&state.faults).next(api, &head.method, &head.path, &head.query);
    let gzip =
        switches.gzip && head.headers.iter().any(|(name, value)| name == "accept-encoding" && accepts_gzip(value));
    let call = Call {
        api,
        options: url::form_urlencoded::parse(head.query.as_bytes()).into_owned().collect(),
        segments: segments(&head.path).unwrap_or_default(),
        method: head.method,
        path: head.path,
        query: head.query,
        headers: head.headers,
        body,
        now,
        switches: Arc::clone(&switches),
        gzip,
        shift: match &fault {
            Some(Fault::DuplicatePage) => Shift::Page,
            Some(Fault::ShiftedPage { by }) => Shift::Items(*by),
            _ => Shift::None,
        },
    };
    let request = lock(&state.tenant).guid();
    let ids = Ids { client: call.header("client-request-id").map_or_else(|| request.clone(), str::to_owned), request };
    let mut record = (api != Api::Control).then(|| open_record(state, &call, fault.as_ref()));

    let before = fault.as_ref().and_then(|fault| spoil::before(state, &call, fault, &ids));
    let (mut reply, plan) = match before {
        Some(spoil::Before::Answer(reply)) => (reply, Plan::None),
        Some(spoil::Before::Reset) => (Reply::bytes(200, "text/plain", Bytes::new()), Plan::ResetNow),
        None => {
            let mut reply = answer(state, &call, &ids, record.as_mut());
            let plan = fault.as_ref().map_or(Plan::None, |fault| spoil::after(state, &call, fault, &mut reply));
            (reply, plan)
        }
    };
    let sequence = record.as_ref().map_or(0, |record| record.sequence);
    if let Some(mut record) = record {
        record.status = (plan != Plan::ResetNow).then_some(reply.status);
        record.worked = reply.worked;
        lock(&state.records).push(record);
    }
    let skew = match &fault {
        Some(Fault::DateSkew { seconds }) => *seconds,
        _ => 0,
    };
    finish(&call, &mut reply, &ids, skewed(now, skew));
    let (body, packed) = reply.encode(gzip, switches.gzip_minimum);
    if packed {
        reply.set_header("content-encoding", "gzip");
        reply.set_header("vary", "Accept-Encoding");
    }
    let delay = match &fault {
        Some(Fault::Delay { milliseconds }) => Some(Duration::from_millis(*milliseconds)),
        _ => None,
    };
    if let Some(Fault::WorkLate { milliseconds }) = fault {
        work_late(state, call, ids, sequence, Duration::from_millis(milliseconds));
    }
    Served { status: reply.status, headers: reply.headers, body, plan, delay }
}

/// Does the work of a request after a while, when nobody waits for its answer any more.
fn work_late(state: &State, call: Call, ids: Ids, sequence: u64, after: Duration) {
    let state = Weak::clone(&state.itself);
    tokio::spawn(async move {
        tokio::time::sleep(after).await;
        let Some(state) = state.upgrade() else { return };
        let call = Call { now: state.clock.now(), ..call };
        if answer(&state, &call, &ids, None).worked {
            lock(&state.records).work(sequence);
        }
    });
}

fn skewed(now: Timestamp, seconds: i64) -> Timestamp {
    let span = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { clock::sub(now, span) } else { clock::add(now, span) }
}

fn accepts_gzip(value: &str) -> bool {
    value.split(',').any(|coding| {
        let mut parts = coding.split(';');
        let name = parts.next().unwrap_or_default().trim();
        let refused = parts.any(|part| matches!(part.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
        (name.eq_ignore_ascii_case("gzip") || name == "*") && !refused
    })
}

/// Headers that every answer of a surface has.
fn finish(call: &Call, reply: &mut Reply, ids: &Ids, date: Timestamp) {
    reply.set_header("date", http_date(date));
    match call.api {
        Api::Graph => {
            reply.set_header("request-id", ids.request.clone());
            reply.set_header("client-request-id", ids.client.clone());
        }
        Api::DefenderXdr | Api::DefenderEndpoint | Api::Unknown => reply.set_header("request-id", ids.request.clone()),
        Api::Entra => {
            reply.set_header("x-ms-request-id", ids.request.clone());
            reply.set_header("client-request-id", ids.client.clone());
        }
        Api::Identity | Api::Control => {}
    }
}

/// The plain work: no fault is at play here.
fn answer(state: &State, call: &Call, ids: &Ids, record: Option<&mut RequestRecord>) -> Reply {
    match call.api {
        Api::Entra => token(state, call, ids, record),
        Api::Identity => identity(state, call),
        Api::Control => control::http::answer(state, call),
        Api::Unknown => refuse(
            call,
            ids,
            Refusal::new(
                404,
                "NotFound",
                "Nothing is served at this path. Begin with /login, /identity, /graph, /xdr, /mde or /control.",
            ),
        ),
        Api::Graph | Api::DefenderXdr | Api::DefenderEndpoint => {
            surface(state, call).unwrap_or_else(|refusal| refuse(call, ids, refusal))
        }
    }
}

/// A refusal in the words of the surface.
pub(crate) fn refuse(call: &Call, ids: &Ids, refusal: Refusal) -> Reply {
    match call.api {
        Api::Graph => refusal.graph(&ids.request, &ids.client, call.now),
        _ => refusal.defender(&ids.request),
    }
}

fn surface(state: &State, call: &Call) -> Result<Reply, Refusal> {
    let caller = lock(&state.directory).caller(call.header("authorization"), call.api, &call.switches, call.now)?;
    if call.switches.throttle {
        let wait = lock(&state.throttle).count(&caller.client_id, call);
        if let Some(wait) = wait {
            return Ok(spoil::throttled_for(call, wait, &lock(&state.tenant).guid()));
        }
    }
    if let Some(reply) = state.bodies.as_ref().and_then(|bodies| bodies.answer(call)) {
        return Ok(reply);
    }
    match call.api {
        Api::Graph => graph::answer(state, call, &caller),
        Api::DefenderXdr => xdr::answer(state, call, &caller),
        _ => mde::answer(state, call, &caller),
    }
}

fn token(state: &State, call: &Call, ids: &Ids, record: Option<&mut RequestRecord>) -> Reply {
    let realm = Realm { tenant_id: &state.tenant_id, domain: &state.domain, origin: &state.origin };
    let path: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    match (call.method.as_str(), &path[..]) {
        ("POST", [_, "oauth2", "v2.0", "token"]) => {
            let (reply, application) =
                entra::token(call, &realm, &mut lock(&state.directory), (&ids.request, &ids.client));
            if let Some(record) = record {
                for secret in record.secrets.iter_mut().filter(|secret| secret.field == "client_assertion") {
                    secret.application.clone_from(&application);
                }
            }
            reply
        }
        (_, [_, "oauth2", "v2.0", "token"]) => entra::error_body(
            405,
            "invalid_request",
            900_561,
            "The endpoint only accepts POST requests.",
            call.now,
            &ids.request,
            &ids.client,
        ),
        _ => {
            entra::error_body(404, "invalid_request", 900_971, "No such endpoint.", call.now, &ids.request, &ids.client)
        }
    }
}

fn identity(state: &State, call: &Call) -> Reply {
    let path: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    let mut directory = lock(&state.directory);
    match (call.method.as_str(), &path[..]) {
        ("GET", ["metadata", "identity", "oauth2", "token"]) => entra::metadata(call, &mut directory),
        ("GET", ["msi", "token"]) => entra::app_service(call, &mut directory, &state.identity_header),
        _ => Reply::json(404, &serde_json::json!({ "error": "not_found", "error_description": "Not found" })),
    }
}

/// What the record keeps of a request, before it is known how it is answered.
fn open_record(state: &State, call: &Call, fault: Option<&Fault>) -> RequestRecord {
    let mut secrets = Vec::new();
    let kept = call.body.get(..KEPT).unwrap_or(&call.body);
    let mut body = String::from_utf8_lossy(kept).into_owned();
    let directory = lock(&state.directory);
    if call.api == Api::Entra {
        (body, secrets) = entra::redact(&call.body, &directory);
    }
    let authorization = call.header("authorization").map(|header| {
        let (scheme, value) = header.split_once(' ').unwrap_or((header, ""));
        if let Some((_, secret)) = entra::basic(header) {
            let application = directory.owner_of_secret(&secret);
            secrets.push(SecretSeen {
                field: "basic".to_owned(),
                fingerprint: fingerprint(&secret),
                application: application.clone(),
            });
            return Authorization { scheme: scheme.to_owned(), application, fingerprint: fingerprint(&secret) };
        }
        Authorization {
            scheme: scheme.to_owned(),
            application: directory.owner_of_token(value),
            fingerprint: fingerprint(value),
        }
    });
    drop(directory);
    if let Some(value) = call.header("x-identity-header") {
        let application = (value == state.identity_header).then(|| "identity header".to_owned());
        secrets.push(SecretSeen {
            field: "X-IDENTITY-HEADER".to_owned(),
            fingerprint: fingerprint(value),
            application,
        });
    }
    RequestRecord {
        sequence: lock(&state.records).number(),
        time: call.now,
        api: call.api,
        method: call.method.clone(),
        path: call.path.clone(),
        query: call.query.clone(),
        headers: call
            .headers
            .iter()
            .filter(|(name, _)| name != "authorization" && name != "x-identity-header")
            .cloned()
            .collect(),
        authorization,
        json: if call.body.is_empty() || call.api == Api::Entra {
            None
        } else {
            serde_json::from_slice(&call.body).ok()
        },
        body,
        secrets,
        status: None,
        worked: false,
        fault: fault.map(spoil::name),
    }
}

/// The body of a reply as JSON, for faults that change it.
pub(crate) fn json_of(reply: &Reply) -> Option<serde_json::Value> {
    serde_json::from_slice(&reply.content.text()).ok()
}

/// Replaces the body of a reply.
pub(crate) fn set_text(reply: &mut Reply, text: impl Into<Bytes>) {
    reply.content = Content::Text(text.into());
}
