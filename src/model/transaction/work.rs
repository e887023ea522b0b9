//! What a transaction is about.

use serde::{Deserialize, Serialize};

use crate::model::call::Call;
use crate::model::device::Setting;
use crate::model::diagnostic::{DiagnosticKind, DiagnosticOrder};
use crate::model::transfer::{DownloadOrder, FileRef, UploadOrder};
use crate::model::wanted::{Open, Unopenable, opened};
use crate::types::path::{ObjectPath, ParameterPath, ReadPath, hides_its_value};
use crate::types::secret::{MaybeSealed, Sealed, Secret};
use crate::types::value::{ValueKind, XsdType};

/// What the device is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// Read these; none: the whole tree.
    Get {
        /// In the order asked for.
        paths: Vec<ReadPath>,
    },
    /// Write these, all or none.
    Set {
        /// In the order asked for.
        assignments: Vec<Assignment>,
    },
    /// Add a row to each table, one after the other.
    AddObject {
        /// In the order asked for.
        objects: Vec<NewObject>,
    },
    /// Delete these rows, one after the other.
    DeleteObject {
        /// In the order asked for.
        objects: Vec<ObjectPath>,
    },
    /// Restart.
    Reboot,
    /// Back to factory defaults.
    FactoryReset,
    /// Read what is wanted of the device, write what differs, read back.
    Sync,
    /// Write all that is wanted of the device, read back.
    Reconfigure,
    /// Write what the device's type defines as its partial reset.
    DeviceFactory,
    /// Bring one of acsd's own settings to the device; its values are in the profile, so that no secret is queued.
    Configure(Setting),
    /// Run a test and read its results.
    Diagnose(Box<DiagnosticOrder>),
    /// Fetch a file.
    Download(Box<DownloadOrder>),
    /// Send a file.
    Upload(Box<UploadOrder>),
    /// One call of CWMP.
    Call(Box<Call>),
    /// Learn which parameters and objects there are, below here; `None`: all.
    Discover {
        /// Where to begin.
        below: Option<ObjectPath>,
    },
}

/// What only one transaction of a device may be about at a time: the next one waits until it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// A device has one object for each test.
    Test(DiagnosticKind),
    /// A device is flashed with one image at a time.
    Firmware,
}

impl Work {
    /// Whether it leaves the device as it is, so that to begin it anew does no harm.
    #[must_use]
    pub const fn only_reads(&self) -> bool {
        match self {
            Self::Get { .. } | Self::Discover { .. } => true,
            Self::Call(call) => call.only_reads(),
            Self::Set { .. }
            | Self::AddObject { .. }
            | Self::DeleteObject { .. }
            | Self::Reboot
            | Self::FactoryReset
            | Self::Sync
            | Self::Reconfigure
            | Self::DeviceFactory
            | Self::Configure(_)
            | Self::Diagnose(_)
            | Self::Download(_)
            | Self::Upload(_) => false,
        }
    }

    /// The API's word for it.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        match self {
            Self::Get { .. } => "get",
            Self::Set { .. } => "set",
            Self::AddObject { .. } => "add.obj",
            Self::DeleteObject { .. } => "del.obj",
            Self::Reboot => "reboot",
            Self::FactoryReset => "factory",
            Self::Sync => "sync",
            Self::Reconfigure => "reconf",
            Self::DeviceFactory => "device_factory",
            Self::Configure(setting) => setting.as_str(),
            Self::Diagnose(order) => order.kind.as_str(),
            Self::Download(order) if order.windows.is_empty() => "Download",
            Self::Download(_) => "ScheduleDownload",
            Self::Upload(_) => "Upload",
            Self::Call(call) => call.method(),
            Self::Discover { .. } => "discover",
        }
    }

    /// The setting that it brings to the device.
    #[must_use]
    pub fn setting(&self) -> Option<Setting> {
        match self {
            Self::Configure(setting) => Some(*setting),
            Self::Download(order) => matches!(order.file, FileRef::Image(_)).then_some(Setting::FirmwareUpgrade),
            _ => None,
        }
    }

    /// What no other transaction of the device may be about meanwhile.
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        match self {
            Self::Diagnose(order) => Some(Slot::Test(order.kind)),
            Self::Download(order) => {
                let is_firmware = matches!(order.file, FileRef::Image(_)) || order.file_type.starts_with("1 ");
                is_firmware.then_some(Slot::Firmware)
            }
            _ => None,
        }
    }

    /// Seals the values of parameters that hide them and that are not sealed yet.
    ///
    /// # Errors
    /// Whatever `seal` says.
    pub fn seal<E>(&mut self, seal: impl Fn(&Secret) -> Result<Sealed, E>) -> Result<(), E> {
        match self {
            Self::Set { assignments } => assignments
                .iter_mut()
                .filter(|assignment| assignment.path.hides_its_value())
                .try_for_each(|assignment| assignment.value.seal(&seal)),
            Self::AddObject { objects } => objects.iter_mut().try_for_each(|NewObject { table, values }| {
                let mut hidden = values.iter_mut().filter(|value| value.is_hidden(table));
                hidden.try_for_each(|value| value.value.seal(&seal))
            }),
            Self::Download(order) => match &mut order.file {
                FileRef::Elsewhere(file) => file.password.seal(&seal),
                FileRef::Image(_) | FileRef::Stored(_) => Ok(()),
            },
            Self::Call(call) => match &mut **call {
                Call::ChangeDuState { operations } => {
                    operations.iter_mut().try_for_each(|operation| operation.password.seal(&seal))
                }
                Call::SetVouchers { vouchers } => vouchers.iter_mut().try_for_each(|voucher| voucher.seal(&seal)),
                _ => Ok(()),
            },
            Self::Get { .. }
            | Self::DeleteObject { .. }
            | Self::Reboot
            | Self::FactoryReset
            | Self::Sync
            | Self::Reconfigure
            | Self::DeviceFactory
            | Self::Configure(_)
            | Self::Diagnose(_)
            | Self::Upload(_)
            | Self::Discover { .. } => Ok(()),
        }
    }

    /// What is to be written, in clear.
    ///
    /// # Errors
    /// [`Unopenable`]: a sealed value does not open.
    pub fn open(&self, open: &Open<'_>) -> Result<OpenWork, Unopenable> {
        let mut clear = OpenWork::default();
        match self {
            Self::Set { assignments } => {
                for Assignment { path, value, ty } in assignments {
                    let value = opened(value, open, || path.to_string())?;
                    clear.assignments.push(Assignment { path: path.clone(), value, ty: *ty });
                }
            }
            Self::AddObject { objects } => {
                for NewObject { table, values } in objects {
                    let value = |one: &NewValue| {
                        let value = opened(&one.value, open, || format!("{table}{}", one.leaf))?;
                        Ok(NewValue { leaf: one.leaf.clone(), value, ty: one.ty })
                    };
                    let values = values.iter().map(value).collect::<Result<_, _>>()?;
                    clear.objects.push(NewObject { table: table.clone(), values });
                }
            }
            Self::Download(order) => {
                if let FileRef::Elsewhere(file) = &order.file {
                    clear.passwords.push(opened(&file.password, open, || "password".to_owned())?);
                }
            }
            Self::Call(call) => match &**call {
                Call::ChangeDuState { operations } => {
                    for operation in operations {
                        clear.passwords.push(opened(&operation.password, open, || "password".to_owned())?);
                    }
                }
                Call::SetVouchers { vouchers } => {
                    for voucher in vouchers {
                        clear.vouchers.push(opened(voucher, open, || "voucher".to_owned())?);
                    }
                }
                _ => {}
            },
            Self::Get { .. }
            | Self::DeleteObject { .. }
            | Self::Reboot
            | Self::FactoryReset
            | Self::Sync
            | Self::Reconfigure
            | Self::DeviceFactory
            | Self::Configure(_)
            | Self::Diagnose(_)
            | Self::Upload(_)
            | Self::Discover { .. } => {}
        }
        Ok(clear)
    }
}

/// What a `set` or `add.obj` writes, in clear. It lives as long as the session that carries the work out, and is never
/// kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenWork {
    /// Of a [`Work::Set`].
    pub assignments: Vec<Assignment<String>>,
    /// Of a [`Work::AddObject`].
    pub objects: Vec<NewObject<String>>,
    /// Of a [`Work::Download`] from elsewhere; of a `ChangeDUState`, one for each operation. Empty: none is needed.
    pub passwords: Vec<String>,
    /// Of a `SetVouchers`.
    pub vouchers: Vec<String>,
}

/// One parameter to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment<V = MaybeSealed> {
    /// Where.
    pub path: ParameterPath,
    /// Lexical form as given. Sealed where the path hides it.
    pub value: V,
    /// What the operator said of the type, if anything.
    pub ty: Option<TypeHint>,
}

/// What an operator may say of a value's type (rest-api.md 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TypeHint {
    /// `integer`, `boolean`, `string`: the exact type is the device's own.
    Kind(ValueKind),
    /// `xsd:unsignedInt`, ...: taken as it stands.
    Exact(XsdType),
}

/// One row to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewObject<V = MaybeSealed> {
    /// The table.
    pub table: ObjectPath,
    /// Values for the new row; names are relative to it (`Enable`, `Stats.Reset`).
    pub values: Vec<NewValue<V>>,
}

/// One value of a row to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewValue<V = MaybeSealed> {
    /// Relative to the row.
    pub leaf: String,
    /// Lexical form as given. Sealed where the leaf hides it.
    pub value: V,
    /// What the operator said of the type, if anything.
    pub ty: Option<TypeHint>,
}

impl<V> NewValue<V> {
    /// Whether the value is a secret, in a row of this table.
    #[must_use]
    pub fn is_hidden(&self, table: &ObjectPath) -> bool {
        hides_its_value(&format!("{table}{}", self.leaf))
    }
}
