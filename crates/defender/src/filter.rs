//! `$filter` expressions, built and never concatenated.
//!
//! A [`Property`] knows the type of its values, so a comparison cannot be ill-typed; text is quoted with its quotes
//! doubled (contract section 3), so no value can become part of the expression. What is built here is not yet encoded
//! for a URL; the host does that.

use crate::enums::Enumeration;
use crate::time;
use jiff::Timestamp;
use std::fmt;
use std::marker::PhantomData;

/// A property that can be filtered by, with values of type `V`.
#[derive(Debug)]
pub struct Property<V: ?Sized> {
    name: &'static str,
    values: PhantomData<fn(&V)>,
}

/// A filter expression; [`Display`](fmt::Display) writes it as OData.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// One property against one value.
    Comparison {
        /// The property's name.
        property: &'static str,
        /// How they are compared.
        operator: Operator,
        /// What it is compared with.
        value: Literal,
    },
    /// All hold. Empty: always true, which [`Filter::all`] never builds.
    And(Vec<Filter>),
    /// Any holds.
    Or(Vec<Filter>),
    /// Does not hold.
    Not(Box<Filter>),
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `eq`
    Equal,
    /// `ne`
    NotEqual,
    /// `ge`
    AtLeast,
    /// `gt`
    Above,
    /// `le`
    AtMost,
    /// `lt`
    Below,
}

/// A value in a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// No value.
    Null,
    /// Text, written in quotes.
    Text(String),
    /// An instant, written bare.
    Time(Timestamp),
}

/// A type whose values can stand in a filter.
pub trait Value {
    /// The value as a literal.
    fn literal(&self) -> Literal;
}

impl Value for str {
    fn literal(&self) -> Literal {
        Literal::Text(self.to_owned())
    }
}

impl Value for Timestamp {
    fn literal(&self) -> Literal {
        Literal::Time(*self)
    }
}

/// A member in Graph's spelling.
impl<T: Enumeration> Value for T {
    fn literal(&self) -> Literal {
        Literal::Text(self.name().to_owned())
    }
}

impl<V: Value + ?Sized> Property<V> {
    /// A property by its name on the wire.
    pub const fn named(name: &'static str) -> Self {
        Self { name, values: PhantomData }
    }

    fn compare(&self, operator: Operator, value: Literal) -> Filter {
        // The services keep times in steps of 100 ns and may refuse finer ones; the bound moves to the next step on the
        // side that keeps its meaning.
        let value = match (operator, value) {
            (Operator::AtLeast | Operator::Below, Literal::Time(at)) => Literal::Time(time::ceil(at)),
            (Operator::AtMost | Operator::Above, Literal::Time(at)) => Literal::Time(time::floor(at)),
            (_, value) => value,
        };
        Filter::Comparison { property: self.name, operator, value }
    }

    /// `property eq value`
    pub fn eq(&self, value: &V) -> Filter {
        self.compare(Operator::Equal, value.literal())
    }

    /// `property ne value`
    pub fn ne(&self, value: &V) -> Filter {
        self.compare(Operator::NotEqual, value.literal())
    }

    /// `property eq null`
    pub fn is_null(&self) -> Filter {
        self.compare(Operator::Equal, Literal::Null)
    }

    /// The property is any of the values; `None` when there are none.
    pub fn any_of<'v>(&self, values: impl IntoIterator<Item = &'v V>) -> Option<Filter>
    where
        V: 'v,
    {
        Filter::any(values.into_iter().map(|value| self.eq(value)))
    }
}

impl Property<Timestamp> {
    /// `property ge value`
    pub fn ge(&self, value: Timestamp) -> Filter {
        self.compare(Operator::AtLeast, Literal::Time(value))
    }

    /// `property gt value`
    pub fn gt(&self, value: Timestamp) -> Filter {
        self.compare(Operator::Above, Literal::Time(value))
    }

    /// `property le value`
    pub fn le(&self, value: Timestamp) -> Filter {
        self.compare(Operator::AtMost, Literal::Time(value))
    }

    /// `property lt value`
    pub fn lt(&self, value: Timestamp) -> Filter {
        self.compare(Operator::Below, Literal::Time(value))
    }
}

impl Filter {
    /// All of the filters; `None` when there are none.
    pub fn all(filters: impl IntoIterator<Item = Filter>) -> Option<Filter> {
        Self::join(filters, Filter::And)
    }

    /// Any of the filters; `None` when there are none.
    pub fn any(filters: impl IntoIterator<Item = Filter>) -> Option<Filter> {
        Self::join(filters, Filter::Or)
    }

    fn join(filters: impl IntoIterator<Item = Filter>, many: fn(Vec<Filter>) -> Filter) -> Option<Filter> {
        let mut filters: Vec<_> = filters.into_iter().collect();
        if filters.len() > 1 { Some(many(filters)) } else { filters.pop() }
    }

    /// The opposite.
    #[expect(clippy::should_implement_trait, reason = "reads as the OData operator it writes")]
    pub fn not(self) -> Filter {
        Filter::Not(Box::new(self))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, filters: &[Filter], word: &str| {
            for (index, filter) in filters.iter().enumerate() {
                if index > 0 {
                    write!(f, " {word} ")?;
                }
                // Parentheses around every compound operand: precedence is then nobody's guess.
                match filter {
                    Filter::And(_) | Filter::Or(_) => write!(f, "({filter})")?,
                    Filter::Comparison { .. } | Filter::Not(_) => write!(f, "{filter}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::Comparison { property, operator, value } => write!(f, "{property} {operator} {value}"),
            Self::And(filters) => joined(f, filters, "and"),
            Self::Or(filters) => joined(f, filters, "or"),
            Self::Not(filter) => write!(f, "not ({filter})"),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "eq",
            Self::NotEqual => "ne",
            Self::AtLeast => "ge",
            Self::Above => "gt",
            Self::AtMost => "le",
            Self::Below => "lt",
        })
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Time(time) => time.fmt(f),
            Self::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
        }
    }
}

#[cfg(test)]
mod tests;
