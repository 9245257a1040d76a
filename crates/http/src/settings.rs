//! What a profile may decide about the transport, with the defaults.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use url::Url;

/// Everything a [`Client`](crate::Client) is made from. Plain data: making a client from it builds nothing.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How long each part of an exchange may take.
    pub timeouts: Timeouts,
    /// How large each part of an answer may be.
    pub caps: Caps,
    /// How hosts other than this machine are reached.
    pub proxy: Proxy,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Whether certificates are checked at all.
    pub verification: Verification,
    /// The client-side limits, by limit class. A class without an entry is not limited.
    pub limits: BTreeMap<String, Vec<Quota>>,
    /// How failed attempts are repeated.
    pub retry: Retry,
    /// The `User-Agent` header; `sortie/<version>` when empty.
    pub user_agent: String,
}

/// Deadlines of one attempt. The deadline of the whole request is an argument of
/// [`Client::send`](crate::Client::send).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first packet to a connection that is ready: TCP, and TLS or a proxy's tunnel. Default 10 s.
    pub connect: Duration,
    /// From the start of the attempt to the end of the answer's header, connecting included. Default 60 s.
    pub header: Duration,
    /// Between two pieces of the answer's body. Default 30 s.
    pub idle_read: Duration,
    /// From the start of the attempt to the last byte of the answer. Default 180 s.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            header: Duration::from_secs(60),
            idle_read: Duration::from_secs(30),
            total: Duration::from_secs(180),
        }
    }
}

/// The largest answer that is accepted. Beyond any of these the answer is dropped while it is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// All header names and values together, in bytes. Default 64 KiB.
    pub header_bytes: usize,
    /// The body as it came over the wire, in bytes. Default 64 MiB.
    pub compressed_bytes: usize,
    /// The body after decompression, in bytes. Default 64 MiB.
    pub body_bytes: usize,
    /// Decompressed bytes per compressed byte, counted from the first decompressed MiB on. Default 200.
    pub ratio: usize,
    /// Nesting of objects and arrays in a JSON body. Default 100 (serde_json refuses 128).
    pub json_depth: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self { header_bytes: 64 << 10, compressed_bytes: 64 << 20, body_bytes: 64 << 20, ratio: 200, json_depth: 100 }
    }
}

/// How hosts other than this machine are reached. This machine (loopback) and the managed-identity hosts are
/// always reached directly.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Proxy {
    /// As `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say (upper or lower case), read when the first
    /// such host is asked.
    #[default]
    System,
    /// Directly, whatever the environment says.
    None,
    /// Through this http or https proxy, whatever the environment says. May carry `user:password@`.
    Url(Url),
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("System"),
            Self::None => f.write_str("None"),
            // The URL may hold a password: only where it leads is shown.
            Self::Url(url) => write!(
                f,
                "Url({}://{}:{})",
                url.scheme(),
                url.host_str().unwrap_or_default(),
                url.port_or_known_default().unwrap_or_default()
            ),
        }
    }
}

/// Whose certificates are believed.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// The operating system's store: `SSL_CERT_FILE` or `SSL_CERT_DIR` where set, else the usual places. Read at the
    /// first https request.
    #[default]
    System,
    /// Exactly the certificates of this PEM text, in place of the system's store.
    Pem(Vec<u8>),
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("System"),
            Self::Pem(pem) => write!(f, "Pem({} bytes)", pem.len()),
        }
    }
}

/// Whether the certificates of https hosts are checked. Anything but [`Full`](Self::Full) is logged as a warning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// Always.
    #[default]
    Full,
    /// Not on this machine (loopback); a request to any other https host is refused.
    OffForLoopback,
    /// Nowhere. Whoever stands between can read and change everything, tokens included.
    OffEverywhere,
}

/// So many requests in any span of such a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many requests; 0 is read as 1.
    pub requests: u32,
    /// The length of the span.
    pub per: Duration,
}

impl Quota {
    /// So many requests in any minute.
    pub const fn per_minute(requests: u32) -> Self {
        Self { requests, per: Duration::from_secs(60) }
    }

    /// So many requests in any hour.
    pub const fn per_hour(requests: u32) -> Self {
        Self { requests, per: Duration::from_secs(3600) }
    }
}

/// How failed attempts are repeated. The n-th wait is random between nothing and `first` doubled n-1 times, at most
/// `max_delay`; what the service asks for (`Retry-After`) is a lower bound on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all, the first included. Refusals (429) that name a time to come back do not count. Default 5.
    pub attempts: u32,
    /// The upper bound of the first wait. Default 500 ms.
    pub first: Duration,
    /// The upper bound of every wait that is not asked for by the service. Default 20 s.
    pub max_delay: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 5, first: Duration::from_millis(500), max_delay: Duration::from_secs(20) }
    }
}

impl Retry {
    /// A wait after the `failed`-th attempt, drawn anew each time: full jitter.
    pub fn wait(&self, failed: u32) -> Duration {
        self.longest_wait(failed).mul_f64(crate::retry::random())
    }

    /// The upper bound of the wait after the `failed`-th attempt.
    pub(crate) fn longest_wait(&self, failed: u32) -> Duration {
        self.first.saturating_mul(1 << failed.saturating_sub(1).min(20)).min(self.max_delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_password_is_not_shown() {
        let proxy = Proxy::Url(Url::parse("http://user:hunter2@proxy.example:8080/").unwrap());
        let shown = format!("{:?}", Settings { proxy, ..Settings::default() });
        assert!(shown.contains("proxy.example:8080"), "{shown}");
        assert!(!shown.contains("hunter2") && !shown.contains("user:"), "{shown}");
    }
}
