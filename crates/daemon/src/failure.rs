//! What a store's trouble is called on the command line, and what to do about it.

use sortie_host::{Failure, kinds};
use sortie_store::StoreError;

/// The failure of a store: kinds `store_in_use` and `store_unusable`, with the remedy.
pub fn store_failure(error: &StoreError) -> Failure {
    // The messages say the remedy; what is said here goes beyond it.
    let (kind, hint) = match error {
        StoreError::InUse { .. } => (
            kinds::STORE_IN_USE,
            "one daemon runs for each store, so that nothing is delivered twice; --state-dir names another folder",
        ),
        StoreError::Fenced { .. } => {
            (kinds::STORE_IN_USE, "the newer one goes on where this one ended; see that only one is started")
        }
        StoreError::Newer { .. } => (kinds::STORE_UNUSABLE, "the store was left as it is"),
        StoreError::Foreign { .. } => (
            kinds::STORE_UNUSABLE,
            "correct the profile's tenant, or name another folder with --state-dir; the store was left as it is",
        ),
        StoreError::Corrupt { .. } => (
            kinds::STORE_UNUSABLE,
            "what comes again has the same idempotency keys; what waited in the old file can be read out of it with \
             sqlite3 and its .recover",
        ),
        StoreError::Missing { .. } => {
            (kinds::STORE_UNUSABLE, "--state-dir or SORTIE_STATE_DIR name another folder, --profile another profile")
        }
        StoreError::Full { .. } => {
            (kinds::STORE_UNUSABLE, "nothing that was acknowledged is lost, and the daemon goes on where it ended")
        }
        StoreError::ReadOnly { .. } => (
            kinds::STORE_UNUSABLE,
            "let this user write the folder and the files in it; the daemon goes on where it ended",
        ),
        _ => (kinds::STORE_UNUSABLE, "the store was left as it is"),
    };
    Failure::new(kind, error.to_string()).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn each_trouble_has_its_exit_code_and_its_remedy() {
        let path = || PathBuf::from("/state/contoso.db");
        let text = || "why".to_owned();
        for (error, code) in [
            (StoreError::InUse { path: path(), process: Some(7) }, 75),
            (StoreError::Fenced { path: path() }, 75),
            (StoreError::Newer { path: path(), found: 9, known: 1 }, 74),
            (StoreError::Foreign { path: path(), found: text(), wanted: text() }, 74),
            (StoreError::Corrupt { path: path(), problem: text() }, 74),
            (StoreError::Missing { path: path() }, 74),
            (StoreError::Full { path: path() }, 74),
            (StoreError::ReadOnly { path: path(), problem: text() }, 74),
            (StoreError::Failed { path: path(), problem: text() }, 74),
        ] {
            let failure = store_failure(&error);
            assert_eq!(failure.exit_code(), code, "{error}");
            assert!(failure.message.contains("/state/contoso.db") && failure.hint.is_some(), "{error}");
        }
    }
}
