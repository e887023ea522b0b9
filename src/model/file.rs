//! Files that acsd keeps: firmware images that operators brought, and what devices have sent.

use serde::{Deserialize, Serialize};

use crate::types::ident::{DeviceKey, SerialNumber, TransactionId};
use crate::types::time::Timestamp;

use super::device::{DeviceTypeId, OrganizationId};

/// Number of a firmware image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub u32);

/// Number of a file that a device sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoredFileId(pub u32);

/// `FileType` of a firmware image, unless said otherwise.
pub const FIRMWARE_FILE_TYPE: &str = "1 Firmware Upgrade Image";

/// A firmware image, or another file that devices fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirmwareImage {
    /// Its number.
    pub id: ImageId,
    /// For people.
    pub name: String,
    /// What a device reports once it runs it; empty: not known.
    pub version: String,
    /// For which type of devices; `None`: any.
    pub device_type: Option<DeviceTypeId>,
    /// `FileType` of the `Download`.
    pub file_type: String,
    /// Bytes, as announced before the file is here, then as they are.
    pub size: Option<u64>,
    /// SHA-256, as announced before the file is here, then as it is.
    pub sha256: Option<[u8; 32]>,
    /// Whether the file is here.
    pub content: Content,
    /// When the record was made.
    pub created: Timestamp,
}

/// Whether the bytes of a file are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// Not yet.
    Missing,
    /// Complete and checked; under its SHA-256 in the folder of files.
    Here {
        /// Its name there.
        sha256: [u8; 32],
        /// Bytes.
        size: u64,
    },
}

/// A file that a device has sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Its number.
    pub id: StoredFileId,
    /// Whose it is.
    pub device: DeviceKey,
    /// As the API names that device.
    pub serial_number: SerialNumber,
    /// Whose device it was then.
    pub organization: OrganizationId,
    /// The `Upload` that brought it.
    pub transaction: TransactionId,
    /// `FileType` of that `Upload`.
    pub file_type: String,
    /// Bytes.
    pub size: u64,
    /// Its name in the folder of files.
    pub sha256: [u8; 32],
    /// When it was complete.
    pub created: Timestamp,
}
