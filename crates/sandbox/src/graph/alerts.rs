//! Alerts (`alerts_v2`): list and get. Evidence is inline; there is no `$expand`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::incidents::{cut, page, selected};
use super::{bad, context, missing, open, query};
use crate::call::Call;
use crate::filter::{self, Field, Kind, Row, field};
use crate::lock;
use crate::odata::next_link;
use crate::render::graph::{self, Style, object};
use crate::render::piece::Item;
use crate::reply::{Refusal, Reply};
use crate::state::State;
use crate::switches::Undocumented;
use crate::tenant::incident::{Alert, Incident};
use crate::tenant::words;

/// What alerts may be filtered by, and nothing else (contract section 4).
const FIELDS: &[Field] = &[
    field("assignedTo", Kind::Text),
    field("classification", Kind::Enum(words::CLASSIFICATION)),
    field("determination", Kind::Enum(words::DETERMINATION)),
    field("createdDateTime", Kind::Time),
    field("lastUpdateDateTime", Kind::Time),
    field("severity", Kind::Enum(words::SEVERITY)),
    field("serviceSource", Kind::Enum(words::SERVICE_SOURCE)),
    field("status", Kind::Enum(words::ALERT_STATUS)),
];

const PROPERTIES: &[&str] = &[
    "id",
    "providerAlertId",
    "incidentId",
    "tenantId",
    "status",
    "severity",
    "classification",
    "determination",
    "serviceSource",
    "detectionSource",
    "productName",
    "detectorId",
    "title",
    "description",
    "recommendedActions",
    "category",
    "assignedTo",
    "alertWebUrl",
    "incidentWebUrl",
    "actorDisplayName",
    "threatDisplayName",
    "threatFamilyName",
    "mitreTechniques",
    "investigationState",
    "createdDateTime",
    "lastUpdateDateTime",
    "resolvedDateTime",
    "firstActivityDateTime",
    "lastActivityDateTime",
    "comments",
    "systemTags",
    "evidence",
];

impl Row for Alert {
    fn cell(&self, field: usize) -> filter::Cell<'_> {
        use filter::Cell;
        match field {
            0 => self.assigned_to.as_deref().map_or(Cell::Null, Cell::Text),
            1 => Cell::Text(&self.classification),
            2 => Cell::Text(&self.determination),
            3 => Cell::Time(self.created),
            4 => Cell::Time(self.updated),
            5 => Cell::Text(&self.severity),
            6 => Cell::Text(&self.service_source),
            7 => Cell::Text(&self.status),
            _ => Cell::Null,
        }
    }
}

pub(super) fn list(state: &State, call: &Call) -> Result<Reply, Refusal> {
    let query = query::read(call, FIELDS, None, PROPERTIES)?;
    let (found, total, next) = {
        let mut tenant = lock(&state.tenant);
        let name = format!("graph alerts\n{}", query.filter.as_ref().map_or("", |(text, _)| text));
        let list = tenant.list_alerts(&name, query.order, |alert| {
            query.filter.as_ref().is_none_or(|(_, filter)| filter.holds(alert))
        });
        let (range, next) = cut(&query, &list, call.shift, call.switches.graph_continuation);
        let keys = list.get(range).unwrap_or_default();
        let found: Vec<(Arc<Incident>, usize)> =
            keys.iter().filter_map(|key| Some((tenant.incident(key.id)?, usize::try_from(key.place).ok()?))).collect();
        (found, list.len(), next)
    };
    let style = Style { switches: &call.switches, open: open(call) };
    let items = found
        .iter()
        .filter_map(|(incident, place)| {
            let alert = incident.alerts(&state.world, true).into_iter().nth(*place)?;
            let text = graph::alert(alert, incident.id, &state.tenant_id, style).to_string();
            Some(Item::Text(match &query.select {
                None => text.into(),
                Some(names) => selected(text.as_bytes(), names),
            }))
        })
        .collect();
    let next = next
        .filter(|_| call.switches.graph_alert_next_links)
        .map(|token| next_link(&state.origin, call, &format!("$skiptoken={}", token.write())));
    Ok(Reply::page(page(&context("alerts_v2"), total, &query, next, items)))
}

pub(super) fn get(state: &State, call: &Call, id: &str) -> Result<Reply, Refusal> {
    if let Some((name, _)) = crate::odata::options(call)?.first()
        && call.switches.graph_other_options == Undocumented::Refuse
    {
        return Err(bad(format!("Query option '{name}' is not allowed.")));
    }
    let (incident, alert) = lock(&state.tenant).alert(id, true).ok_or_else(|| missing("Alert", id))?;
    Ok(whole(state, call, alert, incident.id))
}

/// One alert as an answer.
pub(super) fn whole(state: &State, call: &Call, alert: Arc<Alert>, incident: u64) -> Reply {
    let style = Style { switches: &call.switches, open: open(call) };
    let mut map = object(json!({ "@odata.context": context("alerts_v2/$entity") }));
    map.extend(object(graph::alert(alert, incident, &state.tenant_id, style)));
    Reply::json(200, &Value::Object(map))
}
