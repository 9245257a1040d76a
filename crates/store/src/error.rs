//! Why a store cannot be used.

use std::path::PathBuf;

/// Why a store cannot be used. Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another daemon has it.
    #[error(
        "another daemon{} uses the store {}; stop it, or give this one a profile or a state folder of its own",
        process.map(|process| format!(" (process {process})")).unwrap_or_default(),
        path.display()
    )]
    InUse {
        /// The store.
        path: PathBuf,
        /// The other daemon's process id, where it could be read.
        process: Option<u32>,
    },
    /// A newer daemon opened it after this one.
    #[error("a newer daemon took the store {} over; this one must end", path.display())]
    Fenced {
        /// The store.
        path: PathBuf,
    },
    /// It was written by a newer sortie.
    #[error("the store {} has schema {found}, and this sortie knows {known}; use the newer sortie that wrote it", path.display())]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its schema's version.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// It was written by an older sortie, and only a daemon brings it up to date.
    #[error(
        "the store {} has schema {found}, and this sortie reads {known}; start this sortie's daemon once, which brings it up to date",
        path.display()
    )]
    Older {
        /// The store.
        path: PathBuf,
        /// Its schema's version.
        found: i64,
        /// The version this program reads.
        known: i64,
    },
    /// It belongs to another tenant or action.
    #[error("the store {} belongs to {found}, not to {wanted}; give this one a profile or a state folder of its own", path.display())]
    Foreign {
        /// The store.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
    /// It is damaged, or no store at all.
    #[error(
        "the store {path} is damaged or is none: {problem}; it is left as it is. Move it aside together with {path}-wal and {path}-shm, \
         then put a backup in its place or start anew: a new store begins with the look-back, whose incidents come again",
        path = path.display()
    )]
    Corrupt {
        /// The store.
        path: PathBuf,
        /// What was found.
        problem: String,
    },
    /// Others may write it, so what it says cannot be trusted.
    #[error("the store {} cannot be trusted: {problem}", path.display())]
    Exposed {
        /// The store.
        path: PathBuf,
        /// What others may do, and how to end that.
        problem: String,
    },
    /// There is none, and it was to be read only.
    #[error("there is no store at {}; a daemon makes it when it first starts", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("the disk is full, so the store {} cannot be written; free some space", path.display())]
    Full {
        /// The store.
        path: PathBuf,
    },
    /// It may not be written.
    #[error("the store {} cannot be written: {problem}", path.display())]
    ReadOnly {
        /// The store.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The disk or the system failed.
    #[error("the store {} failed: {problem}", path.display())]
    Failed {
        /// The store.
        path: PathBuf,
        /// How.
        problem: String,
    },
}

impl StoreError {
    /// Whether the cause can go away while the daemon runs, so that trying again makes sense.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::ReadOnly { .. } | Self::Failed { .. })
    }
}
