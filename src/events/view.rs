//! How an event looks to clients of the API and to receivers of webhooks.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::model::device::Status;
use crate::model::event::{Event, EventData};

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventView {
    /// Increasing.
    pub id: u64,
    /// When it happened.
    pub time: String,
    /// What kind it is; says what is in `data`.
    #[schema(example = "boot")]
    pub kind: &'static str,
    /// Of the device; empty where none is known.
    pub serial_number: String,
    /// Whose device it was then; null where none is known.
    pub organization_id: Option<u32>,
    /// The particulars, by kind.
    #[schema(value_type = Object)]
    pub data: Value,
}

impl From<Event> for EventView {
    fn from(Event { id, entry }: Event) -> Self {
        let head = entry.head;
        Self {
            id: id.0,
            time: head.time.to_string(),
            kind: head.kind.as_str(),
            serial_number: head.serial_number.map(|serial| serial.to_string()).unwrap_or_default(),
            organization_id: head.organization.map(|organization| organization.0),
            data: data(&entry.data),
        }
    }
}

fn data(data: &EventData) -> Value {
    match data {
        EventData::FirstContact { oui, product_class, reported_serial, address } => json!({
            "oui": oui,
            "product_class": product_class,
            "reported_serial_number": reported_serial.as_str(),
            "address": address.to_string(),
        }),
        EventData::Bootstrap { ordered } => json!({ "ordered": ordered }),
        EventData::Boot | EventData::BootstrapLoop => json!({}),
        EventData::Status { status } => json!({ "status": status_word(*status) }),
        EventData::ValueChange { path, old, new } => json!({ "path": path, "old": old, "new": new }),
        EventData::TransactionEnded { id, kind, operation, status, fault, requested_by } => json!({
            "id": id.0,
            "kind": kind.as_str(),
            "operation": operation,
            "status": status.as_str(),
            "fault": fault.as_ref().map(|fault| json!({ "code": fault.code, "message": fault.message })),
            "requested_by": requested_by,
        }),
        EventData::Fault { code, message, rpc, transaction } => json!({
            "code": code,
            "message": message,
            "rpc": rpc,
            "transaction": transaction.map(|id| id.0),
        }),
        EventData::Transfer { autonomous, command_key, file_type, fault_code, fault_message } => json!({
            "autonomous": autonomous,
            "command_key": command_key,
            "file_type": file_type,
            "fault": (*fault_code != 0).then(|| json!({ "code": fault_code, "message": fault_message })),
        }),
        EventData::IdentityConflict { reported_serial, oui, product_class } => json!({
            "reported_serial_number": reported_serial.as_str(),
            "oui": oui,
            "product_class": product_class,
        }),
        EventData::FirmwareChanged { old, new } => json!({ "old": old, "new": new }),
        EventData::AuthenticationRefused { address, username, reason } => json!({
            "address": address.to_string(),
            "username": username,
            "reason": reason.as_str(),
        }),
        EventData::Campaign { id, name, state, reason } => json!({
            "id": id,
            "name": name,
            "state": state,
            "reason": reason,
        }),
        EventData::HealthIssue { entry, code, severity, message } => json!({
            "entry": format!("diag-{entry:03}"),
            "code": code,
            "severity": severity,
            "message": message,
        }),
        EventData::DownloadRequested { file_type } => json!({ "file_type": file_type }),
        EventData::DeploymentUnits { autonomous, command_key, done, failed } => json!({
            "autonomous": autonomous,
            "command_key": command_key,
            "done": done,
            "failed": failed,
        }),
    }
}

const fn status_word(status: Status) -> &'static str {
    match status {
        Status::Up => "Up",
        Status::Down => "Down",
    }
}
