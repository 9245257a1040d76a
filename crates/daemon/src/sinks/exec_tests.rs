use super::super::lanes;
use super::super::testing::Rig;
use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tempfile::TempDir;

/// A command made of a shell script; scripts are only what tests run.
struct Script {
    folder: TempDir,
    settings: ExecSettings,
}

impl Script {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script");
        write(&path, text);
        let command = vec!["/bin/sh".to_owned(), path.display().to_string(), folder.path().display().to_string()];
        let settings =
            ExecSettings { command, pass_environment: Vec::new(), timeout: Duration::from_secs(20), concurrency: 2 };
        Self { folder, settings }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn run(&self) -> Outcome {
        let record = Queued {
            sequence: 1,
            id: "29".to_owned(),
            key: "t/29/f".to_owned(),
            kind: "incident.created".to_owned(),
            // More than a pipe holds.
            record: format!(r#"{{"x":"{}"}}"#, "y".repeat(200_000)),
        };
        let environment = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("LC_TIME", "C"),
            ("PASSED", "on"),
            ("AZURE_CLIENT_SECRET", "canary"),
        ];
        let environment = environment.map(|(name, value)| (name.into(), value.into()));
        Exec::with(&self.settings, environment.into_iter()).unwrap().carry(&record, &CancellationToken::new()).await
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test]
async fn the_record_comes_on_stdin_with_a_clean_environment() {
    let mut script = Script::new("cat > $1/stdin\nenv > $1/env\necho noise\necho $0 $# > $1/args\n");
    script.settings.pass_environment = vec!["PASSED".to_owned()];
    assert_eq!(script.run().await, Outcome::Taken);
    let stdin = fs::read_to_string(script.at("stdin")).unwrap();
    assert_eq!(stdin.len(), 200_000 + 9);
    assert!(stdin.ends_with("y\"}\n"));
    let environment = fs::read_to_string(script.at("env")).unwrap();
    assert!(environment.contains("SORTIE_EVENT_TYPE=incident.created\n"), "{environment}");
    assert!(environment.contains("SORTIE_IDEMPOTENCY_KEY=t/29/f\n"), "{environment}");
    assert!(environment.contains("PATH=/"), "{environment}");
    assert!(environment.contains("LC_TIME=C\n") && environment.contains("PASSED=on\n"), "{environment}");
    assert!(!environment.contains("canary"), "what nobody named is not passed on: {environment}");
}

#[tokio::test]
async fn each_exit_means_what_the_table_says() {
    for text in ["exit 75", "echo wait >&2; exit 75", "kill -TERM $$", "kill -KILL $$"] {
        assert!(matches!(Script::new(text).run().await, Outcome::Again { .. }), "{text}");
    }
    for (text, wanted) in [
        ("exit 1", "/bin/sh ended with 1"),
        (
            "echo one >&2; echo >&2; printf 'two\\033[31m\\nthree' >&2; exit 9",
            "/bin/sh ended with 9: one; two [31m; three",
        ),
        ("kill -SEGV $$", "/bin/sh was ended by signal 11"),
    ] {
        match Script::new(text).run().await {
            Outcome::Refused { reason } => assert_eq!(reason, wanted, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    match Script::new("i=0; while [ $i -lt 2000 ]; do echo line$i >&2; i=$((i+1)); done; exit 1").run().await {
        Outcome::Refused { reason } => assert_eq!(reason, "/bin/sh ended with 1: line1997; line1998; line1999"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_command_that_reads_nothing_or_leaves_something_running_is_not_waited_for() {
    let began = Instant::now();
    assert_eq!(Script::new("exit 0").run().await, Outcome::Taken);
    assert_eq!(Script::new("exec 0<&-; sleep 0.1; exit 0").run().await, Outcome::Taken);
    let leaves = Script::new("sleep 30 & echo failed >&2; exit 3");
    assert!(matches!(leaves.run().await, Outcome::Refused { reason } if reason.ends_with(": failed")));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn at_the_deadline_the_whole_group_is_killed() {
    let mut script = Script::new("echo $$ > $1/leader; sleep 600 & echo $! > $1/member; wait");
    script.settings.timeout = Duration::from_millis(1_500);
    match script.run().await {
        Outcome::Again { reason, .. } => assert!(reason.contains("did not end within 1.5 s"), "{reason}"),
        other => panic!("{other:?}"),
    }
    gone(&script).await;
}

/// Waits until neither process runs.
async fn gone(script: &Script) {
    for name in ["leader", "member"] {
        let pid = fs::read_to_string(script.at(name)).unwrap().trim().to_owned();
        let runs = || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // A zombie has ended.
            !stat.is_empty() && !stat.contains(") Z ")
        };
        while runs() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn stopping_kills_what_does_not_end_and_keeps_its_record() {
    let script = Script::new("echo $$ > $1/leader; sleep 600 & echo $! > $1/member; wait");
    let rig = Rig::new();
    rig.store.fill(1);
    let courier = tokio::spawn(lanes::run(rig.desk(), Exec::open(&script.settings).unwrap()));
    while !fs::read_to_string(script.at("member")).is_ok_and(|text| text.ends_with('\n')) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let began = Instant::now();
    rig.shared.stop.cancel();
    courier.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(rig.store.lock().waiting.len(), 1);
    gone(&script).await;
}

/// A command that cleans up when it is asked to end, and says then that all is well.
const CLEANS_UP: &str =
    "echo $$ > $1/leader; trap 'echo bye > $1/bye; exit 0' TERM; sleep 600 & echo $! > $1/member; wait";

#[tokio::test]
async fn at_the_deadline_a_command_may_clean_up_and_its_exit_is_no_answer() {
    let mut script = Script::new(CLEANS_UP);
    script.settings.timeout = Duration::from_millis(1_500);
    assert!(matches!(script.run().await, Outcome::Again { .. }));
    assert_eq!(fs::read_to_string(script.at("bye")).unwrap(), "bye\n");
    gone(&script).await;
}

#[tokio::test]
async fn what_ignores_the_request_to_end_is_killed() {
    let mut script = Script::new("echo $$ > $1/leader; trap '' TERM; sleep 600 & echo $! > $1/member; wait");
    script.settings.timeout = Duration::from_millis(500);
    let began = Instant::now();
    assert!(matches!(script.run().await, Outcome::Again { .. }));
    assert!(began.elapsed() >= Duration::from_millis(2_500));
    gone(&script).await;
}

#[tokio::test]
async fn stopping_lets_a_command_end_by_itself_or_clean_up() {
    for (text, delivered) in [(CLEANS_UP, 0), ("echo $$ > $1/leader; echo $$ > $1/member; sleep 0.3; exit 0", 1)] {
        let script = Script::new(text);
        let rig = Rig::new();
        rig.store.fill(1);
        let courier = tokio::spawn(lanes::run(rig.desk(), Exec::open(&script.settings).unwrap()));
        while !fs::read_to_string(script.at("member")).is_ok_and(|text| text.ends_with('\n')) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let began = Instant::now();
        rig.shared.stop.cancel();
        courier.await.unwrap().unwrap();
        assert!(began.elapsed() < Duration::from_secs(3));
        assert_eq!(rig.store.lock().delivered.len(), delivered, "{text}");
        assert_eq!(script.at("bye").exists(), delivered == 0, "{text}");
        gone(&script).await;
    }
}

#[tokio::test]
async fn a_command_that_cannot_be_started_is_tried_again_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("playbook");
    let settings = ExecSettings {
        command: vec![path.display().to_string()],
        pass_environment: Vec::new(),
        timeout: Duration::from_secs(20),
        concurrency: 1,
    };
    let rig = Rig::new();
    rig.store.fill(2);
    let courier = tokio::spawn(lanes::run(rig.desk(), Exec::open(&settings).unwrap()));
    rig.until_status(|status| status.error.as_deref().is_some_and(|error| error.contains("cannot be started"))).await;
    // Written under another name: a file that is still open for writing cannot be started either.
    let draft = folder.path().join("draft");
    write(&draft, "#!/bin/sh\ncat >/dev/null\n");
    fs::rename(draft, path).unwrap();
    rig.until(|store| store.waiting.is_empty()).await;
    rig.shared.stop.cancel();
    courier.await.unwrap().unwrap();
}

#[test]
fn a_command_without_a_program_is_refused() {
    for command in [vec![], vec![String::new()], vec!["a\0b".to_owned()]] {
        let settings =
            ExecSettings { command, pass_environment: Vec::new(), timeout: Duration::from_secs(1), concurrency: 1 };
        assert_eq!(Exec::open(&settings).map(drop).unwrap_err().exit_code(), 78);
    }
}
