//! Wanted configuration: what a type wants of its devices and what a single device overrides, as operators wrote it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::auth::seal::SealError;
use crate::types::path::{ObjectPath, ParameterPath, hides_its_value};
use crate::types::secret::{MaybeSealed, Sealed, Secret};

use super::device::{DataModel, Profile, State};
use super::device_type::DeviceType;
use super::inventory::{Location, Organization};
use super::placeholders::{self, Placeholder};
use super::transaction::TypeHint;

/// What is wanted, of every device of a type or of one device. Paths below `Device.` are for TR-181 devices, those below
/// `InternetGatewayDevice.` for TR-098 ones: both may stand side by side, and each device takes those of its own tree.
///
/// `V` is what a value is: as it is kept, or in clear as it goes to the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedConfiguration<V = MaybeSealed> {
    /// Parameters with fixed paths.
    pub parameters: Vec<WantedParameter<V>>,
    /// Notification attributes.
    pub attributes: Vec<WantedAttribute>,
    /// Rows of tables, found by key.
    pub objects: Vec<WantedObject<V>>,
}

impl<V> Default for WantedConfiguration<V> {
    fn default() -> Self {
        Self { parameters: Vec::new(), attributes: Vec::new(), objects: Vec::new() }
    }
}

impl<V> WantedConfiguration<V> {
    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty() && self.attributes.is_empty() && self.objects.is_empty()
    }

    /// Whether anything is wanted of devices with this tree; of those whose tree is not known, whether anything is.
    #[must_use]
    pub fn concerns(&self, model: DataModel) -> bool {
        self.parameters.iter().any(|wanted| concerns(model, wanted.path.as_str()))
            || self.attributes.iter().any(|wanted| concerns(model, wanted.path.as_str()))
            || self.objects.iter().any(|wanted| concerns(model, wanted.table.as_str()))
    }
}

/// Whether a path is one of this tree.
fn concerns(model: DataModel, path: &str) -> bool {
    match model {
        DataModel::Unknown => true,
        DataModel::Device | DataModel::InternetGatewayDevice => path.starts_with(model.root()),
    }
}

/// A parameter and the value it is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedParameter<V = MaybeSealed> {
    /// Where.
    pub path: ParameterPath,
    /// Lexical form; may hold placeholders like `{serial}`. Sealed where the path hides it.
    pub value: V,
    /// What the operator said of the type, if anything.
    pub ty: Option<TypeHint>,
}

/// A notification attribute (TR-069 A.3.2.4): 0 off, 1 passive, 2 active, 3 to 6 the lightweight forms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedAttribute {
    /// Where.
    pub path: ParameterPath,
    /// 0 to 6.
    pub notification: u8,
}

/// A row of a table. Which row it is, its key tells: instance numbers differ from device to device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedObject<V = MaybeSealed> {
    /// The table.
    pub table: ObjectPath,
    /// Leaves of the row (relative to it) whose values single it out; at least one. Values may hold placeholders.
    pub key: BTreeMap<String, WantedValue<V>>,
    /// Leaves of the row (relative to it) and the values they are to have. Values may hold placeholders.
    pub parameters: BTreeMap<String, WantedValue<V>>,
}

/// A value of a wanted row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedValue<V = MaybeSealed> {
    /// Lexical form; may hold placeholders. Sealed where the leaf hides it.
    pub value: V,
    /// What the operator said of the type, if anything.
    pub ty: Option<TypeHint>,
}

impl WantedParameter {
    /// Seals the value if its path hides it and it is not sealed yet.
    ///
    /// # Errors
    /// Whatever `seal` says.
    pub fn seal<E>(&mut self, seal: impl FnOnce(&Secret) -> Result<Sealed, E>) -> Result<(), E> {
        if self.path.hides_its_value() { self.value.seal(seal) } else { Ok(()) }
    }
}

impl WantedObject {
    /// Seals the values that their leaves hide and that are not sealed yet.
    ///
    /// # Errors
    /// Whatever `seal` says.
    pub fn seal<E>(&mut self, seal: impl Fn(&Secret) -> Result<Sealed, E>) -> Result<(), E> {
        let table = &self.table;
        let mut hidden = self
            .key
            .iter_mut()
            .chain(&mut self.parameters)
            .filter(|(leaf, _)| hides_its_value(&format!("{table}{leaf}")));
        hidden.try_for_each(|(_, wanted)| wanted.value.seal(&seal))
    }
}

/// Opens what was sealed.
pub type Open<'o> = dyn Fn(&Sealed) -> Result<Secret, SealError> + 'o;

/// A sealed value does not open.
#[derive(Debug, thiserror::Error)]
#[error("the value for {path} cannot be unsealed")]
pub struct Unopenable {
    /// Of the parameter, or of the leaf below its table.
    pub path: String,
    /// Why.
    #[source]
    pub source: SealError,
}

/// What one device is to be configured to, now: its type's wishes with its own laid over them, placeholders filled, and
/// only what concerns its data model. Secrets are in clear: it is never kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// With all placeholders filled.
    pub configuration: WantedConfiguration<String>,
    /// What hidden parameters (passwords) are is written when this differs from the mark of the last configuration.
    pub mark: ConfigurationMark,
}

/// Tells one wanted configuration from another without looking at it: made from the revisions of all that goes into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigurationMark(pub u64);

/// All that decides what one device is to be configured to.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'b> {
    /// Its type.
    pub device_type: &'b DeviceType,
    /// What operators say of it.
    pub profile: &'b Profile,
    /// What it says of itself.
    pub state: &'b State,
    /// Its location record, if it has one.
    pub location: Option<&'b Location>,
    /// Its organization.
    pub organization: Option<&'b Organization>,
}

impl<'b> Basis<'b> {
    /// Whether anything is wanted of the device's parameters, attributes and rows.
    #[must_use]
    pub fn wants_configuration(&self) -> bool {
        let model = self.state.data_model;
        self.device_type.wanted.concerns(model) || self.profile.wanted.concerns(model)
    }

    /// Whether the type defines what `device_factory` writes on this device.
    #[must_use]
    pub fn has_device_factory(&self) -> bool {
        let model = self.state.data_model;
        self.device_type.device_factory.iter().any(|wanted| concerns(model, wanted.path.as_str()))
    }

    /// The parameter that the location's name is written to, if the type names one for the device's tree.
    #[must_use]
    pub fn location_parameter(&self) -> Option<&'b ParameterPath> {
        let model = self.state.data_model;
        self.device_type.location_parameters.iter().find(|path| concerns(model, path.as_str()))
    }

    /// Where the device stands: its own location name, else that of its location record, else nothing.
    #[must_use]
    pub fn location_name(&self) -> &'b str {
        match (self.profile.location_name.as_str(), self.location) {
            ("", Some(location)) => &location.name,
            (own, _) => own,
        }
    }

    /// The wanted periodic Inform interval in seconds: the device's own, else its type's.
    #[must_use]
    pub fn update_frequency(&self) -> Option<u32> {
        self.profile.update_frequency.or(self.device_type.update_frequency)
    }

    /// Tells whether the device is configured as it is to be: not when its mark is another one. `None` while nothing at
    /// all is wanted of the device, or it is not known yet which tree it has. Cheap: looks at no value.
    #[must_use]
    pub fn mark(&self) -> Option<ConfigurationMark> {
        let of_type = self.device_type.update_frequency.is_some() || !self.device_type.location_parameters.is_empty();
        if self.state.data_model == DataModel::Unknown || !(of_type || self.wants_configuration()) {
            return None;
        }
        let words = [
            u64::from(self.device_type.id.0),
            u64::from(self.device_type.revision),
            u64::from(self.device_type.update_frequency.unwrap_or(0)),
            u64::from(self.profile.revision),
            self.location.map_or(0, |location| u64::from(location.id.0)),
            self.location.map_or(0, |location| u64::from(location.revision)),
            self.organization.map_or(0, |organization| u64::from(organization.id.0)),
            self.organization.map_or(0, |organization| u64::from(organization.revision)),
            match self.state.data_model {
                DataModel::Unknown => 0,
                DataModel::Device => 1,
                DataModel::InternetGatewayDevice => 2,
            },
        ];
        Some(ConfigurationMark(words.into_iter().fold(0, scramble)))
    }

    /// What the device is to be configured to, with every placeholder filled; `None` when nothing is wanted of it. Of a
    /// device whose tree is not known what is below `Device.`. Secrets are opened with `open`.
    ///
    /// # Errors
    /// [`Unopenable`]: one of them does not open.
    pub fn effective(&self, open: &Open<'_>) -> Result<Option<Effective>, Unopenable> {
        let (of_type, own) = (&self.device_type.wanted, &self.profile.wanted);
        let root = self.state.data_model.root();
        let of_tree = |wanted: &&WantedParameter| wanted.path.as_str().starts_with(root);
        let of_tree_rows = |wanted: &&WantedObject| wanted.table.as_str().starts_with(root);
        let configuration = WantedConfiguration {
            parameters: self.parameters(of_type.parameters.iter().chain(&own.parameters).filter(of_tree), open)?,
            attributes: laid_over(
                of_type
                    .attributes
                    .iter()
                    .chain(&own.attributes)
                    .filter(|wanted| wanted.path.as_str().starts_with(root)),
                |wanted| wanted.path.as_str(),
            ),
            objects: self.rows(of_type.objects.iter().chain(&own.objects).filter(of_tree_rows), open)?,
        };
        Ok(self.unless_empty(configuration))
    }

    /// What `device_factory` writes on this device, with every placeholder filled; `None` when the type defines nothing.
    /// Secrets are opened with `open`.
    ///
    /// # Errors
    /// [`Unopenable`]: one of them does not open.
    pub fn device_factory(&self, open: &Open<'_>) -> Result<Option<Effective>, Unopenable> {
        let root = self.state.data_model.root();
        let of_tree = self.device_type.device_factory.iter().filter(|wanted| wanted.path.as_str().starts_with(root));
        let parameters = self.parameters(of_tree, open)?;
        Ok(self.unless_empty(WantedConfiguration { parameters, ..WantedConfiguration::default() }))
    }

    fn unless_empty(&self, configuration: WantedConfiguration<String>) -> Option<Effective> {
        (!configuration.is_empty()).then(|| Effective { configuration, mark: self.mark().unwrap_or_default() })
    }

    /// The parameters in clear, one for each path, with their placeholders filled.
    fn parameters<'w>(
        &self,
        all: impl Iterator<Item = &'w WantedParameter>,
        open: &Open<'_>,
    ) -> Result<Vec<WantedParameter<String>>, Unopenable> {
        let clear = |wanted: WantedParameter| {
            let value = self.fill(&opened(&wanted.value, open, || wanted.path.to_string())?);
            Ok(WantedParameter { path: wanted.path, value, ty: wanted.ty })
        };
        laid_over(all, |wanted| wanted.path.as_str()).into_iter().map(clear).collect()
    }

    /// The rows in clear with their placeholders filled, those with the same table and key laid over each other.
    fn rows<'w>(
        &self,
        all: impl Iterator<Item = &'w WantedObject>,
        open: &Open<'_>,
    ) -> Result<Vec<WantedObject<String>>, Unopenable> {
        let mut places = HashMap::new();
        let mut rows: Vec<WantedObject<String>> = Vec::new();
        for wanted in all {
            let clear = |values| self.clear_values(&wanted.table, values, open);
            let (key, parameters) = (clear(&wanted.key)?, clear(&wanted.parameters)?);
            // It is the same row when its key says so, whatever is said of the types.
            let values: Vec<(String, String)> =
                key.iter().map(|(leaf, wanted)| (leaf.clone(), wanted.value.clone())).collect();
            let place = *places.entry((&wanted.table, values)).or_insert(rows.len());
            match rows.get_mut(place) {
                Some(present) => present.parameters.extend(parameters),
                None => rows.push(WantedObject { table: wanted.table.clone(), key, parameters }),
            }
        }
        Ok(rows)
    }

    fn clear_values(
        &self,
        table: &ObjectPath,
        values: &BTreeMap<String, WantedValue>,
        open: &Open<'_>,
    ) -> Result<BTreeMap<String, WantedValue<String>>, Unopenable> {
        let clear = |(leaf, wanted): (&String, &WantedValue)| {
            let value = self.fill(&opened(&wanted.value, open, || format!("{table}{leaf}"))?);
            Ok((leaf.clone(), WantedValue { value, ty: wanted.ty }))
        };
        values.iter().map(clear).collect()
    }

    fn fill(&self, text: &str) -> String {
        placeholders::fill(text, |placeholder| self.value(placeholder))
    }

    fn value(&self, placeholder: Placeholder) -> &'b str {
        let (profile, identity) = (self.profile, self.state.identity.as_ref());
        let place = |own: &'b Option<String>, of_record: fn(&'b Location) -> &'b Option<String>| {
            own.as_deref().or_else(|| of_record(self.location?).as_deref()).unwrap_or_default()
        };
        match placeholder {
            Placeholder::SerialNumber => profile.serial_number.as_str(),
            Placeholder::Oui => identity.map_or("", |identity| &*identity.oui),
            Placeholder::ProductClass => identity.map_or("", |identity| &*identity.product_class),
            Placeholder::Name => &profile.name,
            Placeholder::CustomerId => &profile.customer_id,
            Placeholder::Description => &profile.description,
            Placeholder::Location => self.location_name(),
            Placeholder::LocationName => &profile.location_name,
            Placeholder::LocationShortName => self.location.map_or("", |location| &location.short_name),
            Placeholder::Organization => self.organization.map_or("", |organization| &organization.name),
            Placeholder::OrganizationShortName => self.organization.map_or("", |organization| &organization.short_name),
            Placeholder::Latitude => place(&profile.latitude, |location| &location.latitude),
            Placeholder::Longitude => place(&profile.longitude, |location| &location.longitude),
            Placeholder::Username => profile.credentials.wanted().map_or("", |login| &login.username),
        }
    }
}

/// A value in clear; `path` is asked for when it does not open.
pub(super) fn opened(
    value: &MaybeSealed,
    open: &Open<'_>,
    path: impl FnOnce() -> String,
) -> Result<String, Unopenable> {
    value.open(open).map_err(|source| Unopenable { path: path(), source })
}

/// One of each, the last in the place of the first.
fn laid_over<'w, T: Clone + 'w>(all: impl Iterator<Item = &'w T>, name: fn(&T) -> &str) -> Vec<T> {
    let mut places = HashMap::new();
    let mut list: Vec<T> = Vec::new();
    for wanted in all {
        let place = *places.entry(name(wanted)).or_insert(list.len());
        match list.get_mut(place) {
            Some(present) => present.clone_from(wanted),
            None => list.push(wanted.clone()),
        }
    }
    list
}

/// Mixes a word into a hash that stays the same over restarts and versions: marks are stored (splitmix64's finalizer).
const fn scramble(hash: u64, word: u64) -> u64 {
    let mut mixed = (hash ^ word).wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
