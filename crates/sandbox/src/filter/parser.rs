//! Tokens to a checked expression, by recursive descent. Precedence, lowest first: `or`, `and`, `not`, comparison.

use super::lexer::{Token, tokens};
use super::{Expression, Field, FilterError, Function, Kind, Literal, Operator, Tolerance};

/// How deep parentheses and `not` may nest.
const DEPTH: usize = 100;

pub(super) fn parse(text: &str, fields: &[Field], tolerance: Tolerance) -> Result<Expression, FilterError> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0, fields, tolerance };
    let expression = parser.either()?;
    match parser.next() {
        None => Ok(expression),
        Some(token) => Err(unexpected(&token)),
    }
}

fn unexpected(token: &Token) -> FilterError {
    FilterError(match token {
        Token::Name(name) => format!("Syntax error at '{name}'"),
        Token::Text(_) => "Syntax error at a string literal".to_owned(),
        Token::Time(_) => "Syntax error at a date literal".to_owned(),
        Token::Integer(_) => "Syntax error at a number".to_owned(),
        Token::Open => "Syntax error at '('".to_owned(),
        Token::Close => "Syntax error at ')'".to_owned(),
        Token::Comma => "Syntax error at ','".to_owned(),
        Token::Colon => "Syntax error at ':'".to_owned(),
    })
}

/// One side of a comparison.
enum Side {
    Field(usize),
    Literal(Token),
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    fields: &'a [Field],
    tolerance: Tolerance,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn want(&mut self) -> Result<Token, FilterError> {
        self.next().ok_or_else(|| FilterError("Syntax error: the expression ends too early".to_owned()))
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.tokens.get(self.at), Some(Token::Name(name)) if name == word)
    }

    fn expect(&mut self, wanted: &Token) -> Result<(), FilterError> {
        let token = self.want()?;
        if token == *wanted { Ok(()) } else { Err(unexpected(&token)) }
    }

    fn either(&mut self) -> Result<Expression, FilterError> {
        let mut left = self.both()?;
        while self.is_word("or") {
            self.at += 1;
            left = Expression::Or(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Expression, FilterError> {
        let mut left = self.unary()?;
        while self.is_word("and") {
            self.at += 1;
            left = Expression::And(Box::new(left), Box::new(self.unary()?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expression, FilterError> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(FilterError("The node count limit was exceeded".to_owned()));
        }
        let expression = if self.is_word("not") {
            self.at += 1;
            Expression::Not(Box::new(self.unary()?))
        } else if self.tokens.get(self.at) == Some(&Token::Open) {
            self.at += 1;
            let inner = self.either()?;
            self.expect(&Token::Close)?;
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn comparison(&mut self) -> Result<Expression, FilterError> {
        let first = self.want()?;
        if let Token::Name(name) = &first
            && self.tokens.get(self.at) == Some(&Token::Open)
        {
            return if let Some(list) = name.strip_suffix("/any") { self.any(list) } else { self.call(name) };
        }
        let left = self.side(first)?;
        let operator = self.operator()?;
        let second = self.want()?;
        let right = self.side(second)?;
        match (left, right) {
            (Side::Field(field), Side::Literal(token)) => self.compare(field, operator, token),
            (Side::Literal(token), Side::Field(field)) => self.compare(field, mirror(operator), token),
            _ => Err(FilterError("A property must be compared with a literal".to_owned())),
        }
    }

    fn side(&self, token: Token) -> Result<Side, FilterError> {
        match token {
            Token::Name(name) if matches!(name.as_str(), "null" | "true" | "false") => {
                Ok(Side::Literal(Token::Name(name)))
            }
            Token::Name(name) => self.field(&name).map(Side::Field),
            Token::Text(_) | Token::Time(_) | Token::Integer(_) => Ok(Side::Literal(token)),
            other => Err(unexpected(&other)),
        }
    }

    fn field(&self, name: &str) -> Result<usize, FilterError> {
        self.fields.iter().position(|field| field.name == name).ok_or_else(|| {
            FilterError(format!("Invalid filter clause: property '{name}' does not exist or cannot be filtered by"))
        })
    }

    fn operator(&mut self) -> Result<Operator, FilterError> {
        let token = self.want()?;
        let Token::Name(name) = &token else { return Err(unexpected(&token)) };
        Ok(match name.as_str() {
            "eq" => Operator::Equal,
            "ne" => Operator::NotEqual,
            "gt" => Operator::Greater,
            "ge" => Operator::GreaterOrEqual,
            "lt" => Operator::Less,
            "le" => Operator::LessOrEqual,
            _ => return Err(FilterError(format!("Operator '{name}' is not supported"))),
        })
    }

    fn compare(&self, field: usize, operator: Operator, token: Token) -> Result<Expression, FilterError> {
        let Some(Field { name, kind }) = self.fields.get(field).copied() else {
            return Err(FilterError("Unknown property".to_owned()));
        };
        let literal = match kind {
            Kind::TextList => return Err(FilterError(format!("Property '{name}' is a collection; use any"))),
            kind => self.literal(name, kind, token)?,
        };
        let ordered = matches!(kind, Kind::Text | Kind::Time | Kind::Integer);
        if !ordered && !matches!(operator, Operator::Equal | Operator::NotEqual) {
            return Err(FilterError(format!("Property '{name}' can only be compared with eq and ne")));
        }
        Ok(Expression::Compare { field, operator, literal })
    }

    fn literal(&self, name: &str, kind: Kind, token: Token) -> Result<Literal, FilterError> {
        let mismatch =
            || FilterError(format!("A binary operator with incompatible types was detected at property '{name}'"));
        Ok(match (kind, token) {
            (_, Token::Name(word)) if word == "null" => Literal::Null,
            (Kind::Text | Kind::TextList, Token::Text(text)) => Literal::Text(text),
            (Kind::Enum(members), Token::Text(text)) => {
                let found = members.iter().find(|member| {
                    **member == text || (self.tolerance.enum_any_case && member.eq_ignore_ascii_case(&text))
                });
                let member = found.ok_or_else(|| {
                    FilterError(format!("The string '{text}' is not a valid value of property '{name}'"))
                })?;
                Literal::Text((*member).to_owned())
            }
            (Kind::Time, Token::Time(time)) => Literal::Time(time),
            (Kind::Integer, Token::Integer(number)) => Literal::Integer(number),
            _ => return Err(mismatch()),
        })
    }

    /// `list/any(x: x eq 'text')`, from the opening parenthesis on.
    fn any(&mut self, list: &str) -> Result<Expression, FilterError> {
        let field = self.field(list)?;
        if self.fields.get(field).map(|field| field.kind) != Some(Kind::TextList) {
            return Err(FilterError(format!("Property '{list}' is not a collection")));
        }
        self.expect(&Token::Open)?;
        let variable = self.want()?;
        if !matches!(variable, Token::Name(_)) {
            return Err(unexpected(&variable));
        }
        self.expect(&Token::Colon)?;
        self.expect(&variable)?;
        let operator = self.operator()?;
        let token = self.want()?;
        let literal = self.literal(list, Kind::TextList, token)?;
        self.expect(&Token::Close)?;
        Ok(Expression::Any { field, operator, literal })
    }

    /// `function(property,'text')`, from the opening parenthesis on.
    fn call(&mut self, name: &str) -> Result<Expression, FilterError> {
        let function = match name {
            "startswith" => Function::StartsWith,
            "endswith" => Function::EndsWith,
            "contains" => Function::Contains,
            _ => return Err(FilterError(format!("Unknown function '{name}'"))),
        };
        if !self.tolerance.functions {
            return Err(FilterError(format!("Function '{name}' is not supported")));
        }
        self.expect(&Token::Open)?;
        let token = self.want()?;
        let Token::Name(property) = &token else { return Err(unexpected(&token)) };
        let field = self.field(property)?;
        if self.fields.get(field).map(|field| field.kind) != Some(Kind::Text) {
            return Err(FilterError(format!("Function '{name}' needs a text property, not '{property}'")));
        }
        self.expect(&Token::Comma)?;
        let token = self.want()?;
        let Token::Text(text) = token else { return Err(unexpected(&token)) };
        self.expect(&Token::Close)?;
        Ok(Expression::Call { function, field, text })
    }
}

fn mirror(operator: Operator) -> Operator {
    match operator {
        Operator::Greater => Operator::Less,
        Operator::GreaterOrEqual => Operator::LessOrEqual,
        Operator::Less => Operator::Greater,
        Operator::LessOrEqual => Operator::GreaterOrEqual,
        same => same,
    }
}
