//! The rules for incidents, comments and alerts (contract sections 4.1 and 6.2).

use super::{
    How, Nulls, ObjectWriter, Rule, evidence, keep, push_json, rule, same, take, write_array, write_object, write_value,
};
use crate::enums::{
    AlertStatus, Classification, DetectionSource, Determination, Enumeration, IncidentStatus, ServiceSource, Severity,
    respell,
};
use crate::page::members;
use std::borrow::Cow;

/// A member in Graph's spelling, or as it came.
fn spell<T: Enumeration>(text: &str) -> Cow<'_, str> {
    let member = T::read(text);
    // The name of a known member is 'static, which the borrow of `member` hides.
    match T::MEMBERS.iter().find(|name| **name == member.name()) {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Borrowed(text),
    }
}

const INVESTIGATION_STATES: &[&str] = &[
    "unknown",
    "terminated",
    "successfullyRemediated",
    "benign",
    "failed",
    "partiallyRemediated",
    "running",
    "pendingApproval",
    "pendingResource",
    "queued",
    "innerFailure",
    "preexistingAlert",
    "unsupportedOs",
    "unsupportedAlertType",
    "suppressedAlert",
    "partiallyInvestigated",
    "terminatedByUser",
    "terminatedBySystem",
];

fn investigation_state(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(respell(INVESTIGATION_STATES, text))
}

/// Properties whose names the two surfaces share stand in the tables too, also those that Defender XDR is not
/// documented to send: should it, they have a place.
const INCIDENT: &[Rule] = &[
    rule("incidentId", "id", How::Text),
    same("tenantId"),
    keep("incidentName", "displayName"),
    same("displayName"),
    same("description"),
    rule("status", "status", How::Spell(spell::<IncidentStatus>)),
    rule("severity", "severity", How::Spell(spell::<Severity>)),
    rule("classification", "classification", How::SpellOrUnknown(spell::<Classification>)),
    rule("determination", "determination", How::SpellOrUnknown(spell::<Determination>)),
    same("assignedTo"),
    keep("createdTime", "createdDateTime"),
    keep("lastUpdateTime", "lastUpdateDateTime"),
    rule("redirectIncidentId", "redirectIncidentId", How::Text),
    same("incidentWebUrl"),
    keep("tags", "customTags"),
    same("systemTags"),
    same("summary"),
    same("resolvingComment"),
    same("priorityScore"),
    same("lastModifiedBy"),
    rule("comments", "comments", How::Write(comments)),
    rule("alerts", "alerts", How::Write(alerts)),
];

const COMMENT: &[Rule] = &[
    same("comment"),
    keep("createdBy", "createdByDisplayName"),
    same("createdByDisplayName"),
    keep("createdTime", "createdDateTime"),
    keep("createTime", "createdDateTime"),
    same("createdDateTime"),
];

/// All of an alert but its devices and entities, which become its evidence.
const ALERT: &[Rule] = &[
    keep("alertId", "id"),
    same("providerAlertId"),
    rule("incidentId", "incidentId", How::Text),
    same("tenantId"),
    same("title"),
    same("description"),
    same("recommendedActions"),
    same("category"),
    rule("status", "status", How::Spell(spell::<AlertStatus>)),
    rule("severity", "severity", How::Spell(spell::<Severity>)),
    rule("classification", "classification", How::SpellOrUnknown(spell::<Classification>)),
    rule("determination", "determination", How::SpellOrUnknown(spell::<Determination>)),
    rule("serviceSource", "serviceSource", How::Spell(spell::<ServiceSource>)),
    rule("detectionSource", "detectionSource", How::Spell(spell::<DetectionSource>)),
    same("detectorId"),
    same("productName"),
    rule("investigationState", "investigationState", How::Spell(investigation_state)),
    same("assignedTo"),
    keep("actorName", "actorDisplayName"),
    same("threatDisplayName"),
    same("threatFamilyName"),
    same("mitreTechniques"),
    keep("creationTime", "createdDateTime"),
    keep("lastUpdatedTime", "lastUpdateDateTime"),
    keep("resolvedTime", "resolvedDateTime"),
    keep("firstActivity", "firstActivityDateTime"),
    keep("lastActivity", "lastActivityDateTime"),
    same("alertWebUrl"),
    same("incidentWebUrl"),
    same("alertPolicyId"),
    same("additionalData"),
    same("customDetails"),
    same("systemTags"),
    rule("comments", "comments", How::Write(comments)),
];

pub(super) fn write(out: &mut String, incident: &str, alerts: bool) {
    if alerts {
        return write_object(out, incident, "#microsoft.graph.security.incident", INCIDENT, Nulls::Keep);
    }
    let bare = crate::page::without(incident, |name| name == "alerts");
    write_object(out, &bare, "#microsoft.graph.security.incident", INCIDENT, Nulls::Keep);
}

fn comments(out: &mut String, value: &str) {
    write_array(out, value, |out, comment| {
        if comment.starts_with('{') {
            write_object(out, comment, "", COMMENT, Nulls::Keep);
        } else {
            push_json(out, comment);
        }
    });
}

fn alerts(out: &mut String, value: &str) {
    write_array(out, value, |out, alert| {
        if alert.starts_with('{') {
            write_alert(out, alert);
        } else {
            push_json(out, alert);
        }
    });
}

fn write_alert(out: &mut String, alert: &str) {
    let mut members: Vec<_> = members(alert).into_iter().map(Some).collect();
    let mut writer = ObjectWriter::begin(out);
    writer.member("@odata.type", |out| out.push_str("\"#microsoft.graph.security.alert\""));
    for rule in ALERT {
        if let Some(value) = take(&mut members, rule.from) {
            writer.member(rule.to, |out| write_value(out, value, rule.how));
        }
    }
    // What is not an array stays in the rest, where nothing is lost.
    let devices = take_array(&mut members, "devices");
    let entities = take_array(&mut members, "entities");
    if devices.is_some() || entities.is_some() {
        writer.member("evidence", |out| evidence::write(out, devices.unwrap_or("[]"), entities.unwrap_or("[]")));
    }
    if members.iter().any(Option::is_some) {
        writer.member(super::REST, |out| {
            let mut inner = ObjectWriter::begin(out);
            for (name, value) in members.iter().flatten() {
                inner.member(name, |out| push_json(out, value));
            }
            inner.end();
        });
    }
    writer.end();
}

fn take_array<'a>(members: &mut [Option<(&str, &'a str)>], name: &str) -> Option<&'a str> {
    let is_array = members.iter().rev().flatten().find(|(candidate, _)| *candidate == name)?.1.starts_with('[');
    if is_array { take(members, name) } else { None }
}
