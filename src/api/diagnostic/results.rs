//! How what came of tests looks in answers.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::api::ledger::Entry;
use crate::diagnostics::channels::Band;
use crate::diagnostics::findings::{
    Echo, Findings, Hop, Lookup, Lookups, Network, Route, Scan, Speed, error_state, findings,
};
use crate::model::diagnostic::DiagnosticOrder;
use crate::model::procedure::{Stage, TestProgress};
use crate::model::transaction::TransactionStatus;

/// A number; a whole one is written without a point.
#[derive(Debug, Clone, Copy, PartialEq, ToSchema)]
#[schema(value_type = f64)]
pub(in crate::api) struct Figure(f64);

impl Serialize for Figure {
    #[expect(clippy::cast_possible_truncation, reason = "whole, and small enough to be exact")]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(number) = *self;
        if number.fract() == 0.0 && number.abs() < 9e15 {
            serializer.serialize_i64(number as i64)
        } else {
            serializer.serialize_f64(number)
        }
    }
}

/// What came of a test: which of these it is, the operation tells.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = DiagnosticResults)]
pub(in crate::api) enum ResultsView {
    /// It failed.
    Failed(FailedView),
    /// `download`.
    Download(DownloadView),
    /// `upload`.
    Upload(UploadView),
    /// `ipping`, `udpecho`.
    Echo(EchoView),
    /// `traceroute`.
    Route(RouteView),
    /// `dnslookup`.
    Lookups(LookupsView),
    /// `wifi.neighbor`.
    Scan(ScanView),
}

/// Of a test that failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DiagnosticFailure)]
pub(in crate::api) struct FailedView {
    success: bool,
    /// The device's `DiagnosticsState`, or in words why there is none.
    #[schema(example = "Error_CannotResolveHostName")]
    error: String,
    /// Of a `traceroute`: how far it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    hop_count: Option<usize>,
    /// Of a `traceroute`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    hops: Option<Vec<HopView>>,
    /// Of a `dnslookup`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    lookups: Option<Vec<LookupView>>,
}

/// Of a `download`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DownloadResults)]
pub(in crate::api) struct DownloadView {
    /// Null: the device's numbers give none.
    #[schema(value_type = Option<f64>)]
    download_speed_mbps: Option<Figure>,
    bytes_downloaded: Option<u64>,
    /// From the first packet to the last.
    #[schema(value_type = Option<f64>)]
    duration_seconds: Option<Figure>,
    success: bool,
    /// What is odd about the device's numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    note: Option<&'static str>,
}

/// Of an `upload`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UploadResults)]
pub(in crate::api) struct UploadView {
    /// Null: the device's numbers give none.
    #[schema(value_type = Option<f64>)]
    upload_speed_mbps: Option<Figure>,
    bytes_uploaded: Option<u64>,
    /// From the first packet to the last.
    #[schema(value_type = Option<f64>)]
    duration_seconds: Option<Figure>,
    success: bool,
    /// What is odd about the device's numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    note: Option<&'static str>,
}

/// Of an `ipping` or `udpecho`. A test of which no packet was answered has run all the same.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EchoResults)]
pub(in crate::api) struct EchoView {
    packets_sent: u64,
    packets_received: u64,
    /// Null: none was sent.
    #[schema(value_type = Option<f64>)]
    packet_loss_percent: Option<Figure>,
    /// Null: none was answered.
    #[schema(value_type = Option<f64>)]
    min_rtt_ms: Option<Figure>,
    #[schema(value_type = Option<f64>)]
    max_rtt_ms: Option<Figure>,
    #[schema(value_type = Option<f64>)]
    avg_rtt_ms: Option<Figure>,
    success: bool,
}

/// Of a `traceroute`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TracerouteResults)]
pub(in crate::api) struct RouteView {
    hop_count: usize,
    /// Null: the target was not reached.
    #[schema(value_type = Option<f64>)]
    response_time_ms: Option<Figure>,
    hops: Vec<HopView>,
    success: bool,
}

/// A router on the way.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TracerouteHop)]
pub(in crate::api) struct HopView {
    /// From 1 on.
    hop: usize,
    /// Null: it stayed silent.
    host: Option<String>,
    address: Option<String>,
    /// Of each try; null: no answer came.
    #[schema(value_type = Vec<Option<f64>>)]
    rtt_ms: Vec<Option<Figure>>,
    /// ICMP code; 0 is none.
    error_code: u64,
}

/// Of a `dnslookup`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LookupResults)]
pub(in crate::api) struct LookupsView {
    lookups: Vec<LookupView>,
    success_count: u64,
    success: bool,
}

/// One repetition.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LookupResult)]
pub(in crate::api) struct LookupView {
    #[schema(example = "Success")]
    status: Option<String>,
    #[schema(example = "NonAuthoritative")]
    answer_type: Option<String>,
    host_name: Option<String>,
    addresses: Vec<String>,
    dns_server: Option<String>,
    #[schema(value_type = Option<f64>)]
    response_time_ms: Option<Figure>,
}

/// Of a `wifi.neighbor`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScanResults)]
pub(in crate::api) struct ScanView {
    networks_found: usize,
    strongest_signal_dbm: Option<i64>,
    /// Percent by channel, estimated from the scan.
    channel_utilization: BTreeMap<u32, u32>,
    recommended_channel: Option<u32>,
    /// The same for each band.
    recommended_channels: BTreeMap<&'static str, u32>,
    networks: Vec<NetworkView>,
    success: bool,
}

/// A network that was heard.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScanNetwork)]
pub(in crate::api) struct NetworkView {
    /// Empty: hidden.
    ssid: String,
    bssid: Option<String>,
    channel: Option<u32>,
    #[schema(example = "2.4GHz")]
    band: Option<&'static str>,
    #[schema(example = "20MHz")]
    bandwidth: Option<String>,
    signal_dbm: Option<i64>,
    #[schema(example = "WPA2")]
    security: Option<String>,
    #[schema(example = "n,ac")]
    standards: Option<String>,
}

fn figure(number: Option<f64>) -> Option<Figure> {
    number.map(Figure)
}

impl FailedView {
    /// With what is known all the same.
    fn of(error: String, known: Findings) -> Self {
        let (hops, lookups) = match known {
            Findings::Route(route) if !route.hops.is_empty() => (Some(HopView::all(route.hops)), None),
            Findings::Lookups(found) if !found.lookups.is_empty() => (None, Some(LookupView::all(found.lookups))),
            Findings::Download(_)
            | Findings::Upload(_)
            | Findings::Echo(_)
            | Findings::Route(_)
            | Findings::Lookups(_)
            | Findings::Scan(_) => (None, None),
        };
        Self { success: false, error, hop_count: hops.as_ref().map(Vec::len), hops, lookups }
    }
}

impl ResultsView {
    /// `None`: nothing came of it, or not yet.
    pub(super) fn of(entry: &Entry<'_>, order: &DiagnosticOrder) -> Option<Self> {
        let Entry { transaction, results, .. } = entry;
        let none = TestProgress::default();
        let test = match transaction.progress.stage.as_deref() {
            Some(Stage::Test(test)) => test,
            Some(_) | None => &none,
        };
        match transaction.status {
            TransactionStatus::Completed => Some(Self::found(findings(order, test, results))),
            TransactionStatus::Failed => {
                let fault = transaction.fault.as_ref().map_or("", |fault| fault.message.as_str());
                let error = error_state(test, results).unwrap_or(fault).to_owned();
                Some(Self::Failed(FailedView::of(error, findings(order, test, results))))
            }
            TransactionStatus::Scheduled
            | TransactionStatus::InProgress
            | TransactionStatus::Expired
            | TransactionStatus::Canceled => None,
        }
    }

    fn found(found: Findings) -> Self {
        let success = found.is_success();
        match found {
            Findings::Download(Speed { mbps, bytes, secs, note }) => Self::Download(DownloadView {
                download_speed_mbps: figure(mbps),
                bytes_downloaded: bytes,
                duration_seconds: figure(secs),
                success,
                note,
            }),
            Findings::Upload(Speed { mbps, bytes, secs, note }) => Self::Upload(UploadView {
                upload_speed_mbps: figure(mbps),
                bytes_uploaded: bytes,
                duration_seconds: figure(secs),
                success,
                note,
            }),
            Findings::Echo(Echo { sent, received, loss_percent, min_ms, max_ms, avg_ms }) => Self::Echo(EchoView {
                packets_sent: sent,
                packets_received: received,
                packet_loss_percent: figure(loss_percent),
                min_rtt_ms: figure(min_ms),
                max_rtt_ms: figure(max_ms),
                avg_rtt_ms: figure(avg_ms),
                success,
            }),
            Findings::Route(Route { hops, response_time_ms }) => Self::Route(RouteView {
                hop_count: hops.len(),
                response_time_ms: figure(response_time_ms),
                hops: HopView::all(hops),
                success,
            }),
            Findings::Lookups(Lookups { lookups, success_count }) => {
                Self::Lookups(LookupsView { lookups: LookupView::all(lookups), success_count, success })
            }
            Findings::Scan(scan) => Self::Scan(ScanView::of(scan, success)),
        }
    }
}

impl HopView {
    fn all(hops: Vec<Hop>) -> Vec<Self> {
        let view = |(hop, Hop { host, address, rtt_ms, error_code })| Self {
            hop,
            host,
            address,
            rtt_ms: rtt_ms.into_iter().map(figure).collect(),
            error_code,
        };
        (1..).zip(hops).map(view).collect()
    }
}

impl LookupView {
    fn all(lookups: Vec<Lookup>) -> Vec<Self> {
        let view = |lookup: Lookup| Self {
            status: lookup.status,
            answer_type: lookup.answer_type,
            host_name: lookup.host_name,
            addresses: lookup.addresses,
            dns_server: lookup.dns_server,
            response_time_ms: figure(lookup.response_time_ms),
        };
        lookups.into_iter().map(view).collect()
    }
}

impl ScanView {
    fn of(scan: Scan, success: bool) -> Self {
        let strongest_signal_dbm = scan.strongest_dbm();
        let Scan { networks, utilization, recommended, recommended_by_band } = scan;
        let network = |network: Network| NetworkView {
            ssid: network.ssid,
            bssid: network.bssid,
            channel: network.channel,
            band: network.band.map(Band::as_str),
            bandwidth: network.bandwidth,
            signal_dbm: network.signal_dbm,
            security: network.security,
            standards: network.standards,
        };
        Self {
            networks_found: networks.len(),
            strongest_signal_dbm,
            channel_utilization: utilization,
            recommended_channel: recommended,
            recommended_channels: recommended_by_band
                .into_iter()
                .map(|(band, channel)| (band.as_str(), channel))
                .collect(),
            networks: networks.into_iter().map(network).collect(),
            success,
        }
    }
}
