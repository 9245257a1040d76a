//! Which way a request goes: the URLs that are never asked, and one `reqwest` client per way, each built when the
//! first request takes it.
//!
//! Three ways: plain http to this machine or to a managed-identity host (no proxy, no TLS, short connect time), https to
//! this machine (no proxy), and https to everybody else (proxy as configured). A machine without CA certificates can
//! therefore still speak plain http, and a dead proxy in the environment does not stand before loopback.

use crate::error::{Disposition, Error, ErrorKind};
use crate::request::Request;
use crate::settings::{Proxy, Settings, Verification};
use crate::tls;
use std::sync::OnceLock;
use std::time::Duration;
use url::{Host, Url};

/// A host that is this machine, or one hop from it, answers a connection at once or not at all.
const NEAR_CONNECT: Duration = Duration::from_secs(2);

/// More headers than any answer has; beyond, the answer is refused by the parser.
const MOST_HEADERS: usize = 256;

/// The clients of one [`Client`](crate::Client) and its clones.
#[derive(Default)]
pub(crate) struct Routes {
    plain: Slot,
    local: Slot,
    outer: Slot,
}

type Slot = OnceLock<Result<reqwest::Client, Error>>;

impl Routes {
    /// The client for a request, or why there is none.
    pub(crate) fn client(&self, settings: &Settings, request: &Request) -> Result<&reqwest::Client, Error> {
        let (slot, way) = match way(&request.url, request.managed_identity)? {
            Way::Plain => (&self.plain, Way::Plain),
            Way::Local => (&self.local, Way::Local),
            Way::Outer if settings.verification == Verification::OffForLoopback => {
                return Err(blocked(
                    "certificate verification is off for this machine only: another https host is refused",
                ));
            }
            Way::Outer => (&self.outer, Way::Outer),
        };
        slot.get_or_init(|| build(settings, way)).as_ref().map_err(Clone::clone)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Plain,
    Local,
    Outer,
}

fn way(url: &Url, managed_identity: bool) -> Result<Way, Error> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(blocked("the URL holds user information"));
    }
    let Some(host) = url.host() else { return Err(blocked("the URL has no host")) };
    match url.scheme() {
        "https" if is_this_machine(&host) => Ok(Way::Local),
        "https" => Ok(Way::Outer),
        "http" if is_this_machine(&host) || (managed_identity && is_link_local(&host)) => Ok(Way::Plain),
        "http" => Err(blocked("plain http is spoken to this machine only: the URL must begin with https")),
        _ => Err(blocked("the URL is neither https nor http")),
    }
}

fn is_this_machine(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(domain) => domain.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.to_canonical().is_loopback(),
    }
}

fn is_link_local(host: &Host<&str>) -> bool {
    matches!(host, Host::Ipv4(address) if address.is_link_local())
}

fn blocked(why: &str) -> Error {
    Error::new(ErrorKind::BlockedUrl, Disposition::NotSent, why)
}

fn build(settings: &Settings, way: Way) -> Result<reqwest::Client, Error> {
    let refuse = |why: String| Error::new(ErrorKind::Configuration, Disposition::NotSent, why);
    let mut tls = match way {
        Way::Plain => tls::nobody(),
        Way::Local | Way::Outer => tls::config(&settings.trust, settings.verification),
    }
    .map_err(refuse)?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];

    let connect = match way {
        Way::Outer => settings.timeouts.connect,
        Way::Plain | Way::Local => settings.timeouts.connect.min(NEAR_CONNECT),
    };
    let agent = match settings.user_agent.as_str() {
        "" => concat!("sortie/", env!("CARGO_PKG_VERSION")),
        agent => agent,
    };
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(connect)
        .http1_only()
        .http1_max_headers(MOST_HEADERS)
        .user_agent(agent);
    let builder = match (way, &settings.proxy) {
        (Way::Plain | Way::Local, _) | (Way::Outer, Proxy::None) => builder.no_proxy(),
        (Way::Outer, Proxy::System) => builder,
        (Way::Outer, Proxy::Url(url)) => {
            if !matches!(url.scheme(), "http" | "https") {
                return Err(refuse(format!("a proxy is reached over http or https, not {}", url.scheme())));
            }
            let proxy =
                reqwest::Proxy::all(url.clone()).map_err(|_| refuse("the proxy's URL cannot be used".into()))?;
            builder.proxy(proxy)
        }
    };
    // The error may repeat the proxy's URL: its text is not passed on.
    builder.build().map_err(|_| refuse("the HTTP client cannot be set up from these settings".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Trust;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn https_anywhere_and_http_on_this_machine() {
        for (text, expected) in [
            ("https://graph.microsoft.com/v1.0", Way::Outer),
            ("https://10.0.0.1/", Way::Outer),
            ("https://localhost.evil.example/", Way::Outer),
            ("https://127.0.0.1:4/", Way::Local),
            ("http://127.0.0.1:4/", Way::Plain),
            ("http://127.8.9.1/", Way::Plain),
            ("http://2130706433/", Way::Plain),
            ("http://[::1]:4/", Way::Plain),
            ("http://[::ffff:127.0.0.1]:4/", Way::Plain),
            ("http://LOCALHOST/", Way::Plain),
        ] {
            assert_eq!(way(&url(text), false).unwrap(), expected, "{text}");
        }
        for text in [
            "http://graph.microsoft.com/",
            "http://169.254.169.254/",
            "http://0.0.0.0/",
            "http://10.0.0.1/",
            "http://localhost.evil.example/",
            "http://localhost./",
            "https://user@graph.microsoft.com/",
            "https://user:pw@127.0.0.1/",
            "ftp://127.0.0.1/",
            "file:///etc/passwd",
        ] {
            let error = way(&url(text), false).unwrap_err();
            assert_eq!((error.kind, error.disposition), (ErrorKind::BlockedUrl, Disposition::NotSent), "{text}");
        }
    }

    #[test]
    fn managed_identity_hosts_are_link_local() {
        assert_eq!(way(&url("http://169.254.169.254/metadata"), true).unwrap(), Way::Plain);
        assert_eq!(way(&url("http://127.0.0.1:41056/msi/token"), true).unwrap(), Way::Plain);
        for text in ["http://168.63.129.16/", "http://metadata.example/", "http://10.0.0.1/"] {
            assert_eq!(way(&url(text), true).unwrap_err().kind, ErrorKind::BlockedUrl, "{text}");
        }
    }

    #[test]
    fn only_the_way_that_is_taken_is_built() {
        let settings = Settings { trust: Trust::Pem(b"no certificate".to_vec()), ..Settings::default() };
        let routes = Routes::default();
        routes.client(&settings, &Request::get("x", url("http://127.0.0.1:1/"))).unwrap();
        assert!(routes.outer.get().is_none() && routes.local.get().is_none());
        let error = routes.client(&settings, &Request::get("x", url("https://graph.microsoft.com/"))).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration);
    }

    #[test]
    fn verification_off_for_loopback_refuses_everybody_else() {
        let settings = Settings { verification: Verification::OffForLoopback, ..Settings::default() };
        let routes = Routes::default();
        routes.client(&settings, &Request::get("x", url("https://127.0.0.1:1/"))).unwrap();
        let error = routes.client(&settings, &Request::get("x", url("https://graph.microsoft.com/"))).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BlockedUrl);
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_named_without_its_password() {
        let proxy = Proxy::Url(url("socks5://user:hunter2@proxy.example:1080"));
        let error = build(&Settings { proxy, ..Settings::default() }, Way::Outer).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration);
        assert!(error.message.contains("socks5") && !error.message.contains("hunter2"), "{error}");
    }
}
