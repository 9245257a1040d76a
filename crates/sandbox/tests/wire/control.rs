use std::time::Duration;

use serde_json::{Value, json};
use sortie_sandbox::{Api, Application, ClientSecret, Config, IncidentDraft, Permissions, Sandbox};

use super::client::{Ask, GRAPH, Rig, ask, rig, small};

#[test]
fn records_hold_requests_and_no_secrets() {
    let rig = small();
    let control = rig.sandbox.control();
    let canary = "canary \u{e9}+/=&secret";
    control
        .register(Application {
            name: "canary".to_owned(),
            client_id: "canary-id".to_owned(),
            secrets: vec![ClientSecret::new(canary)],
            permissions: Permissions { graph: vec!["SecurityIncident.Read.All".to_owned()], ..Permissions::default() },
            ..Application::default()
        })
        .unwrap();
    let application = Application {
        client_id: "canary-id".to_owned(),
        secrets: vec![ClientSecret::new(canary)],
        ..Application::default()
    };
    let token = rig.token(&application, GRAPH);
    let url = format!("{}/security/incidents?$top=1&x=a%20b", rig.sandbox.graph());
    ask("GET", &url).bearer(&token).header("Prefer", "include-unknown-enum-members").send();
    ask("PATCH", &format!("{}/security/incidents/1001", rig.sandbox.graph()))
        .bearer(&token)
        .json(&json!({"status": "active"}))
        .send();
    let records = control.records();
    assert_eq!(records.iter().map(|record| record.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(
        records[0].secrets[0].application.as_deref(),
        Some("canary"),
        "the secret is known to have been received"
    );
    assert!(records[0].body.contains("client_secret=sha256"));
    assert_eq!(records[1].line(), "GET /graph/v1.0/security/incidents?$top=1&x=a%20b");
    assert_eq!(records[1].header("prefer"), Some("include-unknown-enum-members"));
    let authorization = records[1].authorization.as_ref().unwrap();
    assert_eq!((authorization.scheme.as_str(), authorization.application.as_deref()), ("Bearer", Some("canary")));
    assert_eq!(
        (records[2].status, records[2].worked, records[2].json.clone()),
        (Some(403), false, Some(json!({"status": "active"})))
    );
    let everything = format!("{records:?}{}", serde_json::to_string(&records).unwrap());
    assert!(!everything.contains(canary) && !everything.contains(&token) && !everything.contains("canary%20"));
    assert_eq!((control.request_count(Some(Api::Entra)), control.request_count(None)), (1, 3));
    control.clear_records();
    assert_eq!(control.records(), []);
    rig.base(GRAPH);
    assert_eq!(control.records()[0].sequence, 4, "numbers go on");
}

fn call(rig: &Rig, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let mut request: Ask = ask(method, &format!("{}{path}", rig.sandbox.control_url()));
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send();
    (answer.status, answer.json())
}

#[test]
fn the_control_api_does_the_same_over_http() {
    let rig = small();
    let control = rig.sandbox.control();
    let (_, summary) = call(&rig, "GET", "", None);
    assert_eq!((summary["incidents"].as_u64(), summary["machines"].as_u64()), (Some(120), Some(8)));
    let (_, added) = call(
        &rig,
        "POST",
        "/incidents",
        Some(&json!({"displayName": "made", "severity": "low", "set": {"severity": "cosmic"}})),
    );
    let id = added["id"].as_u64().unwrap();
    assert_eq!(control.incident(id).unwrap()["severity"], "cosmic");
    let (_, many) = call(&rig, "POST", "/incidents", Some(&json!({"count": 60, "time": "2026-02-28T00:00:00Z"})));
    assert_eq!(many["ids"].as_array().unwrap().len(), 60);
    let versions = control.versions();
    assert_eq!(versions.iter().filter(|version| version.last_update.to_string() == "2026-02-28T00:00:00Z").count(), 60);
    assert_eq!(
        call(&rig, "PATCH", &format!("/incidents/{id}"), Some(&json!({"status": "resolved", "assignedTo": "x"}))).0,
        200
    );
    assert_eq!(control.incident(id).unwrap()["status"], "resolved");
    call(&rig, "PATCH", &format!("/incidents/{id}"), Some(&json!({"assignedTo": null})));
    assert_eq!(control.incident(id).unwrap()["assignedTo"], Value::Null);
    let before = control.incident(id).unwrap()["lastUpdateDateTime"].clone();
    control.advance(Duration::from_secs(9));
    let (_, alert) = call(&rig, "POST", &format!("/incidents/{id}/alerts"), Some(&json!({"title": "late"})));
    assert!(alert["id"].is_string() && control.incident(id).unwrap()["lastUpdateDateTime"] == before);
    assert_eq!(call(&rig, "POST", &format!("/incidents/{id}/merge"), Some(&json!({"into": 1001}))).0, 200);
    assert_eq!(control.incident(id).unwrap()["redirectIncidentId"], "1001");
    assert_eq!(call(&rig, "DELETE", &format!("/incidents/{id}"), None).0, 200);
    assert_eq!(control.incident(id), None);
    assert_eq!(call(&rig, "GET", &format!("/incidents/{id}"), None).0, 404);
    assert_eq!(call(&rig, "POST", "/incidents", Some(&json!({"severity": "cosmic"}))).0, 400);
    assert_eq!(call(&rig, "POST", "/incidents", Some(&json!({"severety": "low"}))).0, 400);
    let (_, switched) = call(&rig, "PATCH", "/switches", Some(&json!({"throttle": true, "graphTop": "clamp50"})));
    assert_eq!(switched["graphTop"], "clamp50");
    assert!(control.switches().throttle);
    assert_eq!(call(&rig, "PATCH", "/switches", Some(&json!({"throttel": true}))).0, 400);
    assert_eq!(call(&rig, "POST", "/faults", Some(&json!({"api": "graph", "times": 1, "fault": "html"}))).0, 200);
    assert_eq!(rig.graph("GET", "/security/incidents").send().header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(call(&rig, "DELETE", "/faults", None).0, 200);
    assert_eq!(
        call(&rig, "POST", "/clock", Some(&json!({"set": "2027-01-01T00:00:00Z", "advanceMs": 1500}))).1["clock"],
        "2027-01-01T00:00:01.5Z"
    );
    let (_, machine) = call(&rig, "POST", "/machines", Some(&json!({"computerDnsName": "new.contoso.com"})));
    assert!(
        control
            .machines()
            .iter()
            .any(|known| known.id == machine["id"].as_str().unwrap() && known.computer_dns_name == "new.contoso.com")
    );
    assert_eq!(call(&rig, "POST", "/outcome", Some(&json!({"outcome": {"status": "Failed"}}))).0, 200);
    assert_eq!(call(&rig, "POST", "/outcome", Some(&json!({"action": "none", "outcome": {}}))).0, 404);
    let (_, records) = call(&rig, "GET", "/records?api=graph", None);
    assert_eq!(records.as_array().unwrap().len(), 1);
    assert_eq!(call(&rig, "GET", "/records?api=nothing", None).0, 400);
    assert_eq!(call(&rig, "POST", "/tokens/expire", Some(&json!({}))).1["expired"], 1);
    assert_eq!(call(&rig, "GET", "/nonsense", None).0, 404);
}

#[test]
fn limits_hold_per_application_and_operation() {
    let rig = small();
    let control = rig.sandbox.control();
    control.switch(|switches| switches.throttle = true);
    let request = rig.xdr("GET", "/incidents?$top=1");
    for _ in 0..50 {
        assert_eq!(request.send().status, 200);
    }
    let refused = request.send();
    assert_eq!((refused.status, refused.header("retry-after")), (429, None));
    assert!(refused.text().contains("2026-03-01T12:01:00"), "{}", refused.text());
    assert_eq!(rig.xdr("GET", "/incidents/1001").send().status, 200, "another operation has its own limit");
    control.advance(Duration::from_secs(30));
    assert_eq!(request.send().status, 429, "requests made while throttled count");
    control.advance(Duration::from_secs(31));
    assert_eq!(request.send().status, 200);
    let request = rig.graph("GET", "/security/incidents?$top=1");
    for _ in 0..150 {
        assert_eq!(request.send().status, 200);
    }
    assert_eq!(request.send().header("retry-after"), Some("60.000"));
    let request = rig.mde("GET", "/machineactions");
    for _ in 0..100 {
        assert_eq!(request.send().status, 200);
    }
    assert_eq!(request.send().header("retry-after"), Some("60"));
    control.clear_throttle();
    assert_eq!(request.send().status, 200);
}

#[test]
fn the_same_seed_is_the_same_tenant_and_it_lives() {
    let config = |seed, rate| Config {
        seed,
        rate,
        incidents: 30,
        clock: Some("2026-03-01T12:00:00Z".parse().unwrap()),
        ..Config::default()
    };
    let shown = |config| {
        let sandbox = Sandbox::start(config).unwrap();
        let control = sandbox.control();
        control.incident_ids().iter().map(|id| control.incident(*id).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(shown(config(5, 0.0)), shown(config(5, 0.0)));
    assert_ne!(shown(config(5, 0.0)), shown(config(6, 0.0)));
    let rig = rig(config(5, 200.0));
    let control = rig.sandbox.control();
    let begin = control.issued().len();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while control.issued().len() < begin + 20 && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(control.issued().len() >= begin + 20 && control.incident_count() > 30);
}

#[test]
fn poison_records_are_made_to_order() {
    let rig = small();
    let control = rig.sandbox.control();
    let draft = IncidentDraft {
        set: serde_json::from_value(json!({"status": "quarantined", "createdDateTime": 5})).unwrap(),
        remove: vec!["id".to_owned()],
        padding: 100_000,
        ..IncidentDraft::default()
    };
    control.add_incident(&draft).unwrap();
    let item = rig.graph("GET", "/security/incidents?$top=1").header("Accept-Encoding", "gzip").send().json()["value"]
        [0]
    .clone();
    assert_eq!(
        (item["status"].as_str(), item["createdDateTime"].as_i64(), item.get("id")),
        (Some("quarantined"), Some(5), None)
    );
    assert_eq!(item["padding"].as_str().unwrap().len(), 100_000);
    let late = "2026-02-01T00:00:00Z".parse().unwrap();
    let id = control.add_incident(&IncidentDraft { created: Some(late), ..IncidentDraft::default() }).unwrap();
    assert_eq!(control.incident(id).unwrap()["lastUpdateDateTime"], "2026-02-01T00:00:00Z");
}

#[test]
fn only_loopback_and_only_readable_set_ups() {
    let wide = Config { listen: "0.0.0.0:0".parse().unwrap(), ..Config::default() };
    assert!(matches!(Sandbox::start(wide), Err(sortie_sandbox::Error::NotLoopback(_))));
    let folder = tempfile::tempdir().unwrap();
    let empty = Config { bodies: Some(folder.path().to_owned()), ..Config::default() };
    assert!(matches!(Sandbox::start(empty), Err(sortie_sandbox::Error::Bodies { .. })));
    let broken = Application {
        certificates: vec!["x".to_owned()],
        name: "x".to_owned(),
        client_id: "x".to_owned(),
        ..Application::default()
    };
    assert!(matches!(
        Sandbox::start(Config { applications: vec![broken], ..Config::default() }),
        Err(sortie_sandbox::Error::Application { .. })
    ));
}

#[test]
fn recorded_bodies_answer_in_place_of_the_tenant() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("graph_incident_get.json"), r#"{"id":"7","odd":[1]}"#).unwrap();
    let rig = rig(Config { bodies: Some(folder.path().to_owned()), incidents: 3, ..Config::default() });
    assert_eq!(rig.graph("GET", "/security/incidents/7").send().text(), r#"{"id":"7","odd":[1]}"#);
    assert_eq!(
        rig.graph("GET", "/security/incidents").send().ids().len(),
        3,
        "what is not recorded comes from the tenant"
    );
    assert_eq!(ask("GET", &format!("{}/security/incidents/7", rig.sandbox.graph())).send().status, 401);
}
