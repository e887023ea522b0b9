//! The methods: which name means which, and where each is read and written.

mod deployment;
mod inform;
mod options;
mod parameters;
mod transfers;

use crate::cwmp::message::acs::{Reboot, ScheduleInform};
use crate::cwmp::message::{Method, Request, Response};

use super::DecodeError;
use super::reader::XmlReader;
use super::writer::XmlWriter;

/// What the element below the SOAP body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rpc {
    /// A call.
    Request(Method),
    /// An answer.
    Response(Method),
}

impl Rpc {
    /// Recognises the local name of a method element.
    pub(super) fn by_name(local: &str) -> Option<Self> {
        let find = |name: &str| Method::ALL.into_iter().find(|method| method.name() == name);
        match local.strip_suffix("Response") {
            Some(name) => find(name).map(Self::Response),
            None => find(local).map(Self::Request),
        }
    }
}

/// Reads the arguments of the call just opened.
pub(super) fn decode_request<'a>(xml: &mut XmlReader<'a, '_>, method: Method) -> Result<Request<'a>, DecodeError> {
    Ok(match method {
        Method::GetRpcMethods => without_arguments(xml, Request::GetRpcMethods)?,
        Method::SetParameterValues => Request::SetParameterValues(parameters::set_values(xml)?),
        Method::GetParameterValues => Request::GetParameterValues(parameters::get_values(xml)?),
        Method::GetParameterNames => Request::GetParameterNames(parameters::get_names(xml)?),
        Method::SetParameterAttributes => Request::SetParameterAttributes(parameters::set_attributes(xml)?),
        Method::GetParameterAttributes => Request::GetParameterAttributes(parameters::get_attributes(xml)?),
        Method::AddObject => Request::AddObject(parameters::add_object(xml)?),
        Method::DeleteObject => Request::DeleteObject(parameters::delete_object(xml)?),
        Method::Reboot => Request::Reboot(reboot(xml)?),
        Method::Download => Request::Download(transfers::download(xml)?),
        Method::Upload => Request::Upload(transfers::upload(xml)?),
        Method::FactoryReset => without_arguments(xml, Request::FactoryReset)?,
        Method::ScheduleInform => Request::ScheduleInform(schedule_inform(xml)?),
        Method::GetQueuedTransfers => without_arguments(xml, Request::GetQueuedTransfers)?,
        Method::GetAllQueuedTransfers => without_arguments(xml, Request::GetAllQueuedTransfers)?,
        Method::ScheduleDownload => Request::ScheduleDownload(transfers::schedule_download(xml)?),
        Method::CancelTransfer => Request::CancelTransfer(transfers::cancel(xml)?),
        Method::ChangeDuState => Request::ChangeDuState(deployment::change(xml)?),
        Method::SetVouchers => Request::SetVouchers(options::set_vouchers(xml)?),
        Method::GetOptions => Request::GetOptions(options::get(xml)?),
        Method::Inform => Request::Inform(inform::inform(xml)?),
        Method::TransferComplete => Request::TransferComplete(transfers::complete(xml)?),
        Method::AutonomousTransferComplete => Request::AutonomousTransferComplete(transfers::autonomous_complete(xml)?),
        Method::RequestDownload => Request::RequestDownload(transfers::request_download(xml)?),
        Method::Kicked => Request::Kicked(inform::kicked(xml)?),
        Method::DuStateChangeComplete => Request::DuStateChangeComplete(deployment::complete(xml)?),
        Method::AutonomousDuStateChangeComplete => {
            Request::AutonomousDuStateChangeComplete(deployment::autonomous_complete(xml)?)
        }
    })
}

/// Reads the arguments of the answer just opened.
pub(super) fn decode_response<'a>(xml: &mut XmlReader<'a, '_>, method: Method) -> Result<Response<'a>, DecodeError> {
    Ok(match method {
        Method::GetRpcMethods => Response::GetRpcMethods(parameters::method_list(xml)?),
        Method::SetParameterValues => Response::SetParameterValues(parameters::applied(xml)?),
        Method::GetParameterValues => Response::GetParameterValues(parameters::values(xml)?),
        Method::GetParameterNames => Response::GetParameterNames(parameters::names(xml)?),
        Method::SetParameterAttributes => without_arguments(xml, Response::SetParameterAttributes)?,
        Method::GetParameterAttributes => Response::GetParameterAttributes(parameters::attributes(xml)?),
        Method::AddObject => Response::AddObject(parameters::object_added(xml)?),
        Method::DeleteObject => Response::DeleteObject(parameters::applied(xml)?),
        Method::Reboot => without_arguments(xml, Response::Reboot)?,
        Method::Download => Response::Download(transfers::started(xml)?),
        Method::Upload => Response::Upload(transfers::started(xml)?),
        Method::FactoryReset => without_arguments(xml, Response::FactoryReset)?,
        Method::ScheduleInform => without_arguments(xml, Response::ScheduleInform)?,
        Method::GetQueuedTransfers => Response::GetQueuedTransfers(transfers::queued(xml)?),
        Method::GetAllQueuedTransfers => Response::GetAllQueuedTransfers(transfers::all_queued(xml)?),
        Method::ScheduleDownload => without_arguments(xml, Response::ScheduleDownload)?,
        Method::CancelTransfer => without_arguments(xml, Response::CancelTransfer)?,
        Method::ChangeDuState => without_arguments(xml, Response::ChangeDuState)?,
        Method::SetVouchers => without_arguments(xml, Response::SetVouchers)?,
        Method::GetOptions => Response::GetOptions(options::list(xml)?),
        // `MaxEnvelopes` is all it has, and that is 1 whatever it says.
        Method::Inform => without_arguments(xml, Response::Inform)?,
        Method::TransferComplete => without_arguments(xml, Response::TransferComplete)?,
        Method::AutonomousTransferComplete => without_arguments(xml, Response::AutonomousTransferComplete)?,
        Method::RequestDownload => without_arguments(xml, Response::RequestDownload)?,
        Method::Kicked => Response::Kicked(inform::kicked_response(xml)?),
        Method::DuStateChangeComplete => without_arguments(xml, Response::DuStateChangeComplete)?,
        Method::AutonomousDuStateChangeComplete => without_arguments(xml, Response::AutonomousDuStateChangeComplete)?,
    })
}

/// Writes a call.
pub(super) fn encode_request(xml: &mut XmlWriter<'_>, request: &Request<'_>) {
    method_element(xml, request.method(), "", |xml| match request {
        Request::GetRpcMethods
        | Request::FactoryReset
        | Request::GetQueuedTransfers
        | Request::GetAllQueuedTransfers => {}
        Request::SetParameterValues(it) => parameters::write_set_values(xml, it),
        Request::GetParameterValues(it) => xml.strings("ParameterNames", &it.names),
        Request::GetParameterNames(it) => parameters::write_get_names(xml, it),
        Request::SetParameterAttributes(it) => parameters::write_set_attributes(xml, it),
        Request::GetParameterAttributes(it) => xml.strings("ParameterNames", &it.names),
        Request::AddObject(it) => parameters::write_object(xml, &it.object_name, &it.parameter_key),
        Request::DeleteObject(it) => parameters::write_object(xml, &it.object_name, &it.parameter_key),
        Request::Reboot(it) => xml.text("CommandKey", &it.command_key),
        Request::Download(it) => transfers::write_download(xml, it),
        Request::Upload(it) => transfers::write_upload(xml, it),
        Request::ScheduleInform(it) => {
            xml.number("DelaySeconds", it.delay_secs);
            xml.text("CommandKey", &it.command_key);
        }
        Request::ScheduleDownload(it) => transfers::write_schedule_download(xml, it),
        Request::CancelTransfer(it) => xml.text("CommandKey", &it.command_key),
        Request::ChangeDuState(it) => deployment::write_change(xml, it),
        Request::SetVouchers(it) => options::write_set_vouchers(xml, it),
        Request::GetOptions(it) => xml.text("OptionName", &it.option_name),
        Request::Inform(it) => inform::write_inform(xml, it),
        Request::TransferComplete(it) => transfers::write_complete(xml, it),
        Request::AutonomousTransferComplete(it) => transfers::write_autonomous_complete(xml, it),
        Request::RequestDownload(it) => transfers::write_request_download(xml, it),
        Request::Kicked(it) => inform::write_kicked(xml, it),
        Request::DuStateChangeComplete(it) => deployment::write_complete(xml, it),
        Request::AutonomousDuStateChangeComplete(it) => deployment::write_autonomous_complete(xml, it),
    });
}

/// Writes an answer.
pub(super) fn encode_response(xml: &mut XmlWriter<'_>, response: &Response<'_>) {
    method_element(xml, response.method(), "Response", |xml| match response {
        Response::SetParameterAttributes
        | Response::Reboot
        | Response::FactoryReset
        | Response::ScheduleInform
        | Response::ScheduleDownload
        | Response::CancelTransfer
        | Response::ChangeDuState
        | Response::SetVouchers
        | Response::TransferComplete
        | Response::AutonomousTransferComplete
        | Response::RequestDownload
        | Response::DuStateChangeComplete
        | Response::AutonomousDuStateChangeComplete => {}
        Response::GetRpcMethods(it) => xml.strings("MethodList", &it.methods),
        Response::SetParameterValues(status) | Response::DeleteObject(status) => xml.status(*status),
        Response::GetParameterValues(it) => xml.parameter_values(&it.parameters),
        Response::GetParameterNames(it) => parameters::write_names(xml, it),
        Response::GetParameterAttributes(it) => parameters::write_attributes(xml, it),
        Response::AddObject(it) => {
            xml.number("InstanceNumber", it.instance_number);
            xml.status(it.status);
        }
        Response::Download(it) | Response::Upload(it) => transfers::write_started(xml, it),
        Response::GetQueuedTransfers(it) => transfers::write_queued(xml, it),
        Response::GetAllQueuedTransfers(it) => transfers::write_all_queued(xml, it),
        Response::GetOptions(it) => options::write_list(xml, it),
        Response::Inform => xml.text("MaxEnvelopes", "1"),
        Response::Kicked(it) => xml.text("NextURL", &it.next_url),
    });
}

/// `<cwmp:Method>` or `<cwmp:MethodResponse>`, qualified, around unqualified arguments. The prefix is always `cwmp`.
fn method_element(xml: &mut XmlWriter<'_>, method: Method, suffix: &str, content: impl FnOnce(&mut XmlWriter<'_>)) {
    for piece in ["<cwmp:", method.name(), suffix, ">"] {
        xml.raw(piece);
    }
    content(xml);
    for piece in ["</cwmp:", method.name(), suffix, ">"] {
        xml.raw(piece);
    }
}

/// Passes over whatever a message without arguments holds.
fn without_arguments<T>(xml: &mut XmlReader<'_, '_>, message: T) -> Result<T, DecodeError> {
    xml.skip().map(|()| message)
}

fn reboot<'a>(xml: &mut XmlReader<'a, '_>) -> Result<Reboot<'a>, DecodeError> {
    let mut it = Reboot::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "CommandKey" => it.command_key = xml.trimmed()?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

fn schedule_inform<'a>(xml: &mut XmlReader<'a, '_>) -> Result<ScheduleInform<'a>, DecodeError> {
    let mut it = ScheduleInform::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "DelaySeconds" => it.delay_secs = xml.number_or_zero()?,
            "CommandKey" => it.command_key = xml.trimmed()?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}
