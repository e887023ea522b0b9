//! Who asks, and what they may do: bearer tokens, roles, organizations, and the rate limit of each token.

use std::num::NonZeroU32;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use super::error::ApiError;
use super::shell::RequestId;
use super::{ApiConfig, ApiState};
use crate::auth::token::TokenHash;
use crate::model::device::{Device, OrganizationId};
use crate::model::organizations;
use crate::model::token::{Role, TokenId, TokenRecord};

/// A caller with a valid token: may read what its organizations hold.
#[derive(Debug, Clone)]
pub struct Caller {
    token: TokenRecord,
    request_id: String,
    /// The token's organizations and all below them, in order; `None`: all there are.
    covered: Option<Vec<OrganizationId>>,
}

/// A caller that may change devices and schedule work.
#[derive(Debug, Clone)]
pub struct Operator(Caller);

/// A caller that may do everything.
#[derive(Debug, Clone)]
pub struct Admin(Caller);

impl Caller {
    /// The token's name, for the ledger and the log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.token.name
    }

    /// Its token, as it was when the request came.
    #[must_use]
    pub fn token(&self) -> &TokenRecord {
        &self.token
    }

    /// What the log and the audit trail call the request.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The organizations it may see, those below its own included; `None`: all.
    #[must_use]
    pub fn visible(&self) -> Option<&[OrganizationId]> {
        self.covered.as_deref()
    }

    /// The organizations it is bound to, as its token names them; `None`: bound to none, it may see all.
    #[must_use]
    pub fn bound_to(&self) -> Option<&[OrganizationId]> {
        self.token.organizations.as_deref()
    }

    /// Whose the records are that it makes without saying whose: its first organization. `None`: everybody's.
    #[must_use]
    pub fn home(&self) -> Option<OrganizationId> {
        self.bound_to().and_then(|bound| bound.first().copied())
    }

    /// Whether it may see this organization's devices.
    #[must_use]
    pub fn sees(&self, organization: OrganizationId) -> bool {
        self.visible().is_none_or(|visible| visible.binary_search(&organization).is_ok())
    }

    /// For what all organizations share.
    ///
    /// # Errors
    /// 403 when the token is bound to some of them.
    pub fn require_unbound(&self) -> Result<(), ApiError> {
        if self.bound_to().is_none() {
            Ok(())
        } else {
            Err(ApiError::forbidden("All organizations share this: a token that is bound to some may not change it."))
        }
    }

    /// The same caller by its token as it is now, for answers that go on for long. `None`: it was revoked or has expired.
    #[must_use]
    pub fn renewed(&self, state: &ApiState) -> Option<Self> {
        Self::of_hash(state, &self.token.hash).map(|renewed| Self { request_id: self.request_id.clone(), ..renewed })
    }

    fn of_hash(state: &ApiState, hash: &[u8; 32]) -> Option<Self> {
        let now = state.clock.now();
        let token = state.store.token_by_hash(hash).filter(|token| token.expires_at.is_none_or(|end| end > now))?;
        let bound = token.organizations.as_deref();
        let covered = bound.map(|bound| organizations::covered(&state.store.organizations().all(), bound));
        Some(Self { token, covered, request_id: String::new() })
    }

    /// For an organization that the request names.
    ///
    /// # Errors
    /// 403 when it lies outside.
    pub fn require_organization(&self, organization: OrganizationId) -> Result<(), ApiError> {
        if self.sees(organization) {
            Ok(())
        } else {
            Err(ApiError::forbidden("This token does not cover the requested organization."))
        }
    }

    /// The device of this serial number.
    ///
    /// # Errors
    /// 404 when there is none, or it lies outside the token's organizations.
    pub async fn device(&self, state: &ApiState, serial: &str) -> Result<Device, ApiError> {
        state
            .store
            .by_serial(serial)
            .await?
            .filter(|device| self.sees(device.profile.organization))
            .ok_or_else(ApiError::no_such_device)
    }

    fn require(self, role: Role) -> Result<Self, ApiError> {
        if self.token.role >= role {
            Ok(self)
        } else {
            Err(ApiError::forbidden("This token's role does not permit this action."))
        }
    }
}

impl Deref for Operator {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl Deref for Admin {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl FromRequestParts<Arc<ApiState>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<ApiState>) -> Result<Self, ApiError> {
        let caller = authenticate(state, &parts.headers)?;
        state.throttle.check(caller.token.id)?;
        let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
        Ok(Self { request_id, ..caller })
    }
}

impl FromRequestParts<Arc<ApiState>> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<ApiState>) -> Result<Self, ApiError> {
        Caller::from_request_parts(parts, state).await?.require(Role::Operator).map(Self)
    }
}

impl FromRequestParts<Arc<ApiState>> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<ApiState>) -> Result<Self, ApiError> {
        Caller::from_request_parts(parts, state).await?.require(Role::Admin).map(Self)
    }
}

/// Checks the token of a request: RFC 6750 §2.1.
fn authenticate(state: &ApiState, headers: &HeaderMap) -> Result<Caller, ApiError> {
    const MISSING: ApiError = ApiError::Unauthorized("Authentication credentials were not provided.");
    const INVALID: ApiError = ApiError::Unauthorized("Invalid or expired token.");
    let raw = headers.get(header::AUTHORIZATION).ok_or(MISSING)?.to_str().map_err(|_not_text| INVALID)?;
    let (scheme, token) = raw.trim().split_once(' ').ok_or(INVALID)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.contains(' ') {
        return Err(INVALID);
    }
    let caller = Caller::of_hash(state, &TokenHash::of(token).0).ok_or(INVALID)?;
    state.store.touch_token(caller.token.id, state.clock.now());
    Ok(caller)
}

/// Requests per second of each token.
#[derive(Debug)]
pub struct Throttle {
    limiter: Option<RateLimiter<TokenId, DefaultKeyedStateStore<TokenId>, DefaultClock>>,
}

impl Throttle {
    /// By the configured rate; a rate of 0 never refuses.
    #[must_use]
    pub fn new(config: &ApiConfig) -> Self {
        let limiter = NonZeroU32::new(config.rate_per_second).map(|rate| {
            let burst = NonZeroU32::new(config.rate_burst).unwrap_or(rate);
            RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst))
        });
        Self { limiter }
    }

    fn check(&self, token: TokenId) -> Result<(), ApiError> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        limiter.check_key(&token).map_err(|refused| {
            let wait = refused.wait_time_from(DefaultClock::default().now());
            // Rounded up: a client that keeps to it is let in.
            ApiError::TooManyRequests { retry_after_secs: wait.as_secs().saturating_add(1) }
        })
    }
}
