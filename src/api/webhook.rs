//! `/webhook/`: where events are pushed to (rest-api.md §4). For admins.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::ApiState;
use super::access::Admin;
use super::audit::Done;
use super::body::{Fields, JsonObject};
use super::error::{ApiError, FieldErrors};
use super::openapi::{Detail, PageParameters, Reading, Writing};
use super::paging::{Envelope, PageRule};
use super::query::Query;
use super::words::{EventKindWord, not_a_choice};
use crate::auth::random;
use crate::model::audit::AuditResource;
use crate::model::event::EventKind;
use crate::model::webhook::{Delivery, Webhook, WebhookId};
use crate::store::catalogue::AddError;
use crate::types::secret::Secret;
use crate::webhooks::Target;

/// Fields that answers have and that no write changes.
const READ_ONLY: [&str; 10] = [
    "id",
    "organizations",
    "state",
    "paused_reason",
    "last_delivery_at",
    "last_error",
    "failures",
    "failing_since",
    "missed",
    "created",
];
/// Marks our secrets wherever they turn up.
const MARK: &str = "whsec_";
const RANDOM_CHARS: usize = 40;
const SECRET_CHARS: std::ops::RangeInclusive<usize> = 16..=256;
const KINDS_MAX: usize = 64;

/// A webhook as it is shown: never its secret, but once.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebhookView {
    id: u32,
    url: String,
    /// What signatures are made with: only in the answer to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    secret: Option<String>,
    /// Null: all.
    #[schema(value_type = Option<Vec<EventKindWord>>)]
    kinds: Option<Vec<&'static str>>,
    /// Only events of these and those below them; null: all.
    organizations: Option<Vec<u32>>,
    is_active: bool,
    /// `active`, `inactive` (an operator's wish) or `paused` (nothing was taken for too long).
    #[schema(example = "active", pattern = "^(active|inactive|paused)$")]
    state: &'static str,
    /// Why it is paused.
    paused_reason: Option<String>,
    last_delivery_at: Option<String>,
    /// Of the last try, if it failed.
    last_error: Option<String>,
    /// Tries in a row that failed.
    failures: u32,
    failing_since: Option<String>,
    /// Events that were dropped from the log before they could be delivered.
    missed: u64,
    created: String,
}

impl WebhookView {
    fn of(hook: &Webhook) -> Self {
        let state = match (hook.is_active, &hook.paused) {
            (false, _) => "inactive",
            (true, Some(_)) => "paused",
            (true, None) => "active",
        };
        let delivery = hook.delivery.clone();
        Self {
            id: hook.id.0,
            url: hook.url.clone(),
            secret: None,
            kinds: hook.kinds.as_ref().map(|kinds| kinds.iter().map(|kind| kind.as_str()).collect()),
            organizations: hook.organizations.as_ref().map(|all| all.iter().map(|one| one.0).collect()),
            is_active: hook.is_active,
            state,
            paused_reason: hook.paused.clone(),
            last_delivery_at: delivery.last_delivery_at.map(|at| at.to_string()),
            last_error: delivery.last_error,
            failures: delivery.failures,
            failing_since: delivery.failing_since.map(|at| at.to_string()),
            missed: delivery.missed,
            created: hook.created.to_string(),
        }
    }
}

/// A webhook to be made or changed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = WebhookFields, example = json!({"url": "https://example.net/acsd", "kinds": ["boot", "status"]}))]
pub(super) struct WebhookSchema {
    /// `https://`, or `http://`, over which events travel in clear.
    #[schema(min_length = 1, max_length = 8192)]
    url: String,
    /// 16 to 256 printable characters; absent: made at creation, and shown there.
    #[schema(nullable = false, write_only, pattern = "^[!-~]{16,256}$")]
    secret: Option<String>,
    /// Absent or null: all.
    #[schema(value_type = Option<Vec<EventKindWord>>, min_items = 1, max_items = 64)]
    kinds: Option<Vec<String>>,
    /// Absent: true. `true` also resumes one that is paused.
    #[schema(nullable = false)]
    is_active: Option<bool>,
}

/// A webhook to be made.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = WebhookCreate, example = json!({"url": "https://example.net/acsd", "kinds": ["boot", "status"]}))]
pub(super) struct WebhookCreateSchema {
    /// A wished-for id.
    #[schema(minimum = 1, maximum = 2_147_483_647, nullable = false)]
    id: Option<u32>,
    #[schema(inline)]
    #[serde(flatten)]
    fields: WebhookSchema,
}

/// Webhooks, oldest first.
#[utoipa::path(get, path = "/api/v1/webhook/", tag = "events",
    params(PageParameters),
    responses((status = 200, description = "A page", body = Envelope<WebhookView>), Reading))]
pub(super) async fn list(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Envelope<WebhookView>>, ApiError> {
    let page = query.page(PageRule::LIST);
    let links = query.finish()?;
    let all = state.store.webhooks().all();
    let visible: Vec<_> = all.values().filter(|hook| covers(&caller, hook)).collect();
    let count = u64::try_from(visible.len()).unwrap_or(u64::MAX);
    let offset = usize::try_from(page.offset).unwrap_or(usize::MAX);
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let views = visible.into_iter().skip(offset).take(limit).map(|hook| WebhookView::of(hook)).collect();
    Ok(Json(links.envelope(page, count, views)))
}

/// Makes a webhook. It gets what happens from now on, in the organizations that its maker is bound to and those below them. The answer is the only
/// one that ever shows its secret.
#[utoipa::path(post, path = "/api/v1/webhook/", tag = "events", request_body = WebhookCreateSchema,
    responses(
        (status = 201, description = "Made", body = WebhookView),
        (status = 409, description = "The id is taken, or there are as many webhooks as there may be", body = Detail),
        Reading, Writing))]
pub(super) async fn create(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<WebhookView>), ApiError> {
    let Wish { id, url, secret, kinds, is_active } = read(body, Url::Required)?;
    if state.store.webhooks().all().len() >= state.webhooks.max() {
        return Err(ApiError::conflict("There are as many webhooks as there may be."));
    }
    let secret = match secret {
        Some(secret) => secret,
        None => Secret::new(format!("{MARK}{}", random::alphanumeric(RANDOM_CHARS)?)),
    };
    let (sealed, now) = (state.sealer.seal(&secret)?, state.clock.now());
    let organizations = caller.bound_to().map(<[_]>::to_vec);
    let delivery = Delivery { cursor: state.webhooks.now(), ..Delivery::default() };
    let make = move |id| Webhook {
        id: WebhookId(id),
        url: url.unwrap_or_default(),
        secret: sealed,
        kinds: kinds.and_then(Kinds::into_list),
        organizations,
        is_active: is_active.unwrap_or(true),
        paused: None,
        created: now,
        delivery,
    };
    let hook = match state.store.webhooks().add(id, Box::new(make)).await {
        Ok(hook) => hook,
        Err(AddError::Store(source)) => return Err(source.into()),
        Err(refused) => return Err(ApiError::conflict(super::body::sentence(&refused))),
    };
    state.webhooks.announce();
    state.audit(&caller, of(&hook, Done::created(AuditResource::Webhook, &hook.id.0, &WebhookView::of(&hook)))).await?;
    tracing::info!(webhook.id = hook.id.0, "{} made webhook {}", caller.name(), hook.id.0);
    warn_of_plain(&hook);
    let view = WebhookView { secret: Some(secret.expose().to_owned()), ..WebhookView::of(&hook) };
    Ok((StatusCode::CREATED, Json(view)))
}

/// One webhook.
#[utoipa::path(get, path = "/api/v1/webhook/{id}/", tag = "events",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 200, description = "The webhook", body = WebhookView),
        (status = 404, description = "There is no such webhook", body = Detail),
        Reading))]
pub(super) async fn show(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<WebhookView>, ApiError> {
    find(&state, &caller, &id).map(|hook| Json(WebhookView::of(&hook)))
}

/// Replaces the fields of a webhook. What is left out returns to its default; the secret stays.
#[utoipa::path(put, path = "/api/v1/webhook/{id}/", tag = "events",
    params(("id" = u32, Path, description = "Its number")),
    request_body = WebhookSchema,
    responses(
        (status = 200, description = "The webhook as it now is", body = WebhookView),
        (status = 404, description = "There is no such webhook", body = Detail),
        Reading, Writing))]
pub(super) async fn replace(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<WebhookView>, ApiError> {
    let hook = find(&state, &caller, &id)?;
    let wish = read(body, Url::Required)?;
    let kinds = Some(wish.kinds.unwrap_or(Kinds::All));
    let is_active = Some(wish.is_active.unwrap_or(true));
    write(&state, &caller, &hook, Wish { kinds, is_active, ..wish }).await
}

/// Changes the fields that are named. `is_active: true` resumes a webhook that is paused.
#[utoipa::path(patch, path = "/api/v1/webhook/{id}/", tag = "events",
    params(("id" = u32, Path, description = "Its number")),
    request_body = WebhookSchema,
    responses(
        (status = 200, description = "The webhook as it now is", body = WebhookView),
        (status = 404, description = "There is no such webhook", body = Detail),
        Reading, Writing))]
pub(super) async fn change(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<WebhookView>, ApiError> {
    let hook = find(&state, &caller, &id)?;
    let wish = read(body, Url::Optional)?;
    write(&state, &caller, &hook, wish).await
}

/// Removes a webhook.
#[utoipa::path(delete, path = "/api/v1/webhook/{id}/", tag = "events",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such webhook", body = Detail),
        Reading))]
pub(super) async fn remove(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let hook = find(&state, &caller, &id)?;
    if !state.store.webhooks().remove(hook.id.0).await? {
        return Err(no_such_webhook());
    }
    state.webhooks.announce();
    state.audit(&caller, of(&hook, Done::deleted(AuditResource::Webhook, &hook.id.0, &WebhookView::of(&hook)))).await?;
    tracing::info!(webhook.id = hook.id.0, "{} removed webhook {}", caller.name(), hook.id.0);
    Ok(StatusCode::NO_CONTENT)
}

async fn write(state: &ApiState, caller: &Admin, before: &Webhook, wish: Wish) -> Result<Json<WebhookView>, ApiError> {
    let Wish { id: _, url, secret, kinds, is_active } = wish;
    let secret = secret.map(|secret| state.sealer.seal(&secret)).transpose()?;
    let new_secret = secret.is_some();
    let edit = move |hook: &mut Webhook| {
        // What another receiver, or one that could check no signature, did not take says nothing of this one.
        if secret.is_some() || url.as_ref().is_some_and(|url| *url != hook.url) {
            (hook.delivery.failures, hook.delivery.failing_since) = (0, None);
        }
        hook.url = url.unwrap_or_else(|| std::mem::take(&mut hook.url));
        if let Some(secret) = secret {
            hook.secret = secret;
        }
        if let Some(kinds) = kinds {
            hook.kinds = kinds.into_list();
        }
        if let Some(is_active) = is_active {
            hook.is_active = is_active;
        }
        if is_active == Some(true) && hook.paused.take().is_some() {
            (hook.delivery.failures, hook.delivery.failing_since) = (0, None);
        }
    };
    let edited = state.store.webhooks().edit(before.id.0, Box::new(edit)).await?;
    let hook = edited.ok_or_else(no_such_webhook)?;
    state.webhooks.announce();
    let (was, is) = (WebhookView::of(before), WebhookView::of(&hook));
    let done = of(&hook, Done::updated(AuditResource::Webhook, &hook.id.0, &was, &is));
    let done = if new_secret { done.with("secret", json!("changed")) } else { done };
    state.audit(caller, done).await?;
    tracing::info!(webhook.id = hook.id.0, "{} changed webhook {}", caller.name(), hook.id.0);
    if hook.url != before.url {
        warn_of_plain(&hook);
    }
    Ok(Json(is))
}

fn warn_of_plain(hook: &Webhook) {
    if Target::parse(&hook.url).is_ok_and(|target| target.is_plain()) {
        tracing::warn!(webhook.id = hook.id.0, "webhook {} is http: events travel in clear", hook.id.0);
    }
}

/// Whose an entry of the audit trail is that concerns a webhook.
fn of(hook: &Webhook, done: Done) -> Done {
    match hook.organizations.as_deref() {
        Some([only]) => done.of_organization(Some(*only)),
        Some(_) | None => done,
    }
}

fn find(state: &ApiState, caller: &Admin, id: &str) -> Result<Arc<Webhook>, ApiError> {
    let id = id.parse().map_err(|_not_a_number| no_such_webhook())?;
    state.store.webhooks().get(id).filter(|hook| covers(caller, hook)).ok_or_else(no_such_webhook)
}

fn no_such_webhook() -> ApiError {
    ApiError::not_found("There is no webhook with this id.")
}

/// Whether all of the webhook's organizations are ones that the caller may see.
fn covers(caller: &Admin, hook: &Webhook) -> bool {
    match &hook.organizations {
        None => caller.visible().is_none(),
        Some(organizations) => organizations.iter().all(|organization| caller.sees(*organization)),
    }
}

/// What a body asks for; `None`: nothing is said of it.
struct Wish {
    id: Option<u32>,
    url: Option<String>,
    secret: Option<Secret>,
    kinds: Option<Kinds>,
    is_active: Option<bool>,
}

/// Which kinds are wanted.
enum Kinds {
    All,
    Only(Vec<EventKind>),
}

impl Kinds {
    fn into_list(self) -> Option<Vec<EventKind>> {
        match self {
            Self::All => None,
            Self::Only(kinds) => Some(kinds),
        }
    }
}

/// Whether a body has to name the URL.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Url {
    Required,
    Optional,
}

fn read(body: Map<String, Value>, presence: Url) -> Result<Wish, FieldErrors> {
    let id_given = body.contains_key("id");
    let mut fields = Fields::new(body);
    let id = if id_given { fields.integer("id", 1..=u32::MAX / 2) } else { None };
    let url = fields.parsed("url", |text| Target::parse(text).map(|_| text.to_owned()));
    let url = if presence == Url::Required { fields.require("url", url) } else { url };
    let secret = fields.parsed("secret", |text| {
        let printable = text.chars().all(|c| c.is_ascii_graphic());
        if printable && SECRET_CHARS.contains(&text.len()) {
            Ok(Secret::new(text))
        } else {
            Err("must have 16 to 256 printable ASCII characters, no blanks")
        }
    });
    let kinds = fields.nullable("kinds", |fields, name| {
        let words = fields.lines(name, KINDS_MAX)?;
        let choices = EventKind::ALL.map(EventKind::as_str);
        if words.is_empty() {
            fields.error(name, "This list may not be empty.");
        }
        let mut kinds = Vec::new();
        for word in words {
            match EventKind::parse(&word) {
                Some(kind) => kinds.push(kind),
                None => fields.error(name, super::body::sentence(&not_a_choice(&word, &choices))),
            }
        }
        kinds.sort_unstable();
        kinds.dedup();
        Some(kinds)
    });
    let kinds = kinds.map(|kinds| kinds.map_or(Kinds::All, Kinds::Only));
    let is_active = fields.boolean("is_active");
    fields.finish(&READ_ONLY)?;
    Ok(Wish { id, url, secret, kinds, is_active })
}
