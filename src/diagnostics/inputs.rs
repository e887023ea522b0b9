//! What a test is run with: the order of the API in the parameters and units of the data models.

use crate::model::diagnostic::{DiagnosticKind, DiagnosticOrder, UploadSize};
use crate::types::value::XsdType;

/// Bytes of one MB of the API.
const MEGABYTE: u64 = 1_048_576;
/// MB that an upload sends when nothing is said.
pub const UPLOAD_MEGABYTES: u32 = 10;
/// Seconds that a ping, an echo or a look-up waits when nothing is said.
pub const TIMEOUT_SECS: u32 = 1;
/// The same of a traceroute, for each try at each hop.
pub const TRACE_TIMEOUT_SECS: u32 = 2;
/// Packets of a ping or an echo when nothing is said.
pub const COUNT: u32 = 5;
/// Bytes of a packet when nothing is said.
pub const SIZE: u32 = 64;
/// Bytes of a packet of a traceroute, as the data models have it.
pub const TRACE_SIZE: u32 = 38;
/// Hops of a traceroute when nothing is said.
pub const MAX_HOPS: u32 = 30;
/// Tries at each hop: the API has no word for it.
pub const TRIES: u32 = 3;
/// UDP echo (RFC 862).
pub const ECHO_PORT: u16 = 7;

/// An input of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Relative to the object.
    pub leaf: &'static str,
    /// What it is to be.
    pub value: String,
    /// As the data models have it; a device may report another one.
    pub ty: XsdType,
    /// Whether it is written at any rate.
    pub need: Need,
}

/// Whether an input is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Without it there is no test.
    Target,
    /// Always, where the device has it.
    Always,
    /// Only when an earlier test left something else: nobody asked for it, and some devices refuse it.
    IfOther,
}

/// The inputs of a test, but for `DiagnosticsState`; `interface` is the path that was found for the order's interface.
#[must_use]
pub fn inputs(order: &DiagnosticOrder, interface: Option<&str>) -> Vec<Input> {
    let text = |leaf, value: &str, need| Input { leaf, value: value.to_owned(), ty: XsdType::String, need };
    let number =
        |leaf, value: u64| Input { leaf, value: value.to_string(), ty: XsdType::UnsignedInt, need: Need::Always };
    let unasked = |leaf, value: &str, ty| Input { leaf, value: value.to_owned(), ty, need: Need::IfOther };
    let count = |default| number("NumberOfRepetitions", order.count.unwrap_or(default).into());
    let size = |default| number("DataBlockSize", order.size.unwrap_or(default).into());
    let timeout = |default: u32| number("Timeout", u64::from(order.timeout_secs.unwrap_or(default)) * 1000);
    let dscp = || unasked("DSCP", "0", XsdType::UnsignedInt);
    let version = || unasked("ProtocolVersion", "Any", XsdType::String);
    let interface = match interface {
        Some(path) => text("Interface", path, Need::Always),
        None => text("Interface", "", Need::IfOther),
    };
    let transfer = || {
        [
            dscp(),
            version(),
            unasked("EthernetPriority", "0", XsdType::UnsignedInt),
            unasked("TimeBasedTestDuration", "0", XsdType::UnsignedInt),
            unasked("TimeBasedTestMeasurementInterval", "0", XsdType::UnsignedInt),
            unasked("TimeBasedTestMeasurementOffset", "0", XsdType::UnsignedInt),
            unasked("NumberOfConnections", "1", XsdType::UnsignedInt),
        ]
    };
    let target = |leaf| text(leaf, &order.target, Need::Target);
    let mut all = match order.kind {
        DiagnosticKind::Download => Vec::from([target("DownloadURL")]),
        DiagnosticKind::Upload => Vec::from([target("UploadURL"), number("TestFileLength", upload_bytes(order))]),
        DiagnosticKind::IpPing => vec![target("Host"), count(COUNT), timeout(TIMEOUT_SECS), size(SIZE)],
        DiagnosticKind::UdpEcho => {
            let (host, port) = echo_target(&order.target);
            let port = number("Port", port.unwrap_or(ECHO_PORT).into());
            vec![text("Host", host, Need::Target), port, count(COUNT), timeout(TIMEOUT_SECS), size(SIZE)]
        }
        DiagnosticKind::Traceroute => vec![
            target("Host"),
            number("NumberOfTries", TRIES.into()),
            timeout(TRACE_TIMEOUT_SECS),
            size(TRACE_SIZE),
            number("MaxHopCount", order.max_hops.unwrap_or(MAX_HOPS).into()),
        ],
        DiagnosticKind::DnsLookup => vec![target("HostName"), timeout(TIMEOUT_SECS), count(1)],
        DiagnosticKind::WifiNeighbor => return Vec::new(),
    };
    match order.kind {
        DiagnosticKind::Download | DiagnosticKind::Upload => all.extend(transfer()),
        DiagnosticKind::DnsLookup => all.push(unasked("DNSServer", "", XsdType::String)),
        DiagnosticKind::IpPing | DiagnosticKind::UdpEcho | DiagnosticKind::Traceroute => {
            all.extend([dscp(), version()]);
        }
        DiagnosticKind::WifiNeighbor => {}
    }
    all.insert(0, interface);
    all
}

/// Bytes that an upload is to send.
#[must_use]
pub fn upload_bytes(order: &DiagnosticOrder) -> u64 {
    let megabytes = order.upload_size.as_ref().and_then(UploadSize::megabytes).unwrap_or(UPLOAD_MEGABYTES);
    u64::from(megabytes) * MEGABYTE
}

/// The host and the port of `host`, `host:port`, `[2001:db8::1]:port` or a bare IPv6 address. A port that is none is `None`.
#[must_use]
pub fn echo_target(target: &str) -> (&str, Option<u16>) {
    let target = target.trim();
    if let Some((address, rest)) = target.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (address, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match target.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, port.parse().ok()),
        Some(_) | None => (target, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(kind: DiagnosticKind, target: &str) -> DiagnosticOrder {
        DiagnosticOrder {
            kind,
            target: target.to_owned(),
            upload_size: None,
            count: None,
            size: None,
            timeout_secs: None,
            max_hops: None,
            interface: None,
        }
    }

    fn written(order: &DiagnosticOrder, interface: Option<&str>) -> Vec<String> {
        let all = inputs(order, interface);
        all.iter().filter(|one| one.need != Need::IfOther).map(|one| format!("{}={}", one.leaf, one.value)).collect()
    }

    #[test]
    fn defaults_are_those_of_the_api_in_units_of_the_device() {
        let table = [
            (DiagnosticKind::IpPing, "h", vec!["Host=h", "NumberOfRepetitions=5", "Timeout=1000", "DataBlockSize=64"]),
            (DiagnosticKind::DnsLookup, "h", vec!["HostName=h", "Timeout=1000", "NumberOfRepetitions=1"]),
            (
                DiagnosticKind::Traceroute,
                "h",
                vec!["Host=h", "NumberOfTries=3", "Timeout=2000", "DataBlockSize=38", "MaxHopCount=30"],
            ),
            (
                DiagnosticKind::UdpEcho,
                "h:4000",
                vec!["Host=h", "Port=4000", "NumberOfRepetitions=5", "Timeout=1000", "DataBlockSize=64"],
            ),
            (DiagnosticKind::Download, "http://a/b", vec!["DownloadURL=http://a/b"]),
            (DiagnosticKind::Upload, "http://a/b", vec!["UploadURL=http://a/b", "TestFileLength=10485760"]),
            (DiagnosticKind::WifiNeighbor, "all", vec![]),
        ];
        for (kind, target, want) in table {
            assert_eq!(written(&order(kind, target), None), want, "{kind:?}");
        }
    }

    #[test]
    fn what_an_earlier_transfer_left_behind_is_undone() {
        let want = [
            "Interface=",
            "DSCP=0",
            "ProtocolVersion=Any",
            "EthernetPriority=0",
            "TimeBasedTestDuration=0",
            "TimeBasedTestMeasurementInterval=0",
            "TimeBasedTestMeasurementOffset=0",
            "NumberOfConnections=1",
        ];
        for kind in DiagnosticKind::ALL {
            let all = inputs(&order(kind, "http://a/b"), None);
            let undone = all.iter().filter(|one| one.need == Need::IfOther);
            let undone: Vec<_> = undone.map(|one| format!("{}={}", one.leaf, one.value)).collect();
            let is_transfer = matches!(kind, DiagnosticKind::Download | DiagnosticKind::Upload);
            assert_eq!(undone == want, is_transfer, "{kind:?}: {undone:?}");
        }
    }

    #[test]
    fn what_was_asked_is_converted() {
        let ping = DiagnosticOrder {
            count: Some(10),
            size: Some(1400),
            timeout_secs: Some(3),
            ..order(DiagnosticKind::IpPing, "8.8.8.8")
        };
        let want = ["Interface=D.I.1", "Host=8.8.8.8", "NumberOfRepetitions=10", "Timeout=3000", "DataBlockSize=1400"];
        assert_eq!(written(&ping, Some("D.I.1")), want);
        let upload = DiagnosticOrder {
            upload_size: Some(UploadSize::Text("100".to_owned())),
            ..order(DiagnosticKind::Upload, "http://a/")
        };
        assert_eq!(upload_bytes(&upload), 104_857_600);
        let large = DiagnosticOrder { upload_size: Some(UploadSize::Number(8192)), ..upload };
        assert_eq!(upload_bytes(&large), 8_589_934_592);
    }

    #[test]
    fn echo_targets_are_taken_apart() {
        let table = [
            ("h", ("h", None)),
            ("h:7000", ("h", Some(7000))),
            ("10.0.0.1:7", ("10.0.0.1", Some(7))),
            ("2001:db8::1", ("2001:db8::1", None)),
            ("[2001:db8::1]:9", ("2001:db8::1", Some(9))),
            ("[2001:db8::1]", ("2001:db8::1", None)),
            ("h:x", ("h", None)),
        ];
        for (text, want) in table {
            assert_eq!(echo_target(text), want, "{text}");
        }
    }
}
