//! What a fleet of CPEs counts, readable while it runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use serde::Serialize;

use super::diagnostics::TestKind;
use super::report::{Outcome, SessionReport};
use super::transfer::{self, Check};

/// Violations that are kept in full.
const VIOLATIONS_KEPT: usize = 10;
/// Sub-buckets per power of two: percentiles are right within 1/16.
const SUB_BUCKETS: u32 = 16;
const BUCKETS: usize = 40 * 16;

/// Counters of any number of CPEs.
#[derive(Debug)]
pub struct Counters {
    completed: AtomicU64,
    abandoned: AtomicU64,
    failed: AtomicU64,
    retries: AtomicU64,
    informs: AtomicU64,
    posts: AtomicU64,
    violations: AtomicU64,
    woken: AtomicU64,
    challenged: AtomicU64,
    throttled: AtomicU64,
    downloads: AtomicU64,
    downloads_verified: AtomicU64,
    uploads: AtomicU64,
    bytes_downloaded: AtomicU64,
    bytes_uploaded: AtomicU64,
    latency: Histogram,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    failures: BTreeMap<String, u64>,
    rpcs: BTreeMap<String, u64>,
    calls: BTreeMap<&'static str, u64>,
    faults: BTreeMap<u16, u64>,
    transfers_failed: BTreeMap<u16, u64>,
    diagnostics: BTreeMap<String, u64>,
    rules: BTreeMap<&'static str, u64>,
    first_violations: Vec<String>,
}

/// A copy of the counters.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Sessions that completed.
    pub sessions_completed: u64,
    /// Sessions that a misbehaviour broke off.
    pub sessions_abandoned: u64,
    /// Sessions that failed.
    pub sessions_failed: u64,
    /// Failed sessions by reason.
    pub failures: BTreeMap<String, u64>,
    /// Sessions that were a retry (`RetryCount` above 0).
    pub retries: u64,
    /// Informs sent.
    pub informs: u64,
    /// POSTs sent.
    pub posts: u64,
    /// RPCs served, by method.
    pub rpcs: BTreeMap<String, u64>,
    /// RPCs that CPEs called besides Inform, by method.
    pub calls: BTreeMap<String, u64>,
    /// Faults that CPEs answered with, by code.
    pub faults: BTreeMap<u16, u64>,
    /// Downloads that succeeded.
    pub downloads: u64,
    /// Those of them whose SHA-256 was compared with one that the server gave.
    pub downloads_verified: u64,
    /// Uploads that succeeded.
    pub uploads: u64,
    /// Transfers that failed, by the fault that they were reported with.
    pub transfers_failed: BTreeMap<u16, u64>,
    /// Bytes of downloads that succeeded.
    pub bytes_downloaded: u64,
    /// Bytes of uploads that succeeded.
    pub bytes_uploaded: u64,
    /// Tests that ended, by kind and `DiagnosticsState`: `ipping Complete`.
    pub diagnostics: BTreeMap<String, u64>,
    /// Connection requests that were accepted.
    pub connection_requests: u64,
    /// Connection requests that were answered with 401.
    pub connection_requests_challenged: u64,
    /// Connection requests that were answered with 503.
    pub connection_requests_throttled: u64,
    /// Breaches of a rule by the ACS.
    pub violations: u64,
    /// The same by rule.
    pub violations_by_rule: BTreeMap<String, u64>,
    /// The first few in full.
    pub first_violations: Vec<String>,
    /// Median length of a session, in milliseconds.
    pub session_p50_ms: f64,
    /// 99th percentile of the same.
    pub session_p99_ms: f64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            completed: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            informs: AtomicU64::new(0),
            posts: AtomicU64::new(0),
            violations: AtomicU64::new(0),
            woken: AtomicU64::new(0),
            challenged: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            downloads: AtomicU64::new(0),
            downloads_verified: AtomicU64::new(0),
            uploads: AtomicU64::new(0),
            bytes_downloaded: AtomicU64::new(0),
            bytes_uploaded: AtomicU64::new(0),
            latency: Histogram::default(),
            tables: Mutex::new(Tables::default()),
        }
    }
}

impl Counters {
    /// Counts a session.
    pub fn session(&self, report: &SessionReport) {
        let add = |counter: &AtomicU64, n: u64| counter.fetch_add(n, Ordering::Relaxed);
        match &report.outcome {
            Outcome::Completed => add(&self.completed, 1),
            Outcome::Abandoned => add(&self.abandoned, 1),
            Outcome::Failed(_) => add(&self.failed, 1),
        };
        add(&self.retries, u64::from(report.retry_count > 0));
        add(&self.informs, u64::from(report.informs));
        add(&self.posts, u64::from(report.posts));
        add(&self.violations, u64::try_from(report.violations.len()).unwrap_or(u64::MAX));
        self.latency.record(report.duration);
        let is_plain = report.is_clean() && report.rpcs.is_empty() && report.called.is_empty();
        if is_plain {
            return;
        }
        let mut tables = self.tables.lock();
        if let Outcome::Failed(failure) = &report.outcome {
            *tables.failures.entry(failure.label()).or_default() += 1;
        }
        for rpc in &report.rpcs {
            *tables.rpcs.entry(rpc.method.clone()).or_default() += 1;
            if let Some(code) = rpc.fault {
                *tables.faults.entry(code).or_default() += 1;
            }
        }
        for method in &report.called {
            *tables.calls.entry(method).or_default() += 1;
        }
        for violation in &report.violations {
            *tables.rules.entry(violation.rule.label()).or_default() += 1;
            if tables.first_violations.len() < VIOLATIONS_KEPT {
                tables.first_violations.push(violation.to_string());
            }
        }
    }

    /// Counts a transfer and what it is reported with.
    pub(super) fn transfer(&self, outcome: &transfer::Outcome, fault: u16) {
        let add = |counter: &AtomicU64, n: u64| counter.fetch_add(n, Ordering::Relaxed);
        match outcome {
            _ if fault != 0 => *self.tables.lock().transfers_failed.entry(fault).or_default() += 1,
            transfer::Outcome::Fetched(file) => {
                add(&self.downloads, 1);
                add(&self.downloads_verified, u64::from(file.check == Check::Digest));
                add(&self.bytes_downloaded, file.bytes);
            }
            transfer::Outcome::Sent(bytes) => {
                add(&self.uploads, 1);
                add(&self.bytes_uploaded, *bytes);
            }
            transfer::Outcome::Failed(_) => {}
        }
    }

    /// Counts a test that ended in this state.
    pub(super) fn diagnostic(&self, kind: TestKind, state: &str) {
        *self.tables.lock().diagnostics.entry(format!("{kind} {state}")).or_default() += 1;
    }

    pub(super) fn connection_request(&self, answer: StatusCode) {
        let counter = match answer {
            StatusCode::UNAUTHORIZED => &self.challenged,
            StatusCode::SERVICE_UNAVAILABLE => &self.throttled,
            _ => &self.woken,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let tables = self.tables.lock();
        let owned = |map: &BTreeMap<&'static str, u64>| map.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect();
        Summary {
            sessions_completed: read(&self.completed),
            sessions_abandoned: read(&self.abandoned),
            sessions_failed: read(&self.failed),
            failures: tables.failures.clone(),
            retries: read(&self.retries),
            informs: read(&self.informs),
            posts: read(&self.posts),
            rpcs: tables.rpcs.clone(),
            calls: owned(&tables.calls),
            faults: tables.faults.clone(),
            downloads: read(&self.downloads),
            downloads_verified: read(&self.downloads_verified),
            uploads: read(&self.uploads),
            transfers_failed: tables.transfers_failed.clone(),
            bytes_downloaded: read(&self.bytes_downloaded),
            bytes_uploaded: read(&self.bytes_uploaded),
            diagnostics: tables.diagnostics.clone(),
            connection_requests: read(&self.woken),
            connection_requests_challenged: read(&self.challenged),
            connection_requests_throttled: read(&self.throttled),
            violations: read(&self.violations),
            violations_by_rule: owned(&tables.rules),
            first_violations: tables.first_violations.clone(),
            session_p50_ms: self.latency.percentile_ms(50),
            session_p99_ms: self.latency.percentile_ms(99),
        }
    }
}

impl Summary {
    /// Whether no session failed and no rule was broken.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.sessions_failed == 0 && self.violations == 0
    }

    /// Completed sessions per second, over `elapsed`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate for display")]
    pub fn sessions_completed_per_sec(&self, elapsed: Duration) -> f64 {
        if elapsed.is_zero() { 0.0 } else { self.sessions_completed as f64 / elapsed.as_secs_f64() }
    }

    /// Sessions of any outcome.
    #[must_use]
    pub const fn sessions(&self) -> u64 {
        self.sessions_completed + self.sessions_abandoned + self.sessions_failed
    }
}

/// Log-linear buckets of microseconds.
#[derive(Debug)]
struct Histogram(Box<[AtomicU64]>);

impl Default for Histogram {
    fn default() -> Self {
        Self((0..BUCKETS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Histogram {
    fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.0.get(Self::index(micros)).or_else(|| self.0.last()) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Values below 16 have a bucket each; above, each power of two has 16.
    fn index(micros: u64) -> usize {
        let Some(log) = micros.checked_ilog2().filter(|log| *log >= 4) else {
            return usize::try_from(micros).unwrap_or(0);
        };
        let sub = (micros >> (log - 4)) & u64::from(SUB_BUCKETS - 1);
        usize::try_from(u64::from((log - 3) * SUB_BUCKETS) + sub).unwrap_or(usize::MAX)
    }

    /// The lower end of a bucket.
    fn floor(index: usize) -> u64 {
        let index = u64::try_from(index).unwrap_or(0);
        let (octave, sub) = (index / u64::from(SUB_BUCKETS), index % u64::from(SUB_BUCKETS));
        if octave == 0 { sub } else { (u64::from(SUB_BUCKETS) + sub) << (octave - 1) }
    }

    #[expect(clippy::cast_precision_loss, reason = "microseconds for display")]
    fn percentile_ms(&self, percent: u64) -> f64 {
        let counts: Vec<u64> = self.0.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let rank = (total * percent).div_ceil(100);
        let mut seen = 0;
        for (index, count) in counts.into_iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return Self::floor(index) as f64 / 1000.0;
            }
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_within_a_bucket() {
        let histogram = Histogram::default();
        for millis in 1..=1000 {
            histogram.record(Duration::from_millis(millis));
        }
        let near = |found: f64, want: f64| (found - want).abs() <= want / 16.0 + 1.0;
        assert!(near(histogram.percentile_ms(50), 500.0), "{}", histogram.percentile_ms(50));
        assert!(near(histogram.percentile_ms(99), 990.0), "{}", histogram.percentile_ms(99));
        for micros in [0, 1, 15, 16, 17, 31, 32, 1000, 123_456] {
            let index = Histogram::index(micros);
            assert!(Histogram::floor(index) <= micros && micros < Histogram::floor(index + 1), "{micros}");
        }
    }
}
