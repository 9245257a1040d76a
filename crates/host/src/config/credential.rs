//! What a profile says about its two applications. Nothing secret is read here: a [`SecretSource`] says where a
//! secret will be read from when the role it belongs to is needed (see [`super::secret`]).

use super::environment::Environment;
use super::section::Section;
use crate::failure::Failure;
use sortie_auth::{Role, Secret};
use std::fmt;
use std::path::PathBuf;

/// The application of one role.
#[derive(Clone, Debug)]
pub struct CredentialSettings {
    /// The application's client id. None for managed identities, which say it in their own way.
    pub client_id: Option<String>,
    /// How the application proves itself.
    pub proof: Proof,
}

/// How an application proves itself to Entra.
#[derive(Clone, Debug)]
pub enum Proof {
    /// By a shared secret.
    ClientSecret(SecretSource),
    /// By a private key whose certificate is registered with the application.
    Certificate {
        /// PEM: the certificate, its chain if there is one, and the key unless `key_file` names it.
        file: PathBuf,
        /// PEM: the key.
        key_file: Option<PathBuf>,
        /// Whether to send the chain along (subject name and issuer authentication).
        send_chain: bool,
    },
    /// By a token of another issuer, which the platform keeps fresh in a file.
    FederatedTokenFile(PathBuf),
    /// By running on a machine that the platform vouches for.
    ManagedIdentity(IdentitySelector),
}

/// Which of a machine's managed identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentitySelector {
    /// The only one, or the system-assigned one.
    Default,
    /// By its client id.
    ClientId(String),
    /// By its object id.
    ObjectId(String),
    /// By its Azure resource id.
    ResourceId(String),
}

/// Where a secret is read from.
#[derive(Clone)]
pub enum SecretSource {
    /// A file that only this user can read.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// What a program prints, started without a shell.
    Command(Vec<String>),
    /// A credential that systemd hands to the unit, by name.
    Systemd(String),
    /// The profile itself; only for services on this machine.
    Value(Secret),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            // Arguments may be as telling as a secret.
            Self::Command(argv) => write!(f, "command {}", argv.first().map_or("", String::as_str)),
            Self::Systemd(name) => write!(f, "systemd credential {name}"),
            Self::Value(_) => f.write_str("value in the profile"),
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretSource({self})")
    }
}

/// How the remediation role is signed.
#[derive(Clone, Debug)]
pub enum Remediation {
    /// By the base application; said explicitly.
    Same,
    /// By an application of its own.
    Own(CredentialSettings),
}

/// The environment variables of one role.
pub(super) struct Variables {
    pub(super) client_id: &'static str,
    pub(super) client_secret: &'static str,
    pub(super) certificate: &'static str,
    pub(super) send_chain: &'static str,
    pub(super) federated_token_file: &'static str,
}

pub(super) const fn variables(role: Role) -> Variables {
    match role {
        Role::Base => Variables {
            client_id: "AZURE_CLIENT_ID",
            client_secret: "AZURE_CLIENT_SECRET",
            certificate: "AZURE_CLIENT_CERTIFICATE_PATH",
            send_chain: "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN",
            federated_token_file: "AZURE_FEDERATED_TOKEN_FILE",
        },
        Role::Remediation => Variables {
            client_id: "SORTIE_REMEDIATION_CLIENT_ID",
            client_secret: "SORTIE_REMEDIATION_CLIENT_SECRET",
            certificate: "SORTIE_REMEDIATION_CLIENT_CERTIFICATE_PATH",
            send_chain: "SORTIE_REMEDIATION_CLIENT_SEND_CERTIFICATE_CHAIN",
            federated_token_file: "SORTIE_REMEDIATION_FEDERATED_TOKEN_FILE",
        },
    }
}

/// A proof with the variable that named it.
pub(super) type FromEnvironment = (Proof, &'static str);

/// The proof that the environment offers for a role, in the order of Azure's own tools: secret, certificate,
/// federated token. A secret's value is not read.
pub(super) fn proof_from_environment(
    environment: &Environment,
    role: Role,
) -> Result<Option<FromEnvironment>, Failure> {
    let names = variables(role);
    if environment.get(names.client_secret)?.is_some() {
        let source = SecretSource::Environment(names.client_secret.to_owned());
        return Ok(Some((Proof::ClientSecret(source), names.client_secret)));
    }
    if let Some(file) = environment.path(names.certificate)? {
        let send_chain = matches!(environment.get(names.send_chain)?.as_deref(), Some("1" | "true" | "True" | "TRUE"));
        return Ok(Some((Proof::Certificate { file, key_file: None, send_chain }, names.certificate)));
    }
    let file = environment.path(names.federated_token_file)?;
    Ok(file.map(|file| (Proof::FederatedTokenFile(file), names.federated_token_file)))
}

/// Reads `[profile.X.base]` or `[profile.X.remediation]`.
pub(super) fn from_section(mut section: Section<'_>) -> Result<(Option<String>, Option<Proof>), Failure> {
    let client_id = section.text("client_id")?.map(str::to_owned);
    let mut proofs: Vec<(&'static str, Proof)> = Vec::new();
    if section.value("client_secret").is_some() {
        proofs.push(("client_secret", Proof::ClientSecret(secret(&mut section)?)));
    }
    if let Some(mut certificate) = section.section("certificate")? {
        let file = certificate
            .text("file")?
            .ok_or_else(|| certificate.wrong("file", "is missing", "name the PEM file of the certificate"))?;
        let key_file = certificate.text("key_file")?.map(PathBuf::from);
        let send_chain = certificate.truth("send_chain")?.unwrap_or(false);
        certificate.finish()?;
        proofs.push(("certificate", Proof::Certificate { file: file.into(), key_file, send_chain }));
    }
    if let Some(file) = section.text("federated_token_file")? {
        proofs.push(("federated_token_file", Proof::FederatedTokenFile(file.into())));
    }
    if let Some(selector) = identity(&mut section)? {
        if client_id.is_some() {
            return Err(section.wrong(
                "client_id",
                "stands beside a managed identity",
                "say which identity inside: managed_identity = { client_id = \"..\" }",
            ));
        }
        proofs.push(("managed_identity", Proof::ManagedIdentity(selector)));
    }
    if proofs.len() > 1 {
        let names: Vec<&str> = proofs.iter().map(|(name, _)| *name).collect();
        return Err(section.wrong(
            names.last().copied().unwrap_or_default(),
            &format!("is one of {} that stand together", names.join(", ")),
            "keep exactly one",
        ));
    }
    let proof = proofs.pop().map(|(_, proof)| proof);
    section.finish()?;
    Ok((client_id, proof))
}

/// The ways to say where a secret is read from.
const SECRET_FORMS: &str = "say where it is read from: { file = \"..\" }, { env = \"..\" }, { command = [\"..\"] } or \
                            { systemd = \"..\" }";

fn secret(section: &mut Section<'_>) -> Result<SecretSource, Failure> {
    if section.value("client_secret").is_some_and(|value| !value.is_table()) {
        return Err(section.wrong("client_secret", "is not a table", SECRET_FORMS));
    }
    let Some(table) = section.section("client_secret")? else {
        return Err(section.wrong("client_secret", "is missing", SECRET_FORMS));
    };
    SecretSource::from_section(table)
}

impl SecretSource {
    /// Reads the table that says where a secret is read from: exactly one of `file`, `env`, `command`, `systemd`, `value`.
    /// Nothing secret is read.
    ///
    /// # Errors
    /// Kind `configuration`, naming the key and the forms that are taken; never its value.
    pub fn from_section(mut table: Section<'_>) -> Result<Self, Failure> {
        let mut sources = Vec::new();
        if let Some(path) = table.text("file")? {
            sources.push(Self::File(path.into()));
        }
        if let Some(variable) = table.text("env")? {
            sources.push(Self::Environment(variable.to_owned()));
        }
        if let Some(argv) = table.texts("command")? {
            if argv.first().is_none_or(|program| program.is_empty()) {
                let hint = "write the program and its arguments: [\"vault\", \"..\"]";
                return Err(table.wrong("command", "is empty", hint));
            }
            sources.push(Self::Command(argv.into_iter().map(str::to_owned).collect()));
        }
        if let Some(name) = table.text("systemd")? {
            if name.contains('/') || name == "." || name == ".." {
                return Err(table.wrong("systemd", "is not a credential's name", "name it as LoadCredential= does"));
            }
            sources.push(Self::Systemd(name.to_owned()));
        }
        if let Some(value) = table.text("value")? {
            sources.push(Self::Value(Secret::new(value)));
        }
        let several = table.itself("does not name exactly one source", SECRET_FORMS);
        table.finish()?;
        match (sources.pop(), sources.is_empty()) {
            (Some(source), true) => Ok(source),
            _ => Err(several),
        }
    }
}

fn identity(section: &mut Section<'_>) -> Result<Option<IdentitySelector>, Failure> {
    match section.value("managed_identity") {
        None | Some(toml::Value::Boolean(false)) => return Ok(None),
        Some(toml::Value::Boolean(true)) => return Ok(Some(IdentitySelector::Default)),
        Some(toml::Value::Table(_)) => {}
        Some(other) => return Err(section.mistyped("managed_identity", other, "true or a table")),
    }
    let Some(mut table) = section.section("managed_identity")? else { return Ok(None) };
    let mut selectors = Vec::new();
    if let Some(id) = table.text("client_id")? {
        selectors.push(IdentitySelector::ClientId(id.to_owned()));
    }
    if let Some(id) = table.text("object_id")? {
        selectors.push(IdentitySelector::ObjectId(id.to_owned()));
    }
    if let Some(id) = table.text("resource_id")? {
        selectors.push(IdentitySelector::ResourceId(id.to_owned()));
    }
    table.finish()?;
    match (selectors.pop(), selectors.is_empty()) {
        (Some(selector), true) => Ok(Some(selector)),
        _ => Err(section.wrong(
            "managed_identity",
            "does not name exactly one identity",
            "give one of client_id, object_id, resource_id, or write managed_identity = true",
        )),
    }
}
