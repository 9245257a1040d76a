//! A checked filter against a row.

use std::cmp::Ordering;

use jiff::Timestamp;

use super::{Expression, Function, Literal, Operator};

/// The value of one property of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'a> {
    /// It has none.
    Null,
    /// Text, or the name of an enum member.
    Text(&'a str),
    /// A time.
    Time(Timestamp),
    /// A whole number.
    Integer(i64),
    /// A list of texts.
    List(&'a [String]),
}

/// Something that can be filtered: it gives the value of the property at a position of the field list.
pub(crate) trait Row {
    /// The value of property number `field`.
    fn cell(&self, field: usize) -> Cell<'_>;
}

impl Expression {
    /// Whether the row fits.
    pub(crate) fn holds(&self, row: &impl Row) -> bool {
        match self {
            Self::And(left, right) => left.holds(row) && right.holds(row),
            Self::Or(left, right) => left.holds(row) || right.holds(row),
            Self::Not(inner) => !inner.holds(row),
            Self::Compare { field, operator, literal } => compare(row.cell(*field), *operator, literal),
            Self::Any { field, operator, literal } => match row.cell(*field) {
                Cell::List(list) => list.iter().any(|text| compare(Cell::Text(text), *operator, literal)),
                _ => false,
            },
            Self::Call { function, field, text } => match row.cell(*field) {
                Cell::Text(value) => match function {
                    Function::StartsWith => value.starts_with(text.as_str()),
                    Function::EndsWith => value.ends_with(text.as_str()),
                    Function::Contains => value.contains(text.as_str()),
                },
                _ => false,
            },
        }
    }
}

/// OData's rule for null: it equals null only, and every ordering with it is false.
fn compare(cell: Cell<'_>, operator: Operator, literal: &Literal) -> bool {
    let ordering = match (cell, literal) {
        (Cell::Null, Literal::Null) => {
            return operator == Operator::Equal;
        }
        (Cell::Null, _) | (_, Literal::Null) => {
            return operator == Operator::NotEqual;
        }
        (Cell::Text(value), Literal::Text(text)) => value.cmp(text.as_str()),
        (Cell::Time(value), Literal::Time(time)) => value.cmp(time),
        (Cell::Integer(value), Literal::Integer(number)) => value.cmp(number),
        _ => return false,
    };
    match operator {
        Operator::Equal => ordering == Ordering::Equal,
        Operator::NotEqual => ordering != Ordering::Equal,
        Operator::Greater => ordering == Ordering::Greater,
        Operator::GreaterOrEqual => ordering != Ordering::Less,
        Operator::Less => ordering == Ordering::Less,
        Operator::LessOrEqual => ordering != Ordering::Greater,
    }
}
