//! Health and metrics, on this machine only.
//!
//! - `/healthz`: whether the loop goes on. 503 says that it hangs, and that a restart is the remedy.
//! - `/readyz`: whether reading goes on. 503 says why not, in JSON; a restart is no remedy for any of it. A sink that is
//!   down leaves it at 200, because what is read is safe in the store; `sinks` in the JSON and the metrics say so.
//! - `/metrics`: see [`crate::metrics`].

use crate::metrics;
use crate::status::{Snapshot, Status};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use sortie_host::{CancellationToken, Failure};
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long a client may take to ask.
const ASKING: Duration = Duration::from_secs(5);

/// How long a connection may last.
const LASTING: Duration = Duration::from_secs(30);

/// How many connections are served at once; others wait.
const CONNECTIONS: usize = 16;

/// The room for a request's head, in bytes.
const HEAD: usize = 16 * 1024;

/// How much longer than three intervals the last success may be ago. A step that takes longer still, because there is
/// much to catch up with, has to bring something in as much time.
const GRACE: Duration = Duration::from_secs(60);

/// A listener that is bound and serves nothing yet.
#[derive(Debug)]
pub struct Health(TcpListener);

impl Health {
    /// Binds to an address of this machine alone; port 0 takes a free one.
    ///
    /// # Errors
    /// Kind `configuration`, when the address is not loopback, or taken.
    pub fn bind(address: SocketAddr) -> Result<Self, Failure> {
        if !address.ip().is_loopback() {
            return Err(Failure::configuration(
                format!("health is not served on {address}: it is not an address of this machine alone"),
                "write it like 127.0.0.1:9180",
            ));
        }
        TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| Self(listener))).map_err(
            |error| {
                Failure::configuration(
                    format!("health cannot be served on {address}: {error}"),
                    "name another port with --listen, or listen in the profile",
                )
            },
        )
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.local_addr().ok()
    }

    /// Serves until it is told to stop. Must be called on a tokio runtime with time and I/O.
    pub async fn serve(self, status: Arc<Status>, stop: CancellationToken) {
        let listener = match tokio::net::TcpListener::from_std(self.0) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "health is not served");
                return;
            }
        };
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let accepted = stop.run_until_cancelled(listener.accept()).await;
            let Some(accepted) = accepted else { return };
            let Ok((stream, _)) = accepted else {
                // Out of file descriptors, most likely: some will be free soon.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (status, stop) = (Arc::clone(&status), stop.clone());
            tokio::spawn(async move {
                let _place = place;
                let service = service_fn(move |request: Request<Incoming>| {
                    let response = answer(request.method(), request.uri().path(), &status);
                    std::future::ready(Ok::<_, Infallible>(response))
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(ASKING)
                    .max_buf_size(HEAD)
                    .serve_connection(TokioIo::new(stream), service);
                // A client that went away, or asked badly, is its own affair.
                let _ = stop.run_until_cancelled(tokio::time::timeout(LASTING, connection)).await;
            });
        }
    }
}

fn answer(method: &Method, path: &str, status: &Status) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    if !["/healthz", "/readyz", "/metrics"].contains(&path) {
        return reply(StatusCode::NOT_FOUND, TEXT, "/healthz, /readyz and /metrics are served here\n".to_owned());
    }
    if method != Method::GET && method != Method::HEAD {
        let mut response = reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET and HEAD are taken\n".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let status = status.snapshot();
    match path {
        "/healthz" => match status.still() {
            None => reply(StatusCode::OK, TEXT, "ok\n".to_owned()),
            Some(still) => {
                let text = format!("the loop has not moved for {} s\n", still.as_secs());
                reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
            }
        },
        "/readyz" => {
            let (ready, body) = readiness(&status);
            let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            reply(code, "application/json", format!("{body}\n"))
        }
        _ => reply(StatusCode::OK, metrics::CONTENT_TYPE, metrics::text(&status)),
    }
}

fn reply(code: StatusCode, content: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether reading goes on, and a document that says so, with every reason why not.
fn readiness(status: &Snapshot) -> (bool, serde_json::Value) {
    let mut reasons = Vec::new();
    if let Some(error) = &status.store_error {
        reasons.push(format!("the store cannot be written: {error}"));
    }
    if status.outbox_full {
        let (records, bytes) = status.waiting;
        reasons.push(format!("reading pauses: the outbox is full ({records} records, {bytes} bytes)"));
    }
    if status.needs_help {
        reasons.push("reading fails in a way that only a person can mend".to_owned());
    }
    let patience = GRACE + 3 * Duration::try_from_secs_f64(status.interval).unwrap_or_default();
    match &status.last_success {
        None => reasons.push("no poll has ended well yet".to_owned()),
        Some((at, _)) if at.elapsed() > patience && (status.error.is_some() || status.moved.elapsed() > GRACE) => {
            reasons.push(format!("no poll has ended well for {} s", at.elapsed().as_secs()));
        }
        Some(_) => {}
    }
    if let Some(still) = status.still() {
        reasons.push(format!("the loop has not moved for {} s", still.as_secs()));
    }
    let told = |error: &Option<(String, String)>| {
        error.as_ref().map(|(kind, message)| json!({ "kind": kind, "message": message }))
    };
    let sinks: serde_json::Map<String, serde_json::Value> = status
        .sinks
        .iter()
        .map(|(name, sink)| {
            (name.clone(), json!({ "up": sink.error.is_none(), "waiting": sink.waiting, "error": sink.error }))
        })
        .collect();
    let document = json!({
        "ready": reasons.is_empty(),
        "reasons": reasons,
        "doing": status.doing,
        "lastSuccess": status.last_success.map(|(_, time)| time.to_string()),
        "error": told(&status.error),
        "lastSweep": status.last_sweep.map(|(_, time)| time.to_string()),
        "sweepError": told(&status.sweep_error),
        "deadLetters": status.dead_letters,
        "quarantined": status.quarantined,
        "sinks": sinks,
    });
    (reasons.is_empty(), document)
}

#[cfg(test)]
mod tests;
