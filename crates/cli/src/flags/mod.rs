//! Flags made from an action's input schema.
//!
//! Each property becomes a flag with the kebab-case of its name; the members of an object become flags of their
//! own (`tags.add` is `--tags-add`). What a flag says becomes the JSON value that the schema wants; what cannot
//! become one stays text, so that the one place that checks inputs reports it together with everything else.
//!
//! None of this happens for `sortie run ACTION < input.json`: [`split()`] looks first whether the command line holds
//! anything that the run does not know by itself.

mod arguments;
mod schema;
mod spell;
mod split;

pub(crate) use arguments::{arguments, input, merge};
pub(crate) use schema::{Flag, flags};
pub(crate) use spell::{quoted, spell};
pub(crate) use split::{Split, split};

/// `createdAfter` as `created-after`. A run of capitals counts as one word.
pub(crate) fn kebab(name: &str) -> String {
    let mut kebab = String::with_capacity(name.len() + 4);
    let characters: Vec<char> = name.chars().collect();
    for (at, character) in characters.iter().enumerate() {
        if matches!(character, '_' | ' ' | '.') {
            kebab.push('-');
            continue;
        }
        let before = at.checked_sub(1).and_then(|before| characters.get(before));
        let next = characters.get(at + 1);
        let begins = character.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_uppercase() && next.is_some_and(|next| next.is_lowercase()))
            });
        if begins {
            kebab.push('-');
        }
        kebab.extend(character.to_lowercase());
    }
    kebab
}

#[cfg(test)]
mod tests {
    use super::kebab;

    #[test]
    fn words_are_joined_by_hyphens() {
        for (name, wanted) in [
            ("incidentId", "incident-id"),
            ("createdAfter", "created-after"),
            ("wait", "wait"),
            ("externalID", "external-id"),
            ("URLOfThing", "url-of-thing"),
            ("mitre_technique", "mitre-technique"),
            ("sha256Hash", "sha256-hash"),
        ] {
            assert_eq!(kebab(name), wanted);
        }
    }
}
