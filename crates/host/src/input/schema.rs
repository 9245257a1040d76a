//! Every reason why an input does not fit its schema, in words for the person who wrote it.
//!
//! A validator is built here and nowhere else: only after an action refused its input, or when somebody asks
//! without running anything. The validator's findings are re-told per field: a missing field at the field, an
//! unknown field at that field with the name that was probably meant, an alternative (`anyOf`) by the branch that
//! was probably meant.

use super::{formats, name_of, push_pointer};
use crate::failure::{MAX_VIOLATIONS, Violation};
use crate::text::{nearest, quote};
use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use serde_json::Value;
use std::collections::HashSet;

/// Every violation of a JSON Schema (2020-12) by an input; empty if there is none.
///
/// # Errors
/// Why the schema itself cannot be used.
pub fn violations(schema: &Value, input: &Value) -> Result<Vec<Violation>, String> {
    Ok(findings(schema, input)?.into_iter().map(|finding| finding.violation).collect())
}

/// Joins what the schema finds with what the action itself reported about the same input.
///
/// Where both speak of one field the schema's word stays, unless the field is a text of a certain format: the action
/// that reads the format knows more (a date that lies in the future). What only the action knows stays.
pub(crate) fn merge(schema: &Value, input: &Value, own: Vec<Violation>) -> Result<Vec<Violation>, String> {
    let findings = findings(schema, input)?;
    let mut merged: Vec<Violation> = Vec::with_capacity(findings.len() + own.len());
    for finding in &findings {
        let better = finding.format && own.iter().any(|other| other.pointer == finding.violation.pointer);
        if !better && !merged.contains(&finding.violation) {
            merged.push(finding.violation.clone());
        }
    }
    for violation in own {
        let told = findings.iter().any(|finding| !finding.format && finding.violation.pointer == violation.pointer)
            || (!findings.is_empty() && about_a_member(&violation.message));
        if !told && !merged.contains(&violation) {
            merged.push(violation);
        }
    }
    merged.sort_by(|left, right| left.pointer.cmp(&right.pointer));
    merged.truncate(MAX_VIOLATIONS);
    Ok(merged)
}

/// Whether an action's decoder says that a member is missing or unknown. It says so at the object that has or lacks the
/// member; the schema says the same at the member. (A decoder that takes bad members out in order to find more mistakes
/// also misses them afterwards.)
fn about_a_member(message: &str) -> bool {
    message.starts_with("missing field `") || message.starts_with("unknown field `")
}

struct Finding {
    violation: Violation,
    /// A text that does not have its format; the action that reads the format knows more about it.
    format: bool,
}

fn findings(schema: &Value, input: &Value) -> Result<Vec<Finding>, String> {
    let validator = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true)
        .with_format(formats::TIME, formats::is_time)
        .with_format(formats::SPAN, |text: &str| formats::span(text).is_some())
        // There are many dialects; which one is taken, `(?i)` among them, only the action knows.
        .with_format("regex", |_: &str| true)
        .build(schema)
        .map_err(|error| crate::text::clean(&error.to_string(), 400))?;
    let mut findings = Vec::new();
    // Patterns come last, because every other rule has better words.
    let (patterns, others): (Vec<_>, Vec<_>) = validator
        .iter_errors(input)
        .take(4 * MAX_VIOLATIONS)
        .partition(|error| matches!(error.kind(), Kind::Pattern { .. }));
    for error in others.into_iter().chain(patterns) {
        tell(schema, &error, &mut findings);
        if findings.len() >= MAX_VIOLATIONS {
            break;
        }
    }
    // A value that breaks several rules of one field is told one reason: an empty text also fails every pattern.
    let mut told = HashSet::new();
    findings.retain(|finding| told.insert(finding.violation.pointer.clone()));
    Ok(findings)
}

/// Re-tells one error of the validator.
fn tell(schema: &Value, error: &ValidationError<'_>, findings: &mut Vec<Finding>) {
    let pointer = error.instance_path().as_str();
    let value = error.instance().as_ref();
    let mut add = |pointer: String, message: String, format: bool| {
        findings.push(Finding { violation: Violation::new(pointer, message), format });
    };
    let below = |key: &str| {
        let mut below = pointer.to_owned();
        push_pointer(&mut below, key);
        below
    };
    let here = pointer.to_owned();
    match error.kind() {
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            add(below(name), "is required".to_owned(), false);
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let known = siblings(schema, error.schema_path().as_str());
            for name in unexpected {
                add(below(name), unknown_field(name, &known), false);
            }
        }
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => match choices(context) {
            Some(allowed) => add(here, format!("{} is not one of {}", shown(value), list(&allowed)), false),
            None => match meant(context) {
                Some(branch) => branch.iter().for_each(|inner| tell(schema, inner, findings)),
                None => add(here, format!("{} has none of the shapes that are taken here", shown(value)), false),
            },
        },
        Kind::OneOfMultipleValid { .. } => add(here, "fits more than one of the shapes; give one".to_owned(), false),
        Kind::Enum { options } => {
            let allowed: Vec<String> = options.as_array().into_iter().flatten().map(shown).collect();
            add(here, format!("{} is not one of {}", shown(value), list(&allowed)), false);
        }
        Kind::Constant { expected_value } => {
            add(here, format!("{} is not {}", shown(value), shown(expected_value)), false);
        }
        Kind::Type { kind } => add(here, format!("is {}, wanted {}", name_of(value), wanted(kind)), false),
        Kind::Format { format } => {
            let forms = match format.as_str() {
                formats::TIME => format!("is not a time: {}", formats::TIME_FORMS),
                formats::SPAN => format!("is not a span: {}", formats::SPAN_FORMS),
                other => format!("is not a {}", crate::text::clean(other, 40)),
            };
            add(here, format!("{} {forms}", shown(value)), true);
        }
        Kind::MinLength { limit: 1 } => add(here, "is empty".to_owned(), false),
        Kind::MinLength { limit } => add(here, format!("is shorter than {limit} characters"), false),
        Kind::MaxLength { limit } => add(here, format!("is longer than {limit} characters"), false),
        Kind::MinItems { limit } => add(here, format!("has fewer than {limit} items"), false),
        Kind::MaxItems { limit } => add(here, format!("has more than {limit} items"), false),
        Kind::MinProperties { limit } => add(here, format!("has fewer than {limit} members"), false),
        Kind::MaxProperties { limit } => add(here, format!("has more than {limit} members"), false),
        Kind::UniqueItems => add(here, "has an item twice".to_owned(), false),
        Kind::Minimum { limit } => add(here, format!("{} is less than {limit}", shown(value)), false),
        Kind::Maximum { limit } => add(here, format!("{} is more than {limit}", shown(value)), false),
        Kind::ExclusiveMinimum { limit } => add(here, format!("{} is not more than {limit}", shown(value)), false),
        Kind::ExclusiveMaximum { limit } => add(here, format!("{} is not less than {limit}", shown(value)), false),
        Kind::Pattern { pattern } => {
            // What the field is says more than an expression; the expression is the last resort.
            let wanted = description(schema, error.schema_path().as_str())
                .map_or_else(|| format!("does not match {}", quote(pattern)), |words| format!("is not this: {words}"));
            add(here, format!("{} {wanted}", shown(value)), false);
        }
        Kind::FalseSchema => add(here, "is not taken here".to_owned(), false),
        other => add(here, format!("breaks the rule `{}` of the input schema", other.keyword()), false),
    }
}

/// The first sentence of the description beside a keyword.
fn description<'a>(schema: &'a Value, keyword: &str) -> Option<&'a str> {
    let (parent, _) = keyword.rsplit_once('/')?;
    let words = schema.pointer(parent)?.get("description")?.as_str()?;
    let end = words.find(". ").unwrap_or(words.len());
    words.get(..end).map(str::trim).filter(|words| !words.is_empty())
}

/// The names of the properties beside an `additionalProperties` keyword.
fn siblings<'a>(schema: &'a Value, keyword: &str) -> Vec<&'a str> {
    let Some((parent, _)) = keyword.rsplit_once('/') else { return Vec::new() };
    schema
        .pointer(parent)
        .and_then(|parent| parent.get("properties"))
        .and_then(Value::as_object)
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

fn unknown_field(name: &str, known: &[&str]) -> String {
    if let Some(near) = nearest(name, known.iter().copied()) {
        return format!("is not a known field; did you mean `{near}`?");
    }
    if known.is_empty() {
        return "is not a known field; no fields are taken here".to_owned();
    }
    let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("is not a known field; known are {}", list(&names))
}

/// The single values that the branches of an alternative allow, if that is all they do.
fn choices(context: &[Vec<ValidationError<'static>>]) -> Option<Vec<String>> {
    let mut allowed = Vec::new();
    for branch in context {
        match branch.as_slice() {
            [only] => match only.kind() {
                Kind::Enum { options } => allowed.extend(options.as_array().into_iter().flatten().map(shown)),
                Kind::Constant { expected_value } => allowed.push(shown(expected_value)),
                _ if wants_null(only) => {}
                _ => return None,
            },
            // A value of the wrong type breaks `type` and `const` or `enum` at once.
            [first, second] if matches!(first.kind(), Kind::Type { .. }) => match second.kind() {
                Kind::Enum { options } => allowed.extend(options.as_array().into_iter().flatten().map(shown)),
                Kind::Constant { expected_value } => allowed.push(shown(expected_value)),
                _ => return None,
            },
            _ => return None,
        }
    }
    (!allowed.is_empty()).then_some(allowed)
}

/// The branch of an alternative that was probably meant: the only one that is not about another type.
fn meant<'a>(context: &'a [Vec<ValidationError<'static>>]) -> Option<&'a [ValidationError<'static>]> {
    let mut real = context.iter().filter(|branch| !branch.iter().any(wants_null));
    if let (Some(only), None) = (real.next(), real.next()) {
        return Some(only);
    }
    let mut fitting = context.iter().filter(|branch| {
        !branch.iter().any(|error| matches!(error.kind(), Kind::Type { .. }) && deepest(branch, error))
    });
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// Whether no error of the branch lies deeper than this one, which means that the whole value has the wrong type.
fn deepest(branch: &[ValidationError<'static>], error: &ValidationError<'static>) -> bool {
    branch.iter().all(|other| other.instance_path().as_str().len() <= error.instance_path().as_str().len())
}

fn wants_null(error: &ValidationError<'_>) -> bool {
    matches!(error.kind(), Kind::Type { kind: TypeKind::Single(kind) } if kind.as_str() == "null")
}

fn wanted(kind: &TypeKind) -> String {
    let word = |name: &str| match name {
        "array" => "a list",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "null" => "null",
        "number" => "a number",
        "object" => "an object",
        _ => "a text",
    };
    match kind {
        TypeKind::Single(kind) => word(kind.as_str()).to_owned(),
        TypeKind::Multiple(kinds) => {
            let words: Vec<&str> =
                kinds.iter().map(|kind| kind.as_str()).filter(|kind| *kind != "null").map(word).collect();
            words.join(" or ")
        }
    }
}

/// A value as a message shows it: short, cleaned, in backquotes.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Array(_) | Value::Object(_) => name_of(value).to_owned(),
        other => quote(&other.to_string()),
    }
}

/// At most 30 of the names, so that a long enumeration stays readable.
fn list(names: &[String]) -> String {
    const MOST: usize = 30;
    let mut text = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > MOST {
        text.push_str(&format!(" and {} more", names.len() - MOST));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "incidentId": {"type": "string", "minLength": 1, "pattern": "^[1-9][0-9]*$",
                    "description": "The incident's id: a whole number. More is not shown."},
                "status": {"anyOf": [{"$ref": "#/$defs/Status"}, {"type": "null"}]},
                "severity": {"type": "array", "items": {"oneOf": [
                    {"type": "string", "const": "high"}, {"type": "string", "const": "low"}]}},
                "createdAfter": {"type": ["string", "integer", "null"], "format": "sortie-time"},
                "wait": {"anyOf": [{"type": "string", "format": "sortie-span"}, {"type": "null"}]},
                "limit": {"type": ["integer", "null"], "minimum": 1},
                "tags": {"anyOf": [{"$ref": "#/$defs/Tags"}, {"type": "null"}]}
            },
            "required": ["incidentId"],
            "additionalProperties": false,
            "$defs": {
                "Status": {"type": "string", "enum": ["active", "resolved"]},
                "Tags": {"type": "object", "properties": {"add": {"type": "array", "items": {"type": "string"}}},
                    "additionalProperties": false}
            }
        })
    }

    fn found(input: &Value) -> Vec<(String, String)> {
        violations(&schema(), input).unwrap().into_iter().map(|found| (found.pointer, found.message)).collect()
    }

    #[track_caller]
    fn one(input: Value, pointer: &str, part: &str) {
        let found = found(&input);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, pointer, "{found:?}");
        assert!(found[0].1.contains(part), "{found:?}");
    }

    #[test]
    fn each_rule_is_told_at_its_field_with_the_remedy() {
        one(json!({}), "/incidentId", "is required");
        one(json!({"incidentId": ""}), "/incidentId", "is empty");
        one(json!({"incidentId": "../x"}), "/incidentId", "`../x` is not this: The incident's id: a whole number");
        one(json!({"incidentId": 7}), "/incidentId", "is a number, wanted a text");
        one(json!({"incidentId": "1", "sattus": "x"}), "/sattus", "did you mean `status`?");
        one(json!({"incidentId": "1", "a/b": 1}), "/a~1b", "known are");
        one(json!({"incidentId": "1", "status": "done"}), "/status", "`done` is not one of `active`, `resolved`");
        one(
            json!({"incidentId": "1", "severity": ["high", "huge"]}),
            "/severity/1",
            "`huge` is not one of `high`, `low`",
        );
        one(json!({"incidentId": "1", "createdAfter": "yesterday"}), "/createdAfter", "RFC 3339");
        one(json!({"incidentId": "1", "wait": "ten"}), "/wait", "is not a span");
        one(json!({"incidentId": "1", "limit": 0}), "/limit", "less than 1");
        one(json!({"incidentId": "1", "limit": "many"}), "/limit", "a whole number");
        one(json!({"incidentId": "1", "tags": {"add": "x"}}), "/tags/add", "wanted a list");
        one(json!({"incidentId": "1", "tags": {"ad": []}}), "/tags/ad", "did you mean `add`?");
    }

    #[test]
    fn five_mistakes_give_five_pointers() {
        let found = found(&json!({"status": "done", "limit": "x", "createdAfter": "9999-01-01", "other": 1}));
        let mut pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, ["/createdAfter", "/incidentId", "/limit", "/other", "/status"]);
    }

    #[test]
    fn foreign_text_is_cut_and_cleaned() {
        let found = found(&json!({"incidentId": "1", "status": format!("\u{1b}[31m{}", "x".repeat(10_000))}));
        assert!(found[0].1.len() < 500 && !found[0].1.contains('\u{1b}'), "{found:?}");
    }

    #[test]
    fn the_actions_own_word_joins_without_repeating() {
        let input = json!({"createdAfter": "9999-01-01", "limit": "x"});
        let own = vec![
            Violation::new("/createdAfter", "lies outside 1970-01-01 to 2100-01-01"),
            Violation::new("", "missing field `incidentId`"),
            Violation::new("/limit", "invalid type"),
            Violation::new("/wait", "needs a machine"),
            Violation::new("", "give a machine or a wait"),
        ];
        let merged = merge(&schema(), &input, own).unwrap();
        let told: Vec<(&str, &str)> =
            merged.iter().map(|found| (found.pointer.as_str(), found.message.as_str())).collect();
        assert_eq!(
            told,
            [
                ("", "give a machine or a wait"),
                ("/createdAfter", "lies outside 1970-01-01 to 2100-01-01"),
                ("/incidentId", "is required"),
                ("/limit", "is a text, wanted a whole number"),
                ("/wait", "needs a machine"),
            ]
        );
    }

    #[test]
    fn a_schema_that_is_none_is_named() {
        assert!(violations(&json!({"type": 7}), &json!({})).is_err());
    }
}
