//! Which incidents are wanted, and who decides: the server as far as it can, the rest here.

use crate::incidents::Incident;
use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use sortie_defender::enums::{Classification, DetectionSource, Determination, IncidentStatus, ServiceSource, Severity};
use sortie_defender::filter::Filter;
use sortie_defender::surface::Surface;
use sortie_defender::view::IncidentView;
use std::borrow::Cow;

/// Conditions, of which an incident must fulfil all. In a list it must match any one entry; an empty list is no condition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// Created then or later.
    pub created_after: Option<Timestamp>,
    /// Created earlier than that.
    pub created_before: Option<Timestamp>,
    /// Last updated then or later.
    pub updated_after: Option<Timestamp>,
    /// Last updated earlier than that.
    pub updated_before: Option<Timestamp>,
    /// Statuses.
    pub status: Vec<IncidentStatus>,
    /// Severities.
    pub severity: Vec<Severity>,
    /// Assignees, compared without regard to case where sortie compares.
    pub assigned_to: Vec<Assignee>,
    /// Classifications.
    pub classification: Vec<Classification>,
    /// Determinations.
    pub determination: Vec<Determination>,
    /// Tags, compared without regard to case.
    pub tags: Vec<String>,
    /// Products of which at least one alert came. Needs the alerts.
    pub service_source: Vec<ServiceSource>,
    /// Technologies that found at least one alert. Needs the alerts.
    pub detection_source: Vec<DetectionSource>,
    /// MITRE ATT&CK techniques of at least one alert; `T1059` stands for its sub-techniques too. Needs the alerts.
    pub technique: Vec<String>,
    /// Text in the title, without regard to case.
    pub title: Option<String>,
}

/// Somebody to whom an incident is assigned, or nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignee {
    /// A person, by the name the service shows (a user principal name).
    Person(String),
    /// Nobody.
    Nobody,
}

/// The word for nobody, in inputs.
const NOBODY: &str = "unassigned";

impl Assignee {
    /// The name; `None` for nobody.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Person(name) => Some(name),
            Self::Nobody => None,
        }
    }
}

impl<'de> Deserialize<'de> for Assignee {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        match text.trim() {
            "" => Err(serde::de::Error::custom("is empty; write \"unassigned\" for nobody")),
            name if name.eq_ignore_ascii_case(NOBODY) => Ok(Self::Nobody),
            name if name.chars().count() > 512 => Err(serde::de::Error::custom("is longer than 512 characters")),
            name => Ok(Self::Person(name.to_owned())),
        }
    }
}

impl JsonSchema for Assignee {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Assignee".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": 512 })
    }
}

impl Query {
    /// Whether the alerts must be read to decide.
    pub fn needs_alerts(&self) -> bool {
        !(self.service_source.is_empty() && self.detection_source.is_empty() && self.technique.is_empty())
    }

    /// Statuses that the server knows as a filter's value; on Defender XDR not every one is documented.
    fn server_filters_status(&self, surface: Surface) -> bool {
        surface == Surface::Graph || !self.status.contains(&IncidentStatus::AwaitingAction)
    }

    /// On Defender XDR nothing is documented about incidents of nobody.
    fn server_filters_assignee(&self, surface: Surface) -> bool {
        surface == Surface::Graph || !self.assigned_to.contains(&Assignee::Nobody)
    }

    /// What the server decides.
    pub fn filter(&self, surface: Surface) -> Option<Filter> {
        let times = [
            self.created_after.map(|at| surface.created().ge(at)),
            self.created_before.map(|at| surface.created().lt(at)),
            self.updated_after.map(|at| surface.updated().ge(at)),
            self.updated_before.map(|at| surface.updated().lt(at)),
        ];
        let status = if self.server_filters_status(surface) {
            Filter::any(self.status.iter().map(|status| surface.status().eq(&surface.spell(status))))
        } else {
            None
        };
        let severity = surface.severity().and_then(|property| {
            Filter::any(self.severity.iter().map(|severity| property.eq(&surface.spell(severity))))
        });
        let assignee = if self.server_filters_assignee(surface) {
            Filter::any(self.assigned_to.iter().map(|assignee| match assignee.name() {
                Some(name) => surface.assigned_to().eq(name),
                None => surface.assigned_to().is_null(),
            }))
        } else {
            None
        };
        let classification = surface.classification().and_then(|property| {
            Filter::any(self.classification.iter().map(|member| property.eq(&surface.spell(member))))
        });
        let determination = surface.determination().and_then(|property| {
            Filter::any(self.determination.iter().map(|member| property.eq(&surface.spell(member))))
        });
        Filter::all(times.into_iter().chain([status, severity, assignee, classification, determination]).flatten())
    }

    /// The conditions that are decided here, by their names in inputs.
    pub fn decided_here(&self, surface: Surface) -> Vec<&'static str> {
        self.conditions_here(surface).map(Condition::name).collect()
    }

    /// Whether an incident that the server let through fulfils the conditions that are decided here.
    pub fn accepts(&self, surface: Surface, incident: &Incident<'_>) -> bool {
        self.conditions_here(surface).all(|condition| self.holds(condition, incident.view()))
    }

    /// Whether an incident fulfils all conditions but those of time.
    pub fn matches(&self, incident: &Incident<'_>) -> bool {
        Condition::ALL.into_iter().all(|condition| self.holds(condition, incident.view()))
    }

    fn conditions_here(&self, surface: Surface) -> impl Iterator<Item = Condition> {
        let xdr = surface == Surface::DefenderXdr;
        Condition::ALL.into_iter().filter(move |condition| match condition {
            Condition::Status => !self.status.is_empty() && !self.server_filters_status(surface),
            Condition::Severity => !self.severity.is_empty() && xdr,
            Condition::AssignedTo => !self.assigned_to.is_empty() && !self.server_filters_assignee(surface),
            Condition::Classification => !self.classification.is_empty() && xdr,
            Condition::Determination => !self.determination.is_empty() && xdr,
            Condition::Tags => !self.tags.is_empty(),
            Condition::ServiceSource => !self.service_source.is_empty(),
            Condition::DetectionSource => !self.detection_source.is_empty(),
            Condition::Technique => !self.technique.is_empty(),
            Condition::Title => self.title.is_some(),
        })
    }

    fn holds(&self, condition: Condition, view: &IncidentView<'_>) -> bool {
        match condition {
            Condition::Status => any(&self.status, |status| view.status().as_ref() == Some(status)),
            Condition::Severity => any(&self.severity, |severity| view.severity().as_ref() == Some(severity)),
            Condition::AssignedTo => any(&self.assigned_to, |assignee| match (assignee.name(), view.assigned_to()) {
                (Some(wanted), Some(found)) => same_text(wanted, &found),
                (wanted, found) => wanted.is_none() && found.is_none(),
            }),
            Condition::Classification => any(&self.classification, |member| view.classification() == *member),
            Condition::Determination => any(&self.determination, |member| view.determination() == *member),
            Condition::Tags => any(&self.tags, |wanted| view.tags().iter().any(|tag| same_text(wanted, tag))),
            Condition::ServiceSource => any(&self.service_source, |source| {
                view.alerts().iter().any(|alert| alert.service_source().as_ref() == Some(source))
            }),
            Condition::DetectionSource => any(&self.detection_source, |source| {
                view.alerts().iter().any(|alert| alert.detection_source().as_ref() == Some(source))
            }),
            Condition::Technique => any(&self.technique, |wanted| {
                view.alerts().iter().flat_map(|alert| alert.techniques()).any(|found| is_technique(wanted, &found))
            }),
            Condition::Title => self.title.as_deref().is_none_or(|wanted| {
                view.display_name().is_some_and(|title| title.to_lowercase().contains(&wanted.to_lowercase()))
            }),
        }
    }
}

/// A condition that can be decided by looking at an incident.
#[derive(Clone, Copy, Debug)]
enum Condition {
    Status,
    Severity,
    AssignedTo,
    Classification,
    Determination,
    Tags,
    ServiceSource,
    DetectionSource,
    Technique,
    Title,
}

impl Condition {
    /// All of them, the cheap ones first.
    const ALL: [Self; 10] = [
        Self::Status,
        Self::Severity,
        Self::AssignedTo,
        Self::Classification,
        Self::Determination,
        Self::Tags,
        Self::Title,
        Self::ServiceSource,
        Self::DetectionSource,
        Self::Technique,
    ];

    /// Its name in inputs.
    const fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Severity => "severity",
            Self::AssignedTo => "assignedTo",
            Self::Classification => "classification",
            Self::Determination => "determination",
            Self::Tags => "tags",
            Self::ServiceSource => "serviceSource",
            Self::DetectionSource => "detectionSource",
            Self::Technique => "technique",
            Self::Title => "title",
        }
    }
}

/// Whether any of the wanted fits, where no wish is no condition.
fn any<T>(wanted: &[T], fits: impl Fn(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(fits)
}

fn same_text(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

fn is_technique(wanted: &str, found: &str) -> bool {
    found.eq_ignore_ascii_case(wanted)
        || found.split_once('.').is_some_and(|(technique, _)| technique.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sortie_defender::page;

    fn accepts(query: &Query, surface: Surface, json: &str) -> bool {
        query.accepts(surface, &Incident::new(surface, page::record(json.as_bytes()).unwrap()))
    }

    #[test]
    fn the_server_decides_what_it_can() {
        let query = Query {
            updated_after: "2026-01-01T00:00:00Z".parse().ok(),
            created_before: "2026-02-01T00:00:00Z".parse().ok(),
            status: vec![IncidentStatus::Active, IncidentStatus::InProgress],
            severity: vec![Severity::High],
            assigned_to: vec![Assignee::Person("o'neil@x.test".into())],
            title: Some("x".into()),
            ..Query::default()
        };
        assert_eq!(
            query.filter(Surface::Graph).unwrap().to_string(),
            "createdDateTime lt 2026-02-01T00:00:00Z and lastUpdateDateTime ge 2026-01-01T00:00:00Z and (status eq 'active' or \
             status eq 'inProgress') and severity eq 'high' and assignedTo eq 'o''neil@x.test'"
        );
        assert_eq!(query.decided_here(Surface::Graph), ["title"]);
        assert_eq!(
            query.filter(Surface::DefenderXdr).unwrap().to_string(),
            "createdTime lt 2026-02-01T00:00:00Z and lastUpdateTime ge 2026-01-01T00:00:00Z and (status eq 'Active' or status eq \
             'InProgress') and assignedTo eq 'o''neil@x.test'"
        );
        assert_eq!(query.decided_here(Surface::DefenderXdr), ["severity", "title"]);
        assert_eq!(Query::default().filter(Surface::Graph), None);
    }

    #[test]
    fn what_a_surface_does_not_document_is_decided_here() {
        let query = Query {
            status: vec![IncidentStatus::AwaitingAction],
            assigned_to: vec![Assignee::Nobody],
            ..Query::default()
        };
        assert_eq!(
            query.filter(Surface::Graph).unwrap().to_string(),
            "status eq 'awaitingAction' and assignedTo eq null"
        );
        assert_eq!(query.filter(Surface::DefenderXdr), None);
        assert!(accepts(&query, Surface::DefenderXdr, r#"{"status":"AwaitingAction","assignedTo":null}"#));
        assert!(!accepts(&query, Surface::DefenderXdr, r#"{"status":"AwaitingAction","assignedTo":"a"}"#));
        assert!(!accepts(&query, Surface::DefenderXdr, r#"{"status":"Active","assignedTo":null}"#));
    }

    #[test]
    fn what_the_server_cannot_decide() {
        let alerts = r#"{"incidentName":"Ransomware Spree","tags":["Red"],"severity":"High","alerts":[
            {"serviceSource":"OfficeATP","detectionSource":"MCAS","mitreTechniques":["T1059.001"]}]}"#;
        let by = |change: fn(&mut Query)| {
            let mut query = Query::default();
            change(&mut query);
            accepts(&query, Surface::DefenderXdr, alerts)
        };
        assert!(by(|query| query.title = Some("SOMWARE s".into())));
        assert!(!by(|query| query.title = Some("spree!".into())));
        assert!(by(|query| query.tags = vec!["blue".into(), "red".into()]));
        assert!(!by(|query| query.tags = vec!["blue".into()]));
        assert!(by(|query| query.severity = vec![Severity::Low, Severity::High]));
        assert!(!by(|query| query.severity = vec![Severity::Low]));
        assert!(by(|query| query.service_source = vec![ServiceSource::MicrosoftDefenderForOffice365]));
        assert!(!by(|query| query.service_source = vec![ServiceSource::MicrosoftSentinel]));
        assert!(by(|query| query.detection_source = vec![DetectionSource::CloudAppSecurity]));
        assert!(by(|query| query.technique = vec!["t1059".into()]));
        assert!(!by(|query| query.technique = vec!["T105".into()]));
        assert!(by(|_| {}));
    }

    #[test]
    fn assignees() {
        let read = |json: &str| serde_json::from_str::<Assignee>(json);
        assert_eq!(read("\" a@b.test \"").unwrap(), Assignee::Person("a@b.test".into()));
        assert_eq!(read("\"Unassigned\"").unwrap(), Assignee::Nobody);
        assert!(read("\" \"").is_err() && read("null").is_err());
    }
}
