//! The reference backend: everything in memory, for tests and simulation. Plain lists and one lock; nothing survives.

mod catalogue;
mod devices;
mod entries;
mod logs;
mod members;
mod traces;
mod transactions;

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use roaring::RoaringBitmap;

use crate::model::campaign::CampaignId;
use crate::model::device::{Device, OrganizationId, Parameter, Profile, State, Status};
use crate::model::event::{EventData, EventEntry};
use crate::model::series::Series;
use crate::model::token::{TokenId, TokenRecord};
use crate::model::trace::SessionTrace;
use crate::model::transaction::{Transaction, VariableResult};
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::Timestamp;

use super::index::keys::KeyAllocator;
use super::index::live::LiveIndex;
use super::queue::QueueDocument;
use super::{Figures, Store, StoreError, StoreFuture, TokenEdit, TokenStore};

use catalogue::Catalogues;

/// How much a [`MemoryStore`] keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryConfig {
    /// Most live transactions of one device.
    pub queue_max: usize,
    /// Most ended transactions kept.
    pub history_max: usize,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self { queue_max: super::QUEUE_MAX, history_max: super::HISTORY_MAX }
    }
}

/// Everything in memory. *Durable* means nothing here.
#[derive(Debug, Default)]
pub struct MemoryStore {
    config: MemoryConfig,
    inner: Mutex<Inner>,
    catalogues: Catalogues,
}

#[derive(Debug, Default)]
struct Inner {
    closed: bool,
    /// Durable writes that are still to be refused.
    hiccups: u32,
    devices: BTreeMap<DeviceKey, Entry>,
    keys: KeyAllocator,
    live: LiveIndex,
    ended: BTreeMap<TransactionId, (Transaction, Vec<VariableResult>)>,
    last_transaction: u64,
    tokens: BTreeMap<TokenId, TokenRecord>,
    last_token: u32,
    events: logs::EventLog,
    newest_event: logs::Newest,
    audit: logs::AuditLog,
    last_trace: u64,
    entries: entries::EntryTable,
    members: BTreeMap<CampaignId, members::Members>,
}

#[derive(Debug)]
struct Entry {
    profile: Profile,
    state: State,
    tree: Vec<Parameter>,
    queue: QueueDocument,
    traces: Vec<SessionTrace>,
    series: Series,
}

impl Entry {
    fn device(&self, key: DeviceKey) -> Device {
        Device { key, profile: self.profile.clone(), state: self.state.clone() }
    }

    fn events(&self, at: Timestamp, found: Vec<EventData>) -> Vec<EventEntry> {
        found.into_iter().map(|data| EventEntry::of_device(&self.profile, at, data)).collect()
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(config: MemoryConfig) -> Self {
        Self { config, inner: Mutex::default(), catalogues: Catalogues::default() }
    }

    /// Refuses the next `writes` devices, durable Informs and transactions as [`StoreError::Busy`]: a disk that does not
    /// keep up, for tests.
    pub fn hiccup(&self, writes: u32) {
        self.inner.lock().hiccups = writes;
    }

    /// Runs one atomic step that a store on disk may be too busy for.
    fn durable_step<T>(&self, step: impl FnOnce(&mut Inner) -> T) -> Result<T, StoreError> {
        let mut inner = self.inner.lock();
        inner.check()?;
        match inner.hiccups.checked_sub(1) {
            Some(left) => {
                inner.hiccups = left;
                Err(StoreError::Busy { reason: "as it was told".to_owned() })
            }
            None => Ok(step(&mut inner)),
        }
    }

    /// Runs one atomic step.
    fn step<T>(&self, step: impl FnOnce(&mut Inner) -> T) -> Result<T, StoreError> {
        let mut inner = self.inner.lock();
        inner.check()?;
        Ok(step(&mut inner))
    }
}

impl Inner {
    fn check(&self) -> Result<(), StoreError> {
        if self.closed { Err(StoreError::Unavailable { reason: "it is closed".to_owned() }) } else { Ok(()) }
    }

    fn taken(&self) -> RoaringBitmap {
        self.devices.keys().map(|key| key.0).collect()
    }

    fn visible(&self, organizations: Option<&[OrganizationId]>) -> Option<BTreeSet<DeviceKey>> {
        let organizations = organizations?;
        let of = |entry: &Entry| organizations.contains(&entry.profile.organization);
        Some(self.devices.iter().filter(|(_, entry)| of(entry)).map(|(key, _)| *key).collect())
    }
}

/// What an immediate answer looks like to a caller that awaits.
fn ready<'a, T: Send + 'a, E: Send + 'a>(answer: Result<T, E>) -> StoreFuture<'a, T, E> {
    Box::pin(std::future::ready(answer))
}

impl Store for MemoryStore {
    fn health(&self) -> Result<(), StoreError> {
        self.inner.lock().check()
    }

    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    fn figures(&self, now: Timestamp) -> Figures {
        let inner = self.inner.lock();
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Figures {
            devices: count(inner.devices.len()),
            devices_up: count(inner.devices.values().filter(|entry| entry.state.status == Status::Up).count()),
            queue_depth: inner.live.depth(),
            queue_oldest_ms: inner.live.oldest().map_or(0, |at| super::age_ms(now, at)),
            disk_bytes: 0,
            live_bytes: 0,
        }
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.inner.lock().closed = true;
        self.catalogues.close();
        ready(Ok(()))
    }
}

impl TokenStore for MemoryStore {
    fn add_token(&self, token: TokenRecord) -> StoreFuture<'_, TokenRecord> {
        ready(self.step(|inner| {
            inner.last_token += 1;
            let token = TokenRecord { id: TokenId(inner.last_token), ..token };
            inner.tokens.insert(token.id, token.clone());
            token
        }))
    }

    fn token_by_hash(&self, hash: &[u8; 32]) -> Option<TokenRecord> {
        self.inner.lock().tokens.values().find(|token| token.hash == *hash).cloned()
    }

    fn tokens(&self) -> Vec<TokenRecord> {
        self.inner.lock().tokens.values().cloned().collect()
    }

    fn edit_token<'a>(&'a self, id: TokenId, edit: TokenEdit<'a>) -> StoreFuture<'a, Option<TokenRecord>> {
        ready(self.step(|inner| {
            let token = inner.tokens.get_mut(&id)?;
            edit(token);
            Some(token.clone())
        }))
    }

    fn remove_token(&self, id: TokenId) -> StoreFuture<'_, bool> {
        ready(self.step(|inner| inner.tokens.remove(&id).is_some()))
    }

    fn touch_token(&self, id: TokenId, at: Timestamp) {
        if let Some(token) = self.inner.lock().tokens.get_mut(&id)
            && super::is_worth_noting(token, at)
        {
            token.last_used_at = Some(at);
        }
    }
}
