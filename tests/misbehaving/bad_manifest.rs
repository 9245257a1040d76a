//! A library whose manifest is not JSON.
#![allow(unsafe_code, missing_docs, unreachable_pub, reason = "stands in for a library of somebody else")]

#[path = "raw.rs"]
mod raw;

use sortie_abi::{ActionV1, HostV1, Slice, Status};

unsafe extern "C" fn describe(host: *const HostV1) -> Status {
    // SAFETY: the host lends a table for the call.
    unsafe { raw::reply(host, b"this is not JSON") }
}

unsafe extern "C" fn invoke(host: *const HostV1, _: Slice) -> Status {
    let _ = host;
    Status::FAILED
}

static TABLE: ActionV1 = ActionV1 { describe: Some(describe), invoke: Some(invoke), ..raw::table() };

#[unsafe(no_mangle)]
pub extern "C" fn sortie_action_v1() -> *const ActionV1 {
    &raw const TABLE
}
