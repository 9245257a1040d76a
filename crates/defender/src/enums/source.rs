//! Where an alert comes from. Graph's names are from its type description; the Defender XDR surface documents no list,
//! only the product names of its examples (contract `enums.json`), which are read as the same members.

use super::enumeration;

enumeration! {
    /// The product that raised an alert.
    ServiceSource is "service source" {
        /// Not known.
        Unknown = "unknown" / "Unknown",
        /// Microsoft Defender for Endpoint.
        MicrosoftDefenderForEndpoint = "microsoftDefenderForEndpoint" / "MicrosoftDefenderATP" ["WindowsDefenderAtp"],
        /// Microsoft Defender for Identity.
        MicrosoftDefenderForIdentity = "microsoftDefenderForIdentity" / "MicrosoftDefenderForIdentity" ["AzureATP"],
        /// Microsoft Defender for Cloud Apps.
        MicrosoftDefenderForCloudApps = "microsoftDefenderForCloudApps" / "MicrosoftCloudAppSecurity" ["MCAS"],
        /// Microsoft Defender for Office 365.
        MicrosoftDefenderForOffice365 = "microsoftDefenderForOffice365" / "OfficeATP",
        /// Microsoft Defender XDR itself.
        Microsoft365Defender = "microsoft365Defender" / "Microsoft365Defender" ["MicrosoftThreatProtection", "MTP"],
        /// Microsoft Entra ID Protection.
        AzureAdIdentityProtection = "azureAdIdentityProtection" / "AzureAdIdentityProtection" ["AADIdentityProtection"],
        /// App governance.
        MicrosoftAppGovernance = "microsoftAppGovernance" / "MicrosoftAppGovernance",
        /// Microsoft Purview data loss prevention.
        DataLossPrevention = "dataLossPrevention" / "DataLossPrevention",
        /// Microsoft Defender for Cloud.
        MicrosoftDefenderForCloud = "microsoftDefenderForCloud" / "MicrosoftDefenderForCloud",
        /// Microsoft Sentinel.
        MicrosoftSentinel = "microsoftSentinel" / "MicrosoftSentinel",
        /// Microsoft Purview insider risk management.
        MicrosoftInsiderRiskManagement = "microsoftInsiderRiskManagement" / "MicrosoftInsiderRiskManagement",
        /// Microsoft Threat Intelligence.
        MicrosoftThreatIntelligence = "microsoftThreatIntelligence" / "MicrosoftThreatIntelligence",
        /// Microsoft Security for AI.
        MicrosoftSecurityForAi = "microsoftSecurityForAI" / "MicrosoftSecurityForAI",
    }
}

enumeration! {
    /// The technology that found what an alert is about.
    DetectionSource is "detection source" {
        /// Not known.
        Unknown = "unknown" / "Unknown",
        /// Endpoint detection and response.
        MicrosoftDefenderForEndpoint = "microsoftDefenderForEndpoint" / "WindowsDefenderAtp",
        /// Antivirus.
        Antivirus = "antivirus" / "WindowsDefenderAv",
        /// SmartScreen.
        SmartScreen = "smartScreen" / "WindowsDefenderSmartScreen",
        /// A customer's own indicators.
        CustomTi = "customTi" / "CustomerTI",
        /// Microsoft Defender for Office 365.
        MicrosoftDefenderForOffice365 = "microsoftDefenderForOffice365" / "OfficeATP",
        /// Automated investigation.
        AutomatedInvestigation = "automatedInvestigation" / "AutomatedInvestigation",
        /// Microsoft Threat Experts.
        MicrosoftThreatExperts = "microsoftThreatExperts" / "MicrosoftThreatExperts" ["ThreatExperts"],
        /// A custom detection rule.
        CustomDetection = "customDetection" / "CustomDetection",
        /// Microsoft Defender for Identity.
        MicrosoftDefenderForIdentity = "microsoftDefenderForIdentity" / "MicrosoftDefenderForIdentity" ["AzureATP"],
        /// Microsoft Defender for Cloud Apps.
        CloudAppSecurity = "cloudAppSecurity" / "MCAS",
        /// Microsoft Defender XDR itself.
        Microsoft365Defender = "microsoft365Defender" / "Microsoft365Defender" ["MicrosoftThreatProtection", "MTP"],
        /// Microsoft Entra ID Protection.
        AzureAdIdentityProtection = "azureAdIdentityProtection" / "AzureAdIdentityProtection",
        /// By hand.
        Manual = "manual" / "Manual",
        /// Data loss prevention.
        MicrosoftDataLossPrevention = "microsoftDataLossPrevention" / "MicrosoftDataLossPrevention",
        /// An app governance policy.
        AppGovernancePolicy = "appGovernancePolicy" / "AppGovernancePolicy",
        /// An app governance detection.
        AppGovernanceDetection = "appGovernanceDetection" / "AppGovernanceDetection",
        /// Microsoft Defender for Cloud.
        MicrosoftDefenderForCloud = "microsoftDefenderForCloud" / "MicrosoftDefenderForCloud",
        /// Microsoft Defender for IoT.
        MicrosoftDefenderForIot = "microsoftDefenderForIoT" / "MicrosoftDefenderForIoT",
        /// Microsoft Defender for Servers.
        MicrosoftDefenderForServers = "microsoftDefenderForServers" / "MicrosoftDefenderForServers",
        /// Microsoft Defender for Storage.
        MicrosoftDefenderForStorage = "microsoftDefenderForStorage" / "MicrosoftDefenderForStorage",
        /// Microsoft Defender for DNS.
        MicrosoftDefenderForDns = "microsoftDefenderForDNS" / "MicrosoftDefenderForDNS",
        /// Microsoft Defender for Databases.
        MicrosoftDefenderForDatabases = "microsoftDefenderForDatabases" / "MicrosoftDefenderForDatabases",
        /// Microsoft Defender for Containers.
        MicrosoftDefenderForContainers = "microsoftDefenderForContainers" / "MicrosoftDefenderForContainers",
        /// Microsoft Defender for Network.
        MicrosoftDefenderForNetwork = "microsoftDefenderForNetwork" / "MicrosoftDefenderForNetwork",
        /// Microsoft Defender for App Service.
        MicrosoftDefenderForAppService = "microsoftDefenderForAppService" / "MicrosoftDefenderForAppService",
        /// Microsoft Defender for Key Vault.
        MicrosoftDefenderForKeyVault = "microsoftDefenderForKeyVault" / "MicrosoftDefenderForKeyVault",
        /// Microsoft Defender for Resource Manager.
        MicrosoftDefenderForResourceManager = "microsoftDefenderForResourceManager" / "MicrosoftDefenderForResourceManager",
        /// Microsoft Defender for API Management.
        MicrosoftDefenderForApiManagement = "microsoftDefenderForApiManagement" / "MicrosoftDefenderForApiManagement",
        /// Near-real-time analytics rules.
        NrtAlerts = "nrtAlerts" / "NrtAlerts",
        /// Scheduled analytics rules.
        ScheduledAlerts = "scheduledAlerts" / "ScheduledAlerts",
        /// Threat intelligence analytics.
        MicrosoftDefenderThreatIntelligenceAnalytics =
            "microsoftDefenderThreatIntelligenceAnalytics" / "MicrosoftDefenderThreatIntelligenceAnalytics",
        /// Built-in machine learning.
        BuiltInMl = "builtInMl" / "BuiltInMl",
        /// Insider risk management.
        MicrosoftInsiderRiskManagement = "microsoftInsiderRiskManagement" / "MicrosoftInsiderRiskManagement",
        /// Microsoft Threat Intelligence.
        MicrosoftThreatIntelligence = "microsoftThreatIntelligence" / "MicrosoftThreatIntelligence",
        /// Microsoft Defender for AI Services.
        MicrosoftDefenderForAiServices = "microsoftDefenderForAIServices" / "MicrosoftDefenderForAIServices",
        /// Security Copilot.
        SecurityCopilot = "securityCopilot" / "SecurityCopilot",
        /// Microsoft Sentinel.
        MicrosoftSentinel = "microsoftSentinel" / "MicrosoftSentinel",
    }
}
