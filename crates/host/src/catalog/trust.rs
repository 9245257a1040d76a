//! What is checked before a library is opened.
//!
//! Opening a library runs its constructors, in a process that holds credentials; a check afterwards would come too
//! late. So the folder and the file must be what they seem (no symbolic links in their place), belong to this user
//! or to root, and be writable by nobody else. A group that is the user's own (its number is that of the user, as
//! distributions with umask 002 give every user one) is nobody else. Where an `actions.lock` stands beside the
//! libraries, the file's SHA-256 must also be the one that was accepted.
//!
//! Everything is checked on an open file: the one that is checked and hashed is the one that is opened. A library
//! shares the process's memory, so this says who could have put it there, not what it does.

use super::lock::{self, Lock, LockError};
use crate::failure::Failure;
use ring::digest;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use sortie_abi::kinds;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Why a library is not opened. Each names the file, what was wanted and what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// It is not there.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// A symbolic link stands in its place.
    #[error("{} is a symbolic link, wanted the file itself", .0.display())]
    Link(PathBuf),
    /// It is something else.
    #[error("{} is not {wanted}", path.display())]
    Sort {
        /// What is something else.
        path: PathBuf,
        /// What it should be: a folder, a regular file.
        wanted: &'static str,
    },
    /// It belongs to somebody else.
    #[error("{} belongs to user {found}, wanted user {wanted} or root", path.display())]
    Owner {
        /// What belongs to somebody else.
        path: PathBuf,
        /// The user of this process.
        wanted: u32,
        /// The owner.
        found: u32,
    },
    /// Others could change it.
    #[error("{} may be changed by others (mode {mode:03o}, group {group}), wanted no write permission for others, nor for a group but the user's own", path.display())]
    Writable {
        /// What others could change.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Its group.
        group: u32,
    },
    /// The system refused to open or read it.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// What could not be read.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The lock does not list it.
    #[error("{} is not listed in {}", path.display(), lock.display())]
    NotLocked {
        /// The library.
        path: PathBuf,
        /// The lock.
        lock: PathBuf,
    },
    /// It is not the one that was accepted.
    #[error("{} has SHA-256 {found}, {} wants {wanted}", path.display(), lock.display())]
    Changed {
        /// The library.
        path: PathBuf,
        /// The lock.
        lock: PathBuf,
        /// The accepted digest, in hexadecimal.
        wanted: String,
        /// The file's digest, in hexadecimal.
        found: String,
    },
    /// The lock itself is not usable.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl TrustError {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Missing(_) | Self::Unreadable { .. } => "check the path and its permissions".to_owned(),
            Self::Link(path) | Self::Sort { path, .. } => {
                format!("put the real thing in the place of {}, or name the folder it leads to", path.display())
            }
            Self::Owner { path, .. } => {
                format!(
                    "install it as this user or as root, or change its owner: chown \"$(id -u)\" {}",
                    path.display()
                )
            }
            Self::Writable { path, .. } => format!("take the permission away: chmod go-w {}", path.display()),
            Self::NotLocked { .. } | Self::Changed { .. } | Self::Lock(_) => {
                "if you know where the library comes from, accept it as it is: sortie actions lock".to_owned()
            }
        }
    }
}

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        Self::new(kinds::UNTRUSTED_ACTION, error.to_string()).with_hint(error.hint())
    }
}

/// A library that passed the check, held open.
#[derive(Debug)]
pub(crate) struct Trusted {
    /// Where it stands, absolute.
    pub(crate) path: PathBuf,
    /// The checked file.
    pub(crate) file: File,
    /// Whether the file's content was compared with a lock, so that it must be opened through `file`.
    pub(crate) locked: bool,
}

/// A folder that passed the check, held open.
pub(crate) struct TrustedFolder {
    path: PathBuf,
    folder: OwnedFd,
}

impl TrustedFolder {
    pub(crate) fn open(path: &Path) -> Result<Self, TrustError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| refused(rustix::fs::CWD, path, path, error, "a folder"))?;
        let folder = File::from(folder);
        owned_and_closed(&folder, path)?;
        Ok(Self { path: path.to_owned(), folder: folder.into() })
    }

    /// Opens a regular file in the folder that passes the check.
    pub(crate) fn file(&self, name: &str) -> Result<(PathBuf, File), TrustError> {
        let path = self.path.join(name);
        // Non-blocking, so that a pipe in the file's place cannot stop the program.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::openat(&self.folder, name, flags, Mode::empty())
            .map_err(|error| refused(&self.folder, Path::new(name), &path, error, "a regular file"))?;
        let file = File::from(file);
        if !owned_and_closed(&file, &path)?.is_file() {
            return Err(TrustError::Sort { path, wanted: "a regular file" });
        }
        Ok((path, file))
    }

    /// Opens a library in the folder that passes the check, its digest included where a lock says one.
    pub(crate) fn library(&self, name: &str) -> Result<Trusted, TrustError> {
        let (path, file) = self.file(name)?;
        let lock = Lock::read(self)?;
        if let Some(lock) = &lock {
            let stands = || self.path.join(lock::FILE_NAME);
            let wanted =
                lock.digest(name).ok_or_else(|| TrustError::NotLocked { path: path.clone(), lock: stands() })?;
            let found = sha256(&file).map_err(|source| TrustError::Unreadable { path: path.clone(), source })?;
            if wanted != found {
                return Err(TrustError::Changed { path, lock: stands(), wanted: wanted.to_owned(), found });
            }
        }
        Ok(Trusted { path, file, locked: lock.is_some() })
    }
}

/// The SHA-256 of an open file, in hexadecimal.
pub(crate) fn sha256(mut file: &File) -> io::Result<String> {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => context.update(buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Checks who owns an open file or folder and who may write it, and says what it is.
fn owned_and_closed(file: &File, path: &Path) -> Result<Metadata, TrustError> {
    let metadata = file.metadata().map_err(|source| TrustError::Unreadable { path: path.to_owned(), source })?;
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user && metadata.uid() != 0 {
        return Err(TrustError::Owner { path: path.to_owned(), wanted: user, found: metadata.uid() });
    }
    let (mode, group) = (metadata.mode() & 0o777, metadata.gid());
    if others_may_write(mode, metadata.uid(), group, user) {
        return Err(TrustError::Writable { path: path.to_owned(), mode, group });
    }
    Ok(metadata)
}

/// Whether somebody else than its owner may write something, `user` being who runs this process. Where the group may,
/// that is nobody else only if the thing is this user's and the group this user's own: the group that distributions
/// with umask 002 make for each user has the user's number.
const fn others_may_write(mode: u32, owner: u32, group: u32, user: u32) -> bool {
    let own_group = owner == user && group == owner;
    mode & 0o002 != 0 || (mode & 0o020 != 0 && !own_group)
}

/// What an error of the system's `open` means here. A link is told by looking at what stands there.
fn refused(folder: impl std::os::fd::AsFd, name: &Path, path: &Path, error: Errno, wanted: &'static str) -> TrustError {
    let path = path.to_owned();
    // A link, wherever it leads, is refused with another error.
    if error == Errno::NOENT {
        return TrustError::Missing(path);
    }
    let link = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|status| rustix::fs::FileType::from_raw_mode(status.st_mode).is_symlink());
    match error {
        _ if link => TrustError::Link(path),
        Errno::NOTDIR => TrustError::Sort { path, wanted },
        other => TrustError::Unreadable { path, source: other.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    const LIBRARY: &str = "libaction_probe.so";

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        put(folder.path(), LIBRARY, b"content");
        folder
    }

    fn put(folder: &Path, name: &str, content: &[u8]) {
        let path = folder.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn open(folder: &Path) -> Result<Trusted, TrustError> {
        TrustedFolder::open(folder)?.library(LIBRARY)
    }

    #[test]
    fn an_ordinary_library_passes() {
        let folder = folder();
        let trusted = open(folder.path()).unwrap();
        assert!(!trusted.locked);
        assert_eq!(trusted.path, folder.path().join(LIBRARY));
    }

    #[test]
    fn links_are_refused_for_the_file_and_for_the_folder() {
        let real = folder();
        let other = tempfile::tempdir().unwrap();
        symlink(real.path(), other.path().join("folder")).unwrap();
        assert!(matches!(open(&other.path().join("folder")), Err(TrustError::Link(_))));

        fs::rename(real.path().join(LIBRARY), real.path().join("elsewhere")).unwrap();
        symlink(real.path().join("elsewhere"), real.path().join(LIBRARY)).unwrap();
        assert!(matches!(open(real.path()), Err(TrustError::Link(_))));
    }

    #[test]
    fn what_others_may_write_is_refused_with_the_remedy() {
        for (what, mode) in [("", 0o757), ("", 0o777), (LIBRARY, 0o646), (LIBRARY, 0o666)] {
            let folder = folder();
            fs::set_permissions(folder.path().join(what), fs::Permissions::from_mode(mode)).unwrap();
            let failure = Failure::from(open(folder.path()).unwrap_err());
            assert_eq!(failure.kind, kinds::UNTRUSTED_ACTION);
            assert!(failure.hint.as_deref().unwrap().contains("chmod go-w"), "{what} {mode:o}");
        }
    }

    #[test]
    fn a_group_may_write_only_if_it_is_the_users_own() {
        let (user, other) = (1_000, 1_001);
        for (mode, owner, group, refused) in [
            (0o775, user, user, false),
            (0o664, user, user, false),
            (0o755, user, other, false),
            (0o775, user, other, true),
            (0o775, user, 0, true),
            // Root's things are trusted, but nobody else may write them, this user's group included.
            (0o755, 0, 0, false),
            (0o775, 0, 0, true),
            (0o775, 0, user, true),
            (0o777, user, user, true),
            (0o757, user, user, true),
        ] {
            assert_eq!(others_may_write(mode, owner, group, user), refused, "{mode:o} {owner}:{group}");
        }
        assert!(!others_may_write(0o775, 0, 0, 0), "root's own group");
    }

    #[test]
    fn a_build_tree_of_umask_002_is_taken_and_one_shared_with_a_group_is_not() {
        let user = rustix::process::geteuid().as_raw();
        for (what, mode) in [("", 0o775), (LIBRARY, 0o664)] {
            let folder = folder();
            let path = folder.path().join(what);
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            if fs::metadata(&path).unwrap().gid() == user {
                assert!(open(folder.path()).is_ok(), "{what}: the user's own group");
            }
            if std::os::unix::fs::chown(&path, None, Some(65_432)).is_err() {
                println!("skipped: only root can give a file to a foreign group");
                continue;
            }
            assert!(matches!(open(folder.path()), Err(TrustError::Writable { group: 65_432, .. })), "{what}");
        }
    }

    #[test]
    fn a_library_of_another_user_is_refused() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can give a file away");
            return;
        }
        let folder = folder();
        // Root trusts root's files only; this user's number is nobody's.
        std::os::unix::fs::chown(folder.path().join(LIBRARY), Some(65_432), None).unwrap();
        assert!(matches!(open(folder.path()), Err(TrustError::Owner { found: 65_432, .. })));
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused_without_waiting_for_it() {
        let folder = folder();
        fs::remove_file(folder.path().join(LIBRARY)).unwrap();
        assert!(matches!(open(folder.path()), Err(TrustError::Missing(_))));
        fs::create_dir(folder.path().join(LIBRARY)).unwrap();
        assert!(matches!(open(folder.path()), Err(TrustError::Sort { .. })));
        fs::remove_dir(folder.path().join(LIBRARY)).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            folder.path().join(LIBRARY),
            rustix::fs::FileType::Fifo,
            Mode::from(0o600),
            0,
        )
        .unwrap();
        assert!(matches!(open(folder.path()), Err(TrustError::Sort { .. })));
        assert!(matches!(open(&folder.path().join("not there")), Err(TrustError::Missing(_))));
    }

    #[test]
    fn a_lock_decides_by_content() {
        let folder = folder();
        let digest = sha256(&File::open(folder.path().join(LIBRARY)).unwrap()).unwrap();
        // `printf content | sha256sum`
        assert_eq!(digest, "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73");

        put(folder.path(), lock::FILE_NAME, format!("{digest}  {LIBRARY}\n").as_bytes());
        assert!(open(folder.path()).unwrap().locked);

        put(folder.path(), LIBRARY, b"Content");
        let failure = Failure::from(open(folder.path()).unwrap_err());
        assert!(failure.message.contains(&digest), "{failure}");
        assert!(failure.hint.as_deref().unwrap().contains("sortie actions lock"));

        put(folder.path(), lock::FILE_NAME, b"");
        assert!(matches!(open(folder.path()), Err(TrustError::NotLocked { .. })));

        put(folder.path(), lock::FILE_NAME, b"anything");
        assert!(matches!(open(folder.path()), Err(TrustError::Lock(_))));
    }

    #[test]
    fn a_lock_that_others_may_write_protects_nothing_and_is_refused() {
        let folder = folder();
        let digest = sha256(&File::open(folder.path().join(LIBRARY)).unwrap()).unwrap();
        put(folder.path(), lock::FILE_NAME, format!("{digest}  {LIBRARY}\n").as_bytes());
        let path = folder.path().join(lock::FILE_NAME);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(open(folder.path()), Err(TrustError::Writable { .. })));
    }
}
