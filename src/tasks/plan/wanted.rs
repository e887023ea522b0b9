//! `sync`, `reconf` and `device_factory`: bringing a device to its wanted configuration.
//!
//! All is read before anything is written: what the device does not have, or what is no value of its type, fails the
//! transaction while the device is as it was. Then rows are added, differences written, attributes set, and what may cut
//! the device off written last; what was written is read back. A write whose answer is lost needs no more than to start
//! over, because only differences are written; an `AddObject` is looked into first.

mod attributes;
mod carry;
mod factory;
mod goal;
mod order;
mod report;
mod row;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use crate::cwmp::fault::CpeFaultCode;
use crate::cwmp::message::acs::Applied;
use crate::cwmp::message::{Request, Response};
use crate::cwmp::session::Answer;
use crate::model::procedure::{DoneItem, InFlight};
use crate::model::transaction::{TransactionFault, VariableResult, Work};
use crate::model::wanted::ConfigurationMark;
use crate::types::path::{ObjectPath, ParameterPath, ReadPath};

use super::faults::{self, Trouble};
use super::get::{Pace, Reader};
use super::rows::{self, Lost};
use super::{Attributes as AttributePolicy, Context, Desk, Save, Step, Wanted};
use attributes::Attributes;
use goal::{Evidence, Goal, Goals, Standing};
use row::{Place, Row};

/// The procedures `sync`, `reconf` and `device_factory`.
#[derive(Debug, Default)]
pub(super) struct Converge {
    stage: Stage,
    mode: Mode,
    mark: ConfigurationMark,
    secrets: Secrets,
    goals: Goals,
    rows: Vec<Row>,
    /// Tables that have to be listed.
    tables: VecDeque<ObjectPath>,
    /// Instance numbers of those that were.
    listed: BTreeMap<ObjectPath, Vec<u32>>,
    /// What was read in this session.
    seen: HashMap<Box<str>, VariableResult>,
    /// What earlier sessions may have written.
    unconfirmed: HashSet<ParameterPath>,
    attributes: Attributes,
    errands: VecDeque<Errand>,
    /// Goals that were written and have to be read back.
    unread: Vec<usize>,
    /// Writes of the same parameter that its reading back has shown to be in vain.
    rounds: u32,
    later: Applied,
    rows_added: u32,
    /// What the operator should know.
    remarks: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Mode {
    /// Only what differs.
    #[default]
    Sync,
    /// All, whatever the device has.
    Reconfigure,
    /// All, without looking before or after: what resets a device does not read back.
    Factory,
}

/// What becomes of secrets that the device does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Secrets {
    /// The device has had them.
    #[default]
    Keep,
    /// They may have changed since.
    Write,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Start,
    /// The rows of a table are listed.
    Listing(ObjectPath),
    /// Values are read.
    Reading { reader: Box<Reader>, then: After },
    /// Attributes are read.
    Attributes,
    /// `AddObject` is out.
    Adding { row: usize, before: Vec<u32> },
    /// Its answer was lost, or named no row: the table is listed again.
    Comparing { row: usize, before: Vec<u32>, lost: Lost },
    /// The new row's values are out.
    Filling { row: usize, instance: u32, goals: Vec<usize> },
    /// They were refused, or its key does not stay: the row is taken away again.
    Undoing { row: usize, instance: u32, fault: TransactionFault },
    /// A write is out.
    Writing(Vec<usize>),
    /// Attributes are set.
    Setting,
}

/// What a read is for.
#[derive(Debug)]
enum After {
    /// Parameters with fixed paths, and the keys of rows.
    Look,
    /// Parameters of the rows that were found.
    Leaves,
    /// Types of what `device_factory` writes, or what became of it.
    Factory,
    /// Types of a new row.
    Types { row: usize, instance: u32 },
    /// Whether a new row kept what it was given.
    Verify { row: usize, instance: u32, goals: Vec<usize> },
    /// Whether the device kept what was written.
    ReadBack,
}

/// A change to be made.
#[derive(Debug)]
enum Errand {
    /// Add and fill a row.
    Row(usize),
    /// Write parameters in one call.
    Write(Vec<usize>),
    /// Set attributes.
    Attributes,
}

impl Converge {
    pub(super) fn begin(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        let Some(Wanted::Configuration { effective, applied, attributes }) = cx.wanted else {
            return report::nothing_wanted();
        };
        let configuration = &effective.configuration;
        self.mark = effective.mark;
        for wanted in &configuration.parameters {
            self.goals.put(Goal::new(wanted.path.clone(), &wanted.value, wanted.ty));
        }
        match desk.transaction.work {
            Work::DeviceFactory if configuration.parameters.is_empty() => return report::nothing_wanted(),
            Work::DeviceFactory => return self.begin_factory(desk, cx),
            _ if configuration.is_empty() => return report::nothing_wanted(),
            Work::Reconfigure => self.mode = Mode::Reconfigure,
            _ => self.mode = Mode::Sync,
        }
        self.secrets = if *applied == Some(effective.mark) { Secrets::Keep } else { Secrets::Write };
        match Row::of_objects(&configuration.objects) {
            Ok(rows) => self.rows = rows,
            Err(fault) => return faults::fail(fault),
        }
        for row in &self.rows {
            if !self.tables.contains(&row.table) {
                self.tables.push_back(row.table.clone());
            }
        }
        match attributes {
            AttributePolicy::Allowed => self.attributes = Attributes::new(&configuration.attributes, cx.limits.batch),
            AttributePolicy::Never if configuration.attributes.is_empty() => {}
            AttributePolicy::Never => {
                self.remarks.push("notification attributes were left alone: this device is not asked for them".into());
            }
        }
        self.list_next(desk, cx)
    }

    pub(super) fn answer(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, answer: &Answer<'_>) -> Step {
        match std::mem::take(&mut self.stage) {
            Stage::Start => faults::fail(faults::own("an answer came that nobody asked for")),
            Stage::Listing(table) => self.table_listed(desk, cx, table, answer),
            Stage::Reading { mut reader, then } => match reader.take_in(answer, desk.learned) {
                Ok(()) => self.read(desk, cx, *reader, then),
                Err(trouble) => self.not_read(desk, cx, &then, trouble),
            },
            Stage::Attributes => match self.attributes.take_read(answer, desk.learned) {
                Ok(()) => self.read_attributes(desk, cx),
                Err(trouble) => faults::react_unresolved(desk.transaction, cx, trouble),
            },
            Stage::Adding { row, before } => self.added(desk, cx, row, before, answer),
            Stage::Comparing { row, before, lost } => self.compared(desk, cx, row, (before, lost), answer),
            Stage::Filling { row, instance, goals } => self.filled(desk, cx, (row, instance), goals, answer),
            Stage::Undoing { row, instance, fault } => self.undone(desk, row, instance, &fault, answer),
            Stage::Writing(goals) => self.written(desk, cx, &goals, answer),
            Stage::Setting => match self.attributes.take_set(answer, desk.learned) {
                Ok(()) => self.set_attributes(desk, cx),
                Err(trouble) => {
                    self.publish(desk);
                    faults::react(desk.transaction, cx, trouble)
                }
            },
        }
    }

    fn list_next(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        let Some(table) = self.tables.pop_front() else { return self.look(desk, cx) };
        let request = rows::list_call(&table);
        self.stage = Stage::Listing(table);
        Step::Call { request, save: Save::NotNeeded }
    }

    fn table_listed(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, table: ObjectPath, answer: &Answer<'_>) -> Step {
        let instances = match answer {
            Answer::Response(Response::GetParameterNames(names)) => rows::instances(&table, names),
            // Some devices deny a table without rows (quirk 21): adding one will tell.
            Answer::Fault(fault) if fault.code == CpeFaultCode::INVALID_NAME => Vec::new(),
            Answer::Fault(fault) => {
                let fault = faults::named(table.as_str(), faults::fault_of(fault));
                return faults::react_unresolved(desk.transaction, cx, Trouble::Fault(fault));
            }
            Answer::Response(_) | Answer::Mismatch | Answer::Missing => {
                return faults::react_unresolved(desk.transaction, cx, Trouble::of(answer));
            }
        };
        self.listed.insert(table, instances);
        self.list_next(desk, cx)
    }

    /// Reads the parameters with fixed paths and the keys of all rows.
    fn look(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        let mut paths: Vec<ParameterPath> = self.goals.iter().map(|goal| goal.path.clone()).collect();
        for row in &self.rows {
            for instance in self.listed.get(&row.table).into_iter().flatten() {
                match row.key_paths(*instance) {
                    Ok(keys) => paths.extend(keys),
                    Err(fault) => return faults::fail(fault),
                }
            }
        }
        let reader = reader(paths, pace(desk), cx);
        self.read(desk, cx, reader, After::Look)
    }

    /// The next call of a read, or what it was for.
    fn read(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, mut reader: Reader, then: After) -> Step {
        if let Some(request) = reader.next_call() {
            // The new row's number must not be lost: a second one would be added.
            let save = if matches!(then, After::Types { .. }) { Save::Before } else { Save::NotNeeded };
            self.stage = Stage::Reading { reader: Box::new(reader), then };
            return Step::Call { request, save };
        }
        self.seen.extend(reader.results.into_iter().map(|result| (result.path.clone(), result)));
        match then {
            After::Look => self.looked(desk, cx),
            After::Leaves => self.read_attributes(desk, cx),
            After::Factory => self.look_into_factory(desk, cx),
            After::Types { row, instance } => self.fill(desk, cx, row, instance),
            After::Verify { row, instance, goals } => self.verified(desk, cx, (row, instance), &goals),
            After::ReadBack => self.checked(desk, cx),
        }
    }

    fn not_read(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, then: &After, trouble: Trouble) -> Step {
        self.publish(desk);
        match then {
            After::Types { row, instance } => self.not_filled(desk, cx, (*row, *instance), trouble),
            // What is in flight stays so until it is looked into.
            After::Look | After::Leaves | After::Factory | After::Verify { .. } | After::ReadBack => {
                faults::react_unresolved(desk.transaction, cx, trouble)
            }
        }
    }

    /// Finds the wanted rows, and reads what is wanted of them.
    fn looked(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        let in_flight = desk.transaction.progress.in_flight.clone();
        match row::resolve(&mut self.rows, &self.listed, &self.seen, in_flight.as_ref()) {
            Ok(remarks) => self.remarks.extend(remarks),
            Err(fault) => {
                self.publish(desk);
                return faults::fail(fault);
            }
        }
        for row in &self.rows {
            let Place::Found(instance) = row.place else { continue };
            let goals = match (row.parameters(instance), row.key(instance)) {
                (Ok(parameters), Ok(key)) if is_new(in_flight.as_ref(), &row.table, instance) => {
                    // It was added and filled, and only the answer was lost.
                    self.rows_added += 1;
                    let goals: Vec<Goal> = key.into_iter().chain(parameters).collect();
                    self.unconfirmed.extend(goals.iter().map(|goal| goal.path.clone()));
                    goals
                }
                (Ok(parameters), Ok(_)) => parameters,
                (Err(fault), _) | (_, Err(fault)) => return faults::fail(fault),
            };
            for goal in goals {
                self.goals.put(goal);
            }
        }
        if let Some(InFlight::WantedWrite { paths, .. }) = in_flight {
            self.unconfirmed.extend(paths);
        }
        let unseen = self.goals.iter().filter(|goal| !self.seen.contains_key(goal.path.as_str()));
        let unseen: Vec<ParameterPath> = unseen.map(|goal| goal.path.clone()).collect();
        let reader = reader(unseen, pace(desk), cx);
        self.read(desk, cx, reader, After::Leaves)
    }

    fn read_attributes(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        match self.attributes.next_read() {
            Some(request) => {
                self.stage = Stage::Attributes;
                Step::Call { request, save: Save::NotNeeded }
            }
            None => self.judge(desk, cx),
        }
    }

    /// Decides what has to be done, once all is read.
    fn judge(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        let standings = match self.settle(desk, cx) {
            Ok(standings) => standings,
            Err(fault) => return faults::fail(fault),
        };
        let taken = self.took_the_secrets(desk, cx, &standings);
        let mut differing = Vec::new();
        for (at, standing) in standings {
            let Some(goal) = self.goals.get(at) else { continue };
            let was_written = self.unconfirmed.contains(&goal.path);
            let stands = match standing {
                Standing::Right => self.mode == Mode::Sync || was_written || is_done(desk, &goal.path),
                Standing::Hidden if was_written && taken => true,
                Standing::Hidden => self.mode == Mode::Sync && self.secrets == Secrets::Keep,
                Standing::Differs => false,
            };
            match (stands, was_written) {
                (true, true) => note_written(desk, &goal.path),
                (true, false) => {}
                (false, _) => differing.push(at),
            }
        }
        if !self.rows.iter().any(|row| matches!(row.place, Place::Fresh(_))) {
            desk.transaction.progress.in_flight = None;
        }
        self.arrange(differing);
        self.next_errand(desk, cx)
    }

    /// Settles all types. What cannot be is told before anything is written.
    fn settle(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Result<Vec<(usize, Standing)>, TransactionFault> {
        let mut standings = Vec::new();
        let mut refused = Vec::new();
        for (at, goal) in self.goals.iter_mut() {
            let evidence = Evidence {
                read: self.seen.get(goal.path.as_str()),
                known: cx.known.get(goal.path.as_str()),
                reread: desk.transaction.progress.reread_types,
                form: cx.boolean_form,
            };
            match goal.settle(evidence) {
                Ok(standing) => standings.push((at, standing)),
                Err(fault) => refused.push(goal.result(Some(fault))),
            }
        }
        let named = |result: &VariableResult| Some(faults::named(&result.path, result.fault.clone()?));
        match refused.iter().find_map(named) {
            Some(fault) => {
                self.publish(desk);
                report::add(desk, refused);
                Err(fault)
            }
            None => Ok(standings),
        }
    }

    /// Whether the device took the secrets of a write whose answer was lost. A write is carried out as a whole: when all
    /// that differed before and can be seen is right now, the rest is as well.
    fn took_the_secrets(&self, desk: &Desk<'_>, cx: &Context<'_>, standings: &[(usize, Standing)]) -> bool {
        let Some(InFlight::WantedWrite { paths, mark, at }) = &desk.transaction.progress.in_flight else {
            return false;
        };
        let paths: HashSet<&ParameterPath> = paths.iter().collect();
        let mut visible = standings.iter().filter_map(|(at, standing)| {
            let goal = self.goals.get(*at)?;
            (paths.contains(&goal.path) && !goal.is_secret()).then_some(*standing)
        });
        let first = visible.next();
        self.mode == Mode::Sync
            && *mark == self.mark
            && cx.last_boot.is_none_or(|boot| boot < *at)
            && first == Some(Standing::Right)
            && visible.all(|standing| standing == Standing::Right)
    }

    /// Puts the changes in order: a row that is half made first, what may cut the device off last.
    fn arrange(&mut self, differing: Vec<usize>) {
        let rows = |wanted: fn(&Row) -> bool| {
            let rows = self.rows.iter().enumerate().filter(move |(_, row)| wanted(row));
            rows.map(|(at, _)| Errand::Row(at)).collect::<Vec<_>>()
        };
        let fresh = rows(|row| matches!(row.place, Place::Fresh(_)));
        let safe = rows(|row| row.place == Place::Missing && !order::cuts_off(row.table.as_str()));
        let risky = rows(|row| row.place == Place::Missing && order::cuts_off(row.table.as_str()));
        let (first, last) = self.calls(differing);
        let attributes = self.attributes.differ().then_some(Errand::Attributes);
        self.errands = fresh.into_iter().chain(safe).chain(first).chain(attributes).chain(risky).chain(last).collect();
    }

    /// The calls that write these goals: the harmless ones, and those that may cut the device off.
    fn calls(&self, goals: Vec<usize>) -> (Vec<Errand>, Vec<Errand>) {
        let paths = goals.into_iter().filter_map(|at| Some((at, &self.goals.get(at)?.path)));
        let (risky, safe): (Vec<_>, Vec<_>) = paths.partition(|(_, path)| order::cuts_off(path.as_str()));
        let errands = |goals: &[_]| order::calls(goals).into_iter().map(Errand::Write).collect();
        (errands(&safe), errands(&risky))
    }
}

/// Whether row `instance` of `table` is the one that was being added when the answer was lost.
fn is_new(in_flight: Option<&InFlight>, table: &ObjectPath, instance: u32) -> bool {
    match in_flight {
        Some(InFlight::WantedAdd { table: of, before }) => of == table && !before.contains(&instance),
        Some(InFlight::WantedFill { table: of, instance: new }) => of == table && *new == instance,
        _ => false,
    }
}

/// What broke off behind the reads was not broken off by them.
fn pace(desk: &Desk<'_>) -> Pace {
    if desk.transaction.progress.in_flight.is_some() { Pace::Subtrees } else { Pace::of(desk.transaction) }
}

fn reader(mut paths: Vec<ParameterPath>, pace: Pace, cx: &Context<'_>) -> Reader {
    let mut seen = HashSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    let paths: Vec<ReadPath> = paths.into_iter().map(ReadPath::Parameter).collect();
    Reader::of_paths(&paths, pace, cx.limits.batch)
}

fn is_done(desk: &Desk<'_>, path: &ParameterPath) -> bool {
    desk.transaction.progress.done.iter().any(|item| matches!(item, DoneItem::Written { path: done } if done == path))
}

fn note_written(desk: &mut Desk<'_>, path: &ParameterPath) {
    if !is_done(desk, path) {
        desk.transaction.progress.done.push(DoneItem::Written { path: path.clone() });
    }
}

fn call(request: Request<'static>) -> Step {
    Step::Call { request, save: Save::Before }
}
