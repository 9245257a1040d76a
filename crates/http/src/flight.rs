//! How far a request got, as far as that can be proven.
//!
//! An HTTP client does not say whether the first byte of a request had left when something went wrong. But the connection
//! takes the request's body only once it exists and before it writes anything, so a body that notes when it is taken
//! tells the two cases apart: not taken, nothing was sent; taken, it may have been. For a request without a body nothing
//! can be proven but that no connection came about.

use crate::error::Disposition;
use crate::request::Request;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// What is known about the attempt that is under way: read by whoever cuts it off.
#[derive(Default)]
pub(crate) struct Flight {
    under_way: AtomicBool,
    /// Set when the connection asks for the body, which is after connecting and before the first byte leaves. Tells
    /// nothing for a request without body.
    body_taken: Arc<AtomicBool>,
    has_body: AtomicBool,
}

impl Flight {
    /// What became of the work if everything stops now.
    pub(crate) fn disposition(&self) -> Disposition {
        if !self.under_way.load(Ordering::Acquire) {
            // Between attempts: only attempts that surely did nothing are followed by another.
            return Disposition::NotSent;
        }
        if self.has_body.load(Ordering::Acquire) && !self.body_taken.load(Ordering::Acquire) {
            return Disposition::NotSent;
        }
        Disposition::InDoubt
    }

    /// The body of a request, which notes when it is taken.
    pub(crate) fn body(&self, request: &Request) -> impl Body<Data = Bytes, Error = Infallible> + Send + Sync + use<> {
        Noted { data: Some(request.body.clone()), taken: Arc::clone(&self.body_taken) }
    }

    /// An attempt begins.
    pub(crate) fn start(&self, request: &Request) {
        self.has_body.store(!request.body.is_empty(), Ordering::Release);
        self.body_taken.store(false, Ordering::Release);
        self.under_way.store(true, Ordering::Release);
    }

    /// It is over, one way or another.
    pub(crate) fn end(&self) {
        self.under_way.store(false, Ordering::Release);
    }
}

/// A request body that notes when it is taken.
struct Noted {
    data: Option<Bytes>,
    taken: Arc<AtomicBool>,
}

impl Body for Noted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.taken.store(true, Ordering::Release);
        Poll::Ready(self.data.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}
