//! `DownloadDiagnostics` and `UploadDiagnostics` (TR-143): what the transfers of one test add up to, and numbers for
//! transfers that are only imagined.

use std::time::Duration;

use super::finding::{Ending, Finding, Inputs, Value, Values};
use super::network::{Fate, Peer, fingerprint, narrow, pick};
use crate::simulator::http::Target;

/// Bytes of a file whose URL does not say how large it is.
const DEFAULT_BYTES: u64 = 25_000_000;
/// HTTP headers of an imagined transfer.
const HEADER_BYTES: u64 = 240;
const GIVE_UP: Duration = Duration::from_millis(200);
/// How long a CPE waits for an answer that never comes.
const NO_ANSWER: Duration = Duration::from_secs(10);

pub(super) const CANNOT_RESOLVE: &[&str] = &["Error_CannotResolveHostName", "Error_InitConnectionFailed"];
pub(super) const NO_ROUTE: &[&str] = &["Error_NoRouteToHost", "Error_InitConnectionFailed"];
pub(super) const REFUSED: &[&str] = &["Error_InitConnectionFailed"];
pub(super) const NO_RESPONSE: &[&str] = &["Error_NoResponse"];
pub(super) const LOGIN_FAILED: &[&str] = &["Error_LoginFailed"];
pub(super) const BROKEN: &[&str] = &["Error_TransferFailed", "Error_NoTransferComplete"];
pub(super) const TIMED_OUT: &[&str] = &["Error_Timeout", "Error_NoTransferComplete"];

/// Which way a test's bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Download,
    Upload,
}

impl Direction {
    pub(super) const fn url_leaf(self) -> &'static str {
        match self {
            Self::Download => "DownloadURL",
            Self::Upload => "UploadURL",
        }
    }

    const fn way(self) -> &'static str {
        match self {
            Self::Download => "Received",
            Self::Upload => "Sent",
        }
    }
}

/// One connection of a test; all times from the beginning of the test.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flow {
    /// SYN sent, SYN-ACK received.
    pub(super) opened: Option<(Duration, Duration)>,
    /// Request sent.
    pub(super) request: Option<Duration>,
    /// First and last data packet.
    pub(super) data: Option<(Duration, Duration)>,
    /// Bytes between these two, headers included.
    pub(super) bytes: u64,
}

impl Flow {
    /// Bytes that had passed at `at`, as if they passed evenly.
    fn bytes_until(&self, at: Duration) -> u64 {
        let Some((first, last)) = self.data.filter(|(first, last)| first < last) else { return 0 };
        let passed = at.clamp(first, last).saturating_sub(first).as_micros();
        let share = passed * u128::from(self.bytes) / last.saturating_sub(first).as_micros().max(1);
        u64::try_from(share).unwrap_or(u64::MAX)
    }
}

/// What else passes the interface meanwhile: packet headers, and a little of other people's traffic.
const fn on_the_wire(bytes: u64) -> u64 {
    bytes + bytes / 25 + 1_500
}

/// Acknowledgements in the other direction.
const fn acknowledgements(bytes: u64) -> u64 {
    bytes / 40 + 500
}

fn counters(direction: Direction, bytes: u64, suffix: &str, into: &mut Values) {
    let all = Value::TotalBytes { all: on_the_wire(bytes), test: bytes };
    let back = Value::Bytes(acknowledgements(bytes));
    let (received, sent) = if direction == Direction::Download { (all, back) } else { (back, all) };
    into.push((format!("TestBytes{}{suffix}", direction.way()), Value::Bytes(bytes)));
    into.push((format!("TotalBytesReceived{suffix}"), received));
    into.push((format!("TotalBytesSent{suffix}"), sent));
}

/// The results that flows add up to. A flow that did not get far leaves the times of what never happened unknown.
pub(super) fn add_up(
    direction: Direction,
    inputs: &Inputs,
    flows: &[Flow],
    ending: Ending,
    duration: Duration,
) -> Finding {
    let mut finding = Finding { ending, ..Finding::success(duration) };
    let opened = flows.iter().filter_map(|flow| flow.opened).min();
    if let Some((asked, answered)) = opened {
        finding.set("TCPOpenRequestTime", Value::At(asked));
        finding.set("TCPOpenResponseTime", Value::At(answered));
        finding.set("IPAddressUsed", Value::text(inputs.wan_ip.as_str()));
    }
    if let Some(request) = flows.iter().filter_map(|flow| flow.request).min() {
        finding.set("ROMTime", Value::At(request));
    }
    let first = flows.iter().filter_map(|flow| flow.data).map(|(first, _)| first);
    let last = flows.iter().filter_map(|flow| flow.data).map(|(_, last)| last);
    let (Some(begin), Some(end)) = (first.clone().min(), last.clone().max()) else { return finding };
    finding.set("BOMTime", Value::At(begin));
    if finding.ending != Ending::Success {
        return finding;
    }
    finding.set("EOMTime", Value::At(end));
    counters(direction, flows.iter().map(|flow| flow.bytes).sum(), "", &mut finding.values);
    let full = first.max().zip(last.min()).filter(|(from, to)| from < to);
    if let Some((from, to)) = full {
        let bytes = flows.iter().map(|flow| flow.bytes_until(to) - flow.bytes_until(from)).sum();
        counters(direction, bytes, "UnderFullLoading", &mut finding.values);
        finding.number("PeriodOfFullLoading", u64::try_from(to.saturating_sub(from).as_micros()).unwrap_or(u64::MAX));
    }
    if inputs.is_set("EnablePerConnectionResults") {
        let rows = flows.iter().map(|flow| connection(direction, flow)).collect();
        finding.tables.push(("PerConnectionResult", rows));
    }
    finding.tables.push(("IncrementalResult", increments(direction, inputs, flows, begin, end)));
    finding
}

fn connection(direction: Direction, flow: &Flow) -> Values {
    let mut row = Values::new();
    if let Some((asked, answered)) = flow.opened {
        row.push(("TCPOpenRequestTime".into(), Value::At(asked)));
        row.push(("TCPOpenResponseTime".into(), Value::At(answered)));
    }
    if let Some(request) = flow.request {
        row.push(("ROMTime".into(), Value::At(request)));
    }
    if let Some((first, last)) = flow.data {
        row.push(("BOMTime".into(), Value::At(first)));
        row.push(("EOMTime".into(), Value::At(last)));
    }
    counters(direction, flow.bytes, "", &mut row);
    row
}

/// One row for each measurement interval of a time-based test.
fn increments(direction: Direction, inputs: &Inputs, flows: &[Flow], begin: Duration, end: Duration) -> Vec<Values> {
    let interval = inputs.number("TimeBasedTestMeasurementInterval", 0);
    if interval == 0 || inputs.number("TimeBasedTestDuration", 0) == 0 {
        return Vec::new();
    }
    let most_leaf = match direction {
        Direction::Download => "DownloadDiagnosticsMaxIncrementalResult",
        Direction::Upload => "UploadDiagnosticsMaxIncrementalResult",
    };
    let most = usize::try_from(inputs.number(most_leaf, 0)).unwrap_or(0);
    let mut rows = Vec::new();
    let mut from = begin + Duration::from_secs(inputs.number("TimeBasedTestMeasurementOffset", 0));
    while from < end && rows.len() < most {
        let to = (from + Duration::from_secs(interval)).min(end);
        let bytes = flows.iter().map(|flow| flow.bytes_until(to) - flow.bytes_until(from)).sum();
        let mut row: Values = vec![("StartTime".into(), Value::At(from)), ("EndTime".into(), Value::At(to))];
        counters(direction, bytes, "", &mut row);
        rows.push(row);
        from = to;
    }
    rows
}

/// A test toward a host that is not this machine: nothing is sent.
pub(super) fn imagine(direction: Direction, inputs: &Inputs) -> Finding {
    let url = inputs.text(direction.url_leaf());
    let Some((host, path)) = host_and_path(url) else { return Finding::failed(GIVE_UP, REFUSED) };
    let peer = Peer::of(&host, &inputs.serial);
    let rtt = Duration::from_micros(peer.rtt_us);
    let opened = Flow { opened: Some((Duration::ZERO, rtt)), request: Some(rtt), ..Flow::default() };
    let fail = |states, duration, flows: &[Flow]| add_up(direction, inputs, flows, Ending::Failed(states), duration);
    match peer.fate {
        Fate::Unresolvable => return Finding::failed(GIVE_UP, CANNOT_RESOLVE),
        Fate::NoRoute => return Finding::failed(GIVE_UP, NO_ROUTE),
        Fate::Refused => return Finding::failed(rtt, REFUSED),
        Fate::Silent => return fail(NO_RESPONSE, NO_ANSWER, &[]),
        Fate::Lossy | Fate::Alive => {}
    }
    let file = path.rsplit('/').next().unwrap_or_default();
    if file.contains("404") || file.contains("missing") {
        return fail(BROKEN, rtt * 2, &[opened]);
    }
    let flows = imagine_flows(direction, inputs, &peer, &host, file);
    let end = flows.iter().filter_map(|flow| flow.data).map(|(_, last)| last).max().unwrap_or(rtt);
    add_up(direction, inputs, &flows, Ending::Success, end)
}

fn imagine_flows(direction: Direction, inputs: &Inputs, peer: &Peer, host: &str, file: &str) -> Vec<Flow> {
    let line_bytes_per_sec = line_rate(direction, &inputs.serial, host) / 8;
    let count = narrow(inputs.number("NumberOfConnections", 1)).clamp(1, 64);
    let rate = (line_bytes_per_sec / u64::from(count)).max(1);
    let limit_secs = inputs.number("TimeBasedTestDuration", 0);
    let size = match direction {
        Direction::Download => stated_size(file).unwrap_or(DEFAULT_BYTES),
        Direction::Upload => inputs.number("TestFileLength", 0),
    };
    let rtt = Duration::from_micros(peer.rtt_us);
    let flow = |number: u32| {
        let asked = Duration::from_millis(2) * number;
        let answered = asked + rtt;
        let first = answered + rtt;
        // Connections do not share a line quite evenly.
        let own_rate = (rate - rate * peer.pick(u64::from(number) + 50, 8) / 100).max(1);
        let (bytes, micros) = if limit_secs > 0 {
            (own_rate.saturating_mul(limit_secs), limit_secs.saturating_mul(1_000_000))
        } else {
            let bytes = size + HEADER_BYTES;
            (bytes, u64::try_from(u128::from(bytes) * 1_000_000 / u128::from(own_rate)).unwrap_or(u64::MAX).max(1))
        };
        let data = Some((first, first + Duration::from_micros(micros)));
        Flow { opened: Some((asked, answered)), request: Some(answered), data, bytes }
    };
    (0..count).map(flow).collect()
}

/// Bits per second: 50 to 950 Mbit/s down and 10 to 300 up, the same for each CPE always; 1 Mbit/s to `slow.` hosts.
fn line_rate(direction: Direction, serial: &str, host: &str) -> u64 {
    if host.starts_with("slow.") {
        return 1_000_000;
    }
    let seed = fingerprint(&[serial, direction.way()]);
    let mbit = match direction {
        Direction::Download => 50 + pick(seed, 1, 901),
        Direction::Upload => 10 + pick(seed, 1, 291),
    };
    mbit * 1_000_000
}

/// Host and path of an `http` or `ftp` URL; other schemes have no transfer.
fn host_and_path(url: &str) -> Option<(String, String)> {
    if let Ok(target) = Target::parse(url) {
        return (!target.is_tls).then(|| (target.bare_host().to_owned(), target.path));
    }
    let rest = url.strip_prefix("ftp://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default();
    Some((host.to_owned(), path.to_owned()))
}

/// `100MB.bin`, `5GiB`, `512k`: the size that many speed-test files have in their names.
fn stated_size(file: &str) -> Option<u64> {
    let digits: String = file.chars().take_while(char::is_ascii_digit).collect();
    let rest = file.get(digits.len()..)?.to_ascii_lowercase();
    let mut rest = rest.chars();
    let power = match rest.next()? {
        'k' => 1,
        'm' => 2,
        'g' => 3,
        _ => return None,
    };
    let base: u64 = if rest.next() == Some('i') { 1024 } else { 1000 };
    digits.parse::<u64>().ok()?.checked_mul(base.pow(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(values: &'a Values, leaf: &str) -> Option<&'a Value> {
        values.iter().find(|(have, _)| have == leaf).map(|(_, value)| value)
    }

    #[test]
    fn the_numbers_of_an_imagined_download_agree_with_each_other() {
        let inputs = Inputs::with("SN", &[("DownloadURL", "http://files.example/100MB.bin")]);
        let finding = imagine(Direction::Download, &inputs);
        assert_eq!(finding.ending, Ending::Success);
        let (Some(Value::At(begin)), Some(Value::At(end))) =
            (find(&finding.values, "BOMTime"), find(&finding.values, "EOMTime"))
        else {
            panic!("no times")
        };
        assert_eq!(find(&finding.values, "TestBytesReceived"), Some(&Value::Bytes(100_000_240)));
        let seconds = end.saturating_sub(*begin).as_secs_f64();
        let mbit = 100_000_240.0 * 8.0 / seconds / 1e6;
        let line = line_rate(Direction::Download, "SN", "files.example") / 1_000_000;
        let line = f64::from(narrow(line));
        assert!(mbit <= line && mbit >= line * 0.9, "{mbit} of {line}");
        assert_eq!(*end, finding.duration);
    }

    #[test]
    fn several_connections_share_the_line_and_overlap() {
        let inputs = [
            ("UploadURL", "ftp://u@files.example:21/x"),
            ("TestFileLength", "1000000"),
            ("NumberOfConnections", "3"),
            ("EnablePerConnectionResults", "true"),
        ];
        let finding = imagine(Direction::Upload, &Inputs::with("SN", &inputs));
        assert_eq!(find(&finding.values, "TestBytesSent"), Some(&Value::Bytes(3 * 1_000_240)));
        assert_eq!(finding.tables[0].1.len(), 3);
        let Some(Value::Bytes(full)) = find(&finding.values, "TestBytesSentUnderFullLoading") else { panic!() };
        assert!(*full > 2_000_000 && *full <= 3_000_720, "{full}");
        assert!(matches!(find(&finding.values, "PeriodOfFullLoading"), Some(Value::Number(us)) if *us > 0));
    }

    #[test]
    fn a_time_based_test_lasts_as_long_as_asked_and_is_cut_into_intervals() {
        let inputs = [
            ("DownloadURL", "http://slow.example/x"),
            ("TimeBasedTestDuration", "10"),
            ("TimeBasedTestMeasurementInterval", "4"),
            ("DownloadDiagnosticsMaxIncrementalResult", "100"),
        ];
        let finding = imagine(Direction::Download, &Inputs::with("SN", &inputs));
        assert!((10..11).contains(&finding.duration.as_secs()));
        let (_, rows) = finding.tables.last().expect("a table");
        assert_eq!(rows.len(), 3);
    }

    #[test]
    fn the_url_decides_how_it_fails() {
        for (url, states) in [
            ("http://a.invalid/x", CANNOT_RESOLVE),
            ("http://198.51.100.1/x", NO_ROUTE),
            ("http://refused.example/x", REFUSED),
            ("http://192.0.2.1/x", NO_RESPONSE),
            ("http://files.example/404", BROKEN),
            ("https://files.example/x", REFUSED),
        ] {
            let finding = imagine(Direction::Download, &Inputs::with("SN", &[("DownloadURL", url)]));
            assert_eq!(finding.ending, Ending::Failed(states), "{url}");
            assert_eq!(find(&finding.values, "EOMTime"), None, "{url}");
        }
    }

    #[test]
    fn sizes_are_read_from_names() {
        for (name, size) in [
            ("100MB.bin", Some(100_000_000)),
            ("5GiB", Some(5 << 30)),
            ("512k", Some(512_000)),
            ("fw.bin", None),
            ("12", None),
        ] {
            assert_eq!(stated_size(name), size, "{name}");
        }
    }
}
