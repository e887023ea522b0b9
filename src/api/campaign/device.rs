//! `GET …/devices/`: how a campaign stands with each of its devices.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::find;
use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::error::ApiError;
use crate::api::openapi::{Detail, PageParameters, Reading};
use crate::api::paging::{Envelope, PageRule};
use crate::api::query::Query;
use crate::api::words::MemberStatusWord;
use crate::campaigns::MemberRow;
use crate::model::campaign::member::MemberStatus;

/// A device of a campaign.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CampaignDevice)]
pub(in crate::api) struct MemberView {
    /// Null: it was removed before its turn came.
    #[schema(example = "SN123456789")]
    serial_number: Option<String>,
    status: MemberStatusWord,
    /// In which step it has its turn, from 1; the canary is the first, if there is one.
    step: u32,
    /// Of the latest try.
    transaction: Option<u64>,
    /// Tries so far.
    attempts: u32,
    /// Why it failed or was skipped, or the last try did; null otherwise.
    message: Option<String>,
    /// When its turn came first.
    started_at: Option<String>,
    ended_at: Option<String>,
}

impl From<MemberRow> for MemberView {
    fn from(row: MemberRow) -> Self {
        let MemberRow { device: _, serial_number, step, member } = row;
        Self {
            serial_number: serial_number.map(|serial| serial.to_string()),
            status: MemberStatus::from(member.standing).into(),
            step: step.saturating_add(1),
            transaction: member.transaction.map(|id| id.0),
            attempts: member.attempts,
            message: member.message.map(Into::into),
            started_at: member.started_at.map(|at| at.to_string()),
            ended_at: member.ended_at.map(|at| at.to_string()),
        }
    }
}

/// The devices of a campaign in the order of their turns. None while it is a draft: they are selected at its start.
#[utoipa::path(get, path = "/api/v1/campaign/{id}/devices/", tag = "campaigns",
    params(
        ("id" = u32, Path, description = "The campaign's number"),
        ("status" = Option<MemberStatusWord>, Query, description = "Only those that stand there"),
        PageParameters
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<MemberView>),
        (status = 404, description = "There is no such campaign", body = Detail),
        Reading))]
pub(in crate::api) async fn list(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    mut query: Query,
) -> Result<Json<Envelope<MemberView>>, ApiError> {
    let campaign = find(&state, &caller, &id)?;
    let page = query.page(PageRule::LIST);
    let status = query.choice("status", MemberStatusWord::parse);
    let links = query.finish()?;
    let listing = state.campaigns.devices(&campaign, status, page).await?;
    let views = listing.items.into_iter().map(MemberView::from).collect();
    Ok(Json(links.envelope(page, listing.count, views)))
}
