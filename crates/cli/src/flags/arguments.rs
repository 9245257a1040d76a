//! From flags to arguments of the command line, and from what was typed to an input.

use super::schema::{Flag, Kind};
use clap::{Arg, ArgAction, ArgMatches};
use serde_json::{Map, Number, Value};

/// The heading under which help lists an action's flags.
const HEADING: &str = "Input";

/// The arguments for an action's flags. Ids are the flag names.
pub(crate) fn arguments(flags: &[Flag]) -> Vec<Arg> {
    let taken = |name: &str| flags.iter().any(|flag| flag.name == name);
    let mut arguments = Vec::with_capacity(flags.len() + 4);
    for flag in flags {
        let argument = Arg::new(flag.name.clone())
            .long(flag.name.clone())
            .help(help(flag))
            .help_heading(HEADING)
            .value_name(placeholder(&flag.kind));
        arguments.push(match &flag.kind {
            Kind::Switch => argument.num_args(0..=1).require_equals(true).default_missing_value("true"),
            Kind::Time | Kind::Integer | Kind::Number => argument.num_args(1).allow_hyphen_values(true),
            Kind::List(_) => argument.num_args(1).action(ArgAction::Append),
            Kind::Text | Kind::Span | Kind::Json => argument.num_args(1),
        });
        let negation = format!("no-{}", flag.name);
        if flag.kind == Kind::Switch && !taken(&negation) {
            let argument = Arg::new(negation.clone())
                .long(negation)
                .help(format!("The same as --{}=false", flag.name))
                .help_heading(HEADING)
                .hide(true)
                .overrides_with(flag.name.clone())
                .action(ArgAction::SetTrue);
            arguments.push(argument);
        }
    }
    arguments
}

fn placeholder(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::List(_) => "TEXT",
        Kind::Time => "TIME",
        Kind::Span => "SPAN",
        Kind::Integer => "N",
        Kind::Number => "NUMBER",
        Kind::Switch => "true|false",
        Kind::Json => "JSON",
    }
}

fn help(flag: &Flag) -> String {
    let mut help = flag.help.clone();
    let mut add = |text: String| {
        if !help.is_empty() {
            help.push(' ');
        }
        help.push_str(&text);
    };
    if flag.required {
        add("(required)".to_owned());
    }
    if !flag.values.is_empty() {
        add(format!("[values: {}]", flag.values.join(", ")));
    }
    // Descriptions name defaults themselves where they say what a default means.
    if let Some(default) = flag.default.as_ref().filter(|_| !flag.help.contains("Default")) {
        add(format!("[default: {default}]"));
    }
    if flag.kind == Kind::Switch {
        add(format!("[off: --no-{}]", flag.name));
    }
    if matches!(flag.kind, Kind::List(_)) {
        add("[repeat it or separate by commas]".to_owned());
    }
    help
}

/// The input that the typed flags describe: an object with the members that were given, nothing else.
pub(crate) fn input(flags: &[Flag], matches: &ArgMatches) -> Map<String, Value> {
    let mut input = Map::new();
    for flag in flags {
        let value = match &flag.kind {
            Kind::Switch => {
                let negation = format!("no-{}", flag.name);
                let negated = matches.try_get_one::<bool>(&negation).ok().flatten() == Some(&true);
                let given = matches.get_one::<String>(&flag.name).map(|text| typed(&flag.kind, text));
                if negated { Some(Value::Bool(false)) } else { given }
            }
            Kind::List(item) => matches.get_many::<String>(&flag.name).map(|given| list(item, given)),
            kind => matches.get_one::<String>(&flag.name).map(|text| typed(kind, text)),
        };
        if let Some(value) = value {
            put(&mut input, &flag.path, value);
        }
    }
    input
}

fn put(object: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [name] => {
            object.insert(name.clone(), value);
        }
        [name, rest @ ..] => {
            let member = object.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(members) = member {
                put(members, rest, value);
            }
        }
    }
}

/// Elements separated by commas; a value that begins as a JSON array is one, for elements that hold a comma.
fn list<'a>(item: &Kind, given: impl Iterator<Item = &'a String>) -> Value {
    let mut items = Vec::new();
    for text in given {
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Array(elements)) => items.extend(elements),
            _ => items
                .extend(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(|part| typed(item, part))),
        }
    }
    Value::Array(items)
}

/// The value that the schema wants, or the text as it is when that cannot be made of it: whoever checks the input
/// says what is wrong with it.
fn typed(kind: &Kind, text: &str) -> Value {
    let text = text.trim();
    let value = match kind {
        Kind::Text | Kind::Time | Kind::Span => None,
        Kind::Integer => {
            text.parse::<i64>().map(Value::from).ok().or_else(|| text.parse::<u64>().map(Value::from).ok())
        }
        Kind::Number => match text.parse::<i64>() {
            Ok(whole) => Some(Value::from(whole)),
            Err(_) => text.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number),
        },
        Kind::Switch => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(Value::Bool(true)),
            "false" | "no" | "off" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        Kind::List(_) | Kind::Json => serde_json::from_str(text).ok(),
    };
    value.unwrap_or_else(|| Value::from(text))
}

/// Puts the members of `over` over those of `under`; objects are merged, everything else is replaced.
pub(crate) fn merge(under: &mut Map<String, Value>, over: Map<String, Value>) {
    for (name, value) in over {
        match (under.get_mut(&name), value) {
            (Some(Value::Object(before)), Value::Object(members)) => merge(before, members),
            (_, value) => {
                under.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::flags;
    use super::*;
    use clap::Command;
    use proptest::prelude::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "incidentId": {"type": "string"},
                "alerts": {"type": "boolean"},
                "limit": {"type": "integer"},
                "ratio": {"type": "number"},
                "createdAfter": {"type": ["string", "integer"], "format": "sortie-time"},
                "status": {"type": "array", "items": {"type": "string"}},
                "sizes": {"type": "array", "items": {"type": "integer"}},
                "filter": {"type": "object"},
                "tags": {"type": "object", "properties": {
                    "set": {"type": "array", "items": {"type": "string"}},
                    "add": {"type": "array", "items": {"type": "string"}}}}
            }
        })
    }

    fn read(arguments_given: &[&str]) -> Result<Value, String> {
        let flags = flags(&schema(), &|_| false);
        let command = Command::new("x").no_binary_name(true).args(arguments(&flags));
        let matches = command.try_get_matches_from(arguments_given).map_err(|error| error.to_string())?;
        Ok(Value::Object(input(&flags, &matches)))
    }

    #[test]
    fn flags_become_the_values_that_the_schema_wants() {
        for (given, wanted) in [
            (&["--incident-id", "29"][..], json!({"incidentId": "29"})),
            (&["--incident-id", " 29 "], json!({"incidentId": "29"})),
            (&["--alerts"], json!({"alerts": true})),
            (&["--alerts=false"], json!({"alerts": false})),
            (&["--no-alerts"], json!({"alerts": false})),
            (&["--alerts=maybe"], json!({"alerts": "maybe"})),
            (&["--limit", "7"], json!({"limit": 7})),
            (&["--limit", "-7"], json!({"limit": -7})),
            (&["--limit", "many"], json!({"limit": "many"})),
            (&["--limit", "18446744073709551615"], json!({"limit": u64::MAX})),
            (&["--ratio", "0.5"], json!({"ratio": 0.5})),
            (&["--created-after", "-24h"], json!({"createdAfter": "-24h"})),
            (&["--created-after=-3 days"], json!({"createdAfter": "-3 days"})),
            (&["--status", "new,active", "--status", "resolved"], json!({"status": ["new", "active", "resolved"]})),
            (&["--status", r#"["a,b","c"]"#], json!({"status": ["a,b", "c"]})),
            (&["--status", ""], json!({"status": []})),
            (&["--sizes", "1,2,x"], json!({"sizes": [1, 2, "x"]})),
            (&["--filter", r#"{"a":[1]}"#], json!({"filter": {"a": [1]}})),
            (&["--filter", "{"], json!({"filter": "{"})),
            (&["--tags-add", "a", "--tags-set", "b,c"], json!({"tags": {"add": ["a"], "set": ["b", "c"]}})),
            (&[], json!({})),
        ] {
            assert_eq!(read(given).unwrap(), wanted, "{given:?}");
        }
    }

    #[test]
    fn what_is_no_flag_is_refused() {
        for given in
            [&["--incident"][..], &["--statuses", "x"], &["29"], &["--incident-id"], &["--incident-id", "--limit"]]
        {
            assert!(read(given).is_err(), "{given:?}");
        }
    }

    #[test]
    fn flags_go_over_the_document() {
        let mut under = json!({"a": 1, "tags": {"add": ["x"], "set": ["y"]}, "b": {"c": 1}});
        let over = json!({"a": 2, "tags": {"add": ["z"]}, "b": [1]});
        if let (Value::Object(under), Value::Object(over)) = (&mut under, over) {
            merge(under, over);
        }
        assert_eq!(under, json!({"a": 2, "tags": {"add": ["z"], "set": ["y"]}, "b": [1]}));
    }

    proptest! {
        /// Whatever a person types, a flag either has the type that the schema names or the text that was typed.
        #[test]
        fn values_have_their_type_or_stay_text(
            limit in "[-+]?[0-9]{1,22}|\\PC{0,6}",
            ratio in "[-+]?[0-9.e]{1,12}|\\PC{0,6}",
            alerts in "true|false|yes|no|0|1|\\PC{0,6}",
            sizes in "[0-9a-z, ]{0,12}",
        ) {
            let given = [format!("--limit={limit}"), format!("--ratio={ratio}"), format!("--alerts={alerts}"), format!("--sizes={sizes}")];
            let given: Vec<&str> = given.iter().map(String::as_str).collect();
            // An empty value is refused by the command line; everything else gets through.
            let Ok(read) = read(&given) else {
                prop_assert!([&limit, &ratio, &alerts, &sizes].iter().any(|text| text.is_empty()));
                return Ok(());
            };
            let is_text = |value: &Value, typed: &str| value.as_str() == Some(typed.trim());
            prop_assert!(read["limit"].is_i64() || read["limit"].is_u64() || is_text(&read["limit"], &limit));
            prop_assert!(read["ratio"].is_number() || is_text(&read["ratio"], &ratio));
            prop_assert!(read["alerts"].is_boolean() || is_text(&read["alerts"], &alerts));
            for size in read["sizes"].as_array().unwrap() {
                prop_assert!(size.is_i64() || size.is_u64() || size.is_string());
            }
        }
    }
}
