//! A device: its profile, which operators write and which seldom changes, and its state, which every Inform rewrites.
//!
//! The two are kept apart so that an Inform and an operator's change never overwrite each other.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::cwmp::version::{CwmpVersion, Namespace};
use crate::types::ident::{DeviceIdentity, DeviceKey, SerialNumber, TransactionId};
use crate::types::secret::Sealed;
use crate::types::time::Timestamp;
use crate::types::value::XsdType;

use super::call::RpcMethods;
use super::campaign::CampaignId;
use super::file::ImageId;
use super::inventory::LocationId;
use super::wanted::{ConfigurationMark, WantedConfiguration};

/// An organization; a fresh store has number 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrganizationId(pub u32);

/// A device type; a fresh store has number 1, "generic".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceTypeId(pub u32);

/// The organization and the type that every store has.
pub const DEFAULT_ORGANIZATION: OrganizationId = OrganizationId(1);
/// The type that every store has: "generic".
pub const DEFAULT_TYPE: DeviceTypeId = DeviceTypeId(1);

/// A device with both of its halves.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// acsd's key and the API's `id`.
    pub key: DeviceKey,
    /// What operators and acsd want of it.
    pub profile: Profile,
    /// What it says of itself.
    pub state: State,
}

/// Written by operators, and by acsd where it hands out credentials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Never changes.
    pub uuid: Uuid,
    /// By which the API addresses the device; unique.
    pub serial_number: SerialNumber,
    /// The raw serial where `serial_number` had to be made unique, or whatever an operator notes.
    pub serial_number_alt: String,
    /// For people; the serial at first.
    pub name: String,
    /// The operator's own reference.
    pub customer_id: String,
    /// For people.
    pub description: String,
    /// Whose it is.
    pub organization: OrganizationId,
    /// What kind it is.
    pub device_type: DeviceTypeId,
    /// Who said so.
    pub type_origin: TypeOrigin,
    /// A location record.
    pub location: Option<LocationId>,
    /// Free text.
    pub location_name: String,
    /// Decimal degrees as given.
    pub latitude: Option<String>,
    /// Decimal degrees as given.
    pub longitude: Option<String>,
    /// Free words.
    pub tags: Vec<String>,
    /// An inactive device's Informs are answered and recorded, its queue is held.
    pub is_active: bool,
    /// Whether its sessions are traced.
    pub debug: bool,
    /// The wanted firmware image.
    pub firmware_image: Option<ImageId>,
    /// The wanted periodic Inform interval in seconds; `None`: whatever the device has.
    pub update_frequency: Option<u32>,
    /// When the record was made.
    pub created: Timestamp,
    /// When an operator last changed the record, or acsd a parameter of the device.
    pub last_change: Option<Timestamp>,
    /// When acsd last finished configuring the device.
    pub last_configuration: Option<Timestamp>,
    /// How the device and acsd prove themselves to each other.
    pub credentials: Credentials,
    /// Settings the device has yet to take.
    pub pending: Vec<PendingSetting>,
    /// What is wanted of this device over and above its type, which it overrides.
    pub wanted: WantedConfiguration,
    /// Counts the changes of this record that can change what the device is configured to.
    pub revision: u32,
    /// Which methods the device has, once it was asked; forgotten when its software changes.
    pub methods: Option<RpcMethods>,
}

impl Profile {
    /// A device as it begins: everything at its default, named by its serial.
    #[must_use]
    pub fn fresh(serial_number: SerialNumber, at: Timestamp) -> Self {
        Self {
            uuid: Uuid::new_v4(),
            name: serial_number.to_string(),
            serial_number,
            serial_number_alt: String::new(),
            customer_id: String::new(),
            description: String::new(),
            organization: DEFAULT_ORGANIZATION,
            device_type: DEFAULT_TYPE,
            type_origin: TypeOrigin::Default,
            location: None,
            location_name: String::new(),
            latitude: None,
            longitude: None,
            tags: Vec::new(),
            is_active: true,
            debug: false,
            firmware_image: None,
            update_frequency: None,
            created: at,
            last_change: None,
            last_configuration: None,
            credentials: Credentials::default(),
            pending: Vec::new(),
            wanted: WantedConfiguration::default(),
            revision: 0,
            methods: None,
        }
    }
}

/// How a device came by its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum TypeOrigin {
    /// Nothing matched: the default.
    #[default]
    Default,
    /// By the match rules of its type.
    Matched,
    /// An operator chose it: rules do not change it.
    Operator,
}

/// A user name in clear and its sealed password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// In clear.
    pub username: String,
    /// Sealed under the key file.
    pub password: Sealed,
}

/// The logins of one device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Credentials {
    /// What the CPE presents; `None`: the shared onboarding credential.
    pub current: Option<Login>,
    /// The device has it, or may have it, but has not used it yet: valid beside `current` until one of them is used.
    pub taken: Option<Login>,
    /// On its way to the device: valid beside the others, since the answer to the write may have been lost.
    pub next: Option<Login>,
    /// The device came back with the shared credential after a reset, which stays good until it has used a login of its
    /// own again.
    pub on_shared: bool,
    /// What acsd presents in connection requests.
    pub connection_request: Option<Login>,
    /// Whether the device has confirmed taking `connection_request`.
    pub connection_request_set: bool,
    /// When acsd last ordered a factory reset: until it is over, the shared credential is expected.
    pub reset_ordered: Option<Timestamp>,
}

impl Credentials {
    /// The login the device is to have: the one on its way to it, else the one it has.
    #[must_use]
    pub fn wanted(&self) -> Option<&Login> {
        self.next.as_ref().or(self.taken.as_ref()).or(self.current.as_ref())
    }
}

/// What may be pending on a device (rest-api.md 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// `ManagementServer.PeriodicInformInterval`.
    UpdateFrequency,
    /// `ManagementServer.Username` and `Password`.
    Credentials,
    /// `ManagementServer.ConnectionRequestUsername` and `...Password`: acsd's own business, not shown as pending. While it is,
    /// no transaction is noted with it: a device for which none is live either was not provisioned to the end.
    ConnectionRequest,
    /// The parameter that the type maps the location to.
    LocationUpdate,
    /// The wanted image.
    FirmwareUpgrade,
}

impl Setting {
    /// The word the API uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UpdateFrequency => "update_frequency",
            Self::Credentials => "credentials",
            Self::ConnectionRequest => "connection_request",
            Self::LocationUpdate => "location_update",
            Self::FirmwareUpgrade => "firmware_upgrade",
        }
    }
}

/// A setting that the device has yet to take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingSetting {
    /// Which.
    pub setting: Setting,
    /// The transaction that carries it to the device, once there is one.
    pub transaction: Option<TransactionId>,
    /// Since when.
    pub created_at: Timestamp,
    /// The fault in words, when the device refused it; it then stays pending.
    pub failed: Option<String>,
    /// The campaign that orders it, in its own time; nobody else may meanwhile.
    pub campaign: Option<CampaignId>,
}

impl PendingSetting {
    /// One that nothing carries yet.
    #[must_use]
    pub const fn uncarried(setting: Setting, at: Timestamp) -> Self {
        Self { setting, transaction: None, created_at: at, failed: None, campaign: None }
    }

    /// Whether this is the setting that a transaction brings, and no other is to bring it.
    #[must_use]
    pub fn is_carried_by(&self, setting: Setting, transaction: TransactionId) -> bool {
        let is_noted = self.transaction == Some(transaction);
        self.setting == setting && (is_noted || setting == Setting::ConnectionRequest)
    }

    /// Whether nothing carries it to the device, and nothing has tried.
    #[must_use]
    pub const fn is_uncarried(&self) -> bool {
        self.transaction.is_none() && self.failed.is_none()
    }
}

/// Whether the device reports in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Status {
    /// Overdue, or never heard of.
    #[default]
    Down,
    /// Informs come within the interval plus grace.
    Up,
}

/// Which data model the device speaks; learned from the first parameter of its Inform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum DataModel {
    /// Not yet known.
    #[default]
    Unknown,
    /// TR-181 (or Device:1): `Device.`.
    Device,
    /// TR-098: `InternetGatewayDevice.`.
    InternetGatewayDevice,
}

impl DataModel {
    /// The root object; `Device.` while unknown.
    #[must_use]
    pub const fn root(self) -> &'static str {
        match self {
            Self::Unknown | Self::Device => "Device.",
            Self::InternetGatewayDevice => "InternetGatewayDevice.",
        }
    }

    /// Which model a path belongs to.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        if path.starts_with("InternetGatewayDevice.") {
            Self::InternetGatewayDevice
        } else if path.starts_with("Device.") {
            Self::Device
        } else {
            Self::Unknown
        }
    }
}

/// Rewritten by every Inform; small.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// `None` until the device has Informed for the first time.
    pub identity: Option<DeviceIdentity>,
    /// As reported.
    pub manufacturer: Box<str>,
    /// Up or Down.
    pub status: Status,
    /// Since when.
    pub status_change: Timestamp,
    /// The last Inform.
    pub last_inform: Option<Timestamp>,
    /// Where the last Inform came from.
    pub address: Option<IpAddr>,
    /// `DeviceInfo.SoftwareVersion`.
    pub software_version: Box<str>,
    /// `DeviceInfo.HardwareVersion`.
    pub hardware_version: Box<str>,
    /// `ManagementServer.ConnectionRequestURL`.
    pub connection_request_url: Option<Box<str>>,
    /// Which tree it has.
    pub data_model: DataModel,
    /// What it speaks.
    pub cwmp_version: CwmpVersion,
    /// The namespace it uses.
    pub namespace: Namespace,
    /// The device's own periodic interval in seconds, once known.
    pub periodic_interval_secs: Option<u32>,
    /// Informs recorded.
    pub informs: u64,
    /// The last `1 BOOT`.
    pub last_boot: Option<Timestamp>,
    /// The last `0 BOOTSTRAP` that counted as one.
    pub last_bootstrap: Option<Timestamp>,
    /// Unordered bootstraps within the hour that began at `bootstrap_window`.
    pub bootstraps_in_window: u16,
    /// Start of that hour.
    pub bootstrap_window: Timestamp,
    /// The verdict of the last connection request, in words.
    pub connection_request_verdict: Option<Box<str>>,
    /// When that was.
    pub connection_request_at: Option<Timestamp>,
    /// How far the device is configured.
    pub configured: Configured,
    /// Parameters of the last Informs that the parameter tree does not hold yet; at most [`OBSERVED_MAX`].
    pub observed: Vec<Observed>,
}

/// How far a device is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Configured {
    /// Of the wanted configuration that was brought to it last, or last tried; `None`: never, or the device was reset.
    pub mark: Option<ConfigurationMark>,
    /// Whether that failed: it is tried again when something changes, and when the device boots.
    pub failed: bool,
}

/// Most parameters kept in the hot record; more go to the parameter tree.
pub const OBSERVED_MAX: usize = 32;

/// A value as the device reported it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Full path.
    pub path: Box<str>,
    /// As sent.
    pub value: Box<str>,
    /// As declared.
    pub ty: XsdType,
    /// When the value was first seen as it is.
    pub at: Timestamp,
}

/// One parameter of the known tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Full path; an object's ends in a dot and has no value.
    pub path: Box<str>,
    /// `None`: known to exist, never read.
    pub value: Option<Box<str>>,
    /// `None`: never read.
    pub ty: Option<XsdType>,
    /// From `GetParameterNames`; `None`: never asked.
    pub writable: Option<bool>,
    /// From `GetParameterAttributes`; `None`: never asked.
    pub notification: Option<u8>,
    /// When any of it was last learned.
    pub updated_at: Timestamp,
}

/// Something learned of one parameter. `None` leaves what is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterPatch {
    /// Full path, or an object's.
    pub path: Box<str>,
    /// A fresh value and its type.
    pub value: Option<(Box<str>, XsdType)>,
    /// Whether it may be set (rows added, row deleted).
    pub writable: Option<bool>,
    /// Its notification attribute.
    pub notification: Option<u8>,
}

/// How the known tree changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TreePatch {
    /// Subtrees that are gone: rows deleted, names the device denies. An empty path forgets everything.
    pub forget: Vec<Box<str>>,
    /// Applied after `forget`.
    pub learn: Vec<ParameterPatch>,
}
