//! `POST /inventory_device_serial/{serial_number}/files/`: a device is to send a file, or to fetch one.

pub(super) mod form;
pub(super) mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use self::form::Order;
use super::ApiState;
use super::access::Operator;
use super::audit::Done;
use super::body::JsonObject;
use super::device::Serial;
use super::error::ApiError;
use super::openapi::{Detail, Reading, Writing};
use super::transaction::TransactionView;
use crate::model::audit::AuditResource;
use crate::model::transaction::Kind;

/// Has the device send a file, or fetch one. Which it is says the one of `upload`, `download` and `download_url` that is
/// given.
#[utoipa::path(post, path = "/api/v1/inventory_device_serial/{serial_number}/files/", tag = "files",
    params(("serial_number" = String, Path, description = "Percent-encoded where need be")),
    request_body = form::TransferSchema,
    responses(
        (status = 202, description = "Scheduled", body = TransactionView),
        (status = 404, description = "There is no such device", body = Detail),
        (status = 409, description = "The device's queue is full", body = Detail),
        (status = 422, description = "The device is inactive", body = Detail),
        Reading, Writing))]
pub(super) async fn order(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Serial(serial): Serial,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<TransactionView>), ApiError> {
    let device = caller.device(&state, &serial).await?;
    let Order { work, what } = form::read(body, &device, &caller, &state).await?;
    let transaction = state.schedule(&caller, &device, Kind::Transfer, work).await?;
    let done = Done::ordered(AuditResource::File, &transaction.id, &what);
    state.audit(&caller, done.of_device(&device)).await?;
    Ok((StatusCode::ACCEPTED, Json(TransactionView::of(&device, transaction))))
}
