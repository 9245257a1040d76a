//! Reading a whole listing, page by page, in constant memory.
//!
//! The pages of a [`Window`] follow each other by the service's next links where it sends them, else by offset. Where neither
//! leads on, the rest is cut into new windows ([`Order::rest_of`]). Repeats are dropped by id. What a listing that moves while it
//! is read could hide is found again by [`movement`]. Pages that fail for their content are taken apart by
//! [`Repair`]; an error of the visitor is none of the page's and ends the listing.
//!
//! N incidents cost N / page size calls, rounded up, and one more where only an empty page proves the end; a few more where
//! incidents can leave the filter or where the rest was cut into windows.

mod movement;

use self::movement::{Movement, can_leave};
use super::repair::{Repair, Step};
use super::request::{begin, list_call, server_time, unreadable, with_headers};
use super::seen::Seen;
use super::window::{Order, TooManyAt, Window};
use super::{Incident, request};
use crate::hash::text_hash;
use jiff::Timestamp;
use sortie_defender::filter::Filter;
use sortie_defender::ids::IncidentId;
use sortie_defender::page::{self, Record};
use sortie_defender::surface::Surface;
use sortie_defender::view::IncidentView;
use sortie_sdk::{Error, Host, Outcome, Request, Response, Result, kinds};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// More pages than any tenant has: two million incidents on Graph.
const MOST_PAGES: u64 = 40_000;
/// Pages in a row that bring nothing new, beyond those that a new window may repeat, after which the service is going in
/// circles.
const MOST_STALE: u64 = 60;
/// The greatest offset that Graph takes (contract section 4.5).
const GRAPH_REACH: u64 = 500;

/// What to list.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The surface to read.
    pub surface: Surface,
    /// What the server filters by.
    pub filter: Option<Filter>,
    /// Whether the incidents come with their alerts. Defender XDR always sends them.
    pub alerts: bool,
    /// The most incidents the caller can use, if it knows; a smaller page is then asked for.
    pub at_most: Option<u64>,
}

/// One thing that a listing hands over.
#[derive(Clone, Debug)]
pub enum Item<'a> {
    /// An incident that was not handed over before.
    Incident(Incident<'a>),
    /// An incident whose alerts could not be read, or that could not be read at all; its neighbours are not affected.
    Quarantined {
        /// The incident without its alerts, where that much could be read.
        incident: Option<Incident<'a>>,
        /// Why.
        reason: Error,
    },
}

/// What a listing cost and found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The incidents read, each once.
    pub read: u64,
    /// The calls made.
    pub calls: u64,
    /// The service's own time at its first answer.
    pub began: Option<Timestamp>,
    /// Whether the caller stopped before the end.
    pub stopped: bool,
}

/// What the caller does with each item.
pub type Visit<'v> = dyn FnMut(Item<'_>, &Totals) -> Result<ControlFlow<()>> + 'v;

/// Reads a listing to its end, or until the visitor breaks.
///
/// # Errors
/// What the visitor and the host report; `bad_response` when the service goes in circles or answers what is no list; `failed` when more
/// incidents share one instant than any documented way can list.
pub fn list(host: &Host<'_>, listing: &Listing, visit: &mut Visit<'_>) -> Result<Totals> {
    let size = u64::from(listing.surface.page_size());
    let page_size = listing.at_most.map_or(size, |most| most.clamp(1, size));
    let mut reader = Reader {
        host,
        listing: listing.clone(),
        visit,
        page_size,
        size_was_refused: false,
        reach: if listing.surface == Surface::Graph { GRAPH_REACH } else { u64::MAX },
        totals: Totals::default(),
        seen: Seen::default(),
        links: HashSet::new(),
        stale: 0,
        fresh: 0,
        can_leave: listing.filter.as_ref().is_some_and(|filter| can_leave(filter, listing.surface)),
        movement: Movement::default(),
        repair: Repair::default(),
    };
    reader.read_all()?;
    Ok(reader.totals)
}

pub(super) struct Reader<'l, 'v, 'run> {
    pub(super) host: &'l Host<'run>,
    pub(super) listing: Listing,
    visit: &'l mut Visit<'v>,
    page_size: u64,
    size_was_refused: bool,
    /// The greatest offset that the service takes.
    reach: u64,
    pub(super) totals: Totals,
    seen: Seen,
    links: HashSet<u128>,
    /// Pages in a row that brought nothing new, and all that brought something.
    stale: u64,
    fresh: u64,
    /// Whether a change can take an incident out of what is listed.
    pub(super) can_leave: bool,
    pub(super) movement: Movement,
    pub(super) repair: Repair,
}

/// Where the next page begins.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// How many incidents of the window come before it.
    pub(super) consumed: u64,
    /// The service's own link to it.
    pub(super) link: Option<String>,
    /// The last incident before it, where incidents can leave: a page by offset begins with it again, or the listing moved.
    pub(super) anchor: Option<u128>,
}

impl Place {
    /// How many incidents of the page before come again.
    pub(super) fn overlap(&self) -> u64 {
        u64::from(self.link.is_none() && self.anchor.is_some() && self.consumed > 0)
    }

    fn offset(&self) -> u64 {
        self.consumed - self.overlap()
    }
}

/// What the page before says about the next.
struct Page {
    records: u64,
    link: Option<String>,
    anchor: Option<u128>,
}

/// Who failed while a page was read.
enum Failure {
    /// The page: a smaller one may succeed.
    Page(Error),
    /// Whoever took its incidents: nothing that is asked of the service helps.
    Visitor(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Page(error)
    }
}

impl<'l, 'run> Reader<'l, '_, 'run> {
    fn read_windows(&mut self) -> Result<()> {
        let mut windows = vec![Window::default()];
        while let Some(window) = windows.pop() {
            let rest = self.read_window(window)?;
            if self.totals.stopped {
                return Ok(());
            }
            windows.extend(rest);
        }
        Ok(())
    }

    /// Reads one window; answers the windows that hold what could not be read of it.
    fn read_window(&mut self, window: Window) -> Result<Vec<Window>> {
        self.repair.window_begins();
        self.movement.window_begins(window);
        let mut order = Order::new();
        let mut place = Place::default();
        loop {
            let size = self.repair.page_size(self.page_size);
            let asked = self.asked(&place, size);
            let page = match self.read_page(window, &place, asked, &mut order) {
                Ok(page) => page,
                Err(Failure::Visitor(error)) => return Err(error),
                Err(Failure::Page(error)) if self.refuses_size(&error, asked) => continue,
                Err(Failure::Page(error)) if refuses_offset(&place, &error) => {
                    self.reach = place.offset().saturating_sub(1);
                    return self.rest(&order, window);
                }
                Err(Failure::Page(error)) => match self.mend(window, &place, size, error, &mut order)? {
                    Step::Again => continue,
                    Step::From(next) if next.consumed <= self.reach => {
                        place = next;
                        continue;
                    }
                    Step::From(_) => return self.rest(&order, window),
                    Step::Stopped | Step::AtEnd => return Ok(Vec::new()),
                },
            };
            if self.totals.stopped {
                return Ok(Vec::new());
            }
            let consumed = place.consumed + page.records.saturating_sub(place.overlap());
            let repairing = self.repair.page_read(consumed, self.page_size);
            let link = match page.link {
                Some(link) if !repairing => {
                    if !self.links.insert(text_hash(&link)) {
                        return Err(Error::new(
                            kinds::BAD_RESPONSE,
                            "the service's next link leads back to a page that was read already",
                        ));
                    }
                    Some(link)
                }
                None if page.records < asked => return Ok(Vec::new()),
                _ if consumed <= self.reach => None,
                _ if place.link.is_some() && self.counts(window, consumed)? => return Ok(Vec::new()),
                _ => return self.rest(&order, window),
            };
            place = Place { consumed, link, anchor: page.anchor };
        }
    }

    /// How many incidents are asked for: what comes again is on top of a page that is smaller than it could be.
    pub(super) fn asked(&self, place: &Place, size: u64) -> u64 {
        if place.overlap() == 0 { size } else { (size + 1).min(self.page_size).max(2) }
    }

    /// Whether a window holds exactly as many incidents as were read of it, by the service's own count. One call instead of a new
    /// window that repeats much of this one, where a chain of links ends with a full page far beyond any offset.
    fn counts(&mut self, window: Window, consumed: u64) -> Result<bool> {
        let request = self.page_request(window, 0, 1, false).query("$count", true);
        let answer = match self.send(request) {
            Ok(answer) => answer,
            Err(error) if error.http_status() == Some(400) => return Ok(false),
            Err(error) => return Err(error),
        };
        let body = answer.body()?;
        Ok(page::split::<()>(&body).is_ok_and(|page| page.count == Some(consumed)))
    }

    fn rest(&mut self, order: &Order, window: Window) -> Result<Vec<Window>> {
        self.movement.cut();
        order.rest_of(window).map_err(|TooManyAt(at)| {
            let at = at.map_or_else(|| "at an unknown time".to_owned(), |at| format!("at {at}"));
            Error::new(
                kinds::FAILED,
                format!("more incidents were created {at} than the service lets anybody list: it sends no next link, and its offsets end at {}", self.reach),
            )
            .hint("narrow the search by another property")
        })
    }

    /// A 400 that names a smaller page size than the one asked for: the service's limit is lower than reported. The number is
    /// taken from the message, which is no reason to branch; all that follows from it is one more request.
    fn refuses_size(&mut self, error: &Error, size: u64) -> bool {
        if error.http_status() != Some(400) || std::mem::replace(&mut self.size_was_refused, true) {
            return false;
        }
        let Some(limit) = named_limit(error.message(), size) else { return false };
        self.page_size = limit;
        true
    }

    fn read_page(
        &mut self,
        window: Window,
        place: &Place,
        size: u64,
        order: &mut Order,
    ) -> std::result::Result<Page, Failure> {
        let host = self.host;
        let mut asked_again = false;
        loop {
            let response = self.ask(window, place, size, self.listing.alerts)?;
            let body = response.body()?;
            let page = match page::split::<IncidentView<'_>>(&body) {
                Ok(page) => page,
                // A page cut short or mixed up on its way is asked for once more, whole.
                Err(_) if !asked_again => {
                    asked_again = true;
                    host.log(sortie_sdk::Level::WARN, "a page was not readable JSON and is asked for again");
                    continue;
                }
                Err(error) => return Err(unreadable(error).into()),
            };
            let records = page.records.len() as u64;
            let link = page.next_link.map(|link| link.into_owned());
            let anchor = self.anchor(&page.records);
            let again = self.comes_again(place, &page.records);
            self.stale += 1;
            for record in page.records.into_iter().skip(again) {
                order.note(&record.view);
                if !self.is_new(&record.view) {
                    continue;
                }
                self.stale = 0;
                let incident = Item::Incident(Incident::new(self.listing.surface, record));
                if self.visit(incident).map_err(Failure::Visitor)?.is_break() {
                    break;
                }
            }
            self.fresh += u64::from(self.stale == 0);
            if self.stale > 0 && records > 0 && place.link.is_none() && place.consumed > 0 && window.is_whole() {
                // A page by offset that came before stands in the place of another.
                self.movement.came_again();
            }
            let repeats = if self.movement.is_overlapping() { self.fresh } else { 0 };
            if self.stale > MOST_STALE + repeats || self.totals.calls > MOST_PAGES {
                return Err(Failure::Page(Error::new(
                    kinds::BAD_RESPONSE,
                    format!("the listing does not end: {} calls, and the service still goes on", self.totals.calls),
                )));
            }
            return Ok(Page { records, link, anchor });
        }
    }

    /// What the page after these records must begin with, if it comes by offset.
    pub(super) fn anchor(&self, records: &[Record<'_, IncidentView<'_>>]) -> Option<u128> {
        self.can_leave.then(|| records.last().map(mark)).flatten()
    }

    /// How many of a page's first records are those that were to come again; where they did not, the listing moved.
    pub(super) fn comes_again(&mut self, place: &Place, records: &[Record<'_, IncidentView<'_>>]) -> usize {
        if place.overlap() == 0 {
            return 0;
        }
        let again = records.first().map(mark) == place.anchor;
        self.movement.joined(again);
        again.into()
    }

    /// Whether an incident was not handed over before; it then counts as read.
    pub(super) fn is_new(&mut self, incident: &IncidentView<'_>) -> bool {
        let new = self.seen.is_new(incident);
        self.totals.read += u64::from(new);
        self.movement.note(incident, new);
        new
    }

    pub(super) fn visit(&mut self, item: Item<'_>) -> Result<ControlFlow<()>> {
        let flow = (self.visit)(item, &self.totals)?;
        self.totals.stopped |= flow.is_break();
        Ok(flow)
    }

    /// Asks for one page.
    pub(super) fn ask(&mut self, window: Window, place: &Place, size: u64, alerts: bool) -> Result<Response<'l, 'run>> {
        let request = match &place.link {
            Some(link) => with_headers(self.host.follow(list_call(self.listing.surface), link), self.listing.surface),
            None => self.page_request(window, place.offset(), size, alerts),
        };
        self.send(request)
    }

    fn page_request(&self, window: Window, offset: u64, size: u64, alerts: bool) -> Request<'l, 'run> {
        let surface = self.listing.surface;
        let mut request = begin(self.host, surface, list_call(surface));
        if let Some(filter) = Filter::all(self.listing.filter.clone().into_iter().chain(window.conditions(surface))) {
            request = request.query("$filter", filter);
        }
        request = request.query("$top", size);
        if offset > 0 {
            request = request.query("$skip", offset);
        }
        if alerts && surface == Surface::Graph { request.query("$expand", "alerts") } else { request }
    }

    fn send(&mut self, request: Request<'l, 'run>) -> Result<Response<'l, 'run>> {
        self.totals.calls += 1;
        let response = request.send()?.response()?;
        if self.totals.began.is_none() || self.movement.began.is_none() {
            self.movement.began = server_time(&response);
            self.totals.began = self.totals.began.or(self.movement.began);
        }
        Ok(response)
    }

    /// Reads one incident alone, with its alerts.
    pub(super) fn ask_one(&mut self, id: IncidentId) -> Result<Response<'l, 'run>> {
        self.send(request::one(self.host, self.listing.surface, id, true))
    }
}

/// An incident, to be known again whatever changed about it; something without an id by all of its text.
fn mark(record: &Record<'_, IncidentView<'_>>) -> u128 {
    text_hash(record.view.id_text().as_deref().unwrap_or(record.text))
}

/// A 400 for an offset that is not the first: the service's limit is lower than documented.
fn refuses_offset(place: &Place, error: &Error) -> bool {
    place.link.is_none() && place.consumed > 0 && error.http_status() == Some(400)
}

/// The largest number below `size` in a message that speaks of `top`.
fn named_limit(message: &str, size: u64) -> Option<u64> {
    if !message.to_ascii_lowercase().contains("top") {
        return None;
    }
    let numbers =
        message.split(|character: char| !character.is_ascii_digit()).filter_map(|digits| digits.parse::<u64>().ok());
    numbers.filter(|number| (1..size).contains(number)).max()
}

/// Whether an error is about what a page holds, so that a smaller page may succeed.
pub(super) fn is_about_content(error: &Error, expanded: bool) -> bool {
    let failed_inside = matches!(error.http_status(), Some(500 | 502 | 504));
    error.outcome() == Outcome::Answered && (error.kind() == kinds::RESPONSE_TOO_LARGE || expanded && failed_inside)
}

#[cfg(test)]
mod tests;
