//! For supervisors, balancers and scrapers: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiState;
use super::access::Caller;
use super::error::ApiError;
use crate::telemetry::chain;

/// Whether acsd takes work.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    /// The verdict.
    ready: bool,
    /// Why not.
    reasons: Vec<String>,
    /// What an operator should look at, ready or not.
    warnings: Vec<String>,
}

/// The process is alive.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, description = "Alive", body = String, content_type = "text/plain")))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether acsd takes sessions and work: the store takes writes and acsd is not stopping.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, description = "Ready", body = Readiness),
              (status = 503, description = "Not ready, with the reasons", body = Readiness)))]
pub(super) async fn readyz(State(state): State<Arc<ApiState>>) -> Response {
    let mut reasons = Vec::new();
    if state.draining.is_cancelled() {
        reasons.push("acsd is stopping".to_owned());
    }
    if let Err(error) = state.store.health() {
        reasons.push(chain(&error));
    }
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, reasons, warnings: state.store.warnings() })).into_response()
}

/// Prometheus text. Needs no token unless the configuration says so.
#[utoipa::path(get, path = "/metrics", tag = "health", security((), ("token" = [])),
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "text/plain"),
              (status = 401, description = "A token is required here", body = super::openapi::Detail)))]
pub(super) async fn metrics(State(state): State<Arc<ApiState>>, request: Request) -> Result<Response, ApiError> {
    if state.config.metrics_token_required {
        let (mut parts, _body) = request.into_parts();
        Caller::from_request_parts(&mut parts, &state).await?;
    }
    let text = state.metrics.render(&state.store.figures(state.clock.now()));
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
