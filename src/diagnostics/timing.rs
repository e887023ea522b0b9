//! How long a test may take.

use std::time::Duration;

use crate::model::diagnostic::{DiagnosticKind, DiagnosticOrder};

use super::inputs::{COUNT, MAX_HOPS, TIMEOUT_SECS, TRACE_TIMEOUT_SECS, TRIES, upload_bytes};

/// Longest that any test is waited for, whatever its inputs say.
const LONGEST: Duration = Duration::from_hours(6);
/// The slowest line on which a transfer is to end in time, and one that is usual, in bits a second.
const SLOW: u64 = 1_000_000;
const USUAL: u64 = 20_000_000;

/// When to look at a test, and when to give it up, from its start on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// A device that has not said that the test is done is asked.
    pub look: Duration,
    /// A test that still runs has failed.
    pub give_up: Duration,
    /// A device that has not been heard of will not be.
    pub lost: Duration,
    /// How long a device may stay away that was here just now, and has more to tell.
    pub away: Duration,
}

impl Timing {
    /// Of a test with these inputs. `margin` is what a device that has not reported gets on top of the expected duration
    /// before it is asked; `patience` what a test that still runs gets on top of the longest one. A device that is then
    /// called has half of that to come, and so has one that broke off while its results were read: `margin` at least.
    #[must_use]
    pub fn of(order: &DiagnosticOrder, margin: Duration, patience: Duration) -> Self {
        let (expected, longest) = durations(order);
        let (expected, longest) = (expected.min(LONGEST), longest.min(LONGEST));
        let give_up = longest + patience;
        let (lost, away) = (give_up + patience / 2, margin.max(patience / 2));
        Self { look: expected + margin, give_up, lost, away }
    }
}

/// How long the test is expected to take, and how long it may.
///
/// - ping: repetitions × (time-out + 1 s); UDP echo the same, and 1 s between two packets
/// - traceroute: hops × tries × time-out; look-up: repetitions × time-out, and 5 s
/// - transfers: 30 s, and what the bytes take at 20 Mbit/s (expected) or 1 Mbit/s (longest). The size of a download is not
///   known: nothing on top for the expected duration, 15 min for the longest
/// - Wi-Fi scan: 1 min
fn durations(order: &DiagnosticOrder) -> (Duration, Duration) {
    let secs = |secs: u64| Duration::from_secs(secs);
    let timeout = |default: u32| u64::from(order.timeout_secs.unwrap_or(default));
    let count = |default: u32| u64::from(order.count.unwrap_or(default));
    let both = |span| (span, span);
    match order.kind {
        DiagnosticKind::IpPing => both(secs(count(COUNT).saturating_mul(timeout(TIMEOUT_SECS) + 1))),
        DiagnosticKind::UdpEcho => both(secs(count(COUNT).saturating_mul(timeout(TIMEOUT_SECS) + 2))),
        DiagnosticKind::Traceroute => {
            let hops = u64::from(order.max_hops.unwrap_or(MAX_HOPS));
            both(secs((hops * u64::from(TRIES)).saturating_mul(timeout(TRACE_TIMEOUT_SECS))))
        }
        DiagnosticKind::DnsLookup => both(secs(count(1).saturating_mul(timeout(TIMEOUT_SECS)).saturating_add(5))),
        DiagnosticKind::WifiNeighbor => both(secs(60)),
        DiagnosticKind::Download => (secs(30), Duration::from_mins(15)),
        DiagnosticKind::Upload => {
            let bits = upload_bytes(order).saturating_mul(8);
            (secs(30 + bits / USUAL), secs(30 + bits / SLOW))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_follow_the_inputs() {
        let order = |kind, count, timeout_secs| DiagnosticOrder {
            kind,
            target: "t".to_owned(),
            upload_size: None,
            count,
            size: None,
            timeout_secs,
            max_hops: None,
            interface: None,
        };
        let secs = |kind, count, timeout| {
            let Timing { look, give_up, lost, away } =
                Timing::of(&order(kind, count, timeout), Duration::from_mins(1), Duration::from_mins(5));
            assert_eq!(away.as_secs(), 150);
            [look.as_secs(), give_up.as_secs(), lost.as_secs()]
        };
        // 10 × (2 + 1)
        assert_eq!(secs(DiagnosticKind::IpPing, Some(10), Some(2)), [90, 330, 480]);
        // 30 × 3 × 2
        assert_eq!(secs(DiagnosticKind::Traceroute, None, None), [240, 480, 630]);
        // 10,485,760 × 8 / 20,000,000 = 4; / 1,000,000 = 83
        assert_eq!(secs(DiagnosticKind::Upload, None, None), [94, 413, 563]);
        assert_eq!(secs(DiagnosticKind::Download, None, None), [90, 1200, 1350]);
        assert_eq!(secs(DiagnosticKind::IpPing, Some(u32::MAX), Some(3600))[0], 6 * 3600 + 60);
    }
}
