//! Building the indexes when the store is opened, and finishing or undoing what a kill left half done.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::{Mutex, RwLock};
use roaring::RoaringBitmap;

use crate::model::device::{Profile, State};
use crate::model::token::TokenRecord;
use crate::model::transaction::Transaction;
use crate::store::index::device::DeviceIndex;
use crate::store::index::keys::{KeyAllocator, KeyFloor};
use crate::store::index::ledger::{Ledger, Row};
use crate::store::index::live::LiveIndex;
use crate::store::key::{self, Table};
use crate::store::queue::QueueDocument;
use crate::store::{StoreError, record};
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::Timestamp;

use super::database::Database;
use super::entries::Entries;
use super::health::Health;
use super::logs::Logs;
use super::stripe::Striped;
use super::tokens::TokenTable;
use super::{Core, StoreConfig, committer};

/// Reads the whole inventory and ledger: some 2 s for a million devices.
pub(super) fn load(
    config: StoreConfig,
    now: Timestamp,
    database: Database,
    health: Arc<Health>,
    lock: File,
) -> Result<Core, StoreError> {
    let mut keys = KeyAllocator::default();
    if let Some(bytes) = database.get(Table::Meta, key::DEVICE_KEYS)? {
        keys = KeyAllocator::resume(record::decode::<KeyFloor>("key floor", &bytes)?);
    }
    let mut last_token = 0;
    if let Some(bytes) = database.get(Table::Meta, key::LAST_TOKEN)? {
        last_token = record::decode("token floor", &bytes)?;
    }
    let mut tokens = TokenTable::resume(last_token);
    database.each_at_open(Table::Tokens, |_, bytes| {
        tokens.insert(record::decode::<TokenRecord>("token", &bytes)?);
        Ok(())
    })?;
    database.resume_live_bytes()?;
    let logs = Logs::load(&database)?;
    let entries = Entries::load(&database)?;
    let mut core = Core {
        config,
        database,
        health,
        devices: RwLock::new(DeviceIndex::default()),
        keys: Mutex::new(keys),
        live: RwLock::new(LiveIndex::default()),
        ledger: RwLock::new(Ledger::default()),
        next_transaction: AtomicU64::new(1),
        stripes: Striped::default(),
        tree_locks: Striped::default(),
        tokens: RwLock::new(tokens),
        logs,
        entries,
        disk_bytes: AtomicU64::new(0),
        _lock: lock,
    };
    core.load_history()?;
    core.load_devices()?;
    core.purge_stray_entries()?;
    core.load_queues(now)?;
    core.resume_numbers()?;
    core.database.flush()?;
    Ok(core)
}

impl Core {
    fn load_history(&self) -> Result<(), StoreError> {
        let mut ledger = self.ledger.write();
        self.database.each_at_open(Table::History, |_, bytes| {
            ledger.put(Row::from(&record::decode_head::<Transaction>("transaction", &bytes)?));
            Ok(())
        })
    }

    /// Devices that have both records and are not being removed; of the others all is deleted.
    fn load_devices(&self) -> Result<(), StoreError> {
        let mut broken = Vec::new();
        self.database.each_at_open(Table::Gone, |key, _| {
            broken.extend(key::read_device(key));
            Ok(())
        })?;
        let mut index = DeviceIndex::default();
        self.database.each_at_open(Table::Profiles, |key, bytes| {
            let Some(key) = key::read_device(key) else { return Ok(()) };
            if !broken.contains(&key) {
                index.insert(key, &record::decode::<Profile>("device profile", &bytes)?);
            }
            Ok(())
        })?;
        let mut seen = RoaringBitmap::new();
        self.database.each_at_open(Table::Devices, |key, bytes| {
            let Some(key) = key::read_device(key) else { return Ok(()) };
            if index.contains(key) {
                let state = record::decode::<State>("device state", &bytes)?;
                index.set_state(key, &state);
                index.set_identity(key, None, state.identity.as_ref());
                seen.insert(key.0);
            } else {
                broken.push(key);
            }
            Ok(())
        })?;
        broken.extend((index.all() - &seen).into_iter().map(DeviceKey));
        for key in broken {
            tracing::info!(device.id = %key, "device {key} was half registered or half removed: it is gone now");
            let transactions = self.ledger.read().of_device(key);
            committer::purge(self, key, &transactions)?;
            self.ledger.write().remove_device(key);
            index.hide(key);
            let floor = self.keys.lock().retire(key);
            self.database.put(Table::Meta, key::DEVICE_KEYS, &record::encode(&floor, 64)?)?;
            self.database.remove(Table::Gone, &key::device(key))?;
        }
        *self.devices.write() = index;
        Ok(())
    }

    /// What was running was cut off by the end of the process.
    fn load_queues(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut changed = Vec::new();
        let (mut live, mut ledger) = (self.live.write(), self.ledger.write());
        self.database.each_at_open(Table::Queues, |key, bytes| {
            let Some(key) = key::read_device(key) else { return Ok(()) };
            let mut queue: QueueDocument = record::decode("queue", &bytes)?;
            if !self.exists(key) {
                changed.push((key, None));
                return Ok(());
            }
            let interrupted = queue.interrupt(now);
            // Also over the row of an end that did not come about.
            for transaction in &queue.live {
                ledger.put(Row::from(transaction));
            }
            live.replace(key, &queue.live);
            if interrupted {
                changed.push((key, Some(record::encode_large(&queue)?)));
            }
            Ok(())
        })?;
        for (key, queue) in changed {
            match queue {
                Some(queue) => self.database.put(Table::Queues, &key::device(key), &queue)?,
                None => self.database.purge(Table::Queues, &key::device(key))?,
            }
        }
        Ok(())
    }

    fn resume_numbers(&mut self) -> Result<(), StoreError> {
        let mut next = self.ledger.read().last().map_or(1, |TransactionId(last)| last.saturating_add(1));
        if let Some(bytes) = self.database.get(Table::Meta, key::NEXT_TRANSACTION)? {
            next = next.max(record::decode("transaction floor", &bytes)?);
        }
        *self.next_transaction.get_mut() = next;
        Ok(())
    }
}
