//! A stable hash for fingerprints and sets: FNV-1a with 128 bits.
//!
//! Stable over versions and machines, unlike the standard library's. It tells versions of one incident apart and recognises
//! repeated addresses; it is no defence against somebody who makes collisions on purpose, and nothing relies on that.

/// A hash being computed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StableHash(u128);

impl StableHash {
    pub(crate) const fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    /// Adds text, set apart from what comes before and after it.
    pub(crate) fn add(&mut self, text: &str) {
        self.bytes(&(text.len() as u64).to_le_bytes());
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }

    pub(crate) const fn value(self) -> u128 {
        self.0
    }
}

/// The hash of one text.
pub(crate) fn text_hash(text: &str) -> u128 {
    let mut hash = StableHash::new();
    hash.add(text);
    hash.value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // Published test values of FNV-1a, 128 bits.
        let of = |text: &str| {
            let mut hash = StableHash::new();
            hash.bytes(text.as_bytes());
            hash.value()
        };
        assert_eq!(of(""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(of("a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
        assert_eq!(of("foobar"), 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18);
    }

    #[test]
    fn where_one_text_ends_matters() {
        let of = |texts: &[&str]| {
            let mut hash = StableHash::new();
            texts.iter().for_each(|text| hash.add(text));
            hash.value()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["", "a"]), of(&["a", ""]));
    }
}
