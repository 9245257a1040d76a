//! Defender XDR incidents in the canonical shape, which is Microsoft Graph v1.0's.
//!
//! The mapping is a walk over the answer's text, member by member, with a table of rules per kind of object: a member
//! either has a Graph name, under which its value is written (as it came, respelled, or as text), or it has none, and
//! then it is kept under the one key [`REST`] of the object it belongs to. A member that no table knows is treated as
//! the latter, so nothing that Microsoft adds is lost. What is not found again word for word (enumeration members in
//! Graph's spelling, nulls of the flat entity record) is listed with reasons in `mapping-exceptions.json` beside this
//! crate's README.

mod evidence;
mod incident;

#[cfg(test)]
mod tests;

use crate::page::{members, string};
use std::borrow::Cow;

/// The key under which stands what has no Graph name.
pub const REST: &str = "defenderXdr";

/// An incident of the Defender XDR surface, as JSON text in Graph's shape on one line. Text that is not a JSON object
/// comes back as it is.
///
/// With `alerts` false the alerts are left out, as Graph leaves them out unless asked.
pub fn to_graph(incident: &str, alerts: bool) -> String {
    if !incident.starts_with('{') {
        return incident.to_owned();
    }
    let mut out = String::with_capacity(incident.len() + incident.len() / 8);
    incident::write(&mut out, incident, alerts);
    out
}

/// What becomes of a member's value.
#[derive(Clone, Copy)]
enum How {
    /// Written as it came.
    Keep,
    /// A number or text, written as text.
    Text,
    /// A member of an enumeration, in Graph's spelling when it is known.
    Spell(fn(&str) -> Cow<'_, str>),
    /// The same, of an enumeration that says null where Graph says unknown (contract section 6.2).
    SpellOrUnknown(fn(&str) -> Cow<'_, str>),
    /// Written by a function of its own.
    Write(fn(&mut String, &str)),
}

/// One member that has a Graph name.
struct Rule {
    /// Its name on the Defender XDR surface.
    from: &'static str,
    /// The group (nested object) of the Graph type that it belongs to; empty for the object itself.
    group: &'static str,
    /// Its Graph name.
    to: &'static str,
    how: How,
}

const fn rule(from: &'static str, to: &'static str, how: How) -> Rule {
    Rule { from, group: "", to, how }
}

const fn keep(from: &'static str, to: &'static str) -> Rule {
    rule(from, to, How::Keep)
}

const fn same(name: &'static str) -> Rule {
    rule(name, name, How::Keep)
}

const fn nested(from: &'static str, group: &'static str, to: &'static str) -> Rule {
    Rule { from, group, to, how: How::Keep }
}

/// How the members are treated that have no rule, or whose Graph name is taken already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nulls {
    /// Kept: the property exists and has no value.
    Keep,
    /// Dropped: the flat entity record has every field of every kind of entity, and those of other kinds say nothing.
    Drop,
}

/// Writes the members of one object by its rules, in the order of the rules, then the rest.
fn write_object(out: &mut String, object: &str, kind: &str, rules: &[Rule], nulls: Nulls) {
    let mut members: Vec<Option<(&str, &str)>> = members(object).into_iter().map(Some).collect();
    let mut writer = ObjectWriter::begin(out);
    if !kind.is_empty() {
        writer.member("@odata.type", |out| push_string(out, kind));
    }
    let mut written: Vec<&str> = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        if rule.group.is_empty() {
            if written.contains(&rule.to) {
                continue;
            }
            if let Some(value) = take(&mut members, rule.from) {
                writer.member(rule.to, |out| write_value(out, value, rule.how));
                written.push(rule.to);
            }
        } else if !rules.iter().take(index).any(|earlier| earlier.group == rule.group) {
            write_group(&mut writer, &mut members, rules, rule.group);
        }
    }
    let rest =
        |member: &&Option<(&str, &str)>| member.is_some_and(|(_, value)| nulls == Nulls::Keep || value != "null");
    if members.iter().any(|member| rest(&member)) {
        writer.member(REST, |out| {
            let mut inner = ObjectWriter::begin(out);
            for (name, value) in members.iter().filter(rest).flatten() {
                inner.member(name, |out| push_json(out, value));
            }
            inner.end();
        });
    }
    writer.end();
}

/// Writes the nested object of a group when any of its members has a value.
fn write_group(writer: &mut ObjectWriter<'_>, members: &mut [Option<(&str, &str)>], rules: &[Rule], group: &str) {
    let of_group = || rules.iter().filter(|rule| rule.group == group);
    let valued = |rule: &Rule| members.iter().flatten().any(|(name, value)| *name == rule.from && *value != "null");
    if !of_group().any(valued) {
        return;
    }
    writer.member(group, |out| {
        let mut inner = ObjectWriter::begin(out);
        for rule in of_group() {
            if let Some(value) = take(members, rule.from) {
                inner.member(rule.to, |out| write_value(out, value, rule.how));
            }
        }
        inner.end();
    });
}

/// The last value of that name, which is then no longer there. Earlier ones of the same name stay for the rest.
fn take<'a>(members: &mut [Option<(&str, &'a str)>], name: &str) -> Option<&'a str> {
    let found = members.iter_mut().rev().find(|member| member.is_some_and(|(candidate, _)| candidate == name))?;
    found.take().map(|(_, value)| value)
}

fn write_value(out: &mut String, value: &str, how: How) {
    match how {
        How::Keep => push_json(out, value),
        How::Text if value.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => push_string(out, value),
        How::Text => push_json(out, value),
        How::SpellOrUnknown(_) if value == "null" => out.push_str("\"unknown\""),
        How::Spell(spell) | How::SpellOrUnknown(spell) => match string(value) {
            Some(text) => push_string(out, &spell(&text)),
            None => push_json(out, value),
        },
        How::Write(write) => write(out, value),
    }
}

/// Writes an array whose elements are written by a function; what is not an array is written as it is.
fn write_array(out: &mut String, value: &str, mut element: impl FnMut(&mut String, &str)) {
    if !value.starts_with('[') {
        return push_json(out, value);
    }
    out.push('[');
    for (index, json) in crate::page::elements(value).into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        element(out, json);
    }
    out.push(']');
}

/// Writes JSON text on one line.
fn push_json(out: &mut String, json: &str) {
    if json.contains(['\n', '\r']) {
        out.push_str(&crate::page::compact(json));
    } else {
        out.push_str(json);
    }
}

fn push_string(out: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}

/// Writes one object, member by member.
struct ObjectWriter<'o> {
    out: &'o mut String,
    empty: bool,
}

impl<'o> ObjectWriter<'o> {
    fn begin(out: &'o mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    /// A member by its name as it stands between quotes.
    fn member(&mut self, name: &str, value: impl FnOnce(&mut String)) {
        if !std::mem::take(&mut self.empty) {
            self.out.push(',');
        }
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
        value(self.out);
    }

    fn end(self) {
        self.out.push('}');
    }
}
