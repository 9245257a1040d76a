//! What can go wrong with the store and the disk: nothing is lost, health says what is wrong, and what can go away is
//! recovered from without a restart.
#![cfg(unix)]
#![allow(clippy::print_stdout, reason = "the seed of a run, and what was skipped, are told")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world is not as it should be")]

use rusqlite::Connection;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use sortie_sandbox::Config;
use sortie_tests::World;
use sortie_tests::daemon::{Driver, Running, Setup, add, empty, id_of};
use sortie_tests::receiver::Receiver;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A tenant of so many incidents.
fn tenant(count: u64) -> (World, Vec<u64>) {
    let world = empty();
    let control = world.sandbox.control();
    let ids = (0..count).map(|number| add(&control, 90 * (count - number))).collect();
    (world, ids)
}

/// The daemon, whose files cannot grow beyond so many bytes: what a full disk is to it, for anybody who runs this test. (The signal
/// that comes with it is passed over, so that the write fails and nothing else.)
fn start_bounded(driver: &Driver<'_>, kilobytes: u64) -> Running {
    let plain = driver.command(&[]);
    let mut command = Command::new("/bin/bash");
    command.args(["-c", &format!("trap '' XFSZ; ulimit -S -f {kilobytes}; exec \"$0\" \"$@\"")]);
    command.arg(plain.get_program()).args(plain.get_args()).env_clear();
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.current_dir(plain.get_current_dir().unwrap());
    driver.start_with(command)
}

/// The disk has room again.
fn unbound(running: &Running) {
    let pid = Pid::from_raw(i32::try_from(running.pid()).unwrap());
    prlimit(pid, Resource::Fsize, Rlimit { current: None, maximum: None }).unwrap();
}

/// Case 18. The store cannot grow: the cursor stands still, health says so, and all goes on by itself when there is room.
#[test]
fn a_disk_that_is_full_for_the_store() {
    let (world, mut ids) = tenant(5);
    let control = world.sandbox.control();
    let hook = Receiver::new();
    let driver = Driver::new(&world, Setup { file: false, listen: true, hook: Some(hook.url()), ..Setup::default() });
    let mut running = start_bounded(&driver, 1_024);
    driver.until("delivery of what found room", || hook.taken().len() == 5);
    ids.extend((0..200).map(|_| add(&control, 0)));
    driver.until("not ready", || driver.ready().is_some_and(|(status, _)| status == 503));
    driver.until_requests(3);
    assert!(running.runs(), "{}", driver.log());
    unbound(&running);
    driver.until("delivery of the rest", || hook.taken().len() >= ids.len());
    driver.until("ready", || driver.ready().is_some_and(|(status, _)| status == 200));
    let mut taken: Vec<u64> = hook.taken().iter().map(id_of).collect();
    taken.sort_unstable();
    assert_eq!(taken, ids);
}

/// Case 18. The file sink cannot grow: what was written in part is taken back, and each line is written once.
#[test]
fn a_disk_that_is_full_for_the_file_sink() {
    let (world, ids) = tenant(60);
    // The store has more room than the file: it lies on another disk, so to speak.
    let driver = Driver::new(&world, Setup { listen: true, ..Setup::default().raw("outbox_records", "20") });
    let mut running = start_bounded(&driver, 700);
    driver.until("not ready, or a word about the sink", || {
        driver.ready().is_some_and(|(status, body)| status == 503 || body.contains("file"))
    });
    assert!(running.runs(), "{}", driver.log());
    assert!(driver.lines().len() < ids.len());
    unbound(&running);
    driver.assert_each_once(&ids);
}

/// Case 18. A file system that is really full, where this test may mount one.
#[test]
fn a_file_system_without_room() {
    let (world, mut ids) = tenant(5);
    let control = world.sandbox.control();
    let disk = world.folder().join("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
        .arg(&disk)
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        println!("skipped: no file system can be mounted here");
        return;
    }
    let _unmount = Unmount(&disk);
    let state = disk.join("state");
    let setup = Setup { listen: true, ..Setup::default().set("state_dir", state.to_str().unwrap()) };
    let driver = Driver::new(&world, setup);
    let mut running = driver.start();
    driver.assert_each_once(&ids);
    // Somebody else fills the disk.
    let _ = fs::write(disk.join("ballast"), vec![7; 4 << 20]);
    ids.extend((0..100).map(|_| add(&control, 0)));
    driver.until("not ready", || driver.ready().is_some_and(|(status, _)| status == 503));
    driver.until_requests(3);
    assert!(running.runs(), "{}", driver.log());
    fs::remove_file(disk.join("ballast")).unwrap();
    Command::new("mount").args(["-o", "remount,size=64m"]).arg(&disk).status().unwrap();
    driver.assert_each_once(&ids);
    driver.until("ready", || driver.ready().is_some_and(|(status, _)| status == 200));
    // A file system that becomes read-only, and writable again.
    let remount = |how: &str| Command::new("mount").args(["-o", how]).arg(&disk).stderr(Stdio::null()).status();
    if remount("remount,ro").is_ok_and(|status| status.success()) {
        ids.push(add(&control, 0));
        driver.until("not ready", || driver.ready().is_some_and(|(status, _)| status == 503));
        remount("remount,rw").unwrap();
        driver.assert_each_once(&ids);
    } else {
        println!("skipped: the file system cannot be made read-only while it is in use");
    }
    assert!(running.stop().0.success());
}

struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// Case 18. A store that may not be written is refused at the start, with a remedy, and left as it is.
#[test]
fn a_store_that_may_not_be_written() {
    const NOBODY: u32 = 65_534;
    let (world, ids) = tenant(5);
    let driver = Driver::new(&world, Setup::default());
    let running = driver.start();
    driver.assert_each_once(&ids);
    assert!(running.stop().0.success());
    let root = rustix::process::getuid().is_root();
    if root {
        give_away(world.folder(), NOBODY);
    }
    let mode = |mode| {
        for entry in fs::read_dir(driver.state()).unwrap().flatten() {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::set_permissions(driver.state(), fs::Permissions::from_mode(mode | (mode & 0o400) >> 2)).unwrap();
    };
    let as_other = |arguments: &[&str]| {
        let mut command = driver.command(arguments);
        if root {
            // Root may write everything.
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output()
    };
    if !as_other(&["--help"]).is_ok_and(|output| output.status.success()) {
        println!("skipped: the binary cannot be run as another user here");
        return;
    }
    mode(0o400);
    let output = as_other(&["--once"]).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(74), "{said}");
    assert!(said.contains("store_unusable"), "{said}");
    mode(0o600);
    fs::set_permissions(driver.state(), fs::Permissions::from_mode(0o700)).unwrap();
    let output = as_other(&["--once"]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut delivered = driver.ids();
    delivered.sort_unstable();
    assert_eq!(delivered, ids);
}

fn give_away(path: &Path, owner: u32) {
    chown(path, Some(owner), Some(owner)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap().flatten() {
            give_away(&entry.path(), owner);
        }
    }
}

/// The stores that must be refused: exit code 74, the kind, a remedy; and not one byte is changed.
fn refused(driver: &Driver<'_>, what: &str) {
    let before = fs::read(driver.store()).unwrap();
    let output = driver.once(&[]);
    assert_eq!(output.code, 74, "{what}: {}", output.stderr);
    assert!(output.stderr.contains("store_unusable"), "{what}: {}", output.stderr);
    assert_eq!(output.stdout, "");
    assert!(fs::read(driver.store()).unwrap() == before, "{what}: the store was changed");
}

/// Case 27. Stores of a newer version, of another tenant, and files that are no store.
#[test]
fn stores_that_are_not_ours_to_use() {
    let (world, ids) = tenant(5);
    let driver = Driver::new(&world, Setup::default());
    let running = driver.start();
    driver.assert_each_once(&ids);
    assert!(running.stop().0.success());
    let good = fs::read(driver.store()).unwrap();
    Connection::open(driver.store()).unwrap().pragma_update(None, "user_version", 9_999).unwrap();
    refused(&driver, "a newer store");
    fs::write(driver.store(), b"[profile]\nthis is no store at all\n").unwrap();
    refused(&driver, "another file");
    fs::write(driver.store(), &good[..good.len() / 2]).unwrap();
    refused(&driver, "half a store");
    // Another tenant's.
    let other = World::new(Config {
        tenant_id: "77777777-0000-4000-8000-000000000007".into(),
        incidents: 3,
        ..Config::default()
    });
    let stranger = Driver::new(&other, Setup::default());
    fs::create_dir(stranger.state()).unwrap();
    fs::set_permissions(stranger.state(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(stranger.store(), &good).unwrap();
    fs::set_permissions(stranger.store(), fs::Permissions::from_mode(0o600)).unwrap();
    refused(&stranger, "another tenant's store");
    // The good one is as good as before.
    fs::write(driver.store(), &good).unwrap();
    let _running = driver.start();
    driver.assert_each_once(&ids);
}

/// Case 27. One flipped byte anywhere: refused or read on, but never begun anew in silence, and what waited is not lost.
#[test]
fn a_store_with_a_flipped_byte() {
    let (world, mut ids) = tenant(12);
    let control = world.sandbox.control();
    let driver = Driver::new(&world, Setup::default());
    let running = driver.start();
    driver.assert_each_once(&ids);
    assert!(running.stop().0.success());
    ids.push(add(&control, 0));
    let (good, sink) = (fs::read(driver.store()).unwrap(), fs::read(driver.sink()).unwrap());
    let mut outcomes = (0, 0);
    for number in 0..48 {
        // The header byte by byte, then all over the file.
        let place = if number < 16 { number * 6 } else { good.len() * (number - 16) / 32 };
        let mut bad = good.clone();
        bad[place] ^= 0x55;
        for side in ["-wal", "-shm"] {
            let _ = fs::remove_file(driver.state().join(format!("test.db{side}")));
        }
        fs::write(driver.store(), &bad).unwrap();
        fs::write(driver.sink(), &sink).unwrap();
        let output = driver.once(&[]);
        match output.code {
            0 => {
                outcomes.0 += 1;
                let delivered: BTreeSet<u64> = driver.ids().into_iter().collect();
                assert_eq!(delivered, ids.iter().copied().collect(), "byte {place}");
                let created: Vec<u64> =
                    driver.records().iter().filter(|record| record["type"] == "incident.created").map(id_of).collect();
                assert!(created.len() <= ids.len() + 1, "byte {place}: it began anew: {created:?}");
            }
            74 => {
                outcomes.1 += 1;
                assert!(output.stderr.contains("store_unusable"), "byte {place}: {}", output.stderr);
                assert!(fs::read(driver.sink()).unwrap() == sink, "byte {place}");
            }
            code => panic!("byte {place}: exit code {code}: {}", output.stderr),
        }
    }
    println!("read on {}, refused {}", outcomes.0, outcomes.1);
    assert!(outcomes.1 > 0);
}

/// Case 20. A second daemon is refused at once, also while the first one is stopped; when the first one dies, the next one goes on.
#[test]
fn two_daemons_on_one_store() {
    let (world, mut ids) = tenant(10);
    let control = world.sandbox.control();
    let driver = Driver::new(&world, Setup::default());
    let first = driver.start();
    driver.assert_each_once(&ids);
    let refused = || {
        let output = driver.once(&[]);
        assert_eq!(output.code, 75, "{}", output.stderr);
        assert!(output.stderr.contains("store_in_use"), "{}", output.stderr);
    };
    refused();
    first.signal(Signal::STOP);
    ids.push(add(&control, 0));
    refused();
    first.signal(Signal::CONT);
    driver.assert_each_once(&ids);
    first.signal(Signal::STOP);
    first.kill();
    ids.push(add(&control, 0));
    let _second = driver.start();
    driver.assert_each_once(&ids);
}

/// Case 20. Should the lock itself be taken away, the daemon that slept finds itself replaced, and ends without a write.
#[test]
fn a_daemon_that_slept_while_another_took_over() {
    let (world, mut ids) = tenant(10);
    let control = world.sandbox.control();
    let hook = Receiver::new();
    let driver = Driver::new(&world, Setup { file: false, hook: Some(hook.url()), ..Setup::default() });
    let each_once = |ids: &[u64]| {
        driver.until("delivery", || hook.taken().len() >= ids.len());
        driver.until_requests(4);
        let mut taken: Vec<u64> = hook.taken().iter().map(id_of).collect();
        taken.sort_unstable();
        assert_eq!(taken, ids);
    };
    let mut first = driver.start();
    each_once(&ids);
    first.signal(Signal::STOP);
    for entry in fs::read_dir(driver.state()).unwrap().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "lock") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let _second = driver.start();
    ids.push(add(&control, 0));
    each_once(&ids);
    first.signal(Signal::CONT);
    ids.push(add(&control, 0));
    assert_eq!(first.wait().code(), Some(75), "{}", driver.log());
    each_once(&ids);
}

/// Case 26. A daemon that dies twenty times as it begins keeps its state, and asks the service for no more than one poll each time.
#[test]
fn a_crash_loop() {
    let (world, ids) = tenant(30);
    let control = world.sandbox.control();
    let driver = Driver::new(&world, Setup::default());
    for _ in 0..20 {
        let mut command = driver.command(&[]);
        command.env("SORTIE_ABORT_AT", "decided:1");
        assert!(!driver.start_with(command).wait().success());
    }
    assert!(control.request_count(None) <= 20 * 3, "{} requests", control.request_count(None));
    let _running = driver.start();
    driver.assert_each_once(&ids);
}

/// Whatever the umask, nobody else can read the state or the records.
#[test]
fn files_are_their_owners_alone_under_any_umask() {
    let (world, ids) = tenant(5);
    let driver = Driver::new(&world, Setup::default());
    fs::remove_dir(driver.sink().parent().unwrap()).unwrap();
    fs::create_dir(driver.sink().parent().unwrap()).unwrap();
    let plain = driver.command(&[]);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(plain.get_program()).args(plain.get_args()).env_clear();
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let _running = driver.start_with(command);
    driver.assert_each_once(&ids);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&driver.state()), 0o700);
    let mut seen = 0;
    for entry in fs::read_dir(driver.state()).unwrap().flatten() {
        assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
        seen += 1;
    }
    assert!(seen >= 2, "store and lock");
    assert_eq!(mode(&driver.sink()), 0o600);
}

/// Each commit is one synchronisation with the disk, shown by the system calls, where they can be counted.
#[test]
fn commits_are_synchronised() {
    let (world, ids) = tenant(20);
    let driver = Driver::new(&world, Setup::default());
    let plain = driver.command(&["--once"]);
    let trace = world.folder().join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "-o"]).arg(&trace);
    command.arg(plain.get_program()).args(plain.get_args()).env_clear();
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let Ok(output) = command.output() else {
        println!("skipped: system calls cannot be counted here");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(driver.ids().len(), ids.len());
    let calls = fs::read_to_string(&trace).unwrap();
    assert!(calls.matches("sync(").count() >= 3, "{calls}");
}
