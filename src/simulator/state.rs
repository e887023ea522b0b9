//! What one CPE is at this moment: parameters, attributes, undelivered events, transfers, timers.
//!
//! Pure state: it knows no socket and no task; the present is handed in.

mod facts;
mod timers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

pub(super) use timers::Due;

use super::config::{Autonomy, CpeConfig, Credentials};
use super::deployment::DeploymentResult;
use super::diagnostics::Test;
use super::misbehave::Misbehaviour;
use super::model::ObjectKind;
use super::report::Event;
use super::transfer::Transfer;
use super::tree::Tree;
use crate::types::event::EventCode;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;
use crate::types::value::{XsdType, parse_boolean};

/// `Notification` and `AccessList` of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) notification: u8,
    /// `Subscriber` is the only value that the standard defines.
    pub(super) access_list: Vec<String>,
}

/// What a CPE runs after it has installed an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Firmware {
    /// The image, which has this version.
    New(String),
    /// What it ran before: flashing failed, and nobody noticed.
    Old,
}

/// What the CPE does when the session is over.
#[derive(Debug, Default)]
pub(super) struct AfterSession {
    /// `Reboot`: the command keys of all that came.
    pub(super) reboot: Vec<String>,
    pub(super) factory_reset: bool,
    /// Firmware is there: reboot into it.
    pub(super) install: Option<Firmware>,
    /// Reboot without having been asked.
    pub(super) crash: bool,
}

/// A `ScheduleInform` that is not due yet.
#[derive(Debug)]
pub(super) struct ScheduledInform {
    pub(super) due: Instant,
    pub(super) command_key: String,
}

/// A call that the CPE makes in its next session, besides those that its state makes it send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcsCall {
    /// `GetRPCMethods`.
    GetRpcMethods,
    /// `RequestDownload` of this file type, with event 9.
    RequestDownload(String),
    /// `Kicked` with these `Command`, `Referer`, `Arg` and `Next`, with event 5.
    Kicked([String; 4]),
    /// `AutonomousTransferComplete` of a download from this URL, with event 10.
    AutonomousTransferComplete(String),
}

impl AcsCall {
    pub(super) const fn event(&self) -> Option<EventCode> {
        match self {
            Self::GetRpcMethods => None,
            Self::RequestDownload(_) => Some(EventCode::RequestDownload),
            Self::Kicked(_) => Some(EventCode::Kicked),
            Self::AutonomousTransferComplete(_) => Some(EventCode::AutonomousTransferComplete),
        }
    }
}

/// The state of one CPE.
#[derive(Debug)]
pub(super) struct State {
    pub(super) config: Arc<CpeConfig>,
    pub(super) tree: Tree,
    pub(super) attributes: BTreeMap<Box<str>, Attributes>,
    /// Parameters to notify, changed by something other than the ACS.
    pub(super) changed: BTreeSet<Box<str>>,
    /// Events that an `InformResponse` delivers.
    pub(super) events: Vec<Event>,
    pub(super) calls: Vec<AcsCall>,
    pub(super) transfers: Vec<Transfer>,
    pub(super) next_transfer: u32,
    /// Firmware that is installed once the transfer with this number is reported.
    pub(super) install_after_report: Option<(u32, Firmware)>,
    /// What was last downloaded as a configuration.
    pub(super) configuration_file: Option<Bytes>,
    /// Requested tests that are not over, by their object.
    pub(super) tests: BTreeMap<String, Test>,
    /// Objects of tests that may have results.
    pub(super) tested: BTreeSet<String>,
    /// A test ended since the last session began.
    pub(super) has_fresh_result: bool,
    pub(super) deployments: Vec<DeploymentResult>,
    pub(super) scheduled: Vec<ScheduledInform>,
    pub(super) after_session: AfterSession,
    pub(super) connection_request_url: String,
    pub(super) software_version: String,
    pub(super) retry_count: u32,
    /// Requests seen per method, for misbehaviours that count.
    pub(super) seen: BTreeMap<&'static str, u32>,
    booted_at: Instant,
    /// Rebooting until then.
    away_until: Option<Instant>,
    next_periodic: Option<Instant>,
    retry_at: Option<Instant>,
    /// A session is wanted at once, or from this moment.
    wanted_at: Option<Instant>,
    last_session_end: Option<Instant>,
    in_session: bool,
}

impl State {
    pub(super) fn new(config: Arc<CpeConfig>, connection_request_url: String, now: Instant) -> Self {
        let first = match config.autonomy {
            Autonomy::Immediate => Some(now),
            Autonomy::After(delay) => Some(now + delay),
            Autonomy::OnDemand => None,
        };
        let mut state = Self {
            tree: Tree::new(Arc::clone(&config.data_model)),
            attributes: BTreeMap::new(),
            changed: BTreeSet::new(),
            events: vec![Event::plain(EventCode::Bootstrap), Event::plain(EventCode::Boot)],
            calls: config.first_calls.clone(),
            transfers: Vec::new(),
            next_transfer: 1,
            install_after_report: None,
            configuration_file: None,
            tests: BTreeMap::new(),
            tested: BTreeSet::new(),
            has_fresh_result: false,
            deployments: Vec::new(),
            scheduled: Vec::new(),
            after_session: AfterSession::default(),
            connection_request_url,
            software_version: "1.0.0".to_owned(),
            retry_count: 0,
            seen: BTreeMap::new(),
            booted_at: now,
            away_until: None,
            next_periodic: None,
            retry_at: None,
            wanted_at: first,
            last_session_end: None,
            in_session: false,
            config,
        };
        let is_periodic = state.config.periodic_interval_secs > 0;
        if !is_periodic {
            state.set_management("PeriodicInformEnable", "false");
        }
        state.reschedule_periodic(first.unwrap_or(now));
        state
    }

    // Parameters.

    /// `Device.ManagementServer.<leaf>` in this CPE's root.
    pub(super) fn management_path(&self, leaf: &str) -> String {
        format!("{}ManagementServer.{leaf}", self.tree.root())
    }

    pub(super) fn management(&self, leaf: &str) -> String {
        self.value(&self.management_path(leaf)).unwrap_or_default()
    }

    pub(super) fn set_management(&mut self, leaf: &str, value: &str) {
        let path = self.management_path(leaf);
        if self.tree.parameter(&path).is_some() {
            self.tree.set(&path, value);
        }
    }

    fn management_number(&self, leaf: &str, default: u32) -> u32 {
        self.management(leaf).trim().parse().unwrap_or(default)
    }

    /// The value as it is inside the CPE: hidden ones in clear.
    pub(super) fn value(&self, path: &str) -> Option<String> {
        let raw = self.tree.raw_value(path)?;
        Some(self.fill_in(path, raw).into_owned())
    }

    /// The value as an RPC reads it: hidden ones empty, triggers false.
    pub(super) fn read(&self, path: &str) -> Option<(XsdType, String)> {
        let spec = self.tree.parameter(path)?;
        if spec.hidden {
            return Some((spec.ty, String::new()));
        }
        if spec.trigger {
            return Some((spec.ty, "false".to_owned()));
        }
        let is_narrowed = spec.ty == XsdType::UnsignedLong
            && !spec.writable
            && path.contains("Diagnostics.")
            && self.config.has(&Misbehaviour::WrappedCounters);
        let ty = if is_narrowed { XsdType::UnsignedInt } else { spec.ty };
        Some((ty, self.value(path)?))
    }

    pub(super) fn attributes(&self, path: &str) -> Attributes {
        if let Some(own) = self.attributes.get(path) {
            return own.clone();
        }
        let is_active = self.tree.parameter(path).is_some_and(|spec| spec.active);
        Attributes { notification: if is_active { 2 } else { 0 }, access_list: vec!["Subscriber".to_owned()] }
    }

    /// Something other than the ACS changes a parameter, read-only ones included. `false` when there is none such.
    pub(super) fn change_locally(&mut self, path: &str, value: &str, now: Instant) -> bool {
        let Some(spec) = self.tree.parameter(path) else { return false };
        let ty = spec.ty;
        if self.value(path).is_some_and(|old| ty.same_value(&old, value)) {
            return true;
        }
        self.tree.set(path, value);
        self.notice(path, now);
        true
    }

    /// Notes a change for the next Inform, or opens a session for it (TR-069 §3.7.1.5, `4 VALUE CHANGE`).
    fn notice(&mut self, path: &str, now: Instant) {
        let notification = self.attributes(path).notification;
        if matches!(notification, 1 | 2 | 4 | 6) {
            self.changed.insert(path.into());
            self.push_event(Event::plain(EventCode::ValueChange));
        }
        if matches!(notification, 2 | 6) {
            let throttle = u64::from(self.management_number("DefaultActiveNotificationThrottle", 0));
            let earliest = self.last_session_end.map(|end| end + self.config.scaled(Duration::from_secs(throttle)));
            self.want_session(earliest.unwrap_or(now).max(now));
        }
    }

    /// What the Inform lists: forced parameters, changed ones, `InformParameter` rows (TR-069 A.3.3.1).
    pub(super) fn inform_parameters(&self, events: &[Event]) -> Vec<(String, XsdType, String)> {
        let mut paths: Vec<&str> = self.tree.forced().collect();
        for path in &self.changed {
            if !paths.contains(&&**path) && self.tree.parameter(path).is_some() {
                paths.push(path);
            }
        }
        let mut listed: Vec<(String, XsdType, String)> = paths
            .into_iter()
            .filter_map(|path| self.read(path).map(|(ty, value)| (path.to_owned(), ty, value)))
            .collect();
        let table = self.management_path("InformParameter.");
        for row in self.tree.rows(&table) {
            let member = |leaf: &str| self.value(&format!("{table}{row}.{leaf}")).unwrap_or_default();
            let wanted = member("EventList");
            let is_wanted = wanted.is_empty()
                || events.iter().any(|event| wanted.split(',').any(|w| EventCode::parse(w) == event.code));
            let path = member("ParameterName");
            if parse_boolean(&member("Enable")) == Some(true)
                && is_wanted
                && !listed.iter().any(|(have, ..)| *have == path)
                && let Some((ty, value)) = self.read(&path)
            {
                listed.push((path, ty, value));
            }
        }
        listed
    }

    /// The objects at and below `path` that `AddObject` and `DeleteObject` care for.
    pub(super) fn object(&self, path: &str) -> Option<ObjectKind> {
        self.tree.object(path)
    }

    /// What to present to the ACS: the parameters as they are now.
    pub(super) fn acs_credentials(&self) -> Option<Credentials> {
        let username = self.management("Username");
        let password = self.management("Password");
        if username.is_empty() && password.is_empty() {
            return self.config.credentials.clone();
        }
        Some(Credentials { username, password: Secret::new(password) })
    }

    pub(super) fn acs_url(&self) -> String {
        let url = self.management("URL");
        if url.is_empty() { self.config.acs_url.clone() } else { url }
    }

    /// What an upload sends: every readable parameter, one per line.
    pub(super) fn configuration(&self) -> Bytes {
        let mut text = String::new();
        for (path, _) in self.tree.parameters_below(self.tree.root()) {
            let (_, value) = self.read(path).unwrap_or_default();
            text.push_str(path);
            text.push('=');
            text.push_str(&value);
            text.push('\n');
        }
        Bytes::from(text)
    }

    // Events.

    /// Adds an event; one that is single stands at most once.
    pub(super) fn push_event(&mut self, event: Event) {
        if !self.events.contains(&event) {
            self.events.push(event);
        }
    }

    /// `0 BOOTSTRAP` drops whatever else was to be delivered (TR-069 §3.7.1.5).
    pub(super) fn bootstrap(&mut self) {
        self.events = vec![Event::plain(EventCode::Bootstrap)];
        self.changed.clear();
        self.calls.clear();
        self.drop_transfers();
        self.install_after_report = None;
        self.deployments.clear();
    }

    /// Everything that the next Inform carries.
    pub(super) fn pending_events(&self) -> Vec<Event> {
        let mut events = self.events.clone();
        for call in &self.calls {
            if let Some(code) = call.event()
                && !events.iter().any(|event| event.code == code)
            {
                events.push(Event::plain(code));
            }
        }
        let done: Vec<&Transfer> = self.transfers.iter().filter(|transfer| transfer.is_done()).collect();
        if !done.is_empty() {
            events.push(Event::plain(EventCode::TransferComplete));
            let habits = &self.config.misbehaviour;
            events.extend(done.iter().map(|t| Event::keyed(t.order.kind.event(), t.reported_key(habits))));
        }
        if !self.deployments.is_empty() {
            events.push(Event::plain(EventCode::DuStateChangeComplete));
            let keys = self.deployments.iter().map(|d| Event::keyed(EventCode::MChangeDuState, d.command_key.as_str()));
            events.extend(keys);
        }
        if events.is_empty() {
            events.push(Event::plain(EventCode::Periodic));
        }
        events.sort_by_key(|event| !matches!(event.code, EventCode::Bootstrap | EventCode::Boot));
        events
    }

    /// The `InformResponse` came: what it delivers is forgotten.
    pub(super) fn inform_delivered(&mut self, sent: &[Event], listed: &[(String, XsdType, String)]) {
        // A connection request that came after this session began asks for another one.
        let is_asked_again = self.wanted_at.is_some();
        let has_fresh_result = self.has_fresh_result;
        self.events.retain(|event| match event.code {
            EventCode::ConnectionRequest if is_asked_again => true,
            // So does a test that ended meanwhile.
            EventCode::DiagnosticsComplete if has_fresh_result => true,
            _ => !sent.contains(event),
        });
        for (path, _, value) in listed {
            // A parameter that changed again since the Inform was written stays to be told.
            if self.read(path).is_some_and(|(_, current)| current == *value) {
                self.changed.remove(path.as_str());
            }
        }
        if !self.changed.is_empty() {
            self.push_event(Event::plain(EventCode::ValueChange));
        }
        self.retry_count = 0;
        self.retry_at = None;
    }
}

/// The time that the CPE believes it is.
pub(super) fn wall_clock() -> Timestamp {
    use crate::types::time::Clock as _;
    crate::clock::SystemClock.now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(config: CpeConfig) -> State {
        State::new(Arc::new(config), "http://192.0.2.1/cr".to_owned(), Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn retries_wait_as_the_table_says() {
        let state = state(CpeConfig::new("http://acs/"));
        for (retry, low, high) in [(1, 5, 10), (2, 10, 20), (6, 160, 320), (10, 2560, 5120), (40, 2560, 5120)] {
            for _ in 0..50 {
                let wait = state.retry_wait(retry).as_secs_f64();
                assert!((f64::from(low)..=f64::from(high)).contains(&wait), "{retry}: {wait}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_session_keeps_its_events_but_the_connection_request() {
        let mut state = state(CpeConfig::new("http://acs/"));
        let now = Instant::now();
        state.connection_requested(now);
        state.session_begins();
        state.session_failed(now);
        let codes: Vec<EventCode> = state.pending_events().iter().map(|event| event.code).collect();
        assert_eq!(codes, [EventCode::Bootstrap, EventCode::Boot]);
        assert_eq!(state.retry_count, 1);
        let due = state.next_due().expect("a retry");
        assert!((5.0..=10.0).contains(&due.duration_since(now).as_secs_f64()));
        assert_eq!(state.fire(now), Due::Nothing);
        assert_eq!(state.fire(due), Due::Session);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_request_during_a_session_asks_for_the_next() {
        let mut state = state(CpeConfig::new("http://acs/"));
        let now = Instant::now();
        state.connection_requested(now);
        let sent = state.pending_events();
        state.session_begins();
        state.connection_requested(now);
        state.inform_delivered(&sent, &[]);
        state.session_completed(now);
        assert_eq!(state.fire(now), Due::Session);
        assert_eq!(state.pending_events(), [Event::plain(EventCode::ConnectionRequest)]);
        state.session_begins();
        let sent = state.pending_events();
        state.inform_delivered(&sent, &[]);
        state.session_completed(now);
        assert_eq!(state.fire(now), Due::Nothing);
    }

    #[tokio::test(start_paused = true)]
    async fn a_test_that_ends_while_another_is_told_is_told_in_the_next_session() {
        let mut state = state(CpeConfig::new("http://acs/"));
        let now = Instant::now();
        let event = Event::plain(EventCode::DiagnosticsComplete);
        state.push_event(event.clone());
        let sent = state.pending_events();
        assert!(state.session_begins());
        state.has_fresh_result = true;
        state.inform_delivered(&sent, &[]);
        state.session_completed(now);
        assert_eq!(state.pending_events(), [event]);
        let sent = state.pending_events();
        assert!(state.session_begins());
        state.inform_delivered(&sent, &[]);
        assert_eq!(state.pending_events(), [Event::plain(EventCode::Periodic)]);
    }

    #[tokio::test(start_paused = true)]
    async fn firmware_waits_for_the_session_s_end() {
        for is_success in [true, false] {
            let mut state = state(CpeConfig::new("http://acs/"));
            let now = Instant::now();
            assert!(state.session_begins());
            state.install_firmware(Firmware::New("2.0".to_owned()), now);
            assert!(!state.is_away() && state.software_version == "1.0.0");
            if is_success {
                state.session_completed(now);
            } else {
                state.session_failed(now);
            }
            assert!(state.is_away() && state.software_version == "2.0");
            assert!(!state.session_begins(), "nobody is there");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn values_are_filled_in_and_secrets_are_hidden() {
        let mut state = state(CpeConfig::new("http://acs/").serial("SN1").credentials("user", "secret"));
        assert_eq!(state.value("Device.DeviceInfo.SerialNumber").as_deref(), Some("SN1"));
        assert_eq!(state.value("Device.ManagementServer.Password").as_deref(), Some("secret"));
        assert_eq!(state.read("Device.ManagementServer.Password"), Some((XsdType::String, String::new())));
        assert_eq!(state.value("Device.NAT.PortMappingNumberOfEntries").as_deref(), Some("2"));
        assert!(state.tree.add_row("Device.NAT.PortMapping.").is_some());
        assert_eq!(state.value("Device.NAT.PortMappingNumberOfEntries").as_deref(), Some("3"));
        assert_eq!(state.value("Device.Hosts.Host.3.HostName").as_deref(), Some("host-3"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_as_its_notification_says() {
        let mut state = state(CpeConfig::new("http://acs/"));
        let now = Instant::now();
        state.events.clear();
        state.session_begins();
        assert!(state.change_locally("Device.Firewall.Config", "Low", now));
        assert!(state.changed.is_empty());
        assert!(state.change_locally("Device.DeviceInfo.ProvisioningCode", "x", now));
        assert!(state.changed.contains("Device.DeviceInfo.ProvisioningCode"));
        assert_eq!(state.fire(now), Due::Session);
        assert!(!state.change_locally("Device.Nowhere", "x", now));
    }
}
