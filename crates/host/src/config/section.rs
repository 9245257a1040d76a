//! Reading one table of a configuration file strictly.
//!
//! Every key that is read is known; what was never asked for when the section is finished is refused, with the
//! key that was probably meant. No message repeats a value: it could be a secret in the wrong place.
//!
//! What a crate above understands of a profile it reads with the same reader: see [`Unread`].

use super::origin::Origin;
use crate::failure::Failure;
use crate::text::{clean, nearest, quote};
use std::fmt;
use toml::{Table, Value};

/// A table being read.
pub struct Section<'a> {
    table: &'a Table,
    /// The table's own name, as it stands in brackets; empty for the top of the file.
    path: String,
    file: &'a str,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// A table with its own name and that of its file, for messages.
    pub(super) fn new(table: &'a Table, path: impl Into<String>, file: &'a str) -> Self {
        Self { table, path: path.into(), file, known: Vec::new() }
    }

    /// The section's name with a key, as messages show it.
    pub fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A failure about a key, of kind `configuration`.
    pub fn wrong(&self, key: &str, problem: &str, hint: impl AsRef<str>) -> Failure {
        Failure::configuration(format!("{}: `{}` {problem}", self.file, clean(&self.name(key), 200)), hint)
    }

    /// A failure about the section as a whole, of kind `configuration`.
    pub fn itself(&self, problem: &str, hint: impl AsRef<str>) -> Failure {
        Failure::configuration(format!("{}: `{}` {problem}", self.file, clean(&self.path, 200)), hint)
    }

    /// A value of any type.
    pub fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.table.get(key)
    }

    /// A text, trimmed; an empty one is refused.
    ///
    /// # Errors
    /// Kind `configuration`, when it is of another type or empty.
    pub fn text(&mut self, key: &'static str) -> Result<Option<&'a str>, Failure> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => {
                Err(self.wrong(key, "is empty", "give it a value or take the line out"))
            }
            Some(Value::String(text)) => Ok(Some(text.trim())),
            Some(other) => Err(self.mistyped(key, other, "a text in quotes")),
        }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// Kind `configuration`, when it is of another type.
    pub fn truth(&mut self, key: &'static str) -> Result<Option<bool>, Failure> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Boolean(truth)) => Ok(Some(*truth)),
            Some(other) => Err(self.mistyped(key, other, "true or false")),
        }
    }

    /// A number of seconds, more than nothing and at most a day.
    ///
    /// # Errors
    /// Kind `configuration`, when it is of another type or out of range.
    pub fn seconds(&mut self, key: &'static str) -> Result<Option<std::time::Duration>, Failure> {
        let seconds = match self.value(key) {
            None => return Ok(None),
            Some(Value::Integer(seconds)) => *seconds as f64,
            Some(Value::Float(seconds)) => *seconds,
            Some(other) => return Err(self.mistyped(key, other, "a number of seconds")),
        };
        if seconds > 0.0 && seconds <= 86_400.0 {
            Ok(Some(std::time::Duration::from_secs_f64(seconds)))
        } else {
            Err(self.wrong(key, "is out of range", "give seconds: more than 0, at most 86400"))
        }
    }

    /// A list of texts.
    ///
    /// # Errors
    /// Kind `configuration`, when it is of another type.
    pub fn texts(&mut self, key: &'static str) -> Result<Option<Vec<&'a str>>, Failure> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => texts(value)
                .map(Some)
                .ok_or_else(|| self.wrong(key, "is not a list of texts", "write it as [\"..\", \"..\"]")),
        }
    }

    /// The tables of a list of tables; a single table counts as a list of one.
    ///
    /// # Errors
    /// Kind `configuration`, when it is neither.
    pub fn sections(&mut self, key: &'static str) -> Result<Vec<Section<'a>>, Failure> {
        match self.value(key) {
            None => Ok(Vec::new()),
            Some(Value::Table(table)) => Ok(vec![Section::new(table, self.name(key), self.file)]),
            Some(Value::Array(items)) => items.iter().map(|item| self.inner(key, item)).collect(),
            Some(other) => Err(self.mistyped(key, other, "a list of tables")),
        }
    }

    /// A table inside this one.
    ///
    /// # Errors
    /// Kind `configuration`, when it is of another type.
    pub fn section(&mut self, key: &'static str) -> Result<Option<Section<'a>>, Failure> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Table(table)) => Ok(Some(Section::new(table, self.name(key), self.file))),
            Some(other) => Err(self.mistyped(key, other, "a table")),
        }
    }

    /// All keys of a section whose keys are free, each with its value.
    pub fn open(&self) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        self.table.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// A table inside this one, by a key that is free.
    ///
    /// # Errors
    /// Kind `configuration`, when it is of another type.
    pub fn inner(&self, key: &str, value: &'a Value) -> Result<Section<'a>, Failure> {
        match value {
            Value::Table(table) => Ok(Section::new(table, self.name(key), self.file)),
            other => Err(self.mistyped(key, other, "a table")),
        }
    }

    /// This section as it is, for somebody else to read.
    pub(super) fn unread(&self, origin: Origin) -> Unread {
        Unread { table: self.table.clone(), path: self.path.clone(), file: self.file.to_owned(), origin }
    }

    /// Refuses keys that were never asked for.
    ///
    /// # Errors
    /// Kind `configuration`, naming the key that was probably meant.
    pub fn finish(self) -> Result<(), Failure> {
        match self.table.keys().find(|key| !self.known.contains(&key.as_str())) {
            Some(unknown) => Err(self.unknown(unknown, &self.known)),
            None => Ok(()),
        }
    }

    /// A failure about a key that is none of the known ones, with the one that was probably meant.
    pub fn unknown(&self, key: &str, known: &[&str]) -> Failure {
        let hint = match nearest(key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here are {}", known.join(", ")),
        };
        let place = if self.path.is_empty() { String::new() } else { format!(" in [{}]", clean(&self.path, 200)) };
        Failure::configuration(format!("{}: unknown key {}{place}", self.file, quote(key)), hint)
    }

    /// A failure about a value of another type than is wanted there.
    pub fn mistyped(&self, key: &str, found: &Value, wanted: &str) -> Failure {
        self.wrong(key, &format!("is {}, wanted {wanted}", name_of(found)), "correct its type")
    }
}

/// A table of a profile that the runtime takes as it is: a crate above understands its keys.
#[derive(Clone)]
pub struct Unread {
    pub(super) table: Table,
    pub(super) path: String,
    pub(super) file: String,
    /// Where its values come from.
    pub(super) origin: Origin,
}

impl Unread {
    /// Begins to read it.
    pub fn read(&self) -> Section<'_> {
        Section::new(&self.table, self.path.clone(), &self.file)
    }

    /// Where its values come from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

// Its values are not known yet, so they could be secrets.
impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unread").field("path", &self.path).field("file", &self.file).finish_non_exhaustive()
    }
}

/// The texts of a list, if it is one.
pub(super) fn texts(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::trim)).collect()
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Boolean(_) => "a truth value",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn an_unknown_key_is_named_with_its_table_its_file_and_the_nearest_known_one() {
        let table = table("client_secrt = 'hunter2'");
        let mut section = Section::new(&table, "profile.prod.base", "config.toml");
        section.text("client_id").unwrap();
        section.value("client_secret");
        let failure = section.finish().unwrap_err();
        assert_eq!(failure.message, "config.toml: unknown key `client_secrt` in [profile.prod.base]");
        assert_eq!(failure.hint.as_deref(), Some("did you mean `client_secret`?"));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_not_repeated() {
        let table = table("a = 'hunter2'\nb = 7\nc = ' '\nd = [1]");
        let mut section = Section::new(&table, "", "config.toml");
        for failure in [
            section.truth("a").unwrap_err(),
            section.seconds("a").unwrap_err(),
            section.section("a").err().unwrap(),
            section.text("b").unwrap_err(),
            section.text("c").unwrap_err(),
            section.texts("d").unwrap_err(),
        ] {
            assert_eq!(failure.exit_code(), 78);
            assert!(!failure.to_string().contains("hunter2"), "{failure}");
        }
    }

    #[test]
    fn seconds_have_a_range() {
        let table = table("a = 0\nb = -1\nc = 86401\nd = 1.5\ne = nan");
        let mut section = Section::new(&table, "", "config.toml");
        for key in ["a", "b", "c", "e"] {
            assert!(section.seconds(key).is_err(), "{key}");
        }
        assert_eq!(section.seconds("d").unwrap(), Some(std::time::Duration::from_millis(1500)));
    }
}
