//! Small records: on disk, and all of them in memory.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::campaign::Campaign;
use crate::model::device_type::DeviceType;
use crate::model::file::{FirmwareImage, StoredFile};
use crate::model::inventory::{Location, Organization};
use crate::model::webhook::Webhook;
use crate::store::catalogue::{self, AddError, Catalogue, CatalogueStore, Edit, Entries, Make, Shelf};
use crate::store::key::{self, Table};
use crate::store::{StoreError, StoreFuture, record};
use crate::types::time::Timestamp;

use super::committer::Committer;
use super::database::Database;
use super::{Core, SledStore};

/// Everything of which the store keeps a catalogue.
pub(super) struct Catalogues {
    organizations: Records<Organization>,
    device_types: Records<DeviceType>,
    locations: Records<Location>,
    webhooks: Records<Webhook>,
    images: Records<FirmwareImage>,
    files: Records<StoredFile>,
    campaigns: Records<Campaign>,
}

impl Catalogues {
    /// Reads them all. A fresh store gets the records that every store has.
    pub(super) fn load(core: &Arc<Core>, committer: &Arc<Committer>, now: Timestamp) -> Result<Self, StoreError> {
        let organizations = Records::load(core, committer, Table::Organizations)?;
        let device_types = Records::load(core, committer, Table::DeviceTypes)?;
        let locations = Records::load(core, committer, Table::Locations)?;
        let webhooks = Records::load(core, committer, Table::Webhooks)?;
        let images = Records::load(core, committer, Table::Images)?;
        let files = Records::load(core, committer, Table::Files)?;
        let campaigns = Records::load(core, committer, Table::Campaigns)?;
        organizations.begin(1, || Organization::first(now))?;
        device_types.begin(1, || DeviceType::generic(now))?;
        Ok(Self { organizations, device_types, locations, webhooks, images, files, campaigns })
    }
}

struct Records<T> {
    core: Arc<Core>,
    committer: Arc<Committer>,
    table: Table,
    shelf: Shelf<T>,
    /// The highest number that was ever given out; held while a record changes, so that disk and memory agree.
    last: Mutex<u32>,
}

impl<T: Clone + Serialize + DeserializeOwned> Records<T> {
    fn load(core: &Arc<Core>, committer: &Arc<Committer>, table: Table) -> Result<Self, StoreError> {
        let database: &Database = &core.database;
        let mut last = match database.get(Table::Meta, table.name().as_bytes())? {
            Some(bytes) => record::decode("number floor", &bytes)?,
            None => 0,
        };
        let shelf = Shelf::default();
        database.each_at_open(table, |key, bytes| {
            // Parts of a large record have longer keys.
            if let Some(id) = key::read_number(key) {
                last = u32::max(last, id);
                shelf.put(id, Arc::new(record::decode::<T>(table.name(), &bytes)?));
            }
            Ok(())
        })?;
        Ok(Self { core: Arc::clone(core), committer: Arc::clone(committer), table, shelf, last: Mutex::new(last) })
    }

    /// Puts the first record into a catalogue that has never had one.
    fn begin(&self, id: u32, first: impl FnOnce() -> T) -> Result<(), StoreError> {
        let mut last = self.last.lock();
        if *last == 0 {
            self.put(id, Arc::new(first()))?;
            *last = id;
        }
        Ok(())
    }

    fn put(&self, id: u32, record: Arc<T>) -> Result<(), StoreError> {
        self.core.database.put(self.table, &key::number(id), &record::encode_large(&*record)?)?;
        self.shelf.put(id, record);
        Ok(())
    }

    fn insert(&self, wished: Option<u32>, make: Make<'_, T>) -> Result<Arc<T>, AddError> {
        self.core.health.check()?;
        let mut last = self.last.lock();
        let id = catalogue::number(&self.shelf.all(), *last, wished)?;
        let record = Arc::new(make(id));
        self.put(id, Arc::clone(&record))?;
        *last = (*last).max(id);
        Ok(record)
    }

    fn change(&self, id: u32, edit: Edit<'_, T>) -> Result<Option<Arc<T>>, StoreError> {
        self.core.health.check()?;
        let _held = self.last.lock();
        let Some(before) = self.shelf.get(id) else { return Ok(None) };
        let mut record = T::clone(&before);
        edit(&mut record);
        let record = Arc::new(record);
        self.put(id, Arc::clone(&record))?;
        Ok(Some(record))
    }

    fn delete(&self, id: u32) -> Result<bool, StoreError> {
        self.core.health.check()?;
        let last = self.last.lock();
        if self.shelf.get(id).is_none() {
            return Ok(false);
        }
        self.core.database.put(Table::Meta, self.table.name().as_bytes(), &record::encode(&*last, 8)?)?;
        self.core.database.remove(self.table, &key::number(id))?;
        self.shelf.take(id);
        Ok(true)
    }
}

impl<T: Clone + Serialize + DeserializeOwned + Send + Sync> Catalogue<T> for Records<T> {
    fn all(&self) -> Arc<Entries<T>> {
        self.shelf.all()
    }

    fn get(&self, id: u32) -> Option<Arc<T>> {
        self.shelf.get(id)
    }

    fn add<'a>(&'a self, wished: Option<u32>, make: Make<'a, T>) -> StoreFuture<'a, Arc<T>, AddError> {
        Box::pin(async move {
            let record = self.insert(wished, make)?;
            self.committer.barrier().await?;
            Ok(record)
        })
    }

    fn edit<'a>(&'a self, id: u32, edit: Edit<'a, T>) -> StoreFuture<'a, Option<Arc<T>>> {
        Box::pin(async move {
            let record = self.change(id, edit)?;
            self.committer.barrier().await?;
            Ok(record)
        })
    }

    fn remove(&self, id: u32) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let removed = self.delete(id)?;
            self.committer.barrier().await?;
            Ok(removed)
        })
    }
}

impl CatalogueStore for SledStore {
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
