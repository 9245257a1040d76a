//! One property that changes: what it is called and written on each surface, and whether it is in effect.

use super::{Changes, incompatible};
use serde_json::{Value, json};
use sortie_defender::enums::{Classification, Determination, Enumeration, NewStatus};
use sortie_defender::surface::Surface;
use sortie_defender::view::IncidentView;
use sortie_sdk::{Error, Result, Violation};

/// A property and its new value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    Status(NewStatus),
    AssignedTo(Option<String>),
    Classification(Classification),
    Determination(Determination),
    Tags(Vec<String>),
    DisplayName(String),
    Summary(String),
    ResolvingComment(String),
}

impl Change {
    /// The property's name on Graph, which outputs use.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::AssignedTo(_) => "assignedTo",
            Self::Classification(_) => "classification",
            Self::Determination(_) => "determination",
            Self::Tags(_) => "customTags",
            Self::DisplayName(_) => "displayName",
            Self::Summary(_) => "summary",
            Self::ResolvingComment(_) => "resolvingComment",
        }
    }

    pub(super) fn wire_name(&self, surface: Surface) -> &'static str {
        match (self, surface) {
            (Self::Tags(_), Surface::DefenderXdr) => "tags",
            _ => self.name(),
        }
    }

    pub(super) fn wire_value(&self, surface: Surface) -> Value {
        match self {
            Self::Status(status) => surface.spell(status).as_str().into(),
            Self::Classification(member) => surface.spell(member).as_str().into(),
            Self::Determination(member) => surface.spell(member).as_str().into(),
            _ => self.value(),
        }
    }

    /// The new value, as outputs show it.
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Status(status) => status.name().into(),
            Self::AssignedTo(assignee) => json!(assignee),
            Self::Classification(member) => member.name().into(),
            Self::Determination(member) => member.name().into(),
            Self::Tags(tags) => json!(tags),
            Self::DisplayName(text) | Self::Summary(text) | Self::ResolvingComment(text) => text.as_str().into(),
        }
    }

    /// The value that an incident has, as outputs show it.
    pub(super) fn current(&self, incident: &IncidentView<'_>) -> Value {
        match self {
            Self::Status(_) => json!(incident.status().map(|status| status.name().to_owned())),
            Self::AssignedTo(_) => json!(incident.assigned_to()),
            Self::Classification(_) => incident.classification().name().into(),
            Self::Determination(_) => incident.determination().name().into(),
            Self::Tags(_) => json!(incident.tags()),
            Self::DisplayName(_) => json!(incident.display_name()),
            Self::Summary(_) => json!(incident.summary()),
            Self::ResolvingComment(_) => json!(incident.resolving_comment()),
        }
    }

    /// Whether an incident has the new value already. Of tags the order does not count.
    pub(super) fn is_in_effect(&self, incident: &IncidentView<'_>) -> bool {
        if let Self::Tags(tags) = self {
            let mut wanted: Vec<&str> = tags.iter().map(String::as_str).collect();
            let found = incident.tags();
            let mut found: Vec<&str> = found.iter().map(AsRef::as_ref).collect();
            wanted.sort_unstable();
            found.sort_unstable();
            return wanted == found;
        }
        self.value() == self.current(incident)
    }
}

/// The changes that an incident does not show yet. Classification and determination go together when either changes (contract
/// section 6.1).
pub(super) fn differences(changes: &Changes, incident: &IncidentView<'_>) -> Result<Vec<Change>> {
    let mut wanted: Vec<Change> = Vec::new();
    wanted.extend(changes.status.clone().map(Change::Status));
    wanted.extend(changes.assigned_to.as_ref().map(|assignee| Change::AssignedTo(assignee.name().map(str::to_owned))));
    if !changes.tags.is_empty() {
        let current: Vec<String> = incident.tags().into_iter().map(|tag| tag.into_owned()).collect();
        wanted.push(Change::Tags(changes.tags.apply(&current)));
    }
    let text = |text: &Option<String>| text.as_deref().map(|text| text.trim().to_owned());
    wanted.extend(text(&changes.display_name).map(Change::DisplayName));
    wanted.extend(text(&changes.summary).map(Change::Summary));
    wanted.extend(text(&changes.resolving_comment).map(Change::ResolvingComment));
    wanted.retain(|change| !change.is_in_effect(incident));
    wanted.extend(verdict(changes, incident)?);
    Ok(wanted)
}

/// Classification and determination.
fn verdict(changes: &Changes, incident: &IncidentView<'_>) -> Result<Vec<Change>> {
    let refused = |pointer: &str, message: String| Err(Error::invalid_input(vec![Violation::new(pointer, message)]));
    let (has, because) = (incident.classification(), incident.determination());
    let classification = changes.classification.clone().unwrap_or_else(|| has.clone());
    match &changes.determination {
        Some(determination) => {
            if !classification.allows(determination) {
                let message = format!("{}; give the classification too", incompatible(&classification, determination));
                return refused("/determination", message);
            }
            if classification == has && *determination == because {
                return Ok(Vec::new());
            }
            Ok(vec![Change::Classification(classification), Change::Determination(determination.clone())])
        }
        None if classification == has => Ok(Vec::new()),
        // The determination that stays must not contradict the new classification.
        None if because != Determination::Unknown && !classification.allows(&because) => refused(
            "/determination",
            format!(
                "must be given, for the incident's own no longer fits: {}",
                incompatible(&classification, &because)
            ),
        ),
        None => Ok(vec![Change::Classification(classification)]),
    }
}
