//! Recorded sessions: a bounded list per device.

use crate::model::trace::{SessionTrace, TraceFilter, TraceId, TraceOutcome};
use crate::types::ident::DeviceKey;

use super::{Listing, Page, StoreFuture};

/// Recorded sessions of devices.
pub trait TraceStore: Send + Sync {
    /// Keeps a session under the next free number, and of the device's others the newest `keep - 1`; relaxed. A refused
    /// Inform takes the place of one refused just before it, so that refusals alone never push sessions out. `None`: the
    /// device is gone.
    fn keep_trace(&self, key: DeviceKey, trace: SessionTrace, keep: usize) -> StoreFuture<'_, Option<TraceId>>;

    /// One page of a device's sessions, newest first (with [`TraceFilter::after`] oldest first), and the exact count of
    /// all that match.
    fn traces(&self, key: DeviceKey, filter: TraceFilter, page: Page) -> StoreFuture<'_, Listing<SessionTrace>>;

    /// One session of a device.
    fn trace(&self, key: DeviceKey, id: TraceId) -> StoreFuture<'_, Option<SessionTrace>>;

    /// Forgets a device's sessions; durable.
    fn clear_traces(&self, key: DeviceKey) -> StoreFuture<'_, ()>;
}

/// Whether `new` takes the place of the newest session that is there.
pub(super) fn replaces(new: &SessionTrace, newest: &SessionTrace) -> bool {
    (new.outcome, newest.outcome) == (TraceOutcome::Refused, TraceOutcome::Refused)
}

/// A page of those that match; `all` in the order of their numbers.
pub(super) fn select(mut all: Vec<SessionTrace>, filter: TraceFilter, page: Page) -> Listing<SessionTrace> {
    all.retain(|trace| filter.matches(trace));
    if filter.after.is_none() {
        all.reverse();
    }
    let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
    let skip = usize::try_from(page.offset).unwrap_or(usize::MAX);
    let take = usize::try_from(page.limit).unwrap_or(usize::MAX);
    Listing { items: all.into_iter().skip(skip).take(take).collect(), count }
}
