//! The client: limits, attempts, deadline and cancellation around single exchanges.

use crate::error::{Disposition, Error, ErrorKind};
use crate::exchange::{exchange, host, span};
use crate::flight::Flight;
use crate::limiter::{Exhausted, Limiter};
use crate::request::{Request, Response};
use crate::retry::{self, Next};
use crate::routes::Routes;
use crate::settings::Settings;
use http::HeaderValue;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

/// A wait this long is worth telling whoever watches.
const LONG: Duration = Duration::from_secs(30);

/// The transport. Cheap to make and to clone; clones share connections and limits.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    settings: Settings,
    routes: Routes,
    limiter: Limiter,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl Client {
    /// A client with these settings. Builds nothing: certificates are read and proxies looked up by the first request
    /// that needs them, and what is wrong with them is that request's error.
    pub fn new(settings: Settings) -> Self {
        let limiter = Limiter::new(&settings.limits);
        Self(Arc::new(Inner { settings, routes: Routes::default(), limiter }))
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Makes ready for requests to a URL without sending one: checks that it is one that may be asked, reads the trusted
    /// certificates, sets the proxy up.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BlockedUrl`] and [`ErrorKind::Configuration`], which the first request would else have met.
    pub fn prepare(&self, url: &Url) -> Result<(), Error> {
        self.0.routes.client(&self.0.settings, &Request::get("prepare", url.clone())).map(drop)
    }

    /// Sends a request, as often as its policy allows and needs, and gives back a usable answer or the reason why there
    /// is none. Ends at `until` or when `cancel` is cancelled, whatever is under way; a wait that would end later
    /// (a client-side limit, a `Retry-After`) is not begun.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`]; [`Details::disposition`](crate::Details::disposition) says what became of the work.
    pub async fn send(&self, request: Request, until: Instant, cancel: &CancellationToken) -> Result<Response, Error> {
        let id = Uuid::new_v4().to_string();
        let flight = Flight::default();
        let attempts = AtomicU32::new(0);
        let result = tokio::select! {
            biased;
            () = cancel.cancelled() => {
                Err(Error::new(ErrorKind::Cancelled, flight.disposition(), "cancelled"))
            }
            result = timeout_at(until, self.attempts(&request, &id, &flight, &attempts, until)) => {
                result.unwrap_or_else(|_| Err(self.late(&request, &flight, &attempts)))
            }
        };
        let attempts = attempts.load(Ordering::Relaxed);
        match result {
            Ok(response) => Ok(Response { attempts, client_request_id: id, ..response }),
            Err(mut error) => {
                error.attempts = attempts;
                error.client_request_id = Some(id);
                Err(error)
            }
        }
    }

    async fn attempts(
        &self,
        request: &Request,
        id: &str,
        flight: &Flight,
        attempts: &AtomicU32,
        until: Instant,
    ) -> Result<Response, Error> {
        let Inner { settings, routes, limiter } = &*self.0;
        let client = routes.client(settings, request)?;
        let class = request.limit.as_deref();
        let id = HeaderValue::from_str(id).unwrap_or_else(|_| HeaderValue::from_static(""));
        let mut counted = 0;
        loop {
            if Instant::now() >= until {
                return Err(self.late(request, flight, attempts));
            }
            limiter.acquire(class, until).await.map_err(|exhausted| no_slot(request, exhausted))?;
            let attempt = attempts.fetch_add(1, Ordering::Relaxed) + 1;
            let started = Instant::now();
            let error = match exchange(client, settings, request, &id, flight).await {
                Ok(response) => {
                    report(request, attempt, started, &id, Ok(&response));
                    return Ok(response);
                }
                Err(error) => error,
            };
            report(request, attempt, started, &id, Err(&error));
            counted += 1;
            let (wait, counts) = match retry::next(request.policy, &error, counted, &settings.retry, retry::random()) {
                Next::GiveUp => {
                    if error.kind == ErrorKind::Throttled {
                        limiter.block(class, error.retry_after.unwrap_or_default());
                    }
                    return Err(error);
                }
                Next::Again { wait, counts } => (wait, counts),
            };
            if !counts {
                counted -= 1;
            }
            if error.kind == ErrorKind::Throttled {
                limiter.block(class, wait);
            }
            if Instant::now() + wait >= until {
                return Err(error);
            }
            if wait >= LONG {
                tracing::warn!(
                    call = request.label,
                    seconds = wait.as_secs(),
                    "the service asks to be left alone so long"
                );
            } else {
                tracing::debug!(call = request.label, milliseconds = millis(wait), "waiting before the next attempt");
            }
            sleep(wait).await;
        }
    }

    fn late(&self, request: &Request, flight: &Flight, attempts: &AtomicU32) -> Error {
        let what = match (flight.disposition(), attempts.load(Ordering::Relaxed)) {
            (Disposition::NotSent, 0) => "the deadline passed before a request was sent to",
            (Disposition::NotSent, _) => "the deadline passed without a usable answer from",
            _ => "the deadline passed while waiting for the answer of",
        };
        Error::new(ErrorKind::Timeout, flight.disposition(), format!("{what} {}", host(request)))
    }
}

fn no_slot(request: &Request, exhausted: Exhausted) -> Error {
    let class = request.limit.as_deref().unwrap_or_default();
    let message = format!(
        "the limit for \"{class}\" calls is used up, and the next one is allowed only after the deadline, in {}",
        span(exhausted.0)
    );
    let mut error = Error::new(ErrorKind::Throttled, Disposition::NotSent, message);
    error.retry_after = Some(exhausted.0);
    error
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// One event per attempt. Nothing in it is secret or foreign but the service's request id, which is cleaned.
fn report(request: &Request, attempt: u32, started: Instant, id: &HeaderValue, result: Result<&Response, &Error>) {
    let (status, request_id, error, body_bytes) = match result {
        Ok(response) => (Some(response.status), &response.request_id, None, response.body.len()),
        Err(error) => (error.status, &error.request_id, Some(error.kind), error.body.len()),
    };
    tracing::debug!(
        call = request.label,
        method = request.method.as_str(),
        host = host(request),
        status,
        error = error.map(tracing::field::debug),
        milliseconds = millis(started.elapsed()),
        attempt,
        body_bytes,
        request_id = request_id.as_deref(),
        client_request_id = id.to_str().unwrap_or_default(),
        "request"
    );
}
