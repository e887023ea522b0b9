//! How far a procedure has come: the part of it that must outlive a session or a restart.

use serde::{Deserialize, Serialize};

use crate::types::path::{ObjectPath, ParameterPath};
use crate::types::time::Timestamp;

use super::wanted::ConfigurationMark;

/// Saved before a call whose repetition could harm, and wherever a procedure waits across sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// A call that went out and whose answer is not recorded yet: its outcome is unknown until looked at.
    pub in_flight: Option<InFlight>,
    /// Items of the work (rows to add or delete) that are done, in order.
    pub done: Vec<DoneItem>,
    /// A fault that allows exactly one more try (9001, 9006) has been seen.
    pub second_try: bool,
    /// Types have to be read again before writing (after 9006).
    pub reread_types: bool,
}

/// A call whose answer is not recorded yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InFlight {
    /// `SetParameterValues` of the whole work.
    Set,
    /// `AddObject` for item number `item`; the table had these rows before.
    Add {
        /// Index into the work.
        item: u32,
        /// Instance numbers before the call.
        before: Vec<u32>,
    },
    /// `SetParameterValues` of a new row's values.
    Fill {
        /// Index into the work.
        item: u32,
        /// The new row.
        instance: u32,
    },
    /// `DeleteObject` for item number `item`.
    Delete {
        /// Index into the work.
        item: u32,
    },
    /// `Reboot`.
    Reboot {
        /// When it was sent.
        at: Timestamp,
    },
    /// `FactoryReset`.
    FactoryReset {
        /// When it was sent.
        at: Timestamp,
    },
    /// `SetParameterValues` of wanted parameters.
    WantedWrite {
        /// What it writes.
        paths: Vec<ParameterPath>,
        /// Of which configuration.
        mark: ConfigurationMark,
        /// When it was sent.
        at: Timestamp,
    },
    /// `AddObject` for a wanted row that the table does not have; it had these rows before.
    WantedAdd {
        /// The table. Which of its wanted rows the new one becomes, its key decides when it is written.
        table: ObjectPath,
        /// Instance numbers before the call.
        before: Vec<u32>,
    },
    /// The values of a wanted row that was added, its key among them.
    WantedFill {
        /// The table.
        table: ObjectPath,
        /// The new row.
        instance: u32,
    },
}

/// A finished item of the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DoneItem {
    /// The row exists and has its values.
    Added {
        /// Instance number.
        instance: u32,
    },
    /// The row is gone.
    Deleted,
    /// A wanted parameter was written.
    Written {
        /// Which.
        path: ParameterPath,
    },
}
