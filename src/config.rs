//! Configuration of the daemon: a TOML file, overridden by the environment and by flags; all problems at once.

pub mod args;
mod check;
mod file;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::acs::gate::{AuthMode, OnboardingMode};
use crate::acs::listen::ListenConfig;
use crate::acs::recorder::TraceConfig;
use crate::api::ApiConfig;
use crate::campaigns::CampaignsConfig;
use crate::connreq::http::CallLimits;
use crate::connreq::policy::AddressPolicy;
use crate::connreq::wake::WakeConfig;
use crate::cwmp::emission::EmissionFlags;
use crate::cwmp::session::SessionLimits;
use crate::events::EventsConfig;
use crate::files::FilesConfig;
use crate::health::HealthConfig;
use crate::tasks::plan::PlanLimits;
use crate::types::secret::Secret;
use crate::webhooks::WebhooksConfig;

use args::ServeArgs;

/// Everything `acsd serve` can be told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the embedded store and the key file are.
    pub data_dir: PathBuf,
    /// Which store.
    pub store: StoreChoice,
    /// How clients reach the API, when that is not what their requests say: `https://acs.example.net`.
    pub public_url: Option<String>,
    /// Certificate and key; with them the CWMP TLS listener opens and the API speaks HTTPS.
    pub tls: Option<TlsFiles>,
    /// The CWMP endpoint.
    pub cwmp: Cwmp,
    /// The REST API.
    pub api: Api,
    /// Connection requests.
    pub connection_request: ConnectionRequest,
    /// Transactions.
    pub transactions: Transactions,
    /// Files that devices fetch and send.
    pub files: FilesConfig,
    /// The event log and the audit trail.
    pub events: EventsConfig,
    /// Diagnostic entries, health checks, values over time.
    pub health: HealthConfig,
    /// Pushing events.
    pub webhooks: WebhooksConfig,
    /// Campaigns.
    pub campaigns: CampaignsConfig,
    /// What is recorded of devices that are being looked into.
    pub traces: TraceConfig,
    /// The embedded store's habits.
    pub sled: Sled,
    /// Logs.
    pub log: LogSection,
}

/// Which store keeps everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoreChoice {
    /// The embedded one.
    #[default]
    Sled,
    /// None: everything is forgotten at the end. Only for `acsd demo` and tests, not to be configured.
    Memory,
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, leaf first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// `[cwmp]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cwmp {
    /// Plain HTTP.
    pub listen: SocketAddr,
    /// HTTPS, when a certificate is configured.
    pub tls_listen: SocketAddr,
    /// What CPEs must present.
    pub auth: AuthMode,
    /// How an unknown CPE gets in.
    pub onboarding: OnboardingMode,
    /// User name of the shared onboarding credential.
    pub onboarding_username: Option<String>,
    /// Its password.
    pub onboarding_password: Option<Secret>,
    /// Lifetime of a digest nonce, in seconds.
    pub nonce_lifetime_secs: u64,
    /// Failed logins per address and minute; 0: no limit.
    pub failed_logins_per_minute: u32,
    /// Most open sessions.
    pub max_sessions: usize,
    /// Most POSTs being answered at the same time.
    pub max_exchanges: usize,
    /// Longest session, in seconds.
    pub session_length_secs: u64,
    /// Parameters in one message.
    pub max_parameters: usize,
    /// Depth of XML elements.
    pub max_xml_depth: usize,
    /// Interval given to a device that does not Inform by itself, and assumed of one that has not said, in seconds.
    pub fallback_interval_secs: u32,
    /// Sockets, bodies and time-outs.
    pub limits: ListenConfig,
    /// How envelopes are written.
    pub emission: EmissionFlags,
}

impl Default for Cwmp {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0_u16; 8], 7547)),
            tls_listen: SocketAddr::from(([0_u16; 8], 7548)),
            auth: AuthMode::default(),
            onboarding: OnboardingMode::default(),
            onboarding_username: None,
            onboarding_password: None,
            nonce_lifetime_secs: 300,
            failed_logins_per_minute: 20,
            max_sessions: 20_000,
            max_exchanges: 4_096,
            session_length_secs: 3_600,
            max_parameters: 100_000,
            max_xml_depth: 64,
            fallback_interval_secs: 300,
            limits: ListenConfig::default(),
            emission: EmissionFlags::default(),
        }
    }
}

/// `[api]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// Where the API, the health pages and the metrics are.
    pub listen: SocketAddr,
    /// On a fresh store this becomes the first admin token.
    pub admin_token: Option<Secret>,
    /// Limits and habits.
    pub limits: ApiConfig,
}

impl Default for Api {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8080)), admin_token: None, limits: ApiConfig::default() }
    }
}

/// `[connection_request]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionRequest {
    /// Calls under way at the same time.
    pub concurrency: usize,
    /// Calls to one device a minute.
    pub per_device_and_minute: u32,
    /// Bounds of one call.
    pub limits: CallLimits,
    /// Where calls may go.
    pub policy: AddressPolicy,
}

impl Default for ConnectionRequest {
    fn default() -> Self {
        let wake = WakeConfig::default();
        Self {
            concurrency: wake.concurrency,
            per_device_and_minute: wake.burst,
            limits: wake.limits,
            policy: wake.policy,
        }
    }
}

/// `[transactions]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Transactions {
    /// Sessions that try a transaction before it fails.
    pub attempts: u32,
    /// First back-off, in seconds; doubles.
    pub backoff_first_secs: u64,
    /// Longest back-off, in seconds.
    pub backoff_max_secs: u64,
    /// How long a device may take to come back from a reboot or factory reset, in seconds.
    pub restart_timeout_secs: u64,
    /// How long a device may take for a file transfer, in seconds, all that follows from it included.
    pub transfer_timeout_secs: u64,
    /// What a test gets on top of its expected duration before a device that has not reported is asked, in seconds.
    pub test_margin_secs: u64,
    /// What a test gets on top of its longest duration before it is given up, in seconds.
    pub test_patience_secs: u64,
    /// After how many hours unstarted work is given up; 0: never.
    pub expire_after_hours: u32,
    /// Most names in one GetParameterValues.
    pub batch: usize,
    /// Most names that the discovery of a device's data model takes in.
    pub discovered_names_max: u32,
    /// Most discoveries at the same time, those of all devices counted.
    pub discoveries_max: usize,
}

impl Default for Transactions {
    fn default() -> Self {
        let plan = PlanLimits::default();
        Self {
            attempts: plan.attempts,
            backoff_first_secs: plan.backoff_first.as_secs(),
            backoff_max_secs: plan.backoff_max.as_secs(),
            restart_timeout_secs: plan.restart.as_secs(),
            transfer_timeout_secs: plan.transfer.as_secs(),
            test_margin_secs: plan.test_margin.as_secs(),
            test_patience_secs: plan.test_patience.as_secs(),
            expire_after_hours: 7 * 24,
            batch: plan.batch,
            discovered_names_max: plan.discovered_names,
            discoveries_max: plan.discoveries,
        }
    }
}

/// `[sled]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sled {
    /// How long a flush waits for more work to join it, in microseconds.
    pub group_commit_linger_us: u64,
    /// Ended transactions kept.
    pub history_max: usize,
    /// Live transactions of one device.
    pub queue_max: usize,
    /// Memory for pages, in bytes.
    pub cache_bytes: u64,
    /// With less free space than this no write is taken, in bytes.
    pub free_space_floor_bytes: u64,
    /// Size of a file that can be deleted when the disk is full, in bytes.
    pub ballast_bytes: u64,
}

impl Default for Sled {
    fn default() -> Self {
        Self {
            group_commit_linger_us: 0,
            history_max: crate::store::HISTORY_MAX,
            queue_max: crate::store::QUEUE_MAX,
            cache_bytes: 512 << 20,
            free_space_floor_bytes: 256 << 20,
            ballast_bytes: 64 << 20,
        }
    }
}

/// `[log]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// A tracing filter: `info`, `acsd=debug,warn`.
    pub filter: String,
    /// `text` or `json`.
    pub format: String,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: "text".to_owned() }
    }
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct Problem {
    /// A key, a flag, a file.
    pub place: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Problem {
    fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./acsd-data"),
            store: StoreChoice::default(),
            public_url: None,
            tls: None,
            cwmp: Cwmp::default(),
            api: Api::default(),
            connection_request: ConnectionRequest::default(),
            transactions: Transactions::default(),
            files: FilesConfig::default(),
            events: EventsConfig::default(),
            health: HealthConfig::default(),
            webhooks: WebhooksConfig::default(),
            campaigns: CampaignsConfig::default(),
            traces: TraceConfig::default(),
            sled: Sled::default(),
            log: LogSection::default(),
        }
    }
}

impl Config {
    /// Reads the file, lays environment and flags over it, and checks the whole.
    ///
    /// # Errors
    /// Every problem there is.
    pub fn load(args: &ServeArgs) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut config = match args.config_file() {
            Some(path) => file::read(&path, &mut problems),
            None => Self::default(),
        };
        args.apply(&mut config, &mut problems);
        check::check(&config, &mut problems);
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// Things that work but that an operator should know.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        check::warnings(self)
    }

    /// Bounds of procedures.
    #[must_use]
    pub fn plan_limits(&self) -> PlanLimits {
        PlanLimits {
            batch: self.transactions.batch,
            attempts: self.transactions.attempts,
            backoff_first: Duration::from_secs(self.transactions.backoff_first_secs),
            backoff_max: Duration::from_secs(self.transactions.backoff_max_secs),
            restart: Duration::from_secs(self.transactions.restart_timeout_secs),
            transfer: Duration::from_secs(self.transactions.transfer_timeout_secs),
            discovered_names: self.transactions.discovered_names_max,
            discoveries: self.transactions.discoveries_max,
            test_margin: Duration::from_secs(self.transactions.test_margin_secs),
            test_patience: Duration::from_secs(self.transactions.test_patience_secs),
        }
    }

    /// Bounds of sessions.
    #[must_use]
    pub fn session_limits(&self) -> SessionLimits {
        SessionLimits { length: Duration::from_secs(self.cwmp.session_length_secs), ..SessionLimits::default() }
    }

    /// Limits and habits of the API.
    #[must_use]
    pub fn api_config(&self) -> ApiConfig {
        ApiConfig {
            public_url: self.public_url.clone(),
            work_expires_after_hours: self.transactions.expire_after_hours,
            event_streams_max: self.events.streams_max,
            ..self.api.limits.clone()
        }
    }

    /// How calls are made.
    #[must_use]
    pub fn wake(&self) -> WakeConfig {
        WakeConfig {
            limits: self.connection_request.limits.clone(),
            policy: self.connection_request.policy.clone(),
            concurrency: self.connection_request.concurrency,
            burst: self.connection_request.per_device_and_minute,
            ..WakeConfig::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Config, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("acsd.toml");
        std::fs::write(&path, text).expect("writes");
        let mut problems = Vec::new();
        let config = file::read(&path, &mut problems);
        check::check(&config, &mut problems);
        (config, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_mistake_is_named_with_its_place() {
        let (_, problems) = read("nonsense = 1\nstore = \"mongodb\"\n[cwmp]\nlisten = 5\n[api]\nlissten = \"x\"\n");
        assert_eq!(problems.len(), 4, "{problems:?}");
        for (problem, word) in problems.iter().zip(["api", "cwmp", "nonsense", "store"]) {
            assert!(problem.contains(word), "{problem} should name {word}");
        }
    }

    #[test]
    fn a_log_has_a_limit_and_no_limit_is_nothing() {
        let (_, problems) = read("[events]\nmax = 10000001\naudit_max = 0\n");
        assert_eq!(problems.len(), 2, "{problems:?}");
        for place in ["events.max", "events.audit_max"] {
            assert!(problems.iter().any(|problem| problem.contains(place)), "{place}: {problems:?}");
        }
    }

    #[test]
    fn one_mistake_does_not_hide_another_of_its_section() {
        let (config, problems) = read(
            "[cwmp]\nlisten = \"nope\"\nauth = \"magic\"\nmax_sessions = -1\nonboarding = \"open\"\n[cwmp.limits]\n\
             max_connections = 7\nodd = 1\n[cwmp.emission]\nsoap_prefix = \"zzz\"\n[tls]\ncertificate = \"x\"\nodd = 1\n",
        );
        for place in
            ["cwmp.listen", "cwmp.auth", "cwmp.max_sessions", "cwmp.limits.odd", "cwmp.emission.soap_prefix", "tls"]
        {
            let named = problems.iter().filter(|problem| problem.contains(&format!(": {place}: "))).count();
            assert_eq!(named, 1, "{place}: {problems:?}");
        }
        assert_eq!(problems.len(), 6, "{problems:?}");
        assert_eq!(config.cwmp.limits.max_connections, 7, "what is right is taken");
    }

    #[test]
    fn a_whole_file_is_taken() {
        let text = "data_dir = \"/x\"\n[cwmp]\nauth = \"basic\"\nonboarding = \"open\"\n[cwmp.emission]\n\
                    xml_declaration = \"never\"\n[cwmp.limits]\nmax_connections = 7\n[transactions]\nattempts = 2\n";
        let (config, problems) = read(text);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(config.cwmp.auth, AuthMode::Basic);
        assert_eq!(config.cwmp.limits.max_connections, 7);
        assert_eq!(config.plan_limits().attempts, 2);
    }
}
