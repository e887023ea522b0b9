//! What comes out: a table for people, JSON for machines.
#![allow(clippy::cast_precision_loss, reason = "figures beyond 2^53 do not occur")]

use serde::Serialize;

use crate::protocol::{Figures, Round, Workload};

/// One round of one side, or the medians of several.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Measured {
    pub sessions_per_second: f64,
    pub p50_micros: f64,
    pub p99_micros: f64,
    pub p999_micros: f64,
    pub server_cpu_micros_per_session: f64,
    pub resident_bytes: f64,
}

impl Measured {
    pub fn new(round: &Round, cpu_micros: u64, resident_bytes: u64) -> Self {
        Self {
            sessions_per_second: round.sessions as f64 * 1e6 / round.micros as f64,
            p50_micros: round.p50_micros as f64,
            p99_micros: round.p99_micros as f64,
            p999_micros: round.p999_micros as f64,
            server_cpu_micros_per_session: cpu_micros as f64 / round.sessions as f64,
            resident_bytes: resident_bytes as f64,
        }
    }

    /// Figure by figure.
    pub fn median(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| {
            let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            match figures.len() {
                0 => 0.0,
                odd if odd % 2 == 1 => figures[odd / 2],
                even => f64::midpoint(figures[even / 2 - 1], figures[even / 2]),
            }
        };
        Self {
            sessions_per_second: of(|round| round.sessions_per_second),
            p50_micros: of(|round| round.p50_micros),
            p99_micros: of(|round| round.p99_micros),
            p999_micros: of(|round| round.p999_micros),
            server_cpu_micros_per_session: of(|round| round.server_cpu_micros_per_session),
            resident_bytes: of(|round| round.resident_bytes),
        }
    }
}

/// Per session, from a round of its own.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Counts {
    pub allocations: f64,
    pub allocated_bytes: f64,
    pub answered_bytes: f64,
    pub syncs: f64,
}

impl Counts {
    pub fn new(round: &Round, before: &Figures, after: &Figures) -> Self {
        let per_session = |before: u64, after: u64| (after - before) as f64 / round.sessions as f64;
        Self {
            allocations: per_session(before.allocations, after.allocations),
            allocated_bytes: per_session(before.allocated_bytes, after.allocated_bytes),
            answered_bytes: per_session(0, round.bytes),
            syncs: per_session(before.syncs, after.syncs),
        }
    }
}

/// One workload.
#[derive(Debug)]
pub struct Row {
    pub workload: Workload,
    pub ceiling: Measured,
    pub acsd: Measured,
    pub counts_of_ceiling: Counts,
    pub counts_of_acsd: Counts,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.acsd.sessions_per_second / self.ceiling.sessions_per_second
    }

    fn cpu_ratio(&self) -> f64 {
        self.ceiling.server_cpu_micros_per_session / self.acsd.server_cpu_micros_per_session
    }
}

/// The whole run.
#[derive(Debug)]
pub struct Report {
    pub allocator: &'static str,
    pub cores: usize,
    pub rounds: usize,
    pub seconds: u64,
    pub cpes: usize,
    pub devices: usize,
    pub rows: Vec<Row>,
}

impl Report {
    pub fn print(&self) {
        println!(
            "\n{} devices, {} at a time; medians of {} rounds of {} s each; {} processors, shared with the generator; {}\n",
            self.devices, self.cpes, self.rounds, self.seconds, self.cores, self.allocator
        );
        println!(
            "{:<20} {:<8} {:>10} {:>6}  {:>8} {:>8} {:>8}  {:>7} {:>6}  {:>7}  {:>7} {:>8} {:>7} {:>7}",
            "workload",
            "",
            "sessions/s",
            "ratio",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "CPU us",
            "ratio",
            "RSS MiB",
            "allocs",
            "alloc B",
            "sent B",
            "syncs"
        );
        for row in &self.rows {
            line(row.workload.name(), "ceiling", &row.ceiling, &row.counts_of_ceiling, None);
            line("", "acsd", &row.acsd, &row.counts_of_acsd, Some((row.ratio(), row.cpu_ratio())));
        }
        println!("\nCPU, allocations, bytes answered and syncs are the server's, per session.");
    }

    pub fn json(&self) -> String {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                serde_json::json!({
                    "workload": row.workload.name(),
                    "ratio": row.ratio(),
                    "cpu_ratio": row.cpu_ratio(),
                    "ceiling": { "measured": row.ceiling, "per_session": row.counts_of_ceiling },
                    "acsd": { "measured": row.acsd, "per_session": row.counts_of_acsd },
                })
            })
            .collect();
        let report = serde_json::json!({
            "allocator": self.allocator,
            "cores": self.cores,
            "rounds": self.rounds,
            "seconds": self.seconds,
            "cpes": self.cpes,
            "devices": self.devices,
            "workloads": rows,
        });
        format!("{report:#}\n")
    }
}

fn line(name: &str, side: &str, measured: &Measured, counts: &Counts, ratios: Option<(f64, f64)>) {
    let (ratio, cpu_ratio) =
        ratios.map_or_else(Default::default, |(ratio, cpu)| (format!("{ratio:.2}"), format!("{cpu:.2}")));
    println!(
        "{name:<20} {side:<8} {:>10.0} {ratio:>6}  {:>8.2} {:>8.2} {:>8.2}  {:>7.1} {cpu_ratio:>6}  {:>7.0}  {:>7.1} {:>8.0} {:>7.0} {:>7.3}",
        measured.sessions_per_second,
        measured.p50_micros / 1e3,
        measured.p99_micros / 1e3,
        measured.p999_micros / 1e3,
        measured.server_cpu_micros_per_session,
        measured.resident_bytes / f64::from(1 << 20),
        counts.allocations,
        counts.allocated_bytes,
        counts.answered_bytes,
        counts.syncs,
    );
}
