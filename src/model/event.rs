//! What happened: entries of the event log, and which of them an Inform entails.
//!
//! An entry keeps the serial number and the organization of its device as they were: it outlives the device.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::types::event::EventCode;
use crate::types::ident::{SerialNumber, TransactionId};
use crate::types::path::hides_its_value;
use crate::types::time::Timestamp;

use super::device::{OrganizationId, Parameter, Profile, State, Status};
use super::learn::{InformFacts, Learned, ResetOrder};
use super::transaction::{Kind, Transaction, TransactionFault, TransactionStatus};

/// Number of an entry: increasing, never given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub u64);

/// Longest text taken over from a device or a caller, in characters; values of parameters may be as long as
/// [`VALUE_MAX_CHARS`].
const TEXT_MAX_CHARS: usize = 256;
/// Longest value of a parameter in an entry, in characters.
const VALUE_MAX_CHARS: usize = 1024;
/// Most value changes that one Inform entails; further ones are in the parameter tree only.
const CHANGES_MAX: usize = 256;
/// In the place of a secret.
pub const BLANKED: &str = "***";

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number.
    pub id: EventId,
    /// What happened, when, to whom.
    pub entry: EventEntry,
}

/// An entry without its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventEntry {
    /// When, of whom, of what kind: what the log is searched by.
    pub head: EventHead,
    /// What happened.
    pub data: EventData,
}

/// What the log is searched by. The first field of the persisted form, so that it can be read alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventHead {
    /// When it happened.
    pub time: Timestamp,
    /// Its kind, which follows from the data.
    pub kind: EventKind,
    /// Whose device it was; `None`: no device's.
    pub organization: Option<OrganizationId>,
    /// The device, by the API's serial number; `None`: no known one.
    pub serial_number: Option<SerialNumber>,
}

impl EventEntry {
    /// Something that happened to a device.
    #[must_use]
    pub fn of_device(profile: &Profile, time: Timestamp, data: EventData) -> Self {
        let head = EventHead {
            time,
            kind: data.kind(),
            organization: Some(profile.organization),
            serial_number: Some(profile.serial_number.clone()),
        };
        Self { head, data }
    }

    /// Something that happened to no known device.
    #[must_use]
    pub fn of_nobody(time: Timestamp, data: EventData) -> Self {
        let head = EventHead { time, kind: data.kind(), organization: None, serial_number: None };
        Self { head, data }
    }
}

/// What happened. Persisted: variants and fields are only ever added at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventData {
    /// A device Informed for the first time.
    FirstContact {
        /// As reported.
        oui: Box<str>,
        /// As reported.
        product_class: Box<str>,
        /// As reported.
        reported_serial: SerialNumber,
        /// Where from.
        address: IpAddr,
    },
    /// `0 BOOTSTRAP` that counts as one.
    Bootstrap {
        /// Whether acsd had ordered the factory reset.
        ordered: bool,
    },
    /// `1 BOOT`.
    Boot,
    /// The device came Up or went Down.
    Status {
        /// What it is now.
        status: Status,
    },
    /// A parameter that the device reported by `4 VALUE CHANGE`.
    ValueChange {
        /// Which.
        path: Box<str>,
        /// As it was known before, if it was; secrets are blanked.
        old: Option<Box<str>>,
        /// As reported; secrets are blanked.
        new: Box<str>,
    },
    /// A transaction came to its end.
    TransactionEnded {
        /// Which.
        id: TransactionId,
        /// Which part of the API it belongs to.
        kind: Kind,
        /// The API's word for its work.
        operation: Box<str>,
        /// How it ended.
        status: TransactionStatus,
        /// Why it failed.
        fault: Option<TransactionFault>,
        /// Who had asked for it.
        requested_by: Box<str>,
    },
    /// A CPE answered a call with a fault.
    Fault {
        /// 9xxx.
        code: u16,
        /// In the CPE's words.
        message: Box<str>,
        /// Which call.
        rpc: Box<str>,
        /// Of which transaction, if of one.
        transaction: Option<TransactionId>,
    },
    /// `TransferComplete` or `AutonomousTransferComplete`.
    Transfer {
        /// Whether the device did it by itself.
        autonomous: bool,
        /// Of the `Download` or `Upload`; empty when autonomous.
        command_key: Box<str>,
        /// `1 Firmware Upgrade Image`, ...; only known when autonomous.
        file_type: Option<Box<str>>,
        /// 0: success.
        fault_code: u16,
        /// In the CPE's words.
        fault_message: Box<str>,
    },
    /// A device came with a serial number that another one has; it was registered under another.
    IdentityConflict {
        /// The serial number that is taken.
        reported_serial: SerialNumber,
        /// Of the device that came.
        oui: Box<str>,
        /// Of the device that came.
        product_class: Box<str>,
    },
    /// Too many `0 BOOTSTRAP` within an hour: this one counted as a boot.
    BootstrapLoop,
    /// Another software version than before.
    FirmwareChanged {
        /// Before.
        old: Box<str>,
        /// Now.
        new: Box<str>,
    },
    /// Someone was turned away from the CWMP endpoint.
    AuthenticationRefused {
        /// Where from.
        address: IpAddr,
        /// The user name that was presented, if one was.
        username: Option<Box<str>>,
        /// Why.
        reason: RefusalReason,
    },
    /// A campaign began, paused, stopped, ended.
    Campaign {
        /// Which.
        id: u32,
        /// For people.
        name: Box<str>,
        /// The API's word for the state that it is in now.
        state: Box<str>,
        /// Why, where it stopped by itself.
        reason: Option<Box<str>>,
    },
    /// A health check found something.
    HealthIssue {
        /// The diagnostic entry.
        entry: u32,
        /// Of the issue.
        code: Box<str>,
        /// Of the issue.
        severity: Box<str>,
        /// Of the issue.
        message: Box<str>,
    },
    /// `RequestDownload`: the device asks for a file.
    DownloadRequested {
        /// `1 Firmware Upgrade Image`, ...
        file_type: Box<str>,
    },
    /// `DUStateChangeComplete` or `AutonomousDUStateChangeComplete`.
    DeploymentUnits {
        /// Whether the device did it by itself.
        autonomous: bool,
        /// Of the `ChangeDUState`; empty when autonomous.
        command_key: Box<str>,
        /// Units that are as they were to be.
        done: u32,
        /// Units that failed.
        failed: u32,
    },
}

/// Why someone was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalReason {
    /// The login is wrong.
    Credentials,
    /// The device is not registered, and unknown ones are not let in.
    Unknown,
}

impl RefusalReason {
    /// The API's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Unknown => "unknown_device",
        }
    }
}

/// What kind of entry it is: the API's filter, and a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum EventKind {
    /// See [`EventData::FirstContact`].
    FirstContact,
    /// See [`EventData::Bootstrap`].
    Bootstrap,
    /// See [`EventData::Boot`].
    Boot,
    /// See [`EventData::Status`].
    Status,
    /// See [`EventData::ValueChange`].
    ValueChange,
    /// See [`EventData::TransactionEnded`].
    TransactionEnded,
    /// See [`EventData::Fault`].
    Fault,
    /// See [`EventData::Transfer`].
    Transfer,
    /// See [`EventData::IdentityConflict`].
    IdentityConflict,
    /// See [`EventData::BootstrapLoop`].
    BootstrapLoop,
    /// See [`EventData::FirmwareChanged`].
    FirmwareChanged,
    /// See [`EventData::AuthenticationRefused`].
    AuthenticationRefused,
    /// See [`EventData::Campaign`].
    Campaign,
    /// See [`EventData::HealthIssue`].
    HealthIssue,
    /// See [`EventData::DownloadRequested`].
    DownloadRequested,
    /// See [`EventData::DeploymentUnits`].
    DeploymentUnits,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::FirstContact,
        Self::Bootstrap,
        Self::Boot,
        Self::Status,
        Self::ValueChange,
        Self::TransactionEnded,
        Self::Fault,
        Self::Transfer,
        Self::IdentityConflict,
        Self::BootstrapLoop,
        Self::FirmwareChanged,
        Self::AuthenticationRefused,
        Self::Campaign,
        Self::HealthIssue,
        Self::DownloadRequested,
        Self::DeploymentUnits,
    ];

    /// The API's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstContact => "first_contact",
            Self::Bootstrap => "bootstrap",
            Self::Boot => "boot",
            Self::Status => "status",
            Self::ValueChange => "value_change",
            Self::TransactionEnded => "transaction_ended",
            Self::Fault => "fault",
            Self::Transfer => "transfer",
            Self::IdentityConflict => "identity_conflict",
            Self::BootstrapLoop => "bootstrap_loop",
            Self::FirmwareChanged => "firmware_changed",
            Self::AuthenticationRefused => "authentication_refused",
            Self::Campaign => "campaign",
            Self::HealthIssue => "health_issue",
            Self::DownloadRequested => "download_requested",
            Self::DeploymentUnits => "deployment_units",
        }
    }

    /// Reads the API's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Some kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventKinds(u32);

impl EventKinds {
    /// All of them.
    pub const ALL: Self = Self(u32::MAX);

    /// Whether a kind is among them.
    #[must_use]
    pub const fn has(self, kind: EventKind) -> bool {
        self.0 & (1 << kind as u32) != 0
    }
}

impl FromIterator<EventKind> for EventKinds {
    fn from_iter<I: IntoIterator<Item = EventKind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |all, kind| all | 1 << kind as u32))
    }
}

impl EventData {
    /// What kind it is.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::FirstContact { .. } => EventKind::FirstContact,
            Self::Bootstrap { .. } => EventKind::Bootstrap,
            Self::Boot => EventKind::Boot,
            Self::Status { .. } => EventKind::Status,
            Self::ValueChange { .. } => EventKind::ValueChange,
            Self::TransactionEnded { .. } => EventKind::TransactionEnded,
            Self::Fault { .. } => EventKind::Fault,
            Self::Transfer { .. } => EventKind::Transfer,
            Self::IdentityConflict { .. } => EventKind::IdentityConflict,
            Self::BootstrapLoop => EventKind::BootstrapLoop,
            Self::FirmwareChanged { .. } => EventKind::FirmwareChanged,
            Self::AuthenticationRefused { .. } => EventKind::AuthenticationRefused,
            Self::Campaign { .. } => EventKind::Campaign,
            Self::HealthIssue { .. } => EventKind::HealthIssue,
            Self::DownloadRequested { .. } => EventKind::DownloadRequested,
            Self::DeploymentUnits { .. } => EventKind::DeploymentUnits,
        }
    }

    /// The end of a transaction.
    #[must_use]
    pub fn ended(transaction: &Transaction) -> Self {
        Self::TransactionEnded {
            id: transaction.id,
            kind: transaction.kind,
            operation: transaction.work.operation().into(),
            status: transaction.status,
            // While it backs off it keeps its last fault, which is of no interest once it is completed.
            fault: transaction
                .fault
                .as_ref()
                .filter(|_| transaction.status != TransactionStatus::Completed)
                .map(|fault| TransactionFault { code: fault.code, message: text(&fault.message).into() }),
            requested_by: text(&transaction.requested_by),
        }
    }
}

/// What someone else wrote, as an entry keeps it: without control characters, and not too long.
#[must_use]
pub fn text(raw: &str) -> Box<str> {
    raw.chars().filter(|c| !c.is_control()).take(TEXT_MAX_CHARS).collect::<String>().into()
}

fn shown_value(path: &str, value: &str) -> Box<str> {
    if hides_its_value(path) { BLANKED.into() } else { value.chars().take(VALUE_MAX_CHARS).collect::<String>().into() }
}

/// Whether an Inform says that values have changed: then what was known before has to be looked up.
#[must_use]
pub fn reports_value_changes(facts: &InformFacts<'_>) -> bool {
    facts.events.iter().any(|event| event.code == EventCode::ValueChange)
}

/// What an Inform entails. `state` is the device after it, `before` what was known of the Inform's parameters, in their
/// order; empty when no changes of values are reported. Nothing, without allocating, for the Inform of an idle device.
#[must_use]
pub fn of_inform(
    facts: &InformFacts<'_>,
    state: &State,
    learned: &Learned,
    before: &[Option<Parameter>],
) -> Vec<EventData> {
    let mut found = Vec::new();
    if learned.first_contact {
        found.push(EventData::FirstContact {
            oui: text(&facts.identity.oui),
            product_class: text(&facts.identity.product_class),
            reported_serial: facts.identity.serial_number.clone(),
            address: facts.peer.to_canonical(),
        });
    }
    if learned.bootstrap_loop {
        found.push(EventData::BootstrapLoop);
    } else if learned.bootstrapped {
        found.push(EventData::Bootstrap { ordered: facts.reset == ResetOrder::Ordered });
    }
    if facts.events.iter().any(|event| event.code == EventCode::Boot) {
        found.push(EventData::Boot);
    }
    if learned.came_up {
        found.push(EventData::Status { status: Status::Up });
    }
    if let Some(old) = &learned.software_was {
        found.push(EventData::FirmwareChanged { old: text(old), new: text(&state.software_version) });
    }
    // What is known of a device that begins anew says nothing about what has changed on it.
    let begins = learned.first_contact || learned.bootstrapped;
    let changes = facts.parameters.iter().zip(before).filter(|_| !begins).filter_map(|(parameter, before)| {
        let old = before.as_ref().and_then(|before| before.value.as_deref());
        (old != Some(parameter.value.as_ref())).then(|| EventData::ValueChange {
            path: parameter.name.as_ref().into(),
            old: old.map(|old| shown_value(&parameter.name, old)),
            new: shown_value(&parameter.name, &parameter.value),
        })
    });
    found.extend(changes.take(CHANGES_MAX));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cwmp::message::inform::{EventStruct, ParameterValueStruct};
    use crate::cwmp::version::{CwmpVersion, Namespace};
    use crate::types::ident::DeviceIdentity;
    use crate::types::value::XsdType;

    fn event(raw: &str) -> EventStruct<'_> {
        EventStruct { code: EventCode::parse(raw), raw_code: raw.into(), command_key: "".into() }
    }

    fn kinds(of: &[EventData]) -> Vec<&'static str> {
        of.iter().map(|data| data.kind().as_str()).collect()
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::parse(kind.as_str()), Some(kind));
        }
        let some: EventKinds = [EventKind::Boot, EventKind::AuthenticationRefused].into_iter().collect();
        let has: Vec<_> = EventKind::ALL.into_iter().filter(|kind| some.has(*kind)).collect();
        assert_eq!(has, [EventKind::Boot, EventKind::AuthenticationRefused]);
        assert!(EventKind::ALL.into_iter().all(|kind| EventKinds::ALL.has(kind)));
    }

    #[test]
    fn informs_entail_what_they_say_and_idle_ones_nothing() {
        let identity = DeviceIdentity::new("00D09E", "IGD", "1").expect("valid");
        let mut state = State::unseen(Timestamp(1));
        let mut known: Vec<Option<Parameter>> = Vec::new();
        let mut inform = |events: &[&'static str], parameters: &[(&'static str, &'static str)]| {
            let events: Vec<_> = events.iter().map(|raw| event(raw)).collect();
            let parameters: Vec<_> = parameters
                .iter()
                .map(|(path, value)| ParameterValueStruct::new(*path, *value, XsdType::String))
                .collect();
            let facts = InformFacts {
                at: Timestamp(2),
                peer: IpAddr::from([192, 0, 2, 1]),
                identity: &identity,
                manufacturer: "Example",
                cwmp_version: CwmpVersion::V1_0,
                namespace: Namespace::Cwmp1_0,
                events: &events,
                parameters: &parameters,
                reset: ResetOrder::Unordered,
            };
            let before = if reports_value_changes(&facts) { std::mem::take(&mut known) } else { Vec::new() };
            let learned = state.learn(&facts);
            known = parameters
                .iter()
                .map(|parameter| {
                    Some(Parameter {
                        path: parameter.name.as_ref().into(),
                        value: Some(parameter.value.as_ref().into()),
                        ty: None,
                        writable: None,
                        notification: None,
                        updated_at: Timestamp(2),
                    })
                })
                .collect();
            of_inform(&facts, &state, &learned, &before)
        };
        let all = [("Device.DeviceInfo.SoftwareVersion", "1"), ("Device.A", "x"), ("Device.WiFi.KeyPassphrase", "s")];
        let first = inform(&["0 BOOTSTRAP", "1 BOOT"], &all);
        assert_eq!(kinds(&first), ["first_contact", "bootstrap", "boot", "status"]);
        assert_eq!(inform(&["2 PERIODIC"], &all), []);
        let all = [("Device.DeviceInfo.SoftwareVersion", "1"), ("Device.A", "y"), ("Device.WiFi.KeyPassphrase", "t")];
        let changed = inform(&["4 VALUE CHANGE"], &all);
        let change = |path: &str, old: &str, new: &str| EventData::ValueChange {
            path: path.into(),
            old: Some(old.into()),
            new: new.into(),
        };
        assert_eq!(changed, [change("Device.A", "x", "y"), change("Device.WiFi.KeyPassphrase", BLANKED, BLANKED)]);
        let upgraded = inform(&["1 BOOT"], &[("Device.DeviceInfo.SoftwareVersion", "2")]);
        assert_eq!(kinds(&upgraded), ["boot", "firmware_changed"]);
        let mut many = vec![("Device.A", "same"); CHANGES_MAX];
        many.push(("Device.B", "old"));
        assert_eq!(inform(&["2 PERIODIC"], &many), []);
        many.last_mut().expect("just put there").1 = "new";
        let last = inform(&["4 VALUE CHANGE"], &many);
        assert_eq!(last, [change("Device.B", "old", "new")], "those that are as they were are not counted");
        let all: Vec<_> = many.iter().map(|(path, _)| (*path, "other")).collect();
        assert_eq!(inform(&["4 VALUE CHANGE"], &all).len(), CHANGES_MAX);
    }
}
