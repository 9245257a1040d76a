//! Isolating a machine and letting it back, safe to repeat.
//!
//! Both are one course: read what was done, decide, send once, find out what came of it, wait if asked. Only the
//! call, the body and the kind of action differ.

use super::history::{self, Decision, History, Wanted, status};
use super::tag::Tag;
use super::{Comment, ExternalId, doubt, shown, wait};
use schemars::JsonSchema;
use serde::Serialize;
use sortie_auth::Call;
use sortie_defender::endpoints::defender_endpoint::{ISOLATE_MACHINE, RELEASE_MACHINE};
use sortie_defender::enums::{Enumeration, IsolationType, MachineActionStatus, MachineActionType};
use sortie_defender::machine::{Machine, MachineAction};
use sortie_sdk::{Answer, Error, Host, Result, Span, kinds};

/// What came of isolating or releasing a machine.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// The machine, as the service describes it.
    pub machine: Machine,
    /// The machine action: the one this run began, or the earlier one that makes a new one unnecessary. Missing in a
    /// dry run that would have begun one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_action: Option<MachineAction>,
    /// How far the machine action has come; `planned` in a dry run that would have begun one.
    pub outcome: Outcome,
    /// Whether an earlier machine action does the same and has not ended: nothing new was begun.
    pub already_in_progress: bool,
    /// Whether the machine already was in the wanted state: nothing new was begun.
    pub already_in_effect: bool,
    /// Whether this was a dry run that would have begun a machine action.
    pub planned: bool,
}

/// How far a machine action has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum Outcome {
    /// A dry run: it was not begun.
    Planned,
    /// Queued; the machine has not fetched it.
    Pending,
    /// The machine works on it.
    InProgress,
    /// Done.
    Succeeded,
    /// Failed.
    Failed,
    /// The machine did not answer in time.
    TimeOut,
    /// Cancelled before it was done.
    Cancelled,
    /// The service says something that this version does not know: see the machine action's status.
    Unknown,
}

impl From<&MachineActionStatus> for Outcome {
    fn from(status: &MachineActionStatus) -> Self {
        match status {
            MachineActionStatus::Pending => Self::Pending,
            MachineActionStatus::InProgress => Self::InProgress,
            MachineActionStatus::Succeeded => Self::Succeeded,
            MachineActionStatus::Failed => Self::Failed,
            MachineActionStatus::TimeOut => Self::TimeOut,
            MachineActionStatus::Cancelled => Self::Cancelled,
            MachineActionStatus::Unrecognized(_) => Self::Unknown,
        }
    }
}

/// Cuts a machine off the network, unless that is done or being done already.
///
/// # Errors
/// `conflict` when a release, or an isolation with another scope, is under way; `unknown_outcome` when the answer was
/// lost and nothing settles whether it was carried out; `failed` when the machine action ended without success;
/// `timeout` when it did not end within `wait`; else what the host reports.
pub fn isolate(
    host: &Host<'_>,
    machine: Machine,
    isolation_type: IsolationType,
    comment: &Comment,
    external_id: Option<&ExternalId>,
    wait: Option<Span>,
) -> Result<Changed> {
    let wanted = Wanted { kind: MachineActionType::Isolate, isolation_type: Some(isolation_type) };
    Change { host, call: &ISOLATE_MACHINE, machine: &machine, wanted, comment, external_id }
        .run(wait)
        .map(|made| made.into_changed(machine))
}

/// Lets a machine back onto the network, unless that is done or being done already.
///
/// # Errors
/// As [`isolate`], with isolation as the opposite.
pub fn release(host: &Host<'_>, machine: Machine, comment: &Comment, wait: Option<Span>) -> Result<Changed> {
    let wanted = Wanted { kind: MachineActionType::Unisolate, isolation_type: None };
    Change { host, call: &RELEASE_MACHINE, machine: &machine, wanted, comment, external_id: None }
        .run(wait)
        .map(|made| made.into_changed(machine))
}

/// One change, as it is asked for.
struct Change<'a, 'run> {
    host: &'a Host<'run>,
    call: &'a Call,
    machine: &'a Machine,
    wanted: Wanted,
    comment: &'a Comment,
    external_id: Option<&'a ExternalId>,
}

/// What was begun, or need not be.
pub(super) enum Begun {
    /// This run's own action.
    Now(MachineAction),
    /// An earlier one that has not ended.
    Earlier(MachineAction),
    /// An earlier one that has ended as wanted.
    InEffect(MachineAction),
    /// None: a dry run.
    Planned,
}

/// The body of both requests, spelled as the service wants it: names are case-sensitive (contract section 3).
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    comment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    isolation_type: Option<&'a str>,
    /// The spelling in requests is not documented. The property of the answer is `externalID`; it is sent like that,
    /// and the answer is checked for it.
    #[serde(rename = "externalID", skip_serializing_if = "Option::is_none")]
    external_id: Option<&'a str>,
}

impl Change<'_, '_> {
    fn run(&self, wait: Option<Span>) -> Result<Begun> {
        let tag = Tag::of(&self.host.context().request_id, &self.machine.id, &self.wanted.kind, self.wanted.scope());
        let history = History::read(self.host, &self.machine.id)?;
        let begun = match history::decide(&history, &self.wanted, &tag, self.host.now())? {
            Decision::InProgress(action) => Begun::Earlier(action),
            Decision::InEffect(action) => Begun::InEffect(action),
            Decision::Send(note) => {
                if let Some(note) = note {
                    self.host.warn(note);
                }
                self.send(&tag)?
            }
        };
        match begun {
            Begun::Now(action) => self.follow(action, wait, "was started").map(Begun::Now),
            Begun::Earlier(action) => self.follow(action, wait, "was under way already").map(Begun::Earlier),
            ended @ (Begun::InEffect(_) | Begun::Planned) => Ok(ended),
        }
    }

    /// Sends the request, once, and finds out what it began.
    fn send(&self, tag: &Tag) -> Result<Begun> {
        let Self { host, machine, wanted, .. } = self;
        if host.cancelled() {
            return Err(Error::new(kinds::CANCELLED, "the run was cancelled before anything was sent"));
        }
        let body = Body {
            comment: format!("{} {}", self.comment.as_str(), tag.as_str()),
            isolation_type: wanted.isolation_type.as_ref().map(Enumeration::name),
            external_id: self.external_id.map(ExternalId::as_str),
        };
        match host.request(self.call).path("machineId", &machine.id).json(&body).send() {
            Ok(Answer::Planned) => Ok(Begun::Planned),
            Ok(Answer::Answered(response)) => match wait::action_in(&response) {
                Ok(action) if action.kind == wanted.kind => Ok(self.recognized(action, tag)),
                Ok(other) => {
                    let problem =
                        format!("the service answered with a machine action of type {}", shown(other.kind.name()));
                    doubt::settle(host, machine, wanted, tag, Error::new(kinds::BAD_RESPONSE, problem))
                }
                Err(unreadable) => doubt::settle(host, machine, wanted, tag, unreadable),
            },
            Err(error) => self.failed(error, tag),
        }
    }

    fn failed(&self, error: Error, tag: &Tag) -> Result<Begun> {
        use sortie_sdk::Outcome::{Answered, InDoubt, NotSent};
        let Self { host, machine, wanted, .. } = self;
        match error.outcome() {
            NotSent => Err(error),
            InDoubt => doubt::settle(host, machine, wanted, tag, error),
            // The run ended between sending and answering, and with it every means of looking.
            Answered if error.kind() == kinds::CANCELLED => Err(doubt::unknown(machine, wanted, tag, error, 0, None)),
            Answered if doubt::may_be_duplicate(&error) => doubt::after_refusal(host, machine, wanted, tag, error),
            Answered => Err(error.context(&format!("the service refused to {} the machine", wanted.verb()))),
        }
    }

    /// An action in the service's answer: this request's, or an earlier one that the service answered with instead
    /// (contract section 7.1), which has another comment.
    fn recognized(&self, action: MachineAction, tag: &Tag) -> Begun {
        if action.requestor_comment.is_some() && !tag.marks(action.requestor_comment.as_deref()) {
            return Begun::Earlier(action);
        }
        let wanted = self.external_id.map(ExternalId::as_str);
        if wanted.is_some() && action.external_id.as_deref() != wanted {
            self.host.warn("The service did not confirm the external id.");
        }
        Begun::Now(action)
    }

    /// Follows an action to its end, if that is asked for. Whatever ends the wait too early, the error says that there
    /// is an action, and `how` it came to be: the service goes on with it.
    fn follow(&self, action: MachineAction, wait: Option<Span>, how: &str) -> Result<MachineAction> {
        let id = action.id.clone();
        let begun = format!("machine action {id} ({}) {how}", shown(action.kind.name()));
        let action = match wait {
            Some(wait) if !wait.duration().is_zero() && !self.host.planning() => {
                wait::until_final(self.host, action, wait).map_err(|error| {
                    let error = error.done(begun);
                    if error.kind() != kinds::CANCELLED {
                        return error;
                    }
                    error.hint(format!(
                        "The service goes on with it. Ask with get-machine-action, machineActionId {id}."
                    ))
                })?
            }
            _ => action,
        };
        if action.status.is_final() && action.status != MachineActionStatus::Succeeded {
            return Err(Error::new(
                kinds::FAILED,
                format!("machine action {} to {} the machine ended with status {}", action.id, self.wanted.verb(), status(&action)),
            )
            .hint(
                "The device page of the Defender portal may say why. Running again begins a new machine action; where a \
                 --request-id was given, it has to be another one.",
            ));
        }
        Ok(action)
    }
}

impl Begun {
    fn into_changed(self, machine: Machine) -> Changed {
        let (already_in_progress, already_in_effect) =
            (matches!(self, Self::Earlier(_)), matches!(self, Self::InEffect(_)));
        let machine_action = match self {
            Self::Now(action) | Self::Earlier(action) | Self::InEffect(action) => Some(action),
            Self::Planned => None,
        };
        Changed {
            machine,
            outcome: machine_action.as_ref().map_or(Outcome::Planned, |action| Outcome::from(&action.status)),
            already_in_progress,
            already_in_effect,
            planned: machine_action.is_none(),
            machine_action,
        }
    }
}
