use super::change::{Change, differences};
use super::*;
use sortie_defender::view::IncidentView;

const GRAPH: &str = r#"{"id":"1","status":"active","assignedTo":"a@x.test","classification":"truePositive","determination":"malware",
    "customTags":["one","two"],"displayName":"title","summary":null}"#;
const XDR: &str = r#"{"incidentId":1,"status":"Active","assignedTo":"a@x.test","classification":"TruePositive","determination":"Malware",
    "tags":["one","two"],"incidentName":"title"}"#;

fn diff(changes: &Changes) -> Vec<Change> {
    let graph = differences(changes, &IncidentView::of(GRAPH)).unwrap();
    assert_eq!(graph, differences(changes, &IncidentView::of(XDR)).unwrap(), "the same on both surfaces");
    graph
}

fn refused(changes: &Changes) -> String {
    let error = differences(changes, &IncidentView::of(GRAPH)).unwrap_err();
    assert_eq!(error.kind(), kinds::INVALID_INPUT);
    error.violations()[0].pointer.clone()
}

#[test]
fn what_is_already_so_is_not_sent() {
    let same = Changes {
        status: Some(NewStatus::Active),
        assigned_to: Some(Assignee::Person("a@x.test".into())),
        classification: Some(Classification::TruePositive),
        determination: Some(Determination::Malware),
        tags: TagChanges { add: vec!["two".into()], remove: vec!["three".into()], ..TagChanges::default() },
        display_name: Some(" title ".into()),
        ..Changes::default()
    };
    assert_eq!(diff(&same), []);
    let reordered = Changes {
        tags: TagChanges { set: Some(vec!["two".into(), "one".into()]), ..TagChanges::default() },
        ..Changes::default()
    };
    assert_eq!(diff(&reordered), []);
}

#[test]
fn what_differs_is_sent_in_the_surfaces_words() {
    let changes = Changes {
        status: Some(NewStatus::InProgress),
        assigned_to: Some(Assignee::Nobody),
        classification: Some(Classification::FalsePositive),
        determination: Some(Determination::NotEnoughDataToValidate),
        tags: TagChanges { add: vec!["three".into()], remove: vec!["one".into()], ..TagChanges::default() },
        ..Changes::default()
    };
    let body = |surface| -> Value {
        diff(&changes)
            .iter()
            .map(|change| (change.wire_name(surface).to_owned(), change.wire_value(surface)))
            .collect::<Map<_, _>>()
            .into()
    };
    assert_eq!(
        body(Surface::Graph),
        json!({"status": "inProgress", "assignedTo": null, "classification": "falsePositive",
            "determination": "notEnoughDataToValidate", "customTags": ["two", "three"]})
    );
    assert_eq!(
        body(Surface::DefenderXdr),
        json!({"status": "InProgress", "assignedTo": null, "classification": "FalsePositive",
            "determination": "NoEnoughDataToValidate", "tags": ["two", "three"]})
    );
}

#[test]
fn a_verdict_is_one_pair() {
    let verdict = |classification, determination| Changes { classification, determination, ..Changes::default() };
    let names = |changes: &Changes| diff(changes).iter().map(Change::name).collect::<Vec<_>>();
    assert_eq!(names(&verdict(None, Some(Determination::Phishing))), ["classification", "determination"]);
    assert_eq!(names(&verdict(Some(Classification::TruePositive), None)), [""; 0]);
    // What the incident has and does not go with the new value must be given too.
    assert_eq!(refused(&verdict(Some(Classification::FalsePositive), None)), "/determination");
    assert_eq!(refused(&verdict(None, Some(Determination::NotMalicious))), "/determination");
    let fresh = IncidentView::of(r#"{"id":"1","classification":null}"#);
    let alone = differences(&verdict(Some(Classification::FalsePositive), None), &fresh).unwrap();
    assert_eq!(alone, [Change::Classification(Classification::FalsePositive)]);
}

#[test]
fn contradictions_are_seen_without_the_incident() {
    let bad = Changes {
        classification: Some(Classification::FalsePositive),
        determination: Some(Determination::Malware),
        tags: TagChanges { set: Some(vec![" ".into()]), ..TagChanges::default() },
        comment: Some(" ".into()),
        ..Changes::default()
    };
    let pointers: Vec<String> = bad.violations().into_iter().map(|violation| violation.pointer).collect();
    assert_eq!(pointers, ["/tags/set/0", "/determination", "/comment"]);
    assert_eq!(Changes::default().violations().len(), 1);
}

#[test]
fn what_a_surface_does_not_have() {
    let text = || Some("x".to_owned());
    let changes = Changes {
        display_name: text(),
        summary: text(),
        resolving_comment: text(),
        comment: text(),
        ..Changes::default()
    };
    assert!(changes.unsupported(Surface::Graph).is_empty());
    let pointers: Vec<String> =
        changes.unsupported(Surface::DefenderXdr).into_iter().map(|violation| violation.pointer).collect();
    assert_eq!(pointers, ["/displayName", "/summary", "/resolvingComment"]);
}
