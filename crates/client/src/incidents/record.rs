//! The shape of an incident in an output, for schemas and documentation.

use schemars::JsonSchema;
use serde_json::Value;

/// An incident, in the shape of Microsoft Graph v1.0 on either surface. Properties that the service adds stand beside
/// these, unchanged.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes JSON that is passed through as text")]
pub struct IncidentRecord {
    /// The id: a whole number, as text. Absent only where the service itself sent none.
    #[serde(default)]
    id: Option<String>,
    /// The title.
    #[serde(default)]
    display_name: Option<String>,
    /// active, inProgress, resolved, redirected or awaitingAction; the service may add more.
    #[serde(default)]
    status: Option<String>,
    /// unknown, informational, low, medium or high; the service may add more.
    #[serde(default)]
    severity: Option<String>,
    /// unknown, falsePositive, truePositive or informationalExpectedActivity; the service may add more.
    #[serde(default)]
    classification: Option<String>,
    /// Why it is classified so; unknown while it is not.
    #[serde(default)]
    determination: Option<String>,
    /// To whom it is assigned; null when to nobody.
    #[serde(default)]
    assigned_to: Option<String>,
    /// When it was created, in UTC.
    #[serde(default)]
    created_date_time: Option<String>,
    /// When it was last changed, in UTC. Changes of its alerts do not always count.
    #[serde(default)]
    last_update_date_time: Option<String>,
    /// The tags that people gave it.
    #[serde(default)]
    custom_tags: Option<Vec<String>>,
    /// The incident it was merged into; null when it was not.
    #[serde(default)]
    redirect_incident_id: Option<String>,
    /// Its comments, oldest first.
    #[serde(default)]
    comments: Option<Vec<Value>>,
    /// Its alerts with their evidence, where they were asked for.
    #[serde(default)]
    alerts: Option<Vec<Value>>,
    /// What the Defender XDR surface said that has no name on Graph.
    #[serde(default)]
    defender_xdr: Value,
}
