//! `/campaign/`: one operation for many devices (rest-api.md §4).
//!
//! A campaign belongs to the organizations of the token that made it: only their devices take part, and only who sees all
//! of them sees the campaign.

pub(super) mod command;
pub(super) mod device;
mod form;
mod operation;
mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use self::form::{CampaignCreateSchema, CampaignSchema, Draft};
use self::view::CampaignView;
use super::ApiState;
use super::access::{Caller, Operator};
use super::audit::Done;
use super::body::{JsonObject, sentence};
use super::catalogue::{Write, number, page_of};
use super::error::ApiError;
use super::openapi::{Detail, PageParameters, Reading, Writing};
use super::paging::{Envelope, PageRule};
use super::query::Query;
use super::words::CampaignStateWord;
use crate::model::audit::AuditResource;
use crate::model::campaign::member::Counts;
use crate::model::campaign::{Campaign, CampaignState};
use crate::store::StoreError;
use crate::store::catalogue::AddError;

/// Campaigns, newest first.
#[utoipa::path(get, path = "/api/v1/campaign/", tag = "campaigns",
    params(("state" = Option<CampaignStateWord>, Query, description = "Only in this state"), PageParameters),
    responses((status = 200, description = "A page", body = Envelope<CampaignView>), Reading))]
pub(super) async fn list(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Envelope<CampaignView>>, ApiError> {
    let page = query.page(PageRule::LIST);
    let wanted = query.choice("state", CampaignStateWord::parse);
    let links = query.finish()?;
    let all = state.store.campaigns().all();
    let is_wanted =
        |one: &&Arc<Campaign>| wanted.is_none_or(|wanted| wanted == one.course.state) && covers(&caller, one);
    let (count, campaigns) = page_of(all.values().rev().filter(is_wanted).collect(), page);
    let mut views = Vec::with_capacity(campaigns.len());
    for campaign in campaigns {
        views.push(state.view_campaign(campaign).await?);
    }
    Ok(Json(links.envelope(page, count, views)))
}

/// Makes a campaign. It is a draft until it is started; which devices take part is settled then.
#[utoipa::path(post, path = "/api/v1/campaign/", tag = "campaigns", request_body = CampaignCreateSchema,
    responses(
        (status = 201, description = "Made", body = CampaignView),
        (status = 409, description = "The id is taken, or there are as many campaigns as there may be", body = Detail),
        Reading, Writing))]
pub(super) async fn create(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<CampaignView>), ApiError> {
    let draft = form::read(body, Write::Create, None, &state, &caller)?;
    let max = usize::try_from(state.campaigns.config().max).unwrap_or(usize::MAX);
    if state.store.campaigns().all().len() >= max {
        return Err(ApiError::conflict("There are as many campaigns as there may be."));
    }
    let (by, now) = (caller.name().to_owned(), state.clock.now());
    let organizations = caller.bound_to().map(<[_]>::to_vec);
    let wished = draft.wished;
    let blank = form::blank(state.campaigns.config(), organizations, by, now);
    let make = move |id| {
        let mut campaign = blank;
        campaign.id = crate::model::campaign::CampaignId(id);
        draft.apply(&mut campaign);
        campaign
    };
    let campaign = match state.store.campaigns().add(wished, Box::new(make)).await {
        Ok(campaign) => campaign,
        Err(AddError::Store(source)) => return Err(source.into()),
        Err(refused) => return Err(ApiError::conflict(sentence(&refused))),
    };
    let shown = CampaignView::of(&campaign, Counts::default(), None);
    state.audit(&caller, of(&campaign, Done::created(AuditResource::Campaign, &campaign.id.0, &shown))).await?;
    tracing::info!(campaign.id = campaign.id.0, "{} made campaign {}", caller.name(), campaign.id.0);
    Ok((StatusCode::CREATED, Json(state.view_campaign(&campaign).await?)))
}

/// One campaign.
#[utoipa::path(get, path = "/api/v1/campaign/{id}/", tag = "campaigns",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 200, description = "The campaign", body = CampaignView),
        (status = 404, description = "There is no such campaign", body = Detail),
        Reading))]
pub(super) async fn show(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<CampaignView>, ApiError> {
    let campaign = find(&state, &caller, &id)?;
    Ok(Json(state.view_campaign(&campaign).await?))
}

/// Replaces a draft. What is left out returns to its default.
#[utoipa::path(put, path = "/api/v1/campaign/{id}/", tag = "campaigns",
    params(("id" = u32, Path, description = "Its number")),
    request_body = CampaignSchema,
    responses(
        (status = 200, description = "The campaign as it now is", body = CampaignView),
        (status = 404, description = "There is no such campaign", body = Detail),
        (status = 409, description = "It is no draft any more", body = Detail),
        Reading, Writing))]
pub(super) async fn replace(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<CampaignView>, ApiError> {
    let campaign = find(&state, &caller, &id)?;
    let draft = form::read(body, Write::Replace, Some(&campaign), &state, &caller)?;
    if campaign.course.state != CampaignState::Draft {
        return Err(unchangeable(campaign.course.state));
    }
    write(&state, &caller, &campaign, draft).await
}

/// Changes the fields that are named: all of a draft; of a campaign that is paused or has stopped, its name, window, pace and stop
/// rules.
#[utoipa::path(patch, path = "/api/v1/campaign/{id}/", tag = "campaigns",
    params(("id" = u32, Path, description = "Its number")),
    request_body = CampaignSchema,
    responses(
        (status = 200, description = "The campaign as it now is", body = CampaignView),
        (status = 404, description = "There is no such campaign", body = Detail),
        (status = 409, description = "It is running or has ended", body = Detail),
        Reading, Writing))]
pub(super) async fn change(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<CampaignView>, ApiError> {
    let campaign = find(&state, &caller, &id)?;
    let draft = form::read(body, Write::Change, Some(&campaign), &state, &caller)?;
    write(&state, &caller, &campaign, draft).await
}

/// Removes a campaign, and how it stood with its devices. What it has done to them stays.
#[utoipa::path(delete, path = "/api/v1/campaign/{id}/", tag = "campaigns",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such campaign", body = Detail),
        (status = 409, description = "It is running, or devices are at it still", body = Detail),
        Reading))]
pub(super) async fn remove(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let campaign = find(&state, &caller, &id)?;
    if campaign.course.state == CampaignState::Running {
        return Err(ApiError::conflict("The campaign is running: cancel it first."));
    }
    let counts = state.campaigns.counts(&campaign).await?;
    if counts.running > 0 {
        return Err(ApiError::conflict(format!("{} devices are at it still.", counts.running)));
    }
    if !state.campaigns.forget(campaign.id).await? {
        return Err(no_such_campaign());
    }
    let shown = CampaignView::of(&campaign, counts, None);
    state.audit(&caller, of(&campaign, Done::deleted(AuditResource::Campaign, &campaign.id.0, &shown))).await?;
    tracing::info!(campaign.id = campaign.id.0, "{} removed campaign {}", caller.name(), campaign.id.0);
    Ok(StatusCode::NO_CONTENT)
}

async fn write(
    state: &ApiState,
    caller: &Caller,
    before: &Campaign,
    draft: Draft,
) -> Result<Json<CampaignView>, ApiError> {
    let mut refused = None;
    let edit = |campaign: &mut Campaign| match (campaign.course.state, draft.is_of_course()) {
        (CampaignState::Draft, _) | (CampaignState::Paused | CampaignState::Stopped, true) => draft.apply(campaign),
        (state, _) => refused = Some(state),
    };
    let edited = state.store.campaigns().edit(before.id.0, Box::new(edit)).await?;
    let campaign = edited.ok_or_else(no_such_campaign)?;
    if let Some(refused) = refused {
        return Err(unchangeable(refused));
    }
    state.campaigns.announce();
    let (was, is) =
        (CampaignView::of(before, Counts::default(), None), CampaignView::of(&campaign, Counts::default(), None));
    state.audit(caller, of(&campaign, Done::updated(AuditResource::Campaign, &campaign.id.0, &was, &is))).await?;
    tracing::info!(campaign.id = campaign.id.0, "{} changed campaign {}", caller.name(), campaign.id.0);
    Ok(Json(state.view_campaign(&campaign).await?))
}

fn unchangeable(state: CampaignState) -> ApiError {
    ApiError::conflict(match state {
        CampaignState::Running => "The campaign is running: pause it first.",
        CampaignState::Completed | CampaignState::Canceled => "The campaign has ended.",
        CampaignState::Draft | CampaignState::Paused | CampaignState::Stopped => {
            "The campaign has begun: only its name, window, pace and stop rules can be changed, with PATCH."
        }
    })
}

impl ApiState {
    /// A campaign as it stands now.
    async fn view_campaign(&self, campaign: &Campaign) -> Result<CampaignView, StoreError> {
        let counts = self.campaigns.counts(campaign).await?;
        let waiting_for = self.campaigns.waiting_for(campaign, &counts);
        Ok(CampaignView::of(campaign, counts, waiting_for))
    }
}

/// Whose an entry of the audit trail is that concerns a campaign.
fn of(campaign: &Campaign, done: Done) -> Done {
    match campaign.organizations.as_deref() {
        Some([only]) => done.of_organization(Some(*only)),
        Some(_) | None => done,
    }
}

fn find(state: &ApiState, caller: &Caller, id: &str) -> Result<Arc<Campaign>, ApiError> {
    let found = number(id).and_then(|id| state.store.campaigns().get(id));
    found.filter(|campaign| covers(caller, campaign)).ok_or_else(no_such_campaign)
}

fn no_such_campaign() -> ApiError {
    ApiError::not_found("There is no campaign with this id.")
}

/// Whether all of the campaign's organizations are ones that the caller may see.
fn covers(caller: &Caller, campaign: &Campaign) -> bool {
    match &campaign.organizations {
        None => caller.visible().is_none(),
        Some(organizations) => organizations.iter().all(|organization| caller.sees(*organization)),
    }
}
