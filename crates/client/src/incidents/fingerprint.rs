//! Which version of an incident this is.

use crate::hash::StableHash;
use jiff::Timestamp;
use sortie_defender::enums::{AlertStatus, Enumeration};
use sortie_defender::view::{AlertView, IncidentView, Redirect};

/// A text that is the same for the same version of an incident, on either surface, and another one after any change that
/// people act on: of the incident's own time of last update, status, severity, assignee, classification, determination,
/// tags, title, target of a merge or comments, or of an alert's presence, time of last update, status, severity,
/// assignee, classification or determination.
///
/// It does not depend on the order of alerts or tags, on how a value is spelled, on how many digits a time has, or on
/// properties that a surface adds or leaves out. Alerts count only where they were read.
pub fn fingerprint(incident: &IncidentView<'_>) -> String {
    let mut hash = StableHash::new();
    hash.add(&incident.id_text().unwrap_or_default());
    for member in
        [incident.status().as_ref().map(Enumeration::name), incident.severity().as_ref().map(Enumeration::name)]
    {
        hash.add(member.unwrap_or_default());
    }
    hash.add(incident.classification().name());
    hash.add(incident.determination().name());
    hash.add(&incident.assigned_to().unwrap_or_default());
    hash.add(&incident.display_name().unwrap_or_default());
    hash.add(&match incident.redirect() {
        Some(Redirect::To(id)) => id.to_string(),
        Some(Redirect::Unreadable) => "?".to_owned(),
        None => String::new(),
    });
    let mut tags = incident.tags();
    tags.sort_unstable();
    tags.iter().for_each(|tag| hash.add(tag));
    hash.add("comments");
    for comment in incident.comments() {
        hash.add(&comment.comment().unwrap_or_default());
        hash.add(&time(comment.created()));
    }
    hash.add(if incident.has_alerts() { "alerts" } else { "" });
    let mut alerts: Vec<(String, AlertView<'_>)> =
        incident.alerts().into_iter().map(|alert| (alert.id().unwrap_or_default().into_owned(), alert)).collect();
    alerts.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    for (id, alert) in alerts {
        hash.add(&id);
        hash.add(&time(alert.updated()));
        hash.add(AlertStatus::read(&alert.status().unwrap_or_default()).name());
        hash.add(alert.severity().as_ref().map(Enumeration::name).unwrap_or_default());
        hash.add(alert.classification().name());
        hash.add(alert.determination().name());
        hash.add(&alert.assigned_to().unwrap_or_default());
    }
    // The time stands outside the hash: two versions of different times never have one fingerprint.
    format!("{}-{:032x}", time(incident.updated()), hash.value())
}

/// An instant, in the services' steps of 100 ns since 1970.
fn time(at: Option<Timestamp>) -> String {
    at.map(|at| format!("{:x}", at.as_nanosecond().div_euclid(100))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(incident: &Value) -> String {
        fingerprint(&IncidentView::of(&incident.to_string()))
    }

    fn incident() -> Value {
        json!({
            "id": "7", "lastUpdateDateTime": "2026-01-02T03:04:05.5Z", "status": "active", "severity": "high", "assignedTo": null,
            "classification": "unknown", "determination": "unknown", "displayName": "t", "customTags": ["a", "b"], "redirectIncidentId": null,
            "comments": [{"comment": "c", "createdByDisplayName": "w", "createdDateTime": "2026-01-02T03:04:05Z"}],
            "alerts": [
                {"id": "x", "lastUpdateDateTime": "2026-01-02T03:04:05Z", "status": "new", "severity": "high"},
                {"id": "y", "lastUpdateDateTime": "2026-01-02T03:04:06Z", "status": "new", "severity": "low", "evidence": [1]},
            ],
        })
    }

    #[test]
    fn the_same_version_has_one_fingerprint() {
        let plain = of(&incident());
        let mut other = incident();
        other["alerts"].as_array_mut().unwrap().reverse();
        other["customTags"] = json!(["b", "a"]);
        other["lastUpdateDateTime"] = json!("2026-01-02T03:04:05.5000000+00:00");
        other["classification"] = Value::Null;
        other["incidentWebUrl"] = json!("https://security.example.test/7");
        assert_eq!(of(&other), plain);
        let xdr = json!({
            "incidentId": 7, "lastUpdateTime": "2026-01-02T03:04:05.50Z", "status": "Active", "severity": "High", "assignedTo": null,
            "classification": "Unknown", "determination": "NotAvailable", "incidentName": "t", "tags": ["a", "b"],
            "comments": [{"comment": "c", "createdBy": "w", "createTime": "2026-01-02T03:04:05Z"}],
            "alerts": [
                {"alertId": "y", "lastUpdatedTime": "2026-01-02T03:04:06Z", "status": "New", "severity": "Low"},
                {"alertId": "x", "lastUpdatedTime": "2026-01-02T03:04:05Z", "status": "New", "severity": "High", "classification": null},
            ],
        });
        assert_eq!(of(&xdr), plain);
    }

    #[test]
    fn every_change_that_matters_changes_it() {
        let changes: [fn(&mut Value); 13] = [
            |it| it["lastUpdateDateTime"] = json!("2026-01-02T03:04:05.5000001Z"),
            |it| it["status"] = json!("resolved"),
            |it| it["severity"] = json!("low"),
            |it| it["assignedTo"] = json!("a"),
            |it| it["classification"] = json!("truePositive"),
            |it| it["determination"] = json!("malware"),
            |it| it["customTags"] = json!(["a"]),
            |it| it["displayName"] = json!("u"),
            |it| it["redirectIncidentId"] = json!("8"),
            |it| it["comments"] = json!([]),
            |it| it["alerts"][0]["lastUpdateDateTime"] = json!("2026-01-02T03:04:07Z"),
            |it| it["alerts"][1]["status"] = json!("resolved"),
            |it| it["alerts"] = json!([]),
        ];
        let mut seen = std::collections::BTreeSet::from([of(&incident())]);
        for change in changes {
            let mut changed = incident();
            change(&mut changed);
            assert!(seen.insert(of(&changed)), "{changed}");
        }
        let mut without = incident();
        without.as_object_mut().unwrap().remove("alerts");
        assert!(seen.insert(of(&without)), "alerts that were not read are not the same as none");
    }
}
