//! The host's side: what a host implements, and how it calls a library.
//!
//! A host implements [`Services`] in safe Rust. [`Entry`] wraps a library's table after checking it, and lends
//! the services to the library for one call, as a [`HostV1`] whose functions check every argument, catch every
//! panic and keep the answers alive until the library releases them.
#![allow(unsafe_code)] // One of the three places; see the workspace lints.

use crate::{ABI_MAJOR, ABI_MINOR, ActionV1, Exchange, HostV1, Level, MAGIC, Request, Slice, Status};
use std::collections::HashMap;
use std::ffi::c_void;
use std::fmt;
use std::mem::{offset_of, size_of};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const _: () = assert!(cfg!(panic = "unwind"), "panics are caught at the boundary, so build with panic = \"unwind\"");

/// The most requests that one `request_many` may name.
pub const MAX_BATCH: usize = 1000;

/// The most exchanges that one invocation may hold open.
pub const MAX_OPEN: usize = 4 * MAX_BATCH;

/// What the service answered to one request.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The answer head, JSON.
    pub head: String,
    /// The body as the service sent it, decompressed.
    pub body: Vec<u8>,
}

/// Why a service was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The run was cancelled or its deadline passed.
    Cancelled,
    /// A cap is reached.
    Refused,
    /// The arguments were not usable.
    Failed,
}

impl From<Stop> for Status {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Cancelled => Self::CANCELLED,
            Stop::Refused => Self::REFUSED,
            Stop::Failed => Self::FAILED,
        }
    }
}

/// What a host does for an action during one invocation. Called on the action's threads, so it may block.
pub trait Services: Sync {
    /// The invocation's context, JSON.
    fn invocation(&self) -> &str;
    /// Sends one request. A refusal or a failure is an answer whose head says so.
    ///
    /// # Errors
    /// [`Stop::Cancelled`], [`Stop::Failed`] when the head is not what the boundary describes.
    fn request(&self, head: &str, body: &[u8]) -> Result<Answer, Stop>;
    /// Sends several requests, a bounded number at once, and answers in order.
    ///
    /// # Errors
    /// As [`Services::request`].
    fn request_many(&self, requests: &[(&str, &[u8])]) -> Result<Vec<Answer>, Stop>;
    /// Takes one result record.
    ///
    /// # Errors
    /// [`Stop::Cancelled`], [`Stop::Refused`] for a record beyond the cap, [`Stop::Failed`] when it is not JSON.
    fn emit(&self, record: &str) -> Result<(), Stop>;
    /// Appends to the reply.
    ///
    /// # Errors
    /// [`Stop::Refused`] when the reply would grow beyond the cap.
    fn reply(&self, chunk: &[u8]) -> Result<(), Stop>;
    /// Writes a log line; `fields` is a JSON object or empty.
    fn log(&self, level: Level, message: &str, fields: &str);
    /// Shows what the action is doing.
    fn progress(&self, message: &str);
    /// Waits.
    ///
    /// # Errors
    /// [`Stop::Cancelled`].
    fn sleep(&self, time: Duration) -> Result<(), Stop>;
    /// Whether the run was cancelled.
    fn cancelled(&self) -> bool;
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> i64;
}

/// A library's table that was checked: magic, version and size are right, both functions are there.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    abi_minor: u32,
    describe: unsafe extern "C" fn(*const HostV1) -> Status,
    invoke: unsafe extern "C" fn(*const HostV1, Slice) -> Status,
}

/// Why a table is not one that this host can call. Each names what was wanted and what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The entry point returned null.
    Null,
    /// The first bytes are not [`MAGIC`].
    Magic {
        /// What stood there.
        found: u64,
    },
    /// The library is for another major version.
    Major {
        /// The library's version.
        found: u32,
    },
    /// The table ends before `invoke`.
    Short {
        /// Its size in bytes, as the library states it.
        found: usize,
    },
    /// A function is null.
    Missing {
        /// Its name.
        function: &'static str,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("the entry point returned null, wanted a table"),
            Self::Magic { found } => write!(f, "wanted magic {MAGIC:#018x}, found {found:#018x}"),
            Self::Major { found } => write!(f, "wanted boundary version {ABI_MAJOR}, found {found}"),
            Self::Short { found } => write!(f, "wanted a table of {REACH} bytes at least, found {found}"),
            Self::Missing { function } => write!(f, "wanted a function `{function}`, found null"),
        }
    }
}

impl std::error::Error for Mismatch {}

/// How far a table must reach to be usable.
const REACH: usize = offset_of!(ActionV1, invoke) + size_of::<usize>();

impl Entry {
    /// Checks the table that an entry point returned.
    ///
    /// # Errors
    /// The first [`Mismatch`] found, in the order of the fields.
    ///
    /// # Safety
    /// `table` is null or points to memory that is readable for as long as the process runs: at least the first
    /// 24 bytes, and `struct_size` bytes if the magic is right.
    pub unsafe fn from_table(table: *const ActionV1) -> Result<Self, Mismatch> {
        if table.is_null() {
            return Err(Mismatch::Null);
        }
        // SAFETY: the caller promises 24 readable bytes, which hold the first four fields; the rest is read only
        // after `struct_size` said that it is there.
        unsafe {
            let magic = (&raw const (*table).magic).read_unaligned();
            if magic != MAGIC {
                return Err(Mismatch::Magic { found: magic });
            }
            let major = (&raw const (*table).abi_major).read();
            if major != ABI_MAJOR {
                return Err(Mismatch::Major { found: major });
            }
            let size = (&raw const (*table).struct_size).read();
            if size < REACH {
                return Err(Mismatch::Short { found: size });
            }
            Ok(Self {
                abi_minor: (&raw const (*table).abi_minor).read(),
                describe: (&raw const (*table).describe).read().ok_or(Mismatch::Missing { function: "describe" })?,
                invoke: (&raw const (*table).invoke).read().ok_or(Mismatch::Missing { function: "invoke" })?,
            })
        }
    }

    /// The library's boundary version, major and minor.
    pub fn abi(&self) -> (u32, u32) {
        (ABI_MAJOR, self.abi_minor)
    }

    /// Lets the library hand over its manifest through `reply`.
    pub fn describe(&self, services: &dyn Services) -> Status {
        let lent = Lent::new(services);
        let table = lent.table();
        // SAFETY: the table was checked; `table` and what it points to outlive the call.
        unsafe { (self.describe)(&raw const table) }
    }

    /// Runs the action once, on this thread.
    pub fn invoke(&self, services: &dyn Services, input: &[u8]) -> Status {
        let lent = Lent::new(services);
        let table = lent.table();
        // SAFETY: as above; `input` outlives the call.
        unsafe { (self.invoke)(&raw const table, Slice::of(input)) }
    }
}

/// Lends services to code in this process through the same table that a library would see, for tests of actions
/// that are linked instead of loaded.
pub fn lend<T>(services: &dyn Services, run: impl FnOnce(&crate::action::Host<'_>) -> T) -> Option<T> {
    let lent = Lent::new(services);
    let table = lent.table();
    // SAFETY: the table is valid until the end of this function.
    let host = unsafe { crate::action::Host::new(&raw const table) }?;
    Some(run(&host))
}

/// Services lent to a library for one call, and the answers it holds open.
struct Lent<'services> {
    services: &'services dyn Services,
    open: Mutex<Exchanges>,
}

#[derive(Default)]
struct Exchanges {
    last: u64,
    // Boxed, so that the bytes stay where they are while the map grows.
    held: HashMap<Exchange, Box<Held>>,
}

struct Held {
    answer: Answer,
    read: bool,
}

impl<'services> Lent<'services> {
    fn new(services: &'services dyn Services) -> Self {
        Self { services, open: Mutex::default() }
    }

    fn table(&self) -> HostV1 {
        HostV1 {
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            struct_size: size_of::<HostV1>(),
            context: (&raw const *self).cast::<c_void>().cast_mut(),
            invocation: Some(invocation),
            request: Some(request),
            request_many: Some(request_many),
            exchange_head: Some(exchange_head),
            exchange_read: Some(exchange_read),
            exchange_release: Some(exchange_release),
            emit: Some(emit),
            reply: Some(reply),
            log: Some(log),
            progress: Some(progress),
            sleep: Some(sleep),
            cancelled: Some(cancelled),
            now: Some(now),
        }
    }

    fn exchanges(&self) -> MutexGuard<'_, Exchanges> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, answers: Vec<Answer>) -> Result<Vec<Exchange>, Stop> {
        let mut exchanges = self.exchanges();
        if exchanges.held.len() + answers.len() > MAX_OPEN {
            return Err(Stop::Refused);
        }
        Ok(answers
            .into_iter()
            .map(|answer| {
                exchanges.last += 1;
                let exchange = Exchange(exchanges.last);
                exchanges.held.insert(exchange, Box::new(Held { answer, read: false }));
                exchange
            })
            .collect())
    }
}

/// Runs a service for a thunk: finds the services again, catches panics, turns a stop into a status.
fn serve(context: *mut c_void, service: impl FnOnce(&Lent<'_>) -> Result<(), Stop>) -> Status {
    if context.is_null() {
        return Status::FAILED;
    }
    // SAFETY: the context is the one that `Lent::table` put into the table; the library may use it only during
    // the call that lent it, and `Lent` outlives that call.
    let lent = unsafe { &*context.cast::<Lent<'_>>() };
    match catch_unwind(AssertUnwindSafe(|| service(lent))) {
        Ok(Ok(())) => Status::OK,
        Ok(Err(stop)) => stop.into(),
        Err(_) => Status::FAILED,
    }
}

/// Bytes that the library passed, for the length of the call.
fn bytes<'call>(slice: Slice) -> Result<&'call [u8], Stop> {
    if slice.length == 0 {
        return Ok(&[]);
    }
    if slice.pointer.is_null() || slice.length > isize::MAX as usize {
        return Err(Stop::Failed);
    }
    // SAFETY: not null and of a possible length; the boundary says that a slice is readable during the call.
    Ok(unsafe { std::slice::from_raw_parts(slice.pointer, slice.length) })
}

fn text<'call>(slice: Slice) -> Result<&'call str, Stop> {
    std::str::from_utf8(bytes(slice)?).map_err(|_| Stop::Failed)
}

/// Writes through a pointer that the library passed.
fn put<T>(out: *mut T, value: T) -> Result<(), Stop> {
    if out.is_null() || !out.is_aligned() {
        return Err(Stop::Failed);
    }
    // SAFETY: not null and aligned; the boundary says that it has room for one value.
    unsafe { out.write(value) };
    Ok(())
}

unsafe extern "C" fn invocation(context: *mut c_void, out: *mut Slice) -> Status {
    serve(context, |lent| put(out, Slice::of(lent.services.invocation().as_bytes())))
}

unsafe extern "C" fn request(context: *mut c_void, head: Slice, body: Slice, out: *mut Exchange) -> Status {
    serve(context, |lent| {
        if out.is_null() {
            return Err(Stop::Failed);
        }
        let answer = lent.services.request(text(head)?, bytes(body)?)?;
        let held = lent.hold(vec![answer])?;
        put(out, held[0])
    })
}

unsafe extern "C" fn request_many(
    context: *mut c_void,
    requests: *const Request,
    count: usize,
    out: *mut Exchange,
) -> Status {
    serve(context, |lent| {
        if count == 0 {
            return Ok(());
        }
        if count > MAX_BATCH {
            return Err(Stop::Refused);
        }
        if requests.is_null() || !requests.is_aligned() || out.is_null() || !out.is_aligned() {
            return Err(Stop::Failed);
        }
        // SAFETY: not null, aligned, and the boundary says that `count` requests stand there during the call.
        let raw = unsafe { std::slice::from_raw_parts(requests, count) };
        let requests =
            raw.iter().map(|one| Ok((text(one.head)?, bytes(one.body)?))).collect::<Result<Vec<_>, Stop>>()?;
        let answers = lent.services.request_many(&requests)?;
        if answers.len() != count {
            return Err(Stop::Failed);
        }
        for (at, exchange) in lent.hold(answers)?.into_iter().enumerate() {
            // SAFETY: the boundary says that `out` has room for `count` exchanges.
            put(unsafe { out.add(at) }, exchange)?;
        }
        Ok(())
    })
}

unsafe extern "C" fn exchange_head(context: *mut c_void, exchange: Exchange, out: *mut Slice) -> Status {
    serve(context, |lent| {
        let exchanges = lent.exchanges();
        let held = exchanges.held.get(&exchange).ok_or(Stop::Failed)?;
        put(out, Slice::of(held.answer.head.as_bytes()))
    })
}

unsafe extern "C" fn exchange_read(context: *mut c_void, exchange: Exchange, out: *mut Slice) -> Status {
    let mut end = false;
    let status = serve(context, |lent| {
        let mut exchanges = lent.exchanges();
        let held = exchanges.held.get_mut(&exchange).ok_or(Stop::Failed)?;
        if std::mem::replace(&mut held.read, true) || held.answer.body.is_empty() {
            end = true;
            return Ok(());
        }
        put(out, Slice::of(&held.answer.body))
    });
    if end { Status::END } else { status }
}

unsafe extern "C" fn exchange_release(context: *mut c_void, exchange: Exchange) -> Status {
    serve(context, |lent| lent.exchanges().held.remove(&exchange).map(drop).ok_or(Stop::Failed))
}

unsafe extern "C" fn emit(context: *mut c_void, record: Slice) -> Status {
    serve(context, |lent| lent.services.emit(text(record)?))
}

unsafe extern "C" fn reply(context: *mut c_void, chunk: Slice) -> Status {
    serve(context, |lent| lent.services.reply(bytes(chunk)?))
}

unsafe extern "C" fn log(context: *mut c_void, level: Level, message: Slice, fields: Slice) -> Status {
    serve(context, |lent| {
        lent.services.log(level, text(message)?, text(fields)?);
        Ok(())
    })
}

unsafe extern "C" fn progress(context: *mut c_void, message: Slice) -> Status {
    serve(context, |lent| {
        lent.services.progress(text(message)?);
        Ok(())
    })
}

unsafe extern "C" fn sleep(context: *mut c_void, milliseconds: u64) -> Status {
    serve(context, |lent| lent.services.sleep(Duration::from_millis(milliseconds)))
}

unsafe extern "C" fn cancelled(context: *mut c_void) -> Status {
    serve(context, |lent| if lent.services.cancelled() { Err(Stop::Cancelled) } else { Ok(()) })
}

unsafe extern "C" fn now(context: *mut c_void, out: *mut i64) -> Status {
    serve(context, |lent| put(out, lent.services.now()))
}
