//! The rules of a device's queue, without I/O: the same for every backend that keeps one document per device.

use serde::{Deserialize, Serialize};

use crate::model::transaction::{NewTransaction, Phase, Transaction, TransactionStatus, VariableResult};
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::Timestamp;

use super::{Merge, TransactionEdit};

/// What waits and what runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct QueueDocument {
    /// Not ended, in the order of their numbers.
    pub(super) live: Vec<Transaction>,
    /// What a change has just ended, for its caller to take: no part of the document as it is kept.
    #[serde(skip)]
    pub(super) ended: Option<Box<Transaction>>,
}

/// What became of a request to add work.
#[derive(Debug)]
pub(super) enum Enqueued {
    /// A new transaction.
    New(Transaction),
    /// The same work waits already.
    Merged(Transaction),
    /// The queue holds all it may.
    Full,
}

/// What became of a request to withdraw.
#[derive(Debug)]
pub(super) enum Canceled {
    /// Withdrawn.
    Done(Box<Transaction>),
    /// It has started.
    Started,
    /// It is not in this queue, so it has ended.
    NotLive,
}

/// From when on a live transaction may be claimed; `None`: not while it is as it is.
pub(super) fn runnable_from(transaction: &Transaction) -> Option<Timestamp> {
    match transaction.phase {
        Phase::Ready { not_before } => Some(not_before.unwrap_or(Timestamp(i64::MIN))),
        Phase::Running | Phase::Waiting { .. } | Phase::Ended => None,
    }
}

/// Until when a transaction may still be started; `None`: for ever, or it has been started.
pub(super) fn startable_until(transaction: &Transaction) -> Option<Timestamp> {
    match transaction.status {
        TransactionStatus::Scheduled => transaction.expires_at,
        TransactionStatus::InProgress
        | TransactionStatus::Completed
        | TransactionStatus::Failed
        | TransactionStatus::Expired
        | TransactionStatus::Canceled => None,
    }
}

/// When the expiry timer has to look at a live transaction.
pub(super) fn deadline(transaction: &Transaction) -> Option<Timestamp> {
    match transaction.phase {
        Phase::Waiting { until, .. } => Some(until),
        Phase::Ready { .. } if transaction.status == TransactionStatus::InProgress => transaction.progress.deadline,
        Phase::Ready { .. } => startable_until(transaction),
        Phase::Running | Phase::Ended => None,
    }
}

/// Whether a transaction may be handed to a session at `at`, its device being active.
pub(super) fn may_run(transaction: &Transaction, at: Timestamp) -> bool {
    runnable_from(transaction).is_some_and(|from| from <= at)
        && startable_until(transaction).is_none_or(|until| at < until)
}

impl QueueDocument {
    /// Adds work at the end; `next` is asked for a number only if it becomes a transaction of its own.
    pub(super) fn enqueue(
        &mut self,
        device: DeviceKey,
        new: NewTransaction,
        merge: Merge,
        at: Timestamp,
        limit: usize,
        next: impl FnOnce() -> TransactionId,
    ) -> Enqueued {
        if merge == Merge::SameUnstarted
            && let Some(same) = self.live.iter().find(|old| {
                old.status == TransactionStatus::Scheduled
                    && startable_until(old).is_none_or(|until| at < until)
                    && old.kind == new.kind
                    && old.work == new.work
            })
        {
            return Enqueued::Merged(same.clone());
        }
        if self.live.len() >= limit {
            return Enqueued::Full;
        }
        let transaction = Transaction {
            id: next(),
            device,
            kind: new.kind,
            work: new.work,
            status: TransactionStatus::Scheduled,
            phase: Phase::Ready { not_before: None },
            created_at: at,
            expires_at: new.expires_at,
            started_at: None,
            completed_at: None,
            attempts: 0,
            history: Vec::new(),
            fault: None,
            note: None,
            requested_by: new.requested_by,
            campaign: new.campaign,
            progress: crate::model::procedure::Progress::default(),
        };
        self.live.push(transaction.clone());
        Enqueued::New(transaction)
    }

    /// The oldest that may run, not among `skip`.
    pub(super) fn claimable(&self, skip: &[TransactionId], at: Timestamp) -> Option<&Transaction> {
        self.live.iter().find(|t| may_run(t, at) && !skip.contains(&t.id) && t.held_by(&self.live).is_none())
    }

    /// The oldest that may run, not among `skip`: started, or taken up again.
    pub(super) fn claim(&mut self, skip: &[TransactionId], at: Timestamp) -> Option<Transaction> {
        let id = self.claimable(skip, at)?.id;
        let found = self.live.iter_mut().find(|t| t.id == id)?;
        found.phase = Phase::Running;
        found.status = TransactionStatus::InProgress;
        found.started_at.get_or_insert(at);
        if !std::mem::take(&mut found.progress.resumed) {
            found.attempts = found.attempts.saturating_add(1);
        }
        Some(found.clone())
    }

    /// Replaces a live transaction; `false`: it is not live. One in a final status leaves the queue.
    pub(super) fn save(&mut self, transaction: &Transaction) -> bool {
        let Some(at) = self.position(transaction.id) else { return false };
        if transaction.status.is_final() {
            self.end(at, Transaction { phase: Phase::Ended, ..transaction.clone() });
        } else if let Some(slot) = self.live.get_mut(at) {
            *slot = transaction.clone();
        }
        true
    }

    /// Changes a live transaction as it is now; one that is in a final status then leaves the queue. `None`: it is not live.
    pub(super) fn amend(
        &mut self,
        id: TransactionId,
        edit: TransactionEdit<'_>,
    ) -> Option<(Transaction, Vec<VariableResult>)> {
        let at = self.position(id)?;
        let mut amended = self.live.get(at)?.clone();
        let results = edit(&mut amended);
        self.save(&amended);
        Some((amended, results))
    }

    /// Withdraws what has not started.
    pub(super) fn cancel(&mut self, id: TransactionId, now: Timestamp) -> Canceled {
        let Some((at, found)) = self.live.iter().enumerate().find(|(_, t)| t.id == id) else {
            return Canceled::NotLive;
        };
        if found.status != TransactionStatus::Scheduled {
            return Canceled::Started;
        }
        let ended = Transaction {
            status: TransactionStatus::Canceled,
            phase: Phase::Ended,
            completed_at: Some(now),
            ..found.clone()
        };
        self.end(at, ended.clone());
        Canceled::Done(Box::new(ended))
    }

    /// Takes the back-off from one transaction; `false`: it has none.
    pub(super) fn hasten(&mut self, id: TransactionId) -> bool {
        let Some(at) = self.position(id) else { return false };
        match self.live.get_mut(at) {
            Some(Transaction { phase: Phase::Ready { not_before }, .. }) => not_before.take().is_some(),
            Some(_) | None => false,
        }
    }

    /// Ends or wakes one transaction whose deadline has passed; `None` when there is nothing to do with it.
    pub(super) fn expire(&mut self, id: TransactionId, now: Timestamp) -> Option<Transaction> {
        let at = self.position(id)?;
        let found = self.live.get_mut(at)?;
        if deadline(found).is_none_or(|due| due > now) {
            return None;
        }
        if matches!(found.phase, Phase::Waiting { .. }) {
            found.resume();
            return Some(found.clone());
        }
        if found.status == TransactionStatus::InProgress {
            return Some(found.clone());
        }
        let ended = Transaction {
            status: TransactionStatus::Expired,
            phase: Phase::Ended,
            completed_at: Some(now),
            ..found.clone()
        };
        self.end(at, ended.clone());
        Some(ended)
    }

    /// Makes ready what a killed process left running; what it had in flight stays noted. `false`: nothing was running.
    pub(super) fn interrupt(&mut self, now: Timestamp) -> bool {
        let mut found = false;
        for transaction in self.live.iter_mut().filter(|t| t.phase == Phase::Running) {
            transaction.phase = Phase::Ready { not_before: None };
            transaction.note_attempt(now, "acsd restarted");
            found = true;
        }
        found
    }

    /// One transaction, if the document still has it.
    pub(super) fn get(&self, id: TransactionId) -> Option<&Transaction> {
        self.live.iter().find(|t| t.id == id)
    }

    fn position(&self, id: TransactionId) -> Option<usize> {
        self.live.iter().position(|t| t.id == id)
    }

    fn end(&mut self, at: usize, ended: Transaction) {
        self.live.remove(at);
        self.ended = Some(Box::new(ended));
    }
}
