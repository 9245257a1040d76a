//! Evidence around mail and chat.

use serde_json::{Value, json};

use super::device::file;
use super::{Kind, Scene};
use crate::clock::text;

pub(super) fn make(scene: &mut Scene<'_>, kind: Kind) -> Option<Value> {
    let subject = scene.chance.pick(&[
        "Your invoice 88210 is overdue",
        "[EXTERNAL] Shared document",
        "Password expires today",
        "Payroll update: action required",
    ]);
    Some(match kind {
        "mailbox" => {
            let own = json!({
                "displayName": super::super::names::display_name(&scene.account),
                "primaryAddress": scene.upn(),
                "upn": scene.upn(),
                "userAccount": scene.user_account(),
            });
            scene.make(kind, "", own)
        }
        "analyzedMessage" => {
            let own = json!({
                "networkMessageId": scene.chance.guid(),
                "internetMessageId": format!("<{}@mail.fabrikam.example>", scene.chance.hex(24)),
                "subject": subject,
                "language": "en",
                "senderIp": scene.chance.public_ip(),
                "recipientEmailAddress": scene.upn(),
                "antiSpamDirection": "inbound",
                "deliveryAction": "delivered",
                "deliveryLocation": "inbox",
                "urn": format!("urn:MailEntity:{}", scene.chance.hex(32)),
                "receivedDateTime": text(scene.time),
                "attachmentsCount": 1,
                "urlCount": 1,
                "urls": [format!("https://{}/login?next=%2Fmail", scene.host)],
                "threats": ["Phish"],
                "threatDetectionMethods": ["URL detonation"],
                "p1Sender": { "displayName": "Fabrikam Billing", "domainName": "mail.fabrikam.example", "emailAddress": "bounce@mail.fabrikam.example" },
                "p2Sender": { "displayName": "Fabrikam Billing", "domainName": "fabrikam.example", "emailAddress": "billing@fabrikam.example" },
            });
            scene.make(kind, "", own)
        }
        "mailCluster" => {
            let own = json!({
                "clusterBy": "Subject;P2SenderDomain;ContentType",
                "clusterByValue": format!("{subject};fabrikam.example;1"),
                "emailCount": 1 + scene.chance.below(400),
                "networkMessageIds": [scene.chance.guid(), scene.chance.guid()],
                "query": format!("( ((Subject:\"{subject}\") AND (P2SenderDomain:\"fabrikam.example\")) )"),
                "urn": format!("urn:MailClusterEntity:{}", scene.chance.hex(32)),
            });
            scene.make(kind, "", own)
        }
        "submissionMail" => {
            let own = json!({
                "submissionId": scene.chance.guid(),
                "networkMessageId": scene.chance.guid(),
                "reportType": "Phish",
                "recipient": scene.upn(),
                "sender": "billing@fabrikam.example",
                "senderIp": scene.chance.public_ip(),
                "subject": subject,
                "submissionDateTime": text(scene.time),
                "submitter": scene.upn(),
            });
            scene.make(kind, "", own)
        }
        "mailboxConfiguration" => {
            let own = json!({
                "configurationId": scene.chance.hex(18),
                "configurationType": "userInboxRule",
                "displayName": "..",
                "externalDirectoryObjectId": scene.chance.guid(),
                "mailboxPrimaryAddress": scene.upn(),
                "upn": scene.upn(),
            });
            scene.make(kind, "added", own)
        }
        "teamsMessage" => {
            let link = scene.make("url", "", json!({ "url": format!("https://{}/join", scene.host) }));
            let own = json!({
                "campaignId": null,
                "channelId": null,
                "deliveryAction": "delivered",
                "deliveryLocation": "teams",
                "files": [file(scene)],
                "groupId": null,
                "isExternal": true,
                "isOwned": false,
                "lastModifiedDateTime": text(scene.time),
                "messageDirection": "inbound",
                "messageId": scene.chance.below(9_999_999_999_999).to_string(),
                "owningTenantId": scene.chance.guid(),
                "parentMessageId": null,
                "receivedDateTime": text(scene.time),
                "recipients": [scene.upn()],
                "senderFromAddress": "helpdesk@fabrikam.example",
                "senderIP": scene.chance.public_ip(),
                "sourceAppName": "Teams",
                "sourceId": scene.chance.guid(),
                "subject": subject,
                "suspiciousRecipients": [scene.upn()],
                "threadId": format!("19:{}@unq.gbl.spaces", scene.chance.hex(32)),
                "threadType": "chat",
                "urls": [link],
            });
            scene.make(kind, "", own)
        }
        _ => return None,
    })
}
