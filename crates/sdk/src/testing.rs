//! A host that follows a script, for tests of an action in its own crate, without a network.
//!
//! The action runs through the same tables that a loaded library would use. Answers are queued per call; a
//! request for a call that has no answer left is answered with an error that says so.

use crate::{Action, Error, Manifest, export};
use serde_json::{Value, json};
use sortie_abi::host::{Answer, Services, Stop, lend};
use sortie_abi::{Level, Status, kinds};
use sortie_auth::{Api, Call};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A scripted host: answers to give, then [`ScriptedHost::run`].
pub struct ScriptedHost {
    surface: Api,
    plan: bool,
    request_id: String,
    now: Mutex<i64>,
    answers: Mutex<HashMap<String, VecDeque<Answer>>>,
    requests: Mutex<Vec<Sent>>,
    records: Mutex<Vec<Value>>,
    reply: Mutex<Vec<u8>>,
    log: Mutex<Vec<String>>,
    calls: Mutex<Vec<Call>>,
    invocation: String,
}

/// One request that the action made.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// The id of the call.
    pub call: String,
    /// The whole head.
    pub head: Value,
    /// The body; null when it was empty.
    pub body: Value,
}

impl Sent {
    /// The value of a query option.
    pub fn query(&self, name: &str) -> Option<&str> {
        let options = self.head.get("query")?.as_array()?;
        options.iter().find(|option| option[0] == name)?[1].as_str()
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Ran {
    /// The output, or the error.
    pub result: Result<Value, Error>,
    /// The emitted records.
    pub records: Vec<Value>,
    /// The requests, in order.
    pub requests: Vec<Sent>,
    /// The log lines.
    pub log: Vec<String>,
}

impl Ran {
    /// The output of a run that must have succeeded.
    ///
    /// # Panics
    /// With the error, when it failed.
    #[expect(clippy::panic, reason = "a test's assertion")]
    pub fn output(&self) -> &Value {
        match &self.result {
            Ok(output) => output,
            Err(error) => panic!("the action failed: {error:?}"),
        }
    }

    /// The error of a run that must have failed.
    ///
    /// # Panics
    /// With the output, when it succeeded.
    #[expect(clippy::panic, reason = "a test's assertion")]
    pub fn error(&self) -> &Error {
        match &self.result {
            Ok(output) => panic!("the action succeeded: {output}"),
            Err(error) => error,
        }
    }
}

impl Default for ScriptedHost {
    fn default() -> Self {
        Self::new()
    }
}

impl ScriptedHost {
    /// A host with nothing to answer, on the Graph surface, at 2026-03-10T12:00:00Z.
    pub fn new() -> Self {
        Self {
            surface: Api::GRAPH,
            plan: false,
            request_id: "request-1".into(),
            now: Mutex::new(1_773_144_000_000),
            answers: Mutex::default(),
            requests: Mutex::default(),
            records: Mutex::default(),
            reply: Mutex::default(),
            log: Mutex::default(),
            calls: Mutex::default(),
            invocation: String::new(),
        }
    }

    /// Chooses the API that incidents are read from.
    #[must_use]
    pub fn surface(mut self, surface: Api) -> Self {
        self.surface = surface;
        self
    }

    /// Makes it a dry run.
    #[must_use]
    pub fn plan(mut self) -> Self {
        self.plan = true;
        self
    }

    /// Sets the caller's id for the intent behind the run.
    #[must_use]
    pub fn request_id(mut self, id: &str) -> Self {
        self.request_id = id.into();
        self
    }

    /// Queues an answer with a JSON body for a call.
    #[must_use]
    pub fn answer(self, call: &Call, status: u16, body: Value) -> Self {
        let head =
            json!({ "outcome": "answered", "status": status, "headers": { "date": "Tue, 10 Mar 2026 12:00:00 GMT" } });
        self.queue(call, head, body.to_string().into_bytes())
    }

    /// Queues an answer with raw bytes for a call.
    #[must_use]
    pub fn answer_bytes(self, call: &Call, status: u16, body: &[u8]) -> Self {
        self.queue(call, json!({ "outcome": "answered", "status": status, "headers": {} }), body.to_vec())
    }

    /// Queues a failure for a call. `outcome` is `answered`, `not_sent` or `in_doubt`; `error` an error document.
    #[must_use]
    pub fn fail(self, call: &Call, outcome: &str, error: Value) -> Self {
        self.queue(
            call,
            json!({ "outcome": outcome, "status": error["httpStatus"].as_u64().unwrap_or(0), "error": error }),
            Vec::new(),
        )
    }

    fn queue(self, call: &Call, head: Value, body: Vec<u8>) -> Self {
        let answer = Answer { head: head.to_string(), body };
        lock(&self.answers).entry(call.id.to_string()).or_default().push_back(answer);
        self
    }

    /// Runs an action with an input.
    pub fn run<A: Action>(mut self, input: Value) -> Ran {
        let manifest = A::manifest();
        *lock(&self.calls) = manifest.calls().to_vec();
        self.invocation = json!({
            "runId": "run-1", "requestId": self.request_id, "action": "scripted", "surface": self.surface,
            "mode": if self.plan { "plan" } else { "run" }, "remainingMilliseconds": 60_000,
        })
        .to_string();
        let input = input.to_string();
        let status = lend(&self, |host| export::invoke::<A>(host, input.as_bytes())).unwrap_or(Status::FAILED);
        let reply = serde_json::from_slice::<Value>(&lock(&self.reply)).unwrap_or(Value::Null);
        let result =
            if status == Status::OK { Ok(reply) } else { Err(Error::from_head(reply, crate::Outcome::Answered)) };
        Ran {
            result,
            records: std::mem::take(&mut lock(&self.records)),
            requests: std::mem::take(&mut lock(&self.requests)),
            log: std::mem::take(&mut lock(&self.log)),
        }
    }

    /// The whole declaration of an action, as the host would receive it.
    pub fn manifest<A: Action>(version: &str) -> Value {
        serde_json::to_value(Manifest::of::<A>(version)).unwrap_or(Value::Null)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refusal(kind: &str, message: String) -> Answer {
    let error = Error::new(kind, message);
    Answer { head: json!({ "outcome": "not_sent", "error": error }).to_string(), body: Vec::new() }
}

impl Services for ScriptedHost {
    fn invocation(&self) -> &str {
        &self.invocation
    }

    fn request(&self, head: &str, body: &[u8]) -> Result<Answer, Stop> {
        let head: Value = serde_json::from_str(head).map_err(|_| Stop::Failed)?;
        let call = head["call"].as_str().unwrap_or_default().to_owned();
        let body =
            if body.is_empty() { Value::Null } else { serde_json::from_slice(body).map_err(|_| Stop::Failed)? };
        lock(&self.requests).push(Sent { call: call.clone(), head, body });
        let calls = lock(&self.calls);
        let Some(declared) = calls.iter().find(|declared| declared.id == call) else {
            return Ok(refusal(kinds::UNDECLARED_CALL, format!("{call} is not declared")));
        };
        if self.plan && declared.effect.writes() {
            return Ok(Answer { head: json!({ "outcome": "planned" }).to_string(), body: Vec::new() });
        }
        let answer = lock(&self.answers).get_mut(&call).and_then(VecDeque::pop_front);
        Ok(answer.unwrap_or_else(|| refusal(kinds::INTERNAL, format!("the script has no answer left for {call}"))))
    }

    fn request_many(&self, requests: &[(&str, &[u8])]) -> Result<Vec<Answer>, Stop> {
        requests.iter().map(|(head, body)| self.request(head, body)).collect()
    }

    fn emit(&self, record: &str) -> Result<(), Stop> {
        lock(&self.records).push(serde_json::from_str(record).map_err(|_| Stop::Failed)?);
        Ok(())
    }

    fn reply(&self, chunk: &[u8]) -> Result<(), Stop> {
        lock(&self.reply).extend_from_slice(chunk);
        Ok(())
    }

    fn log(&self, level: Level, message: &str, _: &str) {
        lock(&self.log).push(format!("{} {message}", level.0));
    }

    fn progress(&self, message: &str) {
        lock(&self.log).push(format!("progress {message}"));
    }

    fn sleep(&self, time: Duration) -> Result<(), Stop> {
        *lock(&self.now) += i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Ok(())
    }

    fn cancelled(&self) -> bool {
        false
    }

    fn now(&self) -> i64 {
        *lock(&self.now)
    }
}
