//! What the action takes.

use schemars::JsonSchema;
use serde::Deserialize;
use sortie_client::incidents::{Assignee, Changes, TagChanges};
use sortie_defender::enums::{Choice, Classification, Determination, NewStatus};
use sortie_defender::ids::IncidentId;

/// Which incident, and what is to become of it. What is not given stays as it is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    /// The incident's id: a whole number, as the portal and every list show it.
    pub incident_id: IncidentId,
    /// The new status.
    #[serde(default)]
    pub status: Option<Choice<NewStatus>>,
    /// The new assignee, by user principal name; "unassigned" to assign it to nobody.
    #[serde(default)]
    pub assigned_to: Option<Assignee>,
    /// What the incident turned out to be. A determination that the incident has and that does not go with it must be given anew.
    #[serde(default)]
    pub classification: Option<Choice<Classification>>,
    /// Why it is classified so. It must go with the classification: with truePositive multiStagedAttack, maliciousUserActivity,
    /// compromisedAccount, malware, phishing, unwantedSoftware or other; with informationalExpectedActivity securityTesting,
    /// lineOfBusinessApplication, confirmedActivity or other; with falsePositive notMalicious, notEnoughDataToValidate or other.
    #[serde(default)]
    pub determination: Option<Choice<Determination>>,
    /// Changes to the custom tags.
    #[serde(default)]
    pub tags: Option<TagChanges>,
    /// The new title. On the graph surface only.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub display_name: Option<String>,
    /// The new summary. On the graph surface only.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub summary: Option<String>,
    /// What explains the resolution. On the graph surface only.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub resolving_comment: Option<String>,
    /// A comment to add. Every run adds it, also when nothing else changes.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub comment: Option<String>,
}

impl Input {
    /// The changes.
    pub fn changes(&self) -> Changes {
        Changes {
            status: self.status.clone().map(|choice| choice.0),
            assigned_to: self.assigned_to.clone(),
            classification: self.classification.clone().map(|choice| choice.0),
            determination: self.determination.clone().map(|choice| choice.0),
            tags: self.tags.clone().unwrap_or_default(),
            display_name: self.display_name.clone(),
            summary: self.summary.clone(),
            resolving_comment: self.resolving_comment.clone(),
            comment: self.comment.clone(),
        }
    }
}
