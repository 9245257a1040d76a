use super::*;
use crate::enums::Severity;
use proptest::prelude::*;

const SEVERITY: Property<Severity> = Property::named("severity");
const ASSIGNED_TO: Property<str> = Property::named("assignedTo");
const UPDATED: Property<Timestamp> = Property::named("lastUpdateDateTime");

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_filter_as_odata() {
    let filter = Filter::all([
        UPDATED.ge(instant("2021-09-30T09:35:45.1133333Z")),
        SEVERITY.any_of(&[Severity::High, Severity::Medium]).unwrap(),
        ASSIGNED_TO.is_null().not(),
    ])
    .unwrap();
    assert_eq!(
        filter.to_string(),
        "lastUpdateDateTime ge 2021-09-30T09:35:45.1133333Z and (severity eq 'high' or severity eq 'medium') and not (assignedTo eq null)"
    );
}

#[test]
fn no_value_can_leave_its_quotes() {
    assert_eq!(ASSIGNED_TO.eq("o'neil' or 'a' eq 'a").to_string(), "assignedTo eq 'o''neil'' or ''a'' eq ''a'");
}

#[test]
fn bounds_keep_their_meaning_at_the_services_resolution() {
    let between = instant("2020-01-01T00:00:00.12345678Z");
    for (filter, bound) in
        [(UPDATED.ge(between), 8), (UPDATED.lt(between), 8), (UPDATED.le(between), 7), (UPDATED.gt(between), 7)]
    {
        assert!(filter.to_string().ends_with(&format!("2020-01-01T00:00:00.123456{bound}Z")), "{filter}");
    }
}

#[test]
fn joining_one_filter_is_that_filter() {
    assert_eq!(Filter::all([SEVERITY.eq(&Severity::Low)]), Some(SEVERITY.eq(&Severity::Low)));
    assert_eq!(Filter::any([]), None);
    assert_eq!(SEVERITY.any_of(&[]), None);
}

/// A reader of what the builder writes, written from the OData grammar and not from the builder.
struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn eat(&mut self, token: &str) -> bool {
        self.0.strip_prefix(token).map(|rest| self.0 = rest).is_some()
    }

    fn or(&mut self) -> Filter {
        let mut parts = vec![self.and()];
        while self.eat(" or ") {
            parts.push(self.and());
        }
        if parts.len() == 1 { parts.remove(0) } else { Filter::Or(parts) }
    }

    fn and(&mut self) -> Filter {
        let mut parts = vec![self.unary()];
        while self.eat(" and ") {
            parts.push(self.unary());
        }
        if parts.len() == 1 { parts.remove(0) } else { Filter::And(parts) }
    }

    fn unary(&mut self) -> Filter {
        if self.eat("not ") {
            return Filter::Not(Box::new(self.unary()));
        }
        if self.eat("(") {
            let inner = self.or();
            assert!(self.eat(")"), "unclosed at {:?}", self.0);
            return inner;
        }
        let property =
            ["severity", "assignedTo", "lastUpdateDateTime"].into_iter().find(|name| self.eat(name)).unwrap();
        let operator = [
            (" eq ", Operator::Equal),
            (" ne ", Operator::NotEqual),
            (" ge ", Operator::AtLeast),
            (" gt ", Operator::Above),
            (" le ", Operator::AtMost),
            (" lt ", Operator::Below),
        ]
        .into_iter()
        .find_map(|(word, operator)| self.eat(word).then_some(operator))
        .unwrap();
        Filter::Comparison { property, operator, value: self.literal() }
    }

    fn literal(&mut self) -> Literal {
        if self.eat("null") {
            return Literal::Null;
        }
        if self.eat("'") {
            let mut text = String::new();
            loop {
                let end = self.0.find('\'').unwrap();
                text.push_str(&self.0[..end]);
                self.0 = &self.0[end + 1..];
                if !self.eat("'") {
                    return Literal::Text(text);
                }
                text.push('\'');
            }
        }
        let end = self.0.find([' ', ')']).unwrap_or(self.0.len());
        let time = self.0[..end].parse().unwrap();
        self.0 = &self.0[end..];
        Literal::Time(time)
    }
}

fn filters() -> impl Strategy<Value = Filter> {
    let text = prop_oneof![any::<String>(), "[' ()a-d]{0,12}", Just("' or 1 eq 1 or '".to_owned())];
    let leaf = prop_oneof![
        text.clone().prop_map(|text| ASSIGNED_TO.eq(&text)),
        text.prop_map(|text| ASSIGNED_TO.ne(&text)),
        Just(ASSIGNED_TO.is_null()),
        prop::sample::select(vec![Severity::High, Severity::Unrecognized("it's".into())])
            .prop_map(|severity| SEVERITY.eq(&severity)),
        (-62_135_596_800i64..253_370_764_800, 0..1_000_000_000i32, 0..4u8).prop_map(
            |(seconds, nanoseconds, operator)| {
                let time = Timestamp::new(seconds, nanoseconds).unwrap();
                [UPDATED.ge(time), UPDATED.gt(time), UPDATED.le(time), UPDATED.lt(time)][usize::from(operator)].clone()
            }
        ),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::Or),
            inner.prop_map(Filter::not),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_as_the_same_tree(filter in filters()) {
        let text = filter.to_string();
        let mut reader = Reader(&text);
        prop_assert_eq!(reader.or(), filter);
        prop_assert_eq!(reader.0, "");
    }
}
