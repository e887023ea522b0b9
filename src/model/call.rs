//! Calls of CWMP that operators order one by one, for which acsd has no procedure of its own making.

pub mod results;

use serde::{Deserialize, Serialize};

use crate::cwmp::message::Method;
use crate::types::ident::TransactionId;
use crate::types::path::{ObjectPath, ReadPath};
use crate::types::secret::MaybeSealed;
use crate::types::time::Timestamp;

/// One RPC as it was ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Which methods the device has; remembered with it.
    GetRpcMethods,
    /// What is directly below an object.
    GetParameterNames {
        /// The object.
        path: ObjectPath,
    },
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
        /// Which.
        transfer: TransferRef,
    },
    /// Installs, updates, removes deployment units.
    ChangeDuState {
        /// At least one.
        operations: Vec<DuChange>,
    },
    /// Vouchers for options.
    SetVouchers {
        /// Base64 each. Sealed: they are rights to options.
        vouchers: Vec<MaybeSealed>,
    },
    /// Options that the device has.
    GetOptions {
        /// Empty: all.
        name: String,
    },
}

impl Call {
    /// The method that it calls.
    #[must_use]
    pub const fn rpc(&self) -> Method {
        match self {
            Self::GetRpcMethods => Method::GetRpcMethods,
            Self::GetParameterNames { .. } => Method::GetParameterNames,
            Self::GetParameterAttributes { .. } => Method::GetParameterAttributes,
            Self::SetParameterAttributes { .. } => Method::SetParameterAttributes,
            Self::ScheduleInform { .. } => Method::ScheduleInform,
            Self::GetQueuedTransfers => Method::GetQueuedTransfers,
            Self::GetAllQueuedTransfers => Method::GetAllQueuedTransfers,
            Self::CancelTransfer { .. } => Method::CancelTransfer,
            Self::ChangeDuState { .. } => Method::ChangeDuState,
            Self::SetVouchers { .. } => Method::SetVouchers,
            Self::GetOptions { .. } => Method::GetOptions,
        }
    }

    /// The method's name, also the API's word for the work.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        self.rpc().name()
    }

    /// Whether it leaves the device as it is.
    #[must_use]
    pub const fn only_reads(&self) -> bool {
        match self {
            Self::GetRpcMethods
            | Self::GetParameterNames { .. }
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

/// Whether every CPE has to serve the method, so that it need not be asked first (TR-069, table of RPC methods). `Download` has
/// to be there wherever files are transferred at all.
#[must_use]
pub const fn is_mandatory(method: Method) -> bool {
    matches!(
        method,
        Method::GetRpcMethods
            | Method::SetParameterValues
            | Method::GetParameterValues
            | Method::GetParameterNames
            | Method::SetParameterAttributes
            | Method::GetParameterAttributes
            | Method::AddObject
            | Method::DeleteObject
            | Method::Reboot
            | Method::Download
    )
}

/// A transfer on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransferRef {
    /// By its CommandKey.
    Key(String),
    /// By the transaction that ordered it: its keys begin with `acsd-<id>`.
    Transaction(TransactionId),
}

impl TransferRef {
    /// Whether this is the CommandKey of the transfer. A transaction that had to order anew has numbered its keys.
    #[must_use]
    pub fn is_of(&self, command_key: &str) -> bool {
        let command_key = command_key.trim();
        match self {
            Self::Key(key) => command_key == key,
            Self::Transaction(id) => ordered_by(command_key) == Some(*id),
        }
    }

    /// The transaction that ordered it, if one of acsd's did.
    #[must_use]
    pub fn transaction(&self) -> Option<TransactionId> {
        match self {
            Self::Key(key) => ordered_by(key),
            Self::Transaction(id) => Some(*id),
        }
    }
}

/// Which transaction has made this CommandKey: `acsd-<id>` or `acsd-<id>-<n>`.
fn ordered_by(command_key: &str) -> Option<TransactionId> {
    let rest = command_key.strip_prefix("acsd-")?;
    let (id, _nth) = rest.split_once('-').unwrap_or((rest, ""));
    id.parse().ok().map(TransactionId)
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

impl DuAction {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Install, Self::Update, Self::Uninstall];

    /// The API's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Update => "update",
            Self::Uninstall => "uninstall",
        }
    }
}

/// Most methods of vendors' own that are remembered of a device.
const VENDOR_MAX: usize = 64;
/// Longest name of a method (`MethodList`: `string(64)`).
const NAME_MAX_CHARS: usize = 64;

/// Which methods a device has, as it said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RpcMethods {
    /// Bit n: the n-th method of [`crate::cwmp::message::Method::ALL`].
    pub standard: u32,
    /// Vendors' own, as sent.
    pub vendor: Vec<Box<str>>,
    /// When it said so.
    pub at: Timestamp,
    /// What it ran then: another software may have other methods.
    pub software_version: Box<str>,
}

impl RpcMethods {
    /// What a device says that it has. `None` when that cannot be right: a list without `GetParameterValues` is empty, cut
    /// off, or the list of an ACS.
    pub fn read<'n>(names: impl IntoIterator<Item = &'n str>, software_version: &str, at: Timestamp) -> Option<Self> {
        let (mut standard, mut vendor) = (0, Vec::new());
        for name in names {
            // Some send the element's name, with its prefix.
            let name = name.rsplit(':').next().unwrap_or(name).trim();
            match (0_u32..).zip(Method::ALL).find(|(_, method)| method.name().eq_ignore_ascii_case(name)) {
                Some((bit, _)) => standard |= 1 << bit,
                None if name.is_empty() || vendor.len() >= VENDOR_MAX => {}
                None => vendor.push(name.chars().take(NAME_MAX_CHARS).collect::<String>().into_boxed_str()),
            }
        }
        let read = Self { standard, vendor, at, software_version: software_version.into() };
        read.has(Method::GetParameterValues).then_some(read)
    }

    /// Whether a method is among them.
    #[must_use]
    pub fn has(&self, method: Method) -> bool {
        let bit = (0_u32..).zip(Method::ALL).find(|(_, one)| *one == method).map(|(bit, _)| bit);
        bit.is_some_and(|bit| self.standard & (1 << bit) != 0)
    }

    /// The names, standard ones first.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for method in Method::ALL.into_iter().filter(|method| self.has(*method)) {
            names.push(method.name());
        }
        names.extend(self.vendor.iter().map(AsRef::<str>::as_ref));
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_known_however_they_are_spelled() {
        let names = ["GetParameterValues", " cwmp:changeDUState", "X_00D09E_Sing", ""];
        let methods = RpcMethods::read(names, "1.0", Timestamp(1)).expect("plausible");
        assert!(methods.has(Method::ChangeDuState) && !methods.has(Method::Reboot));
        assert_eq!(methods.names(), ["GetParameterValues", "ChangeDUState", "X_00D09E_Sing"]);
    }

    #[test]
    fn a_transfer_is_known_by_the_key_that_its_transaction_made() {
        let transfer = TransferRef::Transaction(TransactionId(12));
        let keys = ["acsd-12", " acsd-12-3 ", "acsd-123", "acsd-1-2", "acsd-", "12", ""];
        assert_eq!(keys.map(|key| transfer.is_of(key)), [true, true, false, false, false, false, false]);
        let by_key = |key: &str| TransferRef::Key(key.to_owned());
        assert_eq!(by_key("acsd-7-1").transaction(), Some(TransactionId(7)));
        assert_eq!(by_key("theirs").transaction(), None);
        assert!(by_key("theirs").is_of("theirs") && !by_key("theirs").is_of("acsd-7"));
    }

    #[test]
    fn a_list_that_cannot_be_right_counts_as_none() {
        for names in [&[][..], &[""], &["Inform", "GetRPCMethods", "TransferComplete"]] {
            assert_eq!(RpcMethods::read(names.iter().copied(), "1.0", Timestamp(1)), None, "{names:?}");
        }
        let many: Vec<String> = (0..1000).map(|n| format!("X_{n}{}", "x".repeat(500))).collect();
        let names = many.iter().map(String::as_str).chain(["GetParameterValues"]);
        let methods = RpcMethods::read(names, "", Timestamp(1)).expect("plausible");
        assert_eq!(methods.vendor.len(), VENDOR_MAX);
        assert!(methods.vendor.iter().all(|name| name.len() <= NAME_MAX_CHARS));
    }
}
