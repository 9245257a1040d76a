//! Finding and reading the configuration file, and choosing the profile in it.

use super::environment::Environment;
use super::origin::Origin;
use super::section::Section;
use super::{ConfigText, Overrides};
use crate::failure::Failure;
use crate::text::{clean, nearest, quote};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use toml::Table;

/// The file for all users of the machine.
const SYSTEM_FILE: &str = "/etc/sortie/config.toml";

/// The largest configuration file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A parsed file.
pub(super) struct ConfigFile {
    pub(super) name: String,
    table: Table,
}

/// The chosen profile: its name and how it was chosen.
pub(super) struct Choice {
    pub(super) name: String,
    pub(super) origin: Origin,
}

impl ConfigFile {
    /// The file that counts; `None` if there is none and none was asked for.
    pub(super) fn find(overrides: &Overrides, environment: &Environment) -> Result<Option<Self>, Failure> {
        if let Some(ConfigText { name, text }) = &overrides.config_text {
            return Self::parse(name.clone(), text).map(Some);
        }
        let asked = match &overrides.config_file {
            Some(path) => Some(path.clone()),
            None => environment.path("SORTIE_CONFIG")?,
        };
        if let Some(path) = asked {
            return match read(&path)? {
                Some(text) => Self::parse(path.display().to_string(), &text).map(Some),
                None => Err(Failure::configuration(
                    format!("the configuration file {} does not exist", path.display()),
                    "correct --config or SORTIE_CONFIG",
                )),
            };
        }
        for path in [user_file(environment)?, Some(PathBuf::from(SYSTEM_FILE))].into_iter().flatten() {
            if let Some(text) = read(&path)? {
                return Self::parse(path.display().to_string(), &text).map(Some);
            }
        }
        Ok(None)
    }

    fn parse(name: String, text: &str) -> Result<Self, Failure> {
        match toml::from_str(text) {
            Ok(table) => Ok(Self { name, table }),
            Err(error) => {
                // Never the parser's own display: it repeats the line, which may hold a secret.
                let line = error.span().map_or(0, |span| text.get(..span.start).unwrap_or(text).lines().count().max(1));
                Err(Failure::configuration(
                    format!("{name}: line {line} is not valid TOML"),
                    "correct the line; texts stand in quotes, tables in brackets",
                ))
            }
        }
    }

    /// Chooses the profile: by flag, by `SORTIE_PROFILE`, by `default_profile`, or the only one there is.
    pub(super) fn choose(&self, overrides: &Overrides, environment: &Environment) -> Result<Option<Choice>, Failure> {
        let mut top = Section::new(&self.table, "", &self.name);
        let default = top.text("default_profile")?;
        let profiles = top.section("profile")?;
        let names: Vec<&str> = profiles.iter().flat_map(Section::open).map(|(name, _)| name).collect();
        top.finish()?;
        let origin = |key: &str| Origin::Profile { profile: key.to_owned(), file: self.name.clone() };
        let (name, origin) = if let Some(name) = &overrides.profile {
            (name.clone(), Origin::Flag("--profile".into()))
        } else if let Some(name) = environment.get("SORTIE_PROFILE")? {
            (name, Origin::Environment("SORTIE_PROFILE"))
        } else if let Some(name) = default {
            (name.to_owned(), origin("default_profile"))
        } else {
            match names.as_slice() {
                [] => return Ok(None),
                [only] => ((*only).to_owned(), origin(only)),
                many => {
                    return Err(Failure::configuration(
                        format!("{} has several profiles and none is chosen", self.name),
                        format!(
                            "choose with --profile, SORTIE_PROFILE or default_profile: {}",
                            clean(&many.join(", "), 300)
                        ),
                    ));
                }
            }
        };
        if names.contains(&name.as_str()) {
            return Ok(Some(Choice { name, origin }));
        }
        let hint = match nearest(&name, names.iter().copied()) {
            Some(near) => format!("did you mean {}?", quote(near)),
            None => format!("it has {}", clean(&names.join(", "), 300)),
        };
        Err(Failure::configuration(format!("{} has no profile {}", self.name, quote(&name)), hint))
    }

    /// The table of a profile that [`Self::choose`] found.
    pub(super) fn profile(&self, name: &str) -> Result<Section<'_>, Failure> {
        let mut top = Section::new(&self.table, "", &self.name);
        let Some(profiles) = top.section("profile")? else {
            return Err(Failure::configuration(format!("{} has no profiles", self.name), "write [profile.NAME]"));
        };
        match profiles.open().find(|(key, _)| *key == name) {
            Some((_, value)) => profiles.inner(name, value),
            None => Err(profiles.wrong(name, "is missing", "write the table")),
        }
    }
}

fn user_file(environment: &Environment) -> Result<Option<PathBuf>, Failure> {
    let folder = match environment.path("XDG_CONFIG_HOME")?.filter(|path| path.is_absolute()) {
        Some(folder) => Some(folder),
        None => environment.path("HOME")?.map(|home| home.join(".config")),
    };
    Ok(folder.map(|folder| folder.join("sortie/config.toml")))
}

/// The text of a file, or `None` if it does not exist.
fn read(path: &Path) -> Result<Option<String>, Failure> {
    let unreadable = |error: io::Error| {
        Failure::configuration(
            format!("the configuration file {} cannot be read: {error}", path.display()),
            "check its permissions",
        )
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(error)),
    };
    let metadata = file.metadata().map_err(unreadable)?;
    // The file says which programs are started and where tokens are sent.
    if metadata.is_file() && metadata.mode() & 0o002 != 0 {
        return Err(Failure::configuration(
            format!("the configuration file {} may be changed by anybody", path.display()),
            format!("take the permission away: chmod o-w {}", path.display()),
        ));
    }
    // Read in one piece: its size is known.
    let size = usize::try_from(metadata.len().min(MAX_BYTES)).unwrap_or_default();
    let mut text = String::with_capacity(size + 1);
    let length = io::Read::read_to_string(&mut io::Read::take(file, MAX_BYTES + 1), &mut text).map_err(unreadable)?;
    if length as u64 > MAX_BYTES {
        return Err(Failure::configuration(
            format!("the configuration file {} is larger than {MAX_BYTES} bytes", path.display()),
            "check the path",
        ));
    }
    Ok(Some(text))
}
