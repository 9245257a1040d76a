//! A library whose table begins with something else.
#![allow(unsafe_code, missing_docs, unreachable_pub, reason = "stands in for a library of somebody else")]

#[path = "raw.rs"]
mod raw;

static TABLE: sortie_abi::ActionV1 = {
    let mut table = raw::table();
    table.magic = 0x1234;
    table
};

#[unsafe(no_mangle)]
pub extern "C" fn sortie_action_v1() -> *const sortie_abi::ActionV1 {
    &raw const TABLE
}
