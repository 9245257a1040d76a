//! The words of Defender for Endpoint's machine actions. Only that API has them, so its spelling is the canonical one.

use super::enumeration;

enumeration! {
    /// How far a machine action has come (contract section 7.1).
    MachineActionStatus is "machine action status" {
        /// Queued; the machine has not fetched it.
        Pending = "Pending" / "Pending",
        /// The machine works on it.
        InProgress = "InProgress" / "InProgress",
        /// Done.
        Succeeded = "Succeeded" / "Succeeded",
        /// Failed.
        Failed = "Failed" / "Failed",
        /// The machine did not answer in time.
        TimeOut = "TimeOut" / "TimeOut",
        /// Cancelled before it was done.
        Cancelled = "Cancelled" / "Cancelled",
    }
}

impl MachineActionStatus {
    /// Whether nothing will change any more. An unknown status is not final.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::TimeOut | Self::Cancelled)
    }
}

enumeration! {
    /// What a machine action does (contract section 7.1).
    MachineActionType is "machine action type" {
        /// An antivirus scan.
        RunAntiVirusScan = "RunAntiVirusScan" / "RunAntiVirusScan",
        /// Off-boarding.
        Offboard = "Offboard" / "Offboard",
        /// A live response session.
        LiveResponse = "LiveResponse" / "LiveResponse",
        /// Collecting an investigation package.
        CollectInvestigationPackage = "CollectInvestigationPackage" / "CollectInvestigationPackage",
        /// Isolation from the network.
        Isolate = "Isolate" / "Isolate",
        /// Release from isolation.
        Unisolate = "Unisolate" / "Unisolate",
        /// Stopping a file's processes and quarantining it.
        StopAndQuarantineFile = "StopAndQuarantineFile" / "StopAndQuarantineFile",
        /// Restricting which applications run.
        RestrictCodeExecution = "RestrictCodeExecution" / "RestrictCodeExecution",
        /// Lifting that restriction.
        UnrestrictCodeExecution = "UnrestrictCodeExecution" / "UnrestrictCodeExecution",
    }
}

enumeration! {
    /// How a machine is cut off (contract section 7).
    IsolationType is "isolation type" {
        /// From everything but the Defender service.
        Full = "Full" / "Full",
        /// Only a limited set of applications is cut off.
        Selective = "Selective" / "Selective",
        /// A machine without Defender: managed machines are told to shun it ("contain").
        UnmanagedDevice = "UnManagedDevice" / "UnManagedDevice",
    }
}
