//! What operators see of a running acsd: the log, and the metrics with their names and closed label sets.

pub mod names;

use std::error::Error;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::sync::Arc;

use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use serde::Deserialize;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::store::{BATCH_SIZE, Figures};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object per line, for machines.
    Json,
}

impl std::str::FromStr for LogFormat {
    type Err = UnknownLogFormat;

    fn from_str(text: &str) -> Result<Self, UnknownLogFormat> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(UnknownLogFormat { given: text.into() }),
        }
    }
}

/// No log format of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no log format: text and json are")]
pub struct UnknownLogFormat {
    given: Box<str>,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter says nothing that can be understood.
    #[error("{filter:?} is no log filter")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// There is a log already.
    #[error("the log is set up already")]
    Installed(#[source] TryInitError),
    /// The log is gone.
    #[error("the log filter cannot be replaced")]
    Reload(#[source] reload::Error),
}

/// The log of this process: its filter can be replaced while it runs.
#[derive(Debug, Clone)]
pub struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
}

impl Log {
    /// Sets up the process-wide log on standard error, so that standard output stays for what commands print.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn install(filter: &str, format: LogFormat) -> Result<Self, LogError> {
        let (filter, handle) = reload::Layer::new(parse_filter(filter)?);
        let registry = tracing_subscriber::registry().with(filter);
        match format {
            LogFormat::Text => {
                // Colours are for people who look on, not for files and journals.
                let colours = std::io::stderr().is_terminal();
                registry.with(fmt::layer().with_ansi(colours).with_writer(std::io::stderr)).try_init()
            }
            LogFormat::Json => {
                registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
            }
        }
        .map_err(LogError::Installed)?;
        Ok(Self { filter: handle })
    }

    /// Replaces the filter; on an error the present one stays.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn reload(&self, filter: &str) -> Result<(), LogError> {
        self.filter.reload(parse_filter(filter)?).map_err(LogError::Reload)
    }
}

/// Checks a filter without setting anything up.
///
/// # Errors
/// [`LogError::Filter`].
pub fn parse_filter(filter: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder().parse(filter).map_err(|source| LogError::Filter { filter: filter.to_owned(), source })
}

/// An error and all its causes in one line, for the log.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        // Writing to a string cannot fail.
        if write!(line, ": {next}").is_err() {
            break;
        }
        cause = next.source();
    }
    line
}

/// The metrics of this process, ready to be scraped.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    process: Arc<Collector>,
}

impl Metrics {
    /// Installs the process-wide recorder and describes every metric.
    ///
    /// # Errors
    /// [`BuildError`] when there is a recorder already.
    pub fn install() -> Result<Self, BuildError> {
        let handle = builder()?.install_recorder()?;
        describe();
        Ok(Self::over(handle))
    }

    /// A recorder that nothing records to but what is scraped: for tests, where there may be many.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn detached() -> Result<Self, BuildError> {
        Ok(Self::over(builder()?.build_recorder().handle()))
    }

    fn over(handle: PrometheusHandle) -> Self {
        let process = Collector::default();
        process.describe();
        Self { handle, process: Arc::new(process) }
    }

    /// Everything as Prometheus text, the process and the store's figures as they are now.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "figures beyond 2^53 are shown rounded")]
    pub fn render(&self, figures: &Figures) -> String {
        self.process.collect();
        metrics::gauge!(names::DEVICES).set(figures.devices as f64);
        metrics::gauge!(names::DEVICES_UP).set(figures.devices_up as f64);
        metrics::gauge!(names::QUEUE_DEPTH).set(figures.queue_depth as f64);
        metrics::gauge!(names::QUEUE_OLDEST).set(figures.queue_oldest_ms as f64 / 1000.0);
        metrics::gauge!(names::STORE_BYTES).set(figures.disk_bytes as f64);
        metrics::gauge!(names::STORE_LIVE_BYTES).set(figures.live_bytes as f64);
        self.handle.run_upkeep();
        self.handle.render()
    }

    /// Folds what histograms have gathered. To be called every few seconds, or memory grows when nobody scrapes.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// Seconds: from what the store needs to what a CPE over a poor line needs.
const BUCKETS_SECS: [f64; 14] =
    [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Writes that share a flush.
const BUCKETS_WRITES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1024.0, 2048.0];

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS_SECS)?
        .set_buckets_for_metric(Matcher::Full(BATCH_SIZE.to_owned()), &BUCKETS_WRITES)
}

fn describe() {
    for (name, text) in names::COUNTERS {
        describe_counter!(name, text);
    }
    for (name, text) in names::GAUGES {
        describe_gauge!(name, text);
    }
    for (name, text) in names::HISTOGRAMS {
        describe_histogram!(name, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn filters_and_formats_are_checked() {
        assert!(parse_filter("info,acsd=debug").is_ok());
        assert!(matches!(parse_filter("acsd=loud"), Err(LogError::Filter { .. })));
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        assert!("xml".parse::<LogFormat>().is_err());
    }

    #[test]
    fn a_chain_names_every_cause_once() {
        let error = crate::store::EnqueueError::Store(StoreError::Unavailable { reason: "disk full".into() });
        assert_eq!(chain(&error), "the transaction was not stored: the store takes no writes: disk full");
    }

    #[test]
    fn a_scrape_has_the_figures_of_the_store() {
        let recorder = builder().expect("buckets").build_recorder();
        let metrics = Metrics::over(recorder.handle());
        let figures = Figures { devices: 7, queue_oldest_ms: 1500, ..Figures::default() };
        let text = metrics::with_local_recorder(&recorder, || {
            describe();
            metrics.render(&figures)
        });
        assert!(text.contains("\nacsd_devices 7\n"), "{text}");
        assert!(text.contains("\nacsd_queue_oldest_seconds 1.5\n"), "{text}");
        assert!(text.contains("process_"), "{text}");
    }
}
