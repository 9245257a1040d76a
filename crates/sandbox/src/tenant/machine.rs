//! Machines of the tenant and the actions taken on them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::chance::{Chance, Stream};
use super::names;
use crate::clock;

/// What of a machine follows from the seed and its number alone, so that evidence can name it without looking it up.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) server: bool,
    pub(crate) aad_device_id: String,
    pub(crate) ip: String,
    pub(crate) external_ip: String,
    pub(crate) mac: String,
    pub(crate) os_platform: &'static str,
    pub(crate) version: &'static str,
    pub(crate) os_build: i64,
    pub(crate) rbac_group_id: i64,
    pub(crate) rbac_group_name: &'static str,
    pub(crate) first_seen: Timestamp,
}

impl Identity {
    /// Machine number `number`. Numbers 0 and 1 have the same DNS name: names are not unique in a real tenant either.
    pub(crate) fn seeded(seed: u64, number: u64) -> Self {
        let mut chance = Chance::new(seed, Stream::Machine, number);
        let id = chance.hex(40);
        let (name, server) = match number {
            0 | 1 => ("ws-042".to_owned(), false),
            _ => names::device(&mut chance, number),
        };
        let (os_platform, version, os_build) = if server {
            chance.pick(&[("WindowsServer2022", "21H2", 20348), ("WindowsServer2019", "1809", 17763)])
        } else {
            chance.pick(&[("Windows11", "23H2", 22631), ("Windows10", "22H2", 19045), ("Windows11", "24H2", 26100)])
        };
        let (rbac_group_id, rbac_group_name) = if server {
            (9, "Servers")
        } else {
            chance.pick(&[(75, "UnassignedGroup"), (140, "Workstations"), (141, "Executives")])
        };
        let base = Timestamp::new(1_700_000_000, 0).unwrap_or(Timestamp::UNIX_EPOCH);
        Self {
            id,
            name: format!("{name}.corp.contoso.com"),
            server,
            aad_device_id: chance.guid(),
            ip: chance.private_ip(),
            external_ip: chance.public_ip(),
            mac: chance.hex(12).to_ascii_uppercase(),
            os_platform,
            version,
            os_build,
            rbac_group_id,
            rbac_group_name,
            first_seen: chance.before(base, 20_000_000),
        }
    }
}

/// A machine (contract section 7.3). Enum values in the spelling of Defender for Endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// The machine id, 40 hexadecimal digits.
    pub id: String,
    /// The DNS name; not unique.
    pub computer_dns_name: String,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When its last full report came.
    pub last_seen: Timestamp,
    /// Operating system.
    pub os_platform: String,
    /// Operating system version.
    pub version: String,
    /// Operating system build; nullable.
    pub os_build: Option<i64>,
    /// `x64`, `arm64`, ...
    pub os_processor: String,
    /// `32-bit` or `64-bit`.
    pub os_architecture: String,
    /// Last address inside.
    pub last_ip_address: String,
    /// Last address outside.
    pub last_external_ip_address: String,
    /// `Active`, `Inactive`, ...
    pub health_status: Option<String>,
    /// `onboarded`, `CanBeOnboarded`, ... (mixed case as printed).
    pub onboarding_status: String,
    /// `Normal`, `Low`, `High`.
    pub device_value: Option<String>,
    /// Number of the machine group.
    pub rbac_group_id: i64,
    /// Name of the machine group.
    pub rbac_group_name: Option<String>,
    /// `None`, `Informational`, `Low`, `Medium`, `High`.
    pub risk_score: Option<String>,
    /// `None`, `Low`, `Medium`, `High`.
    pub exposure_level: Option<String>,
    /// Whether it is joined to Entra.
    pub is_aad_joined: Option<bool>,
    /// Its Entra device id.
    pub aad_device_id: Option<String>,
    /// Tags.
    pub machine_tags: Vec<String>,
    /// Its MAC address.
    pub mac_address: String,
}

impl Machine {
    /// Machine number `number` as the tenant starts with it.
    pub(crate) fn seeded(seed: u64, number: u64, start: Timestamp) -> Self {
        let identity = Identity::seeded(seed, number);
        let mut chance = Chance::new(seed ^ 0xff, Stream::Machine, number);
        let word = |text: &str| Some(text.to_owned());
        Self {
            id: identity.id,
            computer_dns_name: identity.name,
            first_seen: identity.first_seen,
            last_seen: chance.before(start, 172_800),
            os_platform: identity.os_platform.to_owned(),
            version: identity.version.to_owned(),
            os_build: Some(identity.os_build),
            os_processor: "x64".to_owned(),
            os_architecture: "64-bit".to_owned(),
            last_ip_address: identity.ip,
            last_external_ip_address: identity.external_ip,
            health_status: word(chance.pick(&["Active", "Active", "Active", "Inactive", "ImpairedCommunication"])),
            onboarding_status: chance
                .pick(&["onboarded", "onboarded", "onboarded", "onboarded", "CanBeOnboarded"])
                .to_owned(),
            device_value: word(if identity.server { "High" } else { "Normal" }),
            rbac_group_id: identity.rbac_group_id,
            rbac_group_name: word(identity.rbac_group_name),
            risk_score: word(chance.pick(&["None", "Informational", "Low", "Medium", "High"])),
            exposure_level: word(chance.pick(&["None", "Low", "Medium", "High"])),
            is_aad_joined: Some(true),
            aad_device_id: Some(identity.aad_device_id),
            machine_tags: if identity.server { vec!["crown jewel".to_owned()] } else { Vec::new() },
            mac_address: identity.mac,
        }
    }
}

/// How long actions wait and run, and how they end. Times by the sandbox's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Outcome {
    /// Milliseconds as `Pending`.
    pub pending_ms: u64,
    /// Milliseconds as `InProgress`.
    pub running_ms: u64,
    /// The final status: `Succeeded`, `Failed`, `TimeOut`, `Cancelled`; or any other text, which is then sent as it is.
    pub status: String,
}

impl Default for Outcome {
    fn default() -> Self {
        Self { pending_ms: 300, running_ms: 700, status: "Succeeded".to_owned() }
    }
}

/// An action on a machine (contract section 7.1).
#[derive(Debug, Clone)]
pub(crate) struct Action {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) scope: Option<String>,
    pub(crate) requestor: String,
    pub(crate) comment: String,
    pub(crate) external_id: Option<String>,
    pub(crate) machine_id: String,
    pub(crate) computer_dns_name: String,
    pub(crate) created: Timestamp,
    pub(crate) outcome: Outcome,
    pub(crate) cancelled: Option<Cancellation>,
}

/// Who ended an action early, and why.
#[derive(Debug, Clone)]
pub(crate) struct Cancellation {
    pub(crate) requestor: String,
    pub(crate) comment: String,
    pub(crate) time: Timestamp,
}

impl Action {
    /// A scan that ended well two days ago: the tenant's history, under an id that never changes.
    pub(crate) fn past_scan(machine: &Machine, start: Timestamp) -> Self {
        Self {
            id: "5a4db0c5-0000-4000-8000-00000000a5ca".to_owned(),
            kind: "RunAntiVirusScan",
            scope: Some("Full".to_owned()),
            requestor: "soc-tier1@contoso.com".to_owned(),
            comment: "Weekly check".to_owned(),
            external_id: None,
            machine_id: machine.id.clone(),
            computer_dns_name: machine.computer_dns_name.clone(),
            created: clock::sub(start, Duration::from_secs(2 * 24 * 3600)),
            outcome: Outcome { pending_ms: 4_000, running_ms: 310_000, ..Outcome::default() },
            cancelled: None,
        }
    }

    fn started(&self) -> Timestamp {
        clock::add(self.created, Duration::from_millis(self.outcome.pending_ms))
    }

    fn ended(&self) -> Timestamp {
        clock::add(self.started(), Duration::from_millis(self.outcome.running_ms))
    }

    /// The status and the time of its last change, at `now`.
    pub(crate) fn status(&self, now: Timestamp) -> (&str, Timestamp) {
        if let Some(cancelled) = &self.cancelled {
            ("Cancelled", cancelled.time)
        } else if now < self.started() {
            ("Pending", self.created)
        } else if now < self.ended() {
            ("InProgress", self.started())
        } else {
            (&self.outcome.status, self.ended())
        }
    }

    /// Whether it waits or runs.
    pub(crate) fn open(&self, now: Timestamp) -> bool {
        self.cancelled.is_none() && now < self.ended()
    }

    /// When it succeeded, if it has.
    pub(crate) fn succeeded(&self, now: Timestamp) -> Option<Timestamp> {
        let (status, time) = self.status(now);
        (status == "Succeeded").then_some(time)
    }
}

/// How much later than its creation a machine still counts as recently seen: the span that the machine list goes back.
pub(crate) const RECENT: SignedDuration = SignedDuration::from_hours(24 * 30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_two_share_a_name_and_nothing_else() {
        let (first, second) = (Identity::seeded(7, 0), Identity::seeded(7, 1));
        assert_eq!(first.name, second.name);
        assert_ne!(first.id, second.id);
        assert_eq!(first.id.len(), 40);
    }

    #[test]
    fn an_action_goes_through_its_life() {
        let created: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let mut action = Action {
            id: "a".to_owned(),
            kind: "Isolate",
            scope: None,
            requestor: "r".to_owned(),
            comment: "c".to_owned(),
            external_id: None,
            machine_id: "m".to_owned(),
            computer_dns_name: "d".to_owned(),
            created,
            outcome: Outcome { pending_ms: 1_000, running_ms: 2_000, status: "Failed".to_owned() },
            cancelled: None,
        };
        let at = |ms: u64| clock::add(created, Duration::from_millis(ms));
        assert_eq!(action.status(at(999)).0, "Pending");
        assert_eq!(action.status(at(1_000)), ("InProgress", at(1_000)));
        assert!(action.open(at(2_999)));
        assert_eq!(action.status(at(3_000)), ("Failed", at(3_000)));
        assert!(!action.open(at(3_000)));
        assert_eq!(action.succeeded(at(9_000)), None);
        action.cancelled = Some(Cancellation { requestor: "r".to_owned(), comment: "c".to_owned(), time: at(500) });
        assert_eq!(action.status(at(9_000)), ("Cancelled", at(500)));
    }
}
