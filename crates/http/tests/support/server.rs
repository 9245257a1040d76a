//! A server that does what a test tells it to, byte by byte, and remembers what it was sent.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// One request as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connection: usize,
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The value of a form field, decoded.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(&self.body).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// What the server does with a request it has read, in order.
#[derive(Clone, Debug)]
pub(crate) enum Do {
    Send(Vec<u8>),
    Wait(Duration),
    /// Ends the connection in order.
    Close,
    /// Ends the connection with a reset.
    Reset,
}

/// A whole answer.
pub(crate) fn answer(status: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<Do> {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    for header in headers {
        bytes.push_str(header);
        bytes.push_str("\r\n");
    }
    bytes.push_str("\r\n");
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(body);
    vec![Do::Send(bytes)]
}

/// A whole JSON answer.
pub(crate) fn json(status: &str, body: impl AsRef<[u8]>) -> Vec<Do> {
    answer(status, &["content-type: application/json"], body)
}

type Script = dyn Fn(usize, &Seen) -> Vec<Do> + Send + Sync;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    accepted: Arc<Mutex<usize>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// A server that answers the n-th request (from 0) as the script says.
    pub(crate) async fn start(script: impl Fn(usize, &Seen) -> Vec<Do> + Send + Sync + 'static) -> Self {
        Self::with(None, script).await
    }

    /// The same over TLS.
    pub(crate) async fn start_tls(
        tls: Arc<tokio_rustls::rustls::ServerConfig>,
        script: impl Fn(usize, &Seen) -> Vec<Do> + Send + Sync + 'static,
    ) -> Self {
        Self::with(Some(tokio_rustls::TlsAcceptor::from(tls)), script).await
    }

    async fn with(
        tls: Option<tokio_rustls::TlsAcceptor>,
        script: impl Fn(usize, &Seen) -> Vec<Do> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, accepted) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let script: Arc<Script> = Arc::new(script);
        let (all, count) = (Arc::clone(&seen), Arc::clone(&accepted));
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let connection = {
                    let mut count = count.lock().unwrap();
                    *count += 1;
                    *count - 1
                };
                let (script, all, tls) = (Arc::clone(&script), Arc::clone(&all), tls.clone());
                tokio::spawn(async move {
                    let _ = match tls {
                        None => serve(stream, connection, &*script, &all).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, connection, &*script, &all).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        Self { address, seen, accepted, task }
    }

    /// A URL on this server.
    pub(crate) fn url(&self, path: &str) -> url::Url {
        url::Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        *self.accepted.lock().unwrap()
    }
}

/// A stream that can be reset.
trait Resettable {
    fn reset(&self);
}

impl Resettable for TcpStream {
    fn reset(&self) {
        self.set_zero_linger().unwrap();
    }
}

impl Resettable for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset(&self) {
        self.get_ref().0.reset();
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Resettable + Unpin>(
    mut stream: S,
    connection: usize,
    script: &Script,
    seen: &Mutex<Vec<Seen>>,
) -> io::Result<()> {
    loop {
        let Some(mut request) = read(&mut stream).await? else { return Ok(()) };
        request.connection = connection;
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        for step in script(number, &request) {
            match step {
                Do::Send(bytes) => {
                    stream.write_all(&bytes).await?;
                    stream.flush().await?;
                }
                Do::Wait(time) => sleep(time).await,
                Do::Close => return stream.shutdown().await,
                Do::Reset => {
                    stream.reset();
                    return Ok(());
                }
            }
        }
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Seen>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut seen = Seen { line: head.lines().next().unwrap_or_default().to_owned(), head, ..Seen::default() };
    let length = seen.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
    seen.body = bytes[end..end + length].to_vec();
    Ok(Some(seen))
}
