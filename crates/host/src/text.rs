//! Foreign text made fit to be shown.
//!
//! Messages that come from a service, a library or a file name are written by somebody else, sometimes by an
//! attacker (an incident's title is). Before such text enters an error or a log line it loses control and
//! bidirectional characters and is cut at a length.

/// The longest piece of foreign text that an error or a log line carries, in characters.
pub(crate) const SHOWN: usize = 2_000;

/// The longest foreign value that a message quotes, in characters.
pub(crate) const QUOTED: usize = 80;

/// The text without control, bidirectional and other invisible formatting characters, cut at `limit` characters.
pub(crate) fn clean(text: &str, limit: usize) -> String {
    let text = text.trim();
    // Nearly every text is like this, and every setting of every run comes by here.
    if text.len() <= limit && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len().min(limit));
    let mut space = false;
    for (count, character) in text.chars().enumerate() {
        if count >= limit {
            shown.push('…');
            break;
        }
        if character.is_control() || character == '\u{2028}' || character == '\u{2029}' {
            // A run of line breaks becomes one blank, so that nobody can start a new log line.
            if !space {
                shown.push(' ');
            }
            space = true;
        } else if !invisible(character) {
            shown.push(character);
            space = character == ' ';
        }
    }
    shown
}

/// The text quoted for a message: cleaned, cut short, in backquotes.
pub(crate) fn quote(text: &str) -> String {
    format!("`{}`", clean(text, QUOTED))
}

/// Characters that change how the neighbours are shown, or show nothing.
fn invisible(character: char) -> bool {
    matches!(
        character,
        '\u{00ad}'
            | '\u{061c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// The known name closest to `wanted`, if one is close enough to be what was meant.
pub(crate) fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (distance(wanted, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.chars().count().min(wanted.chars().count()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The number of edits (insert, delete, replace) that turn one text into the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(QUOTED).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, from) in left.chars().take(QUOTED).enumerate() {
        let mut diagonal = at;
        let mut before = at + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&right) {
            let best = (diagonal + usize::from(from != *to)).min(before + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = best;
            before = best;
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_start_a_line_colour_it_or_turn_it_round() {
        assert_eq!(clean("a\r\n\x1b[31mb\u{202e}c\u{200b}d", 100), "a [31mbcd");
        assert_eq!(clean("  abc\n", 100), "abc");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(clean("abcdef", 3), "abc…");
        assert_eq!(clean("abc", 3), "abc");
    }

    #[test]
    fn the_nearest_name_is_found_only_when_it_is_near() {
        let known = ["client_secret", "client_id", "certificate"];
        assert_eq!(nearest("client_secrt", known), Some("client_secret"));
        assert_eq!(nearest("cleint_id", known), Some("client_id"));
        assert_eq!(nearest("password", known), None);
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
