//! `reboot` and `factory`: calls whose effect shows only in a later session.

use std::borrow::Cow;
use std::time::Duration;

use crate::cwmp::fault::Remedy;
use crate::cwmp::message::acs::{GetParameterValues, Reboot};
use crate::cwmp::message::{Request, Response};
use crate::cwmp::session::Answer;
use crate::model::procedure::InFlight;
use crate::model::transaction::{Phase, Transaction, WaitReason, Work};
use crate::types::event::EventCode;
use crate::types::ident::TransactionId;
use crate::types::time::Timestamp;

use super::faults::{self, Trouble};
use super::news::{News, Reaction};
use super::{Context, Desk, Ending, Save, Step};

/// The procedures `reboot` and `factory`.
#[derive(Debug, Default)]
pub(super) struct Restart {
    stage: Stage,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Start,
    /// An earlier call's outcome is unknown: how long has the device been up?
    UpTime { sent: Timestamp },
    /// The call is out.
    Called,
}

impl Restart {
    pub(super) fn begin(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        // A factory reset that was carried out reports `0 BOOTSTRAP`, which would have ended the transaction; the up time
        // says only that the device restarted.
        let Some(InFlight::Reboot { at: sent }) = desk.transaction.progress.in_flight else {
            return self.call(desk, cx);
        };
        let path = format!("{}DeviceInfo.UpTime", cx.data_model.root());
        self.stage = Stage::UpTime { sent };
        Step::Call {
            request: Request::GetParameterValues(GetParameterValues { names: vec![Cow::Owned(path)] }),
            save: Save::NotNeeded,
        }
    }

    pub(super) fn answer(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, answer: &Answer<'_>) -> Step {
        match (std::mem::take(&mut self.stage), answer) {
            (Stage::UpTime { sent }, Answer::Response(Response::GetParameterValues(values))) => {
                let up = values.parameters.iter().find(|parameter| parameter.name.ends_with("DeviceInfo.UpTime"));
                match up.and_then(|parameter| parameter.value.trim().parse::<u64>().ok()) {
                    Some(secs) if cx.now - Duration::from_secs(secs) > sent => {
                        Step::End(Ending::Completed { note: Some("seen by the device's up time".to_owned()) })
                    }
                    // It has been up since before the call: the call never arrived.
                    Some(_) => self.call(desk, cx),
                    None => self.by_last_boot(desk, cx, sent),
                }
            }
            (Stage::UpTime { sent }, Answer::Fault(fault)) if fault.code.remedy() != Remedy::Retry => {
                self.by_last_boot(desk, cx, sent)
            }
            // Not known yet: nothing is repeated before it is.
            (Stage::UpTime { .. }, answer) => faults::react_unresolved(desk.transaction, cx, Trouble::of(answer)),
            (Stage::Called, Answer::Response(Response::Reboot | Response::FactoryReset) | Answer::Missing) => {
                // An empty POST in place of the answer: agents that reboot at once do that. The boot will tell.
                Step::Wait { reason: reason(&desk.transaction.work), until: cx.now + cx.limits.restart }
            }
            (Stage::Called, Answer::Fault(_)) => faults::react(desk.transaction, cx, Trouble::of(answer)),
            // Unknown whether it was carried out: the next attempt looks at the up time first.
            (Stage::Called, answer) => faults::react_unresolved(desk.transaction, cx, Trouble::of(answer)),
            (Stage::Start, _) => faults::fail(faults::own("an answer came that nobody asked for")),
        }
    }

    /// A device that hides its up time still has to report a boot.
    fn by_last_boot(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, sent: Timestamp) -> Step {
        if cx.last_boot.is_some_and(|boot| boot > sent) {
            return Step::End(Ending::Completed { note: Some("seen by the boot the device reported".to_owned()) });
        }
        self.call(desk, cx)
    }

    fn call(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        self.stage = Stage::Called;
        let (request, in_flight) = match desk.transaction.work {
            Work::FactoryReset => (Request::FactoryReset, InFlight::FactoryReset { at: cx.now }),
            _ => {
                let command_key = Cow::Owned(command_key(desk.transaction.id));
                (Request::Reboot(Reboot { command_key }), InFlight::Reboot { at: cx.now })
            }
        };
        desk.transaction.progress.in_flight = Some(in_flight);
        Step::Call { request, save: Save::Before }
    }
}

/// At most 32 characters, unique for all time.
fn command_key(id: TransactionId) -> String {
    format!("acsd-{id}")
}

fn reason(work: &Work) -> WaitReason {
    match work {
        Work::FactoryReset => WaitReason::Bootstrap,
        _ => WaitReason::Reboot,
    }
}

/// Whether an Inform shows that a restart, sent earlier, has happened.
///
/// A boot without our key (some devices lose it over the reboot) proves a reboot only when the device had confirmed the
/// call. When the session broke off instead, the boot may be the one that opened that very session, reported once more;
/// the procedure then looks at the up time.
pub(super) fn informed(transaction: &Transaction, news: &News<'_>) -> Reaction {
    let confirmed = match transaction.progress.in_flight {
        Some(InFlight::Reboot { .. }) => {
            let awaited = matches!(transaction.phase, Phase::Waiting { .. });
            let boots = [EventCode::Boot, EventCode::Bootstrap, EventCode::MReboot];
            news.has_key(EventCode::MReboot, &command_key(transaction.id))
                || awaited && boots.into_iter().any(|code| news.has(code))
        }
        Some(InFlight::FactoryReset { .. }) => news.has(EventCode::Bootstrap),
        Some(_) | None => false,
    };
    if confirmed { Reaction::end(Ending::Completed { note: None }) } else { Reaction::Nothing }
}
