//! What the transport's tests share.

#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod calls;
pub(crate) mod server;
