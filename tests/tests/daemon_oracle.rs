//! Every incident, once, whatever happens: random faults, a daemon that is killed again and again, and an oracle that knows
//! every version that the tenant showed.
//!
//! `cargo test -p sortie-tests --test daemon_oracle` runs 50 rounds. `SORTIE_ROUNDS=500` before it runs 500, and
//! `SORTIE_SEED=...` repeats a run that failed: the same changes, faults and times of death. (What the machine does in
//! between is not repeated to the microsecond.) In a round the tenant changes, faults of every kind fall on requests, and the daemon is
//! killed after 0.2 to 2 s. Every few rounds the faults end, and the oracle is asked.
#![allow(clippy::print_stdout, reason = "the seed of a run, and what was skipped, are told")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use sortie_sandbox::{
    AlertDraft, Api, Config, Control, Fault, IncidentDraft, NextLink, RequestRecord, RetryAfter, Rule,
};
use sortie_tests::daemon::{Driver, SIGNING_KEY, Setup, id_of, reads_from};
use sortie_tests::oracle::{Evidence, Ledger, Version, judge};
use sortie_tests::receiver::{Answer, Receiver};
use sortie_tests::{Profile, World};
use std::collections::{BTreeSet, HashMap};
use std::env;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Worlds at once. Each has its own tenant, daemon and sinks; every other one reads from Defender XDR.
const WORLDS: u64 = 4;
/// Rounds between two questions to the oracle.
const BETWEEN: u64 = 7;
/// How long the daemon may take, once the faults ended, to bring everything to its sinks.
const SETTLING: Duration = Duration::from_secs(60);
/// Deliveries at once, as the webhook sink is told.
const CONCURRENCY: usize = 4;

/// Seeded chance (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[usize::try_from(self.below(list.len() as u64)).unwrap()]
    }
}

fn told(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.trim().parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

fn seed() -> u64 {
    let time = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_micros() as u64);
    let seed = told("SORTIE_SEED").unwrap_or_else(time);
    println!("SORTIE_SEED={seed}");
    seed
}

/// A fault of each kind, with chance in its particulars.
fn faults(chance: &mut Chance) -> Vec<Fault> {
    let throttled = [
        RetryAfter::Seconds(1),
        RetryAfter::Fraction(0.4),
        RetryAfter::Date(1),
        RetryAfter::Missing,
        RetryAfter::Absurd,
        RetryAfter::Negative,
        RetryAfter::Garbage,
        RetryAfter::BodyTime(1),
    ];
    let links = [
        NextLink::LoopSelf,
        NextLink::LoopFirst,
        NextLink::Endless,
        NextLink::Foreign("http://127.0.0.1:9/graph/v1.0/security/incidents".into()),
        NextLink::Scheme,
        NextLink::Port,
        NextLink::Userinfo,
        NextLink::PathPrefix,
        NextLink::Missing,
        NextLink::Empty,
        NextLink::Number,
        NextLink::Garbage,
    ];
    let bytes = usize::try_from(chance.below(9_000)).unwrap();
    vec![
        Fault::Throttled { retry_after: chance.pick(&throttled).clone() },
        Fault::status(*chance.pick(&[400, 401, 403, 404, 408, 409, 500, 502, 503, 504])),
        Fault::Body { status: 200, content_type: "application/json".into(), text: "{\"value\":".into() },
        Fault::Redirect { status: 302, location: "http://127.0.0.1:9/elsewhere".into() },
        Fault::InsufficientClaims,
        Fault::ExpireTokens,
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::WorkLate { milliseconds: chance.below(300) },
        Fault::ResetMidBody { bytes },
        Fault::Truncated { bytes },
        Fault::Stall { bytes },
        Fault::DripHeader { interval_ms: 1 + chance.below(100) },
        Fault::DripBody { interval_ms: 1 + chance.below(100) },
        Fault::Delay { milliseconds: chance.below(900) },
        Fault::Html,
        Fault::Empty,
        Fault::ByteOrderMark,
        Fault::NotANumber,
        Fault::DuplicateKeys,
        Fault::Oversized { bytes: 2 << 20 },
        Fault::GzipBomb { bytes: 64 << 20 },
        Fault::DeepNesting { depth: 5_000 },
        Fault::InvalidUtf8,
        Fault::HugeHeaders { bytes: 1 << 20 },
        Fault::NextLink { link: chance.pick(&links).clone() },
        Fault::DuplicatePage,
        Fault::ShiftedPage { by: chance.below(41) as i64 - 20 },
        Fault::Partial { warning: "Contoso/Provider/503/10".into() },
        Fault::DateSkew { seconds: chance.below(7_200) as i64 - 3_600 },
    ]
}

/// The kinds, named so that a kind added to the sandbox does not compile until it stands in [`faults`].
fn kind(fault: &Fault) -> &'static str {
    match fault {
        Fault::Throttled { .. } => "throttled",
        Fault::Status { .. } => "status",
        Fault::Body { .. } => "body",
        Fault::Redirect { .. } => "redirect",
        Fault::InsufficientClaims => "insufficientClaims",
        Fault::ExpireTokens => "expireTokens",
        Fault::ResetBefore => "resetBefore",
        Fault::ResetAfter => "resetAfter",
        Fault::WorkLate { .. } => "workLate",
        Fault::ResetMidBody { .. } => "resetMidBody",
        Fault::Truncated { .. } => "truncated",
        Fault::Stall { .. } => "stall",
        Fault::DripHeader { .. } => "dripHeader",
        Fault::DripBody { .. } => "dripBody",
        Fault::Delay { .. } => "delay",
        Fault::Html => "html",
        Fault::Empty => "empty",
        Fault::ByteOrderMark => "byteOrderMark",
        Fault::NotANumber => "notANumber",
        Fault::DuplicateKeys => "duplicateKeys",
        Fault::Oversized { .. } => "oversized",
        Fault::GzipBomb { .. } => "gzipBomb",
        Fault::DeepNesting { .. } => "deepNesting",
        Fault::InvalidUtf8 => "invalidUtf8",
        Fault::HugeHeaders { .. } => "hugeHeaders",
        Fault::NextLink { .. } => "nextLink",
        Fault::DuplicatePage => "duplicatePage",
        Fault::ShiftedPage { .. } => "shiftedPage",
        Fault::Partial { .. } => "partial",
        Fault::DateSkew { .. } => "dateSkew",
    }
}

#[test]
fn every_kind_of_fault_takes_part() {
    let mut chance = Chance(7);
    let kinds: BTreeSet<&str> = faults(&mut chance).iter().map(kind).collect();
    // As many as the arms of `kind`: the compiler keeps those complete.
    let arms = include_str!("daemon_oracle.rs").matches("\n        Fault::").count();
    assert_eq!(kinds.len() * 2, arms, "{kinds:?}");
}

/// A world, what was done to it, and what came out.
struct Trial<'w> {
    driver: Driver<'w>,
    control: Control,
    hook: Option<Receiver>,
    ledger: Ledger,
    kills: Vec<Instant>,
    chance: Chance,
    name: String,
    /// How many requests were hit by faults.
    hit: u64,
}

fn tenant(seed: u64) -> Config {
    Config { seed, incidents: 70, machines: 5, ..Config::default() }
}

impl<'w> Trial<'w> {
    fn new(world: &'w World, surface: &'static str, seed: u64, change: impl FnOnce(Setup) -> Setup) -> Self {
        let hook = Receiver::new();
        let setup = Setup {
            surface,
            hook: Some(hook.url()),
            hook_lines: format!("concurrency = {CONCURRENCY}"),
            ..Setup::default().set("sweep_interval", "1500ms")
        };
        let setup = change(setup);
        let hook = setup.hook.is_some().then_some(hook);
        let control = world.sandbox.control();
        let name = format!("SORTIE_SEED={seed}, {surface}");
        Self {
            ledger: Ledger::new(&control, surface),
            driver: Driver::new(world, setup),
            control,
            hook,
            kills: Vec::new(),
            chance: Chance(seed),
            name,
            hit: 0,
        }
    }

    /// Changes the tenant at random, and writes it down.
    fn change(&mut self) {
        let chance = &mut self.chance;
        let now = self.control.clock();
        let ids = self.control.incident_ids();
        let id = *chance.pick(&ids);
        let touched = match chance.below(20) {
            0..=3 => vec![self.control.add_incident(&IncidentDraft::default()).unwrap()],
            // Late: its time lies within the overlap, or before it, where only a sweep looks.
            4..=6 => {
                let late = if chance.below(3) == 0 { 7_200 } else { chance.below(500) };
                let time = Some(now.checked_sub(Duration::from_secs(late)).unwrap());
                let draft = IncidentDraft { created: time, updated: time, ..IncidentDraft::default() };
                vec![self.control.add_incident(&draft).unwrap()]
            }
            // A crowd at one instant.
            7 => self.control.add_incidents(usize::try_from(2 + chance.below(30)).unwrap(), now).unwrap(),
            8..=12 => {
                let mut draft = IncidentDraft::default();
                match chance.below(5) {
                    0 => draft.status = Some("resolved".into()),
                    1 => draft.status = Some("inProgress".into()),
                    2 => draft.severity = Some((*chance.pick(&["low", "medium", "high"])).into()),
                    3 => draft.comments = vec![format!("Comment {}", chance.below(1_000))],
                    _ => draft.custom_tags = Some(vec![format!("Tag {}", chance.below(5))]),
                }
                self.control.edit_incident(id, &draft).unwrap();
                vec![id]
            }
            // A change of an alert that does not move the incident's time.
            13..=15 => {
                let draft = AlertDraft { created: Some(now), updated: Some(now), ..AlertDraft::default() };
                self.control.add_alert(id, &draft).unwrap();
                vec![id]
            }
            16 | 17 => {
                let target = *chance.pick(&ids);
                if target == id {
                    return;
                }
                self.control.merge(id, target).unwrap();
                vec![id, target]
            }
            18 => {
                self.control.remove_incident(id).unwrap();
                vec![id]
            }
            _ => {
                self.control.fail_expand(id, true);
                vec![]
            }
        };
        self.ledger.note(&self.control, &touched);
    }

    fn put_faults_in_force(&mut self) {
        let apis = if self.driver.setup.surface == "graph" { Api::Graph } else { Api::DefenderXdr };
        for _ in 0..1 + self.chance.below(3) {
            let all = faults(&mut self.chance);
            let fault = self.chance.pick(&all).clone();
            let api = if self.chance.below(6) == 0 { Api::Entra } else { apis };
            let rate = 0.1 + self.chance.below(60) as f64 / 100.0;
            self.control.fault(Rule::new(fault).api(api).rate(rate));
        }
        if let Some(hook) = &self.hook {
            let mut chance = Chance(self.chance.next());
            hook.decide(move |_| match chance.below(20) {
                0 => Answer::Status(*chance.pick(&[408, 429, 500, 502, 503])),
                1 => Answer::With(503, vec![("retry-after".into(), "1".into())]),
                2 => Answer::TakeAndCut,
                3 => Answer::Late(Duration::from_millis(chance.below(100)), 200),
                _ => Answer::Status(200),
            });
        }
    }

    fn end_faults(&mut self) {
        self.hit += self.control.fault_hits();
        self.control.clear_faults();
        for id in self.control.incident_ids() {
            self.control.fail_expand(id, false);
        }
        if let Some(hook) = &self.hook {
            hook.decide(|_| Answer::Status(200));
        }
    }

    /// The tenant changes, faults fall, and the daemon dies.
    fn round(&mut self) {
        self.put_faults_in_force();
        let running = self.driver.start();
        let lives = Duration::from_millis(200 + self.chance.below(1_800));
        let begun = Instant::now();
        while begun.elapsed() < lives {
            if self.chance.below(4) == 0 {
                self.change();
            }
            thread::sleep(Duration::from_millis(5 + self.chance.below(40)));
        }
        self.kills.push(running.kill());
        self.end_faults();
    }

    /// Whether each sink's last word on each incident is its final version.
    fn complete(&self) -> bool {
        let hook = self.hook.as_ref().map(Receiver::taken);
        [Some(self.driver.records()), hook].into_iter().flatten().all(|records| {
            let last: HashMap<u64, &serde_json::Value> = records.iter().map(|record| (id_of(record), record)).collect();
            self.ledger.finals().all(|(id, version)| {
                last.get(&id).is_some_and(|record| {
                    record["quarantine"].is_null() && Version::of(&record["incident"]) == *version
                })
            })
        })
    }

    /// Lets the daemon bring everything to its sinks, and sweep twice after that.
    fn settle(&mut self) {
        let mut running = self.driver.start();
        let begun = Instant::now();
        while !self.complete() && begun.elapsed() < SETTLING && running.runs() {
            thread::sleep(Duration::from_millis(50));
        }
        let sweeps = || self.control.records().iter().filter(|record| is_sweep(record)).count();
        let before = sweeps();
        let begun = Instant::now();
        while sweeps() < before + 2 && begun.elapsed() < SETTLING && running.runs() {
            thread::sleep(Duration::from_millis(50));
        }
        assert!(running.runs(), "{}: the daemon ended by itself:\n{}", self.name, tail(&self.driver.log()));
        let (status, took) = running.stop();
        assert!(status.success(), "{}: {status} at the end:\n{}", self.name, tail(&self.driver.log()));
        assert!(took < Duration::from_secs(5), "{}: it took {took:?} to end", self.name);
    }

    /// What the oracle says.
    fn judge(&self) -> Vec<String> {
        let evidence = Evidence {
            file: Some(self.driver.lines()),
            hook: self.hook.as_ref().map(Receiver::deliveries),
            kills: self.kills.clone(),
            key: Some(SIGNING_KEY),
            store: Some(&self.driver.store()),
        };
        judge(&self.ledger, &evidence)
    }
}

/// Whether a request reads the look-back, and not only the overlap.
fn is_sweep(request: &RequestRecord) -> bool {
    let far = reads_from(request).is_some_and(|from| request.time.duration_since(from).as_hours() > 30 * 24);
    far && request.status == Some(200)
}

fn tail(log: &str) -> &str {
    let from = log.char_indices().rev().nth(8_000).map_or(0, |(at, _)| at);
    &log[from..]
}

#[test]
fn nothing_is_lost_and_nothing_is_repeated() {
    let seed = seed();
    let rounds = told("SORTIE_ROUNDS").unwrap_or(50);
    let begun = Instant::now();
    let results: Vec<_> = thread::scope(|scope| {
        let run = |number: u64| move || trial(seed, number, rounds / WORLDS + u64::from(number < rounds % WORLDS));
        let threads: Vec<_> = (0..WORLDS).map(|number| scope.spawn(run(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    println!("{rounds} rounds in {:?}: {}", begun.elapsed(), results.join("; "));
}

/// So many rounds in a world of their own.
fn trial(seed: u64, number: u64, rounds: u64) -> String {
    let world = World::new(tenant(seed.wrapping_add(number)));
    let surface = if number.is_multiple_of(2) { "graph" } else { "defender-xdr" };
    let mut trial = Trial::new(&world, surface, seed, |setup| setup);
    trial.chance = Chance(seed.wrapping_add(number << 32));
    trial.name = format!("SORTIE_SEED={seed}, world {number} ({surface})");
    for round in 1..=rounds {
        trial.round();
        if round % BETWEEN == 0 || round == rounds {
            trial.settle();
            let violations = trial.judge();
            assert!(
                violations.is_empty(),
                "{}, after {round} of {rounds} rounds, {} violations:\n{}\nThe daemon said:\n{}",
                trial.name,
                violations.len(),
                violations.iter().take(30).cloned().collect::<Vec<_>>().join("\n"),
                tail(&trial.driver.log()),
            );
        }
    }
    assert!(trial.hit > 0, "{}: no request was hit by a fault", trial.name);
    format!(
        "world {number}: {} kills, {} requests hit, {} versions, {} lines, {} deliveries",
        trial.kills.len(),
        trial.hit,
        trial.ledger.len(),
        trial.driver.lines().len(),
        trial.hook.as_ref().map_or(0, |hook| hook.deliveries().len()),
    )
}

/// Whether the oracle reads both surfaces alike: without that its word is worth nothing.
#[test]
fn the_oracle_knows_what_the_tenant_shows() {
    for surface in ["graph", "defender-xdr"] {
        let world = World::new(tenant(3));
        let mut trial = Trial::new(&world, surface, 5, |setup| setup);
        for _ in 0..60 {
            trial.change();
        }
        trial.end_faults();
        world.profile(&Profile { surface, ..Profile::default() });
        let output = world.run("incidents-daemon", &serde_json::json!({"lookBack": "60 days"})).success();
        let records = output["records"].as_array().unwrap();
        for (id, version) in trial.ledger.finals() {
            let record = records.iter().find(|record| id_of(record) == id).unwrap();
            assert_eq!(Version::of(&record["body"]), *version, "{surface}");
        }
    }
}

/// A quiet world whose daemon is broken on purpose once it runs: what the oracle then says.
fn mutated(change: impl FnOnce(Setup) -> Setup, sabotage: &str) -> Vec<String> {
    let world = World::new(tenant(11));
    let mut trial = Trial::new(&world, "graph", 11, change);
    let running = trial.driver.start();
    trial.driver.until("the first delivery", || trial.complete());
    if !sabotage.is_empty() {
        trial.driver.sabotage(sabotage);
    }
    for _ in 0..4 {
        for late in [0, 1, 300, 300] {
            let time = Some(trial.control.clock().checked_sub(Duration::from_secs(late)).unwrap());
            let draft = IncidentDraft { created: time, updated: time, ..IncidentDraft::default() };
            let id = trial.control.add_incident(&draft).unwrap();
            trial.ledger.note(&trial.control, &[id]);
        }
        trial.driver.until_requests(3);
    }
    // All that could still be delivered is.
    let mut lines = 0;
    trial.driver.until("quiet", || {
        trial.driver.until_requests(4);
        std::mem::replace(&mut lines, trial.driver.lines().len()) == lines || lines > 1_000
    });
    running.kill();
    trial.judge()
}

fn assert_seen(violations: &[String], part: &str) {
    assert!(violations.iter().any(|violation| violation.contains(part)), "`{part}` in {violations:#?}");
}

#[test]
fn the_oracle_finds_nothing_where_nothing_is_broken() {
    let violations = mutated(|setup| setup, "");
    assert!(violations.is_empty(), "{violations:#?}");
}

/// Mutation: what was seen, and what was last delivered of an item, is forgotten as soon as it is written. (Either of the two
/// alone is no loss: the daemon knows a version by both.)
#[test]
fn the_oracle_sees_that_de_duplication_is_broken() {
    let violations = mutated(
        |setup| setup,
        "CREATE TRIGGER forget_version AFTER INSERT ON seen BEGIN
             DELETE FROM seen WHERE id = new.id AND fingerprint = new.fingerprint;
         END;
         CREATE TRIGGER forget_item AFTER INSERT ON items BEGIN DELETE FROM items WHERE id = new.id; END",
    );
    assert_seen(&violations, "repeats");
}

/// Mutation: polls do not look back, and no sweep comes.
#[test]
fn the_oracle_sees_that_the_overlap_is_broken() {
    let violations = mutated(|setup| setup.set("overlap", "0s").set("sweep_interval", "24h"), "");
    assert_seen(&violations, "never delivered");
}

/// Mutation: some of what waits for the sinks is lost.
#[test]
fn the_oracle_sees_that_the_outbox_is_broken() {
    let violations = mutated(
        |setup| setup,
        "CREATE TRIGGER lose AFTER INSERT ON pending WHEN new.sequence % 3 = 0 BEGIN
             DELETE FROM pending WHERE sink = new.sink AND sequence = new.sequence;
         END",
    );
    assert_seen(&violations, "never delivered");
}
