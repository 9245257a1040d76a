//! Reading an input schema for what its flags need: names, types, descriptions.
//!
//! Any JSON Schema may come along (an action can be written in another language), so nothing here fails: what is
//! not understood becomes a flag that takes JSON.

use super::kebab;
use serde_json::{Map, Value};

/// The most `$ref`s followed one after another; a schema may refer to itself.
const MOST_REFERENCES: usize = 8;

/// How deep objects become flags; deeper ones take JSON.
const DEEPEST: usize = 3;

/// One flag of an action.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flag {
    /// The flag without its hyphens.
    pub(crate) name: String,
    /// The members that lead to the value in the input.
    pub(crate) path: Vec<String>,
    /// What it takes.
    pub(crate) kind: Kind,
    /// The property's description.
    pub(crate) help: String,
    /// Whether the input needs it.
    pub(crate) required: bool,
    /// The values that the schema lists, if it does.
    pub(crate) values: Vec<String>,
    /// The default that the schema names.
    pub(crate) default: Option<String>,
}

/// What a flag takes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Text as it is typed.
    Text,
    /// Text that may begin with a hyphen: a relative time such as `-24h`.
    Time,
    /// A length of time.
    Span,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A truth value: `--alerts`, `--alerts=false`, `--no-alerts`.
    Switch,
    /// Several of them: repeated, or separated by commas.
    List(Box<Kind>),
    /// Anything else, as JSON.
    Json,
}

/// The flags of an input schema, required ones first. `taken` are names that the command itself uses; a property
/// of such a name gets `input-` before it.
pub(crate) fn flags(schema: &Value, taken: &dyn Fn(&str) -> bool) -> Vec<Flag> {
    let mut reader = Reader { root: schema, flags: Vec::new() };
    reader.object(schema, &[], true);
    let mut flags = reader.flags;
    for flag in &mut flags {
        if taken(&flag.name) || flag.name.strip_prefix("no-").is_some_and(taken) {
            flag.name.insert_str(0, "input-");
        }
    }
    // Two properties can meet in one name (`a.bC` and `aBC`); the first one keeps it, the others are given as JSON.
    let mut seen = std::collections::BTreeSet::new();
    flags.retain(|flag| seen.insert(flag.name.clone()));
    flags.sort_by_key(|flag| !flag.required);
    flags
}

struct Reader<'a> {
    root: &'a Value,
    flags: Vec<Flag>,
}

impl<'a> Reader<'a> {
    fn object(&mut self, schema: &'a Value, path: &[String], required_so_far: bool) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        let required = |name: &str| {
            schema
                .get("required")
                .and_then(Value::as_array)
                .is_some_and(|names| names.iter().any(|other| other.as_str() == Some(name)))
        };
        for (name, property) in properties {
            let mut path = path.to_vec();
            path.push(name.clone());
            let meaning = self.meaning(property);
            let required = required_so_far && required(name);
            let nested =
                meaning.schema.get("properties").and_then(Value::as_object).is_some_and(|members| !members.is_empty());
            if nested && path.len() < DEEPEST {
                self.object(meaning.schema, &path, required);
                continue;
            }
            let flag_name = path.iter().map(|part| kebab(part)).collect::<Vec<_>>().join("-");
            if flag_name.is_empty() || flag_name.chars().any(|character| character == '=' || character.is_whitespace())
            {
                continue;
            }
            let kind = self.kind(&meaning);
            self.flags.push(Flag {
                name: flag_name,
                path,
                values: self.values(&meaning, &kind),
                kind,
                help: description(property).or_else(|| description(meaning.schema)).unwrap_or_default(),
                required,
                default: default(property).or_else(|| default(meaning.schema)),
            });
        }
    }

    /// Follows references and leaves out `null`: the schema that says what a value is.
    fn meaning(&self, schema: &'a Value) -> Meaning<'a> {
        let mut schema = schema;
        for _ in 0..MOST_REFERENCES {
            if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix('#')) {
                match self.root.pointer(target) {
                    Some(found) => schema = found,
                    None => break,
                }
                continue;
            }
            let choices = ["anyOf", "oneOf", "allOf"].iter().find_map(|key| schema.get(*key)?.as_array());
            let Some(choices) = choices else { break };
            let mut some = choices.iter().filter(|choice| choice.get("type").and_then(Value::as_str) != Some("null"));
            match (some.next(), some.next()) {
                (Some(only), None) => schema = only,
                _ => return Meaning { schema, choices: choices.iter().collect() },
            }
        }
        Meaning { schema, choices: Vec::new() }
    }

    fn kind(&self, meaning: &Meaning<'a>) -> Kind {
        match meaning.schema.get("format").and_then(Value::as_str) {
            Some("sortie-time") => return Kind::Time,
            Some("sortie-span") => return Kind::Span,
            _ => {}
        }
        let mut types = types(meaning.schema);
        if types.is_empty() {
            for choice in &meaning.choices {
                types.extend(self.types_of_choice(choice));
            }
        }
        types.retain(|kind| *kind != "null");
        let has = |name: &str| types.contains(&name);
        if has("string") {
            // What may be text or something else stays as typed.
            return Kind::Text;
        }
        match types.as_slice() {
            ["boolean"] => Kind::Switch,
            ["integer"] => Kind::Integer,
            ["number"] | ["integer", "number"] | ["number", "integer"] => Kind::Number,
            ["array"] => match meaning.schema.get("items") {
                Some(items) => match self.kind(&self.meaning(items)) {
                    Kind::List(_) | Kind::Json => Kind::Json,
                    item => Kind::List(Box::new(item)),
                },
                None => Kind::Json,
            },
            _ => Kind::Json,
        }
    }

    fn types_of_choice(&self, choice: &'a Value) -> Vec<&'a str> {
        let meaning = self.meaning(choice);
        match types(meaning.schema) {
            found if !found.is_empty() => found,
            _ if !literals(meaning.schema).is_empty() => vec!["string"],
            _ => Vec::new(),
        }
    }

    fn values(&self, meaning: &Meaning<'a>, kind: &Kind) -> Vec<String> {
        if let (Kind::List(_), Some(items)) = (kind, meaning.schema.get("items")) {
            let items = self.meaning(items);
            return self.values(&items, &Kind::Text);
        }
        let mut values = literals(meaning.schema);
        for choice in &meaning.choices {
            values.extend(literals(self.meaning(choice).schema));
        }
        values
    }
}

/// What a property's schema comes to.
struct Meaning<'a> {
    schema: &'a Value,
    /// The alternatives, when there are several.
    choices: Vec<&'a Value>,
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ if !literals(schema).is_empty() => vec!["string"],
        _ => Vec::new(),
    }
}

/// The text values that a schema lists, by `enum` or `const`.
fn literals(schema: &Value) -> Vec<String> {
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    listed.chain(schema.get("const")).filter_map(Value::as_str).map(str::to_owned).collect()
}

fn description(schema: &Value) -> Option<String> {
    schema.get("description").and_then(Value::as_str).map(str::to_owned)
}

fn default(schema: &Value) -> Option<String> {
    match schema.get("default")? {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::Array(items) if items.is_empty() => None,
        Value::Object(members) if Map::is_empty(members) => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(schema: Value) -> Vec<Flag> {
        flags(&schema, &|name| name == "query")
    }

    #[test]
    fn every_form_of_a_type_is_understood() {
        let flags = read(json!({
            "type": "object",
            "required": ["incidentId"],
            "properties": {
                "incidentId": {"type": ["string", "integer"], "description": "The incident's id."},
                "alerts": {"type": "boolean", "default": true},
                "limit": {"type": ["integer", "null"], "minimum": 1},
                "ratio": {"type": "number"},
                "createdAfter": {"anyOf": [{"type": ["string", "integer"], "format": "sortie-time"}, {"type": "null"}]},
                "wait": {"type": ["string", "null"], "format": "sortie-span"},
                "status": {"type": "array", "items": {"type": "string", "enum": ["active", "resolved"]}},
                "severity": {"type": ["array", "null"], "items": {"$ref": "#/$defs/Severity"}},
                "classification": {"anyOf": [{"oneOf": [{"const": "a", "description": "x"}, {"const": "b"}]}, {"type": "null"}]},
                "sizes": {"type": "array", "items": {"type": "integer"}},
                "rules": {"type": "array", "items": {"type": "object"}},
                "query": {"type": "string"},
                "anything": {},
                "free": true,
                "tags": {"anyOf": [{"type": "object", "properties": {
                    "add": {"type": "array", "items": {"type": "string"}, "description": "Tags to add."},
                    "set": {"type": ["array", "null"], "items": {"type": "string"}}}}, {"type": "null"}]},
                "map": {"type": "object", "additionalProperties": true}
            },
            "$defs": {"Severity": {"type": "string", "enum": ["low", "high"]}}
        }));
        let of = |name: &str| flags.iter().find(|flag| flag.name == name).unwrap_or_else(|| panic!("no {name}"));
        let list = |kind| Kind::List(Box::new(kind));
        for (name, kind) in [
            ("incident-id", Kind::Text),
            ("alerts", Kind::Switch),
            ("limit", Kind::Integer),
            ("ratio", Kind::Number),
            ("created-after", Kind::Time),
            ("wait", Kind::Span),
            ("status", list(Kind::Text)),
            ("severity", list(Kind::Text)),
            ("classification", Kind::Text),
            ("sizes", list(Kind::Integer)),
            ("rules", Kind::Json),
            ("input-query", Kind::Text),
            ("anything", Kind::Json),
            ("free", Kind::Json),
            ("tags-add", list(Kind::Text)),
            ("tags-set", list(Kind::Text)),
            ("map", Kind::Json),
        ] {
            assert_eq!(of(name).kind, kind, "{name}");
        }
        assert_eq!(flags[0].name, "incident-id");
        assert!(flags[0].required && !of("tags-add").required);
        assert_eq!(of("tags-add").path, ["tags", "add"]);
        assert_eq!(of("tags-add").help, "Tags to add.");
        assert_eq!(of("severity").values, ["low", "high"]);
        assert_eq!(of("classification").values, ["a", "b"]);
        assert_eq!(of("alerts").default.as_deref(), Some("true"));
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let flags =
            read(json!({"properties": {"a": {"$ref": "#/properties/a"}, "b": {"$ref": "#"}, "c": {"$ref": "#/no"}}}));
        assert!(flags.iter().any(|flag| flag.name == "a" && flag.kind == Kind::Json));
        assert!(flags.len() < 30, "{flags:?}");
    }

    #[test]
    fn names_that_meet_are_given_once() {
        let flags = read(json!({"properties": {
            "aB": {"type": "string"}, "a": {"type": "object", "properties": {"b": {"type": "integer"}}}}}));
        assert_eq!(flags.iter().filter(|flag| flag.name == "a-b").count(), 1);
    }

    #[test]
    fn what_is_no_schema_has_no_flags() {
        for schema in [json!(null), json!(true), json!({}), json!({"properties": []})] {
            assert_eq!(read(schema), []);
        }
    }
}
