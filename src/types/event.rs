//! Inform event codes (TR-069 §3.7.1.5, Table 8), read the way firmwares really write them.

use serde::{Deserialize, Serialize};

/// Why a CPE opened a session. The order of the standard codes is the standard's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventCode {
    /// `0 BOOTSTRAP`: first contact, factory reset, or a changed ACS URL.
    Bootstrap,
    /// `1 BOOT`.
    Boot,
    /// `2 PERIODIC`.
    Periodic,
    /// `3 SCHEDULED`.
    Scheduled,
    /// `4 VALUE CHANGE`.
    ValueChange,
    /// `5 KICKED`.
    Kicked,
    /// `6 CONNECTION REQUEST`.
    ConnectionRequest,
    /// `7 TRANSFER COMPLETE`.
    TransferComplete,
    /// `8 DIAGNOSTICS COMPLETE`.
    DiagnosticsComplete,
    /// `9 REQUEST DOWNLOAD`.
    RequestDownload,
    /// `10 AUTONOMOUS TRANSFER COMPLETE`.
    AutonomousTransferComplete,
    /// `11 DU STATE CHANGE COMPLETE`.
    DuStateChangeComplete,
    /// `12 AUTONOMOUS DU STATE CHANGE COMPLETE`.
    AutonomousDuStateChangeComplete,
    /// `13 WAKEUP` (CWMP 1.4).
    Wakeup,
    /// `M Reboot`.
    MReboot,
    /// `M ScheduleInform`.
    MScheduleInform,
    /// `M Download`.
    MDownload,
    /// `M ScheduleDownload`.
    MScheduleDownload,
    /// `M Upload`.
    MUpload,
    /// `M ChangeDUState`.
    MChangeDuState,
    /// `M X_<vendor>_<method>`, or an `M` method that no standard names.
    MVendor,
    /// `X <OUI or vendor> <text>`.
    Vendor,
    /// Anything else: treated as no reason at all.
    Unknown,
}

impl EventCode {
    /// Reads a code leniently: by its leading number, or by the method after `M`, in any case, text ignored.
    #[must_use]
    pub fn parse(raw: &str) -> Self {
        let text = raw.trim();
        let (head, tail) = match text.split_once(|c: char| c.is_whitespace()) {
            Some((head, tail)) => (head, tail.trim()),
            None => (text, ""),
        };
        match head {
            "0" => Self::Bootstrap,
            "1" => Self::Boot,
            "2" => Self::Periodic,
            "3" => Self::Scheduled,
            "4" => Self::ValueChange,
            "5" => Self::Kicked,
            "6" => Self::ConnectionRequest,
            "7" => Self::TransferComplete,
            "8" => Self::DiagnosticsComplete,
            "9" => Self::RequestDownload,
            "10" => Self::AutonomousTransferComplete,
            "11" => Self::DuStateChangeComplete,
            "12" => Self::AutonomousDuStateChangeComplete,
            "13" => Self::Wakeup,
            "M" | "m" => Self::parse_method(tail),
            "X" | "x" => Self::Vendor,
            _ => Self::Unknown,
        }
    }

    fn parse_method(method: &str) -> Self {
        let standard = [
            ("Reboot", Self::MReboot),
            ("ScheduleInform", Self::MScheduleInform),
            ("Download", Self::MDownload),
            ("ScheduleDownload", Self::MScheduleDownload),
            ("Upload", Self::MUpload),
            ("ChangeDUState", Self::MChangeDuState),
        ];
        standard.into_iter().find(|(name, _)| method.eq_ignore_ascii_case(name)).map_or(Self::MVendor, |(_, code)| code)
    }

    /// The canonical text, a closed set: also the metric label and what logs print.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bootstrap => "0 BOOTSTRAP",
            Self::Boot => "1 BOOT",
            Self::Periodic => "2 PERIODIC",
            Self::Scheduled => "3 SCHEDULED",
            Self::ValueChange => "4 VALUE CHANGE",
            Self::Kicked => "5 KICKED",
            Self::ConnectionRequest => "6 CONNECTION REQUEST",
            Self::TransferComplete => "7 TRANSFER COMPLETE",
            Self::DiagnosticsComplete => "8 DIAGNOSTICS COMPLETE",
            Self::RequestDownload => "9 REQUEST DOWNLOAD",
            Self::AutonomousTransferComplete => "10 AUTONOMOUS TRANSFER COMPLETE",
            Self::DuStateChangeComplete => "11 DU STATE CHANGE COMPLETE",
            Self::AutonomousDuStateChangeComplete => "12 AUTONOMOUS DU STATE CHANGE COMPLETE",
            Self::Wakeup => "13 WAKEUP",
            Self::MReboot => "M Reboot",
            Self::MScheduleInform => "M ScheduleInform",
            Self::MDownload => "M Download",
            Self::MScheduleDownload => "M ScheduleDownload",
            Self::MUpload => "M Upload",
            Self::MChangeDuState => "M ChangeDUState",
            Self::MVendor => "M vendor",
            Self::Vendor => "X vendor",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_by_number_in_any_spelling() {
        let table = [
            ("0 BOOTSTRAP", EventCode::Bootstrap),
            ("0 BOOTSTRAP ", EventCode::Bootstrap),
            ("1 Boot", EventCode::Boot),
            ("3 SCHEDULE", EventCode::Scheduled),
            ("8 DIAGNOSTICS COMPLETED", EventCode::DiagnosticsComplete),
            ("10 AUTONOMOUS TRANSFER COMPLETE", EventCode::AutonomousTransferComplete),
            ("2", EventCode::Periodic),
            ("M reboot", EventCode::MReboot),
            ("M X_00D09E_Cook", EventCode::MVendor),
            ("X 001122 ADMIN PASSWORD CHANGED", EventCode::Vendor),
            ("", EventCode::Unknown),
            ("14 SOMETHING", EventCode::Unknown),
        ];
        for (text, want) in table {
            assert_eq!(EventCode::parse(text), want, "{text:?}");
        }
    }
}
