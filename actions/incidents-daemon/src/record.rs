//! What a step hands over.

use crate::watched::Watched;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use sortie_client::incidents::{Incident, IncidentRecord, fingerprint};
use sortie_defender::ids::IncidentId;
use sortie_defender::view::Redirect;
use std::borrow::Cow;

/// What the records are about: the first part of the types that a loop around this action makes of them.
const RESOURCE: &str = "incident";

/// One version of an incident, or a note about one that could not be read.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Record<'a> {
    /// What the record is about: always `incident`.
    pub resource: &'static str,
    /// The incident's id; null where not even that could be read.
    pub id: Option<Cow<'a, str>>,
    /// When the incident was last updated, as the service shows it, in UTC.
    pub time: Option<String>,
    /// The same for the same version of the incident, and another one for every other version. A poll may hand over a version
    /// that was handed over before, under the same fingerprint.
    pub fingerprint: Option<String>,
    /// The incident's status: active, inProgress, resolved, redirected or awaitingAction; the service may add more.
    pub state: Option<String>,
    /// The incident that this one was merged into; null when it was not.
    pub merged_into: Option<String>,
    /// Whether it fulfils the filters. Versions that do not are handed over too, so that the loop knows what it has seen.
    pub matched: bool,
    /// What could not be read; absent when all was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
    /// What is worth telling between two versions; null where it could not be read.
    pub watched: Option<Watched<'a>>,
    /// The incident itself; null where it could not be read.
    #[schemars(with = "Option<IncidentRecord>")]
    pub body: Option<Box<RawValue>>,
}

/// A note about an incident that could not be read as it should.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quarantine {
    /// The incident's id; null where not even that could be read.
    pub id: Option<String>,
    /// Why.
    pub reason: String,
}

impl<'a> Record<'a> {
    /// A record of an incident.
    pub(crate) fn of(incident: &Incident<'a>, matched: bool, quarantine: Option<&str>) -> Self {
        let view = incident.view();
        let id = view.id_text();
        let body = incident.to_raw(true);
        let reason = match (&id, quarantine, &body) {
            (.., Err(problem)) => Some(problem.message()),
            (_, Some(reason), _) => Some(reason),
            (None, None, _) => Some("the record has no readable id"),
            (Some(_), None, _) => None,
        };
        Self {
            resource: RESOURCE,
            watched: id.is_some().then(|| Watched::of(view)),
            time: view.updated().map(|at| at.to_string()),
            fingerprint: id.is_some().then(|| fingerprint(view)),
            state: view.status().map(|status| status.to_string()),
            merged_into: match view.redirect() {
                Some(Redirect::To(target)) => Some(target.to_string()),
                Some(Redirect::Unreadable) | None => None,
            },
            matched,
            quarantine: reason
                .map(|reason| Quarantine { id: id.as_deref().map(str::to_owned), reason: reason.to_owned() }),
            body: body.ok(),
            id,
        }
    }

    /// The same record without what may be large, and why.
    pub(crate) fn without_body(self, reason: &str) -> Self {
        let id = self.id.as_deref().map(str::to_owned);
        let quarantine = Some(Quarantine { id, reason: reason.to_owned() });
        Self { body: None, watched: None, quarantine, ..self }
    }

    /// A note about an incident of which nothing could be read, but its id where that is known.
    pub(crate) fn unreadable(id: Option<IncidentId>, reason: &str) -> Self {
        let id = id.map(|id| id.to_string());
        Self {
            resource: RESOURCE,
            watched: None,
            id: id.clone().map(Cow::Owned),
            time: None,
            fingerprint: None,
            state: None,
            merged_into: None,
            matched: false,
            quarantine: Some(Quarantine { id, reason: reason.to_owned() }),
            body: None,
        }
    }
}
