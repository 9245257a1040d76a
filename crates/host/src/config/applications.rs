//! The two applications of a profile: which id, which proof, from where.

use super::credential::{
    CredentialSettings, Proof, Remediation, SecretSource, from_section, proof_from_environment, variables,
};
use super::origin::Origin;
use super::profile::Profile;
use super::resolve::Resolver;
use super::{parse, secret};
use crate::failure::Failure;
use sortie_auth::Role;
use toml::Value;

impl Resolver<'_> {
    pub(super) fn base(&mut self) -> Result<Option<CredentialSettings>, Failure> {
        let told = self.inner("base")?.map(from_section).transpose()?;
        self.application(Role::Base, told)
    }

    pub(super) fn remediation(&mut self) -> Result<Option<Remediation>, Failure> {
        let (same, told) = match self.value("remediation") {
            None => (None, None),
            Some(Value::String(text)) if text.trim() == "same" => (Some(self.from.clone()), None),
            Some(Value::Table(_)) => (None, self.inner("remediation")?.map(from_section).transpose()?),
            Some(_) => {
                return Err(self.wrong(
                    "remediation",
                    "is neither \"same\" nor a table",
                    "write remediation = \"same\", or a table [profile.NAME.remediation]",
                ));
            }
        };
        const VARIABLE: &str = "SORTIE_REMEDIATION";
        let same = match self.environment.get(VARIABLE)?.as_deref() {
            None => same,
            Some("same") => Some(Origin::Environment(VARIABLE)),
            Some(_) => {
                return Err(Failure::configuration(
                    format!("{VARIABLE} is not `same`"),
                    "say same, or set SORTIE_REMEDIATION_CLIENT_ID and its credential",
                ));
            }
        };
        let own = self.application(Role::Remediation, told)?;
        match (own, same) {
            (Some(_), Some(Origin::Environment(_))) => Err(Failure::configuration(
                "SORTIE_REMEDIATION says same, but a remediation application is configured",
                "keep one of the two",
            )),
            (Some(own), _) => Ok(Some(Remediation::Own(own))),
            (None, Some(origin)) => {
                self.note("remediation", "same", origin);
                Ok(Some(Remediation::Same))
            }
            (None, None) => Ok(None),
        }
    }

    /// Joins what the environment and the profile say about one application. Its id and its proof may come from
    /// different places, but never from two different applications.
    fn application(
        &mut self,
        role: Role,
        told: Option<(Option<String>, Option<Proof>)>,
    ) -> Result<Option<CredentialSettings>, Failure> {
        let (told_id, told_proof) = told.unwrap_or_default();
        let names = variables(role);
        let given_id = self.environment.get(names.client_id)?;
        let given_proof = proof_from_environment(self.environment, role)?;
        if let (Some(given), Some(told), None, Some(_)) = (&given_id, &told_id, &given_proof, &told_proof)
            && given != told
        {
            return Err(Failure::configuration(
                format!(
                    "{} names another application than the profile, and the profile's credential is not its own",
                    names.client_id
                ),
                format!("unset {}, or set the credential of that application beside it", names.client_id),
            ));
        }
        if let (None, Some(_), Some((_, variable)), Some(_)) = (&given_id, &told_id, &given_proof, &told_proof) {
            return Err(Failure::configuration(
                format!(
                    "{variable} gives a credential, and the profile has an application with a credential of its own"
                ),
                format!("unset {variable}, or set {} beside it to say whose it is", names.client_id),
            ));
        }
        if given_id.is_some() && told_id.is_some() && given_id != told_id {
            self.overruled("client_id", names.client_id);
        }
        let id = match (given_id, told_id) {
            (Some(id), _) => Some((id, Origin::Environment(names.client_id))),
            (None, told) => told.map(|id| (id, self.from.clone())),
        };
        let proof = match (given_proof, told_proof) {
            (Some((proof, variable)), _) => Some((proof, Origin::Environment(variable))),
            (None, told) => told.map(|proof| (proof, self.from.clone())),
        };
        let client_id = id.map(|(id, origin)| {
            self.note(format!("{role}.client_id"), &id, origin);
            id
        });
        match (client_id, proof) {
            (client_id, Some((proof, origin))) => {
                let (key, place) = secret::place(&proof);
                self.note(format!("{role}.{key}"), place, origin);
                Ok(Some(CredentialSettings { client_id, proof }))
            }
            (None, None) => Ok(None),
            (Some(_), None) => Err(Failure::configuration(
                format!("the {role} application has a client id but no credential"),
                format!(
                    "set one of client_secret, certificate, federated_token_file, managed_identity in the profile, or \
                     {}, {} or {}",
                    names.client_secret, names.certificate, names.federated_token_file
                ),
            )),
        }
    }
}

/// A secret may stand in a profile only if everything that could receive it is on this machine.
pub(super) fn refuse_values_that_leave_the_machine(profile: &Profile) -> Result<(), Failure> {
    let written = |settings: &CredentialSettings| matches!(settings.proof, Proof::ClientSecret(SecretSource::Value(_)));
    let own = match &profile.remediation {
        Some(Remediation::Own(settings)) => Some(settings),
        _ => None,
    };
    let Some(role) = profile
        .base
        .as_ref()
        .filter(|settings| written(settings))
        .map(|_| Role::Base)
        .or_else(|| own.filter(|settings| written(settings)).map(|_| Role::Remediation))
    else {
        return Ok(());
    };
    let here = profile.authority.iter().chain(profile.apis.values().map(|api| &api.base_url)).all(parse::is_loopback);
    if here && profile.authority.is_some() {
        return Ok(());
    }
    Err(Failure::configuration(
        format!("the {role} application's secret stands in the profile itself"),
        "that is taken only where the authority and every API are on this machine (a sandbox); keep the secret in a \
         file of its own: client_secret = { file = \"..\" }, or use { env = \"..\" }, { command = [\"..\"] } or \
         { systemd = \"..\" }",
    ))
}
