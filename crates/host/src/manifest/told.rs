//! The manifest as a library tells it: everything may be missing, and there may be more than this host knows.

use super::{Column, Example, Manifest, ManifestError};
use serde::Deserialize;
use serde_json::value::RawValue;
use sortie_auth::{Api, Call, Effect, LimitClass, Method, Permission, Role};
use std::borrow::Cow;

/// The manifest as it came: everything may be missing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told<'a> {
    manifest: Option<u64>,
    name: Option<String>,
    version: Option<String>,
    title: Option<String>,
    description: Option<String>,
    kind: Option<String>,
    effect: Option<Effect>,
    idempotent: Option<bool>,
    reversed_by: Option<String>,
    surfaces: Option<Vec<String>>,
    streams: Option<bool>,
    wait_field: Option<String>,
    columns: Option<Vec<Column>>,
    calls: Option<Vec<ToldCall>>,
    examples: Option<Vec<Example>>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow)]
    built: Option<&'a RawValue>,
}

impl Told<'_> {
    pub(super) fn complete(self) -> Result<Manifest, ManifestError> {
        let mut missing = Vec::new();
        let name = required(self.name, "name", &mut missing);
        let version = required(self.version, "version", &mut missing);
        let title = required(self.title, "title", &mut missing);
        let description = required(self.description, "description", &mut missing);
        let kind = required(self.kind, "kind", &mut missing);
        let calls = required(self.calls, "calls", &mut missing);
        let manifest = self.manifest.unwrap_or_else(|| {
            missing.push("manifest");
            0
        });
        if self.effect.is_none() {
            missing.push("effect");
        }
        if self.idempotent.is_none() {
            missing.push("idempotent");
        }
        if self.input.is_none() {
            missing.push("input");
        }
        if self.output.is_none() {
            missing.push("output");
        }
        match (self.effect, self.idempotent, self.input, self.output) {
            (Some(effect), Some(idempotent), Some(input), Some(output)) if missing.is_empty() => Ok(Manifest {
                manifest,
                name,
                version,
                title,
                description,
                kind,
                effect,
                idempotent,
                reversed_by: self.reversed_by,
                surfaces: self.surfaces.unwrap_or_default(),
                streams: self.streams.unwrap_or_default(),
                wait_field: self.wait_field,
                columns: self.columns.unwrap_or_default(),
                calls: calls.into_iter().map(Call::from).collect(),
                examples: self.examples.unwrap_or_default(),
                input: input.to_owned(),
                output: output.to_owned(),
                built: self.built.map(ToOwned::to_owned),
            }),
            _ => Err(ManifestError::Missing(missing)),
        }
    }
}

fn required<T: Default>(value: Option<T>, name: &'static str, missing: &mut Vec<&'static str>) -> T {
    value.unwrap_or_else(|| {
        missing.push(name);
        T::default()
    })
}

/// A declared call as it came; the same members as [`Call`], but with room for newer ones.
#[derive(Deserialize)]
struct ToldCall {
    id: String,
    api: Api,
    method: Method,
    path: String,
    effect: Effect,
    role: Role,
    permissions: Vec<Permission>,
    limit: LimitClass,
}

impl From<ToldCall> for Call {
    fn from(told: ToldCall) -> Self {
        Self {
            id: Cow::Owned(told.id),
            api: told.api,
            method: told.method,
            path: Cow::Owned(told.path),
            effect: told.effect,
            role: told.role,
            permissions: Cow::Owned(told.permissions),
            limit: told.limit,
        }
    }
}
