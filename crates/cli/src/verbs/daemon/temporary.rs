//! A folder for the time of one command.

use crate::report::unusable;
use rustix::fs::Mode;
use sortie_host::Failure;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A folder that only this user can enter, deleted with everything in it when this is dropped.
pub(crate) struct Temporary(PathBuf);

impl Temporary {
    /// Makes one.
    pub(crate) fn make() -> Result<Self, Failure> {
        let parent = std::env::temp_dir();
        let seed = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.subsec_nanos());
        for attempt in 0..100 {
            let path = parent.join(format!("sortie-{}-{}", std::process::id(), seed.wrapping_add(attempt)));
            // Made anew or not at all: what somebody else put there is not used.
            match rustix::fs::mkdir(&path, Mode::RWXU) {
                Ok(()) => return Ok(Self(path)),
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(unusable(path.display().to_string(), &error.into())),
            }
        }
        Err(unusable(parent.display().to_string(), &io::ErrorKind::AlreadyExists.into()))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_private_and_goes_with_its_content() {
        let (one, other) = (Temporary::make().unwrap(), Temporary::make().unwrap());
        assert_ne!(one.path(), other.path());
        let path = one.path().to_owned();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0);
        std::fs::write(path.join("x"), "x").unwrap();
        drop(one);
        assert!(!path.exists() && other.path().exists());
    }
}
