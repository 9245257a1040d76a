//! A small tenant on this machine (token endpoint and API, scripted by a closure), and a host over it that loads the
//! probe action.
#![allow(dead_code, reason = "each test file uses its part of it")]
#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails the test")]

use serde_json::{Value, json};
use sortie_host::config::{ConfigText, Environment, Overrides, resolve};
use sortie_host::{Action, Finished, Host, Limits, Run};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Secrets that must turn up nowhere.
pub(crate) const BASE_SECRET: &str = "canary-base-5d1f";
pub(crate) const REMEDIATION_SECRET: &str = "canary-remediation-77a0";

/// How a token ends that was asked for with claims.
pub(crate) const CLAIMS_MARK: &str = "-with-claims";

/// A request as the tenant saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What the tenant answers.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self { status, headers: Vec::new(), body: body.to_string() }
    }
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

/// The tenant.
pub(crate) struct Tenant {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Tenant {
    /// A tenant whose API answers what the closure says; its token endpoint answers by itself.
    pub(crate) fn new(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, kept) = (Arc::clone(&script), Arc::clone(&kept));
                std::thread::spawn(move || serve(stream, &*script, &kept));
            }
        });
        Self { address, seen }
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The requests to the API, as `METHOD target`.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.seen()
            .iter()
            .filter(|seen| !is_token(seen))
            .map(|seen| format!("{} {}", seen.method, seen.target))
            .collect()
    }

    /// The bodies of token requests.
    pub(crate) fn token_requests(&self) -> Vec<String> {
        self.seen().into_iter().filter(is_token).map(|seen| seen.body).collect()
    }
}

fn is_token(seen: &Seen) -> bool {
    seen.target.starts_with("/entra/")
}

fn serve(stream: TcpStream, script: &Script, kept: &Mutex<Vec<Seen>>) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let mut parts = line.split_whitespace();
        let (method, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
                None => break,
            }
        }
        let mut seen = Seen { method, target, headers, body: String::new() };
        let length: usize = seen.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        seen.body = String::from_utf8(body).ok()?;
        let reply = if is_token(&seen) { token(&seen) } else { script(&seen) };
        kept.lock().ok()?.push(seen);
        let mut text = format!("HTTP/1.1 {} X\r\nContent-Type: application/json\r\n", reply.status);
        for (name, value) in &reply.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{}", reply.body.len(), reply.body));
        writer.write_all(text.as_bytes()).ok()?;
    }
}

/// Grants what the application of the secret may do; each token is a new one.
fn token(seen: &Seen) -> Reply {
    static COUNT: Mutex<u32> = Mutex::new(0);
    let roles = match &seen.body {
        body if body.contains(BASE_SECRET) => json!(["SecurityIncident.Read.All"]),
        body if body.contains(REMEDIATION_SECRET) => json!(["Machine.Isolate"]),
        _ => {
            let error = json!({"error": "invalid_client", "error_codes": [7_000_215],
                               "error_description": "AADSTS7000215: Invalid client secret provided."});
            return Reply::json(401, &error);
        }
    };
    let mut count = COUNT.lock().unwrap();
    *count += 1;
    let mark = if seen.body.contains("claims=") { CLAIMS_MARK } else { "" };
    let token = format!("e30.{}.{count}{mark}", base64url(json!({"roles": roles}).to_string().as_bytes()));
    Reply::json(200, &json!({"token_type": "Bearer", "expires_in": 3599, "access_token": token}))
}

/// Unpadded base64url (RFC 4648 section 5).
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            (0..=chunk.len()).map(move |at| char::from(ALPHABET[(word >> (18 - 6 * at) & 63) as usize]))
        })
        .collect()
}

/// The folder where `cargo test` puts the probe's library.
pub(crate) fn probe() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let file = sortie_host::catalog::library_file_name("probe").unwrap();
    let probe = test.parent().unwrap().parent().unwrap().join("examples").join(file);
    assert!(probe.exists(), "build the probe first: cargo build -p sortie-host --example action_probe");
    probe
}

/// A folder with the probe in it, under the names given.
pub(crate) fn folder(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for name in names {
        let to = folder.path().join(sortie_host::catalog::library_file_name(name).unwrap());
        std::fs::copy(probe(), &to).unwrap();
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

/// A host for the tenant, with the actions of a folder.
pub(crate) fn host_in(tenant: &Tenant, actions: &Path, remediation: &str, limits: Limits) -> Host {
    host_of(&profile(tenant, remediation), actions, limits)
}

/// A profile for the tenant.
pub(crate) fn profile(tenant: &Tenant, remediation: &str) -> String {
    let address = &tenant.address;
    format!(
        r#"
        [profile.test]
        tenant = "contoso.onmicrosoft.com"
        cloud = "custom"
        authority = "http://{address}/entra"
        token_cache = false
        {remediation}
        [profile.test.apis.graph]
        base_url = "http://{address}/graph/v1.0"
        audience = "https://graph.microsoft.com"
        [profile.test.base]
        client_id = "base-app"
        client_secret = {{ value = "{BASE_SECRET}" }}
        "#
    )
}

/// A host for a profile.
pub(crate) fn host_of(profile: &str, actions: &Path, limits: Limits) -> Host {
    let overrides = Overrides {
        config_text: Some(ConfigText { name: "test".to_owned(), text: profile.to_owned() }),
        actions_dir: Some(actions.to_owned()),
        ..Overrides::default()
    };
    let resolved = resolve(&overrides, &Environment::empty()).unwrap();
    Host::with_limits(resolved.profile, limits)
}

pub(crate) const REMEDIATION: &str =
    r#"remediation = { client_id = "remediation-app", client_secret = { value = "canary-remediation-77a0" } }"#;

/// A host for the tenant with both applications, and the probe.
pub(crate) fn host(tenant: &Tenant) -> (Host, Arc<Action>) {
    host_with(tenant, Limits::default())
}

pub(crate) fn host_with(tenant: &Tenant, limits: Limits) -> (Host, Arc<Action>) {
    let folder = folder(&["probe"]);
    let host = host_in(tenant, folder.path(), REMEDIATION, limits);
    let action = host.load("probe").unwrap();
    (host, action)
}

/// A current-thread runtime, as the command line has one.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs the probe with some steps.
pub(crate) fn run(host: &Host, action: &Arc<Action>, steps: Value) -> Finished {
    runtime().block_on(
        host.run(Run { timeout: Some(Duration::from_secs(20)), ..Run::new(Arc::clone(action), json!({"do": steps})) }),
    )
}

/// The answers of the steps of a run that went well.
#[track_caller]
pub(crate) fn answers(finished: &Finished) -> Vec<Value> {
    let reply: Value = serde_json::from_str(finished.outcome.as_ref().unwrap()).unwrap();
    reply["answers"].as_array().unwrap().clone()
}
