//! Secrets made to be searched for: a world whose two credentials must never be seen again.

use crate::{Output, Profile, World};
use serde_json::Value;
use sortie_sandbox::{Application, ClientSecret, Config, Rule};
use std::fs;
use std::path::Path;

const BASE_CANARY: &str = "canary-base-7f3a9c41d2";
const REMEDIATION_CANARY: &str = "canary-remediation-51be08";
const TIMEOUTS: &str = "timeouts = { connect_seconds = 2, header_seconds = 2, idle_seconds = 1, total_seconds = 8 }\n";

/// A world whose two secrets are canaries.
pub struct Canaries {
    /// The world.
    pub world: World,
}

impl Default for Canaries {
    fn default() -> Self {
        Self::new()
    }
}

impl Canaries {
    /// A world with a small tenant.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// A world with a tenant that is set up differently.
    ///
    /// # Panics
    /// As [`World::new`].
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let secret =
            |application: Application, canary| Application { secrets: vec![ClientSecret::new(canary)], ..application };
        let mut config = Config {
            incidents: 120,
            machines: 12,
            base: secret(Application::base(), BASE_CANARY),
            remediation: secret(Application::remediation(), REMEDIATION_CANARY),
            ..Config::default()
        };
        change(&mut config);
        let canaries = Self { world: World::new(config) };
        canaries.profile(|_| {});
        canaries
    }

    /// Writes another profile.
    pub fn profile(&self, change: impl FnOnce(&mut Profile)) {
        let mut profile = Profile {
            lines: TIMEOUTS.into(),
            base_secret: Some(BASE_CANARY.into()),
            remediation_secret: Some(REMEDIATION_CANARY.into()),
            ..Profile::default()
        };
        change(&mut profile);
        self.world.profile(&profile);
    }

    /// Sets a fault.
    pub fn fault(&self, rule: Rule) -> &Self {
        self.world.sandbox.control().fault(rule);
        self
    }

    /// Runs an action and searches for the canaries in whatever was written.
    ///
    /// # Panics
    /// When one is found.
    pub fn run(&self, action: &str, input: Value) -> Output {
        self.run_within("5m", action, input)
    }

    /// As [`Canaries::run`], with a deadline.
    ///
    /// # Panics
    /// When a canary is found.
    pub fn run_within(&self, timeout: &str, action: &str, input: Value) -> Output {
        let output = self
            .world
            .sortie(["run", action, "--log-level", "trace", "--request-id", "table", "--timeout", timeout])
            .input(input.to_string())
            .output();
        self.assert_silent(&output);
        let signed = self.world.sandbox.control().records().iter().any(|request| request.authorization.is_some());
        assert!(!signed || self.received("base") || self.received("remediation"), "the sandbox never saw a canary");
        output
    }

    /// Neither canary stands in anything that was written, and the sandbox knows that it received them.
    ///
    /// # Panics
    /// When one does.
    pub fn assert_silent(&self, output: &Output) {
        let hidden: Vec<String> = [BASE_CANARY, REMEDIATION_CANARY].into_iter().flat_map(spellings).collect();
        let find = |place: &str, text: &str| {
            for canary in &hidden {
                assert!(!text.contains(canary.as_str()), "{canary} stands in {place}:\n{text}");
            }
            // A token is a secret too, and every token of the sandbox begins like this.
            assert!(!text.contains("eyJ"), "a token stands in {place}:\n{text}");
        };
        find("stdout", &output.stdout);
        find("stderr", &output.stderr);
        // The configuration is where the canaries come from; everything else that stands in the home was written.
        let configuration = self.world.folder().join("config/sortie/config.toml");
        walk(self.world.folder(), &mut |path, bytes| {
            if path != configuration {
                find(&path.display().to_string(), &String::from_utf8_lossy(bytes));
            }
        });
    }

    /// Whether the sandbox saw the secret of an application.
    pub fn received(&self, application: &str) -> bool {
        let requests = self.world.sandbox.control().records();
        requests
            .iter()
            .flat_map(|request| &request.secrets)
            .any(|seen| seen.application.as_deref() == Some(application))
    }
}

/// A secret as it is, as a URL carries it, in hexadecimal and in base64 (all three alignments).
fn spellings(secret: &str) -> Vec<String> {
    let hexadecimal: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut spellings = vec![secret.to_owned(), secret.replace('-', "%2D"), hexadecimal];
    for skip in 0..3 {
        spellings.push(base64(&secret.as_bytes()[skip..]));
    }
    spellings
}

/// Base64 without its last, incomplete group.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks_exact(3)
        .flat_map(|group| {
            let number = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
            [18, 12, 6, 0].map(|shift| char::from(ALPHABET[(number >> shift & 63) as usize]))
        })
        .collect()
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, visit);
        } else {
            visit(&path, &fs::read(&path).unwrap());
        }
    }
}
