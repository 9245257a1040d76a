//! Which incidents a listing has handed over already.

use crate::hash::text_hash;
use sortie_defender::view::IncidentView;
use std::collections::{HashMap, HashSet};

/// A set of incident ids that stays small: ids of one tenant lie close together, so that one word holds up to 64 of them
/// and a hundred thousand incidents need some tens of kilobytes.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    numbers: HashMap<u64, u64>,
    /// Ids that are not numbers, which no service documents, by their hash.
    texts: HashSet<u128>,
}

impl Seen {
    /// Adds an incident and answers whether it is new. An incident without a readable id always is: two of them cannot be told
    /// apart, and showing one twice is better than hiding one.
    pub(crate) fn is_new(&mut self, incident: &IncidentView<'_>) -> bool {
        if let Some(id) = incident.id() {
            let bit = 1 << (id.number() % 64);
            let word = self.numbers.entry(id.number() / 64).or_default();
            let new = *word & bit == 0;
            *word |= bit;
            return new;
        }
        incident.id_text().is_none_or(|text| self.texts.insert(text_hash(&text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_is_new_once() {
        let mut seen = Seen::default();
        let mut is_new = |json: &str| seen.is_new(&IncidentView::of(json));
        for id in [1u64, 63, 64, 65, 128, i64::MAX as u64] {
            assert!(is_new(&format!(r#"{{"id":"{id}"}}"#)), "{id}");
            assert!(!is_new(&format!(r#"{{"incidentId":{id}}}"#)), "{id}");
        }
        assert!(is_new(r#"{"id":"odd"}"#));
        assert!(!is_new(r#"{"id":"odd"}"#));
        assert!(is_new("{}") && is_new("{}"));
    }
}
