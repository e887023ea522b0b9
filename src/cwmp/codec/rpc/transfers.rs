//! File transfers: the calls that start them (TR-069 A.3.2.8, A.4.1.5, A.4.1.8), look after them (A.4.1.1, A.4.1.7,
//! A.4.1.9) and report on them (A.3.3.2, A.3.3.3, A.4.2.2).

use crate::cwmp::codec::reader::XmlReader;
use crate::cwmp::codec::writer::XmlWriter;
use crate::cwmp::codec::{DecodeError, fault};
use crate::cwmp::message::Text;
use crate::cwmp::message::acs::{
    AllQueuedTransferStruct, AllQueuedTransfers, CancelTransfer, Download, QueuedTransferStruct, QueuedTransfers,
    ScheduleDownload, TimeWindowStruct, TransferStarted, Upload,
};
use crate::cwmp::message::cpe::{AutonomousTransferComplete, RequestDownload, TransferComplete};

pub(super) fn download<'a>(xml: &mut XmlReader<'a, '_>) -> Result<Download<'a>, DecodeError> {
    let mut it = Download::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "CommandKey" => it.command_key = xml.trimmed()?,
            "FileType" => it.file_type = xml.trimmed()?,
            "URL" => it.url = xml.trimmed()?,
            "Username" => it.username = xml.text()?,
            "Password" => it.password = xml.text()?,
            "FileSize" => it.file_size = xml.number_or_zero()?,
            "TargetFileName" => it.target_file_name = xml.trimmed()?,
            "DelaySeconds" => it.delay_secs = xml.number_or_zero()?,
            "SuccessURL" => it.success_url = xml.trimmed()?,
            "FailureURL" => it.failure_url = xml.trimmed()?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

pub(super) fn write_download(xml: &mut XmlWriter<'_>, it: &Download<'_>) {
    xml.text("CommandKey", &it.command_key);
    xml.text("FileType", &it.file_type);
    xml.text("URL", &it.url);
    xml.text("Username", &it.username);
    xml.text("Password", &it.password);
    xml.number("FileSize", it.file_size);
    xml.text("TargetFileName", &it.target_file_name);
    xml.number("DelaySeconds", it.delay_secs);
    xml.text("SuccessURL", &it.success_url);
    xml.text("FailureURL", &it.failure_url);
}

pub(super) fn upload<'a>(xml: &mut XmlReader<'a, '_>) -> Result<Upload<'a>, DecodeError> {
    let mut it = Upload::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "CommandKey" => it.command_key = xml.trimmed()?,
            "FileType" => it.file_type = xml.trimmed()?,
            "URL" => it.url = xml.trimmed()?,
            "Username" => it.username = xml.text()?,
            "Password" => it.password = xml.text()?,
            "DelaySeconds" => it.delay_secs = xml.number_or_zero()?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

pub(super) fn write_upload(xml: &mut XmlWriter<'_>, it: &Upload<'_>) {
    xml.text("CommandKey", &it.command_key);
    xml.text("FileType", &it.file_type);
    xml.text("URL", &it.url);
    xml.text("Username", &it.username);
    xml.text("Password", &it.password);
    xml.number("DelaySeconds", it.delay_secs);
}

/// `DownloadResponse` and `UploadResponse`.
pub(super) fn started<'a>(xml: &mut XmlReader<'a, '_>) -> Result<TransferStarted<'a>, DecodeError> {
    let mut it = TransferStarted::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "Status" => it.status = xml.status()?,
            "StartTime" => it.start_time = xml.trimmed()?,
            "CompleteTime" => it.complete_time = xml.trimmed()?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

pub(super) fn write_started(xml: &mut XmlWriter<'_>, it: &TransferStarted<'_>) {
    xml.status(it.status);
    xml.text("StartTime", &it.start_time);
    xml.text("CompleteTime", &it.complete_time);
}

pub(super) fn schedule_download<'a>(xml: &mut XmlReader<'a, '_>) -> Result<ScheduleDownload<'a>, DecodeError> {
    let mut it = ScheduleDownload::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "CommandKey" => it.command_key = xml.trimmed()?,
            "FileType" => it.file_type = xml.trimmed()?,
            "URL" => it.url = xml.trimmed()?,
            "Username" => it.username = xml.text()?,
            "Password" => it.password = xml.text()?,
            "FileSize" => it.file_size = xml.number_or_zero()?,
            "TargetFileName" => it.target_file_name = xml.trimmed()?,
            "TimeWindowList" => {
                while xml.child()?.is_some() {
                    let window = time_window(xml)?;
                    xml.push(&mut it.windows, window)?;
                }
            }
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

fn time_window<'a>(xml: &mut XmlReader<'a, '_>) -> Result<TimeWindowStruct<'a>, DecodeError> {
    let mut it = TimeWindowStruct::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "WindowStart" => it.start_secs = xml.number_or_zero()?,
            "WindowEnd" => it.end_secs = xml.number_or_zero()?,
            "WindowMode" => it.mode = xml.trimmed()?,
            "UserMessage" => it.user_message = xml.trimmed()?,
            "MaxRetries" => it.max_retries = xml.signed()?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

pub(super) fn write_schedule_download(xml: &mut XmlWriter<'_>, it: &ScheduleDownload<'_>) {
    xml.text("CommandKey", &it.command_key);
    xml.text("FileType", &it.file_type);
    xml.text("URL", &it.url);
    xml.text("Username", &it.username);
    xml.text("Password", &it.password);
    xml.number("FileSize", it.file_size);
    xml.text("TargetFileName", &it.target_file_name);
    xml.array("TimeWindowList", "cwmp:TimeWindowStruct", &it.windows, |xml, window| {
        xml.element("TimeWindowStruct", |xml| {
            xml.number("WindowStart", window.start_secs);
            xml.number("WindowEnd", window.end_secs);
            xml.text("WindowMode", &window.mode);
            xml.text("UserMessage", &window.user_message);
            xml.number("MaxRetries", window.max_retries);
        });
    });
}

pub(super) fn cancel<'a>(xml: &mut XmlReader<'a, '_>) -> Result<CancelTransfer<'a>, DecodeError> {
    let mut it = CancelTransfer::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "CommandKey" => it.command_key = xml.trimmed()?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

pub(super) fn queued<'a>(xml: &mut XmlReader<'a, '_>) -> Result<QueuedTransfers<'a>, DecodeError> {
    let list = all_queued(xml)?;
    let short = |transfer: AllQueuedTransferStruct<'a>| QueuedTransferStruct {
        command_key: transfer.command_key,
        state: transfer.state,
    };
    Ok(QueuedTransfers { transfers: list.transfers.into_iter().map(short).collect() })
}

pub(super) fn write_queued(xml: &mut XmlWriter<'_>, it: &QueuedTransfers<'_>) {
    xml.array("TransferList", "cwmp:QueuedTransferStruct", &it.transfers, |xml, transfer| {
        xml.element("QueuedTransferStruct", |xml| {
            xml.text("CommandKey", &transfer.command_key);
            xml.number("State", transfer.state);
        });
    });
}

pub(super) fn all_queued<'a>(xml: &mut XmlReader<'a, '_>) -> Result<AllQueuedTransfers<'a>, DecodeError> {
    let mut transfers = Vec::new();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "TransferList" => {
                while xml.child()?.is_some() {
                    let transfer = all_queued_struct(xml)?;
                    xml.push(&mut transfers, transfer)?;
                }
            }
            _ => xml.skip()?,
        }
    }
    Ok(AllQueuedTransfers { transfers })
}

fn all_queued_struct<'a>(xml: &mut XmlReader<'a, '_>) -> Result<AllQueuedTransferStruct<'a>, DecodeError> {
    let mut it = AllQueuedTransferStruct::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "CommandKey" => it.command_key = xml.trimmed()?,
            "State" => it.state = xml.small_number()?,
            "IsDownload" => it.is_download = xml.boolean()?,
            "FileType" => it.file_type = xml.trimmed()?,
            "FileSize" => it.file_size = xml.number_or_zero()?,
            "TargetFileName" => it.target_file_name = xml.trimmed()?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

pub(super) fn write_all_queued(xml: &mut XmlWriter<'_>, it: &AllQueuedTransfers<'_>) {
    xml.array("TransferList", "cwmp:AllQueuedTransferStruct", &it.transfers, |xml, transfer| {
        xml.element("AllQueuedTransferStruct", |xml| {
            xml.text("CommandKey", &transfer.command_key);
            xml.number("State", transfer.state);
            xml.boolean("IsDownload", transfer.is_download);
            xml.text("FileType", &transfer.file_type);
            xml.number("FileSize", transfer.file_size);
            xml.text("TargetFileName", &transfer.target_file_name);
        });
    });
}

pub(super) fn complete<'a>(xml: &mut XmlReader<'a, '_>) -> Result<TransferComplete<'a>, DecodeError> {
    let mut it = TransferComplete::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "CommandKey" => it.command_key = xml.trimmed()?,
            "FaultStruct" => it.fault = fault::decode_struct(xml)?,
            "StartTime" => it.start_time = xml.trimmed()?,
            "CompleteTime" => it.complete_time = xml.trimmed()?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

pub(super) fn write_complete(xml: &mut XmlWriter<'_>, it: &TransferComplete<'_>) {
    xml.text("CommandKey", &it.command_key);
    fault::encode_struct(xml, "FaultStruct", &it.fault);
    xml.text("StartTime", &it.start_time);
    xml.text("CompleteTime", &it.complete_time);
}

pub(super) fn autonomous_complete<'a>(
    xml: &mut XmlReader<'a, '_>,
) -> Result<AutonomousTransferComplete<'a>, DecodeError> {
    let mut it = AutonomousTransferComplete::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "AnnounceURL" => it.announce_url = xml.trimmed()?,
            "TransferURL" => it.transfer_url = xml.trimmed()?,
            "IsDownload" => it.is_download = xml.boolean()?,
            "FileType" => it.file_type = xml.trimmed()?,
            "FileSize" => it.file_size = xml.number_or_zero()?,
            "TargetFileName" => it.target_file_name = xml.trimmed()?,
            "FaultStruct" => it.fault = fault::decode_struct(xml)?,
            "StartTime" => it.start_time = xml.trimmed()?,
            "CompleteTime" => it.complete_time = xml.trimmed()?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

pub(super) fn write_autonomous_complete(xml: &mut XmlWriter<'_>, it: &AutonomousTransferComplete<'_>) {
    xml.text("AnnounceURL", &it.announce_url);
    xml.text("TransferURL", &it.transfer_url);
    xml.boolean("IsDownload", it.is_download);
    xml.text("FileType", &it.file_type);
    xml.number("FileSize", it.file_size);
    xml.text("TargetFileName", &it.target_file_name);
    fault::encode_struct(xml, "FaultStruct", &it.fault);
    xml.text("StartTime", &it.start_time);
    xml.text("CompleteTime", &it.complete_time);
}

pub(super) fn request_download<'a>(xml: &mut XmlReader<'a, '_>) -> Result<RequestDownload<'a>, DecodeError> {
    let mut it = RequestDownload::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "FileType" => it.file_type = xml.trimmed()?,
            "FileTypeArg" => {
                while xml.child()?.is_some() {
                    let argument = argument(xml)?;
                    xml.push(&mut it.arguments, argument)?;
                }
            }
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

/// `ArgStruct`.
fn argument<'a>(xml: &mut XmlReader<'a, '_>) -> Result<(Text<'a>, Text<'a>), DecodeError> {
    let (mut name, mut value) = (Text::default(), Text::default());
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "Name" => name = xml.trimmed()?,
            "Value" => value = xml.text()?,
            _ => xml.skip()?,
        }
    }
    Ok((name, value))
}

pub(super) fn write_request_download(xml: &mut XmlWriter<'_>, it: &RequestDownload<'_>) {
    xml.text("FileType", &it.file_type);
    xml.array("FileTypeArg", "cwmp:ArgStruct", &it.arguments, |xml, (name, value)| {
        xml.element("ArgStruct", |xml| {
            xml.text("Name", name);
            xml.text("Value", value);
        });
    });
}
