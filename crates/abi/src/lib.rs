//! The C boundary between the sortie host and an action library.
//!
//! # The model
//!
//! An action is a shared library with one exported symbol, [`ENTRY_SYMBOL`]. It returns a static table,
//! [`ActionV1`], of two functions: `describe` hands over the manifest, `invoke` runs the action once. Whatever
//! an action wants from the outside it asks of the second table, [`HostV1`], which it receives as an argument of
//! both. Everything that crosses is JSON text or raw bytes in a [`Slice`]; no Rust type does, so an action may be
//! written in any language and built with any compiler.
//!
//! Three rules keep memory simple:
//! - what an action passes in a [`Slice`] is read or copied by the host before the call returns;
//! - what the host passes out stays the host's: the invocation context lives as long as the invocation, an
//!   answer until [`HostV1::exchange_release`], the input of `invoke` as long as the call;
//! - nothing is ever freed by the side that did not make it, and a library is never unloaded.
//!
//! Actions are synchronous. The host calls `invoke` on a thread made for blocking, and answers its services
//! there. One library may be invoked from several threads at once; one [`HostV1`] belongs to one invocation but
//! may be used from any thread of it.
//!
//! # The JSON that crosses
//!
//! | what | direction | shape |
//! | --- | --- | --- |
//! | manifest | action to host, `describe` | see `schemas/manifest.json` |
//! | context | host to action | `{"runId","requestId","action","surface","mode":"run"\|"plan","remainingMilliseconds"}` |
//! | request head | action to host | `{"call":ID,"path":{NAME:VALUE},"query":[[NAME,VALUE]],"headers":{}}`, or `{"call":ID,"link":URL}` for a URL that an earlier answer of the same invocation carried |
//! | answer head | host to action | `{"outcome":"answered"\|"planned"\|"not_sent"\|"in_doubt","status":200,"headers":{},"error":{}}`; `error` stands wherever there is no usable answer |
//! | error | both | `{"kind","message","hint","retryable","retryAfterSeconds","httpStatus","requestId","code","violations":[{"pointer","message"}],"done":[]}`; the kinds are [`kinds::ALL`] |
//! | reply | action to host | one JSON object: the output when `invoke` returns [`Status::OK`], an error when it returns [`Status::FAILED`] |
//!
//! # Versions
//!
//! [`ABI_MAJOR`] and [`ABI_MINOR`] are constants of their own, not the crate's version. The rules:
//! - the first four fields of both tables, their order and their types never change;
//! - a field added at the end of a table, or a new member in the JSON that an old reader may ignore, raises the
//!   minor number;
//! - anything else raises the major number **and** takes a new symbol name (`sortie_action_v2`), so that a host
//!   may load both;
//! - a reader looks at `struct_size` before it reads a field beyond the first version's;
//! - which compiler or crate version built a library is reported in its manifest and is never a reason to refuse.

mod layout;

pub mod action;
pub mod host;
pub mod kinds;

pub use layout::{
    ABI_MAJOR, ABI_MINOR, ActionV1, ENTRY_SYMBOL, EntryPoint, Exchange, HostV1, Level, MAGIC, Request, Slice, Status,
};

#[cfg(test)]
mod tests;
