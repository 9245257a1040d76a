//! The Defender vocabulary: what Microsoft's APIs call things, and nothing that does I/O.
//!
//! # The model
//!
//! Two surfaces show the same incidents ([`surface`]): Microsoft Graph v1.0 and the Defender XDR API. sortie's outputs
//! have Graph's shape; answers of the other surface are [mapped](mapping) to it, filters and updates are
//! [spelled](surface::Surface::spell) for it. An incident of Graph is never decoded as a whole: a list answer is
//! [split](page::split) into slices in one walk, a [view](view::IncidentView) remembers the few properties a run
//! decides by, and the slice goes on as it came.
//!
//! - [`endpoints`]: every API call, with its permissions, role, effect and limit class.
//! - [`ids`], [`enums`], [`filter`], [`time`]: typed words. Enumerations keep members they do not know.
//! - [`page`], [`view`], [`mapping`]: reading answers.
//! - [`machine`]: the records of Defender for Endpoint.

pub mod endpoints;
pub mod enums;
pub mod filter;
pub mod ids;
pub mod machine;
pub mod mapping;
pub mod page;
mod scan;
pub mod surface;
pub mod time;
pub mod view;
