//! What can go wrong between the daemon and its sinks: nothing is lost, order is kept, and what comes twice comes under the
//! same key.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use serde_json::Value;
use sortie_sandbox::{Control, IncidentDraft};
use sortie_tests::World;
use sortie_tests::daemon::{
    Driver, PATIENCE, SIGNING_KEY, Setup, add, ago, empty, free_port, id_of, side_by_side, write_secret,
};
use sortie_tests::oracle::{Evidence, Ledger, judge};
use sortie_tests::receiver::{Answer, Delivery, Receiver};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

const CONCURRENCY: usize = 4;

/// A tenant of so many incidents.
fn tenant(count: u64) -> (World, Vec<u64>) {
    let world = empty();
    let control = world.sandbox.control();
    let ids = (0..count).map(|number| add(&control, 90 * (count - number))).collect();
    (world, ids)
}

/// Both sinks.
fn both(hook: &Receiver) -> Setup {
    Setup { hook: Some(hook.url()), hook_lines: format!("concurrency = {CONCURRENCY}"), ..Setup::default() }
}

fn edit(control: &Control, id: u64, comment: &str) {
    let draft = IncidentDraft { comments: vec![comment.to_owned()], ..IncidentDraft::default() };
    control.edit_incident(id, &draft).unwrap();
}

/// The ids that a webhook took, once each, in their order.
fn taken(hook: &Receiver) -> Vec<u64> {
    let mut keys = BTreeSet::new();
    hook.taken().iter().filter(|record| keys.insert(record["idempotencyKey"].to_string())).map(id_of).collect()
}

/// Nothing is wrong with what the sinks received.
fn assert_judged(driver: &Driver<'_>, ledger: &Ledger, hook: Option<&Receiver>, kills: Vec<Instant>, what: &str) {
    let evidence = Evidence {
        file: Some(driver.lines()),
        hook: hook.map(Receiver::deliveries),
        kills,
        key: Some(SIGNING_KEY),
        store: Some(&driver.store()),
    };
    let violations = judge(ledger, &evidence);
    assert!(violations.is_empty(), "{what}: {violations:#?}\n{}", driver.log());
}

/// Case 2. The daemon dies at a named step on a record's way, early and late; nothing is lost, and each death repeats at most
/// what was under way.
fn dies_at(step: &str) {
    side_by_side(&[1, 2, 9], |time| {
        let (world, ids) = tenant(60);
        let control = world.sandbox.control();
        let hook = Receiver::new();
        let driver = Driver::new(&world, both(&hook));
        let mut ledger = Ledger::new(&control, "graph");
        let mut command = driver.command(&[]);
        command.env("SORTIE_ABORT_AT", format!("{step}:{time}"));
        let mut dying = driver.start_with(command);
        let begun = Instant::now();
        // Some steps are reached again only where something changes.
        while dying.runs() && begun.elapsed() < PATIENCE {
            let id = ids[usize::try_from(begun.elapsed().as_millis()).unwrap() % ids.len()];
            edit(&control, id, "still alive");
            ledger.note(&control, &[id]);
            thread::sleep(Duration::from_millis(20));
        }
        assert!(!dying.runs(), "{step}:{time} was never reached");
        assert!(!dying.wait().success(), "{step}:{time}");
        let kills = vec![Instant::now()];
        let running = driver.start();
        let dates = ids.iter().map(|id| (*id, control.incident(*id).unwrap()["lastUpdateDateTime"].to_string()));
        let last: BTreeMap<u64, String> = dates.collect();
        let has = |records: &[Value]| {
            let of = |record: &Value| (id_of(record), record["incident"]["lastUpdateDateTime"].to_string());
            records.iter().map(of).collect::<BTreeMap<_, _>>() == last
        };
        driver.until(&format!("delivery after {step}:{time}"), || has(&driver.records()) && has(&hook.taken()));
        driver.until_requests(2);
        assert!(running.stop().0.success());
        assert_judged(&driver, &ledger, Some(&hook), kills, &format!("{step}:{time}"));
    });
}

#[test]
fn a_death_when_records_were_fetched() {
    dies_at("fetched");
}

#[test]
fn a_death_when_it_was_decided_what_is_news() {
    dies_at("decided");
}

#[test]
fn a_death_after_the_commit() {
    dies_at("committed");
}

#[test]
fn a_death_while_a_sink_is_being_given_records() {
    dies_at("sent");
}

#[test]
fn a_death_after_a_sink_acknowledged() {
    dies_at("acknowledged");
}

#[test]
fn a_death_after_an_acknowledgement_was_settled() {
    dies_at("settled");
}

/// Case 19. A sink that is down for a day of the service holds no other sink; what waits survives the daemon's end and is
/// delivered when the sink is back.
#[test]
fn a_sink_that_is_down_for_a_day() {
    let (world, mut ids) = tenant(30);
    let control = world.sandbox.control();
    let mut ledger = Ledger::new(&control, "graph");
    let hook = Receiver::new();
    hook.set_down(true);
    let driver = Driver::new(&world, Setup { listen: true, ..both(&hook) });
    let running = driver.start();
    driver.assert_each_once(&ids);
    for hour in 0..24 {
        control.advance(Duration::from_secs(3_600));
        ids.push(add(&control, 0));
        edit(&control, ids[3], &format!("hour {hour}"));
        ledger.note(&control, &[ids[3], *ids.last().unwrap()]);
        driver.until("delivery to the other sink", || driver.ids().contains(ids.last().unwrap()));
    }
    driver.until("attempts", || hook.turned_away() >= 3);
    driver.until("not ready", || driver.ready().is_some_and(|(status, body)| status == 503 || body.contains("hook")));
    assert!(running.stop().0.success());
    hook.set_down(false);
    let running = driver.start();
    driver.until("delivery of all that waited", || hook.taken().len() >= driver.lines().len());
    driver.until_requests(3);
    assert!(running.stop().0.success());
    assert_judged(&driver, &ledger, Some(&hook), Vec::new(), "after a day");
}

/// Case 19. What waits is bounded: reading pauses, says so, and goes on by itself.
#[test]
fn a_full_outbox_pauses_reading() {
    let (world, mut ids) = tenant(40);
    let control = world.sandbox.control();
    let hook = Receiver::new();
    hook.set_down(true);
    let setup = Setup { file: false, listen: true, ..both(&hook) };
    let driver = Driver::new(&world, setup.raw("outbox_records", "10"));
    let _running = driver.start();
    driver.until("not ready", || driver.ready().is_some_and(|(status, _)| status == 503));
    driver.until("attempts", || hook.turned_away() >= 2);
    // It does not read on: the requests of one poll, and no more while nothing is taken.
    let before = control.request_count(None);
    let turned_away = hook.turned_away();
    ids.push(add(&control, 0));
    driver.until("more attempts", || hook.turned_away() >= turned_away + 2);
    assert_eq!(control.request_count(None), before, "it went on reading");
    hook.set_down(false);
    driver.until("delivery", || taken(&hook).len() == ids.len());
    driver.until("ready", || driver.ready().is_some_and(|(status, _)| status == 200));
    assert_eq!(taken(&hook).into_iter().collect::<BTreeSet<_>>(), ids.into_iter().collect());
}

/// Case 19. A slow sink: never more at once than allowed, never two of one incident, and the other sink does not wait.
#[test]
fn a_slow_sink() {
    let (world, ids) = tenant(24);
    let control = world.sandbox.control();
    let hook = Receiver::new();
    hook.decide(|_| Answer::Late(Duration::from_millis(150), 200));
    let driver = Driver::new(&world, both(&hook));
    let _running = driver.start();
    driver.until_records(24);
    assert!(hook.deliveries().len() < 24, "the fast sink waited for the slow one");
    for number in 0..3 {
        edit(&control, ids[0], &format!("{number}"));
        driver.until("delivery of the change to the fast sink", || driver.lines().len() > 24 + number);
    }
    driver.until("delivery", || hook.taken().len() >= 27);
    assert!(hook.deliveries().iter().all(|delivery| delivery.at_once <= CONCURRENCY as u64));
    let times: Vec<Instant> =
        hook.deliveries().iter().filter(|one| id_of(&one.record()) == ids[0]).map(|one| one.at).collect();
    assert_eq!(times.len(), 4);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(150)), "two of one at once");
    assert_eq!(hook.taken().len(), 27);
}

/// Case 19. A receiver that takes and does not say so, one that fails, one that wants to be left alone: all of it is tried again,
/// under the same key and with the same body, and no version overtakes another of its incident.
#[test]
fn a_receiver_that_acknowledges_half() {
    let (world, ids) = tenant(20);
    let control = world.sandbox.control();
    let mut ledger = Ledger::new(&control, "graph");
    let hook = Receiver::new();
    let mut number = 0;
    hook.decide(move |_| {
        number += 1;
        match number % 5 {
            0 => Answer::TakeAndCut,
            1 => Answer::Status(500),
            2 => Answer::With(503, vec![("retry-after".into(), "1".into())]),
            _ => Answer::Status(200),
        }
    });
    let driver = Driver::new(&world, both(&hook));
    let running = driver.start();
    driver.until_records(20);
    for number in 0..4 {
        for id in &ids[..3] {
            edit(&control, *id, &format!("{number}"));
        }
        ledger.note(&control, &ids[..3]);
        driver.until_requests(2);
    }
    driver.until("delivery", || taken(&hook).len() == driver.lines().len() && driver.lines().len() >= 32);
    assert!(running.stop().0.success());
    assert_judged(&driver, &ledger, Some(&hook), Vec::new(), "half acknowledged");
}

/// Case 19. A record that the receiver refuses for good becomes a dead letter; the others flow, and a person tries again.
#[test]
fn a_record_that_is_refused_for_good() {
    let (world, ids) = tenant(12);
    let control = world.sandbox.control();
    let hook = Receiver::new();
    let (bad, worse) = (ids[4], ids[7]);
    hook.decide(move |delivery: &Delivery| match id_of(&delivery.record()) {
        id if id == bad => Answer::Status(422),
        id if id == worse => Answer::Status(400),
        _ => Answer::Status(200),
    });
    let driver = Driver::new(&world, both(&hook));
    let _running = driver.start();
    driver.until("delivery of the others", || taken(&hook).len() == 10);
    let letters = || -> Vec<Value> {
        let output = world.sortie(["dead-letters", "list", "-o", "jsonl"]).output();
        assert_eq!(output.code, 0, "{}", output.stderr);
        output.lines()
    };
    driver.until("two dead letters", || letters().len() == 2);
    let refused: BTreeSet<u64> = letters().iter().map(id_of).collect();
    assert_eq!(refused, BTreeSet::from([bad, worse]));
    assert!(letters().iter().all(|letter| letter["sink"] == "hook"), "{:#?}", letters());
    // The file took all of them.
    driver.assert_each_once(&ids);
    // One is tried again, the other is given up.
    hook.decide(|_| Answer::Status(200));
    let number = |id: u64| letters().iter().find(|letter| id_of(letter) == id).unwrap()["number"].to_string();
    let (again, never) = (number(bad), number(worse));
    assert_eq!(world.sortie(["dead-letters", "retry", again.as_str()]).output().code, 0);
    driver.until("delivery of the one", || taken(&hook).len() == 11);
    assert_eq!(world.sortie(["dead-letters", "drop", never.as_str()]).output().code, 0);
    driver.until("no dead letters", || letters().is_empty());
    control.add_incidents(1, ago(&control, 0)).unwrap();
    driver.until("delivery of what came after", || taken(&hook).len() == 12);
    assert!(!taken(&hook).contains(&worse));
}

/// Each delivery carries the headers of the Standard Webhooks specification, signed with every key of a change-over, and the key
/// as its id.
#[test]
fn deliveries_are_signed_with_both_keys_while_they_are_changed_over() {
    const OLDER: &str = "whsec_dGhlIG9sZGVyIGtleSwgb24gaXRzIHdheSBvdXQ=";
    let (world, ids) = tenant(3);
    let older = world.folder().join("older.key");
    write_secret(&older, OLDER);
    let hook = Receiver::new();
    let newer = world.folder().join("signing.key");
    let tables = format!(
        "[profile.test.daemon.sinks.siem]\nkind = \"webhook\"\nurl = {:?}\nsigning_keys = [{{ file = {newer:?} }}, {{ file = {older:?} }}]\n\
         headers = {{ X-Api-Key = {{ env = \"RECEIVER_KEY\" }} }}\n",
        hook.url()
    );
    let driver = Driver::new(&world, Setup { file: false, tables, ..Setup::default() });
    let mut command = driver.command(&[]);
    command.env("RECEIVER_KEY", "of the receiver");
    let _running = driver.start_with(command);
    driver.until("delivery", || hook.taken().len() == ids.len());
    for delivery in hook.deliveries() {
        assert_eq!(delivery.verify(SIGNING_KEY), Ok(()));
        assert_eq!(delivery.verify(OLDER), Ok(()));
        assert!(delivery.verify("whsec_YW5vdGhlciBrZXkgYWx0b2dldGhlcg==").is_err());
        assert_eq!(delivery.header("webhook-id"), delivery.record()["idempotencyKey"].as_str());
        assert_eq!(delivery.header("x-api-key"), Some("of the receiver"));
        assert!(delivery.header("content-type").is_some_and(|kind| kind.starts_with("application/json")));
    }
}

/// A line that was torn by a crash of the machine is mended, and nothing is written twice.
#[test]
fn a_torn_line_at_the_end_of_the_file() {
    let (world, mut ids) = tenant(10);
    let control = world.sandbox.control();
    let driver = Driver::new(&world, Setup::default());
    let running = driver.start();
    driver.assert_each_once(&ids);
    running.kill();
    let line = driver.lines().pop().unwrap();
    for length in [1, 40, line.len() - 1] {
        let mut file = File::options().append(true).open(driver.sink()).unwrap();
        file.write_all(&line.as_bytes()[..length]).unwrap();
        ids.push(add(&control, 0));
        let running = driver.start();
        driver.assert_each_once(&ids);
        running.kill();
    }
}

/// A rotated file is the same stream in pieces, also when the daemon dies meanwhile.
#[test]
fn a_file_that_is_rotated() {
    let (world, ids) = tenant(120);
    let folder = world.folder().join("rotated");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("records.jsonl");
    let tables = format!(
        "[profile.test.daemon.sinks.siem]\nkind = \"file\"\npath = {path:?}\nrotate = \"200 KB\"\nkeep = 100\n"
    );
    let driver = Driver::new(&world, Setup { file: false, tables, ..Setup::default() });
    let all = || -> Vec<u64> {
        let files =
            fs::read_dir(&folder).unwrap().flatten().map(|entry| fs::read_to_string(entry.path()).unwrap_or_default());
        let lines = files.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
        lines.filter_map(|line| Some(id_of(&serde_json::from_str(&line).ok()?))).collect()
    };
    for step in ["sent:1", "acknowledged:1", "settled:1"] {
        let mut command = driver.command(&[]);
        command.env("SORTIE_ABORT_AT", step);
        let mut dying = driver.start_with(command);
        edit(&world.sandbox.control(), ids[0], step);
        dying.wait();
    }
    let _running = driver.start();
    driver.until("delivery", || all().into_iter().collect::<BTreeSet<_>>().len() == ids.len());
    driver.until_requests(3);
    assert!(fs::read_dir(&folder).unwrap().count() > 2, "nothing was rotated");
    let others: Vec<u64> = all().into_iter().filter(|id| *id != ids[0]).collect();
    assert_eq!(others.len(), ids.len() - 1, "some came twice");
}

/// A command for each record: the record on its stdin, its exit code decides. 75 asks to be tried again, anything else but 0 refuses.
#[test]
#[cfg(unix)]
fn a_command_for_each_record() {
    let (world, ids) = tenant(8);
    let folder = world.folder();
    let (script, out) = (folder.join("playbook.sh"), folder.join("playbook.out"));
    let text = format!(
        "record=$(cat)\ncase \"$record\" in\n*'\"id\":\"{}\"'*) [ -e tried ] || {{ touch tried; exit 75; }} ;;\n*'\"id\":\"{}\"'*) exit 3 ;;\nesac\n\
         printf '%s\\n' \"$record\" >> {}\n",
        ids[2],
        ids[5],
        out.display()
    );
    fs::write(&script, text).unwrap();
    let tables =
        format!("[profile.test.daemon.sinks.playbook]\nkind = \"exec\"\ncommand = [\"/bin/sh\", {script:?}]\n");
    let driver = Driver::new(&world, Setup { tables, ..Setup::default() });
    let _running = driver.start();
    let ran = || -> BTreeSet<u64> {
        let text = fs::read_to_string(&out).unwrap_or_default();
        text.lines().filter_map(|line| Some(id_of(&serde_json::from_str(line).ok()?))).collect()
    };
    driver.until("the commands", || ran().len() == 7);
    assert!(!ran().contains(&ids[5]));
    driver.until("a dead letter", || {
        world.sortie(["dead-letters", "list", "-o", "jsonl"]).output().lines().iter().map(id_of).eq([ids[5]])
    });
}

/// Nobody listens where the webhook points to, and somebody does later.
#[test]
fn nobody_listens_yet() {
    let (world, ids) = tenant(5);
    let port = free_port();
    let setup = Setup { hook: Some(format!("http://127.0.0.1:{port}/hook")), listen: true, ..Setup::default() };
    let driver = Driver::new(&world, setup);
    let _running = driver.start();
    driver.assert_each_once(&ids);
    let hook = Receiver::at(port);
    driver.until("delivery", || hook.taken().len() == ids.len());
}
