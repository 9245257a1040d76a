//! Which incidents or alerts a list shows, in which order, and where a continuation goes on.
//!
//! The ids of a whole filtered list are worked out once per tenant version and kept, so that page number two thousand costs no more than page one.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::Tenant;
use super::incident::Incident;

/// What a list is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum By {
    /// Creation time, then id.
    Created,
    /// Last update, then id.
    Updated,
}

/// An order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Order {
    pub(crate) by: By,
    pub(crate) ascending: bool,
}

/// Where an entry stands: its time and its id (for alerts: of the incident) and place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) time: Timestamp,
    pub(crate) id: u64,
    pub(crate) place: u32,
}

impl Order {
    /// How two entries stand to each other in this order.
    pub(crate) fn compare(self, left: &Key, right: &Key) -> Ordering {
        let ordering = left.cmp(right);
        if self.ascending { ordering } else { ordering.reverse() }
    }

    /// How many entries of an ordered list stand before or at `key`.
    pub(crate) fn after(self, list: &[Key], key: &Key) -> usize {
        list.partition_point(|entry| self.compare(entry, key) != Ordering::Greater)
    }

    /// The time that this order looks at.
    pub(crate) fn time(self, created: Timestamp, updated: Timestamp) -> Timestamp {
        match self.by {
            By::Created => created,
            By::Updated => updated,
        }
    }
}

/// Lists worked out for the present version.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    version: u64,
    known: HashMap<String, Arc<Vec<Key>>>,
}

/// How many lists are kept per version.
const KEPT: usize = 32;

impl Tenant {
    /// The list under `name` (which says surface, filter and order), worked out by `make` unless it is known for this version.
    fn remembered(&mut self, name: String, make: impl FnOnce(&Self) -> Vec<Key>) -> Arc<Vec<Key>> {
        if self.lists.version != self.version || self.lists.known.len() > KEPT {
            self.lists = Lists { version: self.version, known: HashMap::new() };
        }
        if let Some(list) = self.lists.known.get(&name) {
            return Arc::clone(list);
        }
        let list = Arc::new(make(self));
        self.lists.known.insert(name, Arc::clone(&list));
        list
    }

    /// The incidents that fit, in order.
    pub(crate) fn list(&mut self, name: &str, order: Order, fits: impl Fn(&Incident) -> bool) -> Arc<Vec<Key>> {
        self.remembered(format!("{name}\n{order:?}"), |tenant| {
            let mut list: Vec<Key> = tenant
                .incidents()
                .iter()
                .filter(|incident| fits(incident))
                .map(|incident| Key { time: order.time(incident.created, incident.updated), id: incident.id, place: 0 })
                .collect();
            list.sort_by(|left, right| order.compare(left, right));
            list
        })
    }

    /// The alerts that fit, in order; `fits` sees them without evidence.
    pub(crate) fn list_alerts(
        &mut self,
        name: &str,
        order: Order,
        fits: impl Fn(&super::Alert) -> bool,
    ) -> Arc<Vec<Key>> {
        self.remembered(format!("{name}\n{order:?}"), |tenant| {
            let mut list = Vec::new();
            for incident in tenant.incidents() {
                for (place, alert) in (0_u32..).zip(incident.alerts(&tenant.world, false)) {
                    if fits(&alert) {
                        list.push(Key { time: order.time(alert.created, alert.updated), id: incident.id, place });
                    }
                }
            }
            list.sort_by(|left, right| order.compare(left, right));
            list
        })
    }
}
