//! A library that panics while it describes itself.
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
        panic!("no description")
    }

    fn run(_: &Host<'_>, _: Input) -> Result<Output> {
        Ok(Output {})
    }
}

sortie_sdk::export!(Misbehaves);
