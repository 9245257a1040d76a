//! Ten thousand lives of a daemon, each from a seed: a tenant that changes, answers that come late, twice, shuffled or not at all,
//! commits that fail and a process that dies, and after them the question whether every incident was delivered, once, in order.
//!
//! `SORTIE_SEED=n` runs one life; `SORTIE_SEEDS=n` sets how many there are.

mod life;
mod memory;
mod tenant;

use super::*;
use life::{Broken, Life};
use sortie_store::{Handled, Known, Latest};

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("SORTIE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SORTIE_SEEDS").unwrap_or(10_000),
    }
}

#[test]
fn whatever_happens_every_incident_is_delivered_once_and_in_order() {
    for seed in seeds() {
        let wrong = Life::new(seed, Broken::Nothing).run();
        assert!(wrong.is_empty(), "SORTIE_SEED={seed}: {wrong:#?}");
    }
}

/// The oracle works: a daemon that is broken on purpose does not get past it.
#[test]
fn a_daemon_that_is_broken_on_purpose_is_found_out() {
    let found_out = |broken| (0..200).filter(|seed| !Life::new(*seed, broken).run().is_empty()).count();
    assert_eq!(found_out(Broken::Sweep), 0, "polls alone find everything that they are told about");
    for broken in [Broken::Deduplication, Broken::Overlap, Broken::Outbox] {
        let found = found_out(broken);
        assert!(found >= 20, "{broken:?} was found out by {found} of 200 seeds");
    }
}

fn state(once: bool) -> State {
    let policy = Policy { interval: Duration::from_secs(30), sweep_interval: Duration::from_secs(3_600), once };
    State::new("contoso", policy, 1, &Resume::default(), 0)
}

fn at(moment: Moment) -> When {
    let now = i64::try_from(moment / 1000).unwrap();
    When { moment, now, server_now: Timestamp::from_second(1_800_000_000 + now).unwrap() }
}

fn record(members: &serde_json::Value) -> Looked {
    let mut whole = serde_json::json!({"resource": "incident", "id": "1", "time": "2027-01-15T08:00:00Z", "fingerprint": "a",
        "state": "active", "watched": {}, "body": {}});
    whole.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    Looked { record: crate::record::Record::parse(&whole.to_string()).unwrap(), known: Known::default() }
}

/// The batch of records that were read in a poll at 2027-01-15T08:00:00Z.
fn decided(looked: Vec<Looked>) -> (Batch, Tally) {
    decide(Ground { tenant: "contoso", mode: Mode::Poll, server_now: at(0).server_now, now: 0 }, looked)
}

#[test]
fn a_quiet_poll_rests_for_an_interval_and_a_failed_one_tries_again() {
    let (state, effects) = step(state(false), Event::Tick, at(0));
    assert_eq!(effects, [Effect::Read { mode: Mode::Poll, cursor: None }]);
    let end = End { cursor: Some("c".into()), more: false, read: 0, calls: 1 };
    let (state, effects) = step(state, Event::Ended(Vec::new(), end), at(100));
    let [Effect::Commit(batch)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(batch.cursor.as_ref().map(|to| (to.cursor.as_deref(), to.round_ended)), Some((Some("c"), true)));
    assert_eq!(batch.poll.as_ref().map(|poll| (poll.calls, poll.milliseconds)), Some((1, 100)));
    // The first round read the whole look-back: it counts as a sweep.
    let (state, effects) = step(state, Event::Committed, at(101));
    let [Effect::Commit(batch)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(batch.cursor.as_ref().map(|to| (to.mode.as_str(), to.round_ended)), Some(("sweep", true)));
    let (state, effects) = step(state, Event::Committed, at(102));
    let [Effect::Wait(Some(until))] = effects[..] else { panic!("{effects:?}") };
    assert!((27_000..=30_102).contains(&until), "{until}");
    let (state, effects) = step(state, Event::Tick, at(31_000));
    assert_eq!(effects, [Effect::Read { mode: Mode::Poll, cursor: Some("c".into()) }]);
    let (state, _) = step(state, Event::Failed(Trouble::default()), at(31_100));
    let (_, effects) = step(state, Event::Committed, at(31_100));
    let [Effect::Wait(Some(until))] = effects[..] else { panic!("{effects:?}") };
    assert!((31_500..=32_100).contains(&until), "{until}");
}

#[test]
fn a_sweep_that_fails_holds_up_no_poll() {
    let mut begun = state(false);
    (begun.first, begun.poll.ended, begun.poll.due) = (false, true, 20_000);
    let (state, effects) = step(begun, Event::Tick, at(0));
    assert_eq!(effects, [Effect::Read { mode: Mode::Sweep, cursor: None }]);
    let (state, _) = step(state, Event::Failed(Trouble::default()), at(19_900));
    let (state, _) = step(state, Event::Committed, at(19_900));
    let (_, effects) = step(state, Event::Tick, at(20_000));
    assert_eq!(effects, [Effect::Read { mode: Mode::Poll, cursor: None }]);
}

#[test]
fn a_window_that_is_not_read_to_its_end_is_read_on_at_once() {
    let (state, _) = step(state(false), Event::Tick, at(0));
    let end = End { cursor: Some("within".into()), more: true, ..End::default() };
    let (state, _) = step(state, Event::Ended(Vec::new(), end), at(10));
    let (_, effects) = step(state, Event::Committed, at(10));
    assert_eq!(effects, [Effect::Read { mode: Mode::Poll, cursor: Some("within".into()) }]);
}

#[test]
fn a_full_outbox_pauses_reading_until_there_is_room() {
    let (state, effects) = step(state(false), Event::Room(false), at(0));
    assert_eq!(effects, [Effect::Wait(None)]);
    let (state, effects) = step(state, Event::Tick, at(10_000));
    assert_eq!(effects, [Effect::Wait(None)]);
    let (_, effects) = step(state, Event::Room(true), at(20_000));
    assert_eq!(effects, [Effect::Read { mode: Mode::Poll, cursor: None }]);
}

#[test]
fn what_is_due_once_is_done_once() {
    let mut begun = state(true);
    begun.first = false;
    let (mut state, mut effects) = step(begun, Event::Tick, at(0));
    for mode in [Mode::Poll, Mode::Sweep] {
        assert_eq!(effects, [Effect::Read { mode, cursor: None }]);
        (state, _) = step(state, Event::Ended(Vec::new(), End::default()), at(10));
        (state, effects) = step(state, Event::Committed, at(10));
    }
    assert_eq!(effects, [Effect::Finish]);
    let (_, effects) = step(state, Event::Tick, at(20));
    assert!(effects.is_empty());
}

#[test]
fn a_calendar_that_went_back_does_not_put_the_sweep_off_for_ever() {
    let resume = Resume { cursors: Vec::new(), rounds: vec![("sweep".into(), 10_000_000)] };
    let policy = Policy { interval: Duration::from_secs(30), sweep_interval: Duration::from_secs(3_600), once: false };
    let state = State::new("contoso", policy, 1, &resume, 5_000);
    assert_eq!(state.sweep.due, 3_600_000);
}

#[test]
fn told_anew_the_daemon_sweeps_at_once() {
    let (state, _) = step(state(false), Event::Tick, at(0));
    let (state, _) = step(state, Event::Ended(Vec::new(), End::default()), at(10));
    let (state, _) = step(state, Event::Committed, at(10));
    let (state, _) = step(state, Event::Committed, at(10));
    let (_, effects) = step(state, Event::Retold, at(500));
    assert_eq!(effects, [Effect::Read { mode: Mode::Sweep, cursor: None }]);
}

#[test]
fn a_stop_in_the_middle_of_a_step_ends_it() {
    let (state, _) = step(state(false), Event::Tick, at(0));
    let (_, effects) = step(state, Event::Stop, at(1));
    assert_eq!(effects, [Effect::Abandon, Effect::Finish]);
}

#[test]
fn a_version_in_part_is_delivered_only_where_nothing_better_was() {
    let note =
        serde_json::json!({"quarantine": {"id": "1", "reason": "its alerts could not be read"}, "fingerprint": "p"});
    let (batch, tally) = decided(vec![record(&note)]);
    assert_eq!((batch.outgoing.len(), batch.quarantine.len(), tally.new, tally.quarantined), (1, 1, 1, 1));
    assert!(batch.outgoing[0].record.contains("\"quarantine\":\"its alerts could not be read\""));
    // The whole version was delivered: the part adds nothing, and is not taken for seen.
    let latest =
        Latest { id: "1".into(), fingerprint: "a".into(), summary: r#"{"time":"2027-01-15T08:00:00Z"}"#.into() };
    let mut again = record(&note);
    again.known.latest = Some(latest.clone());
    let (batch, _) = decided(vec![again]);
    assert!(batch.outgoing.is_empty() && batch.seen.is_empty() && batch.quarantine.len() == 1);
    // The other way round, the whole version is news, and ends the quarantine.
    let mut whole = record(&serde_json::json!({}));
    whole.known.latest = Some(Latest { fingerprint: "p".into(), ..latest });
    let (batch, _) = decided(vec![whole]);
    assert_eq!((batch.outgoing[0].kind.as_str(), batch.readable.len()), ("incident.updated", 1));
}

#[test]
fn a_date_in_the_future_does_not_hide_what_comes_after_it() {
    let (batch, tally) = decided(vec![record(&serde_json::json!({"time": "9999-12-31T00:00:00Z"}))]);
    assert_eq!(tally.newest, Some(at(0).server_now));
    let mut next = record(&serde_json::json!({"time": "2027-01-15T08:01:00Z", "fingerprint": "b"}));
    next.known.latest = Some(batch.latest[0].clone());
    assert_eq!(decided(vec![next]).0.outgoing.len(), 1);
}

#[test]
fn an_older_version_is_held_back_until_a_sweep_finds_it_long_after() {
    let (batch, _) = decided(vec![record(&serde_json::json!({}))]);
    let old = || {
        let mut old = record(&serde_json::json!({"time": "2027-01-15T07:00:00Z", "fingerprint": "old"}));
        old.known.latest = Some(batch.latest[0].clone());
        old
    };
    let (held, tally) = decided(vec![old()]);
    assert!(held.outgoing.is_empty() && held.seen.is_empty() && tally.stale == 1);
    for (moment, delivered) in [(60_000, 0), (3_600_000, 1)] {
        let sweep = Ground { tenant: "contoso", mode: Mode::Sweep, server_now: at(moment).server_now, now: 0 };
        assert_eq!(decide(sweep, vec![old()]).0.outgoing.len(), delivered);
    }
}

#[test]
fn what_the_filters_want_now_is_delivered_though_it_was_seen() {
    let unwanted = record(&serde_json::json!({"matched": false}));
    let (batch, tally) = decided(vec![unwanted]);
    assert_eq!((batch.seen[0].handled, tally.passed_over), (Handled::PassedOver, 1));
    let mut wanted = record(&serde_json::json!({}));
    wanted.known.version = Some(Handled::PassedOver);
    let (batch, _) = decided(vec![wanted]);
    assert_eq!((batch.outgoing[0].kind.as_str(), batch.seen[0].handled), ("incident.created", Handled::Queued));
}

#[test]
fn a_record_without_a_name_is_a_note_and_nothing_else() {
    let nameless = serde_json::json!({"id": null, "fingerprint": null, "quarantine": {"reason": "no id"}});
    let (batch, _) = decided(vec![record(&nameless)]);
    assert_eq!((batch.quarantine[0].id.as_str(), batch.outgoing.len(), batch.readable.len()), ("", 0, 0));
}
