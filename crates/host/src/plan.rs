//! What a dry run would have done.

use serde::Serialize;
use serde_json::Value;
use sortie_auth::{Effect, Method, Permission, Role};
use std::collections::BTreeMap;

/// One write that a dry run recorded instead of sending. Equal, request by request, to what the real run sends.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PlannedCall {
    /// The declared call.
    pub call: String,
    /// The HTTP method.
    pub method: Method,
    /// The whole URL.
    pub url: String,
    /// The JSON body; null if it has none.
    pub body: Value,
    /// What it does to the tenant.
    pub effect: Effect,
    /// The application permissions of which any single one is enough.
    pub permissions: Vec<Permission>,
    /// The application that signs it.
    pub role: Role,
    /// What it is done to: the path parameters, by name.
    pub target: BTreeMap<String, String>,
    /// The action that takes it back, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
}
