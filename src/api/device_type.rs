//! `/inventory_device_type/`: kinds of devices, and what is wanted of them (rest-api.md §4).
//!
//! All organizations share the types: everybody reads them, and only an admin whose token is bound to no organization
//! changes them.

mod form;
mod health;
mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Map, Value};

use self::form::{DeviceTypeCreateSchema, DeviceTypeSchema};
use self::view::DeviceTypeView;
use super::ApiState;
use super::access::{Admin, Caller};
use super::audit::Done;
use super::body::JsonObject;
use super::catalogue::{InUse, Write, number, page_of};
use super::error::ApiError;
use super::openapi::{Detail, PageParameters, Reading, Writing};
use super::paging::{Envelope, PageRule};
use super::query::Query;
use crate::model::audit::AuditResource;
use crate::model::device::DeviceTypeId;
use crate::model::device_type::DeviceType;

/// Types, in the order of their numbers.
#[utoipa::path(get, path = "/api/v1/inventory_device_type/", tag = "types",
    params(PageParameters),
    responses((status = 200, description = "A page", body = Envelope<DeviceTypeView>), Reading))]
pub(super) async fn list(
    _caller: Caller,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Envelope<DeviceTypeView>>, ApiError> {
    let page = query.page(PageRule::LIST);
    let links = query.finish()?;
    let all = state.store.device_types().all();
    let (count, records) = page_of(all.values().collect(), page);
    let views = records.into_iter().map(|one| DeviceTypeView::of(one)).collect();
    Ok(Json(links.envelope(page, count, views)))
}

/// Creates a type.
#[utoipa::path(post, path = "/api/v1/inventory_device_type/", tag = "types", request_body = DeviceTypeCreateSchema,
    responses(
        (status = 201, description = "Created", body = DeviceTypeView),
        (status = 409, description = "The id or the short name is taken", body = Detail),
        Reading, Writing))]
pub(super) async fn create(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<DeviceTypeView>), ApiError> {
    caller.require_unbound()?;
    let mut record = DeviceType::generic(state.clock.now());
    let mut draft = form::read(body, Write::Create, &record)?;
    draft.seal(&state.sealer)?;
    let wished = draft.wished;
    draft.apply(&mut record);
    let record = state.inventory().create(wished, record).await?;
    let done = Done::created(AuditResource::DeviceType, &record.id.0, &DeviceTypeView::of(&record));
    state.audit(&caller, done).await?;
    tracing::info!("{} created type {}", caller.name(), record.id.0);
    Ok((StatusCode::CREATED, Json(DeviceTypeView::of(&record))))
}

/// One type.
#[utoipa::path(get, path = "/api/v1/inventory_device_type/{id}/", tag = "types",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 200, description = "The type", body = DeviceTypeView),
        (status = 404, description = "There is no such type", body = Detail),
        Reading))]
pub(super) async fn show(
    _caller: Caller,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<DeviceTypeView>, ApiError> {
    let record = find(&state, &id)?;
    Ok(Json(DeviceTypeView::of(&record)))
}

/// Replaces a type's fields. What its devices are then to have, they get at once.
#[utoipa::path(put, path = "/api/v1/inventory_device_type/{id}/", tag = "types",
    params(("id" = u32, Path, description = "Its number")),
    request_body(content = DeviceTypeSchema, description = "What is left out returns to its default."),
    responses(
        (status = 200, description = "The type as it now is", body = DeviceTypeView),
        (status = 404, description = "There is no such type", body = Detail),
        (status = 409, description = "The short name is taken", body = Detail),
        Reading, Writing))]
pub(super) async fn replace(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<DeviceTypeView>, ApiError> {
    write(&state, &caller, &id, body, Write::Replace).await
}

/// Changes the fields that are named; lists and objects as a whole. What its devices are then to have, they get at once.
#[utoipa::path(patch, path = "/api/v1/inventory_device_type/{id}/", tag = "types",
    params(("id" = u32, Path, description = "Its number")),
    request_body = DeviceTypeSchema,
    responses(
        (status = 200, description = "The type as it now is", body = DeviceTypeView),
        (status = 404, description = "There is no such type", body = Detail),
        (status = 409, description = "The short name is taken", body = Detail),
        Reading, Writing))]
pub(super) async fn change(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<DeviceTypeView>, ApiError> {
    write(&state, &caller, &id, body, Write::Change).await
}

/// Removes a type that no device has.
#[utoipa::path(delete, path = "/api/v1/inventory_device_type/{id}/", tag = "types",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such type", body = Detail),
        (status = 409, description = "It is the default, or devices have it", body = InUse),
        Reading))]
pub(super) async fn remove(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    caller.require_unbound()?;
    let record = find(&state, &id)?;
    state.inventory().remove::<DeviceType>(record.id.0).await?;
    let done = Done::deleted(AuditResource::DeviceType, &record.id.0, &DeviceTypeView::of(&record));
    state.audit(&caller, done).await?;
    tracing::info!("{} removed type {}", caller.name(), record.id.0);
    Ok(StatusCode::NO_CONTENT)
}

async fn write(
    state: &ApiState,
    caller: &Admin,
    id: &str,
    body: Map<String, Value>,
    write: Write,
) -> Result<Json<DeviceTypeView>, ApiError> {
    caller.require_unbound()?;
    let record = find(state, id)?;
    let mut patch = form::read(body, write, &record)?;
    patch.seal(&state.sealer)?;
    let edit = move |record: &mut DeviceType| patch.apply(record);
    let before = record;
    let record = state.inventory().change(before.id.0, edit).await?;
    let (was, is) = (DeviceTypeView::of(&before), DeviceTypeView::of(&record));
    let done = Done::updated(AuditResource::DeviceType, &record.id.0, &was, &is);
    state.audit(caller, done).await?;
    tracing::info!("{} changed type {}", caller.name(), record.id.0);
    Ok(Json(DeviceTypeView::of(&record)))
}

fn find(state: &ApiState, id: &str) -> Result<Arc<DeviceType>, ApiError> {
    number(id)
        .and_then(|id| state.store.device_types().of(DeviceTypeId(id)))
        .ok_or_else(|| ApiError::not_found("There is no type with this id."))
}
