//! What the libraries that misbehave below the SDK share: a manifest and the parts of a table.
#![allow(dead_code, unused_macros, unused_imports, reason = "each library uses what it needs")]

use sortie_abi::{ABI_MAJOR, ABI_MINOR, ActionV1, HostV1, MAGIC, Slice, Status};

/// A manifest that the host accepts, under the given name.
macro_rules! manifest {
    ($name:literal) => {
        concat!(
            r#"{"manifest":1,"name":""#,
            $name,
            r#"","version":"1.0.0","title":"Misbehaves","description":"For tests.","kind":"Enrichment","#,
            r#""effect":"read","idempotent":true,"surfaces":[],"streams":false,"columns":[],"calls":[],"examples":[],"#,
            r#""input":{"type":"object"},"output":{"type":"object"},"built":{}}"#
        )
    };
}
pub(crate) use manifest;

/// Replies with bytes.
///
/// # Safety
/// `host` is the table of the running call.
pub(crate) unsafe fn reply(host: *const HostV1, bytes: &[u8]) -> Status {
    // SAFETY: the caller promises it.
    unsafe {
        match (*host).reply {
            Some(reply) => reply((*host).context, Slice::of(bytes)),
            None => Status::FAILED,
        }
    }
}

unsafe extern "C" fn silent(_: *const HostV1) -> Status {
    Status::OK
}

unsafe extern "C" fn never(_: *const HostV1, _: Slice) -> Status {
    Status::FAILED
}

/// A table that is right in everything, to be changed.
pub(crate) const fn table() -> ActionV1 {
    ActionV1 {
        magic: MAGIC,
        abi_major: ABI_MAJOR,
        abi_minor: ABI_MINOR,
        struct_size: size_of::<ActionV1>(),
        describe: Some(silent),
        invoke: Some(never),
    }
}
