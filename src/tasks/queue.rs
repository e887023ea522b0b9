//! Scheduling: the one door through which work enters a device's queue, and through which its end is announced.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::connreq::wake::Waker;
use crate::cwmp::message::Request;
use crate::devices::presence::Presence;
use crate::files::Files;
use crate::model::campaign::CampaignId;
use crate::model::device::{Device, Profile, Setting};
use crate::model::file::StoredFileId;
use crate::model::transaction::{Kind, NewTransaction, Transaction, TransactionFault, VariableResult, Work};
use crate::model::upgrade::Upgraded;
use crate::store::{CancelError, EnqueueError, Merge, Store, StoreError, TransactionEdit};
use crate::telemetry::names;
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::{Clock, Timestamp};

use super::plan::news::{self, News};
use super::plan::{self, Ending, Step};

/// How often overdue work is looked for.
const TEND_EVERY: Duration = Duration::from_secs(5);
/// How much of it at a time.
const TEND_BATCH: usize = 1_000;
/// Ends that a slow listener may be behind.
const ENDS_MAX: usize = 4_096;

/// The scheduling service.
pub struct Queue {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    presence: Arc<Presence>,
    waker: Arc<Waker>,
    files: Arc<Files>,
    ends: broadcast::Sender<End>,
}

/// That a transaction has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Which.
    pub id: TransactionId,
    /// Whose.
    pub device: DeviceKey,
    /// Which part of the API it belongs to.
    pub kind: Kind,
    /// The campaign that it belongs to.
    pub campaign: Option<CampaignId>,
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
    /// Over a store; `waker` calls the devices that get work, `files` tells what devices have sent.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        presence: Arc<Presence>,
        waker: Arc<Waker>,
        files: Arc<Files>,
    ) -> Self {
        Self { store, clock, presence, waker, files, ends: broadcast::Sender::new(ENDS_MAX) }
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
        self.announce(&transaction);
        Ok(transaction)
    }

    /// Ends a transaction durably and tells whoever waits for it. One that has ended meanwhile stays as it is.
    ///
    /// # Errors
    /// [`StoreError`]; the transaction is then still live.
    pub async fn settle(&self, transaction: &Transaction, results: &[VariableResult]) -> Result<(), StoreError> {
        // Only then: what is still live is still pending, and what had ended was announced by whoever ended it.
        if self.store.settle(transaction, results).await? {
            self.note_upgrade(transaction).await;
            self.announce(transaction);
        }
        Ok(())
    }

    /// Lets the transactions that wait for their device know of an Inform: restarts have happened, tests are done, files
    /// were transferred. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn informed(&self, device: DeviceKey, news: &News<'_>) -> Result<(), StoreError> {
        let live = self.store.live(device).await?;
        let tests = live.iter().filter(|one| news::is_outstanding_test(one)).count();
        for transaction in &live {
            let others = tests - usize::from(news::is_outstanding_test(transaction));
            self.tell(transaction, |transaction| news::informed(transaction, news, others)).await?;
        }
        Ok(())
    }

    /// Lets them know of a call that the CPE has made: `TransferComplete`, `DUStateChangeComplete`. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`]: the CPE's call must not be answered then.
    pub async fn called(&self, device: DeviceKey, request: &Request<'_>, at: Timestamp) -> Result<(), StoreError> {
        let live = self.store.live(device).await?;
        for transaction in &live {
            let others = meant_besides(&live, transaction.id, request);
            self.tell(transaction, |transaction| news::called(transaction, request, others, at)).await?;
        }
        Ok(())
    }

    /// How many transactions of a device, besides one, may be meant by a call that does not say which.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn meant_besides(
        &self,
        device: DeviceKey,
        id: TransactionId,
        request: &Request<'_>,
    ) -> Result<usize, StoreError> {
        Ok(meant_besides(&self.store.live(device).await?, id, request))
    }

    /// A transfer was taken out of its device's queue by another transaction: the one that ordered it is over. Durable when
    /// it returns.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn withdrawn(
        &self,
        device: DeviceKey,
        id: TransactionId,
        by: TransactionId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let live = self.store.live(device).await?;
        let Some(transfer) = live.iter().find(|one| one.id == id) else { return Ok(()) };
        self.tell(transfer, |transaction| news::withdrawn(transaction, by, at)).await
    }

    /// Has a live transaction react, in one step, and announces its end. Without I/O when it does not react.
    async fn tell(
        &self,
        transaction: &Transaction,
        react: impl Fn(&mut Transaction) -> Vec<VariableResult> + Send,
    ) -> Result<(), StoreError> {
        let mut told = transaction.clone();
        react(&mut told);
        if told == *transaction {
            return Ok(());
        }
        // Asked again of the transaction as it is then: it may have moved on meanwhile.
        self.amend(transaction, Box::new(react)).await
    }

    /// Changes a live transaction as it is then, in one step, and announces its end if it has ended by that.
    async fn amend(&self, transaction: &Transaction, edit: TransactionEdit<'_>) -> Result<(), StoreError> {
        let amended = self.store.amend(transaction.device, transaction.id, edit).await?;
        if let Some(ended) = amended.filter(|amended| amended.status.is_final()) {
            self.note_upgrade(&ended).await;
            self.announce(&ended);
        }
        Ok(())
    }

    /// Brings the record of a device up to date whose upgrade has ended. Should that fail, its next Inform does it.
    async fn note_upgrade(&self, ended: &Transaction) {
        if ended.work.setting() != Some(Setting::FirmwareUpgrade) || !ended.status.is_final() {
            return;
        }
        let (device, upgrade, at) = (ended.device, Upgraded::of(ended), self.clock.now());
        let edit = Box::new(move |profile: &mut Profile| upgrade.note(profile, at));
        if let Err(error) = self.store.edit_profile(device, edit).await {
            tracing::error!(%error, device.id = %device, "what became of the upgrade of device {device} was not noted");
        }
    }

    /// Ends of transactions that belong to a campaign or a health check, from now on. Whoever falls behind misses some, and
    /// has to look at the ledger.
    #[must_use]
    pub fn ends(&self) -> broadcast::Receiver<End> {
        self.ends.subscribe()
    }

    fn announce(&self, ended: &Transaction) {
        count_end(ended);
        self.presence.ended.fire(ended.id);
        if ended.campaign.is_some() || ended.kind == Kind::Health {
            let end = End { id: ended.id, device: ended.device, kind: ended.kind, campaign: ended.campaign };
            // Nobody listening is fine.
            let _heard_by = self.ends.send(end);
        }
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
                Ok(overdue) => self.tend_to(overdue, now).await,
                Err(error) => tracing::error!(%error, "overdue transactions could not be looked at"),
            }
            for key in self.store.devices_with_work(now, TEND_BATCH) {
                self.waker.remind(key);
            }
        }
    }

    /// What [`expire`](crate::store::TransactionStore::expire) has handed out, all at once: the changes share their flushes.
    async fn tend_to(self: &Arc<Self>, overdue: Vec<Transaction>, now: Timestamp) {
        let mut ends = JoinSet::new();
        for transaction in overdue {
            let queue = Arc::clone(self);
            if transaction.status.is_final() {
                ends.spawn(async move {
                    queue.note_upgrade(&transaction).await;
                    queue.announce(&transaction);
                });
            } else if let Some(fault) = news::overdue(&transaction, now) {
                ends.spawn(async move { queue.end_overdue(&transaction, fault, now).await });
            } else {
                // Resumed: its procedure looks at how things are.
                self.waker.wake(transaction.device);
            }
        }
        while let Some(ended) = ends.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "an overdue transaction was not looked at");
            }
        }
    }

    /// Ends a transaction that is overdue, if it still is as it was when that was found.
    async fn end_overdue(&self, seen: &Transaction, fault: TransactionFault, now: Timestamp) {
        let arrived = self.arrived(seen);
        let end = |transaction: &mut Transaction| {
            // A session has it, or it has news: that goes on from there. What stays overdue is found again.
            if transaction == seen {
                let ending = match arrived {
                    Some(file) => news::stored_all_the_same(transaction, file),
                    None => Ending::Failed(fault),
                };
                plan::book(transaction, &Step::End(ending), now);
            }
            Vec::new()
        };
        if let Err(error) = self.amend(seen, Box::new(end)).await {
            tracing::error!(%error, transaction.id = %seen.id, "an overdue transaction was not settled");
        }
    }

    /// The file that an upload has brought.
    fn arrived(&self, transaction: &Transaction) -> Option<StoredFileId> {
        let is_upload = matches!(transaction.work, Work::Upload(_));
        is_upload.then(|| self.files.arrived(transaction.id)).flatten()
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

fn meant_besides(live: &[Transaction], id: TransactionId, request: &Request<'_>) -> usize {
    live.iter().filter(|other| other.id != id && news::may_be_meant(other, request)).count()
}

fn count_end(transaction: &Transaction) {
    let (operation, status) = (transaction.work.operation(), transaction.status.as_str());
    metrics::counter!(names::TRANSACTIONS_ENDED, "operation" => operation, "status" => status).increment(1);
}

#[cfg(test)]
mod tests;
