//! The ledger in memory.

use crate::model::event::EventData;
use crate::model::transaction::{NewTransaction, Phase, Transaction, VariableResult};
use crate::store::queue::{Canceled, Enqueued};
use crate::store::{
    CancelError, EnqueueError, Listing, Merge, Page, StoreFuture, TransactionEdit, TransactionFilter, TransactionStore,
};
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::Timestamp;

use super::{Entry, Inner, MemoryStore, ready};

impl Inner {
    fn is_active(&self, key: DeviceKey) -> bool {
        self.devices.get(&key).is_some_and(|entry| entry.profile.is_active)
    }

    fn get(&self, id: TransactionId) -> Option<&Transaction> {
        let live = || self.devices.values().flat_map(|entry| &entry.queue.live).find(|t| t.id == id);
        self.ended.get(&id).map(|(transaction, _)| transaction).or_else(live)
    }

    /// Makes the indexes follow a device's queue; `results` belong to what has just ended.
    fn publish(&mut self, key: DeviceKey, results: &[VariableResult], history_max: usize) {
        let Some(entry) = self.devices.get_mut(&key) else { return };
        self.live.replace(key, &entry.queue.live);
        let mut found = Vec::new();
        if let Some(ended) = entry.queue.ended.take() {
            let at = ended.completed_at.unwrap_or(ended.created_at);
            found = entry.events(at, vec![EventData::ended(&ended)]);
            self.ended.insert(ended.id, (*ended, results.to_vec()));
        }
        self.note(found);
        while self.ended.len() > history_max {
            self.ended.pop_first();
        }
    }

    fn enqueue(
        &mut self,
        key: DeviceKey,
        new: NewTransaction,
        merge: Merge,
        at: Timestamp,
        limit: usize,
    ) -> Result<Transaction, EnqueueError> {
        let Some(entry) = self.devices.get_mut(&key) else { return Err(EnqueueError::UnknownDevice) };
        let last = &mut self.last_transaction;
        let next = || {
            *last += 1;
            TransactionId(*last)
        };
        match entry.queue.enqueue(key, new, merge, at, limit, next) {
            Enqueued::New(transaction) | Enqueued::Merged(transaction) => Ok(transaction),
            Enqueued::Full => Err(EnqueueError::QueueFull { limit }),
        }
    }

    fn cancel(&mut self, id: TransactionId, at: Timestamp) -> Result<Transaction, CancelError> {
        let device = self.get(id).map(|transaction| transaction.device);
        let Some(entry) = device.and_then(|device| self.devices.get_mut(&device)) else {
            return Err(CancelError::Unknown);
        };
        match entry.queue.cancel(id, at) {
            Canceled::Done(transaction) => Ok(*transaction),
            Canceled::Started | Canceled::NotLive => Err(CancelError::Started),
        }
    }
}

impl TransactionStore for MemoryStore {
    fn enqueue(
        &self,
        key: DeviceKey,
        new: NewTransaction,
        merge: Merge,
        at: Timestamp,
    ) -> StoreFuture<'_, Transaction, EnqueueError> {
        let answer = self.durable_step(|inner| {
            let answer = inner.enqueue(key, new, merge, at, self.config.queue_max);
            inner.publish(key, &[], self.config.history_max);
            answer
        });
        ready(answer.map_err(EnqueueError::Store).and_then(|answer| answer))
    }

    fn claim<'a>(
        &'a self,
        key: DeviceKey,
        skip: &'a [TransactionId],
        at: Timestamp,
    ) -> StoreFuture<'a, Option<Transaction>> {
        ready(self.step(|inner| {
            let entry = inner.devices.get_mut(&key).filter(|entry| entry.profile.is_active)?;
            let claimed = entry.queue.claim(skip, at);
            inner.publish(key, &[], self.config.history_max);
            claimed
        }))
    }

    fn live(&self, key: DeviceKey) -> StoreFuture<'_, Vec<Transaction>> {
        ready(self.step(|inner| inner.devices.get(&key).map(|entry| entry.queue.live.clone()).unwrap_or_default()))
    }

    fn running(&self, key: DeviceKey) -> StoreFuture<'_, Vec<Transaction>> {
        let runs = |transaction: &&Transaction| transaction.phase == Phase::Running;
        let of = |entry: &Entry| entry.queue.live.iter().filter(runs).cloned().collect();
        ready(self.step(|inner| inner.devices.get(&key).map(of).unwrap_or_default()))
    }

    fn has_work(&self, key: DeviceKey, at: Timestamp) -> bool {
        let inner = self.inner.lock();
        inner.live.may_run(key, at) && inner.is_active(key)
    }

    fn save<'a>(&'a self, transaction: &'a Transaction) -> StoreFuture<'a, bool> {
        self.settle(transaction, &[])
    }

    fn settle<'a>(&'a self, transaction: &'a Transaction, results: &'a [VariableResult]) -> StoreFuture<'a, bool> {
        ready(self.step(|inner| {
            let key = transaction.device;
            let was_live = inner.devices.get_mut(&key).is_some_and(|entry| entry.queue.save(transaction));
            if was_live {
                inner.publish(key, results, self.config.history_max);
            }
            was_live
        }))
    }

    fn amend<'a>(
        &'a self,
        key: DeviceKey,
        id: TransactionId,
        edit: TransactionEdit<'a>,
    ) -> StoreFuture<'a, Option<Transaction>> {
        ready(self.durable_step(|inner| {
            let (amended, results) = inner.devices.get_mut(&key)?.queue.amend(id, edit)?;
            inner.publish(key, &results, self.config.history_max);
            Some(amended)
        }))
    }

    fn cancel(&self, id: TransactionId, at: Timestamp) -> StoreFuture<'_, Transaction, CancelError> {
        let answer = self.step(|inner| {
            let answer = inner.cancel(id, at);
            if let Ok(transaction) = &answer {
                inner.publish(transaction.device, &[], self.config.history_max);
            }
            answer
        });
        ready(answer.map_err(CancelError::Store).and_then(|answer| answer))
    }

    fn hasten(&self, key: DeviceKey, id: TransactionId) -> StoreFuture<'_, bool> {
        ready(self.step(|inner| {
            let hastened = inner.devices.get_mut(&key).is_some_and(|entry| entry.queue.hasten(id));
            inner.publish(key, &[], self.config.history_max);
            hastened
        }))
    }

    fn transaction(&self, id: TransactionId) -> StoreFuture<'_, Option<Transaction>> {
        ready(self.step(|inner| inner.get(id).cloned()))
    }

    fn results(&self, id: TransactionId) -> StoreFuture<'_, Vec<VariableResult>> {
        ready(self.step(|inner| inner.ended.get(&id).map(|(_, results)| results.clone()).unwrap_or_default()))
    }

    fn live_after(&self, after: Option<TransactionId>, limit: usize) -> StoreFuture<'_, Vec<Transaction>> {
        ready(self.step(|inner| {
            let ids = inner.live.after(after, limit);
            ids.into_iter().filter_map(|id| inner.get(id).cloned()).collect()
        }))
    }

    fn transactions<'a>(&'a self, filter: &'a TransactionFilter, page: Page) -> StoreFuture<'a, Listing<Transaction>> {
        ready(self.step(|inner| {
            let visible = inner.visible(filter.visible.as_deref());
            let matches = |t: &&Transaction| {
                visible.as_ref().is_none_or(|visible| visible.contains(&t.device))
                    && filter.device.is_none_or(|wanted| t.device == wanted)
                    && filter.kind.is_none_or(|wanted| t.kind == wanted)
                    && filter.status.is_none_or(|wanted| t.status == wanted)
            };
            let live = inner.devices.values().flat_map(|entry| &entry.queue.live);
            let mut all: Vec<_> = inner.ended.values().map(|(t, _)| t).chain(live).filter(matches).collect();
            all.sort_by_key(|t| std::cmp::Reverse(t.id));
            let items = page.of(&all).iter().copied().cloned().collect();
            Listing { items, count: u64::try_from(all.len()).unwrap_or(u64::MAX) }
        }))
    }

    fn expire(&self, at: Timestamp, limit: usize) -> StoreFuture<'_, Vec<Transaction>> {
        ready(self.step(|inner| {
            let mut touched = Vec::new();
            for (id, key) in inner.live.due(at, limit) {
                let Some(entry) = inner.devices.get_mut(&key) else { continue };
                touched.extend(entry.queue.expire(id, at));
                inner.publish(key, &[], self.config.history_max);
            }
            touched
        }))
    }

    fn devices_with_work(&self, at: Timestamp, limit: usize) -> Vec<DeviceKey> {
        let inner = self.inner.lock();
        inner.live.with_work(at, limit, |key| inner.is_active(key))
    }
}
