//! `/inventory_device_serial/`: the inventory (rest-api.md 2.1).

pub(super) mod export;
pub(super) mod filter;
pub(super) mod form;
pub(super) mod import;
mod table;
pub(super) mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;

use self::view::{DeviceDetail, DeviceRow, PendingShown};
use super::ApiState;
use super::access::{Caller, Operator};
use super::audit::Done;
use super::body::{JsonObject, sentence};
use super::error::{ApiError, FieldErrors};
use super::openapi::{Detail, PageParameters, Reading, Writing};
use super::paging::{Envelope, PageRule};
use super::query::Query;
use crate::devices::edit::EditError;
use crate::devices::edit::credentials::CredentialError;
use crate::devices::edit::draft::{DeviceDraft, DevicePatch};
use crate::model::audit::AuditResource;
use crate::model::device::Device;
use crate::model::upgrade::Unfit;
use crate::store::RegisterError;

impl From<EditError> for ApiError {
    fn from(error: EditError) -> Self {
        let detail = sentence(&error);
        match error {
            EditError::Register(RegisterError::Store(source)) | EditError::Store(source) => source.into(),
            EditError::Register(_) | EditError::QueueFull { .. } | EditError::Busy(_) => Self::conflict(detail),
            EditError::Credentials(CredentialError::UsernameMissing | CredentialError::UsernameBlank) => {
                FieldErrors::one("username", detail).into()
            }
            EditError::Credentials(CredentialError::PasswordMissing) => FieldErrors::one("password", detail).into(),
            EditError::Unfit(Unfit::OtherType) => FieldErrors::one("firmware_image", detail).into(),
            EditError::Unfit(Unfit::NoFile) => Self::unprocessable(detail),
            EditError::Inactive | EditError::Impossible(_) => Self::unprocessable(detail),
            EditError::Gone => Self::no_such_device(),
            EditError::Seal(source) => source.into(),
        }
    }
}

/// Lists devices.
#[utoipa::path(get, path = "/api/v1/inventory_device_serial/", tag = "devices",
    params(
        filter::FilterParameters,
        ("pending" = Option<bool>, Query, description = "Adds `pending_settings_detail` to each row"),
        ("update_status" = Option<bool>, Query, description = "Calls the devices of the page first"),
        PageParameters
    ),
    responses((status = 200, description = "A page", body = Envelope<DeviceRow>), Reading))]
pub(super) async fn list(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Envelope<DeviceRow>>, ApiError> {
    let shown = PendingShown::asked(query.boolean("pending"));
    let update_status = query.boolean("update_status") == Some(true);
    let page = query.page(PageRule::LIST);
    let filter = filter::read(&mut query, &caller, &state)?;
    let links = query.finish()?;
    let listing =
        if update_status { state.refresh_page(&filter, page).await? } else { state.store.list(&filter, page).await? };
    let mut rows = Vec::with_capacity(listing.items.len());
    for device in listing.items {
        rows.push(DeviceRow::of(device, shown, &*state.store).await?);
    }
    Ok(Json(links.envelope(page, listing.count, rows)))
}

/// Creates a device ahead of its first contact.
#[utoipa::path(post, path = "/api/v1/inventory_device_serial/", tag = "devices",
    request_body = form::DeviceCreateSchema,
    responses(
        (status = 201, description = "Created", body = DeviceDetail),
        (status = 409, description = "The serial number or the id is taken", body = Detail),
        Reading, Writing))]
pub(super) async fn create(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<DeviceDetail>), ApiError> {
    let draft = form::read_draft(body, &caller, &state)?;
    Ok((StatusCode::CREATED, create_device(&state, &caller, draft).await?))
}

/// One device.
#[utoipa::path(get, path = "/api/v1/inventory_device_serial/{serial_number}/", tag = "devices",
    params(
        ("serial_number" = String, Path, description = "Percent-encoded where need be"),
        ("pending" = Option<bool>, Query, description = "Adds `pending_settings_detail`"),
        ("update_status" = Option<bool>, Query, description = "Calls the device first")
    ),
    responses(
        (status = 200, description = "The device", body = DeviceDetail),
        (status = 404, description = "There is no such device", body = Detail),
        Reading))]
pub(super) async fn show(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    Serial(serial): Serial,
    mut query: Query,
) -> Result<Json<DeviceDetail>, ApiError> {
    let shown = PendingShown::asked(query.boolean("pending"));
    let update_status = query.boolean("update_status") == Some(true);
    query.finish()?;
    let mut device = caller.device(&state, &serial).await?;
    if update_status {
        state.refresh_devices(std::slice::from_ref(&device)).await;
        device = caller.device(&state, &serial).await?;
    }
    detail(&state, device, shown).await
}

/// Replaces every field of a device that can be changed.
#[utoipa::path(put, path = "/api/v1/inventory_device_serial/{serial_number}/", tag = "devices",
    params(("serial_number" = String, Path, description = "Percent-encoded where need be")),
    request_body(content = form::DeviceReplaceSchema,
        description = "`name`, `type`, `organization_id` and `is_active` are required. What is left out returns to its \
                       default; credentials stay."),
    responses(
        (status = 200, description = "The device as it now is", body = DeviceDetail),
        (status = 404, description = "There is no such device", body = Detail),
        (status = 409, description = "The device's queue is full", body = Detail),
        (status = 422, description = "Not possible on this device", body = Detail),
        Reading, Writing))]
pub(super) async fn replace(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Serial(serial): Serial,
    JsonObject(body): JsonObject,
) -> Result<Json<DeviceDetail>, ApiError> {
    let device = caller.device(&state, &serial).await?;
    let patch = form::read_replacement(body, &device, &caller, &state)?;
    change_device(&state, &caller, device, patch).await
}

/// Changes the fields that are named, and orders what is `true`.
#[utoipa::path(patch, path = "/api/v1/inventory_device_serial/{serial_number}/", tag = "devices",
    params(("serial_number" = String, Path, description = "Percent-encoded where need be")),
    request_body = form::DevicePatchSchema,
    responses(
        (status = 200, description = "The device as it now is", body = DeviceDetail),
        (status = 404, description = "There is no such device", body = Detail),
        (status = 409, description = "The device's queue is full", body = Detail),
        (status = 422, description = "Not possible on this device", body = Detail),
        Reading, Writing))]
pub(super) async fn change(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Serial(serial): Serial,
    JsonObject(body): JsonObject,
) -> Result<Json<DeviceDetail>, ApiError> {
    let device = caller.device(&state, &serial).await?;
    let patch = form::read_patch(body, &device, &caller, &state)?;
    change_device(&state, &caller, device, patch).await
}

/// Removes a device with its parameters, queue, history and credentials.
#[utoipa::path(delete, path = "/api/v1/inventory_device_serial/{serial_number}/", tag = "devices",
    params(("serial_number" = String, Path, description = "Percent-encoded where need be")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such device", body = Detail),
        (status = 409, description = "A session or a file transfer of it is in progress", body = Detail),
        Reading))]
pub(super) async fn remove(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Serial(serial): Serial,
) -> Result<StatusCode, ApiError> {
    let device = caller.device(&state, &serial).await?;
    let before = detail(&state, device.clone(), PendingShown::Names).await?;
    state.editor().remove(&device).await?;
    let done = Done::deleted(AuditResource::Device, &device.profile.serial_number, &before.0);
    // The device is gone, whatever becomes of what it has sent: of that the next start removes what stays here.
    let done = match state.files.forget_device(device.key).await {
        Ok(()) => done,
        Err(error) => {
            tracing::error!(device.id = %device.key, %error, "files of device {} stay until the next start", device.key);
            done.with("files", "left to the next start".into())
        }
    };
    state.audit(&caller, done.of_device(&device)).await?;
    tracing::info!(device.id = %device.key, "{} removed device {}", caller.name(), device.key);
    Ok(StatusCode::NO_CONTENT)
}

/// Creates a device, and says so in the audit trail.
async fn create_device(state: &ApiState, caller: &Caller, draft: DeviceDraft) -> Result<Json<DeviceDetail>, ApiError> {
    let new_password = draft.fields.password.is_some();
    let device = state.editor().create(draft).await?;
    state.inventory().confirm_created(&device).await?;
    let shown = detail(state, device.clone(), PendingShown::Names).await?;
    let done = Done::created(AuditResource::Device, &device.profile.serial_number, &shown.0);
    let done = if new_password { done.with("password", "new".into()) } else { done };
    state.audit(caller, done.of_device(&device)).await?;
    tracing::info!(device.id = %device.key, "{} created device {}", caller.name(), device.key);
    Ok(shown)
}

/// Changes a device, and says so in the audit trail.
async fn change_device(
    state: &ApiState,
    caller: &Caller,
    device: Device,
    patch: DevicePatch,
) -> Result<Json<DeviceDetail>, ApiError> {
    let new_password = patch.password.is_some();
    let operations: Vec<&str> = patch.operations.iter().map(|operation| operation.as_str()).collect();
    let before = detail(state, device.clone(), PendingShown::Names).await?;
    let was = device;
    let device = state.editor().change(&was, patch, caller.name()).await?;
    state.inventory().confirm_changed(&was, &device).await?;
    let after = detail(state, device.clone(), PendingShown::Names).await?;
    let done = Done::updated(AuditResource::Device, &device.profile.serial_number, &before.0, &after.0);
    let done = if operations.is_empty() { done } else { done.with("operations", operations.into()) };
    let done = if new_password { done.with("password", "new".into()) } else { done };
    state.audit(caller, done.of_device(&device)).await?;
    Ok(after)
}

async fn detail(state: &ApiState, device: Device, shown: PendingShown) -> Result<Json<DeviceDetail>, ApiError> {
    DeviceDetail::of(device, shown, &*state.store).await.map(Json)
}

/// The serial number and what follows it in a path, both decoded. What cannot be decoded is a serial number that no device has.
pub(super) struct SerialAndId(pub(super) String, pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for SerialAndId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<(String, String)>::from_request_parts(parts, state).await {
            Ok(Path((serial, id))) => Ok(Self(serial, id)),
            Err(_not_utf8) => Err(ApiError::no_such_device()),
        }
    }
}

/// The serial number of a path, decoded. What cannot be one is one that no device has.
pub(super) struct Serial(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Serial {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(serial)) => Ok(Self(serial)),
            // Paths of their own, of which devices may bear the names all the same.
            Err(_no_serial) if parts.uri.path() == export::PATH => Ok(Self("export".to_owned())),
            Err(_no_serial) if parts.uri.path() == import::PATH => Ok(Self("import".to_owned())),
            Err(_not_utf8) => Err(ApiError::no_such_device()),
        }
    }
}
