//! What a run came to: a line while it lasts, and a summary for people or programs.

use std::fmt;
use std::time::Duration;

use super::SimulateArgs;
use crate::simulator::Summary;

/// One line of how far it is.
pub(super) fn progress(summary: &Summary, elapsed: Duration) -> String {
    let rpcs: u64 = summary.rpcs.values().sum();
    let transfers = summary.downloads + summary.uploads + summary.transfers_failed.values().sum::<u64>();
    let tests: u64 = summary.diagnostics.values().sum();
    format!(
        "{:.0} s: {} sessions, {} failed, {} violations, {rpcs} RPCs, {transfers} transfers, {tests} tests, \
         {} connection requests, p50 {:.1} ms, p99 {:.1} ms",
        elapsed.as_secs_f64(),
        summary.sessions(),
        summary.sessions_failed,
        summary.violations,
        summary.connection_requests,
        summary.session_p50_ms,
        summary.session_p99_ms
    )
}

/// The summary as `--json` prints it.
#[derive(serde::Serialize)]
pub(super) struct Report<'a> {
    pub(super) cpes: u32,
    pub(super) seconds: f64,
    #[serde(flatten)]
    pub(super) summary: &'a Summary,
}

/// The summary as people read it.
pub(super) struct Text<'a> {
    pub(super) args: &'a SimulateArgs,
    pub(super) elapsed: Duration,
    pub(super) summary: &'a Summary,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { args, elapsed, summary } = self;
        writeln!(f, "{:<22}{} for {:.1} s against {}", "CPEs", args.count, elapsed.as_secs_f64(), args.acs_url)?;
        writeln!(
            f,
            "{:<22}{} completed ({:.1}/s), {} failed, {} broken off on purpose, {} retries",
            "sessions",
            summary.sessions_completed,
            summary.sessions_completed_per_sec(*elapsed),
            summary.sessions_failed,
            summary.sessions_abandoned,
            summary.retries
        )?;
        writeln!(
            f,
            "{:<22}p50 {:.1} ms, p99 {:.1} ms",
            "session length", summary.session_p50_ms, summary.session_p99_ms
        )?;
        writeln!(f, "{:<22}{} in {} POSTs", "Informs", summary.informs, summary.posts)?;
        table(f, "failed by reason", summary.failures.iter())?;
        table(f, "RPCs served", summary.rpcs.iter())?;
        table(f, "RPCs called", summary.calls.iter())?;
        table(f, "faults answered", summary.faults.iter())?;
        writeln!(
            f,
            "{:<22}{} downloads ({} verified, {} bytes), {} uploads ({} bytes)",
            "transfers",
            summary.downloads,
            summary.downloads_verified,
            summary.bytes_downloaded,
            summary.uploads,
            summary.bytes_uploaded
        )?;
        table(f, "transfers failed", summary.transfers_failed.iter())?;
        table(f, "tests", summary.diagnostics.iter())?;
        writeln!(
            f,
            "{:<22}{} accepted, {} challenged, {} refused as too many",
            "connection requests",
            summary.connection_requests,
            summary.connection_requests_challenged,
            summary.connection_requests_throttled
        )?;
        writeln!(f, "{:<22}{}", "violations by the ACS", summary.violations)?;
        table(f, "violations by rule", summary.violations_by_rule.iter())?;
        for violation in &summary.first_violations {
            writeln!(f, "  {violation}")?;
        }
        Ok(())
    }
}

fn table<K: fmt::Display, V: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    rows: impl Iterator<Item = (K, V)>,
) -> fmt::Result {
    let rows: Vec<String> = rows.map(|(key, value)| format!("{key} {value}")).collect();
    if rows.is_empty() { Ok(()) } else { writeln!(f, "{title:<22}{}", rows.join(", ")) }
}
