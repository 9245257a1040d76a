//! A library that panics while it runs, with a payload that panics once more when it is dropped.
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
        Manifest::new("panics-in-invoke", Kind::ENRICHMENT)
    }

    fn run(_: &Host<'_>, _: Input) -> Result<Output> {
        struct Grenade;
        impl Drop for Grenade {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        std::panic::panic_any(Grenade)
    }
}

sortie_sdk::export!(Misbehaves);
