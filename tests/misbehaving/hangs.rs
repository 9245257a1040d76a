//! A library that never returns and asks nothing of the host.
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
        Manifest::new("hangs", Kind::ENRICHMENT)
    }

    fn run(_: &Host<'_>, _: Input) -> Result<Output> {
        loop {
            std::thread::park();
        }
    }
}

sortie_sdk::export!(Misbehaves);
