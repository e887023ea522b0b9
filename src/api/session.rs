//! `/inventory_device_serial/{serial_number}/sessions/`: recorded sessions of devices whose `debug` is on, or whose
//! type's is (rest-api.md §4).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::ApiState;
use super::access::{Caller, Operator};
use super::audit::Done;
use super::device::{Serial, SerialAndId};
use super::error::ApiError;
use super::openapi::{Detail, PageParameters, Reading};
use super::paging::{Envelope, PageRule};
use super::query::Query;
use crate::model::audit::AuditResource;
use crate::model::trace::{SessionTrace, TraceFilter, TraceId, TraceMessage};
use crate::types::time::Timestamp;

/// A recorded session.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionView {
    /// Increasing; never given out twice.
    id: u64,
    started_at: String,
    ended_at: String,
    /// Where the Inform came from.
    #[schema(example = "192.0.2.7")]
    address: String,
    /// Event codes of the Inform.
    #[schema(example = json!(["1 BOOT", "4 VALUE CHANGE"]))]
    events: Vec<Box<str>>,
    /// `completed`, `limit_reached`, `timed_out`, `superseded` by a newer session, `refused`, `stopped` (tracing was
    /// turned off) or `broken_off`.
    #[schema(example = "completed")]
    outcome: &'static str,
    /// What was said, in order; left out with `messages=false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    messages: Option<Vec<MessageView>>,
    /// How many messages there are.
    message_count: usize,
    /// Messages behind those, which were not kept.
    omitted: u32,
}

/// A POST of the device, or the answer to one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MessageView {
    time: String,
    /// Milliseconds since the session began.
    offset_ms: u64,
    /// `in`: from the device; `out`: to it.
    #[schema(example = "in", pattern = "^(in|out)$")]
    direction: &'static str,
    /// Name of the message; empty for an empty POST and an answer without envelope.
    #[schema(example = "GetParameterValuesResponse")]
    rpc: Box<str>,
    /// The envelope, secrets replaced by `****`.
    xml: Box<str>,
    /// HTTP status of an answer.
    status: Option<u16>,
    /// What else is to be known, such as that the envelope was cut.
    note: Box<str>,
}

/// Whether messages are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Messages {
    Shown,
    LeftOut,
}

impl SessionView {
    fn of(trace: SessionTrace, messages: Messages) -> Self {
        let started_at = trace.started_at;
        Self {
            id: trace.id.0,
            started_at: started_at.to_string(),
            ended_at: trace.ended_at.to_string(),
            address: trace.address.to_string(),
            events: trace.events,
            outcome: trace.outcome.as_str(),
            message_count: trace.messages.len(),
            messages: match messages {
                Messages::Shown => {
                    Some(trace.messages.into_iter().map(|message| MessageView::of(message, started_at)).collect())
                }
                Messages::LeftOut => None,
            },
            omitted: trace.omitted,
        }
    }
}

impl MessageView {
    fn of(message: TraceMessage, started_at: Timestamp) -> Self {
        Self {
            time: message.at.to_string(),
            offset_ms: u64::try_from(message.at.since(started_at).as_millis()).unwrap_or(u64::MAX),
            direction: message.direction.as_str(),
            rpc: message.rpc,
            xml: message.xml,
            status: message.status,
            note: message.note,
        }
    }
}

/// Recorded sessions of a device, newest first.
#[utoipa::path(get, path = "/api/v1/inventory_device_serial/{serial_number}/sessions/", tag = "sessions",
    params(
        ("serial_number" = String, Path, description = "Percent-encoded where need be"),
        ("since" = Option<String>, Query, description = "Only those that began at or after this date, or date and time"),
        ("after" = Option<u64>, Query,
            description = "Only those with a higher id, oldest first: for those who follow a device"),
        ("messages" = Option<bool>, Query, description = "`false`: leaves the messages out"),
        PageParameters
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<SessionView>),
        (status = 404, description = "There is no such device", body = Detail),
        Reading))]
pub(super) async fn list(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    Serial(serial): Serial,
    mut query: Query,
) -> Result<Json<Envelope<SessionView>>, ApiError> {
    let page = query.page(PageRule::LIST);
    let filter = TraceFilter {
        since: query.time("since"),
        after: query.parsed("after", |text| text.parse().ok().map(TraceId), "A valid integer is required."),
    };
    let messages = match query.boolean("messages") {
        Some(false) => Messages::LeftOut,
        Some(true) | None => Messages::Shown,
    };
    let links = query.finish()?;
    let device = caller.device(&state, &serial).await?;
    let listing = state.store.traces(device.key, filter, page).await?;
    let views = listing.items.into_iter().map(|trace| SessionView::of(trace, messages)).collect();
    Ok(Json(links.envelope(page, listing.count, views)))
}

/// One recorded session.
#[utoipa::path(get, path = "/api/v1/inventory_device_serial/{serial_number}/sessions/{id}/", tag = "sessions",
    params(
        ("serial_number" = String, Path, description = "Percent-encoded where need be"),
        ("id" = u64, Path, description = "Its number")
    ),
    responses(
        (status = 200, description = "The session", body = SessionView),
        (status = 404, description = "There is no such device or session", body = Detail),
        Reading))]
pub(super) async fn show(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    SerialAndId(serial, id): SerialAndId,
) -> Result<Json<SessionView>, ApiError> {
    let device = caller.device(&state, &serial).await?;
    let no_such_session = || ApiError::not_found("There is no recorded session with this id.");
    let id = id.parse().map(TraceId).map_err(|_not_a_number| no_such_session())?;
    let trace = state.store.trace(device.key, id).await?.ok_or_else(no_such_session)?;
    Ok(Json(SessionView::of(trace, Messages::Shown)))
}

/// Forgets the recorded sessions of a device.
#[utoipa::path(delete, path = "/api/v1/inventory_device_serial/{serial_number}/sessions/", tag = "sessions",
    params(("serial_number" = String, Path, description = "Percent-encoded where need be")),
    responses(
        (status = 204, description = "They are gone"),
        (status = 404, description = "There is no such device", body = Detail),
        Reading))]
pub(super) async fn clear(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Serial(serial): Serial,
) -> Result<StatusCode, ApiError> {
    let device = caller.device(&state, &serial).await?;
    state.store.clear_traces(device.key).await?;
    let done = Done::deleted(AuditResource::Device, &device.profile.serial_number, &json!({"sessions": "all"}));
    state.audit(&caller, done.of_device(&device)).await?;
    tracing::info!(device.id = %device.key, "{} cleared the recorded sessions of device {}", caller.name(), device.key);
    Ok(StatusCode::NO_CONTENT)
}
