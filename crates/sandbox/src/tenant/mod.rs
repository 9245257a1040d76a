//! The tenant: incidents, alerts, machines, machine actions. One model; every surface shows this same state in its own words.
//!
//! A [`Tenant`] is changed under a lock and read through cheap shared copies ([`std::sync::Arc`]): what takes time (making evidence, rendering, compressing)
//! happens outside the lock.

pub(crate) mod chance;
pub(crate) mod draft;
pub(crate) mod evidence;
pub(crate) mod incident;
mod life;
pub(crate) mod list;
pub(crate) mod machine;
mod names;
mod stories;
pub(crate) mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use self::chance::{Chance, Stream};
use self::incident::{Alert, Comment, Incident};
use self::machine::{Action, Machine, Outcome};
use crate::{Error, clock};

/// What generated data follows from.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) seed: u64,
    /// How many machines the tenant started with; at least 1 for naming devices in evidence.
    pub(crate) machines: u64,
    pub(crate) tenant_id: Arc<str>,
    /// The clock when the tenant was made.
    pub(crate) start: Timestamp,
    /// Who incidents are assigned to.
    pub(crate) analysts: [Arc<str>; 3],
    /// How many bytes of rendered forms are kept, over all incidents.
    pub(crate) cached: Arc<AtomicUsize>,
}

impl World {
    pub(crate) fn new(seed: u64, machines: usize, tenant_id: &str, start: Timestamp) -> Self {
        Self {
            seed,
            machines: (machines as u64).max(1),
            tenant_id: tenant_id.into(),
            start,
            analysts: [
                "soc-tier1@contoso.com".into(),
                "soc-tier2@contoso.com".into(),
                "incident-response@contoso.com".into(),
            ],
            cached: Arc::default(),
        }
    }
}

/// A version of an incident that the tenant has shown: what a reader that loses nothing has seen in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Issued {
    /// The incident id.
    pub id: u64,
    /// Its last update in that version.
    pub last_update: Timestamp,
}

/// The first incident id.
pub(crate) const FIRST_ID: u64 = 1_001;

/// How far back incidents were created when the tenant starts.
const HISTORY: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The whole state.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) world: Arc<World>,
    /// By id, ascending.
    incidents: Vec<Arc<Incident>>,
    /// Owners of alerts whose id does not say it.
    owners: HashMap<String, u64>,
    pub(crate) machines: Vec<Machine>,
    pub(crate) actions: Vec<Action>,
    /// How actions end from now on.
    pub(crate) outcome: Outcome,
    /// The same for single machines.
    pub(crate) outcomes: BTreeMap<String, Outcome>,
    /// Incidents whose `$expand=alerts` fails.
    pub(crate) expand_failures: BTreeSet<u64>,
    /// Goes up with every change.
    pub(crate) version: u64,
    issued: Vec<Issued>,
    next_id: u64,
    life: Chance,
    ids: Chance,
    pub(crate) lists: list::Lists,
}

/// The machine, by its number, that was scanned before the tenant's first request.
const SCANNED: usize = 6;

impl Tenant {
    /// A tenant with so many incidents and machines.
    pub(crate) fn new(world: World, incidents: usize, machines: usize) -> Self {
        let mut tenant = Self {
            incidents: Vec::with_capacity(incidents),
            owners: HashMap::new(),
            machines: (0..machines as u64).map(|number| Machine::seeded(world.seed, number, world.start)).collect(),
            actions: Vec::new(),
            outcome: Outcome::default(),
            outcomes: BTreeMap::new(),
            expand_failures: BTreeSet::new(),
            version: 1,
            issued: Vec::with_capacity(incidents),
            next_id: FIRST_ID,
            life: Chance::new(world.seed, Stream::Life, 0),
            ids: Chance::new(world.seed, Stream::Ids, 0),
            lists: list::Lists::default(),
            world: Arc::new(world),
        };
        let world = Arc::clone(&tenant.world);
        let step = HISTORY.as_millis() / i128::try_from(incidents.max(1)).unwrap_or(1);
        for number in 0..incidents {
            let back = u64::try_from(step * i128::try_from(incidents - number).unwrap_or(1)).unwrap_or_default();
            let mut chance = Chance::new(world.seed ^ 0xc7, Stream::Incident, number as u64);
            let end = clock::sub(world.start, Duration::from_millis(back));
            let created = chance.before(end, u64::try_from(step / 1_000).unwrap_or_default().min(600));
            let id = tenant.take_id();
            let mut incident = Incident::seeded(&world, id, created, world.start);
            if number > 0 && number + 1 < incidents && number % 61 == 60 {
                incident.status = "redirected";
                incident.redirect = Some(id - 1);
            }
            tenant.issued.push(Issued { id, last_update: incident.updated });
            tenant.incidents.push(Arc::new(incident));
        }
        tenant.actions.extend(tenant.machines.get(SCANNED).map(|machine| Action::past_scan(machine, world.start)));
        tenant
    }

    /// The next free incident id.
    pub(crate) fn take_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// A new GUID.
    pub(crate) fn guid(&mut self) -> String {
        self.ids.guid()
    }

    fn place(&self, id: u64) -> Result<usize, usize> {
        self.incidents.binary_search_by_key(&id, |incident| incident.id)
    }

    /// All incidents, by id.
    pub(crate) fn incidents(&self) -> &[Arc<Incident>] {
        &self.incidents
    }

    /// The incident with that id.
    pub(crate) fn incident(&self, id: u64) -> Option<Arc<Incident>> {
        self.place(id).ok().and_then(|place| self.incidents.get(place)).cloned()
    }

    /// Every version of every incident that was ever there.
    pub(crate) fn issued(&self) -> &[Issued] {
        &self.issued
    }

    /// Adds an incident; an id that is taken is an error.
    pub(crate) fn insert(&mut self, incident: Incident) -> Result<(), Error> {
        let Err(place) = self.place(incident.id) else {
            return Err(Error::Invalid(format!("incident {} exists already", incident.id)));
        };
        self.next_id = self.next_id.max(incident.id.saturating_add(1));
        for alert in incident.alerts.iter().flatten() {
            self.owners.insert(alert.id.clone(), incident.id);
        }
        self.issued.push(Issued { id: incident.id, last_update: incident.updated });
        self.incidents.insert(place, Arc::new(incident));
        self.version += 1;
        Ok(())
    }

    /// Removes an incident, as if it had never been there.
    pub(crate) fn remove(&mut self, id: u64) -> Result<(), Error> {
        let place = self.place(id).map_err(|_| no_incident(id))?;
        let gone = self.incidents.remove(place);
        self.world.cached.fetch_sub(gone.pieces.size(), Ordering::Relaxed);
        self.issued.retain(|issued| issued.id != id);
        self.version += 1;
        Ok(())
    }

    /// Changes an incident. The change is responsible for `updated`.
    pub(crate) fn edit<T>(
        &mut self,
        id: u64,
        change: impl FnOnce(&mut Incident, &World) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let place = self.place(id).map_err(|_| no_incident(id))?;
        let slot = &mut self.incidents[place];
        let mut changed = Incident::clone(slot);
        // Seeded alerts follow from the incident's state; from the first change on they are things of their own.
        if changed.alerts.is_none() {
            changed.alerts = Some(changed.alerts(&self.world, true));
        }
        let done = change(&mut changed, &self.world)?;
        for alert in changed.alerts.iter().flatten() {
            if incident::incident_of(&alert.id) != Some(id) {
                self.owners.insert(alert.id.clone(), id);
            }
        }
        if changed.updated != slot.updated {
            self.issued.push(Issued { id, last_update: changed.updated });
        }
        self.world.cached.fetch_sub(slot.pieces.size(), Ordering::Relaxed);
        *slot = Arc::new(changed);
        self.version += 1;
        Ok(done)
    }

    /// The incident that an alert belongs to, and the alert.
    pub(crate) fn alert(&self, id: &str, evidence: bool) -> Option<(Arc<Incident>, Arc<Alert>)> {
        let mut owner = self.owners.get(id).copied().or_else(|| incident::incident_of(id));
        let mut hops = 0;
        while let Some(incident) = owner.and_then(|owner| self.incident(owner)) {
            if let Some(alert) = incident.alerts(&self.world, evidence).into_iter().find(|alert| alert.id == id) {
                return Some((incident, alert));
            }
            hops += 1;
            owner = incident.redirect.filter(|_| hops < 10);
        }
        None
    }

    /// Changes an alert in place. The incident's own last update does not move.
    pub(crate) fn edit_alert(&mut self, id: &str, change: impl FnOnce(&mut Alert)) -> Result<Arc<Alert>, Error> {
        let missing = || Error::NotFound { what: "alert", id: id.to_owned() };
        let (incident, _) = self.alert(id, false).ok_or_else(missing)?;
        self.edit(incident.id, |incident, world| {
            let mut alerts = incident.alerts(world, true);
            let slot = alerts.iter_mut().find(|alert| alert.id == id).ok_or_else(missing)?;
            change(Arc::make_mut(slot));
            let changed = Arc::clone(slot);
            incident.alerts = Some(alerts);
            Ok(changed)
        })
    }

    /// Merges `source` into `target`: its alerts move, and it becomes redirected. `target` need not exist, so that cycles and dead ends can be made.
    pub(crate) fn merge(&mut self, source: u64, target: u64, now: Timestamp) -> Result<(), Error> {
        let moved = self.edit(source, |incident, world| {
            let alerts = incident.alerts(world, true);
            incident.alerts = Some(Vec::new());
            incident.status = "redirected";
            incident.redirect = Some(target);
            incident.updated = now;
            Ok(alerts)
        })?;
        if source == target || self.incident(target).is_none() {
            return Ok(());
        }
        self.edit(target, |incident, world| {
            let mut alerts = incident.alerts(world, true);
            alerts.extend(moved);
            incident.alerts = Some(alerts);
            incident.updated = now;
            Ok(())
        })
    }

    /// The machines with that id or DNS name.
    pub(crate) fn machines_called(&self, name: &str) -> Vec<&Machine> {
        let by_id: Vec<_> = self.machines.iter().filter(|machine| machine.id == name).collect();
        if by_id.is_empty() {
            self.machines.iter().filter(|machine| machine.computer_dns_name.eq_ignore_ascii_case(name)).collect()
        } else {
            by_id
        }
    }

    /// Whether a machine is isolated: its effective action is the isolate or release that *completed* last, whichever was asked for first.
    pub(crate) fn isolated(&self, machine: &str, now: Timestamp) -> bool {
        self.actions
            .iter()
            .filter(|action| action.machine_id == machine && matches!(action.kind, "Isolate" | "Unisolate"))
            .filter_map(|action| Some((action.succeeded(now)?, action.kind)))
            .max_by_key(|(ended, _)| *ended)
            .is_some_and(|(_, kind)| kind == "Isolate")
    }
}

fn no_incident(id: u64) -> Error {
    Error::NotFound { what: "incident", id: id.to_string() }
}

/// A comment made now.
pub(crate) fn comment(text: &str, author: &str, now: Timestamp) -> Comment {
    Comment { text: text.to_owned(), author: author.to_owned(), created: now }
}
