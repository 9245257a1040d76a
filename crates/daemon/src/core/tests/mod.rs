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

fn policy(once: bool) -> Policy {
    let seconds = Duration::from_secs;
    Policy { interval: seconds(30), sweep_interval: seconds(3_600), retention: seconds(1_000_000), once }
}

fn state(once: bool) -> State {
    State::new("contoso", policy(once), 1, &Resume::default(), 0, false)
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

/// A step that did not fail before.
fn read(mode: Mode, cursor: Option<&str>) -> Effect {
    Effect::Read { mode, cursor: cursor.map(str::to_owned), failures: 0 }
}

/// The batch of records that were read in a poll at 2027-01-15T08:00:00Z.
fn decided(looked: Vec<Looked>) -> (Batch, Tally) {
    decide(
        Ground { tenant: "contoso", mode: Mode::Poll, server_now: at(0).server_now, now: 0, renew_before: 0 },
        looked,
    )
}

#[test]
fn a_quiet_poll_rests_for_an_interval_and_a_failed_one_tries_again() {
    let (state, effects) = step(state(false), Event::Tick, at(0));
    assert_eq!(effects, [read(Mode::Poll, None)]);
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
    assert_eq!(effects, [read(Mode::Poll, Some("c"))]);
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
    assert_eq!(effects, [read(Mode::Sweep, None)]);
    let (state, _) = step(state, Event::Failed(Trouble::default()), at(19_900));
    let (state, _) = step(state, Event::Committed, at(19_900));
    let (_, effects) = step(state, Event::Tick, at(20_000));
    assert_eq!(effects, [read(Mode::Poll, None)]);
}

#[test]
fn a_window_that_is_not_read_to_its_end_is_read_on_at_once() {
    let (state, _) = step(state(false), Event::Tick, at(0));
    let end = End { cursor: Some("within".into()), more: true, ..End::default() };
    let (state, _) = step(state, Event::Ended(Vec::new(), end), at(10));
    let (_, effects) = step(state, Event::Committed, at(10));
    assert_eq!(effects, [read(Mode::Poll, Some("within"))]);
}

#[test]
fn a_full_outbox_pauses_reading_until_there_is_room() {
    let (state, effects) = step(state(false), Event::Room(false), at(0));
    assert_eq!(effects, [Effect::Wait(None)]);
    let (state, effects) = step(state, Event::Tick, at(10_000));
    assert_eq!(effects, [Effect::Wait(None)]);
    let (_, effects) = step(state, Event::Room(true), at(20_000));
    assert_eq!(effects, [read(Mode::Poll, None)]);
}

#[test]
fn what_is_due_once_is_done_once() {
    let mut begun = state(true);
    begun.first = false;
    let (mut state, mut effects) = step(begun, Event::Tick, at(0));
    for mode in [Mode::Poll, Mode::Sweep] {
        assert_eq!(effects, [read(mode, None)]);
        (state, _) = step(state, Event::Ended(Vec::new(), End::default()), at(10));
        (state, effects) = step(state, Event::Committed, at(10));
    }
    assert_eq!(effects, [Effect::Finish]);
    let (_, effects) = step(state, Event::Tick, at(20));
    assert_eq!(effects, [Effect::Finish]);
}

#[test]
fn a_calendar_that_went_back_does_not_put_the_sweep_off_for_ever() {
    let resume = Resume { cursors: Vec::new(), rounds: vec![("sweep".into(), 10_000_000)] };
    let due = |retold| State::new("contoso", policy(false), 1, &resume, 5_000, retold).sweep.due;
    assert_eq!(due(false), 3_600_000);
    // With other filters than before it is due at once.
    assert_eq!(due(true), 0);
}

#[test]
fn told_anew_the_daemon_sweeps_at_once() {
    let (state, _) = step(state(false), Event::Tick, at(0));
    let (state, _) = step(state, Event::Ended(Vec::new(), End::default()), at(10));
    let (state, _) = step(state, Event::Committed, at(10));
    let (state, _) = step(state, Event::Committed, at(10));
    let (_, effects) = step(state, Event::Retold, at(500));
    assert_eq!(effects, [read(Mode::Sweep, None)]);
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
        let sweep =
            Ground { tenant: "contoso", mode: Mode::Sweep, server_now: at(moment).server_now, now: 0, renew_before: 0 };
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

#[test]
fn a_version_that_is_still_shown_is_not_forgotten() {
    let ground =
        Ground { tenant: "contoso", mode: Mode::Poll, server_now: at(0).server_now, now: 900, renew_before: 500 };
    for (seen_at, noted) in [(499, 1), (500, 0)] {
        for handled in [Handled::Queued, Handled::PassedOver] {
            let mut again = record(&serde_json::json!({"matched": handled == Handled::Queued}));
            (again.known.version, again.known.seen_at) = (Some(handled), seen_at);
            let (batch, _) = decide(ground, vec![again]);
            assert_eq!((batch.seen.len(), batch.outgoing.len()), (noted, 0));
            assert!(batch.seen.iter().all(|seen| seen.handled == handled));
        }
    }
}

#[test]
fn a_version_that_was_forgotten_is_known_as_its_items_latest() {
    let mut again = record(&serde_json::json!({}));
    again.known.latest = Some(Latest { id: "1".into(), fingerprint: "a".into(), summary: "{}".into() });
    let (batch, _) = decided(vec![again]);
    assert!(batch.outgoing.is_empty());
}

/// A clock that is hours behind makes every date seem to lie in the future.
#[test]
fn a_wrong_clock_here_holds_no_update_back() {
    let delivered =
        Latest { id: "1".into(), fingerprint: "a".into(), summary: r#"{"time":"2027-01-15T07:50:00Z"}"#.into() };
    let mut update = record(&serde_json::json!({"time": "2027-01-15T07:55:00Z", "fingerprint": "b"}));
    update.known.latest = Some(delivered);
    let behind = Timestamp::from_second(1_800_000_000 - 5 * 3_600).unwrap();
    let ground = Ground { tenant: "contoso", mode: Mode::Poll, server_now: behind, now: 0, renew_before: 0 };
    let (batch, tally) = decide(ground, vec![update]);
    assert_eq!((batch.outgoing.len(), tally.stale), (1, 0));
}

#[test]
fn a_scheduler_reads_nothing_more_while_the_outbox_is_full() {
    let (_, effects) = step(state(true), Event::Room(false), at(0));
    assert_eq!(effects, [Effect::Finish]);
}

#[test]
fn want_of_room_is_no_failure_of_the_step() {
    let (state, _) = step(state(false), Event::Tick, at(0));
    let (state, _) = step(state, Event::Room(false), at(10));
    let (state, effects) = step(state, Event::NotCommitted(Trouble::default()), at(20));
    assert_eq!(effects, [Effect::Abandon, Effect::Wait(None)]);
    let (state, _) = step(state, Event::Room(true), at(30));
    let (_, effects) = step(state, Event::Tick, at(60_000));
    assert_eq!(effects, [read(Mode::Poll, None)]);
}
