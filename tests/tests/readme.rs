//! The README is the front door: what it says is done here.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use serde_json::Value;
use sortie_tests::{World, root};
use std::fs;
use std::path::Path;
use std::process::Command;

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// The fenced blocks of a language, in order.
fn blocks(language: &str) -> Vec<String> {
    let text = readme();
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == format!("```{language}") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(block.join("\n") + "\n");
        }
    }
    blocks
}

/// Every command of the README works as it stands, for somebody who has only just arrived.
#[test]
fn every_command_of_the_readme_works() {
    let world = World::small();
    let path = sortie_tests::built();
    let mut commands = 0;
    for line in blocks("console").iter().flat_map(|block| block.lines()) {
        let Some(command) = line.strip_prefix("$ ") else { continue };
        let output = Command::new("sh")
            .args(["-c", command])
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", path.display()))
            .env("HOME", world.folder())
            .env("XDG_CONFIG_HOME", world.folder().join("nothing"))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{command}: {}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(!output.stdout.is_empty(), "{command} prints nothing");
        commands += 1;
    }
    assert!(commands >= 8, "{commands} commands");
}

#[test]
fn the_first_command_of_the_readme_runs_the_main_job() {
    let world = World::small();
    let output = world.sortie(["try"]).output();
    assert_eq!(output.code, 0, "{}\n{}", output.stdout, output.stderr);
    for step in [
        "search-incidents",
        "get-incident",
        "update-incident",
        "isolate-machine",
        "release-machine",
        "incidents-daemon",
    ] {
        assert!(output.stdout.contains(step), "{step} in:\n{}", output.stdout);
    }
}

#[test]
fn every_setting_of_the_sample_profile_is_understood() {
    let world = World::small();
    let sample = blocks("toml").into_iter().find(|block| block.contains("default_profile")).unwrap();
    let config = world.folder().join("sample.toml");
    fs::write(&config, sample).unwrap();
    let output = world.sortie(["config", "show", "--output", "json", "--config", config.to_str().unwrap()]).output();
    assert_eq!(output.code, 0, "{}\n{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("Contoso production"), "{}", output.stdout);
}

#[test]
fn every_action_stands_in_the_table() {
    let text = readme();
    for action in sortie_tests::actions() {
        assert!(text.contains(&format!("[{action}](actions/{action}/README.md)")), "{action} is not in the README");
    }
}

/// The action that the README shows is built as a reader would build it, and runs.
#[test]
fn the_action_of_the_readme_builds_and_runs() {
    let world = World::small();
    let source = blocks("rust").into_iter().next().unwrap();
    let manifest = blocks("toml").into_iter().find(|block| block.contains("action-get-alert")).unwrap();
    assert!(source.lines().count() < 80, "{} lines", source.lines().count());

    // A workspace of its own with this one's crates, so that nothing here is touched.
    let workspace = world.folder().join("workspace");
    let action = workspace.join("actions/get-alert");
    fs::create_dir_all(action.join("src")).unwrap();
    fs::write(action.join("src/lib.rs"), source).unwrap();
    fs::write(action.join("Cargo.toml"), manifest).unwrap();
    let whole = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = "members = [\"crates/*\", \"actions/*\", \"tests\"]";
    assert!(whole.contains(members));
    let whole = whole.replace(
        members,
        "members = [\"actions/*\", \"crates/sdk\", \"crates/defender\", \"crates/auth\", \"crates/abi\"]",
    );
    fs::write(workspace.join("Cargo.toml"), whole).unwrap();
    fs::copy(root().join("Cargo.lock"), workspace.join("Cargo.lock")).unwrap();
    copy(&root().join("crates"), &workspace.join("crates"), &["sdk", "defender", "auth", "abi"]);

    let target = sortie_tests::built().join("readme-action");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--quiet", "-p", "action-get-alert", "--target-dir"])
        .arg(&target)
        .current_dir(&workspace)
        .status()
        .unwrap();
    assert!(built.success());

    let folder = target.join("debug");
    let found = world.run("search-incidents", &serde_json::json!({"limit": 1, "alerts": true})).success();
    let alert: &Value = &found["records"][0]["alerts"][0]["id"];
    let output = world
        .sortie(["run", "get-alert", "--alert-id", alert.as_str().unwrap(), "--actions-dir", folder.to_str().unwrap()])
        .output();
    assert_eq!(&output.success()["alert"]["id"], alert);
}

fn copy(from: &Path, to: &Path, crates: &[&str]) {
    let mut folders: Vec<_> = crates.iter().map(|name| (from.join(name), to.join(name))).collect();
    while let Some((from, to)) = folders.pop() {
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let target = to.join(path.file_name().unwrap());
            if path.is_dir() {
                folders.push((path, target));
            } else {
                fs::copy(&path, &target).unwrap();
            }
        }
    }
}
