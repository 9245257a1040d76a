//! YAML, made of the JSON text without changing the order of members.

use serde_norway::Value;
use std::io;

/// One JSON document as YAML, ending in a line feed.
pub(crate) fn document(json: &str) -> io::Result<String> {
    let value: Value = serde_json::from_str(json)?;
    serde_norway::to_string(&value).map_err(io::Error::other)
}

/// One JSON document as the next element of a YAML list that is a member of the outermost object.
pub(crate) fn element(json: &str) -> io::Result<String> {
    if !json.trim_start().starts_with('{') {
        // Only an object can be shifted without changing it; other JSON is YAML as it is.
        return Ok(format!("- {json}\n"));
    }
    let text = document(json)?;
    let mut shifted = String::with_capacity(text.len() + text.len() / 8);
    for (at, line) in text.lines().enumerate() {
        // An empty line belongs to a block of text; blanks would not change it, but nobody wants to see them.
        if !(line.is_empty() && at > 0) {
            shifted.push_str(if at == 0 { "- " } else { "  " });
        }
        shifted.push_str(line);
        shifted.push('\n');
    }
    Ok(shifted)
}

/// The members of a JSON object as YAML, to stand behind what was written before; nothing for an empty object.
pub(crate) fn members(object: &str) -> io::Result<String> {
    if super::json::members(object).is_empty() { Ok(String::new()) } else { document(object) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn elements_and_members_make_one_document() {
        let records =
            [json!({"b": 1, "a": "x: y\n\n- z\n"}), json!("no"), json!({}), json!([1, [2]]), json!("\n\n  a")];
        let mut text = String::from("records:\n");
        for record in &records {
            text.push_str(&element(&record.to_string()).unwrap());
        }
        text.push_str(&members(r#"{"read":5,"warnings":[]}"#).unwrap());
        let read: serde_json::Value = serde_norway::from_str(&text).unwrap();
        assert_eq!(read, json!({"records": records, "read": 5, "warnings": []}), "{text}");
    }

    #[test]
    fn the_order_stays() {
        assert_eq!(document(r#"{"z":1,"a":"2026-01-01T00:00:00Z"}"#).unwrap(), "z: 1\na: 2026-01-01T00:00:00Z\n");
    }

    proptest! {
        #[test]
        fn any_text_survives_as_an_element(text in "\\PC{0,20}([\\n\\t ]{0,3}\\PC{0,20}){0,4}", number in any::<i64>()) {
            let record = json!({"text": text, "deep": {"list": [text, number]}});
            let yaml = format!("records:\n{}", element(&record.to_string()).unwrap());
            let read: serde_json::Value = serde_norway::from_str(&yaml).unwrap();
            prop_assert_eq!(read, json!({"records": [record]}), "{}", yaml);
        }
    }
}
