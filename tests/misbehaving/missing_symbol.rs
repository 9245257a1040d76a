//! A library without the symbol that the host looks for.
#![allow(unsafe_code, missing_docs, unreachable_pub, reason = "stands in for a library of somebody else")]

#[unsafe(no_mangle)]
pub extern "C" fn sortie_action_v0() {}
