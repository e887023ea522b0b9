//! Where in a device's tree a test is.

use crate::model::device::DataModel;
use crate::model::device_type::NeighborScan;
use crate::model::diagnostic::{DiagnosticKind, DiagnosticOrder};

use super::inputs::inputs;

/// Where TR-181 has most tests, and what it says of them.
const PARENT: &str = "Device.IP.Diagnostics.";

/// An object with which a test is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The object, with its final dot.
    pub object: Box<str>,
    /// The parameter that starts the test and tells its state.
    pub state: Box<str>,
    /// The vendor's own scan, where it is one.
    pub scan: Option<Box<NeighborScan>>,
}

impl Site {
    fn standard(object: &str) -> Self {
        Self { object: object.into(), state: format!("{object}DiagnosticsState").into(), scan: None }
    }

    /// Of a vendor's own scan.
    #[must_use]
    pub fn vendor(scan: &NeighborScan) -> Self {
        let state = scan.state.as_str();
        let object = state.rfind('.').and_then(|dot| state.get(..=dot)).unwrap_or(state);
        Self { object: object.into(), state: state.into(), scan: Some(Box::new(scan.clone())) }
    }

    /// As it was kept with a test that has begun.
    #[must_use]
    pub fn kept(object: &str, scan: Option<&NeighborScan>) -> Self {
        scan.map_or_else(|| Self::standard(object), Self::vendor)
    }

    /// The word that starts the test.
    #[must_use]
    pub fn start(&self) -> &str {
        self.scan.as_ref().map_or("Requested", |scan| scan.start.as_str())
    }

    /// The word that says that there are results.
    #[must_use]
    pub fn complete(&self) -> &str {
        let done = self.scan.as_ref().and_then(|scan| scan.done.first());
        done.map_or("Complete", |done| done.as_str())
    }

    /// Whether the data model has a word to call the test off with: TR-181 alone, from 2.13 on.
    #[must_use]
    pub fn may_be_canceled(&self) -> bool {
        self.scan.is_none()
            && ["Device.IP.", "Device.DNS.", "Device.WiFi."].iter().any(|at| self.object.starts_with(at))
    }

    /// What is read besides the object itself once the test has ended: a table that lies elsewhere.
    #[must_use]
    pub fn table_elsewhere(&self) -> Option<&str> {
        let table = self.scan.as_ref()?.table.as_str();
        (!table.starts_with(&*self.object)).then_some(table)
    }

    /// The tables of the object: what an earlier test left there is no longer so.
    #[must_use]
    pub fn tables(&self, kind: DiagnosticKind) -> Vec<String> {
        if let Some(scan) = &self.scan {
            return vec![scan.table.as_str().to_owned()];
        }
        let names: &[&str] = match kind {
            DiagnosticKind::Download | DiagnosticKind::Upload => &["PerConnectionResult.", "IncrementalResult."],
            DiagnosticKind::IpPing => &[],
            DiagnosticKind::UdpEcho => &["IndividualPacketResult."],
            DiagnosticKind::Traceroute => &["RouteHops."],
            DiagnosticKind::DnsLookup | DiagnosticKind::WifiNeighbor => &["Result."],
        };
        names.iter().map(|name| format!("{}{name}", self.object)).collect()
    }

    /// Where TR-181 (2.8 and later) says whether the device can make the test at all. One for each version of IP: all of
    /// them false means no.
    #[must_use]
    pub fn capabilities(&self, kind: DiagnosticKind) -> Vec<String> {
        let name = match kind {
            DiagnosticKind::IpPing => "Ping",
            DiagnosticKind::Traceroute => "TraceRoute",
            DiagnosticKind::Download => "DownloadDiagnostics",
            DiagnosticKind::Upload => "UploadDiagnostics",
            DiagnosticKind::UdpEcho => "UDPEchoDiagnostics",
            DiagnosticKind::DnsLookup | DiagnosticKind::WifiNeighbor => return Vec::new(),
        };
        if !self.object.starts_with(PARENT) {
            return Vec::new();
        }
        [4, 6].into_iter().map(|version| format!("{PARENT}IPv{version}{name}Supported")).collect()
    }
}

/// Where a test may be in a data model, the likeliest first. A vendor's scan, where the type describes one for this tree,
/// stands in the place of the standard's.
#[must_use]
pub fn sites(kind: DiagnosticKind, model: DataModel, scan: Option<&NeighborScan>) -> Vec<Site> {
    if kind == DiagnosticKind::WifiNeighbor
        && let Some(scan) = scan
        && (model == DataModel::Unknown || DataModel::of_path(scan.state.as_str()) == model)
    {
        return vec![Site::vendor(scan)];
    }
    let objects: &[&str] = match kind {
        DiagnosticKind::IpPing => &[
            "Device.IP.Diagnostics.IPPing.",
            "Device.LAN.IPPingDiagnostics.",
            "InternetGatewayDevice.IPPingDiagnostics.",
        ],
        DiagnosticKind::Traceroute => &[
            "Device.IP.Diagnostics.TraceRoute.",
            "Device.LAN.TraceRouteDiagnostics.",
            "InternetGatewayDevice.TraceRouteDiagnostics.",
        ],
        DiagnosticKind::Download => &[
            "Device.IP.Diagnostics.DownloadDiagnostics.",
            "Device.DownloadDiagnostics.",
            "InternetGatewayDevice.DownloadDiagnostics.",
        ],
        DiagnosticKind::Upload => &[
            "Device.IP.Diagnostics.UploadDiagnostics.",
            "Device.UploadDiagnostics.",
            "InternetGatewayDevice.UploadDiagnostics.",
        ],
        // No version of TR-098 has it; that of TR-143 1.1 had.
        DiagnosticKind::UdpEcho => {
            &["Device.IP.Diagnostics.UDPEchoDiagnostics.", "InternetGatewayDevice.UDPEchoDiagnostics."]
        }
        DiagnosticKind::DnsLookup => &[
            "Device.DNS.Diagnostics.NSLookupDiagnostics.",
            "Device.NSLookupDiagnostics.",
            "InternetGatewayDevice.NSLookupDiagnostics.",
        ],
        DiagnosticKind::WifiNeighbor => &["Device.WiFi.NeighboringWiFiDiagnostic."],
    };
    let fits = |object: &&&str| model == DataModel::Unknown || DataModel::of_path(object) == model;
    objects.iter().filter(fits).map(|object| Site::standard(object)).collect()
}

/// All parameters that may be of interest before a test begins, of every site: what has to be looked up of the known tree.
#[must_use]
pub fn paths(order: &DiagnosticOrder, model: DataModel, scan: Option<&NeighborScan>) -> Vec<String> {
    let mut paths = Vec::new();
    for site in sites(order.kind, model, scan) {
        if site.scan.is_none() {
            paths.extend(inputs(order, None).iter().map(|input| format!("{}{}", site.object, input.leaf)));
        }
        paths.extend(site.capabilities(order.kind));
        paths.push(site.state.into());
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tree_has_its_own_objects() {
        let objects = |kind, model| -> Vec<String> {
            sites(kind, model, None).into_iter().map(|site| site.object.into()).collect()
        };
        assert_eq!(
            objects(DiagnosticKind::IpPing, DataModel::Device),
            ["Device.IP.Diagnostics.IPPing.", "Device.LAN.IPPingDiagnostics."]
        );
        assert_eq!(
            objects(DiagnosticKind::Traceroute, DataModel::InternetGatewayDevice),
            ["InternetGatewayDevice.TraceRouteDiagnostics."]
        );
        assert_eq!(objects(DiagnosticKind::Download, DataModel::Unknown).len(), 3);
        assert!(objects(DiagnosticKind::WifiNeighbor, DataModel::InternetGatewayDevice).is_empty());
        for kind in DiagnosticKind::ALL {
            assert!(!objects(kind, DataModel::Device).is_empty(), "{kind:?}");
        }
    }
}
