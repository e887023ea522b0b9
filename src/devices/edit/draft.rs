//! A device to be created, and a change to one, as an operator wishes them: checked values, no rules.

use uuid::Uuid;

use super::Operation;
use crate::model::device::{DeviceTypeId, OrganizationId, Profile, Setting, TypeOrigin};
use crate::model::file::ImageId;
use crate::model::inventory::LocationId;
use crate::types::ident::{DeviceKey, SerialNumber};
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// A device to be created.
#[derive(Debug, Clone)]
pub struct DeviceDraft {
    /// A wished-for key.
    pub key: Option<DeviceKey>,
    /// By which the API will address it.
    pub serial_number: SerialNumber,
    /// Everything else; what is absent gets its default.
    pub fields: DevicePatch,
}

/// A change: what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct DevicePatch {
    /// For people.
    pub name: Option<String>,
    /// The operator's own reference.
    pub customer_id: Option<String>,
    /// Free.
    pub serial_number_alt: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// Whose it is.
    pub organization: Option<OrganizationId>,
    /// What kind it is.
    pub device_type: Option<DeviceTypeId>,
    /// A location record, or none.
    pub location: Option<Option<LocationId>>,
    /// Free text.
    pub location_name: Option<String>,
    /// Decimal degrees, or none.
    pub latitude: Option<Option<String>>,
    /// Decimal degrees, or none.
    pub longitude: Option<Option<String>>,
    /// Free words.
    pub tags: Option<Vec<String>>,
    /// Whether it gets work.
    pub is_active: Option<bool>,
    /// Whether its sessions are traced.
    pub debug: Option<bool>,
    /// The wanted image, or none.
    pub firmware_image: Option<Option<ImageId>>,
    /// The wanted interval in seconds, or whatever the device has.
    pub update_frequency: Option<Option<u32>>,
    /// What the CPE is to present.
    pub username: Option<String>,
    /// What the CPE is to present.
    pub password: Option<Secret>,
    /// What is ordered together with the change.
    pub operations: Vec<Operation>,
}

impl DeviceDraft {
    /// The record of the new device, without its credentials.
    #[must_use]
    pub fn into_profile(self, uuid: Uuid, now: Timestamp) -> Profile {
        let mut profile = Profile { uuid, ..Profile::fresh(self.serial_number, now) };
        if self.fields.device_type.is_some() {
            profile.type_origin = TypeOrigin::Operator;
        }
        self.fields.apply(&mut profile);
        profile
    }
}

impl DevicePatch {
    /// Whether anything of the record is named, credentials aside.
    #[must_use]
    pub fn changes_record(&self) -> bool {
        self.name.is_some()
            || self.customer_id.is_some()
            || self.serial_number_alt.is_some()
            || self.description.is_some()
            || self.organization.is_some()
            || self.device_type.is_some()
            || self.location.is_some()
            || self.location_name.is_some()
            || self.latitude.is_some()
            || self.longitude.is_some()
            || self.tags.is_some()
            || self.is_active.is_some()
            || self.debug.is_some()
            || self.firmware_image.is_some()
            || self.update_frequency.is_some()
    }

    /// Whether it changes anything that values of the device's configuration may be made from.
    fn changes_configuration(&self, profile: &Profile) -> bool {
        fn differs<T: PartialEq>(wanted: Option<&T>, present: &T) -> bool {
            wanted.is_some_and(|wanted| wanted != present)
        }
        differs(self.name.as_ref(), &profile.name)
            || differs(self.customer_id.as_ref(), &profile.customer_id)
            || differs(self.description.as_ref(), &profile.description)
            || differs(self.organization.as_ref(), &profile.organization)
            || differs(self.device_type.as_ref(), &profile.device_type)
            || differs(self.location.as_ref(), &profile.location)
            || differs(self.location_name.as_ref(), &profile.location_name)
            || differs(self.latitude.as_ref(), &profile.latitude)
            || differs(self.longitude.as_ref(), &profile.longitude)
    }

    /// Writes what is named into the record. Credentials and operations are not its business.
    pub fn apply(self, profile: &mut Profile) {
        if self.changes_configuration(profile) {
            profile.revision = profile.revision.wrapping_add(1);
        }
        // A record that is sent back as it was read chooses nothing.
        if self.device_type.is_some_and(|wanted| wanted != profile.device_type) {
            profile.type_origin = TypeOrigin::Operator;
        }
        set(&mut profile.name, self.name);
        set(&mut profile.customer_id, self.customer_id);
        set(&mut profile.serial_number_alt, self.serial_number_alt);
        set(&mut profile.description, self.description);
        set(&mut profile.organization, self.organization);
        set(&mut profile.device_type, self.device_type);
        set(&mut profile.location, self.location);
        set(&mut profile.location_name, self.location_name);
        set(&mut profile.latitude, self.latitude);
        set(&mut profile.longitude, self.longitude);
        set(&mut profile.tags, self.tags);
        set(&mut profile.is_active, self.is_active);
        set(&mut profile.debug, self.debug);
        set(&mut profile.firmware_image, self.firmware_image);
        if self.update_frequency == Some(None) {
            // Nothing is wanted any more, so nothing is pending.
            profile.pending.retain(|entry| entry.setting != Setting::UpdateFrequency);
        }
        set(&mut profile.update_frequency, self.update_frequency);
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
