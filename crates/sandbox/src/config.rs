//! How a sandbox is set up before it starts. What may change while it runs is in [`crate::Switches`] and behind [`crate::Control`].

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use jiff::Timestamp;

use crate::application::Application;
use crate::switches::Switches;

/// The set-up of a sandbox. `Config::default()` is a small, still tenant on a free loopback port over plain http.
#[derive(Clone)]
pub struct Config {
    /// Where all generated data comes from: the same seed gives the same tenant.
    pub seed: u64,
    /// How many incidents the tenant has at the start.
    pub incidents: usize,
    /// How many machines the tenant has at the start. The first two share one DNS name when there are at least two.
    pub machines: usize,
    /// Changes per second that the tenant makes by itself (new incidents, new alerts, updates); 0 keeps it still.
    pub rate: f64,
    /// Serve https, with a certificate of an authority made for this sandbox ([`crate::Sandbox::ca_pem`]).
    pub tls: bool,
    /// Where to listen. Anything but a loopback address is refused; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The clock's start. `None`: the machine's time.
    pub clock: Option<Timestamp>,
    /// Whether the clock stands still until it is moved by [`crate::Control`].
    pub clock_still: bool,
    /// The readings of what Microsoft's documentation leaves open, and other behaviour that may change while it runs.
    pub switches: Switches,
    /// A folder of recorded bodies that answer instead of the tenant's own data; see [`crate::bodies`].
    pub bodies: Option<PathBuf>,
    /// The tenant id, a GUID.
    pub tenant_id: String,
    /// The tenant's domain name, accepted wherever the tenant id is.
    pub domain: String,
    /// The application of the base role.
    pub base: Application,
    /// The application of the remediation role.
    pub remediation: Application,
    /// Further applications.
    pub applications: Vec<Application>,
    /// The value that `X-IDENTITY-HEADER` must have on the App Service identity endpoint.
    pub identity_header: String,
    /// How many requests are remembered; older ones are dropped from the record (counts stay exact).
    pub record_limit: usize,
    /// How many bytes of compressed bodies are kept for reuse, over all incidents.
    pub cache_bytes: usize,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("seed", &self.seed)
            .field("incidents", &self.incidents)
            .field("machines", &self.machines)
            .field("rate", &self.rate)
            .field("tls", &self.tls)
            .field("listen", &self.listen)
            .field("clock", &self.clock)
            .field("bodies", &self.bodies)
            .field("tenant_id", &self.tenant_id)
            .field("identity_header", &"[redacted]")
            .finish_non_exhaustive()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            incidents: 200,
            machines: 25,
            rate: 0.0,
            tls: false,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            clock: None,
            clock_still: false,
            switches: Switches::default(),
            bodies: None,
            tenant_id: "5a4db0c5-0000-4000-8000-000000000001".to_owned(),
            domain: "contoso.onmicrosoft.com".to_owned(),
            base: Application::base(),
            remediation: Application::remediation(),
            applications: Vec::new(),
            identity_header: "sandbox-identity-header".to_owned(),
            record_limit: 200_000,
            cache_bytes: 512 * 1024 * 1024,
        }
    }
}
