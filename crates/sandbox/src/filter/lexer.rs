//! Filter text to tokens.

use jiff::Timestamp;

use super::FilterError;

/// How many tokens a filter may have.
const LIMIT: usize = 2_000;

/// A token of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or keyword, with `/` and `.` inside.
    Name(String),
    /// Quoted text, with doubled quotes undone.
    Text(String),
    /// A bare time.
    Time(Timestamp),
    /// A whole number.
    Integer(i64),
    /// `(`
    Open,
    /// `)`
    Close,
    /// `,`
    Comma,
    /// `:`
    Colon,
}

/// All tokens of `text`.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (token, used) = match first {
            ' ' | '\t' => {
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            ':' => (Token::Colon, 1),
            '\'' => quoted(rest)?,
            '0'..='9' | '-' => number_or_time(rest)?,
            letter if letter.is_ascii_alphabetic() || letter == '_' => {
                let used = word(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.'));
                (Token::Name(rest.get(..used).unwrap_or_default().to_owned()), used)
            }
            other => {
                return Err(FilterError(format!("Syntax error: character '{}' is not valid", other.escape_debug())));
            }
        };
        tokens.push(token);
        if tokens.len() > LIMIT {
            return Err(FilterError("The node count limit was exceeded".to_owned()));
        }
        rest = rest.get(used..).unwrap_or_default();
    }
    Ok(tokens)
}

/// The length in bytes of the longest start of `text` whose characters all fit.
fn word(text: &str, fits: impl Fn(char) -> bool) -> usize {
    text.char_indices().find(|(_, c)| !fits(*c)).map_or(text.len(), |(at, _)| at)
}

fn quoted(text: &str) -> Result<(Token, usize), FilterError> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c != '\'' {
            value.push(c);
        } else if characters.peek().is_some_and(|(_, next)| *next == '\'') {
            value.push('\'');
            characters.next();
        } else {
            return Ok((Token::Text(value), at + 1));
        }
    }
    Err(FilterError("Syntax error: there is an unterminated string literal".to_owned()))
}

fn number_or_time(text: &str) -> Result<(Token, usize), FilterError> {
    let used = word(text, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.' | '+'));
    let literal = text.get(..used).unwrap_or_default();
    let bytes = literal.as_bytes();
    // A time is `YYYY-MM-DDThh:mm...` with an offset; a bare date is not a DateTimeOffset.
    let token = if bytes.get(4) == Some(&b'-') && bytes.get(10) == Some(&b'T') {
        literal.parse::<Timestamp>().ok().map(Token::Time)
    } else {
        literal.parse::<i64>().ok().map(Token::Integer)
    };
    token.map(|token| (token, used)).ok_or_else(|| FilterError(format!("Unrecognized literal '{literal}'")))
}
