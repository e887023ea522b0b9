//! Small records in memory.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::model::campaign::Campaign;
use crate::model::device_type::DeviceType;
use crate::model::file::{FirmwareImage, StoredFile};
use crate::model::inventory::{Location, Organization};
use crate::model::webhook::Webhook;
use crate::store::catalogue::{self, AddError, Catalogue, CatalogueStore, Edit, Entries, Make, Shelf};
use crate::store::{StoreError, StoreFuture};
use crate::types::time::Timestamp;

use super::{MemoryStore, ready};

/// Everything of which the store keeps a catalogue.
#[derive(Debug)]
pub(super) struct Catalogues {
    organizations: Records<Organization>,
    device_types: Records<DeviceType>,
    locations: Records<Location>,
    webhooks: Records<Webhook>,
    images: Records<FirmwareImage>,
    files: Records<StoredFile>,
    campaigns: Records<Campaign>,
}

impl Default for Catalogues {
    fn default() -> Self {
        let catalogues = Self {
            organizations: Records::default(),
            device_types: Records::default(),
            locations: Records::default(),
            webhooks: Records::default(),
            images: Records::default(),
            files: Records::default(),
            campaigns: Records::default(),
        };
        let start = Timestamp::default();
        catalogues.organizations.insert(1, Organization::first(start));
        catalogues.device_types.insert(1, DeviceType::generic(start));
        catalogues
    }
}

impl Catalogues {
    /// Refuses later writes.
    pub(super) fn close(&self) {
        *self.organizations.state.lock() = State::Closed;
        *self.device_types.state.lock() = State::Closed;
        *self.locations.state.lock() = State::Closed;
        *self.webhooks.state.lock() = State::Closed;
        *self.images.state.lock() = State::Closed;
        *self.files.state.lock() = State::Closed;
        *self.campaigns.state.lock() = State::Closed;
    }
}

#[derive(Debug)]
struct Records<T> {
    shelf: Shelf<T>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Open {
        /// The highest number that was ever given out.
        last: u32,
    },
    Closed,
}

impl<T> Default for Records<T> {
    fn default() -> Self {
        Self { shelf: Shelf::default(), state: Mutex::new(State::Open { last: 0 }) }
    }
}

impl<T: Clone> Records<T> {
    fn insert(&self, id: u32, record: T) {
        self.shelf.put(id, Arc::new(record));
        if let State::Open { last } = &mut *self.state.lock() {
            *last = (*last).max(id);
        }
    }

    fn step<R>(&self, step: impl FnOnce(&Shelf<T>, &mut u32) -> R) -> Result<R, StoreError> {
        match &mut *self.state.lock() {
            State::Open { last } => Ok(step(&self.shelf, last)),
            State::Closed => Err(StoreError::Unavailable { reason: "it is closed".to_owned() }),
        }
    }
}

impl<T: Clone + Send + Sync> Catalogue<T> for Records<T> {
    fn all(&self) -> Arc<Entries<T>> {
        self.shelf.all()
    }

    fn get(&self, id: u32) -> Option<Arc<T>> {
        self.shelf.get(id)
    }

    fn add<'a>(&'a self, wished: Option<u32>, make: Make<'a, T>) -> StoreFuture<'a, Arc<T>, AddError> {
        let added = self.step(|shelf, last| {
            let id = catalogue::number(&shelf.all(), *last, wished)?;
            *last = (*last).max(id);
            let record = Arc::new(make(id));
            shelf.put(id, Arc::clone(&record));
            Ok(record)
        });
        ready(added.map_err(AddError::Store).and_then(|added| added))
    }

    fn edit<'a>(&'a self, id: u32, edit: Edit<'a, T>) -> StoreFuture<'a, Option<Arc<T>>> {
        ready(self.step(|shelf, _| {
            let mut record = T::clone(&*shelf.get(id)?);
            edit(&mut record);
            let record = Arc::new(record);
            shelf.put(id, Arc::clone(&record));
            Some(record)
        }))
    }

    fn remove(&self, id: u32) -> StoreFuture<'_, bool> {
        ready(self.step(|shelf, _| shelf.take(id).is_some()))
    }
}

impl CatalogueStore for MemoryStore {
    fn organizations(&self) -> &dyn Catalogue<Organization> {
        &self.catalogues.organizations
    }

    fn device_types(&self) -> &dyn Catalogue<DeviceType> {
        &self.catalogues.device_types
    }

    fn locations(&self) -> &dyn Catalogue<Location> {
        &self.catalogues.locations
    }

    fn webhooks(&self) -> &dyn Catalogue<Webhook> {
        &self.catalogues.webhooks
    }

    fn firmware_images(&self) -> &dyn Catalogue<FirmwareImage> {
        &self.catalogues.images
    }

    fn stored_files(&self) -> &dyn Catalogue<StoredFile> {
        &self.catalogues.files
    }

    fn campaigns(&self) -> &dyn Catalogue<Campaign> {
        &self.catalogues.campaigns
    }
}
