//! The daemon: how fast it takes in, what it costs at rest, and what it holds in memory.

use crate::measure::{pairs, say};
use crate::pages::pages;
use crate::tenant::Tenant;
use anyhow::{Context, Result, ensure};
use sortie_store::{Batch, Handled, Latest, Seen, SqliteStore, Store, Version};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// As far back as an action looks.
const LOOK_BACK: &str = "366 days";

/// A `sortie daemon` of a tenant, with a folder of its own.
fn daemon(tenant: &Tenant, folder: &Path, arguments: &[&str]) -> Command {
    let sink = format!("file:{}", folder.join("incidents.jsonl").display());
    let mut command = tenant.sortie(&["daemon", "--sink", &sink, "--state-dir"]);
    command.arg(folder.join("state")).args(arguments);
    command
}

/// Folders that do not exist yet, one after the other.
fn folders(tenant: &Tenant, name: &str) -> impl FnMut() -> PathBuf {
    let base = tenant.folder().join(name);
    let mut number = 0;
    move || {
        number += 1;
        let folder = base.join(number.to_string());
        // Whatever is wrong with it, the daemon will say.
        let _ = fs::create_dir_all(&folder);
        folder
    }
}

/// From the service to committed and delivered to a file, beside a curl that fetches the same pages and syncs each of them.
pub(crate) fn ingest(binary: &Path, incidents: usize, count: usize) -> Result<()> {
    let tenant = Tenant::start(binary, incidents, false)?;
    let fetched = tenant.folder().join("fetched");
    fs::create_dir_all(&fetched)?;
    let pages = pages(&tenant, |number| fetched.join(number.to_string()))?;
    let mut folder = folders(&tenant, "ingest");
    pairs(
        &format!("daemon: {incidents} incidents with alerts, committed and delivered to a file"),
        count,
        || daemon(&tenant, &folder(), &["--once", "--look-back", LOOK_BACK]),
        "curl, sync",
        || {
            let mut script = tenant.shell("curl --config \"$1\" && sync \"$2\"/*");
            script.arg(&pages).arg(&fetched);
            script
        },
    )?;
    let delivered = fs::read_to_string(tenant.folder().join("ingest/1/incidents.jsonl"))?.lines().count();
    ensure!(delivered == incidents, "{delivered} of {incidents} incidents were delivered");
    let mut folder = folders(&tenant, "rate");
    let begun = Instant::now();
    ensure!(daemon(&tenant, &folder(), &["--once", "--look-back", LOOK_BACK]).status()?.success(), "the daemon failed");
    say(&format!("{:.0} incidents a second, from start to end", incidents as f64 / begun.elapsed().as_secs_f64()));
    Ok(())
}

/// What one commit costs in syncs, by the system calls.
pub(crate) fn syncs(binary: &Path) -> Result<()> {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        say("\nsyncs: not counted, for there is no strace");
        return Ok(());
    }
    let tenant = Tenant::start(binary, 1_000, false)?;
    let folder = folders(&tenant, "syncs")();
    let told = folder.join("strace");
    let plain = daemon(&tenant, &folder, &["--once", "--look-back", LOOK_BACK]);
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-qq", "-e", "trace=fsync,fdatasync", "-o"]).arg(&told).arg(plain.get_program());
    command.args(plain.get_args()).env_clear();
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    ensure!(command.status()?.success(), "the daemon under strace failed");
    let told = fs::read_to_string(told)?;
    let count = |part: &str| told.lines().filter(|line| line.contains(part)).count();
    say(
        "\ndaemon: syncs while 1,000 incidents, in pieces of at most 100 records or 1 MiB, are committed and delivered",
    );
    say(&format!("write-ahead log {}, the store itself {}", count(".db-wal>"), count(".db>")));
    say(&format!("the sink's file {}, all {}", count(".jsonl>"), told.lines().count()));
    Ok(())
}

/// What a daemon costs while nothing happens.
pub(crate) fn rest(binary: &Path, length: Duration) -> Result<()> {
    let tenant = Tenant::start(binary, 200, false)?;
    let folder = folders(&tenant, "rest")();
    let child = Running::start(&mut daemon(&tenant, &folder, &[]))?;
    wait_for_polls(&folder, 1)?;
    let (before, begun, polls) = (child.processor()?, Instant::now(), history(&folder)?.len());
    sleep(length);
    let used = child.processor()?.saturating_sub(before);
    let notes = history(&folder)?;
    let quiet = notes.len() - polls;
    let calls: u64 = notes.iter().take(quiet).map(|note| note.calls).sum();
    say(&format!("\ndaemon: at rest for {} s", length.as_secs()));
    say(&format!(
        "CPU {:.3} %, {:.1} MB resident, {quiet} quiet polls with {calls} calls",
        100.0 * used.as_secs_f64() / begun.elapsed().as_secs_f64(),
        child.memory()? as f64 / 1e6
    ));
    Ok(())
}

/// What a daemon holds in memory when its store knows many versions, and after many polls.
pub(crate) fn memory(binary: &Path, seen: u64, polls: u64) -> Result<()> {
    let tenant = Tenant::start(binary, 200, false)?;
    let folder = folders(&tenant, "memory")();
    // The daemon makes its store; then it is filled, as if it had run for years.
    ensure!(daemon(&tenant, &folder, &["--once"]).status()?.success(), "the daemon failed");
    let begun = Instant::now();
    let owner = fill(&folder, seen)?;
    say(&format!(
        "\ndaemon: memory, {seen} versions known (store filled in {:.0} s, {owner})",
        begun.elapsed().as_secs_f64()
    ));
    let begun = Instant::now();
    let before = history(&folder)?.len() as u64;
    let child = Running::start(&mut daemon(&tenant, &folder, &["--interval", "1ms"]))?;
    wait_for_polls(&folder, before + 1)?;
    say(&format!("start to first poll {:.0} ms", begun.elapsed().as_secs_f64() * 1e3));
    for share in [1, 10, 50, 100] {
        wait_for_polls(&folder, before + polls * share / 100)?;
        say(&format!(
            "after {:>6} polls {:.1} MB resident, peak {:.1} MB",
            polls * share / 100,
            child.memory()? as f64 / 1e6,
            child.peak()? as f64 / 1e6
        ));
    }
    Ok(())
}

/// Puts versions into a store.
fn fill(folder: &Path, seen: u64) -> Result<String> {
    let path = store_of(folder)?;
    let owner = owner(&path)?;
    let (store, fence) = SqliteStore::open(&path, &owner)?;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    for first in (0..seen).step_by(2_000) {
        let ids = || {
            (first..(first + 2_000).min(seen))
                .map(|id| (format!("{}", 10_000_000 + id), format!("2026-01-01T00:00:00Z-{id:032x}")))
        };
        let batch = Batch {
            now,
            seen: ids()
                .map(|(id, fingerprint)| Seen { version: Version { id, fingerprint }, handled: Handled::Queued })
                .collect(),
            latest: ids()
                .map(|(id, fingerprint)| Latest {
                    id,
                    fingerprint,
                    summary: r#"{"time":"2026-01-01T00:00:00Z","state":"active"}"#.into(),
                })
                .collect(),
            ..Batch::default()
        };
        store.commit(&batch, fence)?;
    }
    Ok(owner)
}

fn store_of(folder: &Path) -> Result<PathBuf> {
    let state = folder.join("state");
    let names = fs::read_dir(&state).with_context(|| state.display().to_string())?;
    let mut paths = names.filter_map(|entry| Some(entry.ok()?.path()));
    paths.find(|path| path.extension().is_some_and(|extension| extension == "db")).context("the daemon's store")
}

/// Whose the store is, as opening it for another one tells.
fn owner(path: &Path) -> Result<String> {
    match SqliteStore::open(path, "nobody") {
        Err(sortie_store::StoreError::Foreign { found, .. }) => Ok(found),
        Err(error) => Err(error.into()),
        Ok(_) => anyhow::bail!("the store belongs to nobody"),
    }
}

fn history(folder: &Path) -> Result<Vec<sortie_store::PollNote>> {
    Ok(SqliteStore::read(&store_of(folder)?)?.history(1_000_000)?)
}

fn wait_for_polls(folder: &Path, polls: u64) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(1_800);
    while history(folder).map_or(0, |notes| notes.len() as u64) < polls {
        ensure!(Instant::now() < deadline, "no {polls} polls within half an hour");
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A daemon that runs until it is dropped.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        Ok(Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?))
    }

    /// The processor time that it has used.
    fn processor(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u64 = fields.iter().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
    }

    fn memory(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    fn peak(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("a running daemon")?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes * 1024)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
