//! What the answers to calls that read come to.

use crate::cwmp::message::Response;
use crate::cwmp::message::acs::{AllQueuedTransfers, MethodList, OptionList, ParameterNames, QueuedTransfers};
use crate::model::call::results::{ResultList, Writer};
use crate::model::call::{Call, RpcMethods};
use crate::model::device::ParameterPatch;
use crate::model::transaction::VariableResult;

use super::super::{Context, Desk, Ending, Step};

/// Most methods that are shown of a list.
const METHODS_MAX: usize = 256;

/// Takes in the answer; `None`: it is none to this call.
pub(super) fn take_in(call: &Call, response: &Response<'_>, desk: &mut Desk<'_>, cx: &Context<'_>) -> Option<Step> {
    let mut note = None;
    match (call, response) {
        (Call::GetRpcMethods, Response::GetRpcMethods(list)) => {
            let names = list.methods.iter().map(AsRef::as_ref);
            *desk.methods = RpcMethods::read(names, cx.software_version, cx.now);
            if desk.methods.is_none() {
                note = Some("the list cannot be right, and is not remembered".to_owned());
            }
            methods(list, desk.results);
        }
        (Call::GetParameterNames { path }, Response::GetParameterNames(names)) => {
            for info in names.parameters.iter().filter(|info| is_below(path.as_str(), &info.name)) {
                let (path, writable) = (info.name.trim().into(), Some(info.writable));
                desk.learned.learn.push(ParameterPatch { path, value: None, writable, notification: None });
            }
            parameters(names, desk.results);
        }
        (Call::GetQueuedTransfers, Response::GetQueuedTransfers(queue)) => queued(queue, desk.results),
        (Call::GetAllQueuedTransfers, Response::GetAllQueuedTransfers(queue)) => all_queued(queue, desk.results),
        (Call::GetOptions { .. }, Response::GetOptions(list)) => options(list, desk.results),
        _ => return None,
    }
    Some(Step::End(Ending::Completed { note }))
}

fn is_below(path: &str, name: &str) -> bool {
    name.trim().strip_prefix(path).is_some_and(|rest| !rest.is_empty())
}

fn methods(list: &MethodList<'_>, results: &mut Vec<VariableResult>) {
    let mut writer = Writer::new(ResultList::Methods, results);
    for method in list.methods.iter().take(METHODS_MAX) {
        if writer.begin() {
            writer.item(method.trim());
        }
    }
}

fn parameters(names: &ParameterNames<'_>, results: &mut Vec<VariableResult>) {
    let mut writer = Writer::new(ResultList::Parameters, results);
    for info in &names.parameters {
        if writer.begin() {
            writer.text("Name", info.name.trim());
            writer.boolean("Writable", info.writable);
        }
    }
}

fn queued(queue: &QueuedTransfers<'_>, results: &mut Vec<VariableResult>) {
    let mut writer = Writer::new(ResultList::Transfers, results);
    for transfer in &queue.transfers {
        if writer.begin() {
            writer.text("CommandKey", &transfer.command_key);
            writer.number("State", transfer.state);
        }
    }
}

fn all_queued(queue: &AllQueuedTransfers<'_>, results: &mut Vec<VariableResult>) {
    let mut writer = Writer::new(ResultList::Transfers, results);
    for transfer in &queue.transfers {
        if writer.begin() {
            writer.text("CommandKey", &transfer.command_key);
            writer.number("State", transfer.state);
            writer.boolean("IsDownload", transfer.is_download);
            writer.text("FileType", &transfer.file_type);
            writer.number("FileSize", transfer.file_size);
            writer.text("TargetFileName", &transfer.target_file_name);
        }
    }
}

fn options(list: &OptionList<'_>, results: &mut Vec<VariableResult>) {
    let mut writer = Writer::new(ResultList::Options, results);
    for option in &list.options {
        if writer.begin() {
            writer.text("OptionName", &option.option_name);
            writer.number("VoucherSN", option.voucher_sn);
            writer.number("State", option.state);
            writer.number("Mode", option.mode);
            writer.text("StartDate", &option.start_date);
            if let Some(date) = &option.expiration_date {
                writer.text("ExpirationDate", date);
            }
            writer.boolean("IsTransferable", option.is_transferable);
        }
    }
}
