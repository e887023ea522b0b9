//! The wanted firmware image in the record of a device: what becomes of it when an upgrade ends.

use crate::types::ident::TransactionId;
use crate::types::time::Timestamp;

use super::device::{DeviceTypeId, PendingSetting, Profile, Setting};
use super::file::{Content, FirmwareImage, ImageId};
use super::transaction::{Transaction, TransactionStatus, Work};
use super::transfer::FileRef;

/// How a transaction has ended that was to bring an image to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgraded {
    id: TransactionId,
    image: Option<ImageId>,
    ordered_at: Timestamp,
    /// `None`: it went well.
    failed: Option<String>,
}

impl Upgraded {
    /// Of a transaction that has ended.
    #[must_use]
    pub fn of(ended: &Transaction) -> Self {
        let failed = match ended.status {
            TransactionStatus::Completed => None,
            TransactionStatus::Expired => Some("it was not started in time".to_owned()),
            TransactionStatus::Canceled => Some("it was withdrawn".to_owned()),
            TransactionStatus::Failed | TransactionStatus::Scheduled | TransactionStatus::InProgress => {
                let words = ended.fault.as_ref().map(|fault| match fault.code {
                    0 => fault.message.clone(),
                    code => format!("{code}: {}", fault.message),
                });
                Some(words.unwrap_or_else(|| "not done".to_owned()))
            }
        };
        let image = match &ended.work {
            Work::Download(order) => match order.file {
                FileRef::Image(image) => Some(image),
                FileRef::Stored(_) | FileRef::Elsewhere(_) => None,
            },
            _ => None,
        };
        Self { id: ended.id, image, ordered_at: ended.created_at, failed }
    }

    /// Writes it into the record: the upgrade is no longer pending, or stays so and says why. Another one that has been
    /// ordered since is left alone.
    pub fn note(self, profile: &mut Profile, at: Timestamp) {
        let is_wanted = profile.firmware_image == self.image;
        // It may have ended before it was noted who brings it; an entry that is newer than it waits for another one.
        let is_ours = |entry: &PendingSetting| entry.transaction.is_none() && entry.created_at <= self.ordered_at;
        let carried = |entry: &PendingSetting| {
            entry.is_carried_by(Setting::FirmwareUpgrade, self.id)
                || is_wanted && entry.setting == Setting::FirmwareUpgrade && is_ours(entry)
        };
        if !profile.pending.iter().any(carried) {
            return;
        }
        match self.failed {
            None => {
                profile.pending.retain(|entry| !carried(entry));
                profile.last_change = Some(at);
            }
            Some(words) => {
                for entry in profile.pending.iter_mut().filter(|entry| carried(entry)) {
                    entry.failed = Some(words.clone());
                }
            }
        }
    }
}

/// Why an image cannot be brought to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Its file has not been brought.
    #[error("the file of the firmware image is not here yet")]
    NoFile,
    /// It is for other devices.
    #[error("the firmware image is for another type of devices")]
    OtherType,
}

impl FirmwareImage {
    /// Whether it can be brought to devices of a type.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn fits(&self, device_type: DeviceTypeId) -> Result<(), Unfit> {
        match (self.device_type, self.content) {
            (Some(only), _) if only != device_type => Err(Unfit::OtherType),
            (_, Content::Missing) => Err(Unfit::NoFile),
            (_, Content::Here { .. }) => Ok(()),
        }
    }
}
