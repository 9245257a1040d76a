//! Reading an input strictly.
//!
//! An input comes from a playbook, a file or a person. It is one JSON object in UTF-8, at most [`MAX_BYTES`]
//! long, without a key that stands twice (which of the two would count?). Every text value is trimmed, because
//! ids and names copied from elsewhere carry blanks.
//!
//! Whether the object is what the action wants is the action's to say; only when it refuses does the host compare
//! the object with the schema, in order to report every reason at once (see [`violations`]).

mod formats;
mod schema;

pub(crate) use formats::span;
pub(crate) use schema::merge;
pub use schema::violations;

use crate::failure::{Failure, MAX_VIOLATIONS, Violation};
use crate::text::quote;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;

/// The largest input, in bytes: 1 MiB.
pub const MAX_BYTES: usize = 1 << 20;

/// Reads one input.
///
/// # Errors
/// Kind `invalid_input`, with every duplicate key, or with the one reason why the text cannot be read at all.
pub fn parse(bytes: &[u8]) -> Result<Value, Failure> {
    if bytes.len() > MAX_BYTES {
        return Err(refused(format!(
            "the input has {} bytes, more than the {MAX_BYTES} that are taken; give less",
            bytes.len()
        )));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| refused(format!("the input is not UTF-8 (byte {}); save it as UTF-8", error.valid_up_to())))?;
    // Some shells put a byte order mark before what they pipe; RFC 8259 lets a reader pass over it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(refused("the input is empty; give one JSON object, `{}` if nothing is to be said"));
    }
    let duplicates = RefCell::default();
    let path = RefCell::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict { duplicates: &duplicates, path: &path }
        .deserialize(&mut deserializer)
        .map_err(|error| refused(unreadable(&error)))?;
    if deserializer.end().is_err() {
        return Err(refused("something follows the JSON object; one document only (--each reads one per line)"));
    }
    let duplicates: Vec<Violation> = duplicates.into_inner();
    if !duplicates.is_empty() {
        return Err(Failure::invalid_input(duplicates));
    }
    if value.is_object() {
        Ok(value)
    } else {
        Err(refused(format!("the input is {}, wanted a JSON object", name_of(&value))))
    }
}

fn refused(message: impl AsRef<str>) -> Failure {
    Failure::invalid_input(vec![Violation::new("", message)])
}

/// The parser's own words without the input's: its syntax messages quote nothing.
fn unreadable(error: &serde_json::Error) -> String {
    let place = format!("line {}, column {}", error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Eof => format!("the input ends in the middle of a value ({place})"),
        _ => format!("the input is not JSON: {error}"),
    }
}

/// What a JSON value is, with its article.
pub(crate) fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Appends a key to a JSON pointer (RFC 6901).
pub(crate) fn push_pointer(pointer: &mut String, key: &str) {
    pointer.push('/');
    for character in key.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

/// Builds a [`Value`] as `serde_json` does, but trims texts and notes keys that stand twice.
#[derive(Clone, Copy)]
struct Strict<'a> {
    duplicates: &'a RefCell<Vec<Violation>>,
    path: &'a RefCell<String>,
}

impl Strict<'_> {
    /// Runs `read` with the path one step deeper.
    fn within<T>(self, key: &str, read: impl FnOnce() -> T) -> T {
        let before = self.path.borrow().len();
        push_pointer(&mut self.path.borrow_mut(), key);
        let result = read();
        self.path.borrow_mut().truncate(before);
        result
    }

    fn duplicate(self, key: &str) {
        let mut duplicates = self.duplicates.borrow_mut();
        if duplicates.len() < MAX_VIOLATIONS {
            let mut pointer = self.path.borrow().clone();
            push_pointer(&mut pointer, key);
            duplicates.push(Violation::new(pointer, format!("the key {} stands twice; keep one", quote(key))));
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.trim().to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let at = items.len().to_string();
            match self.within(&at, || sequence.next_element_seed(self))? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = self.within(&key, || map.next_value_seed(self))?;
            if members.contains_key(&key) {
                self.duplicate(&key);
            }
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn violations_of(bytes: &[u8]) -> Vec<(String, String)> {
        let failure = parse(bytes).unwrap_err();
        assert_eq!(failure.exit_code(), 65);
        failure.violations.iter().map(|violation| (violation.pointer.clone(), violation.message.clone())).collect()
    }

    #[test]
    fn an_object_is_read_and_its_texts_are_trimmed() {
        let value =
            parse(b"\xef\xbb\xbf {\"a\": \" b \\n\", \"c\": [\" d\", 1, 2.5, null, true], \" e \": -3} ").unwrap();
        assert_eq!(value, json!({"a": "b", "c": ["d", 1, 2.5, null, true], " e ": -3}));
    }

    #[test]
    fn what_is_not_one_object_is_refused_with_a_reason() {
        for (input, reason) in [
            (&b""[..], "empty"),
            (b"  \n", "empty"),
            (b"[]", "a list"),
            (b"\"x\"", "a text"),
            (b"null", "null"),
            (b"{}{}", "one document"),
            (b"{} x", "one document"),
            (b"{\"a\":", "ends in the middle"),
            (b"{\"a\":1,}", "not JSON"),
            (b"{a:1}", "not JSON"),
            (b"{\"a\":NaN}", "not JSON"),
            (b"{\"a\":1e999}", "not JSON"),
            (b"{\"a\":\"\xff\"}", "not UTF-8"),
            (b"hunter2", "not JSON"),
        ] {
            let violations = violations_of(input);
            assert_eq!(violations.len(), 1);
            assert!(violations[0].1.contains(reason), "{input:?}: {violations:?}");
            assert!(!violations[0].1.contains("hunter2"), "the input must not be quoted: {violations:?}");
        }
    }

    #[test]
    fn every_duplicate_is_named_by_its_place() {
        let found = violations_of(br#"{"a":1,"a":2,"b":[{"c/d":1,"c/d":2}],"a":3}"#);
        let pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/a", "/b/0/c~1d", "/a"]);
    }

    #[test]
    fn too_much_is_refused_before_it_is_read() {
        let mut input = b"{\"a\":\"".to_vec();
        input.resize(MAX_BYTES, b'x');
        input.extend_from_slice(b"\"}");
        assert!(violations_of(&input)[0].1.contains("bytes"));
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(violations_of(deep.as_bytes())[0].1.contains("recursion"));
    }

    /// Any JSON value whose texts have nothing to trim.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "[^\\s]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(".{0,6}", inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_serde_json_writes_is_read_back(members in prop::collection::btree_map(".{0,6}", any_json(), 0..6)) {
            let value = Value::Object(members.into_iter().collect());
            prop_assert_eq!(parse(value.to_string().as_bytes()).unwrap(), value);
        }

        #[test]
        fn no_bytes_make_it_panic_and_refusals_say_why(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Err(failure) = parse(&bytes) {
                prop_assert!(!failure.violations.is_empty());
                prop_assert_eq!(failure.exit_code(), 65);
            }
        }

        #[test]
        fn almost_json_is_never_accepted_with_a_duplicate(key in "[a-z]{1,4}", values in prop::collection::vec(0..9u8, 2..5)) {
            let members: Vec<String> = values.iter().map(|value| format!("\"{key}\":{value}")).collect();
            let failure = parse(format!("{{{}}}", members.join(",")).as_bytes()).unwrap_err();
            prop_assert_eq!(failure.violations.len(), values.len() - 1);
        }
    }
}
