//! What `sortie check` finds out: tokens, one cheap call per API, permissions per action.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails the test")]

mod support;

use serde_json::json;
use sortie_host::CancellationToken;
use sortie_host::Limits;
use sortie_host::check::{Granted, Report};
use std::time::Duration;
use support::{Reply, Tenant, host, host_in, runtime};

fn check(host: &sortie_host::Host) -> Report {
    let action = host.load("probe").unwrap();
    runtime().block_on(host.check(&[action], Duration::from_secs(10), &CancellationToken::new()))
}

#[test]
fn permissions_are_compared_with_what_each_token_grants() {
    let tenant = Tenant::new(|_| Reply::json(200, &json!({"value": []})));
    let (host, _) = host(&tenant);
    let report = check(&host);
    assert_eq!(tenant.calls(), ["GET /graph/v1.0/security/incidents?$top=1"]);
    assert_eq!(report.tokens.len(), 2);
    assert!(report.tokens.iter().all(|token| token.error.is_none()));
    assert!(report.apis[0].answered);
    let granted: Vec<(&str, Granted)> =
        report.actions[0].calls.iter().map(|call| (call.call.as_str(), call.granted)).collect();
    assert_eq!(
        granted,
        [("list", Granted::Yes), ("get", Granted::Yes), ("update", Granted::No), ("isolate", Granted::Yes)]
    );
    assert!(!report.actions[0].ready);
    let failure = report.failure().unwrap();
    assert_eq!(failure.kind, "forbidden");
    assert_eq!(failure.exit_code(), 77);
    assert_eq!(failure.message, "probe lacks the permission SecurityIncident.ReadWrite.All");
    let hint = failure.hint.as_deref().unwrap();
    assert!(hint.contains("SecurityIncident.ReadWrite.All on graph to the base application"), "{hint}");
    let shown = serde_json::to_string(&report).unwrap();
    assert!(!shown.contains("canary") && !shown.contains("e30."), "{shown}");
}

#[test]
fn what_is_refused_and_what_is_not_set_up_stands_in_the_report() {
    let tenant = Tenant::new(|_| Reply::json(403, &json!({"error": {"code": "Forbidden", "message": "no"}})));
    let folder = support::folder(&["probe"]);
    let host = host_in(&tenant, folder.path(), "", Limits::default());
    let report = check(&host);
    let missing = report.tokens.iter().find_map(|token| token.error.as_ref()).unwrap();
    assert_eq!(missing.kind, "configuration");
    assert_eq!(report.apis[0].error.as_ref().unwrap().kind, "forbidden");
    assert_eq!(report.actions[0].calls[3].granted, Granted::NoToken);
    assert!(!report.is_good());
}
