//! What an action can ask for, and what reaches the services: declared calls, plan, tokens, links, refusals.

mod support;

use serde_json::{Value, json};
use sortie_host::{Limits, Mode, Run};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{CLAIMS_MARK, REMEDIATION_SECRET, Reply, Seen, Tenant, answers, host, host_in, host_with, run, runtime};

fn ok(_: &Seen) -> Reply {
    Reply::json(200, &json!({"id": "29"}))
}

#[test]
fn a_declared_call_is_signed_sent_and_answered_as_it_came() {
    let tenant = Tenant::new(|_| Reply {
        status: 200,
        headers: vec![("Warning", "199 - x".into()), ("Set-Cookie", "y=1".into())],
        body: "{ \"id\":\t\"29\" }".into(),
    });
    let (host, action) = host(&tenant);
    let head = json!({"call": "get", "path": {"incidentId": "29"}, "query": [["$expand", "alerts"]],
                      "headers": {"prefer": "include-unknown-enum-members"}});
    let finished = run(&host, &action, json!([{"request": {"head": head}}]));
    let answer = &answers(&finished)[0];
    assert_eq!(answer["head"]["outcome"], "answered");
    assert_eq!(answer["head"]["status"], 200);
    assert_eq!(answer["head"]["headers"], json!({"content-type": "application/json", "warning": "199 - x"}));
    assert_eq!(answer["body"], "{ \"id\":\t\"29\" }");
    assert_eq!(tenant.calls(), ["GET /graph/v1.0/security/incidents/29?$expand=alerts"]);
    let seen = tenant.seen().pop().unwrap();
    assert_eq!(seen.header("prefer"), Some("include-unknown-enum-members"));
    assert!(seen.header("authorization").unwrap().starts_with("Bearer e30."));
}

#[test]
fn what_is_not_declared_is_refused_and_nothing_is_sent() {
    let tenant = Tenant::new(ok);
    let (host, action) = host(&tenant);
    let path = json!({"incidentId": "29"});
    for (head, kind) in [
        (json!({"call": "delete"}), "undeclared_call"),
        (json!({"call": "get"}), "undeclared_call"),
        (json!({"call": "get", "path": {"incidentId": "29", "x": "1"}}), "undeclared_call"),
        (json!({"call": "get", "path": path, "headers": {"Authorization": "Bearer x"}}), "undeclared_call"),
        (json!({"call": "get", "path": path, "headers": {"Host": "evil"}}), "undeclared_call"),
        (json!({"call": "get", "path": path, "headers": {"Prefer": "a\r\nHost: evil"}}), "undeclared_call"),
        (json!({"call": "get", "path": {"incidentId": "../machines"}}), "invalid_input"),
        (json!({"call": "get", "path": {"incidentId": "29%2f.."}}), "invalid_input"),
        (json!({"call": "list", "link": "http://evil.example/graph/v1.0/x"}), "undeclared_call"),
    ] {
        let finished = run(&host, &action, json!([{"request": {"head": head}}]));
        let answer = answers(&finished).remove(0);
        assert_eq!(answer["head"]["outcome"], "not_sent", "{head}");
        assert_eq!(answer["head"]["error"]["kind"], kind, "{head}: {answer}");
    }
    let unreadable = run(&host, &action, json!([{"request": {"head": "not json"}}]));
    assert_eq!(answers(&unreadable)[0], json!({"status": 2}));
    assert!(tenant.seen().is_empty(), "not even a token was asked for: {:?}", tenant.seen());
}

#[test]
fn a_next_link_is_followed_only_if_an_answer_carried_it_and_it_stays_within_the_api() {
    let tenant = Tenant::new(|seen| {
        let host = seen.header("host").unwrap_or_default();
        if seen.target.contains("skip") {
            return Reply::json(200, &json!({"value": [2]}));
        }
        let next = match seen.target.contains("foreign") {
            true => "http://evil.example/graph/v1.0/security/incidents?$skip=1".to_owned(),
            false => format!("http://{host}/graph/v1.0/security/incidents?$skip=1&a=b%20c"),
        };
        Reply::json(200, &json!({"value": [1], "@odata.nextLink": next}))
    });
    let (host, action) = host(&tenant);
    let good = format!("http://{}/graph/v1.0/security/incidents?$skip=1&a=b%20c", tenant.address);
    let follow = json!({"request": {"head": {"call": "list", "link": good}}});
    let finished = run(&host, &action, json!([follow, {"request": {"head": {"call": "list"}}}, follow]));
    let told = answers(&finished);
    assert_eq!(told[0]["head"]["error"]["kind"], "undeclared_call", "before any answer carried it");
    assert_eq!(told[2]["body"], r#"{"value":[2]}"#);
    assert_eq!(
        tenant.calls(),
        ["GET /graph/v1.0/security/incidents", "GET /graph/v1.0/security/incidents?$skip=1&a=b%20c"]
    );

    let foreign = "http://evil.example/graph/v1.0/security/incidents?$skip=1";
    let finished = run(
        &host,
        &action,
        json!([{"request": {"head": {"call": "list", "query": [["foreign", "1"]]}}},
               {"request": {"head": {"call": "list", "link": foreign}}}]),
    );
    assert_eq!(answers(&finished)[1]["head"]["error"]["kind"], "bad_response");
    assert_eq!(answers(&finished)[1]["head"]["outcome"], "not_sent");
}

#[test]
fn each_call_is_signed_by_its_own_role_and_tokens_are_shared() {
    let tenant = Tenant::new(ok);
    let (host, action) = host(&tenant);
    let read = json!({"request": {"head": {"call": "get", "path": {"incidentId": "1"}}}});
    run(&host, &action, json!([read, read]));
    assert_eq!(tenant.token_requests().len(), 1);
    assert!(!tenant.token_requests()[0].contains(REMEDIATION_SECRET), "a read never touches the other application");
    run(&host, &action, json!([{"request": {"head": {"call": "isolate", "path": {"machineId": "m"}}, "body": "{}"}}]));
    let asked = tenant.token_requests();
    assert_eq!(asked.len(), 2);
    assert!(asked[1].contains("remediation-app") && asked[1].contains(REMEDIATION_SECRET));
}

#[test]
fn a_role_without_an_application_fails_before_anything_is_sent() {
    let tenant = Tenant::new(ok);
    let folder = support::folder(&["probe"]);
    let host = host_in(&tenant, folder.path(), "", Limits::default());
    let action = host.load("probe").unwrap();
    let finished = run(&host, &action, json!([{"request": {"head": {"call": "list"}}}]));
    let failure = finished.outcome.unwrap_err();
    assert_eq!(failure.exit_code(), 78);
    assert!(failure.hint.as_deref().unwrap().contains("remediation = \"same\""), "{failure}");
    assert!(tenant.seen().is_empty());

    let same = host_in(&tenant, folder.path(), "remediation = \"same\"", Limits::default());
    let action = same.load("probe").unwrap();
    run(&same, &action, json!([{"request": {"head": {"call": "isolate", "path": {"machineId": "m"}}, "body": "{}"}}]));
    assert_eq!(tenant.token_requests().len(), 1);
    assert!(tenant.token_requests()[0].contains("base-app"));
}

#[test]
fn a_dry_run_reads_and_plans_what_the_real_run_sends() {
    let tenant = Tenant::new(ok);
    let (host, action) = host(&tenant);
    let steps = json!([
        {"request": {"head": {"call": "get", "path": {"incidentId": "29"}}}},
        {"request": {"head": {"call": "update", "path": {"incidentId": "29"}}, "body": "{\"status\":\"resolved\"}"}},
        {"request": {"head": {"call": "isolate", "path": {"machineId": "m 1"}, "query": [["$a", "b c"]]}, "body": "{\"Comment\":\"x\"}"}}
    ]);
    let planned =
        runtime().block_on(host.run(Run { mode: Mode::Plan, ..Run::new(Arc::clone(&action), json!({"do": steps})) }));
    let told = answers(&planned);
    assert_eq!(told[0]["head"]["outcome"], "answered");
    assert_eq!(told[1], json!({"head": {"outcome": "planned"}, "body": ""}));
    assert_eq!(tenant.calls().len(), 1, "only the read was sent");
    assert_eq!(tenant.token_requests().len(), 1, "only the read was signed");

    let real = run(&host, &action, steps);
    assert!(real.plan.is_empty());
    let sent: Vec<Seen> =
        tenant.seen().into_iter().filter(|seen| seen.method != "GET" && !seen.target.contains("entra")).collect();
    assert_eq!(planned.plan.len(), sent.len());
    for (plan, seen) in planned.plan.iter().zip(&sent) {
        assert_eq!(plan.method.as_str(), seen.method);
        assert_eq!(plan.url, format!("http://{}{}", tenant.address, seen.target));
        assert_eq!(plan.body, serde_json::from_str::<Value>(&seen.body).unwrap());
    }
    let last = serde_json::to_value(planned.plan.last().unwrap()).unwrap();
    assert_eq!(
        last,
        json!({"call": "isolate", "method": "POST",
               "url": format!("http://{}/graph/v1.0/machines/m%201/isolate?$a=b%20c", tenant.address),
               "body": {"Comment": "x"}, "effect": "destructive", "permissions": ["Machine.Isolate"],
               "role": "remediation", "target": {"machineId": "m 1"}, "undo": "unprobe"})
    );
}

#[test]
fn a_401_is_answered_with_one_new_token_and_then_with_a_hint() {
    let refusals = Arc::new(AtomicUsize::new(1));
    let left = Arc::clone(&refusals);
    let tenant = Tenant::new(move |_| {
        if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Reply::json(401, &json!({"error": {"code": "InvalidAuthenticationToken", "message": "expired"}}));
        }
        Reply::json(200, &json!({}))
    });
    let (host, action) = host(&tenant);
    let write = json!([{"request": {"head": {"call": "update", "path": {"incidentId": "1"}}, "body": "{}"}}]);
    assert_eq!(answers(&run(&host, &action, write.clone()))[0]["head"]["outcome"], "answered");
    assert_eq!((tenant.token_requests().len(), tenant.calls().len()), (2, 2));

    refusals.store(10, Ordering::SeqCst);
    let told = answers(&run(&host, &action, write)).remove(0);
    assert_eq!(told["head"]["error"]["kind"], "unauthorized");
    assert_eq!(told["head"]["outcome"], "answered");
    assert!(told["head"]["error"]["hint"].as_str().unwrap().contains("audience"), "{told}");
    assert_eq!(tenant.calls().len(), 4, "one more try, not two");
}

#[test]
fn a_claims_challenge_is_answered_with_the_claims_asked_for() {
    let tenant = Tenant::new(|seen| {
        if seen.header("authorization").is_some_and(|token| token.ends_with(CLAIMS_MARK)) {
            return Reply::json(200, &json!({}));
        }
        let challenge = r#"Bearer error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7fX19""#;
        Reply { status: 401, headers: vec![("WWW-Authenticate", challenge.into())], body: "{}".into() }
    });
    let (host, action) = host(&tenant);
    let told = answers(&run(&host, &action, json!([{"request": {"head": {"call": "list"}}}])));
    assert_eq!(told[0]["head"]["outcome"], "answered");
    let asked = tenant.token_requests();
    assert_eq!(asked.len(), 2);
    assert!(!asked[0].contains("claims=") && asked[1].contains("claims="), "{asked:?}");
}

#[test]
fn refusals_carry_kind_code_request_id_and_remedy() {
    let tenant = Tenant::new(|seen| {
        let status: u16 = seen.target.rsplit('/').next().unwrap().parse().unwrap();
        Reply {
            status,
            headers: vec![("request-id", "their-id".into())],
            body: json!({"error": {"code": "TheirCode", "message": "their\u{1b}[31m words"}}).to_string(),
        }
    });
    let (host, action) = host(&tenant);
    for (status, kind) in
        [(400, "failed"), (403, "forbidden"), (404, "not_found"), (409, "conflict"), (412, "conflict")]
    {
        let head = json!({"call": "get", "path": {"incidentId": status.to_string()}});
        let told = answers(&run(&host, &action, json!([{"request": {"head": head}}]))).remove(0);
        let error = &told["head"]["error"];
        assert_eq!(error["kind"], kind, "{told}");
        assert_eq!((&error["httpStatus"], &told["head"]["status"]), (&json!(status), &json!(status)));
        assert_eq!((&error["code"], &error["requestId"]), (&json!("TheirCode"), &json!("their-id")));
        assert!(!error["message"].as_str().unwrap().contains('\u{1b}'));
    }
    let head = json!({"call": "update", "path": {"incidentId": "403"}});
    let told = answers(&run(&host, &action, json!([{"request": {"head": head, "body": "{}"}}]))).remove(0);
    let hint = told["head"]["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("SecurityIncident.ReadWrite.All") && hint.contains("base"), "{hint}");
}

#[test]
fn entras_refusal_is_the_requests_error_with_its_hint() {
    let tenant = Tenant::new(ok);
    let folder = support::folder(&["probe"]);
    let wrong = support::REMEDIATION.replace(REMEDIATION_SECRET, "canary-wrong");
    let host = host_in(&tenant, folder.path(), &wrong, Limits::default());
    let action = host.load("probe").unwrap();
    let steps = json!([{"request": {"head": {"call": "isolate", "path": {"machineId": "m"}}, "body": "{}"}}]);
    let finished = run(&host, &action, steps);
    let told = answers(&finished).remove(0);
    assert_eq!(told["head"]["outcome"], "not_sent");
    let error = &told["head"]["error"];
    assert_eq!((&error["kind"], &error["code"]), (&json!("invalid_credential"), &json!("AADSTS7000215")));
    assert!(error["hint"].as_str().unwrap().contains("secret"));
    assert!(!format!("{finished:?}{told}{host:?}").contains("canary"));
    assert!(tenant.calls().is_empty());
}

#[test]
fn many_requests_are_answered_in_order_and_bounded() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (inside, peak) = (Arc::clone(&now), Arc::clone(&most));
    let tenant = Tenant::new(move |seen| {
        peak.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(3));
        inside.fetch_sub(1, Ordering::SeqCst);
        Reply::json(200, &json!({"target": seen.target}))
    });
    let (host, action) = host_with(&tenant, Limits { requests_at_once: 3, ..Limits::default() });
    let heads: Vec<Value> = (0..20).map(|id| json!({"call": "get", "path": {"incidentId": id.to_string()}})).collect();
    let told = answers(&run(&host, &action, json!([{"many": heads}]))).remove(0);
    let bodies: Vec<&str> = told.as_array().unwrap().iter().map(|answer| answer["body"].as_str().unwrap()).collect();
    let wanted: Vec<String> =
        (0..20).map(|id| json!({"target": format!("/graph/v1.0/security/incidents/{id}")}).to_string()).collect();
    assert_eq!(bodies, wanted);
    assert!((2..=3).contains(&most.load(Ordering::SeqCst)), "{}", most.load(Ordering::SeqCst));
    assert_eq!(tenant.token_requests().len(), 1, "one token for all");
}
