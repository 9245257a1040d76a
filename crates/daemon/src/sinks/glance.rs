//! A record as one short line for a person: when, what became of what, and what changed.
//!
//! `2026-03-10T12:00:00Z  incident.updated  1001  high  Suspicious sign-in  active  (status, alertIds)`
//!
//! Of the item itself it shows the members that most of Microsoft's resources have, where they are there. Titles are
//! written by attackers, too: every text comes through [`escape::visible`].

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use sortie_host::escape;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The members of a record that are the same for every resource.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    r#type: String,
    id: Option<String>,
    time: Option<String>,
    #[serde(default)]
    changes: BTreeMap<String, IgnoredAny>,
    merged_into: Option<String>,
    quarantine: Option<String>,
}

/// What is shown of the item, if it has it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    severity: Option<Value>,
    display_name: Option<Value>,
    title: Option<Value>,
    status: Option<Value>,
}

/// The line, with its end.
pub(super) fn line(record: &str) -> String {
    // Written by the daemon, so it can be read; if not, it is shown as it is.
    let text = read(record).unwrap_or_else(|| record.to_owned());
    let mut line = escape::visible(&text).into_owned();
    line.push('\n');
    line
}

fn read(record: &str) -> Option<String> {
    let head: Head = serde_json::from_str(record).ok()?;
    let resource = head.r#type.split('.').next().unwrap_or_default();
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(record).ok()?;
    let body: Body = members.get(resource).and_then(|body| serde_json::from_str(body.get()).ok()).unwrap_or_default();
    let mut line = head.time.as_deref().map_or_else(|| "-".to_owned(), seconds);
    let named =
        [&body.severity, if body.display_name.is_some() { &body.display_name } else { &body.title }, &body.status];
    let texts = [Some(head.r#type.as_str()), Some(head.id.as_deref().unwrap_or("without an id"))];
    for text in texts.into_iter().chain(named.into_iter().map(|value| value.as_ref().and_then(Value::as_str))).flatten()
    {
        line.push_str("  ");
        line.push_str(text);
    }
    if !head.changes.is_empty() {
        let names: Vec<&str> = head.changes.keys().map(String::as_str).collect();
        // Writing to a String cannot fail.
        let _ = write!(line, "  ({})", names.join(", "));
    }
    for (what, value) in [("merged into", head.merged_into), ("could not be read whole:", head.quarantine)] {
        if let Some(value) = value {
            let _ = write!(line, "  {what} {value}");
        }
    }
    Some(line)
}

/// A time to the second, in UTC as the service says it; what is no time stays as it is.
fn seconds(time: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_person_sees_what_became_of_what() {
        let record = json!({"type": "incident.updated", "idempotencyKey": "t/1001/f", "tenant": "t", "id": "1001",
            "time": "2026-03-10T12:00:00.1234567Z", "mergedInto": null, "quarantine": null,
            "changes": {"status": {"from": "active", "to": "resolved"}, "alertIds": {"added": ["x"], "removed": []}},
            "incident": {"id": "1001", "displayName": "Sign-in", "severity": "high", "status": "resolved", "alerts": [{"title": "no"}]}});
        let shown = "2026-03-10T12:00:00Z  incident.updated  1001  high  Sign-in  resolved  (alertIds, status)\n";
        assert_eq!(line(&record.to_string()), shown);
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        let record = json!({"type": "machine.merged", "id": null, "time": "soon", "changes": {}, "mergedInto": "9",
            "quarantine": "no alerts", "machine": {"title": "t", "severity": 7}});
        assert_eq!(
            line(&record.to_string()),
            "soon  machine.merged  without an id  t  merged into 9  could not be read whole: no alerts\n"
        );
        let record = json!({"type": "alert.created", "id": "1", "changes": {}, "alert": null});
        assert_eq!(line(&record.to_string()), "-  alert.created  1\n");
        assert_eq!(line("torn {\n"), "torn {\\n\n");
    }

    proptest! {
        #[test]
        fn no_text_moves_the_cursor_or_turns_the_line_round(title in any::<String>(), id in any::<String>(), member in any::<String>()) {
            let record = json!({"type": "incident.created", "id": id, "time": title, "changes": {member: 1}, "mergedInto": title,
                "quarantine": title, "incident": {"displayName": title, "severity": title, "status": title}});
            let shown = line(&record.to_string());
            let shown = shown.strip_suffix('\n').unwrap();
            prop_assert!(!shown.chars().any(escape::deceives), "{shown:?}");
        }
    }
}
