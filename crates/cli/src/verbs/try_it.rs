//! `sortie try`: the main job, from start to end, on a tenant made up inside this process.
//!
//! Nothing is played: the actions are opened from their libraries and speak to a server over a socket, as they would
//! with Microsoft. Each step prints the command that repeats it, so that the walk is also the first page of a manual.

mod step;

use crate::command_line::Globals;
use crate::output::Look;
use crate::report::{Ending, Stop, unusable, usage};
use crate::session::Session;
use crate::signals::Interruptions;
use crate::terminal;
use clap::Args;
use serde_json::{Value, json};
use sortie_host::{CancellationToken, Failure, kinds};
use std::io::{self, BufWriter, Write};
use std::time::Instant;
use step::{Step, Walk, first_text};
use tokio::runtime::Builder;

/// Nothing to choose.
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

/// Walks. The first step that fails ends it.
pub(crate) fn run(_: &Arguments, globals: &Globals) -> Ending {
    if globals.profile.is_some() || globals.config.is_some() {
        return Err(usage("sortie try works on a made-up tenant only", "leave --profile and --config out").into());
    }
    let begun = Instant::now();
    let session = Session::open(&Globals { sandbox: true, ..globals.clone() })?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| unusable("no runtime", &error))?;
    let look = Look { width: terminal::width(), bold: globals.color.on(&io::stdout()) };
    let mut out = BufWriter::new(terminal::data_output()?);
    let walked = runtime.block_on(async {
        let mut interruptions = Interruptions::catch().map_err(|error| unusable("signals", &error))?;
        let cancel = CancellationToken::new();
        let mut walk = Walk::new(&session.host, cancel.clone(), look, &mut out);
        interruptions.guard(&cancel, all(&mut walk)).await
    });
    runtime.shutdown_background();
    // What was done before a failure is worth seeing.
    out.flush()?;
    walked.map_err(with_remedy)?;
    write!(out, "{}", farewell(begun.elapsed().as_secs_f64()))?;
    out.flush()?;
    Ok(0)
}

/// The main job: find, look, note, contain, release, watch.
async fn all<W: Write>(walk: &mut Walk<'_, W>) -> Result<(), Stop> {
    walk.say(
        "This walks through the main job on a made-up tenant, served inside this process. Nothing leaves the\n\
         machine. Each step runs a real action, loaded from its library.\n",
    )?;
    let found = walk
        .step(Step {
            title: "Search: the newest active incidents, with their alerts",
            action: "search-incidents",
            input: json!({ "status": ["active"], "limit": 5, "alerts": true }),
        })
        .await?;
    let (incident, machine) = target(&found)?;
    walk.step(Step {
        title: "Look: one incident with its alerts and evidence",
        action: "get-incident",
        input: json!({ "incidentId": incident }),
    })
    .await?;
    walk.step(Step {
        title: "Note: take the incident and say so",
        action: "update-incident",
        input: json!({ "incidentId": incident, "status": "inProgress", "assignedTo": "analyst@contoso.com",
            "comment": "Looking into it." }),
    })
    .await?;
    walk.step(Step {
        title: "Contain: cut the machine in its evidence off, and wait until that is done",
        action: "isolate-machine",
        input: json!({ "machine": machine, "comment": format!("Incident {incident}."), "wait": "1m" }),
    })
    .await?;
    walk.step(Step {
        title: "Release: take that back, and wait again",
        action: "release-machine",
        input: json!({ "machine": machine, "comment": format!("Incident {incident}: false alarm."), "wait": "1m" }),
    })
    .await?;
    walk.step(Step {
        title: "Watch: one step of the daemon, which hands over what changed",
        action: "incidents-daemon",
        input: json!({ "mode": "poll", "lookBack": "1h" }),
    })
    .await?;
    Ok(())
}

/// The first incident with a machine in its evidence, and that machine's id.
fn target(found: &[Value]) -> Result<(String, String), Failure> {
    found
        .iter()
        .find_map(|incident| Some((text(incident.get("id")?)?, first_text(incident, "mdeDeviceId")?)))
        .ok_or_else(|| Failure::new(kinds::FAILED, "no incident that was found names a machine in its evidence"))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// In a build tree the libraries may not be built yet.
fn with_remedy(stop: Stop) -> Stop {
    match stop {
        Stop::Failure(failure) if failure.kind == kinds::ACTION_NOT_FOUND => failure
            .with_hint(
                "`cargo build --release` builds the command and every action; if the libraries are elsewhere, name \
                 their folder with --actions-dir",
            )
            .into(),
        other => other,
    }
}

fn farewell(seconds: f64) -> String {
    format!(
        "Done in {seconds:.1} s. With --sandbox each command above starts the same tenant afresh.\n\n\
         What next:\n\
         \x20 sortie actions                      every action\n\
         \x20 sortie run isolate-machine --help   its flags, permissions and examples\n\
         \x20 sortie sandbox                      the same tenant as a server, with a ready profile\n\
         \x20 sortie help exit-codes              what a playbook can rely on\n\
         \x20 README.md                           how to connect a real tenant; then `sortie check`\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_an_incident_with_a_machine() {
        let found = [
            json!({"id": "1", "alerts": [{"evidence": [{"mdeDeviceId": null}]}]}),
            json!({"id": 2, "alerts": [{"evidence": [{"x": 1}, {"deviceEvidence": {"mdeDeviceId": "abc"}}]}]}),
        ];
        assert_eq!(target(&found).unwrap(), ("2".to_owned(), "abc".to_owned()));
        assert_eq!(target(&found[..1]).unwrap_err().exit_code(), 1);
    }

    #[test]
    fn missing_libraries_have_a_remedy() {
        let stop = with_remedy(Failure::new(kinds::ACTION_NOT_FOUND, "x").into());
        let Stop::Failure(failure) = stop else { panic!("no failure") };
        assert!(failure.hint.as_deref().unwrap().contains("cargo build --release"));
    }
}
