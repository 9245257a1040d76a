//! JSON for people: indented, and with the characters that deceive written as JSON escapes.
//!
//! The text is rewritten as it passes, never decoded: the order of members and the digits of numbers stay as the
//! service wrote them. What comes out means the same JSON.

use crate::escape::deceives;
use std::fmt::Write;

/// Rewrites JSON text that arrives in pieces.
#[derive(Debug, Default)]
pub(crate) struct Rewriter {
    indent: bool,
    depth: usize,
    in_text: bool,
    after_backslash: bool,
    /// The last thing written was an opening bracket, and nothing stands behind it yet.
    opened: bool,
}

impl Rewriter {
    /// On several lines, two blanks a level.
    pub(crate) fn indented() -> Self {
        Self { indent: true, ..Self::default() }
    }

    /// On one line, as it came.
    pub(crate) fn on_one_line() -> Self {
        Self::default()
    }

    /// Appends the rewritten piece to `out`. Pieces may be cut anywhere between two characters.
    pub(crate) fn put(&mut self, piece: &str, out: &mut String) {
        for character in piece.chars() {
            if self.in_text {
                self.put_in_text(character, out);
            } else {
                self.put_outside(character, out);
            }
        }
    }

    fn put_in_text(&mut self, character: char, out: &mut String) {
        match character {
            _ if self.after_backslash => self.after_backslash = false,
            '\\' => self.after_backslash = true,
            '"' => self.in_text = false,
            _ => {}
        }
        if deceives(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }

    fn put_outside(&mut self, character: char, out: &mut String) {
        if matches!(character, ' ' | '\t' | '\n' | '\r') {
            return;
        }
        let closes = matches!(character, '}' | ']');
        if closes {
            self.depth = self.depth.saturating_sub(1);
        }
        if self.indent && (closes != self.opened) {
            self.new_line(out);
        }
        self.opened = false;
        out.push(character);
        match character {
            '"' => self.in_text = true,
            '{' | '[' => {
                self.depth += 1;
                self.opened = true;
            }
            ',' if self.indent => self.new_line(out),
            ':' if self.indent => out.push(' '),
            _ => {}
        }
    }

    fn new_line(&self, out: &mut String) {
        out.push('\n');
        for _ in 0..self.depth {
            out.push_str("  ");
        }
    }
}

/// The members of a JSON object without its braces and the white space around them: what can be written between
/// the braces of another one. Empty for an empty object; the text itself is not checked.
pub(crate) fn members(object: &str) -> &str {
    let object = object.trim();
    object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).map_or("", str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn indented(text: &str) -> String {
        let mut out = String::new();
        Rewriter::indented().put(text, &mut out);
        out
    }

    #[test]
    fn it_reads_like_a_page() {
        assert_eq!(
            indented(r#"{"b":[],"a":{ "x":[1, 2.50],"y":{}},"c":"{,:}\"["}"#),
            "{\n  \"b\": [],\n  \"a\": {\n    \"x\": [\n      1,\n      2.50\n    ],\n    \"y\": {}\n  },\n  \"c\": \"{,:}\\\"[\"\n}"
        );
    }

    #[test]
    fn what_deceives_becomes_an_escape_with_the_same_meaning() {
        let mut out = String::new();
        let text = json!({"title": "a\u{202e}b\u{9b}c\u{e0041}d🙂"}).to_string();
        Rewriter::on_one_line().put(&text, &mut out);
        assert_eq!(out, "{\"title\":\"a\\u202eb\\u009bc\\udb40\\udc41d🙂\"}");
        assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), serde_json::from_str::<Value>(&text).unwrap());
    }

    #[test]
    fn members_can_be_put_between_other_braces() {
        assert_eq!(members(" { \"a\":1 } \n"), "\"a\":1");
        assert_eq!(members("{}"), "");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_means_the_same_wherever_it_was_cut(value in any_json(), cut in any::<prop::sample::Index>()) {
            let text = value.to_string();
            let whole = indented(&text);
            prop_assert_eq!(&serde_json::from_str::<Value>(&whole).unwrap(), &value);
            prop_assert!(!whole.chars().any(|character| character != '\n' && deceives(character)));
            let mut at = cut.index(text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            let mut rewriter = Rewriter::indented();
            let mut pieces = String::new();
            rewriter.put(&text[..at], &mut pieces);
            rewriter.put(&text[at..], &mut pieces);
            prop_assert_eq!(pieces, whole);
        }
    }
}
