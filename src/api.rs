//! The REST facade: handlers that decode, authorise, call one service, and encode.
//!
//! [`router::router`] has the whole route table; one file per resource below it. [`serve::serve`] is the listener.

pub mod access;
pub mod audit;
pub mod body;
mod campaign;
mod catalogue;
mod configuration;
pub mod device;
mod device_type;
pub mod diagnostic;
pub mod error;
pub mod event;
mod fetch;
mod firmware_image;
pub mod headless;
pub mod health;
mod ledger;
mod location;
pub mod openapi;
pub mod operation;
mod organization;
pub mod paging;
pub mod parameter;
pub mod query;
pub mod refresh;
mod remainder;
pub mod router;
mod rpc;
pub mod serve;
mod session;
pub mod shell;
mod stored_file;
mod stream;
pub mod token;
pub mod transaction;
mod transfer;
mod wanted;
pub mod webhook;
mod words;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use self::access::Throttle;
use self::error::ApiError;
use crate::auth::seal::Sealer;
use crate::campaigns::Campaigns;
use crate::connreq::wake::Waker;
use crate::devices::edit::Editor;
use crate::devices::inventory::Inventory;
use crate::devices::keeper::Keeper;
use crate::devices::presence::Presence;
use crate::files::Files;
use crate::store::Store;
use crate::tasks::queue::Queue;
use crate::telemetry::Metrics;
use crate::types::time::{Clock, Timestamp};
use crate::webhooks::Webhooks;

/// Exports and imports that run at once; more are refused with 429.
const TRANSFERS: usize = 8;
/// When one that was refused may come again.
const TRANSFER_RETRY_SECS: u64 = 5;

/// The services that the facade calls.
#[derive(Clone)]
pub struct Services {
    /// Reads.
    pub store: Arc<dyn Store>,
    /// Schedules.
    pub queue: Arc<Queue>,
    /// Keeps devices configured.
    pub keeper: Arc<Keeper>,
    /// Pushes events.
    pub webhooks: Arc<Webhooks>,
    /// Who is in a session.
    pub presence: Arc<Presence>,
    /// Calls devices.
    pub waker: Arc<Waker>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Seals what the store may not see in clear.
    pub sealer: Arc<Sealer>,
    /// Keeps files.
    pub files: Arc<Files>,
    /// Bring operations to many devices.
    pub campaigns: Arc<Campaigns>,
    /// What `/metrics` renders.
    pub metrics: Metrics,
    /// Cancelled when acsd begins to stop: `/readyz` then says so, and balancers send no more.
    pub draining: CancellationToken,
}

/// Everything that the handlers need.
pub struct ApiState {
    services: Services,
    config: ApiConfig,
    throttle: Throttle,
    /// Permits for calls to devices, shared by all `update_status=true` requests.
    calls: Arc<Semaphore>,
    /// Permits for readers of the event stream.
    streams: Arc<Semaphore>,
    /// Permits for exports and imports.
    transfers: Arc<Semaphore>,
}

impl Deref for ApiState {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.services
    }
}

impl ApiState {
    /// Over the services.
    #[must_use]
    pub fn new(services: Services, config: ApiConfig) -> Self {
        let calls = usize::try_from(config.update_status_concurrency).unwrap_or(1).max(1);
        let streams = usize::try_from(config.event_streams_max).unwrap_or(1).min(Semaphore::MAX_PERMITS);
        Self {
            throttle: Throttle::new(&config),
            calls: Arc::new(Semaphore::new(calls)),
            streams: Arc::new(Semaphore::new(streams)),
            transfers: Arc::new(Semaphore::new(TRANSFERS)),
            services,
            config,
        }
    }

    /// A permit for an export or an import, which last long.
    fn transfer(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.transfers)
            .try_acquire_owned()
            .map_err(|_all_taken| ApiError::TooManyRequests { retry_after_secs: TRANSFER_RETRY_SECS })
    }

    /// The service that changes devices.
    fn editor(&self) -> Editor<'_> {
        Editor {
            store: &*self.store,
            queue: &self.queue,
            presence: &self.presence,
            sealer: &self.sealer,
            clock: &*self.clock,
            work_expires_after: self.config.work_expires_after(),
        }
    }

    /// The service that keeps what devices are sorted by.
    fn inventory(&self) -> Inventory<'_> {
        Inventory { store: &*self.store, keeper: &self.keeper }
    }

    /// When work that is scheduled now is given up, if it never starts.
    fn work_expires_at(&self) -> Option<Timestamp> {
        self.config.work_expires_after().map(|span| self.clock.now() + span)
    }
}

/// Limits and habits of the facade.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// What absolute URLs in answers begin with, `https://acs.example.net`; `None`: scheme and host of the request. Said at
    /// the top of the configuration.
    #[serde(skip)]
    pub public_url: Option<String>,
    /// Most bytes of a JSON body.
    pub body_limit_bytes: usize,
    /// Most bytes of one line of an import.
    pub import_line_bytes: usize,
    /// Longest a body may take to arrive, in seconds; in an import, each piece of it.
    pub body_time_secs: u32,
    /// Longest a whole request may take, in seconds.
    pub request_time_secs: u32,
    /// Requests per second of one token; 0: no limit.
    pub rate_per_second: u32,
    /// Requests of one token that may come at once.
    pub rate_burst: u32,
    /// Longest that `update_status=true` holds a request, in seconds (rest-api.md §3).
    pub update_status_wait_secs: u32,
    /// Devices that all `update_status=true` requests together call at once.
    pub update_status_concurrency: u32,
    /// Work that has not started after this many hours has expired; 0: never. Said under `[transactions]`.
    #[serde(skip)]
    pub work_expires_after_hours: u32,
    /// Most clients that read the event stream at the same time. Said under `[events]`.
    #[serde(skip)]
    pub event_streams_max: u32,
    /// Whether `/metrics` needs a token. Off by default: the listener is bound to loopback until told otherwise, and a
    /// scrape has no secrets and no serial numbers in it. Turn it on before binding to anything wider.
    pub metrics_token_required: bool,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            public_url: None,
            body_limit_bytes: 1024 * 1024,
            import_line_bytes: 64 * 1024,
            body_time_secs: 30,
            request_time_secs: 60,
            rate_per_second: 200,
            rate_burst: 400,
            update_status_wait_secs: 10,
            update_status_concurrency: 256,
            work_expires_after_hours: 7 * 24,
            event_streams_max: 64,
            metrics_token_required: false,
        }
    }
}

impl ApiConfig {
    fn work_expires_after(&self) -> Option<Duration> {
        (self.work_expires_after_hours > 0).then(|| Duration::from_hours(self.work_expires_after_hours.into()))
    }

    fn update_status_wait(&self) -> Duration {
        Duration::from_secs(self.update_status_wait_secs.into())
    }
}
