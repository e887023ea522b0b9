//! What a simulated CPE is told before it starts.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::diagnostics::ChosenEnd;
use super::listener::ConnectionRequestListener;
use super::misbehave::{FaultPath, Misbehaviour};
use super::model::DataModel;
use super::state::AcsCall;
use super::stats::Counters;
use super::tls::TlsTrust;
use crate::types::secret::Secret;

/// Longest delay that timers are asked for: ten years.
const DELAY_MAX: Duration = Duration::from_hours(10 * 365 * 24);

/// `DeviceIdStruct` (TR-069 A.3.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// At most 64 characters.
    pub manufacturer: String,
    /// Six hexadecimal digits.
    pub oui: String,
    /// May be empty.
    pub product_class: String,
    /// At most 64 characters.
    pub serial_number: String,
}

/// What the CPE presents to an ACS that challenges it.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

/// The protocol version a CPE speaks: its namespace and its headers (TR-069 §3.7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum CpeVersion {
    /// Namespace `cwmp-1-0`.
    V1_0,
    /// Namespace `cwmp-1-1`.
    V1_1,
    /// Namespace `cwmp-1-2`.
    V1_2,
    /// Namespace `cwmp-1-2` and the `SessionTimeout` header.
    V1_3,
    /// Namespace `cwmp-1-2`, `SessionTimeout` and `SupportedCWMPVersions`.
    #[default]
    V1_4,
}

impl CpeVersion {
    /// Every version, oldest first.
    pub const ALL: [Self; 5] = [Self::V1_0, Self::V1_1, Self::V1_2, Self::V1_3, Self::V1_4];

    /// `1.4`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
            Self::V1_4 => "1.4",
        }
    }

    /// The namespace of this version's schema.
    #[must_use]
    pub const fn namespace(self) -> &'static str {
        match self {
            Self::V1_0 => "urn:dslforum-org:cwmp-1-0",
            Self::V1_1 => "urn:dslforum-org:cwmp-1-1",
            Self::V1_2 | Self::V1_3 | Self::V1_4 => "urn:dslforum-org:cwmp-1-2",
        }
    }
}

impl fmt::Display for CpeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not one of `1.0`, `1.1`, `1.2`, `1.3`, `1.4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of 1.0, 1.1, 1.2, 1.3, 1.4")]
pub struct CpeVersionError;

impl FromStr for CpeVersion {
    type Err = CpeVersionError;

    fn from_str(text: &str) -> Result<Self, CpeVersionError> {
        Self::ALL.into_iter().find(|version| version.as_str() == text.trim()).ok_or(CpeVersionError)
    }
}

/// Where a CPE can be woken.
#[derive(Debug, Clone, Default)]
pub enum ConnectionRequests {
    /// Nowhere: `ConnectionRequestURL` is empty.
    #[default]
    Off,
    /// On a listener of its own.
    Own(SocketAddr),
    /// On one that many CPEs share, each with a path of its own.
    Shared(Arc<ConnectionRequestListener>),
}

/// When a CPE opens sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Autonomy {
    /// By itself, whenever the protocol says so, the first time at once.
    #[default]
    Immediate,
    /// By itself, the first time after this delay.
    After(Duration),
    /// Only when [`CpeHandle::session`](super::CpeHandle::session) is called; events wait for it.
    OnDemand,
}

/// Everything a CPE is told before it starts. `CpeConfig::new(url)` gives a well-behaved TR-181 gateway.
#[derive(Debug, Clone)]
pub struct CpeConfig {
    /// Who it says it is.
    pub identity: Identity,
    /// `http://` or `https://`.
    pub acs_url: String,
    /// What it presents when challenged; `None` gives up at a challenge.
    pub credentials: Option<Credentials>,
    /// Its parameters.
    pub data_model: Arc<DataModel>,
    /// Its protocol version.
    pub version: CpeVersion,
    /// Initial `PeriodicInformInterval`, in seconds; 0 turns `PeriodicInformEnable` off.
    pub periodic_interval_secs: u32,
    /// Bad habits.
    pub misbehaviour: Vec<Misbehaviour>,
    /// Paths that fault.
    pub fault_paths: Vec<FaultPath>,
    /// Tests that always end in a state of their own.
    pub diagnostics_ends: Vec<ChosenEnd>,
    /// Bytes per second at which it downloads files, to stand in for a slow line; `None` sets no limit. Not scaled.
    pub download_rate: Option<NonZeroU64>,
    /// How many times in a row a download that brings nothing is tried again, also where the file server was never
    /// reached. `None` is what most CPEs do: a few times once something has come, and not at all before.
    pub download_retries: Option<u32>,
    /// How many CPEs in a hundred fail to install firmware; which ones, [`CpeConfig::is_failing`] tells.
    pub failing_share_percent: u8,
    /// The fault that these report.
    pub failing_fault: u16,
    /// What it calls in its first session.
    pub first_calls: Vec<AcsCall>,
    /// Factor on every delay that the protocol makes a CPE wait (intervals, retries, reboots, transfer windows):
    /// 0.001 makes a second a millisecond. Network time-outs are not scaled.
    pub time_scale: f64,
    /// How long it is away when it reboots, before scaling.
    pub reboot_delay: Duration,
    /// How long it waits for an answer to a POST.
    pub response_timeout: Duration,
    /// Whom it trusts on `https://`.
    pub tls: TlsTrust,
    /// Where it can be woken.
    pub connection_requests: ConnectionRequests,
    /// Least time between two connection requests, before scaling; sooner ones get 503.
    pub connection_request_gap: Duration,
    /// When it opens sessions.
    pub autonomy: Autonomy,
    /// Taken for the length of each session: caps how many run at once in a fleet.
    pub session_permits: Option<Arc<Semaphore>>,
    /// Where sessions are counted besides their reports.
    pub counters: Option<Arc<Counters>>,
    /// Whether reports carry the raw envelopes that the ACS sent.
    pub keep_messages: bool,
}

impl CpeConfig {
    /// A well-behaved TR-181 gateway, OUI `00D09E`, that Informs every 300 seconds.
    #[must_use]
    pub fn new(acs_url: impl Into<String>) -> Self {
        Self {
            identity: Identity {
                manufacturer: "acsd".to_owned(),
                oui: "00D09E".to_owned(),
                product_class: "Simulator".to_owned(),
                serial_number: "SIM000001".to_owned(),
            },
            acs_url: acs_url.into(),
            credentials: None,
            data_model: DataModel::tr181(),
            version: CpeVersion::default(),
            periodic_interval_secs: 300,
            misbehaviour: Vec::new(),
            fault_paths: Vec::new(),
            diagnostics_ends: Vec::new(),
            download_rate: None,
            download_retries: None,
            failing_share_percent: 0,
            failing_fault: 9018,
            first_calls: Vec::new(),
            time_scale: 1.0,
            reboot_delay: Duration::from_secs(5),
            response_timeout: Duration::from_secs(30),
            tls: TlsTrust::default(),
            connection_requests: ConnectionRequests::Off,
            connection_request_gap: Duration::ZERO,
            autonomy: Autonomy::Immediate,
            session_permits: None,
            counters: None,
            keep_messages: false,
        }
    }

    /// Another serial number.
    #[must_use]
    pub fn serial(mut self, serial_number: impl Into<String>) -> Self {
        self.identity.serial_number = serial_number.into();
        self
    }

    /// What to present when challenged.
    #[must_use]
    pub fn credentials(mut self, username: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some(Credentials { username: username.into(), password: Secret::new(password) });
        self
    }

    /// One more bad habit.
    #[must_use]
    pub fn misbehave(mut self, habit: Misbehaviour) -> Self {
        self.misbehaviour.push(habit);
        self
    }

    /// Whether this CPE is one of [`failing_share_percent`](Self::failing_share_percent): its serial number decides, so
    /// that the same ones fail each time. Of a hundred serial numbers in a row exactly so many fail.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        let serial = &self.identity.serial_number;
        let digits = serial.len() - serial.bytes().rev().take_while(u8::is_ascii_digit).count();
        let number = match serial.get(digits..).map(str::parse::<u64>) {
            Some(Ok(number)) => number,
            _ => serial.bytes().fold(0, |sum, byte| sum * 31 % 100 + u64::from(byte)),
        };
        // 37 and 100 have no common divisor: neighbours are spread, and each residue occurs once.
        number % 100 * 37 % 100 < u64::from(self.failing_share_percent)
    }

    pub(super) fn has(&self, habit: &Misbehaviour) -> bool {
        self.misbehaviour.contains(habit)
    }

    /// A protocol delay, scaled; never so short that a timer would spin.
    pub(super) fn scaled(&self, delay: Duration) -> Duration {
        let secs = delay.as_secs_f64() * self.time_scale.max(0.0);
        let scaled = Duration::try_from_secs_f64(secs).unwrap_or(DELAY_MAX);
        if delay.is_zero() { scaled } else { scaled.clamp(Duration::from_millis(1), DELAY_MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_share_of_a_fleet_fails() {
        let mut config = CpeConfig::new("http://acs/");
        for (share, want) in [(0, 0), (10, 100), (100, 1000)] {
            config.failing_share_percent = share;
            let failing = (1..=1000).filter(|n| config.clone().serial(format!("SIM{n:06}")).is_failing()).count();
            assert_eq!(failing, want, "{share}");
        }
    }
}
