//! The oracle: it knows every version of every incident that the tenant ever showed, reads what the sinks received, and says
//! in words what is wrong. Nothing of the daemon is believed: not its store, not its history, not its own counts.
//!
//! A [`Ledger`] is written by whoever changes the tenant, right after each change. [`judge`] compares it with the
//! [`Evidence`] of the sinks and of the store.

use crate::receiver::{Answer, Delivery};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use sortie_sandbox::{Control, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

/// What is compared of a version: what people act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The incident's own time of last update.
    pub time: Option<Timestamp>,
    /// Its single members, in Graph's spelling.
    pub members: BTreeMap<&'static str, String>,
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// How many comments it has.
    pub comments: usize,
    /// Its alerts by their ids; none where they were not read.
    pub alerts: Option<BTreeMap<String, Alert>>,
}

/// What is compared of an alert: when it was last updated, its status, its severity.
pub type Alert = (Option<Timestamp>, String, String);

/// How long after a kill the receiver may still read what was sent before it.
const LAG: Duration = Duration::from_millis(250);

/// How soon after an acknowledgement the daemon takes note of it, also on a busy machine.
const SETTLED_WITHIN: Duration = Duration::from_secs(3);

/// The members that are compared by their text.
const MEMBERS: [&str; 7] =
    ["status", "severity", "displayName", "assignedTo", "classification", "determination", "redirectIncidentId"];

impl Version {
    /// The version that an incident in Graph's shape shows.
    pub fn of(incident: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let alerts = incident["alerts"].as_array().map(|alerts| {
            let alert = |alert: &Value| {
                (
                    text(&alert["id"]),
                    (time_of(&alert["lastUpdateDateTime"]), text(&alert["status"]), text(&alert["severity"])),
                )
            };
            alerts.iter().map(alert).collect()
        });
        Self {
            time: time_of(&incident["lastUpdateDateTime"]),
            members: MEMBERS.map(|name| (name, text(&incident[name]))).into(),
            tags: list(&incident["customTags"]).iter().map(text).collect(),
            comments: list(&incident["comments"]).len(),
            alerts,
        }
    }

    /// Whether two are the same, as far as both were read.
    fn agrees(&self, other: &Self) -> bool {
        (&self.time, &self.members, &self.tags, self.comments)
            == (&other.time, &other.members, &other.tags, other.comments)
            && (self.alerts.is_none() || other.alerts.is_none() || self.alerts == other.alerts)
    }

    /// In which members two differ, for people.
    fn difference(&self, other: &Self) -> String {
        let mut parts = Vec::new();
        if self.time != other.time {
            parts.push(format!("time {:?} and {:?}", self.time, other.time));
        }
        for (name, value) in &self.members {
            if other.members.get(name) != Some(value) {
                parts.push(format!("{name} {value:?} and {:?}", other.members.get(name)));
            }
        }
        if self.tags != other.tags {
            parts.push(format!("tags {:?} and {:?}", self.tags, other.tags));
        }
        if self.comments != other.comments {
            parts.push(format!("{} and {} comments", self.comments, other.comments));
        }
        if self.alerts != other.alerts {
            parts.push(format!("alerts {:?} and {:?}", self.alerts, other.alerts));
        }
        parts.join("; ")
    }
}

fn time_of(value: &Value) -> Option<Timestamp> {
    value.as_str().and_then(|text| text.parse().ok())
}

/// Every version of every incident that the tenant ever showed.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    versions: BTreeMap<u64, Vec<Version>>,
    removed: BTreeSet<u64>,
    by_xdr: bool,
}

impl Ledger {
    /// A ledger of the tenant as it is, and as it is read on this surface.
    pub fn new(control: &Control, surface: &str) -> Self {
        let mut ledger = Self { by_xdr: surface == "defender-xdr", ..Self::default() };
        ledger.note(control, &control.incident_ids());
        ledger
    }

    /// Takes note of these incidents as they are now.
    pub fn note(&mut self, control: &Control, ids: &[u64]) {
        for id in ids {
            match control.incident(*id) {
                Some(incident) => {
                    let mut version = Version::of(&incident);
                    // Defender XDR has no word for it.
                    if let (true, Some(status)) = (self.by_xdr, version.members.get_mut("status"))
                        && status == "awaitingAction"
                    {
                        *status = "inProgress".to_owned();
                    }
                    let known = self.versions.entry(*id).or_default();
                    if known.last() != Some(&version) {
                        known.push(version);
                    }
                }
                None => {
                    self.removed.insert(*id);
                }
            }
        }
    }

    /// The newest version of each incident that is still there.
    pub fn finals(&self) -> impl Iterator<Item = (u64, &Version)> {
        let there = self.versions.iter().filter(|(id, _)| !self.removed.contains(id));
        there.filter_map(|(id, versions)| Some((*id, versions.last()?)))
    }

    /// How many versions there were.
    pub fn len(&self) -> usize {
        self.versions.values().map(Vec::len).sum()
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }
}

/// What the sinks received, and what happened meanwhile.
#[derive(Debug, Default)]
pub struct Evidence<'a> {
    /// The complete lines of the file sink; none where there was no such sink.
    pub file: Option<Vec<String>>,
    /// What reached the webhook; none where there was no such sink.
    pub hook: Option<Vec<Delivery>>,
    /// When the daemon was killed.
    pub kills: Vec<Instant>,
    /// The key that deliveries are signed with.
    pub key: Option<&'a str>,
    /// The store.
    pub store: Option<&'a Path>,
}

/// One record as a sink got it.
struct Received {
    place: String,
    key: String,
    kind: String,
    id: u64,
    version: Version,
    whole: bool,
    changes: Value,
    body: String,
}

/// Everything that is wrong; nothing when all is well.
pub fn judge(ledger: &Ledger, evidence: &Evidence<'_>) -> Vec<String> {
    let mut violations = Vec::new();
    let mut bodies: HashMap<String, String> = HashMap::new();
    let mut sinks = Vec::new();
    if let Some(lines) = &evidence.file {
        let told = lines.iter().enumerate().map(|(number, line)| (format!("file line {}", number + 1), line.as_str()));
        sinks.push(("file", read(told, &mut violations)));
    }
    if let Some(deliveries) = &evidence.hook {
        let taken: Vec<&Delivery> = deliveries.iter().filter(|delivery| delivery.taken()).collect();
        let told = taken
            .iter()
            .enumerate()
            .map(|(number, delivery)| (format!("webhook delivery {}", number + 1), delivery.body.as_str()));
        let received = read(told, &mut violations);
        if received.len() == taken.len() {
            repeats_are_excused(&received, &taken, evidence, &mut violations);
        }
        for delivery in deliveries {
            if let Some(Err(problem)) = evidence.key.map(|key| delivery.verify(key)) {
                violations.push(format!("a delivery is not signed: {problem}"));
            }
        }
        sinks.push(("webhook", received));
    }
    for (sink, received) in &sinks {
        let unique = unique(sink, received, &mut bodies, &mut violations);
        created_once(sink, &unique, &mut violations);
        each_was_issued(ledger, &unique, &mut violations);
        order_and_changes(sink, &unique, &mut violations);
        finals_delivered(ledger, sink, &unique, &mut violations);
    }
    if let Some(store) = evidence.store {
        store_has_no_repeats(store, &mut violations);
    }
    violations
}

/// The records, each with every member that is promised.
fn read<'a>(told: impl Iterator<Item = (String, &'a str)>, violations: &mut Vec<String>) -> Vec<Received> {
    let mut received = Vec::new();
    for (place, body) in told {
        let Ok(record) = serde_json::from_str::<Value>(body) else {
            violations.push(format!("{place} is not JSON: {body:.200}"));
            continue;
        };
        let text = |name: &str| record[name].as_str().map(str::to_owned);
        let id = text("id").and_then(|id| id.parse().ok());
        let (Some(key), Some(kind), Some(id), true) =
            (text("idempotencyKey"), text("type"), id, record["incident"].is_object())
        else {
            violations.push(format!("{place} lacks what a record must have: {body:.200}"));
            continue;
        };
        let version = Version::of(&record["incident"]);
        if record["time"].as_str().and_then(|time| time.parse::<Timestamp>().ok()) != version.time {
            violations.push(format!("{place} says another time than its incident: {body:.200}"));
        }
        received.push(Received {
            whole: record["quarantine"].is_null(),
            changes: record["changes"].clone(),
            body: body.to_owned(),
            place,
            key,
            kind,
            id,
            version,
        });
    }
    received
}

/// The records without repeats; the file has none, and a repeat is the same to the byte, in every sink.
fn unique<'r>(
    sink: &str,
    received: &'r [Received],
    bodies: &mut HashMap<String, String>,
    violations: &mut Vec<String>,
) -> Vec<&'r Received> {
    let mut keys = BTreeSet::new();
    let mut unique = Vec::new();
    for record in received {
        let known = bodies.entry(record.key.clone()).or_insert_with(|| record.body.clone());
        if *known != record.body {
            violations.push(format!("{}: {} came with another body before", record.place, record.key));
        }
        if keys.insert(record.key.as_str()) {
            unique.push(record);
        } else if sink == "file" {
            violations.push(format!("{} repeats {}", record.place, record.key));
        }
    }
    unique
}

/// A repeat at the webhook needs a reason: the daemon was killed before it could take note of the acknowledgement, or the
/// receiver took the delivery before and did not say so.
fn repeats_are_excused(
    received: &[Received],
    taken: &[&Delivery],
    evidence: &Evidence<'_>,
    violations: &mut Vec<String>,
) {
    let mut last: HashMap<&str, &Delivery> = HashMap::new();
    for (record, delivery) in received.iter().zip(taken) {
        let Some(before) = last.insert(&record.key, delivery) else { continue };
        if before.answer == Answer::TakeAndCut {
            continue;
        }
        // What a dead daemon had sent may be read a moment after its death.
        let excuses = |kill: &&Instant| before.at <= **kill + LAG && **kill <= delivery.at;
        match evidence.kills.iter().find(excuses) {
            None => violations.push(format!("{} repeats {} without a kill in between", record.place, record.key)),
            Some(kill) if kill.saturating_duration_since(before.at) > SETTLED_WITHIN => violations.push(format!(
                "{} repeats {}, which was acknowledged {:?} before the kill and not taken note of",
                record.place,
                record.key,
                kill.saturating_duration_since(before.at)
            )),
            Some(_) => {}
        }
    }
}

fn created_once(sink: &str, records: &[&Received], violations: &mut Vec<String>) {
    let mut met = BTreeSet::new();
    for record in records {
        let first = met.insert(record.id);
        let created = record.kind == "incident.created";
        if first && !created {
            violations.push(format!("{sink}: incident {} comes first as {}", record.id, record.kind));
        }
        if !first && created {
            violations.push(format!("{}: incident {} is created once more", record.place, record.id));
        }
        let kinds = ["incident.created", "incident.updated", "incident.resolved", "incident.merged"];
        if !kinds.contains(&record.kind.as_str()) {
            violations.push(format!("{} is of the type {}", record.place, record.kind));
        }
    }
}

fn each_was_issued(ledger: &Ledger, records: &[&Received], violations: &mut Vec<String>) {
    for record in records {
        let known = ledger.versions.get(&record.id).map(Vec::as_slice).unwrap_or_default();
        if record.whole && record.version.alerts.is_none() {
            violations.push(format!("{}: incident {} lacks its alerts, and nothing says so", record.place, record.id));
        }
        if !known.iter().any(|version| version.agrees(&record.version)) {
            let near = known.iter().rev().find(|version| version.time == record.version.time).or(known.last());
            let difference = near.map(|near| near.difference(&record.version)).unwrap_or_default();
            violations.push(format!(
                "{}: incident {} never was like this ({} versions known); issued and delivered differ in {difference}",
                record.place,
                record.id,
                known.len()
            ));
        }
    }
}

/// Versions of one incident come in their order, and what is said to have changed did.
fn order_and_changes(sink: &str, records: &[&Received], violations: &mut Vec<String>) {
    let mut last: BTreeMap<u64, &Received> = BTreeMap::new();
    for record in records {
        let Some(before) = last.insert(record.id, record) else { continue };
        if before.version.time > record.version.time {
            violations.push(format!(
                "{sink}: incident {} goes back in time, from {:?} to {:?}",
                record.id, before.version.time, record.version.time
            ));
        }
        let (was, is) = (&before.version.members["status"], &record.version.members["status"]);
        let told = &record.changes["status"];
        let wanted = if was == is { Value::Null } else { serde_json::json!({ "from": was, "to": is }) };
        if *told != wanted {
            violations.push(format!("{}: status went from {was} to {is}, and it says {told}", record.place));
        }
        if let (Some(was), Some(is)) = (&before.version.alerts, &record.version.alerts) {
            let added: Vec<&String> = is.keys().filter(|id| !was.contains_key(*id)).collect();
            let told: BTreeSet<&str> = record.changes["alertIds"]["added"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            if told != added.iter().map(|id| id.as_str()).collect() {
                violations.push(format!("{}: alerts {added:?} were added, and it says {told:?}", record.place));
            }
        }
        let expected = match () {
            () if !record.version.members["redirectIncidentId"].is_empty()
                && before.version.members["redirectIncidentId"] != record.version.members["redirectIncidentId"] =>
            {
                "incident.merged"
            }
            () if is == "resolved" && was != "resolved" => "incident.resolved",
            () => "incident.updated",
        };
        if record.kind != expected {
            violations.push(format!("{} is of the type {}, not {expected}", record.place, record.kind));
        }
    }
}

fn finals_delivered(ledger: &Ledger, sink: &str, records: &[&Received], violations: &mut Vec<String>) {
    let last: BTreeMap<u64, &Received> = records.iter().map(|record| (record.id, *record)).collect();
    for (id, version) in ledger.finals() {
        match last.get(&id) {
            None => violations.push(format!("{sink}: incident {id} was never delivered")),
            Some(record) if !record.whole => {
                violations.push(format!("{sink}: incident {id} was last delivered in part"));
            }
            Some(record) if !version.agrees(&record.version) => violations.push(format!(
                "{sink}: the final version of incident {id} was not delivered last; issued and delivered differ in {}",
                version.difference(&record.version)
            )),
            Some(_) => {}
        }
    }
}

/// No table of the store holds one row twice, nor one version, nor one key for one sink.
fn store_has_no_repeats(store: &Path, violations: &mut Vec<String>) {
    if let Err(problem) = try_store(store, violations) {
        violations.push(format!("the store cannot be read: {problem}"));
    }
}

fn try_store(store: &Path, violations: &mut Vec<String>) -> rusqlite::Result<()> {
    let connection = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if check != "ok" {
        violations.push(format!("the store is damaged: {check}"));
    }
    let names = |statement: &str| -> rusqlite::Result<Vec<String>> {
        connection.prepare(statement)?.query_map([], |row| row.get(0))?.collect()
    };
    for table in names("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")? {
        let columns = names(&format!("SELECT name FROM pragma_table_info('{table}')"))?;
        let all: Vec<&str> = columns.iter().map(String::as_str).collect();
        // What names a row, by the words that such columns have.
        for identity in [
            &["id", "fingerprint"][..],
            &["item", "fingerprint"],
            &["sink", "key"],
            &["sink", "sequence"],
            &["key"],
            &all,
        ] {
            let present = identity.iter().all(|name| all.contains(name));
            // Dead letters of several sinks may carry one key.
            if !present || identity == ["key"] && all.contains(&"sink") {
                continue;
            }
            let list = identity.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
            let statement =
                format!("SELECT count(*) FROM (SELECT 1 FROM \"{table}\" GROUP BY {list} HAVING count(*) > 1)");
            let repeats: i64 = connection.query_row(&statement, [], |row| row.get(0))?;
            if repeats > 0 {
                violations.push(format!("the store's table {table} has {repeats} repeated rows by {list}"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::cell::Cell;
    use std::time::SystemTime;

    fn incident(id: u64, second: u32, status: &str) -> Value {
        json!({"id": id.to_string(), "lastUpdateDateTime": format!("2026-01-01T00:00:{second:02}Z"), "status": status, "severity": "high",
            "displayName": "t", "customTags": [], "comments": [], "alerts": []})
    }

    fn record(kind: &str, changes: &Value, incident: &Value) -> String {
        let key = format!("t/{}/{}{}", incident["id"], incident["lastUpdateDateTime"], incident["status"]);
        json!({"type": format!("incident.{kind}"), "idempotencyKey": key, "id": incident["id"], "time": incident["lastUpdateDateTime"],
            "changes": changes, "quarantine": null, "incident": incident})
        .to_string()
    }

    fn ledger() -> Ledger {
        let one = [incident(1, 1, "active"), incident(1, 2, "resolved")];
        let versions = BTreeMap::from([(1, one.iter().map(Version::of).collect())]);
        Ledger { versions, ..Ledger::default() }
    }

    fn lines() -> Vec<String> {
        vec![
            record("created", &json!({}), &incident(1, 1, "active")),
            record("resolved", &json!({"status": {"from": "active", "to": "resolved"}}), &incident(1, 2, "resolved")),
        ]
    }

    fn of_file(lines: Vec<String>) -> Vec<String> {
        judge(&ledger(), &Evidence { file: Some(lines), ..Evidence::default() })
    }

    #[test]
    fn a_run_without_fault_has_no_violation() {
        assert_eq!(of_file(lines()), Vec::<String>::new());
    }

    #[test]
    fn each_kind_of_fault_is_seen() {
        let says = |lines: Vec<String>, part: &str| {
            let violations = of_file(lines);
            assert!(violations.iter().any(|violation| violation.contains(part)), "{part}: {violations:#?}");
        };
        let [first, second] = [&lines()[0], &lines()[1]].map(String::clone);
        says(vec![], "never delivered");
        says(vec![first.clone()], "not delivered last");
        says(vec![first.clone(), second.clone(), second.clone()], "repeats");
        says(vec![second.clone()], "comes first as");
        says(vec![first.clone(), record("created", &json!({}), &incident(1, 2, "resolved"))], "created once more");
        says(vec![second.clone(), first.clone()], "back in time");
        says(vec![first.clone(), record("updated", &json!({}), &incident(1, 2, "resolved"))], "it says null");
        says(vec![first.clone(), record("created", &json!({}), &incident(1, 3, "active"))], "never was like this");
        says(vec![first.clone(), first.replace("high", "low")], "another body");
        says(vec![first[..20].to_owned()], "is not JSON");
        says(vec![first.replace("idempotencyKey", "key")], "lacks");
    }

    #[test]
    fn a_repeat_at_the_webhook_needs_a_kill() {
        let begun = Instant::now();
        let number = Cell::new(0);
        let delivery = |body: &String, answer: Answer| {
            number.set(number.get() + 1);
            let at = begun + Duration::from_secs(number.get());
            Delivery { at, received: SystemTime::now(), headers: Vec::new(), body: body.clone(), answer, at_once: 1 }
        };
        let [first, second] = [&lines()[0], &lines()[1]].map(String::clone);
        let taken = Answer::Status(200);
        let hook = vec![
            delivery(&first, Answer::Status(500)),
            delivery(&first, taken.clone()),
            delivery(&first, Answer::TakeAndCut),
            delivery(&first, taken.clone()),
            delivery(&second, taken),
        ];
        let judged = |kills: Vec<u64>| {
            let kills = kills.into_iter().map(|second| begun + Duration::from_secs(second)).collect();
            judge(&ledger(), &Evidence { hook: Some(hook.clone()), kills, ..Evidence::default() })
        };
        assert_eq!(judged(vec![3]), Vec::<String>::new());
        assert_eq!(judged(vec![5]).len(), 1, "{:?}", judged(vec![5]));
    }
}
