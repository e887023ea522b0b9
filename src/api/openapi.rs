//! The description of the API, gathered from the handlers, and the answers that all of them share.

mod complete;

use serde::Serialize;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoParams, IntoResponses, Modify, OpenApi, ToSchema};

pub(super) use self::complete::complete;

/// The document without its paths; [`super::router`] adds those.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "acsd",
        description = "REST API of acsd, a TR-069 auto-configuration server. Paths end in a slash; the same path \
                       without it is served too. Times are RFC 3339 in UTC.\n\nBodies are read strictly: a field that is not \
                       known is refused, as is a text in the place of a number. What answers have and no request \
                       changes may be sent back; it is ignored. Query parameters that are empty count as not given, \
                       and unknown ones are ignored.\n\nEvery answer has an `X-Request-Id`. A method that a path does not have \
                       is answered 405 with `Allow`, an unknown path 404, both with `{\"detail\"}`.",
        license(name = "MIT OR Apache-2.0")
    ),
    security(("token" = [])),
    modifiers(&BearerToken),
    tags(
        (name = "devices", description = "The inventory"),
        (name = "organizations", description = "Whose devices are whose"),
        (name = "types", description = "Kinds of devices, and what is wanted of them"),
        (name = "locations", description = "Where devices stand"),
        (name = "operations", description = "Orders to one device"),
        (name = "diagnostics", description = "Tests that devices run by themselves, and what came of them"),
        (name = "headless operations", description = "Reading and writing parameters and objects"),
        (name = "parameters", description = "What is known of a device's data model"),
        (name = "files", description = "Files that devices send and fetch"),
        (name = "calls", description = "Single calls of CWMP"),
        (name = "sessions", description = "Recorded sessions of devices that are being looked into"),
        (name = "transactions", description = "Everything that was scheduled"),
        (name = "campaigns", description = "One operation for many devices"),
        (name = "firmware", description = "Files that devices fetch"),
        (name = "tokens", description = "Who may use this API"),
        (name = "events", description = "What happened, and who is told"),
        (name = "audit", description = "Who changed what"),
        (name = "health", description = "For supervisors and scrapers")
    ),
    components(schemas(Detail, Failure))
)]
pub(super) struct Description;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API token")).build();
        openapi.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// Why a request was not granted.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"detail": "Invalid or expired token."}))]
pub(super) struct Detail {
    /// For people.
    detail: String,
}

/// What was wrong; [`mod@complete`] tells its shape.
#[derive(Serialize, ToSchema)]
#[schema(value_type = Object, example = json!({"name": ["This field is required."]}))]
pub(super) struct Invalid(serde_json::Value);

/// acsd failed.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "detail": "The server failed to do this. The request_id leads to the cause in its log.",
    "request_id": "6ad64e6c2c4b4e8d9d3bb2c08a2fa7c5"
}))]
pub(super) struct Failure {
    /// For people.
    detail: String,
    /// Leads to the cause in acsd's log.
    request_id: String,
}

/// acsd cannot take this now.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "detail": "The server cannot take this now. Try again later.", "request_id": "6ad64e6c2c4b4e8d9d3bb2c08a2fa7c5"
}))]
pub(super) struct Unavailable {
    /// For people.
    detail: String,
    /// Where there is a cause in acsd's log: leads to it.
    #[schema(nullable = false)]
    request_id: Option<String>,
}

/// Which page of a list; for the description, read by [`super::query::Query::page`].
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that are read by name")]
pub(super) struct PageParameters {
    /// Entries of a page: 25 unless told or less than 1, at most 500
    #[param(example = 50)]
    limit: Option<i64>,
    /// Entries to skip; none when negative
    #[param(example = 0)]
    offset: Option<i64>,
}

/// What any read may be answered with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers that are made elsewhere")]
pub(super) enum Reading {
    /// A parameter has the wrong form.
    #[response(status = 400)]
    BadRequest(#[to_schema] Invalid),
    /// The token is missing, unknown or expired.
    #[response(status = 401)]
    Unauthorized(#[to_schema] Detail),
    /// The token's role or organizations do not cover this.
    #[response(status = 403)]
    Forbidden(#[to_schema] Detail),
    /// Too many requests of this token; see `Retry-After`.
    #[response(status = 429)]
    TooManyRequests(#[to_schema] Detail),
    /// acsd failed.
    #[response(status = 500)]
    Failed(#[to_schema] Failure),
    /// The store takes no writes, or the request took too long.
    #[response(status = 503)]
    Unavailable(#[to_schema] Unavailable),
}

/// What any request with a body may be answered with besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers that are made elsewhere")]
pub(super) enum Writing {
    /// The body took too long to arrive.
    #[response(status = 408)]
    Slow(#[to_schema] Detail),
    /// The body is over the limit.
    #[response(status = 413)]
    TooLarge(#[to_schema] Detail),
    /// The body is not JSON in UTF-8.
    #[response(status = 415)]
    WrongType(#[to_schema] Detail),
}
