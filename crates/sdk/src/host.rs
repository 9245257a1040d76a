//! The host, as an action sees it.
//!
//! A request names a declared [`Call`] and its path parameters, never a host or a token. What comes back is a
//! usable answer, the word that a dry run planned the call instead of sending it, or an [`Error`] that says what
//! is known about the request.

use crate::{Error, Outcome, Result};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sortie_abi::{Level, Status, action, kinds};
use sortie_auth::{Api, Call};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The host, for one run.
pub struct Host<'run> {
    boundary: &'run action::Host<'run>,
    context: Context,
    warnings: Mutex<Vec<String>>,
}

/// What the host says about the run.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Context {
    /// Names this run in every output and log line.
    pub run_id: String,
    /// The caller's own id for the intent behind the run; the same when the caller tries again. The run's id
    /// where the caller gave none.
    pub request_id: String,
    /// The action's name.
    pub action: String,
    /// The API that incidents are read from and written to.
    pub surface: Api,
    /// Whether writes are sent.
    pub mode: Mode,
    /// How long the run may still take, in milliseconds, when it began.
    pub remaining_milliseconds: u64,
}

/// Whether writes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// They are.
    Run,
    /// They are planned: reads run live, a write is answered [`Answer::Planned`], and there is nothing to wait for.
    Plan,
}

impl<'run> Host<'run> {
    pub(crate) fn new(boundary: &'run action::Host<'run>) -> Result<Self> {
        let text = boundary.invocation().map_err(stopped)?;
        let context = serde_json::from_str(text)
            .map_err(|problem| Error::new(kinds::INTERNAL, format!("the invocation's context: {problem}")))?;
        Ok(Self { boundary, context, warnings: Mutex::default() })
    }

    /// What the host says about the run.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Whether this is a dry run.
    pub fn planning(&self) -> bool {
        self.context.mode == Mode::Plan
    }

    /// Begins a request of a declared call.
    pub fn request<'a>(&'a self, call: &Call) -> Request<'a, 'run> {
        Request { host: self, head: Head { call: call.id.clone(), ..Head::default() }, body: Ok(Vec::new()) }
    }

    /// Begins a request for a URL that an earlier answer of this run carried, under the declared call that the
    /// answer belonged to. The host refuses any other URL.
    pub fn follow<'a>(&'a self, call: &Call, link: &str) -> Request<'a, 'run> {
        let mut request = self.request(call);
        request.head.link = Some(link.to_owned());
        request
    }

    /// Sends several requests, a bounded number at once; the answers come in the order of the requests.
    ///
    /// # Errors
    /// Only what ends the run: cancellation, or requests that the host cannot read.
    pub fn send_many<'a>(&'a self, requests: Vec<Request<'a, 'run>>) -> Result<Vec<Result<Answer<'a, 'run>>>> {
        let parts = requests.iter().map(Request::parts).collect::<Result<Vec<_>>>()?;
        let borrowed: Vec<(&str, &[u8])> = parts.iter().map(|(head, body)| (head.as_str(), *body)).collect();
        let open = self.boundary.request_many(&borrowed).map_err(|status| stopped(status).in_doubt())?;
        Ok(open.into_iter().map(Answer::read).collect())
    }

    /// Hands over one result record.
    ///
    /// # Errors
    /// When the run was cancelled, the record is larger than the host's cap, or it cannot be written as JSON.
    pub fn emit<T: Serialize + ?Sized>(&self, record: &T) -> Result<()> {
        let text = serde_json::to_string(record)
            .map_err(|problem| Error::new(kinds::INTERNAL, format!("a record cannot be written as JSON: {problem}")))?;
        self.emit_json(&text)
    }

    /// Hands over one result record that is JSON already.
    ///
    /// # Errors
    /// As [`Host::emit`].
    pub fn emit_json(&self, record: &str) -> Result<()> {
        self.boundary.emit(record).map_err(|status| match status {
            Status::REFUSED => Error::new(kinds::RESPONSE_TOO_LARGE, "a record is larger than the host takes"),
            other => stopped(other),
        })
    }

    /// Adds to the output's `warnings`: something the reader should know although the run goes on.
    pub fn warn(&self, warning: impl Into<String>) {
        let warning = warning.into();
        self.log(Level::WARN, &warning);
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// Writes a log line. No record's content belongs in one.
    pub fn log(&self, level: Level, message: &str) {
        self.boundary.log(level, message, "");
    }

    /// Tells a person who waits what is going on.
    pub fn progress(&self, message: &str) {
        self.boundary.progress(message);
    }

    /// Waits.
    ///
    /// # Errors
    /// When the run is cancelled or its deadline passes.
    pub fn sleep(&self, time: Duration) -> Result<()> {
        self.boundary.sleep(time).map_err(stopped)
    }

    /// Whether the run was cancelled. Every service says so too; ask only where a long stretch uses none.
    pub fn cancelled(&self) -> bool {
        self.boundary.cancelled()
    }

    /// The host's clock.
    pub fn now(&self) -> Timestamp {
        self.boundary
            .now()
            .ok()
            .and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok())
            .unwrap_or_else(Timestamp::now)
    }

    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One request, being put together.
pub struct Request<'a, 'run> {
    host: &'a Host<'run>,
    head: Head,
    body: Result<Vec<u8>>,
}

#[derive(Default, Serialize)]
struct Head {
    call: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    path: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    query: Vec<(String, String)>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
}

impl<'a, 'run> Request<'a, 'run> {
    /// Gives a path parameter, one segment; the host encodes it.
    #[must_use]
    pub fn path(mut self, name: &str, value: impl ToString) -> Self {
        self.head.path.insert(name.to_owned(), value.to_string());
        self
    }

    /// Adds a query option; the host encodes it.
    #[must_use]
    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.head.query.push((name.to_owned(), value.to_string()));
        self
    }

    /// Sets a header; the host takes `Prefer` and `ConsistencyLevel`.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.head.headers.insert(name.to_owned(), value.to_string());
        self
    }

    /// Gives the body, sent as JSON.
    #[must_use]
    pub fn json<T: Serialize + ?Sized>(mut self, body: &T) -> Self {
        self.body = serde_json::to_vec(body)
            .map_err(|problem| Error::new(kinds::INTERNAL, format!("a body cannot be written as JSON: {problem}")));
        self
    }

    /// Sends it and waits for the answer.
    ///
    /// # Errors
    /// Whatever is not a 2xx answer, with what is known about the request in [`Error::outcome`].
    pub fn send(self) -> Result<Answer<'a, 'run>> {
        let (head, body) = self.parts()?;
        // A run that is cancelled while a request is under way does not learn what became of it.
        let open = self.host.boundary.request(&head, body).map_err(|status| stopped(status).in_doubt())?;
        Answer::read(open)
    }

    fn parts(&self) -> Result<(String, &[u8])> {
        let body = self.body.as_ref().map_err(Error::clone)?;
        let head = serde_json::to_string(&self.head)
            .map_err(|problem| Error::new(kinds::INTERNAL, format!("a request head: {problem}")))?;
        Ok((head, body))
    }
}

/// What came of a request.
pub enum Answer<'a, 'run> {
    /// The service did it.
    Answered(Response<'a, 'run>),
    /// A dry run: the write was recorded in the plan and not sent.
    Planned,
}

#[derive(Deserialize)]
struct AnswerHead {
    outcome: String,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    error: Option<Value>,
}

impl<'a, 'run> Answer<'a, 'run> {
    fn read(open: action::Open<'a, 'run>) -> Result<Self> {
        let head: AnswerHead = serde_json::from_str(open.head().map_err(stopped)?)
            .map_err(|problem| Error::new(kinds::INTERNAL, format!("an answer head: {problem}")))?;
        if let Some(error) = head.error {
            let outcome = match head.outcome.as_str() {
                "not_sent" => Outcome::NotSent,
                "in_doubt" => Outcome::InDoubt,
                _ => Outcome::Answered,
            };
            return Err(Error::from_head(error, outcome));
        }
        if head.outcome == "planned" {
            return Ok(Self::Planned);
        }
        Ok(Self::Answered(Response { open, status: head.status, headers: head.headers }))
    }

    /// The response of a call that is never planned, because it reads.
    ///
    /// # Errors
    /// When it was planned all the same, which is a fault of the call's declaration.
    pub fn response(self) -> Result<Response<'a, 'run>> {
        match self {
            Self::Answered(response) => Ok(response),
            Self::Planned => {
                Err(Error::new(kinds::UNDECLARED_CALL, "a call that reads is declared as one that writes"))
            }
        }
    }
}

/// A 2xx answer.
pub struct Response<'a, 'run> {
    open: action::Open<'a, 'run>,
    status: u16,
    headers: BTreeMap<String, String>,
}

impl Response<'_, '_> {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// A header, by its name in lower case, if the host passes it on.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The body, as the service sent it, without a copy.
    ///
    /// # Errors
    /// When the host cannot read it.
    pub fn body(&self) -> Result<Cow<'_, [u8]>> {
        self.open.body().map_err(stopped)
    }

    /// The body, decoded.
    ///
    /// # Errors
    /// Kind `bad_response` when the body is not what `T` asks for.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body()?)
            .map_err(|problem| Error::new(kinds::BAD_RESPONSE, format!("the service's answer: {problem}")))
    }
}

/// The error behind a status that is not `OK`.
pub(crate) fn stopped(status: Status) -> Error {
    match status {
        Status::CANCELLED => Error::new(kinds::CANCELLED, "the run was cancelled or its deadline passed"),
        Status::REFUSED => Error::new(kinds::INTERNAL, "the host refused: a cap is reached"),
        _ => Error::new(kinds::INTERNAL, "the host could not use what the action passed"),
    }
}
