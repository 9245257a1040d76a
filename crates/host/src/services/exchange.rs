//! One request of an action: checked against its declaration, signed, sent, and answered.
//!
//! The order matters. What the action asked for is checked first, and a URL is put together, before any credential
//! is touched: a hostile id causes no request at all, not even for a token. Writes of a dry run end there, in the
//! plan. Then the token of the call's role, the exchange, and after a 401 one more try with a fresh token.

use super::url::{self, UrlError};
use super::{Invocation, lock};
use crate::config::ApiSettings;
use crate::failure::Failure;
use crate::plan::PlannedCall;
use crate::refusal;
use crate::run::Mode;
use crate::text::quote;
use ::url::Url;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sortie_abi::host::{Answer, Stop};
use sortie_abi::kinds;
use sortie_auth::{AccessToken, Call, diagnosis};
use sortie_http::{Disposition, ErrorKind, Policy, Request, Response};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// The headers that an action may set.
const ALLOWED: [HeaderName; 2] = [HeaderName::from_static("prefer"), HeaderName::from_static("consistencylevel")];

/// The headers of an answer that an action sees.
const SHOWN: [&str; 4] = ["content-type", "date", "preference-applied", "warning"];

/// The largest request body, in bytes.
const MAX_BODY: usize = 4 << 20;

/// A request head as the boundary describes it.
#[derive(Deserialize)]
struct Head {
    call: String,
    #[serde(default)]
    path: BTreeMap<String, String>,
    #[serde(default)]
    query: Vec<(String, String)>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    link: Option<String>,
}

/// A request that could be read.
pub(super) struct Asked {
    head: Head,
    body: Bytes,
}

impl Asked {
    /// Reads what an action passed.
    pub(super) fn read(head: &str, body: &[u8]) -> Result<Self, Stop> {
        let head = serde_json::from_str(head).map_err(|_| Stop::Failed)?;
        if body.len() > MAX_BODY {
            return Err(Stop::Refused);
        }
        Ok(Self { head, body: Bytes::copy_from_slice(body) })
    }
}

/// A request that fits its declaration.
struct Prepared<'a> {
    call: &'a Call,
    api: &'a ApiSettings,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    path: BTreeMap<String, String>,
}

/// What an answer head says.
#[derive(Serialize)]
struct AnswerHead<'a> {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'static str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Failure>,
}

impl AnswerHead<'_> {
    fn answer(&self, body: Vec<u8>) -> Result<Answer, Stop> {
        let head = serde_json::to_string(self).map_err(|_| Stop::Failed)?;
        Ok(Answer { head, body })
    }

    /// The answer to a request without a usable one.
    fn refused(refused: &Refused) -> Result<Answer, Stop> {
        let Refused { outcome, failure } = refused;
        AnswerHead { outcome, status: failure.http_status, headers: BTreeMap::new(), error: Some(failure) }
            .answer(Vec::new())
    }
}

/// An answer, and whether it is about a write: then the action must have it, also when the run is over.
pub(super) struct Answered {
    pub(super) answer: Answer,
    pub(super) write: bool,
}

/// The answers of a batch. A run that was ended in the middle needs none of them, unless there is a write among them:
/// then the others say that they were not sent.
pub(super) fn batch(results: Vec<Result<Answered, Stop>>) -> Result<Vec<Answer>, Stop> {
    let write = results.iter().flatten().any(|answered| answered.write);
    results
        .into_iter()
        .map(|result| match result {
            Err(Stop::Cancelled) if write => AnswerHead::refused(&Refused::ended()),
            result => result.map(|answered| answered.answer),
        })
        .collect()
}

/// Why there is no usable answer, and what became of the work.
struct Refused {
    outcome: &'static str,
    failure: Failure,
}

impl Refused {
    /// Nothing was sent.
    fn before(failure: Failure) -> Self {
        Self { outcome: refusal::outcome(Disposition::NotSent), failure }
    }

    /// Nothing was sent, because the run was over.
    fn ended() -> Self {
        Self::before(Failure::new(kinds::CANCELLED, "the run ended before this was sent"))
    }

    /// The run is over. A write that was sent without an answer stays unknown then: nobody can look any more.
    fn with_the_run(mut self, call: &Call) -> Self {
        if self.outcome == refusal::outcome(Disposition::InDoubt) {
            let failure = &mut self.failure;
            let mut unknown = Failure::new(
                kinds::UNKNOWN_OUTCOME,
                format!("the run ended before the answer to {} came: {}", quote(&call.id), failure.message),
            )
            .with_hint("it may have been done: look at its target before running again, with the same --request-id");
            unknown.http_status = failure.http_status;
            unknown.request_id = failure.request_id.take();
            unknown.code = failure.code.take();
            self.failure = unknown;
        }
        self
    }
}

impl Invocation {
    /// Answers one request. A refusal is an answer too; only what ends the run is not. Of a write the action learns
    /// what became of it even then: [`Stop::Cancelled`] says that no write may have been done.
    pub(super) async fn exchange(&self, asked: Asked) -> Result<Answered, Stop> {
        let prepared = match self.prepare(asked) {
            Ok(prepared) => prepared,
            Err(_) if self.ended() => return Err(Stop::Cancelled),
            Err(refused) => return Ok(Answered { answer: AnswerHead::refused(&refused)?, write: false }),
        };
        let call = prepared.call;
        let write = call.effect.writes();
        if self.ended() {
            return if write {
                Ok(Answered { answer: AnswerHead::refused(&Refused::ended())?, write })
            } else {
                Err(Stop::Cancelled)
            };
        }
        let answer = if write && self.mode == Mode::Plan {
            self.plan(prepared);
            let head = AnswerHead { outcome: "planned", status: None, headers: BTreeMap::new(), error: None };
            head.answer(Vec::new())?
        } else {
            self.calls.fetch_add(1, Ordering::Relaxed);
            match self.send(&prepared).await {
                Ok(response) => self.answered(call, response)?,
                Err(refused) if !self.ended() => AnswerHead::refused(&refused)?,
                Err(refused) if write => AnswerHead::refused(&refused.with_the_run(call))?,
                Err(_) => return Err(Stop::Cancelled),
            }
        };
        Ok(Answered { answer, write })
    }

    /// Passes a usable answer on, its body as it is.
    fn answered(&self, call: &Call, response: Response) -> Result<Answer, Stop> {
        lock(&self.links).note(call.api.as_str(), &response.body);
        let headers =
            SHOWN.into_iter().filter_map(|name| Some((name, response.headers.get(name)?.to_str().ok()?))).collect();
        let head = AnswerHead { outcome: "answered", status: Some(response.status), headers, error: None };
        let head = serde_json::to_string(&head).map_err(|_| Stop::Failed)?;
        Ok(Answer { head, body: response.body })
    }

    /// Checks a request against its declaration and puts its URL together.
    fn prepare(&self, asked: Asked) -> Result<Prepared<'_>, Refused> {
        let Asked { head, body } = asked;
        let undeclared =
            |problem: String| Refused::before(Failure::new(kinds::UNDECLARED_CALL, problem).with_hint(AUTHOR));
        let call = self
            .action
            .manifest
            .call(&head.call)
            .ok_or_else(|| undeclared(format!("the manifest declares no call {}", quote(&head.call))))?;
        let api = self.core.profile.api(&call.api).map_err(Refused::before)?;
        let url = match &head.link {
            Some(link) => self.follow(call, api, &head, link)?,
            None => url::build(&api.base_url, call, &head.path, &head.query).map_err(|error| match error {
                UrlError::Hostile { .. } => Refused::before(Failure::new(kinds::INVALID_INPUT, error.to_string())),
                _ => undeclared(format!("call {}: {error}", quote(&head.call))),
            })?,
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &head.headers {
            let allowed = HeaderName::from_bytes(name.as_bytes()).ok().filter(|name| ALLOWED.contains(name));
            let name = allowed.ok_or_else(|| undeclared(format!("the header {} may not be set", quote(name))))?;
            let value = HeaderValue::from_str(value)
                .map_err(|_| undeclared(format!("the header `{name}` has a value that cannot be sent")))?;
            headers.append(name, value);
        }
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(Prepared { call, api, url, headers, body, path: head.path })
    }

    /// The URL of a next link: one that an answer of this API carried, within the API's base.
    fn follow(&self, call: &Call, api: &ApiSettings, head: &Head, link: &str) -> Result<Url, Refused> {
        let refused = |kind: &'static str, problem: String, hint: &str| {
            Refused::before(Failure::new(kind, problem).with_hint(hint))
        };
        if call.method.as_str() != "GET" || !head.path.is_empty() || !head.query.is_empty() {
            let problem = format!("call {}: a link is followed by GET, without path or query", quote(&head.call));
            return Err(refused(kinds::UNDECLARED_CALL, problem, AUTHOR));
        }
        if !lock(&self.links).has(call.api.as_str(), link) {
            let problem = format!("call {}: the link stood in no earlier answer of this run", quote(&head.call));
            return Err(refused(kinds::UNDECLARED_CALL, problem, AUTHOR));
        }
        sortie_http::link::pin(&api.base_url, link).map_err(|error| {
            refused(
                kinds::BAD_RESPONSE,
                format!("the service's next link is not followed: {error}"),
                "check the API's base URL in the profile, and what answers there",
            )
        })
    }

    /// Records a write instead of sending it.
    fn plan(&self, prepared: Prepared<'_>) {
        let Prepared { call, url, body, path, .. } = prepared;
        let body = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned().into())
        };
        lock(&self.plan).push(PlannedCall {
            call: call.id.to_string(),
            method: call.method,
            url: url.into(),
            body,
            effect: call.effect,
            permissions: call.permissions.to_vec(),
            role: call.role,
            target: path,
            undo: self.action.manifest.reversed_by.clone(),
        });
    }

    /// Signs and sends. A 401 surely did nothing, so it is tried once more: with the claims that the service asks for,
    /// or with a token that replaces the one it did not take.
    async fn send(&self, prepared: &Prepared<'_>) -> Result<Response, Refused> {
        let Prepared { call, api, .. } = prepared;
        let http = self.core.http().map_err(Refused::before)?;
        let mut token = self.token(call, api, None).await?;
        let mut renewed = false;
        loop {
            let request = self.request(prepared, &token)?;
            let error = match http.send(request, self.deadline, &self.cancel).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            if error.kind == ErrorKind::Status(401) && !renewed {
                renewed = true;
                let claims = error.challenge.as_deref().and_then(diagnosis::claims_challenge);
                if claims.is_none() {
                    self.core.forget(call.role, &api.audience, &token).await;
                }
                token = self.token(call, api, claims.as_deref()).await?;
                continue;
            }
            let mut failure = refusal::of_call(&error, call, Some(&token));
            if api.assumed && error.kind == ErrorKind::Status(401) {
                let hint = failure.hint.take().unwrap_or_default();
                failure.hint = Some(format!(
                    "{hint} The audience of this API in the cloud {} is assumed, not documented: set it in \
                     [profile.{}.apis.{}]",
                    self.core.profile.cloud,
                    self.core.profile.shown_name(),
                    call.api
                ));
            }
            return Err(Refused { outcome: refusal::outcome(error.disposition), failure });
        }
    }

    async fn token(&self, call: &Call, api: &ApiSettings, claims: Option<&str>) -> Result<AccessToken, Refused> {
        self.core.token(call.role, &api.audience, claims, self.until()).await.map_err(Refused::before)
    }

    fn request(&self, prepared: &Prepared<'_>, token: &AccessToken) -> Result<Request, Refused> {
        let call = prepared.call;
        let internal = |problem: &str| Refused::before(Failure::new(kinds::INTERNAL, problem));
        let method = Method::from_bytes(call.method.as_str().as_bytes()).map_err(|_| internal("an HTTP method"))?;
        let policy = if call.effect.writes() { Policy::Write } else { Policy::Read };
        let mut request = Request::new(call.id.to_string(), method, prepared.url.clone(), policy);
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.secret.expose()))
            .map_err(|_| internal("the token holds characters that cannot be sent"))?;
        bearer.set_sensitive(true);
        request.headers = prepared.headers.clone();
        request.headers.insert(AUTHORIZATION, bearer);
        request.body = prepared.body.clone();
        request.limit = Some(call.limit.to_string());
        Ok(request)
    }
}

/// What to do about an action that breaks its own declaration.
const AUTHOR: &str = "report it to the action's author";
