//! The RPCs on the CPE itself and on its file transfers (TR-069 A.3.2.8 ff., A.4.1).

use std::time::Duration;

use tokio::time::Instant;

use crate::simulator::envelope::{CpeFault, Style};
use crate::simulator::state::{ScheduledInform, State};
use crate::simulator::transfer::{Order, TransferKind, Window};
use crate::simulator::xml::Element;
use crate::types::secret::Secret;

const INVALID_ARGUMENTS: u16 = 9003;
const RESOURCES_EXCEEDED: u16 = 9004;
const UNSUPPORTED_PROTOCOL: u16 = 9013;
const CANCEL_NOT_PERMITTED: u16 = 9021;
/// Transfers in the queue before the next is refused (`QueuedTransferStruct[0..16]`).
const TRANSFERS_MAX: usize = 16;

/// `CommandKey` has at most 32 characters.
pub(super) fn command_key(request: &Element<'_>) -> Result<String, CpeFault> {
    let key = request.child_text("CommandKey");
    if key.chars().count() > 32 {
        return Err(CpeFault::new(INVALID_ARGUMENTS));
    }
    Ok(key.to_owned())
}

/// A.4.1.2.
pub(super) fn schedule_inform(state: &mut State, request: &Element<'_>, now: Instant) -> Result<(), CpeFault> {
    let delay = number(request, "DelaySeconds")?;
    if delay == 0 {
        return Err(CpeFault::new(INVALID_ARGUMENTS));
    }
    let due = now + state.config.scaled(Duration::from_secs(u64::from(delay)));
    state.scheduled.push(ScheduledInform { due, command_key: command_key(request)? });
    Ok(())
}

/// `Download`, `Upload`, `ScheduleDownload`.
pub(super) fn transfer(state: &mut State, request: &Element<'_>, now: Instant) -> Result<(), CpeFault> {
    let kind = match request.local {
        "Upload" => TransferKind::Upload,
        "ScheduleDownload" => TransferKind::ScheduleDownload,
        _ => TransferKind::Download,
    };
    if state.transfers.len() >= TRANSFERS_MAX {
        return Err(CpeFault::new(RESOURCES_EXCEEDED));
    }
    let url = request.child_text("URL").trim().to_owned();
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(CpeFault::new(UNSUPPORTED_PROTOCOL));
    }
    let file_type = request.child_text("FileType").trim().to_owned();
    let highest = if kind.is_download() { 6 } else { 4 };
    let is_known = file_type.starts_with("X ")
        || file_type
            .split_once(' ')
            .and_then(|(digit, _)| digit.parse::<u8>().ok())
            .is_some_and(|n| (1..=highest).contains(&n));
    if !is_known || (kind == TransferKind::Upload && !state.has_upload(&file_type)) {
        return Err(CpeFault::new(INVALID_ARGUMENTS));
    }
    let (delay, windows) = match kind {
        TransferKind::ScheduleDownload => (0, windows(request)?),
        TransferKind::Download | TransferKind::Upload => (number(request, "DelaySeconds")?, Vec::new()),
    };
    let file_size = if kind.is_download() { number(request, "FileSize")? } else { 0 };
    let order = Order {
        kind,
        command_key: command_key(request)?,
        file_type,
        url,
        username: request.child_text("Username").to_owned(),
        password: Secret::new(request.child_text("Password")),
        file_size,
        target: request.child_text("TargetFileName").to_owned(),
        delay: Duration::from_secs(u64::from(delay)),
        windows,
    };
    state.queue_transfer(order, now);
    Ok(())
}

/// `TimeWindowList`: one or two windows, none begins before the last one ends (A.4.1.8).
fn windows(request: &Element<'_>) -> Result<Vec<Window>, CpeFault> {
    let invalid = || CpeFault::new(INVALID_ARGUMENTS);
    let items = request.child("TimeWindowList").map_or(&[][..], |list| &list.children);
    let mut windows: Vec<Window> = Vec::new();
    for item in items {
        let seconds = |name| Ok::<_, CpeFault>(Duration::from_secs(u64::from(number(item, name)?)));
        let (start, end) = (seconds("WindowStart")?, seconds("WindowEnd")?);
        let mode = item.child_text("WindowMode").trim();
        let is_known = mode.starts_with("X ") || matches!(mode.split(' ').next(), Some("1" | "2" | "3" | "4"));
        let follows = windows.last().is_none_or(|last| last.end <= start);
        if start >= end || !is_known || !follows {
            return Err(invalid());
        }
        let retries: i32 = item.child_text("MaxRetries").trim().parse().map_err(|_| invalid())?;
        // -1 leaves it to the CPE.
        let retries = u32::try_from(retries).ok();
        windows.push(Window { start, end, needs_confirmation: mode.starts_with('4'), retries });
    }
    if (1..=2).contains(&windows.len()) { Ok(windows) } else { Err(invalid()) }
}

/// A.4.1.9: only what has not begun can be cancelled; a key that is nobody's is no error.
pub(super) fn cancel_transfer(state: &mut State, request: &Element<'_>) -> Result<(), CpeFault> {
    let key = command_key(request)?;
    let is_running = state.transfers.iter().any(|t| t.order.command_key == key && t.due().is_none());
    if is_running {
        return Err(CpeFault::new(CANCEL_NOT_PERMITTED));
    }
    state.transfers.retain(|transfer| transfer.order.command_key != key);
    Ok(())
}

/// A.4.1.7.
pub(super) fn queued_transfers(state: &State, style: &Style) -> String {
    style.message("GetQueuedTransfersResponse", |writer| {
        writer.array("TransferList", "cwmp:QueuedTransferStruct", state.transfers.len(), |writer| {
            for transfer in &state.transfers {
                writer.open("QueuedTransferStruct");
                writer.leaf("CommandKey", &transfer.order.command_key);
                writer.leaf("State", transfer.state_number());
                writer.close("QueuedTransferStruct");
            }
        });
    })
}

/// A.4.1.4.
pub(super) fn all_queued_transfers(state: &State, style: &Style) -> String {
    style.message("GetAllQueuedTransfersResponse", |writer| {
        writer.array("TransferList", "cwmp:AllQueuedTransferStruct", state.transfers.len(), |writer| {
            for transfer in &state.transfers {
                writer.open("AllQueuedTransferStruct");
                writer.leaf("CommandKey", &transfer.order.command_key);
                writer.leaf("State", transfer.state_number());
                writer.leaf("IsDownload", if transfer.order.kind.is_download() { "1" } else { "0" });
                writer.leaf("FileType", &transfer.order.file_type);
                writer.leaf("FileSize", &transfer.order.file_size.to_string());
                writer.leaf("TargetFileName", &transfer.order.target);
                writer.close("AllQueuedTransferStruct");
            }
        });
    })
}

fn number(parent: &Element<'_>, name: &str) -> Result<u32, CpeFault> {
    parent.child_text(name).trim().parse().map_err(|_| CpeFault::new(INVALID_ARGUMENTS))
}
