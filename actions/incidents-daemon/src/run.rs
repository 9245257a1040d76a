//! One step: list, hand over, follow merges, answer the cursor.

use crate::cursor::Cursor;
use crate::input::{Input, Mode};
use crate::record::Record;
use crate::step::{Plan, Seen};
use schemars::JsonSchema;
use serde::Serialize;
use sortie_client::incidents::{Incident, Item, Listing, Query, Snapshot, Totals, list, surface};
use sortie_defender::filter::Filter;
use sortie_defender::ids::IncidentId;
use sortie_defender::surface::Surface;
use sortie_defender::view::Redirect;
use sortie_sdk::prelude::*;
use std::collections::{BTreeSet, HashSet};
use std::ops::ControlFlow;

/// How far this machine's clock may be from the service's before the first look-back is counted from the service's.
const SKEW: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);
/// The most merged incidents whose targets one step reads.
const MOST_TARGETS: usize = 200;

/// How the step ended; the records themselves stand in `records`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The mode of this step.
    pub mode: Mode,
    /// The cursor for the next step of this mode; null after a sweep, which begins anew.
    pub next_cursor: Option<Cursor>,
    /// Whether the window was not read to its end: the next step should follow at once.
    pub more: bool,
    /// How many incidents were read.
    pub read: u64,
    /// How many records were handed over.
    pub returned: u64,
    /// How many of them fulfil the filters.
    pub matched: u64,
    /// How many records carry a note about what could not be read.
    pub quarantined: u64,
    /// How many calls the step took.
    pub calls: u64,
    /// The service's own time when it answered, or this machine's where it did not say.
    pub server_time: String,
}

pub(crate) fn run(host: &Host<'_>, input: &Input) -> Result<Output> {
    let mut step = Step::new(host, input, surface(host)?);
    let plan = |now| Plan::new(input.mode, input.cursor, input.overlap.duration(), input.look_back.duration(), now);
    let began = host.now();
    let mut used = plan(began);
    let mut totals = step.read(&used)?;
    // Without a cursor the window begins by this machine's clock; when that proves wrong, by the service's.
    if let (None, Some(server)) = (input.cursor, totals.began)
        && server.duration_since(began).abs() > SKEW
    {
        host.warn(format!("this machine's clock is not the service's: here it is {began}, there {server}"));
        used = plan(server);
        let calls = totals.calls;
        totals = step.read(&used)?;
        totals.calls += calls;
    }
    let server_now = totals.began.unwrap_or(began);
    let next =
        if totals.stopped { used.cut(&step.seen, server_now) } else { used.done(&step.seen, input.limit, server_now) };
    let followed = step.follow_merges()?;
    Ok(Output {
        mode: input.mode,
        next_cursor: next.cursor,
        more: next.more,
        read: totals.read + followed,
        returned: step.returned,
        matched: step.matched,
        quarantined: step.quarantined,
        calls: totals.calls + followed,
        server_time: server_now.to_string(),
    })
}

struct Step<'s, 'run> {
    host: &'s Host<'run>,
    input: &'s Input,
    surface: Surface,
    query: Query,
    seen: Seen,
    /// The incidents handed over, and those that merged incidents lead to.
    handed_over: HashSet<IncidentId>,
    targets: BTreeSet<IncidentId>,
    returned: u64,
    matched: u64,
    quarantined: u64,
}

impl<'s, 'run> Step<'s, 'run> {
    fn new(host: &'s Host<'run>, input: &'s Input, surface: Surface) -> Self {
        Self {
            host,
            input,
            surface,
            query: input.query(),
            seen: Seen::default(),
            handed_over: HashSet::new(),
            targets: BTreeSet::new(),
            returned: 0,
            matched: 0,
            quarantined: 0,
        }
    }

    /// Reads one part of the window.
    fn read(&mut self, plan: &Plan) -> Result<Totals> {
        let updated = self.surface.updated();
        let bounds = [Some(updated.ge(plan.from)), plan.until.map(|until| updated.lt(until))];
        let listing = Listing {
            surface: self.surface,
            filter: Filter::all(bounds.into_iter().flatten()),
            alerts: self.input.alerts,
            at_most: None,
        };
        let limit = if plan.whole { u64::MAX } else { self.input.limit };
        let host = self.host;
        list(host, &listing, &mut |item, totals| {
            // The limit is reached when there is one more: a window that holds exactly as many is read to its end.
            if totals.read > limit {
                return Ok(ControlFlow::Break(()));
            }
            let server_now = totals.began.unwrap_or_else(|| host.now());
            match item {
                Item::Incident(incident) => self.take(plan, &incident, None, server_now)?,
                Item::Quarantined { incident: Some(incident), reason } => {
                    let reason = format!("its alerts could not be read: {}", reason.message());
                    self.take(plan, &incident, Some(&reason), server_now)?;
                }
                Item::Quarantined { incident: None, reason } => {
                    self.hand_over(&Record::unreadable(&format!(
                        "an incident could not be read: {}",
                        reason.message()
                    )))?;
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Hands an incident over, unless it is too fresh.
    fn take(
        &mut self,
        plan: &Plan,
        incident: &Incident<'_>,
        quarantine: Option<&str>,
        server_now: Timestamp,
    ) -> Result<()> {
        let updated = incident.view().updated();
        if let Some(updated) = updated {
            let delay = jiff::SignedDuration::try_from(self.input.ingest_delay.duration()).unwrap_or_default();
            if !delay.is_zero() && updated <= server_now && server_now.duration_since(updated) < delay {
                // It comes with a later poll, for the watermark stays before it.
                return Ok(());
            }
            self.seen.note(updated);
        }
        if let (Some(Redirect::To(target)), true) = (incident.view().redirect(), plan.is_news(updated)) {
            self.targets.insert(target);
        }
        self.hand_over_incident(incident, quarantine)
    }

    fn hand_over_incident(&mut self, incident: &Incident<'_>, quarantine: Option<&str>) -> Result<()> {
        self.handed_over.extend(incident.view().id());
        let excluded = || {
            let title = incident.view().display_name().unwrap_or_default();
            self.input.title_exclude.iter().any(|pattern| pattern.finds(&title))
        };
        let matched = self.query.matches(incident) && !excluded();
        self.hand_over(&Record::of(incident, matched, quarantine)?)
    }

    fn hand_over(&mut self, record: &Record<'_>) -> Result<()> {
        self.host.emit(record)?;
        self.returned += 1;
        self.matched += u64::from(record.matched);
        self.quarantined += u64::from(record.quarantine.is_some());
        Ok(())
    }

    /// Reads the incidents that others were merged into, where the window did not hold them; answers how many calls that took.
    fn follow_merges(&mut self) -> Result<u64> {
        let mut calls = 0;
        while let Some(target) = self.targets.pop_first() {
            if self.handed_over.contains(&target) {
                continue;
            }
            if calls as usize >= MOST_TARGETS {
                self.host.warn(format!("more than {MOST_TARGETS} incidents were merged; not every target was read"));
                break;
            }
            calls += 1;
            match Snapshot::read(self.host, self.surface, target, self.input.alerts) {
                Ok(snapshot) => {
                    let incident = snapshot.incident()?;
                    self.handed_over.insert(target);
                    if let Some(Redirect::To(next)) = incident.view().redirect() {
                        self.targets.insert(next);
                    }
                    self.hand_over_incident(&incident, None)?;
                }
                Err(error) if error.kind() == kinds::NOT_FOUND => {
                    self.host.warn(format!("an incident was merged into {target}, which the application cannot see"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(calls)
    }
}
