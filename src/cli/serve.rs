//! `acsd serve`: the daemon.

use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{SignalKind, signal};

use crate::app::Daemon;
use crate::config::Config;
use crate::config::args::ServeArgs;
use crate::telemetry::{self, Log, Metrics};

pub(super) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let config = match Config::load(args) {
        Ok(config) => config,
        Err(problems) => return Ok(super::report(&problems)),
    };
    let format = config.log.format.parse().context("log.format")?;
    let log = Log::install(&config.log.filter, format)?;
    let metrics = Metrics::install().context("metrics")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(serve(args, config, &log, metrics))
}

async fn serve(args: &ServeArgs, config: Config, log: &Log, metrics: Metrics) -> anyhow::Result<ExitCode> {
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    // Before anything is open: a signal that comes early must not be lost.
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let mut hang_up = signal(SignalKind::hangup()).context("SIGHUP")?;
    let mut daemon = Daemon::start(config, metrics).await?;
    announce(&daemon);
    let failed = loop {
        tokio::select! {
            _ = terminate.recv() => break None,
            _ = interrupt.recv() => break None,
            _ = hang_up.recv() => reload(args, &daemon, log),
            name = daemon.failed() => break Some(name),
        }
    };
    notify(&[sd_notify::NotifyState::Stopping]);
    tracing::info!("stopping");
    daemon.stop().await.context("the last flush failed")?;
    match failed {
        None => Ok(ExitCode::SUCCESS),
        Some(name) => Err(anyhow!("{name} ended by itself")),
    }
}

/// Ready: one log line, systemd, and what is shown only once.
#[expect(clippy::print_stdout, reason = "secrets that are shown once must not go to the log")]
fn announce(daemon: &Daemon) {
    if let Some(token) = &daemon.new_admin_token {
        println!("The first admin token, shown only this once: {}", token.expose());
    }
    if let Some(login) = &daemon.new_onboarding {
        println!(
            "The onboarding credential for new CPEs, shown only this once: user name {}, password {}",
            login.username,
            login.password.expose()
        );
    }
    let tls = daemon.cwmp_tls_address.map(|address| format!(", CPEs by TLS on {address}")).unwrap_or_default();
    tracing::info!(
        cwmp = %daemon.cwmp_address,
        api = %daemon.api_address,
        "ready: CPEs on {}{tls}, the API on {}",
        daemon.cwmp_address,
        daemon.api_address
    );
    notify(&[sd_notify::NotifyState::Ready]);
}

/// Certificates and log filter; what is wrong leaves the old ones in use.
fn reload(args: &ServeArgs, daemon: &Daemon, log: &Log) {
    let config = match Config::load(args) {
        Ok(config) => config,
        Err(problems) => {
            for problem in problems {
                tracing::error!("not reloaded: {problem}");
            }
            return;
        }
    };
    if let Err(error) = log.reload(&config.log.filter) {
        tracing::error!("the log filter was not reloaded: {}", telemetry::chain(&error));
    }
    if let Err(error) = tokio::task::block_in_place(|| daemon.reload_tls()) {
        tracing::error!("certificates were not reloaded: {}", telemetry::chain(&error));
        return;
    }
    tracing::info!("certificates and log filter are reloaded");
}

fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not told");
    }
}
