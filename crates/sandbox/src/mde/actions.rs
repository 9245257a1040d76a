//! Machine actions: start, list, get, cancel (contract section 7.1). A 201 means queued, not done.

use serde_json::{Map, Value, json};

use super::machines::missing;
use super::{READ, cut, no_options, query};
use crate::call::Call;
use crate::clock::floor;
use crate::entra::Caller;
use crate::filter::{self, Field, Kind, Row, field};
use crate::lock;
use crate::odata::next_link;
use crate::record::Api;
use crate::render::endpoint;
use crate::render::graph::object;
use crate::render::piece::Item;
use crate::reply::{Refusal, Reply};
use crate::state::State;
use crate::switches::{Duplicate, Switches};
use crate::tenant::Tenant;
use crate::tenant::machine::{Action, Cancellation};
use crate::xdr::page;

/// A machine action that can be started.
struct Verb {
    /// The last path segment.
    path: &'static str,
    /// Its `type`.
    kind: &'static str,
    permission: &'static str,
    /// The type that undoes it.
    opposite: Option<&'static str>,
    /// The body key that becomes its `scope`, and the values it may have.
    scope: Option<(&'static str, &'static [&'static str])>,
    /// Whether the scope must be given.
    scope_required: bool,
}

const VERBS: &[Verb] = &[
    Verb {
        path: "isolate",
        kind: "Isolate",
        permission: "Machine.Isolate",
        opposite: Some("Unisolate"),
        scope: Some(("IsolationType", &["Full", "Selective", "UnManagedDevice"])),
        scope_required: false,
    },
    Verb {
        path: "unisolate",
        kind: "Unisolate",
        permission: "Machine.Isolate",
        opposite: Some("Isolate"),
        scope: None,
        scope_required: false,
    },
    Verb {
        path: "runAntiVirusScan",
        kind: "RunAntiVirusScan",
        permission: "Machine.Scan",
        opposite: None,
        scope: Some(("ScanType", &["Quick", "Full"])),
        scope_required: true,
    },
    Verb {
        path: "restrictCodeExecution",
        kind: "RestrictCodeExecution",
        permission: "Machine.RestrictExecution",
        opposite: Some("UnrestrictCodeExecution"),
        scope: None,
        scope_required: false,
    },
    Verb {
        path: "unrestrictCodeExecution",
        kind: "UnrestrictCodeExecution",
        permission: "Machine.RestrictExecution",
        opposite: Some("RestrictCodeExecution"),
        scope: None,
        scope_required: false,
    },
    Verb {
        path: "collectInvestigationPackage",
        kind: "CollectInvestigationPackage",
        permission: "Machine.CollectForensics",
        opposite: None,
        scope: None,
        scope_required: false,
    },
];

/// What machine actions may be filtered by, and nothing else (contract section 7).
const FIELDS: &[Field] = &[
    field("id", Kind::Text),
    field("status", Kind::Enum(&["Pending", "InProgress", "Succeeded", "Failed", "TimeOut", "Cancelled"])),
    field("machineId", Kind::Text),
    field(
        "type",
        Kind::Enum(&[
            "RunAntiVirusScan",
            "Offboard",
            "LiveResponse",
            "CollectInvestigationPackage",
            "Isolate",
            "Unisolate",
            "StopAndQuarantineFile",
            "RestrictCodeExecution",
            "UnrestrictCodeExecution",
        ]),
    ),
    field("requestor", Kind::Text),
    field("creationDateTimeUtc", Kind::Time),
];

struct ActionRow<'a>(&'a Action, &'a str);

impl Row for ActionRow<'_> {
    fn cell(&self, field: usize) -> filter::Cell<'_> {
        use filter::Cell;
        match field {
            0 => Cell::Text(&self.0.id),
            1 => Cell::Text(self.1),
            2 => Cell::Text(&self.0.machine_id),
            3 => Cell::Text(self.0.kind),
            4 => Cell::Text(&self.0.requestor),
            5 => Cell::Time(self.0.created),
            _ => Cell::Null,
        }
    }
}

const ENTITY: &str = "https://api.securitycenter.microsoft.com/api/$metadata#MachineActions/$entity";

fn entity(status: u16, action: &Action, call: &Call) -> Reply {
    let mut body = object(json!({ "@odata.context": ENTITY }));
    body.extend(object(endpoint::action(action, call.now, "lastUpdateDateTimeUtc")));
    Reply::json(status, &Value::Object(body))
}

fn wrong_body(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidRequestBody", message)
}

fn required(name: &str) -> Refusal {
    Refusal::new(400, "MissingRequiredParameter", format!("The required parameter '{name}' is missing."))
}

/// The parts of a machine action's body.
struct Order {
    comment: String,
    scope: Option<String>,
    external_id: Option<String>,
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong_body(format!("Request body is incorrect: '{name}' must be text"))),
    }
}

fn order(call: &Call, verb: &Verb) -> Result<Order, Refusal> {
    let body = call.json_object().map_err(|reason| wrong_body(format!("Request body is incorrect: {reason}")))?;
    // Keys are case-sensitive: `comment` is not `Comment`, so the required parameter is what is missing.
    let comment = text(&body, "Comment")?.filter(|text| !text.trim().is_empty()).ok_or_else(|| required("Comment"))?;
    let mut scope = None;
    if let Some((key, members)) = verb.scope {
        let must = verb.scope_required || (key == "IsolationType" && call.switches.isolation_type_required);
        scope = match text(&body, key)? {
            Some(value) if members.contains(&value) => Some(value.to_owned()),
            Some(value) => {
                return Err(Refusal::new(400, "InvalidInput", format!("'{value}' is not a value of {key}.")));
            }
            None if must => return Err(required(key)),
            None => members.first().map(|first| (*first).to_owned()),
        };
    }
    let external: &[&str] =
        if call.switches.external_id_pascal { &["ExternalId"] } else { &["externalID", "ExternalId", "ExternalID"] };
    let mut external_id = None;
    for (name, _) in &body {
        if external.contains(&name.as_str()) {
            external_id = text(&body, name)?.map(str::to_owned);
        } else if name != "Comment" && verb.scope.is_none_or(|(key, _)| key != name) {
            return Err(wrong_body(format!("Request body is incorrect: '{name}' is not known")));
        }
    }
    Ok(Order { comment: comment.to_owned(), scope, external_id })
}

pub(super) fn start(state: &State, call: &Call, caller: &Caller, machine: &str, verb: &str) -> Result<Reply, Refusal> {
    let verb = VERBS
        .iter()
        .find(|known| known.path == verb)
        .ok_or_else(|| Refusal::new(404, "NotFound", "General not found error."))?;
    caller.require(Api::DefenderEndpoint, &[verb.permission])?;
    no_options(call)?;
    let order = order(call, verb)?;
    let mut tenant = lock(&state.tenant);
    let found = tenant.machines.iter().find(|known| known.id == machine).ok_or_else(|| missing(machine))?;
    let (machine_id, computer_dns_name) = (found.id.clone(), found.computer_dns_name.clone());
    if let Some(pending) = conflict(&tenant, verb, &machine_id, call)? {
        // The pending action is returned as if it were new; nothing happens a second time.
        return Ok(entity(201, &pending, call));
    }
    let outcome = tenant.outcomes.get(&machine_id).unwrap_or(&tenant.outcome).clone();
    let action = Action {
        id: tenant.guid(),
        kind: verb.kind,
        scope: order.scope,
        requestor: caller.shown(),
        comment: order.comment,
        external_id: order.external_id,
        machine_id,
        computer_dns_name,
        created: floor(call.now),
        outcome,
        cancelled: None,
    };
    let reply = entity(201, &action, call).worked();
    tenant.actions.push(action);
    Ok(reply)
}

/// Refuses an action that stands in the way of another, or returns the one to answer with.
fn conflict(tenant: &Tenant, verb: &Verb, machine: &str, call: &Call) -> Result<Option<Action>, Refusal> {
    let switches: &Switches = &call.switches;
    let open = |kind: &str| {
        tenant
            .actions
            .iter()
            .rev()
            .find(|action| action.machine_id == machine && action.kind == kind && action.open(call.now))
    };
    let in_progress = || Refusal::new(400, switches.duplicate_code.clone(), "Action is already in progress");
    if let Some(pending) = open(verb.kind) {
        let rule = if verb.kind == "Isolate" { switches.isolate_duplicate } else { switches.action_duplicate };
        match rule {
            Duplicate::Refuse => return Err(in_progress()),
            Duplicate::ReturnPending => return Ok(Some(pending.clone())),
            Duplicate::Second => {}
        }
    }
    if switches.refuse_opposite && verb.opposite.is_some_and(|kind| open(kind).is_some()) {
        return Err(in_progress());
    }
    let isolated = tenant.isolated(machine, call.now);
    if verb.kind == "Isolate" && isolated && switches.refuse_isolated {
        return Err(Refusal::new(400, "InvalidInput", "Machine is already isolated"));
    }
    if verb.kind == "Unisolate" && !isolated && switches.refuse_not_isolated {
        return Err(Refusal::new(400, "InvalidInput", "Machine is not isolated"));
    }
    Ok(None)
}

pub(super) fn list(state: &State, call: &Call) -> Result<Reply, Refusal> {
    let query = query(call, FIELDS)?;
    let tenant = lock(&state.tenant);
    let found: Vec<&Action> = tenant
        .actions
        .iter()
        .rev()
        .filter(|action| {
            query.filter.as_ref().is_none_or(|(_, filter)| filter.holds(&ActionRow(action, action.status(call.now).0)))
        })
        .collect();
    let (shown, next) = cut(&found, &query, call);
    let key = if call.switches.list_last_update_time { "lastUpdateTimeUtc" } else { "lastUpdateDateTimeUtc" };
    let items =
        shown.iter().map(|action| Item::Text(endpoint::action(action, call.now, key).to_string().into())).collect();
    let next = next
        .filter(|_| call.switches.endpoint_next_links)
        .map(|skip| next_link(&state.origin, call, &format!("$skip={skip}")));
    Ok(Reply::page(page("https://api.securitycenter.microsoft.com/api/$metadata#MachineActions", next, items)))
}

fn gone(id: &str) -> Refusal {
    Refusal::new(404, "ResourceNotFound", format!("Machine action {id} was not found"))
}

pub(super) fn get(state: &State, call: &Call, id: &str) -> Result<Reply, Refusal> {
    no_options(call)?;
    let tenant = lock(&state.tenant);
    let action = tenant.actions.iter().find(|action| action.id == id).ok_or_else(|| gone(id))?;
    Ok(entity(200, action, call))
}

pub(super) fn cancel(state: &State, call: &Call, caller: &Caller, id: &str) -> Result<Reply, Refusal> {
    no_options(call)?;
    let body = call.json_object().map_err(|reason| wrong_body(format!("Request body is incorrect: {reason}")))?;
    let comment =
        text(&body, "Comment")?.filter(|text| !text.trim().is_empty()).ok_or_else(|| required("Comment"))?.to_owned();
    let mut tenant = lock(&state.tenant);
    let Some(action) = tenant.actions.iter_mut().find(|action| action.id == id) else {
        caller.require(Api::DefenderEndpoint, READ)?;
        return Err(gone(id));
    };
    let permission =
        VERBS.iter().find(|verb| verb.kind == action.kind).map_or("Machine.Isolate", |verb| verb.permission);
    caller.require(Api::DefenderEndpoint, &[permission])?;
    if !action.open(call.now) {
        return Err(Refusal::new(400, "BadRequest", "The action is final and cannot be cancelled"));
    }
    action.cancelled = Some(Cancellation { requestor: caller.shown(), comment, time: floor(call.now) });
    Ok(entity(200, action, call).worked())
}
