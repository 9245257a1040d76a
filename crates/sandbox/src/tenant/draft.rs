//! What a test or a person says about an incident, alert or machine that is to be added or changed. Everything not said is made from the seed, or stays.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::incident::{Alert, Incident, known};
use super::machine::Machine;
use super::{Tenant, World, comment, words};
use crate::{Error, clock};

/// Reads a member that may be absent (nothing said), null (taken away) or a value.
fn said<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// An incident to add, or what to change of one. Enum values in the spelling of the Graph CSDL.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct IncidentDraft {
    /// The id; the next free one if not said. Cannot be changed.
    pub id: Option<u64>,
    /// Name.
    pub display_name: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// Summary.
    pub summary: Option<String>,
    /// The explanation of how it was resolved.
    pub resolving_comment: Option<String>,
    /// `informational`, `low`, `medium`, `high`, `unknown`.
    pub severity: Option<String>,
    /// `active`, `inProgress`, `resolved`, `redirected`, `awaitingAction`.
    pub status: Option<String>,
    /// `truePositive`, ...
    pub classification: Option<String>,
    /// `malware`, ...
    pub determination: Option<String>,
    /// Who works on it; null for nobody.
    #[serde(deserialize_with = "said")]
    pub assigned_to: Option<Option<String>>,
    /// Tags set by the customer.
    pub custom_tags: Option<Vec<String>>,
    /// Tags set by Microsoft.
    pub system_tags: Option<Vec<String>>,
    /// 0 to 100.
    pub priority_score: Option<i64>,
    /// Comments to append.
    pub comments: Vec<String>,
    /// When it was created; now if not said.
    pub created: Option<Timestamp>,
    /// When it was last updated. Not said: on adding, the creation time; on changing, now. A time in the past makes a late arrival.
    pub updated: Option<Timestamp>,
    /// Change it without moving its last update.
    pub keep_updated: bool,
    /// The incident that it was merged into; null for none. Setting it makes the status `redirected` unless a status is said.
    #[serde(deserialize_with = "said")]
    pub redirect_incident_id: Option<Option<u64>>,
    /// Its alerts, all of them; made from the seed if not said.
    pub alerts: Option<Vec<AlertDraft>>,
    /// Members forced into the rendered JSON of both surfaces, whatever they are: this makes poison records.
    pub set: Map<String, Value>,
    /// Members taken out of the rendered JSON.
    pub remove: Vec<String>,
    /// Adds a text member of that many bytes to the rendered JSON.
    pub padding: usize,
}

/// An alert to add. Enum values in the spelling of the Graph CSDL, not checked, so that unknown ones can be made.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AlertDraft {
    /// The id; made from the incident's if not said.
    pub id: Option<String>,
    /// Title.
    pub title: Option<String>,
    /// Severity.
    pub severity: Option<String>,
    /// Status.
    pub status: Option<String>,
    /// Service source.
    pub service_source: Option<String>,
    /// Detection source.
    pub detection_source: Option<String>,
    /// Category.
    pub category: Option<String>,
    /// MITRE techniques.
    pub mitre_techniques: Option<Vec<String>>,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// When it was last updated.
    pub updated: Option<Timestamp>,
    /// Its evidence in Graph's shape; made from the seed if not said.
    pub evidence: Option<Vec<Value>>,
}

/// A machine to add, or what to change of one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MachineDraft {
    /// The id; made from the seed if not said. Cannot be changed.
    pub id: Option<String>,
    /// DNS name.
    pub computer_dns_name: Option<String>,
    /// When it was last seen.
    pub last_seen: Option<Timestamp>,
    /// Operating system.
    pub os_platform: Option<String>,
    /// `Active`, ...
    pub health_status: Option<String>,
    /// `onboarded`, `CanBeOnboarded`, ...
    pub onboarding_status: Option<String>,
    /// `None`, `Low`, ...
    pub risk_score: Option<String>,
    /// `None`, `Low`, ...
    pub exposure_level: Option<String>,
    /// Tags.
    pub machine_tags: Option<Vec<String>>,
}

impl Incident {
    /// Applies what a draft says, but for id and times.
    pub(crate) fn apply(&mut self, draft: &IncidentDraft, world: &World, now: Timestamp) -> Result<(), Error> {
        if let Some(severity) = &draft.severity {
            self.severity = known(words::SEVERITY, "severity", severity)?;
        }
        if let Some(redirect) = draft.redirect_incident_id {
            self.redirect = redirect;
            self.status = if redirect.is_some() { "redirected" } else { "active" };
            if redirect.is_some() {
                self.alerts = Some(Vec::new());
            }
        }
        if let Some(status) = &draft.status {
            self.status = known(words::INCIDENT_STATUS, "status", status)?;
        }
        if let Some(classification) = &draft.classification {
            self.classification = known(words::CLASSIFICATION, "classification", classification)?;
        }
        if let Some(determination) = &draft.determination {
            self.determination = known(words::DETERMINATION, "determination", determination)?;
        }
        if let Some(assigned_to) = &draft.assigned_to {
            self.assigned_to = assigned_to.as_deref().map(Arc::from);
        }
        if let Some(alerts) = &draft.alerts {
            self.alerts = Some(Vec::new());
            for alert in alerts {
                self.push_alert(alert, world);
            }
        }
        let mut details = self.details(world);
        let text = |slot: &mut Option<String>, said: &Option<String>| {
            if said.is_some() {
                slot.clone_from(said);
            }
        };
        text(&mut details.description, &draft.description);
        text(&mut details.summary, &draft.summary);
        text(&mut details.resolving_comment, &draft.resolving_comment);
        if let Some(name) = &draft.display_name {
            details.display_name.clone_from(name);
        }
        if let Some(tags) = &draft.custom_tags {
            details.custom_tags.clone_from(tags);
        }
        if let Some(tags) = &draft.system_tags {
            details.system_tags.clone_from(tags);
        }
        details.priority_score = draft.priority_score.or(details.priority_score);
        for text in &draft.comments {
            details.comments.push(comment(text, "control@contoso.com", now));
        }
        self.details = Some(Box::new(details));
        if !draft.set.is_empty() || !draft.remove.is_empty() || draft.padding > 0 {
            let forced = self.forced.get_or_insert_default();
            forced.set.extend(draft.set.clone());
            forced.remove.extend(draft.remove.iter().cloned());
            forced.padding = forced.padding.max(draft.padding);
        }
        Ok(())
    }

    /// Adds an alert; the incident's last update does not move.
    pub(crate) fn push_alert(&mut self, draft: &AlertDraft, world: &World) -> Arc<Alert> {
        let mut alerts = self.alerts(world, true);
        let place = u8::try_from(alerts.len()).unwrap_or(u8::MAX);
        let mut alert = self.seeded_alert(world, place, draft.evidence.is_none());
        if alerts.iter().any(|known| known.id == alert.id) || alerts.len() >= 16 {
            alert.id = format!("{}-{}", alert.id, alerts.len());
        }
        let set = |slot: &mut String, said: &Option<String>| {
            if let Some(said) = said {
                slot.clone_from(said);
            }
        };
        set(&mut alert.id, &draft.id);
        set(&mut alert.title, &draft.title);
        set(&mut alert.severity, &draft.severity);
        set(&mut alert.status, &draft.status);
        set(&mut alert.service_source, &draft.service_source);
        set(&mut alert.detection_source, &draft.detection_source);
        set(&mut alert.category, &draft.category);
        if let Some(techniques) = &draft.mitre_techniques {
            alert.techniques.clone_from(techniques);
        }
        if let Some(evidence) = &draft.evidence {
            alert.evidence.clone_from(evidence);
        }
        alert.created = draft.created.unwrap_or(alert.created);
        alert.updated = draft.updated.unwrap_or(alert.updated);
        let alert = Arc::new(alert);
        alerts.push(Arc::clone(&alert));
        self.alerts = Some(alerts);
        alert
    }
}

impl Tenant {
    /// Adds an incident; returns its id.
    pub(crate) fn add_incident(&mut self, draft: &IncidentDraft, now: Timestamp) -> Result<u64, Error> {
        let id = match draft.id {
            Some(id) => id,
            None => self.take_id(),
        };
        let created = clock::floor(draft.created.unwrap_or(now));
        let mut incident = Incident::seeded(&self.world, id, created, created.max(now));
        incident.status = "active";
        incident.assigned_to = None;
        incident.classification = "unknown";
        incident.determination = "unknown";
        incident.updated = clock::floor(draft.updated.unwrap_or(created));
        incident.apply(draft, &self.world, now)?;
        self.insert(incident)?;
        Ok(id)
    }

    /// Changes an incident.
    pub(crate) fn change_incident(&mut self, id: u64, draft: &IncidentDraft, now: Timestamp) -> Result<(), Error> {
        if draft.id.is_some_and(|said| said != id) {
            return Err(Error::Invalid("the id of an incident cannot be changed".to_owned()));
        }
        self.edit(id, |incident, world| {
            incident.apply(draft, world, now)?;
            incident.created = clock::floor(draft.created.unwrap_or(incident.created));
            if let Some(updated) = draft.updated {
                incident.updated = clock::floor(updated);
            } else if !draft.keep_updated {
                incident.updated = now;
            }
            Ok(())
        })
    }

    /// Adds a machine, or changes the one with that id; returns the id.
    pub(crate) fn put_machine(&mut self, draft: &MachineDraft, now: Timestamp) -> String {
        let known = draft.id.as_ref().and_then(|id| self.machines.iter().position(|machine| machine.id == *id));
        let place = known.unwrap_or_else(|| {
            let number = self.machines.len() as u64;
            let mut machine = Machine::seeded(self.world.seed, number, now);
            if let Some(id) = &draft.id {
                machine.id.clone_from(id);
            }
            self.machines.push(machine);
            self.machines.len() - 1
        });
        let machine = &mut self.machines[place];
        let set = |slot: &mut String, said: &Option<String>| {
            if let Some(said) = said {
                slot.clone_from(said);
            }
        };
        let maybe = |slot: &mut Option<String>, said: &Option<String>| {
            if said.is_some() {
                slot.clone_from(said);
            }
        };
        set(&mut machine.computer_dns_name, &draft.computer_dns_name);
        set(&mut machine.os_platform, &draft.os_platform);
        set(&mut machine.onboarding_status, &draft.onboarding_status);
        maybe(&mut machine.health_status, &draft.health_status);
        maybe(&mut machine.risk_score, &draft.risk_score);
        maybe(&mut machine.exposure_level, &draft.exposure_level);
        machine.last_seen = draft.last_seen.unwrap_or(machine.last_seen);
        if let Some(tags) = &draft.machine_tags {
            machine.machine_tags.clone_from(tags);
        }
        self.version += 1;
        self.machines[place].id.clone()
    }
}
