//! Reading paths, in batches that are bisected where the device denies a name: also for procedures that have to read before or
//! after they write.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use crate::cwmp::fault::CpeFaultCode;
use crate::cwmp::message::acs::{GetParameterNames, GetParameterValues, ParameterNames, ParameterValues};
use crate::cwmp::message::inform::ParameterValueStruct;
use crate::cwmp::message::{Request, Response};
use crate::cwmp::session::Answer;
use crate::model::device::{ParameterPatch, TreePatch};
use crate::model::transaction::{TransactionFault, VariableResult};
use crate::tasks::plan::faults::{self, Trouble};
use crate::types::path::ReadPath;

use super::{Pace, mentions};

/// Most calls one read may take: a device that multiplies its tree must not keep a session for ever.
const CALLS_MAX: u32 = 5_000;

/// Reads paths: also used by the procedures that have to read before or after they write.
#[derive(Debug)]
pub(in super::super) struct Reader {
    pace: Pace,
    todo: VecDeque<Read>,
    current: Option<Read>,
    batch: usize,
    calls: u32,
    /// What was read, and what could not be.
    pub(in super::super) results: Vec<VariableResult>,
    /// Names below an object that the device lists but does not let be read (quirk 21).
    pub(super) skipped: Option<Skipped>,
}

#[derive(Debug)]
pub(super) struct Skipped {
    names: u32,
    /// The fault of the first, which it names.
    pub(super) first: TransactionFault,
}

impl Skipped {
    pub(super) fn note(&self) -> String {
        let (names, first) = (self.names, &self.first);
        format!(
            "left out {names} that the device lists but does not let be read; the first: {} {}",
            first.code, first.message
        )
    }
}

#[derive(Debug, Clone)]
enum Read {
    /// Full names, in one call.
    Names(Vec<Want>),
    /// Everything below an object.
    Subtree(Want),
    /// The children of an object, to be read one by one.
    Children(Want),
    /// Those of these names that the object lists.
    Listed { parent: String, wants: Vec<Want> },
}

impl Read {
    /// Whether it is only about names that the device listed itself.
    fn is_found(&self) -> bool {
        match self {
            Self::Names(wants) | Self::Listed { wants, .. } => wants.iter().all(|want| want.origin == Origin::Found),
            Self::Subtree(want) | Self::Children(want) => want.origin == Origin::Found,
        }
    }
}

#[derive(Debug, Clone)]
struct Want {
    variable: u32,
    path: String,
    origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Named by the work: has to have an answer.
    Asked,
    /// Found below an object: may turn out unreadable (quirk 21).
    Found,
}

impl Reader {
    /// Reads these paths; results are numbered in their order.
    pub(in super::super) fn of_paths(paths: &[ReadPath], pace: Pace, batch: usize) -> Self {
        let mut reader = Self::empty(pace, batch);
        let mut names = Vec::new();
        for (variable, path) in (0_u32..).zip(paths) {
            let want = Want { variable, path: path.as_str().to_owned(), origin: Origin::Asked };
            match path {
                ReadPath::Parameter(_) => names.push(want),
                ReadPath::Subtree(_) => reader.todo.push_back(reader.object(want)),
            }
        }
        if pace == Pace::Levels {
            reader.list(names);
            return reader;
        }
        for chunk in names.chunks(reader.batch).rev() {
            reader.todo.push_front(Read::Names(chunk.to_vec()));
        }
        reader
    }

    /// Reads a whole tree, child by child: asking for all at once makes weak devices reboot (cwmp.md §4.5).
    pub(super) fn of_tree(root: &str, pace: Pace, batch: usize) -> Self {
        let mut reader = Self::empty(pace, batch);
        reader.todo.push_back(Read::Children(Want { variable: 0, path: root.to_owned(), origin: Origin::Asked }));
        reader
    }

    fn empty(pace: Pace, batch: usize) -> Self {
        let (todo, results) = (VecDeque::new(), Vec::new());
        Self { pace, todo, current: None, batch: batch.max(1), calls: 0, results, skipped: None }
    }

    /// Everything below an object.
    const fn object(&self, want: Want) -> Read {
        match self.pace {
            Pace::Subtrees => Read::Subtree(want),
            Pace::Levels => Read::Children(want),
        }
    }

    /// Reads names only after their objects have listed them.
    fn list(&mut self, wants: Vec<Want>) {
        let mut lists: Vec<(String, Vec<Want>)> = Vec::new();
        for want in wants {
            let parent = want.path.rsplit_once('.').map_or_else(String::new, |(parent, _)| format!("{parent}."));
            match lists.iter_mut().find(|(listed, _)| *listed == parent) {
                Some((_, wants)) => wants.push(want),
                None => lists.push((parent, vec![want])),
            }
        }
        for (parent, wants) in lists.into_iter().rev() {
            self.todo.push_front(Read::Listed { parent, wants });
        }
    }

    /// The next call, or `None` when everything is read.
    pub(in super::super) fn next_call(&mut self) -> Option<Request<'static>> {
        let read = self.todo.pop_front()?;
        let request = match &read {
            Read::Names(wants) => Request::GetParameterValues(GetParameterValues {
                names: wants.iter().map(|want| Cow::Owned(want.path.clone())).collect(),
            }),
            Read::Subtree(want) => {
                Request::GetParameterValues(GetParameterValues { names: vec![Cow::Owned(want.path.clone())] })
            }
            Read::Children(Want { path, .. }) | Read::Listed { parent: path, .. } => {
                Request::GetParameterNames(GetParameterNames { path: Cow::Owned(path.clone()), next_level: true })
            }
        };
        self.current = Some(read);
        self.calls = self.calls.saturating_add(1);
        Some(request)
    }

    /// Takes in the answer to the last call.
    pub(in super::super) fn take_in(&mut self, answer: &Answer<'_>, learned: &mut TreePatch) -> Result<(), Trouble> {
        let Some(read) = self.current.take() else {
            return Err(Trouble::NoAnswer("an answer came that nobody asked for"));
        };
        if self.calls >= CALLS_MAX {
            return Err(Trouble::Fault(faults::own(format!("the read took more than {CALLS_MAX} calls"))));
        }
        match (read, answer) {
            (Read::Names(wants), Answer::Response(Response::GetParameterValues(values))) => {
                learn_values(values, learned);
                self.take_names(&wants, values);
                Ok(())
            }
            (Read::Subtree(want), Answer::Response(Response::GetParameterValues(values))) => {
                learn_values(values, learned);
                self.take_subtree(&want, values);
                Ok(())
            }
            (Read::Children(want), Answer::Response(Response::GetParameterNames(names))) => {
                self.take_children(&want, names, learned);
                Ok(())
            }
            (Read::Listed { wants, .. }, Answer::Response(Response::GetParameterNames(names))) => {
                self.take_listed(wants, names);
                Ok(())
            }
            (read, Answer::Fault(fault)) => self.refused(read, &faults::fault_of(fault), learned),
            (_, answer) => Err(Trouble::of(answer)),
        }
    }

    fn take_names(&mut self, wants: &[Want], values: &ParameterValues<'_>) {
        let by_name: HashMap<&str, &ParameterValueStruct<'_>> =
            values.parameters.iter().map(|parameter| (parameter.name.as_ref(), parameter)).collect();
        let mut again = Vec::new();
        for want in wants {
            match by_name.get(want.path.as_str()) {
                Some(parameter) => self.results.push(found(want.variable, parameter)),
                // Some agents answer one name of several.
                None if wants.len() > 1 => again.push(Read::Names(vec![want.clone()])),
                None if want.origin == Origin::Asked => {
                    self.results.push(failed(want, faults::own("the device did not return it")));
                }
                None => {}
            }
        }
        for read in again.into_iter().rev() {
            self.todo.push_front(read);
        }
    }

    fn take_subtree(&mut self, want: &Want, values: &ParameterValues<'_>) {
        // Some agents do not expand partial paths: they return the object itself as if it had a value, or nothing.
        if values.parameters.iter().all(|parameter| parameter.name == want.path) {
            self.todo.push_front(Read::Children(want.clone()));
            return;
        }
        self.results.extend(values.parameters.iter().map(|parameter| found(want.variable, parameter)));
    }

    fn take_listed(&mut self, wants: Vec<Want>, names: &ParameterNames<'_>) {
        let (listed, missing): (Vec<Want>, Vec<Want>) =
            wants.into_iter().partition(|want| names.parameters.iter().any(|info| info.name == want.path));
        let fault = faults::own("the device does not list it");
        self.results.extend(missing.iter().map(|want| failed(want, fault.clone())));
        for chunk in listed.chunks(self.batch).rev() {
            self.todo.push_front(Read::Names(chunk.to_vec()));
        }
    }

    fn take_children(&mut self, want: &Want, names: &ParameterNames<'_>, learned: &mut TreePatch) {
        let mut leaves = Vec::new();
        let mut reads = Vec::new();
        let mut objects = HashSet::new();
        for info in &names.parameters {
            let name = info.name.as_ref();
            let Some(rest) = name.strip_prefix(want.path.as_str()) else { continue };
            learned.learn.push(ParameterPatch {
                path: name.into(),
                value: None,
                writable: Some(info.writable),
                notification: None,
            });
            let child = |path: &str| Want { variable: want.variable, path: path.to_owned(), origin: Origin::Found };
            match rest.split_once('.') {
                None if rest.is_empty() => {}
                None => leaves.push(child(name)),
                // Some devices ignore NextLevel, or list no objects: what lies deeper is read with its parent.
                Some((object, deeper)) => {
                    let path = name.get(..name.len().saturating_sub(deeper.len())).unwrap_or(name);
                    if !object.is_empty() && objects.insert(path) {
                        reads.push(self.object(child(path)));
                    }
                }
            }
        }
        // An existing but empty table is no fault (TR-069 A.3.2.2).
        if leaves.is_empty() && reads.is_empty() && want.origin == Origin::Asked {
            self.results.push(bare(want));
        }
        let leaves = leaves.chunks(self.batch).map(|chunk| Read::Names(chunk.to_vec()));
        let ordered: Vec<Read> = leaves.chain(reads).collect();
        for read in ordered.into_iter().rev() {
            self.todo.push_front(read);
        }
    }

    /// A fault in place of values: narrow down what it is about, or give up.
    fn refused(&mut self, read: Read, fault: &TransactionFault, learned: &mut TreePatch) -> Result<(), Trouble> {
        let code = CpeFaultCode(fault.code);
        let too_much = code == CpeFaultCode::RESOURCES_EXCEEDED || code == CpeFaultCode::INTERNAL_ERROR;
        // One name that the device listed itself must not spoil the rest of the tree, whatever is wrong with it.
        let may_skip = read.is_found() && code != CpeFaultCode::METHOD_NOT_SUPPORTED;
        match read {
            Read::Names(wants) if wants.len() > 1 && (code == CpeFaultCode::INVALID_NAME || too_much || may_skip) => {
                self.bisect(wants, &fault.message);
                Ok(())
            }
            Read::Names(wants) | Read::Listed { wants, .. } if code == CpeFaultCode::INVALID_NAME => {
                for want in wants {
                    self.denied(&want, fault, learned);
                }
                Ok(())
            }
            // A device that cannot list is asked without.
            Read::Listed { wants, .. } => {
                self.todo.push_front(Read::Names(wants));
                Ok(())
            }
            Read::Children(want) if self.pace == Pace::Levels && code == CpeFaultCode::METHOD_NOT_SUPPORTED => {
                self.pace = Pace::Subtrees;
                self.todo.push_front(Read::Subtree(want));
                Ok(())
            }
            // Not there, or only not known as a partial path.
            Read::Subtree(want) if code == CpeFaultCode::INVALID_NAME => {
                self.todo.push_front(Read::Children(want));
                Ok(())
            }
            Read::Children(want) if code == CpeFaultCode::INVALID_NAME => {
                self.denied(&want, fault, learned);
                Ok(())
            }
            Read::Subtree(want) if too_much || may_skip => {
                self.todo.push_front(Read::Children(want));
                Ok(())
            }
            Read::Names(wants) if may_skip => {
                for want in &wants {
                    self.skip(want, fault);
                }
                Ok(())
            }
            Read::Children(want) if may_skip => {
                self.skip(&want, fault);
                Ok(())
            }
            Read::Names(wants) => {
                let paths: Vec<&str> = wants.iter().map(|want| want.path.as_str()).collect();
                Err(Trouble::Fault(faults::about(&paths, fault.clone())))
            }
            Read::Subtree(want) | Read::Children(want) => {
                Err(Trouble::Fault(faults::about(&[&want.path], fault.clone())))
            }
        }
    }

    fn denied(&mut self, want: &Want, fault: &TransactionFault, learned: &mut TreePatch) {
        faults::forget(learned, &want.path);
        match want.origin {
            Origin::Asked => self.results.push(failed(want, fault.clone())),
            Origin::Found => self.skip(want, fault),
        }
    }

    fn skip(&mut self, want: &Want, fault: &TransactionFault) {
        let first = || Skipped { names: 0, first: faults::named(&want.path, fault.clone()) };
        let skipped = self.skipped.get_or_insert_with(first);
        skipped.names = skipped.names.saturating_add(1);
    }

    /// Splits a refused batch: at the name that the fault's text mentions, else in the middle.
    fn bisect(&mut self, mut wants: Vec<Want>, message: &str) {
        let named = wants.iter().position(|want| mentions(message, &want.path));
        let rest = match named {
            Some(at) => {
                let bad = wants.remove(at);
                self.todo.push_front(Read::Names(wants));
                vec![bad]
            }
            None => {
                let second = wants.split_off(wants.len() / 2);
                self.todo.push_front(Read::Names(second));
                wants
            }
        };
        self.todo.push_front(Read::Names(rest));
    }
}

fn found(variable: u32, parameter: &ParameterValueStruct<'_>) -> VariableResult {
    VariableResult {
        variable,
        path: parameter.name.as_ref().into(),
        value: Some(parameter.value.as_ref().into()),
        ty: Some(parameter.ty),
        instance_number: None,
        fault: None,
    }
}

fn bare(want: &Want) -> VariableResult {
    VariableResult {
        variable: want.variable,
        path: want.path.as_str().into(),
        value: None,
        ty: None,
        instance_number: None,
        fault: None,
    }
}

fn failed(want: &Want, fault: TransactionFault) -> VariableResult {
    VariableResult { fault: Some(fault), ..bare(want) }
}

fn learn_values(values: &ParameterValues<'_>, learned: &mut TreePatch) {
    let leaves = values.parameters.iter().filter(|parameter| !parameter.name.ends_with('.'));
    learned.learn.extend(leaves.map(|parameter| ParameterPatch {
        path: parameter.name.as_ref().into(),
        value: Some((parameter.value.as_ref().into(), parameter.ty)),
        writable: None,
        notification: None,
    }));
}
