//! Diagnostic entries: what clients record of devices, and what health checks found.

use crate::model::device::OrganizationId;
use crate::model::entry::{DiagnosticEntry, EntryId};
use crate::model::event::EventData;
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::Timestamp;

use super::listing::{SearchWords, fold};
use super::{Listing, Page, StoreError, StoreFuture};

/// Most entries whose texts one search looks at.
pub const SEARCH_MAX: usize = 200_000;

/// Makes an entry when its number is known.
pub type MakeEntry<'a> = Box<dyn FnOnce(EntryId) -> DiagnosticEntry + Send + 'a>;
/// Changes an entry, and says what has happened to its device by that. Number and device may not change.
pub type EntryEdit<'a> = Box<dyn FnOnce(&mut DiagnosticEntry) -> Vec<EventData> + Send + 'a>;

/// Diagnostic entries. They go with their device.
pub trait EntryStore: Send + Sync {
    /// Adds an entry under the next number; durable. Of the device's others the oldest go, so that it has at most `keep`,
    /// but never its newest health check. `None`: the device is gone.
    fn add_entry<'a>(
        &'a self,
        device: DeviceKey,
        make: MakeEntry<'a>,
        keep: usize,
    ) -> StoreFuture<'a, Option<DiagnosticEntry>>;

    /// The device's newest health check; one is added, as by [`add_entry`](Self::add_entry), when it has none.
    fn health_check<'a>(
        &'a self,
        device: DeviceKey,
        make: MakeEntry<'a>,
        keep: usize,
    ) -> StoreFuture<'a, Option<DiagnosticEntry>>;

    /// One entry.
    fn entry(&self, id: EntryId) -> StoreFuture<'_, Option<DiagnosticEntry>>;

    /// A device's health checks, newest first.
    fn health_checks_of(&self, device: DeviceKey) -> StoreFuture<'_, Vec<DiagnosticEntry>>;

    /// Changes an entry as it is just then, in one step with the events of it, which happen when it was updated; durable.
    /// `None`: there is none.
    fn edit_entry<'a>(&'a self, id: EntryId, edit: EntryEdit<'a>) -> StoreFuture<'a, Option<DiagnosticEntry>>;

    /// Removes an entry; durable. `false`: it was not there.
    fn remove_entry(&self, id: EntryId) -> StoreFuture<'_, bool>;

    /// One page, newest first, and the exact count of all that match.
    fn entries<'a>(
        &'a self,
        filter: &'a EntryFilter,
        page: Page,
    ) -> StoreFuture<'a, Listing<DiagnosticEntry>, EntriesError>;

    /// Every health check: what the timer needs at start.
    fn due_checks(&self) -> StoreFuture<'_, Vec<DueCheck>>;

    /// Drops what was last changed before a time. Looks at no more than `limit` entries behind `after`, oldest first; the
    /// last one it looked at, `None` at the end.
    fn trim_entries(&self, before: Timestamp, after: EntryId, limit: usize) -> StoreFuture<'_, Option<EntryId>>;
}

/// Which entries to list. Everything given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// Only of devices of these organizations: what the asking token may see.
    pub visible: Option<Vec<OrganizationId>>,
    /// Only of this device.
    pub device: Option<DeviceKey>,
    /// Only of this `diagnostic_type`.
    pub kind: Option<String>,
    /// Only in this status.
    pub status: Option<String>,
    /// Only with each of these words in `notes`, `performed_by` or `reported_by`, or where a search of devices finds it.
    pub search: SearchWords,
}

/// A health check, as far as the timer cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueCheck {
    /// Whose.
    pub device: DeviceKey,
    /// When the next check is due.
    pub due: Option<Timestamp>,
    /// The transaction whose results it waits for.
    pub awaits: Option<TransactionId>,
}

/// Why entries were not listed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EntriesError {
    /// More than [`SEARCH_MAX`] texts would have to be read.
    #[error("there is too much to search through: narrow it down by id, diagnostic_type or status")]
    TooBroad,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether a text has a word, which is folded.
pub(super) fn has_word(entry: &crate::model::entry::EntryText, word: &str) -> bool {
    [&entry.notes, &entry.performed_by, &entry.reported_by].into_iter().any(|text| fold(text).contains(word))
}
