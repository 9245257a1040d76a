//! The other way round: the command line that says the same as an input.

use super::schema::{Flag, Kind};
use serde_json::Value;

/// The flags for an input, quoted for a shell; `None` when a member has no flag that can say it.
pub(crate) fn spell(flags: &[Flag], input: &Value) -> Option<String> {
    let mut said = 0;
    let mut words = Vec::new();
    for flag in flags {
        let Some(value) = flag.path.iter().try_fold(input, |value, name| value.get(name)) else { continue };
        said += 1;
        words.push(word(flag, value)?);
    }
    (said == leaves(input, flags)).then(|| words.join(" "))
}

/// How many members of the input ask for a flag of their own.
fn leaves(input: &Value, flags: &[Flag]) -> usize {
    fn count(value: &Value, path: &mut Vec<String>, flags: &[Flag]) -> usize {
        let Value::Object(members) = value else { return 1 };
        if flags.iter().any(|flag| flag.path == *path) {
            return 1;
        }
        let mut found = 0;
        for (name, member) in members {
            path.push(name.clone());
            found += count(member, path, flags);
            path.pop();
        }
        found
    }
    count(input, &mut Vec::new(), flags)
}

fn word(flag: &Flag, value: &Value) -> Option<String> {
    let name = &flag.name;
    let text = match (&flag.kind, value) {
        (Kind::Switch, Value::Bool(true)) => return Some(format!("--{name}")),
        (Kind::Switch, Value::Bool(false)) => return Some(format!("--no-{name}")),
        (Kind::Json, value) => value.to_string(),
        (Kind::List(_), Value::Array(items)) => {
            let texts: Vec<String> = items.iter().map(text).collect::<Option<_>>()?;
            // What would be taken apart, trimmed or read as JSON is said as JSON.
            let plain = |text: &String| !text.is_empty() && !text.contains(',') && text.trim() == text;
            let list = texts.join(",");
            let plain = !texts.is_empty() && texts.iter().all(plain) && !list.starts_with('[');
            if plain { list } else { value.to_string() }
        }
        (_, value) => text(value)?,
    };
    let may_begin_so = matches!(flag.kind, Kind::Time | Kind::Integer | Kind::Number);
    let separator = if text.starts_with('-') && !may_begin_so { "=" } else { " " };
    Some(format!("--{name}{separator}{}", quoted(&text)))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A word as a POSIX shell reads it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:@%+=,".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::super::{arguments, flags, input};
    use super::*;
    use clap::Command;
    use proptest::prelude::*;
    use serde_json::json;

    fn known() -> Vec<Flag> {
        flags(
            &json!({"properties": {
                "incidentId": {"type": "string"},
                "alerts": {"type": "boolean"},
                "limit": {"type": "integer"},
                "createdAfter": {"type": "string", "format": "sortie-time"},
                "status": {"type": "array", "items": {"type": "string"}},
                "filter": {"type": "object"},
                "tags": {"properties": {"add": {"type": "array", "items": {"type": "string"}}}}
            }}),
            &|_| false,
        )
    }

    #[test]
    fn an_input_is_spelled_as_a_person_would_type_it() {
        for (input, wanted) in [
            (json!({"incidentId": "29", "alerts": false, "limit": 5}), Some("--alerts=no")),
            (json!({}), Some("")),
            (json!({"status": ["new", "active"]}), Some("--status new,active")),
            (json!({"tags": {"add": ["it's"]}}), Some(r"--tags-add 'it'\''s'")),
            (json!({"createdAfter": "-24h"}), Some("--created-after -24h")),
            (json!({"unknown": 1}), None),
            (json!({"tags": {"unknown": 1}}), None),
            (json!({"incidentId": null}), None),
        ] {
            let spelled = spell(&known(), &input);
            match wanted {
                Some("--alerts=no") => assert_eq!(spelled.as_deref(), Some("--no-alerts --incident-id 29 --limit 5")),
                wanted => assert_eq!(spelled.as_deref(), wanted, "{input}"),
            }
        }
    }

    /// Takes a POSIX command line apart again: quotes and blanks are all that `quoted` makes.
    fn shell_words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        let mut word = None::<String>;
        let mut characters = line.chars();
        let mut inside = false;
        while let Some(character) = characters.next() {
            match character {
                '\'' => {
                    inside = !inside;
                    word.get_or_insert_default();
                }
                '\\' if !inside => word.get_or_insert_default().extend(characters.next()),
                ' ' if !inside => words.extend(word.take()),
                other => word.get_or_insert_default().push(other),
            }
        }
        words.extend(word);
        words
    }

    proptest! {
        #[test]
        fn what_is_spelled_is_read_back(
            id in "[!-~]([ -~]{0,12}[!-~])?", alerts in any::<bool>(), limit in any::<i64>(),
            status in prop::collection::vec("[!-~]([ -~]{0,6}[!-~])?", 1..4),
        ) {
            let wanted = json!({"incidentId": id, "alerts": alerts, "limit": limit, "status": status,
                "filter": {"a": [id]}, "tags": {"add": status}});
            let flags = known();
            let line = spell(&flags, &wanted).unwrap();
            let command = Command::new("x").no_binary_name(true).args(arguments(&flags));
            let matches = command.try_get_matches_from(shell_words(&line)).unwrap();
            prop_assert_eq!(Value::Object(input(&flags, &matches)), wanted, "{}", line);
        }
    }
}
