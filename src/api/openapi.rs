//! The description of the API, gathered from the handlers, and the answers that all of them share.

use serde::Serialize;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};

/// The document without its paths; [`super::router`] adds those.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "acsd",
        description = "REST API of acsd, a TR-069 auto-configuration server. Paths end in a slash; the same path \
                       without it is served too. Times are RFC 3339 in UTC.",
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
        (name = "headless operations", description = "Reading and writing parameters and objects"),
        (name = "parameters", description = "What is known of a device's data model"),
        (name = "sessions", description = "Recorded sessions of devices that are being looked into"),
        (name = "transactions", description = "Everything that was scheduled"),
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
pub(super) struct Detail {
    /// For people.
    detail: String,
}

/// What was wrong with fields or parameters: a list of reasons by name. Malformed JSON gives `{"detail"}` instead.
#[derive(Serialize, ToSchema)]
#[schema(value_type = Object, example = json!({"name": ["This field is required."]}))]
pub(super) struct Invalid(serde_json::Value);

/// acsd failed.
#[derive(Serialize, ToSchema)]
pub(super) struct Failure {
    /// For people.
    detail: String,
    /// Leads to the cause in acsd's log.
    request_id: String,
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
    Unavailable(#[to_schema] Failure),
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
