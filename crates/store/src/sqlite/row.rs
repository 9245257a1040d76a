//! Rows that carry a checksum over themselves.
//!
//! SQLite has no checksums on pages: a byte that changed on the disk inside a text or a number is handed out as if it had
//! always been so. Every table here therefore ends in a column `checksum` over the columns before it, in their order.
//! [`put`] computes it, [`verified`] refuses a row that does not match.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Error, Row};

/// Any odd number with well-spread bits; part of the format of the file.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A checksum that is being built.
///
/// Each word is folded in by steps that can be undone, so two inputs that differ in one word only never have the same
/// checksum. It is no defence against somebody who wants to deceive.
#[derive(Clone, Copy)]
pub(super) struct Sum(u64);

impl Sum {
    /// Of nothing.
    pub(super) fn new() -> Self {
        Self(FACTOR)
    }

    fn word(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(FACTOR);
        self.0 = mixed ^ (mixed >> 29);
    }

    /// Folds in bytes, and how many there are.
    fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        self.word(u64::from_le_bytes(last));
    }

    /// Folds in one value of a row, and its type.
    pub(super) fn value(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => self.word(0),
            ValueRef::Integer(number) => {
                self.word(1);
                self.word(number.cast_unsigned());
            }
            ValueRef::Real(number) => {
                self.word(2);
                self.word(number.to_bits());
            }
            ValueRef::Text(text) => {
                self.word(3);
                self.bytes(text);
            }
            ValueRef::Blob(blob) => {
                self.word(4);
                self.bytes(blob);
            }
        }
    }

    /// As it stands in a row.
    pub(super) fn finish(self) -> i64 {
        self.0.cast_signed()
    }
}

/// The checksum of a row's values.
fn sum(values: &[ValueRef<'_>]) -> i64 {
    let mut sum = Sum::new();
    for value in values {
        sum.value(*value);
    }
    sum.finish()
}

/// Binds the values, in the order of the table's columns, and their checksum after them; answers how many rows changed.
pub(super) fn put(connection: &Connection, sql: &str, values: &[ValueRef<'_>]) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached(sql)?;
    for (index, value) in values.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, ToSqlOutput::Borrowed(*value))?;
    }
    statement.raw_bind_parameter(values.len() + 1, sum(values))?;
    statement.raw_execute()
}

/// Takes a row whose columns from `first` on, `columns` of them, are those of a table, the checksum last.
///
/// # Errors
/// [`Error::IntegralValueOutOfRange`] is never used by this crate otherwise, and stands for a checksum that does not match.
pub(super) fn verified(row: &Row<'_>, first: usize, columns: usize) -> rusqlite::Result<()> {
    let mut sum = Sum::new();
    let last = first + columns.saturating_sub(1);
    for index in first..last {
        sum.value(row.get_ref(index)?);
    }
    if row.get_ref(last)? == ValueRef::Integer(sum.finish()) {
        Ok(())
    } else {
        Err(Error::IntegralValueOutOfRange(last, 0))
    }
}

/// A text, as a value of a row.
pub(super) fn text(text: &str) -> ValueRef<'_> {
    ValueRef::Text(text.as_bytes())
}

/// A text that may be missing, as a value of a row.
pub(super) fn maybe(text: Option<&str>) -> ValueRef<'_> {
    text.map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes()))
}

/// A number, as a value of a row.
pub(super) fn int(number: i64) -> ValueRef<'static> {
    ValueRef::Integer(number)
}

/// A count, as a value of a row; beyond what SQLite can hold it stays at the largest.
pub(super) fn count(number: u64) -> ValueRef<'static> {
    ValueRef::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_checksum_is_part_of_the_format_and_never_changes() {
        assert_eq!(sum(&[]), 7_046_029_254_386_353_131_u64.wrapping_neg().cast_signed());
        let first = sum(&[text("1001"), text("9f2c"), int(1), ValueRef::Null]);
        assert_eq!(first, FIXED, "stores written before would be called damaged");
    }

    const FIXED: i64 = 1_258_349_787_786_115_328;

    #[test]
    fn what_is_beside_each_other_does_not_run_together() {
        assert_ne!(sum(&[text("ab"), text("c")]), sum(&[text("a"), text("bc")]));
        assert_ne!(sum(&[text("")]), sum(&[ValueRef::Null]));
        assert_ne!(sum(&[int(0)]), sum(&[ValueRef::Null]));
        assert_ne!(sum(&[text("a")]), sum(&[text("a\0")]));
    }

    proptest! {
        #[test]
        fn one_changed_byte_is_always_noticed(mut bytes in proptest::collection::vec(any::<u8>(), 1..300), at in any::<prop::sample::Index>(), by in 1_u8..) {
            let before = sum(&[ValueRef::Text(&bytes)]);
            let at = at.index(bytes.len());
            bytes[at] ^= by;
            prop_assert_ne!(before, sum(&[ValueRef::Text(&bytes)]));
        }
    }
}
