//! `POST …/start|pause|resume|cancel|retry/`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::json;

use super::view::CampaignView;
use super::{find, no_such_campaign, of};
use crate::api::ApiState;
use crate::api::access::Operator;
use crate::api::audit::Done;
use crate::api::body::sentence;
use crate::api::error::ApiError;
use crate::api::openapi::{Detail, Reading};
use crate::campaigns::{Command, CommandError};
use crate::model::audit::AuditResource;

/// Starts a draft: the devices are selected, and the first ones get their turn.
#[utoipa::path(post, path = "/api/v1/campaign/{id}/start/", tag = "campaigns",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 200, description = "The campaign as it now is", body = CampaignView),
        (status = 404, description = "There is no such campaign", body = Detail),
        (status = 409, description = "It is no draft", body = Detail),
        Reading))]
pub(in crate::api) async fn start(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<CampaignView>, ApiError> {
    follow(&state, &caller, &id, Command::Start).await
}

/// Pauses a running campaign: no more devices begin, and what has not begun is withdrawn. What has begun is finished.
#[utoipa::path(post, path = "/api/v1/campaign/{id}/pause/", tag = "campaigns",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 200, description = "The campaign as it now is", body = CampaignView),
        (status = 404, description = "There is no such campaign", body = Detail),
        (status = 409, description = "It is not running", body = Detail),
        Reading))]
pub(in crate::api) async fn pause(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<CampaignView>, ApiError> {
    follow(&state, &caller, &id, Command::Pause).await
}

/// Goes on with a campaign that is paused or has stopped. Its stop rules count anew from here.
#[utoipa::path(post, path = "/api/v1/campaign/{id}/resume/", tag = "campaigns",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 200, description = "The campaign as it now is", body = CampaignView),
        (status = 404, description = "There is no such campaign", body = Detail),
        (status = 409, description = "It is neither paused nor stopped", body = Detail),
        Reading))]
pub(in crate::api) async fn resume(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<CampaignView>, ApiError> {
    follow(&state, &caller, &id, Command::Resume).await
}

/// Ends a campaign for good. What has begun is finished; devices whose turn had not come stay pending.
#[utoipa::path(post, path = "/api/v1/campaign/{id}/cancel/", tag = "campaigns",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 200, description = "The campaign as it now is", body = CampaignView),
        (status = 404, description = "There is no such campaign", body = Detail),
        (status = 409, description = "It has not begun, or has ended", body = Detail),
        Reading))]
pub(in crate::api) async fn cancel(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<CampaignView>, ApiError> {
    follow(&state, &caller, &id, Command::Cancel).await
}

/// Tries the devices again that have failed, and goes on with those whose turn has not come.
#[utoipa::path(post, path = "/api/v1/campaign/{id}/retry/", tag = "campaigns",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 200, description = "The campaign as it now is", body = CampaignView),
        (status = 404, description = "There is no such campaign", body = Detail),
        (status = 409, description = "It has not begun, is running or was canceled, or no device has failed", body = Detail),
        Reading))]
pub(in crate::api) async fn retry(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<CampaignView>, ApiError> {
    follow(&state, &caller, &id, Command::Retry).await
}

async fn follow(
    state: &ApiState,
    caller: &Operator,
    id: &str,
    command: Command,
) -> Result<Json<CampaignView>, ApiError> {
    let before = find(state, caller, id)?;
    let campaign = match state.campaigns.command(before.id, command, caller.name()).await {
        Ok(campaign) => campaign,
        Err(CommandError::Unknown) => return Err(no_such_campaign()),
        Err(refused @ (CommandError::Unsuited { .. } | CommandError::NothingFailed)) => {
            return Err(ApiError::conflict(sentence(&refused)));
        }
        Err(CommandError::Store(source)) => return Err(source.into()),
    };
    let (was, is) =
        (json!({ "state": before.course.state.as_str() }), json!({ "state": campaign.course.state.as_str() }));
    let done = Done::updated(AuditResource::Campaign, &campaign.id.0, &was, &is);
    state.audit(caller, of(&campaign, done.with("command", json!(command.as_str())))).await?;
    tracing::info!(campaign.id = campaign.id.0, "{}: {} campaign {}", caller.name(), command.as_str(), campaign.id.0);
    Ok(Json(state.view_campaign(&campaign).await?))
}
