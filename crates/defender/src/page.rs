//! List answers and single records, split without copying.
//!
//! A list answer is `{"value": [record, ..], "@odata.nextLink": .., "@odata.count": ..}` on every surface. One walk
//! over its bytes checks all of it as JSON, finds the records and shows each record's top-level members to a
//! [`View`], which remembers the few it cares about. The records themselves stay slices of the answer, so that an
//! unchanged record goes on to the output as it came.

pub use crate::scan::JsonError;
use crate::scan::Scanner;
use std::borrow::Cow;

/// Looks at the top-level members of a record while it is being split off. `()` looks at nothing.
pub trait View<'a>: Default {
    /// One member, in the order of the text: its name as it stands between the quotes (escapes are not undone, since
    /// no service escapes the names it documents) and the JSON text of its value. A name that comes twice is shown
    /// twice; the last one counts, as for every common JSON reader.
    fn member(&mut self, name: &'a str, value: &'a str);
}

impl View<'_> for () {
    fn member(&mut self, _: &str, _: &str) {}
}

/// One record of an answer.
#[derive(Clone, Debug)]
pub struct Record<'a, V> {
    /// Its JSON text, without surrounding white space.
    pub text: &'a str,
    /// What the view saw.
    pub view: V,
    /// Whether the text holds line breaks between its tokens, so that it must be [compacted](compact) before it
    /// can stand on one line.
    pub multiline: bool,
}

/// A page of a list answer.
#[derive(Clone, Debug)]
pub struct Page<'a, V> {
    /// The records, in the order of the answer.
    pub records: Vec<Record<'a, V>>,
    /// The address of the next page, to be followed verbatim (contract section 3).
    pub next_link: Option<Cow<'a, str>>,
    /// The number of all matches, when it was asked for.
    pub count: Option<u64>,
}

/// Splits a list answer.
///
/// # Errors
/// When the bytes are not UTF-8, not one JSON document, or not an object with a `value` array.
pub fn split<'a, V: View<'a>>(body: &'a [u8]) -> Result<Page<'a, V>, JsonError> {
    let mut scanner = Scanner::new(text(body)?);
    let mut page = Page { records: Vec::new(), next_link: None, count: None };
    let mut found = false;
    scanner.object(|name, scanner| {
        match name {
            "value" if found => return Err(scanner.error("two \"value\" members")),
            "value" => {
                found = true;
                scanner.array(|scanner| {
                    page.records.push(one(scanner)?);
                    Ok(())
                })?;
            }
            "@odata.nextLink" => {
                let link = scanner.value()?;
                page.next_link = match string(link) {
                    Some(link) => Some(link),
                    None if link == "null" => None,
                    None => return Err(scanner.error("a next link that is not text")),
                };
            }
            "@odata.count" => page.count = scanner.value()?.parse().ok(),
            _ => drop(scanner.value()?),
        }
        Ok(())
    })?;
    scanner.end()?;
    if found { Ok(page) } else { Err(scanner.error("no \"value\" array in the list answer")) }
}

/// Reads an answer that is a single record.
///
/// # Errors
/// When the bytes are not UTF-8 or not one JSON document.
pub fn record<'a, V: View<'a>>(body: &'a [u8]) -> Result<Record<'a, V>, JsonError> {
    let mut scanner = Scanner::new(text(body)?);
    let record = one(&mut scanner)?;
    scanner.end()?;
    Ok(record)
}

/// The answer as text; a byte order mark, which some proxies add, is passed over.
fn text(body: &[u8]) -> Result<&str, JsonError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    std::str::from_utf8(body)
        .map_err(|error| JsonError { problem: "text that is not UTF-8", position: error.valid_up_to() })
}

fn one<'a, V: View<'a>>(scanner: &mut Scanner<'a>) -> Result<Record<'a, V>, JsonError> {
    let mut view = V::default();
    let first = scanner.peek();
    scanner.take_multiline();
    let start = scanner.position();
    if first == Some(b'{') {
        scanner.object(|name, scanner| {
            view.member(name, scanner.value()?);
            Ok(())
        })?;
    } else {
        scanner.value()?;
    }
    Ok(Record { text: scanner.since(start), view, multiline: scanner.take_multiline() })
}

/// The content of a JSON string; `None` for any other value, and for an escape that means no character.
pub fn string(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(value).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

/// The elements of a JSON array, as JSON text; none when the value is not an array.
pub fn elements(value: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let walked = Scanner::new(value).array(|scanner| scanner.value().map(|element| found.push(element)));
    if walked.is_ok() { found } else { Vec::new() }
}

/// A JSON text without the white space between its tokens.
pub fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(quote) = rest.find('"') {
        let (between, string) = rest.split_at(quote);
        out.extend(between.split([' ', '\t', '\n', '\r']));
        let end = Scanner::new(string).value().map_or(string.len(), str::len);
        out.push_str(string.get(..end).unwrap_or_default());
        rest = string.get(end..).unwrap_or_default();
    }
    out.extend(rest.split([' ', '\t', '\n', '\r']));
    out
}

/// The members of a JSON object, as names and JSON texts; none when the value is not an object.
pub fn members(value: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let walked = Scanner::new(value).object(|name, scanner| {
        found.push((name, scanner.value()?));
        Ok(())
    });
    if walked.is_ok() { found } else { Vec::new() }
}

/// An object's JSON text without the members whose names are refused; other text comes back as it is.
pub fn without(object: &str, refused: impl Fn(&str) -> bool) -> Cow<'_, str> {
    let members = members(object);
    if !members.iter().any(|(name, _)| refused(name)) {
        return Cow::Borrowed(object);
    }
    let mut out = String::with_capacity(object.len());
    for (name, value) in members.into_iter().filter(|(name, _)| !refused(name)) {
        out.push(if out.is_empty() { '{' } else { ',' });
        out.push('"');
        out.push_str(name);
        out.push_str("\":");
        out.push_str(value);
    }
    out.push_str(if out.is_empty() { "{}" } else { "}" });
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Default)]
    struct Id<'a>(&'a str);

    impl<'a> View<'a> for Id<'a> {
        fn member(&mut self, name: &'a str, value: &'a str) {
            if name == "id" {
                self.0 = value;
            }
        }
    }

    #[test]
    fn a_page_is_its_records_its_link_and_its_count() {
        let body = br#" {"@odata.context":"x","@odata.count":7,"value":[{"id":"1","a":[{"id":"9"}]}, {"id":2},null],
            "@odata.nextLink":"https://example.test/a?b=\u0063"} "#;
        let page = split::<Id<'_>>(body).unwrap();
        assert_eq!(page.records.iter().map(|record| record.view.0).collect::<Vec<_>>(), ["\"1\"", "2", ""]);
        assert_eq!(page.records[0].text, r#"{"id":"1","a":[{"id":"9"}]}"#);
        assert_eq!(page.records[2].text, "null");
        assert_eq!(page.next_link.as_deref(), Some("https://example.test/a?b=c"));
        assert_eq!(page.count, Some(7));
    }

    #[test]
    fn what_is_not_a_page_is_refused() {
        for body in [
            &b""[..],
            b"[]",
            b"{}",
            b"{\"value\":{}}",
            b"{\"value\":[]",
            b"{\"value\":[]}x",
            b"{\"value\":[],\"value\":[]}",
            b"<html>",
            b"{\"value\":[\xff]}",
            b"{\"value\":[\"\xff\"]}",
            b"{\"value\":[],\"@odata.nextLink\":3}",
            b"{\"value\":[NaN]}",
        ] {
            assert!(split::<()>(body).is_err(), "{:?}", String::from_utf8_lossy(body));
        }
        assert!(split::<()>(b"\xef\xbb\xbf{\"value\":[],\"@odata.nextLink\":null}").unwrap().next_link.is_none());
    }

    #[test]
    fn line_breaks_between_tokens_are_noticed_per_record() {
        let page = split::<()>(b"{\n\"value\":[\n{\"a\":\"x\\ny\"},\n{\n\"a\": 1}\n]}").unwrap();
        assert_eq!(page.records.iter().map(|record| record.multiline).collect::<Vec<_>>(), [false, true]);
        assert_eq!(compact(page.records[1].text), r#"{"a":1}"#);
    }

    #[test]
    fn members_can_be_left_out() {
        let text = r#"{"id":"1","alerts":[{"alerts":1}],"z":"a,b","alerts@odata.context":"x"}"#;
        assert_eq!(without(text, |name| name.starts_with("alerts")), r#"{"id":"1","z":"a,b"}"#);
        assert_eq!(without(r#"{"alerts":[]}"#, |name| name == "alerts"), "{}");
        assert_eq!(without("null", |_| true), "null");
    }

    /// Any JSON value of some depth.
    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn records_come_back_as_they_were_sent(records in prop::collection::vec(json(), 0..8), pretty in any::<bool>()) {
            let body = serde_json::json!({"value": records, "@odata.nextLink": "https://a.test/?$skiptoken='\"é"});
            let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();
            let page = split::<()>(text.as_bytes()).unwrap();
            let found: Vec<serde_json::Value> =
                page.records.iter().map(|record| serde_json::from_str(record.text).unwrap()).collect();
            prop_assert_eq!(&found, &records);
            prop_assert_eq!(page.next_link.as_deref(), Some("https://a.test/?$skiptoken='\"é"));
            for record in &page.records {
                prop_assert_eq!(compact(record.text), serde_json::to_string(&serde_json::from_str::<serde_json::Value>(record.text).unwrap()).unwrap());
            }
        }

        #[test]
        fn a_cut_page_is_never_a_page(records in prop::collection::vec(json(), 1..4), cut in 0.0..1.0f64) {
            let text = serde_json::to_vec(&serde_json::json!({"value": records})).unwrap();
            let end = (text.len() as f64 * cut) as usize;
            prop_assert!(split::<()>(&text[..end]).is_err());
        }
    }
}
