//! What the action takes.

use schemars::JsonSchema;
use serde::Deserialize;
use sortie_client::incidents::{Assignee, Query};
use sortie_defender::enums::{Choice, Classification, Determination, IncidentStatus, ServiceSource, Severity};
use sortie_sdk::prelude::*;

/// Conditions on incidents. An incident must fulfil all that are given; within a list any one entry is enough.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    /// Only incidents created at this time or later. Default: no bound.
    #[serde(default)]
    pub created_after: Option<Time>,
    /// Only incidents created before this time. Default: no bound.
    #[serde(default)]
    pub created_before: Option<Time>,
    /// Only incidents last updated at this time or later. A change of an alert does not always count as an update of its
    /// incident. Default: no bound.
    #[serde(default)]
    pub updated_after: Option<Time>,
    /// Only incidents last updated before this time. Default: no bound.
    #[serde(default)]
    pub updated_before: Option<Time>,
    /// Only incidents with one of these statuses. Default: any; incidents that were merged into others (redirected) are listed too.
    #[serde(default)]
    pub status: Vec<Choice<IncidentStatus>>,
    /// Only incidents with one of these severities. On the defender-xdr surface every incident is read for it. Default: any.
    #[serde(default)]
    pub severity: Vec<Choice<Severity>>,
    /// Only incidents assigned to this person, by user principal name; "unassigned" for those of nobody. Default: any.
    #[serde(default)]
    pub assigned_to: Option<Assignee>,
    /// Only incidents with one of these classifications. On the defender-xdr surface every incident is read for it. Default: any.
    #[serde(default)]
    pub classification: Vec<Choice<Classification>>,
    /// Only incidents with one of these determinations. On the defender-xdr surface every incident is read for it. Default: any.
    #[serde(default)]
    pub determination: Vec<Choice<Determination>>,
    /// Only incidents that carry one of these tags, whatever the case. Every incident is read for it. Default: any.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Only incidents with an alert of one of these products. Every incident is read with its alerts for it. Default: any.
    #[serde(default)]
    pub service_source: Vec<Choice<ServiceSource>>,
    /// Only incidents with this text in their title, whatever the case. Every incident is read for it. Default: any.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1000))]
    pub title: Option<String>,
    /// Stop after this many incidents. Default: none, every match is listed.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub limit: Option<u64>,
    /// Whether each incident comes with its alerts and their evidence, which makes answers much larger. Default: false.
    #[serde(default)]
    pub alerts: bool,
}

impl Input {
    /// What no single field's type can tell.
    pub fn violations(&self, now: Timestamp) -> Vec<Violation> {
        let mut violations = Vec::new();
        let spans = [
            ("created", self.created_after, self.created_before),
            ("updated", self.updated_after, self.updated_before),
        ];
        for (name, after, before) in spans {
            if let (Some(after), Some(before)) = (after, before)
                && after.at(now) >= before.at(now)
            {
                violations.push(Violation::new(
                    format!("/{name}Before"),
                    format!("is not later than {name}After, so no incident can match"),
                ));
            }
        }
        if self.limit == Some(0) {
            violations.push(Violation::new("/limit", "must be at least 1; leave it out for no limit"));
        }
        match self.title.as_deref() {
            Some(title) if title.trim().is_empty() => violations.push(Violation::new("/title", "is empty")),
            Some(title) if title.chars().count() > 1000 => {
                violations.push(Violation::new("/title", "is longer than 1000 characters"));
            }
            _ => {}
        }
        for (index, tag) in self.tags.iter().enumerate() {
            if tag.trim().is_empty() {
                violations.push(Violation::new(format!("/tags/{index}"), "is empty"));
            }
        }
        violations
    }

    /// The conditions, for a run at `now`.
    pub fn query(&self, now: Timestamp) -> Query {
        let at = |time: &Option<Time>| time.map(|time| time.at(now));
        Query {
            created_after: at(&self.created_after),
            created_before: at(&self.created_before),
            updated_after: at(&self.updated_after),
            updated_before: at(&self.updated_before),
            status: members(&self.status),
            severity: members(&self.severity),
            assigned_to: self.assigned_to.iter().cloned().collect(),
            classification: members(&self.classification),
            determination: members(&self.determination),
            tags: self.tags.iter().map(|tag| tag.trim().to_owned()).collect(),
            service_source: members(&self.service_source),
            title: self.title.as_deref().map(|title| title.trim().to_owned()),
            ..Query::default()
        }
    }
}

fn members<T: Clone>(choices: &[Choice<T>]) -> Vec<T> {
    choices.iter().map(|choice| choice.0.clone()).collect()
}
