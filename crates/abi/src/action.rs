//! The action's side: a safe handle over the host's table.
//!
//! [`Host`] is what an action sees of [`HostV1`]. Every method checks that the host's table is long enough to
//! have the service, so that an action built against a newer boundary fails with [`Status::FAILED`] instead of
//! reading past the end.
#![allow(unsafe_code)] // One of the three places; see the workspace lints.

use crate::{ActionV1, Exchange, HostV1, Level, Request, Slice, Status};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::marker::PhantomData;
use std::mem::{offset_of, size_of};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// The host, for the length of one `describe` or `invoke`.
pub struct Host<'invocation> {
    table: *const HostV1,
    invocation: PhantomData<&'invocation HostV1>,
}

// SAFETY: the boundary says that a host's table may be used from any thread of its invocation, and the services
// behind it are `Sync` (`host::Services`); the handle itself is only a pointer to it.
unsafe impl Send for Host<'_> {}
// SAFETY: as above.
unsafe impl Sync for Host<'_> {}

/// Calls a service: reads the function pointer if the host's table reaches that far, else answers `FAILED`.
macro_rules! service {
    ($self:ident . $field:ident ( $($argument:expr),* )) => {{
        // SAFETY: `Host::new` promises that the first four fields are readable; `struct_size` says how far the
        // table reaches, so the field is read only where it exists. The arguments are valid for the call.
        unsafe {
            let table = $self.table;
            let end = offset_of!(HostV1, $field) + size_of::<usize>();
            if (&raw const (*table).struct_size).read() < end {
                Status::FAILED
            } else {
                match (&raw const (*table).$field).read() {
                    Some(function) => function((*table).context $(, $argument)*),
                    None => Status::FAILED,
                }
            }
        }
    }};
}

impl<'invocation> Host<'invocation> {
    /// A handle over the table that `describe` or `invoke` received; `None` for a null pointer or a host of
    /// another major version.
    ///
    /// # Safety
    /// `table` is null or points to a [`HostV1`] that is valid for `'invocation`.
    pub unsafe fn new(table: *const HostV1) -> Option<Self> {
        if table.is_null() {
            return None;
        }
        // SAFETY: not null, and the caller promises that it points to a table.
        let major = unsafe { (&raw const (*table).abi_major).read() };
        (major == crate::ABI_MAJOR).then_some(Self { table, invocation: PhantomData })
    }

    /// The invocation's context, JSON.
    ///
    /// # Errors
    /// `FAILED` when the host has none to give.
    pub fn invocation(&self) -> Result<&str, Status> {
        let mut out = Slice::EMPTY;
        checked(service!(self.invocation(&raw mut out)))?;
        // SAFETY: the boundary says that the context lives as long as the invocation, and `self` does not
        // outlive that.
        text(unsafe { borrow(out) })
    }

    /// Sends one request and opens its exchange.
    ///
    /// # Errors
    /// `CANCELLED`; `FAILED` when the head is not what the boundary describes.
    pub fn request(&self, head: &str, body: &[u8]) -> Result<Open<'_, 'invocation>, Status> {
        let mut exchange = Exchange(0);
        checked(service!(self.request(Slice::of(head.as_bytes()), Slice::of(body), &raw mut exchange)))?;
        Ok(Open::new(self, exchange))
    }

    /// Sends several requests, a bounded number at once, and opens their exchanges in order.
    ///
    /// # Errors
    /// As [`Host::request`], for the whole batch.
    pub fn request_many(&self, requests: &[(&str, &[u8])]) -> Result<Vec<Open<'_, 'invocation>>, Status> {
        let raw: Vec<Request> = requests
            .iter()
            .map(|(head, body)| Request { head: Slice::of(head.as_bytes()), body: Slice::of(body) })
            .collect();
        let mut exchanges = vec![Exchange(0); raw.len()];
        checked(service!(self.request_many(raw.as_ptr(), raw.len(), exchanges.as_mut_ptr())))?;
        Ok(exchanges.into_iter().map(|exchange| Open::new(self, exchange)).collect())
    }

    /// Hands over one result record, one JSON value.
    ///
    /// # Errors
    /// `CANCELLED`; `REFUSED` when the record is larger than the cap; `FAILED` when it is not JSON.
    pub fn emit(&self, record: &str) -> Result<(), Status> {
        checked(service!(self.emit(Slice::of(record.as_bytes()))))
    }

    /// Appends to the reply.
    ///
    /// # Errors
    /// `REFUSED` when the reply would grow beyond the cap.
    pub fn reply(&self, chunk: &[u8]) -> Result<(), Status> {
        checked(service!(self.reply(Slice::of(chunk))))
    }

    /// Writes a log line; `fields` is a JSON object or empty. A line that cannot be written is dropped.
    pub fn log(&self, level: Level, message: &str, fields: &str) {
        let _ = service!(self.log(level, Slice::of(message.as_bytes()), Slice::of(fields.as_bytes())));
    }

    /// Tells a person who waits what is going on.
    pub fn progress(&self, message: &str) {
        let _ = service!(self.progress(Slice::of(message.as_bytes())));
    }

    /// Waits for the given time.
    ///
    /// # Errors
    /// `CANCELLED`, as soon as the run is.
    pub fn sleep(&self, time: Duration) -> Result<(), Status> {
        checked(service!(self.sleep(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))))
    }

    /// Whether the run was cancelled.
    pub fn cancelled(&self) -> bool {
        service!(self.cancelled()) == Status::CANCELLED
    }

    /// The host's clock, in milliseconds since 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// `FAILED` when the host has no clock to show.
    pub fn now(&self) -> Result<i64, Status> {
        let mut milliseconds = 0;
        checked(service!(self.now(&raw mut milliseconds)))?;
        Ok(milliseconds)
    }
}

/// An open exchange; dropping it releases it.
pub struct Open<'host, 'invocation> {
    host: &'host Host<'invocation>,
    exchange: Exchange,
    chunks: OnceCell<Vec<Slice>>,
}

impl<'host, 'invocation> Open<'host, 'invocation> {
    fn new(host: &'host Host<'invocation>, exchange: Exchange) -> Self {
        Self { host, exchange, chunks: OnceCell::new() }
    }

    /// The answer's head, JSON.
    ///
    /// # Errors
    /// `FAILED` when the host gives none.
    pub fn head(&self) -> Result<&str, Status> {
        let host = self.host;
        let mut out = Slice::EMPTY;
        checked(service!(host.exchange_head(self.exchange, &raw mut out)))?;
        // SAFETY: the head lives until the exchange is released, which is when `self` is dropped.
        text(unsafe { borrow(out) })
    }

    /// The whole body, without a copy where the host holds it in one piece.
    ///
    /// # Errors
    /// `FAILED` when the host cannot read it.
    pub fn body(&self) -> Result<Cow<'_, [u8]>, Status> {
        if self.chunks.get().is_none() {
            let chunks = self.read()?;
            let _ = self.chunks.set(chunks);
        }
        let chunks = self.chunks.get().map_or(&[][..], Vec::as_slice);
        // SAFETY: the bytes live until the exchange is released, which is when `self` is dropped.
        let bytes = |slice: &Slice| unsafe { borrow(*slice) };
        Ok(match chunks {
            [] => Cow::Borrowed(&[]),
            [one] => Cow::Borrowed(bytes(one)),
            several => Cow::Owned(several.iter().flat_map(bytes).copied().collect()),
        })
    }

    fn read(&self) -> Result<Vec<Slice>, Status> {
        let host = self.host;
        let mut chunks = Vec::new();
        loop {
            let mut out = Slice::EMPTY;
            match service!(host.exchange_read(self.exchange, &raw mut out)) {
                Status::END => return Ok(chunks),
                status => checked(status)?,
            }
            chunks.push(out);
        }
    }
}

impl Drop for Open<'_, '_> {
    fn drop(&mut self) {
        let host = self.host;
        let _ = service!(host.exchange_release(self.exchange));
    }
}

/// The body of `describe` or `invoke`: makes the handle, and keeps a panic on the action's side of the boundary.
///
/// `crashed` runs after a panic, to put an error in the reply; what it answers is the status.
///
/// # Safety
/// As [`Host::new`].
pub unsafe fn enter(
    table: *const HostV1,
    run: impl FnOnce(&Host<'_>) -> Status,
    crashed: impl FnOnce(&Host<'_>) -> Status,
) -> Status {
    // SAFETY: the caller promises it.
    let Some(host) = (unsafe { Host::new(table) }) else { return Status::FAILED };
    let caught = |part: Box<dyn FnOnce() -> Status + '_>| {
        catch_unwind(AssertUnwindSafe(part)).map_err(|payload| {
            // A payload may panic again when it is dropped, and that must not cross either.
            std::mem::forget(payload);
        })
    };
    match caught(Box::new(|| run(&host))) {
        Ok(status) => status,
        Err(()) => caught(Box::new(|| crashed(&host))).unwrap_or(Status::FAILED),
    }
}

/// A complete table for a library built with this crate.
pub const fn table(
    describe: unsafe extern "C" fn(*const HostV1) -> Status,
    invoke: unsafe extern "C" fn(*const HostV1, Slice) -> Status,
) -> ActionV1 {
    ActionV1 {
        magic: crate::MAGIC,
        abi_major: crate::ABI_MAJOR,
        abi_minor: crate::ABI_MINOR,
        struct_size: size_of::<ActionV1>(),
        describe: Some(describe),
        invoke: Some(invoke),
    }
}

/// The bytes of a slice that came over the boundary.
///
/// # Safety
/// `slice` is empty, or points to `length` readable bytes that live for `'a`.
pub unsafe fn borrow<'a>(slice: Slice) -> &'a [u8] {
    if slice.pointer.is_null() || slice.length == 0 || slice.length > isize::MAX as usize {
        return &[];
    }
    // SAFETY: not null, and the caller promises the rest.
    unsafe { std::slice::from_raw_parts(slice.pointer, slice.length) }
}

fn checked(status: Status) -> Result<(), Status> {
    if status == Status::OK { Ok(()) } else { Err(status) }
}

fn text(bytes: &[u8]) -> Result<&str, Status> {
    std::str::from_utf8(bytes).map_err(|_| Status::FAILED)
}
