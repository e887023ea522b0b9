//! `/api_token/`: who may use this API (rest-api.md §4). For admins.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::ApiState;
use super::access::Admin;
use super::audit::Done;
use super::body::{Fields, JsonObject};
use super::device::form::no_such;
use super::error::{ApiError, FieldErrors};
use super::openapi::{Detail, Reading, Writing};
use super::paging::{Envelope, PageRule};
use super::query::{Query, parse_time};
use super::words::RoleWord;
use crate::auth::token::{TokenHash, generate, prefix};
use crate::model::audit::AuditResource;
use crate::model::device::{DEFAULT_ORGANIZATION, OrganizationId};
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
    expires_at: Option<String>,
    /// The token itself: only in the answer to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
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
    name: String,
    /// `viewer`, `operator` or `admin`.
    role: String,
    /// Absent or null: the maker's own; all if the maker is unbound.
    organizations: Option<Vec<u32>>,
    /// Absent or null: never.
    expires_at: Option<String>,
}

/// Tokens, oldest first.
#[utoipa::path(get, path = "/api/v1/api_token/", tag = "tokens",
    params(("limit" = Option<i64>, Query, description = "Entries of a page: 25 unless told, at most 500"),
           ("offset" = Option<i64>, Query, description = "Entries to skip")),
    responses((status = 200, description = "A page", body = Envelope<TokenView>), Reading))]
pub(super) async fn list(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Envelope<TokenView>>, ApiError> {
    let page = query.page(PageRule::LIST);
    let links = query.finish()?;
    let visible: Vec<TokenRecord> = state.store.tokens().into_iter().filter(|token| covers(&caller, token)).collect();
    let count = u64::try_from(visible.len()).unwrap_or(u64::MAX);
    let offset = usize::try_from(page.offset).unwrap_or(usize::MAX);
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let views = visible.into_iter().skip(offset).take(limit).map(TokenView::of).collect();
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
    let wish = read(body, state.clock.now())?;
    for organization in wish.organizations.iter().flatten() {
        caller.require_organization(*organization)?;
    }
    let organizations = wish.organizations.or_else(|| caller.visible().map(<[_]>::to_vec));
    let token = generate()?;
    let record = record_of(&token, TokenWish { organizations, ..wish }, state.clock.now());
    let record = state.store.add_token(record).await?;
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

fn read(body: Map<String, Value>, now: Timestamp) -> Result<TokenWish, FieldErrors> {
    let mut fields = Fields::new(body);
    let name = fields.filled_line("name");
    let name = fields.require("name", name);
    let role = fields.parsed("role", RoleWord::parse);
    let role = fields.require("role", role);
    let organizations = fields.nullable("organizations", Fields::ids).flatten();
    for unknown in organizations.iter().flatten().filter(|id| **id != DEFAULT_ORGANIZATION.0) {
        fields.error("organizations", no_such(*unknown));
    }
    if organizations.as_ref().is_some_and(Vec::is_empty) {
        fields.error("organizations", "This list may not be empty.");
    }
    let expires_at = fields
        .nullable("expires_at", |fields, name| {
            fields.parsed(name, |text| match parse_time(text) {
                Some(at) if at > now => Ok(at),
                Some(_) => Err("must lie ahead"),
                None => Err("a date or a date and time is required, such as 2024-01-01T00:01:00Z"),
            })
        })
        .flatten();
    fields.finish(&["id", "token", "prefix", "created_at", "last_used_at"])?;
    match (name, role) {
        (Some(name), Some(role)) => {
            let organizations = organizations.map(|ids| ids.into_iter().map(OrganizationId).collect());
            Ok(TokenWish { name, role, organizations, expires_at })
        }
        // Unreachable: what is missing has been an error above.
        _ => Err(FieldErrors::one("name", "This field is required.")),
    }
}
