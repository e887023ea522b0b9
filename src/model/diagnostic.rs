//! Diagnostics: tests that a device runs by itself and reports when they are done (rest-api.md 2.4).

use serde::{Deserialize, Serialize};

/// Which test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DiagnosticKind {
    /// Speed of a download (TR-143).
    Download,
    /// Speed of an upload (TR-143).
    Upload,
    /// ICMP echo.
    IpPing,
    /// UDP echo, the CPE being the client (TR-143).
    UdpEcho,
    /// The way to a host.
    Traceroute,
    /// A look-up in the DNS.
    DnsLookup,
    /// The Wi-Fi networks around.
    WifiNeighbor,
}

impl DiagnosticKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Download,
        Self::Upload,
        Self::IpPing,
        Self::UdpEcho,
        Self::Traceroute,
        Self::DnsLookup,
        Self::WifiNeighbor,
    ];

    /// The API's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Upload => "upload",
            Self::IpPing => "ipping",
            Self::UdpEcho => "udpecho",
            Self::Traceroute => "traceroute",
            Self::DnsLookup => "dnslookup",
            Self::WifiNeighbor => "wifi.neighbor",
        }
    }

    /// Reads the API's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A test as it was ordered, in the API's units; `None`: not given, the test's default counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiagnosticOrder {
    /// Which test.
    pub kind: DiagnosticKind,
    /// URL, host, name, or band, as the test has it.
    pub target: String,
    /// Of an upload.
    pub upload_size: Option<UploadSize>,
    /// Packets, or repetitions of a look-up.
    pub count: Option<u32>,
    /// Bytes of a packet.
    pub size: Option<u32>,
    /// Seconds for each packet, hop or look-up.
    pub timeout_secs: Option<u32>,
    /// Of a traceroute.
    pub max_hops: Option<u32>,
    /// `wan`, `lan`, an alias or a path; `None`: the device chooses.
    pub interface: Option<String>,
}

/// How much an upload is to send, as it was given: in MB of 1,048,576 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UploadSize {
    /// As a text.
    Text(String),
    /// As a number.
    Number(u32),
}

impl UploadSize {
    /// Whole MB, from 1 on; `None`: it is no such number.
    #[must_use]
    pub fn megabytes(&self) -> Option<u32> {
        let megabytes = match self {
            Self::Text(text) => text.trim().parse().ok()?,
            Self::Number(number) => *number,
        };
        (megabytes > 0).then_some(megabytes)
    }
}
