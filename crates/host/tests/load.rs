//! From a name to an open library: found, trusted, locked, described, or refused with a reason.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails the test")]

mod support;

use serde_json::json;
use sortie_host::catalog::{Catalog, library_file_name};
use sortie_host::config::{ConfigText, Environment, Overrides, resolve};
use sortie_host::{Failure, Host};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

fn host(folder: &Path) -> Host {
    let config_text = Some(ConfigText { name: "test".to_owned(), text: String::new() });
    let overrides = Overrides { actions_dir: Some(folder.to_owned()), config_text, ..Overrides::default() };
    Host::new(resolve(&overrides, &Environment::empty()).unwrap().profile)
}

fn refusal(folder: &Path, name: &str) -> Failure {
    host(folder).load(name).unwrap_err()
}

#[test]
fn an_action_is_found_described_and_kept_open() {
    let folder = support::folder(&["probe"]);
    let host = host(folder.path());
    assert_eq!(host.names().unwrap(), ["probe"]);
    let action = host.load("probe").unwrap();
    assert_eq!((action.name(), action.abi()), ("probe", (1, 0)));
    assert_eq!(action.manifest().calls.len(), 4);
    assert_eq!(action.path(), folder.path().join(library_file_name("probe").unwrap()));
    assert_eq!(action.input_schema().unwrap()["required"], json!(["do"]));
    assert!(Arc::ptr_eq(&action, &host.load("probe").unwrap()));
    assert!(format!("{action:?}").contains("0.1.0"));
}

#[test]
fn a_name_that_is_not_there_is_answered_with_the_nearest() {
    let folder = support::folder(&["probe"]);
    for name in ["prove", "../probe", "", "PROBE", "probe\0"] {
        assert_eq!(refusal(folder.path(), name).kind, "action_not_found", "{name:?}");
    }
    assert_eq!(refusal(folder.path(), "prob").hint.as_deref(), Some("did you mean `probe`?"));
    assert_eq!(refusal(Path::new("/nowhere"), "probe").kind, "action_not_found");
}

#[test]
fn what_is_no_action_is_refused_naming_the_file() {
    let folder = support::folder(&["other"]);
    let renamed = refusal(folder.path(), "other");
    assert_eq!(renamed.kind, "incompatible_action");
    assert!(renamed.message.contains("wanted the action `other`, found `probe`"), "{renamed}");

    let file = folder.path().join(library_file_name("text").unwrap());
    std::fs::write(&file, "not a library").unwrap();
    let text = refusal(folder.path(), "text");
    assert_eq!(text.kind, "incompatible_action");
    assert!(text.message.contains(file.to_str().unwrap()), "{text}");
}

#[test]
fn trust_comes_before_opening() {
    let folder = support::folder(&["probe"]);
    let file = folder.path().join(library_file_name("probe").unwrap());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o777)).unwrap();
    let failure = refusal(folder.path(), "probe");
    assert_eq!(failure.kind, "untrusted_action");
    assert!(failure.hint.as_deref().unwrap().contains("chmod"), "{failure}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();

    let elsewhere = tempfile::tempdir().unwrap();
    symlink(folder.path(), elsewhere.path().join("actions")).unwrap();
    assert_eq!(refusal(&elsewhere.path().join("actions"), "probe").kind, "untrusted_action");
    assert_eq!(refusal(&elsewhere.path().join("actions/"), "probe").kind, "untrusted_action");
    assert!(host(folder.path()).load("probe").is_ok());
}

#[test]
fn a_lock_accepts_what_it_lists_and_nothing_else() {
    let folder = support::folder(&["probe"]);
    let catalog = Catalog::at(folder.path());
    let accepted = catalog.lock().unwrap();
    assert_eq!((accepted[0].action.as_str(), accepted[0].changed), ("probe", None));
    // Opened through the descriptor that was hashed; two libraries so must not be taken for one.
    let first = host(folder.path()).load("probe").unwrap();
    let again = support::folder(&["probe"]);
    Catalog::at(again.path()).lock().unwrap();
    let second = host(again.path()).load("probe").unwrap();
    assert_ne!(first.path(), second.path());

    let file = folder.path().join(library_file_name("probe").unwrap());
    let mut content = std::fs::read(&file).unwrap();
    let last = content.len() - 1;
    content[last] ^= 1;
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, content).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let failure = refusal(folder.path(), "probe");
    assert_eq!(failure.kind, "untrusted_action");
    assert!(failure.message.contains("SHA-256") && failure.hint.as_deref().unwrap().contains("sortie actions lock"));
}
