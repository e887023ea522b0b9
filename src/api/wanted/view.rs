//! How wanted configuration looks in answers.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::MASK;
use super::form::RowValue;
use crate::api::headless::form::type_word;
use crate::api::words::TypeWord;
use crate::model::transaction::TypeHint;
use crate::model::wanted::{WantedConfiguration, WantedObject, WantedParameter, WantedValue};
use crate::types::path::hides_its_value;
use crate::types::value::ValueKind;

/// What is wanted.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct WantedView {
    /// Parameters with fixed paths.
    pub(in crate::api) parameters: Vec<WriteView>,
    /// Notification attributes.
    pub(in crate::api) attributes: Vec<AttributeView>,
    /// Rows of tables, found by key.
    pub(in crate::api) objects: Vec<ObjectView>,
}

/// A parameter and the value it is to have.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct WriteView {
    #[schema(example = "Device.ManagementServer.PeriodicInformInterval")]
    path: String,
    /// Stars where the device would hide it.
    #[schema(example = "300")]
    value: String,
    /// Null: as the device reports it.
    #[schema(example = "integer", value_type = Option<TypeWord>)]
    value_type: Option<&'static str>,
}

/// A notification attribute.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct AttributeView {
    #[schema(example = "Device.DeviceInfo.SoftwareVersion")]
    path: String,
    /// 0 off, 1 passive, 2 active, 3 to 6 the lightweight forms.
    #[schema(example = 2)]
    notification: u8,
}

/// A row of a table.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ObjectView {
    /// The table.
    #[schema(example = "Device.WiFi.SSID.")]
    path: String,
    /// Values that single the row out, by their names within it.
    #[schema(value_type = BTreeMap<String, RowValue>, example = json!({"SSID": "guest"}))]
    key: Map<String, Value>,
    /// Values it is to have: text, number, boolean, or an object of `value` and `value_type`.
    #[schema(value_type = BTreeMap<String, RowValue>, example = json!({"Enable": true}))]
    parameters: Map<String, Value>,
}

impl WantedView {
    pub(in crate::api) fn of(wanted: &WantedConfiguration) -> Self {
        let attribute = |attribute: &crate::model::wanted::WantedAttribute| AttributeView {
            path: attribute.path.to_string(),
            notification: attribute.notification,
        };
        Self {
            parameters: wanted.parameters.iter().map(WriteView::of).collect(),
            attributes: wanted.attributes.iter().map(attribute).collect(),
            objects: wanted.objects.iter().map(ObjectView::of).collect(),
        }
    }
}

impl WriteView {
    pub(in crate::api) fn of(parameter: &WantedParameter) -> Self {
        let shown = parameter.value.plain().filter(|_| !parameter.path.hides_its_value());
        Self {
            path: parameter.path.to_string(),
            value: shown.unwrap_or(MASK).to_owned(),
            value_type: parameter.ty.map(type_word),
        }
    }
}

impl ObjectView {
    fn of(object: &WantedObject) -> Self {
        Self {
            path: object.table.to_string(),
            key: values(object, &object.key),
            parameters: values(object, &object.parameters),
        }
    }
}

fn values(object: &WantedObject, all: &BTreeMap<String, WantedValue>) -> Map<String, Value> {
    let view = |(leaf, value): (&String, &WantedValue)| {
        let shown = value.value.plain().filter(|_| !hides_its_value(&format!("{}{leaf}", object.table)));
        (leaf.clone(), row_value(shown.unwrap_or(MASK), value.ty))
    };
    all.iter().map(view).collect()
}

/// As it would be written by hand: JSON's own types where they say the same.
fn row_value(value: &str, ty: Option<TypeHint>) -> Value {
    let plain = match ty {
        None => Some(Value::from(value)),
        Some(TypeHint::Kind(ValueKind::Boolean)) => match value {
            "true" => Some(true.into()),
            "false" => Some(false.into()),
            _ => None,
        },
        Some(TypeHint::Kind(ValueKind::Integer)) => integer(value),
        Some(TypeHint::Kind(ValueKind::String) | TypeHint::Exact(_)) => None,
    };
    plain.unwrap_or_else(|| json!({ "value": value, "value_type": ty.map(type_word) }))
}

/// A number that JSON writes just so.
fn integer(text: &str) -> Option<Value> {
    let number = text.parse::<i128>().ok().filter(|number| number.to_string() == text)?;
    u64::try_from(number).map(Value::from).or_else(|_negative| i64::try_from(number).map(Value::from)).ok()
}
