//! Updates and comments (contract section 4.1): only the documented properties, each with its type and its members.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{alerts, bad, context, incident_id, incidents, missing, open};
use crate::call::Call;
use crate::clock::floor;
use crate::entra::Caller;
use crate::lock;
use crate::render::View;
use crate::render::graph::full_comment;
use crate::reply::{Refusal, Reply};
use crate::state::State;
use crate::switches::{Pairs, Switches};
use crate::tenant::incident::Incident;
use crate::tenant::{comment, words};

/// What an update sets. `None`: not named in the body.
#[derive(Debug, Default)]
struct Change {
    status: Option<&'static str>,
    classification: Option<&'static str>,
    determination: Option<&'static str>,
    assigned_to: Option<Option<Arc<str>>>,
    custom_tags: Option<Vec<String>>,
    texts: Vec<(&'static str, Option<String>)>,
}

/// The texts of an incident that an update may or may not set (contract 4.1, unverified).
const TEXTS: &[&str] = &["resolvingComment", "displayName", "summary", "description"];

fn wrong_type(name: &str) -> Refusal {
    bad(format!("Cannot convert the value of property '{name}' to its expected type."))
}

fn text_or_null(name: &str, value: &Value) -> Result<Option<String>, Refusal> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err(wrong_type(name)),
    }
}

/// A member that may be set: not the ones that only the service sets.
fn settable(
    name: &str,
    members: &'static [&'static str],
    value: &Value,
    barred: &[&str],
    switches: &Switches,
) -> Result<&'static str, Refusal> {
    let text = value.as_str().ok_or_else(|| wrong_type(name))?;
    words::member(members, text, switches.graph_patch_any_case)
        .filter(|member| !barred.contains(member))
        .ok_or_else(|| bad(format!("Requested value '{text}' was not found for property '{name}'.")))
}

impl Change {
    fn read(body: &Map<String, Value>, incident: bool, switches: &Switches) -> Result<Self, Refusal> {
        let mut change = Self::default();
        let statuses = if incident { words::INCIDENT_STATUS } else { words::ALERT_STATUS };
        for (name, value) in body {
            match name.as_str() {
                "@odata.type" => {}
                "status" => {
                    change.status = Some(settable(
                        name,
                        statuses,
                        value,
                        &["unknownFutureValue", "awaitingAction", "unknown"],
                        switches,
                    )?)
                }
                "classification" => {
                    change.classification =
                        Some(settable(name, words::CLASSIFICATION, value, &["unknownFutureValue"], switches)?)
                }
                "determination" => {
                    change.determination =
                        Some(settable(name, words::DETERMINATION, value, &["unknownFutureValue"], switches)?)
                }
                "assignedTo" => {
                    change.assigned_to = Some(text_or_null(name, value)?.filter(|text| !text.is_empty()).map(Arc::from))
                }
                "customTags" if incident => {
                    let tags = value.as_array().ok_or_else(|| wrong_type(name))?;
                    let tags: Option<Vec<String>> = tags.iter().map(|tag| tag.as_str().map(str::to_owned)).collect();
                    change.custom_tags = Some(tags.ok_or_else(|| wrong_type(name))?);
                }
                text if incident && TEXTS.contains(&text) && switches.graph_patch_texts => {
                    let known = TEXTS.iter().copied().find(|known| *known == text).unwrap_or_default();
                    change.texts.push((known, text_or_null(name, value)?));
                }
                _ => return Err(bad(format!("The property '{name}' does not exist or cannot be updated."))),
            }
        }
        Ok(change)
    }

    fn check_pair(&self, classification: &str, switches: &Switches) -> Result<(), Refusal> {
        let Some(determination) = self.determination.filter(|determination| *determination != "unknown") else {
            return Ok(());
        };
        let classification = self.classification.unwrap_or(classification);
        let fits = match switches.graph_pairs {
            Pairs::Any => true,
            Pairs::TruePositiveOnly => classification == "truePositive",
            Pairs::Table => words::determinations(classification).is_some_and(|list| list.contains(&determination)),
        };
        if fits {
            Ok(())
        } else {
            Err(bad(format!("Determination '{determination}' is not valid for classification '{classification}'.")))
        }
    }
}

fn body(call: &Call) -> Result<Map<String, Value>, Refusal> {
    incidents::no_options(call)?;
    call.json_object().map_err(bad)
}

fn refuse_redirected(incident: &Incident, switches: &Switches) -> Result<(), Refusal> {
    if incident.redirect.is_some() && switches.refuse_redirected_update {
        return Err(Refusal::new(
            409,
            "Conflict",
            format!("Incident {} was merged into another incident.", incident.id),
        ));
    }
    Ok(())
}

pub(super) fn incident(state: &State, call: &Call, caller: &Caller, id: &str) -> Result<Reply, Refusal> {
    let change = Change::read(&body(call)?, true, &call.switches)?;
    let number = incident_id(id)?;
    let mut tenant = lock(&state.tenant);
    let known = tenant.incident(number).ok_or_else(|| missing("Incident", id))?;
    refuse_redirected(&known, &call.switches)?;
    change.check_pair(known.classification, &call.switches)?;
    let edited = tenant.edit(number, |incident, world| {
        let mut details = incident.details(world);
        incident.status = change.status.unwrap_or(incident.status);
        incident.classification = change.classification.unwrap_or(incident.classification);
        incident.determination = change.determination.unwrap_or(incident.determination);
        if let Some(assigned_to) = change.assigned_to {
            incident.assigned_to = assigned_to;
        }
        if let Some(tags) = change.custom_tags {
            details.custom_tags = tags;
        }
        for (name, text) in change.texts {
            match name {
                "resolvingComment" => details.resolving_comment = text,
                "displayName" => details.display_name = text.unwrap_or_default(),
                "summary" => details.summary = text,
                _ => details.description = text,
            }
        }
        details.last_modified_by = Some(caller.shown());
        incident.details = Some(Box::new(details));
        incident.updated = floor(call.now);
        Ok(())
    });
    edited.map_err(|_| missing("Incident", id))?;
    let changed = tenant.incident(number).ok_or_else(|| missing("Incident", id))?;
    drop(tenant);
    Ok(incidents::whole(state, call, &changed, View::graph(false, open(call))).worked())
}

pub(super) fn alert(state: &State, call: &Call, id: &str) -> Result<Reply, Refusal> {
    let change = Change::read(&body(call)?, false, &call.switches)?;
    let mut tenant = lock(&state.tenant);
    let (owner, known) = tenant.alert(id, false).ok_or_else(|| missing("Alert", id))?;
    let classification = words::member(words::CLASSIFICATION, &known.classification, false).unwrap_or("unknown");
    change.check_pair(classification, &call.switches)?;
    let edited = tenant.edit_alert(id, |alert| {
        let set = |slot: &mut String, value: Option<&'static str>| {
            if let Some(value) = value {
                value.clone_into(slot);
            }
        };
        set(&mut alert.status, change.status);
        set(&mut alert.classification, change.classification);
        set(&mut alert.determination, change.determination);
        if let Some(assigned_to) = &change.assigned_to {
            alert.assigned_to = assigned_to.as_deref().map(str::to_owned);
        }
        if let Some(status) = change.status {
            alert.resolved = (status == "resolved").then_some(call.now);
        }
        alert.updated = floor(call.now);
    });
    drop(tenant);
    let alert = edited.map_err(|_| missing("Alert", id))?;
    Ok(alerts::whole(state, call, alert, owner.id).worked())
}

/// The text of a comment body.
fn comment_text(call: &Call) -> Result<String, Refusal> {
    let body = body(call)?;
    let mut found = None;
    let mut typed = false;
    for (name, value) in &body {
        match name.as_str() {
            "comment" => found = Some(value.as_str().ok_or_else(|| wrong_type(name))?.to_owned()),
            "@odata.type" => {
                let kind = value.as_str().ok_or_else(|| wrong_type(name))?;
                if kind.trim_start_matches('#') != "microsoft.graph.security.alertComment" {
                    return Err(bad(format!("The type '{kind}' is not a comment.")));
                }
                typed = true;
            }
            _ => {
                return Err(bad(format!(
                    "The property '{name}' does not exist on type 'microsoft.graph.security.alertComment'."
                )));
            }
        }
    }
    if call.switches.comment_needs_type && !typed {
        return Err(bad("The property '@odata.type' is missing."));
    }
    found.filter(|text| !text.trim().is_empty()).ok_or_else(|| bad("The property 'comment' is missing or empty."))
}

fn comments(of: &str, list: &[crate::tenant::incident::Comment]) -> Reply {
    let list: Vec<Value> = list.iter().map(full_comment).collect();
    Reply::json(200, &json!({ "@odata.context": context(of), "value": list })).worked()
}

pub(super) fn comment_incident(state: &State, call: &Call, caller: &Caller, id: &str) -> Result<Reply, Refusal> {
    let text = comment_text(call)?;
    let number = incident_id(id)?;
    let mut tenant = lock(&state.tenant);
    let known = tenant.incident(number).ok_or_else(|| missing("Incident", id))?;
    refuse_redirected(&known, &call.switches)?;
    let list = tenant.edit(number, |incident, world| {
        let mut details = incident.details(world);
        details.comments.push(comment(&text, &caller.shown(), floor(call.now)));
        let list = details.comments.clone();
        incident.details = Some(Box::new(details));
        incident.updated = floor(call.now);
        Ok(list)
    });
    Ok(comments(&format!("incidents('{number}')/comments"), &list.map_err(|_| missing("Incident", id))?))
}

pub(super) fn comment_alert(state: &State, call: &Call, caller: &Caller, id: &str) -> Result<Reply, Refusal> {
    let text = comment_text(call)?;
    let alert = lock(&state.tenant).edit_alert(id, |alert| {
        alert.comments.push(comment(&text, &caller.shown(), floor(call.now)));
        alert.updated = floor(call.now);
    });
    Ok(comments(&format!("alerts_v2('{id}')/comments"), &alert.map_err(|_| missing("Alert", id))?.comments))
}
