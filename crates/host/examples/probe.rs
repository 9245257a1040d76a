//! An action that does what its input says, service by service: the library that the host's own tests load.
//!
//! The input is `{"do": [STEP, ...]}`; each step is an object with one member, named after what it does. The answers
//! of the services come back in the reply, in order.
#![allow(unsafe_code, reason = "a library's entry points, by hand: this crate does not know the sdk")]
#![expect(clippy::unwrap_used, reason = "an input that it does not understand crashes it, which the host survives")]

use serde_json::{Value, json};
use sortie_abi::action::{self, Host};
use sortie_abi::{ActionV1, HostV1, Level, Slice, Status};
use std::time::Duration;

static TABLE: ActionV1 = action::table(describe, invoke);

#[unsafe(no_mangle)]
extern "C" fn sortie_action_v1() -> *const ActionV1 {
    // This library's own copy of the hook: its crashes are asked for, and need no report on stderr.
    std::panic::set_hook(Box::new(|_| {}));
    &raw const TABLE
}

unsafe extern "C" fn describe(host: *const HostV1) -> Status {
    // SAFETY: the host passes a table that is valid for the call.
    unsafe { action::enter(host, |host| say(host, &manifest(), Status::OK), crashed) }
}

unsafe extern "C" fn invoke(host: *const HostV1, input: Slice) -> Status {
    // SAFETY: the host passes a table and an input that are valid for the call.
    unsafe {
        let input = action::borrow(input);
        action::enter(host, |host| run(host, input), crashed)
    }
}

fn crashed(host: &Host<'_>) -> Status {
    say(host, &json!({"kind": "panic", "message": "the probe crashed"}), Status::FAILED)
}

fn say(host: &Host<'_>, reply: &Value, status: Status) -> Status {
    match host.reply(reply.to_string().as_bytes()) {
        Ok(()) => status,
        Err(refused) => refused,
    }
}

fn manifest() -> Value {
    let call = |id: &str, method: &str, path: &str, effect: &str, role: &str, permission: &str| {
        json!({"id": id, "api": "graph", "method": method, "path": path, "effect": effect, "role": role,
               "permissions": [permission], "limit": "graph-security"})
    };
    json!({
        "manifest": 1, "name": "probe", "version": "0.1.0", "title": "Probe", "description": "Does what it is told.",
        "kind": "Containment", "effect": "destructive", "idempotent": false, "reversedBy": "unprobe",
        "surfaces": ["graph"], "streams": true, "waitField": "wait",
        "calls": [
            call("list", "GET", "/security/incidents", "read", "base", "SecurityIncident.Read.All"),
            call("get", "GET", "/security/incidents/{incidentId}", "read", "base", "SecurityIncident.Read.All"),
            call("update", "PATCH", "/security/incidents/{incidentId}", "write", "base", "SecurityIncident.ReadWrite.All"),
            call("isolate", "POST", "/machines/{machineId}/isolate", "destructive", "remediation", "Machine.Isolate")
        ],
        "input": {
            "type": "object", "additionalProperties": false, "required": ["do"],
            "properties": {"do": {"type": "array", "items": {"type": "object"}},
                           "wait": {"type": "string", "format": "sortie-span"},
                           "level": {"type": "integer", "maximum": 9}}
        },
        "output": {"type": "object"}
    })
}

fn run(host: &Host<'_>, input: &[u8]) -> Status {
    let input: Value = serde_json::from_slice(input).unwrap();
    let Some(steps) = input["do"].as_array() else {
        let refused = json!({"kind": "invalid_input", "message": "no steps",
                             "violations": [{"pointer": "", "message": "missing field `do`"},
                                            {"pointer": "/wait", "message": "is more than this probe waits"}]});
        return say(host, &refused, Status::FAILED);
    };
    let mut answers = Vec::new();
    for step in steps {
        let (what, with) = step.as_object().unwrap().iter().next().unwrap();
        let answer = match what.as_str() {
            "context" => Ok(serde_json::from_str(host.invocation().unwrap()).unwrap()),
            "request" => request(host, with),
            "many" => many(host, with),
            "emit" => host.emit(with.as_str().unwrap()).map(|()| json!("taken")),
            "emitForEver" => loop {
                if let Err(status) = host.emit("{}") {
                    break Err(status);
                }
            },
            "sleep" => host.sleep(Duration::from_millis(with.as_u64().unwrap())).map(|()| json!("slept")),
            "sleepOr" => match host.sleep(Duration::from_millis(with["milliseconds"].as_u64().unwrap())) {
                Ok(()) => Ok(json!("slept")),
                Err(_) => return say(host, &with["fail"], Status::FAILED),
            },
            "emitOr" => {
                while host.emit("{}").is_ok() {}
                return say(host, &with["fail"], Status::FAILED);
            }
            "progress" => {
                host.progress(with.as_str().unwrap());
                Ok(json!(host.now().unwrap()))
            }
            "log" => {
                host.log(Level::WARN, with["message"].as_str().unwrap(), with["fields"].as_str().unwrap());
                Ok(Value::Null)
            }
            "hang" => {
                std::thread::sleep(Duration::from_millis(with.as_u64().unwrap()));
                Ok(json!(host.cancelled()))
            }
            "panic" => panic!("{with}"),
            "reply" => return raw_reply(host, with),
            "status" => return Status(i32::try_from(with.as_i64().unwrap()).unwrap()),
            "fail" => return say(host, with, Status::FAILED),
            other => panic!("no step {other}"),
        };
        match answer {
            Ok(answer) => answers.push(answer),
            Err(Status::CANCELLED) => return Status::CANCELLED,
            Err(status) => answers.push(json!({"status": status.0})),
        }
    }
    say(host, &json!({"answers": answers}), Status::OK)
}

fn opened(open: &action::Open<'_, '_>) -> Value {
    let head: Value = serde_json::from_str(open.head().unwrap()).unwrap();
    let body = String::from_utf8_lossy(&open.body().unwrap()).into_owned();
    json!({"head": head, "body": body})
}

/// `{"head": HEAD, "body": TEXT}`
fn request(host: &Host<'_>, with: &Value) -> Result<Value, Status> {
    let body = with["body"].as_str().unwrap_or_default();
    let head = with["head"].as_str().map_or_else(|| with["head"].to_string(), str::to_owned);
    host.request(&head, body.as_bytes()).map(|open| opened(&open))
}

/// `[HEAD, ...]`
fn many(host: &Host<'_>, with: &Value) -> Result<Value, Status> {
    let heads: Vec<String> = with.as_array().unwrap().iter().map(Value::to_string).collect();
    let requests: Vec<(&str, &[u8])> = heads.iter().map(|head| (head.as_str(), &b""[..])).collect();
    Ok(host.request_many(&requests)?.iter().map(opened).collect())
}

/// `{"times": N, "text": TEXT}` or `{"bytes": [..]}`: replied as it is.
fn raw_reply(host: &Host<'_>, with: &Value) -> Status {
    if let Some(bytes) = with["bytes"].as_array() {
        let bytes: Vec<u8> = bytes.iter().map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap()).collect();
        return host.reply(&bytes).map_or_else(|status| status, |()| Status::OK);
    }
    for _ in 0..with["times"].as_u64().unwrap_or(1) {
        if host.reply(with["text"].as_str().unwrap().as_bytes()).is_err() {
            return say(host, &json!({"kind": "internal", "message": "refused"}), Status::FAILED);
        }
    }
    Status::OK
}
