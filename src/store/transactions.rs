//! The ledger of work, as a store keeps it.

use crate::model::device::OrganizationId;
use crate::model::transaction::{Kind, NewTransaction, Transaction, TransactionStatus, VariableResult};
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::Timestamp;

use super::{Listing, Page, StoreError, StoreFuture};

/// The ledger: one queue per device, strictly first in, first out among what may run.
pub trait TransactionStore: Send + Sync {
    /// Adds to the device's queue; durable. Ids increase in the order of acceptance.
    fn enqueue(
        &self,
        key: DeviceKey,
        new: NewTransaction,
        merge: Merge,
        at: Timestamp,
    ) -> StoreFuture<'_, Transaction, EnqueueError>;

    /// Starts (or takes up again) the oldest transaction that may run now: `Ready` with its back-off over, and its device
    /// active. It becomes `Running`, `in_progress`, and its attempt is counted; durable, unless it [only
    /// reads](crate::model::transaction::Work::only_reads): then a power cut may undo the claim. `skip` are those already
    /// tried in this session. `None`, without touching the disk, when nothing may run. A transaction that is
    /// [`crate::model::transaction::Phase::Running`] already is never handed out.
    fn claim<'a>(
        &'a self,
        key: DeviceKey,
        skip: &'a [TransactionId],
        at: Timestamp,
    ) -> StoreFuture<'a, Option<Transaction>>;

    /// The device's live transactions, oldest first. From memory; empty for most devices.
    fn live(&self, key: DeviceKey) -> StoreFuture<'_, Vec<Transaction>>;

    /// Those of the device's live transactions that a session carries out. From memory, and empty for most devices.
    fn running(&self, key: DeviceKey) -> StoreFuture<'_, Vec<Transaction>>;

    /// Whether [`claim`](Self::claim) would hand anything out: a look-up in memory.
    fn has_work(&self, key: DeviceKey, at: Timestamp) -> bool;

    /// Saves a live transaction as it now is (progress, phase, attempts); durable. `false`: it is not live any more, and
    /// stays as it ended.
    fn save<'a>(&'a self, transaction: &'a Transaction) -> StoreFuture<'a, bool>;

    /// Changes a live transaction as it is just then, in one step; durable. If it is in a final status then, it has ended,
    /// with the results that `edit` returned. Handed back as it is now; `None`: it is not live.
    fn amend<'a>(
        &'a self,
        key: DeviceKey,
        id: TransactionId,
        edit: TransactionEdit<'a>,
    ) -> StoreFuture<'a, Option<Transaction>>;

    /// Ends a transaction: its final status and its results; durable, idempotent (a second call changes nothing). `false`:
    /// it was not live any more, and stays as it ended.
    fn settle<'a>(&'a self, transaction: &'a Transaction, results: &'a [VariableResult]) -> StoreFuture<'a, bool>;

    /// Withdraws a transaction that has not started; durable.
    fn cancel(&self, id: TransactionId, at: Timestamp) -> StoreFuture<'_, Transaction, CancelError>;

    /// Lets a transaction that backs off run at once, as if it had just been scheduled; durable. `false`: it does not back off.
    fn hasten(&self, key: DeviceKey, id: TransactionId) -> StoreFuture<'_, bool>;

    /// One transaction, live or ended.
    fn transaction(&self, id: TransactionId) -> StoreFuture<'_, Option<Transaction>>;

    /// The results of an ended one; empty when there are none.
    fn results(&self, id: TransactionId) -> StoreFuture<'_, Vec<VariableResult>>;

    /// Live transactions that were accepted after this one (`None`: all), oldest first, at most `limit`: with the last as
    /// the next `after`, a pass over all of them misses none that lives throughout. One that has just ended may be among
    /// them.
    fn live_after(&self, after: Option<TransactionId>, limit: usize) -> StoreFuture<'_, Vec<Transaction>>;

    /// One page, newest first, and the exact count of all that match.
    fn transactions<'a>(&'a self, filter: &'a TransactionFilter, page: Page) -> StoreFuture<'a, Listing<Transaction>>;

    /// Ends what expired unstarted, and wakes what has waited long enough for its device (`Waiting` past `until`): the
    /// latter is resumed so that its procedure can decide. Both are handed out, told apart by their status, and with them
    /// what has begun, waits for a session, and is past its deadline; at most `limit` of them; durable. What is still live
    /// may be claimed, told of news, or ended before it is handed out: whoever ends it then [asks again](Self::amend).
    fn expire(&self, at: Timestamp, limit: usize) -> StoreFuture<'_, Vec<Transaction>>;

    /// Devices with work that may run now, for connection requests after a restart or a back-off. At most `limit`.
    fn devices_with_work(&self, at: Timestamp, limit: usize) -> Vec<DeviceKey>;
}

/// An edit of a live transaction: what it returns are the results, if it ends by it.
pub type TransactionEdit<'a> = Box<dyn FnOnce(&mut Transaction) -> Vec<VariableResult> + Send + 'a>;

/// Whether the same work that still waits unstarted is taken for the new one (design.md §4, *Dedupe*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// Always a new transaction.
    Never,
    /// The waiting one, if kind and work are equal.
    SameUnstarted,
}

/// Why work was not accepted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EnqueueError {
    /// There is no such device.
    #[error("the device is gone")]
    UnknownDevice,
    /// Its queue holds all it may.
    #[error("the device's queue is full: {limit} transactions wait")]
    QueueFull {
        /// The limit.
        limit: usize,
    },
    /// The store failed.
    #[error("the transaction was not stored")]
    Store(#[source] StoreError),
}

/// Why a transaction was not withdrawn.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CancelError {
    /// There is no such transaction.
    #[error("there is no such transaction")]
    Unknown,
    /// Too late.
    #[error("the transaction has started or ended")]
    Started,
    /// The store failed.
    #[error("the cancellation was not stored")]
    Store(#[source] StoreError),
}

/// Which transactions to list. Everything given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransactionFilter {
    /// Only of devices of these organizations: what the asking token may see.
    pub visible: Option<Vec<OrganizationId>>,
    /// Only of this device.
    pub device: Option<DeviceKey>,
    /// Only of this part of the API.
    pub kind: Option<Kind>,
    /// Only in this status.
    pub status: Option<TransactionStatus>,
}
