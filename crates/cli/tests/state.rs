//! `sortie history` and `sortie dead-letters`: what is in a daemon's store, beside the daemon.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use sortie_store::{Batch, Fence, Outgoing, PollNote, QuarantineNote, Refused, Settled, SqliteStore, Store};
use std::path::Path;
use std::process::{Command, Output, Stdio};

const PROFILE: &str = "[profile.contoso]\ntenant = \"contoso.onmicrosoft.com\"\n[profile.contoso.daemon]\nstate_dir = ";

/// A home with a profile whose daemon keeps its state in `state`.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("sortie")).unwrap();
    let text = format!("{PROFILE}{:?}\n", home.path().join("state"));
    std::fs::write(home.path().join("sortie/config.toml"), text).unwrap();
    home
}

fn sortie(home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sortie"))
        .env_clear()
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn document(output: &Output) -> Value {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// A store with three records that the sinks `soar` and `mail` refused, and a poll that failed.
fn store(home: &Path) -> (SqliteStore, Fence) {
    let (store, fence) =
        SqliteStore::open(&home.join("state/contoso.db"), "incidents-daemon@contoso.onmicrosoft.com").unwrap();
    store.set_sinks(&["soar".to_owned(), "mail".to_owned()], 1_773_144_000, fence).unwrap();
    let outgoing = |id: u32| Outgoing {
        id: id.to_string(),
        key: format!("contoso/{id}/f"),
        kind: "incident.created".to_owned(),
        record: json!({"type": "incident.created", "id": id.to_string()}).to_string(),
    };
    let poll = PollNote {
        mode: "poll".to_owned(),
        began_at: 1_773_144_000,
        milliseconds: 12,
        fetched: 3,
        new: 3,
        calls: 1,
        error: Some("unavailable: no route\u{1b}[2J".to_owned()),
        ..PollNote::default()
    };
    let batch = Batch {
        now: 1_773_144_000,
        outgoing: (1..=3).map(outgoing).collect(),
        quarantine: vec![QuarantineNote { id: "77".to_owned(), reason: "no id in an alert".to_owned() }],
        poll: Some(poll),
        ..Batch::default()
    };
    store.commit(&batch, fence).unwrap();
    for sink in ["soar", "mail"] {
        let refused = store
            .due(sink, 0, 10, 1 << 20)
            .unwrap()
            .into_iter()
            .map(|queued| Refused { sequence: queued.sequence, reason: "answered 400".to_owned(), attempts: 1 })
            .collect();
        store.settle(sink, &Settled { now: 1_773_144_060, refused, ..Settled::default() }, fence).unwrap();
    }
    (store, fence)
}

#[test]
fn history_is_shown_beside_a_running_daemon() {
    let home = home();
    let _running = store(home.path());
    let output = sortie(home.path(), &["history"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = document(&output);
    assert_eq!(shown["polls"][0]["beganAt"], "2026-03-10T12:00:00Z");
    assert_eq!((shown["polls"][0]["new"].as_u64(), shown["polls"][0]["fetched"].as_u64()), (Some(3), Some(3)));
    assert_eq!(shown["quarantined"][0]["id"], "77");
    let table = sortie(home.path(), &["history", "--output", "table"]);
    let text = String::from_utf8(table.stdout).unwrap();
    assert!(text.starts_with("TIME") && text.contains("no route\\u{1b}[2J"), "{text}");
    assert!(String::from_utf8_lossy(&table.stderr).contains("77 cannot be read"));
    assert_eq!(document(&sortie(home.path(), &["history", "--limit", "0"]))["polls"], json!([]));
}

#[test]
fn dead_letters_are_listed_retried_and_dropped_beside_a_running_daemon() {
    let home = home();
    let (running, _) = store(home.path());
    let letters = |arguments: &[&str]| {
        let all: Vec<&str> = ["dead-letters", "list"].iter().chain(arguments).copied().collect();
        let output = sortie(home.path(), &all);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        document(&output)["deadLetters"].as_array().unwrap().clone()
    };
    let all = letters(&[]);
    assert_eq!(all.len(), 6);
    let letter = &letters(&["--sink", "soar"])[0];
    assert_eq!((letter["sink"].as_str(), letter["reason"].as_str()), (Some("soar"), Some("answered 400")));
    assert_eq!((letter["at"].as_str(), letter["attempts"].as_u64()), (Some("2026-03-10T12:01:00Z"), Some(1)));
    assert_eq!(letter["record"]["type"], "incident.created");
    let table = sortie(home.path(), &["dead-letters", "list", "-o", "table"]);
    assert!(String::from_utf8_lossy(&table.stdout).starts_with("NUMBER"));

    let number = letter["number"].to_string();
    let retried = sortie(home.path(), &["dead-letters", "retry", &number]);
    assert_eq!(document(&retried), json!({"retried": 1, "stayed": 0, "warnings": []}));
    assert_eq!(letters(&["--sink", "soar"]).len(), 2);
    assert_eq!(running.due("soar", 0, 10, 1 << 20).unwrap().len(), 1, "it waits for its sink again");
    let gone = sortie(home.path(), &["dead-letters", "retry", &number]);
    assert_eq!((gone.status.code(), document(&gone)["error"]["kind"].as_str()), (Some(1), Some("not_found")));

    assert_eq!(document(&sortie(home.path(), &["dead-letters", "drop", "--sink", "mail"])), json!({"dropped": 3}));
    assert_eq!(
        document(&sortie(home.path(), &["dead-letters", "retry", "--all"])),
        json!({"retried": 2, "stayed": 0, "warnings": []})
    );
    assert_eq!(document(&sortie(home.path(), &["dead-letters", "drop", "--all"])), json!({"dropped": 0}));
    assert_eq!(letters(&[]), [json!(null); 0]);
}

#[test]
fn letters_of_a_sink_that_is_gone_stay_and_are_told_of() {
    let home = home();
    let (running, fence) = store(home.path());
    running.set_sinks(&["soar".to_owned()], 1_773_144_100, fence).unwrap();
    let retry = |arguments: &[&str]| {
        let all: Vec<&str> = ["dead-letters", "retry"].iter().chain(arguments).copied().collect();
        let output = sortie(home.path(), &all);
        (output.status.code(), document(&output))
    };
    let (code, nothing) = retry(&["--sink", "mail"]);
    assert_eq!((code, nothing["error"]["kind"].as_str()), (Some(1), Some("conflict")), "{nothing}");
    assert!(nothing["error"]["message"].as_str().unwrap().contains("3 stayed"), "{nothing}");
    assert!(nothing["error"]["hint"].as_str().unwrap().contains("configure the sink"), "{nothing}");
    let (code, some) = retry(&["--all"]);
    assert_eq!((code, some["retried"].as_u64(), some["stayed"].as_u64()), (Some(0), Some(3), Some(3)), "{some}");
    assert!(some["warnings"][0].as_str().unwrap().contains("no sink mail"), "{some}");
    assert_eq!(retry(&["--sink", "soar"]), (Some(0), json!({"retried": 0, "stayed": 0, "warnings": []})));
    for verb in ["list", "retry", "drop"] {
        let output = sortie(home.path(), &["dead-letters", verb, "--sink", "nosuch"]);
        let error = &document(&output)["error"];
        assert_eq!((output.status.code(), error["kind"].as_str()), (Some(1), Some("not_found")), "{verb}: {error}");
        assert_eq!(error["hint"], "known are mail, soar", "{verb}");
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let home = home();
    for (arguments, code, kind) in [
        (&["history"][..], 74, "store_unusable"),
        (&["dead-letters", "list"], 74, "store_unusable"),
        (&["dead-letters", "retry"], 2, "usage"),
        (&["dead-letters", "drop"], 2, "usage"),
        (&["history", "--sandbox"], 2, "usage"),
        (&["history", "--profile", "nobody"], 78, "configuration"),
    ] {
        let output = sortie(home.path(), arguments);
        let error = &document(&output)["error"];
        assert_eq!((output.status.code(), error["kind"].as_str()), (Some(code), Some(kind)), "{arguments:?}: {error}");
        assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{error}");
    }
    assert!(!home.path().join("state").exists(), "looking makes nothing");
    std::fs::create_dir(home.path().join("state")).unwrap();
    std::fs::write(home.path().join("state/contoso.db"), "no store at all, but some text").unwrap();
    assert_eq!(sortie(home.path(), &["history"]).status.code(), Some(74));
}

/// Without its action there is no daemon; what is wrong with the command line or the profile is said all the same.
#[test]
fn a_daemon_that_cannot_begin_says_why_and_prints_nothing() {
    let home = home();
    for (arguments, code) in [
        (&["daemon", "--rate", "5"][..], 2),
        (&["daemon", "--interval", "soon"], 2),
        (&["daemon", "--interval", "-5s"], 2),
        (&["daemon", "--sandbox", "--rate", "-1"], 2),
        (&["daemon", "--sink", "smtp:x"], 2),
        (&["daemon", "--listen", "0.0.0.0:9180"], 2),
        (&["daemon", "--output", "json"], 2),
        (&["daemon", "--profile", "nobody"], 78),
        (&["daemon", "--actions-dir", "/nonexistent"], 78),
    ] {
        let output = sortie(home.path(), arguments);
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(code), &b""[..]), "{arguments:?}: {words}");
        assert!(words.starts_with("error: "), "{arguments:?}: {words}");
    }
    let help = sortie(home.path(), &["daemon", "--help", "--actions-dir", "/nonexistent"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).contains("--once"), "help needs no action");
}

/// What the README shows of a daemon's profile is understood.
#[test]
fn the_profile_of_the_readme_is_understood() {
    let home = home();
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    let shown = readme.split("```toml\n").find(|block| block.starts_with("[profile.contoso.daemon]")).unwrap();
    let text =
        format!("[profile.contoso]\ntenant = \"contoso.onmicrosoft.com\"\n{}", shown.split("```").next().unwrap());
    let file = home.path().join("readme.toml");
    std::fs::write(&file, text).unwrap();
    let output = sortie(home.path(), &["config", "show", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let settings = document(&output)["settings"].clone();
    let named = |name: &str| settings.as_array().unwrap().iter().any(|setting| setting["name"] == name);
    assert!(named("daemon.sinks.soar.signing_keys") && named("daemon.filters.severity"), "{settings}");
}
