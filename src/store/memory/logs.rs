//! The logs in memory.

use std::collections::VecDeque;

use tokio::sync::watch;

use crate::model::audit::{AuditEntry, AuditId, AuditRecord};
use crate::model::event::{Event, EventEntry, EventId};
use crate::store::audit::{AuditFilter, AuditStore};
use crate::store::events::{EventBatch, EventFilter, EventStore};
use crate::store::index::log::{AuditRow, EventRow, LogIndex, Row, audit_test, event_test};
use crate::store::{EVENTS, Listing, Page, Retention, StoreError, StoreFuture};

use super::{Inner, MemoryStore, ready};

/// A log.
#[derive(Debug)]
pub(super) struct Log<R, E> {
    index: LogIndex<R>,
    entries: VecDeque<E>,
}

impl<R, E> Default for Log<R, E> {
    fn default() -> Self {
        Self { index: LogIndex::default(), entries: VecDeque::new() }
    }
}

impl<R: Row, E: Clone> Log<R, E> {
    fn append(&mut self, row: R, entry: E) -> u64 {
        let id = self.index.push(row);
        self.entries.push_back(entry);
        self.index.show_below(id + 1);
        id
    }

    fn fetch(&self, ids: Vec<u64>) -> Vec<(u64, E)> {
        let first = self.index.next() - u64::try_from(self.entries.len()).unwrap_or(0);
        let entry = |id: u64| self.entries.get(usize::try_from(id - first).unwrap_or(usize::MAX)).cloned();
        ids.into_iter().filter_map(|id| Some((id, entry(id)?))).collect()
    }

    fn trim(&mut self, keep: Retention, limit: usize) -> usize {
        let trimmed = self.index.trim(keep, limit).count();
        self.entries.drain(..trimmed);
        trimmed
    }
}

pub(super) type EventLog = Log<EventRow, EventEntry>;
pub(super) type AuditLog = Log<AuditRow, AuditEntry>;

impl Inner {
    /// Appends events to the log.
    pub(super) fn note(&mut self, events: impl IntoIterator<Item = EventEntry>) {
        for entry in events {
            metrics::counter!(EVENTS, "kind" => entry.head.kind.as_str()).increment(1);
            let id = self.events.append(EventRow::from(&entry.head), entry);
            self.newest_event.send_replace(EventId(id));
        }
    }
}

/// Tells who waits for events.
#[derive(Debug)]
pub(super) struct Newest(watch::Sender<EventId>);

impl Default for Newest {
    fn default() -> Self {
        Self(watch::Sender::new(EventId(0)))
    }
}

impl std::ops::Deref for Newest {
    type Target = watch::Sender<EventId>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

fn events(found: Vec<(u64, EventEntry)>) -> Vec<Event> {
    found.into_iter().map(|(id, entry)| Event { id: EventId(id), entry }).collect()
}

impl EventStore for MemoryStore {
    fn append_event(&self, entry: EventEntry) -> Result<(), StoreError> {
        self.step(|inner| inner.note([entry]))
    }

    fn events_durable(&self) -> StoreFuture<'_, ()> {
        ready(self.step(|_| ()))
    }

    fn events<'a>(&'a self, filter: &'a EventFilter, page: Page) -> StoreFuture<'a, Listing<Event>> {
        ready(self.step(|inner| {
            let test = event_test(filter);
            let test = test.as_ref().map(|test| test as &dyn Fn(&EventRow) -> bool);
            let (ids, count) = inner.events.index.select(page, filter.after.0, test);
            Listing { items: events(inner.events.fetch(ids)), count }
        }))
    }

    fn events_after<'a>(
        &'a self,
        after: EventId,
        filter: &'a EventFilter,
        limit: usize,
    ) -> StoreFuture<'a, EventBatch> {
        ready(self.step(|inner| {
            let test = event_test(filter);
            let matches = |row: &EventRow| test.as_ref().is_none_or(|test| test(row));
            let (ids, up_to, trimmed) = inner.events.index.following(after.0, limit, matches);
            EventBatch { events: events(inner.events.fetch(ids)), up_to: EventId(up_to), trimmed }
        }))
    }

    fn watch_events(&self) -> watch::Receiver<EventId> {
        self.inner.lock().newest_event.subscribe()
    }

    fn trim_events(&self, keep: Retention, limit: usize) -> StoreFuture<'_, usize> {
        ready(self.step(|inner| inner.events.trim(keep, limit)))
    }
}

impl AuditStore for MemoryStore {
    fn add_audit(&self, entry: AuditEntry) -> StoreFuture<'_, AuditId> {
        ready(self.step(|inner| AuditId(inner.audit.append(AuditRow::from(&entry.head), entry))))
    }

    fn audit<'a>(&'a self, filter: &'a AuditFilter, page: Page) -> StoreFuture<'a, Listing<AuditRecord>> {
        ready(self.step(|inner| {
            let (ids, count) = inner.audit.index.select(page, 0, Some(&audit_test(filter)));
            let found = inner.audit.fetch(ids).into_iter();
            Listing { items: found.map(|(id, entry)| AuditRecord { id: AuditId(id), entry }).collect(), count }
        }))
    }

    fn trim_audit(&self, keep: Retention, limit: usize) -> StoreFuture<'_, usize> {
        ready(self.step(|inner| inner.audit.trim(keep, limit)))
    }
}
