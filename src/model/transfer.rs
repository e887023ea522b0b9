//! File transfers that a device is to make: what it fetches, what it sends (TR-069 A.3.2.8, A.4.1.5, A.4.1.8).

use serde::{Deserialize, Serialize};

use crate::types::secret::MaybeSealed;
use crate::types::time::Timestamp;

use super::file::{ImageId, StoredFileId};
use super::transaction::TransactionFault;

/// A file that a device is to fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadOrder {
    /// Which.
    pub file: FileRef,
    /// `1 Firmware Upgrade Image`, `3 Vendor Configuration File`, ...
    pub file_type: String,
    /// Name on the device; usually empty.
    pub target_file_name: String,
    /// Seconds the device is to wait; 0: at once.
    pub delay_secs: u32,
    /// When it may be done; none: a plain `Download`, else `ScheduleDownload`. At most two.
    pub windows: Vec<TimeWindow>,
}

/// Where the file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileRef {
    /// A firmware image of ours.
    Image(ImageId),
    /// A file that a device sent earlier.
    Stored(StoredFileId),
    /// On someone else's server.
    Elsewhere(RemoteFile),
}

/// A file on someone else's server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteFile {
    /// At most 256 characters, without a login in it.
    pub url: String,
    /// Empty: none.
    pub username: String,
    /// Empty: none.
    pub password: MaybeSealed,
    /// Bytes; 0: unknown.
    pub size: u64,
}

/// `TimeWindowStruct` of a `ScheduleDownload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeWindow {
    /// Seconds from the call.
    pub start_secs: u32,
    /// Seconds from the call.
    pub end_secs: u32,
    /// `1 At Any Time`, `2 Immediately`, `3 When Idle`, `4 Confirmation Needed`, `X ...`.
    pub mode: String,
    /// Shown to the subscriber.
    pub user_message: String,
    /// -1: the CPE decides.
    pub max_retries: i32,
}

/// A file that a device is to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadOrder {
    /// `3 Vendor Configuration File 1`, `4 Vendor Log File 1`, ...
    pub file_type: String,
    /// What else the file may be called, in the order in which that is tried: for devices without instance numbers.
    pub alternatives: Vec<String>,
    /// Seconds the device is to wait; 0: at once.
    pub delay_secs: u32,
}

/// How far a transfer has come, across sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TransferProgress {
    /// How often the call was sent: part of the CommandKey, so that each attempt has its own.
    pub sends: u32,
    /// When it was sent first: time windows count from here.
    pub first_sent: Option<Timestamp>,
    /// What is known of the call that was sent last.
    pub state: TransferState,
    /// Until when the device is waited for.
    pub until: Option<Timestamp>,
    /// The software version before the device was told to fetch an image.
    pub version_before: Box<str>,
    /// The software version that the image brings; empty: not known, or no image.
    pub version: Box<str>,
    /// The device has restarted since.
    pub restarted: Option<Restarted>,
    /// What the device reports of its end.
    pub report: Option<TransferReport>,
    /// The device was reset to factory defaults since: it may have forgotten the transfer.
    pub reset: bool,
    /// The file that the device has sent.
    pub stored: Option<StoredFileId>,
}

/// What is known of a call for a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum TransferState {
    /// Nothing is underway: it was not sent, or the last one is over without success.
    #[default]
    Idle,
    /// It was sent, and the device has not answered: whether it makes the transfer is unknown.
    Sent,
    /// The device has confirmed the call: it will report the end.
    Accepted,
    /// The device says that it has the file: what is missing is that it runs it.
    Applied,
}

/// A restart of the device while a transfer is underway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarted {
    /// What it ran then.
    pub version: Box<str>,
    /// Whether the same Inform said that a transfer is over: then the file is in use, if it ever will be.
    pub transfer_over: bool,
}

/// `TransferComplete`, or a response that says that all is done already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferReport {
    /// `None`: it went well.
    pub fault: Option<TransactionFault>,
    /// When it began, as the device says.
    pub started: Box<str>,
    /// When it was over, as the device says.
    pub completed: Box<str>,
}

impl TransferProgress {
    /// Whether the device may be busy with it.
    #[must_use]
    pub const fn is_underway(&self) -> bool {
        match self.state {
            TransferState::Idle => false,
            TransferState::Sent | TransferState::Accepted | TransferState::Applied => true,
        }
    }

    /// Whether a device that runs this version shows that it has the image.
    #[must_use]
    pub fn is_shown_by(&self, running: &str) -> bool {
        if self.version.trim().is_empty() {
            let (running, before) = (running.trim(), self.version_before.trim());
            !running.is_empty() && !before.is_empty() && running != before
        } else {
            is_same_version(running, &self.version)
        }
    }
}

/// Whether a device that reports `running` runs an image of this version. Versions are names, not numbers: blanks around them
/// aside, they are the same or they are not. An image whose version is not known is never known to run.
#[must_use]
pub fn is_same_version(running: &str, image: &str) -> bool {
    !image.trim().is_empty() && running.trim() == image.trim()
}
