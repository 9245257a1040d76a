//! The poll core: what to do next, and what is news, without I/O.
//!
//! # The model
//!
//! The core is a pure state machine, `step(state, event) -> (state, effects)`. The driver does what the effects say, in their
//! order, and reports how that went as the next event. Time and chance come in from outside: a [`Moment`] with each event, a seed
//! at the start.
//!
//! ```text
//!            Read(mode, cursor)                 Commit(batch)
//!   resting ───────────────────▶ reading ──┬───────────────────▶ writing ──▶ reading
//!      ▲  wait until due            │      └─ its end: batch with cursor ──▶ resting
//!      └────── failed: back off ◀───┘
//! ```
//!
//! A step of reading brings its records in pieces; each is committed as it comes, and the last one together with the
//! cursor. So whatever ends a step early, the cursor stands before everything that was not committed, and what
//! was committed is recognised when it is read again.

mod decide;
mod pace;
#[cfg(test)]
mod tests;

pub use decide::{Ground, Looked, Tally, decide};
pub use pace::{Pace, Policy};

use jiff::Timestamp;
use sortie_store::{Batch, CursorMove, PollNote, Resume};
use std::time::Duration;

/// Milliseconds since the daemon began, by a clock that never goes back.
pub type Moment = u64;

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What changed since the cursor.
    Poll,
    /// The whole look-back again.
    Sweep,
}

impl Mode {
    /// As the action and the store spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Sweep => "sweep",
        }
    }
}

/// How a step of reading ended well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Where to go on.
    pub cursor: Option<String>,
    /// Whether the window was not read to its end.
    pub more: bool,
    /// Items read.
    pub read: u64,
    /// Calls made.
    pub calls: u64,
}

/// How a step of reading, or a commit, failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// The kind and the message.
    pub text: String,
    /// How long the service asks to be left alone.
    pub retry_after: Option<Duration>,
    /// Whether it needs a person, so that trying again soon is of no use.
    pub needs_help: bool,
    /// Calls made before.
    pub calls: u64,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// Nothing: the wait is over.
    Tick,
    /// The step brought records.
    Records(Vec<Looked>),
    /// The step ended well, with its last records.
    Ended(Vec<Looked>, End),
    /// The step failed.
    Failed(Trouble),
    /// The batch is durable.
    Committed,
    /// The batch is not durable; nothing of it is.
    NotCommitted(Trouble),
    /// Whether there is room in the outbox.
    Room(bool),
    /// The filters changed.
    Retold,
    /// The daemon is to end.
    Stop,
}

/// When it happened.
#[derive(Clone, Copy, Debug)]
pub struct When {
    /// By the clock that never goes back.
    pub moment: Moment,
    /// By the service's clock, as far as it is known, in seconds since 1970.
    pub now: i64,
    /// By the service's clock, as far as it is known.
    pub server_now: Timestamp,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Run one step.
    Read {
        /// What to read.
        mode: Mode,
        /// From where.
        cursor: Option<String>,
        /// How often in a row this failed: what fails in large steps may succeed in small ones.
        failures: u32,
    },
    /// Make this durable.
    Commit(Box<Batch>),
    /// Give the step up: its records cannot be taken.
    Abandon,
    /// Wait, or until something else happens; without end where there is no room.
    Wait(Option<Moment>),
    /// End: everything due was done, or the daemon was told to.
    Finish,
}

/// What the core remembers.
#[derive(Clone, Debug)]
pub struct State {
    tenant: String,
    policy: Policy,
    pace: Pace,
    poll: Round,
    sweep: Round,
    full: bool,
    /// No poll was ever read to its end into this store.
    first: bool,
    decided: Tally,
    phase: Phase,
}

/// Where one mode's reading stands.
#[derive(Clone, Debug, Default)]
struct Round {
    cursor: Option<String>,
    due: Moment,
    failures: u32,
    /// Whether a round was read to its end since the daemon began.
    ended: bool,
}

#[derive(Clone, Debug)]
enum Phase {
    Resting,
    Reading(Step),
    /// A batch is being written in the middle of a step.
    Writing(Step),
    /// The last batch of a step is being written.
    Ending(Step, End),
    Finished,
}

#[derive(Clone, Debug)]
struct Step {
    mode: Mode,
    began: Moment,
    began_at: i64,
    tally: Tally,
}

impl State {
    /// The state of a daemon that begins, with what its store remembers. `now` is this machine's calendar; `retold` says that the
    /// filters are others than before, so that a sweep is due.
    pub fn new(tenant: impl Into<String>, policy: Policy, seed: u64, resume: &Resume, now: i64, retold: bool) -> Self {
        let cursor =
            |mode: Mode| resume.cursors.iter().find(|(name, _)| name == mode.name()).map(|(_, cursor)| cursor.clone());
        let swept = resume.rounds.iter().find(|(name, _)| name == Mode::Sweep.name()).map(|(_, at)| *at);
        // A calendar that went back must not put the sweep off for longer than its interval.
        let rest = swept.filter(|_| !retold).map_or(0, |at| {
            let interval = i64::try_from(policy.sweep_interval.as_secs()).unwrap_or(i64::MAX);
            at.saturating_add(interval).saturating_sub(now).clamp(0, interval)
        });
        Self {
            tenant: tenant.into(),
            pace: Pace::new(&policy, seed),
            poll: Round { cursor: cursor(Mode::Poll), ..Round::default() },
            sweep: Round {
                cursor: cursor(Mode::Sweep).filter(|_| !retold),
                due: u64::try_from(rest).unwrap_or(0).saturating_mul(1000),
                ..Round::default()
            },
            policy,
            full: false,
            first: !resume.rounds.iter().any(|(name, _)| name == Mode::Poll.name()),
            decided: Tally::default(),
            phase: Phase::Resting,
        }
    }

    /// What was decided about the records of the batch that is being written, in numbers.
    pub fn decided(&self) -> Tally {
        self.decided
    }

    fn round(&mut self, mode: Mode) -> &mut Round {
        match mode {
            Mode::Poll => &mut self.poll,
            Mode::Sweep => &mut self.sweep,
        }
    }

    fn ground(&self, mode: Mode, when: When) -> Ground<'_> {
        let half = i64::try_from(self.policy.retention.as_secs() / 2).unwrap_or(i64::MAX);
        let renew_before = when.now.saturating_sub(half);
        Ground { tenant: &self.tenant, mode, server_now: when.server_now, now: when.now, renew_before }
    }
}

/// One turn of the machine.
pub fn step(mut state: State, event: Event, when: When) -> (State, Vec<Effect>) {
    let phase = std::mem::replace(&mut state.phase, Phase::Resting);
    let effects = match (event, phase) {
        (_, Phase::Finished) => {
            state.phase = Phase::Finished;
            vec![Effect::Finish]
        }
        (Event::Stop, phase) => stop(&mut state, phase),
        (Event::Room(room), phase) => {
            state.full = !room;
            go_on(&mut state, phase, when)
        }
        (Event::Retold, phase) => {
            // What was passed over may be wanted now: the sweep finds it.
            state.sweep.cursor = None;
            state.sweep.due = when.moment;
            go_on(&mut state, phase, when)
        }
        (Event::Records(looked), Phase::Reading(mut step)) => {
            let (batch, tally) = decide(state.ground(step.mode, when), looked);
            step.tally.add(&tally);
            state.decided = tally;
            state.phase = Phase::Writing(step);
            vec![Effect::Commit(Box::new(batch))]
        }
        (Event::Committed, Phase::Writing(step)) => {
            state.phase = Phase::Reading(step);
            Vec::new()
        }
        (Event::NotCommitted(trouble), Phase::Writing(step) | Phase::Reading(step)) => {
            let mut effects = vec![Effect::Abandon];
            effects.extend(failed(&mut state, &step, &trouble, when, false));
            effects
        }
        (Event::Ended(looked, end), Phase::Reading(mut step)) => {
            let (mut batch, tally) = decide(state.ground(step.mode, when), looked);
            step.tally.add(&tally);
            state.decided = tally;
            batch.cursor = Some(CursorMove {
                mode: step.mode.name().to_owned(),
                cursor: end.cursor.clone(),
                round_ended: !end.more,
            });
            batch.poll = Some(note(&step, &end, None, when));
            if step.mode == Mode::Sweep && !end.more {
                // What no sweep of late found unreadable is readable now, or is no longer shown.
                let long = i64::try_from(state.policy.sweep_interval.as_secs().saturating_mul(2)).unwrap_or(i64::MAX);
                batch.quarantine_before = Some(when.now.saturating_sub(long));
            }
            state.phase = Phase::Ending(step, end);
            vec![Effect::Commit(Box::new(batch))]
        }
        (Event::Committed, Phase::Ending(step, end)) => ended(&mut state, &step, end, when),
        (Event::NotCommitted(trouble), Phase::Ending(step, _)) => failed(&mut state, &step, &trouble, when, false),
        (Event::Failed(trouble), Phase::Reading(step)) => failed(&mut state, &step, &trouble, when, true),
        // A note about a failure, or about the first round: whether it was written changes nothing now.
        (Event::Committed | Event::NotCommitted(_) | Event::Tick, phase) => go_on(&mut state, phase, when),
        // A step that was abandoned ends; nobody waits for it any more.
        (Event::Records(_) | Event::Ended(..) | Event::Failed(_), phase) => go_on(&mut state, phase, when),
    };
    (state, effects)
}

/// Rests, or begins what is due; a step that is under way goes on undisturbed.
fn go_on(state: &mut State, phase: Phase, when: When) -> Vec<Effect> {
    state.phase = phase;
    match state.phase {
        Phase::Resting => rest(state, when),
        _ => Vec::new(),
    }
}

fn stop(state: &mut State, phase: Phase) -> Vec<Effect> {
    let abandon = matches!(phase, Phase::Reading(_) | Phase::Writing(_));
    state.phase = Phase::Finished;
    if abandon { vec![Effect::Abandon, Effect::Finish] } else { vec![Effect::Finish] }
}

/// What is due first: a poll before a sweep, for news are in a hurry.
fn rest(state: &mut State, when: When) -> Vec<Effect> {
    if state.full && state.policy.once {
        state.phase = Phase::Finished;
        return vec![Effect::Finish];
    }
    if state.full {
        return vec![Effect::Wait(None)];
    }
    let mode = if state.poll.due <= when.moment {
        Mode::Poll
    } else if state.sweep.due <= when.moment && state.poll.ended {
        Mode::Sweep
    } else if state.policy.once {
        state.phase = Phase::Finished;
        return vec![Effect::Finish];
    } else if state.poll.ended {
        return vec![Effect::Wait(Some(state.poll.due.min(state.sweep.due)))];
    } else {
        return vec![Effect::Wait(Some(state.poll.due))];
    };
    let Round { cursor, failures, .. } = state.round(mode).clone();
    let step = Step { mode, began: when.moment, began_at: when.now, tally: Tally::default() };
    state.phase = Phase::Reading(step);
    vec![Effect::Read { mode, cursor, failures }]
}

/// A step's last batch is durable.
fn ended(state: &mut State, step: &Step, end: End, when: When) -> Vec<Effect> {
    let news = step.tally.new + step.tally.changed > 0;
    let due = match (step.mode, end.more) {
        (_, true) => when.moment,
        (Mode::Poll, false) => when.moment + state.pace.after(&state.policy, news),
        (Mode::Sweep, false) => when.moment + millis(state.policy.sweep_interval),
    };
    let round = state.round(step.mode);
    round.cursor = end.cursor;
    round.due = due;
    round.failures = 0;
    round.ended |= !end.more;
    if state.first && step.mode == Mode::Poll && !end.more {
        // It read the whole look-back, as a sweep does.
        state.first = false;
        state.sweep.due = when.moment + millis(state.policy.sweep_interval);
        state.decided = Tally::default();
        let swept = CursorMove { mode: Mode::Sweep.name().to_owned(), cursor: None, round_ended: true };
        return vec![Effect::Commit(Box::new(Batch { now: when.now, cursor: Some(swept), ..Batch::default() }))];
    }
    rest(state, when)
}

/// A step, or a commit of it, failed: nothing of its cursor counts. `told` says whether the store can be written, so that the
/// history tells of it.
fn failed(state: &mut State, step: &Step, trouble: &Trouble, when: When, told: bool) -> Vec<Effect> {
    // A step that was given up for want of room did not fail by itself.
    let failed = u32::from(!state.full);
    let round = state.round(step.mode);
    round.failures = round.failures.saturating_add(failed);
    let failures = round.failures;
    let wait = state.pace.back_off(&state.policy, failures, trouble);
    state.round(step.mode).due = when.moment + wait;
    if state.policy.once {
        state.phase = Phase::Finished;
    }
    let mut effects = Vec::new();
    if told {
        state.decided = Tally::default();
        let end = End { calls: trouble.calls, ..End::default() };
        let poll = note(step, &end, Some(trouble.text.clone()), when);
        effects.push(Effect::Commit(Box::new(Batch { now: when.now, poll: Some(poll), ..Batch::default() })));
    }
    match state.phase {
        Phase::Finished => effects.push(Effect::Finish),
        // After the commit of the history's entry its event goes on.
        _ if told => {}
        _ => effects.extend(rest(state, when)),
    }
    effects
}

fn note(step: &Step, end: &End, error: Option<String>, when: When) -> PollNote {
    PollNote {
        mode: step.mode.name().to_owned(),
        began_at: step.began_at,
        milliseconds: when.moment.saturating_sub(step.began),
        fetched: if error.is_some() { step.tally.records } else { end.read },
        new: step.tally.new,
        changed: step.tally.changed,
        passed_over: step.tally.passed_over,
        quarantined: step.tally.quarantined,
        delivered: 0,
        calls: end.calls,
        error,
    }
}

fn millis(length: Duration) -> Moment {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX / 4)
}
