//! Going on where the service does not say how.
//!
//! A full page without a next link may be the last one or not (contract section 4.5). Offsets help up to a limit; beyond it
//! a listing is cut into windows of creation time, which no later change can move an incident out of. How to cut depends on
//! the order of the pages, which is documented as newest first without saying by which time; so the order is watched, and
//! the cut is one that loses nothing under every order that fits what was seen. Windows may overlap what was read already;
//! repeats are dropped by id.

use jiff::Timestamp;
use sortie_defender::filter::Filter;
use sortie_defender::surface::Surface;
use sortie_defender::view::IncidentView;
use std::collections::VecDeque;

/// How many times an order must have shown itself, with nothing against it, to be believed. Equal times show nothing.
const EVIDENCE: u32 = 16;

/// How many of the last creation times are remembered, to find a middle.
const REMEMBERED: usize = 1024;

/// A span of creation time, both ends included; open where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
}

impl Window {
    fn is_empty(self) -> bool {
        matches!((self.from, self.until), (Some(from), Some(until)) if from > until)
    }

    /// The conditions of this window, to be added to those of the listing.
    pub(crate) fn conditions(self, surface: Surface) -> impl Iterator<Item = Filter> {
        let from = self.from.map(|from| surface.created().ge(from));
        let until = self.until.map(|until| surface.created().le(until));
        from.into_iter().chain(until)
    }

    /// Whether this is the whole listing.
    pub(crate) fn is_whole(self) -> bool {
        self == Self::default()
    }
}

/// One instant holds more incidents than offsets reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyAt(pub(crate) Option<Timestamp>);

/// What is known about the order of a window's pages and the times on them.
#[derive(Debug)]
pub(crate) struct Order {
    by_created: Trend,
    by_updated: Trend,
    oldest_created: Option<Timestamp>,
    oldest_updated: Option<Timestamp>,
    last: Option<(Timestamp, Timestamp)>,
    recent: VecDeque<Timestamp>,
}

impl Order {
    pub(crate) fn new() -> Self {
        Self {
            by_created: Trend::default(),
            by_updated: Trend::default(),
            oldest_created: None,
            oldest_updated: None,
            last: None,
            recent: VecDeque::new(),
        }
    }

    /// Takes note of the next incident, in the order of the pages.
    pub(crate) fn note(&mut self, incident: &IncidentView<'_>) {
        // An incident without times says nothing about order; a window cannot find it again either.
        let Some(created) = incident.created() else { return };
        let updated = incident.updated().unwrap_or(created);
        if let Some((last_created, last_updated)) = self.last.replace((created, updated)) {
            self.by_created.note(last_created, created);
            self.by_updated.note(last_updated, updated);
        }
        self.oldest_created = Some(self.oldest_created.map_or(created, |oldest| oldest.min(created)));
        self.oldest_updated = Some(self.oldest_updated.map_or(updated, |oldest| oldest.min(updated)));
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(created);
    }

    /// The windows that hold all of `window` that was not read, after its pages could not be read to their end. The one to
    /// read first comes last.
    pub(crate) fn rest_of(&self, window: Window) -> Result<Vec<Window>, TooManyAt> {
        if window.from.is_some() && window.from == window.until {
            return Err(TooManyAt(window.from));
        }
        if let Some(until) = self.boundary()
            && self.recent.iter().filter(|created| **created > until).count() * 4 >= self.recent.len()
        {
            return Ok(vec![Window { until: Some(until), ..window }]);
        }
        let mut sorted: Vec<Timestamp> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        let (Some(first), Some(last)) = (sorted.first().copied(), sorted.last().copied()) else {
            return Err(TooManyAt(None));
        };
        let mut middle = sorted.get(sorted.len() / 2).copied().unwrap_or(last);
        if middle == first {
            // More than half share the oldest instant: the cut comes just after it.
            middle = sorted.iter().copied().find(|created| *created > first).unwrap_or(first);
        }
        if first == last {
            // All at one instant: it gets a window of its own, between what is before and what is after it.
            let instant = Window { from: Some(first), until: Some(first) };
            let before = Window { until: before(first), ..window };
            let after = Window { from: after(first), ..window };
            return Ok([before, instant, after]
                .into_iter()
                .filter(|part| !part.is_empty() && *part != window)
                .collect());
        }
        Ok([Window { until: before(middle), ..window }, Window { from: Some(middle), ..window }]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect())
    }

    /// An instant after which everything was read, if the order shows one.
    ///
    /// By creation, newest first: what is left was created no later than the oldest creation seen. By last update: what is left
    /// was last changed, and so created, no later than the oldest change seen. Where both orders fit, the later of the two
    /// instants is right under either.
    fn boundary(&self) -> Option<Timestamp> {
        let believed = |trend: &Trend| !trend.broken && trend.descents >= EVIDENCE;
        match (&self.by_created, &self.by_updated) {
            (created, updated) if believed(created) && updated.broken => self.oldest_created,
            (created, updated) if believed(updated) || believed(created) && !updated.broken => {
                self.oldest_created.max(self.oldest_updated)
            }
            _ => None,
        }
    }
}

/// Whether a time only ever fell from one incident to the next.
#[derive(Debug, Default)]
struct Trend {
    descents: u32,
    broken: bool,
}

impl Trend {
    fn note(&mut self, last: Timestamp, next: Timestamp) {
        self.descents = self.descents.saturating_add((next < last).into());
        self.broken |= next > last;
    }
}

/// One step of the services' resolution.
const STEP: jiff::SignedDuration = jiff::SignedDuration::from_nanos(100);

fn before(instant: Timestamp) -> Option<Timestamp> {
    Some(instant.checked_sub(STEP).unwrap_or(Timestamp::MIN))
}

fn after(instant: Timestamp) -> Option<Timestamp> {
    Some(instant.checked_add(STEP).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests;
