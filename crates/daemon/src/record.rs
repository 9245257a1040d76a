//! What a daemon action hands over: one version of one item.

use serde::Deserialize;
use serde_json::value::RawValue;

/// One version of an item, or a note about one that could not be read. The members are those that every action of kind
/// `daemon` gives; the action's README says what they mean for its resource.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// What the item is, such as `incident`: the first part of the types of what is delivered.
    pub resource: String,
    /// The item's id; none where not even that could be read.
    pub id: Option<String>,
    /// When the item was last updated, by the service's clock.
    pub time: Option<String>,
    /// Names the version.
    pub fingerprint: Option<String>,
    /// The item's state; `resolved` has a meaning here.
    pub state: Option<String>,
    /// The item that this one was merged into.
    pub merged_into: Option<String>,
    /// Whether it fulfils the filters.
    #[serde(default = "yes")]
    pub matched: bool,
    /// What could not be read.
    pub quarantine: Option<Quarantine>,
    /// The members whose change is worth telling: an object.
    pub watched: Option<Box<RawValue>>,
    /// The item itself.
    pub body: Option<Box<RawValue>>,
}

/// A note about what could not be read.
#[derive(Debug, Deserialize)]
pub struct Quarantine {
    /// Why.
    pub reason: String,
}

fn yes() -> bool {
    true
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    /// When it is not one; the action is then at fault.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }
}
