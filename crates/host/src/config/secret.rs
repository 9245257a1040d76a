//! Reading secrets, at the moment a role needs them and not before.
//!
//! A run that only reads incidents never touches the remediation application's secret; `sortie actions` touches
//! none. What is read is trimmed, and none of it ever enters a message: messages name the place.

use super::credential::{CredentialSettings, IdentitySelector, Proof, SecretSource, variables};
use super::environment::Environment;
use crate::failure::Failure;
use sortie_auth::{Credential, Identity, ManagedIdentityHost, Role, Secret};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The largest secret, in bytes; a certificate with its chain and key is far smaller.
const MAX_BYTES: u64 = 256 << 10;

/// How long a program may take to print a secret.
const COMMAND_TIME: Duration = Duration::from_secs(20);

/// Reads what the credential needs. May block: on files, and on a program.
pub(crate) fn resolve(
    settings: &CredentialSettings,
    role: Role,
    environment: &Environment,
) -> Result<Credential, Failure> {
    let client_id = || {
        settings.client_id.clone().ok_or_else(|| {
            Failure::configuration(
                format!("the {role} application has a credential but no client id"),
                format!("set client_id in [profile.NAME.{role}] or {}", variables(role).client_id),
            )
        })
    };
    Ok(match &settings.proof {
        Proof::ClientSecret(source) => {
            let what = format!("the client secret of the {role} application");
            Credential::ClientSecret { client_id: client_id()?, secret: secret(source, &what, environment)? }
        }
        Proof::Certificate { file, key_file, send_chain } => {
            let mut pem = match key_file {
                Some(key) => {
                    let mut pem = private_file(key, "the private key")?;
                    pem.push('\n');
                    pem.push_str(&any_file(file, "the certificate")?);
                    pem
                }
                None => private_file(file, "the certificate with its private key")?,
            };
            // Copied through a form or an environment, a PEM text often loses its line breaks.
            if !pem.trim().contains('\n') && pem.contains("\\n") {
                pem = pem.replace("\\n", "\n");
            }
            Credential::Certificate { client_id: client_id()?, pem: Secret::new(pem), send_chain: *send_chain }
        }
        Proof::FederatedTokenFile(path) => {
            Credential::FederatedTokenFile { client_id: client_id()?, path: path.clone() }
        }
        Proof::ManagedIdentity(selector) => Credential::ManagedIdentity {
            host: identity_host(environment)?,
            identity: match selector {
                IdentitySelector::Default => None,
                IdentitySelector::ClientId(id) => Some(Identity::ClientId(id.clone())),
                IdentitySelector::ObjectId(id) => Some(Identity::ObjectId(id.clone())),
                IdentitySelector::ResourceId(id) => Some(Identity::ResourceId(id.clone())),
            },
        },
    })
}

/// App Service announces its endpoint in the environment; elsewhere it is the machine's metadata service.
fn identity_host(environment: &Environment) -> Result<ManagedIdentityHost, Failure> {
    match (environment.get("IDENTITY_ENDPOINT")?, environment.get("IDENTITY_HEADER")?) {
        (Some(endpoint), Some(header)) => Ok(ManagedIdentityHost::AppService { endpoint, header: Secret::new(header) }),
        _ => Ok(ManagedIdentityHost::Imds { endpoint: environment.get("AZURE_POD_IDENTITY_AUTHORITY_HOST")? }),
    }
}

/// Reads one secret; `what` names it in messages. May block: on files, and on a program.
pub(crate) fn secret(source: &SecretSource, what: &str, environment: &Environment) -> Result<Secret, Failure> {
    let text = match source {
        SecretSource::Value(value) => return Ok(value.clone()),
        SecretSource::File(path) => private_file(path, what)?,
        SecretSource::Environment(variable) => environment.get(variable)?.ok_or_else(|| {
            Failure::configuration(
                format!("{what} should be in {variable}, which is not set"),
                format!("set {variable}"),
            )
        })?,
        SecretSource::Systemd(name) => {
            let folder = environment.path("CREDENTIALS_DIRECTORY")?.ok_or_else(|| {
                Failure::configuration(
                    format!("the systemd credential {name} is wanted, but CREDENTIALS_DIRECTORY is not set"),
                    format!("run as a unit with LoadCredential={name}:PATH"),
                )
            })?;
            private_file(&folder.join(name), what)?
        }
        SecretSource::Command(argv) => printed(argv, what)?,
    };
    let secret = Secret::new(text);
    if secret.expose().is_empty() {
        return Err(Failure::configuration(format!("{what} is empty ({source})"), "put the secret's value there"));
    }
    Ok(secret)
}

/// Reads a file that only its owner may change, and that not everybody may read. A group may read it: that is how a
/// service gets a secret that is not its own file, as from a volume with mode 0440.
fn private_file(path: &Path, what: &str) -> Result<String, Failure> {
    let file = open(path, what)?;
    let metadata = file.metadata().map_err(|error| unreadable(path, what, &error))?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o026 != 0 {
        let problem = if mode & 0o006 != 0 { "read or changed by everybody" } else { "changed by its group" };
        return Err(Failure::configuration(
            format!("{what} in {} can be {problem} (mode {mode:03o})", path.display()),
            format!("keep it to yourself: chmod g-w,o= {}", path.display()),
        ));
    }
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user && metadata.uid() != 0 {
        return Err(Failure::configuration(
            format!("{what} in {} belongs to user {}, wanted user {user} or root", path.display(), metadata.uid()),
            "keep secrets in files of your own",
        ));
    }
    read(file, path, what)
}

fn any_file(path: &Path, what: &str) -> Result<String, Failure> {
    read(open(path, what)?, path, what)
}

fn open(path: &Path, what: &str) -> Result<File, Failure> {
    let file = File::open(path).map_err(|error| unreadable(path, what, &error))?;
    // A pipe is welcome (process substitution), a folder is not.
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(unreadable(path, what, &io::Error::from(io::ErrorKind::IsADirectory)));
    }
    Ok(file)
}

fn read(file: File, path: &Path, what: &str) -> Result<String, Failure> {
    let mut text = String::new();
    match file.take(MAX_BYTES + 1).read_to_string(&mut text) {
        Ok(length) if length as u64 > MAX_BYTES => Err(Failure::configuration(
            format!("{what} in {} is larger than {MAX_BYTES} bytes", path.display()),
            "check the path",
        )),
        Ok(_) => Ok(text),
        Err(error) => Err(unreadable(path, what, &error)),
    }
}

fn unreadable(path: &Path, what: &str, error: &io::Error) -> Failure {
    Failure::configuration(
        format!("{what} cannot be read from {}: {error}", path.display()),
        "check the path and its permissions",
    )
}

/// What a program prints. It gets no input and no shell, and what it says on stderr is dropped: it may repeat the
/// secret.
fn printed(argv: &[String], what: &str) -> Result<String, Failure> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Failure::configuration(format!("the command for {what} is empty"), "name a program"));
    };
    let failed = |problem: String| {
        Failure::configuration(
            format!("the command {program} for {what} {problem}"),
            "run it by hand; it must print the secret's value and nothing else",
        )
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    for role in [Role::Base, Role::Remediation] {
        command.env_remove(variables(role).client_secret);
    }
    let mut child = command.spawn().map_err(|error| failed(format!("cannot be started: {error}")))?;
    let Some(stdout) = child.stdout.take() else { return Err(failed("has no output".to_owned())) };
    // Read beside the wait, so that a program that prints much does not stop, and one that prints nothing is
    // not waited for for ever.
    let (sender, output) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = sender.send(stdout.take(MAX_BYTES + 1).read_to_string(&mut text).map(|_| text));
    });
    let started = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if started.elapsed() < COMMAND_TIME => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!("did not end within {} seconds", COMMAND_TIME.as_secs())));
            }
            Err(error) => return Err(failed(format!("cannot be waited for: {error}"))),
        }
    };
    if !status.success() {
        return Err(failed(format!("failed: {status}")));
    }
    // The program has ended; only a child of its own could still hold the pipe.
    match output.recv_timeout(Duration::from_secs(1)) {
        Ok(Ok(text)) if text.len() as u64 <= MAX_BYTES => Ok(text),
        Ok(Ok(_)) => Err(failed(format!("printed more than {MAX_BYTES} bytes"))),
        Ok(Err(_)) => Err(failed("printed something that is not UTF-8".to_owned())),
        Err(_) => Err(failed("left something running that holds its output open".to_owned())),
    }
}

/// The files that a credential is read from, for showing.
pub(super) fn place(proof: &Proof) -> (&'static str, String) {
    let shown = |path: &PathBuf| path.display().to_string();
    match proof {
        Proof::ClientSecret(source) => ("client_secret", format!("from {source}, not shown")),
        Proof::Certificate { file, key_file: Some(key), .. } => {
            ("certificate", format!("{}, key {}", shown(file), shown(key)))
        }
        Proof::Certificate { file, .. } => ("certificate", shown(file)),
        Proof::FederatedTokenFile(path) => ("federated_token_file", shown(path)),
        Proof::ManagedIdentity(selector) => (
            "managed_identity",
            match selector {
                IdentitySelector::Default => "true".to_owned(),
                IdentitySelector::ClientId(id) => format!("client_id {id}"),
                IdentitySelector::ObjectId(id) => format!("object_id {id}"),
                IdentitySelector::ResourceId(id) => format!("resource_id {id}"),
            },
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn settings(source: SecretSource) -> CredentialSettings {
        CredentialSettings { client_id: Some("app".to_owned()), proof: Proof::ClientSecret(source) }
    }

    fn read(source: SecretSource, environment: &Environment) -> Result<String, Failure> {
        match resolve(&settings(source), Role::Base, environment)? {
            Credential::ClientSecret { client_id, secret } => {
                assert_eq!(client_id, "app");
                Ok(secret.expose().to_owned())
            }
            other => panic!("{other:?}"),
        }
    }

    fn file(folder: &Path, content: &str, mode: u32) -> PathBuf {
        let path = folder.join("secret");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_secret_comes_from_each_place_trimmed() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), " hunter2\n", 0o600);
        let environment =
            Environment::of([("SECRET", " hunter2 "), ("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap())]);
        let command = ["/bin/sh", "-c", "echo hunter2; echo noise >&2"].map(str::to_owned).to_vec();
        for source in [
            SecretSource::File(path),
            SecretSource::Environment("SECRET".to_owned()),
            SecretSource::Systemd("secret".to_owned()),
            SecretSource::Command(command),
            SecretSource::Value(Secret::new("hunter2")),
        ] {
            assert_eq!(read(source.clone(), &environment).unwrap(), "hunter2", "{source}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_or_change_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o604, 0o602, 0o644, 0o660, 0o620, 0o666] {
            let path = file(folder.path(), "hunter2", mode);
            let failure = read(SecretSource::File(path), &Environment::empty()).unwrap_err();
            assert!(failure.hint.as_deref().unwrap().contains("chmod g-w,o="), "{failure}");
            assert!(!failure.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_group_may_read_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o400, 0o440, 0o640, 0o550] {
            let path = file(folder.path(), "hunter2", mode);
            assert_eq!(read(SecretSource::File(path.clone()), &Environment::empty()).unwrap(), "hunter2", "{mode:o}");
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_had_is_named_without_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let empty = file(folder.path(), "\n", 0o600);
        let failing = ["/bin/sh", "-c", "echo hunter2; exit 3"].map(str::to_owned).to_vec();
        for (source, part) in [
            (SecretSource::File("/nowhere/secret".into()), "/nowhere/secret"),
            (SecretSource::File(empty), "is empty"),
            (SecretSource::File(folder.path().to_owned()), "cannot be read"),
            (SecretSource::Environment("UNSET".to_owned()), "UNSET"),
            (SecretSource::Systemd("x".to_owned()), "CREDENTIALS_DIRECTORY"),
            (SecretSource::Command(failing), "exit status: 3"),
            (SecretSource::Command(vec!["/nowhere/program".to_owned()]), "cannot be started"),
        ] {
            let failure = read(source, &Environment::empty()).unwrap_err();
            assert_eq!(failure.exit_code(), 78);
            assert!(failure.message.contains(part), "{failure}");
            assert!(!failure.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_certificate_may_keep_its_key_apart() {
        let folder = tempfile::tempdir().unwrap();
        let key = file(folder.path(), "KEY", 0o600);
        let public = folder.path().join("public");
        fs::write(&public, "CERTIFICATE").unwrap();
        fs::set_permissions(&public, fs::Permissions::from_mode(0o644)).unwrap();
        let mut settings = CredentialSettings {
            client_id: Some("app".to_owned()),
            proof: Proof::Certificate { file: public.clone(), key_file: Some(key), send_chain: true },
        };
        match resolve(&settings, Role::Base, &Environment::empty()).unwrap() {
            Credential::Certificate { pem, send_chain, .. } => {
                assert!(send_chain);
                assert!(pem.expose().contains("KEY") && pem.expose().contains("CERTIFICATE"));
            }
            other => panic!("{other:?}"),
        }
        settings.proof = Proof::Certificate { file: public, key_file: None, send_chain: false };
        assert!(resolve(&settings, Role::Base, &Environment::empty()).is_err(), "the key would be readable");
        settings.client_id = None;
        settings.proof = Proof::FederatedTokenFile("/run/token".into());
        let failure = resolve(&settings, Role::Remediation, &Environment::empty()).unwrap_err();
        assert!(failure.hint.as_deref().unwrap().contains("SORTIE_REMEDIATION_CLIENT_ID"));
    }

    #[test]
    fn the_platform_says_which_identity_service_there_is() {
        let settings = CredentialSettings {
            client_id: None,
            proof: Proof::ManagedIdentity(IdentitySelector::ObjectId("o".to_owned())),
        };
        let app_service = Environment::of([("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi"), ("IDENTITY_HEADER", "h")]);
        for (environment, wanted) in [(Environment::empty(), "Imds"), (app_service, "AppService")] {
            let credential = resolve(&settings, Role::Base, &environment).unwrap();
            let shown = format!("{credential:?}");
            assert!(shown.contains(wanted) && shown.contains("ObjectId"), "{shown}");
        }
    }
}
