//! The members of the action's input that a profile and flags set: filters, and how far a step reads.
//!
//! The loop knows none of the filters. A profile writes them in snake_case, the action's schema says which there are
//! and what they take, and its own rules judge them. Only `mode` and `cursor` are the loop's, and so refused.

use super::quantity::{SPAN_FORMS, span};
use serde_json::{Map, Number, Value};
use sortie_host::config::{Origin, Section, Setting};
use sortie_host::{Failure, Violation, kinds};
use std::time::Duration;
use toml::Value as Toml;

/// What the loop sets itself.
const OWN: [&str; 2] = ["mode", "cursor"];

/// Members that stand beside the loop's own settings, with what they are unless something says otherwise.
const BESIDE: [(&str, Option<&str>); 5] = [
    ("look_back", Some("24h")),
    ("overlap", Some("10m")),
    ("ingest_delay", Some("0s")),
    ("alerts", Some("true")),
    ("limit", None),
];

/// The longest look-back, and what is said of one that is none: the same that daemon actions say.
const LONGEST_LOOK_BACK: Duration = Duration::from_secs(366 * 86_400);
const LOOK_BACK: (&str, &str) =
    ("is not a span of at most 366 days", "write a number with a unit, such as 24h or 30 days");

/// A look-back: a sweep reads something, and at most a year.
fn look_back(text: &str) -> Option<Duration> {
    span(text).filter(|length| !length.is_zero() && *length <= LONGEST_LOOK_BACK)
}

/// One member, and where it stands in the profile.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// The key in the profile.
    key: String,
    /// Whether it stands among the filters.
    filter: bool,
    value: Value,
    origin: Origin,
}

impl Member {
    /// Its name among the settings.
    fn setting(&self) -> String {
        let table = if self.filter { "daemon.filters" } else { "daemon" };
        format!("{table}.{}", self.key)
    }
}

/// Reads the members beside the loop's own settings, and the filters.
pub(super) fn from_section(section: &mut Section<'_>, origin: &Origin) -> Result<Vec<Member>, Failure> {
    let mut members = Vec::new();
    for (key, _) in BESIDE {
        let value = match key {
            "alerts" => section.truth(key)?.map(Value::from),
            "limit" => super::sinks::whole(section, key, 1, u64::from(u32::MAX))?.map(Value::from),
            _ => match section.text(key)? {
                Some(text) if key == "look_back" && look_back(text).is_none() => {
                    return Err(section.wrong(key, LOOK_BACK.0, LOOK_BACK.1));
                }
                Some(text) if span(text).is_none() => return Err(section.wrong(key, "is not a span", SPAN_FORMS)),
                text => text.map(Value::from),
            },
        };
        members.extend(value.map(|value| Member { key: key.to_owned(), filter: false, value, origin: origin.clone() }));
    }
    if let Some(filters) = section.section("filters")? {
        for (key, value) in filters.open() {
            if OWN.contains(&key) {
                return Err(filters.wrong(key, "is set by the daemon itself", "take the line out"));
            }
            if BESIDE.iter().any(|(other, _)| *other == key) {
                return Err(filters.wrong(key, "is not a filter", "write it in the table above, beside `interval`"));
            }
            members.push(Member { key: key.to_owned(), filter: true, value: json(value), origin: origin.clone() });
        }
    }
    Ok(members)
}

/// What the members come to.
#[derive(Debug)]
pub(super) struct Input {
    /// The action's input, without mode and cursor.
    pub(super) members: Map<String, Value>,
    /// How far back a sweep reads, if the action has such a member.
    pub(super) look_back: Option<Duration>,
    /// How far a poll reads back before its watermark; nothing, if the action has no such member.
    pub(super) overlap: Duration,
    /// What is shown of them, in their order.
    pub(super) shown: Vec<Setting>,
}

/// Puts the flags over the profile's members and both over the defaults, and checks them by the action's schema.
pub(super) fn resolve(
    schema: &Value,
    section: Option<Section<'_>>,
    told: Vec<Member>,
    flags: &Map<String, Value>,
) -> Result<Input, Failure> {
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let told = over(told, flags);
    if let Some(filters) = section.map(|mut section| section.section("filters")).transpose()?.flatten() {
        let known: Vec<String> = properties.keys().map(|name| snake(name)).filter(|name| is_filter(name)).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        if let Some((unknown, _)) = filters.open().find(|(key, _)| !known.contains(key)) {
            return Err(filters.unknown(unknown, &known));
        }
    }
    let all = with_defaults(told, properties);
    let members: Map<String, Value> =
        all.iter().filter(|(_, sent)| *sent).map(|(member, _)| (camel(&member.key), member.value.clone())).collect();
    let all: Vec<Member> = all.into_iter().map(|(member, _)| member).collect();
    let mut violations =
        sortie_host::input::violations(schema, &Value::Object(members.clone())).map_err(|problem| {
            Failure::new(kinds::INCOMPATIBLE_ACTION, format!("the action's input schema is not usable: {problem}"))
                .with_hint("report it to the action's author")
        })?;
    let look_back = match members.get("lookBack").and_then(Value::as_str) {
        Some(text) => look_back(text).or_else(|| {
            violations.push(Violation::new("/lookBack", format!("{}: {}", LOOK_BACK.0, LOOK_BACK.1)));
            None
        }),
        None => None,
    };
    let overlap = members.get("overlap").and_then(Value::as_str).and_then(span).unwrap_or_default();
    refuse(&all, violations)?;
    let shown = all
        .into_iter()
        .map(|member| Setting { name: member.setting(), value: text(&member.value), origin: member.origin })
        .collect();
    Ok(Input { members, look_back, overlap, shown })
}

/// What is shown of the members where no action is asked.
pub(super) fn shown(told: &[Member]) -> Vec<Setting> {
    let shown =
        |member: &Member| Setting { name: member.setting(), value: text(&member.value), origin: member.origin.clone() };
    told.iter().map(shown).collect()
}

/// The profile's members with those of the command line in their place.
fn over(mut told: Vec<Member>, flags: &Map<String, Value>) -> Vec<Member> {
    for (name, value) in flags.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        let key = snake(name);
        let origin = Origin::Flag(format!("--{}", key.replace('_', "-")).into());
        let member = Member { filter: is_filter(&key), key, value: value.clone(), origin };
        match told.iter_mut().find(|other| other.key == member.key) {
            Some(other) => *other = member,
            None => told.push(member),
        }
    }
    told
}

/// The members in the order of the documentation, defaults among them, each with whether it is sent: what the
/// schema itself names as a default need not be.
fn with_defaults(mut told: Vec<Member>, properties: &Map<String, Value>) -> Vec<(Member, bool)> {
    let mut all = Vec::new();
    for (key, default) in BESIDE {
        if let Some(at) = told.iter().position(|member| member.key == key) {
            all.push((told.remove(at), true));
            continue;
        }
        let Some(property) = properties.get(&camel(key)) else { continue };
        let (value, sent) = match default {
            Some("true") => (Some(Value::Bool(true)), true),
            Some(text) => (Some(Value::from(text)), true),
            None => (property.get("default").filter(|value| !value.is_null()).cloned(), false),
        };
        if let Some(value) = value {
            all.push((Member { key: key.to_owned(), filter: false, value, origin: Origin::Default }, sent));
        }
    }
    all.extend(told.into_iter().map(|member| (member, true)));
    all
}

/// Says what the schema refuses: of the command line as an input that is refused, of a profile as a configuration to
/// correct, in which no value is repeated.
fn refuse(members: &[Member], violations: Vec<Violation>) -> Result<(), Failure> {
    if violations.is_empty() {
        return Ok(());
    }
    let hint = "`sortie daemon --help` shows what each takes";
    let of = |violation: &Violation| {
        let name = violation.pointer.split('/').nth(1).unwrap_or_default();
        members.iter().find(|member| camel(&member.key) == name)
    };
    let written: Vec<Violation> = violations
        .iter()
        .filter_map(|violation| {
            let member = of(violation).filter(|member| matches!(member.origin, Origin::Profile { .. }))?;
            let place = member.setting() + &below(&violation.pointer);
            Some(Violation::new(place, without_value(&violation.message)))
        })
        .collect();
    let Some(first) = written.first() else { return Err(Failure::invalid_input(violations).with_hint(hint)) };
    let origin = members.iter().map(|member| &member.origin).find(|origin| matches!(origin, Origin::Profile { .. }));
    let from = origin.map(ToString::to_string).unwrap_or_default();
    let mut failure = Failure::configuration(format!("{from}: `{}` {}", first.pointer, first.message), hint);
    failure.violations = written;
    Err(failure)
}

/// What a pointer names within a member, as a profile's reader writes it: `[2]`, `.name`. The first element is `[0]`.
fn below(pointer: &str) -> String {
    let parts = pointer.split('/').skip(2);
    parts.map(|part| if part.parse::<usize>().is_ok() { format!("[{part}]") } else { format!(".{part}") }).collect()
}

/// A violation's message without the value that it begins with.
fn without_value(message: &str) -> &str {
    match message.rfind("` is ").filter(|_| message.starts_with('`')) {
        Some(at) => message.get(at + 2..).unwrap_or(message),
        None => message,
    }
}

fn is_filter(key: &str) -> bool {
    !OWN.contains(&key) && !BESIDE.iter().any(|(other, _)| *other == key)
}

/// `title_exclude` as `titleExclude`.
fn camel(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    let mut begins = false;
    for character in key.chars() {
        match character {
            '_' => begins = !name.is_empty(),
            _ if std::mem::take(&mut begins) => name.extend(character.to_uppercase()),
            _ => name.push(character),
        }
    }
    name
}

/// `titleExclude` as `title_exclude`.
fn snake(name: &str) -> String {
    let mut key = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_uppercase() && !key.is_empty() {
            key.push('_');
        }
        key.extend(character.to_lowercase());
    }
    key
}

/// The JSON of a TOML value, its texts trimmed as those of any input.
fn json(value: &Toml) -> Value {
    match value {
        Toml::String(text) => Value::from(text.trim()),
        Toml::Integer(number) => Value::from(*number),
        Toml::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Toml::Boolean(truth) => Value::from(*truth),
        Toml::Datetime(time) => Value::from(time.to_string()),
        Toml::Array(items) => items.iter().map(json).collect(),
        Toml::Table(members) => Value::Object(members.iter().map(|(key, value)| (camel(key), json(value))).collect()),
    }
}

/// A value as it is shown: texts as they are, a list of texts by commas.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
