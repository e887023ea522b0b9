//! The transfers of the small device: it takes orders into a queue, and is told by tests what becomes of them.

use std::borrow::Cow;

use crate::cwmp::fault::CpeFaultCode;
use crate::cwmp::message::acs::{
    AllQueuedTransferStruct, AllQueuedTransfers, Applied, MethodList, QueuedTransferStruct, QueuedTransfers,
    TransferStarted,
};
use crate::cwmp::message::cpe::TransferComplete;
use crate::cwmp::message::{Fault, FaultStruct, Request, Response};

/// What a device can say of its queue.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tells {
    /// `GetAllQueuedTransfers`.
    #[default]
    All,
    /// `GetQueuedTransfers`.
    Some,
    /// Neither.
    Nothing,
    /// Not even which methods it has.
    NoMethods,
}

#[derive(Debug, Default)]
pub(super) struct Transfers {
    /// Keys of orders that are not over.
    pub(super) queue: Vec<String>,
    /// Orders taken in all.
    pub(super) taken: u32,
    pub(super) tells: Tells,
    /// What orders are answered with.
    pub(super) done_at_once: bool,
    /// It lists its queue without keys.
    pub(super) loses_keys: bool,
    /// The methods that it lists, where these are not those that it has.
    pub(super) lists: Option<Vec<&'static str>>,
}

impl Transfers {
    pub(super) fn serve(&mut self, request: &Request<'static>) -> Result<Response<'static>, Fault<'static>> {
        match request {
            Request::Download(download) => {
                assert!(download.url.chars().count() <= 256);
                self.order(&download.command_key);
                Ok(Response::Download(self.started()))
            }
            Request::ScheduleDownload(download) => {
                assert!((1..=2).contains(&download.windows.len()));
                self.order(&download.command_key);
                Ok(Response::ScheduleDownload)
            }
            Request::Upload(upload) => {
                self.order(&upload.command_key);
                Ok(Response::Upload(self.started()))
            }
            Request::GetRpcMethods if self.tells != Tells::NoMethods => Ok(Response::GetRpcMethods(self.methods())),
            Request::GetAllQueuedTransfers if self.tells == Tells::All => {
                let listed = |key: &String| AllQueuedTransferStruct {
                    command_key: self.listed(key),
                    state: 1,
                    is_download: true,
                    ..AllQueuedTransferStruct::default()
                };
                let transfers = self.queue.iter().map(listed).collect();
                Ok(Response::GetAllQueuedTransfers(AllQueuedTransfers { transfers }))
            }
            Request::GetQueuedTransfers if self.tells == Tells::Some => {
                let listed = |key: &String| QueuedTransferStruct { command_key: self.listed(key), state: 1 };
                let transfers = self.queue.iter().map(listed).collect();
                Ok(Response::GetQueuedTransfers(QueuedTransfers { transfers }))
            }
            _ => Err(Fault { code: CpeFaultCode(9000), message: "".into(), parameters: Vec::new() }),
        }
    }

    fn listed(&self, key: &str) -> Cow<'static, str> {
        if self.loses_keys { Cow::Borrowed("") } else { Cow::Owned(key.to_owned()) }
    }

    fn order(&mut self, key: &str) {
        assert!((1..=32).contains(&key.chars().count()), "{key}");
        assert!(self.queue.is_empty(), "{key} while {:?} is underway", self.queue);
        self.taken += 1;
        if !self.done_at_once {
            self.queue.push(key.to_owned());
        }
    }

    fn started(&self) -> TransferStarted<'static> {
        let status = if self.done_at_once { Applied::Now } else { Applied::Later };
        TransferStarted { status, ..TransferStarted::default() }
    }

    /// The methods that it says it has.
    pub(super) fn names(&self) -> Vec<&'static str> {
        if let Some(names) = &self.lists {
            return names.clone();
        }
        let queue = match self.tells {
            Tells::All => "GetAllQueuedTransfers",
            Tells::Some => "GetQueuedTransfers",
            Tells::Nothing | Tells::NoMethods => "Reboot",
        };
        vec!["GetParameterValues", "Download", "ScheduleDownload", "Upload", queue]
    }

    fn methods(&self) -> MethodList<'static> {
        MethodList { methods: self.names().into_iter().map(Cow::Borrowed).collect() }
    }

    /// The transfer underway is over: what the device says of it.
    pub(super) fn finish(&mut self, fault: u16) -> Request<'static> {
        complete(&self.queue.pop().expect("a transfer is underway"), fault)
    }
}

/// A `TransferComplete`.
pub(super) fn complete(key: &str, fault: u16) -> Request<'static> {
    Request::TransferComplete(TransferComplete {
        command_key: Cow::Owned(key.to_owned()),
        fault: FaultStruct { code: fault, message: "".into() },
        ..TransferComplete::default()
    })
}
