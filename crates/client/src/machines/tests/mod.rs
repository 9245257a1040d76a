//! Tests of the machine half: decisions over histories, and look-ups and waits over a scripted host. The course of a
//! whole isolation or release is tested where it is promised, in those actions.

mod documented;
mod history;
mod lookup;
mod wait;

use super::shown;
use serde_json::{Value, json};

/// A machine's id that ends with the given digits.
fn machine_id(last: &str) -> String {
    format!("{last:0>40}")
}

/// A machine action's id that ends with the given digits.
fn action_id(last: u32) -> String {
    format!("5382f7ea-7557-4ab7-9782-{last:012}")
}

/// A machine action on machine `a`, asked for and changed at the given minutes after 2026-03-10T10:00Z.
fn action(last: u32, kind: &str, status: &str, created: u32, updated: u32) -> Value {
    json!({
        "id": action_id(last), "type": kind, "scope": if kind == "Isolate" { json!("Full") } else { Value::Null },
        "requestor": "analyst@contoso.com", "requestorComment": "why", "status": status, "machineId": machine_id("a"),
        "computerDnsName": "ws-042.contoso.com", "creationDateTimeUtc": format!("2026-03-10T10:{created:02}:00.1234567Z"),
        "lastUpdateTimeUtc": format!("2026-03-10T10:{updated:02}:00Z"), "relatedFileInfo": null,
    })
}

#[test]
fn foreign_text_is_one_short_harmless_line() {
    assert_eq!(shown("a\u{1b}[31mb\r\nc\u{202e}d"), "a[31mbcd");
    assert_eq!(shown(""), "-");
    assert_eq!(shown(&"é".repeat(200)).chars().count(), 80);
}
