//! The calls an ACS makes (TR-069 A.3.2, A.4.1) and what a CPE answers. Fields stand in the order of the schema.

use crate::types::value::XsdType;

use super::Text;
use super::inform::ParameterValueStruct;

/// `GetRPCMethodsResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MethodList<'a> {
    /// Names as sent.
    pub methods: Vec<Text<'a>>,
}

/// `SetParameterValues` (A.3.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SetParameterValues<'a> {
    /// All or none are applied.
    pub parameters: Vec<ParameterValueStruct<'a>>,
    /// Up to 32 characters; may be empty.
    pub parameter_key: Text<'a>,
}

/// `Status` of `SetParameterValuesResponse` and `DeleteObjectResponse`. Missing or odd means applied (quirk 26).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Applied {
    /// 0: done.
    #[default]
    Now,
    /// 1: committed, takes effect later (after a reboot, say).
    Later,
}

/// `GetParameterValues` (A.3.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GetParameterValues<'a> {
    /// Full names or partial paths.
    pub names: Vec<Text<'a>>,
}

/// `GetParameterValuesResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParameterValues<'a> {
    /// In no particular order.
    pub parameters: Vec<ParameterValueStruct<'a>>,
}

/// `GetParameterNames` (A.3.2.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GetParameterNames<'a> {
    /// Partial path, full name, or empty for the root.
    pub path: Text<'a>,
    /// Only direct children. Written `1` or `0` always (quirk 23).
    pub next_level: bool,
}

/// `GetParameterNamesResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParameterNames<'a> {
    /// Objects end in a dot.
    pub parameters: Vec<ParameterInfoStruct<'a>>,
}

/// `ParameterInfoStruct`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParameterInfoStruct<'a> {
    /// Full or object path.
    pub name: Text<'a>,
    /// Parameter: may be set. Table: rows may be added. Row: may be deleted.
    pub writable: bool,
}

/// `SetParameterAttributes` (A.3.2.4).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SetParameterAttributes<'a> {
    /// At least one.
    pub parameters: Vec<SetParameterAttributesStruct<'a>>,
}

/// `SetParameterAttributesStruct`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SetParameterAttributesStruct<'a> {
    /// Parameter or partial path.
    pub name: Text<'a>,
    /// Whether `notification` is to be applied.
    pub notification_change: bool,
    /// 0 off, 1 passive, 2 active, 3 to 6 lightweight (1.4).
    pub notification: u8,
    /// Whether `access_list` is to be applied.
    pub access_list_change: bool,
    /// `Subscriber` or nothing.
    pub access_list: Vec<Text<'a>>,
}

/// `GetParameterAttributes` (A.3.2.5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GetParameterAttributes<'a> {
    /// Full names or partial paths.
    pub names: Vec<Text<'a>>,
}

/// `GetParameterAttributesResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParameterAttributes<'a> {
    /// One per parameter.
    pub parameters: Vec<ParameterAttributeStruct<'a>>,
}

/// `ParameterAttributeStruct`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParameterAttributeStruct<'a> {
    /// The parameter.
    pub name: Text<'a>,
    /// 0 off, 1 passive, 2 active, 3 to 6 lightweight (1.4).
    pub notification: u8,
    /// `Subscriber` or nothing.
    pub access_list: Vec<Text<'a>>,
}

/// `AddObject` (A.3.2.6).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddObject<'a> {
    /// The table, ending in a dot.
    pub object_name: Text<'a>,
    /// Up to 32 characters; may be empty.
    pub parameter_key: Text<'a>,
}

/// `AddObjectResponse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AddObjectResponse {
    /// From 1; 0 when the CPE named none (quirks 51, 70).
    pub instance_number: u32,
    /// Whether the row is in effect.
    pub status: Applied,
}

/// `DeleteObject` (A.3.2.7).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeleteObject<'a> {
    /// The row, ending in a dot.
    pub object_name: Text<'a>,
    /// Up to 32 characters; may be empty.
    pub parameter_key: Text<'a>,
}

/// `Reboot` (A.3.2.9).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reboot<'a> {
    /// Comes back with the event `M Reboot`.
    pub command_key: Text<'a>,
}

/// `Download` (A.3.2.8).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Download<'a> {
    /// Comes back in `TransferComplete`.
    pub command_key: Text<'a>,
    /// `1 Firmware Upgrade Image`, ...
    pub file_type: Text<'a>,
    /// Up to 256 characters.
    pub url: Text<'a>,
    /// Empty: none.
    pub username: Text<'a>,
    /// Empty: none.
    pub password: Text<'a>,
    /// Bytes; 0 means unknown.
    pub file_size: u32,
    /// Usually empty.
    pub target_file_name: Text<'a>,
    /// Seconds to wait.
    pub delay_secs: u32,
    /// Browser redirect; usually empty.
    pub success_url: Text<'a>,
    /// Browser redirect; usually empty.
    pub failure_url: Text<'a>,
}

/// `Upload` (A.4.1.5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Upload<'a> {
    /// Comes back in `TransferComplete`.
    pub command_key: Text<'a>,
    /// `1 Vendor Configuration File`, ...
    pub file_type: Text<'a>,
    /// Where the CPE puts it.
    pub url: Text<'a>,
    /// Empty: none.
    pub username: Text<'a>,
    /// Empty: none.
    pub password: Text<'a>,
    /// Seconds to wait.
    pub delay_secs: u32,
}

/// `DownloadResponse` and `UploadResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransferStarted<'a> {
    /// `Later`: a `TransferComplete` follows.
    pub status: Applied,
    /// As sent; the Unknown Time while pending.
    pub start_time: Text<'a>,
    /// As sent; the Unknown Time while pending.
    pub complete_time: Text<'a>,
}

/// `ScheduleInform` (A.4.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScheduleInform<'a> {
    /// Seconds until the Inform, above 0.
    pub delay_secs: u32,
    /// Comes back with the event `M ScheduleInform`.
    pub command_key: Text<'a>,
}

/// `GetQueuedTransfersResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueuedTransfers<'a> {
    /// At most 16.
    pub transfers: Vec<QueuedTransferStruct<'a>>,
}

/// `QueuedTransferStruct`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueuedTransferStruct<'a> {
    /// Of the transfer.
    pub command_key: Text<'a>,
    /// 1 not started, 2 in progress, 3 completed.
    pub state: u8,
}

/// `GetAllQueuedTransfersResponse` (1.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllQueuedTransfers<'a> {
    /// At most 16.
    pub transfers: Vec<AllQueuedTransferStruct<'a>>,
}

/// `AllQueuedTransferStruct`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllQueuedTransferStruct<'a> {
    /// Of the transfer.
    pub command_key: Text<'a>,
    /// 1 not started, 2 in progress, 3 completed.
    pub state: u8,
    /// Or an upload.
    pub is_download: bool,
    /// `1 Firmware Upgrade Image`, ...
    pub file_type: Text<'a>,
    /// Bytes.
    pub file_size: u32,
    /// May be empty.
    pub target_file_name: Text<'a>,
}

/// `ScheduleDownload` (1.2, A.4.1.8).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScheduleDownload<'a> {
    /// Comes back in `TransferComplete`.
    pub command_key: Text<'a>,
    /// `1 Firmware Upgrade Image`, ...
    pub file_type: Text<'a>,
    /// Up to 256 characters.
    pub url: Text<'a>,
    /// Empty: none.
    pub username: Text<'a>,
    /// Empty: none.
    pub password: Text<'a>,
    /// Bytes; 0 means unknown.
    pub file_size: u32,
    /// Usually empty.
    pub target_file_name: Text<'a>,
    /// One or two.
    pub windows: Vec<TimeWindowStruct<'a>>,
}

/// `TimeWindowStruct`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TimeWindowStruct<'a> {
    /// Seconds from receipt.
    pub start_secs: u32,
    /// Seconds from receipt.
    pub end_secs: u32,
    /// `1 At Any Time`, `2 Immediately`, `3 When Idle`, `4 Confirmation Needed`, `X ...`.
    pub mode: Text<'a>,
    /// Shown to the subscriber.
    pub user_message: Text<'a>,
    /// -1: the CPE decides.
    pub max_retries: i32,
}

/// `CancelTransfer` (1.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CancelTransfer<'a> {
    /// Of the transfer.
    pub command_key: Text<'a>,
}

/// `ChangeDUState` (1.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangeDuState<'a> {
    /// At least one; answered in this order by `DUStateChangeComplete`.
    pub operations: Vec<DuOperation<'a>>,
    /// Comes back in `DUStateChangeComplete`; may be empty.
    pub command_key: Text<'a>,
}

/// One operation on a deployment unit; `None` leaves the element out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DuOperation<'a> {
    /// `InstallOpStruct`.
    Install {
        /// Where the unit is.
        url: Text<'a>,
        /// 8-4-4-4-12 hexadecimal digits.
        uuid: Option<Text<'a>>,
        /// Of the file server.
        username: Option<Text<'a>>,
        /// Of the file server.
        password: Option<Text<'a>>,
        /// Path of the execution environment.
        execution_env_ref: Option<Text<'a>>,
    },
    /// `UpdateOpStruct`.
    Update {
        /// The unit.
        uuid: Option<Text<'a>>,
        /// The version to replace.
        version: Option<Text<'a>>,
        /// Where the new version is.
        url: Option<Text<'a>>,
        /// Of the file server.
        username: Option<Text<'a>>,
        /// Of the file server.
        password: Option<Text<'a>>,
    },
    /// `UninstallOpStruct`.
    Uninstall {
        /// The unit.
        uuid: Text<'a>,
        /// Only this version.
        version: Option<Text<'a>>,
        /// Only from here.
        execution_env_ref: Option<Text<'a>>,
    },
}

/// `SetVouchers` (deprecated).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SetVouchers<'a> {
    /// Base64 as sent.
    pub vouchers: Vec<Text<'a>>,
}

/// `GetOptions` (deprecated).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GetOptions<'a> {
    /// Empty: all.
    pub option_name: Text<'a>,
}

/// `GetOptionsResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OptionList<'a> {
    /// One per option.
    pub options: Vec<OptionStruct<'a>>,
}

/// `OptionStruct`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OptionStruct<'a> {
    /// The option.
    pub option_name: Text<'a>,
    /// Of its voucher.
    pub voucher_sn: u32,
    /// 0 to 3.
    pub state: u32,
    /// 0 to 2.
    pub mode: i32,
    /// As sent.
    pub start_date: Text<'a>,
    /// As sent.
    pub expiration_date: Option<Text<'a>>,
    /// Whether it may move to another CPE.
    pub is_transferable: bool,
}

impl<'a> ParameterValueStruct<'a> {
    /// A parameter to be sent.
    #[must_use]
    pub fn new(name: impl Into<Text<'a>>, value: impl Into<Text<'a>>, ty: XsdType) -> Self {
        Self { name: name.into(), value: value.into(), ty }
    }
}
