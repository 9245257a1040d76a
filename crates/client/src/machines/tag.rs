//! The mark by which a machine action is recognized as this request's own.
//!
//! The service gives no idempotency key, and its one correlation property (`externalID`) belongs to the caller. The
//! comment is kept and listed, so a short tag stands at its end: `cut off for case 7 [sortie 5d0f3c21a9b8e476]`.
//! It is a hash of the caller's request id and of what was asked for: the same request made again, by this process
//! or by the next after a crash, has the same tag, and any other request has another.

use crate::hash::StableHash;
use sortie_defender::enums::{Enumeration, MachineActionType};
use sortie_defender::ids::MachineId;

/// A tag, as it stands in the comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag(String);

impl Tag {
    /// The tag of a request. `scope` is the isolation type, so that asking for another is another request.
    pub(super) fn of(request_id: &str, machine: &MachineId, kind: &MachineActionType, scope: &str) -> Self {
        let mut hash = StableHash::new();
        for part in [request_id, machine.as_str(), kind.name(), scope] {
            hash.add(part);
        }
        // Half of the digits tell the actions of one machine apart, and leave the comment readable.
        let half = (hash.value() >> 64) ^ (hash.value() & u128::from(u64::MAX));
        Self(format!("[sortie {half:016x}]"))
    }

    /// The text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a comment carries it. Anywhere: somebody may have added to the comment.
    pub(super) fn marks(&self, comment: Option<&str>) -> bool {
        comment.is_some_and(|comment| comment.contains(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn machine(last: char) -> MachineId {
        format!("{}{last}", "0".repeat(39)).parse().unwrap()
    }

    #[test]
    fn a_tag_never_changes() {
        // What an earlier version wrote into a comment must be found by a later one.
        let tag = Tag::of("request-1", &machine('a'), &MachineActionType::Isolate, "Full");
        assert_eq!(tag.as_str(), "[sortie f398e9841431a9c2]");
    }

    #[test]
    fn every_part_counts() {
        let tags: BTreeSet<String> = [
            Tag::of("request-1", &machine('a'), &MachineActionType::Isolate, "Full"),
            Tag::of("request-2", &machine('a'), &MachineActionType::Isolate, "Full"),
            Tag::of("request-1", &machine('b'), &MachineActionType::Isolate, "Full"),
            Tag::of("request-1", &machine('a'), &MachineActionType::Unisolate, "Full"),
            Tag::of("request-1", &machine('a'), &MachineActionType::Isolate, "Selective"),
            Tag::of("request-1", &machine('a'), &MachineActionType::Isolate, ""),
        ]
        .into_iter()
        .map(|tag| tag.0)
        .collect();
        assert_eq!(tags.len(), 6);
    }

    #[test]
    fn a_comment_is_marked_wherever_the_tag_stands() {
        let tag = Tag::of("r", &machine('a'), &MachineActionType::Isolate, "Full");
        assert!(tag.marks(Some(&format!("why {}", tag.as_str()))));
        assert!(tag.marks(Some(&format!("why {} (edited)", tag.as_str()))));
        assert!(!tag.marks(Some("why [sortie 0000000000000000]")));
        assert!(!tag.marks(None));
    }
}
