//! Diagnostic entries and values over time in memory.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use crate::model::entry::{DiagnosticEntry, EntryId, HEALTH_CHECK};
use crate::model::series::{Point, Sample, SeriesLimits};
use crate::store::entries::{DueCheck, EntriesError, EntryEdit, EntryFilter, EntryStore, MakeEntry, has_word};
use crate::store::index::entries::{EntryIndex, EntryTest};
use crate::store::series::{SeriesStore, Span};
use crate::store::{Listing, Page, StoreFuture};
use crate::types::ident::DeviceKey;
use crate::types::time::Timestamp;

use super::{Inner, MemoryStore, ready};

/// All entries.
#[derive(Debug, Default)]
pub(super) struct EntryTable {
    index: EntryIndex,
    entries: BTreeMap<EntryId, DiagnosticEntry>,
    last: u32,
}

impl EntryTable {
    fn put(&mut self, entry: DiagnosticEntry) {
        self.index.follow(&entry);
        self.entries.insert(entry.id, entry);
    }

    fn remove(&mut self, id: EntryId) -> bool {
        self.index.remove(id);
        self.entries.remove(&id).is_some()
    }

    fn add(&mut self, device: DeviceKey, make: MakeEntry<'_>, keep: usize) -> DiagnosticEntry {
        self.last += 1;
        let id = EntryId(self.last);
        let mut entry = make(id);
        (entry.id, entry.head.device) = (id, device);
        self.put(entry.clone());
        for gone in self.index.surplus(device, keep, HEALTH_CHECK).into_iter().filter(|gone| *gone != id) {
            self.remove(gone);
        }
        entry
    }

    fn read(&self, ids: &[EntryId]) -> Vec<DiagnosticEntry> {
        ids.iter().filter_map(|id| self.entries.get(id).cloned()).collect()
    }

    fn checks_of(&self, device: Option<DeviceKey>) -> Vec<DiagnosticEntry> {
        let test = EntryTest { device, kind: Some(HEALTH_CHECK.to_owned()), ..EntryTest::default() };
        let ids: Vec<EntryId> = self.index.candidates(&test).into_iter().map(|candidate| candidate.id).collect();
        self.read(&ids)
    }

    /// Forgets what a removed device has.
    pub(super) fn forget(&mut self, device: DeviceKey) {
        let ids: Vec<EntryId> = self.index.of_device(device).collect();
        for id in ids {
            self.remove(id);
        }
    }
}

impl Inner {
    fn list_entries(&self, filter: &EntryFilter, page: Page) -> Listing<DiagnosticEntry> {
        let visible = self.visible(filter.visible.as_deref());
        let test = EntryTest {
            device: filter.device,
            visible: visible.map(|keys| keys.into_iter().map(|key| key.0).collect::<RoaringBitmap>()),
            kind: filter.kind.clone(),
            status: filter.status.clone(),
        };
        if filter.search.words().is_empty() {
            let (ids, count) = self.entries.index.select(&test, page);
            return Listing { items: self.entries.read(&ids), count };
        }
        let has_all = |entry: &&DiagnosticEntry| {
            let device = self.devices.get(&entry.head.device);
            let named = |word: &str| device.is_some_and(|device| super::devices::has_word(device, word));
            filter.search.words().iter().all(|word| named(word) || has_word(&entry.text, word))
        };
        let candidates = self.entries.index.candidates(&test);
        let found: Vec<&DiagnosticEntry> =
            candidates.iter().filter_map(|candidate| self.entries.entries.get(&candidate.id)).filter(has_all).collect();
        Listing {
            items: page.of(&found).iter().copied().cloned().collect(),
            count: u64::try_from(found.len()).unwrap_or(u64::MAX),
        }
    }

    fn edit_entry(&mut self, id: EntryId, edit: EntryEdit<'_>) -> Option<DiagnosticEntry> {
        let mut entry = self.entries.entries.get(&id)?.clone();
        let before = entry.clone();
        let found = edit(&mut entry);
        (entry.id, entry.head.device) = (id, before.head.device);
        if entry != before {
            let device = self.devices.get(&entry.head.device)?;
            let events = device.events(entry.head.updated_at, found);
            self.note(events);
            self.entries.put(entry.clone());
        }
        Some(entry)
    }
}

impl EntryStore for MemoryStore {
    fn add_entry<'a>(
        &'a self,
        device: DeviceKey,
        make: MakeEntry<'a>,
        keep: usize,
    ) -> StoreFuture<'a, Option<DiagnosticEntry>> {
        ready(self.step(|inner| inner.devices.contains_key(&device).then(|| inner.entries.add(device, make, keep))))
    }

    fn health_check<'a>(
        &'a self,
        device: DeviceKey,
        make: MakeEntry<'a>,
        keep: usize,
    ) -> StoreFuture<'a, Option<DiagnosticEntry>> {
        ready(self.step(|inner| {
            if !inner.devices.contains_key(&device) {
                return None;
            }
            let present = inner.entries.index.newest_of(device, HEALTH_CHECK);
            let present = present.and_then(|id| inner.entries.entries.get(&id).cloned());
            Some(present.unwrap_or_else(|| inner.entries.add(device, make, keep)))
        }))
    }

    fn entry(&self, id: EntryId) -> StoreFuture<'_, Option<DiagnosticEntry>> {
        ready(self.step(|inner| inner.entries.entries.get(&id).cloned()))
    }

    fn health_checks_of(&self, device: DeviceKey) -> StoreFuture<'_, Vec<DiagnosticEntry>> {
        ready(self.step(|inner| inner.entries.checks_of(Some(device))))
    }

    fn edit_entry<'a>(&'a self, id: EntryId, edit: EntryEdit<'a>) -> StoreFuture<'a, Option<DiagnosticEntry>> {
        ready(self.step(|inner| inner.edit_entry(id, edit)))
    }

    fn remove_entry(&self, id: EntryId) -> StoreFuture<'_, bool> {
        ready(self.step(|inner| inner.entries.remove(id)))
    }

    fn entries<'a>(
        &'a self,
        filter: &'a EntryFilter,
        page: Page,
    ) -> StoreFuture<'a, Listing<DiagnosticEntry>, EntriesError> {
        ready(self.step(|inner| inner.list_entries(filter, page)).map_err(EntriesError::from))
    }

    fn due_checks(&self) -> StoreFuture<'_, Vec<DueCheck>> {
        ready(self.step(|inner| {
            let due = |entry: DiagnosticEntry| DueCheck {
                device: entry.head.device,
                due: entry.head.next_check_due,
                awaits: entry.head.awaits,
            };
            inner.entries.checks_of(None).into_iter().map(due).collect()
        }))
    }

    fn trim_entries(&self, before: Timestamp, after: EntryId, limit: usize) -> StoreFuture<'_, Option<EntryId>> {
        ready(self.step(|inner| {
            let ids = inner.entries.index.after(after, limit);
            let last = ids.last().copied();
            for entry in inner.entries.read(&ids) {
                if entry.head.created_at >= before {
                    return None;
                }
                if entry.head.updated_at < before {
                    inner.entries.remove(entry.id);
                }
            }
            last
        }))
    }
}

impl SeriesStore for MemoryStore {
    fn add_samples(
        &self,
        device: DeviceKey,
        at: Timestamp,
        samples: Vec<Sample>,
        limits: SeriesLimits,
    ) -> StoreFuture<'_, usize> {
        ready(
            self.step(|inner| inner.devices.get_mut(&device).map_or(0, |entry| entry.series.add(at, &samples, limits))),
        )
    }

    fn points<'a>(&'a self, device: DeviceKey, path: &'a str, span: Span) -> StoreFuture<'a, Vec<Point>> {
        ready(self.step(|inner| {
            inner.devices.get(&device).map(|entry| span.of(entry.series.of(path)).to_vec()).unwrap_or_default()
        }))
    }
}
