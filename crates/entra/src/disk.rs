//! The disk cache: one encrypted file per token, so that the next process saves the round trip.
//!
//! A hit is one `open`, one `fstat`, one `read` and some microseconds of cryptography; it takes no lock. The content is
//! authenticated, so a file is never trusted further than that: wrong owner, wrong mode, a symbolic link, a wrong length,
//! a foreign key, a time that cannot be, each makes a miss and nothing else. That is also why nothing is synced to
//! the disk: what a power cut leaves behind is either the file or a miss.

use crate::seal::Seal;
use rustix::fs::OFlags;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use sortie_auth::{AccessToken, Secret};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, sleep};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Larger than any token.
const LARGEST: u64 = 256 << 10;

/// The longest life that is believed: tokens live an hour, a day at most.
const LONGEST_LIFE: Duration = Duration::from_secs(2 * 24 * 3600);

/// How far a file may come from the future before its time counts as impossible.
const SKEW: Duration = Duration::from_secs(300);

/// How long another process is given to finish asking for the same token, and how often it is looked at.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(25);

const TOKEN: &str = "token";
const LOCK: &str = "lock";

/// One token's file.
pub(crate) struct Place {
    folder: PathBuf,
    name: String,
    seal: Seal,
}

/// Times in seconds since the epoch.
#[derive(Serialize, Deserialize)]
struct Content<'a> {
    token: &'a str,
    obtained_on: u64,
    refresh_on: u64,
    expires_on: u64,
}

impl Place {
    /// The file `name` in this folder, sealed with this secret.
    pub(crate) fn new(folder: &Path, name: String, secret: &[u8]) -> Option<Self> {
        Some(Self { folder: folder.to_owned(), name, seal: Seal::new(secret)? })
    }

    /// The token, if there is one that lives; any oddity is a miss.
    pub(crate) fn read(&self, now: SystemTime) -> Option<AccessToken> {
        check_folder(&self.folder).ok()?;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits().cast_signed())
            .open(self.path(TOKEN))
            .ok()?;
        let found = file.metadata().ok()?;
        if !found.is_file() || !is_private(&found) || found.len() > LARGEST {
            return None;
        }
        let mut sealed = Zeroizing::new(Vec::with_capacity(usize::try_from(found.len()).ok()? + 1));
        file.take(LARGEST).read_to_end(&mut sealed).ok()?;
        let content: Content<'_> = serde_json::from_slice(self.seal.open(&self.name, &mut sealed)?).ok()?;
        let (obtained, refresh, expires) =
            (instant(content.obtained_on)?, instant(content.refresh_on)?, instant(content.expires_on)?);
        let life = expires.duration_since(obtained).ok()?;
        let possible = obtained <= now + SKEW && life <= LONGEST_LIFE && refresh <= expires;
        (possible && now < expires).then(|| AccessToken {
            secret: Secret::new(content.token),
            refresh_on: refresh,
            expires_on: expires,
        })
    }

    /// Keeps a token. That it cannot be kept is no error: the next process asks again.
    pub(crate) fn write(&self, token: &AccessToken, now: SystemTime) {
        if let Err(error) = self.try_write(token, now) {
            tracing::debug!(folder = %self.folder.display(), %error, "the token is not cached on disk");
        }
    }

    fn try_write(&self, token: &AccessToken, now: SystemTime) -> io::Result<()> {
        make_folder(&self.folder)?;
        let content = Content {
            token: token.secret.expose(),
            obtained_on: seconds(now),
            refresh_on: seconds(token.refresh_on),
            expires_on: seconds(token.expires_on),
        };
        let content = Zeroizing::new(serde_json::to_vec(&content)?);
        let sealed = self.seal.seal(&self.name, &content).ok_or_else(|| io::Error::other("encryption failed"))?;
        let temporary = self.folder.join(format!(".{}.{}", self.name, Uuid::new_v4().simple()));
        let written = private_file(&temporary)
            .and_then(|mut file| file.write_all(&sealed))
            .and_then(|()| std::fs::rename(&temporary, self.path(TOKEN)));
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written
    }

    /// Removes the token.
    pub(crate) fn remove(&self) {
        if check_folder(&self.folder).is_ok() {
            let _ = std::fs::remove_file(self.path(TOKEN));
        }
    }

    /// Waits until no other process asks for the same token, at most five seconds and not beyond `until`; after that
    /// both ask, which is harmless. The lock is released when it is dropped.
    pub(crate) async fn lock(&self, until: Instant) -> Option<File> {
        make_folder(&self.folder).ok()?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits().cast_signed())
            .open(self.path(LOCK))
            .ok()?;
        let until = until.min(Instant::now() + LOCK_WAIT);
        loop {
            match file.try_lock() {
                Ok(()) => return Some(file),
                Err(TryLockError::WouldBlock) if Instant::now() < until => sleep(LOCK_POLL).await,
                Err(_) => return None,
            }
        }
    }

    fn path(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.name))
    }
}

/// Deletes every cached token in a cache folder, and says how many there were. Whatever else lies there stays.
///
/// # Errors
///
/// The folder is not the caller's own private folder, or a file in it cannot be removed.
pub fn logout(folder: &Path) -> io::Result<usize> {
    match check_folder(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        checked => checked?,
    }
    let mut tokens = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(kind) = name.to_str().and_then(kind_of) else { continue };
        match std::fs::remove_file(entry.path()) {
            Ok(()) => tokens += usize::from(kind == TOKEN),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(tokens)
}

/// What one of our files is: `token`, `lock`, or `temporary` (left behind by a process that was killed).
fn kind_of(name: &str) -> Option<&'static str> {
    let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some((hash, _)) = name.strip_prefix('.').and_then(|name| name.split_once('.')) {
        return is_hash(hash).then_some("temporary");
    }
    let (hash, extension) = name.split_once('.')?;
    let kind = [TOKEN, LOCK].into_iter().find(|kind| *kind == extension)?;
    is_hash(hash).then_some(kind)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    match check_folder(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            check_folder(folder)
        }
        checked => checked,
    }
}

/// A folder of one's own that nobody else can enter, and no symbolic link to one.
fn check_folder(folder: &Path) -> io::Result<()> {
    let found = std::fs::symlink_metadata(folder)?;
    if found.is_dir() && is_private(&found) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "the token cache must be a folder of the user's own with mode 0700, and no symbolic link",
    ))
}

fn is_private(found: &std::fs::Metadata) -> bool {
    found.uid() == geteuid().as_raw() && found.mode() & 0o077 == 0
}

fn private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    Ok(file)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn instant(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
