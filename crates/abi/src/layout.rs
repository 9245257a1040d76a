//! The frozen layout: constants, `#[repr(C)]` tables, and the two types that every call uses.
//!
//! WHEN CHANGING THIS FILE: read "Versions" in the crate's documentation first, add fields at the end only, and
//! bring the C header in `include/sortie_action.h` and the offsets in the tests along.

use std::ffi::c_void;

/// The first eight bytes of every [`ActionV1`]: `SORTIEAC` read as a little-endian number.
pub const MAGIC: u64 = u64::from_le_bytes(*b"SORTIEAC");

/// Raised when an old reader could no longer work. See "Versions" in the crate's documentation.
pub const ABI_MAJOR: u32 = 1;

/// Raised when something is added that an old reader may ignore.
pub const ABI_MINOR: u32 = 0;

/// The one symbol that an action library exports, of type [`EntryPoint`].
pub const ENTRY_SYMBOL: &str = "sortie_action_v1";

/// Returns the library's static table. It is never null and lives for ever.
pub type EntryPoint = extern "C" fn() -> *const ActionV1;

/// Borrowed bytes. `pointer` may be null when `length` is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    /// The first byte.
    pub pointer: *const u8,
    /// How many bytes follow.
    pub length: usize,
}

impl Slice {
    /// No bytes.
    pub const EMPTY: Self = Self { pointer: std::ptr::null(), length: 0 };

    /// The bytes of a Rust slice; the borrow is the caller's to keep alive.
    pub const fn of(bytes: &[u8]) -> Self {
        Self { pointer: bytes.as_ptr(), length: bytes.len() }
    }
}

/// What a function of either table answers.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub i32);

impl Status {
    /// Done.
    pub const OK: Self = Self(0);
    /// The run was cancelled or its deadline passed: return from `invoke` soon.
    pub const CANCELLED: Self = Self(1);
    /// `invoke` or `describe`: it failed, and the reply is an error. A service: the arguments were not usable
    /// (null, not UTF-8, not the JSON described, an exchange that is not open).
    pub const FAILED: Self = Self(2);
    /// The host will not take it: a cap is reached.
    pub const REFUSED: Self = Self(3);
    /// `exchange_read`: nothing is left.
    pub const END: Self = Self(4);
}

/// An open answer of the host, from `request` until `exchange_release`.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Exchange(pub u64);

/// One request of a `request_many`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The request head, JSON.
    pub head: Slice,
    /// The body, JSON, or empty.
    pub body: Slice,
}

/// How much a log line matters.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(pub u32);

impl Level {
    /// Something failed.
    pub const ERROR: Self = Self(1);
    /// Something is not as it should be, and the run goes on.
    pub const WARN: Self = Self(2);
    /// A step of the run.
    pub const INFO: Self = Self(3);
    /// For whoever looks into a run.
    pub const DEBUG: Self = Self(4);
    /// Everything.
    pub const TRACE: Self = Self(5);
}

/// The action's table. Static, never null, never changed.
#[repr(C)]
pub struct ActionV1 {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`ABI_MAJOR`] of the library.
    pub abi_major: u32,
    /// [`ABI_MINOR`] of the library.
    pub abi_minor: u32,
    /// The size of this table in bytes, as the library knows it.
    pub struct_size: usize,
    /// Replies with the manifest through `host->reply`. Only `reply` and `log` may be called.
    pub describe: Option<unsafe extern "C" fn(host: *const HostV1) -> Status>,
    /// Runs the action once with `input`, one JSON object in UTF-8.
    pub invoke: Option<unsafe extern "C" fn(host: *const HostV1, input: Slice) -> Status>,
}

/// The host's table, for one invocation.
#[repr(C)]
pub struct HostV1 {
    /// [`ABI_MAJOR`] of the host.
    pub abi_major: u32,
    /// [`ABI_MINOR`] of the host.
    pub abi_minor: u32,
    /// The size of this table in bytes, as the host knows it.
    pub struct_size: usize,
    /// The first argument of every service. Opaque.
    pub context: *mut c_void,
    /// The invocation's context, JSON; lives as long as the invocation.
    pub invocation: Option<unsafe extern "C" fn(context: *mut c_void, out: *mut Slice) -> Status>,
    /// One HTTP exchange. `OK` opens an exchange, whatever the service answered: the head tells.
    pub request:
        Option<unsafe extern "C" fn(context: *mut c_void, head: Slice, body: Slice, out: *mut Exchange) -> Status>,
    /// Several exchanges at once, as many in flight as the host allows; `out` has room for `count`, in order.
    pub request_many: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            requests: *const Request,
            count: usize,
            out: *mut Exchange,
        ) -> Status,
    >,
    /// The answer's head, JSON; lives until the exchange is released.
    pub exchange_head:
        Option<unsafe extern "C" fn(context: *mut c_void, exchange: Exchange, out: *mut Slice) -> Status>,
    /// The next bytes of the answer's body, as the service sent them (decompressed); `END` when none are left.
    /// They live until the exchange is released.
    pub exchange_read:
        Option<unsafe extern "C" fn(context: *mut c_void, exchange: Exchange, out: *mut Slice) -> Status>,
    /// Closes an exchange and frees what it held.
    pub exchange_release: Option<unsafe extern "C" fn(context: *mut c_void, exchange: Exchange) -> Status>,
    /// Hands over one result record, one JSON value. Returns when the record has been taken (back-pressure).
    pub emit: Option<unsafe extern "C" fn(context: *mut c_void, record: Slice) -> Status>,
    /// Appends to the reply.
    pub reply: Option<unsafe extern "C" fn(context: *mut c_void, chunk: Slice) -> Status>,
    /// Writes a log line; `fields` is a JSON object or empty.
    pub log: Option<unsafe extern "C" fn(context: *mut c_void, level: Level, message: Slice, fields: Slice) -> Status>,
    /// Tells a person who waits what the action is doing, plain text.
    pub progress: Option<unsafe extern "C" fn(context: *mut c_void, message: Slice) -> Status>,
    /// Waits, or returns `CANCELLED` early.
    pub sleep: Option<unsafe extern "C" fn(context: *mut c_void, milliseconds: u64) -> Status>,
    /// `CANCELLED` if the run was cancelled, else `OK`.
    pub cancelled: Option<unsafe extern "C" fn(context: *mut c_void) -> Status>,
    /// The host's clock, in milliseconds since 1970-01-01T00:00:00Z.
    pub now: Option<unsafe extern "C" fn(context: *mut c_void, out: *mut i64) -> Status>,
}
