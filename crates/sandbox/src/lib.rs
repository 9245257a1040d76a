//! A local tenant: Entra, Graph security, Defender XDR and Defender for Endpoint, as strict as the real ones, with faults on demand.
//!
//! # Mental model
//! A [`Sandbox`] is one listener on loopback. Behind path prefixes stand the services that a client of Microsoft Defender XDR talks to:
//!
//! | prefix | service |
//! | --- | --- |
//! | `/login/{tenant}/oauth2/v2.0/token` | Entra's token endpoint ([`Sandbox::authority`]) |
//! | `/identity/metadata/identity/oauth2/token`, `/identity/msi/token` | managed identity: IMDS, App Service ([`Sandbox::identity`]) |
//! | `/graph/v1.0` | Microsoft Graph security ([`Sandbox::graph`]) |
//! | `/xdr/api` | Defender XDR incidents ([`Sandbox::defender_xdr`]) |
//! | `/mde/api` | Defender for Endpoint machines and machine actions ([`Sandbox::defender_endpoint`]) |
//! | `/control` | the sandbox's own controls ([`Sandbox::control_url`], [`Control`]) |
//!
//! All of them show one tenant, made from a seed. Requests are judged as the real services judge them: tokens by audience and role, filters by a real parser,
//! bodies by name, case and type. Where the documentation is silent or contradicts itself, a field of [`Switches`] decides. [`Rule`]s hit requests with
//! [`Fault`]s. Every request is kept as a [`RequestRecord`], without secrets.
//!
//! The crate shares no code with the client it is used to test: a misspelling must not agree with itself.
//!
//! ```
//! use sortie_sandbox::{Config, Sandbox};
//!
//! let sandbox = Sandbox::start(Config { incidents: 10, ..Config::default() })?;
//! assert!(sandbox.graph().starts_with("http://127.0.0.1:"));
//! assert_eq!(sandbox.control().incident_count(), 10);
//! # Ok::<(), sortie_sandbox::Error>(())
//! ```

mod application;
pub mod bodies;
mod call;
mod clock;
mod config;
mod control;
mod entra;
mod error;
mod fault;
mod filter;
mod graph;
mod mde;
mod odata;
mod record;
mod render;
mod reply;
mod serve;
mod server;
mod spoil;
mod state;
mod switches;
mod tenant;
mod throttle;
mod tls;
mod wire;
mod xdr;

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

pub use application::{Application, ClientSecret, FederatedCredential, ManagedIdentity, Permissions};
pub use config::Config;
pub use control::{ActionState, Control, Summary};
pub use error::Error;
pub use fault::{Fault, NextLink, RetryAfter, Rule};
pub use jiff::{SignedDuration, Timestamp};
pub use record::{Api, Authorization, RequestRecord, SecretSeen};
pub use switches::{
    CommentKeys, Continuation, Duplicate, GraphSpelling, Newest, Pairs, Switches, TopRule, Undocumented, XdrRetry,
    XdrSpelling,
};
pub use tenant::Issued;
pub use tenant::draft::{AlertDraft, IncidentDraft, MachineDraft};
pub use tenant::machine::{Machine, Outcome};

/// Locks a mutex whose state stays usable even if a thread panicked while it held it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A running sandbox, with threads and a runtime of its own. It stops when it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    state: Arc<state::State>,
    address: SocketAddr,
    base: Application,
    remediation: Application,
    ca_pem: Option<String>,
    // The last field: it stops the server.
    _server: server::Server,
}

impl Sandbox {
    /// Starts a sandbox. Blocks for a moment; may be called from synchronous and from asynchronous code.
    ///
    /// # Errors
    /// When the address is not loopback or taken, when recorded bodies or a registered key cannot be read, when the certificate or the threads cannot be
    /// made.
    pub fn start(config: Config) -> Result<Self, Error> {
        if !config.listen.ip().is_loopback() {
            return Err(Error::NotLoopback(config.listen));
        }
        let bodies = config.bodies.as_deref().map(bodies::Bodies::read).transpose()?;
        let tls = if config.tls { Some(tls::make()?) } else { None };
        let failed = |source| Error::Listen { address: config.listen, source };
        let listener = std::net::TcpListener::bind(config.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let origin = format!("{}://{address}", if config.tls { "https" } else { "http" });

        let mut directory = entra::Directory::new(&config.tenant_id);
        for application in [&config.base, &config.remediation].into_iter().chain(&config.applications) {
            directory.register(application.clone())?;
        }
        let clock = clock::Clock::new(config.clock, config.clock_still);
        let world = tenant::World::new(config.seed, config.machines, &config.tenant_id, clock.now());
        let tenant = tenant::Tenant::new(world, config.incidents, config.machines);
        let state = Arc::new_cyclic(|itself| state::State {
            itself: itself.clone(),
            origin,
            tenant_id: config.tenant_id,
            domain: config.domain,
            identity_header: config.identity_header,
            clock,
            world: Arc::clone(&tenant.world),
            cache_bytes: config.cache_bytes,
            bodies,
            directory: Mutex::new(directory),
            tenant: Mutex::new(tenant),
            records: Mutex::new(record::Records::new(config.record_limit)),
            faults: Mutex::new(fault::Faults::new(config.seed)),
            throttle: Mutex::default(),
            switches: Mutex::new(Arc::new(config.switches)),
            epoch: AtomicU64::new(1),
        });
        let (tls, ca_pem) = tls.map_or((None, None), |tls| (Some(tls.config), Some(tls.ca_pem)));
        let server = server::start(Arc::clone(&state), listener, tls, config.rate)?;
        Ok(Self { state, address, base: config.base, remediation: config.remediation, ca_pem, _server: server })
    }

    /// Scheme, host and port: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.state.origin
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The login authority; a token is asked for at `{authority}/{tenant}/oauth2/v2.0/token`.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}/login", self.origin())
    }

    /// The base URL of Graph.
    #[must_use]
    pub fn graph(&self) -> String {
        format!("{}/graph/v1.0", self.origin())
    }

    /// The base URL of Defender XDR.
    #[must_use]
    pub fn defender_xdr(&self) -> String {
        format!("{}/xdr/api", self.origin())
    }

    /// The base URL of Defender for Endpoint.
    #[must_use]
    pub fn defender_endpoint(&self) -> String {
        format!("{}/mde/api", self.origin())
    }

    /// The base URL of managed identity: IMDS at `/metadata/identity/oauth2/token`, App Service at `/msi/token`.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{}/identity", self.origin())
    }

    /// The value that `X-IDENTITY-HEADER` must have on the App Service endpoint.
    #[must_use]
    pub fn identity_header(&self) -> &str {
        &self.state.identity_header
    }

    /// The base URL of the control API.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("{}/control", self.origin())
    }

    /// The certificate of the authority that signed the server's certificate, in PEM; `None` over plain http.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// The tenant id.
    #[must_use]
    pub fn tenant_id(&self) -> &str {
        &self.state.tenant_id
    }

    /// The application of the base role.
    #[must_use]
    pub fn base_application(&self) -> &Application {
        &self.base
    }

    /// The application of the remediation role.
    #[must_use]
    pub fn remediation_application(&self) -> &Application {
        &self.remediation
    }

    /// A handle to control it from the same process.
    #[must_use]
    pub fn control(&self) -> Control {
        Control(Arc::clone(&self.state))
    }
}
