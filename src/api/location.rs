//! `/inventory_location/`: where devices stand (rest-api.md §4).
//!
//! A location is one organization's, or shared by all. A token that is bound to organizations sees the shared ones and
//! those of its organizations, and changes only the latter.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::ApiState;
use super::access::{Caller, Operator};
use super::audit::Done;
use super::body::{Degrees, Fields, JsonObject, TEXT_MAX_CHARS};
use super::catalogue::{InUse, Names, Write, number, page_of, read_only, read_wished};
use super::device::form::no_such;
use super::error::ApiError;
use super::openapi::{Detail, PageParameters, Reading, Writing};
use super::paging::{Envelope, PageRule};
use super::query::Query;
use crate::devices::inventory::Dependents;
use crate::model::audit::AuditResource;
use crate::model::device::OrganizationId;
use crate::model::inventory::{Location, LocationId};
use crate::model::organizations;
use crate::store::DeviceFilter;
use crate::types::time::Timestamp;

/// A location.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LocationView {
    id: u32,
    #[schema(example = "Headquarters - Building A")]
    name: String,
    #[schema(example = "HQ_BLDG_A")]
    short_name: String,
    address: String,
    latitude: Option<String>,
    longitude: Option<String>,
    /// Whose it is; null: everybody's.
    organization_id: Option<u32>,
    created: String,
}

impl LocationView {
    fn of(record: &Location) -> Self {
        Self {
            id: record.id.0,
            name: record.name.clone(),
            short_name: record.short_name.clone(),
            address: record.address.clone(),
            latitude: record.latitude.clone(),
            longitude: record.longitude.clone(),
            organization_id: record.organization.map(|organization| organization.0),
            created: record.created.to_string(),
        }
    }
}

/// What the fields of a location may hold.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only; a test holds it against the reader")]
#[schema(as = LocationFields, example = json!({
    "name": "Headquarters - Building B", "short_name": "HQ_BLDG_B", "address": "2 Market St, San Francisco"
}))]
pub(super) struct LocationSchema {
    /// Required, unless `short_name` is given.
    #[schema(nullable = false, min_length = 1, max_length = 256)]
    name: Option<String>,
    /// Unique within its organization; at first the name.
    #[schema(nullable = false, min_length = 1, max_length = 256)]
    short_name: Option<String>,
    /// Street and town, free text.
    #[schema(nullable = false, max_length = 8192)]
    address: Option<String>,
    /// Decimal degrees, -90 to 90, as a string or a number.
    latitude: Option<Degrees>,
    /// Decimal degrees, -180 to 180, as a string or a number.
    longitude: Option<Degrees>,
    /// Whose it is: devices of this organization and those below it may stand there. Null: everybody's. Absent:
    /// everybody's, for a token that is bound to organizations its first one's.
    organization_id: Option<u32>,
}

/// A location to be created.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = LocationCreate, example = json!({
    "id": 45, "name": "Headquarters - Building A", "short_name": "HQ_BLDG_A", "address": "1 Market St, San Francisco",
    "latitude": "37.7749", "longitude": "-122.4194"
}))]
pub(super) struct LocationCreateSchema {
    /// A wished-for id.
    #[schema(minimum = 1, maximum = 2_147_483_647)]
    id: Option<u32>,
    #[schema(inline)]
    #[serde(flatten)]
    fields: LocationSchema,
}

/// Locations, in the order of their numbers.
#[utoipa::path(get, path = "/api/v1/inventory_location/", tag = "locations",
    params(PageParameters),
    responses((status = 200, description = "A page", body = Envelope<LocationView>), Reading))]
pub(super) async fn list(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Envelope<LocationView>>, ApiError> {
    let page = query.page(PageRule::LIST);
    let links = query.finish()?;
    let all = state.store.locations().all();
    let (count, records) = page_of(all.values().filter(|one| is_visible(&caller, one)).collect(), page);
    let views = records.into_iter().map(|one| LocationView::of(one)).collect();
    Ok(Json(links.envelope(page, count, views)))
}

/// Creates a location.
#[utoipa::path(post, path = "/api/v1/inventory_location/", tag = "locations", request_body = LocationCreateSchema,
    responses(
        (status = 201, description = "Created", body = LocationView),
        (status = 409, description = "The id or the short name is taken", body = Detail),
        Reading, Writing))]
pub(super) async fn create(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<LocationView>), ApiError> {
    let draft = read(body, Write::Create, &state, &caller)?;
    let wished = draft.wished;
    let mut record = blank(state.clock.now());
    draft.apply(&mut record);
    let record = state.inventory().create(wished, record).await?;
    let done = Done::created(AuditResource::Location, &record.id.0, &LocationView::of(&record));
    state.audit(&caller, done.of_organization(record.organization)).await?;
    tracing::info!("{} created location {}", caller.name(), record.id.0);
    Ok((StatusCode::CREATED, Json(LocationView::of(&record))))
}

/// One location.
#[utoipa::path(get, path = "/api/v1/inventory_location/{id}/", tag = "locations",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 200, description = "The location", body = LocationView),
        (status = 404, description = "There is no such location", body = Detail),
        Reading))]
pub(super) async fn show(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<LocationView>, ApiError> {
    let record = find(&state, &caller, &id)?;
    Ok(Json(LocationView::of(&record)))
}

/// Replaces a location's fields.
#[utoipa::path(put, path = "/api/v1/inventory_location/{id}/", tag = "locations",
    params(("id" = u32, Path, description = "Its number")),
    request_body(content = LocationSchema, description = "What is left out returns to its default."),
    responses(
        (status = 200, description = "The location as it now is", body = LocationView),
        (status = 404, description = "There is no such location", body = Detail),
        (status = 409, description = "The short name is taken, or devices of other organizations stand there",
            body = Detail),
        Reading, Writing))]
pub(super) async fn replace(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<LocationView>, ApiError> {
    write(&state, &caller, &id, body, Write::Replace).await
}

/// Changes the fields that are named.
#[utoipa::path(patch, path = "/api/v1/inventory_location/{id}/", tag = "locations",
    params(("id" = u32, Path, description = "Its number")),
    request_body = LocationSchema,
    responses(
        (status = 200, description = "The location as it now is", body = LocationView),
        (status = 404, description = "There is no such location", body = Detail),
        (status = 409, description = "The short name is taken, or devices of other organizations stand there",
            body = Detail),
        Reading, Writing))]
pub(super) async fn change(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<LocationView>, ApiError> {
    write(&state, &caller, &id, body, Write::Change).await
}

/// Removes a location where no device stands.
#[utoipa::path(delete, path = "/api/v1/inventory_location/{id}/", tag = "locations",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such location", body = Detail),
        (status = 409, description = "Devices stand there", body = InUse),
        Reading))]
pub(super) async fn remove(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let record = find(&state, &caller, &id)?;
    require_own(&caller, &record)?;
    state.inventory().remove::<Location>(record.id.0).await?;
    let done = Done::deleted(AuditResource::Location, &record.id.0, &LocationView::of(&record));
    state.audit(&caller, done.of_organization(record.organization)).await?;
    tracing::info!("{} removed location {}", caller.name(), record.id.0);
    Ok(StatusCode::NO_CONTENT)
}

async fn write(
    state: &ApiState,
    caller: &Operator,
    id: &str,
    body: Map<String, Value>,
    write: Write,
) -> Result<Json<LocationView>, ApiError> {
    let record = find(state, caller, id)?;
    require_own(caller, &record)?;
    let patch = read(body, write, state, caller)?;
    if let Some(Some(owner)) = patch.organization
        && record.organization != Some(owner)
    {
        require_no_others(state, record.id, owner).await?;
    }
    let edit = move |record: &mut Location| patch.apply(record);
    let before = record;
    let record = state.inventory().change(before.id.0, edit).await?;
    let (was, is) = (LocationView::of(&before), LocationView::of(&record));
    let done = Done::updated(AuditResource::Location, &record.id.0, &was, &is);
    state.audit(caller, done.of_organization(record.organization)).await?;
    tracing::info!("{} changed location {}", caller.name(), record.id.0);
    Ok(Json(LocationView::of(&record)))
}

/// Whether the caller may see a location, and put devices there.
pub(super) fn is_visible(caller: &Caller, location: &Location) -> bool {
    location.organization.is_none_or(|organization| caller.sees(organization))
}

fn find(state: &ApiState, caller: &Caller, id: &str) -> Result<Arc<Location>, ApiError> {
    let record = number(id).and_then(|id| state.store.locations().of(LocationId(id)));
    record
        .filter(|record| is_visible(caller, record))
        .ok_or_else(|| ApiError::not_found("There is no location with this id."))
}

fn require_own(caller: &Caller, record: &Location) -> Result<(), ApiError> {
    if record.organization.is_some() { Ok(()) } else { caller.require_unbound() }
}

/// A location does not become one organization's while devices of others stand there.
async fn require_no_others(state: &ApiState, location: LocationId, owner: OrganizationId) -> Result<(), ApiError> {
    let inventory = state.inventory();
    let here = DeviceFilter { location: Some(location), ..DeviceFilter::default() };
    let covered = organizations::covered(&state.store.organizations().all(), &[owner]);
    let own = inventory.devices(&DeviceFilter { visible: Some(covered), ..here.clone() }).await?;
    let others = inventory.devices(&here).await?.saturating_sub(own);
    if others == 0 {
        return Ok(());
    }
    let detail = "Devices of other organizations stand there.";
    Err(ApiError::InUse { detail, dependents: Dependents([("devices", others)].into()) })
}

fn blank(now: Timestamp) -> Location {
    Location {
        id: LocationId(0),
        name: String::new(),
        short_name: String::new(),
        address: String::new(),
        latitude: None,
        longitude: None,
        organization: None,
        created: now,
        revision: 0,
    }
}

/// Checked values.
#[expect(clippy::option_option, reason = "absent and null are different things")]
struct LocationPatch {
    wished: Option<u32>,
    names: Names,
    address: Option<String>,
    latitude: Option<Option<String>>,
    longitude: Option<Option<String>>,
    organization: Option<Option<OrganizationId>>,
}

impl LocationPatch {
    fn apply(self, record: &mut Location) {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut record.name, self.names.name);
        set(&mut record.short_name, self.names.short_name);
        set(&mut record.address, self.address);
        set(&mut record.latitude, self.latitude);
        set(&mut record.longitude, self.longitude);
        set(&mut record.organization, self.organization);
    }
}

fn read(body: Map<String, Value>, write: Write, state: &ApiState, caller: &Caller) -> Result<LocationPatch, ApiError> {
    match body.get("organization_id") {
        Some(Value::Null) => caller.require_unbound()?,
        Some(named) => {
            if let Some(id) = named.as_u64().and_then(|id| u32::try_from(id).ok()) {
                caller.require_organization(OrganizationId(id))?;
            }
        }
        None => {}
    }
    let mut fields = Fields::new(body);
    let wished = read_wished(&mut fields, write);
    let names = Names::read(&mut fields, write);
    let address = fields.text("address", TEXT_MAX_CHARS);
    let latitude = fields.nullable("latitude", |fields, name| fields.degrees(name, 90.0));
    let longitude = fields.nullable("longitude", |fields, name| fields.degrees(name, 180.0));
    let organization =
        fields.nullable("organization_id", |fields, name| fields.integer(name, 0..=u32::MAX).map(OrganizationId));
    if let Some(Some(organization)) = organization
        && state.store.organizations().of(organization).is_none()
    {
        fields.error("organization_id", no_such(organization.0));
    }
    fields.finish(read_only(write))?;
    Ok(LocationPatch {
        wished,
        names,
        address: write.or_default(address, String::new),
        latitude: write.or_default(latitude, || None),
        longitude: write.or_default(longitude, || None),
        organization: write.or_default(organization, || caller.home()),
    })
}
