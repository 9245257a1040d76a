//! Next links: an answer may name the URL of its next page, and that URL gets the token.
//!
//! A link is followed only if it begins, byte for byte, with the base URL it belongs to: the same scheme, host and
//! port, the same path up to a segment boundary. No equivalence is granted that Microsoft's own links do not need
//! (upper case, a trailing dot, an encoded host); only a spelled-out default port is. What is followed is otherwise the
//! link as it came: its query is never taken apart.

use url::Url;

/// The longest link that is followed, in bytes.
const LONGEST: usize = 32 << 10;

/// Why a link is not followed. The link itself is not repeated: its query may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// It is empty, longer than 32 KiB, or not a URL.
    #[error("the next link is not a URL")]
    NotAUrl,
    /// It holds a control character, a backslash or white space before its query.
    #[error("the next link holds characters that have no place in a URL")]
    Characters,
    /// Its scheme, host or port is not the API's, or it holds user information.
    #[error("the next link leads to another host than the API's")]
    Origin,
    /// Its path is not below the API's, or holds dot segments or encoded separators.
    #[error("the next link leads outside the API's path")]
    Path,
    /// It has a fragment, which no server ever sees.
    #[error("the next link has a fragment")]
    Fragment,
}

/// The link as a URL, if it stays within `base`: same scheme, host and port, path equal to the base's or below it.
pub fn pin(base: &Url, link: &str) -> Result<Url, LinkError> {
    if link.is_empty() || link.len() > LONGEST {
        return Err(LinkError::NotAUrl);
    }
    let (before_query, query) = link.split_once('?').map_or((link, ""), |(before, query)| (before, query));
    if before_query.contains(|c: char| c.is_whitespace() || c == '\\')
        || link.contains(|c: char| c.is_control() || (c.is_whitespace() && c != ' '))
    {
        return Err(LinkError::Characters);
    }
    if before_query.contains('#') || query.contains('#') {
        return Err(LinkError::Fragment);
    }

    let origin = base.origin().ascii_serialization();
    let rest = before_query.strip_prefix(&origin).ok_or(LinkError::Origin)?;
    let path = match rest.strip_prefix(':') {
        Some(rest) if base.port().is_none() => {
            let default = base.port_or_known_default().ok_or(LinkError::Origin)?.to_string();
            rest.strip_prefix(&default).ok_or(LinkError::Origin)?
        }
        Some(_) => return Err(LinkError::Origin),
        None => rest,
    };
    // Anything but the start of a path here is a longer host name, a port or user information.
    if !path.is_empty() && !path.starts_with('/') {
        return Err(LinkError::Origin);
    }

    let prefix = base.path().trim_end_matches('/');
    let below = path.strip_prefix(prefix).ok_or(LinkError::Path)?;
    if !below.is_empty() && !below.starts_with('/') {
        return Err(LinkError::Path);
    }
    let lower = path.to_ascii_lowercase();
    if ["%2e", "%2f", "%5c", "%00", "//"].iter().any(|hostile| lower.contains(hostile))
        || path.split('/').any(|segment| segment == "." || segment == "..")
    {
        return Err(LinkError::Path);
    }

    // What the parser makes of it must agree with what was read above.
    let url = Url::parse(link).map_err(|_| LinkError::NotAUrl)?;
    if url.origin() != base.origin() || !url.username().is_empty() || url.password().is_some() {
        return Err(LinkError::Origin);
    }
    if !url.path().starts_with(prefix) {
        return Err(LinkError::Path);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn graph() -> Url {
        Url::parse("https://graph.microsoft.com/v1.0").unwrap()
    }

    #[test]
    fn the_links_microsoft_sends_are_followed() {
        for link in [
            "https://graph.microsoft.com/v1.0/security/incidents?$skiptoken=abc%3D%3D&$top=50",
            "https://graph.microsoft.com:443/v1.0/security/incidents?$skip=50",
            "https://graph.microsoft.com/v1.0/security/incidents?$filter=status eq 'active'&$skip=50",
            "https://graph.microsoft.com/v1.0/users('a@contoso.com')/messages?$skip=10",
            "https://graph.microsoft.com/v1.0?$skip=1",
        ] {
            let url = pin(&graph(), link).unwrap_or_else(|error| panic!("{link}: {error}"));
            assert_eq!(url.host_str(), Some("graph.microsoft.com"));
        }
        let sandbox = Url::parse("http://127.0.0.1:4711/graph/v1.0/").unwrap();
        pin(&sandbox, "http://127.0.0.1:4711/graph/v1.0/security/incidents?$skip=1").unwrap();
    }

    #[test]
    fn links_that_lead_elsewhere_are_not() {
        use LinkError::{Characters, Fragment, NotAUrl, Origin, Path};
        for (link, why) in [
            ("", NotAUrl),
            ("http://graph.microsoft.com/v1.0/x", Origin),
            ("HTTPS://graph.microsoft.com/v1.0/x", Origin),
            ("https://GRAPH.microsoft.com/v1.0/x", Origin),
            ("https://graph.microsoft.com./v1.0/x", Origin),
            ("https://graph.microsoft.com.evil.example/v1.0/x", Origin),
            ("https://graph.microsoft.com@evil.example/v1.0/x", Origin),
            ("https://graph.microsoft.com:pw@evil.example/v1.0/x", Origin),
            ("https://user@graph.microsoft.com/v1.0/x", Origin),
            ("https://graph.microsoft.com:8443/v1.0/x", Origin),
            ("https://graph.microsoft.com:4430/v1.0/x", Origin),
            ("https://graph.microsoft.com:443@evil.example/v1.0/x", Origin),
            ("https://graph.mıcrosoft.com/v1.0/x", Origin),
            ("https://xn--graph.microsoft.com/v1.0/x", Origin),
            ("//evil.example/v1.0/x", Origin),
            ("/v1.0/security/incidents", Origin),
            ("https:/graph.microsoft.com/v1.0/x", Origin),
            ("https:\\\\graph.microsoft.com\\v1.0\\x", Characters),
            ("https://graph.microsoft.com\\@evil.example/v1.0/x", Characters),
            (" https://graph.microsoft.com/v1.0/x", Characters),
            ("https://graph.micro\tsoft.com/v1.0/x", Characters),
            ("https://graph.microsoft.com/v1.0/x?a=\r\nHost: evil", Characters),
            ("https://graph.microsoft.com/beta/x", Path),
            ("https://graph.microsoft.com/v1.01/x", Path),
            ("https://graph.microsoft.com/V1.0/x", Path),
            ("https://graph.microsoft.com/v1.0/../beta/x", Path),
            ("https://graph.microsoft.com/v1.0/%2e%2e/beta/x", Path),
            ("https://graph.microsoft.com/v1.0/.%2E/beta/x", Path),
            ("https://graph.microsoft.com/v1.0/..%2fbeta/x", Path),
            ("https://graph.microsoft.com/v1.0//evil.example/x", Path),
            ("https://graph.microsoft.com/", Path),
            ("https://graph.microsoft.com/v1.0/x#fragment", Fragment),
            ("file:///etc/passwd", Origin),
            ("gopher://graph.microsoft.com/v1.0/x", Origin),
        ] {
            assert_eq!(pin(&graph(), link), Err(why), "{link}");
        }
        assert_eq!(pin(&graph(), &format!("https://graph.microsoft.com/v1.0/{}", "x".repeat(LONGEST))), Err(NotAUrl));
    }

    proptest! {
        #[test]
        fn whatever_passes_stays_within_the_base(tail in "[ -~]{0,60}") {
            for link in [format!("https://graph.microsoft.com{tail}"), format!("https://graph.microsoft.com/v1.0{tail}")] {
                if let Ok(url) = pin(&graph(), &link) {
                    prop_assert_eq!(url.origin(), graph().origin());
                    prop_assert!(url.path() == "/v1.0" || url.path().starts_with("/v1.0/"), "{}", url);
                    prop_assert_eq!(url.username(), "");
                }
            }
        }
    }
}
