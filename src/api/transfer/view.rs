//! What is shown of a transfer.

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::procedure::Stage;
use crate::model::transaction::{Transaction, Work};
use crate::model::transfer::TransferReport;

/// What came of a file transfer so far.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct TransferView {
    /// How often the device was told to make it, each time under another CommandKey.
    sends: u32,
    /// The file that the device has sent: its id under `files/`.
    stored_file: Option<u32>,
    /// When it began, as the device says.
    started: Option<String>,
    /// When it was over, as the device says.
    completed: Option<String>,
}

impl TransferView {
    /// Of a transaction that makes one and has begun to.
    pub(in crate::api) fn of(transaction: &Transaction) -> Option<Self> {
        if !matches!(transaction.work, Work::Download(_) | Work::Upload(_)) {
            return None;
        }
        let Some(Stage::Transfer(progress)) = transaction.progress.stage.as_deref() else { return None };
        let time = |of: fn(&TransferReport) -> &str| {
            // Year 1 is the Unknown Time (TR-069 §3.4).
            let said = progress.report.as_ref().map(of).filter(|time| !time.is_empty() && !time.starts_with("0001-"));
            said.map(str::to_owned)
        };
        Some(Self {
            sends: progress.sends,
            stored_file: progress.stored.map(|file| file.0),
            started: time(|report| &report.started),
            completed: time(|report| &report.completed),
        })
    }
}
