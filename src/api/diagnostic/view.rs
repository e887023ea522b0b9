//! How tests look in answers.

use serde::Serialize;
use utoipa::ToSchema;

use super::PREFIX;
use super::results::ResultsView;
use crate::api::ledger::Entry;
use crate::api::transaction::FaultView;
use crate::api::words::{DiagnosticWord, StatusWord};
use crate::model::diagnostic::{DiagnosticOrder, UploadSize};
use crate::model::transaction::{Transaction, Work};

/// MB of 1,048,576 bytes.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(example = "10")]
pub(in crate::api) enum UploadSizeView {
    /// As a text.
    Text(String),
    /// As a number.
    Number(u32),
}

impl From<&UploadSize> for UploadSizeView {
    fn from(size: &UploadSize) -> Self {
        match size {
            UploadSize::Text(text) => Self::Text(text.clone()),
            UploadSize::Number(number) => Self::Number(*number),
        }
    }
}

/// The order of a test, as it was given.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct RequestView {
    serial_number: String,
    #[schema(example = "ipping", value_type = DiagnosticWord)]
    operation: &'static str,
    #[schema(example = "8.8.8.8")]
    target: String,
    upload_size: Option<UploadSizeView>,
    count: Option<u32>,
    size: Option<u32>,
    /// Seconds.
    timeout: Option<u32>,
    max_hops: Option<u32>,
    interface: Option<String>,
}

impl RequestView {
    fn of(serial: String, order: &DiagnosticOrder) -> Self {
        Self {
            serial_number: serial,
            operation: order.kind.as_str(),
            target: order.target.clone(),
            upload_size: order.upload_size.as_ref().map(Into::into),
            count: order.count,
            size: order.size,
            timeout: order.timeout_secs,
            max_hops: order.max_hops,
            interface: order.interface.clone(),
        }
    }
}

/// A test that was just scheduled.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct DiagnosticAccepted {
    #[serde(flatten)]
    #[schema(inline)]
    request: RequestView,
    #[schema(example = "diag_12345")]
    id: String,
    status: StatusWord,
    created_at: String,
}

impl DiagnosticAccepted {
    pub(super) fn of(serial: String, order: &DiagnosticOrder, transaction: &Transaction) -> Self {
        Self {
            request: RequestView::of(serial, order),
            id: format!("{PREFIX}{}", transaction.id),
            status: transaction.status.into(),
            created_at: transaction.created_at.to_string(),
        }
    }

    pub(super) const fn request(&self) -> &RequestView {
        &self.request
    }
}

/// A test.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct DiagnosticView {
    #[serde(flatten)]
    #[schema(inline)]
    request: RequestView,
    #[schema(example = "diag_12345")]
    id: String,
    status: StatusWord,
    created_at: String,
    started_at: Option<String>,
    completed_at: Option<String>,
    /// What came of it, once it is completed or has failed.
    results: Option<ResultsView>,
    /// Why it failed; while it backs off, the last fault.
    fault: Option<FaultView>,
}

impl DiagnosticView {
    /// `None`: it is no test.
    pub(super) fn of(entry: &Entry<'_>) -> Option<Self> {
        let transaction = &entry.transaction;
        let Work::Diagnose(order) = &transaction.work else { return None };
        Some(Self {
            request: RequestView::of(entry.device.profile.serial_number.to_string(), order),
            id: format!("{PREFIX}{}", transaction.id),
            status: transaction.status.into(),
            created_at: transaction.created_at.to_string(),
            started_at: transaction.started_at.map(|at| at.to_string()),
            completed_at: transaction.completed_at.map(|at| at.to_string()),
            results: ResultsView::of(entry, order),
            fault: transaction.fault.as_ref().map(FaultView::of),
        })
    }
}
