//! Foreign text, made fit for a message: what a service (or whoever wrote a device name) put into an answer must not
//! move an analyst's cursor, hide the end of a line or fill a log.

/// The longest foreign text taken into a message, in characters.
const LONGEST: usize = 500;

/// One line of at most 500 characters: control characters and everything that steers the direction or the
/// visibility of text become spaces, spaces are merged.
pub fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(LONGEST));
    let mut count = 0;
    let mut gap = false;
    for character in text.chars() {
        if character.is_whitespace() || steers(character) {
            gap = true;
            continue;
        }
        let needed = 1 + usize::from(gap && count > 0);
        if count + needed > LONGEST {
            clean.push('…');
            break;
        }
        if needed == 2 {
            clean.push(' ');
        }
        clean.push(character);
        count += needed;
        gap = false;
    }
    clean
}

/// Controls, bidirectional marks and overrides, zero-width characters, line separators, interlinear and tag
/// characters, the byte order mark.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_and_line_ends_go() {
        assert_eq!(clean("a\u{1b}[31mred\r\nnext\tend "), "a [31mred next end");
        assert_eq!(clean("invoice\u{202e}fdp.exe"), "invoice fdp.exe");
    }

    #[test]
    fn length_is_capped() {
        let long = clean(&"x".repeat(10_000));
        assert_eq!(long.chars().count(), LONGEST + 1);
        assert!(long.ends_with('…'));
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_short_harmless_line(text in any::<String>()) {
            let clean = clean(&text);
            prop_assert!(clean.chars().count() <= LONGEST + 1);
            prop_assert!(!clean.chars().any(steers));
            prop_assert_eq!(clean.trim(), &clean);
        }
    }
}
