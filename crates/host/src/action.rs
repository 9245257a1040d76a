//! A loaded action.

use crate::failure::{Failure, Violation};
use crate::input;
use crate::manifest::Manifest;
use serde_json::Value;
use sortie_abi::host::Entry;
use sortie_abi::kinds;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Semaphore;

/// An action whose library is open. Shared by all runs of it, and never closed.
pub struct Action {
    pub(crate) manifest: Manifest,
    pub(crate) entry: Entry,
    path: PathBuf,
    /// Set when a thread of this action did not return; nothing more is started on it.
    stuck: AtomicBool,
    /// How many runs of it may go on at once.
    pub(crate) slots: Arc<Semaphore>,
}

impl Action {
    pub(crate) fn new(manifest: Manifest, entry: Entry, path: PathBuf, slots: usize) -> Self {
        Self { manifest, entry, path, stuck: AtomicBool::new(false), slots: Arc::new(Semaphore::new(slots)) }
    }

    /// The action's name.
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    /// What it declares about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its library.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The boundary version its library was built for, major and minor.
    pub fn abi(&self) -> (u32, u32) {
        self.entry.abi()
    }

    /// The schema of its input.
    ///
    /// # Errors
    /// Kind `incompatible_action`, when it is not JSON.
    pub fn input_schema(&self) -> Result<Value, Failure> {
        self.schema(self.manifest.input.get(), "input")
    }

    /// The schema of its output.
    ///
    /// # Errors
    /// As [`Action::input_schema`].
    pub fn output_schema(&self) -> Result<Value, Failure> {
        self.schema(self.manifest.output.get(), "output")
    }

    /// Every reason why the input schema refuses an input; empty if it does not. Nothing is run: what only the action
    /// can judge is not judged.
    ///
    /// # Errors
    /// Kind `incompatible_action`, when the schema is not usable.
    pub fn violations(&self, input: &Value) -> Result<Vec<Violation>, Failure> {
        input::violations(&self.input_schema()?, input).map_err(|problem| self.bad_schema("input", &problem))
    }

    fn schema(&self, text: &str, which: &str) -> Result<Value, Failure> {
        serde_json::from_str(text).map_err(|error| self.bad_schema(which, &error.to_string()))
    }

    fn bad_schema(&self, which: &str, problem: &str) -> Failure {
        Failure::new(
            kinds::INCOMPATIBLE_ACTION,
            format!("{}: the {which} schema is not usable: {problem}", self.path.display()),
        )
        .with_hint("report it to the action's author")
    }

    pub(crate) fn set_stuck(&self) {
        self.stuck.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Action")
            .field("name", &self.manifest.name)
            .field("version", &self.manifest.version)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
