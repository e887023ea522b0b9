//! The event log: what happened, in order, as long as it is kept.

use tokio::sync::watch;

use crate::model::device::OrganizationId;
use crate::model::event::{Event, EventEntry, EventId, EventKinds};
use crate::types::time::Timestamp;

use super::{Listing, Page, Retention, StoreError, StoreFuture};

/// The event log. What belongs to a device's state or queue is appended by the very step that changes them, before the
/// change itself: whoever finds the change finds the event. Entries are shown once they are durable, so that a number that
/// was shown is never given to another entry.
pub trait EventStore: Send + Sync {
    /// Appends an entry. It is durable, and shown, soon; in any case before anything that is made durable later.
    fn append_event(&self, entry: EventEntry) -> Result<(), StoreError>;

    /// Waits until everything that was appended before is durable.
    fn events_durable(&self) -> StoreFuture<'_, ()>;

    /// One page, newest first, and the exact count of all that match.
    fn events<'a>(&'a self, filter: &'a EventFilter, page: Page) -> StoreFuture<'a, Listing<Event>>;

    /// What came behind `after`, oldest first, at most `limit` entries that match.
    fn events_after<'a>(&'a self, after: EventId, filter: &'a EventFilter, limit: usize)
    -> StoreFuture<'a, EventBatch>;

    /// The newest entry that is shown, as it changes.
    fn watch_events(&self) -> watch::Receiver<EventId>;

    /// Drops old entries, at most `limit` of them; how many it dropped.
    fn trim_events(&self, keep: Retention, limit: usize) -> StoreFuture<'_, usize>;
}

/// Which events to list. Everything given must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFilter {
    /// Only of devices of these organizations; entries of no device are then left out.
    pub visible: Option<Vec<OrganizationId>>,
    /// Only of these kinds.
    pub kinds: EventKinds,
    /// Only of this device.
    pub serial_number: Option<String>,
    /// Only at or after this, to the second.
    pub since: Option<Timestamp>,
    /// Only behind this one.
    pub after: EventId,
}

impl Default for EventFilter {
    fn default() -> Self {
        Self { visible: None, kinds: EventKinds::ALL, serial_number: None, since: None, after: EventId(0) }
    }
}

/// A piece of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventBatch {
    /// Oldest first.
    pub events: Vec<Event>,
    /// Everything up to here was looked at: where to go on.
    pub up_to: EventId,
    /// Entries right behind the asked-for place that are no longer kept, whether they would have matched or not.
    pub trimmed: u64,
}
