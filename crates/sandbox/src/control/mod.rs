//! The control of a running sandbox: everything a test or a person may ask of it or do to it, typed for use in the same process.
//! The HTTP control API ([`http`]) offers the same as JSON.

pub(crate) mod http;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::application::Application;
use crate::fault::{Fault, Rule};
use crate::record::{Api, RequestRecord};
use crate::render::View;
use crate::state::State;
use crate::switches::Switches;
use crate::tenant::Issued;
use crate::tenant::draft::{AlertDraft, IncidentDraft, MachineDraft};
use crate::tenant::machine::{Machine, Outcome};
use crate::{Error, clock, lock};

/// A handle on a running sandbox. Cheap to copy; it keeps the tenant, not the server, alive.
#[derive(Debug, Clone)]
pub struct Control(pub(crate) Arc<State>);

/// A machine action as the tenant sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionState {
    /// Its id.
    pub id: String,
    /// `Isolate`, `Unisolate`, ...
    pub r#type: String,
    /// `Pending`, `InProgress`, `Succeeded`, ... at this moment.
    pub status: String,
    /// The machine.
    pub machine_id: String,
    /// The comment it was asked for with.
    pub comment: String,
    /// `Full`, `Selective`, ...
    pub scope: Option<String>,
    /// The caller's correlation id.
    pub external_id: Option<String>,
    /// When it was asked for.
    pub created: Timestamp,
}

/// A summary of the tenant, for people and for quick assertions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The sandbox's clock.
    pub clock: Timestamp,
    /// How many incidents there are.
    pub incidents: usize,
    /// How many machines there are.
    pub machines: usize,
    /// How many machine actions there are.
    pub actions: usize,
    /// How many requests were recorded since the last clearing.
    pub requests: u64,
    /// How many requests were hit by the rules in force.
    pub faults: u64,
}

impl Control {
    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    // ---- clock

    /// The sandbox's time.
    #[must_use]
    pub fn clock(&self) -> Timestamp {
        self.now()
    }

    /// Sets the clock.
    pub fn set_clock(&self, time: Timestamp) {
        self.0.clock.set(time);
    }

    /// Moves the clock on.
    pub fn advance(&self, span: Duration) {
        self.0.clock.advance(span);
    }

    /// Stops the clock, or lets it run.
    pub fn hold_clock(&self, still: bool) {
        self.0.clock.hold(still);
    }

    // ---- switches, faults, throttling

    /// The switches as they are.
    #[must_use]
    pub fn switches(&self) -> Switches {
        Switches::clone(&self.0.switches())
    }

    /// Changes switches; holds for requests that come after.
    pub fn switch(&self, change: impl FnOnce(&mut Switches)) {
        self.0.switch(change);
    }

    /// Puts a rule in force. Rules are tried in the order in which they were given.
    pub fn fault(&self, rule: Rule) {
        lock(&self.0.faults).add(rule);
    }

    /// The next requests to that API, `times` of them, are hit.
    pub fn fault_next(&self, api: Api, times: u64, fault: Fault) {
        self.fault(Rule::new(fault).api(api).times(times));
    }

    /// Takes all rules away.
    pub fn clear_faults(&self) {
        lock(&self.0.faults).clear();
    }

    /// How many requests were hit by the rules in force.
    #[must_use]
    pub fn fault_hits(&self) -> u64 {
        lock(&self.0.faults).hits()
    }

    /// Forgets all requests counted against limits.
    pub fn clear_throttle(&self) {
        lock(&self.0.throttle).clear();
    }

    /// `$expand=alerts` fails with 500 in every list that contains this incident (or no longer).
    pub fn fail_expand(&self, incident: u64, fail: bool) {
        let mut tenant = lock(&self.0.tenant);
        if fail {
            tenant.expand_failures.insert(incident);
        } else {
            tenant.expand_failures.remove(&incident);
        }
    }

    // ---- tokens

    /// Registers an application, or replaces the one with the same client id.
    ///
    /// # Errors
    /// [`Error::Application`] when a certificate or key cannot be read.
    pub fn register(&self, application: Application) -> Result<(), Error> {
        lock(&self.0.directory).register(application)
    }

    /// Makes every token invalid; returns how many there were.
    pub fn expire_tokens(&self) -> usize {
        lock(&self.0.directory).revoke_all()
    }

    /// Makes the tokens of one application (name or client id) invalid; returns how many there were.
    pub fn revoke(&self, application: &str) -> usize {
        lock(&self.0.directory).revoke(application)
    }

    /// From now on that API answers tokens that were not asked for with the challenge's claims with a claims challenge (or stops to).
    pub fn challenge(&self, api: Api, on: bool) {
        lock(&self.0.directory).challenge(api, on);
    }

    // ---- incidents

    /// Adds an incident; returns its id.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the id is taken or a value is not a member of its enumeration.
    pub fn add_incident(&self, draft: &IncidentDraft) -> Result<u64, Error> {
        lock(&self.0.tenant).add_incident(draft, self.now())
    }

    /// Adds `count` incidents that all have this creation and update time; returns their ids.
    ///
    /// # Errors
    /// As [`Control::add_incident`].
    pub fn add_incidents(&self, count: usize, time: Timestamp) -> Result<Vec<u64>, Error> {
        let draft = IncidentDraft { created: Some(time), updated: Some(time), ..IncidentDraft::default() };
        let mut tenant = lock(&self.0.tenant);
        (0..count).map(|_| tenant.add_incident(&draft, time)).collect()
    }

    /// Changes an incident.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] when a value is not a member of its enumeration.
    pub fn edit_incident(&self, id: u64, draft: &IncidentDraft) -> Result<(), Error> {
        lock(&self.0.tenant).change_incident(id, draft, self.now())
    }

    /// Removes an incident, as if it had never been there.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn remove_incident(&self, id: u64) -> Result<(), Error> {
        lock(&self.0.tenant).remove(id)
    }

    /// Adds an alert to an incident **without** moving the incident's last update (contract section 6.3); returns the alert's id.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn add_alert(&self, incident: u64, draft: &AlertDraft) -> Result<String, Error> {
        lock(&self.0.tenant).edit(incident, |incident, world| Ok(incident.push_alert(draft, world).id.clone()))
    }

    /// Merges `source` into `target`: alerts move, `source` becomes redirected, both are updated now. A `target` that does not exist, or a chain back to
    /// `source`, can be made.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no `source`.
    pub fn merge(&self, source: u64, target: u64) -> Result<(), Error> {
        let now = self.now();
        lock(&self.0.tenant).merge(source, target, now)
    }

    /// How many incidents there are.
    #[must_use]
    pub fn incident_count(&self) -> usize {
        lock(&self.0.tenant).incidents().len()
    }

    /// The ids of all incidents, ascending.
    #[must_use]
    pub fn incident_ids(&self) -> Vec<u64> {
        lock(&self.0.tenant).incidents().iter().map(|incident| incident.id).collect()
    }

    /// Every version of every incident that was ever there, in the order in which they came: what a reader that loses nothing has seen in the end.
    /// (Versions that were replaced before anybody read them stand here too.)
    #[must_use]
    pub fn issued(&self) -> Vec<Issued> {
        lock(&self.0.tenant).issued().to_vec()
    }

    /// The newest version of every incident.
    #[must_use]
    pub fn versions(&self) -> Vec<Issued> {
        lock(&self.0.tenant)
            .incidents()
            .iter()
            .map(|incident| Issued { id: incident.id, last_update: incident.updated })
            .collect()
    }

    /// An incident as Graph shows it, with alerts and all enum members.
    #[must_use]
    pub fn incident(&self, id: u64) -> Option<serde_json::Value> {
        let incident = lock(&self.0.tenant).incident(id)?;
        serde_json::from_slice(&self.0.text(&incident, View::GraphAlertsOpen, &self.0.switches())).ok()
    }

    /// An incident as Defender XDR shows it.
    #[must_use]
    pub fn incident_xdr(&self, id: u64) -> Option<serde_json::Value> {
        let incident = lock(&self.0.tenant).incident(id)?;
        serde_json::from_slice(&self.0.text(&incident, View::Xdr, &self.0.switches())).ok()
    }

    // ---- machines and actions

    /// Adds a machine, or changes the one with that id; returns its id.
    pub fn put_machine(&self, draft: &MachineDraft) -> String {
        lock(&self.0.tenant).put_machine(draft, self.now())
    }

    /// Removes all machines.
    pub fn clear_machines(&self) {
        let mut tenant = lock(&self.0.tenant);
        tenant.machines.clear();
        tenant.version += 1;
    }

    /// All machines.
    #[must_use]
    pub fn machines(&self) -> Vec<Machine> {
        lock(&self.0.tenant).machines.clone()
    }

    /// How actions that are started from now on go and end: on one machine, or on all without an outcome of their own.
    pub fn set_outcome(&self, machine: Option<&str>, outcome: Outcome) {
        let mut tenant = lock(&self.0.tenant);
        match machine {
            Some(machine) => {
                tenant.outcomes.insert(machine.to_owned(), outcome);
            }
            None => tenant.outcome = outcome,
        }
    }

    /// How one action that was started goes and ends, counted from its creation.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn set_action_outcome(&self, action: &str, outcome: Outcome) -> Result<(), Error> {
        let mut tenant = lock(&self.0.tenant);
        let found = tenant.actions.iter_mut().find(|known| known.id == action);
        found.ok_or_else(|| Error::NotFound { what: "machine action", id: action.to_owned() })?.outcome = outcome;
        Ok(())
    }

    /// All machine actions, oldest first, as they stand now.
    #[must_use]
    pub fn actions(&self) -> Vec<ActionState> {
        let now = self.now();
        lock(&self.0.tenant)
            .actions
            .iter()
            .map(|action| ActionState {
                id: action.id.clone(),
                r#type: action.kind.to_owned(),
                status: action.status(now).0.to_owned(),
                machine_id: action.machine_id.clone(),
                comment: action.comment.clone(),
                scope: action.scope.clone(),
                external_id: action.external_id.clone(),
                created: action.created,
            })
            .collect()
    }

    /// Whether a machine is isolated: the isolate or release that *completed* last decides.
    #[must_use]
    pub fn isolated(&self, machine: &str) -> bool {
        let now = self.now();
        lock(&self.0.tenant).isolated(machine, now)
    }

    /// How many isolate actions were accepted for a machine, whatever became of them.
    #[must_use]
    pub fn isolations(&self, machine: &str) -> usize {
        lock(&self.0.tenant)
            .actions
            .iter()
            .filter(|action| action.kind == "Isolate" && action.machine_id == machine)
            .count()
    }

    /// Lets every open action end now, by moving the clock on to the last end.
    pub fn finish_actions(&self) {
        let last = {
            let tenant = lock(&self.0.tenant);
            let end = |outcome: &Outcome, created| {
                clock::add(created, Duration::from_millis(outcome.pending_ms + outcome.running_ms))
            };
            tenant
                .actions
                .iter()
                .filter(|action| action.cancelled.is_none())
                .map(|action| end(&action.outcome, action.created))
                .max()
        };
        if let Some(last) = last.filter(|last| *last > self.now()) {
            self.set_clock(last);
        }
    }

    // ---- records

    /// The requests received since the last clearing, in order.
    #[must_use]
    pub fn records(&self) -> Vec<RequestRecord> {
        lock(&self.0.records).list(None)
    }

    /// The requests to one API.
    #[must_use]
    pub fn records_of(&self, api: Api) -> Vec<RequestRecord> {
        lock(&self.0.records).list(Some(api))
    }

    /// How many requests came since the last clearing; to one API, or in all.
    #[must_use]
    pub fn request_count(&self, api: Option<Api>) -> u64 {
        lock(&self.0.records).count(api)
    }

    /// Forgets the requests received so far.
    pub fn clear_records(&self) {
        lock(&self.0.records).clear();
    }

    /// A summary.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let clock = self.now();
        let (incidents, machines, actions) = {
            let tenant = lock(&self.0.tenant);
            (tenant.incidents().len(), tenant.machines.len(), tenant.actions.len())
        };
        Summary { clock, incidents, machines, actions, requests: self.request_count(None), faults: self.fault_hits() }
    }
}
