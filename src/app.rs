//! The daemon put together: builds store, services and edges, supervises the loops, drains on signal.
//!
//! The only place that names a concrete backend, and the only one that spawns loops. A loop that ends by itself ends the
//! daemon: nothing is left half-alive.

mod first_start;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::acs::driver::{Driver, DriverConfig, Services};
use crate::acs::files::{FileServer, FilesAlone};
use crate::acs::gate::{AuthMode, Gate, OnboardingMode, SharedLogin};
use crate::acs::listen::{self, BindError, Endpoint};
use crate::api::serve::{ServeLimits, TlsSource};
use crate::api::{self, ApiState};
use crate::auth::digest::DigestServer;
use crate::auth::random::{self, RandomError};
use crate::auth::seal::{KeyFileError, Sealer};
use crate::campaigns::{self, Campaigns};
use crate::clock::SystemClock;
use crate::config::{Config, StoreChoice};
use crate::connreq::wake::{WakeQueue, Waker};
use crate::cwmp::codec::Limits;
use crate::devices::expiry::Expiry;
use crate::devices::keeper::{self, Keeper};
use crate::devices::onboard::{HandOut, Onboarding};
use crate::devices::presence::Presence;
use crate::events;
use crate::files::lane::{BulkRuntime, Lane};
use crate::files::{Files, FilesError, Place};
use crate::health::Health;
use crate::store::memory::{MemoryConfig, MemoryStore};
use crate::store::sled::{CompactError, Compacted, OpenError, StoreConfig, compact_sled, open_sled};
use crate::store::{Store, StoreError};
use crate::tasks::queue::Queue;
use crate::telemetry::Metrics;
use crate::tls::{ReloadableTls, TlsError};
use crate::types::secret::Secret;
use crate::types::time::Clock;
use crate::webhooks::Webhooks;

pub use first_start::FirstStartError;

/// What challenges call us.
const REALM: &str = "acsd";
/// The key file in the data folder.
const KEY_FILE: &str = "key";
/// The folder of files in the data folder.
const FILES_FOLDER: &str = "files";

/// How often the store is asked whether it still works.
const STORE_WATCH: Duration = Duration::from_secs(1);
/// What the last writes of files that were cut off may take.
const LAST_WRITES: Duration = Duration::from_secs(5);
/// How often gathered histograms are folded.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be made.
    #[error("the data folder {path} cannot be made")]
    DataDir {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The key file.
    #[error("the key file cannot be used")]
    Key(#[source] KeyFileError),
    /// The store.
    #[error("the store cannot be opened")]
    Open(#[source] OpenError),
    /// The store, once open.
    #[error("the store cannot be used")]
    Store(#[source] StoreError),
    /// The first admin token or the onboarding credential.
    #[error("the first start could not be completed")]
    FirstStart(#[source] FirstStartError),
    /// A listener of the CWMP endpoint.
    #[error("no listener")]
    Bind(#[source] BindError),
    /// The listener of the API.
    #[error("cannot listen on {address} for the API")]
    BindApi {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The folder of files.
    #[error("files cannot be kept")]
    Files(#[source] FilesError),
    /// The threads that move files.
    #[error("no threads for file transfers")]
    Bulk(#[source] std::io::Error),
    /// Certificate and key.
    #[error("TLS cannot be set up")]
    Tls(#[source] TlsError),
    /// No randomness.
    #[error("no randomness")]
    Random(#[source] RandomError),
}

/// A running daemon.
pub struct Daemon {
    /// Where CPEs call over HTTP.
    pub cwmp_address: SocketAddr,
    /// Where CPEs call over HTTPS, with a certificate configured.
    pub cwmp_tls_address: Option<SocketAddr>,
    /// Where files are, when that is configured.
    pub files_address: Option<SocketAddr>,
    /// Where the API is.
    pub api_address: SocketAddr,
    /// The admin token, when this start has made one: to be shown once.
    pub new_admin_token: Option<Secret>,
    /// The onboarding credential, when this start has made one: to be shown once.
    pub new_onboarding: Option<SharedLogin>,
    /// Everything that lasts.
    pub store: Arc<dyn Store>,
    /// To be told of changes that are made past the API.
    pub keeper: Arc<Keeper>,
    /// Images, and what devices have sent.
    pub files: Arc<Files>,
    tls: Option<ReloadableTls>,
    shutdown: CancellationToken,
    loops: JoinSet<&'static str>,
    bulk: BulkRuntime,
    grace: Duration,
}

/// Everything that is made before a loop runs.
struct Parts {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    sealer: Arc<Sealer>,
    presence: Arc<Presence>,
    waker: Arc<Waker>,
    wake_queue: WakeQueue,
    queue: Arc<Queue>,
    expiry: Arc<Expiry>,
    keeper: Arc<Keeper>,
    webhooks: Arc<Webhooks>,
    files: Arc<Files>,
    health: Arc<Health>,
    campaigns: Arc<Campaigns>,
}

impl Daemon {
    /// Starts everything. When it returns, the listeners are open and the loops run.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(config: Config, metrics: Metrics) -> Result<Self, StartError> {
        let (store, sealer) = open(&config).await?;
        let first = first_start::complete(&config, store.as_ref(), &sealer).await.map_err(StartError::FirstStart)?;
        let tls = match &config.tls {
            Some(files) => Some(ReloadableTls::load(&files.certificate, &files.key).map_err(StartError::Tls)?),
            None => None,
        };
        let bulk = BulkRuntime::start().map_err(StartError::Bulk)?;
        let parts = assemble(&config, store, sealer, bulk.lane())?;
        parts.files.tidy().await.map_err(StartError::Store)?;
        let driver = driver(&config, &parts, first.onboarding.clone())?;
        let file_server = FileServer::new(Arc::clone(&parts.files), Arc::clone(&parts.clock), &parts.sealer);
        let limits = config.cwmp.limits.clone();
        let endpoint = Endpoint::with_files(limits, Arc::new(driver.clone()), file_server.clone());
        let cwmp = listen::bind(config.cwmp.listen).map_err(StartError::Bind)?;
        let cwmp_address = cwmp.local_addr().unwrap_or(config.cwmp.listen);
        let shutdown = CancellationToken::new();
        let mut loops = JoinSet::new();
        let mut cwmp_tls_address = None;
        if let Some(tls) = &tls {
            let listener = listen::bind(config.cwmp.tls_listen).map_err(StartError::Bind)?;
            cwmp_tls_address = listener.local_addr().ok();
            let serving = Arc::clone(&endpoint).serve(listener, Some(tls.clone()), shutdown.clone());
            loops.spawn(async move {
                serving.await;
                "the CWMP TLS listener"
            });
        }
        let serving = endpoint.serve(cwmp, None, shutdown.clone());
        loops.spawn(async move {
            serving.await;
            "the CWMP listener"
        });
        let files_address = spawn_files(&mut loops, &config, &parts, file_server, &shutdown)?;
        let api = TcpListener::bind(config.api.listen)
            .await
            .map_err(|source| StartError::BindApi { address: config.api.listen, source })?;
        let api_address = api.local_addr().unwrap_or(config.api.listen);
        let (store, keeper, files) = (Arc::clone(&parts.store), Arc::clone(&parts.keeper), Arc::clone(&parts.files));
        spawn_api(&mut loops, api, &config, &parts, metrics, tls.clone(), &shutdown);
        spawn_events(&mut loops, &config, &parts, &shutdown);
        spawn_services(&mut loops, parts, driver, &shutdown);
        Ok(Self {
            cwmp_address,
            cwmp_tls_address,
            files_address,
            api_address,
            new_admin_token: first.new_admin_token,
            new_onboarding: first.new_onboarding,
            store,
            keeper,
            files,
            tls,
            shutdown,
            loops,
            bulk,
            grace: Duration::from_secs(config.cwmp.limits.drain_timeout_secs),
        })
    }

    /// Resolves when a loop has ended by itself: the daemon has to end too.
    pub async fn failed(&mut self) -> &'static str {
        match self.loops.join_next().await {
            Some(Ok(name)) => name,
            Some(Err(_)) => "a loop that panicked",
            None => "every loop",
        }
    }

    /// Reads certificate and key again.
    ///
    /// # Errors
    /// [`TlsError`]; the old ones stay in use.
    pub fn reload_tls(&self) -> Result<(), TlsError> {
        self.tls.as_ref().map_or(Ok(()), ReloadableTls::reload)
    }

    /// Stops accepting, lets open exchanges finish within the grace, flushes.
    ///
    /// # Errors
    /// [`StoreError`] when the last flush failed.
    pub async fn stop(mut self) -> Result<(), StoreError> {
        self.shutdown.cancel();
        let ended = async { while self.loops.join_next().await.is_some() {} };
        if tokio::time::timeout(self.grace + Duration::from_secs(5), ended).await.is_err() {
            tracing::warn!("some work did not end in time and is cut off");
        }
        self.loops.shutdown().await;
        self.bulk.close(LAST_WRITES).await;
        self.store.close().await
    }
}

/// Opens the configured store and the key that its secrets are sealed under.
///
/// # Errors
/// [`StartError`].
pub async fn open(config: &Config) -> Result<(Arc<dyn Store>, Arc<Sealer>), StartError> {
    match config.store {
        StoreChoice::Memory => {
            let key = random::bytes::<32>().map_err(StartError::Random)?;
            let store = MemoryStore::new(MemoryConfig::default());
            Ok((Arc::new(store), Arc::new(Sealer::from_key(&key))))
        }
        StoreChoice::Sled => {
            let folder = config.data_dir.clone();
            make_private(&folder)
                .map_err(|source| StartError::DataDir { path: folder.display().to_string(), source })?;
            let sealer = Sealer::open_or_create(&folder.join(KEY_FILE)).map_err(StartError::Key)?;
            let store = open_sled(store_config(config), Arc::new(SystemClock)).await.map_err(StartError::Open)?;
            Ok((store, Arc::new(sealer)))
        }
    }
}

/// Makes an offline copy of the embedded store, which takes its place.
///
/// # Errors
/// [`CompactError`].
pub async fn compact(config: &Config) -> Result<Compacted, CompactError> {
    compact_sled(store_config(config), Arc::new(SystemClock)).await
}

fn store_config(config: &Config) -> StoreConfig {
    StoreConfig {
        group_commit_linger: Duration::from_micros(config.sled.group_commit_linger_us),
        history_max: config.sled.history_max,
        queue_max: config.sled.queue_max,
        cache_bytes: config.sled.cache_bytes,
        free_space_floor_bytes: config.sled.free_space_floor_bytes,
        ballast_bytes: config.sled.ballast_bytes,
        ..StoreConfig::new(&config.data_dir)
    }
}

fn make_private(folder: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn assemble(config: &Config, store: Arc<dyn Store>, sealer: Arc<Sealer>, lane: Lane) -> Result<Parts, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let presence = Arc::new(Presence::default());
    let (waker, wake_queue) =
        Waker::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&presence), Arc::clone(&sealer), config.wake());
    let expiry = Expiry::new(Arc::clone(&store), Arc::clone(&clock), config.cwmp.fallback_interval_secs);
    let webhooks = Webhooks::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&sealer), config.webhooks.clone());
    let place = match config.store {
        StoreChoice::Memory => Place::Temporary,
        StoreChoice::Sled => Place::Folder(config.data_dir.join(FILES_FOLDER)),
    };
    let files = Files::open(&place, Arc::clone(&store), Arc::clone(&clock), &sealer, config.files.clone(), lane);
    let files = files.map_err(StartError::Files)?;
    let files = Arc::new(files);
    let queue = Queue::new(
        Arc::clone(&store),
        Arc::clone(&clock),
        Arc::clone(&presence),
        Arc::clone(&waker),
        Arc::clone(&files),
    );
    let queue = Arc::new(queue);
    let health = Health::new(Arc::clone(&store), Arc::clone(&queue), Arc::clone(&clock), config.health.clone());
    let tools = campaigns::Tools {
        store: Arc::clone(&store),
        queue: Arc::clone(&queue),
        presence: Arc::clone(&presence),
        sealer: Arc::clone(&sealer),
        clock: Arc::clone(&clock),
    };
    Ok(Parts {
        store,
        webhooks: Arc::new(webhooks),
        clock,
        sealer,
        presence,
        waker,
        wake_queue,
        queue,
        expiry: Arc::new(expiry),
        keeper: Arc::default(),
        files,
        health: Arc::new(health),
        campaigns: Arc::new(Campaigns::new(tools, config.campaigns.clone())),
    })
}

fn driver(config: &Config, parts: &Parts, shared: Option<SharedLogin>) -> Result<Driver, StartError> {
    let cwmp = &config.cwmp;
    let nonce_key = random::bytes::<32>().map_err(StartError::Random)?;
    let digest = DigestServer::new(nonce_key, REALM, Duration::from_secs(cwmp.nonce_lifetime_secs));
    let shared = shared.filter(|_| cwmp.onboarding != OnboardingMode::Open || cwmp.onboarding_username.is_some());
    let sealer = Arc::clone(&parts.sealer);
    let gate = Gate::new(cwmp.auth, cwmp.onboarding, digest, REALM, shared, sealer, cwmp.failed_logins_per_minute)
        .sparing(cwmp.limits.unlimited_networks.clone());
    let hand_out = match cwmp.auth {
        AuthMode::Digest | AuthMode::Basic => HandOut::OwnLogin,
        AuthMode::None => HandOut::Nothing,
    };
    let onboarding = Onboarding::new(Arc::clone(&parts.store), Arc::clone(&parts.sealer), hand_out);
    let services = Services {
        store: Arc::clone(&parts.store),
        clock: Arc::clone(&parts.clock),
        queue: Arc::clone(&parts.queue),
        presence: Arc::clone(&parts.presence),
        waker: Arc::clone(&parts.waker),
        onboarding: Arc::new(onboarding),
        expiry: Arc::clone(&parts.expiry),
        sealer: Arc::clone(&parts.sealer),
        files: Arc::clone(&parts.files),
        health: Arc::clone(&parts.health),
    };
    let driver_config = DriverConfig {
        decode: Limits { parameters: cwmp.max_parameters, depth: cwmp.max_xml_depth, ..Limits::default() },
        session: config.session_limits(),
        plan: config.plan_limits(),
        emission: cwmp.emission,
        sessions_max: cwmp.max_sessions,
        exchanges_max: cwmp.max_exchanges,
        drain: Duration::from_secs(cwmp.limits.drain_timeout_secs),
        fallback_interval_secs: cwmp.fallback_interval_secs,
        traces: config.traces.clone(),
    };
    Ok(Driver::new(services, gate, driver_config))
}

/// The listener for files alone, if there is to be one.
fn spawn_files(
    loops: &mut JoinSet<&'static str>,
    config: &Config,
    parts: &Parts,
    server: FileServer,
    shutdown: &CancellationToken,
) -> Result<Option<SocketAddr>, StartError> {
    let Some(address) = config.files.listen else { return Ok(None) };
    let listener = listen::bind(address).map_err(StartError::Bind)?;
    let address = listener.local_addr().unwrap_or(address);
    parts.files.announce_port(address.port());
    let endpoint = Endpoint::with_files(config.cwmp.limits.clone(), Arc::new(FilesAlone), server);
    let serving = endpoint.serve(listener, None, shutdown.clone());
    loops.spawn(async move {
        serving.await;
        "the listener for files"
    });
    Ok(Some(address))
}

fn spawn_api(
    loops: &mut JoinSet<&'static str>,
    listener: TcpListener,
    config: &Config,
    parts: &Parts,
    metrics: Metrics,
    tls: Option<ReloadableTls>,
    shutdown: &CancellationToken,
) {
    let upkeep = metrics.clone();
    let services = api::Services {
        store: Arc::clone(&parts.store),
        queue: Arc::clone(&parts.queue),
        keeper: Arc::clone(&parts.keeper),
        webhooks: Arc::clone(&parts.webhooks),
        presence: Arc::clone(&parts.presence),
        waker: Arc::clone(&parts.waker),
        clock: Arc::clone(&parts.clock),
        sealer: Arc::clone(&parts.sealer),
        files: Arc::clone(&parts.files),
        device_health: Arc::clone(&parts.health),
        campaigns: Arc::clone(&parts.campaigns),
        metrics,
        draining: shutdown.clone(),
    };
    let router = api::router::router(ApiState::new(services, config.api_config()));
    let tls: Option<TlsSource> = tls.map(|tls| Arc::new(move || tls.current()) as TlsSource);
    let serving = api::serve::serve(listener, router, tls, ServeLimits::default(), shutdown.clone());
    loops.spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the API listener failed");
        }
        "the API listener"
    });
    let shutdown = shutdown.clone();
    loops.spawn(async move {
        let mut ticks = tokio::time::interval(METRICS_UPKEEP);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            upkeep.upkeep();
        }
        "the metrics' upkeep"
    });
}

/// Ends when the store is broken for good: only a new process can open it again.
async fn watch(store: Arc<dyn Store>, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(STORE_WATCH);
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error @ StoreError::Broken { .. }) = store.health() {
            tracing::error!("{error}: ending, so that a supervisor can start acsd anew");
            return;
        }
    }
}

fn spawn_events(loops: &mut JoinSet<&'static str>, config: &Config, parts: &Parts, shutdown: &CancellationToken) {
    let (store, clock) = (Arc::clone(&parts.store), Arc::clone(&parts.clock));
    let tending = events::tend(store, clock, config.events.clone(), shutdown.clone());
    loops.spawn(async move {
        tending.await;
        "the logs' retention"
    });
    let delivering = Arc::clone(&parts.webhooks).run(shutdown.clone());
    loops.spawn(async move {
        delivering.await;
        "the webhooks"
    });
}

fn spawn_services(loops: &mut JoinSet<&'static str>, parts: Parts, driver: Driver, shutdown: &CancellationToken) {
    let Parts { store, clock, waker, wake_queue, queue, expiry, keeper, health, campaigns, .. } = parts;
    let checking = health.run(shutdown.clone());
    loops.spawn(async move {
        checking.await;
        "the health checks"
    });
    let tools = keeper::Tools { store: Arc::clone(&store), queue: Arc::clone(&queue), clock };
    let keeping = keeper.run(tools, shutdown.clone());
    loops.spawn(async move {
        keeping.await;
        "the keeper of configurations"
    });
    let giving_turns = campaigns.run(shutdown.clone());
    loops.spawn(async move {
        giving_turns.await;
        "the campaigns"
    });
    let calling = waker.run(wake_queue, shutdown.clone());
    loops.spawn(async move {
        calling.await;
        "the connection requests"
    });
    let tending = queue.tend(shutdown.clone());
    loops.spawn(async move {
        tending.await;
        "the queue's timer"
    });
    let watching = watch(store, shutdown.clone());
    loops.spawn(async move {
        watching.await;
        "the store"
    });
    let recording = driver.clone().record(shutdown.clone());
    loops.spawn(async move {
        recording.await;
        "the recorder of sessions"
    });
    let sweeping = driver.sweep(shutdown.clone());
    loops.spawn(async move {
        sweeping.await;
        "the sessions' timer"
    });
    let turning = expiry.run(shutdown.clone());
    loops.spawn(async move {
        if let Err(error) = turning.await {
            tracing::error!(%error, "the devices that are Up could not be read");
        }
        "the status timer"
    });
}
