//! One step: list, hand over, follow merges, answer the cursor.

use crate::cursor::Cursor;
use crate::input::{Input, Mode};
use crate::record::Record;
use crate::step::{Plan, Seen};
use schemars::JsonSchema;
use serde::Serialize;
use sortie_client::incidents::{Incident, Item, Listing, Query, Totals, list, surface};
use sortie_defender::filter::Filter;
use sortie_defender::ids::IncidentId;
use sortie_defender::surface::Surface;
use sortie_defender::view::Redirect;
use sortie_sdk::prelude::*;
use std::collections::{BTreeSet, HashSet};
use std::ops::ControlFlow;

/// How far this machine's clock may be from the service's before the first look-back is counted from the service's.
const SKEW: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);
/// How far ahead of the service's time at its first answer an update still counts as fresh, for a step takes its time.
/// Beyond that the date is wrong, and waiting for it would be of no use.
const FRESH: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

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
        read: totals.read + followed.read,
        returned: step.returned,
        matched: step.matched,
        quarantined: step.quarantined,
        calls: totals.calls + followed.calls,
        server_time: server_now.to_string(),
    })
}

pub(crate) struct Step<'s, 'run> {
    pub(crate) host: &'s Host<'run>,
    pub(crate) input: &'s Input,
    pub(crate) surface: Surface,
    query: Query,
    seen: Seen,
    /// The incidents handed over, and those that merged incidents lead to.
    pub(crate) handed_over: HashSet<IncidentId>,
    pub(crate) targets: BTreeSet<IncidentId>,
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
                    let reason = format!("an incident could not be read: {}", reason.message());
                    self.hand_over(Record::unreadable(None, &reason))?;
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
            let age = server_now.duration_since(updated);
            if !delay.is_zero() && age < delay && age > -FRESH {
                // It comes with a later poll, for the watermark stays before it.
                self.seen.leave(updated);
                return Ok(());
            }
            self.seen.note(updated);
        }
        if let (Some(Redirect::To(target)), true) = (incident.view().redirect(), plan.is_news(updated)) {
            self.targets.insert(target);
        }
        self.hand_over_incident(incident, quarantine)
    }

    pub(crate) fn hand_over_incident(&mut self, incident: &Incident<'_>, quarantine: Option<&str>) -> Result<()> {
        self.handed_over.extend(incident.view().id());
        let excluded = || {
            let title = incident.view().display_name().unwrap_or_default();
            self.input.title_exclude.iter().any(|pattern| pattern.finds(&title))
        };
        let matched = self.query.matches(incident) && !excluded();
        self.hand_over(Record::of(incident, matched, quarantine))
    }

    /// Hands a record over; of one that is too large for the host, all but the incident itself.
    pub(crate) fn hand_over(&mut self, mut record: Record<'_>) -> Result<()> {
        match self.host.emit(&record) {
            Err(error) if error.kind() == kinds::RESPONSE_TOO_LARGE && record.body.is_some() => {
                record = record.without_body(&format!("it could not be handed over: {}", error.message()));
                self.host.emit(&record)?;
            }
            other => other?,
        }
        self.returned += 1;
        self.matched += u64::from(record.matched);
        self.quarantined += u64::from(record.quarantine.is_some());
        Ok(())
    }
}
