//! The control API: the operations of [`Control`] as JSON over HTTP, without a token, on loopback like everything else.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /control` | [`crate::Summary`] |
//! | `GET /control/records?api=graph` | the records (`api` optional) |
//! | `DELETE /control/records` | forgets them |
//! | `GET /control/switches` | all switches |
//! | `PATCH /control/switches` | sets the members of the body |
//! | `POST /control/faults` | puts the rule of the body in force ([`crate::Rule`]) |
//! | `DELETE /control/faults` | takes all rules away |
//! | `GET /control/incidents` | ids and last updates; `/issued` with every version that ever was |
//! | `GET /control/incidents/{id}` | the incident as Graph shows it |
//! | `POST /control/incidents` | adds the incident of the body ([`crate::IncidentDraft`]); `{"count":n,"time":"..."}` adds n |
//! | `PATCH`, `DELETE /control/incidents/{id}` | changes or removes it |
//! | `POST /control/incidents/{id}/alerts` | adds an alert ([`crate::AlertDraft`]) |
//! | `POST /control/incidents/{id}/merge` | `{"into": id}` |
//! | `POST /control/incidents/{id}/fail-expand` | `{"on": true}` |
//! | `GET /control/machines`, `POST` | all machines with `isolated` and `isolations`; adds or changes one ([`crate::MachineDraft`]) |
//! | `DELETE /control/machines` | removes all |
//! | `POST /control/outcome` | `{"machine": id?, "action": id?, "outcome": {...}}` ([`crate::Outcome`]) |
//! | `GET /control/actions` | all machine actions |
//! | `POST /control/actions/finish` | moves the clock on until all have ended |
//! | `POST /control/clock` | `{"set": time?, "advanceMs": n?, "still": bool?}` |
//! | `POST /control/applications` | registers one ([`crate::Application`]) |
//! | `POST /control/tokens/expire` | makes all tokens invalid, or with `{"application": name}` those of one |
//! | `POST /control/challenge` | `{"api": "graph", "on": true}` |
//! | `DELETE /control/throttle` | forgets requests counted against limits |

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::call::Call;
use crate::record::Api;
use crate::reply::Reply;
use crate::state::State;
use crate::tenant::draft::{AlertDraft, IncidentDraft, MachineDraft};
use crate::tenant::machine::Outcome;
use crate::{Control, Error, Rule, Switches, lock};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Many {
    count: usize,
    time: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Into {
    into: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct On {
    on: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetOutcome {
    machine: Option<String>,
    action: Option<String>,
    outcome: Outcome,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MoveClock {
    set: Option<Timestamp>,
    advance_ms: Option<u64>,
    still: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Whose {
    application: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Challenge {
    api: Api,
    on: bool,
}

/// Answers a request to `/control/...`.
pub(crate) fn answer(state: &State, call: &Call) -> Reply {
    match run(state, call) {
        Ok(value) => Reply::json(200, &value),
        Err(error) => {
            let status = if matches!(error, Error::NotFound { .. }) { 404 } else { 400 };
            Reply::json(status, &json!({ "error": error.to_string() }))
        }
    }
}

fn body<T: DeserializeOwned>(call: &Call) -> Result<T, Error> {
    let bytes: &[u8] = if call.body.is_empty() { b"{}" } else { &call.body };
    serde_json::from_slice(bytes).map_err(|error| Error::Invalid(error.to_string()))
}

fn number(text: &str) -> Result<u64, Error> {
    text.parse().map_err(|_| Error::NotFound { what: "incident", id: text.to_owned() })
}

fn show(value: &impl serde::Serialize) -> Result<Value, Error> {
    serde_json::to_value(value).map_err(|error| Error::Invalid(error.to_string()))
}

fn run(state: &State, call: &Call) -> Result<Value, Error> {
    let control = Control(state.itself().ok_or_else(|| Error::Invalid("the sandbox is stopping".to_owned()))?);
    let done = Ok(json!({ "done": true }));
    let path: Vec<&str> = call.segments.iter().map(String::as_str).filter(|segment| !segment.is_empty()).collect();
    match (call.method.as_str(), &path[..]) {
        ("GET", []) => show(&control.summary()),
        ("GET", ["records"]) => {
            let api = match call.option("api") {
                None => None,
                Some(name) => {
                    Some(serde_json::from_value(name.into()).map_err(|error| Error::Invalid(error.to_string()))?)
                }
            };
            show(&lock(&state.records).list(api))
        }
        ("DELETE", ["records"]) => {
            control.clear_records();
            done
        }
        ("GET", ["switches"]) => show(&control.switches()),
        ("PATCH", ["switches"]) => {
            let mut merged = show(&control.switches())?;
            let change: serde_json::Map<String, Value> = body(call)?;
            for (name, value) in change {
                merged[name] = value;
            }
            let merged: Switches = serde_json::from_value(merged).map_err(|error| Error::Invalid(error.to_string()))?;
            control.switch(|switches| *switches = merged);
            show(&control.switches())
        }
        ("POST", ["faults"]) => {
            control.fault(body::<Rule>(call)?);
            done
        }
        ("DELETE", ["faults"]) => {
            control.clear_faults();
            done
        }
        ("GET", ["incidents"]) => show(&control.versions()),
        ("GET", ["incidents", "issued"]) => show(&control.issued()),
        ("GET", ["incidents", id]) => {
            control.incident(number(id)?).ok_or_else(|| Error::NotFound { what: "incident", id: (*id).to_owned() })
        }
        ("POST", ["incidents"]) => match body::<Many>(call) {
            Ok(many) => Ok(json!({ "ids": control.add_incidents(many.count, many.time)? })),
            Err(_) => Ok(json!({ "id": control.add_incident(&body::<IncidentDraft>(call)?)? })),
        },
        ("PATCH", ["incidents", id]) => {
            control.edit_incident(number(id)?, &body::<IncidentDraft>(call)?)?;
            done
        }
        ("DELETE", ["incidents", id]) => {
            control.remove_incident(number(id)?)?;
            done
        }
        ("POST", ["incidents", id, "alerts"]) => {
            Ok(json!({ "id": control.add_alert(number(id)?, &body::<AlertDraft>(call)?)? }))
        }
        ("POST", ["incidents", id, "merge"]) => {
            control.merge(number(id)?, body::<Into>(call)?.into)?;
            done
        }
        ("POST", ["incidents", id, "fail-expand"]) => {
            control.fail_expand(number(id)?, body::<On>(call)?.on);
            done
        }
        ("GET", ["machines"]) => control
            .machines()
            .iter()
            .map(|machine| {
                let mut value = show(machine)?;
                value["isolated"] = control.isolated(&machine.id).into();
                value["isolations"] = control.isolations(&machine.id).into();
                Ok(value)
            })
            .collect(),
        ("POST", ["machines"]) => Ok(json!({ "id": control.put_machine(&body::<MachineDraft>(call)?) })),
        ("DELETE", ["machines"]) => {
            control.clear_machines();
            done
        }
        ("POST", ["outcome"]) => {
            let set: SetOutcome = body(call)?;
            match &set.action {
                Some(action) => control.set_action_outcome(action, set.outcome)?,
                None => control.set_outcome(set.machine.as_deref(), set.outcome),
            }
            done
        }
        ("GET", ["actions"]) => show(&control.actions()),
        ("POST", ["actions", "finish"]) => {
            control.finish_actions();
            done
        }
        ("POST", ["clock"]) => {
            let moved: MoveClock = body(call)?;
            if let Some(time) = moved.set {
                control.set_clock(time);
            }
            if let Some(milliseconds) = moved.advance_ms {
                control.advance(Duration::from_millis(milliseconds));
            }
            if let Some(still) = moved.still {
                control.hold_clock(still);
            }
            Ok(json!({ "clock": control.clock() }))
        }
        ("POST", ["applications"]) => {
            control.register(body(call)?)?;
            done
        }
        ("POST", ["tokens", "expire"]) => {
            let whose: Whose = body(call)?;
            let count =
                whose.application.map_or_else(|| control.expire_tokens(), |application| control.revoke(&application));
            Ok(json!({ "expired": count }))
        }
        ("POST", ["challenge"]) => {
            let challenge: Challenge = body(call)?;
            control.challenge(challenge.api, challenge.on);
            done
        }
        ("DELETE", ["throttle"]) => {
            control.clear_throttle();
            done
        }
        _ => Err(Error::NotFound { what: "operation", id: format!("{} {}", call.method, call.path) }),
    }
}

impl State {
    /// A handle on this same state.
    fn itself(&self) -> Option<Arc<Self>> {
        self.itself.upgrade()
    }
}
