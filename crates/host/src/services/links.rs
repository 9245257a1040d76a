//! The next links that the services gave in this invocation.
//!
//! An action may ask for a URL only if an earlier answer of the same API carried it as a next link. Answers are
//! searched as bytes, without decoding them: the member name `@odata.nextLink` with its closing quote cannot stand
//! inside a JSON text, where that quote would be escaped.

use memchr::memmem::Finder;
use serde::Deserialize;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// The end of a member name, closing quote included; `alerts@odata.nextLink` ends so too.
const MEMBER: &[u8] = b"@odata.nextLink\"";

/// The links seen so far. Kept as keyed hashes: a listing of 100,000 incidents carries a thousand long URLs.
pub(crate) struct Links {
    finder: Finder<'static>,
    hasher: RandomState,
    seen: HashSet<u64>,
}

impl Default for Links {
    fn default() -> Self {
        Self { finder: Finder::new(MEMBER), hasher: RandomState::new(), seen: HashSet::new() }
    }
}

impl Links {
    /// Notes every next link in an answer of an API.
    pub(crate) fn note(&mut self, api: &str, body: &[u8]) {
        for at in self.finder.find_iter(body) {
            let rest = body.get(at + MEMBER.len()..).unwrap_or_default().trim_ascii_start();
            let Some(value) = rest.strip_prefix(b":") else { continue };
            let mut value = serde_json::Deserializer::from_slice(value);
            if let Ok(link) = String::deserialize(&mut value) {
                self.seen.insert(self.hasher.hash_one((api, link.as_str())));
            }
        }
    }

    /// Whether an answer of the API carried this link.
    pub(crate) fn has(&self, api: &str, link: &str) -> bool {
        self.seen.contains(&self.hasher.hash_one((api, link)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn next_links_are_known_by_api_and_by_every_character() {
        let mut links = Links::default();
        links.note("graph", br#"{"value":[],"@odata.nextLink" : "https:\/\/h\/v1.0\/a?$skip=50\u0026x=1"}"#);
        assert!(links.has("graph", "https://h/v1.0/a?$skip=50&x=1"));
        assert!(!links.has("defender-xdr", "https://h/v1.0/a?$skip=50&x=1"));
        assert!(!links.has("graph", "https://h/v1.0/a?$skip=51&x=1"));
        links.note("graph", br#"{"value":[{"alerts@odata.nextLink":"https://h/2"}],"@odata.nextLink":null}"#);
        assert!(links.has("graph", "https://h/2"));
    }

    #[test]
    fn a_link_inside_a_text_is_not_one() {
        let mut links = Links::default();
        let title = r#"x","@odata.nextLink":"https://evil/1"#;
        let body = json!({"value": [{"title": title, "description": "@odata.nextLink"}], "webUrl": "https://h/3"});
        links.note("graph", body.to_string().as_bytes());
        links.note("graph", br#"{"@odata.nextLink":{"a":"https://evil/2"}}"#);
        links.note("graph", br#"{"@odata.nextLink"#);
        for link in ["https://evil/1", "https://evil/2", "https://h/3", ""] {
            assert!(!links.has("graph", link), "{link}");
        }
    }
}
