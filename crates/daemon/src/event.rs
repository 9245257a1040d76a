//! What is delivered: one record in one line, and the summary that the next version is compared with.

use crate::record::Record;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is delivered for the first time.
    Created,
    /// It changed in any other way.
    Updated,
    /// It is resolved now and was not before.
    Resolved,
    /// It was merged into another one.
    Merged,
}

impl Change {
    /// The second part of a record's type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Resolved => "resolved",
            Self::Merged => "merged",
        }
    }
}

/// What is kept of the version last delivered, to compare the next one with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// When the version was last updated; when it was read, where the service's date lay in the future or was none.
    pub time: jiff::Timestamp,
    /// Its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// What it was merged into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<String>,
    /// Its watched members; of a member that was not read, what was last known.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub watched: Map<String, Value>,
}

impl Summary {
    /// The summary of a version that comes after another one.
    pub fn after(previous: Option<&Self>, record: &Record, time: jiff::Timestamp) -> Self {
        let mut watched = previous.map(|previous| previous.watched.clone()).unwrap_or_default();
        watched.extend(watched_of(record));
        Self { time, state: record.state.clone(), merged_into: record.merged_into.clone(), watched }
    }

    /// What became of the item with a version that comes after this one.
    pub fn change(&self, record: &Record) -> Change {
        const RESOLVED: &str = "resolved";
        if record.merged_into.is_some() && record.merged_into != self.merged_into {
            Change::Merged
        } else if record.state.as_deref() == Some(RESOLVED) && self.state.as_deref() != Some(RESOLVED) {
            Change::Resolved
        } else {
            Change::Updated
        }
    }

    /// What changed from this version to a later one: lists by what was added and removed, everything else by its value
    /// before and after.
    pub fn changes(&self, later: &Self) -> Map<String, Value> {
        let changed = later.watched.iter().filter_map(|(name, after)| {
            let before = self.watched.get(name).unwrap_or(&Value::Null);
            (before != after).then(|| (name.clone(), difference(before, after)))
        });
        changed.collect()
    }
}

fn watched_of(record: &Record) -> Map<String, Value> {
    record.watched.as_deref().and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default()
}

fn difference(before: &Value, after: &Value) -> Value {
    let Value::Array(now) = after else { return serde_json::json!({ "from": before, "to": after }) };
    let was = before.as_array().map(Vec::as_slice).unwrap_or_default();
    let without = |all: &[Value], others: &[Value]| -> Vec<Value> {
        all.iter().filter(|item| !others.contains(item)).cloned().collect()
    };
    serde_json::json!({ "added": without(now, was), "removed": without(was, now) })
}

/// The idempotency key of a version: the same for ever, on every machine.
pub fn key(tenant: &str, id: &str, fingerprint: &str) -> String {
    format!("{tenant}/{id}/{fingerprint}")
}

/// The record that is delivered, in one line.
///
/// # Errors
/// None that a record can cause: its texts are valid JSON already.
pub fn line(
    tenant: &str,
    key: &str,
    change: Change,
    changes: &Map<String, Value>,
    record: &Record,
) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Head<'a> {
        r#type: String,
        idempotency_key: &'a str,
        tenant: &'a str,
        id: Option<&'a str>,
        time: Option<&'a str>,
        changes: &'a Map<String, Value>,
        merged_into: Option<&'a str>,
        quarantine: Option<&'a str>,
    }
    let head = Head {
        r#type: format!("{}.{}", record.resource, change.name()),
        idempotency_key: key,
        tenant,
        id: record.id.as_deref(),
        time: record.time.as_deref(),
        changes,
        merged_into: record.merged_into.as_deref(),
        quarantine: record.quarantine.as_ref().map(|note| note.reason.as_str()),
    };
    let mut line = serde_json::to_string(&head)?;
    // The last member is named by the resource, which no derived type can say.
    line.truncate(line.len() - 1);
    line.push(',');
    line.push_str(&serde_json::to_string(&record.resource)?);
    line.push(':');
    line.push_str(record.body.as_deref().map_or("null", RawValue::get));
    line.push('}');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(members: &Value) -> Record {
        let mut whole = json!({"resource": "incident", "id": "7", "time": "2026-01-01T00:00:00Z", "fingerprint": "f", "state": "active",
            "watched": {"status": "active", "tags": ["a", "b"]}, "body": {"id": "7", "x": 1.50}});
        whole.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        Record::parse(&whole.to_string()).unwrap()
    }

    fn summary(previous: Option<&Summary>, members: &Value) -> Summary {
        Summary::after(previous, &record(members), "2026-01-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn changes_tell_lists_by_member_and_the_rest_by_value() {
        let before = summary(None, &json!({}));
        let after = summary(Some(&before), &json!({"watched": {"status": "resolved", "tags": ["b", "c"]}}));
        assert_eq!(
            Value::Object(before.changes(&after)),
            json!({"status": {"from": "active", "to": "resolved"}, "tags": {"added": ["c"], "removed": ["a"]}})
        );
        assert!(after.changes(&after).is_empty());
    }

    #[test]
    fn what_was_not_read_did_not_change() {
        let before = summary(None, &json!({}));
        let without = summary(Some(&before), &json!({"watched": {"status": "active"}}));
        assert!(before.changes(&without).is_empty());
        let again = summary(Some(&without), &json!({"watched": {"status": "active", "tags": ["a", "b", "c"]}}));
        assert_eq!(Value::Object(without.changes(&again)), json!({"tags": {"added": ["c"], "removed": []}}));
        // Nor did anything where nothing was read.
        assert!(before.changes(&summary(Some(&before), &json!({"watched": null}))).is_empty());
    }

    #[test]
    fn a_merge_and_a_resolution_are_told_once() {
        let active = summary(None, &json!({}));
        let resolved = json!({"state": "resolved"});
        let merged = json!({"state": "redirected", "mergedInto": "9"});
        assert_eq!(active.change(&record(&json!({}))), Change::Updated);
        assert_eq!(active.change(&record(&resolved)), Change::Resolved);
        assert_eq!(active.change(&record(&merged)), Change::Merged);
        assert_eq!(summary(None, &resolved).change(&record(&resolved)), Change::Updated);
        assert_eq!(summary(None, &merged).change(&record(&merged)), Change::Updated);
    }

    #[test]
    fn a_line_holds_the_item_as_it_came() {
        let record = record(&json!({"quarantine": {"id": "7", "reason": "its alerts could not be read"}}));
        let line = line("contoso", "contoso/7/f", Change::Created, &Map::new(), &record).unwrap();
        assert_eq!(
            line,
            r#"{"type":"incident.created","idempotencyKey":"contoso/7/f","tenant":"contoso","id":"7","time":"2026-01-01T00:00:00Z","changes":{},"mergedInto":null,"quarantine":"its alerts could not be read","incident":{"id":"7","x":1.5}}"#
        );
    }
}
