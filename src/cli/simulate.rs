//! `acsd simulate`: simulated CPEs against any ACS, with progress and a summary.

mod replay;
mod summary;

use std::io::{IsTerminal as _, Write};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, MissedTickBehavior};

use crate::simulator::{
    AcsCall, ChosenEnd, CpeConfig, CpeVersion, Credentials, DataModel, FaultPath, Fleet, FleetConfig, FleetModel,
    Identity, Misbehaviour, TlsTrust,
};
use crate::types::secret::Secret;

use summary::{Report, Text, progress};

/// How often the progress line changes on a terminal.
const TERMINAL_TICK: Duration = Duration::from_millis(250);
/// How often a line is printed elsewhere.
const PLAIN_TICK: Duration = Duration::from_secs(10);

/// Simulated CPEs against any ACS.
///
/// Each has a data model of its own with more than 300 parameters, serves every CPE RPC, can be woken by connection
/// requests, and checks what the ACS sends. Exit code 0: no session failed and no rule was broken; else 1.
#[derive(Debug, clap::Args)]
pub(super) struct SimulateArgs {
    /// Where the CPEs call in: http:// or https://
    #[arg(long, env = "ACSD_SIMULATE_ACS_URL", value_name = "URL")]
    pub acs_url: String,

    /// How many CPEs
    #[arg(long, env = "ACSD_SIMULATE_COUNT", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,

    /// tr181, tr098, mixed (both in turn), or a CSV or JSON file: path,type,writable,value,flags
    #[arg(long, env = "ACSD_SIMULATE_DATA_MODEL", value_name = "MODEL", default_value = "tr181")]
    pub data_model: ModelChoice,

    /// Initial PeriodicInformInterval in seconds; 0 for no periodic Informs
    #[arg(long, env = "ACSD_SIMULATE_INTERVAL", value_name = "SECS", default_value_t = 30)]
    pub interval: u32,

    /// Most sessions at the same time
    #[arg(long, env = "ACSD_SIMULATE_CONCURRENCY", value_name = "N", default_value_t = 200)]
    pub concurrency: usize,

    /// How long to run; without it until Ctrl-C
    #[arg(long, env = "ACSD_SIMULATE_DURATION", value_name = "SECS")]
    pub duration: Option<u64>,

    /// Spread the first contacts over this time
    #[arg(long, env = "ACSD_SIMULATE_RAMP", value_name = "SECS", default_value_t = 5)]
    pub ramp: u64,

    /// User name for the ACS
    #[arg(long, env = "ACSD_ONBOARDING_USERNAME", value_name = "NAME")]
    pub username: Option<String>,

    /// Password for the ACS
    #[arg(long, env = "ACSD_ONBOARDING_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    pub password: Option<String>,

    /// Manufacturer in DeviceId
    #[arg(long, env = "ACSD_SIMULATE_MANUFACTURER", value_name = "NAME", default_value = "acsd")]
    pub manufacturer: String,

    /// OUI in DeviceId
    #[arg(long, env = "ACSD_SIMULATE_OUI", value_name = "HEX", default_value = "00D09E")]
    pub oui: String,

    /// ProductClass in DeviceId
    #[arg(long, env = "ACSD_SIMULATE_PRODUCT_CLASS", value_name = "NAME", default_value = "Simulator")]
    pub product_class: String,

    /// Serial numbers are this and a number of six digits
    #[arg(long, env = "ACSD_SIMULATE_SERIAL_PREFIX", value_name = "TEXT", default_value = "SIM")]
    pub serial_prefix: String,

    /// CWMP version: 1.0, 1.1, 1.2, 1.3, 1.4
    #[arg(long, env = "ACSD_SIMULATE_CWMP_VERSION", value_name = "VERSION", default_value = "1.4")]
    pub cwmp_version: CpeVersion,

    /// Where CPEs can be woken (port 0: a free one), or off. Default: loopback for an ACS on loopback, else all addresses
    #[arg(long, env = "ACSD_SIMULATE_CONNECTION_REQUEST_LISTEN", value_name = "ADDR")]
    pub connection_request_listen: Option<ListenChoice>,

    /// Certificate authorities to trust on https://, as PEM (a self-signed server certificate that is marked as an
    /// authority itself is refused: take --tls-insecure for that)
    #[arg(long, env = "ACSD_SIMULATE_TLS_CA", value_name = "FILE", conflicts_with = "tls_insecure")]
    pub tls_ca: Option<PathBuf>,

    /// Trust any certificate on https://
    #[arg(long, env = "ACSD_SIMULATE_TLS_INSECURE")]
    pub tls_insecure: bool,

    #[arg(long, env = "ACSD_SIMULATE_MISBEHAVE", value_name = "LIST", value_delimiter = ',', help = misbehave_help())]
    pub misbehave: Vec<Misbehaviour>,

    /// Fault whenever an RPC names this path
    #[arg(long, env = "ACSD_SIMULATE_FAULT_PATH", value_name = "PATH=CODE", value_delimiter = ',')]
    pub fault_path: Vec<FaultPath>,

    /// End every test of a kind in this DiagnosticsState, such as ipping=Error_Internal. Kinds: download, upload,
    /// ipping, udpecho, traceroute, dnslookup, wifi.neighbor, selftest
    #[arg(long, env = "ACSD_SIMULATE_DIAGNOSTICS_ERROR", value_name = "KIND=STATE", value_delimiter = ',')]
    pub diagnostics_error: Vec<ChosenEnd>,

    /// Bytes per second at which each CPE downloads files; without it as fast as they come
    #[arg(long, env = "ACSD_SIMULATE_DOWNLOAD_RATE", value_name = "BYTES")]
    pub download_rate: Option<NonZeroU64>,

    /// How many CPEs in a hundred fail to install firmware: always the same ones, by their serial numbers
    #[arg(long, env = "ACSD_SIMULATE_FAILING_SHARE", value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    pub failing_share: u8,

    /// The fault that these report
    #[arg(long, env = "ACSD_SIMULATE_FAILING_FAULT", value_name = "CODE", default_value_t = 9018, value_parser = clap::value_parser!(u16).range(9001..9900))]
    pub failing_fault: u16,

    /// RequestDownload of this file type in the first session, such as "1 Firmware Upgrade Image"
    #[arg(long, env = "ACSD_SIMULATE_REQUEST_DOWNLOAD", value_name = "FILETYPE")]
    pub request_download: Option<String>,

    /// AutonomousTransferComplete of a download from this URL in the first session
    #[arg(long, env = "ACSD_SIMULATE_AUTONOMOUS_TRANSFER", value_name = "URL")]
    pub autonomous_transfer: Option<String>,

    /// Factor on all delays of the protocol: intervals, retries, reboots, tests
    #[arg(long, env = "ACSD_SIMULATE_TIME_SCALE", value_name = "FACTOR", default_value_t = 1.0)]
    pub time_scale: f64,

    /// How long a reboot takes, in seconds
    #[arg(long, env = "ACSD_SIMULATE_REBOOT_DELAY", value_name = "SECS", default_value_t = 5)]
    pub reboot_delay: u64,

    /// Play a session that `acsd trace --export` wrote, or all sessions in a folder, instead of simulating CPEs
    #[arg(long, env = "ACSD_SIMULATE_REPLAY", value_name = "FOLDER", conflicts_with_all = ["misbehave", "fault_path"])]
    pub replay: Option<PathBuf>,

    /// Print the summary as JSON
    #[arg(long, env = "ACSD_SIMULATE_JSON")]
    pub json: bool,
}

fn misbehave_help() -> String {
    format!(
        "Bad habits, separated by commas, such as drop-after=SetParameterValues#1,wrong-id. Known are {}",
        Misbehaviour::NAMES.join(", ")
    )
}

/// `--data-model`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ModelChoice {
    /// The built-in TR-181 gateway.
    Tr181,
    /// The built-in TR-098 gateway.
    Tr098,
    /// Both in turn.
    Mixed,
    /// A CSV or JSON file.
    File(PathBuf),
}

impl FromStr for ModelChoice {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "tr181" => Self::Tr181,
            "tr098" => Self::Tr098,
            "mixed" => Self::Mixed,
            file => Self::File(file.into()),
        })
    }
}

/// `--connection-request-listen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListenChoice {
    /// CPEs cannot be woken.
    Off,
    /// They listen here.
    At(SocketAddr),
}

impl FromStr for ListenChoice {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("off") { Ok(Self::Off) } else { text.parse().map(Self::At) }
    }
}

/// Runs the fleet until the duration is over or a signal comes, and prints what happened.
///
/// # Errors
/// When the arguments cannot be carried out: an unreadable file, an address that cannot be bound.
pub(super) async fn run(args: SimulateArgs) -> anyhow::Result<ExitCode> {
    if let Some(folder) = &args.replay {
        return replay::run(folder, &args).await;
    }
    let config = fleet_config(&args)?;
    let started = Instant::now();
    let fleet = Fleet::start(config).await.context("cannot listen for connection requests")?;
    watch(&fleet, &args, started).await?;
    let summary = fleet.stop().await;
    let mut out = std::io::stdout().lock();
    if args.json {
        let report = Report { cpes: args.count, seconds: started.elapsed().as_secs_f64(), summary: &summary };
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", Text { args: &args, elapsed: started.elapsed(), summary: &summary })?;
    }
    Ok(if summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn fleet_config(args: &SimulateArgs) -> anyhow::Result<FleetConfig> {
    let mut cpe = CpeConfig::new(&args.acs_url);
    cpe.identity = Identity {
        manufacturer: args.manufacturer.clone(),
        oui: args.oui.clone(),
        product_class: args.product_class.clone(),
        serial_number: String::new(),
    };
    cpe.credentials = credentials(args);
    cpe.version = args.cwmp_version;
    cpe.periodic_interval_secs = args.interval;
    cpe.misbehaviour.clone_from(&args.misbehave);
    cpe.fault_paths.clone_from(&args.fault_path);
    cpe.diagnostics_ends.clone_from(&args.diagnostics_error);
    cpe.download_rate = args.download_rate;
    cpe.failing_share_percent = args.failing_share;
    cpe.failing_fault = args.failing_fault;
    let request = args.request_download.clone().map(AcsCall::RequestDownload);
    let transfer = args.autonomous_transfer.clone().map(AcsCall::AutonomousTransferComplete);
    cpe.first_calls = request.into_iter().chain(transfer).collect();
    cpe.time_scale = args.time_scale;
    cpe.reboot_delay = Duration::from_secs(args.reboot_delay);
    cpe.tls = trust(args)?;
    let uri = acs_uri(args)?;
    let model = match &args.data_model {
        ModelChoice::Tr181 => FleetModel::Same(DataModel::tr181()),
        ModelChoice::Tr098 => FleetModel::Same(DataModel::tr098()),
        ModelChoice::Mixed => FleetModel::Mixed,
        ModelChoice::File(path) => FleetModel::Same(Arc::new(DataModel::load(path)?)),
    };
    let connection_request_listen = match args.connection_request_listen {
        Some(ListenChoice::Off) => None,
        Some(ListenChoice::At(address)) => Some(address),
        None => Some(default_listen(uri.host().unwrap_or_default())),
    };
    Ok(FleetConfig {
        cpe,
        count: args.count,
        serial_prefix: args.serial_prefix.clone(),
        model,
        ramp: Duration::from_secs(args.ramp),
        concurrency: Some(args.concurrency),
        connection_request_listen,
    })
}

fn credentials(args: &SimulateArgs) -> Option<Credentials> {
    args.username.as_ref().map(|username| Credentials {
        username: username.clone(),
        password: Secret::new(args.password.clone().unwrap_or_default()),
    })
}

fn trust(args: &SimulateArgs) -> anyhow::Result<TlsTrust> {
    Ok(match &args.tls_ca {
        Some(file) => TlsTrust::authority(file)?,
        None if args.tls_insecure => TlsTrust::anybody()?,
        None => TlsTrust::default(),
    })
}

/// Where the ACS is, and that there is somebody to trust if it has to prove itself.
fn acs_uri(args: &SimulateArgs) -> anyhow::Result<http::Uri> {
    let uri: http::Uri = args.acs_url.parse().context("--acs-url is no URL")?;
    let is_tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => anyhow::bail!("--acs-url must begin with http:// or https://"),
    };
    anyhow::ensure!(
        !is_tls || args.tls_ca.is_some() || args.tls_insecure,
        "an https:// ACS needs --tls-ca FILE or --tls-insecure"
    );
    Ok(uri)
}

/// Loopback when the ACS is there, so that nothing is opened to the network for a test on one machine.
fn default_listen(acs_host: &str) -> SocketAddr {
    let bare = acs_host.trim_start_matches('[').trim_end_matches(']');
    let is_local = bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let ip = if is_local { [127, 0, 0, 1] } else { [0, 0, 0, 0] };
    SocketAddr::from((ip, 0))
}

/// Shows progress until it is time to stop.
async fn watch(fleet: &Fleet, args: &SimulateArgs, started: Instant) -> anyhow::Result<()> {
    let is_terminal = std::io::stderr().is_terminal();
    let bar = is_terminal.then(ProgressBar::new_spinner);
    if let Some(bar) = &bar {
        bar.set_style(ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}")?);
    }
    let mut tick = tokio::time::interval(if is_terminal { TERMINAL_TICK } else { PLAIN_TICK });
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // The first tick comes at once, when there is nothing to tell.
    tick.tick().await;
    let end = args.duration.map(|secs| started + Duration::from_secs(secs));
    let over = async {
        match end {
            Some(end) => tokio::time::sleep_until(end).await,
            None => std::future::pending().await,
        }
    };
    let mut over = std::pin::pin!(over);
    let mut signal = std::pin::pin!(stop_signal());
    loop {
        tokio::select! {
            () = &mut over => break,
            result = &mut signal => {
                result.context("cannot listen for signals")?;
                break;
            }
            _ = tick.tick() => {
                let line = progress(&fleet.summary(), started.elapsed());
                match &bar {
                    Some(bar) => {
                        bar.set_message(line);
                        bar.tick();
                    }
                    None => writeln!(std::io::stderr(), "{line}")?,
                }
            }
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(())
}

/// `SIGINT` or `SIGTERM`.
async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: SimulateArgs,
    }

    fn parse(line: &str) -> SimulateArgs {
        Cli::try_parse_from(line.split(' ')).expect("valid").args
    }

    #[test]
    fn arguments_become_a_fleet() {
        let args = parse(
            "simulate --acs-url http://localhost:7547/ --count 3 --data-model mixed --username u --password p \
             --misbehave wrong-id,late=5 --fault-path Device.X=9002 --cwmp-version 1.2 \
             --diagnostics-error ipping=Error_Internal --diagnostics-error wifi.neighbor=Error --failing-share 10 \
             --download-rate 65536 --request-download 3",
        );
        let config = fleet_config(&args).expect("valid");
        assert_eq!((config.count, config.cpe.misbehaviour.len(), config.cpe.fault_paths.len()), (3, 2, 1));
        assert_eq!(config.cpe.version, CpeVersion::V1_2);
        assert_eq!((config.cpe.diagnostics_ends.len(), config.cpe.failing_share_percent), (2, 10));
        assert_eq!(config.cpe.download_rate.map(NonZeroU64::get), Some(65536));
        assert_eq!(config.cpe.first_calls, [AcsCall::RequestDownload("3".to_owned())]);
        assert!(matches!(config.model, FleetModel::Mixed));
        assert!(config.connection_request_listen.is_some_and(|address| address.ip().is_loopback()));
    }

    #[test]
    fn wrong_arguments_are_refused() {
        assert!(fleet_config(&parse("simulate --acs-url ftp://acs/")).is_err());
        assert!(fleet_config(&parse("simulate --acs-url https://acs/")).is_err());
        assert!(fleet_config(&parse("simulate --acs-url http://acs/ --data-model /nowhere.csv")).is_err());
        let line = "simulate --acs-url http://acs/ --connection-request-listen off";
        assert!(fleet_config(&parse(line)).expect("valid").connection_request_listen.is_none());
        assert!(Cli::try_parse_from(["simulate"]).is_err());
        assert!(Cli::try_parse_from(["simulate", "--acs-url", "http://acs/", "--count", "0"]).is_err());
    }
}
