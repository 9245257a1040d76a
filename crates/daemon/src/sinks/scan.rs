//! Reading back what a file sink wrote before a crash.
//!
//! A line counts as written when it is whole: a JSON object with an end of line behind it. Which record it is, its
//! `idempotencyKey` says. The file is read line by line, so that its length does not matter.

use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// The longest line that is read as a record; a longer one is passed over.
const LONGEST_LINE: u64 = 128 << 20;

/// How much of a line is read before its end is looked for.
const BEGINNING_BYTES: u64 = 64 << 10;

/// How each record begins.
const BEGINNING: &[u8] = br#"{"type":""#;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The numbers of the records, of those asked for, that the file has.
    pub(super) delivered: Vec<i64>,
    /// Where what is whole ends: what is behind it was cut off by a crash.
    pub(super) end: u64,
    /// The last line, which is somebody else's, lacks its end.
    pub(super) unended: bool,
}

/// Reads a file from a place on, to its end or to the first line that was not written whole. What lies behind a place
/// that the sink knows (`ours`) was written by the sink: whatever is no JSON there is the trace of a crash. In a file of
/// unknown origin lines that are no records are left alone.
pub(super) fn scan(file: &File, from: u64, due: &HashMap<&str, i64>, ours: bool) -> io::Result<Found> {
    let mut reader = BufReader::with_capacity(64 << 10, file);
    reader.seek(SeekFrom::Start(from))?;
    let mut found = Found { end: from, ..Found::default() };
    let mut line = Vec::new();
    loop {
        let Seen { length, ended, whole } = next(&mut reader, file, found.end, &mut line)?;
        if length == 0 {
            return Ok(found);
        }
        if !ended {
            found.unended = !(ours || line.starts_with(BEGINNING) || BEGINNING.starts_with(&line));
            found.end += if found.unended { length } else { 0 };
            return Ok(found);
        }
        match if whole { read(&line) } else { Line::Foreign } {
            Line::Record(key) => {
                if let Some(sequence) = due.get(key.as_ref()) {
                    found.delivered.push(*sequence);
                }
            }
            Line::Broken if ours => return Ok(found),
            Line::Broken | Line::Foreign => {}
        }
        found.end += length;
    }
}

/// What is known of a line.
struct Seen {
    length: u64,
    /// It has its end.
    ended: bool,
    /// It was read wholly, and not its beginning alone.
    whole: bool,
}

/// Reads a line. A long one is read wholly only when its end was found, so that a file without ends of lines costs no memory.
fn next(reader: &mut impl BufRead, file: &File, from: u64, line: &mut Vec<u8>) -> io::Result<Seen> {
    line.clear();
    let length = reader.by_ref().take(BEGINNING_BYTES).read_until(b'\n', line)? as u64;
    if line.last() == Some(&b'\n') || length < BEGINNING_BYTES {
        return Ok(Seen { length, ended: line.last() == Some(&b'\n'), whole: true });
    }
    let (ended, length) = pass_over(reader, length)?;
    let whole = ended && length <= LONGEST_LINE;
    if whole {
        line.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
        file.read_exact_at(line, from)?;
    }
    Ok(Seen { length, ended, whole })
}

/// The rest of a line that is too long.
fn pass_over(reader: &mut impl BufRead, mut length: u64) -> io::Result<(bool, u64)> {
    loop {
        let piece = reader.fill_buf()?;
        if piece.is_empty() {
            return Ok((false, length));
        }
        let end = piece.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(piece.len(), |end| end + 1);
        reader.consume(taken);
        length += taken as u64;
        if end.is_some() {
            return Ok((true, length));
        }
    }
}

enum Line<'a> {
    Record(Cow<'a, str>),
    Foreign,
    Broken,
}

fn read(line: &[u8]) -> Line<'_> {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(rename = "idempotencyKey", borrow)]
        key: Cow<'a, str>,
    }
    match serde_json::from_slice::<Head<'_>>(line) {
        Ok(head) => Line::Record(head.key),
        Err(error) if error.is_data() => Line::Foreign,
        Err(_) => Line::Broken,
    }
}

/// Where the last line of a file begins, as far as it is whole: behind the last end of line.
pub(super) fn last_line(file: &File) -> io::Result<u64> {
    let mut block = vec![0; 64 << 10];
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let piece = block.get_mut(..usize::try_from(end - start).unwrap_or_default()).unwrap_or_default();
        file.read_exact_at(piece, start)?;
        if let Some(at) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn record(key: &str) -> String {
        format!(r#"{{"type":"incident.created","idempotencyKey":"{key}","id":"1","incident":{{"a":[1,"\n"]}}}}"#)
    }

    fn found(content: &str, ours: bool) -> Found {
        scan(&file(content.as_bytes()), 0, &HashMap::from([("a", 1), ("b", 2)]), ours).unwrap()
    }

    #[test]
    fn whole_lines_count_and_a_torn_one_does_not() {
        let whole = format!("{}\n{}\n", record("a"), record("x"));
        let torn = format!("{whole}{}", record("b"));
        for ours in [true, false] {
            let wanted = Found { delivered: vec![1], end: whole.len() as u64, unended: false };
            assert_eq!(found(&torn, ours), wanted);
            assert_eq!(found(&whole, ours), wanted);
            assert_eq!(found("", ours), Found::default());
            assert_eq!(found(r#"{"ty"#, ours), Found::default());
        }
    }

    #[test]
    fn what_others_wrote_is_left_alone_unless_it_can_only_be_a_trace_of_a_crash() {
        let text = format!("hello\n{}\n[1]\n{{\"a\":1}}\nend", record("b"));
        assert_eq!(found(&text, false), Found { delivered: vec![2], end: text.len() as u64, unended: true });
        assert_eq!(found(&text, true), Found::default());
        let zeros = format!("{}\n\0\0\0\n{}\n", record("a"), record("b"));
        assert_eq!(
            found(&zeros, true),
            Found { delivered: vec![1], end: record("a").len() as u64 + 1, unended: false }
        );
    }

    #[test]
    fn the_last_line_is_found_from_behind() {
        for (content, wanted) in [("", 0), ("a", 0), ("a\n", 2), ("a\nbc", 2), ("\n", 1)] {
            assert_eq!(last_line(&file(content.as_bytes())).unwrap(), wanted, "{content:?}");
        }
        let long = format!("a\n{}", "x".repeat(300_000));
        assert_eq!(last_line(&file(long.as_bytes())).unwrap(), 2);
    }

    #[test]
    fn long_lines_are_found_and_what_has_no_end_costs_no_memory() {
        let long = record("a").replace("[1,", &format!("[\"{}\",", "x".repeat(300_000)));
        let whole = format!("{long}\n{}\n", record("b"));
        let wanted = Found { delivered: vec![1, 2], end: whole.len() as u64, unended: false };
        assert_eq!(found(&whole, true), wanted);
        assert_eq!(found(&format!("{whole}{long}"), true), wanted);

        let endless = file(b"");
        endless.set_len(64 << 20).unwrap();
        let mut line = Vec::new();
        let read = next(&mut BufReader::new(&endless), &endless, 0, &mut line).unwrap();
        assert_eq!((read.length, read.ended), (64 << 20, false));
        assert!(line.capacity() <= 1 << 20, "{}", line.capacity());
    }

    proptest! {
        #[test]
        fn cut_anywhere_the_whole_lines_before_are_found(keys in prop::collection::vec("[a-e]", 0..8), cut in any::<prop::sample::Index>()) {
            let all: String = keys.iter().map(|key| record(key) + "\n").collect();
            let cut = cut.index(all.len() + 1);
            let left = &all[..cut];
            let end = left.rfind('\n').map_or(0, |at| at + 1);
            let due: HashMap<&str, i64> = HashMap::from([("a", 1), ("b", 2), ("c", 3)]);
            let wanted: Vec<i64> =
                keys.iter().take(left.matches("}\n").count()).filter_map(|key| due.get(key.as_str()).copied()).collect();
            for ours in [true, false] {
                let found = scan(&file(left.as_bytes()), 0, &due, ours).unwrap();
                prop_assert_eq!(&found, &Found { delivered: wanted.clone(), end: end as u64, unended: false });
            }
            prop_assert_eq!(last_line(&file(left.as_bytes())).unwrap(), end as u64);
        }

        #[test]
        fn any_content_is_read_without_harm(content in prop::collection::vec(any::<u8>(), 0..300), ours in any::<bool>()) {
            let found = scan(&file(&content), 0, &HashMap::new(), ours).unwrap();
            prop_assert!(found.end <= content.len() as u64);
        }
    }
}
