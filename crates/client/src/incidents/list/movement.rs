//! A listing that moves while it is read.
//!
//! The services list newest first. Two things can go wrong between two pages:
//!
//! - Everything shifts down: an incident is new, or changed and moved to the front. Then one repeats within its window. What
//!   may have slipped past the reader has just changed, so what changed since the round began is listed again.
//! - Everything shifts up: an incident left the filter, for somebody resolved it. Nothing repeats, and what is lost is a
//!   neighbour that never changed. So where incidents can leave, a page by offset begins with the last incident of the page
//!   before; if it does not, the same is listed again from its beginning.
//!
//! Where shifts in both directions could cancel each other, or repeats cannot be seen because the rest came in another window,
//! what changed meanwhile is always listed again. The rounds are bounded; a listing that moved in every one of them says so.

use super::Reader;
use crate::incidents::seen::Seen;
use crate::incidents::window::Window;
use jiff::{SignedDuration, Timestamp};
use sortie_defender::filter::{Filter, Literal, Operator};
use sortie_defender::surface::Surface;
use sortie_defender::view::IncidentView;
use sortie_sdk::Result;

/// How often a listing that moved is read again.
const MOST_ROUNDS: u32 = 3;
/// How far before a round's first answer a change may lie and still be looked for again: the answer's date has whole seconds.
const CLOCK_GRAIN: SignedDuration = SignedDuration::from_secs(2);

/// What one round shows about the listing's movement.
#[derive(Debug, Default)]
pub(crate) struct Movement {
    /// The service's own time at the round's first answer.
    pub(super) began: Option<Timestamp>,
    /// Whether two pages could not be compared, for an incident between them could not be read.
    pub(crate) unverified: bool,
    /// An incident came twice within one window.
    repeated: bool,
    /// A page did not begin where the one before ended.
    shifted: bool,
    /// There were changes that neither would have shown.
    unwatched: bool,
    /// Whether this is not the first round.
    again: bool,
    /// Whether what is read now may have been read before.
    overlapping: bool,
    /// What came in this window, where it overlaps what was read before.
    window: Seen,
}

impl Movement {
    fn round_begins(&mut self, again: bool) {
        *self = Self { unverified: self.unverified, again, ..Self::default() };
    }

    pub(super) fn window_begins(&mut self, window: Window) {
        self.overlapping = self.again || !window.is_whole();
        self.window = Seen::default();
    }

    /// Whether what is read now may have been read before.
    pub(super) fn is_overlapping(&self) -> bool {
        self.overlapping
    }

    /// Takes note that what is left of a window is read by others.
    pub(super) fn cut(&mut self) {
        self.unwatched = true;
    }

    /// Takes note of two pages that should overlap.
    pub(super) fn joined(&mut self, fit: bool) {
        self.shifted |= !fit;
        self.unwatched = true;
    }

    /// Takes note of a page that held nothing new: another one was lost to it. A pass that repeats on purpose is no news.
    pub(super) fn came_again(&mut self) {
        self.shifted |= !self.overlapping;
    }

    /// Takes note of the next incident, and whether it is new to the listing as a whole.
    pub(super) fn note(&mut self, incident: &IncidentView<'_>, new: bool) {
        self.repeated |= if self.overlapping { !self.window.is_new(incident) } else { !new };
    }
}

impl Reader<'_, '_, '_> {
    /// Reads the listing, and again what its movement may have hidden.
    pub(super) fn read_all(&mut self) -> Result<()> {
        let filter = self.listing.filter.clone();
        let surface = self.listing.surface;
        let end = filter.as_ref().and_then(|filter| updated_until(filter, surface));
        let mut settled = false;
        for round in 0..=MOST_ROUNDS {
            self.movement.round_begins(round > 0);
            self.links.clear();
            self.stale = 0;
            self.read_windows()?;
            if self.totals.stopped {
                return Ok(());
            }
            if self.movement.shifted {
                continue;
            }
            let since = self.movement.began.unwrap_or_else(|| self.host.now()) - CLOCK_GRAIN;
            let hides = self.movement.repeated || self.movement.unwatched;
            // What changed after the listing's own end is no longer part of it.
            if !hides || end.is_some_and(|end| end <= since) {
                settled = true;
                break;
            }
            self.listing.filter = Filter::all(filter.clone().into_iter().chain([surface.updated().ge(since)]));
        }
        if !settled {
            self.host
                .warn("the incidents kept changing while they were listed; one that changed meanwhile may be missing");
        }
        if self.movement.unverified {
            self.host.warn(
                "an incident could not be read, so that it is not sure whether the pages around it fit together; \
                 if others left the filter meanwhile, one may be missing",
            );
        }
        Ok(())
    }
}

/// Whether a later change can take an incident out of a filter. Its creation never changes and its last update only grows;
/// everything else can become anything.
pub(super) fn can_leave(filter: &Filter, surface: Surface) -> bool {
    match filter {
        Filter::Comparison { property, operator, .. } => {
            let only_grows = is_updated(property, surface) && matches!(operator, Operator::AtLeast | Operator::Above);
            !only_grows && *property != name(&surface.created().ge(Timestamp::UNIX_EPOCH))
        }
        Filter::And(filters) | Filter::Or(filters) => filters.iter().any(|filter| can_leave(filter, surface)),
        Filter::Not(_) => true,
    }
}

/// The time of last update up to which a filter lets incidents through, if it has an end.
fn updated_until(filter: &Filter, surface: Surface) -> Option<Timestamp> {
    match filter {
        Filter::Comparison { property, operator: Operator::AtMost | Operator::Below, value: Literal::Time(at) }
            if is_updated(property, surface) =>
        {
            Some(*at)
        }
        Filter::And(filters) => filters.iter().filter_map(|filter| updated_until(filter, surface)).min(),
        _ => None,
    }
}

fn is_updated(property: &str, surface: Surface) -> bool {
    property == name(&surface.updated().ge(Timestamp::UNIX_EPOCH))
}

/// The property that a comparison compares.
fn name(comparison: &Filter) -> &'static str {
    match comparison {
        Filter::Comparison { property, .. } => property,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incidents::{Assignee, Query};
    use sortie_defender::enums::IncidentStatus;

    #[test]
    fn incidents_leave_every_filter_but_those_of_creation_and_of_later_updates() {
        let noon = "2026-01-01T12:00:00Z".parse().ok();
        let stays = [
            Query { created_after: noon, created_before: noon, ..Query::default() },
            Query { updated_after: noon, ..Query::default() },
        ];
        let leaves = [
            Query { updated_before: noon, created_after: noon, ..Query::default() },
            Query { status: vec![IncidentStatus::Active, IncidentStatus::InProgress], ..Query::default() },
            Query { assigned_to: vec![Assignee::Person("a".into())], updated_after: noon, ..Query::default() },
        ];
        for surface in [Surface::Graph, Surface::DefenderXdr] {
            for query in &stays {
                assert!(!can_leave(&query.filter(surface).unwrap(), surface), "{query:?}");
            }
            for query in &leaves {
                assert!(can_leave(&query.filter(surface).unwrap(), surface), "{query:?}");
            }
            assert_eq!(updated_until(&leaves[0].filter(surface).unwrap(), surface), noon);
            assert_eq!(updated_until(&leaves[2].filter(surface).unwrap(), surface), None);
        }
    }
}
