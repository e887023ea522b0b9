//! Attributes as operators ask for them and set them (TR-069 A.3.2.4 and A.3.2.5): in batches that are split where the
//! device refuses one, read back where the outcome of a call is unknown.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use crate::cwmp::fault::CpeFaultCode;
use crate::cwmp::message::acs::{
    GetParameterAttributes, ParameterAttributes, SetParameterAttributes, SetParameterAttributesStruct,
};
use crate::cwmp::message::{Fault, Request, Response};
use crate::cwmp::session::Answer;
use crate::model::call::AttributeChange;
use crate::model::call::results::{ResultList, Writer};
use crate::model::device::{ParameterPatch, TreePatch};
use crate::model::transaction::TransactionFault;
use crate::types::path::ReadPath;

use super::super::faults::{self, Trouble};
use super::super::get::mentions;
use super::super::{Context, Desk, Ending, Save, Step};
use super::is_about_one;

/// A name, and which of those ordered it is.
type Named = (ReadPath, u32);

/// Reads attributes.
#[derive(Debug)]
pub(super) struct Getter {
    todo: VecDeque<Vec<Named>>,
    /// In the call that is out.
    current: Vec<Named>,
    read: Vec<Reading>,
}

/// What was read of one parameter, or why it was not.
#[derive(Debug)]
struct Reading {
    index: u32,
    name: String,
    outcome: Result<(u8, Vec<String>), TransactionFault>,
}

impl Getter {
    pub(super) fn new(names: impl Iterator<Item = Named>, batch: usize) -> Self {
        let (parameters, subtrees): (Vec<Named>, Vec<Named>) =
            names.partition(|(path, _)| matches!(path, ReadPath::Parameter(_)));
        // The answer to a partial path may be long.
        let alone = subtrees.into_iter().map(|named| vec![named]);
        let todo = parameters.chunks(batch.max(1)).map(<[_]>::to_vec).chain(alone).collect();
        Self { todo, current: Vec::new(), read: Vec::new() }
    }

    pub(super) fn next_call(&mut self) -> Option<Request<'static>> {
        self.current = self.todo.pop_front()?;
        let names = self.current.iter().map(|(path, _)| Cow::Owned(path.as_str().to_owned())).collect();
        Some(Request::GetParameterAttributes(GetParameterAttributes { names }))
    }

    pub(super) fn take_in(&mut self, answer: &Answer<'_>, learned: &mut TreePatch) -> Result<(), Trouble> {
        let current = std::mem::take(&mut self.current);
        match answer {
            Answer::Response(Response::GetParameterAttributes(attributes)) => {
                self.take(current, attributes, learned);
                Ok(())
            }
            Answer::Fault(fault) => {
                let Self { todo, read, .. } = self;
                narrow(
                    current,
                    |(path, _)| path.as_str().to_owned(),
                    fault,
                    todo,
                    |(path, index), fault| {
                        let name = path.as_str().to_owned();
                        if fault.code == CpeFaultCode::INVALID_NAME.0 {
                            faults::forget(learned, &name);
                        }
                        read.push(Reading { index: *index, name, outcome: Err(fault) });
                    },
                )
            }
            Answer::Response(_) | Answer::Mismatch | Answer::Missing => Err(Trouble::of(answer)),
        }
    }

    fn take(&mut self, current: Vec<Named>, attributes: &ParameterAttributes<'_>, learned: &mut TreePatch) {
        let alone = current.len() == 1;
        for (path, index) in current {
            let before = self.read.len();
            for read in &attributes.parameters {
                let name = read.name.trim();
                let is_meant = match &path {
                    ReadPath::Parameter(path) => path.as_str() == name,
                    ReadPath::Subtree(path) => name.starts_with(path.as_str()) && !name.ends_with('.'),
                };
                if is_meant {
                    learned.learn.push(patch(name, read.notification));
                    let access = read.access_list.iter().map(|entity| entity.trim().to_owned()).collect();
                    let outcome = Ok((read.notification, access));
                    self.read.push(Reading { index, name: name.to_owned(), outcome });
                }
            }
            if self.read.len() > before || matches!(path, ReadPath::Subtree(_)) {
                continue;
            }
            if alone {
                let outcome = Err(faults::own("the device did not return it"));
                self.read.push(Reading { index, name: path.as_str().to_owned(), outcome });
            } else {
                // Some agents answer one name of several.
                self.todo.push_back(vec![(path, index)]);
            }
        }
    }
}

/// All is read: what was found, and the first fault.
pub(super) fn finish_reading(mut getter: Getter, desk: &mut Desk<'_>, _cx: &Context<'_>) -> Step {
    getter.read.sort_by_key(|reading| reading.index);
    let mut first = None;
    let mut writer = Writer::new(ResultList::Parameters, desk.results);
    for Reading { name, outcome, .. } in getter.read {
        if !writer.begin() {
            break;
        }
        writer.text("Name", &name);
        match outcome {
            Ok((notification, access)) => {
                writer.number("Notification", notification);
                writer.text("AccessList", &access.join(","));
            }
            Err(fault) => {
                first.get_or_insert_with(|| faults::named(&name, fault.clone()));
                writer.fault(fault);
            }
        }
    }
    first.map_or_else(faults::complete, faults::fail)
}

/// Sets attributes.
#[derive(Debug)]
pub(super) struct Setter {
    changes: Vec<AttributeChange>,
    /// Indexes into the changes, a call each.
    todo: VecDeque<Vec<u32>>,
    /// In the call that is out.
    current: Vec<u32>,
    /// What became of each.
    outcomes: BTreeMap<u32, Result<(), TransactionFault>>,
    /// What is being read, and what for.
    reading: Option<(Getter, Reason)>,
    /// Whether a call went out without an answer in this session: what does not hold then is not repeated in the same one.
    unanswered: bool,
    confirmed: bool,
    batch: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// Whether the changes were made is unknown.
    Unknown,
    /// Which parameters a change of a whole subtree concerned.
    Learning,
}

impl Setter {
    pub(super) fn new(changes: &[AttributeChange], batch: usize) -> Self {
        let batch = batch.max(1);
        let indexes: Vec<u32> = (0_u32..).zip(changes).map(|(index, _)| index).collect();
        Self {
            changes: changes.to_vec(),
            todo: indexes.chunks(batch).map(<[_]>::to_vec).collect(),
            current: Vec::new(),
            outcomes: BTreeMap::new(),
            reading: None,
            unanswered: false,
            confirmed: false,
            batch,
        }
    }

    /// Looks first which of the changes hold already.
    pub(super) fn read_back(&mut self, changes: &[AttributeChange], batch: usize) {
        let names = changes.iter().map(|change| change.path.clone()).zip(0..);
        self.reading = Some((Getter::new(names, batch), Reason::Unknown));
    }

    /// Whether it is unknown what became of a call.
    pub(super) fn is_unresolved(&self) -> bool {
        matches!(self.reading, Some((_, Reason::Unknown)))
    }

    pub(super) fn next_call(&mut self) -> Option<(Request<'static>, Save)> {
        loop {
            if let Some((getter, reason)) = &mut self.reading {
                if let Some(request) = getter.next_call() {
                    return Some((request, Save::NotNeeded));
                }
                let unknown = *reason == Reason::Unknown;
                let read = self.reading.take();
                if let (true, Some((getter, _))) = (unknown, read) {
                    self.compare(&getter.read);
                }
                continue;
            }
            // A call that did not arrive is for the next session.
            if !self.unanswered
                && let Some(next) = self.todo.pop_front()
            {
                let request = self.request(&next);
                self.current = next;
                return Some((request, Save::Before));
            }
            if !self.learns() {
                return None;
            }
        }
    }

    /// After a change of whole subtrees, which parameters it concerned is read; whether there is something to read.
    fn learns(&mut self) -> bool {
        let done = |index: &u32| matches!(self.outcomes.get(index), Some(Ok(())));
        let subtrees: Vec<Named> = (0_u32..)
            .zip(&self.changes)
            .filter(|(index, change)| matches!(change.path, ReadPath::Subtree(_)) && done(index))
            .map(|(index, change)| (change.path.clone(), index))
            .collect();
        if subtrees.is_empty() || self.confirmed || self.unanswered {
            return false;
        }
        self.confirmed = true;
        self.reading = Some((Getter::new(subtrees.into_iter(), self.batch), Reason::Learning));
        true
    }

    fn request(&self, indexes: &[u32]) -> Request<'static> {
        let parameters = indexes.iter().filter_map(|index| self.change(*index)).map(|change| {
            let access_list = change.access_list.iter().flatten().cloned().map(Cow::Owned).collect();
            SetParameterAttributesStruct {
                name: Cow::Owned(change.path.as_str().to_owned()),
                notification_change: change.notification.is_some(),
                // A number also where it does not matter: strict agents refuse an empty element.
                notification: change.notification.unwrap_or(0),
                access_list_change: change.access_list.is_some(),
                access_list,
            }
        });
        Request::SetParameterAttributes(SetParameterAttributes { parameters: parameters.collect() })
    }

    fn change(&self, index: u32) -> Option<&AttributeChange> {
        self.changes.get(usize::try_from(index).ok()?)
    }

    pub(super) fn take_in(&mut self, answer: &Answer<'_>, learned: &mut TreePatch) -> Result<(), Trouble> {
        if let Some((getter, reason)) = &mut self.reading {
            let taken = getter.take_in(answer, learned);
            if *reason == Reason::Learning && taken.is_err() {
                // The changes are made; only which parameters they concerned is not known.
                self.reading = None;
                return Ok(());
            }
            return taken;
        }
        let current = std::mem::take(&mut self.current);
        match answer {
            Answer::Response(Response::SetParameterAttributes) => {
                for index in current {
                    self.made(index, learned);
                }
                Ok(())
            }
            Answer::Fault(fault) => {
                let (changes, outcomes) = (&self.changes, &mut self.outcomes);
                let change = |index: &u32| usize::try_from(*index).ok().and_then(|index| changes.get(index));
                let name =
                    |index: &u32| change(index).map(|change| change.path.as_str().to_owned()).unwrap_or_default();
                narrow(current, name, fault, &mut self.todo, |index, fault| {
                    outcomes.insert(*index, Err(fault));
                })
            }
            Answer::Response(_) | Answer::Mismatch | Answer::Missing => {
                // The session goes on: the device is asked at once.
                self.unanswered = true;
                self.todo.push_front(current);
                let names =
                    self.todo.iter().flatten().filter_map(|index| Some((self.change(*index)?.path.clone(), *index)));
                let names: Vec<Named> = names.collect();
                self.reading = Some((Getter::new(names.into_iter(), self.batch), Reason::Unknown));
                Ok(())
            }
        }
    }

    fn made(&mut self, index: u32, learned: &mut TreePatch) {
        if let Some(AttributeChange { path: ReadPath::Parameter(path), notification: Some(notification), .. }) =
            self.change(index)
        {
            learned.learn.push(patch(path.as_str(), *notification));
        }
        self.outcomes.insert(index, Ok(()));
    }

    /// What has been read back holds, or is still to be set.
    fn compare(&mut self, read: &[Reading]) {
        let indexes: Vec<u32> = std::mem::take(&mut self.todo).into_iter().flatten().collect();
        let mut rest = Vec::new();
        for index in indexes {
            let Some(change) = self.change(index) else { continue };
            let of_it: Vec<&Reading> = read.iter().filter(|reading| reading.index == index).collect();
            let holds = |reading: &&Reading| match &reading.outcome {
                Ok((notification, access)) => {
                    change.notification.is_none_or(|wanted| wanted == *notification)
                        && change.access_list.as_ref().is_none_or(|wanted| same(wanted, access))
                }
                Err(_) => false,
            };
            if !of_it.is_empty() && of_it.iter().all(holds) {
                self.outcomes.insert(index, Ok(()));
            } else {
                rest.push(index);
            }
        }
        self.todo = rest.chunks(self.batch).map(<[_]>::to_vec).collect();
    }

    /// Nothing is left to be called.
    pub(super) fn finish(self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        if !self.todo.is_empty() {
            let words = "the device did not answer the call, and does not have the attributes";
            return faults::react(desk.transaction, cx, Trouble::NoAnswer(words));
        }
        let mut first = None;
        let mut writer = Writer::new(ResultList::Parameters, desk.results);
        for (index, change) in (0_u32..).zip(&self.changes) {
            if !writer.begin() {
                break;
            }
            writer.text("Name", change.path.as_str());
            match self.outcomes.get(&index) {
                Some(Err(fault)) => {
                    first.get_or_insert_with(|| faults::named(change.path.as_str(), fault.clone()));
                    writer.fault(fault.clone());
                }
                Some(Ok(())) | None => {
                    if let Some(notification) = change.notification {
                        writer.number("Notification", notification);
                    }
                    if let Some(access) = &change.access_list {
                        writer.text("AccessList", &access.join(","));
                    }
                }
            }
        }
        let note = self.unanswered.then(|| "confirmed by reading back".to_owned());
        first.map_or_else(|| Step::End(Ending::Completed { note }), faults::fail)
    }
}

/// Splits a refused call until what it is about stands alone, and takes note of that.
fn narrow<T: Clone>(
    mut refused: Vec<T>,
    name: impl Fn(&T) -> String,
    fault: &Fault<'_>,
    calls: &mut VecDeque<Vec<T>>,
    mut alone: impl FnMut(&T, TransactionFault),
) -> Result<(), Trouble> {
    let may_split = is_about_one(fault.code) || fault.code == CpeFaultCode::RESOURCES_EXCEEDED;
    if may_split && refused.len() > 1 {
        match refused.iter().position(|one| mentions(&fault.message, &name(one))) {
            Some(at) => {
                let named = refused.remove(at);
                calls.push_front(refused);
                calls.push_front(vec![named]);
            }
            None => {
                let second = refused.split_off(refused.len() / 2);
                calls.push_front(second);
                calls.push_front(refused);
            }
        }
        return Ok(());
    }
    let whole = faults::fault_of(fault);
    match refused.as_slice() {
        [only] if is_about_one(fault.code) => {
            alone(only, whole);
            Ok(())
        }
        several => {
            let names: Vec<String> = several.iter().map(name).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            Err(Trouble::Fault(faults::about(&names, whole)))
        }
    }
}

fn same(wanted: &[String], read: &[String]) -> bool {
    wanted.len() == read.len() && wanted.iter().all(|one| read.contains(one))
}

fn patch(path: &str, notification: u8) -> ParameterPatch {
    ParameterPatch { path: path.into(), value: None, writable: None, notification: Some(notification) }
}
