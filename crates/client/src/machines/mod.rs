//! Machines, and what is done to them.
//!
//! # The model
//!
//! A **machine** is named by its id or by its DNS name. A name is not an id: a machine that was onboarded again has
//! two records under one name. [`find`] therefore proves that a name has exactly one bearer before anything is done
//! to it, and refuses otherwise.
//!
//! A **machine action** goes on after the request that began it: `Pending`, `InProgress`, then a final status
//! (contract section 7.1). No property of a machine says whether it is isolated; that follows from its machine
//! actions alone. So [`isolate`] and [`release`] read them first and decide:
//!
//! | what stands in the list | what happens |
//! | --- | --- |
//! | the opposite action, not final | refused, kind `conflict` |
//! | an isolation with another scope, not final | refused, kind `conflict` |
//! | the same action, not final | that one is returned, `alreadyInProgress` |
//! | the same action completed last | that one is returned, `alreadyInEffect` |
//! | an isolation with another scope completed last | the request is sent, once, with a warning |
//! | an action with this request's tag, in any status | that one and no second: see the module `tag` |
//! | an isolation or release that cannot be read | `bad_response`, nothing is sent |
//! | none of these | the request is sent, once |
//!
//! If the answer to that one request is lost, the list is looked at again for the tag; what the list cannot
//! settle is reported as `unknown_outcome`, and nothing is sent a second time.

mod change;
mod doubt;
mod history;
mod input;
mod lookup;
mod tag;
#[cfg(test)]
mod tests;
mod wait;

pub use change::{Changed, Outcome, isolate, release};
pub use input::{Comment, ExternalId, InvalidInput, MachineReference};
pub use lookup::find;
pub use wait::{get, until_final};

/// Foreign text for a message: one line, at most 80 characters, nothing that could steer a terminal or turn the
/// reading direction.
fn shown(text: &str) -> String {
    let steers = |character: char| {
        character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut shown: String = text.chars().filter(|character| !steers(*character)).take(80).collect();
    if shown.is_empty() {
        shown.push('-');
    }
    shown
}
