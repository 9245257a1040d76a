//! Incidents and alerts in the words of Graph v1.0 (contract section 4; CSDL `microsoft.graph.security`).

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::clock::text;
use crate::switches::{CommentKeys, GraphSpelling, Switches};
use crate::tenant::World;
use crate::tenant::incident::{Alert, Comment, Forced, Incident};
use crate::tenant::words;

/// How a request wants things written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style<'a> {
    /// The switches.
    pub(crate) switches: &'a Switches,
    /// Whether members after `unknownFutureValue` are shown (`Prefer: include-unknown-enum-members`).
    pub(crate) open: bool,
}

impl Style<'_> {
    fn word(self, property: &str, value: &str) -> Value {
        let value = if self.open { value } else { words::closed(property, value) };
        match self.switches.graph_spelling {
            GraphSpelling::Csdl => value.into(),
            GraphSpelling::Pages if property == "determination" => words::older_graph(value).into(),
            GraphSpelling::Pages => value.into(),
            GraphSpelling::Pascal => words::pascal(value).into(),
        }
    }

    fn comments(self, comments: &[Comment]) -> Value {
        comments.iter().map(|comment| self.comment(comment)).collect()
    }

    fn comment(self, comment: &Comment) -> Value {
        match self.switches.graph_comment_keys {
            CommentKeys::Csdl => full_comment(comment),
            CommentKeys::Examples => {
                json!({ "comment": comment.text, "createdBy": comment.author, "createdTime": text(comment.created) })
            }
        }
    }
}

/// A comment as the comment pages show it.
pub(crate) fn full_comment(comment: &Comment) -> Value {
    json!({ "comment": comment.text, "createdByDisplayName": comment.author, "createdDateTime": text(comment.created) })
}

/// An incident; with its alerts when `alerts`.
pub(crate) fn incident(incident: &Incident, world: &World, style: Style<'_>, alerts: bool) -> Value {
    let details = incident.details(world);
    let tenant = &*world.tenant_id;
    let mut map = object(json!({
        "@odata.type": if style.switches.graph_short_odata_type { "#microsoft.graph.incident" } else { "#microsoft.graph.security.incident" },
        "id": incident.id.to_string(),
        "tenantId": tenant,
        "status": style.word("status", incident.status),
        "incidentWebUrl": web_url("incidents", &incident.id.to_string(), tenant),
        "redirectIncidentId": incident.redirect.map(|id| id.to_string()),
        "displayName": details.display_name,
        "createdDateTime": text(incident.created),
        "lastUpdateDateTime": text(incident.updated),
        "assignedTo": incident.assigned_to.as_deref(),
        "classification": style.word("classification", incident.classification),
        "determination": style.word("determination", incident.determination),
        "severity": style.word("severity", incident.severity),
        "systemTags": details.system_tags,
        "description": details.description,
        "summary": details.summary,
        "resolvingComment": details.resolving_comment,
        "lastModifiedBy": details.last_modified_by,
        "priorityScore": details.priority_score,
        "comments": style.comments(&details.comments),
    }));
    let tags = if style.switches.graph_tags_key { "tags" } else { "customTags" };
    map.insert(tags.to_owned(), json!(details.custom_tags));
    if alerts {
        let alerts: Vec<Value> =
            incident.alerts(world, true).into_iter().map(|one| alert(one, incident.id, tenant, style)).collect();
        map.insert("alerts".to_owned(), Value::Array(alerts));
    }
    force(&mut map, incident.forced.as_deref());
    Value::Object(map)
}

/// An alert of that incident.
pub(crate) fn alert(alert: Arc<Alert>, incident: u64, tenant: &str, style: Style<'_>) -> Value {
    // An alert that was made for this answer is nobody else's: its evidence is taken, not copied.
    let mut alert = Arc::unwrap_or_clone(alert);
    let mut evidence = std::mem::take(&mut alert.evidence);
    if !style.open {
        evidence.iter_mut().for_each(close);
    }
    let mut shown = json!({
        "@odata.type": "#microsoft.graph.security.alert",
        "id": alert.id,
        "providerAlertId": alert.id,
        "incidentId": incident.to_string(),
        "tenantId": tenant,
        "status": style.word("status", &alert.status),
        "severity": style.word("severity", &alert.severity),
        "classification": style.word("classification", &alert.classification),
        "determination": style.word("determination", &alert.determination),
        "serviceSource": style.word("serviceSource", &alert.service_source),
        "detectionSource": style.word("detectionSource", &alert.detection_source),
        "productName": "Microsoft Defender XDR",
        "detectorId": alert.detector_id,
        "alertPolicyId": null,
        "title": alert.title,
        "description": alert.description,
        "recommendedActions": alert.recommended_actions,
        "category": alert.category,
        "categories": [alert.category],
        "assignedTo": alert.assigned_to,
        "alertWebUrl": web_url("alerts", &alert.id, tenant),
        "incidentWebUrl": web_url("incidents", &incident.to_string(), tenant),
        "actorDisplayName": alert.actor,
        "threatDisplayName": alert.threat,
        "threatFamilyName": alert.family,
        "mitreTechniques": alert.techniques,
        "investigationState": style.word("investigationState", &alert.investigation_state),
        "createdDateTime": text(alert.created),
        "lastUpdateDateTime": text(alert.updated),
        "resolvedDateTime": alert.resolved.map(text),
        "firstActivityDateTime": text(alert.first_activity),
        "lastActivityDateTime": text(alert.last_activity),
        "comments": style.comments(&alert.comments),
        "systemTags": alert.system_tags,
        "additionalData": null,
        "customDetails": {},
    });
    shown["evidence"] = Value::Array(evidence);
    shown
}

/// Hides late members in evidence, however deep it is nested.
fn close(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(close),
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(word) if key == "remediationStatus" => {
                        let closed = words::closed(key, word);
                        if closed != word {
                            *word = closed.to_owned();
                        }
                    }
                    other => close(other),
                }
            }
        }
        _ => {}
    }
}

/// Puts forced members into a rendered incident.
pub(crate) fn force(map: &mut Map<String, Value>, forced: Option<&Forced>) {
    let Some(forced) = forced else { return };
    for (key, value) in &forced.set {
        map.insert(key.clone(), value.clone());
    }
    for key in &forced.remove {
        map.remove(key);
    }
    if forced.padding > 0 {
        map.insert("padding".to_owned(), Value::String("x".repeat(forced.padding)));
    }
}

fn web_url(kind: &str, id: &str, tenant: &str) -> String {
    format!("https://security.microsoft.com/{kind}/{id}?tid={tenant}")
}

/// The members of a JSON object; empty for anything else.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
