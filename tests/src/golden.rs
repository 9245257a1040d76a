//! Recorded outputs: compared as text, written anew when `SORTIE_BLESS` is set.

use std::path::Path;
use std::{env, fs};

/// Compares text with a file, or writes the file when `SORTIE_BLESS` is set.
///
/// # Panics
/// When they differ, with the first line that does.
pub fn assert_file(path: &Path, actual: &str) {
    if env::var_os("SORTIE_BLESS").is_some() {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).expect("the folder of a recorded output");
        }
        fs::write(path, actual).expect("a recorded output");
        return;
    }
    let recorded = fs::read_to_string(path).unwrap_or_else(|problem| {
        panic!("{}: {problem}; run the test with SORTIE_BLESS=1 to write it", path.display())
    });
    if recorded == actual {
        return;
    }
    let mut lines = recorded.lines().zip(actual.lines()).enumerate();
    let (line, (wanted, found)) = lines
        .find(|(_, (wanted, found))| wanted != found)
        .unwrap_or((recorded.lines().count().min(actual.lines().count()), ("(its end)", "(its end)")));
    panic!(
        "{} differs in line {}:\n  recorded: {wanted}\n  found:    {found}\nIf the change is meant, run the test with SORTIE_BLESS=1.",
        path.display(),
        line + 1,
    );
}
