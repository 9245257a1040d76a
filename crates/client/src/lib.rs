//! Defender operations that several actions share, over the host handle.
//!
//! An action says what it wants; this crate knows how the services want to be asked: pages and what to do when they fail,
//! the two incident surfaces, merged incidents, writes whose answer was lost. It speaks to nobody itself: every request goes
//! through the [`Host`](sortie_sdk::Host), which knows hosts, tokens, limits and dry runs.
//!
//! - [`incidents`]: listing, reading and changing incidents on either surface.

mod hash;
pub mod incidents;
pub mod machines;

#[cfg(test)]
mod fake;
