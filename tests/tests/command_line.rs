//! The command line, word for word: command, exit code, stdout and stderr of each, recorded under `golden/`.
//!
//! `SORTIE_BLESS=1 cargo test -p sortie-tests --test command_line` records them anew; read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use sortie_sandbox::Config;
use sortie_tests::{World, golden, root};
use std::fmt::Write as _;

/// A recorded command: the name of its file, its arguments and its stdin.
const COMMANDS: &[(&str, &[&str], &str)] = &[
    ("help", &["--help"], ""),
    ("help-run", &["run", "--help"], ""),
    ("help-exit-codes", &["help", "exit-codes"], ""),
    ("no-verb", &[], ""),
    ("unknown-verb", &["isolate"], ""),
    ("unknown-flag", &["run", "get-incident", "--colour", "red"], "{}"),
    ("unknown-action", &["run", "get-incidents"], "{}"),
    ("run-help-of-an-action", &["run", "isolate-machine", "--help"], ""),
    ("run-get-incident", &["run", "get-incident"], r#"{"incidentId": "1001", "alerts": false}"#),
    ("run-with-flags", &["run", "get-incident", "--incident-id", "1001", "--alerts=false", "--output", "yaml"], ""),
    (
        "run-a-query",
        &["run", "get-incident", "--incident-id", "1001", "--query", "[.incident.id, (.incident.alerts | length)]"],
        "",
    ),
    ("run-a-bad-query", &["run", "get-incident", "--incident-id", "1001", "--query", ".incident["], ""),
    ("run-a-table", &["run", "search-incidents", "--limit", "8", "--output", "table"], ""),
    ("run-refused", &["run", "get-incident"], r#"{"incidentId": "../machines", "colour": "red"}"#),
    ("run-refused-table", &["run", "get-incident", "--incident-id", "x", "--output", "table"], ""),
    ("run-nothing", &["run", "get-incident"], ""),
    ("run-not-found", &["run", "get-incident", "--incident-id", "987654"], ""),
    (
        "run-each",
        &["run", "get-incident", "--each", "--query", ".incident.id // .error.kind"],
        "{\"incidentId\":\"1001\"}\n\n{\"incidentId\":\"x\"}\n{\"incidentId\":\"1002\"}\n",
    ),
    (
        "run-dry",
        &["run", "isolate-machine", "--dry-run", "--request-id", "golden", "--comment", "why", "--machine", "MACHINE"],
        "",
    ),
    ("run-with-an-odd-timeout", &["run", "get-incident", "--timeout", "soon"], "{}"),
    ("actions", &["actions", "--output", "table"], ""),
    ("actions-json", &["actions", "--output", "jsonl", "--query", ".name"], ""),
    ("describe", &["describe", "release-machine", "--output", "table"], ""),
    ("describe-unknown", &["describe", "nothing"], ""),
    ("check", &["check", "--output", "table"], ""),
    ("config-show", &["config", "show"], ""),
    ("daemon-help", &["daemon", "--help"], ""),
    (
        "daemon-show-config",
        &["daemon", "--show-config", "--severity", "high", "--sink", "file:/var/log/incidents.jsonl"],
        "",
    ),
    ("daemon-refused", &["daemon", "--severity", "grave", "--cursor", "x"], ""),
    ("daemon-a-bad-sink", &["daemon", "--sink", "http://soar.contoso.com/hook"], ""),
    ("history-without-a-store", &["history"], ""),
    ("daemon-once", &["daemon", "--once", "--no-alerts", "--look-back", "366 days", "--title-exclude", "^[^S]"], ""),
    (
        "daemon-once-again",
        &["daemon", "--once", "--no-alerts", "--look-back", "366 days", "--title-exclude", "^[^S]"],
        "",
    ),
    ("dead-letters", &["dead-letters", "list"], ""),
    ("dead-letters-retry", &["dead-letters", "retry", "7"], ""),
    ("auth-logout", &["auth", "logout"], ""),
    ("completion", &["completion", "tcsh"], ""),
];

#[test]
fn commands_say_what_they_said() {
    // A tenant whose times do not move, so that tables keep their widths.
    let clock = Some("2026-03-10T12:00:00Z".parse().unwrap());
    let world = World::new(Config { incidents: 30, machines: 12, clock, ..Config::default() });
    let machine = world.sandbox.control().machines()[6].id.clone();
    for (name, arguments, input) in COMMANDS {
        let arguments: Vec<String> = arguments.iter().map(|argument| argument.replace("MACHINE", &machine)).collect();
        let output = world.sortie(arguments.clone()).input(*input).output();
        let mut text = String::new();
        let _ = writeln!(text, "$ sortie {}", arguments.join(" "));
        for line in input.lines() {
            let _ = writeln!(text, "< {line}");
        }
        let _ = write!(
            text,
            "exit {}\n--- stdout\n{}--- stderr\n{}",
            output.code,
            closed(&output.stdout),
            closed(&output.stderr)
        );
        golden::assert_file(&root().join("tests/golden").join(format!("{name}.txt")), &steady(&world, &text));
    }
}

fn closed(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.into() } else { format!("{text}\n(no line end)\n") }
}

/// The text without what differs from run to run: ports, folders, ids made by chance, times of the tenant, and how long
/// something took.
fn steady(world: &World, text: &str) -> String {
    let text = text
        .replace(world.sandbox.origin(), "ORIGIN")
        .replace(&world.folder().display().to_string(), "HOME")
        .replace(&sortie_tests::built().display().to_string(), "BUILT");
    let mut steady = String::new();
    let mut rest = text.as_str();
    while let Some(character) = rest.chars().next() {
        let (shown, length) = match (guid(rest), time(rest), span(rest)) {
            (Some(length), ..) => ("GUID", length),
            (_, Some(length), _) => ("TIME", length),
            (.., Some(length)) => ("N ms", length),
            _ => (&rest[..character.len_utf8()], character.len_utf8()),
        };
        steady.push_str(shown);
        rest = &rest[length..];
    }
    steady
}

/// The length of a GUID at the start of a text.
fn guid(text: &str) -> Option<usize> {
    let bytes = text.as_bytes().get(..36)?;
    let fits = bytes.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    fits.then_some(36)
}

/// The length of a time at the start of a text.
fn time(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let form = b"dddd-dd-ddTdd:dd:dd";
    let fits = bytes.len() > form.len()
        && form
            .iter()
            .zip(bytes)
            .all(|(wanted, byte)| if *wanted == b'd' { byte.is_ascii_digit() } else { wanted == byte });
    let end = bytes.iter().skip(form.len()).position(|byte| *byte == b'Z')?;
    (fits && end <= 10).then_some(form.len() + end + 1)
}

/// The length of a number of milliseconds at the start of a text.
fn span(text: &str) -> Option<usize> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0 && text[digits..].starts_with(" ms")).then_some(digits + 3)
}
