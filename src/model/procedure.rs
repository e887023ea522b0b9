//! How far a procedure has come: the part of it that must outlive a session or a restart.

use serde::{Deserialize, Serialize};

use crate::types::path::{ObjectPath, ParameterPath};
use crate::types::time::Timestamp;

use super::device_type::NeighborScan;
use super::transfer::TransferProgress;
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
    /// It waited for the device and has been taken up again: claiming it is no new attempt.
    pub resumed: bool,
    /// When it is given up though it has begun; `None`: never by time.
    pub deadline: Option<Timestamp>,
    /// What a procedure of several sessions has to remember.
    pub stage: Option<Box<Stage>>,
}

/// What a procedure of several sessions has to remember.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Of a test.
    Test(TestProgress),
    /// Of a file transfer.
    Transfer(TransferProgress),
    /// Of a discovery.
    Discovery(DiscoveryProgress),
    /// Of a call whose effect shows later.
    Call(CallProgress),
}

/// How far a test has come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TestProgress {
    /// The object that the test is made with.
    pub object: Box<str>,
    /// The vendor's own scan that it is, as the device's type described it when it began.
    pub scan: Option<Box<NeighborScan>>,
    /// The path that was found for the interface that was asked for.
    pub interface: Option<Box<str>>,
    /// When the device was told to run it, and said that it would.
    pub requested_at: Option<Timestamp>,
    /// Whether the device has said that a test is done since.
    pub reported: bool,
    /// Whether the device was seen running it.
    pub seen_running: bool,
    /// What the object said before the start, where the inputs cannot tell the tests apart: that it has ended, or runs. Seeing
    /// it again proves nothing. While somebody else's test is in the way: what the object said last.
    pub stale: Option<Box<str>>,
    /// Since when a test that somebody else has started is in the way.
    pub busy_since: Option<Timestamp>,
    /// The word with which the device has ended it: what is missing is its results.
    pub ended: Option<Box<str>>,
}

/// How far a discovery has come. Objects are walked in the order of their paths, so that one path says which are done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DiscoveryProgress {
    /// The last object that was listed; empty: none yet.
    pub after: Box<str>,
    /// Whether all below that object is done, too.
    pub complete: bool,
    /// The object that the device is asked for; empty: none.
    pub asking: Box<str>,
    /// The object at which the last session broke off; empty: none.
    pub suspect: Box<str>,
    /// How often in a row a session broke off there.
    pub losses: u8,
    /// Names found so far.
    pub found: u32,
    /// Objects that the device has but does not list.
    pub skipped: u32,
    /// The first of those, and why.
    pub first_skipped: Box<str>,
}

/// How far a call has come whose effect shows later.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CallProgress {
    /// When the device confirmed it.
    pub confirmed_at: Option<Timestamp>,
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
    /// `SetParameterValues` that starts a test.
    StartTest {
        /// When it was sent.
        at: Timestamp,
    },
    /// `Download`, `ScheduleDownload` or `Upload`.
    Transfer {
        /// When it was sent.
        at: Timestamp,
    },
    /// A call that changes the device.
    Call {
        /// When it was sent.
        at: Timestamp,
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
