//! What an action author imports.
//!
//! # The model
//!
//! An action is a type that implements [`Action`]: what it takes, what it gives, what it declares about itself
//! ([`Manifest`]) and one synchronous function, `run`. [`export!`] turns it into a library. Everything that is
//! not the action's own logic happens on the other side of the [`Host`] handle: credentials, HTTP, retries,
//! limits, dry runs, output. An action has no runtime, no HTTP client, no secret and no retry loop.
//!
//! ```
//! use sortie_sdk::prelude::*;
//!
//! /// Which greeting.
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(rename_all = "camelCase", deny_unknown_fields)]
//! struct Input {
//!     /// Who is greeted.
//!     name: String,
//! }
//!
//! #[derive(Serialize, JsonSchema)]
//! #[serde(rename_all = "camelCase")]
//! struct Output {
//!     /// The greeting.
//!     text: String,
//! }
//!
//! struct Greet;
//!
//! impl Action for Greet {
//!     type Input = Input;
//!     type Output = Output;
//!
//!     fn manifest() -> Manifest {
//!         Manifest::new("greet", Kind::ENRICHMENT).title("Greet").description("Greets somebody.")
//!     }
//!
//!     fn run(_host: &Host<'_>, input: Input) -> Result<Output> {
//!         Ok(Output { text: format!("Hello, {}", input.name) })
//!     }
//! }
//!
//! sortie_sdk::export!(Greet);
//!
//! let outcome = sortie_sdk::testing::ScriptedHost::new().run::<Greet>(json!({"name": "Ada"}));
//! assert_eq!(outcome.output()["text"], "Hello, Ada");
//! ```

mod error;
pub mod export;
mod host;
mod input;
mod manifest;
pub mod testing;
mod time;

pub use error::{Error, Outcome, Result, Violation};
pub use host::{Answer, Context, Host, Mode, Request, Response};
pub use manifest::{Kind, Manifest};
pub use sortie_abi as abi;
pub use sortie_abi::{Level, kinds};
pub use time::{Span, Time};

/// What most actions need, in one import.
pub mod prelude {
    pub use crate::{Action, Answer, Error, Host, Kind, Manifest, Outcome, Result, Span, Time, Violation, kinds};
    pub use jiff::Timestamp;
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
    pub use serde_json::{Value, json};
    pub use sortie_auth::{Api, Call, Effect, LimitClass, Method, Permission, Role};
}

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

/// One action: a type without a value, made into a library by [`export!`].
pub trait Action {
    /// What it takes. Derive `Deserialize` with `deny_unknown_fields` and `rename_all = "camelCase"`: field
    /// comments become the schema's descriptions, the flags' help and the documentation.
    type Input: DeserializeOwned + JsonSchema;

    /// What it gives. `runId`, `warnings` and, where there are two, `surface` are added to it.
    type Output: Serialize + JsonSchema;

    /// What it declares about itself. Documentation, flags, tables, permission checks and dry runs derive from it.
    fn manifest() -> Manifest;

    /// What no single field can tell: fields that contradict each other. Called before `run`, and also when some
    /// fields were refused, as far as the rest can be read, so that every violation is reported at once.
    fn check(_input: &Self::Input, _now: Timestamp) -> Vec<Violation> {
        Vec::new()
    }

    /// Runs once.
    ///
    /// # Errors
    /// Whatever keeps the action from its goal; what the host reports passes through unchanged.
    fn run(host: &Host<'_>, input: Self::Input) -> Result<Self::Output>;
}
