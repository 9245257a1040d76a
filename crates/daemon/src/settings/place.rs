//! Where a daemon keeps its store: one folder, one file for each profile.

use sortie_host::Failure;
use sortie_host::config::{Environment, Origin};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The folder of the stores, and where that was said: the flag, `SORTIE_STATE_DIR`, the profile, `STATE_DIRECTORY` (which
/// systemd sets for a unit with `StateDirectory=`), `XDG_STATE_HOME/sortie`, `~/.local/state/sortie`.
pub(super) fn state_dir(
    flag: Option<&Path>,
    told: Option<(PathBuf, Origin)>,
    environment: &Environment,
) -> Result<(PathBuf, Origin), Failure> {
    const OWN: &str = "SORTIE_STATE_DIR";
    const SYSTEMD: &str = "STATE_DIRECTORY";
    if let Some(folder) = flag {
        return Ok((absolute(folder)?, Origin::Flag("--state-dir".into())));
    }
    if let Some(folder) = environment.get(OWN)? {
        return Ok((absolute(Path::new(&folder))?, Origin::Environment(OWN)));
    }
    if let Some(told) = told {
        return Ok(told);
    }
    // A unit may have several folders; they are separated by colons.
    if let Some(folders) = environment.get(SYSTEMD)?
        && let Some(first) = folders.split(':').find(|folder| Path::new(folder).is_absolute())
    {
        return Ok((first.into(), Origin::Environment(SYSTEMD)));
    }
    for (variable, below) in [("XDG_STATE_HOME", "sortie"), ("HOME", ".local/state/sortie")] {
        if let Some(folder) = environment.get(variable)?.map(PathBuf::from).filter(|folder| folder.is_absolute()) {
            return Ok((folder.join(below), Origin::Default));
        }
    }
    Err(Failure::configuration(
        "nothing says where the daemon keeps its state: HOME is not set",
        "name a folder with --state-dir, SORTIE_STATE_DIR, or state_dir in the profile",
    ))
}

/// A path of the command line or the environment, which may begin in the current folder.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| {
        Failure::configuration(format!("{} is no folder's name: {error}", path.display()), "name a folder")
    })
}

/// The name of a profile's store in the folder. What could lead elsewhere is written as in a URL.
pub(super) fn file_name(profile: Option<&str>) -> String {
    let mut name = String::new();
    for byte in profile.unwrap_or("default").bytes() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && !name.is_empty());
        if plain {
            name.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
    name.push_str(".db");
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(flag: Option<&str>, told: Option<&str>, variables: &[(&str, &str)]) -> String {
        let told = told.map(|folder| (folder.into(), Origin::Flag("profile".into())));
        let environment = Environment::of(variables.iter().copied());
        match state_dir(flag.map(Path::new), told, &environment) {
            Ok((folder, origin)) => format!("{} | {origin}", folder.display()),
            Err(failure) => failure.kind.to_string(),
        }
    }

    #[test]
    fn the_nearest_word_counts() {
        let all = [
            ("SORTIE_STATE_DIR", "/own"),
            ("STATE_DIRECTORY", "/var/lib/sortie:/var/lib/other"),
            ("XDG_STATE_HOME", "/xdg"),
            ("HOME", "/home/ana"),
        ];
        assert_eq!(place(Some("/flag"), Some("/told"), &all), "/flag | flag --state-dir");
        assert_eq!(place(None, Some("/told"), &all), "/own | environment SORTIE_STATE_DIR");
        assert_eq!(place(None, Some("/told"), &all[1..]), "/told | flag profile");
        assert_eq!(place(None, None, &all[1..]), "/var/lib/sortie | environment STATE_DIRECTORY");
        assert_eq!(place(None, None, &all[2..]), "/xdg/sortie | default");
        assert_eq!(place(None, None, &all[3..]), "/home/ana/.local/state/sortie | default");
        assert_eq!(place(None, None, &[("XDG_STATE_HOME", "relative")]), "configuration");
        assert!(place(Some("here"), None, &[]).starts_with('/'));
    }

    #[test]
    fn a_profile_names_one_file_in_the_folder() {
        for (profile, wanted) in [
            (Some("contoso"), "contoso.db"),
            (Some("contoso.com-2"), "contoso.com-2.db"),
            (Some("../../etc/x"), "%2E.%2F..%2Fetc%2Fx.db"),
            (Some(".."), "%2E..db"),
            (Some("a b"), "a%20b.db"),
            (None, "default.db"),
        ] {
            assert_eq!(file_name(profile), wanted);
            assert_eq!(Path::new("/s").join(file_name(profile)).parent(), Some(Path::new("/s")));
        }
    }
}
