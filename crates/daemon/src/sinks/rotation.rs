//! Opening, locking and rotating the file of a file sink.

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a file that vanishes or is exchanged while it is opened is opened again.
const TRIES: u32 = 8;

/// How often, and how long apart, a lock is asked for.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Why a file cannot be used, or not at the moment.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("{} is a symbolic link, which is not followed", .0.display())]
    Link(PathBuf),
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    #[error("another daemon or another sink writes to {}", .0.display())]
    Locked(PathBuf),
    #[error("{} belongs to another user, who could change what is in it", .0.display())]
    Foreign(PathBuf),
    #[error("{} may be written by others (mode {mode:03o})", path.display())]
    Writable { path: PathBuf, mode: u32 },
    #[error("the folder {} does not exist", .0.display())]
    NoFolder(PathBuf),
    #[error("{} cannot be used: {error}", path.display())]
    Other { path: PathBuf, error: io::Error },
}

impl OpenError {
    /// What a person can do about it.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Link(_) => "name the file itself",
            Self::NotAFile(_) => "name a regular file; for a pipe use the sink stdout",
            Self::Locked(_) => "let each sink of each daemon write to a file of its own",
            Self::Foreign(_) => "give it to the daemon's user (chown), or name another file",
            Self::Writable { .. } => "take that from them (chmod go-w), or name another file",
            Self::NoFolder(_) => "create it, writable for this user",
            Self::Other { .. } => "check the path and its permissions",
        }
    }
}

/// Which file an open file is.
pub(super) fn inode(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Opens a file for appending and reading, locked for this sink alone. Creates it, readable for nobody else whatever the
/// umask, and makes its name durable.
pub(super) fn open(path: &Path) -> Result<File, OpenError> {
    let other = |error: io::Error| OpenError::Other { path: path.to_owned(), error };
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let owner = Mode::RUSR | Mode::WUSR;
    for _ in 0..TRIES {
        let file = match rustix::fs::open(path, flags | OFlags::CREATE | OFlags::EXCL, owner) {
            Ok(new) => {
                rustix::fs::fchmod(&new, owner).map_err(|error| other(error.into()))?;
                sync_folder(path).map_err(other)?;
                File::from(new)
            }
            Err(Errno::EXIST) => match rustix::fs::open(path, flags, Mode::empty()) {
                Ok(file) => File::from(file),
                // It went away meanwhile.
                Err(Errno::NOENT) => continue,
                Err(Errno::LOOP) => return Err(OpenError::Link(path.to_owned())),
                Err(Errno::ISDIR) => return Err(OpenError::NotAFile(path.to_owned())),
                Err(error) => return Err(other(error.into())),
            },
            Err(Errno::NOENT) => return Err(OpenError::NoFolder(folder(path).to_owned())),
            Err(error) => return Err(other(error.into())),
        };
        let metadata = file.metadata().map_err(other)?;
        if !metadata.is_file() {
            return Err(OpenError::NotAFile(path.to_owned()));
        }
        judge(&metadata, rustix::process::geteuid().as_raw(), path)?;
        lock(&file, path)?;
        // Between opening and locking, another daemon may have rotated it away.
        if fs::symlink_metadata(path).is_ok_and(|now| inode(&now) == inode(&metadata)) {
            let mode = metadata.mode() & 0o777;
            if mode & 0o077 != 0 {
                tracing::warn!(path = %path.display(), "others may read the sink's file (mode {mode:03o}): it is left so");
            }
            return Ok(file);
        }
    }
    Err(other(io::Error::other("it is exchanged all the time")))
}

/// Refuses a file that somebody other than this user and root can write to: what is found in it is believed.
fn judge(metadata: &Metadata, user: u32, path: &Path) -> Result<(), OpenError> {
    let mode = metadata.mode() & 0o777;
    if metadata.uid() != user && metadata.uid() != 0 {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    if mode & 0o022 != 0 {
        return Err(OpenError::Writable { path: path.to_owned(), mode });
    }
    Ok(())
}

/// Locks a file for this sink alone. The lock of a process that just ended may be held for a moment by a child that it was
/// about to start, so it is asked for a few times.
fn lock(file: &File, path: &Path) -> Result<(), OpenError> {
    let mut tries = 0;
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK) if tries < LOCK_TRIES => {
                tries += 1;
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(Errno::WOULDBLOCK) => return Err(OpenError::Locked(path.to_owned())),
            Err(error) => return Err(OpenError::Other { path: path.to_owned(), error: error.into() }),
        }
    }
}

/// The folder that a file is in.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Makes the names in a file's folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

/// The name of a rotated file: `path.1` is the newest.
pub(super) fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

/// Moves a file to `path.1`, what was there to `path.2`, and so on up to `keep`; what is beyond is deleted. With `keep` 0
/// the file itself is deleted.
///
/// Every step is one rename over a name that is free or holds the oldest file, so that a crash between any two loses no
/// file that should be kept; it leaves a gap in the numbers, which the next rotation fills.
pub(super) fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    if keep == 0 {
        fs::remove_file(path)?;
    } else {
        let free = (1..keep).find(|number| !exists(&rotated(path, *number))).unwrap_or(keep);
        for number in (1..free).rev() {
            fs::rename(rotated(path, number), rotated(path, number + 1))?;
        }
        fs::rename(path, rotated(path, 1))?;
    }
    // Left by a configuration that kept more.
    let mut number = keep + 1;
    while fs::remove_file(rotated(path, number)).is_ok() {
        number += 1;
    }
    sync_folder(path)
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn content(path: &Path) -> Option<String> {
        fs::read_to_string(path).ok()
    }

    #[test]
    fn rotation_keeps_so_many_and_fills_gaps() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        for round in 1..=5 {
            fs::write(&path, round.to_string()).unwrap();
            rotate(&path, 3).unwrap();
        }
        let numbers = |path: &Path| (1..=4).map(|number| content(&rotated(path, number))).collect::<Vec<_>>();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(numbers(&path), [some("5"), some("4"), some("3"), None]);

        // A crash in the middle of the chain left 2 free: 3 must stay.
        fs::rename(rotated(&path, 2), rotated(&path, 3)).unwrap();
        fs::write(&path, "6").unwrap();
        rotate(&path, 3).unwrap();
        assert_eq!(numbers(&path), [some("6"), some("5"), some("4"), None]);

        fs::write(&path, "7").unwrap();
        rotate(&path, 1).unwrap();
        assert_eq!(numbers(&path), [some("7"), None, None, None]);
        fs::write(&path, "8").unwrap();
        rotate(&path, 0).unwrap();
        assert_eq!(numbers(&path), [None, None, None, None]);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_file_of_ones_own_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink(at("target"), at("link")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap();
        assert!(matches!(open(&at("link")), Err(OpenError::Link(_))));
        assert!(!at("target").exists());
        assert!(matches!(open(&at("folder")), Err(OpenError::NotAFile(_))));
        assert!(matches!(open(&at("fifo")), Err(OpenError::NotAFile(_))));
        assert!(matches!(open(&at("missing/out")), Err(OpenError::NoFolder(_))));

        let first = open(&at("out")).unwrap();
        assert_eq!(first.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(open(&at("out")), Err(OpenError::Locked(_))));
        drop(first);
        open(&at("out")).unwrap();
    }

    #[test]
    fn a_file_that_others_can_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        drop(open(&path).unwrap());
        for mode in [0o620, 0o602, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = open(&path).unwrap_err();
            assert!(matches!(error, OpenError::Writable { .. }), "{mode:o}: {error}");
            assert!(error.hint().contains("chmod go-w"));
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        drop(open(&path).unwrap());

        let metadata = fs::metadata(&path).unwrap();
        let own = metadata.uid();
        judge(&metadata, own, &path).unwrap();
        // Seen by another user it is somebody else's, unless it is root's.
        let other = judge(&metadata, own + 1, &path);
        assert_eq!(matches!(other, Err(OpenError::Foreign(_))), own != 0, "{other:?}");
        if own == 0 {
            std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
            assert!(matches!(open(&path), Err(OpenError::Foreign(_))));
        }
    }
}
