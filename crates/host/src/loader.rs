//! Opening a library and asking it who it is: the one place of this crate with `unsafe`.
//!
//! A library that passed the trust check is opened now-and-local, its one symbol is called, the table behind it is
//! checked by `sortie-abi`, and `describe` hands over the manifest. From then on everything goes through the
//! checked [`Entry`], which is safe.
//!
//! A library is never closed: thread-local values with destructors make that unsound, so a handle that could be
//! dropped is not even kept. Opening and describing happen on a thread of their own with a time limit, because
//! both run foreign code that might not return.
#![allow(unsafe_code)] // One of the three places; see the workspace lints.

use crate::catalog::trust::Trusted;
use crate::failure::Failure;
use crate::manifest::{Manifest, ManifestError};
use crate::text::clean;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use sortie_abi::host::{Answer, Entry, Mismatch, Services, Stop};
use sortie_abi::{ENTRY_SYMBOL, EntryPoint, Level, Status, kinds};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

/// How long opening and describing may take together.
const TIME: Duration = Duration::from_secs(10);

/// The largest manifest, in bytes.
const MAX_MANIFEST: usize = 4 << 20;

/// Why a library is not an action that this host can run. Each names the file, what was wanted and what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The system could not open it as a library.
    #[error("{} cannot be opened as a library: {reason}", path.display())]
    Open {
        /// The library.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// It does not export the entry point.
    #[error("{}: wanted the symbol {ENTRY_SYMBOL}, found none", .0.display())]
    Symbol(PathBuf),
    /// Its table is not one that this host can call.
    #[error("{}: {mismatch}", path.display())]
    Table {
        /// The library.
        path: PathBuf,
        /// What was wanted and found.
        mismatch: Mismatch,
    },
    /// `describe` failed, and said why or not.
    #[error("{}: wanted a manifest, found an error: {}", path.display(), said.as_ref().map_or("it did not say which", |said| said.message.as_str()))]
    Describe {
        /// The library.
        path: PathBuf,
        /// The error it replied with.
        said: Option<Box<Failure>>,
    },
    /// What `describe` replied is not text.
    #[error("{}: wanted a manifest in UTF-8, found other bytes", .0.display())]
    NotUtf8(PathBuf),
    /// What `describe` replied is more than a manifest may be.
    #[error("{}: wanted a manifest of at most {MAX_MANIFEST} bytes, found more", .0.display())]
    TooLarge(PathBuf),
    /// The manifest is not usable.
    #[error("{}: {error}", path.display())]
    Manifest {
        /// The library.
        path: PathBuf,
        /// What is wrong with it.
        error: ManifestError,
    },
    /// It did not return.
    #[error("{} did not describe itself within {} seconds", .0.display(), TIME.as_secs())]
    Hung(PathBuf),
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        let kind = match &error {
            LoadError::Hung(_) => kinds::HUNG,
            LoadError::Describe { said: Some(said), .. } if said.kind == kinds::PANIC => kinds::PANIC,
            _ => kinds::INCOMPATIBLE_ACTION,
        };
        let hint = kinds::find(kind).map_or("", |row| row.remedy);
        Self::new(kind, error.to_string()).with_hint(hint)
    }
}

/// Opens a trusted library and reads its manifest; `name` is the action that its file name stands for.
pub(crate) fn load(trusted: Trusted, name: &str) -> Result<(Entry, Manifest), LoadError> {
    let path = trusted.path.clone();
    let (sender, loaded) = mpsc::channel();
    let wanted = name.to_owned();
    let work = move || {
        let _ = sender.send(open(trusted).and_then(|(entry, path)| Ok((entry, describe(entry, &path, &wanted)?))));
    };
    let thread = std::thread::Builder::new().name(format!("load {name}"));
    if let Err(error) = thread.spawn(work) {
        return Err(LoadError::Open { path, reason: format!("no thread: {error}") });
    }
    // The sender is dropped without a word only if the library unwound into us, which its table forbids.
    loaded.recv_timeout(TIME).unwrap_or(Err(LoadError::Hung(path)))
}

fn open(trusted: Trusted) -> Result<(Entry, PathBuf), LoadError> {
    let Trusted { path, file, locked } = trusted;
    let through = opened_through(&path, file, locked);
    let refused = |error: libloading::Error| LoadError::Open { path: path.clone(), reason: reason(&error) };
    // SAFETY: opening runs the library's constructors, which is what the trust check before this was for.
    let library = unsafe { Library::open(Some(&through), RTLD_NOW | RTLD_LOCAL) }.map_err(refused)?;
    // SAFETY: the boundary says that a symbol of this name has this type; the checks of the table behind it come
    // next.
    let entry_point = unsafe { library.get::<EntryPoint>(ENTRY_SYMBOL.as_bytes()) };
    let entry = match entry_point {
        Ok(entry_point) => {
            let table = entry_point();
            // SAFETY: the boundary says that the entry point returns null or a static table, which stays readable
            // because the library is never closed (below).
            unsafe { Entry::from_table(table) }.map_err(|mismatch| LoadError::Table { path: path.clone(), mismatch })
        }
        Err(_) => Err(LoadError::Symbol(path.clone())),
    };
    std::mem::forget(library);
    Ok((entry?, path))
}

/// The path by which the library is opened: through the very file that was checked, where the system can do that, so
/// that nothing can be put into its place in between. A library whose content was compared with a lock is opened in no
/// other way.
fn opened_through(path: &Path, file: std::fs::File, locked: bool) -> PathBuf {
    use std::os::fd::AsRawFd;
    let through = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    if cfg!(target_os = "linux") && (locked || through.exists()) {
        // Kept open for ever, because the system remembers an open library by this path: were the number used
        // again, the next library would be taken for this one.
        std::mem::forget(file);
        return through;
    }
    path.to_owned()
}

/// The system's words for why it did not open a library.
fn reason(error: &libloading::Error) -> String {
    use std::error::Error as _;
    let words = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    clean(&words, 400)
}

fn describe(entry: Entry, path: &Path, name: &str) -> Result<Manifest, LoadError> {
    let asked = Describing { name, reply: Mutex::default() };
    let status = entry.describe(&asked);
    let reply = asked.reply.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Some(reply) = reply.bytes else { return Err(LoadError::TooLarge(path.to_owned())) };
    if status != Status::OK {
        let said = serde_json::from_slice::<&serde_json::value::RawValue>(&reply).ok();
        let said = said.and_then(|said| Failure::from_action(said).ok()).map(Box::new);
        return Err(LoadError::Describe { path: path.to_owned(), said });
    }
    let text = std::str::from_utf8(&reply).map_err(|_| LoadError::NotUtf8(path.to_owned()))?;
    Manifest::parse(text, name).map_err(|error| LoadError::Manifest { path: path.to_owned(), error })
}

/// What a library may ask for while it describes itself: to be heard.
struct Describing<'a> {
    name: &'a str,
    reply: Mutex<Reply>,
}

struct Reply {
    /// None after too much was written.
    bytes: Option<Vec<u8>>,
}

impl Default for Reply {
    fn default() -> Self {
        Self { bytes: Some(Vec::new()) }
    }
}

impl Services for Describing<'_> {
    fn reply(&self, chunk: &[u8]) -> Result<(), Stop> {
        let mut reply = self.reply.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut reply.bytes {
            Some(bytes) if bytes.len() + chunk.len() <= MAX_MANIFEST => {
                bytes.extend_from_slice(chunk);
                Ok(())
            }
            _ => {
                reply.bytes = None;
                Err(Stop::Refused)
            }
        }
    }

    fn log(&self, level: Level, message: &str, fields: &str) {
        crate::services::log::write(self.name, "", level, message, fields);
    }

    fn invocation(&self) -> &str {
        "{}"
    }

    fn request(&self, _: &str, _: &[u8]) -> Result<Answer, Stop> {
        Err(Stop::Failed)
    }

    fn request_many(&self, _: &[(&str, &[u8])]) -> Result<Vec<Answer>, Stop> {
        Err(Stop::Failed)
    }

    fn emit(&self, _: &str) -> Result<(), Stop> {
        Err(Stop::Failed)
    }

    fn progress(&self, _: &str) {}

    fn sleep(&self, _: Duration) -> Result<(), Stop> {
        Err(Stop::Failed)
    }

    fn cancelled(&self) -> bool {
        false
    }

    fn now(&self) -> i64 {
        crate::services::now()
    }
}
