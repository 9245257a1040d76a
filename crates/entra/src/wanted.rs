//! One token that somebody wants: where it would be kept, and how it is asked for.

use crate::assertion;
use crate::certificate::{PrivateKey, Signer};
use crate::client::Inner;
use crate::disk::Place;
use crate::error::{Error, ErrorKind};
use crate::grant::{self, Proof};
use crate::key::Key;
use crate::managed;
use crate::slot::{Slot, View};
use sortie_auth::{AccessToken, Credential};
use sortie_http::{Disposition, Policy};
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use url::Url;
use zeroize::Zeroizing;

/// Larger than any federated token.
const LARGEST_FEDERATED_TOKEN: u64 = 64 << 10;

/// One token that somebody wants.
pub(crate) struct Wanted<'a> {
    client: &'a Inner,
    pub(crate) credential: &'a Credential,
    pub(crate) audience: &'a str,
    endpoint: Option<&'a Url>,
    key: Key,
    pub(crate) slot: Arc<Slot>,
}

impl<'a> Wanted<'a> {
    pub(crate) fn new(client: &'a Inner, credential: &'a Credential, audience: &'a str) -> Result<Self, Error> {
        check_audience(audience)?;
        let endpoint = match credential {
            Credential::ManagedIdentity { .. } => None,
            _ => Some(client.endpoint.as_ref().map_err(Clone::clone)?),
        };
        let key = Key::new(endpoint.map_or("", Url::as_str), credential, audience);
        let slot = {
            let mut slots = client.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(key.memory).or_default())
        };
        Ok(Self { client, credential, audience, endpoint, key, slot })
    }

    /// The token's file, for credentials that stay the same long enough to be its key.
    pub(crate) fn place(&self) -> Option<Place> {
        let folder = self.client.settings.cache.as_deref()?;
        match self.credential {
            Credential::ClientSecret { secret, .. } => Place::new(folder, self.key.file(), secret.expose().as_bytes()),
            Credential::Certificate { pem, .. } => {
                Place::new(folder, self.key.file(), PrivateKey::find(pem.expose()).ok()?.as_bytes())
            }
            _ => None,
        }
    }

    /// Takes what is on disk into memory; the token, if it is fresh.
    pub(crate) fn take_from(&self, place: &Place) -> Option<AccessToken> {
        let now = SystemTime::now();
        if !self.slot.put_from_disk(place.read(now)?) {
            return None;
        }
        match self.slot.view(now) {
            View::Fresh(token) => Some(token),
            _ => None,
        }
    }

    /// Asks for a new one.
    pub(crate) async fn fetch(
        &self,
        claims: Option<&str>,
        until: Instant,
        cancel: &CancellationToken,
    ) -> Result<AccessToken, Error> {
        if let Credential::ManagedIdentity { host, identity } = self.credential {
            return managed::fetch(&self.client.http, host, identity.as_ref(), self.audience, until, cancel).await;
        }
        let endpoint = self.endpoint.ok_or_else(|| Error::new(ErrorKind::Configuration, "no token endpoint"))?;
        let signer = match self.credential {
            Credential::Certificate { pem, .. } => Some(Signer::new(pem.expose())?),
            _ => None,
        };
        let client_id = self.credential.client_id().unwrap_or_default();
        let retry = self.client.http.settings().retry;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let proof = self.proof(endpoint, signer.as_ref())?;
            let (proof, secret) = match &proof {
                Made::Secret(secret) => (Proof::Secret(secret), *secret),
                Made::Assertion(assertion) => (Proof::Assertion(assertion), assertion.as_str()),
            };
            let request = grant::request(endpoint, client_id, self.audience, &proof, claims);
            // An assertion that may have been used up is made anew; everything else the transport repeats itself.
            let remade = request.policy == Policy::Write;
            let error = match self.client.http.send(request, until, cancel).await {
                Ok(response) => return grant::parse(&Zeroizing::new(response.body), false, SystemTime::now()),
                Err(error) => error,
            };
            let wait = retry.wait(attempt).max(error.retry_after.unwrap_or_default());
            let again = remade && error.retryable() && error.disposition == Disposition::InDoubt;
            if !again || attempt >= retry.attempts || Instant::now() + wait >= until {
                let subject = format!("the {} of application {client_id}", self.credential.kind());
                return Err(Error::from_http(&error, &subject, &[secret]));
            }
            tokio::select! {
                () = cancel.cancelled() => return Err(Error::new(ErrorKind::Cancelled, "cancelled")),
                () = sleep(wait) => {}
            }
        }
    }

    fn proof(&self, endpoint: &Url, signer: Option<&Signer>) -> Result<Made<'a>, Error> {
        match (self.credential, signer) {
            (Credential::ClientSecret { secret, .. }, _) if secret.is_empty() => {
                Err(Error::new(ErrorKind::InvalidCredential, "the client secret is empty"))
            }
            (Credential::ClientSecret { secret, .. }, _) => Ok(Made::Secret(secret.expose())),
            (Credential::Certificate { client_id, send_chain, .. }, Some(signer)) => {
                let audience = self.client.settings.assertion_audience.as_deref().unwrap_or(endpoint.as_str());
                let assertion = assertion::sign(signer, client_id, audience, *send_chain, SystemTime::now())?;
                Ok(Made::Assertion(assertion))
            }
            (Credential::FederatedTokenFile { path, .. }, _) => Ok(Made::Assertion(read_federated_token(path)?)),
            _ => Err(Error::new(ErrorKind::Configuration, "this kind of credential is not supported")),
        }
    }
}

/// A proof that holds what was made for it.
enum Made<'a> {
    Secret(&'a str),
    Assertion(Zeroizing<String>),
}

/// The token in a federated token file, as it is there now.
fn read_federated_token(path: &Path) -> Result<Zeroizing<String>, Error> {
    let refuse = |why: String| {
        Error::new(
            ErrorKind::InvalidCredential,
            format!("the federated token file {} cannot be used: {why}", path.display()),
        )
    };
    let mut text = Zeroizing::new(String::new());
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST_FEDERATED_TOKEN + 1).read_to_string(&mut text))
        .map_err(|error| refuse(error.to_string()))?;
    let token = text.trim();
    if text.len() as u64 > LARGEST_FEDERATED_TOKEN {
        return Err(refuse("it is too large to be a token".into()));
    }
    if token.split('.').count() != 3 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refuse("it does not hold a signed token (three parts separated by dots)".into()));
    }
    Ok(Zeroizing::new(token.to_owned()))
}

fn check_audience(audience: &str) -> Result<(), Error> {
    let why = if audience.is_empty() {
        "it is empty"
    } else if audience.ends_with("/.default") {
        "it ends with /.default, which is added here"
    } else if !audience.bytes().all(|byte| byte.is_ascii_graphic()) {
        "it holds white space or characters outside ASCII"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Configuration, format!("the audience cannot be used: {why}")))
}
