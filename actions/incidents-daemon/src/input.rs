//! What the action takes.

use crate::cursor::Cursor;
use regex_lite::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use sortie_client::incidents::{Assignee, Query};
use sortie_defender::enums::{Choice, DetectionSource, IncidentStatus, ServiceSource, Severity};
use sortie_sdk::prelude::*;
use std::borrow::Cow;
use std::time::Duration;

/// What kind of step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// What changed since the cursor.
    #[default]
    Poll,
    /// The whole look-back window again.
    Sweep,
}

/// Where to go on, how far to read, and which incidents count.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    /// poll reads what changed since the cursor; sweep reads the whole look-back window again. Default: poll.
    #[serde(default)]
    pub mode: Mode,
    /// The nextCursor of the step before, in the same mode. Default: none; the step then begins one look-back ago.
    #[serde(default)]
    pub cursor: Option<Cursor>,
    /// How far a poll reads back before its watermark, for incidents that the service shows late. Longer costs larger answers,
    /// and more calls only where they need more pages. Independent of ingestDelay. Default: 10m.
    #[serde(default = "ten_minutes")]
    pub overlap: Span,
    /// How far back a sweep reads, and the first poll without a cursor; at most 366 days. Default: 24h.
    #[serde(default)]
    pub look_back: LookBack,
    /// How long an incident must have been left unchanged before it is handed over, for alerts that arrive after it. It delays
    /// every record by as much, and one that keeps changing until it rests. The watermark stays before the oldest that waits, so
    /// it may be longer than overlap; every poll meanwhile reads again what lies after that. Default: 0s.
    #[serde(default = "no_time")]
    pub ingest_delay: Span,
    /// The most incidents that one step reads before it ends and cuts its window; more is then true. Exceeded only where one
    /// instant holds more. Default: 100000.
    #[serde(default = "hundred_thousand")]
    #[schemars(range(min = 1, max = 100_000))]
    pub limit: u64,
    /// Whether incidents come with their alerts and evidence. Without them a change of an alert alone is not noticed on the graph
    /// surface. Default: true.
    #[serde(default = "yes")]
    pub alerts: bool,
    /// Incidents of one of these severities match. Default: any.
    #[serde(default)]
    pub severity: Vec<Choice<Severity>>,
    /// Incidents with one of these statuses match. Default: any.
    #[serde(default)]
    pub status: Vec<Choice<IncidentStatus>>,
    /// Incidents assigned to one of these people match; "unassigned" for nobody. Default: any.
    #[serde(default)]
    pub assigned_to: Vec<Assignee>,
    /// Incidents that carry one of these tags match, whatever the case. Default: any.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Incidents with an alert of one of these products match. Default: any.
    #[serde(default)]
    pub service_source: Vec<Choice<ServiceSource>>,
    /// Incidents with an alert found by one of these technologies match. Default: any.
    #[serde(default)]
    pub detection_source: Vec<Choice<DetectionSource>>,
    /// Incidents with an alert of one of these MITRE ATT&CK techniques match; T1059 stands for its sub-techniques too. Default: any.
    #[serde(default)]
    pub mitre_technique: Vec<String>,
    /// Incidents whose title one of these regular expressions finds do not match; (?i) for any case. Default: none.
    #[serde(default)]
    pub title_exclude: Vec<Pattern>,
}

fn ten_minutes() -> Span {
    span("10m")
}

fn no_time() -> Span {
    span("0s")
}

#[expect(clippy::expect_used, reason = "the texts are the two above")]
fn span(text: &str) -> Span {
    text.parse().expect("a span")
}

fn hundred_thousand() -> u64 {
    100_000
}

fn yes() -> bool {
    true
}

impl Input {
    /// What no single field's type can tell.
    pub fn violations(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        if !(1..=100_000).contains(&self.limit) {
            violations.push(Violation::new("/limit", "must be from 1 to 100000"));
        }
        if self.cursor.as_ref().is_some_and(|cursor| cursor.mode() != self.mode) {
            violations.push(Violation::new(
                "/cursor",
                "belongs to the other mode: polls and sweeps have cursors of their own",
            ));
        }
        let alert_filters = [
            ("/serviceSource", !self.service_source.is_empty()),
            ("/detectionSource", !self.detection_source.is_empty()),
            ("/mitreTechnique", !self.mitre_technique.is_empty()),
        ];
        for (pointer, given) in alert_filters {
            if given && !self.alerts {
                violations.push(Violation::new(pointer, "stands on alerts, so alerts must not be false"));
            }
        }
        for (name, list) in [("tags", &self.tags), ("mitreTechnique", &self.mitre_technique)] {
            for (index, text) in list.iter().enumerate() {
                if text.trim().is_empty() {
                    violations.push(Violation::new(format!("/{name}/{index}"), "is empty"));
                }
            }
        }
        violations
    }

    /// Which incidents match.
    pub(crate) fn query(&self) -> Query {
        let trimmed = |list: &[String]| list.iter().map(|text| text.trim().to_owned()).collect();
        Query {
            severity: self.severity.iter().map(|choice| choice.0.clone()).collect(),
            status: self.status.iter().map(|choice| choice.0.clone()).collect(),
            assigned_to: self.assigned_to.clone(),
            tags: trimmed(&self.tags),
            service_source: self.service_source.iter().map(|choice| choice.0.clone()).collect(),
            detection_source: self.detection_source.iter().map(|choice| choice.0.clone()).collect(),
            technique: trimmed(&self.mitre_technique),
            ..Query::default()
        }
    }
}

/// How far back to look: a span such as `24h` or `30 days`, longer than what is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookBack(Duration);

impl LookBack {
    const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

    /// The length.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl Default for LookBack {
    fn default() -> Self {
        Self(Duration::from_secs(24 * 3600))
    }
}

impl<'de> Deserialize<'de> for LookBack {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let problem = serde::de::Error::custom(
            "is not a span of at most 366 days: write a number with a unit, such as 24h or 30 days",
        );
        let Ok(span) = text.trim().parse::<jiff::Span>() else { return Err(problem) };
        match span
            .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
            .ok()
            .and_then(|length| Duration::try_from(length).ok())
        {
            Some(length) if !length.is_zero() && length <= Self::LONGEST => Ok(Self(length)),
            _ => Err(problem),
        }
    }
}

impl JsonSchema for LookBack {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "LookBack".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["24h", "30 days"] })
    }
}

/// A regular expression.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Whether it is found in a text.
    pub fn finds(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        if text.is_empty() {
            return Err(serde::de::Error::custom("is empty, and would find everything"));
        }
        Regex::new(&text)
            .map(Self)
            .map_err(|problem| serde::de::Error::custom(format!("is not a regular expression: {problem}")))
    }
}

impl JsonSchema for Pattern {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "format": "regex" })
    }
}
