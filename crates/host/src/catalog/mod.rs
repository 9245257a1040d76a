//! Where actions are found, and how a name becomes a library.
//!
//! An action is one file in one folder: `get-incident` is `libaction_get_incident.so` (or what the platform calls
//! its libraries). Finding one action looks at that one file; only listing reads the folder. Nothing here opens a
//! library: see [`trust`] for what is checked before that, and [`lock`] for the list of accepted libraries.

pub mod lock;
pub mod trust;

use crate::failure::Failure;
use crate::text::{nearest, quote};
use sortie_abi::kinds;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};

/// Stands between the platform's library prefix and the action's name.
const STEM: &str = "action_";

/// The folder of actions beside an installed binary, relative to the parent of the binary's folder.
const INSTALLED: &str = "lib/sortie/actions";

/// The longest action name.
const LONGEST_NAME: usize = 64;

/// One folder of action libraries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    folder: PathBuf,
}

impl Catalog {
    /// The catalog of a folder. The path is made absolute; the folder is not looked at.
    pub fn at(folder: &Path) -> Self {
        let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        // Without a slash at the end, which would make the system follow a link there.
        Self { folder: absolute.components().collect() }
    }

    /// The catalog that belongs to the running program: `../lib/sortie/actions` beside the binary if that exists,
    /// else the binary's own folder (a build tree).
    ///
    /// # Errors
    /// Kind `configuration`, when the system does not say where the program is.
    pub fn beside_program() -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(|error| {
            Failure::configuration(
                format!("the actions folder is not known: {error}"),
                "name it with --actions-dir or SORTIE_ACTIONS_DIR",
            )
        })?;
        let beside = program.parent().unwrap_or(Path::new("/"));
        Ok(match beside.parent().map(|parent| parent.join(INSTALLED)) {
            Some(installed) if installed.is_dir() => Self::at(&installed),
            _ => Self::at(beside),
        })
    }

    /// The folder, absolute.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The names of all actions in the folder, in alphabetical order. No library is opened.
    ///
    /// # Errors
    /// Kind `configuration`, when the folder cannot be read.
    pub fn names(&self) -> Result<Vec<String>, Failure> {
        let unreadable = |error: std::io::Error| {
            Failure::configuration(
                format!("the actions folder {} cannot be read: {error}", self.folder.display()),
                "name another with --actions-dir or SORTIE_ACTIONS_DIR",
            )
        };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(unreadable)? {
            if let Some(name) = entry.map_err(unreadable)?.file_name().to_str().and_then(action_name) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The file of an action, whether or not it exists.
    ///
    /// # Errors
    /// Kind `action_not_found`, when the text cannot be an action's name.
    pub fn file(&self, name: &str) -> Result<PathBuf, Failure> {
        match library_file_name(name) {
            Some(file) => Ok(self.folder.join(file)),
            None => Err(self.not_found(name)),
        }
    }

    /// The failure for an action that is not there, with the name that was probably meant.
    pub(crate) fn not_found(&self, name: &str) -> Failure {
        let failure = Failure::new(
            kinds::ACTION_NOT_FOUND,
            format!("there is no action {} in {}", quote(name), self.folder.display()),
        );
        let names = self.names().unwrap_or_default();
        failure.with_hint(match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => {
                "the folder holds no actions: build them, or name another folder with --actions-dir".to_owned()
            }
            None => "`sortie actions` lists them; --actions-dir names another folder".to_owned(),
        })
    }
}

/// Whether a text is an action's name: lower-case words of letters and digits, joined by single hyphens.
pub fn is_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name
            .split('-')
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()))
}

/// The file name of an action's library on this platform, or `None` if the text is not an action's name.
pub fn library_file_name(name: &str) -> Option<String> {
    is_name(name).then(|| format!("{DLL_PREFIX}{STEM}{}{DLL_SUFFIX}", name.replace('-', "_")))
}

/// The action that a file name stands for, if it is the file name of an action's library.
fn action_name(file: &str) -> Option<String> {
    let stem = file.strip_prefix(DLL_PREFIX)?.strip_suffix(DLL_SUFFIX)?.strip_prefix(STEM)?;
    let name = stem.replace('_', "-");
    // A hyphen in the file name would make two files stand for one name.
    (is_name(&name) && !stem.contains('-')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_words_and_hyphens_and_nothing_that_leads_elsewhere() {
        for name in ["get-incident", "a", "scan2"] {
            assert!(is_name(name), "{name}");
            assert_eq!(action_name(&library_file_name(name).unwrap()).as_deref(), Some(name));
        }
        for name in ["", "-a", "a-", "a--b", "A", "a_b", "../a", "a/b", "a.b", "a\0b", "ä", " a", &"a".repeat(65)] {
            assert!(!is_name(name), "{name:?}");
            assert_eq!(Catalog::at(Path::new("/x")).file(name).unwrap_err().kind, kinds::ACTION_NOT_FOUND);
        }
    }

    #[test]
    fn listing_reads_names_only_and_sorts_them() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["update-incident", "get-incident"] {
            std::fs::write(folder.path().join(library_file_name(file).unwrap()), b"not a library").unwrap();
        }
        for other in ["README.md", "libother.so", &format!("{DLL_PREFIX}{STEM}a-b{DLL_SUFFIX}"), "libaction_x.so.bak"] {
            std::fs::write(folder.path().join(other), b"").unwrap();
        }
        let catalog = Catalog::at(folder.path());
        assert_eq!(catalog.names().unwrap(), ["get-incident", "update-incident"]);
        let failure = catalog.not_found("get-incidnet");
        assert_eq!(failure.hint.as_deref(), Some("did you mean `get-incident`?"));
        assert_eq!(failure.exit_code(), 78);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let failure = Catalog::at(Path::new("/nowhere/at/all")).names().unwrap_err();
        assert!(failure.message.contains("/nowhere/at/all"), "{failure}");
    }

    #[test]
    fn paths_are_absolute_and_without_a_slash_at_the_end() {
        let catalog = Catalog::at(Path::new("some/folder/"));
        assert!(catalog.folder().is_absolute());
        assert!(!catalog.folder().as_os_str().to_string_lossy().ends_with('/'));
    }
}
