//! What a device refers to, and whether it is there.

use super::record::no_such;
use super::{Inventory, InventoryError};
use crate::model::device::{Device, DeviceTypeId, OrganizationId, Profile};
use crate::model::file::ImageId;
use crate::model::inventory::LocationId;
use crate::model::organizations;
use crate::store::{Store, StoreError};

/// The records that a device refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct References {
    /// Whose it is.
    pub organization: OrganizationId,
    /// What kind it is.
    pub device_type: DeviceTypeId,
    /// Where it stands.
    pub location: Option<LocationId>,
    /// Which image it is to run.
    pub firmware_image: Option<ImageId>,
}

/// One of a device's references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// `organization_id`.
    Organization,
    /// `type`.
    DeviceType,
    /// `location`.
    Location,
    /// `firmware_image`.
    FirmwareImage,
}

impl Reference {
    /// The API's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization_id",
            Self::DeviceType => "type",
            Self::Location => "location",
            Self::FirmwareImage => "firmware_image",
        }
    }
}

impl From<&Profile> for References {
    fn from(profile: &Profile) -> Self {
        Self {
            organization: profile.organization,
            device_type: profile.device_type,
            location: profile.location,
            firmware_image: profile.firmware_image,
        }
    }
}

impl References {
    /// Those that lead nowhere, to a location that is another organization's or to an image for another type, and why: as
    /// a sentence.
    #[must_use]
    pub fn broken(self, store: &dyn Store) -> Vec<(Reference, String)> {
        let organizations = store.organizations().all();
        let mut broken = Vec::new();
        if !organizations.contains_key(&self.organization.0) {
            broken.push((Reference::Organization, no_such(self.organization.0)));
        }
        if store.device_types().of(self.device_type).is_none() {
            broken.push((Reference::DeviceType, no_such(self.device_type.0)));
        }
        if let Some(id) = self.location {
            match store.locations().of(id).map(|location| location.organization) {
                None => broken.push((Reference::Location, no_such(id.0))),
                Some(Some(owner)) if !organizations::lies_within(&organizations, self.organization, owner) => {
                    broken.push((Reference::Location, "The location is another organization's.".to_owned()));
                }
                Some(_) => {}
            }
        }
        if let Some(id) = self.firmware_image {
            match store.firmware_images().of(id).map(|image| image.device_type) {
                None => broken.push((Reference::FirmwareImage, no_such(id.0))),
                Some(Some(meant)) if meant != self.device_type => {
                    let reason = "The image is for devices of another type.".to_owned();
                    broken.push((Reference::FirmwareImage, reason));
                }
                Some(_) => {}
            }
        }
        broken
    }
}

impl Inventory<'_> {
    /// Looks again, now that a new device is there, and removes it where something it refers to has gone meanwhile.
    ///
    /// # Errors
    /// [`InventoryError::Field`], [`InventoryError::Store`].
    pub async fn confirm_created(&self, device: &Device) -> Result<(), InventoryError> {
        let Some(late) = first(References::from(&device.profile).broken(self.store)) else { return Ok(()) };
        self.store.remove(device.key).await?;
        Err(late)
    }

    /// Looks again, now that a device was changed: what it has been given and is gone already, it gives back.
    ///
    /// # Errors
    /// [`InventoryError::Field`], [`InventoryError::Store`].
    pub async fn confirm_changed(&self, before: &Device, device: &Device) -> Result<(), InventoryError> {
        let (old, new) = (References::from(&before.profile), References::from(&device.profile));
        if old == new {
            return Ok(());
        }
        let Some(late) = first(new.broken(self.store)) else { return Ok(()) };
        self.give_back(device, old, new).await?;
        Err(late)
    }

    async fn give_back(&self, device: &Device, old: References, new: References) -> Result<(), StoreError> {
        let undo = move |profile: &mut Profile| {
            if References::from(&*profile) == new {
                (profile.organization, profile.device_type) = (old.organization, old.device_type);
                (profile.location, profile.firmware_image) = (old.location, old.firmware_image);
                profile.revision = profile.revision.wrapping_add(1);
            }
        };
        self.store.edit_profile(device.key, Box::new(undo)).await?;
        Ok(())
    }
}

fn first(broken: Vec<(Reference, String)>) -> Option<InventoryError> {
    let (reference, reason) = broken.into_iter().next()?;
    Some(InventoryError::Field { field: reference.as_str(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::keeper::Keeper;
    use crate::model::device::{DEFAULT_ORGANIZATION, DEFAULT_TYPE};
    use crate::store::memory::{MemoryConfig, MemoryStore};
    use crate::store::{DeviceStore as _, NewDevice};
    use crate::types::ident::SerialNumber;
    use crate::types::time::Timestamp;

    /// A device of a type that has gone between the look before and the look after.
    async fn late(store: &MemoryStore) -> Device {
        let serial = SerialNumber::try_from("S").expect("a serial");
        let profile = Profile { device_type: DeviceTypeId(5), ..Profile::fresh(serial, Timestamp(0)) };
        store.register(NewDevice { key: None, identity: None, profile }).await.expect("registered")
    }

    #[tokio::test]
    async fn a_device_that_came_too_late_goes_again() {
        let store = MemoryStore::new(MemoryConfig::default());
        let inventory = Inventory { store: &store, keeper: &Keeper::default() };
        let device = late(&store).await;
        let refused = inventory.confirm_created(&device).await;
        assert!(matches!(refused, Err(InventoryError::Field { field: "type", .. })), "{refused:?}");
        assert_eq!(store.device(device.key).await.expect("the store"), None);
    }

    #[tokio::test]
    async fn a_change_that_came_too_late_is_taken_back() {
        let store = MemoryStore::new(MemoryConfig::default());
        let inventory = Inventory { store: &store, keeper: &Keeper::default() };
        let device = late(&store).await;
        let mut before = device.clone();
        before.profile.device_type = DEFAULT_TYPE;
        let refused = inventory.confirm_changed(&before, &device).await;
        assert!(matches!(refused, Err(InventoryError::Field { field: "type", .. })), "{refused:?}");
        let profile = store.device(device.key).await.expect("the store").expect("the device").profile;
        assert_eq!((profile.device_type, profile.organization), (DEFAULT_TYPE, DEFAULT_ORGANIZATION));
        assert!(inventory.confirm_changed(&device, &device).await.is_ok(), "what has not changed is not judged");
    }
}
