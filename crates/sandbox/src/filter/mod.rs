//! `$filter`: text, to tokens, to an expression checked against the properties a list may be filtered by, to a verdict per row.
//!
//! Only what the services document is accepted: comparisons with `eq ne gt ge lt le`, `and`, `or`, `not`, parentheses, `null`, quoted text with doubled
//! quotes, bare times, and `any` over a list of texts. Everything else (`in`, functions, arithmetic, unknown properties, literals of the wrong type) is an
//! error, which the caller answers with 400.

mod eval;
mod lexer;
mod parser;

use jiff::Timestamp;

pub(crate) use eval::{Cell, Row};

/// What a property holds, and so which literals and operators fit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text, compared exactly.
    Text,
    /// One of the named members, written as quoted text.
    Enum(&'static [&'static str]),
    /// A time, written bare.
    Time,
    /// A whole number.
    Integer,
    /// A list of texts, asked with `any`.
    TextList,
}

/// A property that a list may be filtered by. Its position in the list is how a [`Row`] finds the value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    /// The name as it stands in the filter; case matters.
    pub(crate) name: &'static str,
    /// What it holds.
    pub(crate) kind: Kind,
}

/// Shorthand for a [`Field`].
pub(crate) const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind }
}

/// Tolerances that are switches.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tolerance {
    /// Enum members match whatever their case.
    pub(crate) enum_any_case: bool,
    /// `startswith`, `endswith` and `contains` on text are accepted.
    pub(crate) functions: bool,
}

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    /// `eq`
    Equal,
    /// `ne`
    NotEqual,
    /// `gt`
    Greater,
    /// `ge`
    GreaterOrEqual,
    /// `lt`
    Less,
    /// `le`
    LessOrEqual,
}

/// A text function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    /// `startswith`
    StartsWith,
    /// `endswith`
    EndsWith,
    /// `contains`
    Contains,
}

/// A literal, already of the type of the property it is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Literal {
    /// `null`
    Null,
    /// Text, or the name of an enum member in its own spelling.
    Text(String),
    /// A time.
    Time(Timestamp),
    /// A whole number.
    Integer(i64),
}

/// A checked filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expression {
    /// Both hold.
    And(Box<Expression>, Box<Expression>),
    /// One of them holds.
    Or(Box<Expression>, Box<Expression>),
    /// It does not hold.
    Not(Box<Expression>),
    /// A property against a literal.
    Compare {
        /// The property's position.
        field: usize,
        /// How they are compared.
        operator: Operator,
        /// What it is compared with.
        literal: Literal,
    },
    /// Any element of a list against a literal.
    Any {
        /// The property's position.
        field: usize,
        /// How they are compared.
        operator: Operator,
        /// What each element is compared with.
        literal: Literal,
    },
    /// A text function of a property and a literal.
    Call {
        /// The function.
        function: Function,
        /// The property's position.
        field: usize,
        /// The function's second argument.
        text: String,
    },
}

/// Why a filter was refused: free text for the error's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct FilterError(pub(crate) String);

/// Reads a filter over `fields`.
pub(crate) fn parse(text: &str, fields: &[Field], tolerance: Tolerance) -> Result<Expression, FilterError> {
    parser::parse(text, fields, tolerance)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::eval::Cell;
    use super::*;

    const STATUS: Kind = Kind::Enum(&["active", "resolved", "inProgress"]);
    const FIELDS: &[Field] = &[
        field("status", STATUS),
        field("assignedTo", Kind::Text),
        field("created", Kind::Time),
        field("group", Kind::Integer),
        field("tags", Kind::TextList),
    ];

    #[derive(Debug, Clone, Default)]
    struct Sample {
        texts: BTreeMap<usize, String>,
        time: Option<Timestamp>,
        group: Option<i64>,
        tags: Vec<String>,
    }

    impl Row for Sample {
        fn cell(&self, field: usize) -> Cell<'_> {
            match field {
                0 | 1 => self.texts.get(&field).map_or(Cell::Null, |text| Cell::Text(text)),
                2 => self.time.map_or(Cell::Null, Cell::Time),
                3 => self.group.map_or(Cell::Null, Cell::Integer),
                _ => Cell::List(&self.tags),
            }
        }
    }

    fn sample() -> Sample {
        Sample {
            texts: BTreeMap::from([(0, "active".to_owned()), (1, "o'neil@contoso.com".to_owned())]),
            time: Some("2026-03-01T12:00:00.29Z".parse().unwrap()),
            group: Some(7),
            tags: vec!["crown".to_owned(), "jewel".to_owned()],
        }
    }

    fn holds(text: &str) -> bool {
        parse(text, FIELDS, Tolerance::default()).unwrap_or_else(|error| panic!("{text}: {error}")).holds(&sample())
    }

    #[test]
    fn what_is_documented_is_understood() {
        for text in [
            "status eq 'active'",
            "status ne 'resolved'",
            "not status eq 'resolved'",
            "not (status eq 'resolved' or assignedTo eq null)",
            "assignedTo eq 'o''neil@contoso.com'",
            "assignedTo ne null",
            "created ge 2026-03-01T12:00:00Z",
            "created eq 2026-03-01T12:00:00.2900000Z",
            "created lt 2026-03-01T12:00:00.3Z and created gt 2026-03-01T13:00:00.28+01:00",
            "status eq 'resolved' or status eq 'active' and group eq 7",
            "(status eq 'resolved' or status eq 'active') and group le 7",
            "tags/any(tag: tag eq 'jewel')",
            "  status   eq   'active'  ",
            "'active' eq status",
            "2026-03-01T00:00:00Z lt created",
        ] {
            assert!(holds(text), "{text}");
        }
        for text in
            ["status eq 'resolved'", "created gt 2026-03-02T00:00:00Z", "group lt null", "tags/any(t:t eq 'none')"]
        {
            assert!(!holds(text), "{text}");
        }
    }

    #[test]
    fn and_binds_tighter_than_or_and_not_tighter_than_and() {
        assert!(holds("status eq 'active' or status eq 'resolved' and group eq 0"));
        assert!(!holds("(status eq 'active' or status eq 'resolved') and group eq 0"));
        assert!(!holds("not status eq 'active' and group eq 7"));
    }

    #[test]
    fn what_is_not_documented_is_refused() {
        for text in [
            "",
            "status",
            "status eq",
            "status eq active",
            "status eq \"active\"",
            "status eq 'Active'",
            "status eq 'bogus'",
            "status gt 'active'",
            "Status eq 'active'",
            "severity eq 'high'",
            "status in ('active','resolved')",
            "created ge '2026-03-01T00:00:00Z'",
            "created ge 2026-03-01",
            "created ge 2026-03-01T00:00:00",
            "created ge 2026-03-01T00:00:00 01:00",
            "created ge 2026-13-01T00:00:00Z",
            "status eq 'active",
            "(status eq 'active'",
            "status eq 'active')",
            "status eq 'active' and",
            "status eq 'active' xor group eq 1",
            "startswith(assignedTo,'o')",
            "tags eq 'jewel'",
            "tags/any(t: x eq 'jewel')",
            "group eq 'seven'",
            "group eq true",
            "status eq status",
            "status EQ 'active'",
            "status eq 'active';",
        ] {
            assert!(parse(text, FIELDS, Tolerance::default()).is_err(), "{text}");
        }
        assert!(parse(&"(".repeat(100_000), FIELDS, Tolerance::default()).is_err());
        assert!(parse(&format!("{}status eq 'active'", "not ".repeat(100_000)), FIELDS, Tolerance::default()).is_err());
    }

    #[test]
    fn tolerances_are_switches() {
        let lax = Tolerance { enum_any_case: true, functions: true };
        assert!(parse("status eq 'ACTIVE'", FIELDS, lax).unwrap().holds(&sample()));
        assert!(parse("startswith(assignedTo,'o''n')", FIELDS, lax).unwrap().holds(&sample()));
        assert!(!parse("contains(assignedTo,'fabrikam')", FIELDS, lax).unwrap().holds(&sample()));
    }

    /// Writes an expression with every parenthesis, so that reading it back shows whether precedence and literals survive.
    fn write(expression: &Expression) -> String {
        let operator = |operator: &Operator| match operator {
            Operator::Equal => "eq",
            Operator::NotEqual => "ne",
            Operator::Greater => "gt",
            Operator::GreaterOrEqual => "ge",
            Operator::Less => "lt",
            Operator::LessOrEqual => "le",
        };
        let literal = |literal: &Literal| match literal {
            Literal::Null => "null".to_owned(),
            Literal::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Literal::Time(time) => time.to_string(),
            Literal::Integer(number) => number.to_string(),
        };
        match expression {
            Expression::And(left, right) => format!("({} and {})", write(left), write(right)),
            Expression::Or(left, right) => format!("({} or {})", write(left), write(right)),
            Expression::Not(inner) => format!("not ({})", write(inner)),
            Expression::Compare { field, operator: op, literal: value } => {
                format!("{} {} {}", FIELDS[*field].name, operator(op), literal(value))
            }
            Expression::Any { field, operator: op, literal: value } => {
                format!("{}/any(x:x {} {})", FIELDS[*field].name, operator(op), literal(value))
            }
            Expression::Call { .. } => unreachable!("not generated"),
        }
    }

    fn ordered() -> impl Strategy<Value = Operator> {
        prop::sample::select(vec![
            Operator::Equal,
            Operator::NotEqual,
            Operator::Greater,
            Operator::GreaterOrEqual,
            Operator::Less,
            Operator::LessOrEqual,
        ])
    }

    fn equality() -> impl Strategy<Value = Operator> {
        prop::sample::select(vec![Operator::Equal, Operator::NotEqual])
    }

    fn expression() -> impl Strategy<Value = Expression> {
        let leaf = prop_oneof![
            (equality(), prop::sample::select(vec!["active", "resolved", "inProgress"])).prop_map(
                |(operator, member)| {
                    Expression::Compare { field: 0, operator, literal: Literal::Text(member.to_owned()) }
                }
            ),
            (ordered(), "\\PC{0,12}").prop_map(|(operator, text)| Expression::Compare {
                field: 1,
                operator,
                literal: Literal::Text(text)
            }),
            (ordered(), 0_i64..4_000_000_000, 0_i64..10_000_000).prop_map(|(operator, second, tick)| {
                let time = Timestamp::new(second, i32::try_from(tick * 100).unwrap()).unwrap();
                Expression::Compare { field: 2, operator, literal: Literal::Time(time) }
            }),
            (ordered(), any::<i64>()).prop_map(|(operator, number)| Expression::Compare {
                field: 3,
                operator,
                literal: Literal::Integer(number)
            }),
            (equality(), 0_usize..4).prop_map(|(operator, field)| Expression::Compare {
                field,
                operator,
                literal: Literal::Null
            }),
            (equality(), "[a-z' ]{0,8}").prop_map(|(operator, text)| Expression::Any {
                field: 4,
                operator,
                literal: Literal::Text(text)
            }),
        ];
        leaf.prop_recursive(5, 40, 2, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| Expression::And(Box::new(a), Box::new(b))),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| Expression::Or(Box::new(a), Box::new(b))),
                inner.prop_map(|a| Expression::Not(Box::new(a))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read_back(expression in expression()) {
            let text = write(&expression);
            prop_assert_eq!(parse(&text, FIELDS, Tolerance::default()).map_err(|error| format!("{text}: {error}")), Ok(expression));
        }

        #[test]
        fn a_filter_and_its_negation_disagree(expression in expression()) {
            let not = Expression::Not(Box::new(expression.clone()));
            prop_assert_ne!(expression.holds(&sample()), not.holds(&sample()));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = parse(&text, FIELDS, Tolerance { enum_any_case: true, functions: true });
        }

        #[test]
        fn no_mutation_panics(expression in expression(), at in any::<prop::sample::Index>(), insert in "[ -~]{0,3}") {
            let mut text: Vec<char> = write(&expression).chars().collect();
            let at = at.index(text.len());
            text.splice(at..=at, insert.chars());
            let _ = parse(&text.into_iter().collect::<String>(), FIELDS, Tolerance::default());
        }
    }
}
