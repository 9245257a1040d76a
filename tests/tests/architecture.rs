//! The house: who may depend on whom, where unsafe code may stand, what every room has.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use cargo_metadata::{Metadata, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The allowed arrows. `actions/*` stands for every action. `bench` and `tests` may depend on anything.
const ARROWS: &[(&str, &[&str])] = &[
    ("abi", &[]),
    ("auth", &[]),
    ("http", &[]),
    ("sandbox", &[]),
    ("store", &[]),
    ("defender", &["auth"]),
    ("sdk", &["abi", "auth"]),
    ("client", &["sdk", "auth", "defender"]),
    ("actions/*", &["client", "sdk", "auth", "defender"]),
    ("entra", &["auth", "http"]),
    ("host", &["abi", "auth", "http", "entra"]),
    ("daemon", &["host", "store"]),
    ("cli", &["host", "daemon", "store", "sandbox"]),
];

/// The folders of which every crate is free to use any other, and which nothing uses.
const OUTSIDE: &[&str] = &["bench", "tests"];

/// The files in which `unsafe` may stand: the boundary, the export macro, the loader, and libraries that
/// misbehave for the tests.
const UNSAFE: &[&str] = &[
    "crates/abi/src/",
    "crates/sdk/src/export.rs",
    "crates/host/src/loader.rs",
    "crates/host/examples/",
    "tests/misbehaving/",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap()
}

/// The folder of a package below the workspace: `abi`, `actions/get-incident`, `tests`.
fn room(manifest: &Path) -> String {
    let folder = manifest.parent().unwrap().strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    folder.strip_prefix("crates/").map(str::to_owned).unwrap_or(folder)
}

#[test]
fn only_the_allowed_arrows_exist() {
    let metadata = metadata();
    let rooms: BTreeMap<&str, String> = metadata
        .packages
        .iter()
        .map(|package| (package.name.as_str(), room(package.manifest_path.as_std_path())))
        .collect();
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let from = &rooms[package.name.as_str()];
        if OUTSIDE.contains(&from.as_str()) {
            continue;
        }
        let rule = if from.starts_with("actions/") { "actions/*" } else { from };
        let allowed = ARROWS.iter().find(|(name, _)| *name == rule).map(|(_, to)| *to);
        let Some(allowed) = allowed else {
            wrong.push(format!("{from} is a room that the house does not have"));
            continue;
        };
        for dependency in &package.dependencies {
            if let Some(to) = rooms.get(dependency.name.as_str())
                && !allowed.contains(&to.as_str())
            {
                wrong.push(format!("{from} -> {to} ({:?})", dependency.kind));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that are not allowed:\n{}", wrong.join("\n"));
}

#[test]
fn an_action_is_named_once() {
    for package in &metadata().packages {
        let room = room(package.manifest_path.as_std_path());
        let Some(name) = room.strip_prefix("actions/") else { continue };
        assert_eq!(package.name.as_str(), format!("action-{name}"), "the package in {room}");
        let library = package
            .targets
            .iter()
            .find(|target| target.is_cdylib())
            .unwrap_or_else(|| panic!("{room} builds a cdylib"));
        assert_eq!(library.name, format!("action_{}", name.replace('-', "_")), "the library of {room}");
        assert!(
            root().join("schemas").join(name).is_dir(),
            "schemas/{name} is missing: run the schema test with SORTIE_BLESS=1"
        );
    }
}

/// `cargo test` alone leaves the libraries where they are: a test of a stale one would prove nothing.
#[test]
fn every_library_is_as_fresh_as_its_sources() {
    for action in sortie_tests::actions() {
        let library = sortie_tests::libraries::library(&action);
        let built = modified(&library);
        // What cargo noted beside it: the library's path, a colon, and every source it was made of.
        let sources = fs::read_to_string(library.with_extension("d")).unwrap();
        for source in sources.split_once(": ").unwrap().1.split_whitespace() {
            let path = Path::new(source);
            let fresh = !path.exists() || modified(path) <= built;
            assert!(fresh, "{source} is newer than {action}'s library: run `cargo build --workspace` before the tests");
        }
    }
}

fn modified(path: &Path) -> SystemTime {
    let metadata = fs::metadata(path).unwrap_or_else(|problem| {
        panic!("{}: {problem}; run `cargo build --workspace` before the tests", path.display())
    });
    metadata.modified().unwrap()
}

#[test]
fn every_crate_has_a_readme_and_the_lints_of_the_workspace() {
    for package in &metadata().packages {
        let folder = package.manifest_path.as_std_path().parent().unwrap();
        let readme = fs::read_to_string(folder.join("README.md"))
            .unwrap_or_else(|_| panic!("{} has no README.md", folder.display()));
        assert!(readme.lines().count() > 3, "{}/README.md says next to nothing", folder.display());
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{} has lints of its own", package.manifest_path);
    }
}

#[test]
fn unsafe_code_stands_in_three_places() {
    for file in sources() {
        let text = fs::read_to_string(root().join(&file)).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let uses = code
            .filter(|line| line.contains("unsafe ") || line.contains("unsafe(") || line.contains("allow(unsafe"))
            .count();
        let allowed = UNSAFE.iter().any(|place| file.starts_with(place)) || file == "tests/tests/architecture.rs";
        assert!(uses == 0 || allowed, "{file} holds unsafe code");
    }
}

#[test]
fn files_can_be_read_in_one_sitting() {
    for file in sources() {
        let lines = fs::read_to_string(root().join(&file)).unwrap().lines().count();
        assert!(lines <= 600, "{file} has {lines} lines");
    }
}

#[test]
fn the_house_shows_its_rooms_and_nothing_else() {
    let visible: BTreeSet<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    let wanted = ["Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "actions", "crates", "schemas", "tests"];
    assert_eq!(visible, wanted.iter().map(ToString::to_string).collect());
}

/// Every Rust source, by its path below the workspace.
fn sources() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates"), root().join("actions"), root().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found
}
