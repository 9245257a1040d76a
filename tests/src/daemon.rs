//! The daemon as a child process: started, killed, stopped, paused, asked how it is.
//!
//! A [`Driver`] owns the folder of the state and of the sinks, and the profile that names them; [`Driver::start`] starts the
//! built binary on them as often as a test likes, which is what a service manager does after a crash. What the daemon
//! says goes to a file that is shown when a test fails.

use crate::{Output, Profile, World};
use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sortie_sandbox::{Config, Control, IncidentDraft, RequestRecord, Timestamp};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A signing key of the webhook sink, for tests only.
pub const SIGNING_KEY: &str = "whsec_c29ydGllLXRlc3RzLXNpZ25pbmcta2V5LW9uZQ==";

/// What a profile says about the daemon.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The incidents surface.
    pub surface: &'static str,
    /// Lines of `[profile.test.daemon]`, without its tables.
    pub daemon: BTreeMap<&'static str, String>,
    /// Lines of `[profile.test.daemon.filters]`.
    pub filters: String,
    /// Whether there is the file sink, called `file`.
    pub file: bool,
    /// The URL of the webhook sink, called `hook`; none without it.
    pub hook: Option<String>,
    /// Further lines of the webhook sink.
    pub hook_lines: String,
    /// Further tables.
    pub tables: String,
    /// Whether the documented limits of calls hold.
    pub limits: bool,
    /// Whether health is served, on a free port.
    pub listen: bool,
    /// The most talkative log level.
    pub log_level: &'static str,
}

impl Default for Setup {
    fn default() -> Self {
        let daemon = [("interval", "100ms"), ("sweep_interval", "1h"), ("look_back", "60 days"), ("overlap", "10m")];
        Self {
            surface: "graph",
            daemon: daemon.map(|(name, value)| (name, format!("{value:?}"))).into(),
            filters: String::new(),
            file: true,
            hook: None,
            hook_lines: String::new(),
            tables: String::new(),
            limits: false,
            listen: false,
            log_level: "info",
        }
    }
}

impl Setup {
    /// The plainest daemon on a surface.
    pub fn on(surface: &'static str) -> Self {
        Self { surface, ..Self::default() }
    }

    /// Sets a member of `[profile.test.daemon]` to a text.
    #[must_use]
    pub fn set(mut self, name: &'static str, value: &str) -> Self {
        self.daemon.insert(name, format!("{value:?}"));
        self
    }

    /// Sets a member of `[profile.test.daemon]` to anything.
    #[must_use]
    pub fn raw(mut self, name: &'static str, value: &str) -> Self {
        self.daemon.insert(name, value.to_owned());
        self
    }

    /// The lines of the profile, for state and sinks below this folder.
    pub fn lines(&self, folder: &Path) -> String {
        let mut text = String::from(
            "timeouts = { connect_seconds = 2, header_seconds = 2, idle_seconds = 1, total_seconds = 8 }\n",
        );
        if !self.limits {
            text += "[profile.test.limits]\ngraph-security = []\ndefender-xdr-incidents = []\n";
        }
        text += "[profile.test.daemon]\n";
        if !self.daemon.contains_key("state_dir") {
            text += &format!("state_dir = {:?}\n", folder.join("state"));
        }
        for (name, value) in &self.daemon {
            text += &format!("{name} = {value}\n");
        }
        if !self.filters.is_empty() {
            text += &format!("[profile.test.daemon.filters]\n{}\n", self.filters);
        }
        if self.file {
            let path = folder.join("sink/records.jsonl");
            text += &format!("[profile.test.daemon.sinks.file]\nkind = \"file\"\npath = {path:?}\n");
        }
        if let Some(url) = &self.hook {
            let key = folder.join("signing.key");
            text += &format!(
                "[profile.test.daemon.sinks.hook]\nkind = \"webhook\"\nurl = {url:?}\nsigning_keys = [{{ file = {key:?} }}]\n{}\n",
                self.hook_lines
            );
        }
        text + &self.tables
    }
}

/// The folder of a daemon, and how it is started.
pub struct Driver<'w> {
    /// The tenant and the home.
    pub world: &'w World,
    /// What the profile says.
    pub setup: Setup,
    /// Where health is served, if it is.
    pub address: String,
}

impl<'w> Driver<'w> {
    /// Writes the profile.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn new(world: &'w World, setup: Setup) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let setup = if setup.listen { setup.set("listen", &address) } else { setup };
        let driver = Self { world, setup, address };
        driver.write(|_| {});
        driver
    }

    /// Writes the profile, changed.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, change: impl FnOnce(&mut Profile)) {
        let folder = self.world.folder();
        fs::create_dir_all(folder.join("sink")).expect("the sink's folder");
        write_secret(&folder.join("signing.key"), SIGNING_KEY);
        let mut profile =
            Profile { surface: self.setup.surface, lines: self.setup.lines(folder), ..Profile::default() };
        change(&mut profile);
        self.world.profile(&profile);
    }

    /// The folder of the state.
    pub fn state(&self) -> PathBuf {
        self.world.folder().join("state")
    }

    /// The store.
    pub fn store(&self) -> PathBuf {
        self.state().join("test.db")
    }

    /// The file sink.
    pub fn sink(&self) -> PathBuf {
        self.world.folder().join("sink/records.jsonl")
    }

    fn log_file(&self) -> PathBuf {
        self.world.folder().join("daemon.log")
    }

    /// Everything that the daemons said on stderr.
    pub fn log(&self) -> String {
        fs::read(self.log_file()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// `sortie daemon` with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let all = ["daemon", "--log-level", self.setup.log_level].into_iter().chain(arguments.iter().copied());
        self.world.sortie(all).command()
    }

    /// Starts the daemon.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(&self) -> Running {
        self.start_with(self.command(&[]))
    }

    /// Starts a command and keeps what it says.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_with(&self, mut command: Command) -> Running {
        let log = File::options().create(true).append(true).open(self.log_file()).expect("the log");
        let out = self.world.folder().join("daemon.out");
        let out = File::options().create(true).append(true).open(out).expect("the file of stdout");
        let child = command.stdin(Stdio::null()).stdout(out).stderr(log).spawn().expect("the binary starts");
        Running { child, log: self.log_file() }
    }

    /// Runs `sortie daemon --once` to its end.
    pub fn once(&self, arguments: &[&str]) -> Output {
        let all =
            ["daemon", "--once", "--log-level", self.setup.log_level].into_iter().chain(arguments.iter().copied());
        self.world.sortie(all).output()
    }

    /// What `/readyz` says: status and body; none while nobody answers.
    pub fn ready(&self) -> Option<(u16, String)> {
        get(&self.address, "/readyz")
    }

    /// Whether `/readyz` says that the last poll failed.
    pub fn fails(&self) -> bool {
        let answer = self.ready().and_then(|(_, body)| serde_json::from_str::<Value>(&body).ok());
        answer.is_some_and(|answer| answer["error"]["kind"].is_string())
    }

    /// Everything that was written to stdout by daemons that were started.
    pub fn stdout(&self) -> String {
        fs::read_to_string(self.world.folder().join("daemon.out")).unwrap_or_default()
    }

    /// The lines of the file sink that are complete.
    pub fn lines(&self) -> Vec<String> {
        let text = fs::read(self.sink()).unwrap_or_default();
        let text = String::from_utf8(text).expect("the sink holds UTF-8");
        text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
    }

    /// The records of the file sink.
    ///
    /// # Panics
    /// When a line is not JSON.
    pub fn records(&self) -> Vec<Value> {
        let read =
            |line: &String| serde_json::from_str(line).unwrap_or_else(|problem| panic!("not JSON ({problem}): {line}"));
        self.lines().iter().map(read).collect()
    }

    /// The ids of the records of the file sink, in their order.
    pub fn ids(&self) -> Vec<u64> {
        self.records().iter().map(id_of).collect()
    }

    /// Waits for a condition.
    ///
    /// # Panics
    /// When it does not come about; shows what the daemon said.
    pub fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            if begun.elapsed() > PATIENCE {
                let log = self.log();
                let from = log.char_indices().rev().nth(6_000).map_or(0, |(at, _)| at);
                panic!("{what} did not happen. The daemon said:\n{}", &log[from..]);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until so many records stand in the file sink.
    pub fn until_records(&self, count: usize) {
        let mut last = 0;
        self.until(&format!("delivery of {count} records"), || {
            last = self.lines().len();
            last >= count
        });
    }

    /// Waits for so many more requests for incidents.
    pub fn until_requests(&self, more: usize) {
        let control = self.world.sandbox.control();
        let begun = listings(&control).len();
        self.until(&format!("{more} more requests"), || listings(&control).len() >= begun + more);
    }

    /// Each of these incidents is delivered exactly once, and nothing else is; also after some more polls.
    ///
    /// # Panics
    /// When it is not so.
    pub fn assert_each_once(&self, ids: &[u64]) {
        self.until_records(ids.len());
        self.until_requests(4);
        let mut delivered = self.ids();
        delivered.sort_unstable();
        let mut wanted = ids.to_vec();
        wanted.sort_unstable();
        assert_eq!(delivered, wanted, "delivered, and wanted");
    }

    /// The types of the records of an incident, in their order.
    pub fn kinds(&self, id: u64) -> Vec<String> {
        let records = self.records();
        let of = records.iter().filter(|record| id_of(record) == id);
        of.map(|record| record["type"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The entries of the history, oldest first, as `sortie history` tells them.
    ///
    /// # Panics
    /// When the command fails.
    pub fn history(&self) -> Vec<Value> {
        let output = self.world.sortie(["history", "--limit", "1000", "-o", "jsonl"]).output();
        assert_eq!(output.code, 0, "{}", output.stderr);
        // The command tells the newest first.
        let mut entries = output.lines();
        entries.reverse();
        entries
    }

    /// The store, for reading beside the daemon.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub fn read_store(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(self.store(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        Ok(connection)
    }

    /// Changes the store from outside.
    ///
    /// # Panics
    /// When the statements cannot be run.
    pub fn sabotage(&self, statements: &str) {
        let connection = Connection::open(self.store()).expect("the store");
        connection.busy_timeout(Duration::from_secs(10)).expect("a time-out");
        connection.execute_batch(statements).unwrap_or_else(|problem| panic!("{problem}: {statements}"));
    }
}

/// Runs a test for each of these, four side by side: each mostly waits.
///
/// # Panics
/// When one of them does.
pub fn side_by_side<T: Sync>(items: &[T], test: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            test(item);
        }
    };
    thread::scope(|scope| {
        for _ in 0..4.min(items.len()) {
            scope.spawn(work);
        }
    });
}

/// Both incidents surfaces, as a profile names them.
pub const SURFACES: [&str; 2] = ["graph", "defender-xdr"];

/// A world without incidents.
pub fn empty() -> World {
    World::new(Config { incidents: 0, machines: 5, ..Config::default() })
}

/// So many seconds before the service's now.
///
/// # Panics
/// When there was no such time.
pub fn ago(control: &Control, seconds: u64) -> Timestamp {
    control.clock().checked_sub(Duration::from_secs(seconds)).expect("a time")
}

/// Adds an incident that was created and last updated so many seconds ago.
///
/// # Panics
/// When it cannot be added.
pub fn add(control: &Control, seconds: u64) -> u64 {
    let time = Some(ago(control, seconds));
    let draft = IncidentDraft { created: time, updated: time, ..IncidentDraft::default() };
    control.add_incident(&draft).expect("an incident")
}

/// The requests for lists of incidents.
pub fn listings(control: &Control) -> Vec<RequestRecord> {
    control.records().into_iter().filter(|record| record.path.ends_with("/incidents")).collect()
}

/// From which update time on a request asks for incidents.
pub fn reads_from(request: &RequestRecord) -> Option<Timestamp> {
    let query = request.query.replace("%3A", ":").replace("%20", " ").replace('+', " ");
    let time = query.split(" ge ").nth(1)?.split([' ', '&', ')']).next()?;
    time.parse().ok()
}

/// The id of a record, as a number.
///
/// # Panics
/// When it has none.
pub fn id_of(record: &Value) -> u64 {
    record["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("no id: {record}"))
}

/// A daemon that runs. It is killed when it is dropped.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        // A process that ended already needs none.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Kills it, as the power would, and answers when it was dead.
    pub fn kill(mut self) -> Instant {
        let _ = self.child.kill();
        let _ = self.child.wait();
        Instant::now()
    }

    /// Asks it to end; answers how it ended and how long that took.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        self.signal(Signal::TERM);
        let status = self.wait();
        (status, begun.elapsed())
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the state of the child") {
                return status;
            }
            let log = || fs::read_to_string(&self.log).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "the daemon does not end:\n{}", log());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("the port").port()
}

/// Asks a loopback address for a path: status and body; none when nobody answers.
pub fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let address: SocketAddr = address.parse().ok()?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Some((status, body))
}

/// Writes a file that is its owner's alone.
///
/// # Panics
/// When it cannot be written.
pub fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("the mode of a file");
    }
}
