//! What is remembered about one token: the token itself, the last refusal, and who is asking right now.

use crate::error::{Error, ErrorKind};
use ring::digest::{SHA256, digest};
use sortie_auth::AccessToken;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// How long a refusal that only a person can cure is repeated without asking again.
const REFUSED: Duration = Duration::from_secs(60);

/// How long after a failed renewal the next one is tried, while the old token lives.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);

/// The longest that a token endpoint's `Retry-After` is obeyed.
const LONGEST_THROTTLE: Duration = Duration::from_secs(3600);

/// With less life left than this, a token is not handed out without trying for a new one first.
const DYING: Duration = Duration::from_secs(300);

/// One token's place in memory.
#[derive(Default)]
pub(crate) struct Slot {
    /// Held by whoever asks the token endpoint. Never taken while `state` is locked.
    pub(crate) gate: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<AccessToken>,
    /// When the token came from the endpoint, and the claims it was asked with.
    obtained: Option<(Instant, Option<String>)>,
    refusal: Option<Refusal>,
    /// No renewal of a living token before.
    paused_until: Option<Instant>,
    /// A renewal in the background is under way.
    renewing: bool,
    /// The hash of a token that an API did not accept: not to be taken from the disk again.
    rejected: Option<[u8; 32]>,
}

struct Refusal {
    error: Error,
    at: Instant,
    until: Instant,
}

/// What there is at a moment.
pub(crate) enum View {
    /// Use it.
    Fresh(AccessToken),
    /// Good for a while, due for renewal.
    Aging(AccessToken),
    /// Good, and about to end.
    Dying(AccessToken),
    Nothing,
}

impl Slot {
    pub(crate) fn view(&self, now: SystemTime) -> View {
        let Some(token) = self.lock().token.clone() else { return View::Nothing };
        let Ok(left) = token.expires_on.duration_since(now) else { return View::Nothing };
        if left.is_zero() {
            return View::Nothing;
        }
        if now < token.refresh_on {
            return View::Fresh(token);
        }
        let margin = token.expires_on.duration_since(token.refresh_on).unwrap_or_default() / 2;
        if left <= margin.min(DYING) { View::Dying(token) } else { View::Aging(token) }
    }

    /// The token, if it still lives.
    pub(crate) fn alive(&self, now: SystemTime) -> Option<AccessToken> {
        match self.view(now) {
            View::Fresh(token) | View::Aging(token) | View::Dying(token) => Some(token),
            View::Nothing => None,
        }
    }

    /// Whether a renewal failed a moment ago.
    pub(crate) fn is_paused(&self) -> bool {
        self.lock().paused_until.is_some_and(|until| Instant::now() < until)
    }

    /// A refusal that still stands: one that has its time, or one that came while this caller (who began to wait at
    /// `asked`) was waiting.
    pub(crate) fn standing_refusal(&self, asked: Instant) -> Option<Error> {
        let state = self.lock();
        let refusal = state.refusal.as_ref()?;
        let now = Instant::now();
        if now >= refusal.until && refusal.at < asked {
            return None;
        }
        let mut error = refusal.error.clone();
        if error.kind == ErrorKind::Throttled {
            error.retry_after = Some(refusal.until.saturating_duration_since(now));
        }
        Some(error)
    }

    /// The token, if it was obtained with these claims after `asked`.
    pub(crate) fn obtained_since(&self, asked: Instant, claims: &str) -> Option<AccessToken> {
        let state = self.lock();
        let (at, with) = state.obtained.as_ref()?;
        (*at >= asked && with.as_deref() == Some(claims)).then(|| state.token.clone()).flatten()
    }

    /// Keeps a token from the endpoint.
    pub(crate) fn put(&self, token: AccessToken, claims: Option<&str>) {
        let mut state = self.lock();
        state.token = Some(token);
        state.obtained = Some((Instant::now(), claims.map(ToOwned::to_owned)));
        state.refusal = None;
        state.paused_until = None;
    }

    /// Keeps a token from the disk, unless an API has already rejected it.
    pub(crate) fn put_from_disk(&self, token: AccessToken) -> bool {
        let mut state = self.lock();
        if state.rejected.is_some_and(|rejected| rejected == hash(&token)) {
            return false;
        }
        state.token = Some(token);
        true
    }

    /// Remembers why there is no new token.
    pub(crate) fn refuse(&self, error: &Error) {
        let stands = match error.kind {
            ErrorKind::InvalidCredential | ErrorKind::Configuration | ErrorKind::Forbidden => REFUSED,
            ErrorKind::Throttled => error.retry_after.unwrap_or(REFUSED).min(LONGEST_THROTTLE),
            ErrorKind::Unavailable | ErrorKind::BadResponse => Duration::ZERO,
            // They say something about this caller, not about the endpoint.
            ErrorKind::Timeout | ErrorKind::Cancelled => return,
        };
        let now = Instant::now();
        let mut state = self.lock();
        state.refusal = Some(Refusal { error: error.clone(), at: now, until: now + stands });
        state.paused_until = Some(now + RENEWAL_PAUSE.max(stands));
    }

    /// Drops the token if it is this one. Says whether it was.
    pub(crate) fn forget(&self, rejected: &AccessToken) -> bool {
        let mut state = self.lock();
        let same = state.token.as_ref().is_some_and(|token| token.secret.expose() == rejected.secret.expose());
        if same {
            state.token = None;
            state.rejected = Some(hash(rejected));
        }
        same
    }

    /// Claims the background renewal; `false` if somebody has it.
    pub(crate) fn start_renewing(&self) -> bool {
        !std::mem::replace(&mut self.lock().renewing, true)
    }

    pub(crate) fn end_renewing(&self) {
        self.lock().renewing = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(token: &AccessToken) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.secret.expose().as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use sortie_auth::Secret;

    fn token(secret: &str, refresh: u64, expires: u64) -> AccessToken {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        AccessToken { secret: Secret::new(secret), refresh_on: at(refresh), expires_on: at(expires) }
    }

    fn name(view: &View) -> &'static str {
        match view {
            View::Fresh(_) => "fresh",
            View::Aging(_) => "aging",
            View::Dying(_) => "dying",
            View::Nothing => "nothing",
        }
    }

    #[test]
    fn a_token_grows_old() {
        let slot = Slot::default();
        let at = |seconds| name(&slot.view(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)));
        assert_eq!(at(0), "nothing");
        slot.put(token("x", 1800, 3600), None);
        assert_eq!(
            [at(0), at(1799), at(1800), at(3299), at(3300), at(3599), at(3600), at(9999)],
            ["fresh", "fresh", "aging", "aging", "dying", "dying", "nothing", "nothing"]
        );
        // A short life has short phases.
        slot.put(token("x", 30, 40), None);
        assert_eq!([at(29), at(30), at(34), at(35), at(40)], ["fresh", "aging", "aging", "dying", "nothing"]);
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_stand_as_long_as_their_kind() {
        let slot = Slot::default();
        let asked = Instant::now();
        for (kind, stands) in
            [(ErrorKind::InvalidCredential, 60), (ErrorKind::Throttled, 60), (ErrorKind::Unavailable, 0)]
        {
            slot.refuse(&Error::new(kind, "x"));
            // Those who waited get it in any case, those who come later while it stands.
            assert!(slot.standing_refusal(asked).is_some());
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_eq!(slot.standing_refusal(Instant::now()).is_some(), stands > 1, "{kind:?}");
            tokio::time::advance(Duration::from_secs(60)).await;
            assert!(slot.standing_refusal(Instant::now()).is_none(), "{kind:?}");
        }
        let mut throttled = Error::new(ErrorKind::Throttled, "x");
        throttled.retry_after = Some(Duration::from_secs(1_000_000_000));
        slot.refuse(&throttled);
        tokio::time::advance(Duration::from_secs(600)).await;
        let left = slot.standing_refusal(Instant::now()).unwrap().retry_after.unwrap();
        assert_eq!(left.as_secs(), 3000);
        // A new token ends it.
        slot.put(token("x", 1, 2), None);
        assert!(slot.standing_refusal(asked).is_none());
        slot.refuse(&Error::new(ErrorKind::Cancelled, "x"));
        assert!(slot.standing_refusal(asked).is_none());
    }

    #[test]
    fn only_the_rejected_token_is_forgotten_and_stays_so() {
        let slot = Slot::default();
        slot.put(token("new", 1, 2), None);
        assert!(!slot.forget(&token("old", 1, 2)));
        assert!(slot.forget(&token("new", 1, 2)));
        assert!(!slot.put_from_disk(token("new", 1, 2)));
        assert!(slot.put_from_disk(token("newer", 1, 2)));
    }
}
