//! What a device says of a transfer outside of the procedure: its Informs, and `TransferComplete`.

use crate::cwmp::message::Request;
use crate::cwmp::message::cpe::TransferComplete;
use crate::model::transaction::{Phase, Transaction};
use crate::model::transfer::{Restarted, TransferProgress, TransferReport, TransferState};
use crate::types::event::EventCode;
use crate::types::ident::TransactionId;
use crate::types::time::Timestamp;

use super::super::Ending;
use super::super::news::{News, Reaction};
use super::{Goal, clipped, command_key, keep, progress_of, verdict};

/// The device has Informed: it may have restarted, into new software or into none, or have been reset.
pub(in super::super) fn informed(transaction: &mut Transaction, news: &News<'_>) -> Reaction {
    let mut progress = progress_of(transaction);
    let boots = [EventCode::Boot, EventCode::Bootstrap];
    if !progress.is_underway() {
        return Reaction::Nothing;
    }
    let reset = news.has(EventCode::Bootstrap);
    // Then `TransferComplete` follows in this session, and says more.
    let transfer_over = [EventCode::TransferComplete, EventCode::MDownload, EventCode::MScheduleDownload]
        .into_iter()
        .any(|code| news.has(code));
    let is_success = progress.report.as_ref().is_some_and(|report| report.fault.is_none());
    let restarted = boots.into_iter().any(|code| news.has(code));
    let goal = Goal::of(transaction, &progress);
    if restarted && goal == Goal::Firmware {
        if is_success {
            return Reaction::end(verdict::came_back(&progress, news.software_version));
        }
        if !transfer_over && progress.is_shown_by(news.software_version) {
            return Reaction::end(verdict::seen());
        }
        progress.restarted = Some(Restarted { version: news.software_version.into(), transfer_over });
    } else if let Some(earlier) = &mut progress.restarted {
        // What is reported in this session is not of that restart.
        earlier.transfer_over = false;
    }
    // Whether a call arrived that was not answered, the device's queue will tell; one that it had confirmed is forgotten.
    if reset && !transfer_over && progress.state != TransferState::Sent && progress.report.is_none() {
        if goal != Goal::Upload {
            return Reaction::end(verdict::was_reset());
        }
        progress.reset = true;
        keep(transaction, progress);
        return Reaction::Resume;
    }
    // The session judges once the CPE has had its say: `TransferComplete` may come first.
    let waits = matches!(transaction.phase, Phase::Waiting { .. });
    let tells = progress.is_shown_by(news.software_version)
        || (restarted && verdict::is_another(&progress, news.software_version));
    if waits && goal == Goal::Firmware && tells {
        keep(transaction, progress);
        return Reaction::Resume;
    }
    noted(transaction, progress)
}

fn noted(transaction: &mut Transaction, progress: TransferProgress) -> Reaction {
    if progress_of(transaction) == progress {
        return Reaction::Nothing;
    }
    keep(transaction, progress);
    Reaction::Noted
}

/// The CPE has called. `others` is how many more transfers a `TransferComplete` without a useful key may be of.
pub(in super::super) fn called(
    transaction: &mut Transaction,
    request: &Request<'_>,
    others: usize,
    _at: Timestamp,
) -> Reaction {
    let Request::TransferComplete(complete) = request else { return Reaction::Nothing };
    let mut progress = progress_of(transaction);
    let is_success = complete.fault.code == 0;
    // Once an attempt is given up, only the success of a call that was sent says anything.
    let is_given_up = !progress.is_underway();
    if is_given_up && !is_success || !is_given_up && progress.report.is_some() {
        return Reaction::Nothing;
    }
    let is_ours = match relation(transaction, &progress, &complete.command_key) {
        Relation::This => progress.sends > 0,
        // The file is there, whichever call it was; that an older one failed says nothing of this one.
        Relation::Earlier => is_success,
        Relation::Unclear => others == 0 && !is_given_up,
        Relation::Other => false,
    };
    if !is_ours {
        return Reaction::Nothing;
    }
    if is_given_up {
        progress.state = TransferState::Accepted;
    }
    progress.report = Some(report_of(complete));
    // An answer to the call is not needed any more to know that it arrived.
    transaction.progress.in_flight = None;
    let goal = Goal::of(transaction, &progress);
    keep(transaction, progress);
    if is_success && goal == Goal::File {
        return Reaction::end(Ending::Completed { note: None });
    }
    if matches!(transaction.phase, Phase::Ready { .. }) {
        // There is nothing to back off from any more.
        transaction.resume();
    }
    Reaction::Resume
}

/// Whether a `TransferComplete` may be of this transaction: a transfer of it is underway, and its end is not known.
pub(in super::super) fn may_be_meant(transaction: &Transaction) -> bool {
    let progress = progress_of(transaction);
    progress.is_underway() && progress.report.is_none()
}

/// Whose CommandKey came back.
enum Relation {
    /// Of the last call.
    This,
    /// Of an earlier call of the same transaction.
    Earlier,
    /// Of another transaction.
    Other,
    /// None, or one that acsd never gave (quirk 27).
    Unclear,
}

fn relation(transaction: &Transaction, progress: &TransferProgress, key: &str) -> Relation {
    let key = key.trim();
    if key == command_key(transaction, progress.sends) {
        return Relation::This;
    }
    let parts = key.strip_prefix("acsd-").and_then(|rest| rest.split_once('-'));
    match parts.and_then(|(id, nth)| Some((id.parse().ok()?, nth.parse::<u32>().ok()?))) {
        Some((id, nth)) if TransactionId(id) == transaction.id && nth < progress.sends => Relation::Earlier,
        Some(_) => Relation::Other,
        None => Relation::Unclear,
    }
}

fn report_of(complete: &TransferComplete<'_>) -> TransferReport {
    let fault = (complete.fault.code != 0).then(|| verdict::fault_of(complete.fault.code, &complete.fault.message));
    TransferReport { fault, started: clipped(&complete.start_time), completed: clipped(&complete.complete_time) }
}

/// What is said when the device has not come back in time.
pub(in super::super) fn overdue(transaction: &Transaction) -> &'static str {
    let progress = progress_of(transaction);
    match progress.state {
        TransferState::Idle if progress.sends == 0 => {
            "the device did not come back in time to be told to make the file transfer"
        }
        TransferState::Applied => {
            "the device reported the transfer as complete, but did not come back with its new software in time"
        }
        TransferState::Idle | TransferState::Sent | TransferState::Accepted => {
            "the device did not come back in time to tell what became of the file transfer"
        }
    }
}
