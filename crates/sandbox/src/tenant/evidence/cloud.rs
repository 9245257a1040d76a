//! Evidence in cloud services: sessions, applications, resources, storage, code hosting.

use serde_json::{Value, json};

use super::device::user;
use super::{Kind, Scene};
use crate::clock::text;

const SUBSCRIPTION: &str = "/subscriptions/5a4db0c5-0000-4000-8000-000000000000/resourceGroups";

pub(super) fn make(scene: &mut Scene<'_>, kind: Kind) -> Option<Value> {
    Some(match kind {
        "cloudLogonSession" => {
            let start = text(scene.time);
            let own = json!({
                "account": user(scene, "compromised"),
                "browser": "Edge 131",
                "deviceName": null,
                "operatingSystem": "Linux",
                "previousLogonDateTime": null,
                "protocol": "OAuth2",
                "sessionId": scene.chance.guid(),
                "startUtcDateTime": start,
                "userAgent": "Mozilla/5.0 (X11; Linux x86_64) axios/1.7.9",
            });
            scene.make(kind, "compromised", own)
        }
        "cloudLogonRequest" => {
            let request = scene.chance.guid();
            scene.make(kind, "", json!({ "requestId": request }))
        }
        "cloudApplication" => scene.make(kind, "", json!({
            "appId": 20_892,
            "displayName": "Microsoft SharePoint Online",
            "instanceId": 0,
            "instanceName": "Microsoft SharePoint Online",
            "saasAppId": 20_892,
            "stream": { "name": "Teams" },
        })),
        "oauthApplication" => {
            let own = json!({
                "appId": scene.chance.guid(),
                "displayName": "Mail Archiver Pro",
                "objectId": scene.chance.guid(),
                "publisher": "Unverified",
            });
            scene.make(kind, "suspicious", own)
        }
        "servicePrincipal" => {
            let own = json!({
                "appId": scene.chance.guid(),
                "appOwnerTenantId": scene.chance.guid(),
                "servicePrincipalName": "build-agent",
                "servicePrincipalObjectId": scene.chance.guid(),
                "servicePrincipalType": "application",
                "tenantId": scene.tenant_id,
            });
            scene.make(kind, "compromised", own)
        }
        "aiAgent" => {
            let own = json!({
                "agentId": scene.chance.guid(),
                "agentName": "orders-assistant",
                "hostingPlatformType": "copilotStudio",
                "instructions": "Answer questions about orders from the order system.",
            });
            scene.make(kind, "attacked", own)
        }
        "azureResource" => azure(scene, "Microsoft.Storage/storageAccounts", "contosobackups"),
        "amazonResource" => scene.make(kind, "attacked", json!({
            "amazonAccountId": "000000000000",
            "amazonResourceId": "arn:aws:s3:::contoso-exports",
            "resourceName": "contoso-exports",
            "resourceType": "S3 bucket",
        })),
        "googleCloudResource" => scene.make(kind, "attacked", json!({
            "fullResourceName": "//compute.googleapis.com/projects/contoso-lab/zones/europe-west4-a/instances/lab-1",
            "location": "europe-west4-a",
            "locationType": "zonal",
            "projectId": "contoso-lab",
            "projectNumber": 100_200_300_400_i64,
            "resourceName": "lab-1",
            "resourceType": "compute.googleapis.com/Instance",
        })),
        "blobContainer" => container(scene),
        "blob" => {
            let own = json!({
                "blobContainer": container(scene),
                "etag": format!("0x{}", scene.chance.hex(15).to_ascii_uppercase()),
                "fileHashes": [{ "algorithm": "md5", "value": scene.chance.hex(32) }],
                "name": "exports/ledger.zip",
                "url": "https://contosobackups.blob.core.windows.net/exports/ledger.zip",
            });
            scene.make(kind, "", own)
        }
        "sasToken" => {
            let own = json!({
                "allowedIpAddresses": null,
                "allowedResourceTypes": ["object"],
                "allowedServices": ["blob"],
                "expiryDateTime": "2030-01-01T00:00:00Z",
                "permissions": ["read", "list"],
                "protocol": "https",
                "signatureHash": scene.chance.hex(64),
                "signedWith": "key1",
                "startDateTime": text(scene.time),
                "storageResource": azure(scene, "Microsoft.Storage/storageAccounts", "contosobackups"),
            });
            scene.make(kind, "", own)
        }
        "gitHubOrganization" => scene.make(kind, "", json!({
            "company": "Contoso", "displayName": "Contoso Engineering", "email": "engineering@contoso.com", "login": "contoso-engineering",
            "orgId": "9200001", "webUrl": "https://github.example/contoso-engineering",
        })),
        "gitHubRepo" => scene.make(kind, "", json!({
            "baseUrl": "https://github.example/contoso-engineering/orders", "login": "orders", "owner": "contoso-engineering", "ownerType": "Organization", "repoId": "9300001",
        })),
        "gitHubUser" => {
            let own = json!({
                "email": scene.upn(), "login": scene.account, "name": super::super::names::display_name(&scene.account), "userId": "9400001",
                "webUrl": format!("https://github.example/{}", scene.account),
            });
            scene.make(kind, "", own)
        }
        _ => return None,
    })
}

/// An Azure resource.
pub(super) fn azure(scene: &mut Scene<'_>, kind: &str, name: &str) -> Value {
    scene.make("azureResource", "attacked", json!({
        "resourceId": format!("{SUBSCRIPTION}/production/providers/{kind}/{name}"), "resourceName": name, "resourceType": kind,
    }))
}

fn container(scene: &mut Scene<'_>) -> Value {
    let own = json!({
        "name": "exports",
        "storageResource": azure(scene, "Microsoft.Storage/storageAccounts", "contosobackups"),
        "url": "https://contosobackups.blob.core.windows.net/exports",
    });
    scene.make("blobContainer", "", own)
}
