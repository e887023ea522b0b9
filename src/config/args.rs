//! Flags and environment of `acsd serve`: the names that scripts rely on (design.md §2).

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::acs::gate::{AuthMode, OnboardingMode};
use crate::types::secret::Secret;

use super::{Config, Problem, StoreChoice, TlsFiles};

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "acsd.toml";

/// What can be said on the command line and in the environment; it goes before the file.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// Configuration file [default: acsd.toml, if it is there]
    #[arg(long, env = "ACSD_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of the embedded store and the key file [default: ./acsd-data]
    #[arg(long, env = "ACSD_DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Where CPEs call over HTTP [default: `[::]:7547`]
    #[arg(long, env = "ACSD_CWMP_LISTEN", value_name = "ADDRESS")]
    pub cwmp_listen: Option<SocketAddr>,
    /// Where CPEs call over HTTPS, when a certificate is configured [default: `[::]:7548`]
    #[arg(long, env = "ACSD_CWMP_TLS_LISTEN", value_name = "ADDRESS")]
    pub cwmp_tls_listen: Option<SocketAddr>,
    /// Where the REST API is [default: 127.0.0.1:8080]
    #[arg(long, env = "ACSD_API_LISTEN", value_name = "ADDRESS")]
    pub api_listen: Option<SocketAddr>,
    /// What CPEs must present [default: digest]
    #[arg(long, env = "ACSD_CWMP_AUTH", value_enum)]
    pub cwmp_auth: Option<AuthMode>,
    /// How an unknown CPE gets in [default: shared]
    #[arg(long, env = "ACSD_CWMP_ONBOARDING", value_enum)]
    pub cwmp_onboarding: Option<OnboardingMode>,
    /// User name of the shared onboarding credential
    #[arg(long, env = "ACSD_ONBOARDING_USERNAME", value_name = "NAME")]
    pub onboarding_username: Option<String>,
    /// Password of the shared onboarding credential
    #[arg(long, env = "ACSD_ONBOARDING_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    pub onboarding_password: Option<String>,
    /// On a fresh store this becomes the first admin token; without it one is made and printed once
    #[arg(long, env = "ACSD_ADMIN_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub admin_token: Option<String>,
    /// sled (embedded, the default)
    #[arg(long, env = "ACSD_STORE", value_name = "STORE")]
    pub store: Option<String>,
    /// How clients reach the API, when that is not what their requests say
    #[arg(long, env = "ACSD_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// PEM file with the certificate chain
    #[arg(long, env = "ACSD_TLS_CERTIFICATE", value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// PEM file with the certificate's key
    #[arg(long, env = "ACSD_TLS_KEY", value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// Log filter, as tracing understands it [default: info]
    #[arg(long, env = "ACSD_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// text or json [default: text]
    #[arg(long, env = "ACSD_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<String>,
}

impl ServeArgs {
    /// The file to read: the one named, else the default one where it exists.
    #[must_use]
    pub fn config_file(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()))
    }

    pub(super) fn apply(&self, config: &mut Config, problems: &mut Vec<Problem>) {
        let given = self.clone();
        lay_over(&mut config.data_dir, given.data_dir);
        lay_over(&mut config.cwmp.listen, given.cwmp_listen);
        lay_over(&mut config.cwmp.tls_listen, given.cwmp_tls_listen);
        lay_over(&mut config.api.listen, given.api_listen);
        lay_over(&mut config.cwmp.auth, given.cwmp_auth);
        lay_over(&mut config.cwmp.onboarding, given.cwmp_onboarding);
        lay_over(&mut config.log.filter, given.log);
        lay_over(&mut config.log.format, given.log_format);
        config.cwmp.onboarding_username = given.onboarding_username.or(config.cwmp.onboarding_username.take());
        config.cwmp.onboarding_password =
            given.onboarding_password.map(Secret::new).or(config.cwmp.onboarding_password.take());
        config.api.admin_token = given.admin_token.map(Secret::new).or(config.api.admin_token.take());
        config.public_url = given.public_url.or(config.public_url.take());
        if let (Some(certificate), Some(key)) = (given.tls_certificate, given.tls_key) {
            config.tls = Some(TlsFiles { certificate, key });
        }
        match given.store.as_deref().map(parse_store) {
            Some(Ok(store)) => config.store = store,
            Some(Err(problem)) => problems.push(Problem::new("--store / ACSD_STORE", problem)),
            None => {}
        }
    }
}

fn lay_over<T>(field: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *field = value;
    }
}

/// Reads the name of a store.
pub(super) fn parse_store(text: &str) -> Result<StoreChoice, String> {
    match text {
        "sled" => Ok(StoreChoice::Sled),
        url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
            Err("the PostgreSQL store is not part of this version; use \"sled\"".to_owned())
        }
        other => Err(format!("{other:?} is no store; \"sled\" is")),
    }
}
