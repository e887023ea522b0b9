//! The calls a CPE makes besides `Inform` (TR-069 A.3.3, A.4.2). Fields stand in the order of the schema.

use super::{FaultStruct, Text};

/// `TransferComplete` (A.3.3.2). Must be answered even when the key is unknown, else it is delivered for ever.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransferComplete<'a> {
    /// Of the `Download` or `Upload`; some CPEs send it empty (quirk 27).
    pub command_key: Text<'a>,
    /// Missing means success (quirk 69).
    pub fault: FaultStruct<'a>,
    /// As sent; may be empty (quirk 68).
    pub start_time: Text<'a>,
    /// As sent; may be empty.
    pub complete_time: Text<'a>,
}

/// `AutonomousTransferComplete` (1.1): a transfer that the ACS did not ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AutonomousTransferComplete<'a> {
    /// Where it was announced; may be empty.
    pub announce_url: Text<'a>,
    /// Where the file came from or went.
    pub transfer_url: Text<'a>,
    /// Or an upload.
    pub is_download: bool,
    /// `1 Firmware Upgrade Image`, ...
    pub file_type: Text<'a>,
    /// Bytes.
    pub file_size: u32,
    /// May be empty.
    pub target_file_name: Text<'a>,
    /// Missing means success.
    pub fault: FaultStruct<'a>,
    /// As sent.
    pub start_time: Text<'a>,
    /// As sent.
    pub complete_time: Text<'a>,
}

/// `RequestDownload` (A.4.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestDownload<'a> {
    /// `1 Firmware Upgrade Image`, ...
    pub file_type: Text<'a>,
    /// At most 16 pairs of name and value.
    pub arguments: Vec<(Text<'a>, Text<'a>)>,
}

/// `Kicked` (A.4.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kicked<'a> {
    /// From the kick URL.
    pub command: Text<'a>,
    /// From the HTTP request.
    pub referer: Text<'a>,
    /// From the kick URL.
    pub arg: Text<'a>,
    /// Where the browser wants to go.
    pub next: Text<'a>,
}

/// `KickedResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KickedResponse<'a> {
    /// Where the browser is sent.
    pub next_url: Text<'a>,
}

/// `DUStateChangeComplete` (1.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DuStateChangeComplete<'a> {
    /// In the order of the operations.
    pub results: Vec<DuResult<'a>>,
    /// Of the `ChangeDUState`; may be empty.
    pub command_key: Text<'a>,
}

/// `AutonomousDUStateChangeComplete` (1.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AutonomousDuStateChangeComplete<'a> {
    /// What happened, and by which operation (`Install`, `Update`, `Uninstall`, vendor's own).
    pub results: Vec<(DuResult<'a>, Text<'a>)>,
}

/// `OpResultStruct`, and what `AutonOpResultStruct` shares with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DuResult<'a> {
    /// 8-4-4-4-12 hexadecimal digits.
    pub uuid: Text<'a>,
    /// Path of the deployment unit.
    pub deployment_unit_ref: Text<'a>,
    /// Of the unit.
    pub version: Text<'a>,
    /// `Installed`, `Uninstalled` or `Failed`.
    pub current_state: Text<'a>,
    /// Whether its dependencies are there.
    pub resolved: bool,
    /// Comma-separated paths.
    pub execution_unit_ref_list: Text<'a>,
    /// As sent.
    pub start_time: Text<'a>,
    /// As sent.
    pub complete_time: Text<'a>,
    /// Code 0 means success.
    pub fault: FaultStruct<'a>,
}

impl DuResult<'_> {
    /// Whether the operation came to nothing: some CPEs give no fault with the state `Failed`.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.fault.code != 0 || self.current_state.trim().eq_ignore_ascii_case("failed")
    }
}
