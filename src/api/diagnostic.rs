//! `/inventory_device_serial_diags/`: tests that devices run by themselves (rest-api.md 2.4).

pub(super) mod form;
mod results;
pub(super) mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use self::form::{DiagnosticSchema, Ordered};
use self::view::{DiagnosticAccepted, DiagnosticView};
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
use crate::model::transaction::{Kind, Work};

/// What stands before the number of a test.
const PREFIX: &str = "diag_";

static LEDGER: Ledger = Ledger { kind: Kind::Diag, prefix: PREFIX, none: "There is no diagnostic with this id." };

/// Schedules a test.
#[utoipa::path(post, path = "/api/v1/inventory_device_serial_diags/", tag = "diagnostics",
    request_body = DiagnosticSchema,
    responses(
        (status = 201, description = "What was sent, with `id`, `status` and `created_at`", body = DiagnosticAccepted),
        (status = 404, description = "There is no such device", body = Detail),
        (status = 409, description = "The device's queue is full", body = Detail),
        (status = 422, description = "The device is inactive", body = Detail),
        Reading, Writing))]
pub(super) async fn schedule(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<DiagnosticAccepted>), ApiError> {
    let Ordered { serial, order } = form::read(body)?;
    let device = caller.device(&state, &serial).await?;
    let transaction = state.schedule(&caller, &device, Kind::Diag, Work::Diagnose(Box::new(order.clone()))).await?;
    let accepted = DiagnosticAccepted::of(serial, &order, &transaction);
    let done = Done::ordered(AuditResource::Diagnostic, &transaction.id, accepted.request());
    state.audit(&caller, done.of_device(&device)).await?;
    Ok((StatusCode::CREATED, Json(accepted)))
}

/// Tests and what came of them, newest first; one of them with `id`.
#[utoipa::path(get, path = "/api/v1/inventory_device_serial_diags/", tag = "diagnostics",
    params(
        ("id" = Option<String>, Query, description = "Only this test, with `diag_` or without; 404 when there is none"),
        ("update_status" = Option<bool>, Query, description = "Calls the devices and waits for the tests' ends"),
        ("serial_number" = Option<String>, Query, description = "Only of this device"),
        ("status" = Option<StatusWord>, Query, description = "Only in this status"),
        ("limit" = Option<i64>, Query, description = "Entries of a page: 100 unless told, at most 500"),
        ("offset" = Option<i64>, Query, description = "Entries to skip")
    ),
    responses(
        (status = 200, description = "An array", body = Vec<DiagnosticView>,
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
    asked.answer(&state, &caller, |entry: Entry<'_>| DiagnosticView::of(&entry)).await
}
