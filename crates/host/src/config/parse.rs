//! The small languages inside a profile: URLs, limits, names.

use crate::failure::Failure;
use crate::text::quote;
use sortie_http::Quota;
use std::net::IpAddr;
use std::time::Duration;
use url::{Host, Url};

/// Whether a URL leads to this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

/// A URL that tokens may be sent to: https, or http on this machine; nothing but scheme, host, port and path; without
/// a slash at the end. `what` names the setting.
pub(super) fn service_url(text: &str, what: &str) -> Result<Url, Failure> {
    let wrong = |problem: &str| {
        Failure::configuration(format!("{what} {problem}"), "write it like https://graph.microsoft.com/v1.0")
    };
    let mut url = Url::parse(text.trim()).map_err(|_| wrong("is not a URL"))?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err(wrong("is plain http, which is spoken to this machine only")),
        _ => return Err(wrong("is neither https nor http")),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has more than scheme, host, port and path"));
    }
    let trimmed = url.path().trim_end_matches('/').to_owned();
    url.set_path(&trimmed);
    Ok(url)
}

/// An authority: as [`service_url`], or the bare host that Azure's tools take too.
pub(super) fn authority(text: &str, what: &str) -> Result<Url, Failure> {
    let text = text.trim();
    if text.contains("://") { service_url(text, what) } else { service_url(&format!("https://{text}"), what) }
}

/// A limit: `50/min`, `1500/h`, `10/s`, `5/10s` is not one.
pub(super) fn quota(text: &str) -> Option<Quota> {
    let (requests, unit) = text.trim().split_once('/')?;
    let seconds = match unit.trim() {
        "s" | "sec" | "second" => 1,
        "min" | "minute" => 60,
        "h" | "hour" => 3_600,
        "day" => 86_400,
        _ => return None,
    };
    let requests = requests.trim().parse().ok().filter(|requests| *requests > 0)?;
    Some(Quota { requests, per: Duration::from_secs(seconds) })
}

/// A limit as it is written.
pub(super) fn quota_text(quota: &Quota) -> String {
    match quota.per.as_secs() {
        1 => format!("{}/s", quota.requests),
        60 => format!("{}/min", quota.requests),
        3_600 => format!("{}/h", quota.requests),
        86_400 => format!("{}/day", quota.requests),
        other => format!("{}/{other}s", quota.requests),
    }
}

/// A tenant: an id or a domain, never something that changes the URL it is put into.
pub(super) fn tenant(text: &str) -> Result<String, Failure> {
    let plain = text.len() <= 256
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
        && !text.starts_with('.')
        && !text.contains("..");
    match text {
        "common" | "organizations" | "consumers" => Err(Failure::configuration(
            format!("the tenant {text} stands for no tenant in particular"),
            "name the tenant by its id or domain",
        )),
        _ if plain => Ok(text.to_owned()),
        _ => Err(Failure::configuration(
            format!("{} is not a tenant", quote(text)),
            "give the tenant's id or domain, such as contoso.onmicrosoft.com",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_https_or_here() {
        for (text, wanted) in [
            ("https://graph.microsoft.com/v1.0/", "https://graph.microsoft.com/v1.0"),
            (" https://x.example:8443/a/b// ", "https://x.example:8443/a/b"),
            ("http://127.0.0.1:8080/graph", "http://127.0.0.1:8080/graph"),
            ("http://localhost/x", "http://localhost/x"),
            ("http://[::1]:1/x", "http://[::1]:1/x"),
        ] {
            assert_eq!(service_url(text, "x").unwrap().as_str(), wanted);
        }
        for text in [
            "",
            "graph.microsoft.com",
            "http://graph.microsoft.com",
            "http://localhost.evil.example",
            "ftp://x",
            "https://user@x",
            "https://x?y",
            "https://x#y",
            "http://169.254.169.254/",
            "file:///etc/passwd",
        ] {
            assert!(service_url(text, "x").is_err(), "{text}");
        }
        assert_eq!(authority("login.microsoftonline.us", "x").unwrap().as_str(), "https://login.microsoftonline.us/");
    }

    #[test]
    fn a_limit_is_a_number_and_a_unit() {
        assert_eq!(quota("50/min"), Some(Quota::per_minute(50)));
        assert_eq!(quota(" 1500 / h "), Some(Quota::per_hour(1500)));
        for text in ["", "50", "0/min", "-1/min", "50/week", "50/5min", "99999999999/min"] {
            assert_eq!(quota(text), None, "{text}");
        }
        for text in ["3/s", "50/min", "1500/h", "7/day"] {
            assert_eq!(quota_text(&quota(text).unwrap()), text);
        }
    }

    #[test]
    fn a_tenant_cannot_lead_elsewhere() {
        for text in ["contoso.onmicrosoft.com", "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"] {
            assert_eq!(tenant(text).unwrap(), text);
        }
        for text in ["common", "../x", "a/b", "a?b", "a..b", "", "%2f"].iter().filter(|text| !text.is_empty()) {
            assert!(tenant(text).is_err(), "{text}");
        }
    }
}
