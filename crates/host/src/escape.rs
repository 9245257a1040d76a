//! Foreign text made safe to look at.
//!
//! Titles, file names and comments may have been written by an attacker. A terminal obeys some characters, others
//! turn the text around or hide parts of it. Each of them is shown as what it is, `\u{202e}`, so that nothing
//! moves and nothing is hidden. Only what a person reads is treated so; data keeps every character. This is the one place for
//! it, for every face.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character would be obeyed by a terminal, turn text around, or be invisible.
pub fn deceives(character: char) -> bool {
    // Nearly all text is this, and it is looked at character by character.
    if matches!(character, ' '..='~') {
        return false;
    }
    character.is_control()
        || matches!(character,
            '\u{00ad}'                  // soft hyphen
            | '\u{034f}'                // combining grapheme joiner
            | '\u{061c}'                // Arabic letter mark
            | '\u{115f}' | '\u{1160}'   // Hangul fillers
            | '\u{17b4}' | '\u{17b5}'   // Khmer inherent vowels
            | '\u{180b}'..='\u{180f}'   // Mongolian variation selectors and vowel separator
            | '\u{200b}'..='\u{200f}'   // zero-width space, joiners, direction marks
            | '\u{2028}'..='\u{202e}'   // line and paragraph separators, embeddings, overrides
            | '\u{2060}'..='\u{206f}'   // word joiner, invisible operators, isolates, deprecated controls
            | '\u{3164}' | '\u{ffa0}'   // Hangul fillers
            | '\u{feff}'                // zero-width no-break space
            | '\u{fff9}'..='\u{fffb}'   // interlinear annotation
            | '\u{1d173}'..='\u{1d17a}' // musical controls
            | '\u{e0000}'..='\u{e0fff}' // tags and variation selectors beyond the first sixteen
        )
}

/// The text with every deceiving character written out. Line feeds, returns and tabs become `\n`, `\r` and `\t`.
pub fn visible(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// The same for text of several lines, which stays on several lines.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    escape(text, |character| character == '\n')
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    let harmful = |character: char| deceives(character) && !keep(character);
    let Some(first) = text.find(harmful) else { return Cow::Borrowed(text) };
    let (clean, rest) = text.split_at(first);
    let mut shown = String::with_capacity(text.len() + 16);
    shown.push_str(clean);
    for character in rest.chars() {
        match character {
            _ if !harmful(character) => shown.push(character),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
            }
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_deceives_is_written_out() {
        for (text, shown) in [
            ("invoice\u{202e}fdp.exe", "invoice\\u{202e}fdp.exe"),
            ("\u{1b}[2J\u{1b}]0;owned\u{7}", "\\u{1b}[2J\\u{1b}]0;owned\\u{7}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{200b}b\u{feff}c\u{e0041}", "a\\u{200b}b\\u{feff}c\\u{e0041}"),
            ("one\r\ntwo\tthree", "one\\r\\ntwo\\tthree"),
            ("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn honest_text_is_not_even_copied() {
        for text in ["", "C:\\Users\\ana", "Überfall auf ws-042", "日本語", "мир", "a → b", "🙂"] {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text), "{text}");
        }
        assert_eq!(visible_lines("one\ntwo\u{1b}"), "one\ntwo\\u{1b}");
    }

    proptest! {
        #[test]
        fn nothing_that_deceives_is_left(text in any::<String>()) {
            let shown = visible(&text);
            prop_assert!(!shown.chars().any(deceives));
            prop_assert_eq!(visible(&shown).into_owned(), shown.into_owned());
        }
    }
}
