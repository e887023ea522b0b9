//! The logs on disk.
//!
//! An entry is inserted when it happens, before the change it belongs to, and shown once a flush has covered it. Numbers
//! follow each other without gaps, also over a kill: what sled recovers is what was written up to some moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use tokio::sync::watch;

use crate::model::audit::{AuditEntry, AuditHead, AuditId, AuditRecord};
use crate::model::event::{Event, EventData, EventEntry, EventHead, EventId};
use crate::store::audit::{AuditFilter, AuditStore};
use crate::store::events::{EventBatch, EventFilter, EventStore};
use crate::store::index::log::{AuditRow, EventRow, LogIndex, Row, audit_test, event_test};
use crate::store::key::{self, Table};
use crate::store::{EVENTS, Listing, Page, Retention, StoreError, StoreFuture, record};
use crate::types::ident::DeviceKey;
use crate::types::time::Timestamp;

use super::database::{Database, Value};
use super::{Core, SledStore, blocking};

/// More entries than this are read where it may block.
const INLINE_ENTRIES: usize = 64;

/// Both logs.
pub(super) struct Logs {
    pub(super) events: Log<EventRow>,
    pub(super) audit: Log<AuditRow>,
    /// Whether a flush has been asked for whose only purpose is to show entries.
    asked: AtomicBool,
}

/// A log.
pub(super) struct Log<R> {
    table: Table,
    /// Held while an entry gets its number and is inserted.
    writing: Mutex<()>,
    index: RwLock<LogIndex<R>>,
    /// The number of the next entry, and of the first that is not shown.
    next: AtomicU64,
    shown_below: AtomicU64,
    newest: watch::Sender<EventId>,
}

impl<R: Row> Log<R> {
    fn load(
        database: &Database,
        table: Table,
        read: impl Fn(&[u8]) -> Result<R, StoreError>,
    ) -> Result<Self, StoreError> {
        let mut index = LogIndex::default();
        database.each_at_open(table, |key, bytes| {
            if let Some(id) = key::read_entry(key)
                && !index.restore(id, read(&bytes)?)
            {
                tracing::warn!("the log {} has a gap before entry {id}: what is older is left out", table.name());
            }
            Ok(())
        })?;
        let (next, newest) = (index.next(), index.newest());
        Ok(Self {
            table,
            writing: Mutex::new(()),
            index: RwLock::new(index),
            next: AtomicU64::new(next),
            shown_below: AtomicU64::new(next),
            newest: watch::Sender::new(EventId(newest)),
        })
    }

    fn append(&self, database: &Database, bytes: &[u8], row: R) -> Result<u64, StoreError> {
        let _writing = self.writing.lock();
        let id = self.next.load(Ordering::Relaxed);
        database.put(self.table, &key::entry(id), bytes)?;
        self.index.write().push(row);
        self.next.store(id + 1, Ordering::Release);
        Ok(id)
    }

    /// Whether there are entries that are not shown yet.
    fn is_behind(&self) -> bool {
        self.next.load(Ordering::Acquire) > self.shown_below.load(Ordering::Acquire)
    }

    fn show_below(&self, mark: u64) {
        if self.shown_below.load(Ordering::Relaxed) >= mark {
            return;
        }
        let mut index = self.index.write();
        if index.show_below(mark) {
            self.shown_below.store(mark, Ordering::Release);
            self.newest.send_replace(EventId(index.newest()));
        }
    }

    fn trim(&self, database: &Database, keep: Retention, limit: usize) -> Result<usize, StoreError> {
        let trimmed = self.index.write().trim(keep, limit);
        for id in trimmed.clone() {
            database.remove(self.table, &key::entry(id))?;
        }
        Ok(trimmed.count())
    }

    fn fetch(&self, database: &Database, id: u64) -> Result<Option<Value>, StoreError> {
        database.get(self.table, &key::entry(id))
    }
}

/// Up to where entries had been written at some moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    events: u64,
    audit: u64,
}

impl Logs {
    /// Reads what entries are searched by.
    pub(super) fn load(database: &Database) -> Result<Self, StoreError> {
        let events = Log::load(database, Table::Events, |bytes| {
            record::decode_head::<EventHead>("event", bytes).map(|head| EventRow::from(&head))
        })?;
        let audit =
            Log::load(database, Table::Audit, |bytes| match record::decode_head::<AuditHead>("audit", bytes) {
                Ok(head) => Ok(AuditRow::from(&head)),
                // A large one is compressed as a whole.
                Err(_) => record::decode::<AuditEntry>("audit entry", bytes).map(|entry| AuditRow::from(&entry.head)),
            })?;
        Ok(Self { events, audit, asked: AtomicBool::new(false) })
    }

    /// Everything written by now: what a flush that begins now covers.
    pub(super) fn marks(&self) -> Marks {
        self.asked.store(false, Ordering::SeqCst);
        Marks { events: self.events.next.load(Ordering::Acquire), audit: self.audit.next.load(Ordering::Acquire) }
    }

    /// Shows what a flush has covered.
    pub(super) fn show(&self, marks: Marks) {
        self.events.show_below(marks.events);
        self.audit.show_below(marks.audit);
    }
}

impl Core {
    /// Appends an event, to be covered by the flush of the change it belongs to.
    pub(super) fn note(&self, entry: &EventEntry) -> Result<(), StoreError> {
        let bytes = record::encode(entry, 256)?;
        self.logs.events.append(&self.database, &bytes, EventRow::from(&entry.head))?;
        metrics::counter!(EVENTS, "kind" => entry.head.kind.as_str()).increment(1);
        Ok(())
    }

    /// Appends what happened to a device.
    pub(super) fn note_of(&self, key: DeviceKey, at: Timestamp, found: Vec<EventData>) -> Result<(), StoreError> {
        if found.is_empty() {
            return Ok(());
        }
        let Some(profile) = self.profile(key)? else { return Ok(()) };
        found.into_iter().try_for_each(|data| self.note(&EventEntry::of_device(&profile, at, data)))
    }

    fn read_events(&self, ids: Vec<u64>) -> Result<Vec<Event>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            // One that has been trimmed since it was found is left out.
            if let Some(bytes) = self.logs.events.fetch(&self.database, id)? {
                found.push(Event { id: EventId(id), entry: record::decode("event", &bytes)? });
            }
        }
        Ok(found)
    }

    fn read_audit(&self, ids: Vec<u64>) -> Result<Vec<AuditRecord>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(bytes) = self.logs.audit.fetch(&self.database, id)? {
                found.push(AuditRecord { id: AuditId(id), entry: record::decode("audit entry", &bytes)? });
            }
        }
        Ok(found)
    }
}

/// Reads here and now what is little, else where it may block.
async fn read<T: Send + 'static>(
    core: &Arc<Core>,
    ids: Vec<u64>,
    read: impl FnOnce(&Core, Vec<u64>) -> Result<Vec<T>, StoreError> + Send + 'static,
) -> Result<Vec<T>, StoreError> {
    if ids.len() <= INLINE_ENTRIES { read(core, ids) } else { blocking(core, move |core| read(core, ids)).await }
}

impl SledStore {
    /// Has events shown that no durable change follows.
    pub(super) fn show_soon(&self) {
        let logs = &self.core.logs;
        if logs.events.is_behind() && !logs.asked.swap(true, Ordering::SeqCst) && !self.committer.nudge() {
            // Others wait in line: their flush does it.
            logs.asked.store(false, Ordering::SeqCst);
        }
    }

    fn append_audit(&self, entry: &AuditEntry) -> Result<AuditId, StoreError> {
        let bytes = encode(entry)?;
        self.core.logs.audit.append(&self.core.database, &bytes, AuditRow::from(&entry.head)).map(AuditId)
    }
}

fn encode<T: Serialize>(entry: &T) -> Result<Vec<u8>, StoreError> {
    record::encode_large(entry)
}

impl EventStore for SledStore {
    fn append_event(&self, entry: EventEntry) -> Result<(), StoreError> {
        self.core.health.check()?;
        self.core.note(&entry)?;
        self.show_soon();
        Ok(())
    }

    fn events_durable(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.committer.barrier())
    }

    fn events<'a>(&'a self, filter: &'a EventFilter, page: Page) -> StoreFuture<'a, Listing<Event>> {
        Box::pin(async move {
            let (ids, count) = {
                let test = event_test(filter);
                let test = test.as_ref().map(|test| test as &dyn Fn(&EventRow) -> bool);
                self.core.logs.events.index.read().select(page, filter.after.0, test)
            };
            Ok(Listing { items: read(&self.core, ids, Core::read_events).await?, count })
        })
    }

    fn events_after<'a>(
        &'a self,
        after: EventId,
        filter: &'a EventFilter,
        limit: usize,
    ) -> StoreFuture<'a, EventBatch> {
        Box::pin(async move {
            let (mut from, mut missed) = (after.0, 0_u64);
            loop {
                let (ids, up_to, trimmed) = {
                    let test = event_test(filter);
                    let matches = |row: &EventRow| test.as_ref().is_none_or(|test| test(row));
                    self.core.logs.events.index.read().following(from, limit, matches)
                };
                let found = ids.len();
                let events = read(&self.core, ids, Core::read_events).await?;
                missed = missed.saturating_add(trimmed);
                // Nothing means that there is nothing: not that what was found has been trimmed since.
                if found == 0 || !events.is_empty() {
                    return Ok(EventBatch { events, up_to: EventId(up_to), trimmed: missed });
                }
                missed = missed.saturating_add(u64::try_from(found).unwrap_or(u64::MAX));
                from = up_to;
            }
        })
    }

    fn watch_events(&self) -> watch::Receiver<EventId> {
        self.core.logs.events.newest.subscribe()
    }

    fn trim_events(&self, keep: Retention, limit: usize) -> StoreFuture<'_, usize> {
        Box::pin(async move {
            self.core.health.check()?;
            blocking(&self.core, move |core| core.logs.events.trim(&core.database, keep, limit)).await
        })
    }
}

impl AuditStore for SledStore {
    fn add_audit(&self, entry: AuditEntry) -> StoreFuture<'_, AuditId> {
        Box::pin(async move {
            self.core.health.check()?;
            let id = self.append_audit(&entry)?;
            self.committer.barrier().await?;
            Ok(id)
        })
    }

    fn audit<'a>(&'a self, filter: &'a AuditFilter, page: Page) -> StoreFuture<'a, Listing<AuditRecord>> {
        Box::pin(async move {
            let (ids, count) = self.core.logs.audit.index.read().select(page, 0, Some(&audit_test(filter)));
            Ok(Listing { items: read(&self.core, ids, Core::read_audit).await?, count })
        })
    }

    fn trim_audit(&self, keep: Retention, limit: usize) -> StoreFuture<'_, usize> {
        Box::pin(async move {
            self.core.health.check()?;
            blocking(&self.core, move |core| core.logs.audit.trim(&core.database, keep, limit)).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::store::Store as _;
    use crate::store::sled::{StoreConfig, open_sled};

    #[tokio::test]
    async fn what_was_trimmed_while_it_was_read_does_not_end_the_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = StoreConfig { ballast_bytes: 0, free_space_floor_bytes: 0, ..StoreConfig::new(folder.path()) };
        let store = open_sled(config, Arc::new(SystemClock)).await.expect("opened");
        for at in 1..=3 {
            store.append_event(EventEntry::of_nobody(Timestamp(at), EventData::Boot)).expect("appended");
        }
        store.events_durable().await.expect("durable");
        // Found in the index just before it went.
        store.core.database.remove(Table::Events, &key::entry(1)).expect("removed");
        let batch = store.events_after(EventId(0), &EventFilter::default(), 1).await.expect("read");
        assert_eq!(batch.events.iter().map(|event| event.id).collect::<Vec<_>>(), [EventId(2)]);
        assert_eq!((batch.up_to, batch.trimmed), (EventId(2), 1));
        store.close().await.expect("closed");
    }
}
