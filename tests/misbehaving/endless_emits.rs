//! A library that emits until the host tells it to stop.
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
        Manifest::new("endless-emits", Kind::ENRICHMENT).streams::<Value>()
    }

    fn run(host: &Host<'_>, _: Input) -> Result<Output> {
        loop {
            host.emit(&json!({"n": 1}))?;
        }
    }
}

sortie_sdk::export!(Misbehaves);
