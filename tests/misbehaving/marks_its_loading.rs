//! A library whose constructor writes the file that `SORTIE_TEST_MARK` names: opening it leaves a trace.
#![allow(unsafe_code, reason = "stands in for a library of somebody else")]

extern "C" fn constructor() {
    if let Some(path) = std::env::var_os("SORTIE_TEST_MARK") {
        let _ = std::fs::write(path, "loaded");
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = constructor;
