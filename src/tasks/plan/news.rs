//! What a transaction that waits for its device makes of the news: Informs, calls of the CPE, and the clock.
//!
//! Everything here is asked of each live transaction of a device, as it is on record, outside of the session that carries
//! transactions out; the answer is booked in one step ([`crate::store::TransactionStore::amend`]).

use crate::cwmp::message::Request;
use crate::cwmp::message::inform::EventStruct;
use crate::model::call::Call;
use crate::model::file::StoredFileId;
use crate::model::transaction::{Phase, Transaction, TransactionFault, VariableResult, Work};
use crate::types::event::EventCode;
use crate::types::ident::TransactionId;
use crate::types::time::Timestamp;

use super::{Ending, Step, book, call, diagnose, faults, restart, transfer};

/// An Inform, as far as transactions care.
#[derive(Debug, Clone, Copy)]
pub struct News<'n> {
    /// When it came.
    pub at: Timestamp,
    /// What it reports.
    pub events: &'n [EventStruct<'n>],
    /// What the device runs now.
    pub software_version: &'n str,
}

impl News<'_> {
    /// Whether an event is among them.
    #[must_use]
    pub fn has(&self, code: EventCode) -> bool {
        self.events.iter().any(|event| event.code == code)
    }

    /// Whether an event with this CommandKey is among them.
    #[must_use]
    pub fn has_key(&self, code: EventCode, command_key: &str) -> bool {
        self.events.iter().any(|event| event.code == code && event.command_key.trim() == command_key)
    }

    /// Whether a transaction may be waiting for one of these events, or for the software that runs: an upgrade is seen by
    /// its version in any Inform. Looking at the queue of a device that has no work costs nothing.
    #[must_use]
    pub fn may_matter(&self) -> bool {
        let has_version = !self.software_version.trim().is_empty();
        has_version
            || self.events.iter().any(|event| {
                !matches!(
                    event.code,
                    EventCode::Periodic | EventCode::ConnectionRequest | EventCode::ValueChange | EventCode::Unknown
                )
            })
    }
}

/// What a transaction makes of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Reaction {
    /// It is none of its business.
    Nothing,
    /// It has noted something, and waits on.
    Noted,
    /// It has what it waited for, and goes on in the session that has just begun.
    Resume,
    /// It is over.
    End {
        /// How.
        ending: Ending,
        /// What came of it.
        results: Vec<VariableResult>,
    },
}

impl Reaction {
    /// Ends without results.
    pub(super) const fn end(ending: Ending) -> Self {
        Self::End { ending, results: Vec::new() }
    }

    /// Writes into the row what the reaction means for it; the results, where it has ended.
    fn booked(self, transaction: &mut Transaction, at: Timestamp) -> Vec<VariableResult> {
        match self {
            Self::Nothing | Self::Noted => Vec::new(),
            Self::Resume => {
                // One that a session carries out goes on there.
                if matches!(transaction.phase, Phase::Waiting { .. }) {
                    transaction.resume();
                }
                Vec::new()
            }
            Self::End { ending, results } => {
                book(transaction, &Step::End(ending), at);
                results
            }
        }
    }
}

/// Whether this is a test of which the device may report the end.
#[must_use]
pub fn is_outstanding_test(transaction: &Transaction) -> bool {
    matches!(transaction.work, Work::Diagnose(_)) && diagnose::is_outstanding(transaction)
}

/// The device has Informed. `others` is how many more tests of the device are outstanding: an event does not say which one it
/// is about.
pub fn informed(transaction: &mut Transaction, news: &News<'_>, others: usize) -> Vec<VariableResult> {
    let reaction = match &transaction.work {
        Work::Reboot | Work::FactoryReset => restart::informed(transaction, news),
        Work::Diagnose(_) => diagnose::informed(transaction, news, others),
        Work::Download(_) | Work::Upload(_) => transfer::informed(transaction, news),
        Work::Call(_) => call::informed(transaction, news),
        Work::Get { .. }
        | Work::Set { .. }
        | Work::AddObject { .. }
        | Work::DeleteObject { .. }
        | Work::Sync
        | Work::Reconfigure
        | Work::DeviceFactory
        | Work::Configure(_)
        | Work::Discover { .. } => Reaction::Nothing,
    };
    reaction.booked(transaction, news.at)
}

/// The CPE has called: `TransferComplete`, `DUStateChangeComplete`. `others` is how many more transactions of the device
/// may be meant by a call that does not say which (quirk 27).
pub fn called(
    transaction: &mut Transaction,
    request: &Request<'_>,
    others: usize,
    at: Timestamp,
) -> Vec<VariableResult> {
    let reaction = match &transaction.work {
        Work::Download(_) | Work::Upload(_) => transfer::called(transaction, request, others, at),
        Work::Call(_) => call::called(transaction, request, others, at),
        Work::Get { .. }
        | Work::Set { .. }
        | Work::AddObject { .. }
        | Work::DeleteObject { .. }
        | Work::Reboot
        | Work::FactoryReset
        | Work::Sync
        | Work::Reconfigure
        | Work::DeviceFactory
        | Work::Configure(_)
        | Work::Diagnose(_)
        | Work::Discover { .. } => Reaction::Nothing,
    };
    reaction.booked(transaction, at)
}

/// Its transfer was taken out of the device's queue, by the transaction `by`: the device will not report its end.
pub fn withdrawn(transaction: &mut Transaction, by: TransactionId, at: Timestamp) -> Vec<VariableResult> {
    let is_transfer = matches!(transaction.work, Work::Download(_) | Work::Upload(_));
    if is_transfer && matches!(transaction.phase, Phase::Waiting { .. } | Phase::Ready { .. }) {
        let fault = faults::own(format!("taken out of the device's queue by transaction {by}"));
        return Reaction::end(Ending::Failed(fault)).booked(transaction, at);
    }
    Vec::new()
}

/// Whether a call of the CPE may be about this transaction, when it does not say which it is about (quirk 27).
#[must_use]
pub fn may_be_meant(transaction: &Transaction, request: &Request<'_>) -> bool {
    match (&transaction.work, request) {
        (Work::Download(_) | Work::Upload(_), Request::TransferComplete(_)) => transfer::may_be_meant(transaction),
        (Work::Call(call), Request::DuStateChangeComplete(_)) => {
            transaction.progress.stage.is_some() && matches!(**call, Call::ChangeDuState { .. })
        }
        _ => false,
    }
}

/// How an upload ends whose device never came back to report it, though its file is here.
#[must_use]
pub fn stored_all_the_same(transaction: &mut Transaction, file: StoredFileId) -> Ending {
    transfer::stored_all_the_same(transaction, file)
}

/// What it has waited for did not come in time, or it is past its deadline. Resumed already where it waited; the fault, where
/// it is over.
#[must_use]
pub fn overdue(transaction: &Transaction, at: Timestamp) -> Option<TransactionFault> {
    let past_deadline = transaction.progress.deadline.is_some_and(|deadline| deadline <= at);
    let words = match &transaction.work {
        Work::FactoryReset => "the device did not report 0 BOOTSTRAP after the factory reset in time",
        Work::Reboot => "the device did not come back from the reboot in time",
        Work::Diagnose(_) if past_deadline => return Some(faults::own(diagnose::overdue(transaction))),
        Work::Download(_) | Work::Upload(_) if past_deadline => transfer::overdue(transaction),
        Work::Call(call) if past_deadline => call::overdue(call),
        _ => return None,
    };
    Some(faults::own(words))
}
