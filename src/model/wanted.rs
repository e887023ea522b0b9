//! Wanted configuration: what a type wants of its devices and what a single device overrides, as operators wrote it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::types::path::{ObjectPath, ParameterPath};

use super::transaction::TypeHint;

/// What is wanted, of every device of a type or of one device. Paths below `Device.` are for TR-181 devices, those below
/// `InternetGatewayDevice.` for TR-098 ones: both may stand side by side, and each device takes those of its own tree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WantedConfiguration {
    /// Parameters with fixed paths.
    pub parameters: Vec<WantedParameter>,
    /// Notification attributes.
    pub attributes: Vec<WantedAttribute>,
    /// Rows of tables, found by key.
    pub objects: Vec<WantedObject>,
}

impl WantedConfiguration {
    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty() && self.attributes.is_empty() && self.objects.is_empty()
    }
}

/// A parameter and the value it is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedParameter {
    /// Where.
    pub path: ParameterPath,
    /// Lexical form; may hold placeholders like `{serial}`.
    pub value: String,
    /// What the operator said of the type, if anything.
    pub ty: Option<TypeHint>,
}

/// A notification attribute (TR-069 A.3.2.4): 0 off, 1 passive, 2 active, 3 to 6 the lightweight forms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedAttribute {
    /// Where.
    pub path: ParameterPath,
    /// 0 to 6.
    pub notification: u8,
}

/// A row of a table. Which row it is, its key tells: instance numbers differ from device to device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedObject {
    /// The table.
    pub table: ObjectPath,
    /// Leaves of the row (relative to it) whose values single it out; at least one. Values may hold placeholders.
    pub key: BTreeMap<String, WantedValue>,
    /// Leaves of the row (relative to it) and the values they are to have. Values may hold placeholders.
    pub parameters: BTreeMap<String, WantedValue>,
}

/// A value of a wanted row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedValue {
    /// Lexical form; may hold placeholders.
    pub value: String,
    /// What the operator said of the type, if anything.
    pub ty: Option<TypeHint>,
}

/// What one device is to be configured to, now: its type's wishes with its own laid over them, placeholders filled, and
/// only what concerns its data model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// With all placeholders filled.
    pub configuration: WantedConfiguration,
    /// What hidden parameters (passwords) are is written when this differs from the mark of the last configuration.
    pub mark: ConfigurationMark,
}

/// Tells one wanted configuration from another without looking at it: made from the revisions of all that goes into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigurationMark(pub u64);
