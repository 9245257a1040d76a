//! How runs end: well, by deadline, by cancellation, by every kind of misbehaviour.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails the test")]

mod support;

use serde_json::{Value, json};
use sortie_host::{CancellationToken, Failure, Finished, Limits, RecordSink, Run};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{Reply, Tenant, answers, host, host_with, run, runtime};

fn quiet() -> Tenant {
    Tenant::new(|_| Reply::json(200, &json!({})))
}

fn failure(finished: Finished) -> Failure {
    finished.outcome.unwrap_err()
}

#[test]
fn the_context_says_what_the_action_needs_to_know() {
    let tenant = quiet();
    let (host, action) = host(&tenant);
    let finished = runtime().block_on(host.run(Run {
        request_id: Some("case-7".into()),
        timeout: Some(Duration::from_secs(5)),
        ..Run::new(Arc::clone(&action), json!({"do": [{"context": 0}], "wait": "10m"}))
    }));
    let context = answers(&finished).remove(0);
    assert_eq!(context["runId"], json!(finished.run_id));
    assert_eq!(uuid_like(&finished.run_id), Some(()));
    assert_eq!(context["requestId"], "case-7");
    assert_eq!((&context["action"], &context["surface"]), (&json!("probe"), &json!("graph")));
    assert_eq!(context["mode"], "run");
    assert_eq!(context["remainingMilliseconds"], 605_000, "the wait field extends the deadline");

    let named = runtime()
        .block_on(host.run(Run { run_id: Some("run-1".into()), ..Run::new(action, json!({"do": [{"context": 0}]})) }));
    assert_eq!(named.run_id, "run-1");
    assert_eq!(answers(&named)[0]["requestId"], "run-1");
    assert!(tenant.seen().is_empty());
}

fn uuid_like(id: &str) -> Option<()> {
    (id.len() == 36 && id.split('-').count() == 5).then_some(())
}

#[test]
fn ids_that_could_spoil_a_log_or_a_header_are_refused() {
    let tenant = quiet();
    let (host, action) = host(&tenant);
    for id in ["", "a\nb", &"x".repeat(201)] {
        let run = Run { request_id: Some(id.to_owned()), ..Run::new(Arc::clone(&action), json!({"do": []})) };
        assert_eq!(failure(runtime().block_on(host.run(run))).kind, "usage");
    }
}

#[test]
fn records_stream_to_the_sink_as_they_came() {
    let tenant = quiet();
    let (host, action) = host(&tenant);
    let kept = Arc::new(Mutex::new(Vec::new()));
    let steps = json!([{"emit": "{\"a\": 1}"}, {"emit": "not json"}, {"emit": "{\n\"b\":2}"}]);
    let finished = runtime()
        .block_on(host.run(Run { records: Box::new(Arc::clone(&kept)), ..Run::new(action, json!({"do": steps})) }));
    assert_eq!(*kept.lock().unwrap(), ["{\"a\": 1}", "{ \"b\":2}"]);
    assert_eq!(finished.emitted, 2);
    assert_eq!(answers(&finished), [json!("taken"), json!({"status": 2}), json!("taken")]);
}

#[test]
fn a_sink_that_breaks_ends_the_run() {
    struct Breaks(u32, io::ErrorKind);
    impl RecordSink for Breaks {
        fn record(&mut self, _: &str) -> io::Result<()> {
            self.0 = self.0.checked_sub(1).ok_or_else(|| io::Error::from(self.1))?;
            Ok(())
        }
    }
    let tenant = quiet();
    let (host, action) = host(&tenant);
    for (error, kind) in [(io::ErrorKind::BrokenPipe, "cancelled"), (io::ErrorKind::StorageFull, "failed")] {
        let finished = runtime().block_on(host.run(Run {
            records: Box::new(Breaks(3, error)),
            ..Run::new(Arc::clone(&action), json!({"do": [{"emitForEver": 0}]}))
        }));
        assert_eq!(finished.emitted, 3);
        assert!(!finished.stuck);
        assert_eq!(failure(finished).kind, kind);
    }
}

#[test]
fn a_deadline_ends_a_wait_a_request_and_an_endless_stream() {
    let tenant = Tenant::new(|_| {
        std::thread::sleep(Duration::from_secs(5));
        Reply::json(200, &json!({}))
    });
    let (host, action) = host(&tenant);
    for step in [json!({"sleep": 60_000}), json!({"emitForEver": 0}), json!({"request": {"head": {"call": "list"}}})] {
        let started = Instant::now();
        let finished = runtime().block_on(host.run(Run {
            timeout: Some(Duration::from_millis(150)),
            ..Run::new(Arc::clone(&action), json!({"do": [step]}))
        }));
        assert!(started.elapsed() < Duration::from_secs(4), "{step}");
        assert!(!finished.stuck);
        let failure = failure(finished);
        assert_eq!((failure.kind.as_ref(), failure.exit_code()), ("timeout", 75), "{step}");
    }
}

#[test]
fn a_cancellation_reaches_a_waiting_action_at_once() {
    let tenant = quiet();
    let (host, action) = host(&tenant);
    let cancel = CancellationToken::new();
    let trigger = cancel.clone();
    let started = Instant::now();
    let finished = runtime().block_on(async {
        let run = host.run(Run { cancel, ..Run::new(action, json!({"do": [{"sleep": 60_000}]})) });
        let (finished, ()) = tokio::join!(run, async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            trigger.cancel();
        });
        finished
    });
    assert!(started.elapsed() < Duration::from_secs(4));
    assert_eq!(failure(finished).exit_code(), 130);
}

#[test]
fn a_program_that_keeps_its_secret_to_itself_does_not_hold_up_a_cancellation() {
    let tenant = quiet();
    let folder = support::folder(&["probe"]);
    let value = format!("value = \"{}\"", support::BASE_SECRET);
    let profile = support::profile(&tenant, "remediation = \"same\"").replace(&value, "command = [\"sleep\", \"15\"]");
    let host = support::host_of(&profile, folder.path(), Limits::default());
    let action = host.load("probe").unwrap();
    let started = Instant::now();
    let finished = runtime().block_on(host.run(Run {
        timeout: Some(Duration::from_millis(100)),
        ..Run::new(action, json!({"do": [{"request": {"head": {"call": "list"}}}]}))
    }));
    assert!(started.elapsed() < Duration::from_secs(4));
    assert!(!finished.stuck);
    assert_eq!(failure(finished).kind, "timeout");
    assert!(tenant.seen().is_empty());
}

/// Why a run was ended from outside, as what it fails then.
fn ended_by(steps: &Value, interrupted: bool) -> Failure {
    let tenant = quiet();
    let (host, action) = host(&tenant);
    let cancel = CancellationToken::new();
    let trigger = cancel.clone();
    let timeout = (!interrupted).then_some(Duration::from_millis(50));
    let finished = runtime().block_on(async {
        let run = host.run(Run { cancel, timeout, ..Run::new(action, json!({"do": steps})) });
        let (finished, ()) = tokio::join!(run, async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            if interrupted {
                trigger.cancel();
            }
        });
        finished
    });
    failure(finished)
}

#[test]
fn a_run_that_is_ended_keeps_what_its_action_knew() {
    let told = json!({"kind": "cancelled", "message": "stopped", "done": ["machine action 7 was started"],
                      "hint": "ask for it again"});
    let steps = json!([{"sleepOr": {"milliseconds": 60_000, "fail": told}}]);
    for (interrupted, kind, code) in [(true, "cancelled", 130), (false, "timeout", 75)] {
        let failure = ended_by(&steps, interrupted);
        assert_eq!((failure.kind.as_ref(), failure.exit_code()), (kind, code));
        assert_eq!(failure.done, ["machine action 7 was started"]);
        assert_eq!(failure.hint.as_deref(), Some("ask for it again"));
    }
    let silent = json!([{"sleepOr": {"milliseconds": 60_000, "fail": {"kind": "cancelled"}}}]);
    let failure = ended_by(&silent, false);
    assert!(failure.hint.as_deref().unwrap().contains("--timeout"), "the host's own hint: {failure}");
    assert!(failure.done.is_empty());
}

#[test]
fn writes_that_may_have_been_done_matter_more_than_why_the_run_ended() {
    for (kind, code) in [("unknown_outcome", 1), ("partial", 1)] {
        let told = json!({"kind": kind, "message": "the answer was lost", "done": ["status changed"]});
        let steps = json!([{"sleepOr": {"milliseconds": 60_000, "fail": told}}]);
        for interrupted in [true, false] {
            let failure = ended_by(&steps, interrupted);
            assert_eq!((failure.kind.as_ref(), failure.exit_code(), failure.retryable), (kind, code, false));
            assert_eq!((failure.message.as_str(), failure.done.len()), ("the answer was lost", 1));
        }
    }
}

#[test]
fn a_reader_that_went_away_does_not_hide_what_was_written() {
    struct Gone;
    impl RecordSink for Gone {
        fn record(&mut self, _: &str) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
    let tenant = quiet();
    let (host, action) = host(&tenant);
    for (told, kind) in [("unknown_outcome", "unknown_outcome"), ("cancelled", "cancelled"), ("failed", "cancelled")] {
        let steps = json!([{"emitOr": {"fail": {"kind": told, "done": ["status changed"]}}}]);
        let run = Run { records: Box::new(Gone), ..Run::new(Arc::clone(&action), json!({"do": steps})) };
        let failure = failure(runtime().block_on(host.run(run)));
        assert_eq!((failure.kind.as_ref(), failure.done.len()), (kind, 1), "{told}");
    }
}

#[test]
fn a_write_that_the_end_of_the_run_kept_from_being_sent_is_told_as_not_sent() {
    let tenant = quiet();
    let (host, action) = host(&tenant);
    let write = json!({"call": "update", "path": {"incidentId": "1"}});
    let read = json!({"call": "list"});
    for (step, told) in [
        (json!({"request": {"head": write, "body": "{}"}}), true),
        (json!({"many": [read, write]}), true),
        (json!({"request": {"head": read}}), false),
        (json!({"many": [read, read]}), false),
    ] {
        // The deadline passes while the action keeps its thread to itself.
        let steps = json!([{"hang": 100}, step]);
        let finished = runtime().block_on(host.run(Run {
            timeout: Some(Duration::from_millis(20)),
            ..Run::new(Arc::clone(&action), json!({"do": steps}))
        }));
        if !told {
            assert_eq!(failure(finished).kind, "timeout", "{step}");
            continue;
        }
        let answer = answers(&finished).remove(1);
        let heads: Vec<&Value> = match answer.as_array() {
            Some(many) => many.iter().map(|one| &one["head"]).collect(),
            None => vec![&answer["head"]],
        };
        for head in heads {
            assert_eq!((&head["outcome"], &head["error"]["kind"]), (&json!("not_sent"), &json!("cancelled")), "{step}");
        }
    }
    assert!(tenant.seen().is_empty());
}

#[test]
fn a_write_that_was_cut_off_is_told_as_in_doubt() {
    let cancel = CancellationToken::new();
    let trigger = cancel.clone();
    let (release, told) = std::sync::mpsc::channel::<()>();
    let told = Mutex::new(told);
    // The service has the request, and the run is cancelled before the answer comes.
    let tenant = Tenant::new(move |_| {
        trigger.cancel();
        let _ = told.lock().unwrap().recv();
        Reply::json(200, &json!({}))
    });
    let (host, action) = host(&tenant);
    let steps = json!([{"request": {"head": {"call": "update", "path": {"incidentId": "1"}}, "body": "{}"}}]);
    let finished = runtime().block_on(host.run(Run { cancel, ..Run::new(action, json!({"do": steps})) }));
    drop(release);
    let told = answers(&finished).remove(0);
    assert_eq!(told["head"]["outcome"], "in_doubt", "{told}");
    assert_eq!(told["head"]["error"]["kind"], "unknown_outcome", "{told}");
    assert_eq!(told["head"]["error"]["retryable"], false, "{told}");
    assert!(told["head"]["error"]["message"].as_str().unwrap().contains("update"), "{told}");
}

#[test]
fn an_action_that_hangs_is_given_up_and_not_started_again() {
    let tenant = quiet();
    let (host, action) = host_with(&tenant, Limits { grace: Duration::from_millis(50), ..Limits::default() });
    let hang =
        |timeout| Run { timeout: Some(timeout), ..Run::new(Arc::clone(&action), json!({"do": [{"hang": 6_000}]})) };
    let started = Instant::now();
    let finished = runtime().block_on(host.run(hang(Duration::from_millis(50))));
    assert!(started.elapsed() < Duration::from_secs(4));
    assert!(finished.stuck);
    assert_eq!(failure(finished).kind, "hung");
    let next = run(&host, &action, json!([]));
    assert!(!next.stuck);
    assert_eq!(failure(next).kind, "hung");
}

#[test]
fn a_slow_reader_is_not_the_actions_fault() {
    /// Takes a record when it is told to, which is after the run was given up.
    struct Slow(std::sync::mpsc::Receiver<()>);
    impl RecordSink for Slow {
        fn record(&mut self, _: &str) -> io::Result<()> {
            let _ = self.0.recv();
            Ok(())
        }
    }
    let tenant = quiet();
    let (host, action) = host_with(&tenant, Limits { grace: Duration::from_millis(50), ..Limits::default() });
    let (release, told) = std::sync::mpsc::channel();
    let finished = runtime().block_on(host.run(Run {
        records: Box::new(Slow(told)),
        timeout: Some(Duration::from_secs(1)),
        ..Run::new(action, json!({"do": [{"emit": "{}"}]}))
    }));
    drop(release);
    assert!(finished.stuck);
    assert_eq!(failure(finished).kind, "timeout");
}

#[test]
fn replies_that_are_not_one_object_are_named() {
    let tenant = quiet();
    let (host, action) = host_with(&tenant, Limits { reply_bytes: 1_000, ..Limits::default() });
    for (step, part) in [
        (json!({"reply": {"text": ""}}), "nothing"),
        (json!({"reply": {"text": "[]"}}), "no object"),
        (json!({"reply": {"text": "{} {}"}}), "one JSON document"),
        (json!({"reply": {"text": "{"}}), "one JSON document"),
        (json!({"reply": {"bytes": [123, 255, 125]}}), "UTF-8"),
        (json!({"reply": {"text": "{\"a\":\"xxxxxxxxxxxxxxxx\"}", "times": 100}}), "1000 bytes"),
        (json!({"status": 2}), "without an error"),
        (json!({"status": 77}), "77"),
        (json!({"status": -1}), "-1"),
    ] {
        let failure = failure(run(&host, &action, json!([step])));
        assert_eq!(failure.kind, "bad_reply", "{step}: {failure}");
        assert!(failure.message.contains(part), "{step}: {failure}");
    }
    let fine = run(&host, &action, json!([{"reply": {"text": " {\"a\": 1} "}}]));
    assert_eq!(fine.outcome.unwrap(), " {\"a\": 1} ");
}

#[test]
fn a_crash_is_survived_and_an_error_is_passed_on() {
    let tenant = quiet();
    let (host, action) = host(&tenant);
    assert_eq!(failure(run(&host, &action, json!([{"panic": "x"}]))).kind, "panic");
    let told = json!({"kind": "partial", "message": "status changed, comment failed", "done": ["status changed"],
                      "retryAfterSeconds": 3});
    let failure = failure(run(&host, &action, json!([{"fail": told}])));
    assert_eq!((failure.kind.as_ref(), failure.done.as_slice()), ("partial", &["status changed".to_owned()][..]));
    assert_eq!(failure.retry_after, Some(Duration::from_secs(3)));
    assert!(run(&host, &action, json!([])).outcome.is_ok(), "the host goes on");
}

#[test]
fn a_refused_input_is_completed_by_its_schema() {
    let tenant = quiet();
    let (host, action) = host(&tenant);
    let input = json!({"level": 10, "levle": 1, "wait": "10m"});
    let finished = runtime().block_on(host.run(Run::new(Arc::clone(&action), input.clone())));
    let failure = failure(finished);
    assert_eq!(failure.exit_code(), 65);
    let pointers: Vec<&str> = failure.violations.iter().map(|violation| violation.pointer.as_str()).collect();
    assert_eq!(pointers, ["/do", "/level", "/levle", "/wait"], "the schema's three, and what only the action knows");
    assert_eq!(failure.violations[3].message, "is more than this probe waits");
    assert_eq!(action.violations(&input).unwrap().len(), 3);
    assert!(tenant.seen().is_empty());
}

#[test]
fn progress_reaches_whoever_looks_without_control_characters() {
    let tenant = quiet();
    let (host, action) = host(&tenant);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    let steps = json!([{"progress": "1 of\u{1b}[2J 2"}, {"log": {"message": "x", "fields": "{}"}}]);
    let finished = runtime().block_on(host.run(Run {
        progress: Some(Box::new(move |line: &str| ear.lock().unwrap().push(line.to_owned()))),
        ..Run::new(action, json!({"do": steps}))
    }));
    assert_eq!(*heard.lock().unwrap(), ["1 of [2J 2"]);
    let now = answers(&finished)[0].as_i64().unwrap();
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    assert!((clock - now).abs() < 60_000);
}

#[test]
fn runs_go_on_at_once_up_to_the_caps_and_no_further() {
    let tenant = quiet();
    let (host, action) = host_with(&tenant, Limits { runs: 2, ..Limits::default() });
    let one = |timeout: u64| {
        host.run(Run {
            timeout: Some(Duration::from_millis(timeout)),
            ..Run::new(Arc::clone(&action), json!({"do": [{"sleep": 300}]}))
        })
    };
    let started = Instant::now();
    let (first, second, third) = runtime().block_on(async { tokio::join!(one(5_000), one(5_000), one(5_000)) });
    assert!(first.outcome.is_ok() && second.outcome.is_ok() && third.outcome.is_ok());
    assert!(started.elapsed() >= Duration::from_millis(600), "two at once, the third after them");

    let (first, second, third) = runtime().block_on(async { tokio::join!(one(5_000), one(5_000), one(50)) });
    assert!(first.outcome.is_ok() && second.outcome.is_ok());
    let late = failure(third);
    assert_eq!(late.kind, "timeout");
    assert!(late.message.contains("places"), "{late}");
}

#[test]
fn a_surface_that_the_action_does_not_know_is_refused() {
    use sortie_host::config::{ConfigText, Environment, Overrides, resolve};
    let folder = support::folder(&["probe"]);
    let overrides = Overrides {
        incidents_api: Some("defender-xdr".into()),
        actions_dir: Some(folder.path().into()),
        config_text: Some(ConfigText { name: "test".into(), text: String::new() }),
        ..Overrides::default()
    };
    let host = sortie_host::Host::new(resolve(&overrides, &Environment::empty()).unwrap().profile);
    let action = host.load("probe").unwrap();
    let failure = failure(run(&host, &action, json!([])));
    assert_eq!(failure.kind, "configuration");
    assert!(failure.hint.as_deref().unwrap().contains("graph"), "{failure}");
}

#[test]
fn the_same_host_works_on_a_runtime_with_many_threads() {
    let tenant = quiet();
    let (host, action) = host(&tenant);
    let steps =
        json!([{"request": {"head": {"call": "list"}}}, {"sleep": 1}, {"many": [{"call": "list"}, {"call": "list"}]}]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let finished = runtime.block_on(host.run(Run::new(action, json!({"do": steps}))));
    let told: Vec<Value> = answers(&finished);
    assert_eq!(told[2].as_array().unwrap().len(), 2);
    assert_eq!(tenant.calls().len(), 3);
}
