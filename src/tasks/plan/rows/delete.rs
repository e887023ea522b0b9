//! `del.obj`: a row whose `DeleteObject` was not answered is looked for.

use crate::cwmp::fault::CpeFaultCode;
use crate::cwmp::message::Response;
use crate::cwmp::message::acs::Applied;
use crate::cwmp::session::Answer;
use crate::model::procedure::{DoneItem, InFlight};
use crate::model::transaction::{VariableResult, Work};
use crate::tasks::plan::faults::{self, Trouble};
use crate::tasks::plan::{Context, Desk, Ending, Save, Step, set};
use crate::types::path::ObjectPath;

use super::{Lost, bare, delete_call, list_call};

/// The procedure `del.obj`.
#[derive(Debug, Default)]
pub(in super::super) struct Delete {
    stage: DeleteStage,
    later: Applied,
}

#[derive(Debug, Default)]
enum DeleteStage {
    #[default]
    Start,
    /// The answer was lost, in an earlier session or in this one: is the row still there?
    Look { item: u32, lost: Lost },
    /// `DeleteObject` is out.
    Deleting { item: u32 },
}

impl Delete {
    pub(in super::super) fn begin(&mut self, desk: &mut Desk<'_>, _cx: &Context<'_>) -> Step {
        if let Some(InFlight::Delete { item }) = desk.transaction.progress.in_flight
            && let Some(row) = row(desk, item)
        {
            let request = list_call(row);
            self.stage = DeleteStage::Look { item, lost: Lost::Earlier };
            return Step::Call { request, save: Save::NotNeeded };
        }
        self.next_item(desk)
    }

    fn next_item(&mut self, desk: &mut Desk<'_>) -> Step {
        let item = u32::try_from(desk.transaction.progress.done.len()).unwrap_or(u32::MAX);
        let Some(row) = row(desk, item) else {
            *desk.results = deleted_results(desk);
            return Step::End(Ending::Completed { note: set::note_of(self.later) });
        };
        let request = delete_call(row, desk.transaction.id);
        desk.transaction.progress.in_flight = Some(InFlight::Delete { item });
        self.stage = DeleteStage::Deleting { item };
        Step::Call { request, save: Save::Before }
    }

    pub(in super::super) fn answer(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, answer: &Answer<'_>) -> Step {
        match (std::mem::take(&mut self.stage), answer) {
            (DeleteStage::Deleting { item }, Answer::Response(Response::DeleteObject(applied))) => {
                if *applied == Applied::Later {
                    self.later = Applied::Later;
                }
                self.item_done(desk, item)
            }
            // What is not there need not be deleted.
            (DeleteStage::Deleting { item } | DeleteStage::Look { item, .. }, Answer::Fault(fault))
                if fault.code == CpeFaultCode::INVALID_NAME =>
            {
                self.item_done(desk, item)
            }
            (DeleteStage::Look { item, lost }, Answer::Response(Response::GetParameterNames(names))) => {
                match (names.parameters.is_empty(), lost) {
                    (true, _) => self.item_done(desk, item),
                    (false, Lost::Earlier) => self.next_item(desk),
                    (false, Lost::Unanswered | Lost::Unnumbered) => {
                        let words = "the device did not answer DeleteObject, and the row is still there";
                        *desk.results = deleted_results(desk);
                        faults::react(desk.transaction, cx, Trouble::NoAnswer(words))
                    }
                }
            }
            (DeleteStage::Deleting { item }, Answer::Fault(fault)) => {
                let fault = faults::fault_of(fault);
                *desk.results = deleted_results(desk);
                if let Some(row) = row(desk, item) {
                    let failed = bare(item, row.as_str(), Some(fault.clone()));
                    desk.results.push(failed);
                }
                desk.transaction.progress.in_flight = None;
                faults::react(desk.transaction, cx, Trouble::Fault(fault))
            }
            (DeleteStage::Start, _) => faults::fail(faults::own("an answer came that nobody asked for")),
            (DeleteStage::Deleting { item }, _) => match row(desk, item) {
                Some(row) => {
                    let request = list_call(row);
                    self.stage = DeleteStage::Look { item, lost: Lost::Unanswered };
                    Step::Call { request, save: Save::NotNeeded }
                }
                None => faults::fail(faults::own("the work has no such row")),
            },
            (DeleteStage::Look { .. }, answer) => {
                *desk.results = deleted_results(desk);
                faults::react_unresolved(desk.transaction, cx, Trouble::of(answer))
            }
        }
    }

    fn item_done(&mut self, desk: &mut Desk<'_>, item: u32) -> Step {
        if let Some(row) = row(desk, item) {
            let path = row.as_str().to_owned();
            faults::forget(desk.learned, &path);
        }
        desk.transaction.progress.in_flight = None;
        desk.transaction.progress.done.push(DoneItem::Deleted);
        self.next_item(desk)
    }
}

fn row<'d>(desk: &'d Desk<'_>, item: u32) -> Option<&'d ObjectPath> {
    match &desk.transaction.work {
        Work::DeleteObject { objects } => objects.get(usize::try_from(item).ok()?),
        _ => None,
    }
}

fn deleted_results(desk: &Desk<'_>) -> Vec<VariableResult> {
    let done = u32::try_from(desk.transaction.progress.done.len()).unwrap_or(u32::MAX);
    (0..done).filter_map(|item| row(desk, item).map(|row| bare(item, row.as_str(), None))).collect()
}
