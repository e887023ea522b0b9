//! All known transactions, 16 bytes each, in the order of their numbers.

use std::collections::VecDeque;

use crate::model::transaction::{Kind, Transaction, TransactionStatus};
use crate::store::Page;
use crate::types::ident::{DeviceKey, TransactionId};

/// One known transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Row {
    /// Its number.
    pub(in crate::store) id: TransactionId,
    /// Whose it is.
    pub(in crate::store) device: DeviceKey,
    /// Its kind.
    pub(in crate::store) kind: Kind,
    /// Where it stands.
    pub(in crate::store) status: TransactionStatus,
}

impl From<&Transaction> for Row {
    fn from(transaction: &Transaction) -> Self {
        Self { id: transaction.id, device: transaction.device, kind: transaction.kind, status: transaction.status }
    }
}

/// Counts and lists exactly by looking at every row: 1 ms for a million.
#[derive(Debug, Default)]
pub(in crate::store) struct Ledger {
    rows: VecDeque<Row>,
    ended: usize,
}

impl Ledger {
    /// Adds a row or brings it up to date.
    pub(in crate::store) fn put(&mut self, row: Row) {
        let at = self.position(row.id);
        match self.rows.get_mut(at).filter(|old| old.id == row.id) {
            Some(old) => {
                self.ended -= usize::from(old.status.is_final());
                *old = row;
            }
            None => self.rows.insert(at, row),
        }
        self.ended += usize::from(row.status.is_final());
    }

    /// One row.
    pub(in crate::store) fn get(&self, id: TransactionId) -> Option<Row> {
        self.rows.get(self.position(id)).copied().filter(|row| row.id == id)
    }

    /// Whether a transaction is known to have ended.
    pub(in crate::store) fn has_ended(&self, id: TransactionId) -> bool {
        self.get(id).is_some_and(|row| row.status.is_final())
    }

    /// The highest number known.
    pub(in crate::store) fn last(&self) -> Option<TransactionId> {
        self.rows.back().map(|row| row.id)
    }

    /// Takes out the oldest ended ones until at most `max` are left.
    pub(in crate::store) fn trim(&mut self, max: usize) -> Vec<TransactionId> {
        let mut trimmed = Vec::new();
        while self.ended > max {
            let Some(at) = self.rows.iter().position(|row| row.status.is_final()) else { break };
            trimmed.extend(self.rows.remove(at).map(|row| row.id));
            self.ended -= 1;
        }
        trimmed
    }

    /// Takes out what belongs to a device.
    pub(in crate::store) fn remove_device(&mut self, device: DeviceKey) {
        self.rows.retain(|row| row.device != device);
        self.ended = self.rows.iter().filter(|row| row.status.is_final()).count();
    }

    /// The numbers of all of a device's transactions.
    pub(in crate::store) fn of_device(&self, device: DeviceKey) -> Vec<TransactionId> {
        self.rows.iter().filter(|row| row.device == device).map(|row| row.id).collect()
    }

    /// One page, newest first, and the exact number of matches.
    pub(in crate::store) fn select(&self, page: Page, matches: impl Fn(&Row) -> bool) -> (Vec<TransactionId>, u64) {
        let mut ids = Vec::new();
        let mut count = 0_u64;
        let end = page.offset.saturating_add(u64::from(page.limit));
        for row in self.rows.iter().rev().filter(|row| matches(row)) {
            if (page.offset..end).contains(&count) {
                ids.push(row.id);
            }
            count += 1;
        }
        (ids, count)
    }

    fn position(&self, id: TransactionId) -> usize {
        // Nearly always the last, or a new one behind it.
        if self.rows.back().is_none_or(|last| last.id < id) {
            return self.rows.len();
        }
        self.rows.partition_point(|row| row.id < id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64, status: TransactionStatus) -> Row {
        Row { id: TransactionId(id), device: DeviceKey(1), kind: Kind::Headless, status }
    }

    #[test]
    fn rows_are_small() {
        assert_eq!(size_of::<Row>(), 16);
    }

    #[test]
    fn trimming_takes_the_oldest_that_ended_and_leaves_what_lives() {
        let mut ledger = Ledger::default();
        for id in [2, 1, 4, 3] {
            ledger.put(row(id, TransactionStatus::Scheduled));
        }
        for id in [2, 3, 4] {
            ledger.put(row(id, TransactionStatus::Completed));
        }
        ledger.put(row(4, TransactionStatus::Completed));
        assert_eq!(ledger.trim(1), [TransactionId(2), TransactionId(3)]);
        assert_eq!(ledger.trim(1), []);
        let (ids, count) = ledger.select(Page { offset: 0, limit: 1 }, |_| true);
        assert_eq!((ids.as_slice(), count), ([TransactionId(4)].as_slice(), 2));
        assert!(ledger.has_ended(TransactionId(4)) && ledger.get(TransactionId(2)).is_none());
    }
}
