//! `acsd demo`: the daemon on a fresh temporary store, with simulated CPEs, and lines to try.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::Daemon;
use crate::auth::token;
use crate::config::{Config, StoreChoice};
use crate::simulator::{CpeConfig, Fleet, FleetConfig, FleetModel};
use crate::telemetry::{Log, LogFormat, Metrics};
use crate::types::secret::Secret;

/// Seconds between the periodic Informs of a simulated CPE.
const INTERVAL_SECS: u32 = 30;
/// Over how long the first contacts are spread.
const RAMP: Duration = Duration::from_secs(2);

/// What the demonstration can be told.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Simulated CPEs
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Where the API is
    #[arg(long, env = "ACSD_API_LISTEN", default_value = "127.0.0.1:8080")]
    api_listen: SocketAddr,
    /// Where the CPEs call
    #[arg(long, env = "ACSD_CWMP_LISTEN", default_value = "127.0.0.1:7547")]
    cwmp_listen: SocketAddr,
    /// Log filter, as tracing understands it
    #[arg(long, env = "ACSD_LOG", value_name = "FILTER", default_value = "warn")]
    log: String,
}

pub(super) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let _log = Log::install(&args.log, LogFormat::Text)?;
    let metrics = Metrics::install().context("metrics")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(demo(args, metrics))
}

async fn demo(args: &DemoArgs, metrics: Metrics) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let folder = tempfile::Builder::new().prefix("acsd-demo-").tempdir().context("no temporary folder")?;
    let token = token::generate().context("no token")?;
    let mut config = Config { data_dir: folder.path().to_owned(), store: StoreChoice::Sled, ..Config::default() };
    config.cwmp.listen = args.cwmp_listen;
    config.api.listen = args.api_listen;
    config.api.admin_token = Some(token.clone());
    let mut daemon = Daemon::start(config, metrics).await?;
    let fleet = start_fleet(args, &daemon).await?;
    show(args, &daemon, &token);
    let failed = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        name = daemon.failed() => Some(name),
    };
    let summary = fleet.stop().await;
    daemon.stop().await.context("the last flush failed")?;
    farewell(summary.sessions_completed, summary.sessions_failed);
    match failed {
        None => Ok(ExitCode::SUCCESS),
        Some(name) => Err(anyhow!("{name} ended by itself")),
    }
}

async fn start_fleet(args: &DemoArgs, daemon: &Daemon) -> anyhow::Result<Fleet> {
    let login = daemon.new_onboarding.as_ref().context("a fresh store has an onboarding credential")?;
    let url = format!("http://{}/", reachable(daemon.cwmp_address));
    let mut cpe = CpeConfig::new(url).credentials(login.username.clone(), login.password.expose());
    cpe.periodic_interval_secs = INTERVAL_SECS;
    let config = FleetConfig {
        cpe,
        count: args.count,
        serial_prefix: "DEMO".to_owned(),
        model: FleetModel::Mixed,
        ramp: RAMP,
        concurrency: None,
        connection_request_listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
    };
    Fleet::start(config).await.context("the simulated CPEs did not start")
}

/// Where a client on this machine finds a listener.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address }
}

#[expect(clippy::print_stdout, reason = "this is what the command has to say")]
fn show(args: &DemoArgs, daemon: &Daemon, token: &Secret) {
    let api = format!("http://{}/api/v1", reachable(daemon.api_address));
    let auth = format!("-H 'Authorization: Bearer {}'", token.expose());
    let json = "-H 'Content-Type: application/json'";
    let serial = "DEMO000001";
    println!("acsd demo: {} simulated CPEs on a temporary store, which is gone when this ends (Ctrl-C).\n", args.count);
    println!("  API         {api}/    interactive page {api}/docs/");
    println!("  CPEs call   http://{}/", reachable(daemon.cwmp_address));
    println!("  token       {}\n", token.expose());
    println!("Try, in another terminal:\n");
    println!("# the devices");
    println!("curl -s {auth} '{api}/inventory_device_serial/?limit=3'\n");
    println!("# one of them");
    println!("curl -s {auth} '{api}/inventory_device_serial/{serial}/'\n");
    println!("# read from it (a connection request calls it at once)");
    println!(
        "curl -s {auth} {json} '{api}/inventory_device_serial_headless_operation/' -d '{{\"serial_number\": \
         \"{serial}\", \"operation\": \"get\", \"variables\": [{{\"variable_name\": \"Device.DeviceInfo.\"}}]}}'\n"
    );
    println!("# the answer, newest first");
    println!(
        "curl -s {auth} '{api}/inventory_device_serial_headless_operation/?serial_number={serial}&update_status=true'\n"
    );
    println!("# write to it");
    println!(
        "curl -s {auth} {json} '{api}/inventory_device_serial_headless_operation/' -d '{{\"serial_number\": \
         \"{serial}\", \"operation\": \"set\", \"variables\": [{{\"variable_name\": \
         \"Device.DeviceInfo.ProvisioningCode\", \"value\": \"demo\", \"value_type\": \"string\"}}]}}'\n"
    );
    println!(
        "# have it ping, and wait for what comes of it; the interactive page has the other tests, firmware and campaigns"
    );
    println!(
        "curl -s {auth} {json} '{api}/inventory_device_serial_diags/' -d '{{\"serial_number\": \"{serial}\", \
         \"operation\": \"ipping\", \"target\": \"192.0.2.1\"}}'"
    );
    println!(
        "curl -s {auth} '{api}/inventory_device_serial_diags/?serial_number={serial}&limit=1&update_status=true'\n"
    );
    println!("# reboot it, and see the ledger");
    println!(
        "curl -s -X PUT {auth} {json} '{api}/inventory_device_serial_operation/{serial}/' -d '{{\"operation\": \
         \"reboot\"}}'"
    );
    println!("curl -s {auth} '{api}/transaction/?serial_number={serial}&limit=5'\n");
    println!("# what acsd counts");
    println!("curl -s 'http://{}/metrics' | grep '^acsd_'", reachable(daemon.api_address));
}

#[expect(clippy::print_stdout, reason = "this is what the command has to say")]
fn farewell(completed: u64, failed: u64) {
    println!("\n{completed} sessions were held, {failed} failed; the temporary store is gone.");
}
