//! Seeded chance: the same seed and the same thing give the same data, whatever was made before it.

use jiff::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream of chance is for; streams of different things do not touch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    /// The outer properties of an incident.
    Incident,
    /// One alert of an incident, with its evidence; the number is the alert's place.
    Alert(u8),
    /// A machine.
    Machine,
    /// What the tenant does by itself.
    Life,
    /// Ids of requests and tokens.
    Ids,
    /// An account, by its name.
    Account,
    /// A file, by its name.
    File,
}

/// A stream of chance.
#[derive(Debug, Clone)]
pub(crate) struct Chance(ChaCha8Rng);

impl Chance {
    /// The stream of thing number `number` of that kind.
    pub(crate) fn new(seed: u64, stream: Stream, number: u64) -> Self {
        let kind: u64 = match stream {
            Stream::Incident => 1,
            Stream::Machine => 2,
            Stream::Life => 3,
            Stream::Ids => 4,
            Stream::Account => 5,
            Stream::File => 6,
            Stream::Alert(place) => 256 + u64::from(place),
        };
        let mut key = [0_u8; 32];
        for (slot, word) in key.chunks_exact_mut(8).zip([seed, kind, number, 0x5a4d_b0c5]) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A number below `limit` (0 when `limit` is 0).
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.0.random_range(0..limit) }
    }

    /// A number below `limit`, as an index.
    pub(crate) fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap_or_default()
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A fraction in `0.0..1.0`.
    pub(crate) fn fraction(&mut self) -> f64 {
        self.0.random()
    }

    /// One element of a list that is not empty.
    pub(crate) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        let index = self.index(list.len());
        list[index]
    }

    /// `digits` lower-case hexadecimal digits.
    pub(crate) fn hex(&mut self, digits: usize) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(digits);
        while text.len() < digits {
            let mut bits: u64 = self.0.random();
            for _ in 0..(digits - text.len()).min(16) {
                text.push(char::from(DIGITS[(bits & 15) as usize]));
                bits >>= 4;
            }
        }
        text
    }

    /// A GUID of version 4.
    pub(crate) fn guid(&mut self) -> String {
        let digits = self.hex(32);
        let variant = self.pick(&['8', '9', 'a', 'b']);
        format!(
            "{}-{}-4{}-{variant}{}-{}",
            &digits[..8],
            &digits[8..12],
            &digits[13..16],
            &digits[17..20],
            &digits[20..]
        )
    }

    /// A public address from the ranges that are reserved for documentation.
    pub(crate) fn public_ip(&mut self) -> String {
        let net = self.pick(&["192.0.2", "198.51.100", "203.0.113"]);
        format!("{net}.{}", 1 + self.below(254))
    }

    /// A private address.
    pub(crate) fn private_ip(&mut self) -> String {
        format!("10.{}.{}.{}", self.below(32), self.below(256), 1 + self.below(254))
    }

    /// A time up to `seconds` before `end`, with 0 to 7 fractional digits, as the services write them.
    pub(crate) fn before(&mut self, end: Timestamp, seconds: u64) -> Timestamp {
        let back = i64::try_from(self.below(seconds.max(1))).unwrap_or_default();
        let ticks = i32::try_from(self.below(10_000_000)).unwrap_or_default();
        let keep = self.pick(&[1, 1, 1, 1_000, 10_000, 100_000, 10_000_000]);
        let nanos = (ticks - ticks % keep) * 100;
        let second = (end.as_second() - back - 1).max(Timestamp::MIN.as_second());
        Timestamp::new(second, nanos).unwrap_or(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_thing_is_the_same_and_others_differ() {
        let guid = |seed, stream, number| Chance::new(seed, stream, number).guid();
        assert_eq!(guid(1, Stream::Incident, 5), guid(1, Stream::Incident, 5));
        assert_ne!(guid(1, Stream::Incident, 5), guid(2, Stream::Incident, 5));
        assert_ne!(guid(1, Stream::Incident, 5), guid(1, Stream::Machine, 5));
        assert_ne!(guid(1, Stream::Alert(0), 5), guid(1, Stream::Alert(1), 5));
        let guid = guid(1, Stream::Ids, 0);
        assert_eq!(guid.len(), 36);
        assert_eq!(guid.as_bytes()[14], b'4');
    }

    #[test]
    fn times_have_varying_digits_and_lie_before_the_end() {
        let end: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let mut chance = Chance::new(1, Stream::Incident, 0);
        let times: Vec<_> = (0..200).map(|_| chance.before(end, 1000)).collect();
        assert!(times.iter().all(|time| *time < end));
        let lengths: std::collections::BTreeSet<_> = times.iter().map(|time| crate::clock::text(*time).len()).collect();
        assert!(lengths.len() >= 3, "{lengths:?}");
    }
}
