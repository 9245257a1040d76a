//! Changes to an incident's tags. The services only take the whole list (contract section 4.1), so it is read, changed and
//! written back.

use schemars::JsonSchema;
use serde::Deserialize;
use sortie_sdk::Violation;

/// How the tags change: either replaced as a whole, or some added and some removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TagChanges {
    /// The whole new list; an empty list removes every tag. Not together with add or remove.
    #[serde(default)]
    pub set: Option<Vec<String>>,
    /// Tags to add to those that are there. One that is there already stays once.
    #[serde(default)]
    pub add: Vec<String>,
    /// Tags to take away, spelled exactly as they are. One that is not there is passed over.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// The longest tag that is taken for meant.
const LONGEST: usize = 256;

impl TagChanges {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.set.is_none() && self.add.is_empty() && self.remove.is_empty()
    }

    /// What is wrong with the request itself; pointers begin with `at`.
    pub fn violations(&self, at: &str) -> Vec<Violation> {
        let mut violations = Vec::new();
        if self.set.is_some() && !(self.add.is_empty() && self.remove.is_empty()) {
            violations
                .push(Violation::new(format!("{at}/set"), "replaces all tags; leave out either set or add and remove"));
        }
        let lists = [("set", self.set.as_deref().unwrap_or_default()), ("add", &self.add), ("remove", &self.remove)];
        for (name, list) in lists {
            for (index, tag) in list.iter().enumerate() {
                if let Some(problem) = problem(tag) {
                    violations.push(Violation::new(format!("{at}/{name}/{index}"), problem));
                }
            }
        }
        for (index, tag) in self.remove.iter().enumerate() {
            if self.add.iter().any(|added| added.trim() == tag.trim()) {
                violations.push(Violation::new(format!("{at}/remove/{index}"), "is added too"));
            }
        }
        violations
    }

    /// The tags after the change. What the incident keeps stays exactly as it is: to the service, two spellings are two tags.
    pub fn apply(&self, current: &[String]) -> Vec<String> {
        let removed = |tag: &String| self.remove.iter().any(|removed| removed.trim() == tag);
        let (mut tags, given): (Vec<String>, _) = match &self.set {
            Some(all) => (Vec::new(), all),
            None => (current.iter().filter(|tag| !removed(tag)).cloned().collect(), &self.add),
        };
        for tag in given.iter().map(|tag| tag.trim()) {
            if !tags.iter().any(|present| present == tag) {
                tags.push(tag.to_owned());
            }
        }
        tags
    }
}

fn problem(tag: &str) -> Option<&'static str> {
    if tag.trim().is_empty() {
        Some("is empty")
    } else if tag.chars().count() > LONGEST {
        Some("is longer than 256 characters")
    } else if tag.chars().any(char::is_control) {
        Some("holds a control character")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: Option<&[&str]>, add: &[&str], remove: &[&str]) -> TagChanges {
        let owned = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect();
        TagChanges { set: set.map(owned), add: owned(add), remove: owned(remove) }
    }

    #[test]
    fn tags_are_replaced_or_merged() {
        let current = ["a".to_owned(), "b".to_owned()];
        assert_eq!(of(Some(&[" c ", "c"]), &[], &[]).apply(&current), ["c"]);
        assert!(of(Some(&[]), &[], &[]).apply(&current).is_empty());
        assert_eq!(of(None, &["c", "a"], &["b", "z"]).apply(&current), ["a", "c"]);
        assert!(of(None, &[], &[]).is_empty());
    }

    #[test]
    fn a_tag_of_the_incident_with_white_space_around_it_is_not_rewritten() {
        let current = [" a ".to_owned(), "b".to_owned()];
        assert_eq!(of(None, &[" c "], &["b"]).apply(&current), [" a ", "c"]);
        assert_eq!(of(None, &["a"], &[]).apply(&current), [" a ", "b", "a"]);
        assert_eq!(of(None, &[], &["a"]).apply(&current), [" a ", "b"]);
    }

    #[test]
    fn contradictions_are_named() {
        let pointers = |changes: TagChanges| -> Vec<String> {
            changes.violations("/tags").into_iter().map(|violation| violation.pointer).collect()
        };
        assert_eq!(pointers(of(Some(&["a"]), &["b"], &[])), ["/tags/set"]);
        assert_eq!(pointers(of(None, &["b", " ", "x\u{7}"], &["b"])), ["/tags/add/1", "/tags/add/2", "/tags/remove/0"]);
        assert!(pointers(of(None, &["b"], &["a"])).is_empty());
    }
}
