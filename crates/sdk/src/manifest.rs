//! What an action declares about itself.
//!
//! Everything else derives from it: documentation, flags, tables, the permission check, what a dry run
//! intercepts, which credential signs a call, what may be retried.

use crate::Action;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sortie_auth::{Api, Call, Effect};
use std::borrow::Cow;

/// The version of the manifest's own shape.
const MANIFEST_VERSION: u32 = 1;

/// What an action is for, in the terms that SOAR platforms share. An open set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kind(Cow<'static, str>);

impl Kind {
    /// Runs on a schedule and brings new records.
    pub const DAEMON: Self = Self(Cow::Borrowed("Daemon"));
    /// Reads.
    pub const ENRICHMENT: Self = Self(Cow::Borrowed("Enrichment"));
    /// Cuts something off.
    pub const CONTAINMENT: Self = Self(Cow::Borrowed("Containment"));
    /// Puts something right.
    pub const CORRECTION: Self = Self(Cow::Borrowed("Correction"));
    /// Tells others: a status, a comment, an assignment.
    pub const NOTIFICATION: Self = Self(Cow::Borrowed("Notification"));

    /// Another kind.
    pub fn new(name: impl Into<String>) -> Self {
        Self(Cow::Owned(name.into()))
    }
}

/// An action's declaration, put together by [`Action::manifest`].
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    manifest: u32,
    name: String,
    version: String,
    title: String,
    description: String,
    kind: Kind,
    effect: Effect,
    idempotent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reversed_by: Option<String>,
    surfaces: Vec<Api>,
    streams: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_field: Option<String>,
    columns: Vec<Column>,
    calls: Vec<Call>,
    examples: Vec<Example>,
    input: Value,
    output: Value,
    built: Value,
    #[serde(skip)]
    record: Option<fn(&mut SchemaGenerator) -> Schema>,
}

#[derive(Clone, Serialize)]
struct Column {
    title: String,
    path: String,
}

#[derive(Clone, Serialize)]
struct Example {
    title: String,
    input: Value,
    output: Value,
}

impl Manifest {
    /// A declaration that reads, is idempotent and makes no calls yet. The name is the folder's.
    pub fn new(name: &str, kind: Kind) -> Self {
        Self {
            manifest: MANIFEST_VERSION,
            name: name.into(),
            version: String::new(),
            title: name.into(),
            description: String::new(),
            kind,
            effect: Effect::Read,
            idempotent: true,
            reversed_by: None,
            surfaces: Vec::new(),
            streams: false,
            wait_field: None,
            columns: Vec::new(),
            calls: Vec::new(),
            examples: Vec::new(),
            input: Value::Null,
            output: Value::Null,
            built: Value::Null,
            record: None,
        }
    }

    /// A name for people.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        self.title = title.into();
        self
    }

    /// What it does, in a sentence or two.
    #[must_use]
    pub fn description(mut self, description: &str) -> Self {
        self.description = description.into();
        self
    }

    /// What it does to the tenant: the strongest effect among its calls.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// Says that running it twice is not the same as running it once.
    #[must_use]
    pub fn not_idempotent(mut self) -> Self {
        self.idempotent = false;
        self
    }

    /// The action that undoes it.
    #[must_use]
    pub fn reversed_by(mut self, action: &str) -> Self {
        self.reversed_by = Some(action.into());
        self
    }

    /// The APIs between which a profile chooses for this action; the output then says which one was used.
    #[must_use]
    pub fn surfaces(mut self, surfaces: &[Api]) -> Self {
        self.surfaces = surfaces.to_vec();
        self
    }

    /// Says that results are emitted one by one as `R`, and stand in the output's `records`.
    #[must_use]
    pub fn streams<R: JsonSchema>(mut self) -> Self {
        self.streams = true;
        self.record = Some(R::json_schema);
        self
    }

    /// The input field whose span the host adds to the deadline.
    #[must_use]
    pub fn wait_field(mut self, field: &str) -> Self {
        self.wait_field = Some(field.into());
        self
    }

    /// Adds a table column: a title and a JSON pointer into the output, or into each record.
    #[must_use]
    pub fn column(mut self, title: &str, pointer: &str) -> Self {
        self.columns.push(Column { title: title.into(), path: pointer.into() });
        self
    }

    /// Declares a call. One that is not declared is refused.
    #[must_use]
    pub fn call(mut self, call: &Call) -> Self {
        self.calls.push(call.clone());
        self
    }

    /// Adds an example, which a test runs: the output must contain what is given here.
    #[must_use]
    pub fn example(mut self, title: &str, input: Value, output: Value) -> Self {
        self.examples.push(Example { title: title.into(), input, output });
        self
    }

    /// The declared calls.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    pub(crate) fn has_surfaces(&self) -> bool {
        !self.surfaces.is_empty()
    }

    /// The whole declaration of an action, schemas included.
    pub(crate) fn of<A: Action>(version: &str) -> Self {
        let mut manifest = A::manifest();
        manifest.version = version.into();
        manifest.input = schema(<A::Input as JsonSchema>::json_schema);
        manifest.output = manifest.output_schema(<A::Output as JsonSchema>::json_schema);
        manifest.built = json!({ "sdk": env!("CARGO_PKG_VERSION"), "rustc": env!("SORTIE_SDK_RUSTC") });
        manifest
    }

    /// The output's schema, with what the SDK and the host add to every output.
    fn output_schema(&self, output: fn(&mut SchemaGenerator) -> Schema) -> Value {
        let mut whole = schema(output);
        let Some(object) = whole.as_object_mut() else { return whole };
        object.insert("type".into(), json!("object"));
        let mut added = vec![
            ("runId", json!({ "type": "string", "description": "Names this run in logs and errors." })),
            (
                "warnings",
                json!({ "type": "array", "items": { "type": "string" },
                        "description": "What the reader should know although the run went on." }),
            ),
        ];
        if self.has_surfaces() {
            let names: Vec<&str> = self.surfaces.iter().map(Api::as_str).collect();
            added.push((
                "surface",
                json!({ "type": "string", "enum": names, "description": "The API that incidents were read from." }),
            ));
        }
        if let Some(record) = self.record {
            let items = schema(record);
            added.push(("records", json!({ "type": "array", "items": items, "description": "One element a result." })));
        }
        for (name, property) in added {
            insert_into(object, "properties", name, property);
            if let Some(required) = object.entry("required").or_insert_with(|| json!([])).as_array_mut() {
                required.push(json!(name));
            }
        }
        whole
    }
}

fn insert_into(object: &mut Map<String, Value>, member: &str, name: &str, value: Value) {
    if let Some(members) = object.entry(member).or_insert_with(|| json!({})).as_object_mut() {
        members.insert(name.into(), value);
    }
}

/// A schema without references: whoever makes flags, forms or documentation of it reads it top down.
fn schema(of: fn(&mut SchemaGenerator) -> Schema) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let mut generator = settings.into_generator();
    let mut schema = of(&mut generator);
    OneLine.transform(&mut schema);
    let mut value = schema.to_value();
    let definitions = generator.take_definitions(true);
    if !definitions.is_empty()
        && let Some(object) = value.as_object_mut()
    {
        object.insert("$defs".into(), Value::Object(definitions));
    }
    value
}

/// Joins the lines of descriptions, which are wrapped for the source file and not for the reader.
struct OneLine;

impl Transform for OneLine {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = text.split("\n\n").map(|part| part.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
        }
        transform_subschemas(self, schema);
    }
}
