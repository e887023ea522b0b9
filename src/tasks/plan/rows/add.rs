//! `add.obj`: the table is compared before and after when the answer was lost.

use crate::cwmp::fault::CpeFaultCode;
use crate::cwmp::message::acs::{Applied, ParameterNames, SetParameterValues};
use crate::cwmp::message::inform::ParameterValueStruct;
use crate::cwmp::message::{Request, Response};
use crate::cwmp::session::Answer;
use crate::model::device::ParameterPatch;
use crate::model::procedure::{DoneItem, InFlight};
use crate::model::transaction::{NewObject, TransactionFault, VariableResult};
use crate::tasks::plan::faults::{self, Trouble};
use crate::tasks::plan::get::{Pace, Reader};
use crate::tasks::plan::{Context, Desk, Ending, Save, Step, set};
use crate::types::path::ReadPath;

use super::{Lost, add_call, ambiguous, bare, delete_call, instances, is_gone, list_call, new_rows};

/// The procedure `add.obj`.
#[derive(Debug, Default)]
pub(in super::super) struct Add {
    stage: AddStage,
    later: Applied,
}

#[derive(Debug, Default)]
enum AddStage {
    #[default]
    Start,
    /// The table is listed before a row is added.
    Before { item: u32 },
    /// `AddObject` is out.
    Adding { item: u32, before: Vec<u32> },
    /// The answer was lost, or named no row: the table is listed again.
    Compare { item: u32, before: Vec<u32>, lost: Lost },
    /// Types of the new row's parameters are read.
    Types { item: u32, instance: u32, reader: Reader },
    /// The new row's values are out.
    Filling { item: u32, instance: u32 },
    /// The values were refused: the row is taken away again.
    Undo { item: u32, instance: u32, fault: TransactionFault },
}

impl Add {
    pub(in super::super) fn begin(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        match desk.transaction.progress.in_flight.clone() {
            Some(InFlight::Add { item, before }) => {
                self.list(desk, AddStage::Compare { item, before, lost: Lost::Earlier }, item)
            }
            Some(InFlight::Fill { item, instance }) => self.fill(desk, cx, item, instance),
            _ => self.next_item(desk),
        }
    }

    /// The next row that is not there yet.
    fn next_item(&mut self, desk: &mut Desk<'_>) -> Step {
        let done = desk.transaction.progress.done.len();
        if done < objects(desk).len() {
            let item = u32::try_from(done).unwrap_or(u32::MAX);
            return self.list(desk, AddStage::Before { item }, item);
        }
        *desk.results = added_results(desk);
        Step::End(Ending::Completed { note: set::note_of(self.later) })
    }

    fn list(&mut self, desk: &Desk<'_>, stage: AddStage, item: u32) -> Step {
        let Some(object) = object(desk, item) else {
            return faults::fail(faults::own("the work has no such row"));
        };
        let request = list_call(&object.table);
        self.stage = stage;
        Step::Call { request, save: Save::NotNeeded }
    }

    pub(in super::super) fn answer(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, answer: &Answer<'_>) -> Step {
        match (std::mem::take(&mut self.stage), answer) {
            (AddStage::Before { item }, Answer::Response(Response::GetParameterNames(names))) => {
                let before = object(desk, item).map(|object| instances(&object.table, names)).unwrap_or_default();
                self.add(desk, item, before)
            }
            // Some devices deny a table without rows (quirk 21): the call itself will tell.
            (AddStage::Before { item }, Answer::Fault(fault)) if fault.code == CpeFaultCode::INVALID_NAME => {
                self.add(desk, item, Vec::new())
            }
            (AddStage::Adding { item, before }, Answer::Response(Response::AddObject(response))) => {
                if response.status == Applied::Later {
                    self.later = Applied::Later;
                }
                match response.instance_number {
                    0 => self.list(desk, AddStage::Compare { item, before, lost: Lost::Unnumbered }, item),
                    instance => self.fill(desk, cx, item, instance),
                }
            }
            (AddStage::Adding { .. }, Answer::Fault(fault)) => {
                desk.transaction.progress.in_flight = None;
                self.refused(desk, cx, Trouble::Fault(faults::fault_of(fault)))
            }
            // Unknown whether there is a row, but the session goes on: the table tells.
            (AddStage::Adding { item, before }, _) => {
                self.list(desk, AddStage::Compare { item, before, lost: Lost::Unanswered }, item)
            }
            (AddStage::Compare { item, before, lost }, Answer::Response(Response::GetParameterNames(names))) => {
                self.compare(desk, cx, item, (&before, lost), names)
            }
            (AddStage::Compare { item, before, lost }, Answer::Fault(fault))
                if fault.code == CpeFaultCode::INVALID_NAME =>
            {
                self.compare(desk, cx, item, (&before, lost), &ParameterNames::default())
            }
            (AddStage::Compare { .. }, answer) => self.keep_in_flight(desk, cx, Trouble::of(answer)),
            (AddStage::Types { item, instance, mut reader }, answer) => match reader.take_in(answer, desk.learned) {
                Err(trouble) => self.not_filled(desk, cx, item, instance, trouble),
                Ok(()) => match reader.next_call() {
                    Some(request) => {
                        self.stage = AddStage::Types { item, instance, reader };
                        Step::Call { request, save: Save::NotNeeded }
                    }
                    None => self.send_values(desk, cx, item, instance, &reader.results),
                },
            },
            (AddStage::Filling { item, instance }, answer) => self.filled(desk, cx, item, instance, answer),
            (AddStage::Undo { item, instance, fault }, answer) => undone(desk, item, instance, &fault, answer),
            (AddStage::Before { .. }, answer) => self.refused(desk, cx, Trouble::of(answer)),
            (AddStage::Start, _) => faults::fail(faults::own("an answer came that nobody asked for")),
        }
    }

    fn add(&mut self, desk: &mut Desk<'_>, item: u32, before: Vec<u32>) -> Step {
        let Some(object) = object(desk, item) else {
            return faults::fail(faults::own("the work has no such row"));
        };
        let request = add_call(&object.table, desk.transaction.id);
        desk.transaction.progress.in_flight = Some(InFlight::Add { item, before: before.clone() });
        self.stage = AddStage::Adding { item, before };
        Step::Call { request, save: Save::Before }
    }

    /// Decides from the table before and after whether a row was added.
    fn compare(
        &mut self,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        item: u32,
        (before, lost): (&[u32], Lost),
        names: &ParameterNames<'_>,
    ) -> Step {
        let after = object(desk, item).map(|object| instances(&object.table, names)).unwrap_or_default();
        let new = new_rows(before, &after);
        match (new.as_slice(), lost) {
            // The rows as they are now: a number may be used again.
            ([], Lost::Earlier) => self.add(desk, item, after),
            // It may come yet: the next session compares once more with the rows as they were.
            ([], Lost::Unanswered) => {
                let words = "the device did not answer AddObject, and added no row";
                self.keep_in_flight(desk, cx, Trouble::NoAnswer(words))
            }
            ([], Lost::Unnumbered) => {
                let words = "the device answered AddObject without an instance number, and added no row";
                self.refused(desk, cx, Trouble::Fault(faults::own(words)))
            }
            ([instance], _) => self.fill(desk, cx, item, *instance),
            (several, _) => {
                *desk.results = added_results(desk);
                faults::fail(ambiguous(several))
            }
        }
    }

    /// The row exists: give it its values.
    fn fill(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, item: u32, instance: u32) -> Step {
        let Some(object) = object(desk, item) else {
            return faults::fail(faults::own("the work has no such row"));
        };
        let row = object.table.instance(instance);
        desk.learned.learn.push(ParameterPatch {
            path: row.as_str().into(),
            value: None,
            writable: Some(true),
            notification: None,
        });
        desk.transaction.progress.in_flight = Some(InFlight::Fill { item, instance });
        let unseen: Vec<ReadPath> = object
            .values
            .iter()
            .filter(|value| set::choose_type(value.ty, None).is_none())
            .filter_map(|value| row.leaf(&value.leaf).ok())
            .map(ReadPath::Parameter)
            .collect();
        let mut reader = Reader::of_paths(&unseen, Pace::of(desk.transaction), cx.limits.batch);
        match reader.next_call() {
            Some(request) => {
                self.stage = AddStage::Types { item, instance, reader };
                // The row's number must not be lost: a second one would be added.
                Step::Call { request, save: Save::Before }
            }
            None => self.send_values(desk, cx, item, instance, &[]),
        }
    }

    fn send_values(
        &mut self,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        item: u32,
        instance: u32,
        read: &[VariableResult],
    ) -> Step {
        let Some(object) = object(desk, item) else {
            return faults::fail(faults::own("the work has no such row"));
        };
        if object.values.is_empty() {
            return self.item_done(desk, instance);
        }
        let row = object.table.instance(instance);
        let mut parameters = Vec::new();
        for value in &object.values {
            let Ok(path) = row.leaf(&value.leaf) else {
                let fault = faults::own(format!("{}{} is no path", row, value.leaf));
                return self.undo(desk, item, instance, fault);
            };
            let seen = read.iter().find(|result| *result.path == *path.as_str());
            if let Some(fault) = seen.and_then(|result| result.fault.clone()) {
                return self.undo(desk, item, instance, faults::named(path.as_str(), fault));
            }
            let ty = set::choose_type(value.ty, seen.and_then(|result| result.ty)).unwrap_or_default();
            if let Err(reason) = ty.check(&value.value) {
                return self.undo(desk, item, instance, faults::own(format!("{path}: the value {reason}")));
            }
            let known = seen.and_then(|result| result.value.as_deref());
            let text = set::lexical(ty, &value.value, known, cx.boolean_form);
            parameters.push(ParameterValueStruct::new(path.as_str().to_owned(), text, ty));
        }
        let parameter_key = desk.transaction.id.to_string().into();
        self.stage = AddStage::Filling { item, instance };
        Step::Call {
            request: Request::SetParameterValues(SetParameterValues { parameters, parameter_key }),
            save: Save::Before,
        }
    }

    fn filled(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, item: u32, instance: u32, answer: &Answer<'_>) -> Step {
        match answer {
            Answer::Response(Response::SetParameterValues(applied)) => {
                if *applied == Applied::Later {
                    self.later = Applied::Later;
                }
                self.item_done(desk, instance)
            }
            Answer::Fault(fault) => self.not_filled(desk, cx, item, instance, Trouble::Fault(set::refusal(fault))),
            // Writing the same values again does no harm: the next attempt fills the same row.
            other => self.not_filled(desk, cx, item, instance, Trouble::of(other)),
        }
    }

    fn item_done(&mut self, desk: &mut Desk<'_>, instance: u32) -> Step {
        desk.transaction.progress.in_flight = None;
        desk.transaction.progress.done.push(DoneItem::Added { instance });
        self.next_item(desk)
    }

    /// The row has not got its values. The next attempt fills the same row; when there is none, the row goes.
    fn not_filled(
        &mut self,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        item: u32,
        instance: u32,
        trouble: Trouble,
    ) -> Step {
        match self.keep_in_flight(desk, cx, trouble) {
            Step::End(Ending::Failed(fault)) => self.undo(desk, item, instance, fault),
            other => other,
        }
    }

    /// A row without its values is of no use to anybody.
    fn undo(&mut self, desk: &mut Desk<'_>, item: u32, instance: u32, fault: TransactionFault) -> Step {
        let Some(object) = object(desk, item) else {
            return faults::fail(faults::own("the work has no such row"));
        };
        let request = delete_call(&object.table.instance(instance), desk.transaction.id);
        self.stage = AddStage::Undo { item, instance, fault };
        Step::Call { request, save: Save::NotNeeded }
    }

    fn refused(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, trouble: Trouble) -> Step {
        self.note_refusal(desk, &trouble);
        faults::react(desk.transaction, cx, trouble)
    }

    fn keep_in_flight(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, trouble: Trouble) -> Step {
        self.note_refusal(desk, &trouble);
        let in_flight = desk.transaction.progress.in_flight.clone();
        let step = match in_flight {
            Some(InFlight::Add { .. }) => faults::react_unresolved(desk.transaction, cx, trouble),
            _ => faults::react(desk.transaction, cx, trouble),
        };
        desk.transaction.progress.in_flight = in_flight;
        step
    }

    fn note_refusal(&mut self, desk: &mut Desk<'_>, trouble: &Trouble) {
        self.stage = AddStage::Start;
        *desk.results = added_results(desk);
        if let Trouble::Fault(fault) = trouble {
            let item = u32::try_from(desk.transaction.progress.done.len()).unwrap_or(u32::MAX);
            if let Some(object) = object(desk, item) {
                let failed = bare(item, object.table.as_str(), Some(fault.clone()));
                desk.results.push(failed);
            }
        }
    }
}

/// The row whose values were refused is gone again, or not: then the operator has to know its number.
fn undone(desk: &mut Desk<'_>, item: u32, instance: u32, fault: &TransactionFault, answer: &Answer<'_>) -> Step {
    *desk.results = added_results(desk);
    let Some(table) = object(desk, item).map(|object| object.table.clone()) else {
        return faults::fail(faults::own("the work has no such row"));
    };
    let row = table.instance(instance);
    let (path, instance_number, fate) = if is_gone(answer) {
        faults::forget(desk.learned, row.as_str());
        (table.as_str(), None, "the new row was removed again".to_owned())
    } else {
        (row.as_str(), Some(instance), format!("the new row {row} could not be removed again"))
    };
    let failed = VariableResult { instance_number, ..bare(item, path, Some(fault.clone())) };
    desk.results.push(failed);
    faults::fail(TransactionFault { code: fault.code, message: format!("{}; {fate}", fault.message) })
}

fn objects<'d>(desk: &Desk<'d>) -> &'d [NewObject<String>] {
    &desk.clear.objects
}

fn object<'d>(desk: &Desk<'d>, item: u32) -> Option<&'d NewObject<String>> {
    objects(desk).get(usize::try_from(item).ok()?)
}

fn added_results(desk: &Desk<'_>) -> Vec<VariableResult> {
    let done = desk.transaction.progress.done.iter().zip(objects(desk));
    (0_u32..)
        .zip(done)
        .map(|(variable, (done, object))| {
            let instance = match done {
                DoneItem::Added { instance } => Some(*instance),
                DoneItem::Deleted | DoneItem::Written { .. } => None,
            };
            let path = instance.map_or_else(|| object.table.clone(), |instance| object.table.instance(instance));
            VariableResult { instance_number: instance, ..bare(variable, path.as_str(), None) }
        })
        .collect()
}
