//! A library that asks for a call which its manifest does not declare.
use sortie_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {}

#[derive(Serialize, JsonSchema)]
struct Output {}

struct Misbehaves;

impl Action for Misbehaves {
    type Input = Input;
    type Output = Output;

    fn manifest() -> Manifest {
        Manifest::new("undeclared-call", Kind::ENRICHMENT)
    }

    fn run(host: &Host<'_>, _: Input) -> Result<Output> {
        const CALL: Call = Call {
            id: std::borrow::Cow::Borrowed("graph.users.list"),
            api: Api::GRAPH,
            method: Method::Get,
            path: std::borrow::Cow::Borrowed("/users"),
            effect: Effect::Read,
            role: Role::Base,
            permissions: std::borrow::Cow::Borrowed(&[]),
            limit: LimitClass::named("graph"),
        };
        host.request(&CALL).send()?;
        Ok(Output {})
    }
}

sortie_sdk::export!(Misbehaves);
