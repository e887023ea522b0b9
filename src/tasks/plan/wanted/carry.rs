//! Carrying the changes out: rows, writes, attributes, and the reading back.

use crate::cwmp::fault::CpeFaultCode;
use crate::cwmp::message::acs::{Applied, ParameterNames, SetParameterValues};
use crate::cwmp::message::inform::ParameterValueStruct;
use crate::cwmp::message::{Request, Response};
use crate::cwmp::session::Answer;
use crate::model::device::ParameterPatch;
use crate::model::procedure::{DoneItem, InFlight};
use crate::model::transaction::{TransactionFault, VariableResult};
use crate::types::path::ObjectPath;

use super::super::faults::{self, Trouble};
use super::super::get::Pace;
use super::super::rows::{self, Lost};
use super::super::{Context, Desk, Ending, Save, Step};
use super::goal::{Evidence, Goal, Standing};
use super::row::Place;
use super::{After, Converge, Errand, Mode, Stage, call, note_written, reader, report};

/// Most times that the same parameter is written in one session.
const ROUNDS_MAX: u32 = 2;

impl Converge {
    pub(super) fn next_errand(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        match self.errands.pop_front() {
            Some(Errand::Row(row)) => match self.rows.get(row).map(|row| row.place) {
                Some(Place::Missing) => self.add(desk, row),
                Some(Place::Fresh(instance)) => self.read_types(desk, cx, row, instance),
                Some(Place::Found(_)) | None => self.next_errand(desk, cx),
            },
            Some(Errand::Write(goals)) => self.write(desk, cx, goals),
            Some(Errand::Attributes) => self.set_attributes(desk, cx),
            None => self.read_back(desk, cx),
        }
    }

    fn add(&mut self, desk: &mut Desk<'_>, row: usize) -> Step {
        let Some(wanted) = self.rows.get(row) else { return no_such_row() };
        let before = self.listed.get(&wanted.table).cloned().unwrap_or_default();
        desk.transaction.progress.in_flight =
            Some(InFlight::WantedAdd { table: wanted.table.clone(), before: before.clone() });
        let request = rows::add_call(&wanted.table, desk.transaction.id);
        self.stage = Stage::Adding { row, before };
        call(request)
    }

    /// The answer to `AddObject`.
    pub(super) fn added(
        &mut self,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        row: usize,
        before: Vec<u32>,
        answer: &Answer<'_>,
    ) -> Step {
        let Some(table) = self.rows.get(row).map(|row| row.table.clone()) else { return no_such_row() };
        let lost = match answer {
            Answer::Response(Response::AddObject(response)) => {
                self.note_applied(response.status);
                if response.instance_number != 0 {
                    return self.read_types(desk, cx, row, response.instance_number);
                }
                Lost::Unnumbered
            }
            Answer::Fault(fault) => {
                desk.transaction.progress.in_flight = None;
                self.publish(desk);
                let fault = faults::named(table.as_str(), faults::fault_of(fault));
                return faults::react(desk.transaction, cx, Trouble::Fault(fault));
            }
            // Unknown whether there is a row, but the session goes on: the table tells.
            Answer::Response(_) | Answer::Mismatch | Answer::Missing => Lost::Unanswered,
        };
        self.stage = Stage::Comparing { row, before, lost };
        Step::Call { request: rows::list_call(&table), save: Save::NotNeeded }
    }

    /// The table after an `AddObject` whose answer did not tell.
    pub(super) fn compared(
        &mut self,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        row: usize,
        (before, lost): (Vec<u32>, Lost),
        answer: &Answer<'_>,
    ) -> Step {
        let Some(table) = self.rows.get(row).map(|row| row.table.clone()) else { return no_such_row() };
        let after = match answer {
            Answer::Response(Response::GetParameterNames(names)) => rows::instances(&table, names),
            Answer::Fault(fault) if fault.code == CpeFaultCode::INVALID_NAME => {
                rows::instances(&table, &ParameterNames::default())
            }
            answer => {
                self.publish(desk);
                return faults::react_unresolved(desk.transaction, cx, Trouble::of(answer));
            }
        };
        let new = rows::new_rows(&before, &after);
        match (new.as_slice(), lost) {
            ([instance], _) => self.read_types(desk, cx, row, *instance),
            ([], Lost::Unnumbered) => {
                self.publish(desk);
                let words = "the device answered AddObject without an instance number, and added no row";
                faults::fail(faults::named(table.as_str(), faults::own(words)))
            }
            ([], Lost::Unanswered | Lost::Earlier) => {
                self.publish(desk);
                desk.transaction.progress.in_flight = None;
                let words = "the device did not answer AddObject, and added no row";
                faults::react(desk.transaction, cx, Trouble::NoAnswer(words))
            }
            (several, _) => {
                self.publish(desk);
                faults::fail(faults::named(table.as_str(), rows::ambiguous(several)))
            }
        }
    }

    /// The row exists: its values need their types.
    fn read_types(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, row: usize, instance: u32) -> Step {
        let Some(wanted) = self.rows.get_mut(row) else { return no_such_row() };
        wanted.place = Place::Fresh(instance);
        let instances = self.listed.entry(wanted.table.clone()).or_default();
        if !instances.contains(&instance) {
            instances.push(instance);
        }
        desk.learned.learn.push(ParameterPatch {
            path: wanted.table.instance(instance).as_str().into(),
            value: None,
            writable: Some(true),
            notification: None,
        });
        desk.transaction.progress.in_flight = Some(InFlight::WantedFill { table: wanted.table.clone(), instance });
        let paths = match self.row_goals(row, instance) {
            Ok(goals) => goals.into_iter().map(|goal| goal.path).collect(),
            Err(fault) => return self.undo(desk, row, instance, fault),
        };
        self.read(desk, cx, reader(paths, Pace::Subtrees, cx), After::Types { row, instance })
    }

    /// Key and parameters of a new row.
    fn row_goals(&self, row: usize, instance: u32) -> Result<Vec<Goal>, TransactionFault> {
        let Some(row) = self.rows.get(row) else { return Err(faults::own(NO_SUCH_ROW)) };
        let mut goals = row.key(instance)?;
        goals.extend(row.parameters(instance)?);
        Ok(goals)
    }

    /// Gives a new row its key and its values, in one call.
    pub(super) fn fill(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, row: usize, instance: u32) -> Step {
        let mut goals = match self.row_goals(row, instance) {
            Ok(goals) => goals,
            Err(fault) => return self.undo(desk, row, instance, fault),
        };
        for goal in &mut goals {
            let evidence = Evidence {
                read: self.seen.get(goal.path.as_str()),
                known: None,
                reread: desk.transaction.progress.reread_types,
                form: cx.boolean_form,
            };
            if let Err(fault) = goal.settle(evidence) {
                let refused = goal.result(Some(fault.clone()));
                self.publish(desk);
                report::add(desk, vec![refused]);
                return self.undo(desk, row, instance, faults::named(goal.path.as_str(), fault));
            }
        }
        let goals: Vec<usize> = goals.into_iter().map(|goal| self.goals.put(goal)).collect();
        let request = self.write_call(desk, &goals);
        self.stage = Stage::Filling { row, instance, goals };
        call(request)
    }

    /// The answer to the values of a new row.
    pub(super) fn filled(
        &mut self,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        (row, instance): (usize, u32),
        goals: Vec<usize>,
        answer: &Answer<'_>,
    ) -> Step {
        let applied = match answer {
            Answer::Response(Response::SetParameterValues(applied)) => *applied,
            Answer::Fault(fault) => {
                let fault = self.refused(desk, &goals, fault);
                return self.not_filled(desk, cx, (row, instance), Trouble::Fault(fault));
            }
            // The next attempt looks whether the row has its key, and fills it if not.
            answer => return self.not_filled(desk, cx, (row, instance), Trouble::of(answer)),
        };
        self.rows_added += 1;
        self.took(desk, &goals, applied);
        if applied == Applied::Later {
            return self.row_done(desk, cx, row, instance);
        }
        // What does not keep its key would not be found again: one more row would be added each time.
        let paths = goals.iter().filter_map(|at| Some(self.goals.get(*at)?.path.clone())).collect();
        self.read(desk, cx, reader(paths, Pace::Subtrees, cx), After::Verify { row, instance, goals })
    }

    /// A new row has been read back.
    pub(super) fn verified(
        &mut self,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        (row, instance): (usize, u32),
        goals: &[usize],
    ) -> Step {
        let keys = match self.rows.get(row).map(|row| row.key_paths(instance)) {
            Some(Ok(keys)) => keys,
            Some(Err(fault)) => return faults::fail(fault),
            None => return no_such_row(),
        };
        for at in goals {
            let Some(goal) = self.goals.get(*at) else { continue };
            let Some(read) = self.seen.get(goal.path.as_str()) else { continue };
            if goal.is_secret() || goal.standing(read) == Standing::Right {
                continue;
            }
            if keys.contains(&goal.path) {
                let fault = match read.fault.clone() {
                    Some(fault) => faults::named(goal.path.as_str(), fault),
                    None => report::changed_back(goal, read),
                };
                self.publish(desk);
                return self.undo(desk, row, instance, fault);
            }
            self.unread.push(*at);
        }
        self.row_done(desk, cx, row, instance)
    }

    fn row_done(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, row: usize, instance: u32) -> Step {
        if let Some(row) = self.rows.get_mut(row) {
            row.place = Place::Found(instance);
        }
        desk.transaction.progress.in_flight = None;
        self.next_errand(desk, cx)
    }

    /// The row has not got its values. The next attempt fills the same row; when there is none, the row goes.
    pub(super) fn not_filled(
        &mut self,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        (row, instance): (usize, u32),
        trouble: Trouble,
    ) -> Step {
        let in_flight = desk.transaction.progress.in_flight.clone();
        match faults::react(desk.transaction, cx, trouble) {
            Step::End(Ending::Failed(fault)) => self.undo(desk, row, instance, fault),
            step => {
                desk.transaction.progress.in_flight = in_flight;
                step
            }
        }
    }

    /// A row without its values is of no use to anybody.
    fn undo(&mut self, desk: &mut Desk<'_>, row: usize, instance: u32, fault: TransactionFault) -> Step {
        let Some(wanted) = self.rows.get(row) else { return no_such_row() };
        let request = rows::delete_call(&wanted.table.instance(instance), desk.transaction.id);
        self.stage = Stage::Undoing { row, instance, fault };
        call(request)
    }

    /// The row is gone again, or not: then the operator has to know its number.
    pub(super) fn undone(
        &mut self,
        desk: &mut Desk<'_>,
        row: usize,
        instance: u32,
        fault: &TransactionFault,
        answer: &Answer<'_>,
    ) -> Step {
        let Some(wanted) = self.rows.get(row) else { return no_such_row() };
        let row = wanted.table.instance(instance);
        let fate = if rows::is_gone(answer) {
            faults::forget(desk.learned, row.as_str());
            forget_written(desk, &row);
            "the new row was removed again".to_owned()
        } else {
            format!("the new row {row} could not be removed again")
        };
        faults::fail(TransactionFault { code: fault.code, message: format!("{}; {fate}", fault.message) })
    }

    fn write(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, goals: Vec<usize>) -> Step {
        let paths = goals.iter().filter_map(|at| Some(self.goals.get(*at)?.path.clone())).collect();
        desk.transaction.progress.in_flight = Some(InFlight::WantedWrite { paths, mark: self.mark, at: cx.now });
        let request = self.write_call(desk, &goals);
        self.stage = Stage::Writing(goals);
        call(request)
    }

    fn write_call(&self, desk: &Desk<'_>, goals: &[usize]) -> Request<'static> {
        let goals = goals.iter().filter_map(|at| self.goals.get(*at));
        let parameters = goals
            .map(|goal| ParameterValueStruct::new(goal.path.as_str().to_owned(), goal.text.clone(), goal.ty))
            .collect();
        let parameter_key = desk.transaction.id.to_string().into();
        Request::SetParameterValues(SetParameterValues { parameters, parameter_key })
    }

    /// The answer to a write.
    pub(super) fn written(
        &mut self,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        goals: &[usize],
        answer: &Answer<'_>,
    ) -> Step {
        match answer {
            Answer::Response(Response::SetParameterValues(applied)) => {
                desk.transaction.progress.in_flight = None;
                self.took(desk, goals, *applied);
                if *applied == Applied::Now {
                    let shown =
                        goals.iter().copied().filter(|at| self.goals.get(*at).is_some_and(|it| !it.is_secret()));
                    self.unread.extend(shown);
                }
                self.next_errand(desk, cx)
            }
            // Too much for one call: nothing of it was written.
            Answer::Fault(fault) if fault.code == CpeFaultCode::RESOURCES_EXCEEDED && goals.len() > 1 => {
                let (first, second) = goals.split_at(goals.len() / 2);
                self.errands.push_front(Errand::Write(second.to_vec()));
                self.errands.push_front(Errand::Write(first.to_vec()));
                self.next_errand(desk, cx)
            }
            Answer::Fault(fault) => {
                let fault = self.refused(desk, goals, fault);
                desk.transaction.progress.in_flight = None;
                faults::react(desk.transaction, cx, Trouble::Fault(fault))
            }
            // Whether it was applied, the next attempt sees.
            Answer::Response(_) | Answer::Mismatch | Answer::Missing => {
                self.publish(desk);
                faults::react_unresolved(desk.transaction, cx, Trouble::of(answer))
            }
        }
    }

    /// The device took these.
    fn took(&mut self, desk: &mut Desk<'_>, goals: &[usize], applied: Applied) {
        self.note_applied(applied);
        for goal in goals.iter().filter_map(|at| self.goals.get(*at)) {
            note_written(desk, &goal.path);
            if !goal.is_secret() {
                desk.learned.learn.push(ParameterPatch {
                    path: goal.path.as_str().into(),
                    value: Some((goal.text.as_str().into(), goal.ty)),
                    writable: Some(true),
                    notification: None,
                });
            }
        }
    }

    fn note_applied(&mut self, applied: Applied) {
        if applied == Applied::Later {
            self.later = Applied::Later;
        }
    }

    pub(super) fn set_attributes(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        match self.attributes.next_set() {
            Some(request) => {
                self.stage = Stage::Setting;
                call(request)
            }
            None => self.next_errand(desk, cx),
        }
    }

    fn read_back(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        if self.unread.is_empty() || self.mode == Mode::Factory {
            return self.finish(desk);
        }
        let paths = self.unread.iter().filter_map(|at| Some(self.goals.get(*at)?.path.clone())).collect();
        self.read(desk, cx, reader(paths, Pace::Subtrees, cx), After::ReadBack)
    }

    /// What was written has been read back.
    pub(super) fn checked(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        self.rounds += 1;
        let mut differing: Vec<usize> = Vec::new();
        for at in std::mem::take(&mut self.unread) {
            let (Some(goal), false) = (self.goals.get(at), differing.contains(&at)) else { continue };
            let Some(read) = self.seen.get(goal.path.as_str()) else { continue };
            let fault = match (&read.fault, goal.standing(read)) {
                (Some(fault), _) => faults::named(goal.path.as_str(), fault.clone()),
                (None, Standing::Differs) if self.rounds >= ROUNDS_MAX => report::changed_back(goal, read),
                (None, Standing::Differs) => {
                    differing.push(at);
                    continue;
                }
                (None, Standing::Right | Standing::Hidden) => continue,
            };
            let failed = VariableResult { value: read.value.clone(), ..goal.result(Some(fault.clone())) };
            self.publish(desk);
            report::add(desk, vec![failed]);
            return faults::fail(fault);
        }
        let (first, last) = self.calls(differing);
        self.errands = first.into_iter().chain(last).collect();
        self.next_errand(desk, cx)
    }
}

/// What was written to a row that is gone was not written.
fn forget_written(desk: &mut Desk<'_>, row: &ObjectPath) {
    let is_below = |path: &str| path.starts_with(row.as_str());
    desk.results.retain(|result| result.fault.is_some() || !is_below(&result.path));
    desk.transaction.progress.done.retain(|item| match item {
        DoneItem::Written { path } => !is_below(path.as_str()),
        DoneItem::Added { .. } | DoneItem::Deleted => true,
    });
}

const NO_SUCH_ROW: &str = "the configuration has no such row";

fn no_such_row() -> Step {
    faults::fail(faults::own(NO_SUCH_ROW))
}
