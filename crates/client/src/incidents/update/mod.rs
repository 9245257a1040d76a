//! Changing an incident: read, compare, send only what changes, look at what came of it.
//!
//! Graph takes properties by PATCH and each comment by a POST of its own; Defender XDR takes both in one PATCH (contract
//! sections 4.1 and 6.1). Where an answer was lost, the incident is looked at. Only a PATCH of properties is ever sent again;
//! what carries a comment is sent once, so that no comment is written twice.

mod change;
mod send;

#[cfg(test)]
mod tests;

use super::get::Snapshot;
use super::request::begin;
use super::{Assignee, Incident, TagChanges};
use change::{Change, differences};
use schemars::JsonSchema;
use send::{Carries, Sent, comment_count, send_looking};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sortie_defender::endpoints;
use sortie_defender::enums::{Classification, Determination, NewStatus};
use sortie_defender::ids::IncidentId;
use sortie_defender::surface::Surface;
use sortie_defender::view::Redirect;
use sortie_sdk::{Error, Host, Outcome, Result, Violation, kinds};

/// What is to become of an incident. What is not given stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// The new status.
    pub status: Option<NewStatus>,
    /// The new assignee.
    pub assigned_to: Option<Assignee>,
    /// The new classification.
    pub classification: Option<Classification>,
    /// The new determination, which must go with the classification.
    pub determination: Option<Determination>,
    /// How the tags change.
    pub tags: TagChanges,
    /// The new title. Graph only.
    pub display_name: Option<String>,
    /// The new summary. Graph only.
    pub summary: Option<String>,
    /// The new resolving comment. Graph only.
    pub resolving_comment: Option<String>,
    /// A comment to add.
    pub comment: Option<String>,
}

/// The properties of an incident that an update can change, by Graph's names. Only those that change are given.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes a JSON object that is built member by member")]
pub struct Fields {
    /// The status.
    #[serde(default)]
    status: Option<String>,
    /// To whom it is assigned; null for nobody.
    #[serde(default)]
    assigned_to: Option<String>,
    /// The classification.
    #[serde(default)]
    classification: Option<String>,
    /// The determination.
    #[serde(default)]
    determination: Option<String>,
    /// The tags.
    #[serde(default)]
    custom_tags: Option<Vec<String>>,
    /// The title.
    #[serde(default)]
    display_name: Option<String>,
    /// The summary.
    #[serde(default)]
    summary: Option<String>,
    /// The resolving comment.
    #[serde(default)]
    resolving_comment: Option<String>,
}

/// What an update did.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Updated {
    /// The incident's id.
    pub incident_id: IncidentId,
    /// What changes, as it was before.
    #[schemars(with = "Fields")]
    pub before: Map<String, Value>,
    /// The same properties as the service showed them after the update; in a dry run, as they would become.
    #[schemars(with = "Fields")]
    pub after: Map<String, Value>,
    /// The names of the properties that change; empty when everything was as wanted already.
    pub changed: Vec<String>,
    /// The comment that was added, or null.
    pub comment: Option<String>,
    /// Whether this was a dry run, in which nothing was sent.
    pub planned: bool,
}

impl Changes {
    /// What is wrong with the request itself, on any surface.
    pub fn violations(&self) -> Vec<Violation> {
        let mut violations = self.tags.violations("/tags");
        if let (Some(classification), Some(determination)) = (&self.classification, &self.determination)
            && !classification.allows(determination)
        {
            violations.push(Violation::new("/determination", incompatible(classification, determination)));
        }
        let texts = [
            ("/displayName", &self.display_name),
            ("/summary", &self.summary),
            ("/resolvingComment", &self.resolving_comment),
            ("/comment", &self.comment),
        ];
        for (pointer, text) in texts {
            if text.as_deref().is_some_and(|text| text.trim().is_empty()) {
                violations.push(Violation::new(pointer, "is empty"));
            }
        }
        if *self == Self::default() {
            violations.push(Violation::new("", "nothing to change: give at least one property or a comment"));
        }
        violations
    }

    /// What the surface does not have.
    pub fn unsupported(&self, surface: Surface) -> Vec<Violation> {
        if surface == Surface::Graph {
            return Vec::new();
        }
        let graph_only = [
            ("/displayName", self.display_name.is_some()),
            ("/summary", self.summary.is_some()),
            ("/resolvingComment", self.resolving_comment.is_some()),
        ];
        let mut violations: Vec<_> = graph_only
            .into_iter()
            .filter(|(_, given)| *given)
            .map(|(pointer, _)| {
                Violation::new(
                    pointer,
                    "cannot be set on the defender-xdr surface; leave it out, or use the graph surface",
                )
            })
            .collect();
        if self.classification == Some(Classification::Unknown) {
            violations
                .push(Violation::new("/classification", "cannot be set back to unknown on the defender-xdr surface"));
        }
        violations
    }
}

fn incompatible(classification: &Classification, determination: &Determination) -> String {
    let allowed: Vec<String> = classification.determinations().iter().map(ToString::to_string).collect();
    format!(
        "{determination} does not go with the classification {classification}; it takes one of: {}",
        allowed.join(", ")
    )
}

/// Changes an incident.
///
/// # Errors
/// `invalid_input` before any call for what the surface does not have, and after reading for a determination that does not go
/// with the classification; `conflict` for a merged incident, also where the service answers with the one it was merged into; `partial` when the properties were changed and the comment was
/// not added; `unknown_outcome` when an answer was lost and looking did not settle it; else what the host reports.
pub fn update(host: &Host<'_>, surface: Surface, id: IncidentId, changes: &Changes) -> Result<Updated> {
    let unsupported = changes.unsupported(surface);
    if !unsupported.is_empty() {
        return Err(Error::invalid_input(unsupported));
    }
    let before = Snapshot::read(host, surface, id, false)?;
    let incident = asked_for(&before, id)?;
    let differences = differences(changes, incident.view())?;
    let run = Run {
        host,
        surface,
        id,
        before: &before,
        differences: &differences,
        comment: changes.comment.as_deref().map(str::trim),
    };
    let after = run.write()?;
    Ok(Updated {
        incident_id: id,
        before: differences.iter().map(|change| (change.name().to_owned(), change.current(incident.view()))).collect(),
        after: after
            .unwrap_or_else(|| differences.iter().map(|change| (change.name().to_owned(), change.value())).collect()),
        changed: differences.iter().map(|change| change.name().to_owned()).collect(),
        comment: run.comment.map(str::to_owned),
        planned: host.planning(),
    })
}

/// The incident in an answer, if it is the one that was asked for and not what became of it by a merge.
fn asked_for(snapshot: &Snapshot, id: IncidentId) -> Result<Incident<'_>> {
    let incident = snapshot.incident()?;
    let into = match (incident.view().redirect(), incident.view().id()) {
        (None, Some(found)) if found == id => return Ok(incident),
        // The service led on by itself.
        (Some(Redirect::To(target)), _) | (None, Some(target)) => format!("incident {target}; update that one"),
        (Some(Redirect::Unreadable), _) | (None, None) => "another one".to_owned(),
    };
    Err(Error::new(kinds::CONFLICT, format!("incident {id} was merged into {into}")))
}

/// One update, ready to be sent.
struct Run<'u, 'run> {
    host: &'u Host<'run>,
    surface: Surface,
    id: IncidentId,
    before: &'u Snapshot,
    differences: &'u [Change],
    comment: Option<&'u str>,
}

impl Run<'_, '_> {
    /// Sends what is to be sent; answers the changed properties as the service shows them afterwards, unless nothing was sent.
    fn write(&self) -> Result<Option<Map<String, Value>>> {
        let comment = self.comment.filter(|_| self.surface == Surface::DefenderXdr);
        let mut after = None;
        if !self.differences.is_empty() || comment.is_some() {
            after = self.patch(comment)?;
        }
        if let (Surface::Graph, Some(comment)) = (self.surface, self.comment) {
            self.post_comment(comment)?;
        }
        Ok(after)
    }

    fn patch(&self, comment: Option<&str>) -> Result<Option<Map<String, Value>>> {
        let mut body: Map<String, Value> = self
            .differences
            .iter()
            .map(|change| (change.wire_name(self.surface).to_owned(), change.wire_value(self.surface)))
            .collect();
        if let Some(comment) = comment {
            body.insert("comment".into(), comment.into());
        }
        let call = match self.surface {
            Surface::Graph => &endpoints::graph::UPDATE_INCIDENT,
            Surface::DefenderXdr => &endpoints::defender_xdr::UPDATE_INCIDENT,
        };
        let request = || begin(self.host, self.surface, call).path("incidentId", self.id).json(&body);
        let carries = if comment.is_some() { Carries::Comment } else { Carries::Properties };
        let sent = send_looking(self.host, "the update", carries, request, || {
            let now = Snapshot::read(self.host, self.surface, self.id, false)?;
            let incident = asked_for(&now, self.id)?;
            let done = self.differences.iter().all(|change| change.is_in_effect(incident.view()));
            let said = match comment {
                Some(comment) => comment_count(&incident, comment) > comment_count(&self.before.incident()?, comment),
                None => true,
            };
            Ok(done && said)
        })?;
        match sent {
            Sent::Planned => Ok(None),
            Sent::Done(answer) => self.look_after(answer).map(Some),
        }
    }

    /// The changed properties in the service's answer, or read again where the answer does not show the incident.
    fn look_after(&self, answer: Option<Vec<u8>>) -> Result<Map<String, Value>> {
        let answered =
            answer.map(|body| Snapshot::new(self.surface, body)).filter(|now| asked_for(now, self.id).is_ok());
        let read = match answered {
            Some(snapshot) => Ok(snapshot),
            None => Snapshot::read(self.host, self.surface, self.id, false),
        };
        let shown = read.as_ref().map_err(Error::clone).and_then(|snapshot| asked_for(snapshot, self.id));
        let incident = match shown {
            Ok(incident) => incident,
            // The change is made; that it cannot be shown is no reason to call the update failed.
            Err(error) => {
                self.host
                    .warn(format!("the incident was changed, but could not be read afterwards: {}", error.message()));
                return Ok(self.differences.iter().map(|change| (change.name().to_owned(), change.value())).collect());
            }
        };
        for change in self.differences.iter().filter(|change| !change.is_in_effect(incident.view())) {
            self.host.warn(format!(
                "the service accepted the update, but {} is {} and not {}",
                change.name(),
                change.current(incident.view()),
                change.value()
            ));
        }
        Ok(self.differences.iter().map(|change| (change.name().to_owned(), change.current(incident.view()))).collect())
    }

    fn post_comment(&self, comment: &str) -> Result<()> {
        let body = json!({ "@odata.type": "microsoft.graph.security.alertComment", "comment": comment });
        let request = || {
            begin(self.host, self.surface, &endpoints::graph::COMMENT_INCIDENT).path("incidentId", self.id).json(&body)
        };
        let sent = send_looking(self.host, "the comment", Carries::Comment, request, || {
            let now = Snapshot::read(self.host, self.surface, self.id, false)?;
            Ok(comment_count(&asked_for(&now, self.id)?, comment) > comment_count(&self.before.incident()?, comment))
        });
        match sent {
            Ok(_) => Ok(()),
            Err(error) if self.differences.is_empty() || self.host.planning() => Err(error),
            Err(error) => {
                let over = error.kind() == kinds::CANCELLED;
                let unknown = error.kind() == kinds::UNKNOWN_OUTCOME || (over && error.outcome() != Outcome::NotSent);
                let what = if unknown {
                    "the properties were changed, and it is not known whether the comment was added"
                } else {
                    "the properties were changed, but the comment was not added"
                };
                let error = if unknown || over { error } else { error.with_kind(kinds::PARTIAL) };
                // Of a run that was ended from outside, the message is the host's: the hint is what remains of it.
                let error = if over { error.hint(what) } else { error };
                let error = error.context(what);
                Err(self.differences.iter().fold(error, |error, change| {
                    error.done(format!("{} changed to {}", change.name(), change.value()))
                }))
            }
        }
    }
}
