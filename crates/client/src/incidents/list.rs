//! Reading a whole listing, page by page, in constant memory.
//!
//! The pages of a [`Window`] follow each other by the service's next links where it sends them, else by offset. Where neither
//! leads on, the rest is cut into new windows ([`Order::rest_of`]). Repeats are dropped by id. An incident that repeats where no
//! window overlaps shows that the listing moved while it was read; what changed since the first answer is then read again, so
//! that an incident that moved up past the reader is not missed. Pages that fail for their content are taken apart by
//! [`Repair`](super::repair::Repair).
//!
//! N incidents cost N / page size calls, rounded up, and one more where only an empty page proves the end.

use super::repair::{Repair, Step};
use super::request::{begin, list_call, server_time, unreadable, with_headers};
use super::seen::Seen;
use super::window::{Order, TooManyAt, Window};
use super::{Incident, request};
use crate::hash::text_hash;
use jiff::{SignedDuration, Timestamp};
use sortie_defender::filter::Filter;
use sortie_defender::ids::IncidentId;
use sortie_defender::page;
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
/// How often what changed meanwhile is read again.
const MOST_ROUNDS: u32 = 3;
/// The greatest offset that Graph takes (contract section 4.5).
const GRAPH_REACH: u64 = 500;
/// How far before the first answer's own time a change may lie and still be looked for again.
const CLOCK_GRAIN: SignedDuration = SignedDuration::from_secs(2);

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
/// What the host reports; `bad_response` when the service goes in circles or answers what is no list; `failed` when more
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
        moved: false,
        in_overlap: false,
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
    moved: bool,
    in_overlap: bool,
    pub(super) repair: Repair,
}

/// Where the next page begins.
#[derive(Clone, Debug)]
pub(super) enum Position {
    Offset(u64),
    Link(String),
}

/// What the page before says about the next.
struct Page {
    records: u64,
    link: Option<String>,
}

impl<'l, 'run> Reader<'l, '_, 'run> {
    fn read_all(&mut self) -> Result<()> {
        let filter = self.listing.filter.clone();
        for round in 0..=MOST_ROUNDS {
            self.moved = false;
            self.in_overlap = round > 0;
            self.read_windows()?;
            if self.totals.stopped || !self.moved {
                return Ok(());
            }
            // What changed while it was read may have moved past the reader.
            let since = self.totals.began.unwrap_or_else(|| self.host.now()) - CLOCK_GRAIN;
            self.listing.filter =
                Filter::all(filter.clone().into_iter().chain([self.listing.surface.updated().ge(since)]));
            self.links.clear();
        }
        self.host.warn("the incidents kept changing while they were listed; one that changed meanwhile may be missing");
        Ok(())
    }

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
        let overlapping = self.in_overlap || !window.is_whole();
        self.repair.window_begins();
        let mut order = Order::new();
        let mut consumed: u64 = 0;
        let mut position = Position::Offset(0);
        loop {
            let size = self.repair.page_size(self.page_size);
            let page = match self.read_page(window, &position, size, &mut order, overlapping) {
                Ok(page) => page,
                Err(error) if self.refuses_size(&error, size) => continue,
                Err(error) if self.refuses_offset(&position, &error) => {
                    self.reach = consumed.saturating_sub(1);
                    return self.rest(&order, window);
                }
                Err(error) => match self.mend(window, &position, consumed, size, error, &mut order)? {
                    Step::Again => continue,
                    Step::From(offset) if offset <= self.reach => {
                        consumed = offset;
                        position = Position::Offset(offset);
                        continue;
                    }
                    Step::From(_) => return self.rest(&order, window),
                    Step::Stopped | Step::AtEnd => return Ok(Vec::new()),
                },
            };
            if self.totals.stopped {
                return Ok(Vec::new());
            }
            consumed += page.records;
            let repairing = self.repair.page_read(consumed, self.page_size);
            position = match page.link {
                Some(link) if !repairing => {
                    if !self.links.insert(text_hash(&link)) {
                        return Err(Error::new(
                            kinds::BAD_RESPONSE,
                            "the service's next link leads back to a page that was read already",
                        ));
                    }
                    Position::Link(link)
                }
                None if page.records < size => return Ok(Vec::new()),
                _ if consumed <= self.reach => Position::Offset(consumed),
                _ if matches!(position, Position::Link(_)) && self.counts(window, consumed)? => return Ok(Vec::new()),
                _ => return self.rest(&order, window),
            };
        }
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

    fn rest(&self, order: &Order, window: Window) -> Result<Vec<Window>> {
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

    /// A 400 for an offset that is not the first: the service's limit is lower than documented.
    fn refuses_offset(&self, position: &Position, error: &Error) -> bool {
        matches!(position, Position::Offset(offset) if *offset > 0) && error.http_status() == Some(400)
    }

    fn read_page(
        &mut self,
        window: Window,
        position: &Position,
        size: u64,
        order: &mut Order,
        overlapping: bool,
    ) -> Result<Page> {
        let host = self.host;
        let mut asked_again = false;
        loop {
            let response = self.ask(window, position, size, self.listing.alerts)?;
            let body = response.body()?;
            let page = match page::split::<IncidentView<'_>>(&body) {
                Ok(page) => page,
                // A page cut short or mixed up on its way is asked for once more, whole.
                Err(_) if !asked_again => {
                    asked_again = true;
                    host.log(sortie_sdk::Level::WARN, "a page was not readable JSON and is asked for again");
                    continue;
                }
                Err(error) => return Err(unreadable(error)),
            };
            let records = page.records.len() as u64;
            let link = page.next_link.map(|link| link.into_owned());
            self.stale += 1;
            for record in page.records {
                order.note(&record.view);
                if !self.is_new(&record.view) {
                    self.moved |= !overlapping;
                    continue;
                }
                self.stale = 0;
                if self.visit(Item::Incident(Incident::new(self.listing.surface, record)))?.is_break() {
                    break;
                }
            }
            self.fresh += u64::from(self.stale == 0);
            let repeats = if overlapping { self.fresh } else { 0 };
            if self.stale > MOST_STALE + repeats || self.totals.calls > MOST_PAGES {
                return Err(Error::new(
                    kinds::BAD_RESPONSE,
                    format!("the listing does not end: {} calls, and the service still goes on", self.totals.calls),
                ));
            }
            return Ok(Page { records, link });
        }
    }

    /// Whether an incident was not handed over before; it then counts as read.
    pub(super) fn is_new(&mut self, incident: &IncidentView<'_>) -> bool {
        let new = self.seen.is_new(incident);
        self.totals.read += u64::from(new);
        new
    }

    pub(super) fn visit(&mut self, item: Item<'_>) -> Result<ControlFlow<()>> {
        let flow = (self.visit)(item, &self.totals)?;
        self.totals.stopped |= flow.is_break();
        Ok(flow)
    }

    /// Asks for one page.
    pub(super) fn ask(
        &mut self,
        window: Window,
        position: &Position,
        size: u64,
        alerts: bool,
    ) -> Result<Response<'l, 'run>> {
        let request = match position {
            Position::Link(link) => {
                with_headers(self.host.follow(list_call(self.listing.surface), link), self.listing.surface)
            }
            Position::Offset(offset) => self.page_request(window, *offset, size, alerts),
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
        if self.totals.began.is_none() {
            self.totals.began = server_time(&response);
        }
        Ok(response)
    }

    /// Reads one incident alone, with its alerts.
    pub(super) fn ask_one(&mut self, id: IncidentId) -> Result<Response<'l, 'run>> {
        self.send(request::one(self.host, self.listing.surface, id, true))
    }
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
