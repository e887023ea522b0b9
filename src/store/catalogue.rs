//! Small records that operators keep, with a number each: organizations, types, locations, webhooks. All of them are in
//! memory, so that looking one up never waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::model::campaign::{Campaign, CampaignId};
use crate::model::device::{DeviceTypeId, OrganizationId};
use crate::model::device_type::DeviceType;
use crate::model::file::{FirmwareImage, ImageId, StoredFile, StoredFileId};
use crate::model::inventory::{Location, LocationId, Organization};
use crate::model::webhook::Webhook;

use super::{StoreError, StoreFuture};

/// All records of one kind, by number.
pub type Entries<T> = BTreeMap<u32, Arc<T>>;

/// Makes a record when its number is known.
pub type Make<'a, T> = Box<dyn FnOnce(u32) -> T + Send + 'a>;
/// Changes a record; its number may not change.
pub type Edit<'a, T> = Box<dyn FnOnce(&mut T) + Send + 'a>;

/// Records of one kind.
pub trait Catalogue<T>: Send + Sync {
    /// All of them, as they are now: a look-up in memory.
    fn all(&self) -> Arc<Entries<T>>;

    /// One of them: a look-up in memory.
    fn get(&self, id: u32) -> Option<Arc<T>>;

    /// Adds a record under the wished-for number, else the next one that was never given out; durable.
    fn add<'a>(&'a self, wished: Option<u32>, make: Make<'a, T>) -> StoreFuture<'a, Arc<T>, AddError>;

    /// Changes a record; durable. `None`: there is none.
    fn edit<'a>(&'a self, id: u32, edit: Edit<'a, T>) -> StoreFuture<'a, Option<Arc<T>>>;

    /// Removes a record; durable. `false`: it was not there.
    fn remove(&self, id: u32) -> StoreFuture<'_, bool>;
}

/// The catalogues of a store.
pub trait CatalogueStore: Send + Sync {
    /// Whose devices are whose. Number 1 is there from the start.
    fn organizations(&self) -> &dyn Catalogue<Organization>;

    /// Kinds of devices. Number 1 is there from the start.
    fn device_types(&self) -> &dyn Catalogue<DeviceType>;

    /// Where devices stand.
    fn locations(&self) -> &dyn Catalogue<Location>;

    /// Where events are pushed to.
    fn webhooks(&self) -> &dyn Catalogue<Webhook>;

    /// Files that devices fetch.
    fn firmware_images(&self) -> &dyn Catalogue<FirmwareImage>;

    /// Files that devices have sent.
    fn stored_files(&self) -> &dyn Catalogue<StoredFile>;

    /// Operations for many devices.
    fn campaigns(&self) -> &dyn Catalogue<Campaign>;
}

/// Why a record was not added.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AddError {
    /// The wished-for number is in use.
    #[error("number {id} is taken")]
    Taken {
        /// The number.
        id: u32,
    },
    /// Every number has been given out.
    #[error("no number is left")]
    Exhausted,
    /// The store failed.
    #[error("the record was not stored")]
    Store(#[from] StoreError),
}

impl dyn Catalogue<Organization> + '_ {
    /// By its typed number.
    pub fn of(&self, id: OrganizationId) -> Option<Arc<Organization>> {
        self.get(id.0)
    }
}

impl dyn Catalogue<DeviceType> + '_ {
    /// By its typed number.
    pub fn of(&self, id: DeviceTypeId) -> Option<Arc<DeviceType>> {
        self.get(id.0)
    }
}

impl dyn Catalogue<FirmwareImage> + '_ {
    /// By its typed number.
    pub fn of(&self, id: ImageId) -> Option<Arc<FirmwareImage>> {
        self.get(id.0)
    }
}

impl dyn Catalogue<StoredFile> + '_ {
    /// By its typed number.
    pub fn of(&self, id: StoredFileId) -> Option<Arc<StoredFile>> {
        self.get(id.0)
    }
}

impl dyn Catalogue<Campaign> + '_ {
    /// By its typed number.
    pub fn of(&self, id: CampaignId) -> Option<Arc<Campaign>> {
        self.get(id.0)
    }
}

impl dyn Catalogue<Location> + '_ {
    /// By its typed number.
    pub fn of(&self, id: LocationId) -> Option<Arc<Location>> {
        self.get(id.0)
    }
}

/// The records of one kind in memory, and which number comes next.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    entries: RwLock<Arc<Entries<T>>>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { entries: RwLock::default() }
    }
}

impl<T: Clone> Shelf<T> {
    pub(super) fn all(&self) -> Arc<Entries<T>> {
        Arc::clone(&self.entries.read())
    }

    pub(super) fn get(&self, id: u32) -> Option<Arc<T>> {
        self.entries.read().get(&id).cloned()
    }

    pub(super) fn put(&self, id: u32, record: Arc<T>) {
        Arc::make_mut(&mut *self.entries.write()).insert(id, record);
    }

    pub(super) fn take(&self, id: u32) -> Option<Arc<T>> {
        Arc::make_mut(&mut *self.entries.write()).remove(&id)
    }
}

/// The number for a new record, with `last` the highest that was ever given out.
pub(super) fn number<T>(entries: &Entries<T>, last: u32, wished: Option<u32>) -> Result<u32, AddError> {
    match wished {
        Some(id) if entries.contains_key(&id) => Err(AddError::Taken { id }),
        Some(id) => Ok(id),
        None => last.checked_add(1).ok_or(AddError::Exhausted),
    }
}
