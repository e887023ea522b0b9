//! Calls of CWMP that operators order one by one, for which acsd has no procedure of its own making.

use serde::{Deserialize, Serialize};

use crate::types::path::ReadPath;
use crate::types::secret::MaybeSealed;
use crate::types::time::Timestamp;

/// One RPC as it was ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Which methods the device has; remembered with it.
    GetRpcMethods,
    /// Notification attributes of these.
    GetParameterAttributes {
        /// Full names or partial paths.
        names: Vec<ReadPath>,
    },
    /// Sets attributes.
    SetParameterAttributes {
        /// At least one.
        changes: Vec<AttributeChange>,
    },
    /// Asks for an Inform later.
    ScheduleInform {
        /// Above 0.
        delay_secs: u32,
    },
    /// Transfers that are queued on the device (deprecated form).
    GetQueuedTransfers,
    /// Transfers that are queued on the device.
    GetAllQueuedTransfers,
    /// Withdraws a transfer from the device's queue.
    CancelTransfer {
        /// Of the transfer.
        command_key: String,
    },
    /// Installs, updates, removes deployment units.
    ChangeDuState {
        /// At least one.
        operations: Vec<DuChange>,
    },
    /// Vouchers for options.
    SetVouchers {
        /// Base64 each.
        vouchers: Vec<String>,
    },
    /// Options that the device has.
    GetOptions {
        /// Empty: all.
        name: String,
    },
}

impl Call {
    /// The method's name, also the API's word for the work.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::GetRpcMethods => "GetRPCMethods",
            Self::GetParameterAttributes { .. } => "GetParameterAttributes",
            Self::SetParameterAttributes { .. } => "SetParameterAttributes",
            Self::ScheduleInform { .. } => "ScheduleInform",
            Self::GetQueuedTransfers => "GetQueuedTransfers",
            Self::GetAllQueuedTransfers => "GetAllQueuedTransfers",
            Self::CancelTransfer { .. } => "CancelTransfer",
            Self::ChangeDuState { .. } => "ChangeDUState",
            Self::SetVouchers { .. } => "SetVouchers",
            Self::GetOptions { .. } => "GetOptions",
        }
    }

    /// Whether it leaves the device as it is.
    #[must_use]
    pub const fn only_reads(&self) -> bool {
        match self {
            Self::GetRpcMethods
            | Self::GetParameterAttributes { .. }
            | Self::GetQueuedTransfers
            | Self::GetAllQueuedTransfers
            | Self::GetOptions { .. } => true,
            Self::SetParameterAttributes { .. }
            | Self::ScheduleInform { .. }
            | Self::CancelTransfer { .. }
            | Self::ChangeDuState { .. }
            | Self::SetVouchers { .. } => false,
        }
    }
}

/// One change of attributes; `None` leaves one as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeChange {
    /// Parameter or partial path.
    pub path: ReadPath,
    /// 0 off, 1 passive, 2 active, 3 to 6 lightweight (1.4).
    pub notification: Option<u8>,
    /// `Subscriber`, or nothing.
    pub access_list: Option<Vec<String>>,
}

/// One operation on a deployment unit; an empty text is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DuChange {
    /// Which.
    pub action: DuAction,
    /// The unit; 8-4-4-4-12 hexadecimal digits.
    pub uuid: String,
    /// Where the unit is.
    pub url: String,
    /// Which version is to be replaced or removed.
    pub version: String,
    /// Of the file server.
    pub username: String,
    /// Of the file server.
    pub password: MaybeSealed,
    /// Path of the execution environment.
    pub execution_env_ref: String,
}

/// What is done to a deployment unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DuAction {
    /// Put it there.
    Install,
    /// Another version.
    Update,
    /// Take it away.
    Uninstall,
}

/// Which methods a device has, as it said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RpcMethods {
    /// Bit n: the n-th method of [`crate::cwmp::message::Method::ALL`].
    pub standard: u32,
    /// Vendors' own, as sent.
    pub vendor: Vec<Box<str>>,
    /// When it said so.
    pub at: Timestamp,
}
