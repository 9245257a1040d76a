//! Partial views of an incident and of an alert.
//!
//! A view holds slices of an answer's text, in either surface's names, and decodes a property when it is asked for. It
//! is what paging, filters and the daemon read of the incidents that they otherwise pass through untouched.
//! Values that do not have the documented type read as absent; nothing here fails.

use crate::enums::{
    Classification, DetectionSource, Determination, Enumeration, IncidentStatus, ServiceSource, Severity,
};
use crate::ids::IncidentId;
use crate::page::{View, elements, record, string};
use crate::time;
use jiff::Timestamp;
use std::borrow::Cow;

/// What is read of an incident. The fields are JSON texts; an absent member is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct IncidentView<'a> {
    id: &'a str,
    created: &'a str,
    updated: &'a str,
    status: &'a str,
    severity: &'a str,
    assigned_to: &'a str,
    classification: &'a str,
    determination: &'a str,
    tags: &'a str,
    display_name: &'a str,
    redirect: &'a str,
    comments: &'a str,
    alerts: &'a str,
    summary: &'a str,
    resolving_comment: &'a str,
}

impl<'a> View<'a> for IncidentView<'a> {
    fn member(&mut self, name: &'a str, value: &'a str) {
        let field = match name {
            "id" | "incidentId" => &mut self.id,
            "createdDateTime" | "createdTime" => &mut self.created,
            "lastUpdateDateTime" | "lastUpdateTime" => &mut self.updated,
            "status" => &mut self.status,
            "severity" => &mut self.severity,
            "assignedTo" => &mut self.assigned_to,
            "classification" => &mut self.classification,
            "determination" => &mut self.determination,
            "customTags" | "tags" => &mut self.tags,
            "displayName" | "incidentName" => &mut self.display_name,
            "redirectIncidentId" => &mut self.redirect,
            "comments" => &mut self.comments,
            "alerts" => &mut self.alerts,
            "summary" => &mut self.summary,
            "resolvingComment" => &mut self.resolving_comment,
            _ => return,
        };
        *field = value;
    }
}

/// Text or a number, as text.
fn scalar(value: &str) -> Option<Cow<'_, str>> {
    match value.as_bytes().first()? {
        b'"' => string(value),
        b'0'..=b'9' | b'-' => Some(Cow::Borrowed(value)),
        _ => None,
    }
}

fn member<T: Enumeration>(value: &str) -> Option<T> {
    string(value).map(|text| T::read(&text))
}

fn instant(value: &str) -> Option<Timestamp> {
    string(value).and_then(|text| time::parse(&text))
}

impl<'a> IncidentView<'a> {
    /// A view of one incident's JSON text; empty when the text is not a JSON object.
    pub fn of(json: &'a str) -> Self {
        record::<Self>(json.as_bytes()).map(|record| record.view).unwrap_or_default()
    }

    /// The id, when it is what an incident's id should be.
    pub fn id(&self) -> Option<IncidentId> {
        self.id_text()?.parse().ok()
    }

    /// The id as text, whatever it looks like, when it is text or a number at all.
    pub fn id_text(&self) -> Option<Cow<'a, str>> {
        scalar(self.id)
    }

    /// When it was created.
    pub fn created(&self) -> Option<Timestamp> {
        instant(self.created)
    }

    /// When it was last changed. Changes of its alerts do not always count (contract section 6.3).
    pub fn updated(&self) -> Option<Timestamp> {
        instant(self.updated)
    }

    /// Its status.
    pub fn status(&self) -> Option<IncidentStatus> {
        member(self.status)
    }

    /// Its severity.
    pub fn severity(&self) -> Option<Severity> {
        member(self.severity)
    }

    /// To whom it is assigned; `None` when to nobody.
    pub fn assigned_to(&self) -> Option<Cow<'a, str>> {
        string(self.assigned_to).filter(|assignee| !assignee.is_empty())
    }

    /// Its classification; absent and null read as unknown, which is what they mean.
    pub fn classification(&self) -> Classification {
        member(self.classification).unwrap_or(Classification::Unknown)
    }

    /// Its determination; absent and null read as unknown, which is what they mean.
    pub fn determination(&self) -> Determination {
        member(self.determination).unwrap_or(Determination::Unknown)
    }

    /// The tags that people gave it.
    pub fn tags(&self) -> Vec<Cow<'a, str>> {
        elements(self.tags).into_iter().filter_map(string).collect()
    }

    /// Its title.
    pub fn display_name(&self) -> Option<Cow<'a, str>> {
        string(self.display_name)
    }

    /// Its summary, which Graph alone has.
    pub fn summary(&self) -> Option<Cow<'a, str>> {
        string(self.summary)
    }

    /// Its resolving comment, which Graph alone has.
    pub fn resolving_comment(&self) -> Option<Cow<'a, str>> {
        string(self.resolving_comment)
    }

    /// The incident it was merged into, when it was (contract section 4.4). Zero and empty mean that it was not.
    pub fn redirect(&self) -> Option<Redirect> {
        let text = scalar(self.redirect)?;
        match text.parse() {
            Ok(id) => Some(Redirect::To(id)),
            Err(_) if text.is_empty() || text == "0" => None,
            Err(_) => Some(Redirect::Unreadable),
        }
    }

    /// Its comments, oldest first as the services send them.
    pub fn comments(&self) -> Vec<CommentView<'a>> {
        elements(self.comments)
            .into_iter()
            .filter_map(|json| Some(record::<CommentView<'_>>(json.as_bytes()).ok()?.view))
            .collect()
    }

    /// Its alerts, when they were read with it.
    pub fn alerts(&self) -> Vec<AlertView<'a>> {
        elements(self.alerts)
            .into_iter()
            .filter_map(|json| Some(record::<AlertView<'_>>(json.as_bytes()).ok()?.view))
            .collect()
    }

    /// Whether the answer holds the incident's alerts, were it none.
    pub fn has_alerts(&self) -> bool {
        self.alerts.starts_with('[')
    }
}

/// Where a merged incident went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// To this incident.
    To(IncidentId),
    /// Somewhere, but the answer does not name an incident's id.
    Unreadable,
}

/// What is read of a comment, in either spelling (contract section 4.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct CommentView<'a> {
    comment: &'a str,
    created_by: &'a str,
    created: &'a str,
}

impl<'a> View<'a> for CommentView<'a> {
    fn member(&mut self, name: &'a str, value: &'a str) {
        match name {
            "comment" => self.comment = value,
            "createdByDisplayName" | "createdBy" => self.created_by = value,
            "createdDateTime" | "createdTime" | "createTime" => self.created = value,
            _ => {}
        }
    }
}

impl<'a> CommentView<'a> {
    /// The text.
    pub fn comment(&self) -> Option<Cow<'a, str>> {
        string(self.comment)
    }

    /// Who wrote it.
    pub fn created_by(&self) -> Option<Cow<'a, str>> {
        string(self.created_by)
    }

    /// When it was written.
    pub fn created(&self) -> Option<Timestamp> {
        instant(self.created)
    }
}

/// What is read of an alert.
#[derive(Clone, Copy, Debug, Default)]
pub struct AlertView<'a> {
    id: &'a str,
    status: &'a str,
    severity: &'a str,
    service_source: &'a str,
    detection_source: &'a str,
    updated: &'a str,
    techniques: &'a str,
    classification: &'a str,
    determination: &'a str,
    assigned_to: &'a str,
}

impl<'a> View<'a> for AlertView<'a> {
    fn member(&mut self, name: &'a str, value: &'a str) {
        let field = match name {
            "id" | "alertId" => &mut self.id,
            "status" => &mut self.status,
            "severity" => &mut self.severity,
            "serviceSource" => &mut self.service_source,
            "detectionSource" => &mut self.detection_source,
            "lastUpdateDateTime" | "lastUpdatedTime" | "lastUpdateTime" => &mut self.updated,
            "mitreTechniques" => &mut self.techniques,
            "classification" => &mut self.classification,
            "determination" => &mut self.determination,
            "assignedTo" => &mut self.assigned_to,
            _ => return,
        };
        *field = value;
    }
}

impl<'a> AlertView<'a> {
    /// Its id.
    pub fn id(&self) -> Option<Cow<'a, str>> {
        scalar(self.id)
    }

    /// The product that raised it.
    pub fn service_source(&self) -> Option<ServiceSource> {
        member(self.service_source)
    }

    /// The technology that found it.
    pub fn detection_source(&self) -> Option<DetectionSource> {
        member(self.detection_source)
    }

    /// When it was last changed.
    pub fn updated(&self) -> Option<Timestamp> {
        instant(self.updated)
    }

    /// The MITRE ATT&CK techniques it is an instance of.
    pub fn techniques(&self) -> Vec<Cow<'a, str>> {
        elements(self.techniques).into_iter().filter_map(string).collect()
    }

    /// Its status, as the answer spells it.
    pub fn status(&self) -> Option<Cow<'a, str>> {
        string(self.status)
    }

    /// Its severity.
    pub fn severity(&self) -> Option<Severity> {
        member(self.severity)
    }

    /// Its classification; absent and null read as unknown.
    pub fn classification(&self) -> Classification {
        member(self.classification).unwrap_or(Classification::Unknown)
    }

    /// Its determination; absent and null read as unknown.
    pub fn determination(&self) -> Determination {
        member(self.determination).unwrap_or(Determination::Unknown)
    }

    /// To whom it is assigned; `None` when to nobody.
    pub fn assigned_to(&self) -> Option<Cow<'a, str>> {
        string(self.assigned_to).filter(|assignee| !assignee.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_surfaces_read_the_same() {
        let graph = r#"{"id":"7","createdDateTime":"2021-08-13T08:43:35.5533333Z","lastUpdateDateTime":"2021-09-30T09:35:45+00:00",
            "status":"active","severity":"medium","assignedTo":"a@b.test","classification":"truePositive","determination":"compromisedAccount",
            "customTags":["x\"y"],"displayName":"t","redirectIncidentId":"8",
            "comments":[{"comment":"c","createdByDisplayName":"w","createdDateTime":"2021-01-01T00:00:00Z"}],
            "alerts":[{"id":"a1","serviceSource":"microsoftDefenderForOffice365","detectionSource":"antivirus","lastUpdateDateTime":"2022-01-01T00:00:00Z","mitreTechniques":["T1"]}]}"#;
        let xdr = r#"{"incidentId":7,"createdTime":"2021-08-13T08:43:35.5533333Z","lastUpdateTime":"2021-09-30T09:35:45Z",
            "status":"Active","severity":"Medium","assignedTo":"a@b.test","classification":"TruePositive","determination":"CompromisedUser",
            "tags":["x\"y"],"incidentName":"t","redirectIncidentId":8,
            "comments":[{"comment":"c","createdBy":"w","createTime":"2021-01-01T00:00:00Z"}],
            "alerts":[{"alertId":"a1","serviceSource":"OfficeATP","detectionSource":"WindowsDefenderAv","lastUpdatedTime":"2022-01-01T00:00:00Z","mitreTechniques":["T1"]}]}"#;
        for json in [graph, xdr] {
            let view = IncidentView::of(json);
            assert_eq!(view.id().unwrap().number(), 7);
            assert_eq!(view.created(), "2021-08-13T08:43:35.5533333Z".parse().ok());
            assert_eq!(view.updated(), "2021-09-30T09:35:45Z".parse().ok());
            assert_eq!((view.status(), view.severity()), (Some(IncidentStatus::Active), Some(Severity::Medium)));
            assert_eq!(view.assigned_to().as_deref(), Some("a@b.test"));
            assert_eq!(view.classification(), Classification::TruePositive);
            assert_eq!(view.determination(), Determination::CompromisedAccount);
            assert_eq!(view.tags(), ["x\"y"]);
            assert_eq!(view.redirect(), Some(Redirect::To(IncidentId::new(8).unwrap())));
            let [comment] = view.comments()[..] else { panic!("{json}") };
            assert_eq!((comment.comment().as_deref(), comment.created_by().as_deref()), (Some("c"), Some("w")));
            assert!(comment.created().is_some());
            let [alert] = view.alerts()[..] else { panic!("{json}") };
            assert_eq!(alert.id().as_deref(), Some("a1"));
            assert_eq!(alert.service_source(), Some(ServiceSource::MicrosoftDefenderForOffice365));
            assert_eq!(alert.detection_source(), Some(DetectionSource::Antivirus));
            assert!(alert.updated().is_some());
            assert_eq!(alert.techniques(), ["T1"]);
        }
    }

    #[test]
    fn odd_values_read_as_absent() {
        for json in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"id":null,"createdDateTime":5,"status":{},"customTags":"x","alerts":{},"comments":[3],"redirectIncidentId":null}"#,
            r#"{"id":[1],"lastUpdateDateTime":"soon","assignedTo":"","redirectIncidentId":0}"#,
        ] {
            let view = IncidentView::of(json);
            assert_eq!((view.id(), view.created(), view.updated()), (None, None, None), "{json}");
            assert_eq!((view.status(), view.assigned_to(), view.redirect()), (None, None, None), "{json}");
            assert!(view.tags().is_empty() && view.alerts().is_empty(), "{json}");
            assert_eq!(view.classification(), Classification::Unknown);
        }
        assert_eq!(IncidentView::of(r#"{"id":"seven"}"#).id_text().as_deref(), Some("seven"));
        assert_eq!(IncidentView::of(r#"{"redirectIncidentId":"x"}"#).redirect(), Some(Redirect::Unreadable));
        assert!(IncidentView::of(r#"{"alerts":[]}"#).has_alerts());
    }
}
