//! Where tokens are asked for, and which authorities are acceptable.
//!
//! A secret goes there, so the rule is strict: https anywhere, plain http on this machine only; no user information, no
//! query, no fragment. A base path is kept. The tenant is named: a GUID or a domain.

use crate::error::{Error, ErrorKind};
use url::{Host, Url};

/// The token endpoint of a tenant.
pub(crate) fn token_endpoint(authority: &str, tenant: &str) -> Result<Url, Error> {
    let mut endpoint = authority_url(authority)?;
    check_tenant(tenant)?;
    endpoint
        .path_segments_mut()
        .map_err(|()| refuse("it has no path"))?
        .pop_if_empty()
        .extend([tenant, "oauth2", "v2.0", "token"]);
    Ok(endpoint)
}

fn authority_url(authority: &str) -> Result<Url, Error> {
    let authority = authority.trim();
    if authority.is_empty() {
        return Err(refuse("none is configured"));
    }
    // Azure's own tools accept a bare host name, too.
    let url =
        if authority.contains("://") { Url::parse(authority) } else { Url::parse(&format!("https://{authority}")) };
    let url = url.map_err(|error| refuse(&format!("it is not a URL ({error})")))?;
    let loopback = match url.host() {
        None => return Err(refuse("it has no host")),
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => return Err(refuse("plain http is for this machine only: it must begin with https")),
        _ => return Err(refuse("it must begin with https")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("it holds user information"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it has a query or a fragment"));
    }
    Ok(url)
}

fn refuse(why: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("the login authority cannot be used: {why}"))
        .with_hint("Set the profile's cloud, or an authority such as https://login.microsoftonline.com.")
}

fn check_tenant(tenant: &str) -> Result<(), Error> {
    let refuse = |why: &str| {
        Err(Error::new(ErrorKind::Configuration, format!("the tenant cannot be used: {why}"))
            .with_hint("Set the profile's tenant to its id (a GUID) or to one of its domains."))
    };
    if tenant.is_empty() {
        return refuse("none is configured");
    }
    if ["common", "organizations", "consumers"].iter().any(|shared| tenant.eq_ignore_ascii_case(shared)) {
        return refuse("it must be one tenant, not common, organizations or consumers");
    }
    let is_guid = tenant.len() == 36
        && tenant.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let is_domain = tenant.len() <= 253 && tenant.contains('.') && tenant.split('.').all(is_label);
    if is_guid || is_domain { Ok(()) } else { refuse("it is neither a GUID nor a domain") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TENANT: &str = "00000000-1111-2222-3333-444444444444";

    #[test]
    fn acceptable_authorities_keep_their_path() {
        for (authority, endpoint) in [
            ("https://login.microsoftonline.com", "https://login.microsoftonline.com/T/oauth2/v2.0/token"),
            ("https://login.microsoftonline.us/", "https://login.microsoftonline.us/T/oauth2/v2.0/token"),
            (" login.microsoftonline.com\n", "https://login.microsoftonline.com/T/oauth2/v2.0/token"),
            ("https://gateway.example:8443/base/path/", "https://gateway.example:8443/base/path/T/oauth2/v2.0/token"),
            ("http://127.0.0.1:4711/login", "http://127.0.0.1:4711/login/T/oauth2/v2.0/token"),
            ("http://[::1]:4711", "http://[::1]:4711/T/oauth2/v2.0/token"),
            ("http://localhost", "http://localhost/T/oauth2/v2.0/token"),
        ] {
            assert_eq!(token_endpoint(authority, TENANT).unwrap().as_str(), endpoint.replace('T', TENANT));
        }
        assert!(token_endpoint("https://x.example", "contoso.onmicrosoft.com").is_ok());
    }

    #[test]
    fn everything_else_is_refused() {
        for authority in [
            "",
            "http://login.microsoftonline.com",
            "http://10.0.0.1",
            "http://localhost.evil.example",
            "ftp://login.microsoftonline.com",
            "https://user:pw@login.microsoftonline.com",
            "https://login.microsoftonline.com@evil.example",
            "https://login.microsoftonline.com/?x",
            "https://login.microsoftonline.com/#x",
            "https://",
            "file:///etc/passwd",
        ] {
            let error = token_endpoint(authority, TENANT).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Configuration, "{authority}");
            assert!(!error.message.contains("pw"), "{error}");
        }
        for tenant in [
            "",
            "common",
            "Organizations",
            "consumers",
            "contoso",
            "a..b",
            ".x",
            "a/b.c",
            "%2e%2e",
            "..",
            "a b.c",
            "x.y?z",
            "-a.b",
        ] {
            assert!(token_endpoint("https://x.example", tenant).is_err(), "{tenant}");
        }
    }

    proptest! {
        #[test]
        fn a_tenant_never_changes_host_or_depth(tenant in "[ -~]{0,40}") {
            if let Ok(endpoint) = token_endpoint("https://x.example/base", &tenant) {
                prop_assert_eq!(endpoint.host_str(), Some("x.example"));
                prop_assert_eq!(endpoint.path_segments().unwrap().count(), 5);
                prop_assert!(endpoint.path().starts_with("/base/") && endpoint.query().is_none());
            }
        }
    }
}
