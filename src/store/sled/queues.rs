//! Changes of queue documents, and reading them.

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::event::{EventData, EventEntry};
use crate::model::transaction::{Transaction, VariableResult};
use crate::store::index::ledger::Row;
use crate::store::key::{self, Table};
use crate::store::queue::QueueDocument;
use crate::store::{StoreError, record};
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::Timestamp;

use super::committer::{EndedStep, QueueStep, Step, Ticket};
use super::stripe::Stripe;
use super::{Core, SledStore};

/// What became of a change, and how to wait until it is durable; nothing to wait for: it already is.
pub(super) struct Submitted<T> {
    pub(super) answer: T,
    ticket: Option<Ticket>,
}

impl<T> Submitted<T> {
    /// Waits until the answer may be given.
    pub(super) async fn durable(self) -> Result<T, StoreError> {
        if let Some(ticket) = self.ticket {
            ticket.durable().await?;
        }
        Ok(self.answer)
    }
}

impl Core {
    /// The document as it was last published.
    pub(super) fn published(&self, key: DeviceKey) -> Result<Arc<QueueDocument>, StoreError> {
        let stripe = self.stripes.lock(key);
        stripe.published(key).map_or_else(|| self.read_queue(key), Ok)
    }

    /// The document as the next change has to find it.
    fn latest(&self, stripe: &Stripe, key: DeviceKey) -> Result<Arc<QueueDocument>, StoreError> {
        stripe.latest(key).map_or_else(|| self.read_queue(key), Ok)
    }

    fn read_queue(&self, key: DeviceKey) -> Result<Arc<QueueDocument>, StoreError> {
        match self.database.get(Table::Queues, &key::device(key))? {
            Some(bytes) => record::decode("queue", &bytes).map(Arc::new),
            None => Ok(Arc::default()),
        }
    }

    /// An ended transaction's row.
    pub(super) fn history_row(&self, id: TransactionId) -> Result<Option<Transaction>, StoreError> {
        let bytes = self.database.get(Table::History, &key::transaction(id))?;
        bytes.map(|bytes| record::decode_head("transaction", &bytes)).transpose()
    }

    /// An ended transaction's results.
    pub(super) fn results(&self, id: TransactionId) -> Result<Vec<VariableResult>, StoreError> {
        let place = key::transaction(id);
        let Some(bytes) = self.database.get(Table::History, &place)? else { return Ok(Vec::new()) };
        if let (_, Some(results)) = record::decode::<(Transaction, Option<Vec<VariableResult>>)>("transaction", &bytes)?
        {
            return Ok(results);
        }
        match self.database.get(Table::Results, &place)? {
            Some(bytes) => record::decode("results", &bytes),
            None => Ok(Vec::new()),
        }
    }

    /// Starts the oldest transaction that may run, if all it does is read, and shows so at once. Nothing is written: after
    /// a kill it has not started, and reading once more does no harm.
    pub(super) fn claim_read(
        &self,
        key: DeviceKey,
        skip: &[TransactionId],
        at: Timestamp,
    ) -> Result<ReadClaim, StoreError> {
        self.health.check()?;
        let mut stripe = self.stripes.lock(key);
        // Otherwise it would be seen before what it builds on.
        if stripe.is_pending(key) {
            return Ok(ReadClaim::Unsuited);
        }
        if !self.exists(key) {
            return Ok(ReadClaim::Nothing);
        }
        let before = self.latest(&stripe, key)?;
        match before.claimable(skip, at) {
            None => return Ok(ReadClaim::Nothing),
            Some(found) if !found.work.only_reads() => return Ok(ReadClaim::Unsuited),
            Some(_) => {}
        }
        let mut next = Arc::unwrap_or_clone(before);
        let Some(claimed) = next.claim(skip, at) else { return Ok(ReadClaim::Nothing) };
        self.ledger.write().put(Row::from(&claimed));
        self.live.write().replace(key, &next.live);
        stripe.keep(key, Arc::new(next));
        Ok(ReadClaim::Started(Box::new(claimed)))
    }
}

/// What became of [`Core::claim_read`].
pub(super) enum ReadClaim {
    /// Started.
    Started(Box<Transaction>),
    /// Nothing may run.
    Nothing,
    /// What may run has to be on disk before it starts.
    Unsuited,
}

/// Results that take about as much space are kept in the record of their transaction, larger ones apart.
const RESULTS_INLINE_BYTES: usize = 2048;

/// The record of an ended transaction, and its results where they are kept apart.
fn ended_step(ended: &Transaction, results: &[VariableResult]) -> Result<EndedStep, StoreError> {
    let size = |one: &VariableResult| 16 + one.path.len() + one.value.as_ref().map_or(0, |value| value.len());
    let inline = results.iter().map(size).sum::<usize>() <= RESULTS_INLINE_BYTES;
    let record = record::encode_large(&(ended, inline.then_some(results)))?;
    let results = if inline { None } else { Some(record::encode_large(&results)?) };
    Ok(EndedStep { row: Row::from(ended), record, results, event: None })
}

impl SledStore {
    /// Changes a device's queue in one step; `results` belong to what ends by it. `None`: the device is gone.
    ///
    /// When the change left the document as it was there is nothing to commit, but what made it so may still be under way:
    /// that is waited for then.
    pub(super) async fn change_queue<T>(
        &self,
        key: DeviceKey,
        results: &[VariableResult],
        change: impl FnOnce(&mut QueueDocument) -> T,
    ) -> Result<Option<Submitted<T>>, StoreError> {
        self.change_queue_with(key, |queue| (change(queue), Cow::Borrowed(results))).await
    }

    /// As [`Self::change_queue`], where the results come of the change.
    pub(super) async fn change_queue_with<'r, T>(
        &self,
        key: DeviceKey,
        change: impl FnOnce(&mut QueueDocument) -> (T, Cow<'r, [VariableResult]>),
    ) -> Result<Option<Submitted<T>>, StoreError> {
        let core = &self.core;
        core.health.check()?;
        let place = self.committer.place().await?;
        let mut stripe = core.stripes.lock(key);
        if !core.exists(key) {
            return Ok(None);
        }
        let before = core.latest(&stripe, key)?;
        let mut next = QueueDocument::clone(&before);
        let (answer, results) = change(&mut next);
        if next == *before {
            let ticket = stripe.is_pending(key).then(|| place.submit(Step::Barrier));
            return Ok(Some(Submitted { answer, ticket }));
        }
        let ended = match next.ended.take() {
            Some(ended) => {
                let at = ended.completed_at.unwrap_or(ended.created_at);
                let profile = core.profile(key)?;
                let event =
                    profile.map(|profile| Box::new(EventEntry::of_device(&profile, at, EventData::ended(&ended))));
                Some(EndedStep { event, ..ended_step(&ended, &results)? })
            }
            None => None,
        };
        let encoded = record::encode_large(&next)?;
        let document = Arc::new(next);
        stripe.submit(key, before, Arc::clone(&document));
        let ticket = place.submit(Step::Queue(QueueStep { key, document, encoded, ended }));
        Ok(Some(Submitted { answer, ticket: Some(ticket) }))
    }
}
