//! From a declared call and its parameters to a URL that can only be the one that was declared.
//!
//! A parameter is exactly one path segment. What could be read as more than that (separators, dot segments, an
//! encoding of either) is refused instead of encoded, because servers and proxies disagree about what an encoded
//! separator means; everything else is encoded.

use sortie_auth::Call;
use std::collections::BTreeMap;
use url::Url;

/// Why a request does not fit its declaration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    /// The declaration has a parameter that the request does not give.
    #[error("the path parameter `{0}` is missing")]
    Missing(String),
    /// The request gives a parameter that the declaration does not have.
    #[error("there is no path parameter `{0}`")]
    Unknown(String),
    /// A value cannot be one path segment.
    #[error("`{name}` {problem}, and cannot be part of a URL")]
    Hostile {
        /// The parameter.
        name: String,
        /// What is wrong with its value.
        problem: &'static str,
    },
    /// What came out is not what was put together.
    #[error("the URL does not stay within its API")]
    Escaped,
}

/// The URL of a call: the API's base, the template with its parameters, the query.
pub(crate) fn build(
    base: &Url,
    call: &Call,
    path: &BTreeMap<String, String>,
    query: &[(String, String)],
) -> Result<Url, UrlError> {
    for name in path.keys() {
        if !call.parameters().any(|parameter| parameter == name) {
            return Err(UrlError::Unknown(crate::text::clean(name, 64)));
        }
    }
    let mut text = base.as_str().trim_end_matches('/').to_owned();
    for segment in call.path.trim_start_matches('/').split('/') {
        text.push('/');
        match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            None => text.push_str(segment),
            Some(name) => {
                let value = path.get(name).ok_or_else(|| UrlError::Missing(name.to_owned()))?;
                if let Some(problem) = hostile(value) {
                    return Err(UrlError::Hostile { name: name.to_owned(), problem });
                }
                encode(&mut text, value, false);
            }
        }
    }
    let path_end = text.len();
    for (at, (name, value)) in query.iter().enumerate() {
        text.push(if at == 0 { '?' } else { '&' });
        encode(&mut text, name, true);
        text.push('=');
        encode(&mut text, value, true);
    }
    let url = Url::parse(&text).map_err(|_| UrlError::Escaped)?;
    // What the parser made of it must be what was put together, character by character.
    let kept = text.get(..path_end).is_some_and(|wanted| {
        url.as_str().strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('?'))
    });
    if kept && url.origin() == base.origin() { Ok(url) } else { Err(UrlError::Escaped) }
}

/// Why a value cannot be one segment of a path.
fn hostile(value: &str) -> Option<&'static str> {
    match value {
        "" => Some("is empty"),
        "." | ".." => Some("is a dot segment"),
        _ if value.len() > 1_024 => Some("is longer than 1024 bytes"),
        _ if value.contains(['/', '\\']) => Some("contains a path separator"),
        _ if value.contains('%') => Some("contains `%`"),
        _ if value.contains(char::is_control) => Some("contains a control character"),
        _ => None,
    }
}

/// Appends percent-encoded UTF-8. Unreserved characters (RFC 3986) stay, and in a query the `$` that begins OData's
/// option names.
fn encode(text: &mut String, value: &str, query: bool) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (query && byte == b'$') {
            text.push(char::from(byte));
        } else {
            text.push('%');
            for digit in [byte >> 4, byte & 15] {
                text.push(HEX.get(usize::from(digit)).map_or('0', |digit| char::from(*digit)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sortie_auth::{Api, Effect, LimitClass, Method, Role};
    use std::borrow::Cow;

    fn call(path: &'static str) -> Call {
        Call {
            id: Cow::Borrowed("x"),
            api: Api::GRAPH,
            method: Method::Get,
            path: Cow::Borrowed(path),
            effect: Effect::Read,
            role: Role::Base,
            permissions: Cow::Borrowed(&[]),
            limit: LimitClass::named("x"),
        }
    }

    fn base() -> Url {
        Url::parse("https://graph.microsoft.com/v1.0").unwrap()
    }

    fn with(id: &str) -> Result<Url, UrlError> {
        let path = BTreeMap::from([("id".to_owned(), id.to_owned())]);
        build(&base(), &call("/security/incidents/{id}/comments"), &path, &[])
    }

    #[test]
    fn ordinary_values_are_encoded_as_one_segment() {
        for (id, wanted) in [
            ("29", "29"),
            ("user@contoso.com", "user%40contoso.com"),
            ("a b", "a%20b"),
            ("é", "%C3%A9"),
            ("a?b#c", "a%3Fb%23c"),
            ("O'Brien", "O%27Brien"),
            ("a;b=c", "a%3Bb%3Dc"),
            ("...", "..."),
        ] {
            let expected = format!("https://graph.microsoft.com/v1.0/security/incidents/{wanted}/comments");
            assert_eq!(with(id).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn hostile_values_are_refused() {
        for id in [
            "",
            ".",
            "..",
            "/",
            "\\",
            "../machines",
            "..\\machines",
            "29/../../machines",
            "29/",
            "/29",
            "29/alerts",
            "%2f",
            "%2F..",
            "29%2f..",
            "%2e%2e",
            "%252e",
            "%",
            "%00",
            "29%0d%0aHost:x",
            "\0",
            "29\0",
            "\r\n",
            "29\n",
            "29\t",
            "\u{7f}",
            "\u{85}",
            "https://evil.example/",
            "//evil.example",
            "29\\..",
            "a\u{1b}[31m",
            &"x".repeat(2_000),
        ] {
            let error = with(id).unwrap_err();
            assert!(matches!(error, UrlError::Hostile { .. }), "{id:?}: {error}");
        }
    }

    #[test]
    fn parameters_are_exactly_those_declared() {
        let none = BTreeMap::new();
        assert_eq!(build(&base(), &call("/a/{id}"), &none, &[]), Err(UrlError::Missing("id".into())));
        let other = BTreeMap::from([("id".into(), "1".into()), ("host".into(), "evil".into())]);
        assert_eq!(build(&base(), &call("/a/{id}"), &other, &[]), Err(UrlError::Unknown("host".into())));
    }

    #[test]
    fn a_query_is_encoded_and_keeps_the_dollar() {
        let query = [
            ("$filter".to_owned(), "title eq 'a&b=c' and x ge 2026-01-01T00:00:00Z".to_owned()),
            ("$top".to_owned(), "50".to_owned()),
        ];
        let url = build(&base(), &call("/a"), &BTreeMap::new(), &query).unwrap();
        assert_eq!(
            url.query().unwrap(),
            "$filter=title%20eq%20%27a%26b%3Dc%27%20and%20x%20ge%202026-01-01T00%3A00%3A00Z&$top=50"
        );
        let back: Vec<(String, String)> =
            url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        assert_eq!(back, query);
    }

    #[test]
    fn a_base_may_have_a_port_and_no_path() {
        let base = Url::parse("http://127.0.0.1:4711").unwrap();
        let url = build(&base, &call("/a"), &BTreeMap::new(), &[]).unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:4711/a");
    }

    proptest! {
        #[test]
        fn whatever_passes_is_one_segment_and_decodes_to_itself(id in any::<String>()) {
            if let Ok(url) = with(&id) {
                let segments: Vec<&str> = url.path_segments().unwrap().collect();
                prop_assert_eq!(segments.len(), 5);
                prop_assert_eq!(&segments[..3], ["v1.0", "security", "incidents"]);
                prop_assert_eq!(segments[4], "comments");
                prop_assert_eq!(url.origin(), base().origin());
                prop_assert!(url.query().is_none() && url.fragment().is_none());
                // Decode the segment by hand: the form decoder of `url` with `+` out of the way.
                let encoded = segments[3].replace('+', "%2B");
                let pair = format!("x={encoded}");
                let decoded = url::form_urlencoded::parse(pair.as_bytes()).next().unwrap().1.into_owned();
                prop_assert_eq!(decoded, id);
            }
        }

        #[test]
        fn any_query_comes_back_as_it_was(pairs in prop::collection::vec((any::<String>(), any::<String>()), 0..5)) {
            let url = build(&base(), &call("/a"), &BTreeMap::new(), &pairs).unwrap();
            let back: Vec<(String, String)> =
                url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
            prop_assert_eq!(back, pairs);
        }
    }
}
