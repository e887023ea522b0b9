//! Diagnostics: the state machine that all tests have in common (TR-181, `DiagnosticsState`; TR-143), and the tests.
//!
//! An object is a test when it has a writable `DiagnosticsState`; which one, its name tells, whatever the model's root.
//! The ACS writes `Requested`; the test begins when the session is over and reads `Requested` until it ends; then the
//! results are there and `8 DIAGNOSTICS COMPLETE` is due. Writing anything else into the object, or a reboot, takes a
//! running test and its results away.

mod echo;
mod finding;
mod lookup;
mod measure;
mod network;
mod route;
mod scan;
mod throughput;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::finding::{Ending, Finding, Inputs};
use self::throughput::Direction;
use super::cpe::Shared;
use super::misbehave::Misbehaviour;
use super::model::Limit;
use super::report::Event;
use super::state::{State, wall_clock};
use crate::types::event::EventCode;

/// How long a test takes whose end was chosen, and any test that is not simulated in detail.
const PLAIN_DURATION: Duration = Duration::from_secs(1);

/// A kind of test, by the names that the REST API has for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TestKind {
    /// `DownloadDiagnostics`.
    Download,
    /// `UploadDiagnostics`.
    Upload,
    /// `IPPing`, `IPPingDiagnostics`.
    IpPing,
    /// `UDPEchoDiagnostics`.
    UdpEcho,
    /// `TraceRoute`, `TraceRouteDiagnostics`.
    TraceRoute,
    /// `NSLookupDiagnostics`.
    DnsLookup,
    /// `NeighboringWiFiDiagnostic`, and any vendor's object with `Neighbor` in its name.
    WifiNeighbor,
    /// Any other object with a `DiagnosticsState`: it succeeds without results.
    SelfTest,
}

impl TestKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Download,
        Self::Upload,
        Self::IpPing,
        Self::UdpEcho,
        Self::TraceRoute,
        Self::DnsLookup,
        Self::WifiNeighbor,
        Self::SelfTest,
    ];

    /// `ipping`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Upload => "upload",
            Self::IpPing => "ipping",
            Self::UdpEcho => "udpecho",
            Self::TraceRoute => "traceroute",
            Self::DnsLookup => "dnslookup",
            Self::WifiNeighbor => "wifi.neighbor",
            Self::SelfTest => "selftest",
        }
    }

    fn of_object(object: &str) -> Self {
        match object.trim_end_matches('.').rsplit('.').next().unwrap_or_default() {
            "DownloadDiagnostics" => Self::Download,
            "UploadDiagnostics" => Self::Upload,
            "IPPing" | "IPPingDiagnostics" => Self::IpPing,
            "UDPEchoDiagnostics" => Self::UdpEcho,
            "TraceRoute" | "TraceRouteDiagnostics" => Self::TraceRoute,
            "NSLookupDiagnostics" => Self::DnsLookup,
            name if name.contains("Neighbor") => Self::WifiNeighbor,
            _ => Self::SelfTest,
        }
    }
}

impl fmt::Display for TestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How every test of a kind ends, whatever it is asked: `ipping=Error_Internal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenEnd {
    /// Which tests.
    pub kind: TestKind,
    /// What their `DiagnosticsState` then reads, whether the model has that state or not.
    pub state: String,
}

/// Why a `--diagnostics-error` was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must look like KIND=STATE with a kind of download, upload, ipping, udpecho, traceroute, dnslookup, wifi.neighbor, \
     selftest, such as ipping=Error_Internal"
)]
pub struct ChosenEndError;

impl FromStr for ChosenEnd {
    type Err = ChosenEndError;

    fn from_str(text: &str) -> Result<Self, ChosenEndError> {
        let (kind, state) = text.trim().split_once('=').ok_or(ChosenEndError)?;
        let kind = TestKind::ALL.into_iter().find(|known| known.as_str() == kind).ok_or(ChosenEndError)?;
        if state.is_empty() || state.contains(char::is_whitespace) {
            return Err(ChosenEndError);
        }
        Ok(Self { kind, state: state.to_owned() })
    }
}

/// A test that was requested and is not over.
#[derive(Debug)]
pub(super) enum Test {
    /// It begins when the session is over.
    Waiting,
    /// It runs until it ends or is told to stop.
    Running(CancellationToken),
}

/// A test that begins now.
#[derive(Debug)]
pub(super) struct TestJob {
    object: String,
    kind: TestKind,
    inputs: Inputs,
    stop: CancellationToken,
}

/// The object of a test, if this parameter belongs to one.
pub(super) fn object_of<'a>(state: &State, path: &'a str) -> Option<&'a str> {
    let object = path.get(..=path.rfind('.')?)?;
    state.tree.parameter(&format!("{object}DiagnosticsState")).filter(|spec| spec.writable).map(|_| object)
}

/// Whether an ACS may write this value there, beyond what the model says.
pub(super) fn accepts(state: &State, path: &str, value: &str) -> bool {
    let Some(object) = object_of(state, path) else { return true };
    match path.get(object.len()..) {
        Some("DiagnosticsState") => match value {
            "Requested" => true,
            "Canceled" => match state.tree.parameter(path).map(|spec| &spec.limit) {
                Some(Limit::OneOf(words)) => words.iter().any(|word| **word == *"Canceled"),
                _ => false,
            },
            _ => false,
        },
        Some("Interface") => is_interface(state, value),
        _ => true,
    }
}

/// The full path of a row that exists, or nothing. Without the final dot, unless the CPE is one that wants it.
fn is_interface(state: &State, path: &str) -> bool {
    let wants_dot = state.config.has(&Misbehaviour::InterfaceWithDot);
    if path.is_empty() {
        return true;
    }
    let row = match (path.strip_suffix('.'), wants_dot) {
        (Some(_), true) => path.to_owned(),
        (None, false) => format!("{path}."),
        _ => return false,
    };
    let last = row.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    state.object(&row).is_some() && last.bytes().all(|byte| byte.is_ascii_digit())
}

impl State {
    /// The ACS wrote a parameter of a test's object.
    pub(super) fn test_written(&mut self, object: &str, leaf: &str, value: &str, now: Instant) {
        if leaf != "DiagnosticsState" || value != "Requested" {
            self.drop_test(object);
            return;
        }
        self.drop_test(object);
        self.tree.set(&format!("{object}DiagnosticsState"), "Requested");
        finding::forget(self, object);
        if self.config.has(&Misbehaviour::DiagnosticInSession) {
            let kind = TestKind::of_object(object);
            let finding = chosen_end(self, kind).unwrap_or_else(|| imagine(kind, &Inputs::of(self, object)));
            self.test_ended(object, &finding, now);
        } else {
            self.tests.insert(object.to_owned(), Test::Waiting);
        }
    }

    /// A test is over, or never was: `None`.
    fn drop_test(&mut self, object: &str) {
        if let Some(Test::Running(stop)) = self.tests.remove(object) {
            stop.cancel();
        }
        self.tree.set(&format!("{object}DiagnosticsState"), "None");
    }

    /// A reboot: no test runs, and no result survives.
    pub(super) fn drop_tests(&mut self) {
        for (_, test) in std::mem::take(&mut self.tests) {
            if let Test::Running(stop) = test {
                stop.cancel();
            }
        }
        for object in std::mem::take(&mut self.tested) {
            finding::forget(self, &object);
            self.tree.set(&format!("{object}DiagnosticsState"), "None");
        }
        self.events.retain(|event| event.code != EventCode::DiagnosticsComplete);
    }

    /// The tests that wait for nothing any more: they run from now on.
    pub(super) fn tests_due(&mut self) -> Vec<TestJob> {
        let waiting = |test: &Test| matches!(test, Test::Waiting);
        let objects: Vec<String> =
            self.tests.iter().filter(|(_, test)| waiting(test)).map(|(object, _)| object.clone()).collect();
        let mut jobs = Vec::with_capacity(objects.len());
        for object in objects {
            let stop = CancellationToken::new();
            self.tests.insert(object.clone(), Test::Running(stop.clone()));
            self.tested.insert(object.clone());
            jobs.push(TestJob { kind: TestKind::of_object(&object), inputs: Inputs::of(self, &object), object, stop });
        }
        jobs
    }

    fn test_ended(&mut self, object: &str, finding: &Finding, now: Instant) {
        self.tests.remove(object);
        self.tested.insert(object.to_owned());
        let ending = finding::record(self, object, finding, wall_clock());
        if let Some(counters) = &self.config.counters {
            counters.diagnostic(TestKind::of_object(object), &ending);
        }
        if !self.config.has(&Misbehaviour::NoEvent8) {
            self.has_fresh_result = true;
            self.push_event(Event::plain(EventCode::DiagnosticsComplete));
            self.want_session(now);
        }
    }
}

/// Runs a test to its end, unless it is stopped.
pub(super) async fn run(shared: Arc<Shared>, job: TestJob) {
    let ended = tokio::select! {
        () = job.stop.cancelled() => return,
        ended = carry_out(&shared, &job) => ended,
    };
    let mut state = shared.state.lock();
    if job.stop.is_cancelled() {
        return;
    }
    match ended {
        Some(finding) => state.test_ended(&job.object, &finding, Instant::now()),
        None => state.crash(Instant::now()),
    }
}

/// What the test comes to, after the time it takes; `None` when the CPE reboots in the middle.
async fn carry_out(shared: &Shared, job: &TestJob) -> Option<Finding> {
    let config = &shared.config;
    let chosen = chosen_end(&shared.state.lock(), job.kind);
    let direction = match job.kind {
        TestKind::Download => Some(Direction::Download),
        TestKind::Upload => Some(Direction::Upload),
        _ => None,
    };
    let reboots = config.has(&Misbehaviour::RebootDuringTest);
    let target = direction.and_then(|direction| network::loopback_target(job.inputs.text(direction.url_leaf())));
    if let (Some(direction), Some(target), None, false) = (direction, target, &chosen, reboots) {
        return Some(measure::run(config, direction, &job.inputs, target).await);
    }
    let finding = chosen.unwrap_or_else(|| imagine(job.kind, &job.inputs));
    let share = if reboots { finding.duration / 2 } else { finding.duration };
    tokio::time::sleep(config.scaled(share)).await;
    (!reboots).then_some(finding)
}

fn chosen_end(state: &State, kind: TestKind) -> Option<Finding> {
    let chosen = state.config.diagnostics_ends.iter().find(|chosen| chosen.kind == kind)?;
    Some(Finding { ending: Ending::Exactly(chosen.state.clone()), ..Finding::success(PLAIN_DURATION) })
}

fn imagine(kind: TestKind, inputs: &Inputs) -> Finding {
    match kind {
        TestKind::Download => throughput::imagine(Direction::Download, inputs),
        TestKind::Upload => throughput::imagine(Direction::Upload, inputs),
        TestKind::IpPing => echo::ping(inputs),
        TestKind::UdpEcho => echo::udp_echo(inputs),
        TestKind::TraceRoute => route::trace(inputs),
        TestKind::DnsLookup => lookup::look_up(inputs),
        TestKind::WifiNeighbor => scan::scan(inputs),
        TestKind::SelfTest => Finding::success(PLAIN_DURATION),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::config::CpeConfig;
    use crate::simulator::model::DataModel;

    #[test]
    fn the_object_s_name_tells_the_test() {
        for (object, kind) in [
            ("Device.IP.Diagnostics.IPPing.", TestKind::IpPing),
            ("Device.LAN.IPPingDiagnostics.", TestKind::IpPing),
            (
                "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.X_ACSD_NeighborDiagnostic.",
                TestKind::WifiNeighbor,
            ),
            ("Device.SelfTestDiagnostics.", TestKind::SelfTest),
        ] {
            assert_eq!(TestKind::of_object(object), kind, "{object}");
        }
        let chosen = ChosenEnd { kind: TestKind::WifiNeighbor, state: "Error".into() };
        assert_eq!("wifi.neighbor=Error".parse(), Ok(chosen));
        assert_eq!("ping=Error".parse::<ChosenEnd>(), Err(ChosenEndError));
    }

    #[tokio::test(start_paused = true)]
    async fn only_rows_that_exist_are_interfaces() {
        let mut config = CpeConfig::new("http://acs/");
        let state = |config: &CpeConfig| State::new(Arc::new(config.clone()), String::new(), Instant::now());
        let path = "Device.IP.Diagnostics.IPPing.Interface";
        for (value, is_right) in [
            ("", true),
            ("Device.IP.Interface.1", true),
            ("Device.IP.Interface.1.", false),
            ("Device.IP.Interface.9", false),
            ("Device.IP.Interface", false),
        ] {
            assert_eq!(accepts(&state(&config), path, value), is_right, "{value}");
        }
        config = config.misbehave(Misbehaviour::InterfaceWithDot);
        assert!(accepts(&state(&config), path, "Device.IP.Interface.1."));
        assert!(!accepts(&state(&config), path, "Device.IP.Interface.1"));
        let state_path = "Device.IP.Diagnostics.IPPing.DiagnosticsState";
        assert!(accepts(&state(&config), state_path, "Canceled") && !accepts(&state(&config), state_path, "None"));
        config.data_model = DataModel::tr098();
        let state_path = "InternetGatewayDevice.IPPingDiagnostics.DiagnosticsState";
        assert!(!accepts(&state(&config), state_path, "Canceled"));
    }
}
