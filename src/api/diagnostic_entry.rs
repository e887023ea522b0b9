//! `/inventory_device_diags/`: health checks, maintenance records and issue reports of devices (rest-api.md 2.5).

mod form;
mod update;
mod view;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use uuid::Uuid;

use self::update::Checks;
use self::view::DiagnosticEntryView;
use super::ApiState;
use super::access::{Caller, Operator};
use super::audit::Done;
use super::body::{JsonObject, sentence};
use super::error::{ApiError, FieldErrors};
use super::openapi::{Detail, Failure, PageParameters, Reading, Writing};
use super::paging::{Envelope, PageRule};
use super::query::Query;
use crate::model::audit::AuditResource;
use crate::model::device::Device;
use crate::model::entry::{DiagnosticEntry, EntryId};
use crate::store::entries::{EntriesError, EntryFilter};
use crate::store::{Listing, Page};
use crate::types::ident::DeviceKey;

impl From<EntriesError> for ApiError {
    fn from(error: EntriesError) -> Self {
        match error {
            EntriesError::TooBroad => FieldErrors::one("search", sentence(&error)).into(),
            EntriesError::Store(source) => source.into(),
        }
    }
}

/// What the parameter `id` names.
enum Named {
    /// An entry, and its device.
    Entry(Box<Device>, Box<DiagnosticEntry>),
    /// A device.
    Device(Box<Device>),
}

/// Entries, newest first.
#[utoipa::path(get, path = "/api/v1/inventory_device_diags/", tag = "diagnostic entries",
    params(
        ("id" = Option<String>, Query, description = "An entry (`diag-001`), or a device (`device-1001`, `1001`, its uuid)"),
        ("update_status" = Option<bool>, Query, description = "Has the devices checked first: the health checks of this \
            page, or, with the id of a device, its newest, which is made if it has none"),
        ("diagnostic_type" = Option<String>, Query, description = "Only of this type"),
        ("status" = Option<String>, Query, description = "Only in this status"),
        ("search" = Option<String>, Query, description = "Only with each of these words in `notes`, `performed_by`, \
            `reported_by`, or in what a search of devices looks at"),
        PageParameters
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<DiagnosticEntryView>),
        (status = 404, description = "There is no such entry or device", body = Detail),
        Reading,
        (status = 500, description = "acsd failed, or the health parameters of the device's type are of no use: \
            `detail` says which", body = Failure)))]
pub(super) async fn list(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Envelope<DiagnosticEntryView>>, ApiError> {
    let update_status = query.boolean("update_status") == Some(true);
    let page = query.page(PageRule::LIST);
    let id = query.text("id").map(str::to_owned);
    let mut filter = EntryFilter {
        visible: caller.visible().map(<[_]>::to_vec),
        device: None,
        kind: query.text("diagnostic_type").map(str::to_owned),
        status: query.text("status").map(str::to_owned),
        search: query.choice("search", |text| text.parse().map_err(|error| format!("{error}"))).unwrap_or_default(),
    };
    let links = query.finish()?;
    let named = match id {
        Some(id) => Some(find_named(&state, &caller, &id).await?),
        None => None,
    };
    if let Some(Named::Device(device)) = &named {
        filter.device = Some(device.key);
    }
    let mut found = find(&state, named.as_ref(), &filter, page).await?;
    if update_status {
        let checks = Checks::of(&state, named.as_ref(), filter.kind.as_deref(), &found.items).await?;
        checks.make(&state, &caller).await?;
        found = find(&state, named.as_ref(), &filter, page).await?;
    }
    let views = views(&state, found.items).await?;
    Ok(Json(links.envelope(page, found.count, views)))
}

/// Records an entry.
#[utoipa::path(post, path = "/api/v1/inventory_device_diags/", tag = "diagnostic entries",
    request_body = form::BodySchema,
    responses(
        (status = 201, description = "Recorded", body = DiagnosticEntryView),
        (status = 404, description = "There is no such device", body = Detail),
        (status = 422, description = "A field has the wrong type or range: the reasons by field",
            body = std::collections::HashMap<String, serde_json::Value>),
        Reading, Writing))]
pub(super) async fn create(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<DiagnosticEntryView>), ApiError> {
    let draft = form::read_new(body)?;
    let device = find_device(&state, &caller, &draft.device).await?;
    let (now, key) = (state.clock.now(), device.key);
    let due = draft.patch.next_check_due();
    let make = Box::new(move |id| {
        let mut entry = DiagnosticEntry::new(id, key, draft.kind, now);
        draft.patch.apply(&mut entry, now);
        entry
    });
    let keep = state.device_health.entries_per_device();
    let entry = state.store.add_entry(key, make, keep).await?.ok_or_else(no_such_device)?;
    if let Some(due) = due.filter(|_| entry.is_health_check()) {
        state.device_health.reschedule(key, due);
    }
    let id = entry.id;
    let view = DiagnosticEntryView::of(&device, entry);
    state.audit(&caller, Done::created(AuditResource::DiagnosticEntry, &id, &view).of_device(&device)).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// One entry.
#[utoipa::path(get, path = "/api/v1/inventory_device_diags/{id}/", tag = "diagnostic entries",
    params(("id" = String, Path, description = "`diag-001`")),
    responses(
        (status = 200, description = "The entry", body = DiagnosticEntryView),
        (status = 404, description = "There is no such entry", body = Detail),
        Reading))]
pub(super) async fn show(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<DiagnosticEntryView>, ApiError> {
    let (device, entry) = find_entry(&state, &caller, &id).await?;
    Ok(Json(DiagnosticEntryView::of(&device, entry)))
}

/// Changes the fields that are named; lists and objects as a whole.
#[utoipa::path(patch, path = "/api/v1/inventory_device_diags/{id}/", tag = "diagnostic entries",
    params(("id" = String, Path, description = "`diag-001`")),
    request_body = form::FieldsSchema,
    responses(
        (status = 200, description = "The entry as it now is", body = DiagnosticEntryView),
        (status = 404, description = "There is no such entry", body = Detail),
        (status = 422, description = "A field has the wrong type or range: the reasons by field",
            body = std::collections::HashMap<String, serde_json::Value>),
        Reading, Writing))]
pub(super) async fn change(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<DiagnosticEntryView>, ApiError> {
    let (device, before) = find_entry(&state, &caller, &id).await?;
    let patch = form::read_change(body, &format!("device-{}", device.key))?;
    let (now, due) = (state.clock.now(), patch.next_check_due());
    let edit = Box::new(move |entry: &mut DiagnosticEntry| {
        patch.apply(entry, now);
        Vec::new()
    });
    let id = before.id;
    let entry = state.store.edit_entry(id, edit).await?.ok_or_else(no_such_entry)?;
    if let Some(due) = due.filter(|_| entry.is_health_check()) {
        state.device_health.reschedule(device.key, due);
    }
    let (was, is) = (DiagnosticEntryView::of(&device, before), DiagnosticEntryView::of(&device, entry));
    let done = Done::updated(AuditResource::DiagnosticEntry, &id, &was, &is);
    state.audit(&caller, done.of_device(&device)).await?;
    Ok(Json(is))
}

/// Removes an entry.
#[utoipa::path(delete, path = "/api/v1/inventory_device_diags/{id}/", tag = "diagnostic entries",
    params(("id" = String, Path, description = "`diag-001`")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such entry", body = Detail),
        Reading))]
pub(super) async fn remove(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let (device, entry) = find_entry(&state, &caller, &id).await?;
    let id = entry.id;
    if !state.store.remove_entry(id).await? {
        return Err(no_such_entry());
    }
    let done = Done::deleted(AuditResource::DiagnosticEntry, &id, &DiagnosticEntryView::of(&device, entry));
    state.audit(&caller, done.of_device(&device)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn find(
    state: &ApiState,
    named: Option<&Named>,
    filter: &EntryFilter,
    page: Page,
) -> Result<Listing<DiagnosticEntry>, ApiError> {
    let Some(Named::Entry(_, entry)) = named else {
        return Ok(state.store.entries(filter, page).await?);
    };
    // One alone: the other filters still count.
    let fits = |entry: &DiagnosticEntry| {
        filter.kind.as_ref().is_none_or(|kind| *kind == entry.head.kind)
            && filter.status.as_ref().is_none_or(|status| *status == entry.head.status)
    };
    let mut items: Vec<DiagnosticEntry> = state.store.entry(entry.id).await?.into_iter().filter(fits).collect();
    let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
    if page.offset > 0 {
        items.clear();
    }
    Ok(Listing { items, count })
}

async fn find_named(state: &ApiState, caller: &Caller, id: &str) -> Result<Named, ApiError> {
    if EntryId::parse(id).is_some() {
        let (device, entry) = find_entry(state, caller, id).await?;
        return Ok(Named::Entry(Box::new(device), Box::new(entry)));
    }
    find_device(state, caller, id).await.map(|device| Named::Device(Box::new(device)))
}

/// The entry with this id, and its device.
async fn find_entry(state: &ApiState, caller: &Caller, id: &str) -> Result<(Device, DiagnosticEntry), ApiError> {
    let Some(id) = EntryId::parse(id) else { return Err(no_such_entry()) };
    let entry = state.store.entry(id).await?.ok_or_else(no_such_entry)?;
    let device = state.store.device(entry.head.device).await?;
    let device = device.filter(|device| caller.sees(device.profile.organization)).ok_or_else(no_such_entry)?;
    Ok((device, entry))
}

/// The device that is named `device-1001`, `1001` or by its uuid.
async fn find_device(state: &ApiState, caller: &Caller, id: &str) -> Result<Device, ApiError> {
    let digits = id.strip_prefix("device-").unwrap_or(id);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let device = if is_number {
        match digits.parse() {
            Ok(key) => state.store.device(DeviceKey(key)).await?,
            Err(_too_large) => None,
        }
    } else {
        match Uuid::try_parse(id) {
            Ok(uuid) => state.store.by_uuid(uuid).await?,
            Err(_no_uuid) => None,
        }
    };
    device.filter(|device| caller.sees(device.profile.organization)).ok_or_else(no_such_device)
}

fn no_such_entry() -> ApiError {
    ApiError::not_found("There is no diagnostic entry with this id.")
}

fn no_such_device() -> ApiError {
    ApiError::not_found("There is no device with this id.")
}

async fn views(state: &ApiState, entries: Vec<DiagnosticEntry>) -> Result<Vec<DiagnosticEntryView>, ApiError> {
    let mut keys: Vec<DeviceKey> = entries.iter().map(|entry| entry.head.device).collect();
    keys.sort_unstable();
    keys.dedup();
    let devices = state.store.devices(&keys).await?;
    let devices: HashMap<DeviceKey, Device> = devices.into_iter().map(|device| (device.key, device)).collect();
    // A device that was removed meanwhile has taken its entries along.
    let view = |entry: DiagnosticEntry| Some(DiagnosticEntryView::of(devices.get(&entry.head.device)?, entry));
    Ok(entries.into_iter().filter_map(view).collect())
}
