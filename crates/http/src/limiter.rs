//! The client-side limits: never more than N requests of a class in any span of length T.
//!
//! Microsoft counts calls per minute and per hour and counts refused calls too, so that running into a limit makes
//! things worse. For each class the limiter keeps the times of its latest requests; a new one takes the earliest slot
//! at which every quota still holds. Slots are handed out in order and ahead of time, so waiting callers neither
//! overtake each other nor wake up in vain. A refusal by the service (429) blocks its class for everybody.
//!
//! A token bucket would let a full bucket and its refill through in the first span, twice what is allowed.

use crate::settings::Quota;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Added to every span: two requests that leave so far apart may arrive closer together.
const MARGIN: Duration = Duration::from_millis(500);

/// The limits of one client and its clones.
pub(crate) struct Limiter {
    classes: BTreeMap<String, Class>,
}

/// No slot before the deadline; the next one is so far away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted(pub(crate) Duration);

struct Class {
    quotas: Vec<Quota>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the latest requests left or will leave, oldest first.
    slots: VecDeque<Instant>,
    /// Nothing leaves before: the service said so.
    blocked_until: Option<Instant>,
}

impl Limiter {
    pub(crate) fn new(limits: &BTreeMap<String, Vec<Quota>>) -> Self {
        let class = |(name, quotas): (&String, &Vec<Quota>)| {
            (name.clone(), Class { quotas: quotas.clone(), state: Mutex::default() })
        };
        Self { classes: limits.iter().map(class).collect() }
    }

    /// Waits for a free slot of the class, or says at once that there is none before `until`.
    pub(crate) async fn acquire(&self, class: Option<&str>, until: Instant) -> Result<(), Exhausted> {
        let Some((name, class)) = class.and_then(|class| self.classes.get_key_value(class)) else { return Ok(()) };
        let mut slot = class.reserve(until)?;
        loop {
            let now = Instant::now();
            if slot > now {
                tracing::debug!(limit = name, seconds = (slot - now).as_secs_f64(), "waiting for a free slot");
                sleep_until(slot).await;
            }
            // The service may have blocked the class while this request waited.
            match class.lock().blocked_until {
                Some(blocked) if blocked > Instant::now() => {
                    if blocked > until {
                        return Err(Exhausted(blocked - Instant::now()));
                    }
                    slot = blocked;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Keeps a class from being asked for so long.
    pub(crate) fn block(&self, class: Option<&str>, wait: Duration) {
        if let Some(class) = class.and_then(|class| self.classes.get(class)) {
            let mut state = class.lock();
            state.blocked_until = state.blocked_until.max(Instant::now().checked_add(wait));
        }
    }
}

impl Class {
    fn reserve(&self, until: Instant) -> Result<Instant, Exhausted> {
        let now = Instant::now();
        let mut state = self.lock();
        let mut slot = now;
        slot = slot.max(state.slots.back().copied().unwrap_or(now));
        slot = slot.max(state.blocked_until.unwrap_or(now));
        let mut kept = 1;
        for quota in &self.quotas {
            let requests = quota.requests.max(1) as usize;
            kept = kept.max(requests);
            let oldest = state.slots.len().checked_sub(requests).and_then(|at| state.slots.get(at));
            if let Some(free) = oldest.and_then(|oldest| oldest.checked_add(quota.per + MARGIN)) {
                slot = slot.max(free);
            }
        }
        if slot > until {
            return Err(Exhausted(slot - now));
        }
        state.slots.push_back(slot);
        while state.slots.len() > kept {
            state.slots.pop_front();
        }
        Ok(slot)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the times as they are: still good.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn limiter(quotas: &[Quota]) -> Arc<Limiter> {
        Arc::new(Limiter::new(&BTreeMap::from([("incidents".to_owned(), quotas.to_vec())])))
    }

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(100_000)
    }

    #[tokio::test(start_paused = true)]
    async fn no_span_ever_holds_more_than_its_quota() {
        let limiter = limiter(&[Quota::per_minute(50), Quota::per_hour(120)]);
        let until = far();
        let mut times = Vec::new();
        for _ in 0..260 {
            limiter.acquire(Some("incidents"), until).await.unwrap();
            times.push(Instant::now());
        }
        for (per, requests) in [(60, 50), (3600, 120)] {
            for (first, start) in times.iter().enumerate() {
                let inside =
                    times[first..].iter().take_while(|time| **time - *start < Duration::from_secs(per)).count();
                assert!(inside <= requests, "{inside} requests in {per} s");
            }
        }
        // And no slower than it must be: two full hours, then twenty more.
        assert!(times[259] - times[0] < Duration::from_secs(2 * 3600 + 5));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_callers_share_one_budget() {
        let limiter = limiter(&[Quota::per_minute(10)]);
        let start = Instant::now();
        let until = far();
        let tasks = (0..35).map(|_| {
            let limiter = Arc::clone(&limiter);
            tokio::spawn(async move {
                limiter.acquire(Some("incidents"), until).await.unwrap();
                Instant::now()
            })
        });
        let mut times = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            times.push(task.await.unwrap() - start);
        }
        times.sort();
        assert!(times[9] < Duration::from_secs(1) && times[10] > Duration::from_secs(60));
        assert!(times[34] > Duration::from_secs(180) && times[34] < Duration::from_secs(183));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_beyond_the_deadline_is_refused_at_once_and_costs_nothing() {
        let limiter = limiter(&[Quota::per_minute(1)]);
        limiter.acquire(Some("incidents"), far()).await.unwrap();
        let start = Instant::now();
        let refused = limiter.acquire(Some("incidents"), start + Duration::from_secs(5)).await.unwrap_err();
        assert!(refused.0 > Duration::from_secs(59) && refused.0 <= Duration::from_secs(61), "{refused:?}");
        assert_eq!(Instant::now(), start);
        limiter.acquire(Some("incidents"), far()).await.unwrap();
        assert!(Instant::now() - start < Duration::from_secs(61));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_blocks_those_already_waiting() {
        let limiter = limiter(&[Quota::per_minute(1)]);
        limiter.acquire(Some("incidents"), far()).await.unwrap();
        let start = Instant::now();
        let until = far();
        let waiting = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move { limiter.acquire(Some("incidents"), until).await.map(|()| Instant::now()) }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        limiter.block(Some("incidents"), Duration::from_secs(300));
        assert!(waiting.await.unwrap().unwrap() - start >= Duration::from_secs(301));
        // A class that nobody limits is never blocked.
        limiter.block(Some("other"), Duration::from_secs(300));
        limiter.acquire(Some("other"), Instant::now()).await.unwrap();
        limiter.acquire(None, Instant::now()).await.unwrap();
    }
}
