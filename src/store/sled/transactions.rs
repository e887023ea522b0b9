//! The ledger on disk.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use crate::model::transaction::{NewTransaction, Phase, Transaction, VariableResult};
use crate::store::queue::{Canceled, Enqueued, QueueDocument};
use crate::store::{
    CancelError, EnqueueError, Listing, Merge, Page, StoreError, StoreFuture, TransactionEdit, TransactionFilter,
    TransactionStore,
};
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::Timestamp;

use super::queues::ReadClaim;
use super::{Core, SledStore, blocking};

/// A page with more rows than this is read where it may block.
const INLINE_ROWS: usize = 32;

impl Core {
    fn transaction(&self, id: TransactionId) -> Result<Option<Transaction>, StoreError> {
        let Some(row) = self.ledger.read().get(id) else { return Ok(None) };
        if row.status.is_final() {
            return self.history_row(id);
        }
        // Between the two look-ups it may have ended.
        match self.published(row.device)?.get(id) {
            Some(found) => Ok(Some(found.clone())),
            None => self.history_row(id),
        }
    }

    fn next_transaction(&self) -> TransactionId {
        TransactionId(self.next_transaction.fetch_add(1, Ordering::Relaxed))
    }

    fn select(&self, filter: &TransactionFilter, page: Page) -> (Vec<TransactionId>, u64) {
        let visible = filter.visible.as_ref().map(|organizations| self.devices.read().visible(organizations));
        self.ledger.read().select(page, |row| {
            filter.device.is_none_or(|wanted| row.device == wanted)
                && filter.kind.is_none_or(|wanted| row.kind == wanted)
                && filter.status.is_none_or(|wanted| row.status == wanted)
                && visible.as_ref().is_none_or(|visible| visible.contains(row.device.0))
        })
    }

    fn rows(&self, ids: Vec<TransactionId>) -> Result<Vec<Transaction>, StoreError> {
        // One that has been removed since it was counted is left out.
        ids.into_iter().filter_map(|id| self.transaction(id).transpose()).collect()
    }
}

impl TransactionStore for SledStore {
    fn enqueue(
        &self,
        key: DeviceKey,
        new: NewTransaction,
        merge: Merge,
        at: Timestamp,
    ) -> StoreFuture<'_, Transaction, EnqueueError> {
        Box::pin(async move {
            let core = &self.core;
            let limit = core.config.queue_max;
            core.health.check().map_err(EnqueueError::Store)?;
            self.committer.keeps_up().await.map_err(EnqueueError::Store)?;
            let submitted = self
                .change_queue(key, &[], |queue| queue.enqueue(key, new, merge, at, limit, || core.next_transaction()))
                .await
                .map_err(EnqueueError::Store)?
                .ok_or(EnqueueError::UnknownDevice)?;
            match submitted.durable().await.map_err(EnqueueError::Store)? {
                Enqueued::New(transaction) | Enqueued::Merged(transaction) => Ok(transaction),
                Enqueued::Full => Err(EnqueueError::QueueFull { limit }),
            }
        })
    }

    fn claim<'a>(
        &'a self,
        key: DeviceKey,
        skip: &'a [TransactionId],
        at: Timestamp,
    ) -> StoreFuture<'a, Option<Transaction>> {
        Box::pin(async move {
            if !self.has_work(key, at) {
                return Ok(None);
            }
            match self.core.claim_read(key, skip, at)? {
                ReadClaim::Started(claimed) => return Ok(Some(*claimed)),
                ReadClaim::Nothing => return Ok(None),
                ReadClaim::Unsuited => {}
            }
            match self.change_queue(key, &[], |queue| queue.claim(skip, at)).await? {
                Some(submitted) => submitted.durable().await,
                None => Ok(None),
            }
        })
    }

    fn live(&self, key: DeviceKey) -> StoreFuture<'_, Vec<Transaction>> {
        Box::pin(async move {
            if !self.core.live.read().has_any(key) {
                return Ok(Vec::new());
            }
            Ok(self.core.published(key)?.live.clone())
        })
    }

    fn running(&self, key: DeviceKey) -> StoreFuture<'_, Vec<Transaction>> {
        Box::pin(async move {
            if !self.core.live.read().has_running(key) {
                return Ok(Vec::new());
            }
            let document = self.core.published(key)?;
            Ok(document.live.iter().filter(|transaction| transaction.phase == Phase::Running).cloned().collect())
        })
    }

    fn has_work(&self, key: DeviceKey, at: Timestamp) -> bool {
        self.core.live.read().may_run(key, at) && self.core.devices.read().is_active(key)
    }

    fn save<'a>(&'a self, transaction: &'a Transaction) -> StoreFuture<'a, bool> {
        self.settle(transaction, &[])
    }

    fn settle<'a>(&'a self, transaction: &'a Transaction, results: &'a [VariableResult]) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            match self.change_queue(transaction.device, results, |queue| queue.save(transaction)).await? {
                Some(submitted) => submitted.durable().await,
                None => Ok(false),
            }
        })
    }

    fn amend<'a>(
        &'a self,
        key: DeviceKey,
        id: TransactionId,
        edit: TransactionEdit<'a>,
    ) -> StoreFuture<'a, Option<Transaction>> {
        Box::pin(async move {
            let change = |queue: &mut QueueDocument| match queue.amend(id, edit) {
                Some((amended, results)) => (Some(amended), Cow::Owned(results)),
                None => (None, Cow::Borrowed(&[][..])),
            };
            match self.change_queue_with(key, change).await? {
                Some(submitted) => submitted.durable().await,
                None => Ok(None),
            }
        })
    }

    fn cancel(&self, id: TransactionId, at: Timestamp) -> StoreFuture<'_, Transaction, CancelError> {
        Box::pin(async move {
            let row = self.core.ledger.read().get(id).ok_or(CancelError::Unknown)?;
            if row.status.is_final() {
                return Err(CancelError::Started);
            }
            let submitted = self
                .change_queue(row.device, &[], |queue| queue.cancel(id, at))
                .await
                .map_err(CancelError::Store)?
                .ok_or(CancelError::Unknown)?;
            match submitted.durable().await.map_err(CancelError::Store)? {
                Canceled::Done(transaction) => Ok(*transaction),
                Canceled::Started | Canceled::NotLive => Err(CancelError::Started),
            }
        })
    }

    fn hasten(&self, key: DeviceKey, id: TransactionId) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            match self.change_queue(key, &[], |queue| queue.hasten(id)).await? {
                Some(submitted) => submitted.durable().await,
                None => Ok(false),
            }
        })
    }

    fn transaction(&self, id: TransactionId) -> StoreFuture<'_, Option<Transaction>> {
        Box::pin(async move { self.core.transaction(id) })
    }

    fn results(&self, id: TransactionId) -> StoreFuture<'_, Vec<VariableResult>> {
        Box::pin(async move {
            if !self.core.ledger.read().has_ended(id) {
                return Ok(Vec::new());
            }
            blocking(&self.core, move |core| core.results(id)).await
        })
    }

    fn live_after(&self, after: Option<TransactionId>, limit: usize) -> StoreFuture<'_, Vec<Transaction>> {
        Box::pin(async move {
            let ids = self.core.live.read().after(after, limit);
            blocking(&self.core, move |core| core.rows(ids)).await
        })
    }

    fn transactions<'a>(&'a self, filter: &'a TransactionFilter, page: Page) -> StoreFuture<'a, Listing<Transaction>> {
        Box::pin(async move {
            let (ids, count) = self.core.select(filter, page);
            let items = if ids.len() <= INLINE_ROWS {
                self.core.rows(ids)?
            } else {
                blocking(&self.core, move |core| core.rows(ids)).await?
            };
            Ok(Listing { items, count })
        })
    }

    fn expire(&self, at: Timestamp, limit: usize) -> StoreFuture<'_, Vec<Transaction>> {
        Box::pin(async move {
            let due = self.core.live.read().due(at, limit);
            let mut submitted = Vec::with_capacity(due.len());
            for (id, key) in due {
                submitted.extend(self.change_queue(key, &[], |queue| queue.expire(id, at)).await?);
            }
            let mut touched = Vec::with_capacity(submitted.len());
            for one in submitted {
                touched.extend(one.durable().await?);
            }
            Ok(touched)
        })
    }

    fn devices_with_work(&self, at: Timestamp, limit: usize) -> Vec<DeviceKey> {
        let live = self.core.live.read();
        let devices = self.core.devices.read();
        live.with_work(at, limit, |key| devices.is_active(key))
    }
}
