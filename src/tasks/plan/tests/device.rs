//! A small device: a parameter map that answers calls, and a script of what goes wrong at which call.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::cwmp::fault::CpeFaultCode;
use crate::cwmp::message::acs::{
    AddObjectResponse, AllQueuedTransferStruct, AllQueuedTransfers, Applied, MethodList, OptionList, OptionStruct,
    ParameterAttributeStruct, ParameterAttributes, ParameterInfoStruct, ParameterNames, ParameterValues,
    QueuedTransferStruct, QueuedTransfers, SetParameterAttributes, SetParameterValues,
};
use crate::cwmp::message::inform::ParameterValueStruct;
use crate::cwmp::message::{Fault, Method, ParameterFault, Request, Response};
use crate::cwmp::session::Answer;
use crate::types::value::XsdType;

use super::transfers::Transfers;

/// What goes wrong with one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Twist {
    /// The session breaks before the call arrives.
    LostOnTheWay,
    /// The call is carried out, and the session breaks.
    AnswerLost,
    /// As `LostOnTheWay`, and acsd is killed: only what was saved is left of the transaction.
    KilledOnTheWay,
    /// As `AnswerLost`, and acsd is killed.
    KilledAfter,
    /// A fault in place of the answer; nothing is carried out.
    Fault(u16),
    /// Another method's response; nothing is carried out.
    Mismatch,
    /// An empty POST; nothing is carried out.
    Ignored,
    /// An empty POST, but the call is carried out.
    Silent,
    /// `AddObject` is carried out, but answered with instance 0.
    Unnumbered,
    /// Status 1.
    Later,
}

/// What comes back.
#[derive(Debug)]
pub(super) enum Reply {
    Answer(Answer<'static>),
    /// The session is gone; whether acsd is as well.
    Gone {
        killed: bool,
    },
}

/// What a read of a partial path is answered with.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartialPaths {
    /// What is below.
    #[default]
    Expanded,
    /// The object itself, as if it had a value.
    Itself,
    /// An empty list.
    Nothing,
    /// A 9005.
    Refused,
}

#[derive(Debug, Default)]
pub(super) struct Device {
    pub(super) parameters: BTreeMap<String, (String, XsdType)>,
    /// Tables: the number the next row gets.
    pub(super) tables: BTreeMap<String, u32>,
    /// Leaves of a new row, relative to it.
    pub(super) row: Vec<(&'static str, &'static str, XsdType)>,
    /// Objects that exist without having parameters.
    pub(super) objects: BTreeSet<String>,
    /// By the number of the call, from 0.
    pub(super) script: HashMap<usize, Twist>,
    /// Fault codes of paths: on a read of them, or of anything that contains them.
    pub(super) unreadable: BTreeMap<String, u16>,
    /// Fault codes of paths on a write.
    pub(super) unwritable: BTreeMap<String, u16>,
    /// Writes are answered with a bare fault in place of the list.
    pub(super) bare_faults: bool,
    /// Most values it returns; more is a 9004.
    pub(super) values_max: Option<usize>,
    /// 9005 names what it is about.
    pub(super) names_the_name: bool,
    /// What is left out of answers without a fault.
    pub(super) withheld: BTreeSet<String>,
    pub(super) partial_paths: PartialPaths,
    /// Of several names it answers the last alone.
    pub(super) last_name_only: bool,
    /// The session breaks on a read of anything but parameters that it has.
    pub(super) dies_of_what_it_lacks: bool,
    /// `NextLevel` is ignored, and objects are not listed.
    pub(super) lists_leaves_only: bool,
    /// What is shown in place of a value.
    pub(super) masks: BTreeMap<String, &'static str>,
    /// What a write really stores, and in how many writes.
    pub(super) stores: BTreeMap<String, (u32, &'static str)>,
    /// How every value is normalised when it is stored.
    pub(super) normalises: Option<fn(&str) -> String>,
    /// Notification attributes that are not 0.
    pub(super) attributes: BTreeMap<String, u8>,
    /// Whose notification cannot be changed.
    pub(super) unnotifiable: BTreeSet<String>,
    /// Transfers that it makes, and how it goes about them.
    pub(super) transfers: Transfers,
    /// Methods that it does not have: the session breaks when one is called (quirk 71).
    pub(super) lacks: BTreeSet<&'static str>,
    /// What it answers `GetRPCMethods` with, in place of what it has.
    pub(super) claims: Option<Vec<&'static str>>,
    /// Keys of the transfers that are queued.
    pub(super) queued: Vec<String>,
    /// Most names that it lists in one answer; more is a 9004.
    pub(super) names_max: Option<usize>,
    /// Objects that it cannot list: the session breaks, or with a code there is a fault.
    pub(super) unlistable: BTreeMap<String, Option<u16>>,
    pub(super) calls: Vec<Request<'static>>,
    /// Restarts and resets that were ordered and carried out.
    pub(super) restarts: u32,
    pub(super) adds: u32,
    pub(super) writes: u32,
    pub(super) deletes: u32,
}

impl Device {
    pub(super) fn with(parameters: &[(&str, &str, XsdType)]) -> Self {
        let parameters =
            parameters.iter().map(|(path, value, ty)| ((*path).to_owned(), ((*value).to_owned(), *ty))).collect();
        Self { parameters, ..Self::default() }
    }

    pub(super) fn table(mut self, path: &str, rows: &[u32]) -> Self {
        self.objects.insert(path.to_owned());
        self.tables.insert(path.to_owned(), rows.iter().max().unwrap_or(&0) + 1);
        for row in rows {
            self.objects.insert(format!("{path}{row}."));
        }
        self
    }

    pub(super) fn at(mut self, call: usize, twist: Twist) -> Self {
        self.script.insert(call, twist);
        self
    }

    pub(super) fn value(&self, path: &str) -> &str {
        self.parameters.get(path).map_or("(none)", |(value, _)| value.as_str())
    }

    pub(super) fn rows(&self, table: &str) -> Vec<u32> {
        let number = |path: &String| path.strip_prefix(table)?.strip_suffix('.')?.parse().ok();
        self.objects.iter().filter_map(number).collect()
    }

    /// The methods called, in order.
    pub(super) fn methods(&self) -> Vec<&'static str> {
        self.calls.iter().map(|call| call.method().name()).collect()
    }

    /// The names of each `GetParameterValues`.
    pub(super) fn reads(&self) -> Vec<Vec<String>> {
        let names = |call: &Request<'static>| match call {
            Request::GetParameterValues(read) => Some(read.names.iter().map(ToString::to_string).collect()),
            _ => None,
        };
        self.calls.iter().filter_map(names).collect()
    }

    /// The last `SetParameterValues`.
    pub(super) fn last_write(&self) -> &SetParameterValues<'static> {
        let write = |call: &'_ Request<'static>| matches!(call, Request::SetParameterValues(_));
        match self.calls.iter().rfind(|call| write(call)) {
            Some(Request::SetParameterValues(write)) => write,
            _ => panic!("nothing was written"),
        }
    }

    pub(super) fn call(&mut self, request: &Request<'static>) -> Reply {
        let twist = self.script.get(&self.calls.len()).cloned();
        self.calls.push(request.clone());
        let refusal = |code, words: &str| {
            let message = Cow::Owned(words.to_owned());
            Reply::Answer(Answer::Fault(Fault { code: CpeFaultCode(code), message, parameters: Vec::new() }))
        };
        match twist {
            Some(Twist::LostOnTheWay) => return Reply::Gone { killed: false },
            Some(Twist::KilledOnTheWay) => return Reply::Gone { killed: true },
            Some(Twist::Fault(code)) => return refusal(code, ""),
            Some(Twist::Mismatch) => return Reply::Answer(Answer::Mismatch),
            Some(Twist::Ignored) => return Reply::Answer(Answer::Missing),
            _ => {}
        }
        if self.dies_of_what_it_lacks
            && let Request::GetParameterValues(read) = request
            && read.names.iter().any(|name| !self.parameters.contains_key(name.as_ref()))
        {
            return Reply::Gone { killed: false };
        }
        if self.lacks.contains(request.method().name()) || self.breaks_at(request) {
            return Reply::Gone { killed: false };
        }
        let answer = self.carry_out(request);
        match (twist, answer) {
            (Some(Twist::AnswerLost), _) => Reply::Gone { killed: false },
            (Some(Twist::KilledAfter), _) => Reply::Gone { killed: true },
            (Some(Twist::Silent), _) => Reply::Answer(Answer::Missing),
            (Some(Twist::Unnumbered), Answer::Response(Response::AddObject(_))) => {
                Reply::Answer(Answer::Response(Response::AddObject(AddObjectResponse::default())))
            }
            (Some(Twist::Later), Answer::Response(Response::SetParameterValues(_))) => {
                Reply::Answer(Answer::Response(Response::SetParameterValues(Applied::Later)))
            }
            (_, answer) => Reply::Answer(answer),
        }
    }

    /// Whether what is asked now is about transfers.
    fn was_told_to_transfer(&self) -> bool {
        let is_order = |call: &Request<'_>| {
            matches!(call, Request::Download(_) | Request::ScheduleDownload(_) | Request::Upload(_))
        };
        self.calls.iter().any(is_order)
    }

    fn carry_out(&mut self, request: &Request<'static>) -> Answer<'static> {
        let done = match request {
            Request::GetParameterValues(read) => self.get(&read.names),
            Request::GetParameterNames(names) if names.next_level => self.names(&names.path),
            Request::GetParameterNames(names) => self.all_names(&names.path),
            Request::SetParameterValues(write) => self.set(write),
            Request::AddObject(add) => self.add(&add.object_name),
            Request::DeleteObject(delete) => self.delete(&delete.object_name),
            Request::Reboot(_) => {
                self.restarts += 1;
                Ok(Response::Reboot)
            }
            Request::FactoryReset => {
                self.restarts += 1;
                Ok(Response::FactoryReset)
            }
            Request::Download(_) | Request::ScheduleDownload(_) | Request::Upload(_) => self.transfers.serve(request),
            Request::GetRpcMethods | Request::GetAllQueuedTransfers | Request::GetQueuedTransfers
                if self.was_told_to_transfer() =>
            {
                self.transfers.serve(request)
            }
            Request::GetParameterAttributes(read) => self.get_attributes(&read.names),
            Request::SetParameterAttributes(write) => self.set_attributes(write),
            other => Ok(self.call_rarely(other)),
        };
        done.map_or_else(Answer::Fault, Answer::Response)
    }

    /// The methods that not every device has.
    fn call_rarely(&mut self, request: &Request<'static>) -> Response<'static> {
        match request {
            Request::GetRpcMethods => {
                let all = Method::ALL.into_iter().map(Method::name).filter(|name| !self.lacks.contains(name));
                let names = self.claims.clone().unwrap_or_else(|| all.collect());
                let methods = names.into_iter().map(Cow::Borrowed).collect();
                Response::GetRpcMethods(MethodList { methods })
            }
            Request::ScheduleInform(_) => Response::ScheduleInform,
            Request::ChangeDuState(_) => Response::ChangeDuState,
            Request::SetVouchers(_) => Response::SetVouchers,
            Request::CancelTransfer(cancel) => {
                self.queued.retain(|key| *key != cancel.command_key);
                Response::CancelTransfer
            }
            Request::GetQueuedTransfers => {
                let transfer = |key: &String| QueuedTransferStruct { command_key: key.clone().into(), state: 1 };
                let transfers = self.queued.iter().map(transfer).collect();
                Response::GetQueuedTransfers(QueuedTransfers { transfers })
            }
            Request::GetAllQueuedTransfers => {
                let transfer = |key: &String| AllQueuedTransferStruct {
                    command_key: key.clone().into(),
                    state: 2,
                    is_download: true,
                    file_size: 7,
                    ..AllQueuedTransferStruct::default()
                };
                let transfers = self.queued.iter().map(transfer).collect();
                Response::GetAllQueuedTransfers(AllQueuedTransfers { transfers })
            }
            Request::GetOptions(_) => {
                let option = OptionStruct { option_name: "fast".into(), voucher_sn: 3, ..OptionStruct::default() };
                Response::GetOptions(OptionList { options: vec![option] })
            }
            other => panic!("no procedure calls {other:?}"),
        }
    }

    /// Whether the session breaks at this listing.
    fn breaks_at(&self, request: &Request<'static>) -> bool {
        let Request::GetParameterNames(names) = request else { return false };
        let is_asked_for =
            |path: &str| path == names.path || (!names.next_level && path.starts_with(names.path.as_ref()));
        self.unlistable.iter().any(|(path, code)| code.is_none() && is_asked_for(path))
    }

    fn get(&self, names: &[Cow<'static, str>]) -> Result<Response<'static>, Fault<'static>> {
        if let Some(partial) = names.iter().find(|name| name.ends_with('.')) {
            let itself = || ParameterValueStruct::new(partial.clone(), "", XsdType::String);
            let parameters = match self.partial_paths {
                PartialPaths::Expanded => None,
                PartialPaths::Itself => Some(vec![itself()]),
                PartialPaths::Nothing => Some(Vec::new()),
                PartialPaths::Refused => return Err(self.about(9005, partial)),
            };
            if let Some(parameters) = parameters {
                return Ok(Response::GetParameterValues(ParameterValues { parameters }));
            }
        }
        let mut found = Vec::new();
        let names = if self.last_name_only { names.get(names.len() - 1..).unwrap_or(names) } else { names };
        for name in names {
            if let Some(code) = self.unreadable.get(name.as_ref()) {
                return Err(self.about(*code, name));
            }
            let below = name.ends_with('.');
            let matches = |path: &str| if below { path.starts_with(name.as_ref()) } else { path == name.as_ref() };
            if below && let Some((path, code)) = self.unreadable.iter().find(|(path, _)| matches(path)) {
                return Err(self.about(*code, path));
            }
            let before = found.len();
            found.extend(self.parameters.iter().filter(|(path, _)| matches(path)));
            if found.len() == before && !(below && self.objects.iter().any(|object| object.starts_with(name.as_ref())))
            {
                return Err(self.about(9005, name));
            }
        }
        if self.values_max.is_some_and(|most| found.len() > most) {
            return Err(self.about(9004, ""));
        }
        let parameters = found
            .into_iter()
            .filter(|(path, _)| !self.withheld.contains(*path))
            .map(|(path, (value, ty))| {
                let shown = self.masks.get(path).map_or_else(|| value.clone(), |mask| (*mask).to_owned());
                ParameterValueStruct::new(path.clone(), shown, *ty)
            })
            .collect();
        Ok(Response::GetParameterValues(ParameterValues { parameters }))
    }

    fn about(&self, code: u16, name: &str) -> Fault<'static> {
        let message = if self.names_the_name { format!("Invalid parameter {name}.") } else { String::new() };
        Fault { code: CpeFaultCode(code), message: message.into(), parameters: Vec::new() }
    }

    /// `NextLevel` is always 1 here.
    fn names(&self, path: &str) -> Result<Response<'static>, Fault<'static>> {
        if let Some(code) = self.unlistable.get(path).copied().flatten() {
            return Err(self.about(code, path));
        }
        let all = self.parameters.keys().chain(&self.objects).chain(self.unreadable.keys());
        let mut children = BTreeSet::new();
        let mut exists = self.objects.contains(path);
        for rest in all.filter_map(|name| name.strip_prefix(path)) {
            exists = true;
            if self.lists_leaves_only {
                children.extend((!rest.ends_with('.')).then(|| format!("{path}{rest}")));
            } else if let Some(child) = rest.split_inclusive('.').next() {
                children.insert(format!("{path}{child}"));
            }
        }
        if !exists {
            return Err(self.about(9005, path));
        }
        if self.names_max.is_some_and(|most| children.len() > most) {
            return Err(self.about(9004, path));
        }
        let parameters =
            children.into_iter().map(|name| ParameterInfoStruct { name: name.into(), writable: true }).collect();
        Ok(Response::GetParameterNames(ParameterNames { parameters }))
    }

    /// `NextLevel` 0.
    fn all_names(&self, path: &str) -> Result<Response<'static>, Fault<'static>> {
        if let Some((_, code)) = self.unlistable.iter().find(|(one, code)| one.starts_with(path) && code.is_some()) {
            return Err(self.about(code.unwrap_or(9002), path));
        }
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for name in self.parameters.keys().chain(&self.objects).filter(|name| name.starts_with(path)) {
            names.insert(name);
            names.extend(name.match_indices('.').map(|(dot, _)| &name[..=dot]).filter(|one| one.starts_with(path)));
        }
        if names.is_empty() {
            return Err(self.about(9005, path));
        }
        if self.names_max.is_some_and(|most| names.len() > most) {
            return Err(self.about(9004, path));
        }
        let names = names.into_iter().map(str::to_owned);
        let parameters = names.map(|name| ParameterInfoStruct { name: name.into(), writable: true }).collect();
        Ok(Response::GetParameterNames(ParameterNames { parameters }))
    }

    fn set(&mut self, write: &SetParameterValues<'static>) -> Result<Response<'static>, Fault<'static>> {
        let mut refused = Vec::new();
        for parameter in &write.parameters {
            let code = match self.parameters.get(parameter.name.as_ref()) {
                None => Some(9005),
                Some((_, ty)) if *ty != parameter.ty => Some(9006),
                Some(_) => self.unwritable.get(parameter.name.as_ref()).copied(),
            };
            refused.extend(code.map(|code| ParameterFault {
                name: parameter.name.clone(),
                code: CpeFaultCode(code),
                message: "".into(),
            }));
        }
        if let Some(first) = refused.first() {
            let code = if self.bare_faults { first.code } else { CpeFaultCode::INVALID_ARGUMENTS };
            let parameters = if self.bare_faults { Vec::new() } else { refused };
            return Err(Fault { code, message: "".into(), parameters });
        }
        self.writes += 1;
        for parameter in &write.parameters {
            let mut value = self.normalises.map_or_else(|| parameter.value.to_string(), |form| form(&parameter.value));
            if let Some((times, stored)) = self.stores.get_mut(parameter.name.as_ref())
                && *times > 0
            {
                *times -= 1;
                value = (*stored).to_owned();
            }
            self.parameters.insert(parameter.name.to_string(), (value, parameter.ty));
        }
        Ok(Response::SetParameterValues(Applied::Now))
    }

    fn get_attributes(&self, names: &[Cow<'static, str>]) -> Result<Response<'static>, Fault<'static>> {
        let below = |name: &str| {
            let meant = |path: &str| path == name || (name.ends_with('.') && path.starts_with(name));
            self.parameters.keys().filter(|path| meant(path)).cloned().collect::<Vec<String>>()
        };
        if let Some(unknown) = names.iter().find(|name| below(name).is_empty()) {
            return Err(self.about(9005, unknown));
        }
        let notification = |name: &str| self.attributes.get(name).copied().unwrap_or(0);
        let read = |name: String| ParameterAttributeStruct {
            notification: notification(&name),
            name: name.into(),
            access_list: Vec::new(),
        };
        let parameters = names.iter().flat_map(|name| below(name)).map(read).collect();
        Ok(Response::GetParameterAttributes(ParameterAttributes { parameters }))
    }

    fn set_attributes(&mut self, write: &SetParameterAttributes<'static>) -> Result<Response<'static>, Fault<'static>> {
        if let Some(refused) = write.parameters.iter().find(|it| self.unnotifiable.contains(it.name.as_ref())) {
            return Err(self.about(9009, &refused.name));
        }
        for parameter in write.parameters.iter().filter(|parameter| parameter.notification_change) {
            let name = parameter.name.as_ref();
            let is_meant = |path: &&String| *path == name || (name.ends_with('.') && path.starts_with(name));
            for path in self.parameters.keys().filter(is_meant) {
                self.attributes.insert(path.clone(), parameter.notification);
            }
        }
        Ok(Response::SetParameterAttributes)
    }

    pub(super) fn add(&mut self, table: &str) -> Result<Response<'static>, Fault<'static>> {
        let Some(next) = self.tables.get_mut(table) else { return Err(self.about(9005, table)) };
        let instance_number = *next;
        *next += 1;
        self.adds += 1;
        let row = format!("{table}{instance_number}.");
        for (leaf, value, ty) in &self.row {
            self.parameters.insert(format!("{row}{leaf}"), ((*value).to_owned(), *ty));
        }
        self.objects.insert(row);
        Ok(Response::AddObject(AddObjectResponse { instance_number, status: Applied::Now }))
    }

    fn delete(&mut self, row: &str) -> Result<Response<'static>, Fault<'static>> {
        if let Some(code) = self.unwritable.get(row) {
            return Err(self.about(*code, row));
        }
        if !self.objects.remove(row) {
            return Err(self.about(9005, row));
        }
        self.deletes += 1;
        self.parameters.retain(|path, _| !path.starts_with(row));
        Ok(Response::DeleteObject(Applied::Now))
    }
}
