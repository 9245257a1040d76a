//! Faults below HTTP: a connection that drips, stalls, is cut or is reset while an answer is written.
//!
//! The HTTP server writes into a [`Faulty`] stream. Before it answers, the service arms the stream's [`Plan`]; the stream then counts the bytes of that one
//! answer, telling headers from body by the first empty line.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

use crate::lock;

/// What happens while an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Plan {
    /// Nothing.
    #[default]
    None,
    /// The connection is reset before the first byte.
    ResetNow,
    /// The connection is reset after so many bytes of the body.
    ResetBody(usize),
    /// The connection is closed after so many bytes of the body.
    Cut(usize),
    /// Nothing more is written after so many bytes of the body.
    Stall(usize),
    /// One byte at a time: everything, or the body only.
    Drip {
        /// Whether the headers go out whole.
        body_only: bool,
        /// Time between bytes.
        interval: Duration,
    },
}

/// The plan for the answer being written, and how far it is.
#[derive(Debug, Default)]
pub(crate) struct Arming {
    plan: Plan,
    /// The last bytes of the headers seen so far; `None` once the body began.
    head: Option<Vec<u8>>,
    body: usize,
}

/// A plan that the service and the stream share.
pub(crate) type Shared = Arc<Mutex<Arming>>;

/// Sets the plan for the next answer.
pub(crate) fn arm(shared: &Shared, plan: Plan) {
    *lock(shared) = Arming { plan, head: Some(Vec::new()), body: 0 };
}

/// A stream over a TCP connection.
pub(crate) trait OverTcp {
    /// The connection.
    fn tcp(&self) -> &TcpStream;
}

impl OverTcp for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl OverTcp for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// A stream that follows a plan when it is written to.
#[derive(Debug)]
pub(crate) struct Faulty<S> {
    inner: S,
    shared: Shared,
    pause: Option<Pin<Box<Sleep>>>,
}

/// How long a stalled connection is kept before it is closed after all.
const STALL: Duration = Duration::from_secs(600);

impl<S> Faulty<S> {
    pub(crate) fn new(inner: S, shared: Shared) -> Self {
        Self { inner, shared, pause: None }
    }
}

/// What may be written now.
enum Step {
    /// So many bytes.
    Write(usize),
    /// One byte, then wait.
    WriteThenWait(Duration),
    /// Nothing, ever.
    Wait,
    /// Nothing: close.
    Close,
    /// Nothing: reset.
    Reset,
}

impl Arming {
    fn step(&self, buffer: usize) -> Step {
        let bounded = |limit: usize, end: Step| {
            if self.head.is_some() {
                // Headers go out byte by byte, so that the first body byte is known exactly.
                Step::Write(1)
            } else if self.body < limit {
                Step::Write((limit - self.body).min(buffer))
            } else {
                end
            }
        };
        match self.plan {
            Plan::None => Step::Write(buffer),
            Plan::ResetNow => Step::Reset,
            Plan::ResetBody(limit) => bounded(limit, Step::Reset),
            Plan::Cut(limit) => bounded(limit, Step::Close),
            Plan::Stall(limit) => bounded(limit, Step::Wait),
            Plan::Drip { body_only: true, .. } if self.head.is_some() => Step::Write(1),
            Plan::Drip { interval, .. } => Step::WriteThenWait(interval),
        }
    }

    fn wrote(&mut self, bytes: &[u8]) {
        if self.plan == Plan::None {
            return;
        }
        match &mut self.head {
            None => self.body += bytes.len(),
            Some(head) => {
                head.extend_from_slice(bytes);
                let keep = head.len().saturating_sub(4);
                head.drain(..keep);
                if head == b"\r\n\r\n" {
                    self.head = None;
                }
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Faulty<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + OverTcp + Unpin> AsyncWrite for Faulty<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        let step = lock(&self.shared).step(buffer.len());
        let (size, wait) = match step {
            Step::Write(size) => (size, None),
            Step::WriteThenWait(interval) => (1, Some(interval)),
            Step::Wait => {
                let mut pause = Box::pin(tokio::time::sleep(STALL));
                let waiting = pause.as_mut().poll(context).is_pending();
                self.pause = Some(pause);
                return if waiting { Poll::Pending } else { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) };
            }
            Step::Close => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Step::Reset => {
                // Without lingering, closing sends a reset. If that cannot be set, the connection is closed plainly.
                let _ = self.inner.tcp().set_zero_linger();
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
        };
        let part = buffer.get(..size.min(buffer.len())).unwrap_or_default();
        let written = std::task::ready!(Pin::new(&mut self.inner).poll_write(context, part))?;
        lock(&self.shared).wrote(part.get(..written).unwrap_or_default());
        if let Some(interval) = wait {
            self.pause = Some(Box::pin(tokio::time::sleep(interval)));
            // What TLS holds back must go out before the pause.
            let _ = Pin::new(&mut self.inner).poll_flush(context);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
