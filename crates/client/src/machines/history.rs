//! What was done to a machine's network access, and what follows for doing it again.
//!
//! Only machine actions tell whether a machine is isolated, so they are all read: those of one machine over the
//! service's retention are few. [`decide`] is pure: from the list to what may be done.

use super::shown;
use super::tag::Tag;
use jiff::{SignedDuration, Timestamp};
use sortie_defender::endpoints::defender_endpoint::LIST_MACHINE_ACTIONS;
use sortie_defender::enums::{Enumeration, IsolationType, MachineActionStatus, MachineActionType};
use sortie_defender::filter::Property;
use sortie_defender::ids::MachineId;
use sortie_defender::machine::MachineAction;
use sortie_defender::page;
use sortie_sdk::{Error, Host, Result, kinds};
use std::borrow::Cow;

const MACHINE_ID: Property<str> = Property::named("machineId");

/// Records of one page; the documented maximum is 10,000.
const PAGE: usize = 1_000;

/// Pages after which a machine's list is taken for endless.
const PAGES: usize = 50;

/// How long a status that this version does not know counts as "not ended". For ever would block a machine for ever.
const UNKNOWN_STATUS_COUNTS: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What is asked for: isolation of one type, or release.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// `Isolate` or `Unisolate`.
    pub(super) kind: MachineActionType,
    /// The type of isolation; none for a release.
    pub(super) isolation_type: Option<IsolationType>,
}

impl Wanted {
    /// What is asked for, as a verb for messages.
    pub(super) fn verb(&self) -> &'static str {
        if self.kind == MachineActionType::Isolate { "isolate" } else { "release" }
    }

    /// The isolation type by name, empty for a release.
    pub(super) fn scope(&self) -> &str {
        self.isolation_type.as_ref().map_or("", Enumeration::name)
    }

    fn is_opposite(&self, action: &MachineAction) -> bool {
        action.kind != self.kind
    }

    /// Whether an action of the wanted kind has another scope. Two known ones that are not the same differ. One that is
    /// not known (how the service reports each is not documented, contract section 7.1) may be anything, and is not
    /// taken for a full isolation; one that is not given never differs.
    fn differs(&self, action: &MachineAction) -> bool {
        let Some(wanted) = &self.isolation_type else { return false };
        let Some(scope) = action.scope.as_deref().map(str::trim).filter(|scope| !scope.is_empty()) else {
            return false;
        };
        let scope = IsolationType::read(scope);
        *wanted != scope && (scope.is_known() || *wanted == IsolationType::Full)
    }
}

/// What of a listed action says whether it matters here.
#[derive(Default)]
struct Listed<'a> {
    kind: Option<Cow<'a, str>>,
    machine_id: Option<Cow<'a, str>>,
}

impl<'a> page::View<'a> for Listed<'a> {
    fn member(&mut self, name: &'a str, value: &'a str) {
        match name {
            "type" => self.kind = page::string(value),
            "machineId" => self.machine_id = page::string(value),
            _ => {}
        }
    }
}

impl Listed<'_> {
    /// Whether it may have changed this machine's isolation: unless it says that it is something else, or was done to
    /// another machine.
    fn matters(&self, machine: &MachineId) -> bool {
        let other_type = self.kind.as_deref().is_some_and(|kind| !changes_isolation(&MachineActionType::read(kind)));
        let elsewhere =
            self.machine_id.as_deref().and_then(|id| id.parse().ok()).is_some_and(|id: MachineId| id != *machine);
        !other_type && !elsewhere
    }
}

fn changes_isolation(kind: &MachineActionType) -> bool {
    matches!(kind, MachineActionType::Isolate | MachineActionType::Unisolate)
}

/// The isolations and releases of one machine, newest first.
#[derive(Clone, Debug, Default)]
pub(super) struct History(Vec<MachineAction>);

/// What follows from a history.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decision {
    /// The request may be sent; a note says what is remarkable about that.
    Send(Option<String>),
    /// The same is being done.
    InProgress(MachineAction),
    /// The same was done last.
    InEffect(MachineAction),
}

impl History {
    /// Reads a machine's history.
    ///
    /// # Errors
    /// Whatever keeps the list from being read to its end; `bad_response` for an isolation or release in it that cannot
    /// be read, because passing it over would make the way look clear.
    pub(super) fn read(host: &Host<'_>, machine: &MachineId) -> Result<Self> {
        let filter = MACHINE_ID.eq(machine.as_str()).to_string();
        let mut actions = Vec::new();
        let mut next_link: Option<String> = None;
        let mut skip = 0;
        for _ in 0..PAGES {
            let request = match &next_link {
                Some(link) => host.follow(&LIST_MACHINE_ACTIONS, link),
                None => {
                    let request = host.request(&LIST_MACHINE_ACTIONS).query("$filter", &filter).query("$top", PAGE);
                    if skip == 0 { request } else { request.query("$skip", skip) }
                }
            };
            let answer = match request.send() {
                Ok(answer) => answer.response()?,
                // The neighbouring list of machines says "none" this way.
                Err(error) if error.http_status() == Some(404) => return Ok(Self::of(actions, machine)),
                Err(error) => return Err(error.context("reading the machine's earlier actions")),
            };
            let body = answer.body()?;
            let page = page::split::<Listed<'_>>(&body).map_err(|problem| {
                Error::new(kinds::BAD_RESPONSE, format!("the list of machine actions: {problem}"))
            })?;
            let records = page.records.len();
            for record in page.records.into_iter().filter(|record| record.view.matters(machine)) {
                actions.push(read(record.text).map_err(|problem| unreadable(&record.view, &problem))?);
            }
            skip += records;
            next_link = page.next_link.map(Cow::into_owned);
            if next_link.is_none() && records < PAGE {
                return Ok(Self::of(actions, machine));
            }
        }
        Err(Error::new(kinds::BAD_RESPONSE, "the service's list of machine actions does not end"))
    }

    /// The history in a list of actions: those of the machine (whatever the service's filter let through) that change
    /// its isolation, each once, newest first.
    pub(super) fn of(actions: Vec<MachineAction>, machine: &MachineId) -> Self {
        let mut kept: Vec<MachineAction> = Vec::new();
        for action in actions {
            let elsewhere = action.machine_id.as_ref().is_some_and(|other| other != machine);
            if changes_isolation(&action.kind) && !elsewhere && !kept.iter().any(|known| known.id == action.id) {
                kept.push(action);
            }
        }
        kept.sort_by_key(|action| std::cmp::Reverse(action.created()));
        Self(kept)
    }

    /// The newest action that carries the tag and is of the wanted kind.
    pub(super) fn tagged(&self, wanted: &Wanted, tag: &Tag) -> Option<&MachineAction> {
        self.0.iter().find(|action| !wanted.is_opposite(action) && tag.marks(action.requestor_comment.as_deref()))
    }

    /// The actions that have not ended.
    fn in_flight(&self, now: Timestamp) -> impl Iterator<Item = &MachineAction> {
        self.0.iter().filter(move |action| in_flight(action, now))
    }

    /// The completed action that ended last: the one whose effect the machine is under. By its end and not by its
    /// beginning, because an isolation that hung may complete after a later release (contract section 7.1). None
    /// where two opposite ones ended at the same time.
    fn in_effect(&self) -> Option<&MachineAction> {
        let ended = |action: &MachineAction| action.updated().or_else(|| action.created());
        let completed = || self.0.iter().filter(|action| action.status == MachineActionStatus::Succeeded);
        let last = completed().max_by_key(|action| (ended(action), action.created()))?;
        let contested = completed()
            .any(|other| other.kind != last.kind && (ended(other), other.created()) == (ended(last), last.created()));
        (!contested).then_some(last)
    }
}

/// Reads a machine action. Lists and single answers spell the time of the last change differently (contract section
/// 7.1); an answer with both spellings is read too.
pub(super) fn read(text: &str) -> serde_json::Result<MachineAction> {
    serde_json::from_str(text).or_else(|error| {
        let other = |name: &str| name == "lastUpdateTimeUtc";
        match page::without(text, other) {
            Cow::Owned(text) => serde_json::from_str(&text),
            Cow::Borrowed(_) => Err(error),
        }
    })
}

fn unreadable(listed: &Listed<'_>, problem: &serde_json::Error) -> Error {
    let what =
        listed.kind.as_deref().map_or_else(|| "one without a type".into(), |kind| format!("of type {}", shown(kind)));
    Error::new(
        kinds::BAD_RESPONSE,
        format!("one of the machine's earlier actions, {what}, cannot be read: {}", shown(&problem.to_string())),
    )
    .hint("Without it nobody knows what may be done. Look at the machine in the Defender portal.")
}

/// Whether an action may still change the machine.
fn in_flight(action: &MachineAction, now: Timestamp) -> bool {
    match &action.status {
        MachineActionStatus::Unrecognized(_) => {
            let last = action.updated().or_else(|| action.created());
            last.is_none_or(|last| now.duration_since(last) < UNKNOWN_STATUS_COUNTS)
        }
        status => !status.is_final(),
    }
}

/// Decides from a machine's history what may be done.
///
/// # Errors
/// `conflict` when something opposite is under way or has undone what this very request did before; `failed` when
/// this very request was sent before and did not succeed.
pub(super) fn decide(history: &History, wanted: &Wanted, tag: &Tag, now: Timestamp) -> Result<Decision> {
    let opposite: Vec<_> = history.in_flight(now).filter(|action| wanted.is_opposite(action)).collect();
    if let Some(first) = opposite.first() {
        return Err(in_the_way(wanted, first));
    }
    let own = history.tagged(wanted, tag);
    if let Some(own) = own
        && in_flight(own, now)
    {
        return Ok(Decision::InProgress(own.clone()));
    }
    if let Some(same) = history.in_flight(now).next() {
        return if wanted.differs(same) {
            Err(in_the_way(wanted, same))
        } else {
            Ok(Decision::InProgress(same.clone()))
        };
    }
    let in_effect = history.in_effect();
    if let Some(own) = own {
        return done_before(own, in_effect, wanted);
    }
    Ok(match in_effect {
        Some(action) if wanted.is_opposite(action) => Decision::Send(None),
        Some(action) if wanted.differs(action) => Decision::Send(Some(format!(
            "The machine is isolated already, with scope {} by machine action {}; isolation with scope {} was asked \
             for on top of it.",
            scope(action),
            action.id,
            wanted.scope(),
        ))),
        Some(action) => Decision::InEffect(action.clone()),
        None => Decision::Send(None),
    })
}

/// What follows when this very request was sent before and has ended. It is never sent a second time.
fn done_before(own: &MachineAction, in_effect: Option<&MachineAction>, wanted: &Wanted) -> Result<Decision> {
    const HINT: &str = "Nothing was sent: a request id names one intent. To ask again, use another --request-id.";
    match in_effect {
        // Whatever scope the service gives it: it is what was asked for.
        Some(action) if action.id == own.id => Ok(Decision::InEffect(own.clone())),
        Some(action) if !wanted.is_opposite(action) && !wanted.differs(action) => {
            Ok(Decision::InEffect(if own.status == MachineActionStatus::Succeeded { own } else { action }.clone()))
        }
        _ if own.status == MachineActionStatus::Succeeded => {
            let since = in_effect.map_or_else(
                || "an opposite one ended at the same time".into(),
                |action| format!("{} came after it", described(action)),
            );
            let message = format!("this request was carried out before, as machine action {}, but {since}", own.id);
            Err(Error::new(kinds::CONFLICT, message).hint(HINT))
        }
        _ => Err(Error::new(
            kinds::FAILED,
            format!(
                "this request was sent before, as machine action {}, which ended with status {}",
                own.id,
                status(own)
            ),
        )
        .hint(HINT)),
    }
}

/// A refusal because of an action that has not ended.
fn in_the_way(wanted: &Wanted, action: &MachineAction) -> Error {
    Error::new(
        kinds::CONFLICT,
        format!("cannot {} the machine while {} is under way", wanted.verb(), described(action)),
    )
    .hint(format!(
        "Nothing was sent. Wait for it to end (get-machine-action with machineActionId {} and wait) or cancel it \
             in the action center of the Defender portal, then run again.",
        action.id
    ))
}

/// An action in words.
fn described(action: &MachineAction) -> String {
    let by = action.requestor.as_deref().map(|requestor| format!(" by {}", shown(requestor))).unwrap_or_default();
    let since = action.creation_date_time_utc.as_deref().map(|at| format!(" of {}", shown(at))).unwrap_or_default();
    let scope = action.scope.as_deref().map(|scope| format!(", scope {}", shown(scope))).unwrap_or_default();
    format!("{} {}{by}{since} (status {}{scope})", shown(action.kind.name()), action.id, status(action))
}

/// An action's status, for a message.
pub(super) fn status(action: &MachineAction) -> String {
    shown(action.status.name())
}

fn scope(action: &MachineAction) -> String {
    shown(action.scope.as_deref().unwrap_or_default())
}
