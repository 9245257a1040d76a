//! What the binary promises without any action: streams, documents, exit codes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The binary with an environment of its own, and an actions folder that is empty.
fn sortie(home: &Path) -> Command {
    let actions = home.join("actions");
    fs::create_dir_all(&actions).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sortie"));
    command
        .env_clear()
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home)
        .env("SORTIE_ACTIONS_DIR", actions)
        .stdin(Stdio::null());
    command
}

fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Output {
    let home = tempfile::tempdir().unwrap();
    sortie(home.path()).args(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The one document on standard output.
fn document(output: &Output) -> Value {
    let text = text(&output.stdout);
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_run_that_cannot_begin_answers_one_document() {
    for (arguments, exit, kind) in [
        (&["run"][..], 2, "usage"),
        (&["run", "get-incident", "--jobs", "2"], 2, "usage"),
        (&["run", "get-incident", "--output", "xml"], 2, "usage"),
        (&["run", "--bogus", "get-incident"], 2, "usage"),
        (&["run", "get-incident", "--query", ".a |"], 2, "usage"),
        (&["run", "get-incident", "--input", "/nonexistent.json"], 2, "usage"),
        (&["run", "get-incident", "--sandbox", "--profile", "x"], 2, "usage"),
        (&["run", "get-incident", "--timeout", "5"], 2, "usage"),
        (&["run", "get-incident"], 78, "action_not_found"),
        (&["run", "../get-incident", "--x", "1"], 78, "action_not_found"),
        (&["run", "get-incident", "--profile", "nobody"], 78, "configuration"),
        (&["run", "get-incident", "--config", "/nonexistent.toml"], 78, "configuration"),
        (&["actions"], 78, "configuration"),
        (&["describe", "get-incident"], 78, "action_not_found"),
        (&["check"], 78, "configuration"),
    ] {
        let output = run(arguments);
        let error = &document(&output)["error"];
        assert_eq!((code(&output), error["kind"].as_str()), (exit, Some(kind)), "{arguments:?}: {error}");
        assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{arguments:?}: {error}");
        assert_eq!(text(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn a_table_leaves_standard_output_empty_and_says_it_in_words() {
    let output = run(&["run", "get-incident", "--output", "table"]);
    assert_eq!((code(&output), text(&output.stdout).as_str()), (78, ""));
    let words = text(&output.stderr);
    assert!(words.starts_with("error: ") && words.contains("hint: ") && words.contains("action_not_found"), "{words}");
    assert!(!words.contains('\u{1b}'), "no colour where nobody looks");
    let each = run(&["run", "get-incident", "--each", "--output", "table"]);
    assert_eq!((code(&each), text(&each.stdout).as_str()), (2, ""));
    let output = run(&["run", "get-incident", "--output", "table", "--color", "always"]);
    assert!(text(&output.stderr).contains('\u{1b}'));
}

#[test]
fn other_mistakes_are_words() {
    for arguments in [&["launch"][..], &[], &["actions", "unlock"], &["sandbox", "--rate", "fast"]] {
        let output = run(arguments);
        assert_eq!((code(&output), text(&output.stdout).as_str()), (2, ""), "{arguments:?}");
        let words = text(&output.stderr);
        assert!(words.contains("Usage") || words.starts_with("error: "), "{arguments:?}: {words}");
    }
}

#[test]
fn the_yaml_of_an_error_is_the_same_document() {
    let yaml = run(&["run", "get-incident", "--output", "yaml"]);
    let json = run(&["run", "get-incident", "--output", "json"]);
    let mut read: Value = serde_norway::from_slice(&yaml.stdout).unwrap();
    let mut wanted = document(&json);
    // The folder is another one each time.
    for document in [&mut read, &mut wanted] {
        document["error"]["message"].take();
    }
    assert_eq!(read, wanted);
}

#[test]
fn a_level_that_is_none_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let output = sortie(home.path()).args(["run", "x"]).env("SORTIE_LOG", "loud").output().unwrap();
    assert_eq!((code(&output), document(&output)["error"]["kind"].as_str()), (2, Some("usage")));
}

#[test]
fn the_exit_codes_are_published() {
    let output = run(&["help", "exit-codes"]);
    assert_eq!(code(&output), 0);
    let page = text(&output.stdout);
    for line in ["  0  done", " 65  input refused", " 75  try again later", "130  interrupted"] {
        assert!(page.contains(line), "{line}");
    }
    assert_eq!(code(&run(&["help", "nonsense"])), 2);
    for verb in [&["help"][..], &["help", "run"], &["help", "config", "show"], &["--help"], &["--version"]] {
        let output = run(verb);
        assert_eq!((code(&output), text(&output.stderr).as_str()), (0, ""), "{verb:?}");
        assert!(!output.stdout.is_empty(), "{verb:?}");
    }
}

#[test]
fn completion_knows_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completion", shell]);
        assert_eq!(code(&output), 0);
        let script = text(&output.stdout);
        assert!(script.contains("isolate") || script.contains("describe"), "{shell}");
    }
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let home = tempfile::tempdir().unwrap();
    let mut child =
        sortie(home.path()).args(["completion", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), text(&output.stderr).as_str()), (0, ""));
}

#[test]
fn configuration_is_shown_with_its_origin_and_without_secrets() {
    let home = tempfile::tempdir().unwrap();
    let output = sortie(home.path())
        .args(["config", "show", "--incidents-api", "defender-xdr"])
        .env("AZURE_TENANT_ID", "contoso.onmicrosoft.com")
        .env("AZURE_CLIENT_ID", "5a4db0c5-0000-4000-8000-00000000ba5e")
        .env("AZURE_CLIENT_SECRET", "canary-2f7a")
        .output()
        .unwrap();
    assert_eq!(code(&output), 0);
    let shown = text(&output.stdout);
    assert!(!shown.contains("canary-2f7a"));
    let settings = document(&output)["settings"].clone();
    let of = |name: &str| {
        let setting = settings.as_array().unwrap().iter().find(|setting| setting["name"] == name);
        setting.map(|setting| setting["origin"].as_str().unwrap().to_owned())
    };
    assert_eq!(of("incidents_api").as_deref(), Some("flag --incidents-api"));
    assert_eq!(of("tenant").as_deref(), Some("environment AZURE_TENANT_ID"));
}

#[test]
fn the_sandbox_prints_a_profile_and_ends_on_a_signal() {
    let home = tempfile::tempdir().unwrap();
    let mut child = sortie(home.path())
        .args(["sandbox", "--incidents", "3", "--machines", "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Everything has been said once the last line of the instructions stands there.
    let mut words = String::new();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    while !words.contains("Ctrl-C") {
        assert!(stderr.read_line(&mut words).unwrap() > 0, "{words}");
    }
    let id = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let mut profile = String::new();
    child.stdout.take().unwrap().read_to_string(&mut profile).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let file = home.path().join("sandbox.toml");
    fs::File::create(&file).unwrap().write_all(profile.as_bytes()).unwrap();
    let output = sortie(home.path()).args(["config", "show", "--config"]).arg(&file).output().unwrap();
    assert_eq!(code(&output), 0, "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("\"sandbox\""));
    assert!(!text(&output.stdout).contains("sandbox-base-secret"));
}
