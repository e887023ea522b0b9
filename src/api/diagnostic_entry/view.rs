//! How a diagnostic entry looks in answers.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::model::device::Device;
use crate::model::entry::{DiagnosticEntry, Issue};

/// A diagnostic entry (rest-api.md 2.5).
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct DiagnosticEntryView {
    #[schema(example = "diag-001")]
    id: String,
    #[schema(example = "device-12345")]
    device_id: String,
    device_name: String,
    device_serial: String,
    /// A free word; `health_check` is what acsd refreshes.
    #[schema(example = "health_check")]
    diagnostic_type: String,
    /// A free word. Of a health check that acsd made: `pending`, `ok`, `warning`, `failed` or `unreachable`.
    #[schema(example = "warning")]
    status: String,
    /// Of a health check: values by the names of the type's health parameters, null where the device has none.
    #[schema(example = json!({"cpu_usage": 45, "memory_usage": 78.5}))]
    details: Map<String, Value>,
    issues: Vec<IssueView>,
    notes: String,
    performed_by: String,
    reported_by: String,
    priority: String,
    created_at: String,
    updated_at: String,
    next_check_due: Option<String>,
}

/// Something that is wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DiagnosticIssue)]
pub(in crate::api) struct IssueView {
    #[schema(example = "medium")]
    severity: String,
    message: String,
    #[schema(example = "CPU_USAGE")]
    code: String,
}

impl DiagnosticEntryView {
    pub(super) fn of(device: &Device, entry: DiagnosticEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            device_id: format!("device-{}", device.key),
            device_name: device.profile.name.clone(),
            device_serial: device.profile.serial_number.to_string(),
            diagnostic_type: entry.head.kind,
            status: entry.head.status,
            details: serde_json::from_str(&entry.details).unwrap_or_default(),
            issues: entry.issues.into_iter().map(IssueView::of).collect(),
            notes: entry.text.notes,
            performed_by: entry.text.performed_by,
            reported_by: entry.text.reported_by,
            priority: entry.priority,
            created_at: entry.head.created_at.to_string(),
            updated_at: entry.head.updated_at.to_string(),
            next_check_due: entry.head.next_check_due.map(|at| at.to_string()),
        }
    }
}

impl IssueView {
    fn of(issue: Issue) -> Self {
        Self { severity: issue.severity, message: issue.message, code: issue.code }
    }
}
