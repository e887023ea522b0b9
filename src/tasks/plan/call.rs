//! One call of CWMP, as an operator ordered it.
//!
//! Before a call that not every CPE has to serve, the device is asked which methods it has, unless that is remembered: some
//! agents exit on a method that they do not know (quirk 71). What a call changes shows in different places, and that is
//! where the outcome is looked for when its answer never came: attributes are read back, a scheduled Inform and the end of a
//! deployment are waited for, the queue of transfers is read. Vouchers cannot be looked at: then the outcome stays unknown.

mod answers;
mod attributes;
mod units;

use std::borrow::Cow;
use std::time::Duration;

use crate::cwmp::fault::{CpeFaultCode, Remedy};
use crate::cwmp::message::acs::{CancelTransfer, GetOptions, GetParameterNames, ScheduleInform, SetVouchers};
use crate::cwmp::message::{Method, Request, Response};
use crate::cwmp::session::Answer;
use crate::model::call::{Call, TransferRef};
use crate::model::procedure::{CallProgress, InFlight, Stage as Saved};
use crate::model::transaction::{Phase, Transaction, WaitReason, Work};
use crate::types::event::EventCode;
use crate::types::ident::TransactionId;
use crate::types::time::Timestamp;

use self::attributes::{Getter, Setter};
use super::faults::{self, Trouble};
use super::methods::{self, Standing};
use super::news::{News, Reaction};
use super::{Attributes, Context, Desk, Ending, Save, Step};

/// How much too early a scheduled Inform may come by the device's clock, in percent.
const EARLY_PERCENT: u32 = 20;

/// The procedure.
#[derive(Debug, Default)]
pub(super) struct Single {
    stage: Stage,
    /// Whether the call went out in this session: it is not repeated in the same one.
    called: bool,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Start,
    /// The device is asked for its methods.
    Methods,
    /// The call is out.
    Called,
    /// Whether a transfer was cancelled is looked for in the device's queue.
    Queue,
    /// Attributes are read.
    Get(Getter),
    /// Attributes are set.
    Set(Box<Setter>),
}

impl Single {
    pub(super) fn begin(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        let Some(call) = ordered(desk.transaction) else {
            return faults::fail(faults::own("the transaction is no call"));
        };
        let about_attributes =
            matches!(call, Call::GetParameterAttributes { .. } | Call::SetParameterAttributes { .. });
        if about_attributes && cx.attributes == Attributes::Never {
            let words = "the device's type says that it must not be asked for notification attributes (no_attributes)";
            return faults::fail(faults::own(words));
        }
        if let Some(InFlight::Call { at: sent }) = desk.transaction.progress.in_flight {
            return self.look_into(desk, cx, &call, sent);
        }
        match methods::standing(desk, cx, call.rpc()) {
            _ if call == Call::GetRpcMethods => self.send(desk, cx, &call),
            Standing::Has => self.send(desk, cx, &call),
            Standing::Lacks => faults::fail(methods::lacks(call.rpc())),
            Standing::Unasked => {
                self.stage = Stage::Methods;
                Step::Call { request: Request::GetRpcMethods, save: Save::NotNeeded }
            }
        }
    }

    pub(super) fn answer(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, answer: &Answer<'_>) -> Step {
        let Some(call) = ordered(desk.transaction) else {
            return faults::fail(faults::own("the transaction is no call"));
        };
        match std::mem::take(&mut self.stage) {
            Stage::Start => faults::fail(faults::own("an answer came that nobody asked for")),
            Stage::Methods => match methods::take_in(desk, cx, answer) {
                Some(methods) if !methods.has(call.rpc()) => faults::fail(methods::lacks(call.rpc())),
                Some(_) | None => self.send(desk, cx, &call),
            },
            Stage::Called => self.answered(desk, cx, &call, answer),
            Stage::Queue => self.queue_read(desk, cx, &call, answer),
            Stage::Get(getter) => self.got(desk, cx, getter, answer),
            Stage::Set(setter) => self.set(desk, cx, setter, answer),
        }
    }

    /// Sends the call itself.
    fn send(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, call: &Call) -> Step {
        self.called = true;
        let command_key = || Cow::Owned(command_key(desk.transaction.id));
        let request = match call {
            Call::GetRpcMethods => Request::GetRpcMethods,
            Call::GetParameterNames { path } => {
                let path = Cow::Owned(path.as_str().to_owned());
                Request::GetParameterNames(GetParameterNames { path, next_level: true })
            }
            Call::GetParameterAttributes { names } => {
                return self.get_next(desk, cx, Getter::new(names.iter().cloned().zip(0..), cx.limits.batch));
            }
            Call::SetParameterAttributes { changes } => {
                return self.set_next(desk, cx, Box::new(Setter::new(changes, cx.limits.batch)));
            }
            Call::ScheduleInform { delay_secs } => {
                let delay_secs = *delay_secs;
                Request::ScheduleInform(ScheduleInform { delay_secs, command_key: command_key() })
            }
            Call::GetQueuedTransfers => Request::GetQueuedTransfers,
            Call::GetAllQueuedTransfers => Request::GetAllQueuedTransfers,
            Call::CancelTransfer { transfer } => return self.cancel(desk, cx, transfer),
            Call::ChangeDuState { operations } => {
                Request::ChangeDuState(units::request(operations, &desk.clear.passwords, command_key()))
            }
            Call::SetVouchers { .. } => {
                let vouchers = desk.clear.vouchers.iter().cloned().map(Cow::Owned).collect();
                Request::SetVouchers(SetVouchers { vouchers })
            }
            Call::GetOptions { name } => Request::GetOptions(GetOptions { option_name: Cow::Owned(name.clone()) }),
        };
        self.stage = Stage::Called;
        if call.only_reads() {
            return Step::Call { request, save: Save::NotNeeded };
        }
        let progress = &mut desk.transaction.progress;
        progress.in_flight = Some(InFlight::Call { at: cx.now });
        progress.stage = Some(Box::new(Saved::Call(CallProgress::default())));
        if matches!(call, Call::ChangeDuState { .. }) {
            // Never ordered again: when the device does not come back, that is the end of it.
            progress.deadline = Some(cx.now + cx.limits.transfer);
        }
        Step::Call { request, save: Save::Before }
    }

    /// The answer to the call itself.
    fn answered(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, call: &Call, answer: &Answer<'_>) -> Step {
        if let Answer::Fault(fault) = answer {
            (desk.transaction.progress.stage, desk.transaction.progress.deadline) = (None, None);
            let whole = faults::fault_of(fault);
            // Asking again does not make a transfer one that can be cancelled.
            let is_final = matches!(call, Call::CancelTransfer { .. }) && fault.code.0 == 9021;
            return if is_final {
                faults::fail(whole)
            } else {
                faults::react(desk.transaction, cx, Trouble::Fault(whole))
            };
        }
        match (call, answer) {
            (Call::ScheduleInform { .. } | Call::ChangeDuState { .. }, Answer::Response(response))
                if response.method() == call.rpc() =>
            {
                let confirmed = CallProgress { confirmed_at: Some(cx.now) };
                desk.transaction.progress.stage = Some(Box::new(Saved::Call(confirmed)));
                wait(desk.transaction, cx, call, cx.now)
            }
            // Whether it arrived will show.
            (Call::ScheduleInform { .. } | Call::ChangeDuState { .. }, _) => wait(desk.transaction, cx, call, cx.now),
            (Call::CancelTransfer { .. }, Answer::Response(Response::CancelTransfer))
            | (Call::SetVouchers { .. }, Answer::Response(Response::SetVouchers)) => faults::complete(),
            (Call::CancelTransfer { .. }, _) => self.look_into(desk, cx, call, cx.now),
            (Call::SetVouchers { .. }, _) => faults::fail(faults::own(VOUCHERS_UNKNOWN)),
            (_, Answer::Response(response)) => match answers::take_in(call, response, desk, cx) {
                Some(step) => step,
                None => faults::react(desk.transaction, cx, Trouble::of(answer)),
            },
            _ => faults::react(desk.transaction, cx, Trouble::of(answer)),
        }
    }

    /// The call went out, and its answer never came.
    fn look_into(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, call: &Call, sent: Timestamp) -> Step {
        match call {
            Call::SetParameterAttributes { changes } => {
                let mut setter = Box::new(Setter::new(changes, cx.limits.batch));
                setter.read_back(changes, cx.limits.batch);
                self.set_next(desk, cx, setter)
            }
            Call::ScheduleInform { delay_secs } => {
                if cx.now < informed_by(sent, *delay_secs, cx) {
                    return wait(desk.transaction, cx, call, sent);
                }
                // It would have come by now: the call never arrived.
                self.send(desk, cx, call)
            }
            Call::ChangeDuState { .. } => wait(desk.transaction, cx, call, sent),
            Call::CancelTransfer { .. } => match read_queue(desk, cx) {
                Some(request) => {
                    self.stage = Stage::Queue;
                    Step::Call { request, save: Save::NotNeeded }
                }
                None if self.called => {
                    let words = "the device did not answer the call";
                    faults::react_unresolved(desk.transaction, cx, Trouble::NoAnswer(words))
                }
                // To cancel what is not there any more is no fault (TR-069 A.4.1.9).
                None => self.send(desk, cx, call),
            },
            Call::SetVouchers { .. } => faults::fail(faults::own(VOUCHERS_UNKNOWN)),
            Call::GetRpcMethods
            | Call::GetParameterNames { .. }
            | Call::GetParameterAttributes { .. }
            | Call::GetQueuedTransfers
            | Call::GetAllQueuedTransfers
            | Call::GetOptions { .. } => self.send(desk, cx, call),
        }
    }

    /// Cancels a transfer. Which key it has, the device's queue says, where acsd knows only who ordered it.
    fn cancel(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, transfer: &TransferRef) -> Step {
        let unsent = desk.transaction.progress.in_flight.is_none();
        match (transfer, read_queue(desk, cx)) {
            (TransferRef::Transaction(_), Some(request)) if unsent => {
                // Nothing has been sent so far.
                self.called = false;
                self.stage = Stage::Queue;
                Step::Call { request, save: Save::NotNeeded }
            }
            (TransferRef::Transaction(id), _) => self.cancel_key(desk, cx, format!("{}-1", command_key(*id))),
            (TransferRef::Key(key), _) => self.cancel_key(desk, cx, key.clone()),
        }
    }

    fn cancel_key(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, command_key: String) -> Step {
        self.called = true;
        self.stage = Stage::Called;
        desk.transaction.progress.in_flight = Some(InFlight::Call { at: cx.now });
        let command_key = Cow::Owned(command_key);
        Step::Call { request: Request::CancelTransfer(CancelTransfer { command_key }), save: Save::Before }
    }

    /// The device's queue of transfers: which of them is meant, or whether it was cancelled.
    fn queue_read(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, call: &Call, answer: &Answer<'_>) -> Step {
        let Call::CancelTransfer { transfer } = call else {
            return faults::fail(faults::own("the transaction is no CancelTransfer"));
        };
        let keys: Vec<&str> = match answer {
            Answer::Response(Response::GetAllQueuedTransfers(queue)) => {
                queue.transfers.iter().map(|queued| &*queued.command_key).collect()
            }
            Answer::Response(Response::GetQueuedTransfers(queue)) => {
                queue.transfers.iter().map(|queued| &*queued.command_key).collect()
            }
            _ => return faults::react_unresolved(desk.transaction, cx, Trouble::of(answer)),
        };
        let was_sent = desk.transaction.progress.in_flight.is_some();
        match keys.into_iter().find(|key| transfer.is_of(key)) {
            Some(_) if self.called => {
                let words = "the device did not answer the call, and still has the transfer in its queue";
                faults::react(desk.transaction, cx, Trouble::NoAnswer(words))
            }
            Some(key) => self.cancel_key(desk, cx, key.trim().to_owned()),
            None if was_sent => {
                Step::End(Ending::Completed { note: Some("the device's queue does not have it any more".to_owned()) })
            }
            None => faults::fail(faults::own("the device's queue does not have the transfer")),
        }
    }

    fn get_next(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, mut getter: Getter) -> Step {
        if let Some(request) = getter.next_call() {
            self.stage = Stage::Get(getter);
            return Step::Call { request, save: Save::NotNeeded };
        }
        attributes::finish_reading(getter, desk, cx)
    }

    fn got(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, mut getter: Getter, answer: &Answer<'_>) -> Step {
        match getter.take_in(answer, desk.learned) {
            Ok(()) => self.get_next(desk, cx, getter),
            Err(trouble) => faults::react(desk.transaction, cx, trouble),
        }
    }

    fn set_next(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, mut setter: Box<Setter>) -> Step {
        let Some((request, save)) = setter.next_call() else { return setter.finish(desk, cx) };
        if save == Save::Before {
            desk.transaction.progress.in_flight = Some(InFlight::Call { at: cx.now });
        }
        self.stage = Stage::Set(setter);
        Step::Call { request, save }
    }

    fn set(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, mut setter: Box<Setter>, answer: &Answer<'_>) -> Step {
        match setter.take_in(answer, desk.learned) {
            Ok(()) => self.set_next(desk, cx, setter),
            Err(trouble) if setter.is_unresolved() => faults::react_unresolved(desk.transaction, cx, trouble),
            Err(trouble) => faults::react(desk.transaction, cx, trouble),
        }
    }
}

/// What is said when nobody can know.
const VOUCHERS_UNKNOWN: &str =
    "the device did not answer SetVouchers: whether it took the vouchers is unknown, and they are not sent again";

/// What was ordered.
fn ordered(transaction: &Transaction) -> Option<Call> {
    match &transaction.work {
        Work::Call(call) => Some(Call::clone(call)),
        _ => None,
    }
}

/// The call that brings the device's queue of transfers; `None`: it is not known to have one.
fn read_queue(desk: &Desk<'_>, cx: &Context<'_>) -> Option<Request<'static>> {
    let methods = methods::known(desk, cx)?;
    if methods.has(Method::GetAllQueuedTransfers) {
        Some(Request::GetAllQueuedTransfers)
    } else {
        methods.has(Method::GetQueuedTransfers).then_some(Request::GetQueuedTransfers)
    }
}

/// At most 32 characters, unique for all time.
fn command_key(id: TransactionId) -> String {
    format!("acsd-{id}")
}

/// Until when an Inform has to come that was asked for then.
fn informed_by(sent: Timestamp, delay_secs: u32, cx: &Context<'_>) -> Timestamp {
    sent + Duration::from_secs(delay_secs.into()) + cx.limits.restart
}

/// Waits for what the call brings about. One that the device has confirmed is over when that does not come.
fn wait(transaction: &mut Transaction, cx: &Context<'_>, call: &Call, sent: Timestamp) -> Step {
    let confirmed =
        matches!(transaction.progress.stage.as_deref(), Some(Saved::Call(CallProgress { confirmed_at: Some(_) })));
    let (reason, until, is_last) = match call {
        Call::ScheduleInform { delay_secs } => {
            (WaitReason::ScheduledInform, informed_by(sent, *delay_secs, cx), confirmed)
        }
        // A change of units is never ordered again.
        _ => (WaitReason::DuStateChange, sent + cx.limits.transfer, true),
    };
    if is_last {
        transaction.progress.deadline = Some(until);
    }
    Step::Wait { reason, until }
}

/// What the call fails with when its effect did not show in time.
pub(super) const fn overdue(call: &Call) -> &'static str {
    match call {
        Call::ScheduleInform { .. } => "the device did not Inform as it was scheduled to",
        Call::ChangeDuState { .. } => {
            "the device did not report the change of its deployment units in time: what became of it is unknown"
        }
        _ => "the device did not come back in time to confirm the call",
    }
}

/// The device has Informed: a scheduled Inform is recognised by its key. A device that sends none is believed when the
/// time has come and no other key stands there.
pub(super) fn informed(transaction: &Transaction, news: &News<'_>) -> Reaction {
    let (Work::Call(call), Some(InFlight::Call { at: sent })) = (&transaction.work, &transaction.progress.in_flight)
    else {
        return Reaction::Nothing;
    };
    let Call::ScheduleInform { delay_secs } = **call else { return Reaction::Nothing };
    if news.has_key(EventCode::MScheduleInform, &command_key(transaction.id)) {
        return Reaction::end(Ending::Completed { note: None });
    }
    let keyed = |key: &str| !key.trim().is_empty();
    let others = news.events.iter().any(|event| event.code == EventCode::MScheduleInform && keyed(&event.command_key));
    let due = *sent + Duration::from_secs((delay_secs - delay_secs / 100 * EARLY_PERCENT).into());
    let awaited = matches!(transaction.phase, Phase::Waiting { .. }) && news.at >= due;
    let scheduled = news.has(EventCode::Scheduled) || news.has(EventCode::MScheduleInform);
    if awaited && scheduled && !others {
        let note = Some("seen by an Inform that was scheduled; the device does not say which".to_owned());
        return Reaction::end(Ending::Completed { note });
    }
    Reaction::Nothing
}

/// The CPE has called: the end of a change of deployment units is recognised by its key. An empty one is believed when
/// there is one such change only.
pub(super) fn called(transaction: &mut Transaction, request: &Request<'_>, others: usize, _at: Timestamp) -> Reaction {
    let Request::DuStateChangeComplete(report) = request else { return Reaction::Nothing };
    let Work::Call(call) = &transaction.work else { return Reaction::Nothing };
    let Call::ChangeDuState { operations } = &**call else { return Reaction::Nothing };
    let key = report.command_key.trim();
    let is_meant = key == command_key(transaction.id) || (key.is_empty() && others == 0);
    if !is_meant || transaction.progress.in_flight.is_none() {
        return Reaction::Nothing;
    }
    let (ending, results) = units::ending(operations, report);
    Reaction::End { ending, results }
}

/// Whether the rest may go on although this one was refused.
fn is_about_one(code: CpeFaultCode) -> bool {
    code.remedy() == Remedy::Permanent && code != CpeFaultCode::METHOD_NOT_SUPPORTED
}
