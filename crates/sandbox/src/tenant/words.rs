//! The members of the enumerations, in the spelling of the Graph CSDL, which is the tenant's own spelling, and the ways into the other spellings.
//!
//! From `enums.json` of the contract. Case matters everywhere.

/// `alertClassification`
pub(crate) const CLASSIFICATION: &[&str] =
    &["unknown", "falsePositive", "truePositive", "informationalExpectedActivity", "unknownFutureValue"];

/// `alertDetermination`
pub(crate) const DETERMINATION: &[&str] = &[
    "unknown",
    "apt",
    "malware",
    "securityPersonnel",
    "securityTesting",
    "unwantedSoftware",
    "other",
    "multiStagedAttack",
    "compromisedAccount",
    "phishing",
    "maliciousUserActivity",
    "notMalicious",
    "notEnoughDataToValidate",
    "confirmedActivity",
    "lineOfBusinessApplication",
    "unknownFutureValue",
];

/// `alertSeverity`
pub(crate) const SEVERITY: &[&str] = &["unknown", "informational", "low", "medium", "high", "unknownFutureValue"];

/// `incidentStatus`
pub(crate) const INCIDENT_STATUS: &[&str] =
    &["active", "resolved", "inProgress", "redirected", "unknownFutureValue", "awaitingAction"];

/// `alertStatus`
pub(crate) const ALERT_STATUS: &[&str] = &["unknown", "new", "inProgress", "resolved", "unknownFutureValue"];

/// `serviceSource`
pub(crate) const SERVICE_SOURCE: &[&str] = &[
    "unknown",
    "microsoftDefenderForEndpoint",
    "microsoftDefenderForIdentity",
    "microsoftDefenderForCloudApps",
    "microsoftDefenderForOffice365",
    "microsoft365Defender",
    "azureAdIdentityProtection",
    "microsoftAppGovernance",
    "dataLossPrevention",
    "unknownFutureValue",
    "microsoftDefenderForCloud",
    "microsoftSentinel",
    "microsoftInsiderRiskManagement",
    "microsoftThreatIntelligence",
    "microsoftSecurityForAI",
];

/// Members that arrive as `unknownFutureValue` unless the request says `Prefer: include-unknown-enum-members`: (property, members).
const LATE: &[(&str, &[&str])] = &[
    ("status", &["awaitingAction"]),
    (
        "serviceSource",
        &[
            "microsoftDefenderForCloud",
            "microsoftSentinel",
            "microsoftInsiderRiskManagement",
            "microsoftThreatIntelligence",
            "microsoftSecurityForAI",
        ],
    ),
    (
        "detectionSource",
        &[
            "microsoftDefenderForCloud",
            "microsoftDefenderForIoT",
            "microsoftDefenderForServers",
            "microsoftDefenderForStorage",
            "microsoftDefenderForDNS",
            "microsoftDefenderForDatabases",
            "microsoftDefenderForContainers",
            "microsoftDefenderForNetwork",
            "microsoftDefenderForAppService",
            "microsoftDefenderForKeyVault",
            "microsoftDefenderForResourceManager",
            "microsoftDefenderForApiManagement",
            "nrtAlerts",
            "scheduledAlerts",
            "microsoftDefenderThreatIntelligenceAnalytics",
            "builtInMl",
            "microsoftInsiderRiskManagement",
            "microsoftThreatIntelligence",
            "microsoftDefenderForAIServices",
            "securityCopilot",
            "microsoftSentinel",
        ],
    ),
    ("remediationStatus", &["active", "pendingApproval", "declined", "unremediated", "running", "partiallyRemediated"]),
];

/// The value of an enum property as a request without the `Prefer` header sees it.
pub(crate) fn closed<'a>(property: &str, value: &'a str) -> &'a str {
    let late = LATE.iter().any(|(name, members)| *name == property && members.contains(&value));
    if late { "unknownFutureValue" } else { value }
}

/// The member of `members` that is `text`, in its own spelling.
pub(crate) fn member(members: &'static [&'static str], text: &str, any_case: bool) -> Option<&'static str> {
    members.iter().copied().find(|member| *member == text || (any_case && member.eq_ignore_ascii_case(text)))
}

/// Determinations that the table allows with a classification; `None` for classifications without a table.
pub(crate) fn determinations(classification: &str) -> Option<&'static [&'static str]> {
    match classification {
        "truePositive" => Some(&[
            "multiStagedAttack",
            "maliciousUserActivity",
            "compromisedAccount",
            "malware",
            "phishing",
            "unwantedSoftware",
            "other",
        ]),
        "informationalExpectedActivity" => {
            Some(&["securityTesting", "lineOfBusinessApplication", "confirmedActivity", "other"])
        }
        "falsePositive" => Some(&["notMalicious", "notEnoughDataToValidate", "other"]),
        _ => None,
    }
}

/// The determination in the spelling of the older Graph pages.
pub(crate) fn older_graph(determination: &str) -> &str {
    match determination {
        "compromisedAccount" => "compromisedUser",
        "notMalicious" => "clean",
        "notEnoughDataToValidate" => "insufficientData",
        "confirmedActivity" => "confirmedUserActivity",
        same => same,
    }
}

/// The determination in the spelling of Defender XDR's update page.
pub(crate) fn xdr_update(determination: &str) -> String {
    match determination {
        "unknown" => "NotAvailable".to_owned(),
        "notMalicious" => "Clean".to_owned(),
        "notEnoughDataToValidate" => "NoEnoughDataToValidate".to_owned(),
        same => pascal(same),
    }
}

/// The determination in the spelling of Defender XDR's resource page.
pub(crate) fn xdr_resource(determination: &str) -> String {
    match determination {
        "compromisedAccount" => "CompromisedUser".to_owned(),
        "notEnoughDataToValidate" => "InsufficientData".to_owned(),
        "confirmedActivity" => "ConfirmedUserActivity".to_owned(),
        same => xdr_update(same),
    }
}

/// The determination that Defender XDR's update page spells so.
pub(crate) fn from_xdr_update(text: &str) -> Option<&'static str> {
    DETERMINATION.iter().copied().find(|member| *member != "unknownFutureValue" && xdr_update(member) == text)
}

/// The same word with a capital first letter, which is how most members are spelled outside Graph.
pub(crate) fn pascal(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

/// The service in the spelling of Defender XDR. The contract knows examples only (enums.json); the others follow their pattern.
pub(crate) fn xdr_service(source: &str) -> String {
    match source {
        "microsoftDefenderForEndpoint" => "MicrosoftDefenderATP".to_owned(),
        "microsoftDefenderForOffice365" => "OfficeATP".to_owned(),
        "microsoftDefenderForCloudApps" => "MicrosoftCloudAppSecurity".to_owned(),
        "microsoftDefenderForIdentity" => "AzureATP".to_owned(),
        "microsoft365Defender" => "MicrosoftThreatProtection".to_owned(),
        "azureAdIdentityProtection" => "AadIdentityProtection".to_owned(),
        other => pascal(other),
    }
}

/// The detection source in the spelling of Defender XDR; as [`xdr_service`].
pub(crate) fn xdr_detection(source: &str) -> String {
    match source {
        "antivirus" => "WindowsDefenderAv".to_owned(),
        "microsoftDefenderForEndpoint" => "WindowsDefenderAtp".to_owned(),
        "cloudAppSecurity" => "MCAS".to_owned(),
        "microsoftDefenderForOffice365" => "OfficeATP".to_owned(),
        "microsoftDefenderForIdentity" => "AzureATP".to_owned(),
        "microsoft365Defender" => "MTP".to_owned(),
        other => pascal(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_determinations_follow_the_crosswalk() {
        for (graph, older, update, resource) in [
            ("multiStagedAttack", "multiStagedAttack", "MultiStagedAttack", "MultiStagedAttack"),
            ("compromisedAccount", "compromisedUser", "CompromisedAccount", "CompromisedUser"),
            ("confirmedActivity", "confirmedUserActivity", "ConfirmedActivity", "ConfirmedUserActivity"),
            ("notMalicious", "clean", "Clean", "Clean"),
            ("notEnoughDataToValidate", "insufficientData", "NoEnoughDataToValidate", "InsufficientData"),
            ("unknown", "unknown", "NotAvailable", "NotAvailable"),
        ] {
            assert_eq!(older_graph(graph), older);
            assert_eq!(xdr_update(graph), update);
            assert_eq!(xdr_resource(graph), resource);
            assert_eq!(from_xdr_update(update), Some(graph));
        }
        assert_eq!(from_xdr_update("CompromisedUser"), None);
        assert_eq!(from_xdr_update("clean"), None);
    }

    #[test]
    fn late_members_hide_by_property() {
        assert_eq!(closed("status", "awaitingAction"), "unknownFutureValue");
        assert_eq!(closed("remediationStatus", "active"), "unknownFutureValue");
        assert_eq!(closed("status", "active"), "active");
        assert_eq!(closed("healthStatus", "active"), "active");
    }
}
