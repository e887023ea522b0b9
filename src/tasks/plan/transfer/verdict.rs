//! What has become of a transfer, from all that is known of it.

use crate::model::file::StoredFileId;
use crate::model::transaction::{Transaction, TransactionFault, WaitReason, Work};
use crate::model::transfer::{TransferProgress, TransferReport, TransferState};

use super::super::faults::{self, Trouble};
use super::super::{Context, Desk, Ending, Step, Wanted};
use super::{Goal, keep, progress_of, wait};
use crate::cwmp::fault::CpeFaultCode;

/// Said where a device may have taken an image that shows in nothing.
pub(super) const UNKNOWN: &str =
    "the device never said what became of the transfer, and the image has no version by which it could be seen";
const WAS_RESET: &str = "the device was reset to factory defaults before it reported the end of the transfer";
const NOT_REPORTED: &str = "the device took the order, but has not reported the end of the transfer in time";
const NO_TRANSFER_COMPLETE: &str = "seen by the software version: the device sent no TransferComplete";

/// Not completed within the time windows: they count from the call, so that another call would move them.
const WINDOWS_MISSED: u16 = 9020;

/// The verdict, unless it is to be waited for. The device has confirmed the call, or reported its end.
pub(super) fn of(desk: &mut Desk<'_>, cx: &Context<'_>, progress: TransferProgress) -> Step {
    let goal = Goal::of(desk.transaction, &progress);
    let until = progress.until.unwrap_or(cx.now);
    if is_shown(desk, cx, &progress) {
        let note = progress.report.is_none().then(|| NO_TRANSFER_COMPLETE.to_owned());
        return completed(desk.transaction, progress, note);
    }
    if progress.report.as_ref().is_none_or(|report| report.fault.is_none()) && is_other(desk, cx, &progress) {
        let words = other_software(&progress, cx.software_version);
        return failed(desk.transaction, progress, words);
    }
    match (progress.report.clone(), goal) {
        (Some(TransferReport { fault: Some(fault), .. }), _) => {
            again(desk.transaction, cx, progress, Trouble::Fault(fault))
        }
        (Some(_), Goal::File) => completed(desk.transaction, progress, None),
        (Some(_), Goal::Upload) => match arrived(cx) {
            Some(file) => stored(desk.transaction, progress, file, None),
            None => failed(desk.transaction, progress, "the device reported the upload as complete, but no file came"),
        },
        (Some(_), Goal::Firmware) => applied(desk, cx, progress),
        (None, Goal::Upload) if progress.reset || cx.now >= until => match arrived(cx) {
            Some(file) => stored_unreported(desk.transaction, progress, file),
            None if progress.reset => failed(desk.transaction, progress, WAS_RESET),
            None => failed(desk.transaction, progress, NOT_REPORTED),
        },
        (None, _) if progress.reset => failed(desk.transaction, progress, WAS_RESET),
        (None, Goal::Firmware) if cx.now >= until => {
            let words = format!("{NOT_REPORTED}, and runs software {}", cx.software_version);
            failed(desk.transaction, progress, words)
        }
        (None, _) if cx.now >= until => failed(desk.transaction, progress, NOT_REPORTED),
        (None, _) => wait(desk.transaction, cx, progress, (WaitReason::Transfer, until)),
    }
}

/// The device says that it has the image: does it come back with it?
fn applied(desk: &mut Desk<'_>, cx: &Context<'_>, mut progress: TransferProgress) -> Step {
    if progress.restarted.as_ref().is_some_and(|restarted| restarted.transfer_over) {
        return match came_back(&progress, cx.software_version) {
            Ending::Completed { note } => completed(desk.transaction, progress, note),
            Ending::Failed(fault) => failed(desk.transaction, progress, fault.message),
        };
    }
    if progress.state != TransferState::Applied {
        progress.state = TransferState::Applied;
        progress.until = Some(cx.now + cx.limits.restart);
    }
    match progress.until {
        Some(until) if cx.now < until => wait(desk.transaction, cx, progress, (WaitReason::NewSoftware, until)),
        _ => {
            let words = match &progress.restarted {
                Some(_) => other_software(&progress, cx.software_version),
                None => not_restarted(&progress, cx.software_version),
            };
            failed(desk.transaction, progress, words)
        }
    }
}

/// The device, which has said that it has the image, has restarted, and runs this version.
pub(super) fn came_back(progress: &TransferProgress, running: &str) -> Ending {
    if progress.is_shown_by(running) {
        Ending::Completed { note: None }
    } else if progress.version.trim().is_empty() {
        let note = "the device has restarted after the transfer; its software version is the same as before".to_owned();
        Ending::Completed { note: Some(note) }
    } else {
        Ending::Failed(faults::own(other_software(progress, running)))
    }
}

/// The device runs the image without ever having reported the transfer.
pub(super) fn seen() -> Ending {
    Ending::Completed { note: Some(NO_TRANSFER_COMPLETE.to_owned()) }
}

/// The device was reset while a transfer was underway.
pub(super) fn was_reset() -> Ending {
    Ending::Failed(faults::own(WAS_RESET))
}

fn other_software(progress: &TransferProgress, running: &str) -> String {
    let (running, wanted) = (running.trim(), progress.version.trim());
    format!("the device came back with software {running} instead of {wanted}")
}

fn not_restarted(progress: &TransferProgress, running: &str) -> String {
    let wanted = match progress.version.trim() {
        "" => "its new software".to_owned(),
        version => format!("software {version}"),
    };
    format!(
        "the device reported the transfer as complete, but did not come back with {wanted} in time: it runs {}",
        running.trim()
    )
}

/// Whether the outcome of the call cannot be told by looking at the device.
pub(super) fn leaves_no_trace(transaction: &Transaction, progress: &TransferProgress) -> bool {
    Goal::of(transaction, progress) == Goal::Firmware && progress.version.trim().is_empty()
}

/// Whether the device runs the image.
pub(super) fn is_shown(desk: &Desk<'_>, cx: &Context<'_>, progress: &TransferProgress) -> bool {
    Goal::of(desk.transaction, progress) == Goal::Firmware && progress.is_shown_by(cx.software_version)
}

/// Whether the device has restarted into software that is neither the one before nor the one wanted.
pub(super) fn is_other(desk: &Desk<'_>, cx: &Context<'_>, progress: &TransferProgress) -> bool {
    Goal::of(desk.transaction, progress) == Goal::Firmware
        && progress.restarted.is_some()
        && is_another(progress, cx.software_version)
}

/// Whether a device that runs this version has got neither what it had before nor what it was to have.
pub(super) fn is_another(progress: &TransferProgress, running: &str) -> bool {
    let (running, before) = (running.trim(), progress.version_before.trim());
    let are_known = ![running, before, progress.version.trim()].contains(&"");
    are_known && running != before && !progress.is_shown_by(running)
}

/// The device does not say whether it has the order: its report is waited for. Without one, it never had it.
pub(super) fn unknown(desk: &mut Desk<'_>, cx: &Context<'_>, progress: TransferProgress) -> Step {
    let until = progress.until.unwrap_or(cx.now);
    if cx.now < until && !progress.reset {
        return wait(desk.transaction, cx, progress, (WaitReason::Transfer, until));
    }
    if leaves_no_trace(desk.transaction, &progress) {
        return failed(desk.transaction, progress, UNKNOWN);
    }
    if let Some(file) = arrived(cx).filter(|_| matches!(desk.transaction.work, Work::Upload(_))) {
        return stored_unreported(desk.transaction, progress, file);
    }
    let trouble = Trouble::NoAnswer("the device did not answer the call, and has not reported a transfer since");
    again(desk.transaction, cx, progress, trouble)
}

/// The transfer is over without success: it is tried again, or fails, as the fault's remedy says (cwmp.md §6.1).
pub(super) fn again(
    transaction: &mut Transaction,
    cx: &Context<'_>,
    mut progress: TransferProgress,
    trouble: Trouble,
) -> Step {
    progress.state = TransferState::Idle;
    progress.until = None;
    keep(transaction, progress);
    transaction.progress.deadline = None;
    transaction.progress.in_flight = None;
    match trouble {
        Trouble::Fault(fault) if fault.code == WINDOWS_MISSED => faults::fail(fault),
        trouble => faults::react(transaction, cx, trouble),
    }
}

/// A fault of a transfer: the standard's words, which are better than most devices', and the device's.
pub(super) fn fault_of(code: u16, message: &str) -> TransactionFault {
    let meaning = CpeFaultCode(code).meaning();
    let theirs: String = message.trim().chars().take(256).collect();
    let message = if theirs.is_empty() || theirs.eq_ignore_ascii_case(meaning) {
        meaning.to_owned()
    } else {
        format!("{meaning} (the device says: {theirs})")
    };
    TransactionFault { code, message }
}

/// How an upload ends whose device never came back to report it, though its file is here.
pub(in super::super) fn stored_all_the_same(transaction: &mut Transaction, file: StoredFileId) -> Ending {
    let progress = progress_of(transaction);
    keep(transaction, TransferProgress { stored: Some(file), ..progress });
    Ending::Completed { note: Some(words_of(file, Some("the device did not come back to report the end of it"))) }
}

/// The file that an upload has brought.
pub(super) fn arrived(cx: &Context<'_>) -> Option<StoredFileId> {
    match cx.wanted {
        Some(Wanted::Transfer(offer)) => offer.arrived,
        _ => None,
    }
}

/// The file is here, though the device has said nothing of it.
pub(super) fn stored_unreported(transaction: &mut Transaction, progress: TransferProgress, file: StoredFileId) -> Step {
    stored(transaction, progress, file, Some("the device did not report the end of it"))
}

fn stored(
    transaction: &mut Transaction,
    mut progress: TransferProgress,
    file: StoredFileId,
    remark: Option<&str>,
) -> Step {
    progress.stored = Some(file);
    completed(transaction, progress, Some(words_of(file, remark)))
}

fn words_of(file: StoredFileId, remark: Option<&str>) -> String {
    let StoredFileId(id) = file;
    remark.map_or_else(|| format!("stored as file {id}"), |remark| format!("stored as file {id}; {remark}"))
}

fn completed(transaction: &mut Transaction, progress: TransferProgress, note: Option<String>) -> Step {
    keep(transaction, progress);
    Step::End(Ending::Completed { note })
}

fn failed(transaction: &mut Transaction, progress: TransferProgress, words: impl Into<String>) -> Step {
    keep(transaction, progress);
    faults::fail(faults::own(words))
}
