//! The wanted firmware image of a device.
//!
//! Bringing an image is ordered by operators and campaigns, and by nobody else: after a failure, or when the device runs
//! something else later, nothing is scheduled by itself. Naming the image again is asking again.

use super::draft::DevicePatch;
use super::{EditError, Editor};
use crate::model::campaign::CampaignId;
use crate::model::device::{Device, PendingSetting, Profile, Setting};
use crate::model::file::ImageId;
use crate::model::transaction::{Transaction, TransactionStatus, Work};
use crate::model::transfer::{FileRef, is_same_version};
use crate::types::ident::TransactionId;

/// What a change of the wanted image means for what is on its way to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// Nothing: it is not named, or one is on its way that none can take back.
    Untouched,
    /// Nothing: this brings it already.
    OnItsWay(TransactionId),
    /// It is to be brought.
    Wanted {
        /// What was to bring another one, if it has not started.
        replaces: Option<TransactionId>,
    },
    /// Nothing is to be brought any more: none is wanted, or the device has it.
    Settled {
        /// What was to bring one, if it has not started.
        withdraws: Option<TransactionId>,
    },
}

impl Upgrade {
    /// What is not needed any more.
    pub(super) const fn superseded(self) -> Option<TransactionId> {
        match self {
            Self::Untouched | Self::OnItsWay(_) => None,
            Self::Wanted { replaces } => replaces,
            Self::Settled { withdraws } => withdraws,
        }
    }
}

impl Editor<'_> {
    /// Makes an image the wanted one and schedules what brings it to the device; `None`: the device runs it already, or gets
    /// it at its first contact.
    ///
    /// # Errors
    /// [`EditError`].
    pub async fn upgrade(
        &self,
        device: &Device,
        image: ImageId,
        by: &str,
        campaign: Option<CampaignId>,
    ) -> Result<Option<Transaction>, EditError> {
        let patch = DevicePatch { firmware_image: Some(Some(image)), ..DevicePatch::default() };
        // The record does not tell: a device that was quick has had its turn, and nothing is pending any more.
        let Some(carrier) = Box::pin(self.change_for(device, patch, by, campaign)).await?.upgrade else {
            return Ok(None);
        };
        Ok(self.store.transaction(carrier).await?)
    }

    /// What a patch means for the wanted image. `intended` is the record as it is to be.
    pub(super) async fn plan_upgrade(
        &self,
        device: &Device,
        patch: &DevicePatch,
        intended: &Profile,
        campaign: Option<CampaignId>,
    ) -> Result<Upgrade, EditError> {
        let Some(wanted) = patch.firmware_image else { return Ok(Upgrade::Untouched) };
        let entry = entry_of(&device.profile);
        let carrier = match entry.and_then(|entry| entry.transaction) {
            Some(id) => self.store.transaction(id).await?.filter(|carrier| !carrier.status.is_final()),
            None => None,
        };
        let is_started = carrier.as_ref().is_some_and(|carrier| carrier.status != TransactionStatus::Scheduled);
        let unstarted = carrier.as_ref().filter(|_| !is_started).map(|carrier| carrier.id);
        let Some(id) = wanted else {
            // What has begun goes on, and is pending as long.
            return Ok(if is_started { Upgrade::Untouched } else { Upgrade::Settled { withdraws: unstarted } });
        };
        let image =
            self.store.firmware_images().of(id).ok_or(EditError::Impossible("there is no such firmware image"))?;
        image.fits(intended.device_type).map_err(EditError::Unfit)?;
        let brings = |carrier: &&Transaction| {
            let brings = matches!(&carrier.work, Work::Download(order) if order.file == FileRef::Image(id));
            brings && (campaign.is_none() || campaign == carrier.campaign)
        };
        if let Some(carrier) = carrier.as_ref().filter(brings) {
            return Ok(Upgrade::OnItsWay(carrier.id));
        }
        let runs_it = is_same_version(&device.state.software_version, &image.version);
        // There is no version to see it by: it was brought once.
        let had_it = image.version.trim().is_empty() && device.profile.firmware_image == Some(id) && entry.is_none();
        if (runs_it || had_it) && !is_started {
            return Ok(Upgrade::Settled { withdraws: unstarted });
        }
        Ok(Upgrade::Wanted { replaces: unstarted })
    }
}

/// The pending upgrade of a device.
fn entry_of(profile: &Profile) -> Option<&PendingSetting> {
    profile.pending.iter().find(|entry| entry.setting == Setting::FirmwareUpgrade)
}
