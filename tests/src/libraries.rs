//! Folders of action libraries that a test puts together.

use crate::built;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};

/// The file name of an action's library.
pub fn file_name(action: &str) -> String {
    format!("{DLL_PREFIX}action_{}{DLL_SUFFIX}", action.replace('-', "_"))
}

/// The library of an action of this workspace.
pub fn library(action: &str) -> PathBuf {
    built().join(file_name(action))
}

/// Puts one of the libraries under `tests/misbehaving` into a folder, as the action of that name.
///
/// # Panics
/// When it was not built.
pub fn misbehaving(action: &str, folder: &Path) -> PathBuf {
    let name = format!("{DLL_PREFIX}misbehaving_{}{DLL_SUFFIX}", action.replace('-', "_"));
    let target = folder.join(file_name(action));
    let source = built().join("examples").join(&name);
    fs::copy(&source, &target).unwrap_or_else(|problem| panic!("{}: {problem}", source.display()));
    target
}
