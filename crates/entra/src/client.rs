//! The token client: memory, disk, endpoint, in that order.

use crate::authority::token_endpoint;
use crate::error::{Error, ErrorKind};
use crate::slot::{Slot, View};
use crate::wanted::Wanted;
use sortie_auth::{AccessToken, Credential};
use sortie_http::Client;
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use url::Url;

/// How long a renewal in the background may take.
const BACKGROUND_LIMIT: Duration = Duration::from_secs(60);

/// Where and how tokens are asked for.
#[derive(Clone, Debug, Default)]
pub struct TokenSettings {
    /// The login authority, with or without a base path: `https://login.microsoftonline.com`. Https anywhere, http on
    /// this machine.
    pub authority: String,
    /// The tenant: its id or one of its domains. Managed identities need neither authority nor tenant.
    pub tenant: String,
    /// The folder of the disk cache, made with mode 0700 where it is missing; none for no disk cache. Never a folder
    /// that is shared with other users.
    pub cache: Option<PathBuf>,
    /// When an aging token is renewed.
    pub refresh: Refresh,
    /// The `aud` claim of certificate assertions, where it must differ from the token endpoint's URL.
    pub assertion_audience: Option<String>,
}

/// When an aging token is renewed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refresh {
    /// By the caller that meets it, who waits; for processes that end soon.
    #[default]
    Inline,
    /// Beside the caller, who goes on with the old one; for processes that stay.
    Background,
}

/// The token client. Cheap to make and to clone; clones share what they know.
#[derive(Clone)]
pub struct TokenClient(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) http: Client,
    pub(crate) settings: TokenSettings,
    /// Or why there is none, which is the error of whoever needs it.
    pub(crate) endpoint: Result<Url, Error>,
    pub(crate) slots: Mutex<HashMap<[u8; 32], Arc<Slot>>>,
}

impl fmt::Debug for TokenClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenClient").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl TokenClient {
    /// A client that asks over `http`. Asks nothing yet; an authority or tenant that cannot be used is the error of the
    /// first [`token`](Self::token) that needs it.
    pub fn new(http: Client, settings: TokenSettings) -> Self {
        let endpoint = token_endpoint(&settings.authority, &settings.tenant);
        Self(Arc::new(Inner { http, settings, endpoint, slots: Mutex::default() }))
    }

    /// A token for `audience` (a resource without `/.default`).
    ///
    /// With `claims`, the decoded JSON of a claims challenge, both caches are passed over and a new token is asked for; it
    /// takes the place of the old one in memory and is not kept on disk.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`]. No error holds a secret.
    pub async fn token(
        &self,
        credential: &Credential,
        audience: &str,
        claims: Option<&str>,
        until: Instant,
        cancel: &CancellationToken,
    ) -> Result<AccessToken, Error> {
        let wanted = Wanted::new(&self.0, credential, audience)?;
        if claims.is_none() {
            match wanted.slot.view(SystemTime::now()) {
                View::Fresh(token) => return Ok(token),
                View::Aging(token) | View::Dying(token) if wanted.slot.is_paused() => return Ok(token),
                View::Aging(token) if self.0.settings.refresh == Refresh::Background => {
                    self.renew_in_background(credential, audience, &wanted.slot);
                    return Ok(token);
                }
                _ => {}
            }
        }
        let asked = Instant::now();
        let _gate = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(Error::new(ErrorKind::Cancelled, "cancelled")),
            gate = timeout_at(until, wanted.slot.gate.lock()) => gate.map_err(|_| late())?,
        };
        self.obtain(&wanted, claims, asked, until, cancel).await
    }

    /// Drops a token that an API did not accept, in memory and on disk, so that the next [`token`](Self::token) asks for
    /// a new one. Does nothing when another caller has already replaced it.
    pub fn forget(&self, credential: &Credential, audience: &str, rejected: &AccessToken) {
        let Ok(wanted) = Wanted::new(&self.0, credential, audience) else { return };
        if wanted.slot.forget(rejected)
            && let Some(place) = wanted.place()
        {
            place.remove();
        }
    }

    /// The second half of [`token`](Self::token), by one caller at a time.
    async fn obtain(
        &self,
        wanted: &Wanted<'_>,
        claims: Option<&str>,
        asked: Instant,
        until: Instant,
        cancel: &CancellationToken,
    ) -> Result<AccessToken, Error> {
        let slot = &wanted.slot;
        let mut place = None;
        let mut _lock = None;
        match claims {
            Some(claims) => {
                if let Some(token) = slot.obtained_since(asked, claims) {
                    return Ok(token);
                }
            }
            None => {
                // Whoever held the gate before may have found what this caller wants to know.
                if let View::Fresh(token) = slot.view(SystemTime::now()) {
                    return Ok(token);
                }
                if let Some(refusal) = slot.standing_refusal(asked) {
                    return slot.alive(SystemTime::now()).ok_or(refusal);
                }
                place = wanted.place();
                if let Some(place) = &place {
                    if let Some(token) = wanted.take_from(place) {
                        return Ok(token);
                    }
                    _lock = tokio::select! {
                        biased;
                        () = cancel.cancelled() => return Err(Error::new(ErrorKind::Cancelled, "cancelled")),
                        lock = place.lock(until) => lock,
                    };
                    if let Some(token) = wanted.take_from(place) {
                        return Ok(token);
                    }
                }
            }
        }

        match wanted.fetch(claims, until, cancel).await {
            Ok(token) => {
                tracing::debug!(audience = wanted.audience, credential = wanted.credential.kind(), "new token");
                slot.put(token.clone(), claims);
                match (claims, place) {
                    (None, Some(place)) => place.write(&token, SystemTime::now()),
                    // What is on disk was not good enough: the next process need not try it.
                    (Some(_), _) => {
                        if let Some(place) = wanted.place() {
                            place.remove();
                        }
                    }
                    (None, None) => {}
                }
                Ok(token)
            }
            Err(error) => {
                slot.refuse(&error);
                let old = if claims.is_none() { slot.alive(SystemTime::now()) } else { None };
                if let Some(old) = old {
                    tracing::warn!(kind = ?error.kind, codes = ?error.codes, "the token could not be renewed; the old one still serves");
                    return Ok(old);
                }
                Err(error)
            }
        }
    }

    fn renew_in_background(&self, credential: &Credential, audience: &str, slot: &Arc<Slot>) {
        if !slot.start_renewing() {
            return;
        }
        let (client, credential, audience) = (self.clone(), credential.clone(), audience.to_owned());
        let renewing = Renewing(Arc::clone(slot));
        tokio::spawn(async move {
            let slot = Arc::clone(&renewing.0);
            let until = Instant::now() + BACKGROUND_LIMIT;
            let Ok(wanted) = Wanted::new(&client.0, &credential, &audience) else { return };
            let Ok(_gate) = timeout_at(until, slot.gate.lock()).await else { return };
            // The outcome is in the slot; failures are logged there.
            let _ = client.obtain(&wanted, None, Instant::now(), until, &CancellationToken::new()).await;
            drop(renewing);
        });
    }
}

/// Ends a renewal however it ends, be it with the runtime.
struct Renewing(Arc<Slot>);

impl Drop for Renewing {
    fn drop(&mut self) {
        self.0.end_renewing();
    }
}

fn late() -> Error {
    Error::new(ErrorKind::Timeout, "the deadline passed while another call was asking for the same token")
}
