//! Everything that the parts of a running sandbox share.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use crate::bodies::Bodies;
use crate::clock::Clock;
use crate::entra::Directory;
use crate::fault::Faults;
use crate::lock;
use crate::record::Records;
use crate::render::piece::{Item, Piece};
use crate::render::{View, graph, xdr};
use crate::switches::Switches;
use crate::tenant::incident::Incident;
use crate::tenant::{Tenant, World};
use crate::throttle::Throttle;

/// The shared state. Each lock is held for short work only, never two at once.
pub(crate) struct State {
    /// Itself, for handles made inside a request.
    pub(crate) itself: Weak<Self>,
    pub(crate) origin: String,
    pub(crate) tenant_id: String,
    pub(crate) domain: String,
    pub(crate) identity_header: String,
    pub(crate) clock: Clock,
    pub(crate) world: Arc<World>,
    pub(crate) cache_bytes: usize,
    pub(crate) bodies: Option<Bodies>,
    pub(crate) directory: Mutex<Directory>,
    pub(crate) tenant: Mutex<Tenant>,
    pub(crate) records: Mutex<Records>,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) throttle: Mutex<Throttle>,
    pub(crate) switches: Mutex<Arc<Switches>>,
    /// Goes up when switches change, because rendered forms may then differ.
    pub(crate) epoch: AtomicU64,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("origin", &self.origin)
            .field("tenant_id", &self.tenant_id)
            .finish_non_exhaustive()
    }
}

impl State {
    /// The switches as they are now.
    pub(crate) fn switches(&self) -> Arc<Switches> {
        Arc::clone(&lock(&self.switches))
    }

    /// Changes the switches.
    pub(crate) fn switch(&self, change: impl FnOnce(&mut Switches)) {
        let mut switches = lock(&self.switches);
        change(Arc::make_mut(&mut switches));
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }

    /// An incident as an item of a page: in compressed form from the store where the client takes gzip, else as text.
    pub(crate) fn item(&self, incident: &Incident, view: View, switches: &Switches, gzip: bool) -> Item {
        let epoch = self.epoch.load(Ordering::Relaxed);
        let kept = incident.pieces.get(view, epoch);
        match kept {
            Some(piece) if gzip => Item::Piece(piece),
            Some(piece) => Item::Text(piece.text().into()),
            None if gzip => {
                let piece = Arc::new(Piece::new(&self.text(incident, view, switches)));
                if self.world.cached.load(Ordering::Relaxed) + piece.size() <= self.cache_bytes {
                    let (added, gone) = incident.pieces.put(view, epoch, Arc::clone(&piece));
                    self.world.cached.fetch_add(added, Ordering::Relaxed);
                    self.world.cached.fetch_sub(gone, Ordering::Relaxed);
                }
                Item::Piece(piece)
            }
            None => Item::Text(self.text(incident, view, switches).into()),
        }
    }

    /// An incident as JSON text.
    pub(crate) fn text(&self, incident: &Incident, view: View, switches: &Switches) -> Vec<u8> {
        let style = |open| graph::Style { switches, open };
        let value = match view {
            View::Graph => graph::incident(incident, &self.world, style(false), false),
            View::GraphOpen => graph::incident(incident, &self.world, style(true), false),
            View::GraphAlerts => graph::incident(incident, &self.world, style(false), true),
            View::GraphAlertsOpen => graph::incident(incident, &self.world, style(true), true),
            View::Xdr => xdr::incident(incident, &self.world, switches),
        };
        // Values made here have text keys and finite numbers: writing them cannot fail.
        serde_json::to_vec(&value).unwrap_or_default()
    }
}
