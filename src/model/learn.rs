//! What an Inform teaches: the pure part of recording it, the same for every store.

use std::net::IpAddr;
use std::time::Duration;

use crate::cwmp::message::inform::{EventStruct, ParameterValueStruct};
use crate::cwmp::version::{CwmpVersion, Namespace};
use crate::types::event::EventCode;
use crate::types::ident::DeviceIdentity;
use crate::types::path::PATH_MAX_CHARS;
use crate::types::time::Timestamp;

use super::device::{Configured, DataModel, OBSERVED_MAX, Observed, ParameterPatch, State, Status};

/// Bootstraps in an hour, not ordered by acsd, after which further ones count as boots (design.md §4).
const BOOTSTRAPS_PER_HOUR: u16 = 3;
/// Longest value kept in the hot record, in bytes.
const OBSERVED_VALUE_MAX_BYTES: usize = 1024;
const HOUR: Duration = Duration::from_hours(1);

/// An Inform, checked and authenticated.
#[derive(Debug, Clone, Copy)]
pub struct InformFacts<'a> {
    /// When it came.
    pub at: Timestamp,
    /// Where from.
    pub peer: IpAddr,
    /// Who.
    pub identity: &'a DeviceIdentity,
    /// As reported.
    pub manufacturer: &'a str,
    /// What the device speaks.
    pub cwmp_version: CwmpVersion,
    /// The namespace it used.
    pub namespace: Namespace,
    /// Why it calls.
    pub events: &'a [EventStruct<'a>],
    /// Fresh values.
    pub parameters: &'a [ParameterValueStruct<'a>],
    /// Whether acsd ordered the reset that a `0 BOOTSTRAP` reports.
    pub reset: ResetOrder,
}

/// Whether a `0 BOOTSTRAP` is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetOrder {
    /// acsd ordered a factory reset.
    Ordered,
    /// Nobody here did.
    Unordered,
}

/// What changed by it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Learned {
    /// The device's first Inform ever.
    pub first_contact: bool,
    /// It was Down.
    pub came_up: bool,
    /// `1 BOOT`, or a bootstrap that no longer counts as one.
    pub booted: bool,
    /// `0 BOOTSTRAP` that counts: whatever was believed of the device is void.
    pub bootstrapped: bool,
    /// One bootstrap too many within the hour.
    pub bootstrap_loop: bool,
    /// The device's periodic interval is another than before: it is overdue at another time.
    pub interval_changed: bool,
    /// Version before, when the software version changed.
    pub software_was: Option<Box<str>>,
    /// Values that do not fit the hot record: for the parameter tree.
    pub overflow: Vec<ParameterPatch>,
}

impl State {
    /// A device that has never Informed.
    #[must_use]
    pub fn unseen(at: Timestamp) -> Self {
        Self {
            identity: None,
            manufacturer: "".into(),
            status: Status::Down,
            status_change: at,
            last_inform: None,
            address: None,
            software_version: "".into(),
            hardware_version: "".into(),
            connection_request_url: None,
            data_model: DataModel::Unknown,
            cwmp_version: CwmpVersion::default(),
            namespace: Namespace::default(),
            periodic_interval_secs: None,
            informs: 0,
            last_boot: None,
            last_bootstrap: None,
            bootstraps_in_window: 0,
            bootstrap_window: Timestamp::default(),
            connection_request_verdict: None,
            connection_request_at: None,
            configured: Configured::default(),
            observed: Vec::new(),
        }
    }

    /// Takes in an Inform. Allocates only for what changed.
    pub fn learn(&mut self, facts: &InformFacts<'_>) -> Learned {
        let mut learned = Learned { first_contact: self.last_inform.is_none(), ..Learned::default() };
        if self.identity.as_ref() != Some(facts.identity) {
            self.identity = Some(facts.identity.clone());
        }
        replace_if_changed(&mut self.manufacturer, facts.manufacturer);
        if self.status == Status::Down {
            self.status = Status::Up;
            self.status_change = facts.at;
            learned.came_up = true;
        }
        self.last_inform = Some(facts.at);
        self.address = Some(facts.peer);
        self.cwmp_version = facts.cwmp_version;
        self.namespace = facts.namespace;
        self.informs = self.informs.saturating_add(1);
        let interval = self.periodic_interval_secs;
        self.learn_events(facts, &mut learned);
        let before = if self.software_version.is_empty() { None } else { Some(self.software_version.clone()) };
        self.learn_parameters(facts, &mut learned);
        learned.interval_changed = self.periodic_interval_secs != interval;
        learned.software_was = before.filter(|version| *version != self.software_version);
        learned
    }

    fn learn_events(&mut self, facts: &InformFacts<'_>, learned: &mut Learned) {
        let has = |code| facts.events.iter().any(|event| event.code == code);
        learned.booted = has(EventCode::Boot);
        if has(EventCode::Bootstrap) {
            if facts.at.since(self.bootstrap_window) >= HOUR {
                self.bootstrap_window = facts.at;
                self.bootstraps_in_window = 0;
            }
            if facts.reset == ResetOrder::Unordered && !learned.first_contact {
                self.bootstraps_in_window = self.bootstraps_in_window.saturating_add(1);
            }
            if facts.reset == ResetOrder::Unordered && self.bootstraps_in_window > BOOTSTRAPS_PER_HOUR {
                learned.bootstrap_loop = true;
                learned.booted = true;
            } else {
                learned.bootstrapped = true;
                self.last_bootstrap = Some(facts.at);
                self.observed.clear();
                self.periodic_interval_secs = None;
                self.configured = Configured::default();
            }
        }
        if learned.booted {
            self.last_boot = Some(facts.at);
        }
    }

    fn learn_parameters(&mut self, facts: &InformFacts<'_>, learned: &mut Learned) {
        for (at, parameter) in facts.parameters.iter().enumerate() {
            let name = parameter.name.as_ref();
            if name.is_empty() {
                continue;
            }
            if self.data_model == DataModel::Unknown || at == 0 {
                match DataModel::of_path(name) {
                    DataModel::Unknown => {}
                    known => self.data_model = known,
                }
            }
            self.learn_special(name, &parameter.value);
            self.observe(at, parameter, facts.at, learned);
        }
    }

    /// Values that have a field of their own.
    fn learn_special(&mut self, name: &str, value: &str) {
        let Some((_, leaf)) = name.split_once('.') else { return };
        match leaf {
            "DeviceInfo.SoftwareVersion" => replace_if_changed(&mut self.software_version, value),
            "DeviceInfo.HardwareVersion" => replace_if_changed(&mut self.hardware_version, value),
            "ManagementServer.ConnectionRequestURL" => {
                let url = Some(value.trim()).filter(|url| !url.is_empty());
                if self.connection_request_url.as_deref() != url {
                    self.connection_request_url = url.map(Into::into);
                }
            }
            "ManagementServer.PeriodicInformInterval" => {
                if let Ok(secs @ 1..) = value.trim().parse() {
                    self.periodic_interval_secs = Some(secs);
                }
            }
            _ => {}
        }
    }

    fn observe(&mut self, at: usize, parameter: &ParameterValueStruct<'_>, now: Timestamp, learned: &mut Learned) {
        // CPEs list the same parameters in the same order each time: the old one is mostly at the same index.
        let same_place = self.observed.get(at).is_some_and(|old| *old.path == *parameter.name);
        let known =
            if same_place { Some(at) } else { self.observed.iter().position(|old| *old.path == *parameter.name) };
        // The hot record is rewritten at each Inform and has to stay small.
        let fits = parameter.value.len() <= OBSERVED_VALUE_MAX_BYTES && name_fits(&parameter.name);
        if !fits {
            if let Some(index) = known {
                self.observed.remove(index);
            }
            learned.overflow.push(overflow(parameter));
        } else if let Some(index) = known {
            if let Some(old) = self.observed.get_mut(index)
                && (*old.value != *parameter.value || old.ty != parameter.ty)
            {
                old.value = parameter.value.as_ref().into();
                old.ty = parameter.ty;
                old.at = now;
            }
        } else if self.observed.len() < OBSERVED_MAX {
            self.observed.push(Observed {
                path: parameter.name.as_ref().into(),
                value: parameter.value.as_ref().into(),
                ty: parameter.ty,
                at: now,
            });
        } else {
            learned.overflow.push(overflow(parameter));
        }
    }
}

fn name_fits(name: &str) -> bool {
    // A character has at most four bytes.
    name.len() <= 4 * PATH_MAX_CHARS
}

fn overflow(parameter: &ParameterValueStruct<'_>) -> ParameterPatch {
    ParameterPatch {
        path: parameter.name.as_ref().into(),
        value: Some((parameter.value.as_ref().into(), parameter.ty)),
        writable: None,
        notification: None,
    }
}

fn replace_if_changed(field: &mut Box<str>, value: &str) {
    if **field != *value {
        *field = value.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::value::XsdType;

    fn event(raw: &str) -> EventStruct<'_> {
        EventStruct { code: EventCode::parse(raw), raw_code: raw.into(), command_key: "".into() }
    }

    fn facts<'a>(
        identity: &'a DeviceIdentity,
        at: i64,
        events: &'a [EventStruct<'a>],
        parameters: &'a [ParameterValueStruct<'a>],
    ) -> InformFacts<'a> {
        InformFacts {
            at: Timestamp::from_secs(at),
            peer: IpAddr::from([192, 0, 2, 1]),
            identity,
            manufacturer: "Example",
            cwmp_version: CwmpVersion::V1_0,
            namespace: Namespace::Cwmp1_0,
            events,
            parameters,
            reset: ResetOrder::Unordered,
        }
    }

    #[test]
    fn an_inform_fills_the_state_and_a_second_one_changes_only_what_differs() {
        let identity = DeviceIdentity::new("00D09E", "IGD", "1").expect("valid");
        let mut state = State::unseen(Timestamp::from_secs(1));
        let first = [
            ParameterValueStruct::new("InternetGatewayDevice.DeviceInfo.SoftwareVersion", "1.0", XsdType::String),
            ParameterValueStruct::new("InternetGatewayDevice.DeviceInfo.UpTime", "5", XsdType::UnsignedInt),
        ];
        let learned = state.learn(&facts(&identity, 10, &[event("1 BOOT")], &first));
        assert!(learned.first_contact && learned.came_up && learned.booted && !learned.bootstrapped);
        assert_eq!(learned.software_was, None);
        assert_eq!(state.data_model, DataModel::InternetGatewayDevice);
        let second = [
            ParameterValueStruct::new("InternetGatewayDevice.DeviceInfo.SoftwareVersion", "1.1", XsdType::String),
            ParameterValueStruct::new("InternetGatewayDevice.DeviceInfo.UpTime", "5", XsdType::UnsignedInt),
        ];
        let learned = state.learn(&facts(&identity, 20, &[event("2 PERIODIC")], &second));
        assert_eq!(learned, Learned { software_was: Some("1.0".into()), ..Learned::default() });
        assert_eq!(state.observed[0].at, Timestamp::from_secs(20));
        assert_eq!(state.observed[1].at, Timestamp::from_secs(10));
    }

    #[test]
    fn bootstraps_in_a_loop_count_as_boots() {
        let identity = DeviceIdentity::new("00D09E", "IGD", "1").expect("valid");
        let mut state = State::unseen(Timestamp::from_secs(1));
        let events = [event("0 BOOTSTRAP")];
        let mut counted = Vec::new();
        for at in 0..6 {
            counted.push(state.learn(&facts(&identity, 10_000 + at, &events, &[])).bootstrapped);
        }
        assert_eq!(counted, [true, true, true, true, false, false]);
        assert!(state.learn(&facts(&identity, 20_000, &events, &[])).bootstrapped, "a new hour begins");
    }

    #[test]
    fn a_reset_that_acsd_ordered_is_never_one_too_many() {
        let identity = DeviceIdentity::new("00D09E", "IGD", "1").expect("valid");
        let mut state = State::unseen(Timestamp::from_secs(1));
        let events = [event("0 BOOTSTRAP")];
        for at in 0..6 {
            state.learn(&facts(&identity, 10_000 + at, &events, &[]));
        }
        let ordered = InformFacts { reset: ResetOrder::Ordered, ..facts(&identity, 10_010, &events, &[]) };
        let learned = state.learn(&ordered);
        assert!(learned.bootstrapped && !learned.bootstrap_loop);
    }

    #[test]
    fn another_interval_is_noticed() {
        let identity = DeviceIdentity::new("00D09E", "IGD", "1").expect("valid");
        let mut state = State::unseen(Timestamp::from_secs(1));
        let interval =
            |secs| [ParameterValueStruct::new("Device.ManagementServer.PeriodicInformInterval", secs, XsdType::Int)];
        let mut learn = |secs| state.learn(&facts(&identity, 10, &[], &interval(secs))).interval_changed;
        assert_eq!([learn("300"), learn("300"), learn("60"), learn("0")], [true, false, true, false]);
    }

    #[test]
    fn big_values_do_not_grow_the_hot_record() {
        let identity = DeviceIdentity::new("00D09E", "IGD", "1").expect("valid");
        let mut state = State::unseen(Timestamp::from_secs(1));
        let of = |value: String| [ParameterValueStruct::new("Device.X", value, XsdType::String)];
        state.learn(&facts(&identity, 10, &[], &of("small".to_owned())));
        assert_eq!(state.observed.len(), 1);
        let learned = state.learn(&facts(&identity, 20, &[], &of("x".repeat(10_000))));
        assert_eq!((state.observed.len(), learned.overflow.len()), (0, 1), "and the old value does not stay behind");
    }

    #[test]
    fn what_does_not_fit_the_hot_record_is_handed_on() {
        let identity = DeviceIdentity::new("00D09E", "IGD", "1").expect("valid");
        let mut state = State::unseen(Timestamp::from_secs(1));
        let many: Vec<_> = (0..OBSERVED_MAX + 3)
            .map(|n| ParameterValueStruct::new(format!("Device.X.{n}"), "v", XsdType::String))
            .collect();
        let learned = state.learn(&facts(&identity, 10, &[], &many));
        assert_eq!(state.observed.len(), OBSERVED_MAX);
        assert_eq!(learned.overflow.len(), 3);
    }
}
