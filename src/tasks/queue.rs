//! Scheduling: the one door through which work enters a device's queue, and through which its end is announced.

use std::sync::Arc;
use std::time::Duration;

use crate::connreq::wake::Waker;
use crate::devices::presence::Presence;
use crate::model::device::Device;
use crate::model::transaction::{NewTransaction, Transaction, VariableResult};
use crate::store::{CancelError, EnqueueError, Merge, Store, StoreError};
use crate::types::ident::TransactionId;
use crate::types::time::Clock;

/// The scheduling service.
pub struct Queue {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    presence: Arc<Presence>,
    waker: Arc<Waker>,
}

/// Why work was not scheduled.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// Work for an inactive device is refused.
    #[error("the device is inactive")]
    Inactive,
    /// The store did not take it.
    #[error(transparent)]
    Refused(#[from] EnqueueError),
}

impl Queue {
    /// Over a store; `waker` calls the devices that get work.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, presence: Arc<Presence>, waker: Arc<Waker>) -> Self {
        Self { store, clock, presence, waker }
    }

    /// Puts work into the device's queue and has the device called. Durable when it returns.
    ///
    /// # Errors
    /// [`ScheduleError`].
    pub async fn schedule(
        &self,
        device: &Device,
        new: NewTransaction,
        merge: Merge,
    ) -> Result<Transaction, ScheduleError> {
        if !device.profile.is_active {
            return Err(ScheduleError::Inactive);
        }
        let transaction = self.store.enqueue(device.key, new, merge, self.clock.now()).await?;
        metrics::counter!("acsd_transactions_scheduled_total", "operation" => transaction.work.operation())
            .increment(1);
        self.waker.wake(device.key);
        Ok(transaction)
    }

    /// Withdraws a transaction that has not started.
    ///
    /// # Errors
    /// [`CancelError`].
    pub async fn cancel(&self, id: TransactionId) -> Result<Transaction, CancelError> {
        let transaction = self.store.cancel(id, self.clock.now()).await?;
        self.presence.ended.fire(id);
        Ok(transaction)
    }

    /// Ends a transaction durably and tells whoever waits for it.
    ///
    /// # Errors
    /// [`StoreError`]; the transaction is then still live.
    pub async fn settle(&self, transaction: &Transaction, results: &[VariableResult]) -> Result<(), StoreError> {
        self.store.settle(transaction, results).await?;
        self.presence.ended.fire(transaction.id);
        Ok(())
    }

    /// Waits until the transaction has ended, at most `patience`. Returns as it then stands; `None`: there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn wait_ended(&self, id: TransactionId, patience: Duration) -> Result<Option<Transaction>, StoreError> {
        let ended = self.presence.ended.subscribe(id);
        match self.store.transaction(id).await? {
            Some(transaction) if !transaction.status.is_final() => {}
            other => return Ok(other),
        }
        // Either way the ledger is asked again: the signal says only that it is worth it.
        let signalled = tokio::time::timeout(patience, ended).await.is_ok();
        tracing::trace!(%id, signalled, "waited for a transaction");
        self.store.transaction(id).await
    }
}
