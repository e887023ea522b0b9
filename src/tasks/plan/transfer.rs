//! `Download`, `ScheduleDownload` and `Upload`: file transfers, which the device makes by itself and reports when they are
//! over (TR-069 A.3.2.8, A.4.1.5, A.4.1.8).
//!
//! Before an `Upload` or a `ScheduleDownload` the device is asked which methods it has, unless that is remembered.
//!
//! Each call has a CommandKey of its own, by which its `TransferComplete` is known again. While the outcome of a call is
//! unknown, it is not repeated: the device is asked for the transfers it has queued, its software version and the files that
//! have come are looked at, and if all of that says nothing, it is waited for. One that has ignored the call is looked at again
//! in its next session.

mod order;
mod report;
mod verdict;

use std::borrow::Cow;

use crate::cwmp::fault::CpeFaultCode;
use crate::cwmp::message::acs::{Applied, TransferStarted};
use crate::cwmp::message::{Method, Request, Response};
use crate::cwmp::session::Answer;
use crate::model::procedure::{InFlight, Stage};
use crate::model::transaction::{Transaction, TransactionFault, WaitReason, Work};
use crate::model::transfer::{
    DownloadOrder, FileRef, TransferProgress, TransferReport, TransferState, is_same_version,
};
use crate::types::time::Timestamp;

use super::faults::{self, Trouble};
use super::methods::{self, Standing};
use super::{Context, Desk, Ending, Save, Step};

use order::{method_of, offer, request};

pub(super) use report::{called, informed, may_be_meant, overdue};
pub(super) use verdict::stored_all_the_same;

/// Longest URL of a `Download` or an `Upload`, in characters.
const URL_MAX_CHARS: usize = 256;
/// Longest text of the device's that is kept, in characters.
const TEXT_MAX_CHARS: usize = 64;

/// Faults with which devices refuse an upload whose file type they do not know.
const MAY_BE_THE_NAME: [u16; 2] = [9003, 9010];

/// The procedure.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    asked: Asked,
    /// Whether the device was told in this session: it is not told again in the same one.
    told: bool,
}

/// What the device was asked last.
#[derive(Debug, Default)]
enum Asked {
    #[default]
    Nothing,
    /// To make the transfer.
    Transfer,
    /// Which methods it has: whether it can be told at all.
    Ability,
    /// Which methods it has: whether it can be asked for its queue.
    Methods,
    /// Which transfers it has queued.
    Queue,
}

/// What is to come of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// The device has to run the image.
    Firmware,
    /// The device has to have the file.
    File,
    /// The file has to arrive here.
    Upload,
}

impl Goal {
    fn of(transaction: &Transaction, progress: &TransferProgress) -> Self {
        match &transaction.work {
            Work::Download(order) if is_firmware(order, &progress.version) => Self::Firmware,
            Work::Download(_) => Self::File,
            _ => Self::Upload,
        }
    }
}

/// Whether a device runs such an image once it has fetched it. Images of types that are none of the standard's do, if it is
/// known by which version they show.
fn is_firmware(order: &DownloadOrder, version: &str) -> bool {
    let number = order.file_type.split(' ').next().unwrap_or_default();
    match number.parse::<u32>() {
        Ok(number) => number == 1,
        Err(_) => matches!(order.file, FileRef::Image(_)) && !version.trim().is_empty(),
    }
}

/// How far it has come.
fn progress_of(transaction: &Transaction) -> TransferProgress {
    match transaction.progress.stage.as_deref() {
        Some(Stage::Transfer(progress)) => progress.clone(),
        Some(Stage::Test(_) | Stage::Discovery(_) | Stage::Call(_)) | None => TransferProgress::default(),
    }
}

fn keep(transaction: &mut Transaction, progress: TransferProgress) {
    transaction.progress.stage = Some(Box::new(Stage::Transfer(progress)));
}

/// The CommandKey of the `nth` call: at most 32 characters, unique for all time.
fn command_key(transaction: &Transaction, nth: u32) -> String {
    format!("acsd-{}-{nth}", transaction.id)
}

impl Transfer {
    pub(super) fn begin(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        let progress = progress_of(desk.transaction);
        if progress.is_underway() { self.resolve(desk, cx, progress) } else { self.start(desk, cx, progress) }
    }

    pub(super) fn answer(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, answer: &Answer<'_>) -> Step {
        let progress = progress_of(desk.transaction);
        match (std::mem::take(&mut self.asked), answer) {
            (Asked::Transfer, Answer::Response(Response::Download(started) | Response::Upload(started))) => {
                self.confirmed(desk, cx, progress, Some(started))
            }
            (Asked::Transfer, Answer::Response(Response::ScheduleDownload)) => self.confirmed(desk, cx, progress, None),
            (Asked::Transfer, Answer::Fault(fault)) => {
                let mut fault = verdict::fault_of(fault.code.0, &fault.message);
                if fault.code == CpeFaultCode::METHOD_NOT_SUPPORTED.0 {
                    fault = faults::named(method_of(desk.transaction).name(), fault);
                }
                self.refused(desk, cx, progress, fault)
            }
            // Unknown whether it makes the transfer (quirk 62), unless it has reported the end of it already.
            (Asked::Transfer, _) => self.resolve(desk, cx, progress),
            (Asked::Ability, answer) => {
                let method = method_of(desk.transaction);
                match methods::take_in(desk, cx, answer) {
                    Some(methods) if !methods.has(method) => faults::fail(methods::lacks(method)),
                    Some(_) | None => self.tell(desk, cx, progress),
                }
            }
            (Asked::Methods, Answer::Response(Response::GetRpcMethods(_))) => {
                methods::take_in(desk, cx, answer);
                self.ask_queue(desk, cx, progress)
            }
            (Asked::Queue, Answer::Response(Response::GetAllQueuedTransfers(list))) => {
                let is_download = !matches!(desk.transaction.work, Work::Upload(_));
                let same = list.transfers.iter().filter(|queued| queued.is_download == is_download);
                let keys = same.map(|queued| queued.command_key.as_ref()).collect::<Vec<_>>();
                self.queued(desk, cx, progress, &keys)
            }
            (Asked::Queue, Answer::Response(Response::GetQueuedTransfers(list))) => {
                let keys = list.transfers.iter().map(|queued| queued.command_key.as_ref()).collect::<Vec<_>>();
                self.queued(desk, cx, progress, &keys)
            }
            // It cannot or will not tell.
            (Asked::Methods | Asked::Queue, _) => verdict::unknown(desk, cx, progress),
            (Asked::Nothing, _) => faults::fail(faults::own("an answer came that nobody asked for")),
        }
    }

    /// Nothing is underway: the device is told to make the transfer.
    fn start(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, mut progress: TransferProgress) -> Step {
        let offer = match offer(desk, cx) {
            Ok(offer) => offer,
            Err(words) => return faults::fail(faults::own(words)),
        };
        progress.version.clone_from(&offer.version);
        let goal = Goal::of(desk.transaction, &progress);
        if goal == Goal::Firmware && is_same_version(cx.software_version, &offer.version) {
            let note = format!("the device runs software {} already", offer.version.trim());
            keep(desk.transaction, progress);
            return Step::End(Ending::Completed { note: Some(note) });
        }
        if let Some(file) = verdict::arrived(cx).filter(|_| goal == Goal::Upload && progress.sends > 0) {
            return verdict::stored_unreported(desk.transaction, progress, file);
        }
        if progress.sends >= cx.limits.attempts {
            let words = format!("the device was told {} times, and what became of it is unknown", progress.sends);
            return faults::fail(faults::own(words));
        }
        let chars = offer.url.chars().count();
        if chars > URL_MAX_CHARS {
            let words = format!("the address of the file has {chars} characters: devices take {URL_MAX_CHARS} at most");
            return faults::fail(faults::own(words));
        }
        match methods::standing(desk, cx, method_of(desk.transaction)) {
            Standing::Has => self.tell(desk, cx, progress),
            Standing::Lacks => faults::fail(methods::lacks(method_of(desk.transaction))),
            Standing::Unasked => {
                keep(desk.transaction, progress);
                // Should it vanish before it is told, others get their turn.
                desk.transaction.progress.deadline = Some(cx.now + (cx.limits.transfer + cx.limits.restart));
                self.asked = Asked::Ability;
                Step::Call { request: Request::GetRpcMethods, save: Save::Before }
            }
        }
    }

    /// Tells the device to make the transfer.
    fn tell(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, mut progress: TransferProgress) -> Step {
        let offer = match offer(desk, cx) {
            Ok(offer) => offer,
            Err(words) => return faults::fail(faults::own(words)),
        };
        progress.sends = progress.sends.saturating_add(1);
        let first_sent = *progress.first_sent.get_or_insert(cx.now);
        let command_key = Cow::Owned(command_key(desk.transaction, progress.sends));
        let Some((request, patience)) = request(desk.transaction, offer, command_key, cx.now.since(first_sent)) else {
            return faults::fail(faults::own("the time windows are over"));
        };
        let until = cx.now + (cx.limits.transfer + patience);
        progress.state = TransferState::Sent;
        progress.until = Some(until);
        progress.version_before = cx.software_version.into();
        (progress.restarted, progress.report, progress.reset) = (None, None, false);
        keep(desk.transaction, progress);
        desk.transaction.progress.in_flight = Some(InFlight::Transfer { at: cx.now });
        desk.transaction.progress.deadline = Some(until + cx.limits.restart);
        (self.asked, self.told) = (Asked::Transfer, true);
        Step::Call { request, save: Save::Before }
    }

    /// The device has confirmed the call; `started`: what it says of it, if such calls are answered with anything.
    fn confirmed(
        &mut self,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        mut progress: TransferProgress,
        started: Option<&TransferStarted<'_>>,
    ) -> Step {
        desk.transaction.progress.in_flight = None;
        progress.state = TransferState::Accepted;
        let mut is_in_use = false;
        if let Some(TransferStarted { status: Applied::Now, start_time, complete_time }) = started {
            is_in_use = true;
            progress.report.get_or_insert(TransferReport {
                fault: None,
                started: clipped(start_time),
                completed: clipped(complete_time),
            });
        }
        if is_in_use && Goal::of(desk.transaction, &progress) == Goal::Firmware && progress.version.trim().is_empty() {
            // There is no version by which it could be seen.
            let note = "the device says that it has applied the image".to_owned();
            keep(desk.transaction, progress);
            return Step::End(Ending::Completed { note: Some(note) });
        }
        self.resolve(desk, cx, progress)
    }

    /// The call was sent: what became of it?
    fn resolve(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, progress: TransferProgress) -> Step {
        let is_unknown = progress.state == TransferState::Sent && progress.report.is_none();
        if is_unknown && !verdict::is_shown(desk, cx, &progress) && !verdict::is_other(desk, cx, &progress) {
            if let Some(file) = verdict::arrived(cx).filter(|_| matches!(desk.transaction.work, Work::Upload(_))) {
                return verdict::stored_unreported(desk.transaction, progress, file);
            }
            return self.look(desk, cx, progress);
        }
        if let Some(TransferReport { fault: Some(fault), .. }) = &progress.report
            && !verdict::is_shown(desk, cx, &progress)
        {
            let fault = fault.clone();
            return self.refused(desk, cx, progress, fault);
        }
        verdict::of(desk, cx, progress)
    }

    /// The device has not made the transfer. A file that it may know by another name is asked for by that at once.
    fn refused(
        &mut self,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        mut progress: TransferProgress,
        fault: TransactionFault,
    ) -> Step {
        if let Work::Upload(order) = &mut desk.transaction.work
            && MAY_BE_THE_NAME.contains(&fault.code)
            && !order.alternatives.is_empty()
            && progress.sends < cx.limits.attempts
        {
            let names = u32::try_from(order.alternatives.len()).unwrap_or(u32::MAX).saturating_add(1);
            let next = order.alternatives.remove(0);
            order.alternatives.push(std::mem::replace(&mut order.file_type, next));
            // Once all of them have been tried, it was something else.
            if !progress.sends.is_multiple_of(names) {
                progress.state = TransferState::Idle;
                desk.transaction.fault = Some(fault);
                return self.start(desk, cx, progress);
            }
        }
        verdict::again(desk.transaction, cx, progress, Trouble::Fault(fault))
    }

    /// The outcome of the call is unknown: whether the device has it among its transfers says whether it arrived.
    fn look(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, progress: TransferProgress) -> Step {
        if methods::known(desk, cx).is_some() {
            return self.ask_queue(desk, cx, progress);
        }
        // Some agents do not survive a call they do not know (quirk 71).
        keep(desk.transaction, progress);
        self.asked = Asked::Methods;
        Step::Call { request: Request::GetRpcMethods, save: Save::NotNeeded }
    }

    fn ask_queue(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, progress: TransferProgress) -> Step {
        let has = |method| methods::known(desk, cx).is_some_and(|methods| methods.has(method));
        let request = if has(Method::GetAllQueuedTransfers) {
            Request::GetAllQueuedTransfers
        } else if has(Method::GetQueuedTransfers) {
            Request::GetQueuedTransfers
        } else {
            return verdict::unknown(desk, cx, progress);
        };
        keep(desk.transaction, progress);
        self.asked = Asked::Queue;
        Step::Call { request, save: Save::NotNeeded }
    }

    /// The keys of the transfers that the device has queued.
    fn queued(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, mut progress: TransferProgress, keys: &[&str]) -> Step {
        let ours = command_key(desk.transaction, progress.sends);
        // Some devices lose the keys: then one without a key is taken for ours.
        if keys.iter().any(|key| key.trim() == ours) || keys.iter().any(|key| key.trim().is_empty()) {
            desk.transaction.progress.in_flight = None;
            progress.state = TransferState::Accepted;
            return verdict::of(desk, cx, progress);
        }
        if self.told {
            return Self::look_later(desk, cx, progress);
        }
        if progress.restarted.is_some() && verdict::leaves_no_trace(desk.transaction, &progress) {
            return faults::fail(faults::own(verdict::UNKNOWN));
        }
        self.start(desk, cx, progress)
    }

    /// The device has not answered, though the session goes on (quirk 62), and has nothing queued yet. It is not told twice in
    /// one session: the next one looks again, and only what is not there then either is told anew. After the last attempt it is
    /// waited for as long as a transfer may take.
    fn look_later(desk: &mut Desk<'_>, cx: &Context<'_>, progress: TransferProgress) -> Step {
        if desk.transaction.attempts >= cx.limits.attempts {
            return verdict::unknown(desk, cx, progress);
        }
        keep(desk.transaction, progress);
        let words = "the device did not answer the call, and does not have the transfer in its queue";
        faults::react_unresolved(desk.transaction, cx, Trouble::NoAnswer(words))
    }
}

/// As the device sent it, but not endless.
fn clipped(text: &str) -> Box<str> {
    text.trim().chars().take(TEXT_MAX_CHARS).collect::<String>().into_boxed_str()
}

/// Waits for the device until `until`; what it has to say then is looked at for as long as a restart may take.
fn wait(
    transaction: &mut Transaction,
    cx: &Context<'_>,
    mut progress: TransferProgress,
    (reason, until): (WaitReason, Timestamp),
) -> Step {
    progress.until = Some(until);
    keep(transaction, progress);
    transaction.progress.deadline = Some(until + cx.limits.restart);
    Step::Wait { reason, until }
}
