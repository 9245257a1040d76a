//! Incidents on either surface, over the host handle.
//!
//! An [`Incident`] is a slice of an answer and a view of it; it is put into Graph's shape only when it goes out. [`list()`]
//! reads a whole listing page by page, [`get()`] one incident, [`update()`] changes one. Each works on the surface that the
//! run's profile chose, and each output is the same on both.

mod fingerprint;
mod get;
mod list;
mod query;
mod record;
mod repair;
mod request;
mod seen;
mod tags;
mod update;
mod window;

pub use fingerprint::fingerprint;
pub use get::{Got, Snapshot, get, is_about_incident};
pub use list::{Item, Listing, Totals, Visit, list};
pub use query::{Assignee, Query};
pub use record::IncidentRecord;
pub use request::{server_time, surface};
pub use tags::TagChanges;
pub use update::{Changes, Fields, Updated, update};

use serde_json::value::RawValue;
use sortie_defender::mapping;
use sortie_defender::page::{self, Record};
use sortie_defender::surface::Surface;
use sortie_defender::view::IncidentView;
use sortie_sdk::{Error, Result, kinds};
use std::borrow::Cow;

/// One incident of an answer, untouched.
#[derive(Clone, Debug)]
pub struct Incident<'a> {
    surface: Surface,
    record: Record<'a, IncidentView<'a>>,
}

impl<'a> Incident<'a> {
    pub(crate) fn new(surface: Surface, record: Record<'a, IncidentView<'a>>) -> Self {
        Self { surface, record }
    }

    /// What is read of it.
    pub fn view(&self) -> &IncidentView<'a> {
        &self.record.view
    }

    /// Whether the record is a JSON object at all.
    pub fn is_object(&self) -> bool {
        self.record.text.starts_with('{')
    }

    /// It in Graph's shape, as JSON text on one line. An incident of Graph comes back as the service sent it.
    ///
    /// `alerts` false leaves the alerts out, also where they had to be read.
    pub fn to_graph(&self, alerts: bool) -> Cow<'a, str> {
        if self.surface == Surface::DefenderXdr {
            return Cow::Owned(mapping::to_graph(self.record.text, alerts));
        }
        let text = if alerts {
            Cow::Borrowed(self.record.text)
        } else {
            page::without(self.record.text, |name| name == "alerts" || name.starts_with("alerts@"))
        };
        if self.record.multiline { Cow::Owned(page::compact(&text)) } else { text }
    }

    /// It in Graph's shape, for an output.
    ///
    /// # Errors
    /// Kind `bad_response` when it holds text that no JSON reader accepts.
    pub fn to_raw(&self, alerts: bool) -> Result<Box<RawValue>> {
        RawValue::from_string(self.to_graph(alerts).into_owned())
            .map_err(|problem| Error::new(kinds::BAD_RESPONSE, format!("an incident is not readable JSON: {problem}")))
    }
}
