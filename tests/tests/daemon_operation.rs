//! Running the daemon: how it begins, ends, is asked how it is, and what it keeps to itself.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use rustix::process::Signal;
use serde_json::Value;
use sortie_sandbox::{Api, Fault, IncidentDraft, Rule};
use sortie_tests::World;
use sortie_tests::canary::Canaries;
use sortie_tests::daemon::{Driver, SIGNING_KEY, Setup, add, empty, get, id_of, listings};
use sortie_tests::receiver::{Answer, Receiver};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A tenant of so many incidents.
fn tenant(count: u64) -> (World, Vec<u64>) {
    let world = empty();
    let control = world.sandbox.control();
    let ids = (0..count).map(|number| add(&control, 90 * (count - number))).collect();
    (world, ids)
}

fn ids(lines: &[Value]) -> BTreeSet<u64> {
    lines.iter().map(id_of).collect()
}

/// Case 25. Asked to end in the middle of a page, it ends in under five seconds, with nothing half done.
#[test]
fn it_ends_soon_in_the_middle_of_a_page() {
    for signal in [Signal::TERM, Signal::INT] {
        let (world, ids) = tenant(130);
        let control = world.sandbox.control();
        control.fault(Rule::once(Fault::DripBody { interval_ms: 200 }).api(Api::Graph).skip(1));
        let driver = Driver::new(&world, Setup::default());
        let mut running = driver.start();
        driver.until("the second page", || listings(&control).len() == 2);
        let begun = std::time::Instant::now();
        running.signal(signal);
        let status = running.wait();
        assert_eq!(status.code(), Some(0), "{}", driver.log());
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let _running = driver.start();
        driver.assert_each_once(&ids);
    }
}

/// Case 25. Nor does it wait for a sink that is slow, or for a wait that the service asked for.
#[test]
fn it_ends_soon_while_others_are_slow() {
    let (world, ids) = tenant(10);
    let control = world.sandbox.control();
    let hook = Receiver::new();
    hook.decide(|_| Answer::Late(Duration::from_secs(20), 200));
    let driver = Driver::new(&world, Setup { hook: Some(hook.url()), ..Setup::default() });
    let running = driver.start();
    driver.assert_each_once(&ids);
    driver.until("a delivery", || !hook.deliveries().is_empty());
    let (status, took) = running.stop();
    assert_eq!(status.code(), Some(0), "{}", driver.log());
    assert!(took < Duration::from_secs(5), "{took:?}");
    control.fault(Rule::new(Fault::Delay { milliseconds: 20_000 }));
    let running = driver.start();
    driver.until_requests(1);
    let (status, took) = running.stop();
    assert_eq!(status.code(), Some(0), "{}", driver.log());
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// `--once` prints what is new and ends; the next time it prints what is new since.
#[test]
fn once_prints_what_is_new_and_ends() {
    let (world, known) = tenant(60);
    let control = world.sandbox.control();
    let driver = Driver::new(&world, Setup { file: false, ..Setup::default() });
    let first = driver.once(&[]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert_eq!(first.lines().len(), 60);
    assert_eq!(ids(&first.lines()), known.iter().copied().collect());
    let second = driver.once(&["--sink", "stdout"]);
    assert_eq!((second.code, second.stdout.as_str()), (0, ""), "{}", second.stderr);
    let later = add(&control, 0);
    let third = driver.once(&[]);
    assert_eq!(ids(&third.lines()), BTreeSet::from([later]));
    assert_eq!(third.lines()[0]["type"], "incident.created");
}

/// `--once` that cannot do its work says so by its exit code, and loses nothing.
#[test]
fn once_that_fails() {
    let (world, known) = tenant(10);
    let control = world.sandbox.control();
    let hook = Receiver::new();
    let driver = Driver::new(&world, Setup { hook: Some(hook.url()), ..Setup::default() });
    control.fault(Rule::new(Fault::status(503)).api(Api::Graph));
    let output = driver.once(&[]);
    assert_eq!(output.code, 69, "{}", output.stderr);
    assert!(output.stderr.contains("unavailable"), "{}", output.stderr);
    control.clear_faults();
    hook.set_down(true);
    let output = driver.once(&[]);
    assert_eq!(output.code, 69, "{}", output.stderr);
    assert!(output.stderr.contains("sink_unavailable") && output.stderr.contains("hook"), "{}", output.stderr);
    assert_eq!(ids(&driver.records()), known.iter().copied().collect());
    hook.set_down(false);
    let output = driver.once(&[]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(ids(&hook.taken()), known.iter().copied().collect());
    assert_eq!(driver.lines().len(), 10);
    driver.write(|profile| profile.base_secret = Some("wrong".into()));
    fs::remove_dir_all(world.folder().join("cache")).unwrap();
    let output = driver.once(&[]);
    assert_eq!(output.code, 78, "{}", output.stderr);
    assert!(output.stderr.contains("invalid_credential"), "{}", output.stderr);
}

/// Filters choose what is delivered; what they passed over is delivered when they want it later, without a restart.
#[test]
fn filters_choose_and_are_read_again_on_a_hangup() {
    let world = empty();
    let control = world.sandbox.control();
    let incident = |severity: &str, name: &str| {
        let draft = IncidentDraft {
            severity: Some(severity.into()),
            display_name: Some(name.into()),
            ..IncidentDraft::default()
        };
        control.add_incident(&draft).unwrap()
    };
    let grave = incident("high", "A real one");
    let exercise = incident("high", "Exercise: red team");
    let small = incident("low", "A small one");
    let filters = "severity = [\"high\"]\ntitle_exclude = [\"(?i)^exercise\"]".to_owned();
    let mut driver = Driver::new(&world, Setup { filters, ..Setup::default() });
    let shown = world.sortie(["daemon", "--show-config"]).output();
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(shown.stdout.contains("high") && shown.stdout.contains("^exercise"), "{}", shown.stdout);
    assert!(!shown.stdout.contains(SIGNING_KEY));
    let running = driver.start();
    driver.assert_each_once(&[grave]);
    driver.setup.filters = "severity = [\"high\", \"low\"]\ntitle_exclude = [\"(?i)^exercise\"]".into();
    driver.write(|_| {});
    running.signal(Signal::HUP);
    driver.assert_each_once(&[grave, small]);
    assert_eq!(driver.kinds(small), ["incident.created"]);
    // One that begins to match by its next change is new at that moment.
    let draft = IncidentDraft { display_name: Some("No exercise".into()), ..IncidentDraft::default() };
    control.edit_incident(exercise, &draft).unwrap();
    driver.assert_each_once(&[grave, small, exercise]);
    assert_eq!(driver.kinds(exercise), ["incident.created"]);
    // Filters that are wrong change nothing.
    driver.setup.filters = "severity = [\"enormous\"]".into();
    driver.write(|_| {});
    running.signal(Signal::HUP);
    driver.until("a word about the filters", || driver.log().contains("enormous") || driver.log().contains("severity"));
    driver.assert_each_once(&[grave, small, exercise]);
    // At the start they are refused.
    running.kill();
    let refused = driver.once(&[]);
    assert!([64, 78].contains(&refused.code), "{}: {}", refused.code, refused.stderr);
    assert!(refused.stderr.contains("severity"), "{}", refused.stderr);
}

/// Flags of the command line do the same as the profile.
#[test]
fn everything_by_flags() {
    let (world, known) = tenant(10);
    let control = world.sandbox.control();
    let low = IncidentDraft { severity: Some("low".into()), ..IncidentDraft::default() };
    let high = IncidentDraft { severity: Some("high".into()), ..IncidentDraft::default() };
    known.iter().for_each(|id| control.edit_incident(*id, &low).unwrap());
    control.edit_incident(known[3], &high).unwrap();
    let (state, sink) = (world.folder().join("elsewhere"), world.folder().join("flags.jsonl"));
    let output = world
        .sortie(["daemon", "--once", "--interval", "1s", "--sweep-interval", "1h", "--severity", "high"])
        .argument("--state-dir")
        .argument(&state)
        .argument("--sink")
        .argument(format!("file:{}", sink.display()))
        .output();
    assert_eq!((output.code, output.stdout.as_str()), (0, ""), "{}", output.stderr);
    let text = fs::read_to_string(&sink).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(ids(&lines), BTreeSet::from([known[3]]));
    assert!(state.join("test.db").exists());
}

/// Health, readiness and figures on loopback, and nowhere else.
#[test]
fn health_and_figures() {
    let (world, ids) = tenant(10);
    let control = world.sandbox.control();
    let driver = Driver::new(&world, Setup { listen: true, ..Setup::default() });
    let running = driver.start();
    driver.assert_each_once(&ids);
    let answer = |path: &str| get(&driver.address, path).unwrap();
    assert_eq!(answer("/healthz").0, 200);
    driver.until("ready", || answer("/readyz").0 == 200);
    let (status, figures) = answer("/metrics");
    assert_eq!(status, 200);
    let named = |text: &str| figures.lines().filter(|line| !line.starts_with('#') && line.contains(text)).count();
    assert!(named("sortie_") > 10, "{figures}");
    assert!(figures.contains("# TYPE") && figures.contains("# HELP"), "{figures}");
    assert_eq!(answer("/elsewhere").0, 404);
    // What passes by itself is told at once and alarms nobody for a minute; what needs a person does at once.
    control.fault(Rule::new(Fault::status(503)).api(Api::Graph));
    driver.until("a word about the failure", || driver.fails());
    assert_eq!(answer("/readyz").0, 200);
    control.clear_faults();
    control.fault(Rule::new(Fault::status(403)).api(Api::Graph));
    driver.until("not ready", || answer("/readyz").0 == 503);
    assert_eq!(answer("/healthz").0, 200, "it lives, though it cannot read");
    control.clear_faults();
    driver.until("ready again", || answer("/readyz").0 == 200);
    assert!(running.stop().0.success());
    let refused = driver.once(&["--listen", "0.0.0.0:9180"]);
    assert_ne!(refused.code, 0, "figures are for this machine alone");
}

/// The history tells each poll, also beside a running daemon.
#[test]
fn the_history_tells_each_poll() {
    let (world, ids) = tenant(70);
    let control = world.sandbox.control();
    let driver = Driver::new(&world, Setup::default());
    let _running = driver.start();
    driver.assert_each_once(&ids);
    control.fault(Rule::new(Fault::status(503)).api(Api::Graph).times(20));
    driver.until("a failed poll", || driver.history().iter().any(|entry| !entry["error"].is_null()));
    let history = driver.history();
    assert_eq!(
        (&history[0]["mode"], &history[0]["fetched"], &history[0]["new"]),
        (&"poll".into(), &70.into(), &70.into())
    );
    assert_eq!(history.iter().filter(|entry| entry["new"].as_u64() > Some(0)).count(), 1);
    let failed = history.iter().find(|entry| !entry["error"].is_null()).unwrap();
    assert!(failed["error"].to_string().contains("unavailable"), "{failed}");
    // An entry tells the deliveries since the one before.
    driver.until("all deliveries in the history", || {
        driver.history().iter().filter_map(|entry| entry["delivered"].as_u64()).sum::<u64>() == 70
    });
    let table = world.sortie(["history", "-o", "table"]).output();
    assert_eq!(table.code, 0, "{}", table.stderr);
    assert!(table.stdout.contains("poll"), "{}", table.stdout);
}

/// Nothing that the daemon writes, says or is started with holds a secret, at the most talkative level; and the credential that can
/// change things is not even loaded.
#[test]
fn secrets_stay_where_they_are() {
    let canaries = Canaries::with(|config| config.incidents = 60);
    let hook = Receiver::new();
    let setup = Setup { hook: Some(hook.url()), log_level: "trace", listen: true, ..Setup::default() };
    let driver = Driver::new(&canaries.world, setup);
    let lines = driver.setup.lines(canaries.world.folder());
    canaries.profile(|profile| profile.lines = lines);
    let control = canaries.world.sandbox.control();
    canaries.fault(Rule::new(Fault::ExpireTokens).api(Api::Graph).skip(3).times(2));
    canaries.fault(Rule::new(Fault::status(500)).api(Api::Graph).skip(5).times(6));
    let running = driver.start();
    driver.until_records(40);
    control.fault(Rule::new(Fault::status(400)).api(Api::Entra));
    control.expire_tokens();
    driver.until("failures of the credential", || control.fault_hits() > 9);
    let arguments = fs::read(format!("/proc/{}/cmdline", running.pid())).unwrap_or_default();
    assert!(!String::from_utf8_lossy(&arguments).contains("canary"));
    control.clear_faults();
    driver.until("delivery to the webhook", || hook.deliveries().len() >= 40);
    let (_, figures) = get(&driver.address, "/metrics").unwrap();
    assert!(running.stop().0.success());
    assert!(driver.log().len() > 10_000, "the most talkative level says something");
    let output = sortie_tests::Output { code: 0, stdout: figures, stderr: driver.log() };
    let signing = canaries.world.folder().join("signing.key");
    fs::remove_file(signing).unwrap();
    canaries.assert_silent(&output);
    for text in [driver.log(), fs::read_to_string(driver.sink()).unwrap()] {
        assert!(!text.contains(&SIGNING_KEY[6..]), "the signing key was written");
    }
    assert!(canaries.received("base"));
    assert!(!canaries.received("remediation"), "the remediation credential was used");
}

/// The remediation credential need not even be readable.
#[test]
fn the_remediation_credential_is_never_loaded() {
    let (world, ids) = tenant(5);
    let driver = Driver::new(&world, Setup::default());
    let path = world.folder().join("config/sortie/config.toml");
    let text = fs::read_to_string(&path).unwrap();
    let (before, _) = text.split_once("[profile.test.remediation]").unwrap();
    let remediation = "[profile.test.remediation]\nclient_id = \"11111111-2222-3333-4444-555555555555\"\nclient_secret = { file = \"/nowhere/at/all\" }\n";
    fs::write(&path, format!("{before}{remediation}")).unwrap();
    let _running = driver.start();
    driver.assert_each_once(&ids);
}

/// One command shows a newcomer live records, and leaves nothing behind.
#[test]
fn a_sandbox_for_newcomers() {
    let (world, _) = tenant(0);
    let mut command: Command = world.sortie(["daemon", "--sandbox", "--rate", "20", "--interval", "200ms"]).command();
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..5 {
        let line = lines.next().unwrap().unwrap();
        let record: Value = serde_json::from_str(&line).unwrap();
        assert!(record["type"].as_str().unwrap().starts_with("incident."), "{line}");
    }
    let begun = std::time::Instant::now();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::INT).unwrap();
    // What it still says is read, so that it is not held up by this test.
    lines.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5));
}
