//! A cheap look at a JSON body: is it one whole document, and not nested beyond reason?
//!
//! This is no parser; whoever decodes the body finds what is wrong inside. It catches what a broken middle-man, a
//! login page or a cut connection makes of an answer, so that a read can be repeated here instead of failing
//! later: brackets that do not close, text after the end, `NaN`, HTML.
//!
//! Every page of every listing passes through here, so it must cost little beside decompression. It goes over the body
//! in blocks of 64 bytes and keeps one bit per byte: where quotation marks are, and hence, by counting them from
//! the left, what lies inside strings; then where brackets are outside of them. Only blocks in which the depth may reach
//! a bound are looked at bracket by bracket.

/// Why a body is not the JSON document that was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    Empty,
    NotUtf8,
    NotJson,
    CutShort,
    TooDeep,
}

const BLOCK: usize = 64;

/// Looks at a body that was promised to be one JSON object or array.
pub(crate) fn check(body: &[u8], deepest: usize) -> Result<(), Flaw> {
    if std::str::from_utf8(body).is_err() {
        return Err(Flaw::NotUtf8);
    }
    let start = body.iter().position(|byte| !is_space(*byte)).ok_or(Flaw::Empty)?;
    let body = body.get(start..).unwrap_or_default();
    if !matches!(body.first(), Some(b'{' | b'[')) {
        return Err(Flaw::NotJson);
    }
    let mut scan = Scan { deepest, depth: 0, in_string: 0, escaped: 0 };
    let (blocks, rest) = body.as_chunks::<BLOCK>();
    let mut last = [b' '; BLOCK];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    for (number, block) in blocks.iter().chain([&last]).enumerate() {
        if let Some(end) = scan.block(block)? {
            let after = body.get(number * BLOCK + end + 1..).unwrap_or_default();
            return if after.iter().all(|byte| is_space(*byte)) { Ok(()) } else { Err(Flaw::NotJson) };
        }
    }
    Err(Flaw::CutShort)
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// What no JSON has outside its strings, as far as it is worth looking for: capitals but for that of an exponent (`NaN`,
/// `Infinity`, `None`), single quotation marks, and backslashes, which would lead the counting of quotation marks astray.
const fn is_foreign(byte: u8) -> bool {
    (byte.wrapping_sub(b'A') < 26 && byte != b'E') || byte == b'\'' || byte == b'\\'
}

/// `{` or `[`: they differ in one bit. So do their counterparts.
const fn opens(byte: u8) -> bool {
    byte | 0x20 == b'{'
}

const fn closes(byte: u8) -> bool {
    byte | 0x20 == b'}'
}

/// What is known between two blocks.
struct Scan {
    deepest: usize,
    depth: usize,
    /// All ones when the last block ended inside a string.
    in_string: u64,
    /// One when it ended with a backslash that escapes what follows.
    escaped: u64,
}

impl Scan {
    /// Takes the next block; the place of the bracket that ends the document, if it is in there.
    fn block(&mut self, block: &[u8; BLOCK]) -> Result<Option<usize>, Flaw> {
        let quotes = bits(block, |byte| byte == b'"') & !self.escapes(block);
        let strings = parity(quotes) ^ self.in_string;
        self.in_string = if strings >> 63 == 1 { u64::MAX } else { 0 };
        let outside = !strings;
        let foreign = bits(block, is_foreign) & outside;
        let opening = bits(block, opens) & outside;
        let closing = bits(block, closes) & outside;

        let (opened, closed) = (opening.count_ones() as usize, closing.count_ones() as usize);
        if self.depth + opened <= self.deepest && self.depth > closed {
            self.depth = self.depth + opened - closed;
            return if foreign == 0 { Ok(None) } else { Err(Flaw::NotJson) };
        }
        let mut brackets = opening | closing;
        while brackets != 0 {
            let at = brackets.trailing_zeros();
            brackets &= brackets - 1;
            if opening >> at & 1 == 1 {
                self.depth += 1;
                if self.depth > self.deepest {
                    return Err(Flaw::TooDeep);
                }
            } else {
                self.depth -= 1;
                if self.depth == 0 {
                    let before = foreign & ((1 << at) - 1);
                    return if before == 0 { Ok(Some(at as usize)) } else { Err(Flaw::NotJson) };
                }
            }
        }
        if foreign == 0 { Ok(None) } else { Err(Flaw::NotJson) }
    }

    /// The bytes of a block that stand behind a backslash which is not itself escaped.
    fn escapes(&mut self, block: &[u8; BLOCK]) -> u64 {
        let mut escaped = self.escaped;
        self.escaped = 0;
        if !block.contains(&b'\\') {
            return escaped;
        }
        let mut backslashes = bits(block, |byte| byte == b'\\') & !escaped;
        while backslashes != 0 {
            let at = backslashes.trailing_zeros();
            backslashes &= backslashes - 1;
            if at == 63 {
                self.escaped = 1;
            } else {
                let next = 1 << (at + 1);
                escaped |= next;
                backslashes &= !next;
            }
        }
        escaped
    }
}

/// One bit per byte, the first byte lowest: where `holds`.
#[inline(always)]
fn bits(block: &[u8; BLOCK], holds: impl Fn(u8) -> bool) -> u64 {
    // Two steps that compilers make vector code of: ones and zeros, then eight of them at a time into a byte (the
    // multiplication moves bit 0 of byte n to bit 56 + n).
    let flags = block.map(|byte| u8::from(holds(byte)));
    let (eights, _) = flags.as_chunks::<8>();
    eights
        .iter()
        .rev()
        .fold(0, |bits, eight| bits << 8 | u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56)
}

/// For each bit, whether an odd number of bits is set up to and with it.
const fn parity(mut bits: u64) -> u64 {
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^= bits << 32;
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn documents_pass() {
        for body in [
            "{}",
            " [ ] \r\n",
            r#"{"value":[{"id":"29","title":"a \"quoted\" {brace} \\","n":-1.5e+3,"t":true,"f":false,"x":null}]}"#,
            "{\"ü\":\"日本\"}",
        ] {
            assert_eq!(check(body.as_bytes(), 100), Ok(()), "{body}");
        }
    }

    #[test]
    fn everything_else_does_not() {
        for (body, flaw) in [
            ("", Flaw::Empty),
            (" \r\n", Flaw::Empty),
            ("<html><body>Sign in</body></html>", Flaw::NotJson),
            ("null", Flaw::NotJson),
            ("\"text\"", Flaw::NotJson),
            ("service unavailable", Flaw::NotJson),
            ("{\"a\":NaN}", Flaw::NotJson),
            ("{\"a\":Infinity}", Flaw::NotJson),
            ("{'a':1}", Flaw::NotJson),
            ("{} {}", Flaw::NotJson),
            ("{}x", Flaw::NotJson),
            ("]", Flaw::NotJson),
            ("\u{feff}{}", Flaw::NotJson),
            ("{\"value\":[{\"id\":\"29\"}", Flaw::CutShort),
            ("{\"value\":\"abc", Flaw::CutShort),
            ("{\"value\":\"abc\\", Flaw::CutShort),
            ("{\"value\":\"abc\\\"}", Flaw::CutShort),
        ] {
            assert_eq!(check(body.as_bytes(), 100), Err(flaw), "{body}");
        }
        assert_eq!(check(b"{\"a\":\"\xff\"}", 100), Err(Flaw::NotUtf8));
    }

    #[test]
    fn depth_is_capped_exactly() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(check(nested(100).as_bytes(), 100), Ok(()));
        assert_eq!(check(nested(101).as_bytes(), 100), Err(Flaw::TooDeep));
        assert_eq!(check("[".repeat(1_000_000).as_bytes(), 100), Err(Flaw::TooDeep));
    }

    fn document() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
            // What could lead the counting astray, across the ends of blocks.
            r#"["\\{}\[\]A]{0,90}"#.prop_map(Into::into),
        ];
        let node = leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        });
        prop::collection::vec(node, 0..5).prop_map(serde_json::Value::from)
    }

    /// The same, byte by byte.
    fn reference(body: &[u8], deepest: usize) -> Result<(), Flaw> {
        std::str::from_utf8(body).map_err(|_| Flaw::NotUtf8)?;
        let (mut depth, mut string, mut escaped, mut done) = (0, false, false, false);
        for &byte in body {
            if string {
                (string, escaped) = (escaped || byte != b'"', !escaped && byte == b'\\');
                continue;
            }
            if is_space(byte) {
                continue;
            }
            if done || (depth == 0 && !opens(byte)) || is_foreign(byte) {
                return Err(Flaw::NotJson);
            }
            string = byte == b'"';
            depth += usize::from(opens(byte));
            depth -= usize::from(closes(byte));
            done = depth == 0;
            if depth > deepest {
                return Err(Flaw::TooDeep);
            }
        }
        match (done, depth) {
            (true, _) => Ok(()),
            (false, 0) => Err(Flaw::Empty),
            (false, _) => Err(Flaw::CutShort),
        }
    }

    #[test]
    fn bits_are_where_the_bytes_are() {
        let mut block = [0; BLOCK];
        for at in 0..BLOCK {
            block[at] = 7;
            assert_eq!(bits(&block, |byte| byte == 7), 1 << at);
            block[at] = 0;
        }
        assert_eq!(parity(0b1001_0010), u64::MAX << 7 | 0b1110);
    }

    proptest! {
        #[test]
        fn blocks_and_bytes_agree(body in r#"[\[{][ \[\]{}"\\a,:NE']{0,300}"#, deepest in 1_usize..20) {
            let (ours, theirs) = (check(body.as_bytes(), deepest), reference(body.as_bytes(), deepest));
            // Of several flaws each may name another.
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs);
        }

        #[test]
        fn whatever_is_json_passes_and_no_part_of_it_does(document in document(), cut in any::<prop::sample::Index>()) {
            let text = serde_json::to_string_pretty(&document).unwrap();
            prop_assert_eq!(check(text.as_bytes(), 100), Ok(()));
            let cut = cut.index(text.len());
            prop_assert!(check(&text.as_bytes()[..cut], 100).is_err());
        }

        #[test]
        fn no_bytes_make_it_fall_over(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = check(&bytes, 100);
        }
    }
}
