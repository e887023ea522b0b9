//! What a change of the record means for the settings that the device itself has to take.

use super::draft::DevicePatch;
use super::firmware::Upgrade;
use crate::model::device::{Device, Profile, Setting};
use crate::model::wanted::Basis;

/// Which settings become pending with a change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Consequences {
    /// An operator asked for these by name: refused together with the change when they cannot be scheduled.
    pub(super) asked: Vec<Setting>,
    /// These are no longer pending.
    pub(super) settled: Vec<Setting>,
    /// These follow from the change: they are brought when the device takes work.
    pub(super) implied: Vec<Setting>,
}

impl Consequences {
    /// Of a patch, with the device as it is before and after it.
    pub(super) fn of(device: &Device, patch: &DevicePatch, before: &Basis<'_>, after: &Basis<'_>, login: bool) -> Self {
        let mut consequences = Self::default();
        let seen = device.state.identity.is_some();
        // Asking again for what the device refused is asking it to try again.
        let refused =
            |setting| device.profile.pending.iter().any(|entry| entry.setting == setting && entry.failed.is_some());
        let is_pending = |setting| device.profile.pending.iter().any(|entry| entry.setting == setting);
        let interval = device.profile.update_frequency.or(device.state.periodic_interval_secs);
        match (patch.update_frequency, after.update_frequency()) {
            (Some(Some(wanted)), _) if interval != Some(wanted) || refused(Setting::UpdateFrequency) => {
                consequences.asked.push(Setting::UpdateFrequency);
            }
            // Its own is gone, and its type's counts again.
            (Some(None), Some(wanted))
                if seen && (interval != Some(wanted) || is_pending(Setting::UpdateFrequency)) =>
            {
                consequences.implied.push(Setting::UpdateFrequency);
            }
            (Some(_) | None, _) => {}
        }
        // A device that was never seen has no old login to replace: the new one counts as set on it.
        let asked_again = patch.password.is_some() && refused(Setting::Credentials);
        if (login || asked_again) && seen {
            consequences.asked.push(Setting::Credentials);
        }
        let moved = before.location_name() != after.location_name();
        if moved && after.location_parameter().is_some() && (seen || !after.location_name().is_empty()) {
            consequences.implied.push(Setting::LocationUpdate);
        }
        consequences
    }

    /// Adds what is to become of the wanted image.
    pub(super) fn upgrade(&mut self, upgrade: Upgrade) {
        match upgrade {
            Upgrade::Untouched | Upgrade::OnItsWay(_) => {}
            Upgrade::Wanted { .. } => self.asked.push(Setting::FirmwareUpgrade),
            Upgrade::Settled { .. } => self.settled.push(Setting::FirmwareUpgrade),
        }
    }

    /// Whether nothing changes.
    pub(super) fn is_none(&self) -> bool {
        self.asked.is_empty() && self.implied.is_empty() && self.settled.is_empty()
    }

    /// What becomes pending.
    pub(super) fn all(&self) -> impl Iterator<Item = Setting> {
        self.asked.iter().chain(&self.implied).copied()
    }
}

/// The settings that are pending on a new device until its first contact.
pub(super) fn of_new_device(basis: &Basis<'_>) -> Vec<Setting> {
    let Profile { update_frequency, .. } = basis.profile;
    let mut settings = Vec::new();
    if update_frequency.is_some() {
        settings.push(Setting::UpdateFrequency);
    }
    if basis.profile.firmware_image.is_some() {
        settings.push(Setting::FirmwareUpgrade);
    }
    if basis.location_parameter().is_some() && !basis.location_name().is_empty() {
        settings.push(Setting::LocationUpdate);
    }
    settings
}
