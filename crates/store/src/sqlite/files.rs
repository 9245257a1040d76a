//! The files of a store: their folder, their modes, and the lock that keeps a second daemon out.
//!
//! Beside `PROFILE.db` lie `-wal` and `-shm` while it is open, and `.lock` for good: removing a lock file would let two
//! daemons each hold one. SQLite gives its files the mode of the store's file, whatever the umask.
//!
//! Nothing here opens a store's file that SQLite may have open: closing it again would end the locks of this process.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::fault::{corrupt, of_io};
use crate::{Result, StoreError};

/// The word in the lock file that says: the store was made. A file of no bytes is then no store that was about to be made.
const MADE: &str = "made";

/// What lies at a store's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// A file of no bytes.
    Empty,
    /// A file.
    Something,
}

/// The path with its folder resolved, so that a link can only be its last part, which is refused.
///
/// # Errors
/// [`StoreError::Missing`] where there is no such folder.
pub(super) fn resolve(path: &Path) -> Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(StoreError::ReadOnly { path: path.into(), problem: "this is no name of a file".to_owned() });
    };
    match folder_of(path).canonicalize() {
        Ok(folder) => Ok(folder.join(name)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing { path: path.into() }),
        Err(error) => Err(of_io(path, "its folder", &error)),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the folder, for its user alone, where there is none.
pub(super) fn make_folder(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder_of(path))
        .map_err(|error| of_io(path, "its folder cannot be made", &error))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn look(path: &Path, at: &Path) -> Result<Option<Metadata>> {
    match fs::symlink_metadata(at) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(of_io(path, "it cannot be looked at", &error)),
    }
}

/// Looks at the folder and all files of a store: only this user (and root) may be able to write them.
///
/// # Errors
/// [`StoreError::Exposed`] when others can, or a file is a link or belongs to somebody else.
pub(super) fn inspect(path: &Path) -> Result<Found> {
    let exposed = |problem: String| StoreError::Exposed { path: path.into(), problem };
    let mine = |metadata: &Metadata| geteuid().is_root() || metadata.uid() == geteuid().as_raw();
    let folder = folder_of(path);
    if let Some(metadata) = look(path, folder)? {
        if !mine(&metadata) && metadata.uid() != 0 {
            return Err(exposed(format!("its folder {} belongs to another user", folder.display())));
        }
        // In a folder like /tmp (sticky) others can add files, and not replace these.
        if metadata.mode() & 0o022 != 0 && metadata.mode() & 0o1000 == 0 {
            return Err(exposed(format!(
                "others may write its folder; run chmod go-w {}, or name a folder in it, which is then made for this user alone",
                folder.display()
            )));
        }
    }
    let mut found = Found::Nothing;
    for suffix in ["-journal", "-wal", "-shm", ".lock", ""] {
        let file = beside(path, suffix);
        let Some(metadata) = look(path, &file)? else { continue };
        if !metadata.is_file() {
            return Err(exposed(format!("{} is no plain file; give the path of the file itself", file.display())));
        }
        if !mine(&metadata) {
            return Err(exposed(format!("{} belongs to another user", file.display())));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(exposed(format!(
                "others may write {0}; look at what it says, then run chmod 600 {0}",
                file.display()
            )));
        }
        if suffix.is_empty() {
            found = if metadata.len() == 0 { Found::Empty } else { Found::Something };
        }
    }
    Ok(found)
}

/// Refuses to make a new store where that would wipe out what is left of one.
pub(super) fn nothing_to_lose(path: &Path, found: Found, lock: &Lock) -> Result<()> {
    if found == Found::Empty && lock.made {
        return Err(corrupt(path, "the file is empty, and was not before"));
    }
    // SQLite deletes a log that it finds beside an empty file.
    match look(path, &beside(path, "-wal"))? {
        Some(log) if log.len() > 0 => Err(corrupt(path, "there is a log beside it, whose file is empty or gone")),
        _ => Ok(()),
    }
}

/// Makes the file, for its user alone, or leaves the one that is there.
pub(super) fn make_file(path: &Path) -> Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(of_io(path, "it cannot be made", &error)),
    }
}

/// Takes the rights of others to read from files that were put there with them, such as a backup.
pub(super) fn tighten(path: &Path) -> Result<()> {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let file = beside(path, suffix);
        if look(path, &file)?.is_some_and(|metadata| metadata.mode() & 0o077 != 0) {
            fs::set_permissions(&file, Permissions::from_mode(0o600))
                .map_err(|error| of_io(path, "its mode cannot be changed", &error))?;
        }
    }
    Ok(())
}

/// Holds the lock of a store for as long as it lives.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    made: bool,
}

impl Lock {
    /// Takes the lock, or says at once who has it.
    ///
    /// The lock is one of `flock`: it belongs to this opening of the file, not to the process, and ends with it,
    /// however it ends.
    pub(super) fn take(path: &Path) -> Result<Self> {
        let at = beside(path, ".lock");
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&at);
        let mut file = opened.map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::LOOP) => {
                StoreError::Exposed { path: path.into(), problem: format!("{} is a symbolic link", at.display()) }
            }
            _ => of_io(path, "its lock cannot be opened", &error),
        })?;
        let mut said = String::new();
        let locked = flock(&file, FlockOperation::NonBlockingLockExclusive);
        // What is in it is a help, not a promise: whatever it is, the lock itself decides.
        let _ = (&mut file).take(64).read_to_string(&mut said);
        match locked {
            Ok(()) => {
                let made = said.split_whitespace().nth(1) == Some(MADE);
                let lock = Self { file, made };
                lock.sign(path, made)?;
                Ok(lock)
            }
            Err(Errno::WOULDBLOCK) => {
                let process = said.split_whitespace().next().and_then(|first| first.parse().ok());
                Err(StoreError::InUse { path: path.into(), process })
            }
            Err(errno) => Err(of_io(path, "its lock cannot be taken", &errno.into())),
        }
    }

    /// Writes who holds it.
    fn sign(&self, path: &Path, made: bool) -> Result<()> {
        let mut line = format!("{}\n", std::process::id());
        if made {
            line.push_str(MADE);
            line.push('\n');
        }
        let mut file = &self.file;
        let mut write = || {
            self.file.set_permissions(Permissions::from_mode(0o600))?;
            file.rewind()?;
            file.write_all(line.as_bytes())?;
            self.file.set_len(line.len() as u64)
        };
        write().map_err(|error| of_io(path, "its lock cannot be written", &error))
    }

    /// Notes whether the store was made.
    pub(super) fn note(&mut self, path: &Path, made: bool) -> Result<()> {
        if self.made != made {
            self.sign(path, made)?;
            self.made = made;
        }
        Ok(())
    }
}
