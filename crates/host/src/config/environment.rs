//! The environment variables, as a value: of this process, or of a test.

use crate::failure::Failure;
use std::collections::BTreeMap;
use std::env::VarError;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where environment variables are read from. Cheap to clone; variables are looked up one by one when needed.
#[derive(Clone)]
pub struct Environment(Source);

#[derive(Clone)]
enum Source {
    Process,
    Given(Arc<BTreeMap<String, String>>),
}

impl Environment {
    /// This process's variables.
    pub fn process() -> Self {
        Self(Source::Process)
    }

    /// Exactly these variables.
    pub fn of<N: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        Self(Source::Given(Arc::new(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())))
    }

    /// No variables at all.
    pub fn empty() -> Self {
        Self::of::<String, String>([])
    }

    /// A variable's value, trimmed; `None` when it is not set or holds nothing.
    ///
    /// # Errors
    /// Kind `configuration`, when the value is not UTF-8.
    pub fn get(&self, name: &str) -> Result<Option<String>, Failure> {
        let value = match &self.0 {
            Source::Process => match std::env::var(name) {
                Ok(value) => value,
                Err(VarError::NotPresent) => return Ok(None),
                Err(VarError::NotUnicode(_)) => {
                    return Err(Failure::configuration(format!("the variable {name} is not UTF-8"), "set it anew"));
                }
            },
            Source::Given(variables) => match variables.get(name) {
                Some(value) => value.clone(),
                None => return Ok(None),
            },
        };
        let trimmed = value.trim();
        Ok((!trimmed.is_empty()).then(|| trimmed.to_owned()))
    }

    /// A variable that holds a path.
    pub(super) fn path(&self, name: &str) -> Result<Option<PathBuf>, Failure> {
        Ok(self.get(name)?.map(PathBuf::from))
    }
}

// The values may be secrets: only where they come from is shown.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Process => f.write_str("Environment(process)"),
            Source::Given(variables) => write!(f, "Environment({} variables)", variables.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_trimmed_and_nothing_counts_as_not_set() {
        let environment = Environment::of([("A", " x\n"), ("B", "  ")]);
        assert_eq!(environment.get("A").unwrap().as_deref(), Some("x"));
        assert_eq!(environment.get("B").unwrap(), None);
        assert_eq!(environment.get("C").unwrap(), None);
        assert!(!format!("{:?}", Environment::of([("A", "hunter2")])).contains("hunter2"));
    }
}
