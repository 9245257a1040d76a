//! What the tests share: the built binary, a world of its own for each test, and reading what came out.
//!
//! A [`World`] is a sandbox, a home folder with a configuration that points to it, and an empty environment.
//! Nothing of the person who runs the tests leaks in, and nothing of a test leaks out.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its world cannot be built")]

pub mod canary;
pub mod daemon;
pub mod golden;
pub mod libraries;
pub mod oracle;
pub mod receiver;

use serde_json::Value;
use sortie_sandbox::{Config, Sandbox};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs};
use tempfile::TempDir;

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The folder that `cargo build` filled: the binary and the action libraries stand there.
///
/// # Panics
/// When the test does not run from a build folder.
pub fn built() -> PathBuf {
    let mut folder = env::current_exe().expect("the path of the running test");
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    folder
}

/// The binary.
///
/// # Panics
/// When it was not built.
pub fn binary() -> PathBuf {
    let path = built().join(format!("sortie{}", env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is missing: run `cargo build --workspace` first", path.display());
    path
}

/// The names of the actions of this workspace, by their folders.
///
/// # Panics
/// When the folder cannot be read.
pub fn actions() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(root().join("actions"))
        .expect("the actions folder")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

/// The documents that describe Microsoft's APIs, where they stand beside the checkout. Tests that need them say
/// that they were skipped where they do not.
pub fn contract() -> Option<PathBuf> {
    let folder = env::var_os("SORTIE_CONTRACT_DIR").map_or_else(|| root().join("../shared/contract"), PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// A sandbox, a home and a configuration.
pub struct World {
    /// The tenant.
    pub sandbox: Sandbox,
    home: TempDir,
    environment: Vec<(OsString, OsString)>,
}

/// How a profile differs from the plainest one.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The incidents surface.
    pub surface: &'static str,
    /// Lines for the `[profile.test]` table.
    pub lines: String,
    /// The base role's secret; the sandbox's own when none is given.
    pub base_secret: Option<String>,
    /// The remediation role's secret; the sandbox's own when none is given.
    pub remediation_secret: Option<String>,
    /// The tenant named to Entra; the sandbox's own when none is given.
    pub tenant: Option<String>,
    /// Whether tokens are kept on disk.
    pub token_cache: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            surface: "graph",
            lines: String::new(),
            base_secret: None,
            remediation_secret: None,
            tenant: None,
            token_cache: true,
        }
    }
}

impl World {
    /// A world with the given sandbox and the plainest profile.
    ///
    /// # Panics
    /// When the sandbox cannot start or the home cannot be written.
    pub fn new(config: Config) -> Self {
        let sandbox = Sandbox::start(config).expect("the sandbox starts");
        let home = tempfile::Builder::new().prefix("sortie-test-").tempdir().expect("a home folder");
        let world = Self { sandbox, home, environment: Vec::new() };
        world.profile(&Profile::default());
        world
    }

    /// A world with a small tenant.
    pub fn small() -> Self {
        Self::new(Config { incidents: 30, machines: 12, ..Config::default() })
    }

    /// A folder of this world's own.
    pub fn folder(&self) -> &Path {
        self.home.path()
    }

    /// Sets an environment variable for every command from now on.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.environment.push((name.into(), value.into()));
    }

    /// Writes the configuration.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn profile(&self, profile: &Profile) {
        let sandbox = &self.sandbox;
        let base = profile.base_secret.as_deref().unwrap_or(sandbox.base_application().secret());
        let remediation = profile.remediation_secret.as_deref().unwrap_or(sandbox.remediation_application().secret());
        let mut text = String::new();
        let _ = write!(
            text,
            "default_profile = \"test\"\n\n[profile.test]\nlabel = \"Test tenant\"\ntenant = \"{tenant}\"\n\
             cloud = \"custom\"\nauthority = \"{authority}\"\nincidents_api = \"{surface}\"\ntoken_cache = {cache}\n{ca}{lines}\n\
             [profile.test.apis.graph]\nbase_url = \"{graph}\"\naudience = \"https://graph.microsoft.com\"\n\n\
             [profile.test.apis.defender-xdr]\nbase_url = \"{xdr}\"\naudience = \"https://api.security.microsoft.com\"\n\n\
             [profile.test.apis.defender-endpoint]\nbase_url = \"{endpoint}\"\naudience = \"https://api.securitycenter.microsoft.com\"\n\n\
             [profile.test.base]\nclient_id = \"{base_id}\"\nclient_secret = {{ value = \"{base}\" }}\n\n\
             [profile.test.remediation]\nclient_id = \"{remediation_id}\"\nclient_secret = {{ value = \"{remediation}\" }}\n",
            tenant = profile.tenant.as_deref().unwrap_or(sandbox.tenant_id()),
            authority = sandbox.authority(),
            surface = profile.surface,
            cache = profile.token_cache,
            ca = self.ca_line(),
            lines = profile.lines,
            graph = sandbox.graph(),
            xdr = sandbox.defender_xdr(),
            endpoint = sandbox.defender_endpoint(),
            base_id = sandbox.base_application().client_id,
            remediation_id = sandbox.remediation_application().client_id,
        );
        let folder = self.home.path().join("config/sortie");
        fs::create_dir_all(&folder).expect("the configuration folder");
        fs::write(folder.join("config.toml"), text).expect("the configuration");
    }

    fn ca_line(&self) -> String {
        let Some(pem) = self.sandbox.ca_pem() else { return String::new() };
        let file = self.home.path().join("ca.pem");
        fs::write(&file, pem).expect("the certificate file");
        format!("ca_file = \"{}\"\n", file.display())
    }

    /// A command of the binary in this world.
    pub fn sortie<I: IntoIterator<Item = S>, S: Into<OsString>>(&self, arguments: I) -> Run<'_> {
        Run {
            world: self,
            arguments: arguments.into_iter().map(Into::into).collect(),
            input: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// `sortie run ACTION` with a JSON input.
    pub fn run(&self, action: &str, input: &Value) -> Output {
        self.sortie(["run", action]).input(input.to_string()).output()
    }
}

/// A command, being put together.
pub struct Run<'a> {
    world: &'a World,
    arguments: Vec<OsString>,
    input: Vec<u8>,
    environment: Vec<(OsString, OsString)>,
}

impl Run<'_> {
    /// What stands on stdin.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets an environment variable for this command.
    #[must_use]
    pub fn environment(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The command, ready to be started by hand.
    pub fn command(&self) -> Command {
        let home = self.world.home.path();
        let mut command = Command::new(binary());
        command
            .args(&self.arguments)
            .env_clear()
            .env("HOME", home)
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("XDG_RUNTIME_DIR", home.join("runtime"))
            .envs(self.world.environment.iter().cloned())
            .envs(self.environment.iter().cloned())
            .current_dir(home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts it and leaves it running.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(&self) -> Child {
        let mut child = self.command().spawn().expect("the binary starts");
        if let Some(mut stdin) = child.stdin.take() {
            // A command that refuses early closes its end, which is its right.
            let _ = stdin.write_all(&self.input);
        }
        child
    }

    /// Runs it to the end.
    ///
    /// # Panics
    /// When it cannot be started, or ends by a signal.
    pub fn output(&self) -> Output {
        let mut command = self.command();
        let mut child = command.spawn().expect("the binary starts");
        let stdin = child.stdin.take();
        let input = self.input.clone();
        let writer = std::thread::spawn(move || {
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(&input);
            }
        });
        let output = child.wait_with_output().expect("the binary ends");
        let _ = writer.join();
        Output {
            code: output
                .status
                .code()
                .unwrap_or_else(|| panic!("{:?} ended by a signal: {}", self.arguments, output.status)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// What came out of a command.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit code.
    pub code: i32,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
}

impl Output {
    /// The one JSON document on stdout.
    ///
    /// # Panics
    /// When stdout is anything else.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|problem| {
            panic!("stdout is not one JSON document ({problem}):\n{}\n{}", self.stdout, self.stderr)
        })
    }

    /// The document of a command that must have succeeded.
    ///
    /// # Panics
    /// When it failed.
    pub fn success(&self) -> Value {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.json()
    }

    /// The error of a command that must have failed with an exit code.
    ///
    /// # Panics
    /// When it did anything else.
    pub fn failure(&self, code: i32) -> Value {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        let document = self.json();
        assert!(document["error"]["kind"].is_string(), "{document:#}");
        document["error"].clone()
    }

    /// One JSON document a line.
    ///
    /// # Panics
    /// When a line is anything else.
    pub fn lines(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|problem| panic!("not JSON ({problem}): {line}")))
            .collect()
    }
}
