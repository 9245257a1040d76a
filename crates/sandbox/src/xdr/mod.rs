//! The Defender XDR API: incidents (contract section 6).

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::clock::floor;
use crate::entra::Caller;
use crate::filter::{self, Field, Kind, Row, field};
use crate::lock;
use crate::odata::{self, next_link};
use crate::record::Api;
use crate::render::View;
use crate::render::piece::{Item, Page};
use crate::render::xdr::status;
use crate::reply::{Refusal, Reply};
use crate::state::State;
use crate::switches::{Newest, Pairs, Undocumented};
use crate::tenant::incident::Incident;
use crate::tenant::list::{By, Order};
use crate::tenant::{comment, words};

const READ: &[&str] = &["Incident.Read.All", "Incident.ReadWrite.All"];
const WRITE: &[&str] = &["Incident.ReadWrite.All"];

/// `incident.status` of this surface.
const STATUS: &[&str] = &["Active", "InProgress", "Resolved", "Redirected"];

/// What incidents may be filtered by, and nothing else: no severity (contract section 6).
const FIELDS: &[Field] = &[
    field("lastUpdateTime", Kind::Time),
    field("createdTime", Kind::Time),
    field("status", Kind::Enum(STATUS)),
    field("assignedTo", Kind::Text),
];

/// Greatest `$top`.
const TOP: usize = 100;

struct XdrRow<'a>(&'a Incident, &'static str);

impl Row for XdrRow<'_> {
    fn cell(&self, field: usize) -> filter::Cell<'_> {
        use filter::Cell;
        match field {
            0 => Cell::Time(self.0.updated),
            1 => Cell::Time(self.0.created),
            2 => Cell::Text(self.1),
            3 => self.0.assigned_to.as_deref().map_or(Cell::Null, Cell::Text),
            _ => Cell::Null,
        }
    }
}

/// Answers a request to `/xdr/...`.
pub(crate) fn answer(state: &State, call: &Call, caller: &Caller) -> Result<Reply, Refusal> {
    let path: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    match (call.method.as_str(), &path[..]) {
        ("GET", ["api", "incidents"]) => {
            caller.require(Api::DefenderXdr, READ)?;
            list(state, call)
        }
        ("GET", ["api", "incidents", id]) => {
            caller.require(Api::DefenderXdr, READ)?;
            get(state, call, id)
        }
        ("PATCH", ["api", "incidents", id]) => {
            caller.require(Api::DefenderXdr, WRITE)?;
            patch(state, call, caller, id)
        }
        (_, ["api", "incidents"] | ["api", "incidents", _]) => {
            Err(Refusal::new(405, "BadRequest", "The HTTP method is not supported."))
        }
        _ => Err(Refusal::new(404, "NotFound", "General not found error.")),
    }
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "BadRequest", message)
}

fn list(state: &State, call: &Call) -> Result<Reply, Refusal> {
    let switches = &call.switches;
    let (mut filter, mut top, mut skip) = (None, switches.xdr_default_page.min(TOP), 0);
    for (name, value) in odata::options(call)? {
        match name {
            "$filter" => {
                let read = odata::read_filter(value, FIELDS, switches);
                filter = Some((value, read.map_err(|refusal| Refusal { code: "ODataError".to_owned(), ..refusal })?));
            }
            "$top" => {
                top = odata::number(name, value)?;
                if top > TOP {
                    return Err(bad(format!("The limit of '{TOP}' for Top query has been exceeded.")));
                }
            }
            "$skip" => skip = odata::number(name, value)?,
            _ if switches.xdr_other_options == Undocumented::Refuse => {
                return Err(bad(format!("Query option '{name}' is not supported.")));
            }
            _ => {}
        }
    }
    let order =
        Order { by: if switches.newest == Newest::Created { By::Created } else { By::Updated }, ascending: false };
    let (incidents, end, total) = {
        let mut tenant = lock(&state.tenant);
        let name = format!("xdr incidents\n{}", filter.as_ref().map_or("", |(text, _)| text));
        let list = tenant.list(&name, order, |incident| {
            filter.as_ref().is_none_or(|(_, filter)| filter.holds(&XdrRow(incident, word(incident.status))))
        });
        let start = call.shift.apply(skip, top).min(list.len());
        let end = start.saturating_add(top).min(list.len());
        let keys = list.get(start..end).unwrap_or_default();
        let incidents: Vec<Arc<Incident>> = keys.iter().filter_map(|key| tenant.incident(key.id)).collect();
        (incidents, end, list.len())
    };
    let items: Vec<Item> =
        incidents.iter().map(|incident| state.item(incident, View::Xdr, switches, call.gzip)).collect();
    let next = (switches.xdr_next_links && end < total && top > 0)
        .then(|| next_link(&state.origin, call, &format!("$skip={end}")));
    Ok(Reply::page(page("https://api.security.microsoft.com/api/$metadata#Incidents", next, items)))
}

/// The status in this surface's words, as static text.
fn word(word: &str) -> &'static str {
    let shown = status(word);
    STATUS.iter().copied().find(|known| *known == shown).unwrap_or("Active")
}

/// A page of a Defender list.
pub(crate) fn page(context: &str, next: Option<String>, items: Vec<Item>) -> Page {
    let head = format!("{{\"@odata.context\":{},\"value\":[", Value::from(context));
    let tail = next.map_or_else(|| "]}".to_owned(), |next| format!("],\"@odata.nextLink\":{}}}", Value::from(next)));
    Page { head: head.into_bytes(), items, tail: tail.into_bytes() }
}

fn find(state: &State, id: &str) -> Result<Arc<Incident>, Refusal> {
    let number: Option<u64> = id.parse().ok().filter(|_| id.bytes().all(|byte| byte.is_ascii_digit()));
    let number = number.ok_or_else(|| bad(format!("Incident id '{id}' is not a number.")))?;
    lock(&state.tenant)
        .incident(number)
        .ok_or_else(|| Refusal::new(404, "ResourceNotFound", format!("Incident {id} was not found")))
}

fn get(state: &State, call: &Call, id: &str) -> Result<Reply, Refusal> {
    no_options(call)?;
    let incident = find(state, id)?;
    Ok(Reply::bytes(200, "application/json; charset=utf-8", state.text(&incident, View::Xdr, &call.switches)))
}

fn no_options(call: &Call) -> Result<(), Refusal> {
    match odata::options(call)?.first() {
        Some((name, _)) if call.switches.xdr_other_options == Undocumented::Refuse => {
            Err(bad(format!("Query option '{name}' is not supported.")))
        }
        _ => Ok(()),
    }
}

/// What an update sets.
#[derive(Debug, Default)]
struct Change {
    status: Option<&'static str>,
    classification: Option<&'static str>,
    determination: Option<&'static str>,
    assigned_to: Option<Option<Arc<str>>>,
    tags: Option<Vec<String>>,
    comment: Option<String>,
}

fn wrong_body(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidRequestBody", message)
}

/// The member in the tenant's own words that this surface spells so.
fn member(
    name: &str,
    value: &Value,
    members: &'static [&'static str],
    barred: &[&str],
) -> Result<&'static str, Refusal> {
    let wrong = || wrong_body(format!("Request body is incorrect: '{value}' is not a value of {name}"));
    let text = value.as_str().ok_or_else(wrong)?;
    members
        .iter()
        .copied()
        .filter(|member| !barred.contains(member))
        .find(|member| words::pascal(member) == text)
        .ok_or_else(wrong)
}

impl Change {
    fn read(body: &Map<String, Value>) -> Result<Self, Refusal> {
        let mut change = Self::default();
        for (name, value) in body {
            let wrong = || wrong_body(format!("Request body is incorrect: '{name}' has a wrong type"));
            match name.as_str() {
                "status" => {
                    change.status =
                        Some(member(name, value, words::INCIDENT_STATUS, &["unknownFutureValue", "awaitingAction"])?)
                }
                "classification" => {
                    change.classification =
                        Some(member(name, value, words::CLASSIFICATION, &["unknownFutureValue", "unknown"])?)
                }
                "determination" => {
                    let text = value.as_str().ok_or_else(wrong)?;
                    let found = words::from_xdr_update(text)
                        .filter(|found| !matches!(*found, "unknown" | "apt" | "securityPersonnel"));
                    change.determination = Some(found.ok_or_else(|| {
                        wrong_body(format!("Request body is incorrect: '{text}' is not a value of {name}"))
                    })?);
                }
                "assignedTo" => {
                    change.assigned_to = Some(match value {
                        Value::Null => None,
                        Value::String(text) => Some(text.as_str().into()).filter(|_: &Arc<str>| !text.is_empty()),
                        _ => return Err(wrong()),
                    });
                }
                "tags" => {
                    let tags = value.as_array().ok_or_else(wrong)?;
                    let tags: Option<Vec<String>> = tags.iter().map(|tag| tag.as_str().map(str::to_owned)).collect();
                    change.tags = Some(tags.ok_or_else(wrong)?);
                }
                "comment" => change.comment = Some(value.as_str().ok_or_else(wrong)?.to_owned()),
                _ => return Err(wrong_body(format!("Request body is incorrect: '{name}' is not known"))),
            }
        }
        Ok(change)
    }

    fn check_pair(&self, present: &Incident, rule: Pairs) -> Result<(), Refusal> {
        let Some(determination) = self.determination else { return Ok(()) };
        let classification = self.classification.unwrap_or(present.classification);
        let fits = match rule {
            Pairs::Any => true,
            Pairs::TruePositiveOnly => classification == "truePositive",
            Pairs::Table => words::determinations(classification).is_some_and(|list| list.contains(&determination)),
        };
        if fits {
            Ok(())
        } else {
            Err(Refusal::new(400, "InvalidInput", "The determination does not fit the classification"))
        }
    }
}

fn patch(state: &State, call: &Call, caller: &Caller, id: &str) -> Result<Reply, Refusal> {
    no_options(call)?;
    let change = Change::read(
        &call.json_object().map_err(|reason| wrong_body(format!("Request body is incorrect: {reason}")))?,
    )?;
    let known = find(state, id)?;
    if known.redirect.is_some() && call.switches.refuse_redirected_update {
        return Err(Refusal::new(409, "BadRequest", "The incident was merged into another incident"));
    }
    change.check_pair(&known, call.switches.xdr_pairs)?;
    let gone = || Refusal::new(404, "ResourceNotFound", format!("Incident {id} was not found"));
    let mut tenant = lock(&state.tenant);
    let edited = tenant.edit(known.id, |incident, world| {
        let mut details = incident.details(world);
        incident.status = change.status.unwrap_or(incident.status);
        incident.classification = change.classification.unwrap_or(incident.classification);
        incident.determination = change.determination.unwrap_or(incident.determination);
        if let Some(assigned_to) = change.assigned_to {
            incident.assigned_to = assigned_to;
        }
        if let Some(tags) = change.tags {
            details.custom_tags = tags;
        }
        if let Some(text) = change.comment.filter(|text| !text.is_empty()) {
            details.comments.push(comment(&text, &caller.shown(), floor(call.now)));
        }
        details.last_modified_by = Some(caller.shown());
        incident.details = Some(Box::new(details));
        incident.updated = floor(call.now);
        Ok(())
    });
    edited.map_err(|_| gone())?;
    let changed = tenant.incident(known.id).ok_or_else(gone)?;
    drop(tenant);
    let mut body: Map<String, Value> = Map::new();
    body.insert(
        "@odata.context".to_owned(),
        json!("https://api.security.microsoft.com/api/$metadata#Incidents/$entity"),
    );
    body.extend(crate::render::graph::object(crate::render::xdr::incident(&changed, &state.world, &call.switches)));
    Ok(Reply::json(200, &Value::Object(body)).worked())
}
