//! Diagnostic entries on disk: a record each, and in memory what lists filter by.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::model::entry::{DiagnosticEntry, EntryHead, EntryId, EntryText, HEALTH_CHECK};
use crate::store::entries::{
    DueCheck, EntriesError, EntryEdit, EntryFilter, EntryStore, MakeEntry, SEARCH_MAX, has_word,
};
use crate::store::index::entries::{Candidate, EntryIndex, EntryTest};
use crate::store::key::{self, Table};
use crate::store::{DeviceFilter, Listing, Page, StoreError, StoreFuture, record};
use crate::types::ident::DeviceKey;
use crate::types::time::Timestamp;

use roaring::RoaringBitmap;

use super::database::Database;
use super::{Core, SledStore, blocking};

/// A page with more entries than this is read where it may block.
const INLINE_ENTRIES: u32 = 64;

/// What lists filter and search by: the first fields of a record.
type Heads = (EntryId, EntryHead, EntryText);

/// The entries of a store.
pub(super) struct Entries {
    index: RwLock<EntryIndex>,
    /// The highest number that was ever given out.
    last: Mutex<u32>,
}

impl Entries {
    /// Reads what lists filter by.
    pub(super) fn load(database: &Database) -> Result<Self, StoreError> {
        let mut index = EntryIndex::default();
        database.each_at_open(Table::Entries, |key, bytes| {
            // Parts of a large entry have longer keys.
            if key::read_number(key).is_some() {
                let (id, head, text) = record::decode_head::<Heads>("diagnostic entry", &bytes)?;
                index.put(id, &head, &text);
            }
            Ok(())
        })?;
        let mut last = index.last().map_or(0, |id| id.0);
        if let Some(bytes) = database.get(Table::Meta, Table::Entries.name().as_bytes())? {
            last = last.max(record::decode("entry floor", &bytes)?);
        }
        Ok(Self { index: RwLock::new(index), last: Mutex::new(last) })
    }
}

impl Core {
    fn read_entry(&self, id: EntryId) -> Result<Option<DiagnosticEntry>, StoreError> {
        let bytes = self.database.get(Table::Entries, &key::number(id.0))?;
        bytes.map(|bytes| record::decode("diagnostic entry", &bytes)).transpose()
    }

    fn read_entries(&self, ids: Vec<EntryId>) -> Result<Vec<DiagnosticEntry>, StoreError> {
        // One that has been removed since it was found is left out.
        ids.into_iter().filter_map(|id| self.read_entry(id).transpose()).collect()
    }

    fn put_entry(&self, entry: &DiagnosticEntry) -> Result<(), StoreError> {
        self.database.put(Table::Entries, &key::number(entry.id.0), &record::encode_large(entry)?)?;
        self.entries.index.write().follow(entry);
        Ok(())
    }

    /// Deletes an entry; its number is not given out again.
    fn drop_entry(&self, id: EntryId) -> Result<(), StoreError> {
        let last = *self.entries.last.lock();
        self.database.put(Table::Meta, Table::Entries.name().as_bytes(), &record::encode(&last, 8)?)?;
        self.database.purge(Table::Entries, &key::number(id.0))?;
        self.entries.index.write().remove(id);
        Ok(())
    }

    /// Deletes the entries of a device that is being removed. Called with its tree locked.
    pub(super) fn purge_entries(&self, device: DeviceKey) -> Result<(), StoreError> {
        let ids: Vec<EntryId> = self.entries.index.read().of_device(device).collect();
        ids.into_iter().try_for_each(|id| self.drop_entry(id))
    }

    /// Deletes entries whose device is not there.
    pub(super) fn purge_stray_entries(&self) -> Result<(), StoreError> {
        let devices = self.entries.index.read().devices();
        devices.into_iter().filter(|device| !self.exists(*device)).try_for_each(|device| self.purge_entries(device))
    }

    /// Called with the device's tree locked.
    fn insert_entry(&self, device: DeviceKey, make: MakeEntry<'_>, keep: usize) -> Result<DiagnosticEntry, StoreError> {
        let entry = {
            let mut last = self.entries.last.lock();
            let id = EntryId(last.checked_add(1).ok_or_else(|| StoreError::Unavailable {
                reason: "every number of a diagnostic entry has been given out".to_owned(),
            })?);
            let mut entry = make(id);
            (entry.id, entry.head.device) = (id, device);
            self.put_entry(&entry)?;
            *last = id.0;
            entry
        };
        let surplus = self.entries.index.read().surplus(device, keep, HEALTH_CHECK);
        // Never what has just been added.
        for gone in surplus.into_iter().filter(|gone| *gone != entry.id) {
            self.drop_entry(gone)?;
        }
        Ok(entry)
    }

    fn add_entry(
        &self,
        device: DeviceKey,
        make: MakeEntry<'_>,
        keep: usize,
    ) -> Result<Option<DiagnosticEntry>, StoreError> {
        // The lock under which a removed device's records are deleted: nothing is written behind that.
        let _tree = self.tree_locks.lock(device);
        if !self.exists(device) {
            return Ok(None);
        }
        self.insert_entry(device, make, keep).map(Some)
    }

    fn health_check(
        &self,
        device: DeviceKey,
        make: MakeEntry<'_>,
        keep: usize,
    ) -> Result<Option<DiagnosticEntry>, StoreError> {
        let _tree = self.tree_locks.lock(device);
        if !self.exists(device) {
            return Ok(None);
        }
        let present = self.entries.index.read().newest_of(device, HEALTH_CHECK);
        match present.map(|id| self.read_entry(id)).transpose()?.flatten() {
            Some(entry) => Ok(Some(entry)),
            None => self.insert_entry(device, make, keep).map(Some),
        }
    }

    fn edit_entry(&self, id: EntryId, edit: EntryEdit<'_>) -> Result<Option<DiagnosticEntry>, StoreError> {
        let Some(device) = self.entries.index.read().device_of(id) else { return Ok(None) };
        let _tree = self.tree_locks.lock(device);
        let Some(before) = self.read_entry(id)? else { return Ok(None) };
        let mut entry = before.clone();
        let found = edit(&mut entry);
        (entry.id, entry.head.device) = (id, device);
        if entry != before {
            self.note_of(device, entry.head.updated_at, found)?;
            self.put_entry(&entry)?;
        }
        Ok(Some(entry))
    }

    fn remove_entry(&self, id: EntryId) -> Result<bool, StoreError> {
        let Some(device) = self.entries.index.read().device_of(id) else { return Ok(false) };
        let _tree = self.tree_locks.lock(device);
        if self.entries.index.read().device_of(id).is_none() {
            return Ok(false);
        }
        self.drop_entry(id)?;
        Ok(true)
    }

    fn entry_test(&self, filter: &EntryFilter) -> EntryTest {
        EntryTest {
            device: filter.device,
            visible: filter.visible.as_ref().map(|organizations| self.devices.read().visible(organizations)),
            kind: filter.kind.clone(),
            status: filter.status.clone(),
        }
    }

    fn list_entries(&self, filter: &EntryFilter, page: Page) -> Result<Listing<DiagnosticEntry>, EntriesError> {
        let test = self.entry_test(filter);
        let (ids, count) = if filter.search.words().is_empty() {
            self.entries.index.read().select(&test, page)
        } else {
            let candidates = self.entries.index.read().candidates(&test);
            let found = self.search_entries(filter, candidates)?;
            (page.of(&found).to_vec(), u64::try_from(found.len()).unwrap_or(u64::MAX))
        };
        Ok(Listing { items: self.read_entries(ids)?, count })
    }

    /// Those among the candidates that have every word, be it in their own text or as a search of devices finds it.
    fn search_entries(&self, filter: &EntryFilter, candidates: Vec<Candidate>) -> Result<Vec<EntryId>, EntriesError> {
        let mut devices = Vec::new();
        for word in filter.search.words() {
            let search = word.parse().unwrap_or_default();
            let named = DeviceFilter { visible: filter.visible.clone(), search, ..DeviceFilter::default() };
            let (keys, _) = self.selection(&named).page(Page { offset: 0, limit: u32::MAX });
            devices.push((word, keys.into_iter().map(|key| key.0).collect::<RoaringBitmap>()));
        }
        let (mut found, mut read) = (Vec::new(), 0_usize);
        for Candidate { id, device, has_text } in candidates {
            let mut missing = devices.iter().filter(|(_, devices)| !devices.contains(device.0)).peekable();
            if missing.peek().is_none() {
                found.push(id);
            } else if has_text {
                read += 1;
                if read > SEARCH_MAX {
                    return Err(EntriesError::TooBroad);
                }
                let Some(bytes) = self.database.get(Table::Entries, &key::number(id.0))? else { continue };
                let (_, _, text) = record::decode_head::<Heads>("diagnostic entry", &bytes)?;
                if missing.all(|(word, _)| has_word(&text, word)) {
                    found.push(id);
                }
            }
        }
        Ok(found)
    }

    fn due_checks(&self) -> Result<Vec<DueCheck>, StoreError> {
        let checks = EntryTest { kind: Some(HEALTH_CHECK.to_owned()), ..EntryTest::default() };
        let candidates = self.entries.index.read().candidates(&checks);
        let mut found = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let Some(bytes) = self.database.get(Table::Entries, &key::number(candidate.id.0))? else { continue };
            let (_, head) = record::decode_head::<(EntryId, EntryHead)>("diagnostic entry", &bytes)?;
            found.push(DueCheck { device: head.device, due: head.next_check_due, awaits: head.awaits });
        }
        Ok(found)
    }

    fn trim_entries(&self, before: Timestamp, after: EntryId, limit: usize) -> Result<Option<EntryId>, StoreError> {
        let ids = self.entries.index.read().after(after, limit);
        let last = ids.last().copied();
        for id in ids {
            let Some(bytes) = self.database.get(Table::Entries, &key::number(id.0))? else { continue };
            let (_, head) = record::decode_head::<(EntryId, EntryHead)>("diagnostic entry", &bytes)?;
            if head.created_at >= before {
                // Numbers follow the time at which entries were made.
                return Ok(None);
            }
            if head.updated_at < before {
                self.remove_entry(id)?;
            }
        }
        Ok(last)
    }
}

impl EntryStore for SledStore {
    fn add_entry<'a>(
        &'a self,
        device: DeviceKey,
        make: MakeEntry<'a>,
        keep: usize,
    ) -> StoreFuture<'a, Option<DiagnosticEntry>> {
        Box::pin(async move {
            self.core.health.check()?;
            let added = self.core.add_entry(device, make, keep)?;
            self.committer.barrier().await?;
            Ok(added)
        })
    }

    fn health_check<'a>(
        &'a self,
        device: DeviceKey,
        make: MakeEntry<'a>,
        keep: usize,
    ) -> StoreFuture<'a, Option<DiagnosticEntry>> {
        Box::pin(async move {
            self.core.health.check()?;
            let found = self.core.health_check(device, make, keep)?;
            self.committer.barrier().await?;
            Ok(found)
        })
    }

    fn entry(&self, id: EntryId) -> StoreFuture<'_, Option<DiagnosticEntry>> {
        Box::pin(async move { self.core.read_entry(id) })
    }

    fn health_checks_of(&self, device: DeviceKey) -> StoreFuture<'_, Vec<DiagnosticEntry>> {
        Box::pin(async move {
            let test = EntryTest { device: Some(device), kind: Some(HEALTH_CHECK.to_owned()), ..EntryTest::default() };
            let candidates = self.core.entries.index.read().candidates(&test);
            self.core.read_entries(candidates.into_iter().map(|candidate| candidate.id).collect())
        })
    }

    fn edit_entry<'a>(&'a self, id: EntryId, edit: EntryEdit<'a>) -> StoreFuture<'a, Option<DiagnosticEntry>> {
        Box::pin(async move {
            self.core.health.check()?;
            let edited = self.core.edit_entry(id, edit)?;
            if edited.is_some() {
                self.committer.barrier().await?;
            }
            Ok(edited)
        })
    }

    fn remove_entry(&self, id: EntryId) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            self.core.health.check()?;
            let removed = self.core.remove_entry(id)?;
            self.committer.barrier().await?;
            Ok(removed)
        })
    }

    fn entries<'a>(
        &'a self,
        filter: &'a EntryFilter,
        page: Page,
    ) -> StoreFuture<'a, Listing<DiagnosticEntry>, EntriesError> {
        Box::pin(async move {
            if page.limit <= INLINE_ENTRIES
                && filter.search.words().is_empty()
                && self.core.entry_test(filter).is_quick()
            {
                return self.core.list_entries(filter, page);
            }
            // As many at once as searches of devices, and no more: each takes a core for a while.
            let permit = Arc::clone(&self.scans).acquire_owned().await.ok();
            let filter = filter.clone();
            let listed = blocking(&self.core, move |core| {
                let _permit = permit;
                Ok(core.list_entries(&filter, page))
            });
            listed.await?
        })
    }

    fn due_checks(&self) -> StoreFuture<'_, Vec<DueCheck>> {
        Box::pin(async move { blocking(&self.core, Core::due_checks).await })
    }

    fn trim_entries(&self, before: Timestamp, after: EntryId, limit: usize) -> StoreFuture<'_, Option<EntryId>> {
        Box::pin(async move {
            self.core.health.check()?;
            blocking(&self.core, move |core| core.trim_entries(before, after, limit)).await
        })
    }
}
