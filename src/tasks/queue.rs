//! Scheduling: the one door through which work enters a device's queue, and through which its end is announced.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::connreq::wake::Waker;
use crate::cwmp::message::inform::EventStruct;
use crate::devices::presence::Presence;
use crate::model::device::Device;
use crate::model::transaction::{NewTransaction, Transaction, TransactionFault, VariableResult, Work};
use crate::store::{CancelError, EnqueueError, Merge, Store, StoreError};
use crate::telemetry::names;
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::{Clock, Timestamp};

use super::plan::{self, Ending, Step};

/// How often overdue work is looked for.
const TEND_EVERY: Duration = Duration::from_secs(5);
/// How much of it at a time.
const TEND_BATCH: usize = 1_000;

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
        metrics::counter!(names::TRANSACTIONS_SCHEDULED, "operation" => transaction.work.operation()).increment(1);
        self.waker.wake(device.key);
        Ok(transaction)
    }

    /// Has a transaction that backs off tried at once: what stood in its way may be gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hasten(&self, transaction: &Transaction) -> Result<(), StoreError> {
        if self.store.hasten(transaction.device, transaction.id).await? {
            self.waker.wake(transaction.device);
        }
        Ok(())
    }

    /// Withdraws a transaction that has not started.
    ///
    /// # Errors
    /// [`CancelError`].
    pub async fn cancel(&self, id: TransactionId) -> Result<Transaction, CancelError> {
        let transaction = self.store.cancel(id, self.clock.now()).await?;
        count_end(&transaction);
        self.presence.ended.fire(id);
        Ok(transaction)
    }

    /// Ends a transaction durably and tells whoever waits for it.
    ///
    /// # Errors
    /// [`StoreError`]; the transaction is then still live.
    pub async fn settle(&self, transaction: &Transaction, results: &[VariableResult]) -> Result<(), StoreError> {
        self.store.settle(transaction, results).await?;
        count_end(transaction);
        self.presence.ended.fire(transaction.id);
        Ok(())
    }

    /// Ends the restarts that an Inform with these events shows to have happened. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn confirm_restarts(
        &self,
        device: DeviceKey,
        events: &[EventStruct<'_>],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for mut transaction in self.store.live(device).await? {
            if let Some(ending) = plan::confirmed_by_inform(&transaction, events) {
                plan::book(&mut transaction, &Step::End(ending), now);
                self.settle(&transaction, &[]).await?;
            }
        }
        Ok(())
    }

    /// Ends what has waited too long: work that expired unstarted, and restarts that never came back. Runs until told to
    /// stop, and has devices called whose back-off is over.
    pub async fn tend(self: Arc<Self>, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(TEND_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let now = self.clock.now();
            match self.store.expire(now, TEND_BATCH).await {
                Ok(ended) => self.tend_to(ended, now).await,
                Err(error) => tracing::error!(%error, "overdue transactions could not be looked at"),
            }
            for key in self.store.devices_with_work(now, TEND_BATCH) {
                self.waker.remind(key);
            }
        }
    }

    async fn tend_to(&self, overdue: Vec<Transaction>, now: Timestamp) {
        for mut transaction in overdue {
            if transaction.status.is_final() {
                count_end(&transaction);
                self.presence.ended.fire(transaction.id);
                continue;
            }
            let words = match transaction.work {
                Work::FactoryReset => "the device did not report 0 BOOTSTRAP after the factory reset in time",
                _ => "the device did not come back from the reboot in time",
            };
            let fault = TransactionFault { code: 0, message: words.to_owned() };
            plan::book(&mut transaction, &Step::End(Ending::Failed(fault)), now);
            if let Err(error) = self.settle(&transaction, &[]).await {
                tracing::error!(%error, transaction.id = %transaction.id, "an overdue transaction was not settled");
            }
        }
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

fn count_end(transaction: &Transaction) {
    let (operation, status) = (transaction.work.operation(), transaction.status.as_str());
    metrics::counter!(names::TRANSACTIONS_ENDED, "operation" => operation, "status" => status).increment(1);
}
