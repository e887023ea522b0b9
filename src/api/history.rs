//! `/inventory_device_serial/{serial_number}/history/`: values of a parameter over time (rest-api.md §4).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::ApiState;
use super::access::Caller;
use super::device::Serial;
use super::error::ApiError;
use super::openapi::{Detail, Reading};
use super::paging::TOTAL_COUNT;
use super::query::Query;
use crate::health::{HISTORY_POINTS_MAX, judge};
use crate::model::series::Point;
use crate::store::series::Span;
use crate::types::path::ParameterPath;

/// A value, and when it was learned.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PointView {
    #[schema(example = "2024-01-15T10:30:00Z")]
    time: String,
    #[schema(value_type = f64, example = 45)]
    value: Value,
}

impl PointView {
    fn of(point: &Point) -> Self {
        Self { time: point.at.to_string(), value: judge::number(point.value) }
    }
}

/// Values of a parameter, oldest first; empty when none are kept. Kept are those of the type's `history_parameters` and
/// `health_parameters`, whenever a session brings them, within the configured bounds: the further back, the wider apart.
#[utoipa::path(get, path = "/api/v1/inventory_device_serial/{serial_number}/history/", tag = "parameters",
    params(
        ("serial_number" = String, Path, description = "Percent-encoded where need be"),
        ("path" = String, Query, description = "Of the parameter; required"),
        ("from" = Option<String>, Query, description = "Not before this date, or date and time"),
        ("to" = Option<String>, Query, description = "Not after this date, or date and time"),
        ("limit" = Option<u32>, Query, description = "Only so many of them, the newest")
    ),
    responses(
        (status = 200, description = "An array", body = Vec<PointView>,
            headers(("X-Total-Count" = u64, description = "How many there are in all"))),
        (status = 404, description = "There is no such device", body = Detail),
        Reading))]
pub(super) async fn list(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    Serial(serial): Serial,
    mut query: Query,
) -> Result<Response, ApiError> {
    let is_given = query.text("path").is_some();
    let path = query.choice("path", |text| ParameterPath::try_from(text).map_err(|reason| reason.to_string()));
    if !is_given {
        query.error("path", "This parameter is required.");
    }
    let span = Span { from: query.time("from"), to: query.time("to") };
    let limit = query.number("limit").filter(|limit| *limit > 0);
    query.finish()?;
    let device = caller.device(&state, &serial).await?;
    let points = state.store.points(device.key, path.as_ref().map_or("", ParameterPath::as_str), span).await?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(HISTORY_POINTS_MAX);
    let newest = points.get(points.len().saturating_sub(limit)..).unwrap_or_default();
    let mut response = Json(newest.iter().map(PointView::of).collect::<Vec<_>>()).into_response();
    response.headers_mut().insert(TOTAL_COUNT, HeaderValue::from(points.len()));
    Ok(response)
}
