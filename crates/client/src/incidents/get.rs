//! One incident, and where it went when it was merged into another.

use super::Incident;
use super::request::{one, unreadable};
use serde_json::value::RawValue;
use sortie_defender::ids::IncidentId;
use sortie_defender::page;
use sortie_defender::surface::Surface;
use sortie_defender::view::{IncidentView, Redirect};
use sortie_sdk::{Answer, Error, Host, Outcome, Result, kinds};

/// The longest chain of merges that is followed. Whether chains occur is not documented (contract section 4.4).
const LONGEST_CHAIN: usize = 10;

/// An incident that was asked for.
#[derive(Debug)]
pub struct Got {
    /// It, in Graph's shape.
    pub incident: Box<RawValue>,
    /// Its id.
    pub id: IncidentId,
    /// The ids that led to it by merges, the one asked for first; empty when it is the one asked for.
    pub redirected_from: Vec<IncidentId>,
}

/// An answer that is one incident.
pub struct Snapshot {
    surface: Surface,
    body: Vec<u8>,
}

impl Snapshot {
    pub(crate) fn new(surface: Surface, body: Vec<u8>) -> Self {
        Self { surface, body }
    }

    /// Reads one incident as it is now, without following a merge.
    ///
    /// # Errors
    /// What the host reports, such as `not_found`.
    pub fn read(host: &Host<'_>, surface: Surface, id: IncidentId, alerts: bool) -> Result<Self> {
        let response = one(host, surface, id, alerts).send()?.response()?;
        Ok(Self::new(surface, response.body()?.into_owned()))
    }

    /// Reads several incidents at once, as [`Snapshot::read`] does each; the answers come in the order of the ids.
    ///
    /// # Errors
    /// Only what ends the run. What is wrong with one incident stands at its place.
    pub fn read_many(host: &Host<'_>, surface: Surface, ids: &[IncidentId], alerts: bool) -> Result<Vec<Result<Self>>> {
        let requests = ids.iter().map(|id| one(host, surface, *id, alerts)).collect();
        let read = |answer: Answer<'_, '_>| -> Result<Self> {
            Ok(Self::new(surface, answer.response()?.body()?.into_owned()))
        };
        Ok(host.send_many(requests)?.into_iter().map(|answer| answer.and_then(read)).collect())
    }

    /// The incident in the answer.
    ///
    /// # Errors
    /// `bad_response` when the answer is not an incident.
    pub fn incident(&self) -> Result<Incident<'_>> {
        let incident = Incident::new(self.surface, page::record::<IncidentView<'_>>(&self.body).map_err(unreadable)?);
        if incident.is_object() && incident.view().id_text().is_some() {
            Ok(incident)
        } else {
            Err(Error::new(kinds::BAD_RESPONSE, "the service's answer is not an incident"))
        }
    }
}

/// Whether an error is about one incident, so that others can be read all the same: it is too large, fails inside the service,
/// or is not what it should be.
pub fn is_about_incident(error: &Error) -> bool {
    let kind = error.kind() == kinds::RESPONSE_TOO_LARGE || error.kind() == kinds::BAD_RESPONSE;
    error.outcome() == Outcome::Answered && (kind || matches!(error.http_status(), Some(400 | 410 | 500 | 502 | 504)))
}

/// Reads an incident; one that was merged leads to the incident it was merged into, with a warning.
///
/// # Errors
/// What the host reports, such as `not_found`.
pub fn get(host: &Host<'_>, surface: Surface, id: IncidentId, alerts: bool) -> Result<Got> {
    let asked_for = Snapshot::read(host, surface, id, alerts)?;
    let mut path = vec![id];
    let mut reached: Option<Snapshot> = None;
    loop {
        let snapshot = reached.as_ref().unwrap_or(&asked_for);
        let here = path.last().copied().unwrap_or(id);
        let next = match snapshot.incident()?.view().redirect() {
            None => break,
            Some(Redirect::To(next)) => next,
            Some(Redirect::Unreadable) => {
                host.warn(format!("incident {here} was merged, but the service does not say readably into which"));
                break;
            }
        };
        if path.contains(&next) {
            host.warn(format!(
                "the merges lead in a circle: {} and back to {next}; this is the incident that was asked for",
                arrows(&path)
            ));
            return got(&asked_for, alerts, vec![id]);
        }
        if path.len() > LONGEST_CHAIN {
            host.warn(format!(
                "the merges were followed {LONGEST_CHAIN} times: {}; the last one leads on to {next}",
                arrows(&path)
            ));
            break;
        }
        match Snapshot::read(host, surface, next, alerts) {
            Ok(target) => reached = Some(target),
            Err(error) if error.kind() == kinds::NOT_FOUND => {
                host.warn(format!(
                    "incident {here} was merged into {next}, which the application cannot see; this is incident {here}"
                ));
                break;
            }
            Err(error) => return Err(error.context(&format!("incident {here} was merged into {next}"))),
        }
        path.push(next);
    }
    if path.len() > 1 {
        host.warn(format!("incident {id} was merged: {}", arrows(&path)));
    }
    got(reached.as_ref().unwrap_or(&asked_for), alerts, path)
}

fn got(snapshot: &Snapshot, alerts: bool, mut path: Vec<IncidentId>) -> Result<Got> {
    let incident = snapshot.incident()?;
    let last = path.pop();
    let id =
        incident.view().id().or(last).ok_or_else(|| Error::new(kinds::BAD_RESPONSE, "an incident without an id"))?;
    if let Some(last) = last
        && last != id
    {
        // The service led on by itself.
        path.push(last);
    }
    Ok(Got { incident: incident.to_raw(alerts)?, id, redirected_from: path })
}

fn arrows(path: &[IncidentId]) -> String {
    path.iter().map(ToString::to_string).collect::<Vec<_>>().join(" -> ")
}
