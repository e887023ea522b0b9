//! What came of a test, computed from what the device said.

mod dns;
mod echo;
mod route;
mod scan;
mod speed;

pub use dns::{Lookup, Lookups};
pub use echo::Echo;
pub use route::{Hop, Route};
pub use scan::{Network, Scan};
pub use speed::Speed;

use crate::model::diagnostic::{DiagnosticKind, DiagnosticOrder};
use crate::model::procedure::TestProgress;
use crate::model::transaction::VariableResult;

use super::readings::Readings;
use super::site::Site;
use super::state::TestState;

/// Numbers of a test that has ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Findings {
    /// Of a download.
    Download(Speed),
    /// Of an upload.
    Upload(Speed),
    /// Of a ping or a UDP echo.
    Echo(Echo),
    /// Of a traceroute.
    Route(Route),
    /// Of look-ups in the DNS.
    Lookups(Lookups),
    /// Of a scan for Wi-Fi networks.
    Scan(Scan),
}

impl Findings {
    /// Whether the numbers that the test was made for are there.
    #[must_use]
    pub fn is_success(&self) -> bool {
        match self {
            Self::Download(speed) | Self::Upload(speed) => speed.mbps.is_some(),
            Self::Echo(echo) => echo.sent > 0,
            Self::Route(route) => !route.hops.is_empty(),
            Self::Lookups(_) | Self::Scan(_) => true,
        }
    }
}

/// Computes what came of a test.
#[must_use]
pub fn findings(order: &DiagnosticOrder, test: &TestProgress, results: &[VariableResult]) -> Findings {
    let site = Site::kept(&test.object, test.scan.as_deref());
    let readings = Readings::new(results, &site.object);
    match order.kind {
        DiagnosticKind::Download => Findings::Download(speed::download(readings, order)),
        DiagnosticKind::Upload => Findings::Upload(speed::upload(readings, order)),
        DiagnosticKind::IpPing => Findings::Echo(echo::ping(readings)),
        DiagnosticKind::UdpEcho => Findings::Echo(echo::udp(readings)),
        DiagnosticKind::Traceroute => Findings::Route(route::route(readings)),
        DiagnosticKind::DnsLookup => Findings::Lookups(dns::lookups(readings)),
        DiagnosticKind::WifiNeighbor => Findings::Scan(scan::scan(readings, site.scan.as_deref(), &order.target)),
    }
}

/// The error state that a test ended in, word for word.
#[must_use]
pub fn error_state<'r>(test: &TestProgress, results: &'r [VariableResult]) -> Option<&'r str> {
    let site = Site::kept(&test.object, test.scan.as_deref());
    let result = results.iter().rev().find(|result| result.path == site.state)?;
    let word = result.value.as_deref()?.trim();
    (TestState::read(word, site.scan.as_deref()) == TestState::Failed).then_some(word)
}

#[cfg(test)]
fn readings_of(object: &str, values: &[(&str, &str)]) -> Vec<VariableResult> {
    let result = |(leaf, value): &(&str, &str)| VariableResult {
        variable: 0,
        path: format!("{object}{leaf}").into(),
        value: Some((*value).into()),
        ty: None,
        instance_number: None,
        fault: None,
    };
    values.iter().map(result).collect()
}
