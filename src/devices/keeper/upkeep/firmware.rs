//! The wanted firmware image: brought once, when nothing has tried yet, and then left to operators.

use super::{Tended, Upkeep, Wake, note_carrier};
use crate::devices::onboard::REQUESTED_BY;
use crate::model::campaign::CampaignId;
use crate::model::device::{Device, PendingSetting, Profile, Setting};
use crate::model::file::{FirmwareImage, ImageId};
use crate::model::transaction::{Kind, NewTransaction, Transaction, Work};
use crate::model::transfer::{DownloadOrder, FileRef, is_same_version};
use crate::model::upgrade::Upgraded;
use crate::store::{Store, StoreError};
use crate::types::time::Timestamp;

/// What is to be done about the wanted image.
enum Due {
    /// The device runs it: nothing is pending any more.
    Settled,
    /// Nothing has tried to bring it.
    Untried,
    /// A campaign was to order it, and has ended before it did.
    Abandoned,
    /// It was on its way when last looked at; what brings it may have ended unnoticed.
    OnItsWay,
}

fn entry_of(profile: &Profile) -> Option<&PendingSetting> {
    profile.pending.iter().find(|entry| entry.setting == Setting::FirmwareUpgrade)
}

fn due(store: &dyn Store, device: &Device) -> Option<Due> {
    let entry = entry_of(&device.profile)?;
    let runs_it = device.profile.firmware_image.and_then(|id| store.firmware_images().of(id));
    let runs_it = runs_it.is_some_and(|image| is_same_version(&device.state.software_version, &image.version));
    match (&entry.failed, entry.transaction) {
        // However it came by it.
        (Some(_), _) | (None, None) if runs_it => Some(Due::Settled),
        (None, None) => match entry.campaign {
            None => Some(Due::Untried),
            // In its window, behind its canary, unless it is paused: not now, and not by us.
            Some(id) if store.campaigns().of(id).is_some_and(|campaign| campaign.is_open()) => None,
            Some(_) => Some(Due::Abandoned),
        },
        (None, Some(_)) => Some(Due::OnItsWay),
        (Some(_), _) => None,
    }
}

/// Nothing brings it, unless it was ordered meanwhile.
fn note_failure(profile: &mut Profile, words: String) {
    let mut entries = profile.pending.iter_mut();
    if let Some(entry) = entries.find(|entry| entry.setting == Setting::FirmwareUpgrade && entry.is_uncarried()) {
        entry.failed = Some(words);
    }
}

/// Whether anything may have to be done about the wanted image: look-ups in memory.
pub(super) fn is_due(store: &dyn Store, device: &Device) -> bool {
    due(store, device).is_some()
}

/// What brings an image to a device; as it is, it never expires.
#[must_use]
pub fn upgrade_to(image: &FirmwareImage, by: &str, campaign: Option<CampaignId>) -> NewTransaction {
    let order = DownloadOrder {
        file: FileRef::Image(image.id),
        file_type: image.file_type.clone(),
        target_file_name: String::new(),
        delay_secs: 0,
        windows: Vec::new(),
    };
    NewTransaction {
        kind: Kind::Firmware,
        work: Work::Download(Box::new(order)),
        requested_by: by.to_owned(),
        expires_at: None,
        campaign,
    }
}

impl Upkeep<'_> {
    pub(super) async fn bring_firmware(
        &self,
        device: &Device,
        live: &[Transaction],
        wake: Wake,
        at: Timestamp,
    ) -> Result<Tended, StoreError> {
        let edit: Box<dyn FnOnce(&mut Profile) + Send> = match due(self.store, device) {
            None => return Ok(Tended::Nothing),
            Some(Due::Settled) => Box::new(|profile| {
                profile.pending.retain(|entry| entry.setting != Setting::FirmwareUpgrade);
            }),
            Some(Due::Untried) => match self.image(device, device.profile.firmware_image) {
                Ok(image) => {
                    let new = upgrade_to(&image, REQUESTED_BY, None);
                    let Some(carrier) = self.enqueue(device, new, wake, at).await? else { return Ok(Tended::Nothing) };
                    Box::new(move |profile| note_carrier(profile, Setting::FirmwareUpgrade, carrier.id, at))
                }
                Err(words) => Box::new(move |profile| note_failure(profile, words)),
            },
            Some(Due::Abandoned) => {
                Box::new(|profile| note_failure(profile, "its campaign ended before it was ordered".to_owned()))
            }
            Some(Due::OnItsWay) => {
                let Some(carrier) = entry_of(&device.profile).and_then(|entry| entry.transaction) else {
                    return Ok(Tended::Nothing);
                };
                if live.iter().any(|live| live.id == carrier) {
                    return Ok(Tended::Nothing);
                }
                let Some(ended) = self.store.transaction(carrier).await?.filter(|it| it.status.is_final()) else {
                    return Ok(Tended::Nothing);
                };
                let upgraded = Upgraded::of(&ended);
                Box::new(move |profile| upgraded.note(profile, at))
            }
        };
        self.store.edit_profile(device.key, edit).await?;
        Ok(Tended::Something)
    }

    /// The wanted image; why it cannot be brought to the device, in words.
    fn image(&self, device: &Device, wanted: Option<ImageId>) -> Result<std::sync::Arc<FirmwareImage>, String> {
        let image = wanted.and_then(|id| self.store.firmware_images().of(id));
        let image = image.ok_or_else(|| "the firmware image is gone".to_owned())?;
        image.fits(device.profile.device_type).map_err(|unfit| unfit.to_string())?;
        Ok(image)
    }
}
