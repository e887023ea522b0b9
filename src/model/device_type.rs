//! Device types: which devices are of a type, and what acsd wants of them (rest-api.md §4).

use serde::{Deserialize, Serialize};

use crate::cwmp::emission::{BooleanForm, DeclarationPolicy, EmissionFlags, SoapPrefix};
use crate::types::path::{ObjectPath, ParameterPath};
use crate::types::time::Timestamp;

use super::device::{DEFAULT_TYPE, DataModel, DeviceTypeId};
use super::wanted::{WantedConfiguration, WantedParameter};

/// A kind of device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceType {
    /// Its number.
    pub id: DeviceTypeId,
    /// For people.
    pub name: String,
    /// For tables.
    pub short_name: String,
    /// Which unknown devices get this type at first contact.
    pub matching: TypeMatch,
    /// How every device of the type is to be configured.
    pub wanted: WantedConfiguration,
    /// What the operation `device_factory` writes; empty: it is not possible.
    pub device_factory: Vec<WantedParameter>,
    /// What health checks read, and what they find alarming.
    pub health_parameters: Vec<HealthParameter>,
    /// The parameter that a device's `location_name` is written to; one per data model.
    pub location_parameters: Vec<ParameterPath>,
    /// Wanted periodic Inform interval of devices that have none of their own, in seconds.
    pub update_frequency: Option<u32>,
    /// How envelopes for these devices are written, where it differs from the configuration.
    pub emission: EmissionOverrides,
    /// Whether the sessions of all its devices are traced.
    pub debug: bool,
    /// When the record was made.
    pub created: Timestamp,
    /// How its devices scan for Wi-Fi networks, where they do it another way than TR-181 has it.
    pub neighbor_scan: Option<NeighborScan>,
    /// How often the health of its devices is checked by itself, in seconds; `None`: only when asked.
    pub health_interval_secs: Option<u32>,
    /// Numeric parameters of which the values are kept over time.
    pub history_parameters: Vec<ParameterPath>,
    /// Whether its devices are to log in when they fetch or send files.
    pub file_login: FileLogin,
    /// Counts the changes of what is wanted: a device that was configured under another one is not up to date.
    pub revision: u32,
}

impl DeviceType {
    /// The type that every store has, "generic": it wants nothing and matches nothing by itself.
    #[must_use]
    pub fn generic(at: Timestamp) -> Self {
        Self {
            id: DEFAULT_TYPE,
            name: "Generic".to_owned(),
            short_name: "generic".to_owned(),
            matching: TypeMatch::default(),
            wanted: WantedConfiguration::default(),
            device_factory: Vec::new(),
            health_parameters: Vec::new(),
            location_parameters: Vec::new(),
            update_frequency: None,
            emission: EmissionOverrides::default(),
            debug: false,
            neighbor_scan: None,
            health_interval_secs: None,
            history_parameters: Vec::new(),
            file_login: FileLogin::None,
            created: at,
            revision: 0,
        }
    }

    /// Whether the type asks nothing of its devices by itself, `device_factory` aside.
    #[must_use]
    pub fn wants_nothing(&self) -> bool {
        self.wanted.is_empty() && self.update_frequency.is_none() && self.location_parameters.is_empty()
    }

    /// The health parameters of devices with this data model, as they can be used.
    ///
    /// # Errors
    /// [`HealthFault`]: what an administrator has to put right in the type.
    pub fn health_of(&self, model: DataModel) -> Result<Vec<&HealthParameter>, HealthFault> {
        let device_type = || self.short_name.clone();
        if self.health_parameters.is_empty() {
            return Err(HealthFault::Nothing { device_type: device_type() });
        }
        let fits = |parameter: &&HealthParameter| {
            let of = DataModel::of_path(parameter.path.as_str());
            model == DataModel::Unknown || of == DataModel::Unknown || of == model
        };
        let found: Vec<&HealthParameter> = self.health_parameters.iter().filter(fits).collect();
        if found.is_empty() {
            return Err(HealthFault::OtherModel { device_type: device_type(), root: model.root() });
        }
        for (at, parameter) in found.iter().enumerate() {
            let name = || parameter.name.clone();
            let same = |other: &&HealthParameter| {
                let model = |one: &HealthParameter| DataModel::of_path(one.path.as_str());
                other.name == parameter.name && model(other) == model(parameter)
            };
            if found.iter().take(at).any(same) {
                return Err(HealthFault::Twice { device_type: device_type(), name: name() });
            }
            if parameter.contradicts_itself() {
                return Err(HealthFault::Contradiction { device_type: device_type(), name: name() });
            }
            if parameter.has_total_elsewhere() {
                return Err(HealthFault::TotalElsewhere { device_type: device_type(), name: name() });
            }
        }
        Ok(found)
    }

    /// Whether any values of its devices are kept over time.
    #[must_use]
    pub fn keeps_history(&self) -> bool {
        !(self.history_parameters.is_empty() && self.health_parameters.is_empty())
    }

    /// Whether the values of a parameter are kept over time.
    #[must_use]
    pub fn keeps_history_of(&self, path: &str) -> bool {
        let is_read = |parameter: &HealthParameter| {
            parameter.path.as_str() == path || parameter.scale.total().is_some_and(|total| total.as_str() == path)
        };
        self.history_parameters.iter().any(|kept| kept.as_str() == path) || self.health_parameters.iter().any(is_read)
    }

    /// Whether devices that were configured under `before` have to be looked at again: then the revision is to be raised.
    #[must_use]
    pub fn wants_other_than(&self, before: &Self) -> bool {
        self.wanted != before.wanted
            || self.update_frequency != before.update_frequency
            || self.location_parameters != before.location_parameters
    }
}

/// Which devices a type is for. Everything given must match; nothing given: none matches by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TypeMatch {
    /// `DeviceId.OUI`.
    pub oui: Option<Pattern>,
    /// `DeviceId.ProductClass`.
    pub product_class: Option<Pattern>,
    /// `DeviceInfo.ModelName`, where the device reports it.
    pub model_name: Option<Pattern>,
    /// `DeviceInfo.SoftwareVersion`.
    pub software_version: Option<Pattern>,
}

/// A text in which `*` stands for any run of characters; compared without regard to case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(pub String);

/// A parameter that tells how a device is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthParameter {
    /// The key under which a health check shows it.
    pub name: String,
    /// Where it is.
    pub path: ParameterPath,
    /// An issue from this value on upwards.
    pub warning_above: Option<f64>,
    /// An issue from this value on downwards.
    pub warning_below: Option<f64>,
    /// Of the issue.
    pub severity: String,
    /// Of the issue.
    pub code: String,
    /// Of the issue.
    pub message: String,
    /// What the value is made into before it is shown and compared.
    pub scale: Scale,
}

/// What a health parameter's value is made into.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Scale {
    /// Shown as it is.
    #[default]
    Plain,
    /// Percent of another parameter: `value / total * 100`.
    ShareOf(ParameterPath),
    /// What is free of another parameter, shown as the percentage in use: `100 - value / total * 100`.
    UsedOf(ParameterPath),
}

impl Scale {
    /// The parameter that the value is a part of.
    #[must_use]
    pub const fn total(&self) -> Option<&ParameterPath> {
        match self {
            Self::Plain => None,
            Self::ShareOf(total) | Self::UsedOf(total) => Some(total),
        }
    }
}

/// Why a type's health parameters cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HealthFault {
    /// There are none.
    #[error("type {device_type} defines no health parameters")]
    Nothing {
        /// Its short name.
        device_type: String,
    },
    /// There are some, but none of the device's data model.
    #[error("type {device_type} defines no health parameters below {root}, where the device has its parameters")]
    OtherModel {
        /// Its short name.
        device_type: String,
        /// What the device's paths begin with.
        root: &'static str,
    },
    /// Two of one data model have one name.
    #[error("type {device_type} defines health parameter {name} twice")]
    Twice {
        /// Its short name.
        device_type: String,
        /// Of both.
        name: String,
    },
    /// Every value would be alarming.
    #[error("health parameter {name} of type {device_type}: no value lies between its thresholds")]
    Contradiction {
        /// Its short name.
        device_type: String,
        /// Of the parameter.
        name: String,
    },
    /// The total is in another tree.
    #[error("health parameter {name} of type {device_type} is part of a parameter of another data model")]
    TotalElsewhere {
        /// Its short name.
        device_type: String,
        /// Of the parameter.
        name: String,
    },
}

impl HealthParameter {
    /// Whether no value lies between the thresholds.
    #[must_use]
    pub fn contradicts_itself(&self) -> bool {
        matches!((self.warning_above, self.warning_below), (Some(above), Some(below)) if below >= above)
    }

    /// Whether the total is in another tree than the value.
    #[must_use]
    pub fn has_total_elsewhere(&self) -> bool {
        let model = |path: &ParameterPath| DataModel::of_path(path.as_str());
        self.scale.total().is_some_and(|total| model(total) != model(&self.path))
    }
}

/// A vendor's own scan for Wi-Fi networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighborScan {
    /// The parameter that starts the scan and tells its state.
    pub state: ParameterPath,
    /// What is written to it.
    pub start: String,
    /// Its values, besides `Complete` and `Completed`, that mean that the scan is done.
    pub done: Vec<String>,
    /// The table of networks.
    pub table: ObjectPath,
    /// Which column holds what: a name of TR-181 (`SSID`, `BSSID`, `Channel`, `SignalStrength`, `OperatingFrequencyBand`,
    /// `OperatingChannelBandwidth`, ...) and the device's own name of it, relative to a row.
    pub columns: Vec<(String, String)>,
}

/// Whether devices have to log in to the file server, besides knowing the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum FileLogin {
    /// The link suffices.
    #[default]
    None,
    /// HTTP Basic.
    Basic,
    /// HTTP Digest.
    Digest,
}

/// Flags of the emission profile that a type sets; `None`: as configured (cwmp.md §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EmissionOverrides {
    /// When to send an XML declaration.
    pub xml_declaration: Option<DeclarationPolicy>,
    /// Prefixes of the SOAP namespaces.
    pub soap_prefix: Option<SoapPrefix>,
    /// Leave `ParameterKey` out.
    pub no_parameter_key: Option<bool>,
    /// Never send `GetParameterAttributes` or `SetParameterAttributes`.
    pub no_attributes: Option<bool>,
    /// Put `encodingStyle` on the SOAP body.
    pub encoding_style: Option<bool>,
    /// How booleans are written.
    pub boolean_form: Option<BooleanForm>,
}

impl EmissionOverrides {
    /// The configured flags with these laid over them.
    #[must_use]
    pub fn over(self, flags: EmissionFlags) -> EmissionFlags {
        EmissionFlags {
            xml_declaration: self.xml_declaration.unwrap_or(flags.xml_declaration),
            soap_prefix: self.soap_prefix.unwrap_or(flags.soap_prefix),
            no_parameter_key: self.no_parameter_key.unwrap_or(flags.no_parameter_key),
            no_attributes: self.no_attributes.unwrap_or(flags.no_attributes),
            encoding_style: self.encoding_style.unwrap_or(flags.encoding_style),
            boolean_form: self.boolean_form.unwrap_or(flags.boolean_form),
        }
    }
}
