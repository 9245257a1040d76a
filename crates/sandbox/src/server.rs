//! The listener: one port, HTTP/1.1 with keep-alive, plain or over TLS, on a runtime and thread of its own.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::serve::{Head, Served, serve};
use crate::state::State;
use crate::wire::{self, Faulty, OverTcp, Shared};
use crate::{Error, lock};

/// Greatest request body.
const BODY: usize = 64 << 20;

/// The running server; stops and joins its thread when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The receiver is gone only if the thread has ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts to serve on a listener. `rate`: changes per second that the tenant makes by itself.
pub(crate) fn start(
    state: Arc<State>,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    rate: f64,
) -> Result<Server, Error> {
    listener.set_nonblocking(true).map_err(Error::Thread)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("sandbox")
        .enable_all()
        .build()
        .map_err(Error::Thread)?;
    let (stop, stopped) = oneshot::channel();
    let body = move || {
        runtime.block_on(async move {
            if rate > 0.0 {
                tokio::spawn(live(Arc::clone(&state), rate));
            }
            tokio::select! {
                () = accept(state, listener, tls) => {}
                _ = stopped => {}
            }
        });
        runtime.shutdown_background();
    };
    let thread = std::thread::Builder::new().name("sandbox".to_owned()).spawn(body).map_err(Error::Thread)?;
    Ok(Server { stop: Some(stop), thread: Some(thread) })
}

/// The tenant's own life: `rate` changes per second.
async fn live(state: Arc<State>, rate: f64) {
    let pause = Duration::from_secs_f64((1.0 / rate).clamp(0.01, 86_400.0));
    let each = (rate * pause.as_secs_f64()).round().max(1.0);
    loop {
        tokio::time::sleep(pause).await;
        let now = state.clock.now();
        let mut done = 0.0;
        while done < each {
            lock(&state.tenant).live(now);
            done += 1.0;
        }
    }
}

async fn accept(state: Arc<State>, listener: TcpListener, tls: Option<Arc<ServerConfig>>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let acceptor = tls.map(TlsAcceptor::from);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: some will be free soon.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // Without it small answers wait for the client's acknowledgement; if it cannot be set they do.
        let _ = stream.set_nodelay(true);
        let state = Arc::clone(&state);
        match acceptor.clone() {
            None => {
                tokio::spawn(connection(state, stream));
            }
            Some(acceptor) => {
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        connection(state, stream).await;
                    }
                });
            }
        }
    }
}

async fn connection<S: AsyncRead + AsyncWrite + OverTcp + Unpin + Send + 'static>(state: Arc<State>, stream: S) {
    let shared = Shared::default();
    let stream = Faulty::new(stream, Arc::clone(&shared));
    let service = service_fn(move |request| respond(Arc::clone(&state), Arc::clone(&shared), request));
    // A connection that ends in an error ended because the client went away or a fault ended it.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(
    state: Arc<State>,
    shared: Shared,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let head = Head {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
    };
    let body = match Limited::new(body, BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(plain(413)),
    };
    let served = serve(&state, head, body);
    if let Some(delay) = served.delay {
        tokio::time::sleep(delay).await;
    }
    wire::arm(&shared, served.plan);
    Ok(response(served))
}

fn plain(status: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response
}

fn response(served: Served) -> Response<Full<Bytes>> {
    let mut response = plain(served.status);
    for (name, value) in served.headers {
        let name = hyper::header::HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, hyper::header::HeaderValue::from_bytes(value.as_bytes())) {
            response.headers_mut().append(name, value);
        }
    }
    *response.body_mut() = Full::new(served.body);
    response
}
