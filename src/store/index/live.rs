//! Live transactions of all devices, as small as the questions asked of them allow.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::model::transaction::{Phase, Transaction};
use crate::store::queue;
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::Timestamp;

/// Answers "is there work", "what is due" and "how much waits, since when" without a record being read.
#[derive(Debug, Default)]
pub(in crate::store) struct LiveIndex {
    devices: BTreeMap<DeviceKey, Vec<LiveEntry>>,
    deadlines: BTreeSet<(Timestamp, TransactionId, DeviceKey)>,
    created: BTreeMap<TransactionId, Timestamp>,
    /// Where the next search for devices with work begins, so that every device gets its turn.
    cursor: AtomicU32,
}

#[derive(Debug, Clone, Copy)]
struct LiveEntry {
    id: TransactionId,
    runs: bool,
    runnable_from: Option<Timestamp>,
    startable_until: Option<Timestamp>,
    deadline: Option<Timestamp>,
}

impl LiveEntry {
    fn may_run(&self, at: Timestamp) -> bool {
        self.runnable_from.is_some_and(|from| from <= at) && self.startable_until.is_none_or(|until| at < until)
    }
}

impl LiveIndex {
    /// Takes in how a device's queue now looks.
    pub(in crate::store) fn replace(&mut self, key: DeviceKey, live: &[Transaction]) {
        self.remove(key);
        if live.is_empty() {
            return;
        }
        let mut entries = Vec::with_capacity(live.len());
        for transaction in live {
            let entry = LiveEntry {
                id: transaction.id,
                runs: transaction.phase == Phase::Running,
                runnable_from: queue::runnable_from(transaction).filter(|_| transaction.held_by(live).is_none()),
                startable_until: queue::startable_until(transaction),
                deadline: queue::deadline(transaction),
            };
            if let Some(deadline) = entry.deadline {
                self.deadlines.insert((deadline, entry.id, key));
            }
            self.created.insert(entry.id, transaction.created_at);
            entries.push(entry);
        }
        self.devices.insert(key, entries);
    }

    /// Forgets a device.
    pub(in crate::store) fn remove(&mut self, key: DeviceKey) {
        for entry in self.devices.remove(&key).unwrap_or_default() {
            self.created.remove(&entry.id);
            if let Some(deadline) = entry.deadline {
                self.deadlines.remove(&(deadline, entry.id, key));
            }
        }
    }

    /// Whether anything of the device may run.
    pub(in crate::store) fn may_run(&self, key: DeviceKey, at: Timestamp) -> bool {
        !self.devices.is_empty()
            && self.devices.get(&key).is_some_and(|entries| entries.iter().any(|entry| entry.may_run(at)))
    }

    /// Whether the device has live transactions at all.
    pub(in crate::store) fn has_any(&self, key: DeviceKey) -> bool {
        self.devices.contains_key(&key)
    }

    /// Whether a session carries out one of the device's transactions.
    pub(in crate::store) fn has_running(&self, key: DeviceKey) -> bool {
        self.devices.get(&key).is_some_and(|entries| entries.iter().any(|entry| entry.runs))
    }

    /// What has to be looked at by the expiry timer, the longest overdue first.
    pub(in crate::store) fn due(&self, at: Timestamp, limit: usize) -> Vec<(TransactionId, DeviceKey)> {
        self.deadlines.iter().take_while(|(due, ..)| *due <= at).take(limit).map(|(_, id, key)| (*id, *key)).collect()
    }

    /// Devices with something that may run, in turn: the next call goes on where this one stopped.
    pub(in crate::store) fn with_work(
        &self,
        at: Timestamp,
        limit: usize,
        is_active: impl Fn(DeviceKey) -> bool,
    ) -> Vec<DeviceKey> {
        let from = DeviceKey(self.cursor.load(Ordering::Relaxed));
        let keys: Vec<DeviceKey> = self
            .devices
            .range(from..)
            .chain(self.devices.range(..from))
            .filter(|(key, entries)| is_active(**key) && entries.iter().any(|entry| entry.may_run(at)))
            .map(|(key, _)| *key)
            .take(limit)
            .collect();
        self.cursor.store(keys.last().map_or(0, |last| last.0.saturating_add(1)), Ordering::Relaxed);
        keys
    }

    /// The live transactions behind this one, in the order of their numbers.
    pub(in crate::store) fn after(&self, after: Option<TransactionId>, limit: usize) -> Vec<TransactionId> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.created.range((from, Bound::Unbounded)).map(|(id, _)| *id).take(limit).collect()
    }

    /// How many live transactions there are.
    pub(in crate::store) fn depth(&self) -> u64 {
        u64::try_from(self.created.len()).unwrap_or(u64::MAX)
    }

    /// When the oldest live transaction was accepted.
    pub(in crate::store) fn oldest(&self) -> Option<Timestamp> {
        self.created.first_key_value().map(|(_, at)| *at)
    }
}
