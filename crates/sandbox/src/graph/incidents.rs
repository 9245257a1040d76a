//! Incidents: list and get.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::query::{self, Query};
use super::{READ_ALERTS, bad, context, incident_id, missing, open};
use crate::call::{Call, Shift};
use crate::entra::Caller;
use crate::filter::{Field, Kind, Row, field};
use crate::odata::{Token, next_link};
use crate::record::Api;
use crate::render::View;
use crate::render::graph::object;
use crate::render::piece::{Item, Page};
use crate::reply::{Refusal, Reply};
use crate::state::State;
use crate::switches::{Continuation, Undocumented};
use crate::tenant::incident::Incident;
use crate::tenant::list::Key;
use crate::tenant::words;
use crate::{filter, lock};

/// What incidents may be filtered by, and nothing else (contract section 4).
const FIELDS: &[Field] = &[
    field("assignedTo", Kind::Text),
    field("classification", Kind::Enum(words::CLASSIFICATION)),
    field("createdDateTime", Kind::Time),
    field("determination", Kind::Enum(words::DETERMINATION)),
    field("lastUpdateDateTime", Kind::Time),
    field("severity", Kind::Enum(words::SEVERITY)),
    field("status", Kind::Enum(words::INCIDENT_STATUS)),
];

/// The properties of an incident that `$select` may name.
const PROPERTIES: &[&str] = &[
    "id",
    "tenantId",
    "status",
    "incidentWebUrl",
    "redirectIncidentId",
    "displayName",
    "createdDateTime",
    "lastUpdateDateTime",
    "assignedTo",
    "classification",
    "determination",
    "severity",
    "customTags",
    "systemTags",
    "description",
    "summary",
    "resolvingComment",
    "lastModifiedBy",
    "priorityScore",
    "comments",
];

impl Row for Incident {
    fn cell(&self, field: usize) -> filter::Cell<'_> {
        use filter::Cell;
        match field {
            0 => self.assigned_to.as_deref().map_or(Cell::Null, Cell::Text),
            1 => Cell::Text(self.classification),
            2 => Cell::Time(self.created),
            3 => Cell::Text(self.determination),
            4 => Cell::Time(self.updated),
            5 => Cell::Text(self.severity),
            6 => Cell::Text(self.status),
            _ => Cell::Null,
        }
    }
}

pub(super) fn list(state: &State, call: &Call, caller: &Caller) -> Result<Reply, Refusal> {
    let query = query::read(call, FIELDS, Some("alerts"), PROPERTIES)?;
    if query.expand && call.switches.expand_needs_alert_permission {
        caller.require(Api::Graph, READ_ALERTS)?;
    }
    let (incidents, total, next, broken) = {
        let mut tenant = lock(&state.tenant);
        let name = format!("graph incidents\n{}", query.filter.as_ref().map_or("", |(text, _)| text));
        let list = tenant.list(&name, query.order, |incident| {
            query.filter.as_ref().is_none_or(|(_, filter)| filter.holds(incident))
        });
        let (range, next) = cut(&query, &list, call.shift, call.switches.graph_continuation);
        let keys = list.get(range).unwrap_or_default();
        let incidents: Vec<Arc<Incident>> = keys.iter().filter_map(|key| tenant.incident(key.id)).collect();
        let broken = query.expand && keys.iter().any(|key| tenant.expand_failures.contains(&key.id));
        (incidents, list.len(), next, broken)
    };
    if broken {
        return Err(Refusal::new(500, "InternalServerError", "An internal server error has occurred."));
    }
    let view = View::graph(query.expand, open(call));
    let items = incidents
        .iter()
        .map(|incident| match &query.select {
            None => state.item(incident, view, &call.switches, call.gzip),
            Some(names) => Item::Text(selected(&state.text(incident, view, &call.switches), names)),
        })
        .collect();
    let next = next
        .filter(|_| call.switches.graph_next_links)
        .map(|token| next_link(&state.origin, call, &format!("$skiptoken={}", token.write())));
    Ok(Reply::page(page(&context("incidents"), total, &query, next, items)))
}

/// The part of a list that a query shows, and the continuation after it.
pub(super) fn cut(
    query: &Query<'_>,
    list: &[Key],
    shift: Shift,
    continuation: Continuation,
) -> (std::ops::Range<usize>, Option<Token>) {
    let start = query.token.map_or(query.skip, |token| token.start(list, query.order));
    let start = shift.apply(start, query.top).min(list.len());
    let end = start.saturating_add(query.top).min(list.len());
    let next = (end < list.len() && end > start).then(|| match (continuation, list.get(end - 1)) {
        (Continuation::Key, Some(key)) => Token::After(*key),
        _ => Token::Offset(end),
    });
    (start..end, next)
}

/// A page of a Graph list. The count stands on the first page only (contract section 3, "Graph paging").
pub(super) fn page(context: &str, total: usize, query: &Query<'_>, next: Option<String>, items: Vec<Item>) -> Page {
    let mut head = object(json!({ "@odata.context": context }));
    if query.count && query.token.is_none() {
        head.insert("@odata.count".to_owned(), total.into());
    }
    if let Some(next) = next {
        head.insert("@odata.nextLink".to_owned(), next.into());
    }
    let mut text = Value::Object(head).to_string().into_bytes();
    text.pop();
    text.extend_from_slice(b",\"value\":[");
    Page { head: text, items, tail: b"]}".to_vec() }
}

/// An object with only those members (and its type).
pub(super) fn selected(text: &[u8], names: &[&str]) -> Bytes {
    let map = object(serde_json::from_slice(text).unwrap_or_default());
    let kept: serde_json::Map<_, _> = map
        .into_iter()
        .filter(|(key, _)| key == "@odata.type" || key == "alerts" || names.contains(&key.as_str()))
        .collect();
    Value::Object(kept).to_string().into()
}

pub(super) fn get(state: &State, call: &Call, caller: &Caller, id: &str) -> Result<Reply, Refusal> {
    let (mut expand, mut select) = (false, None);
    for (name, value) in crate::odata::options(call)? {
        match name {
            "$expand" => expand = query::expand(value, Some("alerts"))?,
            "$select" if call.switches.graph_select == Undocumented::Obey => {
                select = Some(query::select(value, PROPERTIES)?)
            }
            "$select" if call.switches.graph_select == Undocumented::Ignore => {}
            _ if call.switches.graph_other_options == Undocumented::Refuse => return Err(query::unsupported(name)),
            _ => {}
        }
    }
    if expand && call.switches.expand_needs_alert_permission {
        caller.require(Api::Graph, READ_ALERTS)?;
    }
    let number = incident_id(id)?;
    let (incident, broken) = {
        let tenant = lock(&state.tenant);
        (tenant.incident(number), tenant.expand_failures.contains(&number))
    };
    let incident = incident.ok_or_else(|| missing("Incident", id))?;
    if expand && broken && call.switches.expand_failure_hits_single {
        return Err(Refusal::new(500, "InternalServerError", "An internal server error has occurred."));
    }
    let view = View::graph(expand, open(call));
    Ok(match select {
        None => whole(state, call, &incident, view),
        Some(names) => Reply::bytes(
            200,
            "application/json; charset=utf-8",
            selected(&state.text(&incident, view, &call.switches), &names),
        ),
    })
}

/// One incident as an answer.
pub(super) fn whole(state: &State, call: &Call, incident: &Incident, view: View) -> Reply {
    let head = json!({ "@odata.context": context("incidents/$entity") }).to_string();
    let item = state.item(incident, view, &call.switches, false);
    let Item::Text(text) = item else { return Reply::page(Page { items: vec![item], ..Page::default() }) };
    // Joins the context and the incident's members into one object.
    let mut body = head.into_bytes();
    body.pop();
    body.push(b',');
    body.extend_from_slice(text.get(1..).unwrap_or_default());
    Reply::bytes(200, "application/json; charset=utf-8", body)
}

/// A body that is not for lists.
pub(super) fn no_options(call: &Call) -> Result<(), Refusal> {
    match crate::odata::options(call)?.first() {
        Some((name, _)) if call.switches.graph_other_options == Undocumented::Refuse => {
            Err(bad(format!("Query option '{name}' is not allowed.")))
        }
        _ => Ok(()),
    }
}
