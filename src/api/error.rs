//! What a request is answered with when it cannot be granted: one status, one JSON body, never internals.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::auth::random::RandomError;
use crate::auth::seal::SealError;
use crate::devices::inventory::Dependents;
use crate::store::StoreError;

/// Why a request is not granted (rest-api.md §1, *errors*).
#[derive(Debug)]
pub enum ApiError {
    /// 400: everything that is wrong with the fields or the query parameters, at once.
    Fields(FieldErrors),
    /// Any status with a sentence.
    Detail {
        /// 4xx.
        status: StatusCode,
        /// For the client.
        detail: Cow<'static, str>,
    },
    /// 409: what still refers to a record that was to be removed.
    InUse {
        /// For the client.
        detail: &'static str,
        /// How many of which kind.
        dependents: Dependents,
    },
    /// 401, with the challenge.
    Unauthorized(&'static str),
    /// 429.
    TooManyRequests {
        /// When to come again.
        retry_after_secs: u64,
    },
    /// 500, or 503 when the store takes no writes. The client learns a request id only; the cause goes to the log.
    Internal(Arc<dyn Error + Send + Sync>),
}

impl ApiError {
    /// 400 with a sentence.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Detail { status: StatusCode::BAD_REQUEST, detail: detail.into() }
    }

    /// 403.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Detail { status: StatusCode::FORBIDDEN, detail: detail.into() }
    }

    /// 404.
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Detail { status: StatusCode::NOT_FOUND, detail: detail.into() }
    }

    /// 409.
    pub fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Detail { status: StatusCode::CONFLICT, detail: detail.into() }
    }

    /// 422: well-formed, but not possible on this device.
    pub fn unprocessable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Detail { status: StatusCode::UNPROCESSABLE_ENTITY, detail: detail.into() }
    }

    /// 404 for a device, also for one outside the token's organizations.
    #[must_use]
    pub fn no_such_device() -> Self {
        Self::not_found("There is no device with this serial number.")
    }

    /// 500.
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::Internal(Arc::new(cause))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::internal(error)
    }
}

impl From<SealError> for ApiError {
    fn from(error: SealError) -> Self {
        Self::internal(error)
    }
}

impl From<RandomError> for ApiError {
    fn from(error: RandomError) -> Self {
        Self::internal(error)
    }
}

impl From<FieldErrors> for ApiError {
    fn from(errors: FieldErrors) -> Self {
        Self::Fields(errors)
    }
}

/// Rides in the response until the outermost layer, which knows the request id, has logged it.
#[derive(Debug, Clone)]
pub(super) struct Cause(pub(super) Arc<dyn Error + Send + Sync>);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::Fields(errors) => (StatusCode::BAD_REQUEST, Json(Value::Object(errors.0))).into_response(),
            Self::Detail { status, detail } => (status, Json(json!({ "detail": detail }))).into_response(),
            Self::InUse { detail, dependents } => {
                let body = json!({ "detail": detail, "dependents": dependents.0 });
                (StatusCode::CONFLICT, Json(body)).into_response()
            }
            Self::Unauthorized(detail) => with_header(
                (StatusCode::UNAUTHORIZED, Json(json!({ "detail": detail }))).into_response(),
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer"),
            ),
            Self::TooManyRequests { retry_after_secs } => with_header(
                (
                    StatusCode::TOO_MANY_REQUESTS,
                    Json(json!({ "detail": format!("Too many requests. Try again in {retry_after_secs} s.") })),
                )
                    .into_response(),
                header::RETRY_AFTER,
                HeaderValue::from(retry_after_secs),
            ),
            Self::Internal(cause) => {
                let unavailable = matches!(
                    cause.downcast_ref::<StoreError>(),
                    Some(StoreError::Unavailable { .. } | StoreError::Busy { .. })
                );
                let status =
                    if unavailable { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::INTERNAL_SERVER_ERROR };
                let mut response = status.into_response();
                response.extensions_mut().insert(Cause(cause));
                response
            }
        }
    }
}

fn with_header(mut response: Response, name: HeaderName, value: HeaderValue) -> Response {
    response.headers_mut().insert(name, value);
    response
}

/// What is wrong, by field: a list of reasons each; for an object one such map, for a list of objects one per element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldErrors(Map<String, Value>);

impl FieldErrors {
    /// One field, one reason.
    #[must_use]
    pub fn one(field: &str, reason: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.add(field, reason);
        errors
    }

    /// Adds a reason to a field.
    pub fn add(&mut self, field: &str, reason: impl Into<String>) {
        let entry = self.0.entry(field.to_owned()).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(reasons) = entry {
            reasons.push(Value::String(reason.into()));
        }
    }

    /// Adds the errors of a list's elements, in their order; nothing when no element has any.
    pub fn add_elements(&mut self, field: &str, elements: Vec<Self>) {
        if elements.iter().any(|element| !element.is_empty()) {
            let list = elements.into_iter().map(|element| Value::Object(element.0)).collect();
            self.0.insert(field.to_owned(), Value::Array(list));
        }
    }

    /// Adds the errors of an object's fields; nothing when there are none.
    pub fn add_nested(&mut self, field: &str, nested: Self) {
        if !nested.is_empty() {
            self.0.insert(field.to_owned(), Value::Object(nested.0));
        }
    }

    /// The same under another name of a field.
    #[must_use]
    pub fn renamed(mut self, from: &str, to: &str) -> Self {
        if let Some(reasons) = self.0.remove(from) {
            self.0.insert(to.to_owned(), reasons);
        }
        self
    }

    /// The reasons by field.
    #[must_use]
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }

    /// Whether all is well.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this field has an error already.
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.0.contains_key(field)
    }

    /// `Ok` when nothing was added.
    ///
    /// # Errors
    /// Itself.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_reasons_are_kept_and_elements_keep_their_order() {
        let mut errors = FieldErrors::one("name", "one");
        errors.add("name", "two");
        errors.add_elements("variables", vec![FieldErrors::default(), FieldErrors::one("value", "three")]);
        errors.add_elements("none", vec![FieldErrors::default()]);
        assert_eq!(Value::Object(errors.0), json!({"name": ["one", "two"], "variables": [{}, {"value": ["three"]}]}));
    }
}
