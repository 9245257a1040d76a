//! A small tenant for tests of this crate: it lists incidents as either surface would, in an order of its choice, with or
//! without next links, with limits, and fails where it is told to.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sortie_defender::endpoints;
use sortie_defender::enums::IncidentStatus;
use sortie_sdk::abi::host::{Answer, Services, Stop, lend};
use sortie_sdk::abi::{Level, Status};
use sortie_sdk::prelude::*;
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::incidents::{Item, Listing, Query, list, surface};

/// One incident: id, created and updated in seconds.
pub(crate) type Row = (u64, i64, i64);

/// The order of its lists, newest first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum By {
    Created,
    Updated,
    Shuffled,
}

/// What a test sees of a request before it is answered; it may change the tenant.
pub(crate) type OnRequest = dyn Fn(u64, &mut Vec<Row>) + Sync;

pub(crate) struct Fake<'f> {
    pub(crate) xdr: bool,
    pub(crate) rows: Mutex<Vec<Row>>,
    pub(crate) by: By,
    /// Whether it sends next links.
    pub(crate) links: bool,
    /// The page after which it forgets the next link, once.
    pub(crate) forgets_link_after: Option<u64>,
    /// The greatest page it sends.
    pub(crate) page_max: u64,
    /// The greatest offset it takes.
    pub(crate) reach: u64,
    /// Incidents that fail a list with alerts.
    pub(crate) heavy: BTreeSet<u64>,
    /// Incidents that fail alone too.
    pub(crate) hopeless: BTreeSet<u64>,
    /// Whether every next link leads to the same page.
    pub(crate) loops: bool,
    /// Whether only active incidents are listed. Every incident is active; one that no longer is leaves the rows.
    pub(crate) filtered: bool,
    /// The incident that the visitor cannot take, as a host refuses a record that is too large.
    pub(crate) refused: Option<u64>,
    /// How many of the next answers are cut short.
    pub(crate) cut_short: Mutex<u64>,
    pub(crate) on_request: Option<&'f OnRequest>,
    pub(crate) requests: Mutex<Vec<Value>>,
    pub(crate) invocation: String,
    pub(crate) reply: Mutex<Vec<u8>>,
}

/// What a listing gave.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Listed {
    pub(crate) ids: Vec<u64>,
    pub(crate) quarantined: Vec<Option<u64>>,
    pub(crate) read: u64,
    pub(crate) calls: u64,
    pub(crate) warnings: Vec<String>,
}

impl<'f> Fake<'f> {
    pub(crate) fn new(xdr: bool, rows: Vec<Row>) -> Self {
        Self {
            xdr,
            rows: Mutex::new(rows),
            by: By::Created,
            links: !xdr,
            forgets_link_after: None,
            page_max: if xdr { 100 } else { 50 },
            reach: if xdr { u64::MAX } else { 500 },
            heavy: BTreeSet::new(),
            hopeless: BTreeSet::new(),
            loops: false,
            filtered: false,
            refused: None,
            cut_short: Mutex::new(0),
            on_request: None,
            requests: Mutex::default(),
            invocation: json!({"runId": "r", "requestId": "r", "action": "probe", "mode": "run", "remainingMilliseconds": 60_000,
                "surface": if xdr { "defender-xdr" } else { "graph" }})
            .to_string(),
            reply: Mutex::default(),
        }
    }

    /// Lists everything, or until `stop_after` incidents.
    pub(crate) fn list(&self, alerts: bool, stop_after: Option<u64>) -> Result<Listed, Error> {
        lock(&self.reply).clear();
        let input =
            json!({"alerts": alerts, "stopAfter": stop_after, "filtered": self.filtered, "refused": self.refused})
                .to_string();
        let status = lend(self, |host| sortie_sdk::export::invoke::<Probe>(host, input.as_bytes())).unwrap();
        let reply: Value = serde_json::from_slice(&lock(&self.reply)).unwrap();
        if status == Status::OK {
            return Ok(serde_json::from_value(reply).unwrap());
        }
        let text = |name: &str| reply[name].as_str().unwrap_or_default().to_owned();
        Err(Error::new(&text("kind"), text("message")))
    }

    fn answer(&self, head: &Value) -> Answer {
        let number = {
            let mut requests = lock(&self.requests);
            requests.push(head.clone());
            requests.len() as u64
        };
        if let Some(on_request) = self.on_request {
            on_request(number, &mut lock(&self.rows));
        }
        let one = head["call"].as_str().is_some_and(|call| call.ends_with(".get"));
        let mut answer = if one { self.one(head) } else { self.page(head, number) };
        let mut cut = lock(&self.cut_short);
        if *cut > 0 {
            *cut -= 1;
            let half = answer.body.len() / 2;
            answer.body.truncate(half);
        }
        answer
    }

    fn one(&self, head: &Value) -> Answer {
        let id: u64 = head["path"]["incidentId"].as_str().unwrap().parse().unwrap();
        if self.hopeless.contains(&id) {
            return refusal("unavailable", 500);
        }
        match lock(&self.rows).iter().find(|row| row.0 == id) {
            Some(row) => found(self.render(*row, true).to_string()),
            None => refusal("not_found", 404),
        }
    }

    fn page(&self, head: &Value, number: u64) -> Answer {
        // A link is the query that it stands for.
        let query: Vec<(String, String)> = match head["link"].as_str() {
            Some(link) => serde_json::from_str(link.strip_prefix("https://fake.test/").unwrap()).unwrap(),
            None => serde_json::from_value(head["query"].clone()).unwrap(),
        };
        let option = |name: &str| query.iter().find(|(option, _)| option == name).map(|(_, value)| value.as_str());
        let number_of = |name: &str| option(name).map(|value| value.parse::<u64>().unwrap());
        let (top, skip) = (number_of("$top").unwrap(), number_of("$skip").unwrap_or(0));
        let linked = number_of("$skiptoken").unwrap_or(0);
        if top > self.page_max {
            let message =
                format!("The limit of '{}' for Top query has been exceeded. The request's is '{top}'.", self.page_max);
            return refusal_saying("failed", 400, &message);
        }
        if skip > self.reach {
            return refusal("failed", 400);
        }
        let mut rows: Vec<Row> = lock(&self.rows).iter().copied().filter(|row| fits(*row, option("$filter"))).collect();
        rows.sort_by_key(|(id, created, updated)| {
            std::cmp::Reverse(match self.by {
                By::Created => (*created, *id),
                By::Updated => (*updated, *id),
                By::Shuffled => ((id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7) as i64, *id),
            })
        });
        let from = (skip + linked) as usize;
        let page: Vec<Row> = rows.iter().copied().skip(from).take(top as usize).collect();
        let expand = option("$expand").is_some();
        if expand && page.iter().any(|row| self.heavy.contains(&row.0)) {
            return refusal("unavailable", 500);
        }
        let mut body =
            json!({"value": page.iter().map(|row| self.render(*row, expand || self.xdr)).collect::<Vec<_>>()});
        if option("$count").is_some() {
            body["@odata.count"] = rows.len().into();
        }
        let more = from + page.len() < rows.len();
        if self.links && (more || self.loops) && self.forgets_link_after != Some(number) {
            let mut next: Vec<(String, String)> =
                query.iter().filter(|(name, _)| name != "$skiptoken").cloned().collect();
            let at = if self.loops { 0 } else { linked + page.len() as u64 };
            next.push(("$skiptoken".into(), at.to_string()));
            body["@odata.nextLink"] = format!("https://fake.test/{}", serde_json::to_string(&next).unwrap()).into();
        }
        found(body.to_string())
    }

    fn render(&self, (id, created, updated): Row, alerts: bool) -> Value {
        let (created, updated) = (time(created), time(updated));
        if self.xdr {
            return json!({"incidentId": id, "createdTime": created, "lastUpdateTime": updated, "status": "Active", "alerts": []});
        }
        let mut incident = json!({"id": id.to_string(), "createdDateTime": created, "lastUpdateDateTime": updated, "status": "active"});
        if alerts {
            incident["alerts"] = json!([{"id": format!("a{id}")}]);
        }
        incident
    }
}

fn time(second: i64) -> String {
    Timestamp::from_second(second).unwrap().to_string()
}

/// Whether a row fits a filter of times joined by `and`.
fn fits((_, created, updated): Row, filter: Option<&str>) -> bool {
    filter.is_none_or(|filter| {
        filter.split(" and ").all(|comparison| {
            let [property, operator, bound] = comparison.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{comparison}")
            };
            if (property, operator) == ("status", "eq") {
                return true;
            }
            let value =
                Timestamp::from_second(if property.starts_with("created") { created } else { updated }).unwrap();
            let bound: Timestamp = bound.parse().unwrap();
            match operator {
                "ge" => value >= bound,
                "le" => value <= bound,
                "lt" => value < bound,
                other => panic!("{other}"),
            }
        })
    })
}

fn found(body: String) -> Answer {
    // Tests run at 1,000,000 seconds.
    let headers = json!({"date": "Mon, 12 Jan 1970 13:46:40 GMT"});
    Answer {
        head: json!({"outcome": "answered", "status": 200, "headers": headers}).to_string(),
        body: body.into_bytes(),
    }
}

fn refusal(kind: &str, status: u16) -> Answer {
    refusal_saying(kind, status, &format!("the service said {status}"))
}

fn refusal_saying(kind: &str, status: u16, message: &str) -> Answer {
    let error = json!({"kind": kind, "message": message, "retryable": false, "httpStatus": status});
    Answer { head: json!({"outcome": "answered", "status": status, "error": error}).to_string(), body: Vec::new() }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Services for Fake<'_> {
    fn invocation(&self) -> &str {
        &self.invocation
    }

    fn request(&self, head: &str, _: &[u8]) -> Result<Answer, Stop> {
        Ok(self.answer(&serde_json::from_str(head).map_err(|_| Stop::Failed)?))
    }

    fn request_many(&self, requests: &[(&str, &[u8])]) -> Result<Vec<Answer>, Stop> {
        requests.iter().map(|(head, body)| self.request(head, body)).collect()
    }

    fn emit(&self, _: &str) -> Result<(), Stop> {
        Ok(())
    }

    fn reply(&self, chunk: &[u8]) -> Result<(), Stop> {
        lock(&self.reply).extend_from_slice(chunk);
        Ok(())
    }

    fn log(&self, _: Level, _: &str, _: &str) {}

    fn progress(&self, _: &str) {}

    fn sleep(&self, _: Duration) -> Result<(), Stop> {
        Ok(())
    }

    fn cancelled(&self) -> bool {
        false
    }

    fn now(&self) -> i64 {
        1_000_000_000
    }
}

/// An action that lists, and answers what it was given.
struct Probe(PhantomData<()>);

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ProbeInput {
    alerts: bool,
    stop_after: Option<u64>,
    filtered: bool,
    refused: Option<u64>,
}

#[derive(Default, Serialize, JsonSchema)]
struct ProbeOutput {
    ids: Vec<u64>,
    quarantined: Vec<Option<u64>>,
    read: u64,
    calls: u64,
}

impl Action for Probe {
    type Input = ProbeInput;
    type Output = ProbeOutput;

    fn manifest() -> Manifest {
        Manifest::new("probe", Kind::ENRICHMENT)
            .surfaces(&[Api::GRAPH, Api::DEFENDER_XDR])
            .call(&endpoints::graph::LIST_INCIDENTS)
            .call(&endpoints::defender_xdr::LIST_INCIDENTS)
    }

    fn run(host: &Host<'_>, input: ProbeInput) -> Result<ProbeOutput> {
        let surface = surface(host)?;
        let status = if input.filtered { vec![IncidentStatus::Active] } else { Vec::new() };
        let filter = Query { status, ..Query::default() }.filter(surface);
        let listing = Listing { surface, filter, alerts: input.alerts, at_most: input.stop_after };
        let mut output = ProbeOutput::default();
        let totals = list(host, &listing, &mut |item, _| {
            match item {
                Item::Incident(incident) => {
                    let id = incident.view().id().unwrap().number();
                    if input.refused == Some(id) {
                        return Err(Error::new(kinds::RESPONSE_TOO_LARGE, "a record is larger than the host takes"));
                    }
                    output.ids.push(id);
                }
                Item::Quarantined { incident, .. } => {
                    output.quarantined.push(incident.and_then(|incident| incident.view().id()).map(|id| id.number()));
                }
            }
            let enough = input.stop_after.is_some_and(|enough| output.ids.len() as u64 >= enough);
            Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(ProbeOutput { read: totals.read, calls: totals.calls, ..output })
    }
}
