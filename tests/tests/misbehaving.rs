//! Libraries that misbehave: each is survived, and the error names the file, what was wanted and what was found.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use sortie_tests::{World, libraries};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

struct Folder {
    world: World,
    actions: PathBuf,
}

impl Folder {
    fn new() -> Self {
        let world = World::small();
        let actions = world.folder().join("actions");
        fs::create_dir(&actions).unwrap();
        Self { world, actions }
    }

    fn with(action: &str) -> Self {
        let folder = Self::new();
        libraries::misbehaving(action, &folder.actions);
        folder
    }

    fn run(&self, action: &str, more: &[&str]) -> sortie_tests::Output {
        let mut arguments = vec!["run", action, "--actions-dir", self.actions.to_str().unwrap()];
        arguments.extend(more);
        self.world.sortie(arguments).input("{}").output()
    }
}

/// Runs the library of a name and asserts kind, exit code and what the message must name.
fn assert_survived(action: &str, code: i32, kind: &str, names: &[&str]) {
    let error = Folder::with(action).run(action, &[]).failure(code);
    assert_eq!(error["kind"], kind, "{error:#}");
    let message = error["message"].as_str().unwrap();
    for name in names {
        assert!(message.contains(name), "{action}: `{name}` in `{message}`");
    }
}

#[test]
fn a_library_without_the_symbol_is_refused() {
    assert_survived("missing-symbol", 78, "incompatible_action", &["action_missing_symbol", "sortie_action_v1"]);
}

#[test]
fn a_null_table_is_refused() {
    assert_survived("null-table", 78, "incompatible_action", &["action_null_table", "null"]);
}

#[test]
fn a_wrong_magic_is_refused() {
    assert_survived("wrong-magic", 78, "incompatible_action", &["action_wrong_magic", "0x0000000000001234"]);
}

#[test]
fn a_newer_major_version_is_refused() {
    assert_survived("newer-major", 78, "incompatible_action", &["action_newer_major", "version 1", "found 2"]);
}

#[test]
fn a_short_table_is_refused() {
    assert_survived("short-table", 78, "incompatible_action", &["action_short_table", "found 24"]);
}

#[test]
fn a_manifest_that_is_not_json_is_refused() {
    assert_survived("bad-manifest", 78, "incompatible_action", &["action_bad_manifest"]);
}

#[test]
fn a_panic_while_describing_is_an_error() {
    let output = Folder::with("panics-in-describe").run("panics-in-describe", &[]);
    assert!(output.code != 0 && output.json()["error"]["kind"].is_string(), "{output:?}");
}

#[test]
fn a_panic_while_running_is_an_error_and_prints_nothing() {
    let output = Folder::with("panics-in-invoke").run("panics-in-invoke", &["--log-level", "off"]);
    let error = output.failure(1);
    assert_eq!(error["kind"], "panic");
    assert!(error["message"].as_str().unwrap().contains("panics_in_invoke.rs"), "{error}");
    assert_eq!(output.stderr, "");
}

#[test]
fn a_reply_that_is_not_utf8_is_an_error() {
    assert_survived("bad-utf8", 1, "bad_reply", &["UTF-8"]);
}

#[test]
fn a_reply_that_is_not_json_is_an_error() {
    assert_survived("not-json", 1, "bad_reply", &["JSON"]);
}

#[test]
fn a_reply_of_a_gigabyte_is_cut_off() {
    assert_survived("huge-reply", 1, "bad_reply", &["67108864 bytes"]);
}

#[test]
fn a_library_that_hangs_ends_with_its_deadline() {
    let begun = Instant::now();
    let error = Folder::with("hangs").run("hangs", &["--timeout", "1s"]).failure(1);
    assert_eq!(error["kind"], "hung");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn emitting_without_end_ends_with_the_deadline() {
    let output = Folder::with("endless-emits").run("endless-emits", &["--timeout", "1s"]);
    assert_eq!(output.code, 75, "{}", output.stderr);
    let document = output.json();
    assert_eq!(document["error"]["kind"], "timeout");
    assert!(!document["records"].as_array().unwrap().is_empty());
}

#[test]
fn emitting_without_end_stops_when_nobody_reads() {
    let folder = Folder::with("endless-emits");
    let run =
        folder.world.sortie(["run", "endless-emits", "--actions-dir", folder.actions.to_str().unwrap()]).input("{}");
    let mut child = run.spawn();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    assert!(status.code().is_some(), "it ended by a signal: {status}");
}

#[test]
fn an_undeclared_call_is_refused_and_nothing_is_sent() {
    let folder = Folder::with("undeclared-call");
    let error = folder.run("undeclared-call", &[]).failure(1);
    assert_eq!(error["kind"], "undeclared_call");
    assert!(error["message"].as_str().unwrap().contains("graph.users.list"));
    assert_eq!(folder.world.sandbox.control().records().len(), 0);
}

#[test]
fn a_file_that_is_no_library_is_refused() {
    let folder = Folder::new();
    fs::write(folder.actions.join(libraries::file_name("text")), "not a library").unwrap();
    let error = folder.run("text", &[]).failure(78);
    assert_eq!(error["kind"], "incompatible_action");
}

#[test]
fn one_bad_library_does_not_hide_the_others() {
    let folder = Folder::with("wrong-magic");
    fs::copy(libraries::library("get-incident"), folder.actions.join(libraries::file_name("get-incident"))).unwrap();
    let listed = folder
        .world
        .sortie(["actions", "--output", "json", "--actions-dir", folder.actions.to_str().unwrap()])
        .output();
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    assert!(listed.stdout.contains("get-incident") && listed.stdout.contains("wrong-magic"), "{}", listed.stdout);
}

mod trust {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// Runs a library whose constructor leaves a mark, and asserts that it was refused before it was opened.
    fn assert_never_opened(folder: &Folder) {
        let mark = folder.world.folder().join("mark");
        let output = folder
            .world
            .sortie(["run", "marks-its-loading", "--actions-dir", folder.actions.to_str().unwrap()])
            .environment("SORTIE_TEST_MARK", &mark)
            .input("{}")
            .output();
        let error = output.failure(78);
        assert_eq!(error["kind"], "untrusted_action", "{error:#}");
        assert!(!mark.exists(), "the library's constructor ran");
    }

    #[test]
    fn the_mark_shows_that_a_library_was_opened() {
        let folder = Folder::with("marks-its-loading");
        let mark = folder.world.folder().join("mark");
        folder
            .world
            .sortie(["run", "marks-its-loading", "--actions-dir", folder.actions.to_str().unwrap()])
            .environment("SORTIE_TEST_MARK", &mark)
            .input("{}")
            .output()
            .failure(78);
        assert!(mark.exists());
    }

    #[test]
    fn a_library_that_others_may_write_is_never_opened() {
        let folder = Folder::with("marks-its-loading");
        let library = folder.actions.join(libraries::file_name("marks-its-loading"));
        fs::set_permissions(&library, fs::Permissions::from_mode(0o777)).unwrap();
        assert_never_opened(&folder);
    }

    #[test]
    fn a_library_in_a_folder_that_others_may_write_is_never_opened() {
        let folder = Folder::with("marks-its-loading");
        fs::set_permissions(&folder.actions, fs::Permissions::from_mode(0o777)).unwrap();
        assert_never_opened(&folder);
    }

    #[test]
    fn a_link_to_a_library_is_never_opened() {
        let folder = Folder::new();
        let elsewhere = folder.world.folder().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let library = libraries::misbehaving("marks-its-loading", &elsewhere);
        symlink(library, folder.actions.join(libraries::file_name("marks-its-loading"))).unwrap();
        assert_never_opened(&folder);
    }

    #[test]
    fn a_library_changed_after_the_lock_is_never_opened() {
        let folder = Folder::with("marks-its-loading");
        let directory = folder.actions.to_str().unwrap();
        let locked = folder.world.sortie(["actions", "lock", "--actions-dir", directory]).output();
        assert_eq!(locked.code, 0, "{}", locked.stderr);
        let library = folder.actions.join(libraries::file_name("marks-its-loading"));
        let mut bytes = fs::read(&library).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&library, bytes).unwrap();
        assert_never_opened(&folder);
    }

    #[test]
    fn a_library_that_the_lock_does_not_name_is_never_opened() {
        let folder = Folder::new();
        fs::copy(libraries::library("get-incident"), folder.actions.join(libraries::file_name("get-incident")))
            .unwrap();
        let directory = folder.actions.to_str().unwrap();
        assert_eq!(folder.world.sortie(["actions", "lock", "--actions-dir", directory]).output().code, 0);
        libraries::misbehaving("marks-its-loading", &folder.actions);
        assert_never_opened(&folder);
    }
}

/// The boundary needs nothing of Rust: an action in C, from the header alone, requests and emits.
#[test]
fn an_action_in_c_runs() {
    let folder = Folder::new();
    let library = folder.actions.join(libraries::file_name("list-incident-ids"));
    let compiled = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-I"])
        .arg(sortie_tests::root().join("crates/abi/include"))
        .arg("-o")
        .arg(&library)
        .arg(sortie_tests::root().join("tests/c/list_incident_ids.c"))
        .status()
        .expect("a C compiler");
    assert!(compiled.success());
    let document = folder.run("list-incident-ids", &[]).success();
    assert_eq!(document["records"].as_array().unwrap().len(), 5, "{document:#}");
    assert!(document["bytes"].as_u64().unwrap() > 0);
}
