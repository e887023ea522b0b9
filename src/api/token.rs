//! `/api_token/`: who may use this API (rest-api.md §4). For admins.

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
use super::catalogue::{Write, page_of};
use super::device::form::no_such;
use super::error::{ApiError, FieldErrors};
use super::openapi::{Detail, PageParameters, Reading, Writing};
use super::paging::{Envelope, PageRule};
use super::query::{Query, parse_time};
use super::words::RoleWord;
use crate::auth::token::{TokenHash, generate, prefix};
use crate::model::audit::AuditResource;
use crate::model::device::OrganizationId;
use crate::model::token::{Role, TokenId, TokenRecord};
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// A token as it is shown: never itself, but once.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenView {
    id: u32,
    name: String,
    role: RoleWord,
    /// Null: all.
    organizations: Option<Vec<u32>>,
    /// Null: never.
    expires_at: Option<String>,
    /// The token itself: only in the answer to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token: Option<String>,
    /// Its first characters.
    prefix: String,
    created_at: String,
    last_used_at: Option<String>,
}

impl TokenView {
    fn of(record: TokenRecord) -> Self {
        Self {
            id: record.id.0,
            name: record.name,
            role: record.role.into(),
            organizations: record.organizations.map(|all| all.into_iter().map(|one| one.0).collect()),
            expires_at: record.expires_at.map(|at| at.to_string()),
            token: None,
            prefix: record.prefix,
            created_at: record.created_at.to_string(),
            last_used_at: record.last_used_at.map(|at| at.to_string()),
        }
    }
}

/// A token to be made.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = TokenCreate, example = json!({"name": "dashboard", "role": "viewer"}))]
pub(super) struct TokenSchema {
    /// For people.
    #[schema(min_length = 1, max_length = 256)]
    name: String,
    /// `viewer`, `operator` or `admin`.
    #[schema(value_type = RoleWord)]
    role: String,
    /// Absent or null: the maker's own; all if the maker is unbound.
    #[schema(min_items = 1)]
    organizations: Option<Vec<u32>>,
    /// A date, or a date and time, that lies ahead. Absent or null: never.
    #[schema(example = "2099-12-31T23:59:59Z")]
    expires_at: Option<String>,
}

/// Tokens, oldest first.
#[utoipa::path(get, path = "/api/v1/api_token/", tag = "tokens",
    params(PageParameters),
    responses((status = 200, description = "A page", body = Envelope<TokenView>), Reading))]
pub(super) async fn list(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Envelope<TokenView>>, ApiError> {
    let page = query.page(PageRule::LIST);
    let links = query.finish()?;
    let visible: Vec<TokenRecord> = state.store.tokens().into_iter().filter(|token| covers(&caller, token)).collect();
    let (count, visible) = page_of(visible, page);
    let views = visible.into_iter().map(TokenView::of).collect();
    Ok(Json(links.envelope(page, count, views)))
}

/// Makes a token. The answer is the only one that ever shows it.
#[utoipa::path(post, path = "/api/v1/api_token/", tag = "tokens", request_body = TokenSchema,
    responses((status = 201, description = "Made", body = TokenView), Reading, Writing))]
pub(super) async fn create(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<TokenView>), ApiError> {
    let wish = read(body, Write::Create, None, &state, &caller)?.complete()?;
    let token = generate()?;
    let record = state.store.add_token(record_of(&token, wish, state.clock.now())).await?;
    if let Some(late) = gone(&state, &record) {
        state.store.remove_token(record.id).await?;
        return Err(late);
    }
    let done = Done::created(AuditResource::Token, &record.id.0, &TokenView::of(record.clone()));
    state.audit(&caller, done.of_organization(only(&record))).await?;
    tracing::info!("{} made token {} ({})", caller.name(), record.id.0, record.prefix);
    let view = TokenView { token: Some(token.expose().to_owned()), ..TokenView::of(record) };
    Ok((StatusCode::CREATED, Json(view)))
}

/// One token.
#[utoipa::path(get, path = "/api/v1/api_token/{id}/", tag = "tokens",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 200, description = "The token", body = TokenView),
        (status = 404, description = "There is no such token", body = Detail),
        Reading))]
pub(super) async fn show(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<TokenView>, ApiError> {
    find(&state, &caller, &id).map(|token| Json(TokenView::of(token)))
}

/// Replaces what a token may do. What is left out returns to its default.
#[utoipa::path(put, path = "/api/v1/api_token/{id}/", tag = "tokens",
    params(("id" = u32, Path, description = "Its number")),
    request_body = TokenSchema,
    responses(
        (status = 200, description = "The token as it now is", body = TokenView),
        (status = 404, description = "There is no such token", body = Detail),
        Reading, Writing))]
pub(super) async fn replace(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<TokenView>, ApiError> {
    write(&state, &caller, &id, body, Write::Replace).await
}

/// Changes the fields that are named; in force at once.
#[utoipa::path(patch, path = "/api/v1/api_token/{id}/", tag = "tokens",
    params(("id" = u32, Path, description = "Its number")),
    request_body = TokenSchema,
    responses(
        (status = 200, description = "The token as it now is", body = TokenView),
        (status = 404, description = "There is no such token", body = Detail),
        Reading, Writing))]
pub(super) async fn change(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<TokenView>, ApiError> {
    write(&state, &caller, &id, body, Write::Change).await
}

/// Revokes a token at once.
#[utoipa::path(delete, path = "/api/v1/api_token/{id}/", tag = "tokens",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 204, description = "It is revoked"),
        (status = 404, description = "There is no such token", body = Detail),
        Reading))]
pub(super) async fn revoke(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let token = find(&state, &caller, &id)?;
    if !state.store.remove_token(token.id).await? {
        return Err(no_such_token());
    }
    let done = Done::deleted(AuditResource::Token, &token.id.0, &TokenView::of(token.clone()));
    state.audit(&caller, done.of_organization(only(&token))).await?;
    tracing::info!("{} revoked token {} ({})", caller.name(), token.id.0, token.prefix);
    Ok(StatusCode::NO_CONTENT)
}

/// The token's organization, if it has but one.
fn only(token: &TokenRecord) -> Option<OrganizationId> {
    match token.organizations.as_deref() {
        Some([only]) => Some(*only),
        Some(_) | None => None,
    }
}

async fn write(
    state: &ApiState,
    caller: &Admin,
    id: &str,
    body: Map<String, Value>,
    write: Write,
) -> Result<Json<TokenView>, ApiError> {
    let before = find(state, caller, id)?;
    let patch = read(body, write, before.expires_at, state, caller)?;
    let edit = |token: &mut TokenRecord| patch.apply(token);
    let record = state.store.edit_token(before.id, Box::new(edit)).await?.ok_or_else(no_such_token)?;
    if let Some(late) = gone(state, &record) {
        let undo = |token: &mut TokenRecord| token.organizations = before.organizations;
        state.store.edit_token(before.id, Box::new(undo)).await?;
        return Err(late);
    }
    let (was, is) = (TokenView::of(before), TokenView::of(record.clone()));
    let done = Done::updated(AuditResource::Token, &record.id.0, &was, &is).of_organization(only(&record));
    state.audit(caller, done).await?;
    tracing::info!("{} changed token {} ({})", caller.name(), record.id.0, record.prefix);
    Ok(Json(TokenView::of(record)))
}

/// Looks again, now that the token is there: whether an organization that it names has gone meanwhile.
fn gone(state: &ApiState, token: &TokenRecord) -> Option<ApiError> {
    let mut bound = token.organizations.iter().flatten();
    let missing = bound.find(|id| state.store.organizations().of(**id).is_none())?;
    Some(FieldErrors::one("organizations", no_such(missing.0)).into())
}

fn find(state: &ApiState, caller: &Admin, id: &str) -> Result<TokenRecord, ApiError> {
    let id = id.parse().map(TokenId).map_err(|_not_a_number| no_such_token())?;
    let mut tokens = state.store.tokens().into_iter();
    tokens.find(|token| token.id == id && covers(caller, token)).ok_or_else(no_such_token)
}

fn no_such_token() -> ApiError {
    ApiError::not_found("There is no token with this id.")
}

/// Whether all of the token's organizations are ones that the caller may see.
fn covers(caller: &Admin, token: &TokenRecord) -> bool {
    match &token.organizations {
        None => caller.visible().is_none(),
        Some(organizations) => organizations.iter().all(|organization| caller.sees(*organization)),
    }
}

/// What a token is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenWish {
    /// For people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where it may; `None`: everywhere.
    pub organizations: Option<Vec<OrganizationId>>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// The record of a token, ready for the store, which gives it its number.
#[must_use]
pub fn record_of(token: &Secret, wish: TokenWish, now: Timestamp) -> TokenRecord {
    TokenRecord {
        id: TokenId(0),
        name: wish.name,
        role: wish.role,
        organizations: wish.organizations,
        hash: TokenHash::of(token.expose()).0,
        prefix: prefix(token).to_owned(),
        created_at: now,
        expires_at: wish.expires_at,
        last_used_at: None,
    }
}

/// Checked values; what is `None` stays as it is.
#[expect(clippy::option_option, reason = "absent and null are different things")]
struct TokenPatch {
    name: Option<String>,
    role: Option<Role>,
    organizations: Option<Option<Vec<OrganizationId>>>,
    expires_at: Option<Option<Timestamp>>,
}

impl TokenPatch {
    fn complete(self) -> Result<TokenWish, FieldErrors> {
        match (self.name, self.role) {
            (Some(name), Some(role)) => Ok(TokenWish {
                name,
                role,
                organizations: self.organizations.flatten(),
                expires_at: self.expires_at.flatten(),
            }),
            // Unreachable: what is missing has been an error before.
            _ => Err(FieldErrors::one("name", "This field is required.")),
        }
    }

    fn apply(self, token: &mut TokenRecord) {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut token.name, self.name);
        set(&mut token.role, self.role);
        set(&mut token.organizations, self.organizations);
        set(&mut token.expires_at, self.expires_at);
    }
}

fn read(
    body: Map<String, Value>,
    write: Write,
    present_end: Option<Timestamp>,
    state: &ApiState,
    caller: &Caller,
) -> Result<TokenPatch, ApiError> {
    // Before anything is said of them: whether they exist is not the business of a token that does not cover them.
    for named in body.get("organizations").and_then(Value::as_array).into_iter().flatten() {
        if let Some(id) = named.as_u64().and_then(|id| u32::try_from(id).ok()) {
            caller.require_organization(OrganizationId(id))?;
        }
    }
    let now = state.clock.now();
    let mut fields = Fields::new(body);
    let name = fields.filled_line("name");
    let role = fields.parsed("role", RoleWord::parse);
    if write != Write::Change {
        fields.require("name", name.as_ref());
        fields.require("role", role);
    }
    let organizations = fields.nullable("organizations", read_organizations);
    for unknown in organizations.iter().flatten().flatten() {
        if state.store.organizations().of(*unknown).is_none() {
            fields.error("organizations", no_such(unknown.0));
        }
    }
    let expires_at = fields.nullable("expires_at", |fields, name| {
        fields.parsed(name, |text| match parse_time(text) {
            // What a GET gave may be sent back, also when it has passed; it is shown in whole seconds.
            Some(at) if at > now || present_end.is_some_and(|end| end.as_secs() == at.as_secs()) => Ok(at),
            Some(_) => Err("must lie ahead"),
            None => Err("a date or a date and time is required, such as 2024-01-01T00:01:00Z"),
        })
    });
    fields.finish(&["id", "token", "prefix", "created_at", "last_used_at"])?;
    // Null is everywhere that the caller may give: everywhere, or its own.
    let own = || caller.bound_to().map(<[_]>::to_vec);
    let organizations = organizations.map(|given| given.or_else(own));
    Ok(TokenPatch {
        name,
        role,
        organizations: write.or_default(organizations, own),
        expires_at: write.or_default(expires_at, || None),
    })
}

fn read_organizations(fields: &mut Fields, field: &str) -> Option<Vec<OrganizationId>> {
    let ids = fields.ids(field)?;
    if ids.is_empty() {
        fields.error(field, "This list may not be empty.");
        return None;
    }
    let mut organizations: Vec<OrganizationId> = Vec::with_capacity(ids.len());
    for id in ids.into_iter().map(OrganizationId) {
        // In the order given: the first is the one that new records are for.
        if !organizations.contains(&id) {
            organizations.push(id);
        }
    }
    Some(organizations)
}
