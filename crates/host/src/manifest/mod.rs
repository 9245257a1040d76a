//! What an action declares about itself, read from its library's `describe`.
//!
//! The reader is tolerant in one direction only: members that this host does not know are ignored (the library may
//! be newer), kinds and surfaces are open words, but what is required must be there and must make sense, because
//! everything else derives from it: which call may be sent where, which credential signs it, what a dry run
//! intercepts, when a person is asked first. The schemas stay text until somebody needs them.

mod told;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sortie_auth::{Call, Effect, Method, Role};
use std::collections::BTreeSet;
use told::Told;

/// The manifest version that this host reads.
pub const VERSION: u64 = 1;

/// The most calls that one manifest may declare.
const MAX_CALLS: usize = 500;

/// A column of the table that a terminal shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The heading.
    pub title: String,
    /// A JSON pointer into the output, or into each record when the action streams.
    pub path: String,
}

/// An example that runs as a test.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Example {
    /// What it shows.
    pub title: String,
    /// The input.
    pub input: Box<RawValue>,
    /// What the output contains at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Box<RawValue>>,
}

/// What an action declares about itself. Serialises to the same JSON that it was read from, without the members
/// that this host does not know.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Manifest {
    /// The version of the manifest's own shape.
    pub manifest: u64,
    /// The action's name: lower-case words joined by hyphens.
    pub name: String,
    /// The action's version.
    pub version: String,
    /// Its name for people.
    pub title: String,
    /// What it does, in a sentence or more.
    pub description: String,
    /// Daemon, Enrichment, Containment, Correction, Notification, or a newer word.
    pub kind: String,
    /// What the action as a whole does to the tenant; never less than what its calls do.
    pub effect: Effect,
    /// Whether running it twice with the same input changes no more than running it once.
    pub idempotent: bool,
    /// The action that takes its effect back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reversed_by: Option<String>,
    /// The incident surfaces it can work on; empty if it has to do with none.
    pub surfaces: Vec<String>,
    /// Whether results come as records, one by one, before the reply.
    pub streams: bool,
    /// The input field whose time span extends the deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_field: Option<String>,
    /// The columns of its table.
    pub columns: Vec<Column>,
    /// Every API call it may make.
    pub calls: Vec<Call>,
    /// Examples of use.
    pub examples: Vec<Example>,
    /// The JSON Schema (2020-12) of the input.
    pub input: Box<RawValue>,
    /// The JSON Schema (2020-12) of the output.
    pub output: Box<RawValue>,
    /// What it was built with; reported, never a reason to refuse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub built: Option<Box<RawValue>>,
}

/// Why a manifest is not usable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ManifestError {
    /// The text is not JSON, or a member has the wrong type.
    #[error("the manifest cannot be read: {0}")]
    Unreadable(String),
    /// Required members are missing.
    #[error("the manifest lacks {}", .0.join(", "))]
    Missing(Vec<&'static str>),
    /// The manifest's own version is not [`VERSION`].
    #[error("wanted manifest version {VERSION}, found {0}")]
    Version(u64),
    /// The library declares another name than the one its file has.
    #[error("wanted the action `{wanted}`, found `{found}`")]
    Name {
        /// The name that the file name says.
        wanted: String,
        /// The name in the manifest.
        found: String,
    },
    /// A declared call makes no sense.
    #[error("call `{call}`: {problem}")]
    Call {
        /// The call's id.
        call: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Something else makes no sense.
    #[error("{0}")]
    Contradiction(String),
}

impl Manifest {
    /// Reads and checks the manifest of the action `name`.
    ///
    /// # Errors
    /// The first thing that makes it unusable; missing members are named all at once.
    pub fn parse(text: &str, name: &str) -> Result<Self, ManifestError> {
        let told: Told<'_> =
            serde_json::from_str(text).map_err(|error| ManifestError::Unreadable(error.to_string()))?;
        let manifest = told.complete()?;
        manifest.check(name)?;
        Ok(manifest)
    }

    /// The declared call with this id.
    pub fn call(&self, id: &str) -> Option<&Call> {
        self.calls.iter().find(|call| call.id == id)
    }

    /// The calls that matter when incidents are read from `surface`: calls to another incident surface are left
    /// out, calls to any other API stay.
    pub fn calls_on<'a>(&'a self, surface: &'a str) -> impl Iterator<Item = &'a Call> {
        self.calls.iter().filter(move |call| {
            let api = call.api.as_str();
            api == surface || !self.surfaces.iter().any(|other| other == api)
        })
    }

    /// The credential roles that the action needs on a surface.
    pub fn roles_on(&self, surface: &str) -> BTreeSet<Role> {
        self.calls_on(surface).map(|call| call.role).collect()
    }

    fn check(&self, name: &str) -> Result<(), ManifestError> {
        if self.manifest != VERSION {
            return Err(ManifestError::Version(self.manifest));
        }
        if self.name != name {
            return Err(ManifestError::Name { wanted: name.to_owned(), found: self.name.clone() });
        }
        if self.calls.len() > MAX_CALLS {
            return Err(ManifestError::Contradiction(format!("more than {MAX_CALLS} calls are declared")));
        }
        for (at, call) in self.calls.iter().enumerate() {
            check_call(call)?;
            if self.calls.iter().take(at).any(|other| other.id == call.id) {
                return Err(problem(call, "declared twice"));
            }
            if strength(call.effect) > strength(self.effect) {
                let found = effect_name(self.effect);
                let wanted = effect_name(call.effect);
                return Err(problem(call, format!("is {wanted}, but the action says that it is {found}")));
            }
        }
        if !schema_object(&self.input) || !schema_object(&self.output) {
            return Err(ManifestError::Contradiction("`input` and `output` must be JSON Schemas, objects".to_owned()));
        }
        Ok(())
    }
}

/// How much an effect does, for comparing.
fn strength(effect: Effect) -> u8 {
    match effect {
        Effect::Read => 0,
        Effect::Write => 1,
        Effect::Destructive => 2,
    }
}

fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "read",
        Effect::Write => "write",
        Effect::Destructive => "destructive",
    }
}

fn schema_object(schema: &RawValue) -> bool {
    schema.get().trim_start().starts_with('{')
}

fn problem(call: &Call, problem: impl Into<String>) -> ManifestError {
    ManifestError::Call { call: call.id.to_string(), problem: problem.into() }
}

/// A path template is literal segments and whole-segment parameters; nothing in it may change the host, climb, or
/// be read as query, fragment or encoding.
fn check_call(call: &Call) -> Result<(), ManifestError> {
    if call.id.is_empty() || call.api.as_str().is_empty() {
        return Err(problem(call, "has no id or no api"));
    }
    let Some(path) = call.path.strip_prefix('/') else {
        return Err(problem(call, "its path does not begin with `/`"));
    };
    if call.effect == Effect::Read && !matches!(call.method, Method::Get | Method::Post) {
        // It would be sent in a dry run, and sent again when its answer is lost.
        return Err(problem(call, format!("a {} does not only read", call.method)));
    }
    let mut names = BTreeSet::new();
    for segment in path.split('/') {
        if let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !plain {
                return Err(problem(call, "a path parameter's name is letters, digits and underscores"));
            }
            if !names.insert(name) {
                return Err(problem(call, format!("the path parameter `{name}` stands twice")));
            }
        } else if !literal(segment) {
            return Err(problem(call, "a path segment is empty, climbs, or holds a character that is not literal"));
        }
    }
    Ok(())
}

/// RFC 3986 unreserved characters and those sub-delimiters that OData function paths use.
fn literal(segment: &str) -> bool {
    !segment.is_empty()
        && segment != "."
        && segment != ".."
        && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~$()=,'@:".contains(&byte))
}

#[cfg(test)]
mod tests;
