//! The call that orders a transfer.

use std::borrow::Cow;
use std::time::Duration;

use crate::cwmp::message::acs::{Download, ScheduleDownload, TimeWindowStruct, Upload};
use crate::cwmp::message::{Method, Request};
use crate::model::transaction::{Transaction, Work};
use crate::model::transfer::{FileRef, TimeWindow};
use crate::tasks::plan::{Context, Desk, TransferOffer, Wanted};
use crate::types::secret::Secret;

/// The method that makes the transfer.
pub(super) fn method_of(transaction: &Transaction) -> Method {
    match &transaction.work {
        Work::Download(order) if order.windows.is_empty() => Method::Download,
        Work::Download(_) => Method::ScheduleDownload,
        _ => Method::Upload,
    }
}

/// What is to be fetched, or where to send it; why it cannot be, in words.
pub(super) fn offer(desk: &Desk<'_>, cx: &Context<'_>) -> Result<TransferOffer, &'static str> {
    if let Work::Download(order) = &desk.transaction.work
        && let FileRef::Elsewhere(file) = &order.file
    {
        let password = desk.clear.passwords.first().cloned().unwrap_or_default();
        return Ok(TransferOffer {
            url: file.url.clone(),
            username: file.username.clone(),
            password: Secret::new(password),
            size: file.size,
            version: "".into(),
            arrived: None,
        });
    }
    match cx.wanted {
        Some(Wanted::Transfer(offer)) => Ok(offer.clone()),
        Some(Wanted::NoTransfer(words)) => Err(words),
        _ => Err("what is to be transferred is not known"),
    }
}

/// The call, and how much longer than usual the device may take; `None`: the time windows of the order are over, `elapsed`
/// after they began to count.
pub(super) fn request(
    transaction: &Transaction,
    offer: TransferOffer,
    command_key: Cow<'static, str>,
    elapsed: Duration,
) -> Option<(Request<'static>, Duration)> {
    let password = Cow::Owned(offer.password.expose().to_owned());
    let (url, username) = (Cow::Owned(offer.url), Cow::Owned(offer.username));
    let seconds = |secs: u32| Duration::from_secs(secs.into());
    match &transaction.work {
        Work::Download(order) if order.windows.is_empty() => {
            let download = Download {
                command_key,
                file_type: Cow::Owned(order.file_type.clone()),
                url,
                username,
                password,
                file_size: file_size(offer.size),
                target_file_name: Cow::Owned(order.target_file_name.clone()),
                delay_secs: order.delay_secs,
                ..Download::default()
            };
            Some((Request::Download(download), seconds(order.delay_secs)))
        }
        Work::Download(order) => {
            let elapsed = u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX);
            let windows: Vec<_> = order.windows.iter().filter_map(|window| shifted(window, elapsed)).collect();
            let patience = seconds(windows.iter().map(|window| window.end_secs).max()?);
            let download = ScheduleDownload {
                command_key,
                file_type: Cow::Owned(order.file_type.clone()),
                url,
                username,
                password,
                file_size: file_size(offer.size),
                target_file_name: Cow::Owned(order.target_file_name.clone()),
                windows,
            };
            Some((Request::ScheduleDownload(download), patience))
        }
        Work::Upload(order) => {
            let (file_type, delay_secs) = (Cow::Owned(order.file_type.clone()), order.delay_secs);
            let upload = Upload { command_key, file_type, url, username, password, delay_secs };
            Some((Request::Upload(upload), seconds(delay_secs)))
        }
        _ => None,
    }
}

/// What the device is told of the size: the true one, or that it is not known where that does not fit.
fn file_size(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(0)
}

/// A window as it is to be told `elapsed` seconds after it was first told; `None`: it is over.
fn shifted(window: &TimeWindow, elapsed: u32) -> Option<TimeWindowStruct<'static>> {
    let end_secs = window.end_secs.checked_sub(elapsed).filter(|end| *end > 0)?;
    Some(TimeWindowStruct {
        start_secs: window.start_secs.saturating_sub(elapsed),
        end_secs,
        mode: Cow::Owned(window.mode.clone()),
        user_message: Cow::Owned(window.user_message.clone()),
        max_retries: window.max_retries,
    })
}
