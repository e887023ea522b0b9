//! `/inventory_device_serial/{serial_number}/configuration/`: what is wanted of one device over and above its type.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value};

use super::ApiState;
use super::access::{Caller, Operator};
use super::audit::Done;
use super::body::{Fields, JsonObject};
use super::catalogue::Write;
use super::device::Serial;
use super::error::ApiError;
use super::openapi::{Detail, Reading, Writing};
use super::wanted::form::{WantedPatch, WantedSchema};
use super::wanted::view::WantedView;
use crate::model::audit::AuditResource;
use crate::model::wanted::WantedConfiguration;

/// What is wanted of this device itself; where its type wants the same differently, the device's wish counts.
#[utoipa::path(get, path = "/api/v1/inventory_device_serial/{serial_number}/configuration/", tag = "devices",
    params(("serial_number" = String, Path, description = "Percent-encoded where need be")),
    responses(
        (status = 200, description = "What is wanted", body = WantedView),
        (status = 404, description = "There is no such device", body = Detail),
        Reading))]
pub(super) async fn show(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    Serial(serial): Serial,
) -> Result<Json<WantedView>, ApiError> {
    let device = caller.device(&state, &serial).await?;
    Ok(Json(WantedView::of(&device.profile.wanted)))
}

/// Replaces what is wanted of this device itself.
#[utoipa::path(put, path = "/api/v1/inventory_device_serial/{serial_number}/configuration/", tag = "devices",
    params(("serial_number" = String, Path, description = "Percent-encoded where need be")),
    request_body(content = WantedSchema, description = "A list that is left out becomes empty."),
    responses(
        (status = 200, description = "What is wanted now", body = WantedView),
        (status = 404, description = "There is no such device", body = Detail),
        Reading, Writing))]
pub(super) async fn replace(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Serial(serial): Serial,
    JsonObject(body): JsonObject,
) -> Result<Json<WantedView>, ApiError> {
    write(&state, &caller, &serial, body, Write::Replace).await
}

/// Replaces the lists that are named.
#[utoipa::path(patch, path = "/api/v1/inventory_device_serial/{serial_number}/configuration/", tag = "devices",
    params(("serial_number" = String, Path, description = "Percent-encoded where need be")),
    request_body = WantedSchema,
    responses(
        (status = 200, description = "What is wanted now", body = WantedView),
        (status = 404, description = "There is no such device", body = Detail),
        Reading, Writing))]
pub(super) async fn change(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Serial(serial): Serial,
    JsonObject(body): JsonObject,
) -> Result<Json<WantedView>, ApiError> {
    write(&state, &caller, &serial, body, Write::Change).await
}

async fn write(
    state: &ApiState,
    caller: &Operator,
    serial: &str,
    body: Map<String, Value>,
    write: Write,
) -> Result<Json<WantedView>, ApiError> {
    let device = caller.device(state, serial).await?;
    let mut fields = Fields::new(body);
    let mut patch = WantedPatch::read(&mut fields, &device.profile.wanted);
    fields.finish(&[])?;
    patch.seal(&state.sealer)?;
    let mut wanted = match write {
        Write::Change => device.profile.wanted.clone(),
        Write::Create | Write::Replace => WantedConfiguration::default(),
    };
    patch.apply(&mut wanted);
    if wanted == device.profile.wanted {
        return Ok(Json(WantedView::of(&wanted)));
    }
    let before = WantedView::of(&device.profile.wanted);
    let device = state.editor().set_wanted(&device, wanted, caller.name()).await?;
    let after = WantedView::of(&device.profile.wanted);
    let done = Done::updated(AuditResource::Device, &device.profile.serial_number, &before, &after);
    state.audit(caller, done.of_device(&device)).await?;
    Ok(Json(WantedView::of(&device.profile.wanted)))
}
