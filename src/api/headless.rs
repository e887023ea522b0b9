//! `/inventory_device_serial_headless_operation/`: reading and writing parameters and objects (rest-api.md 2.3).

pub(super) mod form;
pub(super) mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use self::form::Order;
use self::view::{HeadlessAccepted, HeadlessView};
use super::ApiState;
use super::access::{Caller, Operator};
use super::audit::Done;
use super::body::JsonObject;
use super::error::ApiError;
use super::ledger::{Entry, Ledger};
use super::openapi::{Detail, Reading, Writing};
use super::query::Query;
use super::words::StatusWord;
use crate::model::audit::AuditResource;
use crate::model::device::Device;
use crate::model::transaction::{Kind, Work};

/// Schedules an operation.
#[utoipa::path(post, path = "/api/v1/inventory_device_serial_headless_operation/", tag = "headless operations",
    request_body = form::HeadlessSchema,
    responses(
        (status = 201, description = "What was sent, with `id`, `status` and `created_at`", body = HeadlessAccepted),
        (status = 404, description = "There is no such device", body = Detail),
        (status = 409, description = "The device's queue is full", body = Detail),
        (status = 422, description = "The device is inactive", body = Detail),
        Reading, Writing))]
pub(super) async fn schedule(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<HeadlessAccepted>), ApiError> {
    let sent = body.get("variables").cloned();
    let Order { serial, work } = form::read(body)?;
    let device = caller.device(&state, &serial).await?;
    check_known_types(&state, &device, &work).await?;
    let operation = work.operation();
    let transaction = state.schedule(&caller, &device, Kind::Headless, work).await?;
    let what = json!({ "operation": operation, "variables": sent });
    let done = Done::ordered(AuditResource::Headless, &transaction.id, &what);
    state.audit(&caller, done.of_device(&device)).await?;
    Ok((StatusCode::CREATED, Json(HeadlessAccepted::of(serial, sent, &transaction))))
}

async fn check_known_types(state: &ApiState, device: &Device, work: &Work) -> Result<(), ApiError> {
    if let Work::Set { assignments } = work {
        let paths: Vec<&str> = assignments.iter().map(|assignment| assignment.path.as_str()).collect();
        let known = state.store.known(device.key, &paths).await?;
        form::check_against(assignments, &known)?;
    }
    Ok(())
}

/// Operations, newest first; one of them with `id`.
#[utoipa::path(get, path = "/api/v1/inventory_device_serial_headless_operation/", tag = "headless operations",
    params(
        ("id" = Option<String>, Query, description = "Only this transaction; 404 when there is none"),
        ("update_status" = Option<bool>, Query, description = "Calls the devices and waits for the transactions' ends"),
        ("serial_number" = Option<String>, Query, description = "Only of this device"),
        ("status" = Option<StatusWord>, Query, description = "Only in this status"),
        ("limit" = Option<i64>, Query, description = "Entries of a page: 100 unless told, at most 500"),
        ("offset" = Option<i64>, Query, description = "Entries to skip")
    ),
    responses(
        (status = 200, description = "An array", body = Vec<HeadlessView>,
            headers(("X-Total-Count" = u64, description = "How many there are in all"),
                    ("Link" = String, description = "The neighbouring pages"))),
        (status = 404, description = "Nothing matches the id", body = Detail),
        Reading))]
pub(super) async fn list(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    query: Query,
) -> Result<Response, ApiError> {
    let asked = LEDGER.read(query)?;
    let view = |entry: Entry<'_>| {
        let serial = entry.device.profile.serial_number.to_string();
        Some(HeadlessView::of(serial, &entry.transaction, &entry.results))
    };
    asked.answer(&state, &caller, view).await
}

static LEDGER: Ledger =
    Ledger { kind: Kind::Headless, prefix: "", none: "There is no headless operation with this id." };
