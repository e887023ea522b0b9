//! Reading wanted configuration from a body.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;

use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::MASK;
use crate::api::body::{Fields, sentence};
use crate::api::error::FieldErrors;
use crate::api::headless::form::{TYPE_NAMES, check_characters, check_hint, parse_type};
use crate::api::words::{TypeWord, not_a_choice};
use crate::auth::seal::{SealError, Sealer};
use crate::devices::inventory::{Placeholders, check_placeholders};
use crate::model::device::DataModel;
use crate::model::transaction::TypeHint;
use crate::model::wanted::{WantedAttribute, WantedConfiguration, WantedObject, WantedParameter, WantedValue};
use crate::types::path::{ObjectPath, ParameterPath, PathError, hides_its_value};
use crate::types::secret::MaybeSealed;
use crate::types::value::ValueKind;

/// Highest notification attribute (TR-069 A.3.2.4).
const NOTIFICATION_MAX: u32 = 6;

/// What is wanted; a schema for the description.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only; a test holds it against the reader")]
#[schema(as = WantedFields, example = json!({
    "parameters": [{"path": "Device.ManagementServer.PeriodicInformInterval", "value": "300", "value_type": "integer"}],
    "attributes": [{"path": "Device.DeviceInfo.SoftwareVersion", "notification": 2}],
    "objects": [{"path": "Device.WiFi.SSID.", "key": {"SSID": "guest"}, "parameters": {"Enable": true}}]
}))]
pub(in crate::api) struct WantedSchema {
    /// Parameters with fixed paths.
    #[schema(nullable = false)]
    parameters: Option<Vec<WriteSchema>>,
    /// Notification attributes.
    #[schema(nullable = false)]
    attributes: Option<Vec<AttributeSchema>>,
    /// Rows of tables, found by key.
    #[schema(nullable = false)]
    objects: Option<Vec<ObjectSchema>>,
}

/// A parameter and the value it is to have.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = WantedWrite)]
pub(in crate::api) struct WriteSchema {
    /// Below `Device.` for TR-181, below `InternetGatewayDevice.` for TR-098 devices.
    #[schema(min_length = 1, max_length = 256)]
    path: String,
    /// May hold placeholders such as `{serial}`. Stars where an answer showed them keep what is stored. A number or a boolean
    /// says its type besides.
    #[schema(value_type = Scalar)]
    value: String,
    /// `integer`, `boolean`, `string`, or an XML Schema name such as `unsignedInt`; may be left out.
    #[schema(value_type = Option<TypeWord>)]
    value_type: Option<String>,
}

/// A text, a number or a boolean.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = WantedScalar, example = "300")]
pub(in crate::api) enum Scalar {
    /// Text.
    Text(String),
    /// A number.
    Number(f64),
    /// A boolean.
    Boolean(bool),
}

/// A value of a row: by itself, or with its type.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = WantedRowValue, example = true)]
pub(in crate::api) enum RowValue {
    /// By itself.
    Plain(Scalar),
    /// With its type.
    Typed {
        /// The value.
        value: Scalar,
        /// Its type.
        value_type: Option<TypeWord>,
    },
}

/// A notification attribute.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = WantedNotification)]
pub(in crate::api) struct AttributeSchema {
    #[schema(min_length = 1, max_length = 256)]
    path: String,
    /// 0 off, 1 passive, 2 active, 3 to 6 the lightweight forms.
    #[schema(minimum = 0, maximum = 6)]
    notification: u8,
}

/// A row of a table.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = WantedRow)]
pub(in crate::api) struct ObjectSchema {
    /// The table, with its final dot.
    #[schema(min_length = 1, max_length = 256)]
    path: String,
    /// Values that single the row out, by their names within it; at least one.
    #[schema(value_type = std::collections::BTreeMap<String, RowValue>)]
    key: Map<String, Value>,
    /// Values it is to have: text, number, boolean, or an object of `value` and `value_type`.
    #[schema(value_type = Option<std::collections::BTreeMap<String, RowValue>>, nullable = false)]
    parameters: Option<Map<String, Value>>,
}

/// What of a wanted configuration a body names.
#[derive(Debug, Default)]
pub(in crate::api) struct WantedPatch {
    pub(in crate::api) parameters: Option<Vec<WantedParameter>>,
    pub(in crate::api) attributes: Option<Vec<WantedAttribute>>,
    pub(in crate::api) objects: Option<Vec<WantedObject>>,
}

impl WantedPatch {
    /// Takes the three lists; `stored` is what masked values stand for.
    pub(in crate::api) fn read(fields: &mut Fields, stored: &WantedConfiguration) -> Self {
        let objects = fields.list_of("objects", |element| read_object(element, &stored.objects));
        Self {
            parameters: read_writes(fields, "parameters", &stored.parameters),
            attributes: read_attributes(fields),
            objects: unique(fields, "objects", objects, |object| (object.table.clone(), key_of(object))),
        }
    }

    /// Seals what its path hides, but for what is sealed already.
    pub(in crate::api) fn seal(&mut self, sealer: &Sealer) -> Result<(), SealError> {
        seal_writes(&mut self.parameters, sealer)?;
        self.objects.iter_mut().flatten().try_for_each(|object| object.seal(|secret| sealer.seal(secret)))
    }

    /// Replaces the lists that are named.
    pub(in crate::api) fn apply(self, wanted: &mut WantedConfiguration) {
        wanted.parameters = self.parameters.unwrap_or(std::mem::take(&mut wanted.parameters));
        wanted.attributes = self.attributes.unwrap_or(std::mem::take(&mut wanted.attributes));
        wanted.objects = self.objects.unwrap_or(std::mem::take(&mut wanted.objects));
    }
}

/// Takes a list of parameters and values.
pub(in crate::api) fn read_writes(
    fields: &mut Fields,
    field: &str,
    stored: &[WantedParameter],
) -> Option<Vec<WantedParameter>> {
    let writes = fields.list_of(field, |element| read_write(element, stored));
    unique(fields, field, writes, |write| write.path.clone())
}

/// Seals what its path hides, but for what is sealed already.
pub(in crate::api) fn seal_writes(writes: &mut Option<Vec<WantedParameter>>, sealer: &Sealer) -> Result<(), SealError> {
    writes.iter_mut().flatten().try_for_each(|write| write.seal(|secret| sealer.seal(secret)))
}

/// A parameter of one of the two data models.
pub(in crate::api) fn parse_path(text: &str) -> Result<ParameterPath, String> {
    let path = ParameterPath::try_from(text).map_err(|error| error.to_string())?;
    require_model(path.as_str()).map(|()| path)
}

fn require_model(path: &str) -> Result<(), String> {
    match DataModel::of_path(path) {
        DataModel::Device | DataModel::InternetGatewayDevice => Ok(()),
        DataModel::Unknown => Err("must begin with Device. or InternetGatewayDevice.".to_owned()),
    }
}

fn read_attributes(fields: &mut Fields) -> Option<Vec<WantedAttribute>> {
    let attributes = fields.list_of("attributes", |mut element| {
        let path = element.parsed("path", parse_path);
        let path = element.require("path", path);
        let notification = element.integer("notification", 0..=NOTIFICATION_MAX);
        let notification = element.require("notification", notification);
        element.finish(&[])?;
        let notification = notification.and_then(|number| u8::try_from(number).ok());
        path.zip(notification).map(|(path, notification)| WantedAttribute { path, notification }).ok_or_else(required)
    });
    unique(fields, "attributes", attributes, |attribute| attribute.path.clone())
}

fn read_write(mut element: Fields, stored: &[WantedParameter]) -> Result<WantedParameter, FieldErrors> {
    let path = element.parsed("path", parse_path);
    let path = element.require("path", path);
    let hidden = path.as_ref().map_or(Hidden::No, |path| {
        let before = stored.iter().find(|before| before.path == *path);
        let before = before.map(|before| WantedValue { value: before.value.clone(), ty: before.ty });
        Hidden::of(path.as_str(), before)
    });
    let value = read_typed(&mut element, hidden);
    element.finish(&[])?;
    let (Some(path), Some(WantedValue { value, ty })) = (path, value) else { return Err(required()) };
    Ok(WantedParameter { path, value, ty })
}

fn read_object(mut element: Fields, stored: &[WantedObject]) -> Result<WantedObject, FieldErrors> {
    let table = element.parsed("path", |text| {
        let table = ObjectPath::try_from(text).map_err(|error| error.to_string())?;
        require_model(table.as_str())?;
        if table.is_instance() {
            let reason = "must name a table, not one of its rows: instance numbers differ from device to device";
            return Err(reason.to_owned());
        }
        Ok::<_, String>(table)
    });
    let table = element.require("path", table);
    let key = read_row(&mut element, "key", table.as_ref(), |leaf| {
        if hides_its_value(&below(table.as_ref(), leaf)) {
            return Err("is never read back from a device, so that no row can be found by it");
        }
        Ok(Hidden::No)
    });
    let key = element.require("key", key);
    if key.as_ref().is_some_and(BTreeMap::is_empty) {
        element.error("key", "At least one value is required.");
    }
    let before = stored.iter().find(|before| {
        Some(&before.table) == table.as_ref() && key.as_ref().is_some_and(|key| values(&before.key).eq(values(key)))
    });
    let parameters = read_row(&mut element, "parameters", table.as_ref(), |leaf| {
        if key.as_ref().is_some_and(|key| key.contains_key(leaf)) {
            return Err("is part of the key already");
        }
        let before = before.and_then(|before| before.parameters.get(leaf)).cloned();
        Ok(Hidden::of(&below(table.as_ref(), leaf), before))
    });
    element.finish(&[])?;
    let (Some(table), Some(key)) = (table, key) else { return Err(required()) };
    Ok(WantedObject { table, key, parameters: parameters.unwrap_or_default() })
}

/// Takes an object of values by leaf. `hidden` refuses a leaf, or tells what a mask stands for.
fn read_row(
    element: &mut Fields,
    field: &str,
    table: Option<&ObjectPath>,
    hidden: impl Fn(&str) -> Result<Hidden, &'static str>,
) -> Option<BTreeMap<String, WantedValue>> {
    let mut row = BTreeMap::new();
    let mut errors = FieldErrors::default();
    for (leaf, value) in element.object(field)? {
        let hidden = match check_leaf(table, &leaf).and_then(|()| hidden(&leaf).map_err(str::to_owned)) {
            Ok(hidden) => hidden,
            Err(reason) => {
                errors.add(&leaf, sentence(&reason));
                continue;
            }
        };
        match read_row_value(value, hidden) {
            Ok(value) => {
                row.insert(leaf, value);
            }
            Err(RowError::Value(reason)) => errors.add(&leaf, reason),
            Err(RowError::Fields(nested)) => errors.add_nested(&leaf, nested),
        }
    }
    let complete = errors.is_empty();
    element.nested_errors(field, errors);
    complete.then_some(row)
}

/// A leaf's path, rows left out.
fn below(table: Option<&ObjectPath>, leaf: &str) -> String {
    format!("{}{leaf}", table.map_or("", ObjectPath::as_str))
}

/// Checked as part of a full path: it must fit behind any row of the table.
fn check_leaf(table: Option<&ObjectPath>, leaf: &str) -> Result<(), String> {
    let checked = match table {
        Some(table) => table.instance(1).leaf(leaf).map(drop),
        None => ParameterPath::try_from(leaf).map(drop),
    };
    checked.map_err(|error: PathError| error.to_string())
}

enum RowError {
    Value(String),
    Fields(FieldErrors),
}

fn read_row_value(value: Value, hidden: Hidden) -> Result<WantedValue, RowError> {
    if let Value::Object(object) = value {
        let mut fields = Fields::new(object);
        let value = read_typed(&mut fields, hidden);
        fields.finish(&[]).map_err(RowError::Fields)?;
        return value.ok_or_else(|| RowError::Fields(required()));
    }
    let given = scalar(value).ok_or_else(|| RowError::Value(NO_SCALAR.to_owned()))?;
    settle(given, hidden).map_err(|reason| RowError::Value(sentence(&reason)))
}

/// `value` and `value_type`, the one checked against the other.
fn read_typed(fields: &mut Fields, hidden: Hidden) -> Option<WantedValue> {
    let given = fields.any("value");
    let given = fields.require("value", given);
    let ty = fields.nullable("value_type", |fields, name| {
        fields.parsed(name, |text| parse_type(text).ok_or_else(|| not_a_choice(text, &TYPE_NAMES)))
    });
    let Some(WantedValue { value, ty: own }) = scalar(given?) else {
        fields.error("value", NO_SCALAR);
        return None;
    };
    match settle(WantedValue { value, ty: ty.flatten().or(own) }, hidden) {
        Ok(value) => Some(value),
        Err(reason) => {
            fields.error("value", sentence(&reason));
            None
        }
    }
}

const NO_SCALAR: &str = "Must be a string, a number or a boolean.";

/// Text as it is; what JSON itself types, with that type.
fn scalar(value: Value) -> Option<WantedValue<String>> {
    match value {
        Value::String(value) => Some(WantedValue { value, ty: None }),
        Value::Bool(value) => {
            Some(WantedValue { value: value.to_string(), ty: Some(TypeHint::Kind(ValueKind::Boolean)) })
        }
        Value::Number(number) => {
            let is_integer = number.is_u64() || number.is_i64();
            let ty = is_integer.then_some(TypeHint::Kind(ValueKind::Integer));
            Some(WantedValue { value: number.to_string(), ty })
        }
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What a mask stands for.
enum Hidden {
    /// The value is not hidden: stars are stars.
    No,
    /// Nothing is stored.
    Nothing,
    /// This.
    Stored(WantedValue),
}

impl Hidden {
    /// What it is for a path, with what is stored for that.
    fn of(path: &str, stored: Option<WantedValue>) -> Self {
        match stored {
            _ if !hides_its_value(path) => Self::No,
            None => Self::Nothing,
            Some(value) => Self::Stored(value),
        }
    }
}

/// Puts the stored value in the place of its mask, and checks any other.
fn settle(given: WantedValue<String>, hidden: Hidden) -> Result<WantedValue, String> {
    match hidden {
        Hidden::Stored(stored) if given.value == MASK => {
            return Ok(WantedValue { ty: given.ty.or(stored.ty), ..stored });
        }
        Hidden::Nothing if given.value == MASK => {
            return Err("no value is stored that the stars could stand for".to_owned());
        }
        Hidden::No | Hidden::Nothing | Hidden::Stored(_) => {}
    }
    if let Some(reason) = check_characters(&given.value) {
        return Err(reason.to_owned());
    }
    let wrong = match check_placeholders(&given.value)? {
        // Checked once they are filled.
        Placeholders::Some => None,
        Placeholders::None => check_hint(given.ty, &given.value),
    };
    match wrong {
        Some(reason) => Err(reason.to_owned()),
        None => Ok(WantedValue { value: MaybeSealed::Plain(given.value), ty: given.ty }),
    }
}

/// Refuses elements that are for the same thing.
fn unique<T, K: Hash + Eq>(
    fields: &mut Fields,
    field: &str,
    items: Option<Vec<T>>,
    key: impl Fn(&T) -> K,
) -> Option<Vec<T>> {
    let items = items?;
    let mut seen = HashSet::new();
    let errors: Vec<FieldErrors> =
        items
            .iter()
            .map(|item| {
                if seen.insert(key(item)) {
                    FieldErrors::default()
                } else {
                    FieldErrors::one("path", "Is given twice.")
                }
            })
            .collect();
    let is_unique = errors.iter().all(FieldErrors::is_empty);
    fields.element_errors(field, errors);
    is_unique.then_some(items)
}

fn key_of(object: &WantedObject) -> Vec<(String, Option<String>)> {
    values(&object.key).map(|(leaf, value)| (leaf.to_owned(), value.map(str::to_owned))).collect()
}

/// Of a key, in which nothing is hidden. Without their types: one and the same row whatever is said of those.
fn values(row: &BTreeMap<String, WantedValue>) -> impl Iterator<Item = (&str, Option<&str>)> {
    row.iter().map(|(leaf, value)| (leaf.as_str(), value.value.plain()))
}

/// Unreachable where it is used: what is missing has been an error before.
fn required() -> FieldErrors {
    FieldErrors::one("path", "This field is required.")
}
