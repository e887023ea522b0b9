//! File transfers that a device is to make: what it fetches, what it sends (TR-069 A.3.2.8, A.4.1.5, A.4.1.8).

use serde::{Deserialize, Serialize};

use crate::types::secret::MaybeSealed;

use super::file::{ImageId, StoredFileId};

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
    /// Seconds the device is to wait; 0: at once.
    pub delay_secs: u32,
}

/// How far a transfer has come, across sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TransferProgress {
    /// How often the call was sent: part of the CommandKey, so that each attempt has its own.
    pub sends: u32,
    /// The software version before the device was told to fetch an image.
    pub version_before: Box<str>,
    /// Whether the device has reported success, and only its restart is awaited.
    pub reported: bool,
}
