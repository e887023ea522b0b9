//! Recorded sessions on disk: a compressed record each.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::model::trace::{SessionTrace, TraceFilter, TraceId, TraceOutcome};
use crate::store::key::{self, Table};
use crate::store::traces::{TraceStore, replaces, select};
use crate::store::{Listing, Page, StoreError, StoreFuture, record};
use crate::types::ident::DeviceKey;

use super::{Core, SledStore, blocking};

/// Numbers that one write to the disk reserves. A start leaves out what is left of a reservation.
const RESERVED: u64 = 64;

/// Gives out the numbers of recorded sessions.
pub(super) struct TraceNumbers(Mutex<Reservation>);

struct Reservation {
    next: u64,
    /// The first number that is not reserved.
    end: u64,
}

impl TraceNumbers {
    /// Starts behind everything that was ever reserved.
    pub(super) fn resume(core: &Core) -> Result<Self, StoreError> {
        let next = match core.database.get(Table::Meta, key::NEXT_TRACE)? {
            Some(bytes) => record::decode("trace floor", &bytes)?,
            None => 1,
        };
        Ok(Self(Mutex::new(Reservation { next, end: next })))
    }

    fn next(&self, core: &Core) -> Result<TraceId, StoreError> {
        let mut reservation = self.0.lock();
        if reservation.next == reservation.end {
            let end = reservation.end.saturating_add(RESERVED);
            core.database.put(Table::Meta, key::NEXT_TRACE, &record::encode(&end, 16)?)?;
            reservation.end = end;
        }
        let id = TraceId(reservation.next);
        reservation.next += 1;
        Ok(id)
    }
}

impl Core {
    fn read_trace(&self, key: DeviceKey, id: TraceId) -> Result<Option<SessionTrace>, StoreError> {
        let bytes = self.database.get(Table::Traces, &key::trace(key, id))?;
        bytes.map(|bytes| record::decode("session trace", &bytes)).transpose()
    }

    /// Numbers of a device's sessions, oldest first.
    fn trace_ids(&self, key: DeviceKey) -> Result<Vec<TraceId>, StoreError> {
        let keys = self.database.keys_below(Table::Traces, &key::device(key))?;
        Ok(keys.iter().filter_map(|key| key::read_trace(key)).collect())
    }

    fn keep_trace(
        &self,
        numbers: &TraceNumbers,
        key: DeviceKey,
        trace: SessionTrace,
        keep: usize,
    ) -> Result<Option<TraceId>, StoreError> {
        // The lock under which a removed device's records are deleted: nothing is written behind that.
        let _tree = self.tree_locks.lock(key);
        if !self.exists(key) {
            return Ok(None);
        }
        let mut old = self.trace_ids(key)?;
        let replaced = match old.last() {
            Some(newest) if trace.outcome == TraceOutcome::Refused => {
                self.read_trace(key, *newest)?.filter(|newest| replaces(&trace, newest)).and_then(|_| old.pop())
            }
            Some(_) | None => None,
        };
        let id = numbers.next(self)?;
        let bytes = record::encode_large(&SessionTrace { id, ..trace })?;
        self.database.put(Table::Traces, &key::trace(key, id), &bytes)?;
        let surplus = (old.len() + 1).saturating_sub(keep.max(1));
        for gone in old.into_iter().take(surplus).chain(replaced) {
            self.database.purge(Table::Traces, &key::trace(key, gone))?;
        }
        Ok(Some(id))
    }

    fn list_traces(
        &self,
        key: DeviceKey,
        filter: TraceFilter,
        page: Page,
    ) -> Result<Listing<SessionTrace>, StoreError> {
        let mut all = Vec::new();
        for id in self.trace_ids(key)?.into_iter().filter(|id| filter.after.is_none_or(|after| *id > after)) {
            // One that was trimmed since its number was read is left out.
            all.extend(self.read_trace(key, id)?);
        }
        Ok(select(all, filter, page))
    }

    fn clear_traces(&self, key: DeviceKey) -> Result<(), StoreError> {
        let _tree = self.tree_locks.lock(key);
        self.database.purge(Table::Traces, &key::device(key))
    }
}

impl TraceStore for SledStore {
    fn keep_trace(&self, key: DeviceKey, trace: SessionTrace, keep: usize) -> StoreFuture<'_, Option<TraceId>> {
        Box::pin(async move {
            self.core.health.check()?;
            let numbers = Arc::clone(&self.trace_numbers);
            blocking(&self.core, move |core| core.keep_trace(&numbers, key, trace, keep)).await
        })
    }

    fn traces(&self, key: DeviceKey, filter: TraceFilter, page: Page) -> StoreFuture<'_, Listing<SessionTrace>> {
        Box::pin(async move { blocking(&self.core, move |core| core.list_traces(key, filter, page)).await })
    }

    fn trace(&self, key: DeviceKey, id: TraceId) -> StoreFuture<'_, Option<SessionTrace>> {
        Box::pin(async move { blocking(&self.core, move |core| core.read_trace(key, id)).await })
    }

    fn clear_traces(&self, key: DeviceKey) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.core.health.check()?;
            blocking(&self.core, move |core| core.clear_traces(key)).await?;
            self.committer.barrier().await
        })
    }
}
