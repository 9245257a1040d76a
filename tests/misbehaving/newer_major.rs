//! A library for a boundary version that this host does not know.
#![allow(unsafe_code, missing_docs, unreachable_pub, reason = "stands in for a library of somebody else")]

#[path = "raw.rs"]
mod raw;

static TABLE: sortie_abi::ActionV1 = {
    let mut table = raw::table();
    table.abi_major = 2;
    table
};

#[unsafe(no_mangle)]
pub extern "C" fn sortie_action_v1() -> *const sortie_abi::ActionV1 {
    &raw const TABLE
}
