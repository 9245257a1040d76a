//! Defender for Endpoint: machines and machine actions (contract section 7).

mod actions;
mod machines;

use crate::call::Call;
use crate::entra::Caller;
use crate::filter::{Expression, Field};
use crate::odata;
use crate::record::Api;
use crate::reply::{Refusal, Reply};
use crate::state::State;
use crate::switches::Undocumented;

const READ: &[&str] = &["Machine.Read.All", "Machine.ReadWrite.All"];

/// Answers a request to `/mde/...`.
pub(crate) fn answer(state: &State, call: &Call, caller: &Caller) -> Result<Reply, Refusal> {
    let path: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    match (call.method.as_str(), &path[..]) {
        ("GET", ["api", "machines"]) => {
            caller.require(Api::DefenderEndpoint, READ)?;
            machines::list(state, call)
        }
        ("GET", ["api", "machines", id]) => {
            caller.require(Api::DefenderEndpoint, READ)?;
            machines::get(state, call, id)
        }
        ("POST", ["api", "machines", id, verb]) => actions::start(state, call, caller, id, verb),
        ("GET", ["api", "machineactions"]) => {
            caller.require(Api::DefenderEndpoint, READ)?;
            actions::list(state, call)
        }
        ("GET", ["api", "machineactions", id]) => {
            caller.require(Api::DefenderEndpoint, READ)?;
            actions::get(state, call, id)
        }
        ("POST", ["api", "machineactions", id, "cancel"]) => actions::cancel(state, call, caller, id),
        (_, ["api", "machines" | "machineactions"] | ["api", "machines" | "machineactions", _]) => {
            Err(Refusal::new(405, "BadRequest", "The HTTP method is not supported."))
        }
        _ => Err(Refusal::new(404, "NotFound", "General not found error.")),
    }
}

/// The options of a list: filter, top, skip.
struct Query<'a> {
    filter: Option<(&'a str, Expression)>,
    top: usize,
    skip: usize,
}

fn query<'a>(call: &'a Call, fields: &[Field]) -> Result<Query<'a>, Refusal> {
    let limit = call.switches.endpoint_page;
    let mut query = Query { filter: None, top: limit, skip: 0 };
    for (name, value) in odata::options(call)? {
        match name {
            "$filter" => {
                let read = odata::read_filter(value, fields, &call.switches);
                query.filter =
                    Some((value, read.map_err(|refusal| Refusal { code: "ODataError".to_owned(), ..refusal })?));
            }
            "$top" => {
                query.top = odata::number(name, value)?;
                if query.top > limit {
                    return Err(Refusal::new(
                        400,
                        "BadRequest",
                        format!("The limit of '{limit}' for Top query has been exceeded."),
                    ));
                }
            }
            "$skip" => query.skip = odata::number(name, value)?,
            _ if call.switches.endpoint_other_options == Undocumented::Refuse => {
                return Err(Refusal::new(400, "BadRequest", format!("Query option '{name}' is not supported.")));
            }
            _ => {}
        }
    }
    Ok(query)
}

/// The part of a list that a query shows, and the `$skip` of the next page.
fn cut<'a, T>(list: &'a [T], query: &Query<'_>, call: &Call) -> (&'a [T], Option<usize>) {
    let start = call.shift.apply(query.skip, query.top).min(list.len());
    let end = start.saturating_add(query.top).min(list.len());
    (list.get(start..end).unwrap_or_default(), (end < list.len() && query.top > 0).then_some(end))
}

fn no_options(call: &Call) -> Result<(), Refusal> {
    match odata::options(call)?.first() {
        Some((name, _)) if call.switches.endpoint_other_options == Undocumented::Refuse => {
            Err(Refusal::new(400, "BadRequest", format!("Query option '{name}' is not supported.")))
        }
        _ => Ok(()),
    }
}
