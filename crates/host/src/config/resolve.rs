//! From flags, variables and a profile to one [`Profile`], with the origin of each value.

use super::applications::refuse_values_that_leave_the_machine;
use super::environment::Environment;
use super::file::ConfigFile;
use super::origin::{Origin, Setting};
use super::profile::{ApiSettings, Profile, TokenCache};
use super::section::Section;
use super::{Overrides, Resolved, parse};
use crate::failure::Failure;
use crate::text::{clean, nearest, quote};
use sortie_auth::Cloud;
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml::Value;
use url::Url;

/// The surfaces that incidents can be read from.
const SURFACES: [&str; 2] = ["graph", "defender-xdr"];

/// Resolves the configuration. Reads at most one file and no secret.
///
/// # Errors
/// Kind `configuration`, naming the setting, its place and the remedy. That no credentials are configured is no error
/// here: listing actions needs none.
pub fn resolve(overrides: &Overrides, environment: &Environment) -> Result<Resolved, Failure> {
    let file = ConfigFile::find(overrides, environment)?;
    let Some(file) = &file else {
        let asked = match &overrides.profile {
            Some(name) => Some(name.clone()),
            None => environment.get("SORTIE_PROFILE")?,
        };
        if let Some(name) = asked {
            return Err(Failure::configuration(
                format!("the profile {} is asked for, but there is no configuration file", quote(&name)),
                "write $XDG_CONFIG_HOME/sortie/config.toml, or name a file with --config",
            ));
        }
        return Resolver::new(overrides, environment, None, Origin::Default).resolve(None);
    };
    match file.choose(overrides, environment)? {
        None => Resolver::new(overrides, environment, None, Origin::Default).resolve(None),
        Some(choice) => {
            let origin = Origin::Profile { profile: choice.name.clone(), file: file.name.clone() };
            let section = file.profile(&choice.name)?;
            let mut resolver = Resolver::new(overrides, environment, Some(section), origin);
            resolver.note("profile", &choice.name, choice.origin);
            resolver.resolve(Some(choice.name))
        }
    }
}

/// A configuration being resolved.
pub(super) struct Resolver<'a> {
    pub(super) overrides: &'a Overrides,
    pub(super) environment: &'a Environment,
    section: Option<Section<'a>>,
    /// Where values of `section` come from.
    pub(super) from: Origin,
    settings: Vec<Setting>,
}

impl<'a> Resolver<'a> {
    fn new(overrides: &'a Overrides, environment: &'a Environment, section: Option<Section<'a>>, from: Origin) -> Self {
        Self { overrides, environment, section, from, settings: Vec::new() }
    }

    pub(super) fn note(&mut self, name: impl Into<String>, value: impl AsRef<str>, origin: Origin) {
        self.settings.push(Setting { name: name.into(), value: clean(value.as_ref(), 500), origin });
    }

    /// A text from a variable or the profile, noted.
    fn text(&mut self, key: &'static str, variable: Option<&'static str>) -> Result<Option<String>, Failure> {
        // The profile is read even if the environment wins, so that the key counts as known and is checked.
        let told = match &mut self.section {
            Some(section) => section.text(key)?.map(str::to_owned),
            None => None,
        };
        let found = match variable {
            Some(variable) => self.environment.get(variable)?.map(|value| (value, Origin::Environment(variable))),
            None => None,
        };
        if let (Some((value, Origin::Environment(variable))), Some(told)) = (&found, &told)
            && value != told
        {
            self.overruled(key, variable);
        }
        let found = found.or_else(|| told.map(|value| (value, self.from.clone())));
        Ok(found.map(|(value, origin)| {
            self.note(key, &value, origin);
            value
        }))
    }

    /// The environment beats the profile, also one that was named by a flag. That is the rule, and easily overlooked.
    pub(super) fn overruled(&self, key: &str, variable: &str) {
        if self.overrides.profile.is_some() {
            tracing::warn!("{variable} in the environment overrules `{key}` of the profile that --profile names");
        }
    }

    pub(super) fn inner(&mut self, key: &'static str) -> Result<Option<Section<'a>>, Failure> {
        match &mut self.section {
            Some(section) => section.section(key),
            None => Ok(None),
        }
    }

    pub(super) fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.section.as_mut().and_then(|section| section.value(key))
    }

    pub(super) fn wrong(&self, key: &str, problem: &str, hint: &str) -> Failure {
        match &self.section {
            Some(section) => section.wrong(key, problem, hint),
            None => Failure::configuration(format!("`{key}` {problem}"), hint),
        }
    }

    fn resolve(mut self, name: Option<String>) -> Result<Resolved, Failure> {
        let label = self.text("label", None)?;
        let tenant = self.text("tenant", Some("AZURE_TENANT_ID"))?.map(|text| parse::tenant(&text)).transpose()?;
        let cloud = self.cloud()?;
        let authority = self.authority(cloud)?;
        let apis = self.apis(cloud)?;
        let incidents_api = self.incidents_api()?;
        let limits = self.limits()?;
        let (timeouts, run_timeout) = self.timeouts()?;
        let proxy = self.proxy()?;
        let ca_file = self.text("ca_file", None)?.map(PathBuf::from);
        let verification = self.verification()?;
        let actions_dir = self.actions_dir()?;
        let token_cache = self.token_cache()?;
        let base = self.base()?;
        let remediation = self.remediation()?;
        let from = self.from.clone();
        let daemon = self.inner("daemon")?.map(|section| section.unread(from));
        if let Some(section) = self.section.take() {
            section.finish()?;
        }
        let profile = Profile {
            name,
            label,
            tenant,
            cloud: cloud.name.to_owned(),
            authority,
            apis,
            incidents_api,
            limits,
            timeouts,
            run_timeout,
            proxy,
            ca_file,
            verification,
            actions_dir,
            token_cache,
            base,
            remediation,
            environment: self.environment.clone(),
        };
        refuse_values_that_leave_the_machine(&profile)?;
        Ok(Resolved { profile, settings: self.settings, daemon })
    }

    fn cloud(&mut self) -> Result<&'static Cloud, Failure> {
        let Some(name) = self.text("cloud", None)? else {
            self.note("cloud", Cloud::PUBLIC.name, Origin::Default);
            return Ok(&Cloud::PUBLIC);
        };
        Cloud::named(&name).ok_or_else(|| {
            let names: Vec<&str> = Cloud::ALL.iter().map(|cloud| cloud.name).collect();
            self.wrong("cloud", "is not a known cloud", &format!("known are {}", names.join(", ")))
        })
    }

    fn authority(&mut self, cloud: &'static Cloud) -> Result<Option<Url>, Failure> {
        if let Some(text) = self.text("authority", Some("AZURE_AUTHORITY_HOST"))? {
            return parse::authority(&text, "the authority").map(Some);
        }
        if cloud.authority.is_empty() {
            return Ok(None);
        }
        self.note("authority", cloud.authority, Origin::Cloud(cloud.name.to_owned()));
        parse::authority(cloud.authority, "the authority").map(Some)
    }

    fn apis(&mut self, cloud: &'static Cloud) -> Result<BTreeMap<String, ApiSettings>, Failure> {
        let mut apis = BTreeMap::new();
        for host in cloud.apis {
            let settings = ApiSettings {
                base_url: parse::service_url(&host.base_url, "the base URL")?,
                audience: host.audience.to_string(),
                assumed: host.assumed,
            };
            apis.insert(host.api.to_string(), settings);
        }
        let mut told: BTreeMap<String, (bool, bool)> = BTreeMap::new();
        if let Some(sections) = self.inner("apis")? {
            for (api, value) in sections.open() {
                let mut section = sections.inner(api, value)?;
                let base_url = section.text("base_url")?;
                let audience = section.text("audience")?;
                let incomplete = |section: &Section<'_>, key: &str| {
                    section.wrong(key, "is missing", "an API that the cloud does not know needs base_url and audience")
                };
                let parsed = base_url.map(|text| parse::service_url(text, &section.name("base_url"))).transpose()?;
                match apis.get_mut(api) {
                    Some(known) => {
                        if let Some(url) = parsed {
                            known.base_url = url;
                        }
                        if let Some(audience) = audience {
                            known.audience = bare(audience);
                            known.assumed = false;
                        }
                    }
                    None => {
                        let base_url = parsed.ok_or_else(|| incomplete(&section, "base_url"))?;
                        let audience = bare(audience.ok_or_else(|| incomplete(&section, "audience"))?);
                        apis.insert(api.to_owned(), ApiSettings { base_url, audience, assumed: false });
                    }
                }
                told.insert(api.to_owned(), (base_url.is_some(), audience.is_some()));
                section.finish()?;
            }
        }
        for (api, settings) in &apis {
            let (base_url, audience) = told.get(api).copied().unwrap_or_default();
            let preset = || Origin::Cloud(cloud.name.to_owned());
            let origin = if base_url { self.from.clone() } else { preset() };
            self.note(format!("apis.{api}.base_url"), &settings.base_url, origin);
            let origin = if audience { self.from.clone() } else { preset() };
            self.note(format!("apis.{api}.audience"), &settings.audience, origin);
        }
        Ok(apis)
    }

    fn incidents_api(&mut self) -> Result<String, Failure> {
        let told = self.text("incidents_api", Some("SORTIE_INCIDENTS_API"))?;
        let chosen = match &self.overrides.incidents_api {
            Some(flag) => {
                self.settings.retain(|setting| setting.name != "incidents_api");
                self.note("incidents_api", flag, Origin::Flag("--incidents-api".into()));
                flag.clone()
            }
            None => told.unwrap_or_else(|| {
                self.note("incidents_api", SURFACES[0], Origin::Default);
                SURFACES[0].to_owned()
            }),
        };
        if SURFACES.contains(&chosen.as_str()) {
            return Ok(chosen);
        }
        let hint = match nearest(&chosen, SURFACES) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", SURFACES.join(", ")),
        };
        Err(Failure::configuration(format!("{} is not an incidents API", quote(&chosen)), hint))
    }

    fn actions_dir(&mut self) -> Result<Option<PathBuf>, Failure> {
        let told = self.text("actions_dir", Some("SORTIE_ACTIONS_DIR"))?.map(PathBuf::from);
        if let Some(path) = &self.overrides.actions_dir {
            self.settings.retain(|setting| setting.name != "actions_dir");
            self.note("actions_dir", path.display().to_string(), Origin::Flag("--actions-dir".into()));
            return Ok(Some(path.clone()));
        }
        if told.is_none() {
            self.note("actions_dir", "beside the program", Origin::Default);
        }
        Ok(told)
    }

    fn token_cache(&mut self) -> Result<TokenCache, Failure> {
        let cache = match self.value("token_cache") {
            None => {
                self.note("token_cache", "true", Origin::Default);
                return Ok(TokenCache::On);
            }
            Some(Value::Boolean(true)) => TokenCache::On,
            Some(Value::Boolean(false)) => TokenCache::Off,
            Some(Value::String(path)) if PathBuf::from(path.trim()).is_absolute() => {
                TokenCache::Folder(path.trim().into())
            }
            Some(_) => {
                return Err(self.wrong(
                    "token_cache",
                    "is neither true, false nor an absolute path",
                    "write true, false, or the folder in quotes",
                ));
            }
        };
        let shown = match &cache {
            TokenCache::On => "true".to_owned(),
            TokenCache::Off => "false".to_owned(),
            TokenCache::Folder(folder) => folder.display().to_string(),
        };
        let origin = self.from.clone();
        self.note("token_cache", shown, origin);
        Ok(cache)
    }
}

/// The resource without the `/.default` that scopes carry.
fn bare(audience: &str) -> String {
    audience.strip_suffix("/.default").unwrap_or(audience).to_owned()
}

#[cfg(test)]
mod tests;
