//! Reading an input so that every violation is found at once.
//!
//! The usual input is decoded in one pass. When that fails, the value that failed is reported and taken out, and
//! the rest is tried again, until the input can be decoded or nothing more can be taken out. What remains is
//! still checked for contradictions. The host adds what the schema alone can tell, such as missing fields.

use crate::{Action, Error, Result, Violation};
use jiff::Timestamp;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};
use sortie_abi::kinds;

/// Violations beyond this number are not looked for: nobody reads them.
const MOST: usize = 100;

pub(crate) fn read<A: Action>(bytes: &[u8], now: Timestamp) -> Result<A::Input> {
    if let Ok(input) = serde_json::from_slice(bytes) {
        let violations = A::check(&input, now);
        return if violations.is_empty() { Ok(input) } else { Err(Error::invalid_input(violations)) };
    }
    let mut value: Value = serde_json::from_slice(bytes)
        .map_err(|problem| Error::new(kinds::INVALID_INPUT, format!("the input is not JSON: {problem}")))?;
    let mut violations = Vec::new();
    while violations.len() < MOST {
        match serde_path_to_error::deserialize::<_, A::Input>(&value) {
            Ok(input) => {
                violations.extend(A::check(&input, now));
                break;
            }
            Err(error) => {
                let pointer = pointer(error.path());
                let taken = take(&mut value, &pointer);
                // What cannot be taken out is most often a required field that was taken out before; the host says
                // from the schema what is really missing.
                if taken || violations.is_empty() {
                    let shown = shifted(pointer.as_deref().unwrap_or_default(), &violations);
                    violations.push(Violation::new(shown, error.inner().to_string()));
                }
                if !taken {
                    break;
                }
            }
        }
    }
    Err(Error::invalid_input(violations))
}

/// The path as a JSON pointer; none where it leads through something that has no name.
fn pointer(path: &Path) -> Option<String> {
    let mut pointer = String::new();
    for segment in path.iter() {
        pointer.push('/');
        match segment {
            Segment::Map { key } => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Enum { .. } | Segment::Unknown => return None,
        }
    }
    Some(pointer)
}

/// Takes the value at a pointer out of the input.
fn take(value: &mut Value, pointer: &Option<String>) -> bool {
    let Some((parent, name)) = pointer.as_deref().and_then(|pointer| pointer.rsplit_once('/')) else { return false };
    match value.pointer_mut(parent) {
        Some(Value::Object(members)) => members.remove(&name.replace("~1", "/").replace("~0", "~")).is_some(),
        Some(Value::Array(elements)) => match name.parse::<usize>() {
            Ok(index) if index < elements.len() => {
                elements.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

/// Where an element of an array stood before earlier ones were taken out.
fn shifted(pointer: &str, taken: &[Violation]) -> String {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return pointer.into() };
    let Ok(mut index) = name.parse::<usize>() else { return pointer.into() };
    let mut before: Vec<usize> = taken
        .iter()
        .filter_map(|violation| violation.pointer.rsplit_once('/'))
        .filter(|(other, _)| *other == parent)
        .filter_map(|(_, name)| name.parse().ok())
        .collect();
    before.sort_unstable();
    for earlier in before {
        if earlier <= index {
            index += 1;
        }
    }
    format!("{parent}/{index}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only the reading is tested")]
    struct Input {
        incident_id: String,
        created_after: Option<Time>,
        created_before: Option<Time>,
        #[serde(default)]
        sizes: Vec<u8>,
        limit: Option<u8>,
    }

    #[derive(Serialize, JsonSchema)]
    struct Output {}

    struct Probe;

    impl Action for Probe {
        type Input = Input;
        type Output = Output;

        fn manifest() -> Manifest {
            Manifest::new("probe", Kind::ENRICHMENT)
        }

        fn check(input: &Input, now: Timestamp) -> Vec<Violation> {
            match (input.created_after, input.created_before) {
                (Some(after), Some(before)) if after.at(now) > before.at(now) => {
                    vec![Violation::new("/createdBefore", "lies before createdAfter")]
                }
                _ => vec![],
            }
        }

        fn run(_: &Host<'_>, _: Input) -> Result<Output> {
            Ok(Output {})
        }
    }

    fn pointers(input: Value) -> Vec<String> {
        let bytes = serde_json::to_vec(&input).unwrap();
        match read::<Probe>(&bytes, Timestamp::UNIX_EPOCH) {
            Ok(_) => vec![],
            Err(error) => error.violations().iter().map(|violation| violation.pointer.clone()).collect(),
        }
    }

    #[test]
    fn a_good_input_has_no_violations() {
        assert!(pointers(json!({"incidentId": "1", "createdAfter": "2026-01-01"})).is_empty());
    }

    #[test]
    fn every_violation_is_found_in_one_go() {
        let found = pointers(json!({
            "incidentId": "1", "createdAfter": "2026-02-01", "createdBefore": "2026-01-01",
            "sizes": [1, 300, 2, "x", 4], "limit": 1000, "colour": "red",
        }));
        for wanted in ["/sizes/1", "/sizes/3", "/limit", "/colour", "/createdBefore"] {
            assert!(found.iter().any(|pointer| pointer == wanted), "{wanted} in {found:?}");
        }
        assert_eq!(found.len(), 5, "{found:?}");
    }

    #[test]
    fn a_missing_field_does_not_hide_the_others() {
        let found = pointers(json!({ "createdAfter": "soon", "limit": -1 }));
        assert!(found.contains(&"/createdAfter".into()) && found.contains(&"/limit".into()), "{found:?}");
    }

    #[test]
    fn a_required_field_that_is_wrong_is_not_missing_as_well() {
        assert_eq!(pointers(json!({ "incidentId": 7, "limit": -1 })).len(), 2);
    }
}
