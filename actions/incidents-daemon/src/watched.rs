//! What is worth telling between two versions of an incident.

use schemars::JsonSchema;
use serde::Serialize;
use sortie_defender::enums::Enumeration;
use sortie_defender::view::IncidentView;
use std::borrow::Cow;

/// The members whose change a record tells about, in Graph's spelling. A member that was not read is absent.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Watched<'a> {
    /// The title.
    pub title: Option<Cow<'a, str>>,
    /// The status.
    pub status: Option<String>,
    /// The severity.
    pub severity: Option<String>,
    /// To whom it is assigned; null when to nobody.
    pub assigned_to: Option<Cow<'a, str>>,
    /// The classification.
    pub classification: String,
    /// The determination.
    pub determination: String,
    /// The tags that people gave it, sorted.
    pub tags: Vec<Cow<'a, str>>,
    /// How many comments it has.
    pub comment_count: usize,
    /// The ids of its alerts, sorted; absent when they were not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert_ids: Option<Vec<Cow<'a, str>>>,
    /// When the last of its alerts was updated, in UTC; absent when they were not read. It moves where the incident's own time
    /// does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_alert_update: Option<String>,
}

impl<'a> Watched<'a> {
    /// What is watched of an incident.
    pub(crate) fn of(view: &IncidentView<'a>) -> Self {
        let mut tags = view.tags();
        tags.sort_unstable();
        let alerts = view.has_alerts().then(|| view.alerts());
        let alert_ids = alerts.as_ref().map(|alerts| {
            let mut ids: Vec<_> = alerts.iter().filter_map(|alert| alert.id()).collect();
            ids.sort_unstable();
            ids
        });
        let last_alert = alerts.iter().flatten().filter_map(|alert| alert.updated()).max();
        Self {
            title: view.display_name(),
            status: view.status().map(|status| status.name().to_owned()),
            severity: view.severity().map(|severity| severity.name().to_owned()),
            assigned_to: view.assigned_to(),
            classification: view.classification().name().to_owned(),
            determination: view.determination().name().to_owned(),
            tags,
            comment_count: view.comments().len(),
            alert_ids,
            last_alert_update: last_alert.map(|at| at.to_string()),
        }
    }
}
