//! The record of every request, so that a test can say what a client sent, token requests included, without the record holding a secret.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The parts of the sandbox, by path prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Api {
    /// `/login`: the token endpoint.
    Entra,
    /// `/identity`: managed identity.
    Identity,
    /// `/graph`: Microsoft Graph.
    Graph,
    /// `/xdr`: Defender XDR.
    DefenderXdr,
    /// `/mde`: Defender for Endpoint.
    DefenderEndpoint,
    /// `/control`: the sandbox's own API. Not recorded, never hit by faults.
    Control,
    /// Anything else.
    Unknown,
}

impl Api {
    /// The part that a path belongs to.
    pub(crate) fn of(path: &str) -> Self {
        match path.trim_start_matches('/').split('/').next().unwrap_or_default() {
            "login" => Self::Entra,
            "identity" => Self::Identity,
            "graph" => Self::Graph,
            "xdr" => Self::DefenderXdr,
            "mde" => Self::DefenderEndpoint,
            "control" => Self::Control,
            _ => Self::Unknown,
        }
    }
}

/// What an `Authorization` header was; its value is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Authorization {
    /// `Bearer`, `Basic`, ...
    pub scheme: String,
    /// The name of the application that the token was issued to, or whose secret it is; `None` if it is not one of this tenant.
    pub application: Option<String>,
    /// SHA-256 of the token or secret, hexadecimal.
    pub fingerprint: String,
}

/// A secret that came in a form field; its value is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretSeen {
    /// The field: `client_secret`, `client_assertion`, `X-IDENTITY-HEADER`, `basic`.
    pub field: String,
    /// SHA-256 of the value, hexadecimal.
    pub fingerprint: String,
    /// The application that has exactly this secret, or whose assertion was accepted: this confirms that the secret was really received.
    pub application: Option<String>,
}

/// One request as it was received and answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestRecord {
    /// Its number, counted from 1 over the life of the sandbox.
    pub sequence: u64,
    /// When it came, by the sandbox's clock.
    pub time: Timestamp,
    /// Which part it went to.
    pub api: Api,
    /// The method.
    pub method: String,
    /// The path as sent.
    pub path: String,
    /// The query as sent, without `?`.
    pub query: String,
    /// Headers in the order sent; `authorization` and `x-identity-header` are left out.
    pub headers: Vec<(String, String)>,
    /// What the `Authorization` header was.
    pub authorization: Option<Authorization>,
    /// The body as text (at most 64 KiB); in forms, secrets are replaced by `sha256:...`.
    pub body: String,
    /// The body as JSON, if it is JSON.
    pub json: Option<Value>,
    /// Secrets that came with it.
    pub secrets: Vec<SecretSeen>,
    /// The status answered; `None` if the connection was reset without an answer.
    pub status: Option<u16>,
    /// Whether it changed something in the tenant (or issued a token).
    pub worked: bool,
    /// The fault that hit it, by name.
    pub fault: Option<String>,
}

impl RequestRecord {
    /// The first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Method, path and query in one line.
    #[must_use]
    pub fn line(&self) -> String {
        if self.query.is_empty() {
            format!("{} {}", self.method, self.path)
        } else {
            format!("{} {}?{}", self.method, self.path, self.query)
        }
    }
}

/// All records.
#[derive(Debug)]
pub(crate) struct Records {
    list: VecDeque<RequestRecord>,
    limit: usize,
    sequence: u64,
    counts: BTreeMap<Api, u64>,
}

impl Records {
    pub(crate) fn new(limit: usize) -> Self {
        Self { list: VecDeque::new(), limit: limit.max(1), sequence: 0, counts: BTreeMap::new() }
    }

    /// The number of the next request.
    pub(crate) fn number(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    pub(crate) fn push(&mut self, record: RequestRecord) {
        *self.counts.entry(record.api).or_default() += 1;
        if self.list.len() == self.limit {
            self.list.pop_front();
        }
        self.list.push_back(record);
    }

    /// Notes that the work of a request was done after its record was made.
    pub(crate) fn work(&mut self, sequence: u64) {
        if let Some(record) = self.list.iter_mut().find(|record| record.sequence == sequence) {
            record.worked = true;
        }
    }

    /// Records in the order in which they were received.
    pub(crate) fn list(&self, api: Option<Api>) -> Vec<RequestRecord> {
        let mut list: Vec<_> =
            self.list.iter().filter(|record| api.is_none_or(|api| record.api == api)).cloned().collect();
        list.sort_by_key(|record| record.sequence);
        list
    }

    /// How many requests came since the last clearing.
    pub(crate) fn count(&self, api: Option<Api>) -> u64 {
        api.map_or_else(|| self.counts.values().sum(), |api| self.counts.get(&api).copied().unwrap_or_default())
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.counts.clear();
    }
}
