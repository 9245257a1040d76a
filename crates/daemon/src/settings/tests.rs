#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use serde_json::json;
use sortie_host::Failure;
use sortie_host::config::{self, ConfigText, Environment, Overrides};

fn schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "mode": {"enum": ["poll", "sweep"], "default": "poll"},
            "cursor": {"type": ["string", "null"]},
            "lookBack": {"type": "string"},
            "overlap": {"type": "string", "format": "sortie-span"},
            "ingestDelay": {"type": "string", "format": "sortie-span"},
            "alerts": {"type": "boolean", "default": true},
            "limit": {"type": "integer", "minimum": 1, "maximum": 100_000, "default": 5000},
            "severity": {"type": "array", "items": {"type": "string", "enum": ["low", "high"]}},
            "titleExclude": {"type": "array", "items": {"type": "string", "format": "regex", "minLength": 1}},
            "assignedTo": {"type": "array", "items": {"type": "string"}}
        }
    })
}

fn profile(text: &str) -> Result<config::Resolved, Failure> {
    let text = format!("[profile.p]\ntenant = 'contoso.onmicrosoft.com'\n{text}");
    let config_text = Some(ConfigText { name: "config.toml".to_owned(), text });
    config::resolve(&Overrides { config_text, ..Overrides::default() }, &Environment::empty())
}

fn with(flags: &Flags, text: &str) -> Result<Resolved, Failure> {
    resolve(flags, &profile(text)?, &Environment::of([("HOME", "/home/ana")]), &schema())
}

fn of(text: &str) -> Result<Resolved, Failure> {
    with(&Flags::default(), text)
}

fn origin(resolved: &Resolved, name: &str) -> String {
    let setting = resolved.shown.iter().find(|setting| setting.name == name);
    setting.map_or_else(|| format!("no {name}"), |setting| format!("{} | {}", setting.value, setting.origin))
}

const FROM: &str = "profile p in config.toml";

const WHOLE: &str = r#"
[profile.p.daemon]
interval = "15s"
sweep_interval = "2h"
look_back = "7 days"
overlap = "20m"
ingest_delay = "90s"
alerts = false
limit = 200
retention = "30 days"
history_retention = "7 days"
outbox_records = 10
outbox_bytes = "1 MB"
state_dir = "/var/lib/sortie"
listen = "127.0.0.1:9180"
[profile.p.daemon.filters]
severity = ["high"]
title_exclude = [" (?i)test "]
[profile.p.daemon.sinks.log]
kind = "file"
path = "/var/log/sortie/incidents.jsonl"
rotate = "100 MB"
[profile.p.daemon.sinks.soar]
kind = "webhook"
url = "https://soar.example/hooks/canary-token"
signing_keys = [{ file = "/etc/sortie/new" }, { file = "/etc/sortie/old" }]
headers = { X-Api-Key = { env = "SOAR_KEY" } }
timeout = "5s"
[profile.p.daemon.sinks.playbook]
kind = "exec"
command = ["/opt/playbook", "--token", "canary"]
pass_environment = ["CASE_URL"]
"#;

#[test]
fn a_profile_is_read_whole_and_every_value_knows_its_origin() {
    let resolved = of(WHOLE).unwrap();
    let settings = &resolved.settings;
    assert_eq!(settings.tenant, "contoso.onmicrosoft.com");
    assert_eq!(settings.interval, Duration::from_secs(15));
    assert_eq!(
        Value::Object(settings.input.clone()),
        json!({"lookBack": "7 days", "overlap": "20m", "ingestDelay": "90s", "alerts": false, "limit": 200,
            "severity": ["high"], "titleExclude": ["(?i)test"]})
    );
    assert_eq!((settings.outbox_records, settings.outbox_bytes), (10, 1_000_000));
    assert_eq!(settings.listen.unwrap().port(), 9180);
    assert_eq!(resolved.store, PathBuf::from("/var/lib/sortie/p.db"));
    let names: Vec<&str> = settings.sinks.iter().map(|sink| sink.name.as_str()).collect();
    assert_eq!(names, ["log", "playbook", "soar"]);
    let SinkKind::Webhook(webhook) = &settings.sinks[2].kind else { panic!("no webhook") };
    assert_eq!((webhook.keys.len(), webhook.headers.len(), webhook.concurrency), (2, 1, 4));
    assert_eq!(origin(&resolved, "daemon.retention"), format!("30 days | {FROM}"));
    assert_eq!(origin(&resolved, "daemon.filters.title_exclude"), format!("(?i)test | {FROM}"));
    assert_eq!(
        origin(&resolved, "daemon.sinks.soar.signing_keys"),
        format!("from file /etc/sortie/new, not shown, from file /etc/sortie/old, not shown | {FROM}")
    );
    assert_eq!(origin(&resolved, "daemon.sinks.soar.url"), format!("https://soar.example/.., not shown | {FROM}"));
    assert!(!serde_json::to_string(&resolved.shown).unwrap().contains("canary"));
    let defaults = resolved.shown.iter().filter(|setting| setting.origin == config::Origin::Default).count();
    assert_eq!(defaults, 0, "the profile says every key: {:?}", resolved.shown);
    let mut names: Vec<&str> = resolved.shown.iter().map(|setting| setting.name.as_str()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "each value stands once");

    let alone = shown(&profile(WHOLE).unwrap()).unwrap();
    let mut alone: Vec<_> = alone.iter().map(|setting| &setting.name).collect();
    alone.sort_unstable();
    assert_eq!(alone, names, "what `config show` shows of it is the same");
}

#[test]
fn nothing_said_is_enough() {
    let resolved = of("").unwrap();
    let settings = &resolved.settings;
    assert_eq!(settings.interval, Duration::from_secs(30));
    assert_eq!(settings.sinks.len(), 1);
    assert!(matches!(settings.sinks[0].kind, SinkKind::Stdout));
    assert_eq!(
        Value::Object(settings.input.clone()),
        json!({"lookBack": "24h", "overlap": "10m", "ingestDelay": "0s", "alerts": true})
    );
    assert_eq!(origin(&resolved, "daemon.retention"), "400 days | default");
    assert_eq!(origin(&resolved, "daemon.limit"), "5000 | default");
    assert_eq!(origin(&resolved, "daemon.outbox_bytes"), "1 GiB | default");
    assert_eq!(origin(&resolved, "daemon.listen"), "nowhere | default");
    assert_eq!(resolved.store, PathBuf::from("/home/ana/.local/state/sortie/p.db"));
    assert_eq!(
        store(Some("/else".into()), &profile("").unwrap(), &Environment::empty()).unwrap(),
        PathBuf::from("/else/p.db")
    );
}

#[test]
fn another_action_gets_only_the_members_it_has() {
    let schema = json!({"type": "object", "additionalProperties": false,
        "properties": {"mode": {}, "cursor": {}, "lookBack": {"type": "string"}}});
    let resolved =
        resolve(&Flags::default(), &profile("").unwrap(), &Environment::of([("HOME", "/h")]), &schema).unwrap();
    assert_eq!(Value::Object(resolved.settings.input), json!({"lookBack": "24h"}));
}

#[test]
fn a_flag_beats_the_profile() {
    let members = json!({"severity": ["low"], "lookBack": "3 days"});
    let Value::Object(input) = members else { panic!("no object") };
    let flags = Flags {
        interval: Some(Duration::from_millis(250)),
        sinks: vec![
            from_specification("file:/a").unwrap(),
            from_specification("stdout").unwrap(),
            from_specification("file:/b").unwrap(),
            from_specification("exec:/opt/x  --fast").unwrap(),
        ],
        state_dir: Some("/flag".into()),
        input,
        ..Flags::default()
    };
    let resolved = with(&flags, WHOLE).unwrap();
    assert_eq!(origin(&resolved, "daemon.interval"), "250ms | flag --interval");
    assert_eq!(origin(&resolved, "daemon.look_back"), "3 days | flag --look-back");
    assert_eq!(origin(&resolved, "daemon.filters.severity"), "low | flag --severity");
    assert_eq!(origin(&resolved, "daemon.filters.title_exclude"), format!("(?i)test | {FROM}"));
    assert_eq!(origin(&resolved, "daemon.sinks.file-2.path"), "/b | flag --sink");
    assert_eq!(resolved.store, PathBuf::from("/flag/p.db"));
    let names: Vec<&str> = resolved.settings.sinks.iter().map(|sink| sink.name.as_str()).collect();
    assert_eq!(names, ["file", "stdout", "file-2", "exec"]);
    let SinkKind::Exec(exec) = &resolved.settings.sinks[3].kind else { panic!("no command") };
    assert_eq!(exec.command, ["/opt/x", "--fast"]);
    for wrong in ["", "stdout:x", "file:", "file", "webhook:", "exec: ", "smtp:x"] {
        assert!(from_specification(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_its_remedy_and_never_with_its_value() {
    for (text, part, hint) in [
        ("intervall = '30s'", "unknown key `intervall` in [profile.p.daemon]", "did you mean `interval`?"),
        ("interval = 'canary'", "profile.p.daemon.interval", "such as 30s"),
        ("interval = '0s'", "profile.p.daemon.interval", "such as 30s"),
        ("interval = 30", "profile.p.daemon.interval", "type"),
        ("look_back = 'canary'", "look_back` is not a span of at most 366 days", "such as 24h or 30 days"),
        ("look_back = '0s'", "look_back` is not a span of at most 366 days", "such as 24h or 30 days"),
        ("look_back = '367 days'", "look_back` is not a span of at most 366 days", "such as 24h or 30 days"),
        ("look_back = '30 days'\nretention = '31 days'", "day together (44650m)", "at least \"32 days\""),
        ("retention = '1h'", "daemon.retention is 1h", "at least \"3 days\""),
        ("overlap = '8 days'", "`daemon.overlap` is not a span", "--help"),
        ("limit = 0", "profile.p.daemon.limit", "from 1"),
        ("outbox_bytes = 'canary'", "outbox_bytes", "100 MB"),
        ("outbox_records = 0", "outbox_records", "from 1"),
        ("state_dir = 'here'", "state_dir", "begin it with /"),
        ("listen = 'canary'", "listen", "127.0.0.1:9180"),
        ("listen = '0.0.0.0:9180'", "listen", "127.0.0.1:9180"),
        ("listen = '[::]:9180'", "listen", "127.0.0.1:9180"),
        ("[profile.p.daemon.filters]\nseverty = ['canary']", "unknown key `severty`", "did you mean `severity`?"),
        ("[profile.p.daemon.filters]\ntitleExclude = ['canary']", "unknown key `titleExclude`", "`title_exclude`"),
        ("[profile.p.daemon.filters]\nmode = 'sweep'", "filters.mode", "take the line out"),
        ("[profile.p.daemon.filters]\ncursor = 'canary'", "filters.cursor", "take the line out"),
        ("[profile.p.daemon.filters]\noverlap = '5m'", "filters.overlap", "in the table above"),
        (
            "[profile.p.daemon.filters]\nseverity = ['canary` is ']",
            "`daemon.filters.severity[0]` is not one of",
            "--help",
        ),
        ("[profile.p.daemon.filters]\nseverity = 'high'", "`daemon.filters.severity` is", "--help"),
        (
            "[profile.p.daemon.filters]\ntitle_exclude = ['canary', '']",
            "`daemon.filters.title_exclude[1]` is empty",
            "--help",
        ),
        ("[profile.p.daemon.sinks.'a b']\nkind = 'stdout'", "is not a name", "letters"),
        ("[profile.p.daemon.sinks.a]\npath = '/x'", "sinks.a.kind` is missing", "stdout, file, webhook"),
        ("[profile.p.daemon.sinks.a]\nkind = 'canary'", "sinks.a.kind", "stdout, file, webhook, exec"),
        ("[profile.p.daemon.sinks.a]\nkind = 'stdout'\npath = '/x'", "unknown key `path`", "kind"),
        ("[profile.p.daemon.sinks.a]\nkind = 'file'\npath = 'canary'", "sinks.a.path", "begin it with /"),
        ("[profile.p.daemon.sinks.a]\nkind = 'webhook'", "sinks.a.url` is missing", "address"),
        (
            "[profile.p.daemon.sinks.a]\nkind = 'webhook'\nurl = 'https://x'\nsigning_keys = ['canary']",
            "signing_keys[0]` is a text",
            "type",
        ),
        (
            "[profile.p.daemon.sinks.a]\nkind = 'webhook'\nurl = 'https://x'\nsigning_keys = [{ value = 'canary' }]",
            "leaves this machine",
            "file",
        ),
        (
            "[profile.p.daemon.sinks.a]\nkind = 'webhook'\nurl = 'https://x'\nheaders = { X-Key = 'canary' }",
            "headers.X-Key",
            "type",
        ),
        (
            "[profile.p.daemon.sinks.a]\nkind = 'webhook'\nurl = 'https://x'\nheaders = { webhook-id = { env = 'X' } }",
            "headers.webhook-id",
            "take the line out",
        ),
        ("[profile.p.daemon.sinks.a]\nkind = 'exec'\ncommand = 'canary'", "command", "[\"..\""),
        ("[profile.p.daemon.sinks.a]\nkind = 'exec'\ncommand = ['canary', 5]", "command[1]` is a number", "type"),
        ("[profile.p.daemon.sinks.a]\nkind = 'exec'\ncommand = []", "command", "[\"/opt/x\""),
        ("[profile.p.daemon.sinks.a]\nkind = 'exec'\ncommand = ['x']\nconcurrency = 0", "concurrency", "from 1"),
        (
            "[profile.p.daemon.sinks.a]\nkind = 'stdout'\n[profile.p.daemon.sinks.b]\nkind = 'stdout'",
            "sinks.b",
            "keep one",
        ),
    ] {
        let failure = of(&format!("[profile.p.daemon]\n{text}")).unwrap_err();
        assert_eq!(failure.exit_code(), 78, "{text}: {failure}");
        assert!(failure.message.contains(part), "{text}: {failure}");
        assert!(failure.hint.as_deref().unwrap().contains(hint), "{text}: {failure} {:?}", failure.hint);
        let all = format!("{failure} {:?}", failure.violations);
        assert!(!all.contains("canary"), "{text}: {all}");
    }
    let failure = of("daemon = 'canary'").unwrap_err();
    assert!(failure.message.contains("profile.p.daemon") && !failure.message.contains("canary"), "{failure}");
}

#[test]
fn a_secret_for_this_machine_may_stand_in_the_profile() {
    for url in ["http://127.0.0.1:8080/hook", "http://[::1]:8080/hook", "http://localhost/hook"] {
        let text = format!(
            "[profile.p.daemon.sinks.a]\nkind = 'webhook'\nurl = '{url}'\nsigning_keys = {{ value = 'canary' }}"
        );
        let resolved = of(&text).unwrap();
        assert!(!format!("{resolved:?}").contains("canary"));
    }
}

#[test]
fn what_flags_say_and_the_schema_refuses_is_an_input_that_is_refused() {
    let Value::Object(input) = json!({"severity": ["hihg"], "limit": 0, "lookBack": "soon"}) else {
        panic!("no object")
    };
    let failure = with(&Flags { input, ..Flags::default() }, "").unwrap_err();
    assert_eq!(failure.exit_code(), 65);
    let pointers: Vec<&str> = failure.violations.iter().map(|violation| violation.pointer.as_str()).collect();
    assert_eq!(pointers.len(), 3, "{pointers:?}");
    assert!(pointers.contains(&"/severity/0") && pointers.contains(&"/lookBack"), "{pointers:?}");
    for wrong in ["0s", "-5d", "367 days"] {
        let Value::Object(input) = json!({"lookBack": wrong}) else { panic!("no object") };
        let failure = with(&Flags { input, ..Flags::default() }, "").unwrap_err();
        assert!(failure.message.contains("is not a span of at most 366 days"), "{failure}");
    }
}

#[test]
fn what_may_be_a_secret_is_in_no_debug_output() {
    let resolved = of(WHOLE).unwrap();
    let flags = Flags {
        sinks: vec![
            from_specification("webhook:https://soar.example/hooks/canary?token=canary").unwrap(),
            from_specification("exec:/opt/x --token canary").unwrap(),
        ],
        ..Flags::default()
    };
    let shown = format!("{:?} {flags:?}", resolved.settings.sinks);
    assert!(!shown.contains("canary"), "{shown}");
    assert!(shown.contains("https://soar.example/") && shown.contains("/opt/x and 2 arguments"), "{shown}");
}

#[test]
fn a_retention_that_is_just_enough_is_taken() {
    assert!(of("[profile.p.daemon]\nlook_back = '30 days'\noverlap = '1h'\nretention = '745h'").is_ok());
    assert!(of("[profile.p.daemon]\nlook_back = '30 days'\noverlap = '1h'\nretention = '744h'").is_err());
    assert!(of("[profile.p.daemon]\nlook_back = '366 days'").is_ok(), "the default is enough for all that can be read");
}

#[test]
fn without_a_tenant_there_is_no_daemon() {
    let nothing = config::resolve(
        &Overrides { config_text: Some(ConfigText { name: "c".into(), text: String::new() }), ..Overrides::default() },
        &Environment::empty(),
    );
    let failure = resolve(&Flags::default(), &nothing.unwrap(), &Environment::empty(), &schema()).unwrap_err();
    assert!(failure.message.contains("no tenant"), "{failure}");
}

/// The example documents every key of the daemon, with the defaults where there are any.
#[test]
fn the_example_says_every_key() {
    let overrides = Overrides {
        config_text: Some(ConfigText { name: "example".into(), text: config::EXAMPLE.to_owned() }),
        ..Overrides::default()
    };
    let example = config::resolve(&overrides, &Environment::empty()).unwrap();
    let mut schema = schema();
    for filter in ["status", "tags", "serviceSource", "detectionSource", "mitreTechnique"] {
        schema["properties"][filter] = json!({"type": "array", "items": {"type": "string"}});
    }
    schema["properties"]["severity"] = json!({"type": "array", "items": {"type": "string"}});
    let resolved = resolve(&Flags::default(), &example, &Environment::empty(), &schema).unwrap();
    let defaults: Vec<&str> = resolved
        .shown
        .iter()
        .filter(|setting| setting.origin == config::Origin::Default)
        .map(|setting| setting.name.as_str())
        .collect();
    assert_eq!(defaults, [""; 0], "the example says every key");
    for filter in
        schema["properties"].as_object().unwrap().keys().filter(|name| !["mode", "cursor"].contains(&name.as_str()))
    {
        assert!(resolved.settings.input.contains_key(filter), "the example does not show {filter}");
    }
    let bare = of("").unwrap().settings;
    let said = &resolved.settings;
    assert_eq!((said.interval, said.sweep_interval), (bare.interval, bare.sweep_interval));
    assert_eq!((said.retention, said.history_retention), (bare.retention, bare.history_retention));
    assert_eq!((said.outbox_records, said.outbox_bytes), (bare.outbox_records, bare.outbox_bytes));
    for member in ["lookBack", "overlap", "ingestDelay", "alerts"] {
        assert_eq!(said.input[member], bare.input[member], "{member}");
    }
    let kinds: Vec<&str> = said.sinks.iter().map(|sink| sinks::word(&sink.kind)).collect();
    for kind in ["stdout", "file", "webhook", "exec"] {
        assert!(kinds.contains(&kind), "the example shows no {kind}");
    }
}
