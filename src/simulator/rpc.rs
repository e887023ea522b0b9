//! The RPCs that a CPE serves: one request in, one response or fault out.

mod control;
mod parameters;

use tokio::time::Instant;

use super::deployment;
use super::envelope::{CpeFault, Style, Writer};
use super::report::ServedRpc;
use super::schema;
use super::state::State;
use super::xml::Element;

/// What a request is answered with.
#[derive(Debug)]
pub(super) struct Answer {
    /// The child of the SOAP body: a response or a fault.
    pub(super) body: String,
    pub(super) served: ServedRpc,
}

/// Executes a request and makes its answer.
pub(super) fn serve(state: &mut State, style: &Style, request: &Element<'_>, now: Instant) -> Answer {
    let arguments = summary(request);
    let faulty = state.config.fault_paths.iter().find(|fault| {
        let is_below =
            |named: &str| named == fault.path || (fault.path.ends_with('.') && named.starts_with(&fault.path));
        arguments
            .iter()
            .any(|named| is_below(named) || (named.ends_with('.') && fault.path.starts_with(named.as_str())))
    });
    let result = match faulty.cloned() {
        // A chosen fault stands where the real ones do: per parameter in SetParameterValues.
        Some(fault) if request.local == "SetParameterValues" => {
            let parameters = arguments.iter().filter(|named| named.starts_with(&fault.path));
            Err(CpeFault { code: 9003, parameters: parameters.map(|named| (named.clone(), fault.code)).collect() })
        }
        Some(fault) => Err(CpeFault::new(fault.code)),
        None => dispatch(state, style, request, now),
    };
    let (body, fault) = match result {
        Ok(body) => (body, None),
        Err(fault) => (style.fault(&fault), Some(fault.code)),
    };
    Answer { body, served: ServedRpc { method: request.local.to_owned(), arguments, fault } }
}

fn dispatch(state: &mut State, style: &Style, request: &Element<'_>, now: Instant) -> Result<String, CpeFault> {
    let version = state.config.version;
    let Some(method) = schema::methods(version).find(|method| *method == request.local) else {
        return Err(CpeFault::new(9000));
    };
    let empty = |_: &mut Writer| {};
    match method {
        "GetRPCMethods" => {
            let methods: Vec<&str> = schema::methods(version).collect();
            Ok(style.message("GetRPCMethodsResponse", |writer| {
                writer.array("MethodList", "xsd:string", methods.len(), |writer| {
                    for method in &methods {
                        writer.leaf("string", method);
                    }
                });
            }))
        }
        "SetParameterValues" => {
            parameters::set_values(state, request, now)?;
            Ok(style.message("SetParameterValuesResponse", |writer| writer.leaf("Status", "0")))
        }
        "GetParameterValues" => parameters::get_values(state, style, request),
        "GetParameterNames" => parameters::get_names(state, style, request),
        "SetParameterAttributes" => {
            parameters::set_attributes(state, request)?;
            Ok(style.message("SetParameterAttributesResponse", empty))
        }
        "GetParameterAttributes" => parameters::get_attributes(state, style, request),
        "AddObject" => {
            let number = parameters::add_object(state, request)?;
            Ok(style.message("AddObjectResponse", |writer| {
                writer.leaf("InstanceNumber", &number.to_string());
                writer.leaf("Status", "0");
            }))
        }
        "DeleteObject" => {
            parameters::delete_object(state, request)?;
            Ok(style.message("DeleteObjectResponse", |writer| writer.leaf("Status", "0")))
        }
        "Reboot" => {
            state.after_session.reboot.push(control::command_key(request)?);
            Ok(style.message("RebootResponse", empty))
        }
        "FactoryReset" => {
            state.after_session.factory_reset = true;
            Ok(style.message("FactoryResetResponse", empty))
        }
        "ScheduleInform" => {
            control::schedule_inform(state, request, now)?;
            Ok(style.message("ScheduleInformResponse", empty))
        }
        "Download" | "Upload" => {
            control::transfer(state, request, now)?;
            let name = if method == "Download" { "DownloadResponse" } else { "UploadResponse" };
            Ok(style.message(name, |writer| {
                writer.leaf("Status", "1");
                writer.leaf("StartTime", super::transfer::UNKNOWN_TIME);
                writer.leaf("CompleteTime", super::transfer::UNKNOWN_TIME);
            }))
        }
        "ScheduleDownload" => {
            control::transfer(state, request, now)?;
            Ok(style.message("ScheduleDownloadResponse", empty))
        }
        "CancelTransfer" => {
            control::cancel_transfer(state, request)?;
            Ok(style.message("CancelTransferResponse", empty))
        }
        "GetQueuedTransfers" => Ok(control::queued_transfers(state, style)),
        "GetAllQueuedTransfers" => Ok(control::all_queued_transfers(state, style)),
        "ChangeDUState" => {
            deployment::change_state(state, request)?;
            Ok(style.message("ChangeDUStateResponse", empty))
        }
        "SetVouchers" => Ok(style.message("SetVouchersResponse", empty)),
        "GetOptions" => Ok(style.message("GetOptionsResponse", |writer| {
            writer.array("OptionList", "cwmp:OptionStruct", 0, |_| {});
        })),
        _ => Err(CpeFault::new(9000)),
    }
}

/// What a request names: its paths, or its command key.
fn summary(request: &Element<'_>) -> Vec<String> {
    let mut named = Vec::new();
    for list in request.children.iter().filter(|child| matches!(child.local, "ParameterList" | "ParameterNames")) {
        for item in &list.children {
            let text = if item.local == "string" { &*item.text } else { item.child_text("Name") };
            named.push(text.to_owned());
        }
    }
    for single in ["ObjectName", "ParameterPath", "CommandKey"] {
        if let Some(child) = request.child(single) {
            named.push(child.text.clone().into_owned());
        }
    }
    named
}
