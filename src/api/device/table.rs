//! Devices as rows: which columns there are, and how cells of CSV and fields of JSON stand for each other.

use serde_json::{Map, Value};

use crate::model::device::{Device, Status};

use super::view;

/// What a cell of CSV holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    /// Text; an empty cell is an empty text.
    Text,
    /// Text that may not be empty: an empty cell is not given.
    FilledText,
    /// Text or nothing.
    NullableText,
    /// A number; an empty cell is not given.
    Number,
    /// A number or nothing.
    NullableNumber,
    /// `true` or `false`; an empty cell is not given.
    Boolean,
    /// Texts joined by semicolons, or a JSON array of texts.
    List,
}

/// What an import takes, besides what it ignores; all but the logins are exported.
const WRITABLE: [(&str, Cell); 19] = [
    ("serial_number", Cell::FilledText),
    ("id", Cell::Number),
    ("name", Cell::FilledText),
    ("customer_id", Cell::Text),
    ("serial_number_alt", Cell::Text),
    ("description", Cell::Text),
    ("organization_id", Cell::Number),
    ("type", Cell::Number),
    ("location", Cell::NullableNumber),
    ("location_name", Cell::Text),
    ("latitude", Cell::NullableText),
    ("longitude", Cell::NullableText),
    ("tags", Cell::List),
    ("is_active", Cell::Boolean),
    ("debug", Cell::Boolean),
    ("firmware_image", Cell::NullableNumber),
    ("update_frequency", Cell::NullableNumber),
    ("username", Cell::FilledText),
    ("password", Cell::FilledText),
];

/// What an export gives: what an import takes, then what is only ever read. No logins.
const EXPORTED: [&str; 31] = [
    "serial_number",
    "id",
    "name",
    "customer_id",
    "serial_number_alt",
    "description",
    "organization_id",
    "type",
    "location",
    "location_name",
    "latitude",
    "longitude",
    "tags",
    "is_active",
    "debug",
    "firmware_image",
    "update_frequency",
    "uuid",
    "unique_identifier",
    "product_class",
    "manufacturer",
    "software_version",
    "hardware_version",
    "address",
    "status",
    "status_change",
    "last_connection",
    "last_configuration",
    "last_change",
    "created",
    "pending_settings",
];

/// The fields of a device as an export gives them.
pub(super) fn row_of(device: &Device) -> Vec<(&'static str, Value)> {
    let (profile, state) = (&device.profile, &device.state);
    let time = |at: Option<crate::types::time::Timestamp>| at.map_or(Value::Null, |at| at.to_string().into());
    let identity = state.identity.as_ref();
    let values: [Value; EXPORTED.len()] = [
        profile.serial_number.as_str().into(),
        device.key.0.into(),
        profile.name.as_str().into(),
        profile.customer_id.as_str().into(),
        profile.serial_number_alt.as_str().into(),
        profile.description.as_str().into(),
        profile.organization.0.into(),
        profile.device_type.0.into(),
        profile.location.map(|id| id.0).into(),
        profile.location_name.as_str().into(),
        profile.latitude.clone().into(),
        profile.longitude.clone().into(),
        profile.tags.clone().into(),
        profile.is_active.into(),
        profile.debug.into(),
        profile.firmware_image.map(|image| image.0).into(),
        profile.update_frequency.into(),
        profile.uuid.to_string().into(),
        identity.map(view::unique_identifier).unwrap_or_default().into(),
        identity.map(|identity| identity.product_class.to_string()).unwrap_or_default().into(),
        state.manufacturer.as_ref().into(),
        state.software_version.as_ref().into(),
        state.hardware_version.as_ref().into(),
        state.address.map(|address| address.to_canonical().to_string()).unwrap_or_default().into(),
        if state.status == Status::Up { "Up" } else { "Down" }.into(),
        state.status_change.to_string().into(),
        time(state.last_inform),
        time(profile.last_configuration),
        time(profile.last_change),
        profile.created.to_string().into(),
        view::pending_names(&profile.pending).into(),
    ];
    EXPORTED.into_iter().zip(values).collect()
}

/// The names of what [`row_of`] gives.
pub(super) fn exported() -> impl Iterator<Item = &'static str> {
    EXPORTED.into_iter()
}

/// Fields whose text the device itself chose. In a table that people open, it may not pass for a formula.
const REPORTED: [&str; 5] =
    ["unique_identifier", "product_class", "manufacturer", "software_version", "hardware_version"];

/// The cell of a field. What operators wrote is kept as it is, so that an import gives it back; what a device reported, and
/// no import takes, gets an apostrophe where a spreadsheet would run it.
pub(super) fn cell_of(name: &str, value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if REPORTED.contains(&name) && text.starts_with(['=', '+', '-', '@', '\t', '\r']) => {
            format!("'{text}")
        }
        Value::String(text) => text,
        Value::Array(texts) => join(&texts),
        other => other.to_string(),
    }
}

fn join(texts: &[Value]) -> String {
    let plain = |text: &str| !text.contains(';') && !text.starts_with('[') && text.trim() == text;
    let texts_alone: Option<Vec<&str>> = texts.iter().map(|text| text.as_str().filter(|text| plain(text))).collect();
    match texts_alone {
        Some(texts) => texts.join(";"),
        None => Value::from(texts).to_string(),
    }
}

/// The field of a cell; `None`: it is not given. What cannot be read as the column's type stays text, so that the reader of
/// the field says what is wrong with it.
pub(super) fn field_of(name: &str, text: &str) -> Option<Value> {
    let kind = WRITABLE.iter().find(|(known, _)| *known == name).map_or(Cell::Text, |(_, kind)| *kind);
    if text.is_empty() {
        return match kind {
            Cell::Text => Some(Value::String(String::new())),
            Cell::NullableText | Cell::NullableNumber => Some(Value::Null),
            Cell::List => Some(Value::Array(Vec::new())),
            Cell::FilledText | Cell::Number | Cell::Boolean => None,
        };
    }
    Some(match kind {
        Cell::Text | Cell::FilledText | Cell::NullableText => text.into(),
        Cell::Number | Cell::NullableNumber => text.trim().parse::<i64>().map_or_else(|_| text.into(), Value::from),
        Cell::Boolean => match text.trim() {
            "true" | "True" | "TRUE" | "1" => true.into(),
            "false" | "False" | "FALSE" | "0" => false.into(),
            _ => text.into(),
        },
        Cell::List if text.starts_with('[') => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        Cell::List => text.split(';').map(str::trim).filter(|tag| !tag.is_empty()).collect(),
    })
}

/// The object that a record of CSV stands for.
pub(super) fn object_of(columns: &[String], cells: &[String]) -> Map<String, Value> {
    let fields = columns.iter().zip(cells).filter(|(name, _)| !name.is_empty());
    fields.filter_map(|(name, cell)| Some((name.clone(), field_of(name, cell)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cells_and_fields_stand_for_each_other() {
        let table = [
            ("name", json!("=1+1"), "=1+1"),
            ("tags", json!(["a", "b c"]), "a;b c"),
            ("tags", json!(["a;b", "c"]), r#"["a;b","c"]"#),
            ("tags", json!([]), ""),
            ("location", json!(null), ""),
            ("type", json!(3), "3"),
            ("is_active", json!(false), "false"),
            ("latitude", json!("-12.5"), "-12.5"),
            ("customer_id", json!(""), ""),
        ];
        for (name, value, cell) in table {
            assert_eq!(cell_of(name, value.clone()), cell, "{name}");
            assert_eq!(field_of(name, cell), Some(value), "{name} {cell}");
        }
        assert_eq!(cell_of("manufacturer", json!("=cmd")), "'=cmd");
        assert_eq!(field_of("name", ""), None);
        assert_eq!(field_of("type", "x"), Some(json!("x")));
        assert_eq!(field_of("is_active", "yes"), Some(json!("yes")));
    }
}
