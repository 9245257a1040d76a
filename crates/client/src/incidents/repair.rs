//! Taking a failing page apart until what fails stands alone and its neighbours flow.
//!
//! On large tenants a list with `$expand=alerts` answers 500 for ever when one incident on the page has too many alerts,
//! while each incident alone can be read (contract section 4.5); and one incident can be larger than any cap. A failing page
//! is therefore asked for in halves, and when the halves are small, without alerts and then incident by incident. One that
//! fails alone is handed over without its alerts, with a note. After that the pages grow again.

use super::Incident;
use super::list::{Item, Place, Reader, is_about_content};
use super::request::unreadable;
use super::window::{Order, Window};
use sortie_defender::page;
use sortie_defender::surface::Surface;
use sortie_defender::view::IncidentView;
use sortie_sdk::{Error, Result, kinds};

/// A page of at most this size is read incident by incident instead of being halved again: halves that fail cost a
/// whole round of the transport's retries each.
const SMALL: u64 = 12;
/// Incidents in a row that fail alone, after which it is not the incidents that fail.
const MOST_IN_A_ROW: u32 = 5;

/// The state of taking pages apart.
#[derive(Debug, Default)]
pub(super) struct Repair {
    /// The page size asked for now; none while nothing is wrong.
    size: Option<u64>,
    /// The offset at which the failing page ended. Until then pages do not grow, for what fails is still ahead.
    until: u64,
    /// Whether the service was found to list at all, without alerts.
    lists: bool,
    failed_in_a_row: u32,
}

/// How to go on after a page failed.
pub(super) enum Step {
    /// Ask for the same place again, for a smaller page.
    Again,
    /// Go on from here.
    From(Place),
    /// The window is read to its end.
    AtEnd,
    /// The caller has enough.
    Stopped,
}

impl Repair {
    pub(super) fn page_size(&self, full: u64) -> u64 {
        self.size.map_or(full, |size| size.min(full))
    }

    /// Takes note of a page that came; answers whether pages are still smaller than they should be. Such a page's next link
    /// would keep the page small, so it is not followed.
    pub(super) fn page_read(&mut self, consumed: u64, full: u64) -> bool {
        self.failed_in_a_row = 0;
        let Some(size) = self.size else { return false };
        if consumed >= self.until {
            self.size = (size * 2 < full).then_some(size * 2);
        }
        true
    }

    /// Takes note that another window begins, with offsets of its own.
    pub(super) fn window_begins(&mut self) {
        self.until = 0;
    }
}

impl Reader<'_, '_, '_> {
    /// Decides what to do about a page that failed.
    ///
    /// # Errors
    /// The page's own error, when a smaller page would not help.
    pub(super) fn mend(
        &mut self,
        window: Window,
        place: &Place,
        size: u64,
        error: Error,
        order: &mut Order,
    ) -> Result<Step> {
        let consumed = place.consumed;
        let expanded = self.listing.alerts && self.listing.surface == Surface::Graph;
        if !is_about_content(&error, expanded) {
            return Err(error);
        }
        if consumed >= self.repair.until {
            self.repair.until = consumed + size;
        }
        if place.link.is_some() {
            // A link keeps its page size: the same place by offset, or by a new window.
            self.repair.size = Some(size.div_ceil(2).max(1));
            return Ok(Step::From(Place { link: None, ..place.clone() }));
        }
        if expanded && !self.repair.lists {
            // One that is too large for any answer, were it the very first, says that the service does list.
            let too_large = |probe: Error| probe.kind() == kinds::RESPONSE_TOO_LARGE;
            if self.ask(window, place, 1, false).is_err_and(|probe| !too_large(probe)) {
                return Err(error);
            }
            self.repair.lists = true;
            self.host.log(sortie_sdk::Level::WARN, "a page with alerts failed; it is read in smaller pieces");
        }
        if expanded && size <= SMALL {
            return self.one_by_one(window, place, size, error, order);
        }
        if size > 1 {
            self.repair.size = Some(size.div_ceil(2));
            return Ok(Step::Again);
        }
        self.pass_over(place, error)
    }

    /// One incident, which cannot be asked for in any smaller form: it is noted and passed over.
    fn pass_over(&mut self, place: &Place, error: Error) -> Result<Step> {
        if self.can_leave {
            // Nothing shows whether the pages on both sides of this place still fit together.
            self.movement.unverified = true;
        }
        if place.overlap() > 0 {
            // It was asked for together with the one before it, which may be what failed.
            return Ok(Step::From(Place { anchor: None, ..place.clone() }));
        }
        self.quarantine(None, error)?;
        let next = Place { consumed: place.consumed + 1, ..Place::default() };
        Ok(if self.totals.stopped { Step::Stopped } else { Step::From(next) })
    }

    /// Reads a page's incidents without their alerts, then each alone with them.
    fn one_by_one(
        &mut self,
        window: Window,
        place: &Place,
        size: u64,
        error: Error,
        order: &mut Order,
    ) -> Result<Step> {
        let asked = self.asked(place, size);
        let Ok(response) = self.ask(window, place, asked, false) else {
            if size == 1 {
                return self.pass_over(place, error);
            }
            self.repair.size = Some(size.div_ceil(2));
            return Ok(Step::Again);
        };
        let body = response.body()?;
        let page = page::split::<IncidentView<'_>>(&body).map_err(unreadable)?;
        let records = page.records.len() as u64;
        let anchor = self.anchor(&page.records);
        let again = self.comes_again(place, &page.records);
        for record in page.records.into_iter().skip(again) {
            order.note(&record.view);
            self.read_alone(Incident::new(self.listing.surface, record))?;
            if self.totals.stopped {
                return Ok(Step::Stopped);
            }
        }
        self.repair.size = Some(size);
        let consumed = place.consumed + records.saturating_sub(place.overlap());
        Ok(if records < asked { Step::AtEnd } else { Step::From(Place { consumed, link: None, anchor }) })
    }

    fn read_alone(&mut self, bare: Incident<'_>) -> Result<()> {
        if !self.is_new(bare.view()) {
            return Ok(());
        }
        let Some(id) = bare.view().id() else {
            return self.visit(Item::Incident(bare)).map(drop);
        };
        match self.ask_one(id) {
            Ok(response) => {
                let body = response.body()?;
                let record = page::record::<IncidentView<'_>>(&body).map_err(unreadable)?;
                self.repair.failed_in_a_row = 0;
                self.visit(Item::Incident(Incident::new(self.listing.surface, record))).map(drop)
            }
            Err(error) if is_about_content(&error, true) => self.quarantine(Some(bare), error),
            // Gone between the list and the look.
            Err(error) if error.http_status() == Some(404) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn quarantine(&mut self, incident: Option<Incident<'_>>, reason: Error) -> Result<()> {
        self.repair.failed_in_a_row += 1;
        if self.repair.failed_in_a_row > MOST_IN_A_ROW {
            return Err(reason);
        }
        self.visit(Item::Quarantined { incident, reason }).map(drop)
    }
}
