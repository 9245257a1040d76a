//! The endpoint catalogue: every API call that sortie's actions make, as data.
//!
//! An action puts the calls it makes into its manifest; the host derives from them the permissions an application
//! needs, the credential that signs, what a dry run intercepts and which budget counts. Where several permissions are
//! listed any single one is enough, and the first asks for least.

use sortie_auth::{Api, Call, Effect, LimitClass, Method, Permission, Role};
use std::borrow::Cow;

/// Incidents and alerts on Microsoft Graph. Documented for alerts as 150 requests a minute and silent about
/// incidents, which are counted with them (contract section 4).
pub const GRAPH_SECURITY: LimitClass = LimitClass::named("graph-security");
/// Incidents on Defender XDR: 50 requests a minute and 1,500 an hour (contract section 6).
pub const DEFENDER_XDR_INCIDENTS: LimitClass = LimitClass::named("defender-xdr-incidents");
/// Defender for Endpoint: 100 requests a minute and 1,500 an hour (contract section 7).
pub const DEFENDER_ENDPOINT: LimitClass = LimitClass::named("defender-endpoint");

const INCIDENT_READ: &[Permission] =
    &[Permission::named("SecurityIncident.Read.All"), Permission::named("SecurityIncident.ReadWrite.All")];
const INCIDENT_WRITE: &[Permission] = &[Permission::named("SecurityIncident.ReadWrite.All")];
const ALERT_READ: &[Permission] =
    &[Permission::named("SecurityAlert.Read.All"), Permission::named("SecurityAlert.ReadWrite.All")];
const XDR_INCIDENT_READ: &[Permission] =
    &[Permission::named("Incident.Read.All"), Permission::named("Incident.ReadWrite.All")];
const XDR_INCIDENT_WRITE: &[Permission] = &[Permission::named("Incident.ReadWrite.All")];
const MACHINE_READ: &[Permission] =
    &[Permission::named("Machine.Read.All"), Permission::named("Machine.ReadWrite.All")];
const MACHINE_ISOLATE: &[Permission] = &[Permission::named("Machine.Isolate")];

/// The parts of a call that differ within an API.
struct Row {
    id: &'static str,
    method: Method,
    path: &'static str,
    effect: Effect,
    role: Role,
    permissions: &'static [Permission],
}

const fn call(api: Api, limit: LimitClass, row: Row) -> Call {
    Call {
        id: Cow::Borrowed(row.id),
        api,
        method: row.method,
        path: Cow::Borrowed(row.path),
        effect: row.effect,
        role: row.role,
        permissions: Cow::Borrowed(row.permissions),
        limit,
    }
}

const fn read(id: &'static str, path: &'static str, permissions: &'static [Permission]) -> Row {
    Row { id, method: Method::Get, path, effect: Effect::Read, role: Role::Base, permissions }
}

/// Incidents and alerts on Microsoft Graph v1.0 (contract section 4).
pub mod graph {
    use super::*;

    /// Lists incidents, 50 a page.
    pub static LIST_INCIDENTS: Call =
        call(Api::GRAPH, GRAPH_SECURITY, read("graph.incidents.list", "/security/incidents", INCIDENT_READ));

    /// Reads one incident; parameter `incidentId`.
    pub static GET_INCIDENT: Call = call(
        Api::GRAPH,
        GRAPH_SECURITY,
        read("graph.incidents.get", "/security/incidents/{incidentId}", INCIDENT_READ),
    );

    /// Changes properties of an incident; parameter `incidentId`.
    pub static UPDATE_INCIDENT: Call = call(
        Api::GRAPH,
        GRAPH_SECURITY,
        Row {
            id: "graph.incidents.update",
            method: Method::Patch,
            path: "/security/incidents/{incidentId}",
            effect: Effect::Write,
            role: Role::Base,
            permissions: INCIDENT_WRITE,
        },
    );

    /// Adds a comment to an incident; parameter `incidentId`. The documentation is silent about its permission; it is
    /// taken to be that of the update.
    pub static COMMENT_INCIDENT: Call = call(
        Api::GRAPH,
        GRAPH_SECURITY,
        Row {
            id: "graph.incidents.comment",
            method: Method::Post,
            path: "/security/incidents/{incidentId}/comments",
            effect: Effect::Write,
            role: Role::Base,
            permissions: INCIDENT_WRITE,
        },
    );

    /// Lists alerts.
    pub static LIST_ALERTS: Call =
        call(Api::GRAPH, GRAPH_SECURITY, read("graph.alerts.list", "/security/alerts_v2", ALERT_READ));

    /// Reads one alert; parameter `alertId`.
    pub static GET_ALERT: Call =
        call(Api::GRAPH, GRAPH_SECURITY, read("graph.alerts.get", "/security/alerts_v2/{alertId}", ALERT_READ));
}

/// Incidents on the Defender XDR API (contract section 6).
pub mod defender_xdr {
    use super::*;

    /// Lists incidents with their alerts, at most 100 a page.
    pub static LIST_INCIDENTS: Call = call(
        Api::DEFENDER_XDR,
        DEFENDER_XDR_INCIDENTS,
        read("defender-xdr.incidents.list", "/incidents", XDR_INCIDENT_READ),
    );

    /// Reads one incident with its alerts; parameter `incidentId`.
    pub static GET_INCIDENT: Call = call(
        Api::DEFENDER_XDR,
        DEFENDER_XDR_INCIDENTS,
        read("defender-xdr.incidents.get", "/incidents/{incidentId}", XDR_INCIDENT_READ),
    );

    /// Changes properties of an incident and adds a comment; parameter `incidentId`.
    pub static UPDATE_INCIDENT: Call = call(
        Api::DEFENDER_XDR,
        DEFENDER_XDR_INCIDENTS,
        Row {
            id: "defender-xdr.incidents.update",
            method: Method::Patch,
            path: "/incidents/{incidentId}",
            effect: Effect::Write,
            role: Role::Base,
            permissions: XDR_INCIDENT_WRITE,
        },
    );
}

/// Machines and machine actions in Defender for Endpoint (contract section 7).
pub mod defender_endpoint {
    use super::*;

    const fn remediation(id: &'static str, path: &'static str, permissions: &'static [Permission]) -> Call {
        let (method, effect, role) = (Method::Post, Effect::Destructive, Role::Remediation);
        call(Api::DEFENDER_ENDPOINT, DEFENDER_ENDPOINT, Row { id, method, path, effect, role, permissions })
    }

    /// Lists machines. Answers 404 where there are none.
    pub static LIST_MACHINES: Call = call(
        Api::DEFENDER_ENDPOINT,
        DEFENDER_ENDPOINT,
        read("defender-endpoint.machines.list", "/machines", MACHINE_READ),
    );

    /// Reads one machine; parameter `machineId`, which may be a computer name too.
    pub static GET_MACHINE: Call = call(
        Api::DEFENDER_ENDPOINT,
        DEFENDER_ENDPOINT,
        read("defender-endpoint.machines.get", "/machines/{machineId}", MACHINE_READ),
    );

    /// Cuts a machine off the network; parameter `machineId`.
    pub static ISOLATE_MACHINE: Call =
        remediation("defender-endpoint.machines.isolate", "/machines/{machineId}/isolate", MACHINE_ISOLATE);

    /// Lets a machine back onto the network; parameter `machineId`.
    pub static RELEASE_MACHINE: Call =
        remediation("defender-endpoint.machines.release", "/machines/{machineId}/unisolate", MACHINE_ISOLATE);

    /// Lists machine actions.
    pub static LIST_MACHINE_ACTIONS: Call = call(
        Api::DEFENDER_ENDPOINT,
        DEFENDER_ENDPOINT,
        read("defender-endpoint.machine-actions.list", "/machineactions", MACHINE_READ),
    );

    /// Reads one machine action; parameter `machineActionId`.
    pub static GET_MACHINE_ACTION: Call = call(
        Api::DEFENDER_ENDPOINT,
        DEFENDER_ENDPOINT,
        read("defender-endpoint.machine-actions.get", "/machineactions/{machineActionId}", MACHINE_READ),
    );

    /// Cancels a machine action that is not final; parameter `machineActionId`. It needs the permission of the action
    /// that is cancelled; here, that of isolating and releasing.
    pub static CANCEL_MACHINE_ACTION: Call = remediation(
        "defender-endpoint.machine-actions.cancel",
        "/machineactions/{machineActionId}/cancel",
        MACHINE_ISOLATE,
    );
}

/// Every call of the catalogue.
pub static ALL: [&Call; 16] = [
    &graph::LIST_INCIDENTS,
    &graph::GET_INCIDENT,
    &graph::UPDATE_INCIDENT,
    &graph::COMMENT_INCIDENT,
    &graph::LIST_ALERTS,
    &graph::GET_ALERT,
    &defender_xdr::LIST_INCIDENTS,
    &defender_xdr::GET_INCIDENT,
    &defender_xdr::UPDATE_INCIDENT,
    &defender_endpoint::LIST_MACHINES,
    &defender_endpoint::GET_MACHINE,
    &defender_endpoint::ISOLATE_MACHINE,
    &defender_endpoint::RELEASE_MACHINE,
    &defender_endpoint::LIST_MACHINE_ACTIONS,
    &defender_endpoint::GET_MACHINE_ACTION,
    &defender_endpoint::CANCEL_MACHINE_ACTION,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_unique_and_name_their_api() {
        let ids: BTreeSet<_> = ALL.iter().map(|call| &call.id).collect();
        assert_eq!(ids.len(), ALL.len());
        assert!(ALL.iter().all(|call| call.id.starts_with(&format!("{}.", call.api))));
    }

    #[test]
    fn only_reads_are_gets_and_only_the_remediation_role_is_destructive() {
        for call in ALL {
            assert_eq!(call.method == Method::Get, call.effect == Effect::Read, "{}", call.id);
            assert_eq!(call.role == Role::Remediation, call.effect == Effect::Destructive, "{}", call.id);
            assert!(!call.permissions.is_empty(), "{}", call.id);
        }
    }
}
