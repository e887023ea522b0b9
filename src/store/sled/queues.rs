//! Changes of queue documents, and reading them.

use std::sync::Arc;

use crate::model::event::{EventData, EventEntry};
use crate::model::transaction::{Transaction, VariableResult};
use crate::store::key::{self, Table};
use crate::store::queue::QueueDocument;
use crate::store::{StoreError, record};
use crate::types::ident::{DeviceKey, TransactionId};

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
        bytes.map(|bytes| record::decode("transaction", &bytes)).transpose()
    }
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
        let core = &self.core;
        core.health.check()?;
        let results = if results.is_empty() { None } else { Some(record::encode_large(&results)?) };
        let place = self.committer.place().await?;
        let mut stripe = core.stripes.lock(key);
        if !core.exists(key) {
            return Ok(None);
        }
        let before = core.latest(&stripe, key)?;
        let mut next = QueueDocument::clone(&before);
        let answer = change(&mut next);
        if next == *before {
            let ticket = stripe.latest(key).map(|_| place.submit(Step::Barrier));
            return Ok(Some(Submitted { answer, ticket }));
        }
        let ended = match next.ended.iter().find(|t| !before.ended.iter().any(|old| old.id == t.id)) {
            Some(ended) => {
                let at = ended.completed_at.unwrap_or(ended.created_at);
                let profile = core.profile(key)?;
                let event =
                    profile.map(|profile| Box::new(EventEntry::of_device(&profile, at, EventData::ended(ended))));
                Some(EndedStep { id: ended.id, row: record::encode_large(ended)?, results, event })
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
