//! `/inventory_device_serial/{serial_number}/files/`: what a device has sent.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiState;
use super::access::{Caller, Operator};
use super::audit::Done;
use super::catalogue::{number, page_of};
use super::device::{Serial, SerialAndId};
use super::error::ApiError;
use super::fetch;
use super::openapi::{Detail, PageParameters, Reading};
use super::paging::{Envelope, PageRule};
use super::query::Query;
use crate::files::{RecordError, Target};
use crate::model::audit::AuditResource;
use crate::model::device::Device;
use crate::model::file::{StoredFile, StoredFileId};

/// A file that a device has sent.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StoredFileView {
    id: u32,
    serial_number: String,
    /// The transaction that brought it.
    transaction: u64,
    /// `FileType` of the `Upload`.
    #[schema(example = "3 Vendor Configuration File 1")]
    file_type: String,
    /// Bytes.
    size: u64,
    /// Hexadecimal.
    sha256: String,
    /// When it was complete.
    created: String,
}

impl StoredFileView {
    fn of(file: &StoredFile) -> Self {
        Self {
            id: file.id.0,
            serial_number: file.serial_number.to_string(),
            transaction: file.transaction.0,
            file_type: file.file_type.clone(),
            size: file.size,
            sha256: hex::encode(file.sha256),
            created: file.created.to_string(),
        }
    }
}

/// What a device has sent, newest first.
#[utoipa::path(get, path = "/api/v1/inventory_device_serial/{serial_number}/files/", tag = "files",
    params(
        ("serial_number" = String, Path, description = "Percent-encoded where need be"),
        PageParameters
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<StoredFileView>),
        (status = 404, description = "There is no such device", body = Detail),
        Reading))]
pub(super) async fn list(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    Serial(serial): Serial,
    mut query: Query,
) -> Result<Json<Envelope<StoredFileView>>, ApiError> {
    let page = query.page(PageRule::LIST);
    let links = query.finish()?;
    let device = caller.device(&state, &serial).await?;
    let mut files = state.files.of_device(device.key);
    files.reverse();
    let (count, ids) = page_of(files, page);
    let catalogue = state.store.stored_files();
    let views = ids.into_iter().filter_map(|id| catalogue.of(id)).map(|file| StoredFileView::of(&file)).collect();
    Ok(Json(links.envelope(page, count, views)))
}

/// One file.
#[utoipa::path(get, path = "/api/v1/inventory_device_serial/{serial_number}/files/{id}/", tag = "files",
    params(
        ("serial_number" = String, Path, description = "Percent-encoded where need be"),
        ("id" = u32, Path, description = "Its number")
    ),
    responses(
        (status = 200, description = "What is known of it", body = StoredFileView),
        (status = 404, description = "There is no such device or file", body = Detail),
        Reading))]
pub(super) async fn show(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    path: SerialAndId,
) -> Result<Json<StoredFileView>, ApiError> {
    let (_, file) = find(&state, &caller, path).await?;
    Ok(Json(StoredFileView::of(&file)))
}

/// The bytes of a file. Parts of it by `Range`; `ETag` is its SHA-256.
#[utoipa::path(get, path = "/api/v1/inventory_device_serial/{serial_number}/files/{id}/file/", tag = "files",
    params(
        ("serial_number" = String, Path, description = "Percent-encoded where need be"),
        ("id" = u32, Path, description = "Its number")
    ),
    responses(
        (status = 200, description = "The bytes", content((String = "application/octet-stream"))),
        (status = 206, description = "The bytes that `Range` asks for", content((String = "application/octet-stream"))),
        (status = 404, description = "There is no such device or file", body = Detail),
        (status = 416, description = "`Range` asks for what there is not", body = Detail),
        Reading))]
pub(super) async fn download(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    path: SerialAndId,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (_, file) = find(&state, &caller, path).await?;
    fetch::answer(&state, &method, &headers, Target::Stored(file.id)).await?.ok_or_else(no_such_file)
}

/// Removes a file.
#[utoipa::path(delete, path = "/api/v1/inventory_device_serial/{serial_number}/files/{id}/", tag = "files",
    params(
        ("serial_number" = String, Path, description = "Percent-encoded where need be"),
        ("id" = u32, Path, description = "Its number")
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such device or file", body = Detail),
        (status = 409, description = "The device is about to fetch it", body = Detail),
        Reading))]
pub(super) async fn remove(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    path: SerialAndId,
) -> Result<StatusCode, ApiError> {
    let (device, file) = find(&state, &caller, path).await?;
    if state.files.is_awaited(&file).await? {
        return Err(ApiError::conflict("The device is about to fetch this file."));
    }
    state.files.remove_stored(file.id).await.map_err(|error| match error {
        RecordError::Unknown => no_such_file(),
        RecordError::Store(source) => source.into(),
    })?;
    let done = Done::deleted(AuditResource::File, &file.id.0, &StoredFileView::of(&file));
    state.audit(&caller, done.of_device(&device)).await?;
    tracing::info!(device.id = %device.key, "{} removed file {} of device {}", caller.name(), file.id.0, device.key);
    Ok(StatusCode::NO_CONTENT)
}

async fn find(
    state: &ApiState,
    caller: &Caller,
    SerialAndId(serial, id): SerialAndId,
) -> Result<(Device, Arc<StoredFile>), ApiError> {
    let device = caller.device(state, &serial).await?;
    let file = number(&id).and_then(|id| state.store.stored_files().of(StoredFileId(id)));
    let file = file.filter(|file| file.device == device.key).ok_or_else(no_such_file)?;
    Ok((device, file))
}

fn no_such_file() -> ApiError {
    ApiError::not_found("There is no file with this id.")
}
