//! A session as a ladder: a line per message, who said what to whom, and in short what about.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::layout::{indented, printable};
use super::{Direction, Message, Session};
use crate::cwmp::codec::{self, Limits};
use crate::cwmp::fault::CpeFaultCode;
use crate::cwmp::message::acs::Applied;
use crate::cwmp::message::{Body, Fault, Request, Response};

/// Characters of a summary.
const SUMMARY_MAX: usize = 96;

/// Prints a session.
pub(super) fn write(session: &Session, with_xml: bool, out: &mut (dyn Write + Send)) -> io::Result<()> {
    let Session { id, started_at, address, outcome, .. } = session;
    let events: Vec<_> = session.events.iter().map(|event| printable(event)).collect();
    let events = if events.is_empty() { "no event".to_owned() } else { events.join(", ") };
    let lasted = session.messages.last().map_or(0, |message| message.offset_ms);
    writeln!(out, "Session {id}  {started_at}  {address}  {events}  {outcome} after {}", seconds(lasted))?;
    writeln!(out)?;
    for message in &session.messages {
        let line = line(message);
        writeln!(out, "{}", line.trim_end())?;
        if with_xml {
            for line in indented(&message.xml) {
                writeln!(out, "                  {line}")?;
            }
        }
    }
    if session.omitted > 0 {
        writeln!(out, "           and {} more, which were not kept", session.omitted)?;
    }
    writeln!(out)
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03} s", ms / 1000, ms % 1000)
}

fn line(message: &Message) -> String {
    let arrow = match message.direction {
        Direction::In => "CPE ──▶ ACS",
        Direction::Out => "CPE ◀── ACS",
    };
    let said = match (message.rpc.as_str(), message.direction, message.status) {
        ("", Direction::In, _) if message.note.is_empty() => "(empty)".to_owned(),
        ("", Direction::In, _) => "(unreadable)".to_owned(),
        ("", Direction::Out, Some(status)) => format!("({status})"),
        ("", Direction::Out, None) => "(nothing)".to_owned(),
        (rpc, _, _) => printable(rpc).into_owned(),
    };
    let mut summary = summary(&message.xml);
    if !message.note.is_empty() {
        let gap = if summary.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _infallible = write!(summary, "{gap}[{}]", message.note);
    }
    let mut shown: String = printable(&summary).chars().take(SUMMARY_MAX).collect();
    if shown.len() < printable(&summary).len() {
        shown.push('…');
    }
    format!("{:>11}  {arrow}  {said:<30}  {shown}", seconds(message.offset_ms))
}

/// What an envelope is about, in a few words.
fn summary(xml: &str) -> String {
    if xml.is_empty() {
        return String::new();
    }
    match codec::decode(xml, &Limits::default()) {
        Ok(envelope) => match &envelope.body {
            Body::Request(request) => of_request(request),
            Body::Response(response) => of_response(response),
            Body::Fault(fault) => of_fault(fault),
            Body::Empty => "an empty envelope".to_owned(),
            Body::Unknown(_) => "no CWMP version has this method".to_owned(),
        },
        // Cut, as its note says.
        Err(_) => String::new(),
    }
}

/// The only name, or how many there are.
fn names<'n>(mut names: impl ExactSizeIterator<Item = &'n str>, what: &str) -> String {
    match (names.len(), names.next()) {
        (1, Some(name)) => name.to_owned(),
        (count, _) => format!("{count} {what}"),
    }
}

fn of_request(request: &Request<'_>) -> String {
    match request {
        Request::Inform(inform) => {
            let id = &inform.device_id;
            let retry = if inform.retry_count > 0 { format!(", retry {}", inform.retry_count) } else { String::new() };
            format!(
                "{} {} {}, {} parameters{retry}",
                id.oui,
                id.product_class,
                id.serial_number,
                inform.parameters.len()
            )
        }
        Request::SetParameterValues(set) => match set.parameters.as_slice() {
            [only] => format!("{} = {}", only.name, only.value),
            all => format!("{} parameters", all.len()),
        },
        Request::GetParameterValues(get) => names(get.names.iter().map(|name| &**name), "names"),
        Request::GetParameterNames(get) => {
            let depth = if get.next_level { "next level" } else { "all below" };
            format!("{} {depth}", if get.path.is_empty() { "the root," } else { &get.path })
        }
        Request::SetParameterAttributes(set) => names(set.parameters.iter().map(|one| &*one.name), "parameters"),
        Request::GetParameterAttributes(get) => names(get.names.iter().map(|name| &**name), "names"),
        Request::AddObject(add) => add.object_name.to_string(),
        Request::DeleteObject(delete) => delete.object_name.to_string(),
        Request::Reboot(reboot) => reboot.command_key.to_string(),
        Request::Download(download) => format!("{} from {}", download.file_type, download.url),
        Request::Upload(upload) => format!("{} to {}", upload.file_type, upload.url),
        Request::ScheduleDownload(download) => format!("{} from {}", download.file_type, download.url),
        Request::ScheduleInform(schedule) => format!("in {} s", schedule.delay_secs),
        Request::CancelTransfer(cancel) => cancel.command_key.to_string(),
        Request::ChangeDuState(change) => format!("{} operations", change.operations.len()),
        Request::GetOptions(get) => get.option_name.to_string(),
        Request::SetVouchers(set) => format!("{} vouchers", set.vouchers.len()),
        Request::TransferComplete(complete) => {
            format!("{} {}", complete.command_key, of_transfer(complete.fault.code, &complete.fault.message))
        }
        Request::AutonomousTransferComplete(complete) => {
            format!("{} {}", complete.file_type, of_transfer(complete.fault.code, &complete.fault.message))
        }
        Request::RequestDownload(wanted) => wanted.file_type.to_string(),
        Request::Kicked(kicked) => kicked.command.to_string(),
        Request::DuStateChangeComplete(complete) => format!("{} results", complete.results.len()),
        Request::AutonomousDuStateChangeComplete(complete) => format!("{} results", complete.results.len()),
        Request::GetRpcMethods
        | Request::FactoryReset
        | Request::GetQueuedTransfers
        | Request::GetAllQueuedTransfers => String::new(),
    }
}

fn of_transfer(code: u16, message: &str) -> String {
    if code == 0 { "done".to_owned() } else { format!("fault {code} {message}") }
}

fn of_response(response: &Response<'_>) -> String {
    match response {
        Response::GetRpcMethods(list) => format!("{} methods", list.methods.len()),
        Response::SetParameterValues(applied) | Response::DeleteObject(applied) => of_applied(*applied).to_owned(),
        Response::GetParameterValues(values) => match values.parameters.as_slice() {
            [only] => format!("{} = {}", only.name, only.value),
            all => format!("{} parameters", all.len()),
        },
        Response::GetParameterNames(list) => names(list.parameters.iter().map(|one| &*one.name), "names"),
        Response::GetParameterAttributes(list) => names(list.parameters.iter().map(|one| &*one.name), "parameters"),
        Response::AddObject(added) => format!("instance {}, {}", added.instance_number, of_applied(added.status)),
        Response::Download(started) | Response::Upload(started) => of_applied(started.status).to_owned(),
        Response::GetQueuedTransfers(list) => format!("{} transfers", list.transfers.len()),
        Response::GetAllQueuedTransfers(list) => format!("{} transfers", list.transfers.len()),
        Response::GetOptions(list) => format!("{} options", list.options.len()),
        Response::Kicked(kicked) => kicked.next_url.to_string(),
        Response::SetParameterAttributes
        | Response::Reboot
        | Response::FactoryReset
        | Response::ScheduleInform
        | Response::ScheduleDownload
        | Response::CancelTransfer
        | Response::ChangeDuState
        | Response::SetVouchers
        | Response::Inform
        | Response::TransferComplete
        | Response::AutonomousTransferComplete
        | Response::RequestDownload
        | Response::DuStateChangeComplete
        | Response::AutonomousDuStateChangeComplete => String::new(),
    }
}

const fn of_applied(applied: Applied) -> &'static str {
    match applied {
        Applied::Now => "done",
        Applied::Later => "done later",
    }
}

fn of_fault(fault: &Fault<'_>) -> String {
    let mut words = format!("{} {}", fault.code.0, fault.message);
    for parameter in &fault.parameters {
        let CpeFaultCode(code) = parameter.code;
        let _infallible = write!(words, "; {} {code} {}", parameter.name, parameter.message);
    }
    words.trim_end().to_owned()
}
