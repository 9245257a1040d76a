//! The words of an incident and its alerts, and which determinations go with which classification.

use super::enumeration;

enumeration! {
    /// The status of an incident.
    IncidentStatus is "incident status" {
        /// Nobody has begun.
        Active = "active" / "Active",
        /// Closed.
        Resolved = "resolved" / "Resolved",
        /// Somebody works on it.
        InProgress = "inProgress" / "InProgress",
        /// Merged into another incident; see `redirectIncidentId`.
        Redirected = "redirected" / "Redirected",
        /// Waits for the customer; only Microsoft's own experts set it.
        AwaitingAction = "awaitingAction" / "AwaitingAction",
    }
}

enumeration! {
    /// A status that a person or a playbook may give an incident. Merging makes incidents redirected, and only
    /// Microsoft's own experts set awaitingAction (contract section 4.1).
    NewStatus is "incident status to set" {
        /// Nobody has begun, or it is open again.
        Active = "active" / "Active",
        /// Somebody works on it.
        InProgress = "inProgress" / "InProgress",
        /// Closed.
        Resolved = "resolved" / "Resolved",
    }
}

enumeration! {
    /// The status of an alert.
    AlertStatus is "alert status" {
        /// Not known.
        Unknown = "unknown" / "Unknown",
        /// Nobody has begun.
        New = "new" / "New",
        /// Somebody works on it.
        InProgress = "inProgress" / "InProgress",
        /// Closed.
        Resolved = "resolved" / "Resolved",
    }
}

enumeration! {
    /// How grave an incident or an alert is.
    Severity is "severity" {
        /// Not known; the Defender XDR surface says unspecified.
        Unknown = "unknown" / "UnSpecified",
        /// Of interest, not harmful by itself.
        Informational = "informational" / "Informational",
        /// Low.
        Low = "low" / "Low",
        /// Medium.
        Medium = "medium" / "Medium",
        /// High.
        High = "high" / "High",
    }
}

enumeration! {
    /// What an incident or alert turned out to be.
    Classification is "classification" {
        /// Not decided.
        Unknown = "unknown" / "Unknown",
        /// Not malicious, or not enough data.
        FalsePositive = "falsePositive" / "FalsePositive",
        /// Malicious.
        TruePositive = "truePositive" / "TruePositive",
        /// Real but expected: a test, a business application.
        InformationalExpectedActivity = "informationalExpectedActivity" / "InformationalExpectedActivity",
    }
}

enumeration! {
    /// Why it is classified so. The spellings are contract `enums.json`, `determination_crosswalk`.
    Determination is "determination" {
        /// Not decided.
        Unknown = "unknown" / "NotAvailable",
        /// An advanced persistent threat. Retired by Microsoft in 2022, still read.
        Apt = "apt" / "Apt",
        /// Malware.
        Malware = "malware" / "Malware",
        /// The security team. Retired by Microsoft in 2022, still read.
        SecurityPersonnel = "securityPersonnel" / "SecurityPersonnel",
        /// A security test.
        SecurityTesting = "securityTesting" / "SecurityTesting",
        /// Unwanted software.
        UnwantedSoftware = "unwantedSoftware" / "UnwantedSoftware",
        /// Anything else.
        Other = "other" / "Other",
        /// An attack in several stages.
        MultiStagedAttack = "multiStagedAttack" / "MultiStagedAttack",
        /// An account that an attacker uses.
        CompromisedAccount = "compromisedAccount" / "CompromisedAccount" ["compromisedUser"],
        /// Phishing.
        Phishing = "phishing" / "Phishing",
        /// A user who means harm.
        MaliciousUserActivity = "maliciousUserActivity" / "MaliciousUserActivity",
        /// Not malicious.
        NotMalicious = "notMalicious" / "Clean",
        /// Not enough data to say (the Defender XDR spelling is Microsoft's own).
        NotEnoughDataToValidate = "notEnoughDataToValidate" / "NoEnoughDataToValidate" ["insufficientData"],
        /// Activity that its owner confirmed.
        ConfirmedActivity = "confirmedActivity" / "ConfirmedActivity" ["confirmedUserActivity"],
        /// A line-of-business application.
        LineOfBusinessApplication = "lineOfBusinessApplication" / "LineOfBusinessApplication",
    }
}

impl Classification {
    /// The determinations that may be set together with this classification (contract section 6.1 and the
    /// crosswalk). `unknown` goes with `unknown` alone, and retired determinations go with none.
    pub fn determinations(&self) -> &'static [Determination] {
        use Determination::*;
        match self {
            Self::TruePositive => &[
                MultiStagedAttack,
                MaliciousUserActivity,
                CompromisedAccount,
                Malware,
                Phishing,
                UnwantedSoftware,
                Other,
            ],
            Self::InformationalExpectedActivity => {
                &[SecurityTesting, LineOfBusinessApplication, ConfirmedActivity, Other]
            }
            Self::FalsePositive => &[NotMalicious, NotEnoughDataToValidate, Other],
            Self::Unknown => &[Unknown],
            Self::Unrecognized(_) => &[],
        }
    }

    /// Whether the pair may be set.
    pub fn allows(&self, determination: &Determination) -> bool {
        self.determinations().contains(determination)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enums::Enumeration;

    #[test]
    fn pairs() {
        assert!(Classification::TruePositive.allows(&Determination::Malware));
        assert!(!Classification::FalsePositive.allows(&Determination::Malware));
        assert!(!Classification::TruePositive.allows(&Determination::Apt));
        for classification in
            [Classification::TruePositive, Classification::FalsePositive, Classification::InformationalExpectedActivity]
        {
            assert!(classification.allows(&Determination::Other), "{classification}");
            assert!(!classification.allows(&Determination::Unknown), "{classification}");
        }
    }

    #[test]
    fn but_for_other_a_determination_has_one_classification() {
        for name in Determination::MEMBERS {
            let determination = Determination::read(name);
            let homes = Classification::MEMBERS.iter().filter(|name| Classification::read(name).allows(&determination));
            let wanted = match determination {
                Determination::Other => 3,
                Determination::Apt | Determination::SecurityPersonnel => 0,
                _ => 1,
            };
            assert_eq!(homes.count(), wanted, "{name}");
        }
    }
}
