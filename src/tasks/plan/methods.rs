//! Which methods the device has, before one is called that it may lack: some agents exit on a method that they do not know
//! (quirk 71).

use crate::cwmp::message::{Method, Response};
use crate::cwmp::session::Answer;
use crate::model::call::{RpcMethods, is_mandatory};
use crate::model::transaction::TransactionFault;

use super::{Context, Desk, faults};

/// From this attempt on the device is not asked for its methods any more: so far the session broke off each time.
const ASK_UNTIL_ATTEMPT: u32 = 2;

/// Whether a method may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The device says that it has it, or every device has to have it.
    Has,
    /// The device says that it does not, and need not.
    Lacks,
    /// It is not known, and not every device has it: the device is to be asked first.
    Unasked,
}

/// Whether `method` may be called.
pub(super) fn standing(desk: &Desk<'_>, cx: &Context<'_>, method: Method) -> Standing {
    match known(desk, cx) {
        Some(methods) if methods.has(method) => Standing::Has,
        // Agents list less than they have: of what every device has to have, its own 9000 decides.
        _ if is_mandatory(method) => Standing::Has,
        Some(_) => Standing::Lacks,
        None if desk.transaction.attempts > ASK_UNTIL_ATTEMPT => Standing::Has,
        None => Standing::Unasked,
    }
}

/// Which methods the device has, if that is known of what it runs now.
pub(super) fn known<'m>(desk: &'m Desk<'_>, cx: &'m Context<'_>) -> Option<&'m RpcMethods> {
    let remembered = || cx.methods.filter(|methods| *methods.software_version == *cx.software_version);
    desk.methods.as_ref().or_else(remembered)
}

/// Takes in the answer to `GetRPCMethods`. `None`: it says nothing; a device that does not know its own methods is called all
/// the same.
pub(super) fn take_in<'d>(desk: &'d mut Desk<'_>, cx: &Context<'_>, answer: &Answer<'_>) -> Option<&'d RpcMethods> {
    let Answer::Response(Response::GetRpcMethods(list)) = answer else { return None };
    let names = list.methods.iter().map(AsRef::as_ref);
    if let Some(methods) = RpcMethods::read(names, cx.software_version, cx.now) {
        *desk.methods = Some(methods);
        return desk.methods.as_ref();
    }
    None
}

/// What a transaction fails with whose method the device lacks.
pub(super) fn lacks(method: Method) -> TransactionFault {
    faults::own(format!("the device does not have {}", method.name()))
}
