//! `/organization/`: whose devices are whose (rest-api.md §4).
//!
//! Everybody reads those that their token covers. Admins change them; one whose token is bound to organizations changes
//! those below its own, and never its own.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::ApiState;
use super::access::{Admin, Caller};
use super::audit::Done;
use super::body::{Fields, JsonObject};
use super::catalogue::{InUse, Names, Write, number, page_of, read_only, read_wished};
use super::device::form::no_such;
use super::error::ApiError;
use super::openapi::{Detail, PageParameters, Reading, Writing};
use super::paging::{Envelope, PageRule};
use super::query::Query;
use crate::model::audit::AuditResource;
use crate::model::device::OrganizationId;
use crate::model::inventory::Organization;
use crate::model::organizations;

/// An organization.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrganizationView {
    id: u32,
    #[schema(example = "Zequenze Networks")]
    name: String,
    #[schema(example = "ZN")]
    short_name: String,
    /// The one above it, whose tokens cover it, too. Null at the top, and where the token does not cover the one above.
    parent: Option<u32>,
    created: String,
}

impl OrganizationView {
    fn of(record: &Organization, caller: &Caller) -> Self {
        Self {
            id: record.id.0,
            name: record.name.clone(),
            short_name: record.short_name.clone(),
            parent: record.parent.filter(|parent| caller.sees(*parent)).map(|parent| parent.0),
            created: record.created.to_string(),
        }
    }
}

/// What the fields of an organization may hold.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only; a test holds it against the reader")]
#[schema(as = OrganizationFields, example = json!({"name": "Zequenze Networks", "short_name": "ZN"}))]
pub(super) struct OrganizationSchema {
    /// Required, unless `short_name` is given.
    #[schema(nullable = false, min_length = 1, max_length = 256)]
    name: Option<String>,
    /// Unique below the same parent; at first the name.
    #[schema(nullable = false, min_length = 1, max_length = 256)]
    short_name: Option<String>,
    /// The one above it. Absent: none, for a token that is bound to organizations its first one.
    parent: Option<u32>,
}

/// An organization to be created.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = OrganizationCreate, example = json!({"id": 123, "name": "Zequenze Networks", "short_name": "ZN", "parent": 1}))]
pub(super) struct OrganizationCreateSchema {
    /// A wished-for id.
    #[schema(minimum = 1, maximum = 2_147_483_647)]
    id: Option<u32>,
    #[schema(inline)]
    #[serde(flatten)]
    fields: OrganizationSchema,
}

/// Organizations, in the order of their numbers.
#[utoipa::path(get, path = "/api/v1/organization/", tag = "organizations",
    params(PageParameters),
    responses((status = 200, description = "A page", body = Envelope<OrganizationView>), Reading))]
pub(super) async fn list(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Envelope<OrganizationView>>, ApiError> {
    let page = query.page(PageRule::LIST);
    let links = query.finish()?;
    let all = state.store.organizations().all();
    let (count, records) = page_of(all.values().filter(|one| caller.sees(one.id)).collect(), page);
    let views = records.into_iter().map(|one| OrganizationView::of(one, &caller)).collect();
    Ok(Json(links.envelope(page, count, views)))
}

/// Creates an organization.
#[utoipa::path(post, path = "/api/v1/organization/", tag = "organizations", request_body = OrganizationCreateSchema,
    responses(
        (status = 201, description = "Created", body = OrganizationView),
        (status = 409, description = "The id or the short name is taken", body = Detail),
        Reading, Writing))]
pub(super) async fn create(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<OrganizationView>), ApiError> {
    let draft = read(body, Write::Create, None, &state, &caller)?;
    let mut record = Organization::first(state.clock.now());
    let wished = draft.wished;
    draft.apply(&mut record);
    let record = state.inventory().create(wished, record).await?;
    let done = Done::created(AuditResource::Organization, &record.id.0, &OrganizationView::of(&record, &caller));
    state.audit(&caller, done.of_organization(Some(record.id))).await?;
    tracing::info!("{} created organization {}", caller.name(), record.id.0);
    Ok((StatusCode::CREATED, Json(OrganizationView::of(&record, &caller))))
}

/// One organization.
#[utoipa::path(get, path = "/api/v1/organization/{id}/", tag = "organizations",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 200, description = "The organization", body = OrganizationView),
        (status = 404, description = "There is no such organization", body = Detail),
        Reading))]
pub(super) async fn show(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<OrganizationView>, ApiError> {
    let record = find(&state, &caller, &id)?;
    Ok(Json(OrganizationView::of(&record, &caller)))
}

/// Replaces an organization's fields.
#[utoipa::path(put, path = "/api/v1/organization/{id}/", tag = "organizations",
    params(("id" = u32, Path, description = "Its number")),
    request_body(content = OrganizationSchema, description = "What is left out returns to its default."),
    responses(
        (status = 200, description = "The organization as it now is", body = OrganizationView),
        (status = 404, description = "There is no such organization", body = Detail),
        (status = 409, description = "The short name is taken", body = Detail),
        Reading, Writing))]
pub(super) async fn replace(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<OrganizationView>, ApiError> {
    write(&state, &caller, &id, body, Write::Replace).await
}

/// Changes the fields that are named.
#[utoipa::path(patch, path = "/api/v1/organization/{id}/", tag = "organizations",
    params(("id" = u32, Path, description = "Its number")),
    request_body = OrganizationSchema,
    responses(
        (status = 200, description = "The organization as it now is", body = OrganizationView),
        (status = 404, description = "There is no such organization", body = Detail),
        (status = 409, description = "The short name is taken", body = Detail),
        Reading, Writing))]
pub(super) async fn change(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<OrganizationView>, ApiError> {
    write(&state, &caller, &id, body, Write::Change).await
}

/// Removes an organization that nothing refers to.
#[utoipa::path(delete, path = "/api/v1/organization/{id}/", tag = "organizations",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such organization", body = Detail),
        (status = 409, description = "It is the default, or something refers to it", body = InUse),
        Reading))]
pub(super) async fn remove(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let record = find(&state, &caller, &id)?;
    require_below(&caller, &record)?;
    state.inventory().remove::<Organization>(record.id.0).await?;
    let done = Done::deleted(AuditResource::Organization, &record.id.0, &OrganizationView::of(&record, &caller));
    state.audit(&caller, done.of_organization(Some(record.id))).await?;
    tracing::info!("{} removed organization {}", caller.name(), record.id.0);
    Ok(StatusCode::NO_CONTENT)
}

async fn write(
    state: &ApiState,
    caller: &Admin,
    id: &str,
    body: Map<String, Value>,
    write: Write,
) -> Result<Json<OrganizationView>, ApiError> {
    let record = find(state, caller, id)?;
    require_below(caller, &record)?;
    let patch = read(body, write, Some(record.id), state, caller)?;
    let edit = move |record: &mut Organization| patch.apply(record);
    let before = record;
    let record = state.inventory().change(before.id.0, edit).await?;
    let (was, is) = (OrganizationView::of(&before, caller), OrganizationView::of(&record, caller));
    let done = Done::updated(AuditResource::Organization, &record.id.0, &was, &is);
    state.audit(caller, done.of_organization(Some(record.id))).await?;
    tracing::info!("{} changed organization {}", caller.name(), record.id.0);
    Ok(Json(OrganizationView::of(&record, caller)))
}

/// By the number in the path: one outside the token is refused as one that is named, whether it exists or not.
fn find(state: &ApiState, caller: &Caller, id: &str) -> Result<Arc<Organization>, ApiError> {
    let no_such = || ApiError::not_found("There is no organization with this id.");
    let id = number(id).map(OrganizationId).ok_or_else(no_such)?;
    caller.require_organization(id)?;
    state.store.organizations().of(id).ok_or_else(no_such)
}

/// A bound admin rules what is below its organizations, not these themselves.
fn require_below(caller: &Caller, record: &Organization) -> Result<(), ApiError> {
    if caller.bound_to().is_none() || record.parent.is_some_and(|parent| caller.sees(parent)) {
        Ok(())
    } else {
        Err(ApiError::forbidden("This token may change organizations below its own only."))
    }
}

/// Checked values.
#[expect(clippy::option_option, reason = "absent and null are different things")]
struct OrganizationPatch {
    wished: Option<u32>,
    names: Names,
    parent: Option<Option<OrganizationId>>,
}

impl OrganizationPatch {
    fn apply(self, record: &mut Organization) {
        if let Some(name) = self.names.name {
            record.name = name;
        }
        if let Some(short_name) = self.names.short_name {
            record.short_name = short_name;
        }
        if let Some(parent) = self.parent {
            record.parent = parent;
        }
    }
}

fn read(
    body: Map<String, Value>,
    write: Write,
    own: Option<OrganizationId>,
    state: &ApiState,
    caller: &Caller,
) -> Result<OrganizationPatch, ApiError> {
    // Before anything is said of the parent: whether it exists is not the business of a token that does not cover it.
    match body.get("parent") {
        Some(Value::Null) => {
            caller.require_unbound().map_err(|_bound| {
                ApiError::forbidden("A token that is bound to organizations may not make one at the top.")
            })?;
        }
        Some(named) => {
            if let Some(id) = named.as_u64().and_then(|id| u32::try_from(id).ok()) {
                caller.require_organization(OrganizationId(id))?;
            }
        }
        None => {}
    }
    let all = state.store.organizations().all();
    let mut fields = Fields::new(body);
    let wished = read_wished(&mut fields, write);
    let names = Names::read(&mut fields, write);
    let parent = fields.nullable("parent", |fields, name| fields.integer(name, 0..=u32::MAX).map(OrganizationId));
    if let Some(Some(parent)) = parent {
        if !all.contains_key(&parent.0) {
            fields.error("parent", no_such(parent.0));
        } else if own.is_some_and(|own| organizations::lies_within(&all, parent, own)) {
            fields.error("parent", "An organization cannot lie below itself.");
        }
    }
    let parent = write.or_default(parent, || caller.home());
    fields.finish(read_only(write))?;
    Ok(OrganizationPatch { wished, names, parent })
}
