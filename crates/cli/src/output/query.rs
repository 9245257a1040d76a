//! `--query`: the jq language over what would have been printed.
//!
//! A query is compiled before anything runs, so that a misspelling costs no call. It knows the whole standard
//! library but `env`: what stands in the environment (credentials, for one) is not the result's business.

use jaq_core::data::JustLut;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Filter, Vars, compile, load, unwrap_valr};
use jaq_json::{Num, Val, read};
use sortie_host::Failure;
use sortie_host::kinds;
use std::io;

/// The most characters of the query's own error that are passed on: it quotes whole values.
const LONGEST_REASON: usize = 160;

/// A compiled query.
pub(crate) struct Query {
    filter: Filter<JustLut<Val>>,
}

/// Why a query ended early.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The output could not be written.
    Output(io::Error),
    /// The query itself failed on this value, in its own words.
    Query(String),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Query {
    /// Compiles a query.
    ///
    /// # Errors
    /// Kind `usage`, naming what could not be understood.
    pub(crate) fn compile(code: &str) -> Result<Self, Failure> {
        let refused = |reason: String| {
            Failure::new(kinds::USAGE, format!("--query {code}: {reason}"))
                .with_hint("it is the jq language, for example '.records[].displayName'")
        };
        let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        let functions =
            jaq_core::funs().chain(jaq_std::funs().filter(|(name, ..)| *name != "env")).chain(jaq_json::funs());
        let arena = Arena::default();
        let modules = Loader::new(definitions)
            .load(&arena, File { code, path: () })
            .map_err(|errors| refused(not_read(code, errors)))?;
        let filter = Compiler::default()
            .with_funs(functions)
            .compile(modules)
            .map_err(|errors| refused(not_defined(&errors)))?;
        Ok(Self { filter })
    }

    /// Runs the query over one JSON document; `write` gets each output as one JSON document.
    ///
    /// # Errors
    /// What `write` returned, or why the query cannot be applied to this document.
    pub(crate) fn run(&self, document: &str, mut write: impl FnMut(&str) -> io::Result<()>) -> Result<(), Ended> {
        let input = read::parse_single(document.as_bytes()).map_err(|error| Ended::Query(error.to_string()))?;
        let context = Ctx::<JustLut<Val>>::new(&self.filter.lut, Vars::new([]));
        let mut text = String::new();
        for output in self.filter.id.run((context, input)).map(unwrap_valr) {
            let value = output.map_err(|error| Ended::Query(cut(&error.to_string())))?;
            text.clear();
            put(&mut text, &value);
            write(&text)?;
        }
        Ok(())
    }
}

/// A reason without most of the value that it quotes.
fn cut(reason: &str) -> String {
    match reason.char_indices().nth(LONGEST_REASON) {
        Some((at, _)) => format!("{}…", reason.get(..at).unwrap_or_default()),
        None => reason.to_owned(),
    }
}

/// Writes a value as strict JSON. What JSON cannot say becomes what jq makes of it: NaN is null, the infinities are
/// the largest numbers, keys are text.
fn put(text: &mut String, value: &Val) {
    match value {
        Val::Null => text.push_str("null"),
        Val::Bool(true) => text.push_str("true"),
        Val::Bool(false) => text.push_str("false"),
        Val::Num(Num::Float(number)) if number.is_nan() => text.push_str("null"),
        Val::Num(Num::Float(number)) if number.is_infinite() => {
            text.push_str(if number.is_sign_positive() { "1.7976931348623157e308" } else { "-1.7976931348623157e308" });
        }
        Val::Num(number) => text.push_str(&number.to_string()),
        Val::BStr(bytes) | Val::TStr(bytes) => put_text(text, &String::from_utf8_lossy(bytes)),
        Val::Arr(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                put(text, item);
            }
            text.push(']');
        }
        Val::Obj(members) => {
            text.push('{');
            for (at, (key, member)) in members.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                match key {
                    Val::BStr(bytes) | Val::TStr(bytes) => put_text(text, &String::from_utf8_lossy(bytes)),
                    other => put_text(text, &other.to_string()),
                }
                text.push(':');
                put(text, member);
            }
            text.push('}');
        }
    }
}

fn put_text(text: &mut String, content: &str) {
    text.push_str(&serde_json::Value::from(content).to_string());
}

/// What the parser stumbled over. It tells the rest of the code from there on.
fn not_read(code: &str, errors: load::Errors<&str, ()>) -> String {
    let rest = errors.into_iter().find_map(|(_, error)| match error {
        load::Error::Io(_) => Some("it cannot load modules".to_owned()),
        load::Error::Lex(errors) => {
            errors.first().map(|(expected, found)| format!("expected {} {}", expected.as_str(), place(code, found)))
        }
        load::Error::Parse(errors) => {
            errors.first().map(|(expected, found)| format!("expected {} {}", expected.as_str(), place(code, found)))
        }
    });
    rest.unwrap_or_else(|| "it cannot be understood".to_owned())
}

fn place(code: &str, rest: &str) -> String {
    if rest.is_empty() || rest.len() > code.len() {
        return "at its end".to_owned();
    }
    let shown: String = rest.chars().take(20).collect();
    format!("at `{shown}`")
}

fn not_defined(errors: &compile::Errors<&str, ()>) -> String {
    let names: Vec<String> = errors
        .iter()
        .flat_map(|(_, errors)| errors)
        .map(|(name, what)| match what {
            compile::Undefined::Filter(arity) if *arity > 0 => format!("filter {name} of {arity} arguments"),
            other => format!("{} {name}", other.as_str()),
        })
        .collect();
    format!("there is no {}", names.join(", no "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outputs(code: &str, document: &str) -> Result<Vec<String>, String> {
        let query = Query::compile(code).map_err(|failure| failure.message.clone())?;
        let mut found = Vec::new();
        match query.run(document, |text| {
            found.push(text.to_owned());
            Ok(())
        }) {
            Ok(()) => Ok(found),
            Err(Ended::Query(reason)) => Err(reason),
            Err(Ended::Output(error)) => Err(error.to_string()),
        }
    }

    #[test]
    fn each_output_is_one_document() {
        let document = r#"{"records":[{"id":"1","n":2,"title":"a\u202eb"},{"id":"2","n":3,"title":"Ransomware"}]}"#;
        assert_eq!(outputs(".records[].id", document).unwrap(), [r#""1""#, r#""2""#]);
        assert_eq!(outputs("[.records[] | .n] | add", document).unwrap(), ["5"]);
        assert_eq!(
            outputs(r#".records[] | select(.title | test("ransom"; "i")) | .id"#, document).unwrap(),
            [r#""2""#]
        );
        assert_eq!(outputs(".records[0] | keys", document).unwrap(), [r#"["id","n","title"]"#]);
        assert_eq!(outputs("empty", document).unwrap(), Vec::<String>::new());
        assert_eq!(outputs(r#".records[] | [.id, (.n | tostring)] | join(",")"#, document).unwrap().len(), 2);
    }

    #[test]
    fn the_order_of_members_and_the_digits_of_numbers_stay() {
        let document = r#"{"b":1,"a":{"z":1.50,"y":12345678901234567890}}"#;
        let found = outputs(".", document).unwrap();
        assert!(found[0].starts_with(r#"{"b":1,"a":{"z":1.5"#), "{found:?}");
        assert!(found[0].contains("12345678901234567890"), "{found:?}");
    }

    #[test]
    fn what_json_cannot_say_is_still_json() {
        assert_eq!(outputs("[nan, infinite]", "null").unwrap(), ["[null,1.7976931348623157e308]"]);
    }

    #[test]
    fn a_mistake_is_named_before_anything_runs() {
        for (code, part) in [
            (".a |", "at its end"),
            ("frobnicate", "frobnicate"),
            (".a[", "expected"),
            ("map(.a; 1)", "map"),
            ("$missing", "missing"),
            ("env", "env"),
        ] {
            let failure = Query::compile(code).map(|_| ()).unwrap_err();
            assert_eq!(failure.exit_code(), 2);
            assert!(failure.message.contains(part), "{code}: {}", failure.message);
        }
    }

    #[test]
    fn a_failure_on_a_value_says_so() {
        assert!(outputs(".a.b", r#"{"a":1}"#).is_err());
        let long = format!(r#"{{"a":["{}"]}}"#, "x".repeat(10_000));
        assert!(outputs(".a.b", &long).unwrap_err().chars().count() <= LONGEST_REASON + 1);
    }

    proptest! {
        #[test]
        fn whatever_goes_through_stays_the_same_json(text in any::<String>(), number in any::<i64>(), key in any::<String>()) {
            let mut members = serde_json::Map::new();
            members.insert(key, serde_json::json!([text, number, null, true]));
            let document = serde_json::Value::Object(members);
            let found = outputs(".", &document.to_string()).unwrap();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&found[0]).unwrap(), document);
        }
    }
}
