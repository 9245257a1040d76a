//! Machines: list and get.

use serde_json::{Value, json};

use super::{cut, no_options, query};
use crate::call::Call;
use crate::filter::{self, Field, Kind, Row, field};
use crate::lock;
use crate::odata::next_link;
use crate::render::endpoint;
use crate::render::graph::object;
use crate::render::piece::Item;
use crate::reply::{Refusal, Reply};
use crate::state::State;
use crate::tenant::machine::{Machine, RECENT};
use crate::xdr::page;

/// What machines may be filtered by, and nothing else (contract section 7).
const FIELDS: &[Field] = &[
    field("computerDnsName", Kind::Text),
    field("id", Kind::Text),
    field("version", Kind::Text),
    field("deviceValue", Kind::Enum(&["Normal", "Low", "High"])),
    field("aadDeviceId", Kind::Text),
    field("machineTags", Kind::TextList),
    field("lastSeen", Kind::Time),
    field("exposureLevel", Kind::Enum(&["None", "Low", "Medium", "High"])),
    field("onboardingStatus", Kind::Enum(&["onboarded", "CanBeOnboarded", "Unsupported", "InsufficientInfo"])),
    field("lastIpAddress", Kind::Text),
    field(
        "healthStatus",
        Kind::Enum(&[
            "Active",
            "Inactive",
            "ImpairedCommunication",
            "NoSensorData",
            "NoSensorDataImpairedCommunication",
            "Unknown",
        ]),
    ),
    field("osPlatform", Kind::Text),
    field("riskScore", Kind::Enum(&["None", "Informational", "Low", "Medium", "High"])),
    field("rbacGroupId", Kind::Integer),
];

fn word(value: &Option<String>) -> filter::Cell<'_> {
    value.as_deref().map_or(filter::Cell::Null, filter::Cell::Text)
}

impl Row for Machine {
    fn cell(&self, field: usize) -> filter::Cell<'_> {
        use filter::Cell;
        match field {
            0 => Cell::Text(&self.computer_dns_name),
            1 => Cell::Text(&self.id),
            2 => Cell::Text(&self.version),
            3 => word(&self.device_value),
            4 => word(&self.aad_device_id),
            5 => Cell::List(&self.machine_tags),
            6 => Cell::Time(self.last_seen),
            7 => word(&self.exposure_level),
            8 => Cell::Text(&self.onboarding_status),
            9 => Cell::Text(&self.last_ip_address),
            10 => word(&self.health_status),
            11 => Cell::Text(&self.os_platform),
            12 => word(&self.risk_score),
            13 => Cell::Integer(self.rbac_group_id),
            _ => Cell::Null,
        }
    }
}

pub(super) fn list(state: &State, call: &Call) -> Result<Reply, Refusal> {
    let query = query(call, FIELDS)?;
    let tenant = lock(&state.tenant);
    let recent = call.now.checked_sub(RECENT).unwrap_or(call.now);
    let found: Vec<&Machine> = tenant
        .machines
        .iter()
        .filter(|machine| machine.last_seen >= recent)
        .filter(|machine| query.filter.as_ref().is_none_or(|(_, filter)| filter.holds(*machine)))
        .collect();
    if found.is_empty() && call.switches.machines_empty_is_404 {
        return Err(Refusal::new(404, "ResourceNotFound", "No recent machines were found"));
    }
    let (shown, next) = cut(&found, &query, call);
    let items = shown.iter().map(|machine| Item::Text(endpoint::machine(machine).to_string().into())).collect();
    let next = next
        .filter(|_| call.switches.endpoint_next_links)
        .map(|skip| next_link(&state.origin, call, &format!("$skip={skip}")));
    Ok(Reply::page(page("https://api.security.microsoft.com/api/$metadata#Machines", next, items)))
}

pub(super) fn get(state: &State, call: &Call, name: &str) -> Result<Reply, Refusal> {
    no_options(call)?;
    let tenant = lock(&state.tenant);
    let found = tenant.machines_called(name);
    let ambiguous = found.len() > 1 && call.switches.ambiguous_name_is_404;
    let machine = found.first().filter(|_| !ambiguous).ok_or_else(|| missing(name))?;
    let mut body =
        object(json!({ "@odata.context": "https://api.security.microsoft.com/api/$metadata#Machines/$entity" }));
    body.extend(object(endpoint::machine(machine)));
    Ok(Reply::json(200, &Value::Object(body)))
}

pub(super) fn missing(name: &str) -> Refusal {
    Refusal::new(404, "ResourceNotFound", format!("Machine {name} was not found"))
}
