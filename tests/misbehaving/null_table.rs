//! A library whose entry point returns null.
#![allow(unsafe_code, missing_docs, unreachable_pub, reason = "stands in for a library of somebody else")]

#[unsafe(no_mangle)]
pub extern "C" fn sortie_action_v1() -> *const sortie_abi::ActionV1 {
    std::ptr::null()
}
