//! Recorded bodies: a folder of JSON files that answer instead of the tenant, so that a client meets what was printed elsewhere.
//!
//! A file answers when its name is in the table below; files with other names are not read. Tokens are demanded as always, but a body is sent whatever the
//! id, filter or request body, and nothing changes in the tenant.
//!
//! | request | file |
//! | --- | --- |
//! | `GET /graph/v1.0/security/incidents` | `graph_incidents_list.json`; with `$expand` `graph_incidents_list_expand_alerts.json` |
//! | `GET /graph/v1.0/security/incidents/{id}` | `graph_incident_get.json` |
//! | `PATCH /graph/v1.0/security/incidents/{id}` | `graph_incident_update.json` |
//! | `POST /graph/v1.0/security/incidents/{id}/comments` | `graph_incident_comment_create.json` |
//! | `GET /graph/v1.0/security/alerts_v2` | `graph_alerts_v2_list.json` |
//! | `GET` and `PATCH /graph/v1.0/security/alerts_v2/{id}` | `graph_alert_v2_update.json` |
//! | `POST /graph/v1.0/security/alerts_v2/{id}/comments` | `graph_alert_v2_comment_create.json` |
//! | `GET /xdr/api/incidents` | `xdr_incidents_list.json` |
//! | `GET` and `PATCH /xdr/api/incidents/{id}` | `xdr_incident_get.json` |
//! | `GET /mde/api/machines` | `mde_machines_list.json`; with `riskScore` in the query `mde_machines_filter_riskscore.json` |
//! | `GET /mde/api/machines/{id}` | `mde_machine_get.json` |
//! | `POST /mde/api/machines/{id}/{action}` | `mde_machineaction_resource.json`, status 201 |
//! | `GET /mde/api/machineactions` | `mde_machineactions_list.json` |
//! | `GET /mde/api/machineactions/{id}`, `POST .../cancel` | `mde_machineaction_get.json` |

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use crate::Error;
use crate::call::Call;
use crate::record::Api;
use crate::reply::Reply;

/// A row of the table: API, method, path pattern (`*` fits any segment), what the query must contain, file, status.
type Route = (Api, &'static str, &'static [&'static str], &'static str, &'static str, u16);

const ROUTES: &[Route] = &[
    (Api::Graph, "GET", &["v1.0", "security", "incidents"], "expand", "graph_incidents_list_expand_alerts.json", 200),
    (Api::Graph, "GET", &["v1.0", "security", "incidents"], "", "graph_incidents_list.json", 200),
    (Api::Graph, "GET", &["v1.0", "security", "incidents", "*"], "", "graph_incident_get.json", 200),
    (Api::Graph, "PATCH", &["v1.0", "security", "incidents", "*"], "", "graph_incident_update.json", 200),
    (
        Api::Graph,
        "POST",
        &["v1.0", "security", "incidents", "*", "comments"],
        "",
        "graph_incident_comment_create.json",
        200,
    ),
    (Api::Graph, "GET", &["v1.0", "security", "alerts_v2"], "", "graph_alerts_v2_list.json", 200),
    (Api::Graph, "GET", &["v1.0", "security", "alerts_v2", "*"], "", "graph_alert_v2_update.json", 200),
    (Api::Graph, "PATCH", &["v1.0", "security", "alerts_v2", "*"], "", "graph_alert_v2_update.json", 200),
    (
        Api::Graph,
        "POST",
        &["v1.0", "security", "alerts_v2", "*", "comments"],
        "",
        "graph_alert_v2_comment_create.json",
        200,
    ),
    (Api::DefenderXdr, "GET", &["api", "incidents"], "", "xdr_incidents_list.json", 200),
    (Api::DefenderXdr, "GET", &["api", "incidents", "*"], "", "xdr_incident_get.json", 200),
    (Api::DefenderXdr, "PATCH", &["api", "incidents", "*"], "", "xdr_incident_get.json", 200),
    (Api::DefenderEndpoint, "GET", &["api", "machines"], "riskScore", "mde_machines_filter_riskscore.json", 200),
    (Api::DefenderEndpoint, "GET", &["api", "machines"], "", "mde_machines_list.json", 200),
    (Api::DefenderEndpoint, "GET", &["api", "machines", "*"], "", "mde_machine_get.json", 200),
    (Api::DefenderEndpoint, "POST", &["api", "machines", "*", "*"], "", "mde_machineaction_resource.json", 201),
    (Api::DefenderEndpoint, "GET", &["api", "machineactions"], "", "mde_machineactions_list.json", 200),
    (Api::DefenderEndpoint, "GET", &["api", "machineactions", "*"], "", "mde_machineaction_get.json", 200),
    (Api::DefenderEndpoint, "POST", &["api", "machineactions", "*", "cancel"], "", "mde_machineaction_get.json", 200),
];

/// The bodies of a folder.
#[derive(Debug)]
pub(crate) struct Bodies(BTreeMap<&'static str, Bytes>);

impl Bodies {
    /// Reads the files of the table that are there; at least one must be, and each must be JSON.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let wrong = |path: &Path, reason: String| Error::Bodies { path: path.to_owned(), reason };
        let mut files = BTreeMap::new();
        for (_, _, _, _, file, _) in ROUTES {
            let path = folder.join(file);
            if files.contains_key(file) || !path.is_file() {
                continue;
            }
            let bytes = std::fs::read(&path).map_err(|error| wrong(&path, error.to_string()))?;
            serde_json::from_slice::<serde_json::Value>(&bytes).map_err(|error| wrong(&path, error.to_string()))?;
            files.insert(*file, Bytes::from(bytes));
        }
        if files.is_empty() {
            return Err(wrong(folder, "none of the known files is in this folder".to_owned()));
        }
        Ok(Self(files))
    }

    /// The recorded answer to a request, if there is one.
    pub(crate) fn answer(&self, call: &Call) -> Option<Reply> {
        ROUTES.iter().filter(|route| fits(route, call)).find_map(|(_, _, _, _, file, status)| {
            self.0.get(file).map(|bytes| Reply::bytes(*status, "application/json; charset=utf-8", bytes.clone()))
        })
    }
}

fn fits((api, method, pattern, query, _, _): &Route, call: &Call) -> bool {
    *api == call.api
        && *method == call.method
        && pattern.len() == call.segments.len()
        && pattern.iter().zip(&call.segments).all(|(wanted, segment)| *wanted == "*" || wanted == segment)
        && call.query.contains(query)
}
