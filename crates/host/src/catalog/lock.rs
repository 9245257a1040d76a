//! `actions.lock`: the libraries that somebody accepted, by their SHA-256.
//!
//! The file stands beside the libraries and has the format of `sha256sum`, so that `sha256sum --check actions.lock`
//! agrees with the host. While it exists, a library that it does not list, or lists with another digest, is not
//! opened. It is written on request only; nothing ever adds to it by itself.

use super::trust::{TrustError, TrustedFolder, sha256};
use super::{Catalog, library_file_name};
use crate::failure::Failure;
use sortie_abi::kinds;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// The name of the lock.
pub const FILE_NAME: &str = "actions.lock";

/// The largest lock that is read, in bytes: some 10,000 actions.
const MAX_BYTES: u64 = 1 << 20;

/// Why a lock is not usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// A line is not a digest and a file name.
    #[error("{}: line {line} is not a SHA-256, two blanks and a file name", path.display())]
    Line {
        /// The lock.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// A file name stands twice.
    #[error("{}: line {line} lists a library a second time", path.display())]
    Twice {
        /// The lock.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// It is larger than 1 MiB.
    #[error("{} is larger than {MAX_BYTES} bytes", .0.display())]
    Large(PathBuf),
    /// The system refused to read it, or it is not UTF-8.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The lock.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// The accepted digests, by file name.
pub(crate) struct Lock {
    digests: BTreeMap<String, String>,
}

impl Lock {
    /// Reads the lock in a folder; `None` if there is none.
    pub(crate) fn read(folder: &TrustedFolder) -> Result<Option<Self>, TrustError> {
        let (path, file) = match folder.file(FILE_NAME) {
            Ok(opened) => opened,
            Err(TrustError::Missing(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        match file.take(MAX_BYTES + 1).read_to_string(&mut text) {
            Ok(length) if length as u64 > MAX_BYTES => Err(LockError::Large(path).into()),
            Ok(_) => Ok(Some(Self::parse(&text, &path)?)),
            Err(source) => Err(LockError::Unreadable { path, source }.into()),
        }
    }

    fn parse(text: &str, path: &std::path::Path) -> Result<Self, LockError> {
        let mut digests = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            let line_number = at + 1;
            let (digest, name) = line
                .split_once("  ")
                .filter(|(digest, name)| is_digest(digest) && !name.is_empty() && name.trim() == *name)
                .ok_or_else(|| LockError::Line { path: path.to_owned(), line: line_number })?;
            if digests.insert(name.to_owned(), digest.to_owned()).is_some() {
                return Err(LockError::Twice { path: path.to_owned(), line: line_number });
            }
        }
        Ok(Self { digests })
    }

    pub(crate) fn digest(&self, name: &str) -> Option<&str> {
        self.digests.get(name).map(String::as_str)
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// An accepted library.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Accepted {
    /// The action's name.
    pub action: String,
    /// The SHA-256 of its library, in hexadecimal.
    pub sha256: String,
    /// Whether the lock changed: `None` for an action that it did not list, `false` for one that it listed with
    /// the same digest.
    pub changed: Option<bool>,
}

impl Catalog {
    /// Where this catalog's lock stands, if it has one.
    pub fn lock_file(&self) -> PathBuf {
        self.folder().join(FILE_NAME)
    }

    /// Accepts every library of the folder as it is: writes `actions.lock`, in the place of the one that stands
    /// there. No library is opened; each must pass the check of owner and mode first.
    ///
    /// # Errors
    /// Kind `untrusted_action` for a library that does not pass, `configuration` when the folder holds no action
    /// or cannot be written.
    pub fn lock(&self) -> Result<Vec<Accepted>, Failure> {
        let names = self.names()?;
        if names.is_empty() {
            return Err(Failure::configuration(
                format!("{} holds no actions", self.folder().display()),
                "name another folder with --actions-dir",
            ));
        }
        let folder = TrustedFolder::open(self.folder())?;
        // A broken lock is no reason against a new one, but nothing is said about what changed then.
        let before = Lock::read(&folder).ok().flatten();
        let mut text = String::new();
        let mut accepted = Vec::with_capacity(names.len());
        for action in names {
            let Some(file_name) = library_file_name(&action) else { continue };
            let (path, file) = folder.file(&file_name)?;
            let sha256 = sha256(&file).map_err(|source| TrustError::Unreadable { path, source })?;
            text.push_str(&format!("{sha256}  {file_name}\n"));
            let changed = before.as_ref().and_then(|lock| lock.digest(&file_name)).map(|digest| digest != sha256);
            accepted.push(Accepted { action, sha256, changed });
        }
        self.replace(&text).map_err(|error| {
            Failure::new(kinds::CONFIGURATION, format!("{} cannot be written: {error}", self.lock_file().display()))
                .with_hint("run it as the user who owns the actions folder")
        })?;
        Ok(accepted)
    }

    /// Writes the lock whole or not at all.
    fn replace(&self, text: &str) -> io::Result<()> {
        let draft = self.folder().join(format!(".{FILE_NAME}.{}", std::process::id()));
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, self.lock_file())
        };
        let result = write();
        if result.is_err() {
            let _ = fs::remove_file(&draft);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn put(folder: &Path, name: &str, content: &[u8]) {
        let path = folder.join(library_file_name(name).unwrap());
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    #[test]
    fn locking_accepts_what_is_there_and_says_what_changed() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let catalog = Catalog::at(folder.path());
        assert_eq!(catalog.lock().unwrap_err().kind, kinds::CONFIGURATION);

        put(folder.path(), "a", b"1");
        put(folder.path(), "b", b"2");
        let first: Vec<_> = catalog.lock().unwrap().into_iter().map(|one| (one.action, one.changed)).collect();
        assert_eq!(first, [("a".to_owned(), None), ("b".to_owned(), None)]);
        let opened = TrustedFolder::open(folder.path()).unwrap();
        assert!(opened.library(&library_file_name("a").unwrap()).unwrap().locked);

        put(folder.path(), "b", b"3");
        assert!(opened.library(&library_file_name("b").unwrap()).is_err());
        let second: Vec<_> = catalog.lock().unwrap().into_iter().map(|one| one.changed).collect();
        assert_eq!(second, [Some(false), Some(true)]);
        assert!(opened.library(&library_file_name("b").unwrap()).is_ok());
        assert_eq!(catalog.names().unwrap(), ["a", "b"], "no draft is left");
    }

    #[test]
    fn a_line_is_a_digest_and_a_name() {
        let digest = "0".repeat(64);
        let path = Path::new("actions.lock");
        let good = Lock::parse(&format!("{digest}  a.so\n{digest}  b.so\n"), path).unwrap();
        assert_eq!(good.digest("b.so"), Some(digest.as_str()));
        for bad in [
            "x".to_owned(),
            format!("{digest} a.so"),
            format!("{digest}  "),
            format!("{}  a.so", "A".repeat(64)),
            format!("# comment\n{digest}  a.so"),
            format!("{digest}  a.so\n{digest}  a.so"),
            "\n".to_owned(),
        ] {
            assert!(Lock::parse(&bad, path).is_err(), "{bad:?}");
        }
    }
}
