//! Recorded sessions in memory.

use crate::model::trace::{SessionTrace, TraceFilter, TraceId};
use crate::store::traces::{TraceStore, replaces, select};
use crate::store::{Listing, Page, StoreFuture};
use crate::types::ident::DeviceKey;

use super::{Inner, MemoryStore, ready};

impl Inner {
    fn keep_trace(&mut self, key: DeviceKey, trace: SessionTrace, keep: usize) -> Option<TraceId> {
        let traces = &mut self.devices.get_mut(&key)?.traces;
        self.last_trace += 1;
        let id = TraceId(self.last_trace);
        if traces.last().is_some_and(|newest| replaces(&trace, newest)) {
            traces.pop();
        }
        traces.push(SessionTrace { id, ..trace });
        let surplus = traces.len().saturating_sub(keep);
        traces.drain(..surplus);
        Some(id)
    }

    fn traces(&self, key: DeviceKey) -> &[SessionTrace] {
        self.devices.get(&key).map(|entry| entry.traces.as_slice()).unwrap_or_default()
    }
}

impl TraceStore for MemoryStore {
    fn keep_trace(&self, key: DeviceKey, trace: SessionTrace, keep: usize) -> StoreFuture<'_, Option<TraceId>> {
        ready(self.step(|inner| inner.keep_trace(key, trace, keep)))
    }

    fn traces(&self, key: DeviceKey, filter: TraceFilter, page: Page) -> StoreFuture<'_, Listing<SessionTrace>> {
        ready(self.step(|inner| select(inner.traces(key).to_vec(), filter, page)))
    }

    fn trace(&self, key: DeviceKey, id: TraceId) -> StoreFuture<'_, Option<SessionTrace>> {
        ready(self.step(|inner| inner.traces(key).iter().find(|trace| trace.id == id).cloned()))
    }

    fn clear_traces(&self, key: DeviceKey) -> StoreFuture<'_, ()> {
        ready(self.step(|inner| {
            if let Some(entry) = inner.devices.get_mut(&key) {
                entry.traces.clear();
            }
        }))
    }
}
