//! `/inventory_device_serial_operation/`: orders to one device (rest-api.md 2.2).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::ApiState;
use super::access::Operator;
use super::audit::Done;
use super::body::{Fields, JsonObject};
use super::device::Serial;
use super::error::{ApiError, FieldErrors};
use super::openapi::{Detail, Reading, Writing};
use super::words::{OperationWord, not_a_choice};
use crate::devices::edit::Operation;
use crate::model::audit::AuditResource;

/// What is ordered.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = OperationOrder, example = json!({"operation": "reboot"}))]
pub(super) struct OrderSchema {
    /// `reboot`, `factory`, `device_factory`, `sync` or `reconf`.
    #[schema(value_type = OperationWord)]
    operation: String,
}

/// What was scheduled.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ordered {
    /// The transaction.
    id: u64,
    #[schema(example = "reboot", value_type = OperationWord)]
    operation: &'static str,
}

/// Orders an operation. Asking again while the same one waits unstarted answers with that one's id.
#[utoipa::path(put, path = "/api/v1/inventory_device_serial_operation/{serial_number}/", tag = "operations",
    params(("serial_number" = String, Path, description = "Percent-encoded where need be")),
    request_body = OrderSchema,
    responses(
        (status = 200, description = "Scheduled", body = Ordered),
        (status = 404, description = "There is no such device", body = Detail),
        (status = 409, description = "The device's queue is full", body = Detail),
        (status = 422, description = "Not possible on this device", body = Detail),
        Reading, Writing))]
pub(super) async fn order(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Serial(serial): Serial,
    JsonObject(body): JsonObject,
) -> Result<Json<Ordered>, ApiError> {
    let device = caller.device(&state, &serial).await?;
    let operation = read(body)?;
    let transaction = state.editor().operate(&device, operation, caller.name()).await?;
    let done = Done::ordered(AuditResource::Operation, &transaction.id, &json!({ "operation": operation.as_str() }));
    state.audit(&caller, done.of_device(&device)).await?;
    tracing::info!(device.id = %device.key, "{} ordered {} of device {}", caller.name(), operation.as_str(), device.key);
    Ok(Json(Ordered { id: transaction.id.0, operation: operation.as_str() }))
}

fn read(body: serde_json::Map<String, serde_json::Value>) -> Result<Operation, FieldErrors> {
    let mut fields = Fields::new(body);
    let operation = fields.parsed("operation", |word| {
        Operation::parse(word).ok_or_else(|| not_a_choice(word, &Operation::ALL.map(Operation::as_str)))
    });
    let operation = fields.require("operation", operation);
    fields.finish(&["id"])?;
    operation.ok_or_else(|| FieldErrors::one("operation", "This field is required."))
}
