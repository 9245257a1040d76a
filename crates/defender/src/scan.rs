//! A validating walk over JSON text that decodes nothing.
//!
//! A list answer is megabytes of records of which a run reads a dozen properties. The [`Scanner`] therefore moves
//! over the text once, checks that it is JSON (RFC 8259), and reports where values begin and end; every value
//! stays a slice of the answer until somebody asks for it. Strings, the bulk of an answer, are skipped eight
//! bytes at a time.
//!
//! Invariant: `position` only ever stops on ASCII bytes or at the end, so every slice taken is valid UTF-8.

use thiserror::Error;

/// Nesting beyond this is refused, so that hostile text cannot exhaust the stack.
const DEPTH: u32 = 128;

/// Text that is not the JSON it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{problem} at byte {position}")]
pub struct JsonError {
    /// What is wrong, in words that hold no part of the text.
    pub problem: &'static str,
    /// The byte offset in the text where it was seen.
    pub position: usize,
}

/// A cursor over JSON text.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    position: usize,
    depth: u32,
    multiline: bool,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, position: 0, depth: 0, multiline: false }
    }

    /// The byte offset of the next unread byte.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Whether a line break was passed between tokens since the last call.
    pub(crate) fn take_multiline(&mut self) -> bool {
        std::mem::take(&mut self.multiline)
    }

    pub(crate) fn error(&self, problem: &'static str) -> JsonError {
        JsonError { problem, position: self.position }
    }

    /// The text from `start` to the cursor.
    pub(crate) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.position).unwrap_or_default()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    /// Skips white space and answers the byte the cursor then stands on.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\t') => {}
                Some(b'\n' | b'\r') => self.multiline = true,
                other => return other,
            }
            self.position += 1;
        }
    }

    /// Skips white space and the wanted byte.
    fn expect(&mut self, wanted: u8, problem: &'static str) -> Result<(), JsonError> {
        if self.peek() != Some(wanted) {
            return Err(self.error(problem));
        }
        self.position += 1;
        Ok(())
    }

    /// Refuses anything but white space after the document.
    pub(crate) fn end(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error("text after the end of the JSON document")),
        }
    }

    /// Moves past one value and answers its text, without surrounding white space.
    pub(crate) fn value(&mut self) -> Result<&'a str, JsonError> {
        let first = self.peek();
        let start = self.position;
        match first {
            Some(b'"') => {
                self.position += 1;
                self.string_rest()?;
            }
            Some(b'{') => self.object(|_, scanner| scanner.value().map(drop))?,
            Some(b'[') => self.array(|scanner| scanner.value().map(drop))?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true")?,
            Some(b'f') => self.word("false")?,
            Some(b'n') => self.word("null")?,
            Some(_) => return Err(self.error("not a JSON value")),
            None => return Err(self.error("the JSON text ends too early")),
        }
        Ok(self.since(start))
    }

    /// Walks an object. The visitor gets each member's name (still escaped) and must move the scanner past the value.
    pub(crate) fn object(
        &mut self,
        mut visit: impl FnMut(&'a str, &mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.expect(b'{', "a JSON object was expected")?;
        self.deeper()?;
        if self.peek() == Some(b'}') {
            self.position += 1;
        } else {
            loop {
                self.expect(b'"', "a member name was expected")?;
                let start = self.position;
                self.string_rest()?;
                let name = self.text.get(start..self.position.saturating_sub(1)).unwrap_or_default();
                self.expect(b':', "a colon was expected")?;
                visit(name, self)?;
                match self.peek() {
                    Some(b',') => self.position += 1,
                    Some(b'}') => break self.position += 1,
                    _ => return Err(self.error("a comma or the end of an object was expected")),
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Walks an array. The visitor must move the scanner past each element.
    pub(crate) fn array(&mut self, mut visit: impl FnMut(&mut Self) -> Result<(), JsonError>) -> Result<(), JsonError> {
        self.expect(b'[', "a JSON array was expected")?;
        self.deeper()?;
        if self.peek() == Some(b']') {
            self.position += 1;
        } else {
            loop {
                visit(self)?;
                match self.peek() {
                    Some(b',') => self.position += 1,
                    Some(b']') => break self.position += 1,
                    _ => return Err(self.error("a comma or the end of an array was expected")),
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn deeper(&mut self) -> Result<(), JsonError> {
        self.depth += 1;
        if self.depth > DEPTH { Err(self.error("the JSON text is nested too deeply")) } else { Ok(()) }
    }

    /// Moves past the rest of a string whose opening quote was read.
    fn string_rest(&mut self) -> Result<(), JsonError> {
        let bytes = self.text.as_bytes();
        loop {
            // Eight bytes at a time while none of them is a quote, a backslash or a control character.
            while let Some(chunk) = bytes.get(self.position..).and_then(|rest| rest.first_chunk::<8>()) {
                let special = special_bytes(u64::from_le_bytes(*chunk));
                if special != 0 {
                    self.position += (special.trailing_zeros() / 8) as usize;
                    break;
                }
                self.position += 8;
            }
            match self.byte() {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => return Err(self.error("a control character in a string")),
                Some(_) => self.position += 1,
                None => return Err(self.error("the JSON text ends inside a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let bytes = self.text.as_bytes();
        match bytes.get(self.position + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.position += 2,
            Some(b'u') => {
                let digits = bytes.get(self.position + 2..self.position + 6);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.error("a broken \\u escape"));
                }
                self.position += 6;
            }
            _ => return Err(self.error("an unknown escape in a string")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.byte() == Some(b'-') {
            self.position += 1;
        }
        match self.byte() {
            Some(b'0') => self.position += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.error("a broken number")),
        }
        if self.byte() == Some(b'.') {
            self.position += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.position += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.position += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.position;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.position += 1;
        }
        if self.position == start { Err(self.error("a broken number")) } else { Ok(()) }
    }

    fn word(&mut self, word: &str) -> Result<(), JsonError> {
        let end = self.position + word.len();
        if self.text.as_bytes().get(self.position..end) != Some(word.as_bytes()) {
            return Err(self.error("not a JSON value"));
        }
        self.position = end;
        Ok(())
    }
}

/// Marks, with its top bit, the first of eight bytes that is a quote, a backslash or a control character (and
/// possibly later ones: a borrow can only run upwards, so the lowest mark is always true).
fn special_bytes(chunk: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let zero_byte = |word: u64| word.wrapping_sub(ONES) & !word;
    let quote = zero_byte(chunk ^ (ONES * b'"' as u64));
    let backslash = zero_byte(chunk ^ (ONES * b'\\' as u64));
    let control = chunk.wrapping_sub(ONES * 0x20) & !chunk;
    (quote | backslash | control) & TOPS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn accepts(text: &str) -> bool {
        let mut scanner = Scanner::new(text);
        scanner.value().is_ok() && scanner.end().is_ok()
    }

    #[test]
    fn refuses_what_is_not_json() {
        for text in [
            "",
            " ",
            "{",
            "[",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "nul",
            "NaN",
            "01",
            "1.",
            "-",
            "1e",
            "+1",
            "\"a",
            "\"\t\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u12",
            "[1 2]",
            "{\"a\" 1}",
            "{} {}",
            "'a'",
            "[1}",
            "\u{feff}{}",
            "\"\\",
        ] {
            assert!(!accepts(text), "{text:?}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(accepts(&format!("{}{}", "[".repeat(128), "]".repeat(128))));
        assert!(!accepts(&format!("{}{}", "[".repeat(129), "]".repeat(129))));
        assert!(!accepts(&"[".repeat(1_000_000)));
    }

    #[test]
    fn a_value_is_answered_without_its_surroundings() {
        let mut scanner = Scanner::new(" [ \"a\\\"b\" , {\"c\" : [1]} ] ");
        let mut seen = Vec::new();
        scanner.array(|scanner| scanner.value().map(|text| seen.push(text))).unwrap();
        assert_eq!(seen, ["\"a\\\"b\"", "{\"c\" : [1]}"]);
    }

    /// Text made of the pieces of JSON, so that both valid and nearly valid documents are common.
    fn json_like() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\"a\"",
            "\"key\":",
            "1",
            "-0.5e3",
            "true",
            "null",
            " ",
            "\n",
            "\\",
            "\\u0041",
            "\\n",
            "é",
            "\u{1}",
            "12345678",
            "\"long enough for words\"",
        ]);
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn agrees_with_serde_json(text in json_like()) {
            prop_assert_eq!(accepts(&text), serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
        }

        #[test]
        fn every_encoded_string_is_passed_whole(content in any::<String>()) {
            let text = serde_json::to_string(&content).unwrap();
            prop_assert_eq!(Scanner::new(&text).value(), Ok(text.as_str()));
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = accepts(&String::from_utf8_lossy(&bytes));
        }
    }
}
