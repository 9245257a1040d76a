//! Evidence on and around a device: device, process, file, registry, network, accounts.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Kind, Scene};
use crate::clock::text;

pub(super) fn make(scene: &mut Scene<'_>, kind: Kind) -> Option<Value> {
    Some(match kind {
        "device" => device(scene, "compromised"),
        "user" => user(scene, "compromised"),
        "ip" => {
            let address = scene.chance.public_ip();
            ip(scene, &address, "attacker")
        }
        "file" => file(scene),
        "fileHash" => {
            let [_, value, _] = scene.hashes(scene.file);
            scene.make(kind, "", json!({ "algorithm": "sha256", "value": value }))
        }
        "process" => process(scene),
        "malware" => {
            let own = json!({
                "name": "Trojan:Win32/Sandbox.A!ml",
                "category": "Trojan",
                "files": [file(scene)],
                "processes": [process(scene)],
            });
            scene.make(kind, "", own)
        }
        "registryKey" => scene.make(
            kind,
            "edited",
            json!({
                "registryHive": "HKEY_LOCAL_MACHINE",
                "registryKey": "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Run",
            }),
        ),
        "registryValue" => {
            let own = json!({
                "mdeDeviceId": scene.device.id,
                "registryHive": "HKEY_LOCAL_MACHINE",
                "registryKey": "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Run",
                "registryValueName": "Updater",
                "registryValueType": "String",
                "registryValue": format!("C:\\ProgramData\\{}", scene.file),
            });
            scene.make(kind, "edited", own)
        }
        "networkConnection" => {
            let (from, to) = (scene.device.ip.clone(), scene.chance.public_ip());
            let own = json!({
                "sourceAddress": ip(scene, &from, "source"),
                "sourcePort": 49152 + scene.chance.below(16000),
                "destinationAddress": ip(scene, &to, "destination"),
                "destinationPort": scene.chance.pick(&[443, 80, 445, 3389, 8443]),
                "protocol": "tcp",
            });
            scene.make(kind, "", own)
        }
        "nic" => nic(scene),
        "dns" => {
            let (server, host, answer) = (scene.chance.private_ip(), scene.device.ip.clone(), scene.chance.public_ip());
            let own = json!({
                "domainName": scene.host,
                "dnsServerIp": ip(scene, &server, ""),
                "hostIpAddress": ip(scene, &host, ""),
                "ipAddresses": [ip(scene, &answer, "commandAndControl")],
            });
            scene.make(kind, "commandAndControl", own)
        }
        "url" => scene.make(kind, "", json!({ "url": format!("https://{}/login?next=%2Fmail", scene.host) })),
        "hostLogonSession" => {
            let start = scene.time;
            let own = json!({
                "account": user(scene, "compromised"),
                "host": device(scene, ""),
                "sessionId": scene.chance.hex(12),
                "startUtcDateTime": text(start),
                "endUtcDateTime": null,
            });
            scene.make(kind, "", own)
        }
        "activeDirectoryDomain" => {
            let trusted =
                scene.make(kind, "", json!({ "activeDirectoryDomainName": "fabrikam.local", "trustedDomains": [] }));
            scene.make(
                kind,
                "attacked",
                json!({ "activeDirectoryDomainName": "corp.contoso.com", "trustedDomains": [trusted] }),
            )
        }
        "securityGroup" => {
            let own = json!({
                "displayName": "Tier 0 Administrators",
                "friendlyName": "Tier 0 Administrators",
                "distinguishedName": "CN=Tier 0 Administrators,OU=Groups,DC=corp,DC=contoso,DC=com",
                "securityGroupId": scene.chance.guid(),
                "activeDirectoryObjectGuid": scene.chance.guid(),
                "sid": format!("S-1-5-21-{}-512", scene.chance.below(4_000_000_000)),
            });
            scene.make(kind, "edited", own)
        }
        "ioTDevice" => iot(scene),
        _ => return None,
    })
}

/// An address with where it is.
pub(super) fn ip(scene: &mut Scene<'_>, address: &str, role: &str) -> Value {
    let (letters, country, city, latitude, longitude) = scene.chance.pick(&[
        ("NL", "Netherlands", "Amsterdam", 52.37, 4.9),
        ("BR", "Brazil", "Recife", -8.05, -34.9),
        ("SG", "Singapore", "Singapore", 1.35, 103.8),
        ("US", "United States", "Ashburn", 39.04, -77.5),
    ]);
    let own = json!({
        "ipAddress": address,
        "countryLetterCode": letters,
        "location": { "countryName": country, "state": null, "city": city, "latitude": latitude, "longitude": longitude },
        "stream": null,
    });
    scene.make("ip", role, own)
}

/// The scene's account.
pub(super) fn user(scene: &mut Scene<'_>, role: &str) -> Value {
    let own = json!({ "userAccount": scene.user_account(), "stream": null });
    scene.make("user", role, own)
}

fn device(scene: &mut Scene<'_>, role: &str) -> Value {
    let identity = scene.device.clone();
    let (host, domain) = identity.name.split_once('.').unwrap_or((&identity.name, ""));
    let own = json!({
        "firstSeenDateTime": text(identity.first_seen),
        "mdeDeviceId": identity.id,
        "azureAdDeviceId": identity.aad_device_id,
        "deviceDnsName": identity.name,
        "hostName": host,
        "ntDomain": "CONTOSO",
        "dnsDomain": domain,
        "osPlatform": identity.os_platform,
        "osBuild": identity.os_build,
        "version": identity.version,
        "healthStatus": "active",
        "riskScore": scene.chance.pick(&["none", "informational", "low", "medium", "high"]),
        "rbacGroupId": identity.rbac_group_id,
        "rbacGroupName": identity.rbac_group_name,
        "onboardingStatus": "onboarded",
        "defenderAvStatus": scene.chance.pick(&["updated", "updated", "notUpdated", "unknown"]),
        "ipInterfaces": [identity.ip, "fe80::1c2d:3e4f:5061:7283", "127.0.0.1", "::1"],
        "lastIpAddress": identity.ip,
        "lastExternalIpAddress": identity.external_ip,
        "loggedOnUsers": [{ "accountName": scene.account, "domainName": "CONTOSO" }],
        "resourceAccessEvents": [{
            "accessDateTime": text(scene.time), "accountId": scene.chance.guid(), "ipAddress": identity.ip, "resourceIdentifier": "cifs/fileserver.corp.contoso.com",
        }],
        "vmMetadata": if identity.server { json!({
            "vmId": scene.chance.guid(), "cloudProvider": "azure", "subscriptionId": "5a4db0c5-0000-4000-8000-000000000000",
            "resourceId": format!("/subscriptions/5a4db0c5-0000-4000-8000-000000000000/resourceGroups/servers/providers/Microsoft.Compute/virtualMachines/{host}"),
        }) } else { Value::Null },
    });
    scene.make("device", role, own)
}

fn details(scene: &mut Scene<'_>, name: &str, path: &str, signed: bool) -> Value {
    let [sha1, sha256, md5] = scene.hashes(name);
    json!({
        "sha1": sha1,
        "sha256": sha256,
        "md5": md5,
        "sha256Ac": null,
        "fileName": name,
        "filePath": path,
        "fileSize": 4096 + scene.chance.below(8_000_000),
        "filePublisher": if signed { json!("Microsoft Corporation") } else { Value::Null },
        "signer": if signed { json!("Microsoft Windows") } else { Value::Null },
        "issuer": if signed { json!("Microsoft Windows Production PCA 2011") } else { Value::Null },
    })
}

pub(super) fn file(scene: &mut Scene<'_>) -> Value {
    let path = format!("C:\\Users\\{}\\AppData\\Local\\Temp", scene.account);
    let own = json!({
        "detectionStatus": scene.chance.pick(&["detected", "blocked", "prevented"]),
        "mdeDeviceId": scene.device.id,
        "fileDetails": details(scene, scene.file, &path, false),
    });
    scene.make("file", "", own)
}

fn process(scene: &mut Scene<'_>) -> Value {
    let path = format!("C:\\Users\\{}\\AppData\\Local\\Temp", scene.account);
    let parent = scene.time.saturating_sub(SignedDuration::from_secs(3600)).unwrap_or(scene.time);
    let own = json!({
        "processId": 1000 + scene.chance.below(30_000),
        "parentProcessId": 500 + scene.chance.below(500),
        "processCommandLine": scene.command,
        "processCreationDateTime": text(scene.time),
        "parentProcessCreationDateTime": text(parent),
        "detectionStatus": "detected",
        "mdeDeviceId": scene.device.id,
        "imageFile": details(scene, scene.file, &path, false),
        "parentProcessImageFile": details(scene, "explorer.exe", "C:\\Windows", true),
        "userAccount": scene.user_account(),
    });
    scene.make("process", "suspicious", own)
}

fn nic(scene: &mut Scene<'_>) -> Value {
    let address = scene.device.ip.clone();
    let own = json!({
        "ipAddress": ip(scene, &address, ""),
        "macAddress": scene.chance.hex(12).to_ascii_uppercase(),
        "vlans": ["112"],
    });
    scene.make("nic", "", own)
}

fn iot(scene: &mut Scene<'_>) -> Value {
    let address = scene.chance.private_ip();
    let hub = scene.make("azureResource", "", json!({
        "resourceId": "/subscriptions/5a4db0c5-0000-4000-8000-000000000000/resourceGroups/plant/providers/Microsoft.Devices/IotHubs/plant-hub",
        "resourceName": "plant-hub",
        "resourceType": "Microsoft.Devices/IotHubs",
    }));
    let source = scene.make("url", "", json!({ "url": "https://portal.contoso.com/iot/plc-7" }));
    let own = json!({
        "deviceId": scene.chance.guid(),
        "deviceName": "plc-7",
        "devicePageLink": "https://portal.contoso.com/iot/plc-7",
        "deviceType": "Industrial",
        "deviceSubType": "PLC",
        "importance": "high",
        "ioTHub": hub,
        "ioTSecurityAgentId": scene.chance.guid(),
        "ipAddress": ip(scene, &address, ""),
        "isAuthorized": true,
        "isProgramming": false,
        "isScanner": false,
        "macAddress": scene.chance.hex(12),
        "manufacturer": "Fabrikam Controls",
        "model": "FC-300",
        "nics": [nic(scene)],
        "operatingSystem": "RTOS 4.1",
        "owners": ["plant-operations@contoso.com"],
        "protocols": ["Modbus"],
        "purdueLayer": "1",
        "sensor": "sensor-2",
        "serialNumber": scene.chance.hex(10),
        "site": "Plant North",
        "source": "Sensor",
        "sourceRef": source,
        "zone": "Line 2",
    });
    scene.make("ioTDevice", "attacked", own)
}
